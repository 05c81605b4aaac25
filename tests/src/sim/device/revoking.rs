//! A device that its user shuts out, and whoever has it now: they have its folder as it was, and a node that works for them.

use chasqui_wire::{
    Challenge, Checkpoint, ConversationId, KeyPackagesLeft, NodeFrame, Pong, Timestamp, VERSIONS, Welcome,
    http::Sensitive,
};

use super::super::node::{self, Heads};
use super::*;

/// More than any simulated conversation has.
const ALL: u32 = 100_000;

pub(in crate::sim) struct Revoked {
    device: usize,
    /// Another one of the same user, which gets what this one would have got.
    sibling: usize,
    /// Its folder, when it was shut out.
    folder: Connection,
    /// What could be read there then, or anywhere: it was sent before. A restored node may give it another position later.
    said_before: BTreeSet<MessageId>,
    /// How far conversations had come then.
    heads: Heads,
    epochs: BTreeMap<ConversationId, u64>,
    /// What the sibling got since, by the node's clock.
    frames: Vec<(Timestamp, Bytes)>,
}

impl World {
    /// Some are shut out in the middle of everything.
    pub(in crate::sim) fn plan_revocations(&mut self, span: u64) {
        if self.protection == Protection::NodeReadable {
            return;
        }
        let base = self.now;
        // Drawn apart where there was nobody to shut out before, so that all other worlds stay as they were.
        let is_apart = self.climate.restores + self.climate.clones > 0;
        let mut apart = Rng::new(self.aside.clone().next() ^ 0x7265_766f_6b65);
        for device in 0..self.devices.len() {
            let rng = if is_apart { &mut apart } else { &mut self.aside };
            if rng.chance(self.climate.revoked) {
                let at = rng.between(span / 4, span);
                self.at(base + at, Happening::User(Action::Revoke(device)));
            }
        }
    }

    /// By another device of its user, which stays.
    pub(in crate::sim) fn revoke(&mut self, index: usize) {
        let device = &self.devices[index];
        let is_wanted = device.enrolled && device.from_the_start && (!self.calm || device.was_shut_out);
        let (true, Some(sibling)) = (is_wanted, self.stays_without(index)) else { return };
        if !self.node.is_up() || self.node.is_full {
            return self.after(1_000, Happening::User(Action::Revoke(index)));
        }
        let (clock, user, id) = (self.clock(self.node.skew_ms), self.users[device.user], device.id);
        self.count(Fault::DeviceRevoked);
        self.note(format!("device {index} is revoked"));
        let answer = self.node.relay_mut().revoke(clock, user, id);
        let (done, events) = answer.expect("the node's database works");
        done.expect("the node knows the device");
        self.dispatch(events);
        self.shut_out(id, sibling);
    }

    /// Another device of the same user, of which nobody will ever think that it has to be shut out.
    fn stays_without(&self, index: usize) -> Option<usize> {
        let (user, id) = (self.devices[index].user, self.devices[index].id);
        self.devices.iter().position(|device| {
            let is_another = device.user == user && device.id != id;
            is_another && device.enrolled && device.from_the_start && !device.was_shut_out && !device.is_unlinked()
        })
    }

    /// The node has shut it out, with all copies of its folder that are not a device of their own yet.
    fn shut_out(&mut self, id: DeviceId, sibling: usize) {
        let (heads, epochs) = (self.node.heads(), self.node.epochs());
        let said_before = self.devices.iter().flat_map(|device| said(device.database(), &|_, _| true));
        let said_before: BTreeSet<MessageId> = said_before.collect();
        for index in 0..self.devices.len() {
            let device = &mut self.devices[index];
            if device.id != id || !device.enrolled {
                continue;
            }
            (device.enrolled, device.was_shut_out) = (false, true);
            let folder = node::copy_of(device.database());
            let (said_before, heads, epochs) = (said_before.clone(), heads.clone(), epochs.clone());
            self.revoked.push(Revoked {
                device: index,
                sibling,
                folder,
                said_before,
                heads,
                epochs,
                frames: Vec::new(),
            });
        }
    }

    /// A copy of the node's database may know a device that was shut out as one that is there: until its user sees that and shuts it out
    /// again, it is. And the other way round.
    pub(in crate::sim) fn remember_revocations(&mut self) {
        for revoked in std::mem::take(&mut self.revoked) {
            let index = revoked.device;
            if self.node.is_shut_out(self.devices[index].id) {
                self.revoked.push(revoked);
                continue;
            }
            self.count(Fault::RevocationForgotten);
            self.note(format!("the node does not know any more that device {index} is revoked"));
            self.devices[index].enrolled = true;
            self.device_stops(index);
            let (starts, ends) = (self.rng.between(0, 10_000), self.rng.between(5_000, 60_000));
            self.after(starts, Happening::DeviceRestart(index));
            self.after(ends, Happening::User(Action::Revoke(index)));
        }
        for index in 0..self.devices.len() {
            let device = &self.devices[index];
            if device.enrolled && device.was_shut_out && self.node.is_shut_out(device.id) {
                let sibling = self.stays_without(index).expect("as when it was shut out");
                self.note(format!("the node knows again that device {index} is revoked"));
                self.shut_out(self.devices[index].id, sibling);
            }
        }
    }

    /// What somebody who reads along at the node gets to see.
    pub(super) fn overhear(&mut self, index: usize, frame: &Bytes) {
        let now = self.clock(self.node.skew_ms);
        let mut revoked = self.revoked.iter_mut().filter(|revoked| revoked.sibling == index).peekable();
        let is_wanted = || {
            let frame = NodeFrame::decode(frame.clone(), &Limits::DEFAULT);
            matches!(frame, Ok(NodeFrame::Deliver(_) | NodeFrame::Signal(_)))
        };
        if revoked.peek().is_some() && is_wanted() {
            revoked.for_each(|revoked| revoked.frames.push((now, frame.clone())));
        }
    }

    /// Nothing that was sent after a device was shut out reached it; nor could it be read with what the device had.
    pub(in crate::sim) fn check_revoked(&mut self) -> Result<(), String> {
        for revoked in std::mem::take(&mut self.revoked) {
            let index = revoked.device;
            let is_later = |conversation: &ConversationId, seq: Seq| {
                seq.raw() > revoked.heads.get(conversation).copied().unwrap_or(0)
            };
            let is_new = |message: &&MessageId| !revoked.said_before.contains(message);
            let later = said(self.devices[index].database(), &is_later);
            if let Some(message) = later.iter().find(is_new) {
                return Err(format!("device {index} was shut out, and has {message}, which was sent after that"));
            }
            let later = self.read_with(&revoked)?;
            if let Some(message) = said(later.connection(), &is_later).iter().find(is_new) {
                return Err(format!("device {index} was shut out, and can read {message}, which was sent after that"));
            }
        }
        Ok(())
    }

    /// Its folder, after it was handed everything by a node that works for whoever has it.
    fn read_with(&mut self, revoked: &Revoked) -> Result<Store, String> {
        let failing = Failing { rng: Rng::new(0), per_mille: 0, failed: BTreeMap::new(), uncounted: 0 };
        let copy = node::copy_of(&revoked.folder);
        let mut store = Store::with_connection(database(&Arc::new(Mutex::new(failing)), copy)).expect("a history");
        let mut engine = Engine::load(&store, 1).expect("the history can be read");
        let device = &self.devices[revoked.device];
        let clock = self.clock(device.skew_ms);
        let step = engine.handle(&mut store, clock, vec![Input::NetworkUp, Input::Wake]).expect("a step");
        let socket = step.outputs.iter().find_map(|output| match output {
            Output::Connect(socket) => Some(*socket),
            _ => None,
        });
        let Some(socket) = socket else { return Ok(store) };
        let relay = self.node.relay_mut();
        let challenge = Challenge {
            nonce: [0; 32],
            realm: relay.realm(),
            version_min: *VERSIONS.start(),
            version_max: *VERSIONS.end(),
        };
        let welcome = Welcome {
            user: self.users[device.user],
            limits: Limits::DEFAULT,
            checkpoint: Checkpoint { era: 0, revision: 1 << 40, opening: [0; 8], seal: [0; 32] },
            eras: Vec::new(),
            time: clock,
            http_token: Sensitive(String::new()),
            http_token_expires_at: clock,
            key_packages: Some(KeyPackagesLeft { one_time: 50, last_resort: true }),
            identity_key: None,
        };
        let inputs = [
            Input::Connected(socket),
            Input::Frame(socket, NodeFrame::Challenge(challenge).encode()),
            Input::Frame(socket, NodeFrame::Welcome(welcome.clone()).encode()),
        ];
        let mut take = |input| {
            engine.handle(&mut store, clock, vec![input]).expect("a step");
            engine.typing()
        };
        inputs.into_iter().for_each(|input| drop(take(input)));
        for (at, frame) in &revoked.frames {
            if let Ok(NodeFrame::Signal(signal)) = NodeFrame::decode(frame.clone(), &Limits::DEFAULT) {
                if signal.epoch <= revoked.epochs.get(&signal.conversation).copied().unwrap_or(0) {
                    continue;
                }
                // A node that works for them tells the time at which it can be read.
                let pong = Pong { nonce: 0, time: *at, checkpoint: None, key_packages: welcome.key_packages };
                take(Input::Frame(socket, NodeFrame::Pong(pong).encode()));
            }
            if let Some(typing) = take(Input::Frame(socket, frame.clone())).first() {
                let index = revoked.device;
                return Err(format!("device {index} was shut out, and can see {} typing after that", typing.user));
            }
        }
        Ok(store)
    }
}

/// The messages of a history, of those that are asked for, that can be read there.
fn said(history: &Connection, is_wanted: &impl Fn(&ConversationId, Seq) -> bool) -> Vec<MessageId> {
    let sql = "SELECT conversation.conversation, message.seq, message.message FROM message
               JOIN conversation ON conversation.id = message.conversation
               WHERE message.message IS NOT NULL AND message.seq IS NOT NULL AND message.kind = 1 LIMIT ?";
    let mut statement = history.prepare(sql).expect("the history can be queried");
    let mut rows = statement.query([ALL]).expect("the history can be queried");
    let mut said = Vec::new();
    while let Some(row) = rows.next().expect("the history can be queried") {
        let conversation = ConversationId::from_bytes(row.get(0).expect("an id"));
        let seq = Seq::from_raw(row.get::<_, i64>(1).expect("a position").cast_unsigned()).expect("a position");
        if is_wanted(&conversation, seq) {
            said.push(MessageId::from_bytes(row.get(2).expect("an id")));
        }
    }
    said
}
