//! Acknowledge: deletes exactly the entries that were delivered to this session, and makes the receipts of it.
//!
//! Also how an entry leaves a mailbox in any other way (expired, revoked): the last one takes the body with it.

use bytes::Bytes;
use chasqui_wire::{Ack, AckItem, AckOutcome, EntryKind, MessageId, ReceiptKind, Seq, SeqRange, SeqRanges};
use rusqlite::{OptionalExtension as _, Row};

use super::notices::ReceiptKey;
use super::step::Step;
use super::{RelayError, Who};
use crate::planted::{PlantedBug, planted};
use crate::store::{BodyAt, ConversationRow, DeviceRow, EnvelopeRow, UserRow};

/// What is left of an envelope when one of its entries goes.
pub(super) struct Held {
    pub(super) conversation: ConversationRow,
    pub(super) sender_user: UserRow,
    pub(super) seq: Seq,
    pub(super) body: BodyAt,
    /// A commit, a Welcome of one, or for one device: no message that anybody could miss.
    pub(super) is_unmissed: bool,
    message: MessageId,
    /// What it repeats.
    resend_of: Option<MessageId>,
    /// Whose first confirmation the sender was still to be told of.
    awaited: Option<UserRow>,
}

fn held(row: &Row<'_>) -> Result<Held, RelayError> {
    Ok(Held {
        conversation: row.get(0)?,
        sender_user: row.get(1)?,
        seq: Seq::from_raw(row.get(2)?).ok_or(RelayError::Damaged("a position out of bounds"))?,
        body: BodyAt { segment: row.get(3)?, start: row.get(4)?, length: row.get(5)? },
        awaited: row.get(6)?,
        is_unmissed: row.get(7)?,
        message: MessageId::from_bytes(row.get(8)?),
        resend_of: row.get::<_, Option<_>>(9)?.map(MessageId::from_bytes),
    })
}

/// How an entry leaves a mailbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Leaving {
    /// Its user has it: told at the first device.
    Stored,
    /// Its user does not have it by this device: told when it was the last.
    Without(ReceiptKind),
}

impl Step<'_> {
    pub(super) fn acknowledge(&mut self, who: Who, ack: &Ack) -> Result<(), RelayError> {
        let items = &ack.items;
        if planted(PlantedBug::CumulativeAck) {
            let items = self.everything_up_to(who.device, items)?;
            return self.acknowledge_all(who, &items, &ack.held);
        }
        let in_flight = self.state.online.get(&who.device).filter(|online| online.who.session == who.session);
        let Some(in_flight) = in_flight.map(|online| &online.in_flight) else { return Ok(()) };
        let delivered: Vec<AckItem> =
            items.iter().copied().filter(|item| in_flight.contains_key(&item.number)).collect();
        self.acknowledge_all(who, &delivered, &ack.held)
    }

    fn acknowledge_all(&mut self, who: Who, items: &[AckItem], held: &SeqRanges) -> Result<(), RelayError> {
        for item in items {
            let entry = self
                .sql("DELETE FROM mailbox WHERE device = ?1 AND entry = ?2 RETURNING notice")?
                .query_row((who.device, item.number), |row| row.get::<_, Option<Vec<u8>>>(0))
                .optional()?;
            self.pending.acknowledged.push((who.device, item.number));
            match entry {
                Some(None) => {
                    // A whole message cannot be a gap that was noted: whoever says so does not have it.
                    let leaving = match item.outcome {
                        AckOutcome::Stored => Leaving::Stored,
                        AckOutcome::Unreadable | AckOutcome::Noted => Leaving::Without(ReceiptKind::Unreadable),
                    };
                    self.pending.changed = true;
                    let envelope = EnvelopeRow::of_entry(item.number);
                    let held = self.leave_envelope(who.device, who.user, envelope, leaving)?;
                    self.count_mail(who.device, Some(held.sender_user), -1, -i64::from(held.body.length));
                }
                Some(Some(notice)) => {
                    self.pending.changed = true;
                    self.count_mail(who.device, None, -1, 0);
                    if item.outcome == AckOutcome::Stored || !held.is_empty() {
                        self.better_news(who, item.outcome, notice.into(), held)?;
                    }
                }
                // Acknowledged twice within a batch.
                None => {}
            }
        }
        // There may be room now for what it missed.
        self.tell_missed(who.device)
    }

    /// The device holds what a gap stands for, or some of a hole: its acknowledgement had been lost.
    fn better_news(
        &mut self,
        who: Who,
        outcome: AckOutcome,
        notice: Bytes,
        held: &SeqRanges,
    ) -> Result<(), RelayError> {
        let (conversation, sender, seqs) = match EntryKind::decode(notice) {
            Ok(EntryKind::Gap(gap)) if outcome == AckOutcome::Stored => {
                (gap.conversation, Some(gap.sender_user), vec![gap.seq])
            }
            // A device may say more than it could have been given; no more than that is heard.
            Ok(EntryKind::Hole(hole)) => {
                let within = held.iter().filter_map(|run| run.within(hole.range));
                (hole.conversation, hole.peer, within.flat_map(SeqRange::seqs).take(Self::HELD).collect())
            }
            Ok(_) | Err(_) => return Ok(()),
        };
        let to = sender.map(|sender| self.user_by_id(sender)).transpose()?.flatten();
        let (Some(to), Some((conversation, _))) = (to, self.conversation_by_id(conversation)?) else { return Ok(()) };
        if to != who.user {
            let key = ReceiptKey { to, conversation, about: who.user, kind: ReceiptKind::Received };
            seqs.into_iter().try_for_each(|seq| self.tell(key, seq))?;
        }
        Ok(())
    }

    /// The most positions of a hole that a device may hold all the same: several windows full.
    const HELD: usize = 4_096;

    /// One entry of an envelope is gone from a mailbox: tells the sender, and deletes the envelope with its last
    /// entry. Returns what it was.
    pub(super) fn leave_envelope(
        &mut self,
        device: DeviceRow,
        user: UserRow,
        envelope: EnvelopeRow,
        leaving: Leaving,
    ) -> Result<Held, RelayError> {
        let news = match leaving {
            Leaving::Stored => Some(ReceiptKind::Received),
            Leaving::Without(kind) => (!self.waits_elsewhere(device, user, envelope)?).then_some(kind),
        };
        let mut delete = self.sql(
            "DELETE FROM envelope WHERE envelope = ?1 AND waiting = 1
             RETURNING conversation, sender_user, seq, segment, start, length, awaited,
                 change IS NOT NULL OR is_for_one, message, resend_of",
        )?;
        let last = delete.query([envelope])?.next()?.map(held).transpose()?;
        drop(delete);
        let held = match last {
            Some(last) => {
                self.pending.erased.push(last.body);
                last
            }
            None => {
                let mut query = self.sql(
                    "SELECT conversation, sender_user, seq, segment, start, length, awaited,
                         change IS NOT NULL OR is_for_one, message, resend_of
                     FROM envelope WHERE envelope = ?1",
                )?;
                let mut rows = query.query([envelope])?;
                let found = held(rows.next()?.ok_or(RelayError::Damaged("a mailbox entry without its envelope"))?)?;
                drop(rows);
                drop(query);
                let awaited = found.awaited.filter(|&awaited| news.is_none() || awaited != user);
                self.sql("UPDATE envelope SET waiting = waiting - 1, awaited = ?2 WHERE envelope = ?1")?
                    .execute((envelope, awaited))?;
                found
            }
        };
        if let Some(kind) = news.filter(|_| held.awaited == Some(user)) {
            self.tell_of(&held, user, kind)?;
        }
        Ok(held)
    }

    /// Of a message that is sent again, only that it is there now: the rest its first envelope tells, unless that tells
    /// less than is true by now.
    fn tell_of(&mut self, held: &Held, about: UserRow, kind: ReceiptKind) -> Result<(), RelayError> {
        let is_received = kind == ReceiptKind::Received;
        match held.resend_of {
            Some(original) if is_received => self.had_by_resend(original)?,
            Some(_) => return Ok(()),
            None if !is_received && self.is_had_by_resend(held.message)? => return Ok(()),
            None => {}
        }
        self.tell(ReceiptKey { to: held.sender_user, conversation: held.conversation, about, kind }, held.seq)
    }

    /// Whether another device of the user may still store it.
    fn waits_elsewhere(&self, but: DeviceRow, user: UserRow, envelope: EnvelopeRow) -> Result<bool, RelayError> {
        let mut query = self.sql(
            "SELECT EXISTS (SELECT 1 FROM device JOIN mailbox USING (device)
             WHERE device.user = ?2 AND device.device <> ?3 AND mailbox.entry = ?1 AND mailbox.notice IS NULL)",
        )?;
        Ok(query.query_row((envelope, user, but), |row| row.get(0))?)
    }

    /// The planted bug: acknowledging an entry acknowledges all before it.
    fn everything_up_to(&self, device: DeviceRow, items: &[AckItem]) -> Result<Vec<AckItem>, RelayError> {
        let Some(last) = items.iter().max_by_key(|item| item.number) else { return Ok(Vec::new()) };
        let mut query = self.sql("SELECT entry FROM mailbox WHERE device = ?1 AND entry <= ?2")?;
        let item = |row: &rusqlite::Row<'_>| Ok(AckItem { number: row.get(0)?, outcome: last.outcome });
        let items = query.query_map((device, last.number), item)?.collect::<Result<_, _>>()?;
        Ok(items)
    }
}
