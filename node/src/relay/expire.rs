//! Expire: when a time-to-live ran out, a gap takes the envelope's place in each mailbox, and the sender is told. What
//! nobody would miss (a commit, a Welcome, a message for one device) just goes.
//!
//! What is in flight on a living session does not expire: the device may already hold it.

use chasqui_wire::{
    ConversationId, ConversationKind, EntryKind, Gap, GapReason, HoleReason, Protection, ReceiptKind, Seq, SeqRange,
    UserId,
};

use super::acknowledge::Leaving;
use super::step::{NewMail, Step};
use super::{RelayError, Who};
use crate::planted::{PlantedBug, planted};
use crate::store::{DeviceRow, EnvelopeRow, UserRow};

impl Step<'_> {
    /// The most envelopes that expire in one transaction: what waits for it must not wait long.
    const EXPIRED_AT_ONCE: usize = 1_000;

    /// Expires what is due. Whether more is due at once.
    pub(super) fn expire(&mut self) -> Result<bool, RelayError> {
        let mut expired = 0;
        let mut after = (i64::MIN, EnvelopeRow(0));
        loop {
            let due = self.due_after(after)?;
            let Some(&last) = due.last() else { return Ok(false) };
            after = last;
            for (_, envelope) in due {
                if expired == Self::EXPIRED_AT_ONCE {
                    return Ok(true);
                }
                match self.expire_envelope(envelope) {
                    Ok(is_any) => expired += usize::from(is_any),
                    // It is found before anything is written, and must not keep what comes after from expiring.
                    Err(error) if error.is_damage() => tracing::error!(%error, "an envelope cannot expire"),
                    Err(error) => return Err(error),
                }
            }
        }
    }

    /// A page of what is due: also what stays, because it is in flight.
    fn due_after(&self, after: (i64, EnvelopeRow)) -> Result<Vec<(i64, EnvelopeRow)>, RelayError> {
        let mut query = self.sql(
            "SELECT expires_at, envelope FROM envelope
             WHERE expires_at <= ?1 AND (expires_at, envelope) > (?2, ?3)
             ORDER BY expires_at, envelope LIMIT ?4",
        )?;
        let due = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?));
        let page = query.query_map((self.now.0, after.0, after.1, Self::EXPIRED_AT_ONCE), due)?;
        Ok(page.collect::<Result<_, _>>()?)
    }

    /// Whether any entry of it expired.
    fn expire_envelope(&mut self, envelope: EnvelopeRow) -> Result<bool, RelayError> {
        let entry = envelope.entry();
        let waiting: Vec<(DeviceRow, UserRow, bool)> = self
            .sql(
                "SELECT device.device, device.user, device.absent_since IS NOT NULL
                 FROM envelope
                 JOIN device ON device.user IN (envelope.sender_user, envelope.peer)
                 JOIN mailbox ON mailbox.device = device.device AND mailbox.entry = envelope.envelope
                 WHERE envelope.envelope = ?1 AND mailbox.notice IS NULL ORDER BY device.device",
            )?
            .query_map([envelope], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?
            .collect::<Result<_, _>>()?;
        let (gap, is_unmissed) = self.gap(envelope, GapReason::Expired)?;
        let gap = EntryKind::Gap(gap);
        let mut is_any = false;
        for (device, user, is_absent) in waiting {
            let online = self.state.online().get(&device);
            if !is_absent && online.is_some_and(|online| online.in_flight.contains_key(&entry)) {
                continue;
            }
            is_any = true;
            if is_absent || is_unmissed {
                self.let_go(device, user, envelope, ReceiptKind::Expired)?;
                continue;
            }
            self.put_gap(device, user, envelope, &gap, ReceiptKind::Expired)?;
            // Wakes the device's backlog, if it is online: the entry is there, or it would be in flight.
            self.pending.mail.entry(device).or_default().push(NewMail { entry, kind: gap.clone(), body_bytes: 0 });
        }
        self.pending.changed |= is_any;
        self.pending.expired += u64::from(is_any && !is_unmissed);
        Ok(is_any)
    }

    /// The body of this entry is lost: a gap takes its place (if anybody would miss it), and no other device's.
    pub(super) fn give_up(&mut self, who: Who, entry: u64) -> Result<(), RelayError> {
        let envelope = EnvelopeRow::of_entry(entry);
        self.pending.changed = true;
        match self.gap(envelope, GapReason::Other)? {
            (_, true) => self.let_go(who.device, who.user, envelope, ReceiptKind::Unreadable),
            (gap, false) => self.put_gap(who.device, who.user, envelope, &EntryKind::Gap(gap), ReceiptKind::Unreadable),
        }
    }

    /// `told` is what the sender hears if no other device of that user may still store it.
    fn put_gap(
        &mut self,
        device: DeviceRow,
        user: UserRow,
        envelope: EnvelopeRow,
        gap: &EntryKind,
        told: ReceiptKind,
    ) -> Result<(), RelayError> {
        self.sql("UPDATE mailbox SET notice = ?3 WHERE device = ?1 AND entry = ?2")?.execute((
            device,
            envelope.entry(),
            gap.encode().as_ref(),
        ))?;
        let held = self.leave_envelope(device, user, envelope, Leaving::Without(told))?;
        self.count_mail(device, Some(held.sender_user), -1, -i64::from(held.body.length));
        self.count_mail(device, None, 1, 0);
        Ok(())
    }

    /// An envelope leaves the mailbox of a device that was away for too long: a message is told as a hole. Whoever lacks a
    /// commit finds out by the next message, and nobody misses it in a history; nor what was for one device.
    pub(super) fn let_go(
        &mut self,
        device: DeviceRow,
        user: UserRow,
        envelope: EnvelopeRow,
        told: ReceiptKind,
    ) -> Result<(), RelayError> {
        self.sql("DELETE FROM mailbox WHERE device = ?1 AND entry = ?2")?.execute((device, envelope.entry()))?;
        let held = self.leave_envelope(device, user, envelope, Leaving::Without(told))?;
        if planted(PlantedBug::EmptiedUnerased) {
            self.pending.erased.pop();
        }
        self.count_mail(device, Some(held.sender_user), -1, -i64::from(held.body.length));
        if held.is_unmissed {
            return Ok(());
        }
        self.miss(device, held.conversation, SeqRange::one(held.seq), HoleReason::Absent)
    }

    /// What would stand for an envelope, and whether nothing does, because nobody would miss it.
    fn gap(&self, envelope: EnvelopeRow, reason: GapReason) -> Result<(Gap, bool), RelayError> {
        let mut query = self.sql(
            "SELECT conversation.id, envelope.seq, conversation.kind, conversation.protection, sender.id, peer.id,
                 envelope.change IS NOT NULL OR envelope.is_for_one
             FROM envelope
             JOIN conversation USING (conversation)
             JOIN user AS sender ON sender.user = envelope.sender_user
             JOIN user AS peer ON peer.user = envelope.peer
             WHERE envelope.envelope = ?1",
        )?;
        let mut rows = query.query([envelope])?;
        let row = rows.next()?.ok_or(RelayError::Damaged("an envelope without its conversation"))?;
        let damaged = || RelayError::Damaged("an envelope is out of bounds");
        let gap = Gap {
            conversation: ConversationId::from_bytes(row.get(0)?),
            seq: Seq::from_raw(row.get(1)?).ok_or_else(damaged)?,
            reason,
            kind: ConversationKind::from_number(row.get(2)?).ok_or_else(damaged)?,
            protection: Protection::from_number(row.get(3)?).ok_or_else(damaged)?,
            sender_user: UserId::from_bytes(row.get(4)?),
            peer: Some(UserId::from_bytes(row.get(5)?)),
            at: self.now,
        };
        Ok((gap, row.get(6)?))
    }
}
