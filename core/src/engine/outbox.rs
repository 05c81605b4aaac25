//! Sending: each conversation is a lane, in which order is kept; lanes do not wait for each other. Read marks: `reads.rs`.
//!
//! What is queued, and what is unanswered on the current socket, follows from the store and the socket: after a crash or
//! a new socket everything unanswered is sent again, under the same message ids.

use std::collections::{BTreeMap, BTreeSet};

use chasqui_wire::{
    Accepted, ClientFrame, ErrorCode, Limits, MessageId, Protection, Rejected, Send, Seq, SeqRange, StorageClass,
    Timestamp,
};
use rusqlite::Connection;

use super::chain::is_chained;
use super::encrypted::Sealed;
use super::reads::Reads;
use super::requests::Admissions;
use super::{Engine, SocketId, Turn};
use crate::domain::{Failure, Undelivered};
use crate::planted::{PlantedBug, planted};
use crate::store::{
    self, AccountRow, ConversationKey, ConversationRow, FlightRow, MessageRow, MessageState, OutboxKey, OutboxRow,
    Rank, ReceiptMark, StoreError,
};

/// Since it was first sent, by the node's clock: as long as the node remembers message ids. What was never sent has no age.
const MAX_AGE_MS: u64 = 30 * 24 * 3600 * 1000;
const FIRST_PAUSE_MS: u64 = 1_000;
const LAST_PAUSE_MS: u64 = 5 * 60_000;

/// An entry in the order of sending: what a restored node is given back comes first, in the order that it had.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Queued {
    /// `Seq::raw`, or the greatest.
    reclaim: u64,
    entry: OutboxKey,
}

impl Queued {
    fn new(entry: OutboxKey, reclaim: Option<Seq>) -> Self {
        Self { reclaim: reclaim.map_or(u64::MAX, Seq::raw), entry }
    }
}

/// One conversation's stream.
#[derive(Debug, Default)]
struct Lane {
    queued: BTreeSet<Queued>,
    unanswered: BTreeMap<MessageId, Queued>,
    /// The node stalled the stream: the next send, when nothing is unanswered, begins a new one.
    restart: bool,
    not_before: Option<Timestamp>,
    failures: u32,
}

#[derive(Debug, Default)]
pub(super) struct Outbox {
    lanes: BTreeMap<ConversationKey, Lane>,
    unanswered: BTreeMap<MessageId, ConversationKey>,
    pub(super) reads: Reads,
    pub(super) admissions: Admissions,
    /// Of what is named on this socket only.
    next_id: u64,
}

impl Outbox {
    pub(super) fn load(db: &Connection) -> Result<Self, StoreError> {
        let mut outbox = Self::default();
        for (entry, conversation, reclaim) in OutboxRow::all(db)? {
            outbox.queue(conversation, entry, reclaim);
        }
        outbox.reads.wanted = true;
        outbox.admissions.wanted = true;
        Ok(outbox)
    }

    pub(super) fn queue(&mut self, conversation: ConversationKey, entry: OutboxKey, reclaim: Option<Seq>) {
        self.lanes.entry(conversation).or_default().queued.insert(Queued::new(entry, reclaim));
    }

    pub(super) fn queue_read(&mut self) {
        self.reads.wanted = true;
    }

    /// What was unanswered is sent again on the next socket, which is a new stream.
    pub(super) fn socket_gone(&mut self) {
        for lane in self.lanes.values_mut() {
            let unanswered = std::mem::take(&mut lane.unanswered);
            if !planted(PlantedBug::ForgetInFlight) {
                lane.queued.extend(unanswered.into_values());
            }
            lane.restart = false;
        }
        self.lanes.retain(|_, lane| !lane.queued.is_empty());
        self.unanswered.clear();
        self.reads.socket_gone();
        self.admissions.socket_gone();
    }

    /// The clock was set back by so much.
    pub(super) fn clock_went_back(&mut self, millis: u64) {
        for at in self.lanes.values_mut().filter_map(|lane| lane.not_before.as_mut()) {
            at.0 = at.0.saturating_sub_unsigned(millis);
        }
        self.reads.clock_went_back(millis);
    }

    pub(super) fn wake_at(&self) -> Option<Timestamp> {
        let lanes = self.lanes.values().filter(|lane| !lane.queued.is_empty() && lane.unanswered.is_empty());
        let others = self.reads.wake_at().into_iter().chain(self.admissions.wake_at());
        lanes.filter_map(|lane| lane.not_before).chain(others).min()
    }

    /// Whether something of this conversation waits to be accepted.
    pub(super) fn holds(&self, conversation: ConversationKey) -> bool {
        self.lanes.get(&conversation).is_some_and(|lane| !lane.queued.is_empty() || !lane.unanswered.is_empty())
    }

    /// Whether messages of this conversation are under way.
    pub(super) fn has_unanswered(&self, conversation: ConversationKey) -> bool {
        self.lanes.get(&conversation).is_some_and(|lane| !lane.unanswered.is_empty())
    }

    /// Whether what is sent next begins a new stream: asked once.
    pub(super) fn takes_restart(&mut self, conversation: ConversationKey) -> bool {
        self.lanes.get_mut(&conversation).is_some_and(|lane| std::mem::take(&mut lane.restart))
    }

    pub(super) fn wants_restart(&mut self, conversation: ConversationKey) {
        self.lanes.entry(conversation).or_default().restart = true;
    }

    /// Nothing is sent for a while, a longer one each time.
    pub(super) fn hold(&mut self, conversation: ConversationKey, now: Timestamp, at_least_ms: u64) {
        if let Some(lane) = self.lanes.get_mut(&conversation) {
            let pause = FIRST_PAUSE_MS.saturating_mul(1 << lane.failures.min(12)).min(LAST_PAUSE_MS);
            lane.failures += 1;
            lane.not_before = Some(now.plus_millis(pause.max(at_least_ms.min(LAST_PAUSE_MS))));
        }
    }

    /// What is refused for the first time is tried again at once, unless the node asks for patience; then after longer and longer pauses.
    pub(super) fn hold_if_again(&mut self, conversation: ConversationKey, now: Timestamp, at_least_ms: u64) {
        match self.lanes.get_mut(&conversation) {
            Some(lane) if lane.failures == 0 && at_least_ms == 0 => lane.failures = 1,
            _ => self.hold(conversation, now, at_least_ms),
        }
    }

    pub(super) fn end_hold(&mut self, conversation: ConversationKey) {
        if let Some(lane) = self.lanes.get_mut(&conversation) {
            lane.failures = 0;
            lane.not_before = None;
        }
    }

    pub(super) fn in_flight(&self) -> usize {
        self.unanswered.len() + self.reads.in_flight() + self.admissions.in_flight()
    }

    /// Names something other than a message on this socket: a counter is enough, marked as a UUIDv8 (RFC 9562, section 5.8).
    pub(super) fn next_id(&mut self) -> MessageId {
        self.next_id += 1;
        let mut bytes = [0; 16];
        bytes[8..].copy_from_slice(&self.next_id.to_be_bytes());
        bytes[6] = 0x80;
        bytes[8] |= 0x80;
        MessageId::from_bytes(bytes)
    }

    fn forget(&mut self, conversation: ConversationKey, queued: Queued) {
        if let Some(lane) = self.lanes.get_mut(&conversation) {
            lane.queued.remove(&queued);
            if lane.queued.is_empty() && lane.unanswered.is_empty() && !lane.restart {
                self.lanes.remove(&conversation);
            }
        }
    }
}

impl Engine {
    /// Sends what may be sent now.
    pub(super) fn send(&mut self, turn: &mut Turn<'_>, socket: SocketId) -> Result<(), StoreError> {
        let limits = self.link.limits().cloned().unwrap_or(Limits::DEFAULT);
        let room = limits.sends_in_flight as usize;
        self.send_admissions(turn, socket, room)?;
        let lanes: Vec<ConversationKey> = self.outbox.lanes.keys().copied().collect();
        for conversation in lanes {
            self.outbox.end_pause(conversation, turn.now);
            while self.outbox.in_flight() + self.groups.in_flight() < room {
                let Some(queued) = self.outbox.next(conversation) else { break };
                if !self.send_one(turn, socket, conversation, queued)? {
                    break;
                }
            }
        }
        self.send_reads(turn, socket, room)
    }

    /// Says whether the next one may be tried.
    fn send_one(
        &mut self,
        turn: &mut Turn<'_>,
        socket: SocketId,
        conversation: ConversationKey,
        queued: Queued,
    ) -> Result<bool, StoreError> {
        let entry = queued.entry;
        let Some(row) = OutboxRow::get(turn.db, entry)? else {
            self.outbox.forget(conversation, queued);
            return Ok(true);
        };
        let message = MessageRow::get(turn.db, row.message)?;
        let conversation_row = ConversationRow::get(turn.db, conversation)?;
        if !self.is_ready_to_send(turn, socket, &conversation_row)? {
            // It may have failed by that: the next one asks for itself.
            return Ok(self.outbox.next(conversation) != Some(queued));
        }
        let node_time = self.node_time(turn.now);
        match row.first_sent_at {
            None => {
                OutboxRow::set_first_sent_at(turn.db, entry, node_time)?;
                if row.only_device.is_none() {
                    AccountRow::count_sent(turn.db)?;
                }
            }
            Some(first) if node_time.millis_since(first) > MAX_AGE_MS => {
                self.outbox.forget(conversation, queued);
                OutboxRow::remove(turn.db, entry)?;
                self.was_not_said(turn, &conversation_row, entry, &row, &message)?;
                if message.deleted {
                    self.said_to_nobody(turn, &message, row.only_device.is_some(), ErrorCode::NotFound)?;
                } else {
                    fail(turn, &conversation_row, &message, Failure::TooOld)?;
                }
                return Ok(true);
            }
            Some(_) => {}
        }
        // What a restored node says of a message of which this device has heard nothing may be of an older past than what was
        // heard of those before it.
        let after_seq = match message.sender_device {
            Some(device) if self.was_restored() && row.reclaim.is_none() && row.resend_of.is_none() => {
                store::last_heard(turn.db, conversation, device)?
            }
            _ => None,
        };
        let sealed = match conversation_row.protection {
            Protection::NodeReadable => Sealed { body: message.body, epoch: 0, roster_checked: false },
            Protection::EndToEnd => match self.sealed(turn, &conversation_row, &row, &message)? {
                Some(sealed) => sealed,
                // The group is lost; the next turn begins another.
                None => return Ok(false),
            },
        };
        let Some(lane) = self.outbox.lanes.get_mut(&conversation) else { return Ok(true) };
        let send = Send {
            message: message.id,
            conversation: conversation_row.id,
            kind: conversation_row.kind,
            protection: conversation_row.protection,
            peer: conversation_row.peer,
            body: sealed.body,
            storage: StorageClass::Durable,
            urgent: !message.deleted,
            ttl_seconds: 0,
            restart: std::mem::take(&mut lane.restart),
            reclaim_seq: row.reclaim,
            after_seq,
            resend_of: row.resend_of,
            only_device: row.only_device,
            epoch: sealed.epoch,
            commit: None,
            roster_checked: sealed.roster_checked,
        };
        lane.queued.remove(&queued);
        lane.unanswered.insert(message.id, queued);
        self.outbox.unanswered.insert(message.id, conversation);
        turn.transmit(socket, &ClientFrame::Send(Box::new(send)));
        Ok(true)
    }

    pub(super) fn accepted(&mut self, turn: &mut Turn<'_>, accepted: &Accepted) -> Result<(), StoreError> {
        if self.admission_accepted(turn, accepted)?
            || self.group_accepted(turn, accepted)?
            || self.read_accepted(turn, accepted)?
        {
            return Ok(());
        }
        self.outbox.unanswered.remove(&accepted.message);
        let Some(message) = MessageRow::find(turn.db, accepted.message)? else { return Ok(()) };
        // What waits to be sent again is accepted as well: a later message that was heard of, and not this one, would take its
        // place at a restored node.
        let entry = OutboxRow::of(turn.db, message.key)?;
        let Some(seq) = accepted.seq else {
            tracing::warn!("the node accepted a message without a position");
            return Ok(());
        };
        let Some((entry, reclaim)) = entry else {
            // Refused, and taken after all: something between repeated the frame, and meanwhile the peer had said who is welcome.
            let own = self.account.as_ref().map(|account| account.device);
            if message.state == MessageState::Failed && message.sender_device == own {
                AccountRow::count_sent(turn.db)?;
                let conversation = ConversationRow::get(turn.db, message.conversation)?;
                taken_after_all(turn, &conversation, &message, seq, accepted.at, accepted.revision)?;
                self.was_said_after_all(turn, &conversation, &message)?;
                self.note_answered(turn, &conversation)?;
            }
            return Ok(());
        };
        let key = message.conversation;
        if let Some(lane) = self.outbox.lanes.get_mut(&key) {
            lane.failures = 0;
            lane.not_before = None;
            lane.unanswered.remove(&accepted.message);
        }
        let is_resend = OutboxRow::get(turn.db, entry)?.is_some_and(|row| row.resend_of.is_some());
        OutboxRow::remove(turn.db, entry)?;
        FlightRow::remove(turn.db, message.key)?;
        self.outbox.forget(key, Queued::new(entry, reclaim));
        let conversation = ConversationRow::get(turn.db, key)?;
        if message.deleted {
            // Devices were told; what was sent again stands where it stood.
            if !is_resend {
                store::note_group_change(turn.db, conversation.id, seq)?;
                conversation.raise_head(turn.db, seq)?;
            }
            return message.remove(turn.db);
        }
        // Positions only move to later eras, as on the devices that have it there.
        let seq = message.seq.map_or(seq, |known| known.max(seq));
        store::fill_gap(turn.db, &conversation, seq)?;
        if let Some(old) = message.seq.filter(|&old| old != seq) {
            store::move_receipts(turn.db, key, old, seq)?;
        }
        message.set_accepted(turn.db, seq, accepted.at, accepted.revision)?;
        store::apply_early_receipts(turn.db, key, seq)?;
        self.note_answered(turn, &conversation)?;
        conversation.raise_head(turn.db, seq)?;
        if !self.outbox.holds(key) && !self.transfer.is_under_way() {
            store::drop_early_receipts(turn.db, key)?;
        }
        turn.arranged(&conversation);
        Ok(())
    }

    pub(super) fn rejected(&mut self, turn: &mut Turn<'_>, rejected: &Rejected) -> Result<(), StoreError> {
        if self.admission_rejected(turn, rejected)?
            || self.group_rejected(turn, rejected)?
            || self.read_rejected(turn, rejected)?
        {
            return Ok(());
        }
        // A node that asks for weeks of patience is not given them.
        let asked = u64::from(rejected.retry_after_ms).min(LAST_PAUSE_MS);
        let Some(key) = self.outbox.unanswered.remove(&rejected.message) else { return Ok(()) };
        let Some(lane) = self.outbox.lanes.get_mut(&key) else { return Ok(()) };
        let Some(queued) = lane.unanswered.remove(&rejected.message) else { return Ok(()) };
        lane.restart = true;
        if rejected.code == ErrorCode::StreamStalled {
            // Refused only because of what stood before it.
            lane.queued.insert(queued);
            return Ok(());
        }
        if matches!(rejected.code, ErrorCode::EpochConflict | ErrorCode::RosterStale | ErrorCode::NotInRoster) {
            lane.queued.insert(queued);
            let conversation = ConversationRow::get(turn.db, key)?;
            if let Some(row) = OutboxRow::get(turn.db, queued.entry)? {
                let message = MessageRow::get(turn.db, row.message)?;
                if is_chained(&row, &message) {
                    self.unsay(turn, &conversation, queued.entry, &message, true)?;
                }
            }
            return self.message_was_out_of_date(turn, &conversation, rejected);
        }
        let entry = OutboxRow::get(turn.db, queued.entry)?;
        // One device whose mailbox is full must not keep the others waiting.
        let is_for_one = entry.is_some_and(|row| row.only_device.is_some());
        if is_for_one && rejected.code == ErrorCode::MailboxFull {
            let conversation = ConversationRow::get(turn.db, key)?;
            return self.refused(turn, &conversation, queued, rejected.code);
        }
        // What was accepted once is given back to a restored node when the peer has said again who is welcome.
        let is_given_back = entry.is_some_and(|row| row.reclaim.is_some());
        // A restored node may have forgotten that this device is linked: it is told again. After a reset of the identity it waits for
        // somebody who links it.
        let may_be_linked = rejected.code == ErrorCode::NotLinked;
        if rejected.code.is_retryable()
            || may_be_linked
            || (rejected.code == ErrorCode::RequestPending && is_given_back)
        {
            let pause = FIRST_PAUSE_MS.saturating_mul(1 << lane.failures.min(12)).min(LAST_PAUSE_MS);
            lane.failures += 1;
            lane.not_before = Some(turn.now.plus_millis(pause.max(asked)));
            lane.queued.insert(queued);
            return Ok(());
        }
        let conversation = ConversationRow::get(turn.db, key)?;
        self.refused(turn, &conversation, queued, rejected.code)
    }

    /// A message is given up.
    fn refused(
        &mut self,
        turn: &mut Turn<'_>,
        conversation: &ConversationRow,
        queued: Queued,
        code: ErrorCode,
    ) -> Result<(), StoreError> {
        let Some(row) = OutboxRow::get(turn.db, queued.entry)? else { return Ok(()) };
        let message = MessageRow::get(turn.db, row.message)?;
        OutboxRow::remove(turn.db, queued.entry)?;
        self.was_not_said(turn, conversation, queued.entry, &row, &message)?;
        if row.first_sent_at.is_some() && row.only_device.is_none() {
            AccountRow::uncount_sent(turn.db)?;
        }
        if let (ErrorCode::AccountDeleted, Some(peer)) = (code, conversation.peer) {
            self.account_deleted(turn, peer)?;
        }
        if message.deleted {
            return self.said_to_nobody(turn, &message, row.only_device.is_some(), code);
        }
        fail(turn, conversation, &message, Failure::Refused(code))
    }

    /// Nothing can be said to the peer: what was to be said first is given up, unless it is only given back to a restored node
    /// and the peer may still say again who is welcome.
    pub(super) fn fail_first(
        &mut self,
        turn: &mut Turn<'_>,
        conversation: &ConversationRow,
        code: ErrorCode,
    ) -> Result<(), StoreError> {
        let lane = self.outbox.lanes.get(&conversation.key);
        let Some(first) = lane.and_then(|lane| lane.queued.first().copied()) else { return Ok(()) };
        if code == ErrorCode::RequestPending && first.reclaim != u64::MAX {
            return Ok(());
        }
        self.outbox.end_hold(conversation.key);
        self.outbox.forget(conversation.key, first);
        self.refused(turn, conversation, first, code)
    }
}

impl Outbox {
    /// A pause that is over must not ask to be woken again.
    fn end_pause(&mut self, conversation: ConversationKey, now: Timestamp) {
        if let Some(lane) = self.lanes.get_mut(&conversation) {
            lane.not_before = lane.not_before.filter(|&at| at > now);
        }
    }

    /// The next entry of a lane that may be sent now.
    fn next(&self, conversation: ConversationKey) -> Option<Queued> {
        let lane = self.lanes.get(&conversation)?;
        let waits = lane.not_before.is_some() || (lane.restart && !lane.unanswered.is_empty());
        if waits { None } else { lane.queued.first().copied() }
    }
}

/// A message that this device has as failed is at the node.
pub(super) fn taken_after_all(
    turn: &mut Turn<'_>,
    conversation: &ConversationRow,
    message: &MessageRow,
    seq: Seq,
    at: Timestamp,
    revision: u64,
) -> Result<(), StoreError> {
    store::fill_gap(turn.db, conversation, seq)?;
    message.set_accepted(turn.db, seq, at, revision)?;
    store::apply_early_receipts(turn.db, conversation.key, seq)?;
    conversation.raise_head(turn.db, seq)?;
    turn.reread(conversation);
    turn.arranged(conversation);
    Ok(())
}

/// The message stays where it failed. One that an earlier era had accepted stays accepted; who had not got it then does not
/// get it any more, and that is told.
fn fail(
    turn: &mut Turn<'_>,
    conversation: &ConversationRow,
    message: &MessageRow,
    failure: Failure,
) -> Result<(), StoreError> {
    if message.state != MessageState::Accepted {
        message.set_failed(turn.db, conversation.head, failure)?;
        turn.arranged(conversation);
        return Ok(());
    }
    if let (Some(seq), Some(peer)) = (message.seq, conversation.peer) {
        let mark =
            ReceiptMark { user: peer, rank: Rank::Undelivered, reason: Some(Undelivered::Refused), at: turn.now };
        if store::apply_receipt(turn.db, conversation.key, SeqRange::one(seq), &mark, false)? > 0 {
            turn.changed(conversation.id);
        }
    }
    Ok(())
}
