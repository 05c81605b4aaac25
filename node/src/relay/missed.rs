//! Missed: what was not kept for a device is remembered by position, and told to it as holes.
//!
//! It is told as soon as its mailbox has room: when it attaches, when it acknowledges, and before anything newer of the
//! sort is kept for it. What was told is a notice like others: it stays until it is acknowledged.

use chasqui_wire::{
    ConversationId, ConversationKind, EntryKind, Hole, HoleReason, Protection, Seq, SeqRange, Timestamp, UserId,
};
use rusqlite::Row;

use super::step::{Pending, Step};
use super::{RelayError, State};
use crate::planted::{PlantedBug, planted};
use crate::store::{ConversationRow, DeviceRow};

impl Step<'_> {
    /// These positions were not kept for the device.
    pub(super) fn miss(
        &mut self,
        device: DeviceRow,
        conversation: ConversationRow,
        range: SeqRange,
        reason: HoleReason,
    ) -> Result<(), RelayError> {
        let (first, last) = (range.first(), range.last());
        self.sql(
            "INSERT INTO missed (device, conversation, era, first, last, reason, since)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
             ON CONFLICT (device, conversation, era) DO UPDATE
                 SET first = min(first, excluded.first), last = max(last, excluded.last)",
        )?
        .execute((device, conversation, first.era(), first.raw(), last.raw(), reason.number(), self.now.0))?;
        self.pending.missed.insert(device, true);
        self.pending.changed = true;
        Ok(())
    }

    /// Whether the device missed something that it was not told of.
    pub(super) fn has_missed(&self, device: DeviceRow) -> bool {
        let before = || self.state.missed.contains(&device);
        self.pending.missed.get(&device).copied().unwrap_or_else(before)
    }

    /// Tells the device what it missed, if it missed anything and there is room for telling it.
    pub(super) fn tell_missed(&mut self, device: DeviceRow) -> Result<(), RelayError> {
        if !self.has_missed(device) || !self.takes(device, None, 0)? {
            return Ok(());
        }
        let mut query = self.sql(
            "SELECT conversation.id, conversation.kind, conversation.protection, missed.first, missed.last,
                 missed.reason, missed.since,
                 coalesce((SELECT other.id FROM member JOIN user AS other USING (user)
                     WHERE member.conversation = missed.conversation AND member.user <> device.user), own.id)
             FROM missed
             JOIN conversation USING (conversation)
             JOIN device USING (device)
             JOIN user AS own ON own.user = device.user
             WHERE missed.device = ?1 ORDER BY missed.since, missed.conversation, missed.era",
        )?;
        let mut rows = query.query([device])?;
        let mut holes = Vec::new();
        while let Some(row) = rows.next()? {
            holes.push(hole(row)?);
        }
        drop(rows);
        drop(query);
        if !planted(PlantedBug::MissedUntold) {
            for hole in holes {
                self.add_notice(device, EntryKind::Hole(hole))?;
            }
        }
        self.forget_missed(device)
    }

    pub(super) fn forget_missed(&mut self, device: DeviceRow) -> Result<(), RelayError> {
        if self.has_missed(device) {
            self.sql("DELETE FROM missed WHERE device = ?1")?.execute([device])?;
            self.pending.missed.insert(device, false);
            self.pending.changed = true;
        }
        Ok(())
    }
}

fn hole(row: &Row<'_>) -> Result<Hole, RelayError> {
    const DAMAGED: RelayError = RelayError::Damaged("what a device missed is out of bounds");
    let range = Seq::from_raw(row.get(3)?).zip(Seq::from_raw(row.get(4)?));
    Ok(Hole {
        conversation: ConversationId::from_bytes(row.get(0)?),
        kind: ConversationKind::from_number(row.get(1)?).ok_or(DAMAGED)?,
        protection: Protection::from_number(row.get(2)?).ok_or(DAMAGED)?,
        peer: Some(UserId::from_bytes(row.get(7)?)),
        range: range.and_then(|(first, last)| SeqRange::new(first, last)).ok_or(DAMAGED)?,
        reason: HoleReason::from_number(row.get(5)?),
        since: Timestamp(row.get(6)?),
    })
}

impl State {
    pub(super) fn settle_missed(&mut self, pending: &Pending) {
        for (&device, &has_missed) in &pending.missed {
            if has_missed {
                self.missed.insert(device);
            } else {
                self.missed.remove(&device);
            }
        }
    }
}
