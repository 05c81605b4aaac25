//! The node: the real relay and real sessions over a database and a disk in memory, which outlive its crashes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use chasqui_node::relay::{DiskImage, Event, Op, Relay, RelayOptions, SessionId, SimDisk, Storage, Work};
use chasqui_node::session::{self, Session};
use chasqui_wire::{ConversationId, DeviceId, Limits, Timestamp};
use rusqlite::Connection;
use rusqlite::backup::Backup;

use super::device::Device;
use super::faults::{Climate, Fault};
use super::ledger::{Ledger, Sends};
use super::network::{Arrival, WireId};
use super::rng::Rng;
use super::world::{Happening, World};

/// The head of each conversation, as it is stored.
pub(super) type Heads = BTreeMap<ConversationId, u64>;

pub(super) struct NodeProcess {
    relay: Option<Relay>,
    parked: Option<Connection>,
    pub(super) disk: SimDisk,
    options: RelayOptions,
    entropy: [u8; 32],
    pub(super) skew_ms: i64,
    sessions: BTreeMap<SessionId, (Session, WireId)>,
    inbox: Vec<Work>,
    commit_at: Option<u64>,
    tick_at: Option<u64>,
    copies: Vec<Copy>,
    /// The next start is from this copy.
    from_copy: Option<usize>,
    /// From when on the operator may restore another copy than the last one, and which that was.
    last_restore: Option<(u64, usize)>,
    /// Nothing can be made larger on its disk.
    pub(super) is_full: bool,
    /// Of each copy that the node started from, with the era that began then.
    pub(super) restored_heads: Vec<(u32, Heads)>,
    ledger: Ledger,
}

/// What an operator keeps, and restores as often as there is need.
struct Copy {
    database: Connection,
    bodies: DiskImage,
    /// The last era that a restore of it began, as a backup remembers.
    last_era_begun: Option<u32>,
    ledger: Ledger,
}

/// The operator lets so many milliseconds pass for each restore of a copy before restoring another one: an interval by which
/// eras are numbered, and a little. A copy that is restored several times within an interval counts on ahead of the clock.
pub(super) const BETWEEN_RESTORES: u64 = 130_000;

impl NodeProcess {
    pub(super) fn new(rng: &mut Rng, climate: &Climate) -> Self {
        let mut options = RelayOptions { segment_bytes: 96 * 1024, ..RelayOptions::default() };
        if climate.small_windows {
            options.limits.window_entries = rng.between(1, 6) as u32;
            options.limits.sends_in_flight = rng.between(2, 8) as u32;
            options.limits.window_bytes = 4 * 1024;
        }
        if let Some(ttl) = climate.ttl {
            options.limits.ttl_seconds_max = ttl;
        }
        if climate.small_segments {
            // A Welcome with the tree of a few devices takes three kilobytes.
            let bytes = if climate.encrypted { 8_192 } else { 2_048 };
            (options.limits.body_bytes, options.segment_bytes, options.segments_kept) = (bytes, bytes, 1);
        }
        if let Some(entries) = climate.mailbox {
            options.limits.mailbox_entries = entries;
            options.mailbox_share_percent = rng.between(30, 100) as u32;
        }
        if let Some(absent) = climate.absent {
            options.absent_ms = u64::from(absent) * 1000;
        }
        options.request_messages = climate.requests.unwrap_or(0);
        let entropy = rng.bytes();
        let skew_ms = if climate.skewed { rng.between(0, 7_200_000).cast_signed() - 3_600_000 } else { 0 };
        let mut node = Self {
            relay: None,
            parked: Some(Connection::open_in_memory().expect("a database in memory")),
            disk: SimDisk::new(),
            options,
            entropy,
            skew_ms,
            sessions: BTreeMap::new(),
            inbox: Vec::new(),
            commit_at: None,
            tick_at: None,
            copies: Vec::new(),
            from_copy: None,
            last_restore: None,
            is_full: false,
            restored_heads: Vec::new(),
            ledger: Ledger::default(),
        };
        node.open(Timestamp(0));
        node
    }

    pub(super) fn is_up(&self) -> bool {
        self.relay.is_some()
    }

    pub(super) fn relay_mut(&mut self) -> &mut Relay {
        self.relay.as_mut().expect("the node is up")
    }

    pub(super) fn count(&self, table: &str) -> u64 {
        let database = self.relay.as_ref().map(Relay::connection).or(self.parked.as_ref());
        let sql = format!("SELECT count(*) FROM {table}");
        let count = database.expect("a database").query_row(&sql, [], |row| row.get::<_, i64>(0));
        count.expect("the node's database can be queried").cast_unsigned()
    }

    /// Whether the device takes part in encrypted conversations.
    pub(super) fn is_linked(&self, device: DeviceId) -> bool {
        let database = self.relay.as_ref().map(Relay::connection).or(self.parked.as_ref());
        let sql = "SELECT EXISTS (SELECT 1 FROM device WHERE id = ? AND linked_at IS NOT NULL)";
        let linked = database.expect("a database").query_row(sql, [device.as_bytes()], |row| row.get(0));
        linked.expect("the node's database can be queried")
    }

    /// Whether its user has shut it out.
    pub(super) fn is_shut_out(&self, device: DeviceId) -> bool {
        let database = self.relay.as_ref().map(Relay::connection).or(self.parked.as_ref());
        let sql = "SELECT EXISTS (SELECT 1 FROM device WHERE id = ? AND revoked_at IS NOT NULL)";
        let shut_out = database.expect("a database").query_row(sql, [device.as_bytes()], |row| row.get(0));
        shut_out.expect("the node's database can be queried")
    }

    /// The epochs of groups, of conversations that have one.
    pub(super) fn epochs(&self) -> BTreeMap<ConversationId, u64> {
        let database = self.relay.as_ref().expect("the node is up").connection();
        let mut statement = database.prepare("SELECT id, epoch FROM conversation").expect("the node can be queried");
        let epoch = |row: &rusqlite::Row<'_>| {
            Ok((ConversationId::from_bytes(row.get(0)?), row.get::<_, i64>(1)?.cast_unsigned()))
        };
        let epochs = statement.query_map([], epoch).expect("the node can be queried");
        epochs.collect::<Result<_, _>>().expect("epochs")
    }

    /// Which devices are in the groups of conversations, and at which epoch.
    pub(super) fn rosters(&self) -> BTreeMap<ConversationId, (u64, BTreeSet<DeviceId>)> {
        let database = self.relay.as_ref().expect("the node is up").connection();
        let sql =
            "SELECT conversation.id, conversation.epoch, device.id FROM roster JOIN conversation USING (conversation)
                   JOIN device USING (device)";
        let mut statement = database.prepare(sql).expect("the node can be queried");
        let mut rosters = BTreeMap::new();
        let mut rows = statement.query([]).expect("the node can be queried");
        while let Some(row) = rows.next().expect("the node can be queried") {
            let conversation = ConversationId::from_bytes(row.get(0).expect("an id"));
            let epoch: i64 = row.get(1).expect("an epoch");
            let roster = rosters.entry(conversation).or_insert_with(|| (epoch.cast_unsigned(), BTreeSet::new()));
            roster.1.insert(DeviceId::from_bytes(row.get(2).expect("an id")));
        }
        rosters
    }

    /// What may be given of devices.
    pub(super) fn packages(&self) -> Vec<(DeviceId, Vec<u8>)> {
        let database = self.relay.as_ref().map(Relay::connection).or(self.parked.as_ref()).expect("a database");
        let sql = "SELECT id, body FROM key_package JOIN device USING (device) WHERE given_at IS NULL";
        let mut statement = database.prepare(sql).expect("the node can be queried");
        let package = |row: &rusqlite::Row<'_>| Ok((DeviceId::from_bytes(row.get(0)?), row.get(1)?));
        let packages = statement.query_map([], package).expect("the node can be queried");
        packages.collect::<Result<_, _>>().expect("packages")
    }

    /// The highest positions that were given.
    pub(super) fn heads(&self) -> Heads {
        heads_of(self.relay.as_ref().expect("the node is up").connection())
    }

    /// The highest position that was given in a conversation.
    pub(super) fn head(&self, conversation: ConversationId) -> u64 {
        let database = self.relay.as_ref().map(Relay::connection).or(self.parked.as_ref()).expect("a database");
        let sql = "SELECT coalesce(max(head), 0) FROM conversation WHERE id = ?";
        let head = database.query_row(sql, [conversation.as_bytes()], |row| row.get::<_, i64>(0));
        head.expect("the node's database can be queried").cast_unsigned()
    }

    /// Whether what stands there devices said to devices, or nobody but them: their messages are named by a hash (RFC 9562, version 8).
    pub(super) fn was_for_devices(&self, conversation: ConversationId, seq: u64) -> bool {
        let database = self.relay.as_ref().map(Relay::connection).or(self.parked.as_ref()).expect("a database");
        let sql = "SELECT EXISTS (SELECT 1 FROM accepted JOIN conversation USING (conversation)
                   WHERE conversation.id = ? AND seq = ? AND substr(hex(message), 13, 1) = '8')";
        let found = database.query_row(sql, (conversation.as_bytes(), seq.cast_signed()), |row| row.get(0));
        found.expect("the node's database can be queried")
    }

    /// Whose mailbox holds more envelopes than it may, in all or from one sender.
    fn overfull(&self) -> Option<String> {
        let limits = &self.options.limits;
        let share = (limits.mailbox_entries * self.options.mailbox_share_percent / 100).max(1);
        let sql = "SELECT device, sender_user = user, count(*) AS held FROM mailbox
                   JOIN envelope ON envelope = entry AND notice IS NULL JOIN device USING (device)
                   GROUP BY device, sender_user HAVING held > iif(sender_user = user, ?1, ?2)";
        let database = self.relay.as_ref()?.connection();
        let found = database.query_row(sql, (limits.mailbox_entries, share), |row| {
            let (device, held): (i64, i64) = (row.get(0)?, row.get(2)?);
            Ok(format!("the mailbox of row {device} holds {held} envelopes of one sender"))
        });
        found.ok()
    }

    /// Holds against it what it answers to a batch.
    fn note(&mut self, sends: &Sends, events: &[(SessionId, Event)]) -> Result<(), String> {
        self.ledger.note(self.relay.as_ref().expect("the node is up").connection(), sends, events)
    }

    /// Over which a session speaks.
    pub(super) fn wire_of(&self, session: SessionId) -> Option<WireId> {
        self.sessions.get(&session).map(|&(_, wire)| wire)
    }

    pub(super) fn is_idle(&self) -> bool {
        self.is_up() && self.inbox.is_empty()
    }

    fn open(&mut self, now: Timestamp) {
        let connection = self.parked.take().expect("the node is down");
        let storage = Storage::memory(connection, self.disk.clone());
        self.relay = Some(Relay::open(storage, self.options.clone(), now, self.entropy).expect("the relay opens"));
    }
}

fn heads_of(database: &Connection) -> Heads {
    let mut heads = Heads::new();
    let mut statement = database.prepare("SELECT id, head FROM conversation").expect("the node can be queried");
    let mut rows = statement.query([]).expect("the node can be queried");
    while let Some(row) = rows.next().expect("the node can be queried") {
        let head = row.get::<_, i64>(1).expect("a head").cast_unsigned();
        heads.insert(ConversationId::from_bytes(row.get(0).expect("an id")), head);
    }
    heads
}

pub(super) fn copy_of(from: &Connection) -> Connection {
    let mut copy = Connection::open_in_memory().expect("a database in memory");
    let backup = Backup::new(from, &mut copy).expect("a backup");
    backup.run_to_completion(1_000, std::time::Duration::ZERO, None).expect("a backup");
    drop(backup);
    copy
}

impl World {
    pub(super) fn arrives_at_node(&mut self, wire: WireId, arrival: Arrival) {
        let Some(ends) = self.wires.get(&wire).cloned() else { return };
        if !self.node.is_up() {
            return;
        }
        if let (Arrival::Frame(bytes), true) = (&arrival, ends.alive) {
            let (device, bytes) = (ends.device, bytes.clone());
            self.trace.detail(self.now, || format!("the node gets from device {device} {}", from_device(bytes)));
        }
        let clock = self.clock(self.node.skew_ms);
        let outputs = match arrival {
            Arrival::Opened => {
                if !ends.alive {
                    return;
                }
                let nonce = self.rng.bytes();
                let relay = self.node.relay_mut();
                let session = Session::new(ends.session, relay.realm(), relay.limits().clone(), nonce, clock);
                let outputs = session.open();
                self.node.sessions.insert(ends.session, (session, wire));
                outputs
            }
            Arrival::Frame(bytes) if ends.alive => self.session(ends.session, session::Input::Frame(bytes)),
            Arrival::Frame(_) => return,
            Arrival::Closed => self.session(ends.session, session::Input::Lost),
        };
        self.session_says(ends.session, wire, outputs);
    }

    fn session(&mut self, id: SessionId, input: session::Input) -> Vec<session::Output> {
        let clock = self.clock(self.node.skew_ms);
        let Some((session, _)) = self.node.sessions.get_mut(&id) else { return Vec::new() };
        session.handle(clock, input)
    }

    fn session_says(&mut self, id: SessionId, wire: WireId, outputs: Vec<session::Output>) {
        for output in outputs {
            match output {
                session::Output::Transmit(bytes) => self.send_to_device(wire, bytes),
                session::Output::Submit(Op::Signal(signal)) => self.pass_on(id, &signal),
                session::Output::Submit(op) => {
                    self.node.inbox.push(Work::Session(id, op));
                    self.plan_commit();
                }
                session::Output::Close => self.node_hangs_up(wire),
            }
        }
        let Some((session, _)) = self.node.sessions.get(&id) else { return };
        if session.is_closed() {
            self.node.sessions.remove(&id);
        } else if let Some(at) = session.wake_at() {
            let at = self.when(at, self.node.skew_ms);
            self.at(at + 1, Happening::SessionTick(id));
        }
    }

    pub(super) fn session_tick(&mut self, id: SessionId) {
        let Some(&(_, wire)) = self.node.sessions.get(&id) else { return };
        let clock = self.clock(self.node.skew_ms);
        // Most ticks were overtaken by frames.
        if self.node.sessions.get(&id).and_then(|(session, _)| session.wake_at()).is_some_and(|at| at <= clock) {
            let outputs = self.session(id, session::Input::Tick);
            self.session_says(id, wire, outputs);
        }
    }

    fn send_to_device(&mut self, wire: WireId, bytes: Bytes) {
        for _ in 0..self.times_sent() {
            if let Some(at) = self.travel(wire, false) {
                self.at(at, Happening::ToDevice(wire, Arrival::Frame(bytes.clone())));
            }
        }
    }

    fn plan_commit(&mut self) {
        if self.node.commit_at.is_none() {
            let slow = self.strikes(self.climate.slow_disk, Fault::NodeDiskSlow);
            let delay = if slow { self.rng.between(200, 4_000) } else { self.rng.between(0, 10) };
            self.node.commit_at = Some(self.now + delay);
            self.after(delay, Happening::NodeCommit);
        }
    }

    pub(super) fn node_commit(&mut self) {
        if self.node.commit_at != Some(self.now) || !self.node.is_up() {
            return;
        }
        self.node.commit_at = None;
        let mut batch = std::mem::take(&mut self.node.inbox);
        let crash_before = self.strikes(self.climate.node_crash, Fault::NodeCrashBeforeCommit);
        let crash_after = !crash_before && self.strikes(self.climate.node_crash, Fault::NodeCrashAfterCommit);
        let fails = !crash_before && !crash_after && self.strikes(self.climate.commit_fails, Fault::NodeCommitFailed);
        let clock = self.clock(self.node.skew_ms);
        self.note(format!("the node commits {} works", batch.len()));
        let chance = self.rng.next();
        let sends = Sends::of(&batch);
        let relay = self.node.relay_mut();
        let events = if crash_before {
            relay.connection_mut().commit_hook(Some(|| true)).expect("a hook");
            relay.try_commit(clock, &mut batch).unwrap_or_default()
        } else if fails {
            // The disk is full for some of the transactions.
            let state = Arc::new(AtomicU64::new(chance));
            let hook = move || Rng::new(state.fetch_add(1, Ordering::Relaxed)).chance(700);
            relay.connection_mut().commit_hook(Some(hook)).expect("a hook");
            relay.commit(clock, batch)
        } else {
            relay.commit(clock, batch)
        };
        relay.connection_mut().commit_hook(None::<fn() -> bool>).expect("no hook");
        if let Err(broken) = self.node.note(&sends, &events) {
            self.breaks(broken);
        }
        if self.climate.mailbox.is_some()
            && let Some(overfull) = self.node.overfull()
        {
            self.breaks(overfull);
        }
        if !crash_after {
            self.dispatch(events);
        }
        if crash_before || crash_after {
            self.node_crashes(None);
        }
        self.plan_tick();
    }

    pub(super) fn dispatch(&mut self, events: Vec<(SessionId, Event)>) {
        for (id, event) in events {
            if let Some(&(_, wire)) = self.node.sessions.get(&id) {
                let outputs = self.session(id, session::Input::Event(event));
                self.session_says(id, wire, outputs);
            }
        }
    }

    fn plan_tick(&mut self) {
        let Some(at) = self.node.relay.as_ref().and_then(Relay::wake_at) else { return };
        let at = self.when(at, self.node.skew_ms);
        if self.node.tick_at.is_none_or(|planned| at < planned) {
            self.node.tick_at = Some(at);
            self.at(at, Happening::NodeTick);
        }
    }

    pub(super) fn node_tick(&mut self) {
        if self.node.tick_at != Some(self.now) || !self.node.is_up() {
            return;
        }
        self.node.tick_at = None;
        let clock = self.clock(self.node.skew_ms);
        let (events, error) = self.node.relay_mut().tick(clock);
        assert!(error.is_none() || self.node.is_full, "the node's database works: {error:?}");
        self.dispatch(events);
        // What is due again at once would never let time pass.
        if let Some(at) = self.node.relay.as_ref().and_then(Relay::wake_at) {
            let at = self.when(at, self.node.skew_ms).max(self.now + 1);
            self.node.tick_at = Some(at);
            self.at(at, Happening::NodeTick);
        }
    }

    /// The disk of the node is full, or has room again.
    pub(super) fn node_disk_fills(&mut self, is_full: bool) {
        if is_full && (self.calm || self.node.is_full) {
            return;
        }
        self.node.is_full = is_full;
        self.node.disk.set_full(is_full);
        let database = self.node.relay.as_ref().map(Relay::connection).or(self.node.parked.as_ref());
        let database = database.expect("a database");
        let used: i64 = database.query_row("PRAGMA page_count", [], |row| row.get(0)).expect("a count");
        let most = if is_full { used } else { i64::from(u32::MAX) };
        database.query_row(&format!("PRAGMA max_page_count = {most}"), [], |_| Ok(())).expect("a limit");
        if is_full {
            self.count(Fault::NodeDiskFull);
            self.note("the node's disk is full");
            let length = self.rng.between(2_000, 60_000);
            self.after(length, Happening::NodeDiskFills(false));
        } else {
            self.note("the node's disk has room");
            self.plan_tick();
        }
    }

    fn node_crashes(&mut self, from_copy: Option<usize>) {
        self.note("the node crashes");
        self.node.from_copy = from_copy;
        if let Some(relay) = self.node.relay.take() {
            self.node.parked = Some(relay.into_connection());
        }
        let mut rng = Rng::new(self.rng.next());
        self.node.disk.crash(|| rng.chance(500));
        self.node.inbox.clear();
        (self.node.commit_at, self.node.tick_at) = (None, None);
        for (_, wire) in std::mem::take(&mut self.node.sessions).into_values() {
            // A process that dies closes its sockets; a machine that loses power does not.
            if self.rng.chance(700) { self.wire_breaks(wire) } else { self.wire_dies(wire) }
        }
        let delay = self.rng.between(500, 15_000);
        self.after(delay, Happening::NodeRestart);
    }

    pub(super) fn node_restarts(&mut self) {
        if self.node.is_up() {
            return;
        }
        let clock = self.clock(self.node.skew_ms);
        let restored = self.node.from_copy.take();
        if let Some(copy) = restored.map(|index| &self.node.copies[index]) {
            self.node.disk.restore(&copy.bodies);
            self.node.parked = Some(copy_of(&copy.database));
            self.node.ledger.clone_from(&copy.ledger);
        }
        self.node.open(clock);
        let Some(index) = restored else {
            self.note("the node starts");
            self.plan_tick();
            return;
        };
        let begun = self.node.copies[index].last_era_begun;
        let era = self.node.relay_mut().next_era(clock, begun);
        self.node.copies[index].last_era_begun = Some(era);
        self.note(format!("the node starts from copy {index}, in era {era}"));
        self.node.relay_mut().begin_era_at(era, clock).expect("the node's database works");
        self.remember_heads(index, era);
        self.remember_revocations();
        self.plan_tick();
    }

    /// What the copy does not know may stay empty where its sender did not know the position either.
    fn remember_heads(&mut self, index: usize, era: u32) {
        let heads = heads_of(&self.node.copies[index].database);
        self.node.restored_heads.push((era, heads));
    }

    pub(super) fn take_copy(&mut self) {
        if let Some(relay) = &self.node.relay {
            let (database, bodies) = (copy_of(relay.connection()), self.node.disk.snapshot());
            let ledger = self.node.ledger.clone();
            self.node.copies.push(Copy { database, bodies, last_era_begun: None, ledger });
            self.note("the operator takes a copy");
        }
    }

    pub(super) fn restore_copy(&mut self, wanted: Option<usize>) {
        let copies = self.node.copies.len();
        if copies == 0 || !self.node.is_up() || self.calm {
            return;
        }
        let index = wanted.unwrap_or_else(|| self.rng.below(copies)).min(copies - 1);
        let (free_from, last) = self.node.last_restore.unwrap_or((self.now, index));
        if last != index && self.now < free_from {
            return;
        }
        self.node.last_restore = Some((free_from.max(self.now) + BETWEEN_RESTORES, index));
        self.count(Fault::NodeRestoredFromCopy);
        self.heard.extend(self.devices.iter().flat_map(Device::positions));
        self.node_crashes(Some(index));
    }
}

/// A frame as whoever replays a seed wants to read it.
fn from_device(bytes: Bytes) -> String {
    use chasqui_wire::ClientFrame;
    let Ok(frame) = ClientFrame::decode(bytes, &Limits::DEFAULT) else { return "something unusable".to_owned() };
    match frame {
        ClientFrame::Send(send) => {
            format!(
                "send {} in {} reclaim {:?} restart {}",
                send.message, send.conversation, send.reclaim_seq, send.restart
            )
        }
        ClientFrame::Read(read) => format!("read {} to {} {:?}", read.conversation, read.up_to, read.ranges),
        ClientFrame::Ack(ack) => {
            let items = ack.items.iter().map(|item| format!("{} {:?}", item.number, item.outcome));
            format!("ack {}", items.collect::<Vec<_>>().join(", "))
        }
        other => format!("{other:?}").chars().take(40).collect(),
    }
}
