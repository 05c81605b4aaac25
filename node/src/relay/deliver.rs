//! Deliver: mail goes to who is online, in order, inside the window; the rest is fetched as acknowledgements free it.
//!
//! Runs after the commit. An entry leaves its mailbox by acknowledgement, never by delivery; only where a body is lost
//! does a gap take its place.

use std::collections::{BTreeMap, BTreeSet};

use chasqui_wire::{
    Commit, ConversationId, ConversationKind, DeviceId, Entry, EntryKind, Envelope, Limits, MessageId, Protection, Seq,
    Timestamp, UserId,
};
use rusqlite::Row;

use super::epoch::Bounds;
use super::step::{NewMail, Step};
use super::{Attach, Event, Relay, RelayError, SessionId, Who};
use crate::planted::{PlantedBug, planted};
use crate::store::{BodyAt, DeviceRow, is_lost};

/// Entries of mailboxes with all that their envelopes are made of; which ones, and in what order, follows.
macro_rules! waiting_mail {
    ($which:literal) => {
        concat!(
            "SELECT mailbox.entry, mailbox.notice, envelope.segment, envelope.start, envelope.length,
                 envelope.message, conversation.id, conversation.kind, conversation.protection, sender.id,
                 sender_device.id, peer.id, envelope.seq, envelope.accepted_at, envelope.urgent,
                 envelope.is_request, envelope.epoch, envelope.change, envelope.is_welcome, envelope.resend_of
             FROM mailbox
             LEFT JOIN envelope ON envelope.envelope = mailbox.entry AND mailbox.notice IS NULL
             LEFT JOIN conversation ON conversation.conversation = envelope.conversation
             LEFT JOIN user AS sender ON sender.user = envelope.sender_user
             LEFT JOIN device AS sender_device ON sender_device.device = envelope.sender_device
             LEFT JOIN user AS peer ON peer.user = envelope.peer ",
            $which
        )
    };
}
pub(super) use waiting_mail;

/// A device with a session.
pub(super) struct Online {
    pub(super) who: Who,
    window_entries: usize,
    window_bytes: u64,
    /// Delivered to this session and not acknowledged, with the bytes of each body.
    pub(super) in_flight: BTreeMap<u64, u32>,
    bytes_in_flight: u64,
    /// The device counts how far it comes.
    pub(super) counts: bool,
    /// The highest entry acknowledged on this session.
    pub(super) acknowledged: u64,
    /// Messages accepted on this session, repeats not counted.
    pub(super) accepted: u64,
    /// The highest entry delivered to this session.
    cursor: u64,
    /// The last entry that waited when the session attached.
    waited_until: u64,
    is_drained: bool,
    /// Whether the mailbox may hold entries above the cursor.
    has_backlog: bool,
}

impl Online {
    /// `waited_until` is the last entry in the mailbox, 0 if it is empty.
    pub(super) fn new(who: Who, attach: &Attach, waited_until: u64) -> Self {
        Self {
            who,
            window_entries: attach.window_entries.max(1) as usize,
            window_bytes: attach.window_bytes.into(),
            in_flight: BTreeMap::new(),
            bytes_in_flight: 0,
            counts: attach.progress.connections > 0,
            acknowledged: 0,
            accepted: 0,
            cursor: 0,
            waited_until,
            is_drained: false,
            has_backlog: waited_until > 0,
        }
    }

    /// Whether all mail was delivered to it.
    pub(super) fn is_up_to_date(&self) -> bool {
        self.is_drained && !self.has_backlog
    }

    /// The entry was acknowledged. Whether that makes room for more of a backlog.
    pub(super) fn release(&mut self, entry: u64) -> bool {
        match self.in_flight.remove(&entry) {
            Some(bytes) => {
                self.acknowledged = self.acknowledged.max(entry);
                self.bytes_in_flight -= u64::from(bytes);
                self.has_backlog && !planted(PlantedBug::LostWakeUp)
            }
            None => false,
        }
    }

    /// An entry larger than the whole window is taken alone: otherwise it would block the mailbox for good.
    fn takes(&self, body_bytes: u32) -> bool {
        let has_room = self.in_flight.len() < self.window_entries
            && self.bytes_in_flight + u64::from(body_bytes) <= self.window_bytes;
        has_room || self.in_flight.is_empty()
    }

    /// Whether the entry will be read from the mailbox: it was not delivered to this session.
    pub(super) fn leaves(&self, session: SessionId, entry: u64) -> bool {
        self.who.session == session && self.has_backlog && entry > self.cursor
    }

    fn take(&mut self, entry: u64, body_bytes: u32) {
        self.in_flight.insert(entry, body_bytes);
        self.bytes_in_flight += u64::from(body_bytes);
        self.cursor = entry;
    }
}

/// Where the fetching of a backlog ended.
enum PageEnd {
    /// At the end of the mailbox, or of the window.
    Done,
    /// Before an envelope whose body is lost.
    Lost(u64, RelayError),
}

impl Relay {
    /// Delivers new mail, and the backlog of the devices that can take more of it.
    pub(super) fn deliver(
        &mut self,
        now: Timestamp,
        mut mail: BTreeMap<DeviceRow, Vec<NewMail>>,
        woken: BTreeSet<DeviceRow>,
        events: &mut Vec<(SessionId, Event)>,
    ) {
        let mut devices = woken;
        devices.extend(mail.keys());
        while let Some(device) = devices.pop_first() {
            let Some(online) = self.state.online.get_mut(&device) else { continue };
            let who = online.who;
            let mut frames = Frames::new(self.state.options.limits.frame_bytes);
            let mut end = Ok(PageEnd::Done);
            if online.has_backlog {
                end = self.page(device, &mut frames);
            } else {
                for new in mail.remove(&device).unwrap_or_default() {
                    if !online.takes(new.body_bytes) {
                        online.has_backlog = true;
                        break;
                    }
                    online.take(new.entry, new.body_bytes);
                    frames.push(Entry { number: new.entry, kind: new.kind });
                }
            }
            // What was taken counts as delivered, so it leaves whatever came after it.
            for entries in frames.finish() {
                if planted(PlantedBug::DeleteBeforeAck) {
                    self.delete_delivered(device, &entries);
                }
                events.push((who.session, Event::Mail(entries)));
            }
            let repaired = end.and_then(|end| match end {
                PageEnd::Done => Ok(None),
                PageEnd::Lost(entry, error) => {
                    tracing::error!(%error, "a body is lost");
                    let repair = |step: &mut Step<'_>| step.give_up(who, entry);
                    self.transact_undelivered(now, repair).map(|((), settled)| Some(settled))
                }
            });
            match repaired {
                Ok(None) => self.tell_drained(device, events),
                Ok(Some(settled)) => {
                    // The gap comes next. The receipts of it wait for their turn, behind mail that came before.
                    devices.insert(device);
                    devices.extend(settled.woken);
                    events.extend(settled.events);
                    for (to, new) in settled.mail {
                        devices.insert(to);
                        mail.entry(to).or_default().extend(new);
                    }
                }
                Err(error) => {
                    tracing::error!(%error, "a mailbox cannot be read");
                    events.push((who.session, Event::Failed));
                }
            }
        }
    }

    fn tell_drained(&mut self, device: DeviceRow, events: &mut Vec<(SessionId, Event)>) {
        let Some(online) = self.state.online.get_mut(&device) else { return };
        if !online.is_drained && (!online.has_backlog || online.cursor >= online.waited_until) {
            online.is_drained = true;
            let session = online.who.session;
            let checkpoint = self.state.checkpoint(self.state.era, self.state.revision);
            events.push((session, Event::Drained(checkpoint)));
        }
    }

    /// Fetches the backlog while the window takes it.
    fn page(&mut self, device: DeviceRow, frames: &mut Frames) -> Result<PageEnd, RelayError> {
        let Some(online) = self.state.online.get_mut(&device) else { return Ok(PageEnd::Done) };
        let sql = waiting_mail!("WHERE mailbox.device = ?1 AND mailbox.entry > ?2 ORDER BY mailbox.entry");
        let mut query = self.db.prepare_cached(sql)?;
        let mut rows = query.query((device, online.cursor))?;
        while let Some(row) = rows.next()? {
            let at = body_at(row)?;
            let body_bytes = at.map_or(0, |at| at.length);
            if !online.takes(body_bytes) {
                return Ok(PageEnd::Done);
            }
            let number = row.get(0)?;
            let kind = match at.map(|at| self.state.bodies.read(at)) {
                Some(Ok(body)) => EntryKind::Envelope(Box::new(envelope(row, body)?)),
                Some(Err(error)) if is_lost(&error) => {
                    return Ok(PageEnd::Lost(number, error.into()));
                }
                Some(Err(error)) => return Err(error.into()),
                None => notice(row)?,
            };
            online.take(number, body_bytes);
            frames.push(Entry { number, kind });
        }
        online.has_backlog = false;
        Ok(PageEnd::Done)
    }

    /// The planted bug: delivered is gone.
    fn delete_delivered(&self, device: DeviceRow, entries: &[Entry]) {
        for entry in entries {
            let deleted =
                self.db.execute("DELETE FROM mailbox WHERE device = ?1 AND entry = ?2", (device, entry.number));
            debug_assert!(deleted.is_ok(), "a planted bug works");
        }
    }
}

pub(super) fn body_at(row: &Row<'_>) -> rusqlite::Result<Option<BodyAt>> {
    let segment: Option<u32> = row.get(2)?;
    segment.map(|segment| Ok(BodyAt { segment, start: row.get(3)?, length: row.get(4)? })).transpose()
}

/// What this version cannot read it delivers as such; the device acknowledges it as unreadable.
pub(super) fn notice(row: &Row<'_>) -> rusqlite::Result<EntryKind> {
    Ok(EntryKind::decode(row.get::<_, Vec<u8>>(1)?.into()).unwrap_or(EntryKind::Unknown))
}

pub(super) fn envelope(row: &Row<'_>, body: bytes::Bytes) -> Result<Envelope, RelayError> {
    const DAMAGED: RelayError = RelayError::Damaged("an envelope is out of bounds");
    Ok(Envelope {
        message: MessageId::from_bytes(row.get(5)?),
        conversation: ConversationId::from_bytes(row.get(6)?),
        kind: ConversationKind::from_number(row.get(7)?).ok_or(DAMAGED)?,
        protection: Protection::from_number(row.get(8)?).ok_or(DAMAGED)?,
        sender_user: UserId::from_bytes(row.get(9)?),
        sender_device: DeviceId::from_bytes(row.get(10)?),
        peer: Some(UserId::from_bytes(row.get(11)?)),
        seq: Seq::from_raw(row.get(12)?).ok_or(DAMAGED)?,
        accepted_at: Timestamp(row.get(13)?),
        body,
        urgent: row.get(14)?,
        resend_of: row.get::<_, Option<_>>(19)?.map(MessageId::from_bytes),
        epoch: row.get(16)?,
        commit: row.get::<_, Option<Vec<u8>>>(17)?.map(change).transpose()?,
        welcome: row.get(18)?,
        request: row.get(15)?,
    })
}

fn change(bytes: Vec<u8>) -> Result<Commit, RelayError> {
    Commit::decode(bytes.into()).map_err(|_| RelayError::Damaged("a declared change cannot be read"))
}

/// Mail cut into frames that respect both limits.
struct Frames {
    limit: usize,
    full: Vec<Vec<Entry>>,
    open: Vec<Entry>,
    open_bytes: usize,
}

impl Frames {
    fn new(frame_bytes: u32) -> Self {
        // The frame's own tags and lengths take a few bytes.
        Self { limit: (frame_bytes as usize).saturating_sub(64), full: Vec::new(), open: Vec::new(), open_bytes: 0 }
    }

    fn push(&mut self, entry: Entry) {
        let bytes = size_of_entry(&entry.kind);
        let is_full = self.open.len() == Limits::ENTRIES_PER_FRAME || self.open_bytes + bytes > self.limit;
        if is_full && !self.open.is_empty() {
            self.full.push(std::mem::take(&mut self.open));
            self.open_bytes = 0;
        }
        self.open_bytes += bytes;
        self.open.push(entry);
    }

    fn finish(mut self) -> Vec<Vec<Entry>> {
        if !self.open.is_empty() {
            self.full.push(self.open);
        }
        self.full
    }
}

/// The most bytes that an entry takes in a frame: fixed fields rounded up, a range 24, an id 18.
pub(super) fn size_of_entry(kind: &EntryKind) -> usize {
    let variable = match kind {
        EntryKind::Envelope(envelope) => {
            let changes = |commit: &Commit| (commit.added.len() + commit.removed.len()) * Bounds::ENTRY;
            envelope.body.len() + envelope.commit.as_ref().map_or(0, changes)
        }
        EntryKind::Receipt(receipt) => 24 * receipt.ranges.iter().count(),
        EntryKind::Read(notice) => 24 * notice.read.ranges.iter().count() + 18 * notice.read.authors.len(),
        EntryKind::Gap(_)
        | EntryKind::Hole(_)
        | EntryKind::Absence(_)
        | EntryKind::Admission(_)
        | EntryKind::Unknown => 0,
    };
    320 + variable
}
