//! Absence: a device that was not seen for too long keeps nobody's mail waiting, if its user has another one.
//!
//! Its mailbox is emptied, some entries at a time, and what left it is told as holes when the device comes back. The only
//! device of its user keeps its envelopes, within their time-to-live; its notices go all the same, and it is told so.

use chasqui_wire::{EntryKind, HoleReason, ReceiptKind, SeqRange, Timestamp};
use rusqlite::OptionalExtension as _;

use super::RelayError;
use super::step::Step;
use crate::planted::{PlantedBug, planted};
use crate::store::{DeviceRow, EnvelopeRow, UserRow};

/// An entry of a mailbox that is being emptied.
struct Leftover {
    entry: u64,
    /// None is an envelope.
    notice: Option<Vec<u8>>,
}

impl Step<'_> {
    /// Devices that are looked at in one transaction.
    const DEVICES_AT_ONCE: usize = 100;
    /// Entries that leave one mailbox in one transaction: what waits for it must not wait long.
    const ENTRIES_AT_ONCE: usize = 500;

    /// Marks devices that were not seen since `cutoff`, and goes on emptying mailboxes. Whether more is to be done at once.
    pub(super) fn mark_absent(&mut self, cutoff: Timestamp) -> Result<bool, RelayError> {
        let due: Vec<DeviceRow> = self
            .sql(
                "SELECT device FROM device
                 WHERE revoked_at IS NULL AND absent_since IS NULL AND coalesce(last_seen_at, created_at) <= ?1
                 ORDER BY coalesce(last_seen_at, created_at) LIMIT ?2",
            )?
            .query_map((cutoff.0, Self::DEVICES_AT_ONCE), |row| row.get(0))?
            .collect::<Result<_, _>>()?;
        for &device in &due {
            if self.session_of(device).is_some() {
                self.sql("UPDATE device SET last_seen_at = ?2 WHERE device = ?1")?.execute((device, self.now.0))?;
            } else {
                self.sql(
                    "UPDATE device SET absent_since = coalesce(last_seen_at, created_at), empty_below = ?2
                     WHERE device = ?1",
                )?
                .execute((device, self.state.next_entry))?;
            }
            self.pending.changed = true;
        }
        if !due.is_empty() {
            self.state.directory.forget_devices();
        }
        let has_more = self.empty_next()?;
        Ok(has_more || due.len() == Self::DEVICES_AT_ONCE)
    }

    /// Takes some entries out of one mailbox. Whether there may be more.
    fn empty_next(&mut self) -> Result<bool, RelayError> {
        let mut query = self.sql(
            "SELECT device, user, empty_below FROM device WHERE empty_below IS NOT NULL ORDER BY device LIMIT 1",
        )?;
        let next = query.query_row([], |row| Ok((row.get(0)?, row.get(1)?, row.get::<_, u64>(2)?))).optional()?;
        drop(query);
        let Some((device, user, below)) = next else { return Ok(false) };
        let keeps_envelopes = !self.has_another(user, device)? && !planted(PlantedBug::SoleDeviceEmptied);
        let page = self.last_entries(device, below)?;
        let rest = page.last().map(|leftover| leftover.entry);
        for leftover in page {
            if !keeps_envelopes || leftover.notice.is_some() {
                self.drop_entry(device, user, leftover)?;
            }
        }
        self.sql("UPDATE device SET empty_below = ?2 WHERE device = ?1")?.execute((device, rest))?;
        self.pending.changed = true;
        Ok(true)
    }

    /// Whether the user has another device that is about.
    fn has_another(&mut self, user: UserRow, device: DeviceRow) -> Result<bool, RelayError> {
        let devices = self.active_devices(user)?;
        Ok(devices.iter().any(|other| other.row != device && !other.is_absent))
    }

    /// The last entries below this one, the very last first.
    fn last_entries(&self, device: DeviceRow, below: u64) -> Result<Vec<Leftover>, RelayError> {
        let mut query = self.sql(
            "SELECT entry, notice FROM mailbox WHERE device = ?1 AND entry < ?2
             ORDER BY entry DESC LIMIT ?3",
        )?;
        let leftover = |row: &rusqlite::Row<'_>| Ok(Leftover { entry: row.get(0)?, notice: row.get(1)? });
        let page = query.query_map((device, below, Self::ENTRIES_AT_ONCE), leftover)?;
        Ok(page.collect::<Result<_, _>>()?)
    }

    fn drop_entry(&mut self, device: DeviceRow, user: UserRow, leftover: Leftover) -> Result<(), RelayError> {
        let Some(notice) = leftover.notice else {
            let envelope = EnvelopeRow::of_entry(leftover.entry);
            return self.let_go(device, user, envelope, ReceiptKind::DeviceGone);
        };
        self.sql("DELETE FROM mailbox WHERE device = ?1 AND entry = ?2")?.execute((device, leftover.entry))?;
        self.count_mail(device, None, -1, 0);
        // Receipts and read marks are lost; the device is told that they are, and since when.
        let (conversation, range, reason) = match EntryKind::decode(notice.into()) {
            Ok(EntryKind::Gap(gap)) => (gap.conversation, SeqRange::one(gap.seq), HoleReason::Absent),
            Ok(EntryKind::Hole(hole)) => (hole.conversation, hole.range, hole.reason),
            Ok(EntryKind::Absence(untold)) => {
                self.sql("UPDATE device SET absent_since = min(absent_since, ?2) WHERE device = ?1")?
                    .execute((device, untold.since.0))?;
                return Ok(());
            }
            Ok(
                EntryKind::Envelope(_)
                | EntryKind::Receipt(_)
                | EntryKind::Read(_)
                | EntryKind::Admission(_)
                | EntryKind::Unknown,
            )
            | Err(_) => return Ok(()),
        };
        match self.conversation_by_id(conversation)? {
            Some((conversation, _)) => self.miss(device, conversation, range, reason),
            None => Ok(()),
        }
    }
}
