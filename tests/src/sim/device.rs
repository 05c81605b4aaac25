//! A device: the real engine over a real database in memory, which outlives its crashes.

mod comparing;
mod copies;
mod linking;
mod misfortunes;
mod revoking;
mod typing;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use chasqui::engine::{
    Command, CommandId, ConnectionState, Engine, Enrolment, Input, Output, Reply, Secret, SocketId, Step, public_key,
};
use chasqui::{Blocked, ConversationId, DeviceId, MessageId, Protection, Seq, Store, UserId};
use chasqui_node::relay;
use chasqui_wire::{ClientFrame, Limits, NodeFrame};
use rusqlite::Connection;
use rusqlite::functions::FunctionFlags;

pub(super) use self::revoking::Revoked;
pub(super) use self::typing::Typists;
use super::faults::{Climate, Fault};
use super::network::{Arrival, WireId};
use super::rng::Rng;
use super::world::{Action, Happening, World};

/// An entry may fail twice; at the third time the engine gives it up, rightly.
const FAILURES_OF_AN_ENTRY: u32 = 2;
const DAY_MS: u64 = 24 * 3600 * 1000;

/// A message that a device has, and cannot read.
pub(super) struct Awaited {
    pub(super) conversation: ConversationId,
    pub(super) is_request: bool,
    pub(super) seq: Seq,
    pub(super) message: MessageId,
}

pub(super) struct Device {
    pub(super) user: usize,
    pub(super) id: DeviceId,
    seed: Secret,
    pub(super) skew_ms: i64,
    pub(super) enrolled: bool,
    pub(super) from_the_start: bool,
    /// Another folder has the same keys.
    has_twin: bool,
    /// It had one at some time: what one of the two read, the other, who is in its place now, may not have heard of.
    pub(super) had_twin: bool,
    /// It was told that its folder is a copy, and is a new device since.
    pub(super) is_new_again: bool,
    /// The process, while it runs.
    running: Option<(Engine, Store)>,
    /// The database, while it does not.
    parked: Option<Connection>,
    inputs: Vec<Input>,
    step_at: Option<u64>,
    wires: BTreeMap<SocketId, WireId>,
    /// Those by which the node has said that it has no more mail.
    drained: BTreeSet<WireId>,
    offline: bool,
    suspended: bool,
    commands: u64,
    asked: BTreeMap<CommandId, MessageId>,
    /// Messages whose sending was confirmed to the app.
    pub(super) promised: BTreeSet<MessageId>,
    /// How far own messages were seen to have got.
    ranks: BTreeMap<MessageId, u8>,
    failing: Arc<Mutex<Failing>>,
    /// It has asked the node to enrol it anew.
    logs_in: bool,
    linking: linking::Linking,
    /// Another device linked it, and gives it the history.
    pub(super) was_linked: bool,
    /// Its clock was set while it was used.
    clock_was_set: bool,
    /// Its user has shut it out at some time.
    pub(super) was_shut_out: bool,
    /// Whom it showed typing when it was looked at last.
    shown: BTreeSet<(ConversationId, UserId)>,
}

/// Decides which entries cannot be stored.
#[derive(Debug)]
struct Failing {
    rng: Rng,
    per_mille: u64,
    failed: BTreeMap<Vec<u8>, u32>,
    uncounted: u32,
}

impl Failing {
    fn strikes(&mut self, message: Vec<u8>) -> bool {
        let before = self.failed.entry(message).or_default();
        // What fails among its neighbours fails alone as well.
        let strikes = *before < FAILURES_OF_AN_ENTRY && (*before > 0 || self.rng.chance(self.per_mille));
        *before += u32::from(strikes);
        self.uncounted += u32::from(strikes);
        strikes
    }
}

impl Device {
    pub(super) fn new(rng: &mut Rng, user: usize, climate: &Climate) -> Self {
        let failing = Failing {
            rng: Rng::new(rng.next()),
            per_mille: climate.entry_fails,
            failed: BTreeMap::new(),
            uncounted: 0,
        };
        let failing = Arc::new(Mutex::new(failing));
        let skew_ms = if climate.skewed { wrong_clock(rng) } else { 0 };
        Self {
            user,
            id: rng.id(0),
            seed: Secret::new(rng.bytes()),
            skew_ms,
            enrolled: false,
            from_the_start: false,
            has_twin: false,
            had_twin: false,
            is_new_again: false,
            running: None,
            parked: Some(database(&failing, Connection::open_in_memory().expect("a database in memory"))),
            inputs: Vec::new(),
            step_at: None,
            wires: BTreeMap::new(),
            drained: BTreeSet::new(),
            offline: false,
            suspended: false,
            commands: 0,
            asked: BTreeMap::new(),
            promised: BTreeSet::new(),
            ranks: BTreeMap::new(),
            failing,
            logs_in: false,
            linking: linking::Linking::default(),
            was_linked: false,
            clock_was_set: false,
            was_shut_out: false,
            shown: BTreeSet::new(),
        }
    }

    /// Own messages that a copy of the folder has, too.
    fn on_disk(&self) -> BTreeSet<MessageId> {
        self.promised.iter().copied().filter(|&message| self.holds(message)).collect()
    }

    pub(super) fn can_be_used(&self) -> bool {
        self.enrolled && !self.suspended && self.running.is_some()
    }

    pub(super) fn connection_state(&self) -> Option<ConnectionState> {
        self.running.as_ref().map(|(engine, _)| engine.connection())
    }

    pub(super) fn store(&self) -> Option<&Store> {
        self.running.as_ref().map(|(_, store)| store)
    }

    /// The database, whether the process runs or not.
    pub(super) fn database(&self) -> &Connection {
        let running = self.running.as_ref().map(|(_, store)| store.connection());
        running.or(self.parked.as_ref()).expect("a device is running or parked")
    }

    /// The positions of its own messages, as it has them stored.
    pub(super) fn positions(&self) -> impl Iterator<Item = (MessageId, Seq)> + use<> {
        let sql =
            "SELECT message, seq FROM message WHERE sender_device = ? AND seq IS NOT NULL AND message IS NOT NULL";
        let mut statement = self.database().prepare_cached(sql).expect("the history can be queried");
        let position = |row: &rusqlite::Row<'_>| {
            let seq = Seq::from_raw(row.get::<_, i64>(1)?.cast_unsigned()).expect("a position");
            Ok((MessageId::from_bytes(row.get(0)?), seq))
        };
        let positions = statement.query_map([self.id.as_bytes()], position).expect("the history can be queried");
        positions.collect::<Result<Vec<_>, _>>().expect("positions").into_iter()
    }

    pub(super) fn count(&self, sql: &str) -> u64 {
        self.database().query_row(sql, [], |row| row.get::<_, i64>(0)).expect("the history can be queried") as u64
    }

    /// Conversations whose group should have new keys of this device by then.
    pub(super) fn overdue_keys(&self, by: chasqui::Timestamp) -> u64 {
        self.count(&format!(
            "SELECT count(*) FROM secured JOIN conversation USING (conversation)
             WHERE mls_group IS NOT NULL AND request = 0 AND renew_at <= {}",
            by.0
        ))
    }

    /// What it asks for because it could not read it, or will once its user has accepted the request.
    pub(super) fn awaited(&self) -> Vec<Awaited> {
        let sql = "SELECT conversation.conversation, request = 1, anchor, message.message
                   FROM message JOIN conversation ON conversation.id = message.conversation
                   WHERE message.kind = 5 AND message.deleted = 0 AND request <> 2";
        let mut statement = self.database().prepare_cached(sql).expect("the history can be queried");
        let awaited = |row: &rusqlite::Row<'_>| {
            Ok(Awaited {
                conversation: ConversationId::from_bytes(row.get(0)?),
                is_request: row.get(1)?,
                seq: Seq::from_raw(row.get::<_, i64>(2)?.cast_unsigned()).expect("a position"),
                message: MessageId::from_bytes(row.get(3)?),
            })
        };
        let awaited = statement.query_map([], awaited).expect("the history can be queried");
        awaited.collect::<Result<_, _>>().expect("messages")
    }

    /// Where its user has read something, and the node has not heard.
    pub(super) fn unsaid_reads(&self) -> Vec<ConversationId> {
        let sql = "SELECT conversation.conversation FROM read_outbox
                   JOIN conversation ON conversation.id = read_outbox.conversation";
        let mut statement = self.database().prepare_cached(sql).expect("the history can be queried");
        let unsaid = statement.query_map([], |row| row.get(0).map(ConversationId::from_bytes));
        unsaid.expect("the history can be queried").collect::<Result<_, _>>().expect("ids")
    }

    /// How far its user has read.
    pub(super) fn read_up_to(&self, conversation: ConversationId) -> Option<Seq> {
        let sql = "SELECT coalesce(max(read_up_to), 0) FROM conversation WHERE conversation = ?";
        let mark = self.database().query_row(sql, [conversation.as_bytes()], |row| row.get::<_, i64>(0));
        Seq::from_raw(mark.expect("the history can be queried").cast_unsigned())
    }

    /// Whether its user wrote the message, and it can be read here.
    pub(super) fn can_send_again(&self, message: MessageId) -> bool {
        let sql = "SELECT EXISTS (SELECT 1 FROM message WHERE message = ? AND incoming = 0 AND kind = 1)";
        let mut statement = self.database().prepare_cached(sql).expect("the history can be queried");
        statement.query_row([message.as_bytes()], |row| row.get(0)).expect("the history can be queried")
    }

    /// Whether the message can be read here.
    pub(super) fn has_read(&self, message: MessageId) -> bool {
        let sql = "SELECT EXISTS (SELECT 1 FROM message WHERE message = ? AND kind = 1)";
        let mut statement = self.database().prepare_cached(sql).expect("the history can be queried");
        statement.query_row([message.as_bytes()], |row| row.get(0)).expect("the history can be queried")
    }

    pub(super) fn holds(&self, message: MessageId) -> bool {
        let sql = "SELECT EXISTS (SELECT 1 FROM message WHERE message = ?)";
        let mut statement = self.database().prepare_cached(sql).expect("the history can be queried");
        statement.query_row([message.as_bytes()], |row| row.get(0)).expect("the history can be queried")
    }

    fn failing(&self) -> MutexGuard<'_, Failing> {
        self.failing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Off by up to a day, or by up to ten years.
fn wrong_clock(rng: &mut Rng) -> i64 {
    let most = if rng.chance(500) { DAY_MS } else { 3650 * DAY_MS };
    rng.between(0, 2 * most).cast_signed() - most.cast_signed()
}

/// A database, empty or a copy, in which the storing of some incoming messages fails.
fn database(failing: &Arc<Mutex<Failing>>, connection: Connection) -> Connection {
    let failing = Arc::clone(failing);
    let strikes = connection.create_scalar_function("sim_fails", 1, FunctionFlags::SQLITE_UTF8, move |context| {
        let message: Option<Vec<u8>> = context.get(0)?;
        Ok(message.is_some_and(|message| failing.lock().unwrap_or_else(PoisonError::into_inner).strikes(message)))
    });
    strikes.expect("a function");
    let connection = Store::with_connection(connection).expect("a history").into_connection();
    let trigger = "CREATE TEMP TRIGGER injected BEFORE INSERT ON main.message WHEN NEW.incoming = 1
                   BEGIN SELECT CASE WHEN sim_fails(NEW.message) THEN RAISE(ABORT, 'injected') END; END";
    connection.execute_batch(trigger).expect("a trigger");
    connection
}

fn limit_pages(database: &Connection, pages: u32) {
    let sql = format!("PRAGMA max_page_count = {pages}");
    database.query_row(&sql, [], |_| Ok(())).expect("a limit");
}

impl World {
    /// The device asks the node over HTTP, which the simulation leaves out, and starts.
    pub(super) fn enrol(&mut self, index: usize) {
        let (device, clock) = (&self.devices[index], self.clock(self.node.skew_ms));
        let user = self.users[device.user];
        let name = format!("user{}", device.user);
        let key = public_key(&device.seed);
        let enrolment = relay::Enrolment { device: device.id, key, name: format!("device {index}") };
        let is_first = !self.devices.iter().any(|other| other.enrolled && other.user == device.user);
        let (node, seed, id) = (self.node.relay_mut(), device.seed.clone(), device.id);
        let answer = if is_first {
            let new = relay::NewUser {
                user,
                name: name.clone(),
                password_hash: String::new(),
                identity_key: public_key(&self.identities[self.devices[index].user]),
                device: enrolment,
            };
            node.register(clock, &new).map(|answer| answer.map(drop))
        } else {
            node.enrol(clock, user, &enrolment)
        };
        answer.expect("the node's database works").expect("the node enrols");
        let realm = node.realm();
        // Those that are there from the start are as if they had been linked.
        let is_linked = is_first || self.now == 0 || self.protection == Protection::NodeReadable;
        self.devices[index].was_linked = !is_linked;
        self.devices[index].enrolled = true;
        self.devices[index].from_the_start = self.now == 0;
        self.note(format!("device {index} of user {} enrols", self.devices[index].user));
        self.device_restarts(index);
        let enrolment = Enrolment {
            node: "sim:".to_owned(),
            realm,
            user,
            name: name.clone(),
            device: id,
            device_seed: seed,
            identity_seed: is_linked.then(|| self.identities[self.devices[index].user].clone()),
        };
        self.command(index, Command::BeginEnrolment(Box::new(enrolment)));
        self.command(index, Command::ConfirmEnrolment { user, name, device: id });
        if !is_linked {
            let delay = self.rng.between(1_000, 60_000);
            self.after(delay, Happening::User(Action::Link(index)));
        }
    }

    pub(super) fn command(&mut self, index: usize, command: Command) {
        let device = &mut self.devices[index];
        device.commands += 1;
        let id = CommandId(device.commands);
        if let Command::SendText { message, .. } = &command {
            device.asked.insert(id, *message);
        }
        self.input(index, Input::Command(id, command));
    }

    /// Something happened to a device; it looks at it soon, together with what else happens until then.
    pub(super) fn input(&mut self, index: usize, input: Input) {
        if self.devices[index].running.is_some() {
            self.devices[index].inputs.push(input);
            let delay = self.rng.between(0, 5);
            self.step_device_at(index, self.now + delay);
        }
    }

    fn step_device_at(&mut self, index: usize, at: u64) {
        if self.devices[index].step_at.is_none_or(|planned| at < planned) {
            self.devices[index].step_at = Some(at);
            self.at(at, Happening::DeviceStep(index));
        }
    }

    pub(super) fn device_step(&mut self, index: usize) {
        if self.devices[index].step_at != Some(self.now) {
            return;
        }
        self.devices[index].step_at = None;
        let climate = self.climate.device_crash;
        // Enrolment goes over HTTP and is repeated by the app; here it is done once.
        let may_crash = self.devices[index].commands > 2;
        let crash_before = may_crash && self.rng.chance(climate) && !self.calm;
        let crash_after = !crash_before && may_crash && self.rng.chance(climate) && !self.calm;
        self.watch_typing(index);
        let skew = self.devices[index].skew_ms;
        let clock = self.clock(skew);
        let device = &mut self.devices[index];
        let Some((engine, store)) = &mut device.running else { return };
        let mut inputs = std::mem::take(&mut device.inputs);
        let is_typing_only = !inputs.is_empty() && inputs.iter().all(typing::is_of_typing);
        inputs.push(Input::Wake);
        let count = inputs.len();
        let changes = store.connection().total_changes();
        if crash_before {
            store.connection_mut().commit_hook(Some(|| true)).expect("a hook");
        }
        let step = engine.handle(store, clock, inputs);
        let is_untouched = store.connection().total_changes() == changes;
        if crash_before {
            store.connection_mut().commit_hook(None::<fn() -> bool>).expect("no hook");
        }
        let failed = std::mem::take(&mut device.failing().uncounted);
        for _ in 0..failed {
            self.count(Fault::EntryFailed);
        }
        self.note(format!("device {index} takes {count} inputs"));
        match step {
            Ok(step) => {
                if is_typing_only && !is_untouched && typing::says_nothing_else(&step.outputs) {
                    self.breaks(format!("device {index} stores something because somebody types"));
                }
                if crash_after {
                    self.count(Fault::DeviceCrashAfterCommit);
                } else {
                    self.carry_out(index, step);
                }
                self.watch(index);
                self.watch_typing(index);
            }
            Err(error) if error.is_storage_full() => self.device_gives_up_its_step(index),
            Err(error) if !crash_before => self.breaks(format!("device {index} cannot go on: {error}")),
            Err(_) => {}
        }
        if crash_before {
            self.count(Fault::DeviceCrashBeforeCommit);
        }
        if crash_before || crash_after {
            self.device_crashes(index);
        }
    }

    fn carry_out(&mut self, index: usize, step: Step) {
        if let Some(at) = step.wake_at {
            let at = self.when(at, self.devices[index].skew_ms);
            self.step_device_at(index, at.max(self.now + 1));
        }
        for output in step.outputs {
            match output {
                Output::Connect(socket) => self.device_connects(index, socket),
                Output::Disconnect(socket) => {
                    if let Some(wire) = self.devices[index].wires.remove(&socket) {
                        self.device_hangs_up(wire);
                    }
                }
                Output::Transmit(socket, bytes) => {
                    if let Some(&wire) = self.devices[index].wires.get(&socket) {
                        if !self.devices[index].drained.contains(&wire) && is_sealed(&bytes) {
                            self.breaks(format!("device {index} has encrypted before it had its mail"));
                        }
                        self.send_to_node(wire, bytes);
                    }
                }
                Output::Reply(id, result) => self.replied(index, id, result),
                Output::Resolve(user) => self.after(50, Happening::Named(index, user)),
                Output::Connection(state) => {
                    self.note(format!("device {index} is {state:?}"));
                    self.heed_being_a_copy(index);
                }
                Output::Linking(state) => self.heed_linking(index, state),
                Output::Changed(_) | Output::HttpToken(..) => {}
            }
        }
    }

    fn replied(&mut self, index: usize, id: CommandId, result: Result<Reply, chasqui::Error>) {
        let asked = self.devices[index].asked.remove(&id);
        let may_be_refused = self.devices[index].linking.may_be_refused(id);
        match (asked, result) {
            (None, Err(_)) if may_be_refused => {}
            (Some(message), Ok(_)) => drop(self.devices[index].promised.insert(message)),
            (Some(_), Err(error)) => self.breaks(format!("device {index} refuses to send: {error}")),
            (None, Err(chasqui::Error::NotFound { .. }) | Ok(_)) => {}
            // It was told twice to log in again, and had done so.
            (None, Err(chasqui::Error::AlreadyEnrolled)) if self.devices[index].is_new_again => {}
            (None, Err(error)) => self.breaks(format!("device {index} refuses: {error}")),
        }
    }

    pub(super) fn arrives_at_device(&mut self, wire: WireId, arrival: Arrival) {
        let Some(ends) = self.wires.get(&wire).cloned() else { return };
        if !ends.alive && !matches!(arrival, Arrival::Closed) {
            return;
        }
        // The process that had opened it may be gone, and its successor counts its sockets anew.
        if self.devices[ends.device].wires.get(&ends.socket) != Some(&wire) {
            return;
        }
        if let Arrival::Frame(bytes) = &arrival {
            let (index, bytes) = (ends.device, bytes.clone());
            self.trace.detail(self.now, || format!("device {index} gets {}", from_node(bytes)));
        }
        if let Arrival::Frame(bytes) = &arrival {
            self.overhear(ends.device, bytes);
            if matches!(NodeFrame::decode(bytes.clone(), &Limits::DEFAULT), Ok(NodeFrame::Drained(_))) {
                self.devices[ends.device].drained.insert(wire);
            }
        }
        let input = match arrival {
            Arrival::Opened => Input::Connected(ends.socket),
            Arrival::Frame(bytes) => Input::Frame(ends.socket, bytes),
            Arrival::Closed => {
                self.devices[ends.device].wires.remove(&ends.socket);
                Input::Disconnected(ends.socket)
            }
        };
        self.input(ends.device, input);
    }

    fn device_connects(&mut self, index: usize, socket: SocketId) {
        if self.devices[index].offline || !self.node.is_up() {
            self.after(20, Happening::Refused(index, socket));
            return;
        }
        if self.strikes(self.climate.drop_socket, Fault::SocketRefused) {
            self.after(200, Happening::Refused(index, socket));
            return;
        }
        let wire = self.open_wire(index, socket);
        self.devices[index].wires.insert(socket, wire);
    }

    /// Whether some wire of the device still carries frames.
    pub(super) fn is_reached(&self, index: usize) -> bool {
        let mut wires = self.devices[index].wires.values().filter_map(|wire| self.wires.get(wire));
        wires.any(|wire| wire.alive)
    }

    /// The promises that hold at every moment: states never go back, and RECEIVED is never said too early.
    fn watch(&mut self, index: usize) {
        let sql = "SELECT message.message, message.state, max(receipt.rank), conversation.peer FROM message
                   JOIN conversation ON conversation.id = message.conversation
                   LEFT JOIN receipt ON receipt.conversation = message.conversation AND receipt.seq = message.seq
                   WHERE incoming = 0 AND message.message IS NOT NULL GROUP BY message.id";
        let mut seen: Vec<(MessageId, u8, Option<Vec<u8>>)> = Vec::new();
        {
            let mut statement = self.devices[index].database().prepare_cached(sql).expect("the history can be queried");
            let mut rows = statement.query([]).expect("the history can be queried");
            while let Some(row) = rows.next().expect("the history can be queried") {
                let id: [u8; 16] = row.get(0).expect("an id");
                let state: u8 = row.get(1).expect("a state");
                let rank: Option<u8> = row.get(2).expect("a rank");
                // Pending 0, accepted 1, undelivered 2, received 3, read 4; a failed one is nowhere.
                let rank = if state == 1 { 1 + rank.unwrap_or(0) } else { 0 };
                seen.push((MessageId::from_bytes(id), rank, row.get(3).expect("a peer")));
            }
        }
        for (message, rank, peer) in seen {
            let before = self.devices[index].ranks.insert(message, rank).unwrap_or(0);
            if rank < before {
                self.breaks(format!("device {index}: {message} went back from {before} to {rank}"));
            }
            if rank > before && rank >= 3 {
                let peer = self.users.iter().position(|user| Some(user.as_bytes().as_slice()) == peer.as_deref());
                let user = self.devices[index].user;
                if self.climate.requests.is_some() && peer.is_some_and(|peer| !self.is_welcome(user, peer)) {
                    self.breaks(format!("device {index}: {message} is called received by somebody who never accepted"));
                }
                let holders = self.devices.iter().filter(|device| Some(device.user) == peer);
                if !holders.clone().any(|device| device.holds(message)) {
                    self.breaks(format!("device {index}: {message} is called received, and no device has it"));
                }
            }
        }
    }

    fn send_to_node(&mut self, wire: WireId, bytes: Bytes) {
        let times = self.times_sent();
        for _ in 0..times {
            if let Some(at) = self.travel(wire, true) {
                self.at(at, Happening::ToNode(wire, Arrival::Frame(bytes.clone())));
            }
        }
    }
}

/// A frame as whoever replays a seed wants to read it.
fn from_node(bytes: Bytes) -> String {
    use chasqui_wire::{EntryKind, NodeFrame};
    let Ok(frame) = NodeFrame::decode(bytes, &Limits::DEFAULT) else { return "something unusable".to_owned() };
    match frame {
        NodeFrame::Accepted(accepted) => {
            format!("accepted {} at {:?} in {}", accepted.message, accepted.seq, accepted.revision)
        }
        NodeFrame::Rejected(rejected) => format!("rejected {}: {}", rejected.message, rejected.code),
        NodeFrame::Welcome(welcome) => format!("welcome to {:?} of {:?}", welcome.checkpoint.revision, welcome.eras),
        NodeFrame::Goodbye(goodbye) => format!("goodbye {:?}", goodbye.reason),
        NodeFrame::Deliver(deliver) => {
            let entry = |entry: &chasqui_wire::Entry| match &entry.kind {
                EntryKind::Envelope(envelope) => format!("{} {}@{}", entry.number, envelope.message, envelope.seq),
                EntryKind::Receipt(receipt) => format!("{} {:?} {:?}", entry.number, receipt.kind, receipt.ranges),
                EntryKind::Read(read) => format!("{} read by {} to {}", entry.number, read.device, read.read.up_to),
                EntryKind::Gap(gap) => format!("{} gap {}", entry.number, gap.seq),
                EntryKind::Hole(hole) => format!("{} hole {:?}", entry.number, hole.range),
                EntryKind::Absence(absence) => format!("{} absent since {}", entry.number, absence.since.0),
                EntryKind::Admission(said) => format!("{} {:?} on another device", entry.number, said.verdict),
                EntryKind::Unknown => format!("{} unknown", entry.number),
            };
            deliver.entries.iter().map(entry).collect::<Vec<_>>().join("; ")
        }
        other => format!("{other:?}").chars().take(60).collect(),
    }
}

/// Whether a device sends something of an encrypted conversation.
fn is_sealed(frame: &Bytes) -> bool {
    let frame = ClientFrame::decode(frame.clone(), &Limits::DEFAULT);
    matches!(frame, Ok(ClientFrame::Send(send)) if send.protection == Protection::EndToEnd)
}
