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
    /// How far conversations had come then.
    heads: Heads,
    epochs: BTreeMap<ConversationId, u64>,
    /// What the sibling got since, by the node's clock.
    frames: Vec<(Timestamp, Bytes)>,
}

impl World {
    /// By another device of its user, which stays.
    pub(in crate::sim) fn revoke(&mut self, index: usize) {
        let device = &self.devices[index];
        let stays = |(other, device): (usize, &Device)| {
            let stays = other != index && device.user == self.devices[index].user && device.enrolled;
            (stays && device.from_the_start && !device.is_unlinked()).then_some(other)
        };
        let sibling = self.devices.iter().enumerate().find_map(stays);
        let (true, Some(sibling)) = (device.enrolled && device.from_the_start && !self.calm, sibling) else { return };
        if !self.node.is_up() || self.node.is_full {
            return self.after(1_000, Happening::User(Action::Revoke(index)));
        }
        let (clock, user, id) = (self.clock(self.node.skew_ms), self.users[device.user], device.id);
        self.count(Fault::DeviceRevoked);
        self.note(format!("device {index} is revoked"));
        let folder = node::copy_of(self.devices[index].database());
        let answer = self.node.relay_mut().revoke(clock, user, id);
        let (done, events) = answer.expect("the node's database works");
        done.expect("the node knows the device");
        self.dispatch(events);
        self.devices[index].enrolled = false;
        let (heads, epochs) = (self.node.heads(), self.node.epochs());
        self.revoked.push(Revoked { device: index, sibling, folder, heads, epochs, frames: Vec::new() });
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
            let later = said(self.devices[index].database(), &is_later);
            if let Some(message) = later.first() {
                return Err(format!("device {index} was shut out, and has {message}, which was sent after that"));
            }
            let later = self.read_with(&revoked)?;
            if let Some(message) = said(later.connection(), &is_later).first() {
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
