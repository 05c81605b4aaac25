//! The relay against Ana and Bo, in memory, with a disk that crashes can hurt.

mod accounts;
mod backup;
mod compaction;
mod copies;
mod delete;
mod delivery;
mod disk_faults;
mod encryption;
mod eras;
mod forgetting;
mod mailbox_limits;
mod one_device;
mod phone;
#[cfg(feature = "planted-bugs")]
mod planted;
mod publishing;
mod receipts;
mod requests;
mod signals;

use bytes::Bytes;
use chasqui_wire::{
    AckItem, AckOutcome, ConversationId, ConversationKind, DeviceId, Entry, EntryKind, Envelope, ErrorCode, Limits,
    MessageId, Progress, Protection, Receipt, ReceiptKind, Send, Seq, StorageClass, Timestamp, UserId,
    direct_conversation,
};
use rusqlite::Connection;

use super::*;

pub(super) const ANA: UserId = UserId::from_bytes([0xA; 16]);
pub(super) const BO: UserId = UserId::from_bytes([0xB; 16]);
pub(super) const ANA_PHONE: DeviceId = DeviceId::from_bytes([0xA1; 16]);
pub(super) const ANA_LAPTOP: DeviceId = DeviceId::from_bytes([0xA2; 16]);
pub(super) const BO_PHONE: DeviceId = DeviceId::from_bytes([0xB1; 16]);
pub(super) const BO_LAPTOP: DeviceId = DeviceId::from_bytes([0xB2; 16]);

pub(super) struct World {
    pub(super) relay: Relay,
    pub(super) disk: SimDisk,
    pub(super) now: Timestamp,
    sessions: u64,
}

pub(super) fn options() -> RelayOptions {
    RelayOptions { segment_bytes: 256 * 1024, ..RelayOptions::default() }
}

impl World {
    /// Ana and Bo, each with a phone.
    pub(super) fn new() -> Self {
        Self::with(options())
    }

    pub(super) fn with(options: RelayOptions) -> Self {
        let disk = SimDisk::new();
        let storage = Storage::memory(Connection::open_in_memory().unwrap(), disk.clone());
        Self::over(storage, disk, options)
    }

    /// Over this storage, of which `disk` is a handle.
    pub(super) fn over(storage: Storage, disk: SimDisk, options: RelayOptions) -> Self {
        let now = Timestamp(1_000_000);
        let relay = Relay::open(storage, options, now, [7; 32]).unwrap();
        let mut world = Self { relay, disk, now, sessions: 0 };
        for (user, name, device) in [(ANA, "ana", ANA_PHONE), (BO, "bo", BO_PHONE)] {
            let device = enrolment(device);
            let new = NewUser { user, name: name.into(), password_hash: "-".into(), identity_key: [1; 32], device };
            world.relay.register(now, &new).unwrap().unwrap();
        }
        world
    }

    pub(super) fn enrol(&mut self, user: UserId, device: DeviceId) {
        self.relay.enrol(self.now, user, &enrolment(device)).unwrap().unwrap();
    }

    pub(super) fn attach_with(&mut self, device: DeviceId, entries: u32, bytes: u32) -> (SessionId, Vec<Event>) {
        self.sessions += 1;
        let session = SessionId(self.sessions);
        let attach = Attach {
            device,
            window_entries: entries,
            window_bytes: bytes,
            checkpoint: None,
            progress: Progress::default(),
        };
        let events = self.work(session, Op::Attach(attach));
        (session, of(session, events))
    }

    pub(super) fn attach(&mut self, device: DeviceId) -> (SessionId, Vec<Event>) {
        self.attach_with(device, 256, 1 << 20)
    }

    pub(super) fn work(&mut self, session: SessionId, op: Op) -> Vec<(SessionId, Event)> {
        self.relay.commit(self.now, vec![Work::Session(session, op)])
    }

    pub(super) fn publish(&mut self, session: SessionId, send: Send) -> Vec<(SessionId, Event)> {
        self.work(session, Op::Publish(Box::new(send)))
    }

    /// Ana's session says `text` to Bo.
    pub(super) fn say(&mut self, session: SessionId, number: u8, text: &str) -> Vec<(SessionId, Event)> {
        self.publish(session, send(ANA, BO, number, text))
    }

    pub(super) fn acknowledge(
        &mut self,
        session: SessionId,
        number: u64,
        outcome: AckOutcome,
    ) -> Vec<(SessionId, Event)> {
        self.work(session, Op::Acknowledge(vec![AckItem { number, outcome }].into()))
    }

    pub(super) fn tick_after(&mut self, millis: u64) -> Vec<(SessionId, Event)> {
        self.now = self.now.plus_millis(millis);
        let (events, error) = self.relay.tick(self.now);
        assert!(error.is_none(), "{error:?}");
        events
    }

    /// Loses power and opens again; `survives` says what becomes of writes that were not synced.
    pub(super) fn crash(&mut self, survives: bool) {
        self.crash_with(options(), survives);
    }

    /// As [`Self::crash`], with these options from then on.
    pub(super) fn crash_with(&mut self, options: RelayOptions, survives: bool) {
        let spare = Relay::open(
            Storage::memory(Connection::open_in_memory().unwrap(), SimDisk::new()),
            RelayOptions::default(),
            self.now,
            [0; 32],
        );
        let crashed = std::mem::replace(&mut self.relay, spare.unwrap());
        self.disk.crash(|| survives);
        let storage = Storage::memory(crashed.into_connection(), self.disk.clone());
        self.relay = Relay::open(storage, options, self.now, [9; 32]).unwrap();
    }

    pub(super) fn count(&self, table: &str) -> u32 {
        self.relay.connection().query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0)).unwrap()
    }
}

pub(super) fn enrolment(device: DeviceId) -> Enrolment {
    Enrolment { device, key: [device.as_bytes()[0]; 32], name: "phone".into() }
}

pub(super) fn conversation() -> ConversationId {
    direct_conversation(ANA, BO, Protection::NodeReadable)
}

pub(super) fn send(from: UserId, to: UserId, number: u8, text: &str) -> Send {
    Send {
        message: MessageId::from_bytes([number; 16]),
        conversation: direct_conversation(from, to, Protection::NodeReadable),
        kind: ConversationKind::Direct,
        protection: Protection::NodeReadable,
        peer: Some(to),
        body: Bytes::copy_from_slice(text.as_bytes()),
        storage: StorageClass::Durable,
        urgent: false,
        ttl_seconds: 0,
        restart: false,
        reclaim_seq: None,
        after_seq: None,
        resend_of: None,
        only_device: None,
        epoch: 0,
        commit: None,
        roster_checked: false,
    }
}

pub(super) fn of(session: SessionId, events: Vec<(SessionId, Event)>) -> Vec<Event> {
    events.into_iter().filter(|(to, _)| *to == session).map(|(_, event)| event).collect()
}

pub(super) fn mail(session: SessionId, events: &[(SessionId, Event)]) -> Vec<Entry> {
    let mail = events.iter().filter(|(to, _)| *to == session);
    mail.flat_map(|(_, event)| if let Event::Mail(entries) = event { entries.clone() } else { Vec::new() }).collect()
}

pub(super) fn mail_of(events: &[Event]) -> Vec<Entry> {
    events.iter().flat_map(|event| if let Event::Mail(entries) = event { entries.clone() } else { vec![] }).collect()
}

pub(super) fn envelope(entry: &Entry) -> &Envelope {
    match &entry.kind {
        EntryKind::Envelope(envelope) => envelope,
        other => panic!("not an envelope: {other:?}"),
    }
}

pub(super) fn receipts(entries: &[Entry]) -> Vec<&Receipt> {
    let receipt = |entry: &'_ Entry| matches!(entry.kind, EntryKind::Receipt(_));
    let of = |entry| match entry {
        &Entry { kind: EntryKind::Receipt(ref receipt), .. } => receipt,
        other => panic!("not a receipt: {other:?}"),
    };
    entries.iter().filter(|entry| receipt(entry)).map(of).collect()
}

pub(super) fn kinds(entries: &[Entry]) -> Vec<(UserId, ReceiptKind)> {
    receipts(entries).into_iter().map(|receipt| (receipt.user, receipt.kind)).collect()
}

pub(super) fn seq(number: u64) -> Seq {
    Seq::new(0, number).unwrap()
}

/// The answer to the only send or read among the events.
pub(super) fn answer(events: &[(SessionId, Event)]) -> Result<Option<Seq>, ErrorCode> {
    let answer = events.iter().find_map(|(_, event)| match event {
        Event::Accepted(accepted) => Some(Ok(accepted.seq)),
        Event::Rejected(rejected) => Some(Err(rejected.code)),
        _ => None,
    });
    answer.expect("answered")
}

pub(super) fn small_limits(change: impl FnOnce(&mut Limits)) -> RelayOptions {
    let mut options = options();
    change(&mut options.limits);
    options
}
