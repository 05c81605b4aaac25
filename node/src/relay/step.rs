//! One batch on its way to its commit: what it reads is the transaction, what it decides waits in [`Pending`].
//!
//! The operations (publish, acknowledge, …) are methods of [`Step`], one file each. None of them may answer, deliver,
//! erase or change what is online: they note it, and [`super::commit`] does it once the transaction committed.

use std::collections::{BTreeMap, BTreeSet};

use chasqui_wire::{ConversationId, EntryKind, Seq, Timestamp};
use rusqlite::{CachedStatement, Connection};

use super::accounts::Accounts;
use super::deliver::Online;
use super::notices::ReceiptKey;
use super::work::Release;
use super::{Event, Op, RelayError, SessionId, State, Who, Work};
use crate::store::{BodyAt, ConversationRow, DeviceRow};

pub(super) struct Step<'a> {
    pub(super) db: &'a Connection,
    pub(super) state: &'a mut State,
    pub(super) now: Timestamp,
    pub(super) pending: Pending,
}

/// What happens once the batch is on disk, and not before.
#[derive(Default)]
pub(super) struct Pending {
    /// Answers, in the order of the work.
    pub(super) events: Vec<(SessionId, Event)>,
    pub(super) releases: Vec<Release>,
    /// New mail by device, in order.
    pub(super) mail: BTreeMap<DeviceRow, Vec<NewMail>>,
    /// Entries that leave a session's window.
    pub(super) acknowledged: Vec<(DeviceRow, u64)>,
    /// Messages accepted, by session.
    pub(super) accepted: BTreeMap<SessionId, u64>,
    pub(super) joined: BTreeMap<SessionId, Online>,
    pub(super) left: BTreeSet<SessionId>,
    pub(super) erased: Vec<BodyAt>,
    /// Stalls that the batch changed, in order, and whether each was there before.
    pub(super) stalls_before: Vec<(SessionId, ConversationId, bool)>,
    /// Mailboxes whose counts changed.
    pub(super) counted: Vec<DeviceRow>,
    /// Whether each device has now missed something that it was not told of.
    pub(super) missed: BTreeMap<DeviceRow, bool>,
    /// The highest positions that the batch gave.
    pub(super) heads: BTreeMap<ConversationRow, u64>,
    pub(super) receipts: BTreeMap<ReceiptKey, Vec<Seq>>,
    /// The first time-to-live that the batch set.
    pub(super) expiry: Option<Timestamp>,
    pub(super) new_era: Option<chasqui_wire::Era>,
    /// Messages that expired for somebody.
    pub(super) expired: u64,
    /// Commits taken, and key packages given away.
    pub(super) commits: u64,
    pub(super) packages_given: u64,
    pub(super) last_resorts_given: u64,
    pub(super) identity_resets: u64,
    /// Devices of whose key packages there are more or fewer.
    pub(super) packages_changed: BTreeSet<DeviceRow>,
    /// Whether anything durable changed.
    pub(super) changed: bool,
}

pub(super) struct NewMail {
    pub(super) entry: u64,
    pub(super) kind: EntryKind,
    /// Bytes of the body, as the window counts them.
    pub(super) body_bytes: u32,
}

impl Step<'_> {
    pub(super) fn apply(&mut self, work: &mut Work) -> Result<(), RelayError> {
        match work {
            Work::Session(session, op) => self.apply_op(*session, op),
            Work::Call(call) => {
                let release = call.run(&mut Accounts::new(self))?;
                self.pending.releases.push(release);
                Ok(())
            }
        }
    }

    fn apply_op(&mut self, session: SessionId, op: &Op) -> Result<(), RelayError> {
        match op {
            Op::Lookup(device) => return self.lookup(session, *device),
            Op::Attach(attach) => return self.attach(session, attach),
            Op::Detach
            | Op::Publish(_)
            | Op::Read(_)
            | Op::Admit(_)
            | Op::KeyPackages(_)
            | Op::Claim(_)
            | Op::Acknowledge(_)
            | Op::Signal(_) => {}
        }
        // A session that was displaced or revoked may still have work under way. It must not be done: the newer
        // session has begun a new stream, and what the older one had sent could overtake it.
        let Some(who) = self.who(session) else { return Ok(()) };
        match op {
            Op::Lookup(_) | Op::Attach(_) => Ok(()),
            Op::Detach => self.detach(who),
            Op::Publish(send) => self.publish(who, send),
            Op::Read(read) => self.read(who, read),
            Op::Admit(admit) => self.admit(who, admit),
            Op::KeyPackages(packages) => self.key_packages(who, packages),
            Op::Claim(claim) => self.claim(who, claim),
            Op::Acknowledge(ack) => self.acknowledge(who, ack),
            Op::Signal(signal) => self.signal(who, signal),
        }
    }

    /// Completes the batch's rows.
    pub(super) fn finish(&mut self) -> Result<(), RelayError> {
        self.deliver_receipts()?;
        self.tell_packages_left()?;
        self.write_heads()?;
        if self.pending.changed {
            if !self.state.is_opening_written {
                self.write_opening()?;
            }
            self.sql("UPDATE node SET revision = ?1")?.execute([self.revision()])?;
        }
        Ok(())
    }

    /// The device behind a session, as the batch leaves it.
    pub(super) fn who(&self, session: SessionId) -> Option<Who> {
        if self.pending.left.contains(&session) {
            return None;
        }
        let seated = || self.state.seats.get(&session).and_then(|device| self.state.online.get(device));
        self.pending.joined.get(&session).or_else(seated).map(|online| online.who)
    }

    /// The session of a device, as the batch leaves it.
    pub(super) fn session_of(&self, device: DeviceRow) -> Option<SessionId> {
        self.online(device).map(|online| online.who.session)
    }

    pub(super) fn online(&self, device: DeviceRow) -> Option<&Online> {
        let joined = self.pending.joined.values().find(|online| online.who.device == device);
        let online = joined.or_else(|| self.state.online.get(&device))?;
        (!self.pending.left.contains(&online.who.session)).then_some(online)
    }

    /// The revision of this batch, if it changes anything.
    pub(super) fn revision(&self) -> u64 {
        self.state.revision + 1
    }

    pub(super) fn era(&self) -> u32 {
        self.pending.new_era.map_or(self.state.era, |era| era.number)
    }

    pub(super) fn answer(&mut self, session: SessionId, event: Event) {
        self.pending.events.push((session, event));
    }

    pub(super) fn sql(&self, sql: &'static str) -> rusqlite::Result<CachedStatement<'_>> {
        self.db.prepare_cached(sql)
    }

    /// Notes what becomes of a message at a recipient, for the devices of its sender.
    pub(super) fn receipt(&mut self, key: ReceiptKey, seq: Seq) {
        self.pending.receipts.entry(key).or_default().push(seq);
    }
}
