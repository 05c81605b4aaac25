//! Read marks on their way to the node: one a conversation, repeated until the node has it.

use std::collections::BTreeMap;

use chasqui_wire::{Accepted, ClientFrame, ErrorCode, MessageId, Read, Rejected, Seq, SeqRange, SeqRanges, Timestamp};

use super::{Engine, SocketId, Turn};
use crate::ordered;
use crate::store::{self, ConversationKey, ConversationRow, ReadOutboxRow, StoreError};

/// Each pause is twice as long as the one before.
const FIRST_PAUSE_MS: u64 = 1_000;
const LAST_PAUSE_MS: u64 = 5 * 60_000;
/// The same, where the node does not know the conversation: a restored one may not, until somebody gives it back.
const FIRST_UNKNOWN_PAUSE_MS: u64 = 60_000;
const LAST_UNKNOWN_PAUSE_MS: u64 = 60 * 60_000;

/// What is under way on this socket, and what waits for another try.
#[derive(Debug, Default)]
pub(super) struct Reads {
    pub(super) wanted: bool,
    unanswered: BTreeMap<MessageId, SentRead>,
    /// A list: there are hardly ever any.
    refused: Vec<Refused>,
}

/// A read mark under way.
#[derive(Debug)]
struct SentRead {
    row: ReadOutboxRow,
    /// Set when one frame could not tell it all: what lies above is still to be told.
    told: Option<Seq>,
    /// Set when the authors were not to be told: that is still to be done.
    is_withheld: bool,
}

/// A conversation whose read mark the node would not take.
#[derive(Debug)]
struct Refused {
    conversation: ConversationKey,
    times: u32,
    not_before: Option<Timestamp>,
}

impl Reads {
    pub(super) fn socket_gone(&mut self) {
        *self = Self { wanted: true, ..Self::default() };
    }

    pub(super) fn in_flight(&self) -> usize {
        self.unanswered.len()
    }

    pub(super) fn wake_at(&self) -> Option<Timestamp> {
        self.pauses().min()
    }

    pub(super) fn clock_went_back(&mut self, millis: u64) {
        for at in self.refused.iter_mut().filter_map(|refused| refused.not_before.as_mut()) {
            at.0 = at.0.saturating_sub_unsigned(millis);
        }
    }

    fn pauses(&self) -> impl Iterator<Item = Timestamp> {
        self.refused.iter().filter_map(|refused| refused.not_before)
    }

    /// Pauses that are over by now must not ask to be woken again. Says whether there were some.
    fn end_pauses(&mut self, now: Timestamp) -> bool {
        let are_over = self.pauses().any(|at| at <= now);
        for refused in &mut self.refused {
            refused.not_before = refused.not_before.filter(|&at| at > now);
        }
        are_over
    }

    fn hold(&mut self, conversation: ConversationKey, now: Timestamp, is_unknown: bool, at_least_ms: u64) {
        let (first, last) = match is_unknown {
            true => (FIRST_UNKNOWN_PAUSE_MS, LAST_UNKNOWN_PAUSE_MS),
            false => (FIRST_PAUSE_MS, LAST_PAUSE_MS),
        };
        let before = self.refused.iter().position(|refused| refused.conversation == conversation);
        let times = before.map_or(0, |at| self.refused.swap_remove(at).times);
        let pause = first.saturating_mul(1 << times.min(12)).min(last);
        let not_before = Some(now.plus_millis(pause.max(at_least_ms.min(last))));
        self.refused.push(Refused { conversation, times: times + 1, not_before });
    }
}

impl Engine {
    pub(super) fn send_reads(&mut self, turn: &mut Turn<'_>, socket: SocketId, room: usize) -> Result<(), StoreError> {
        let Some(identity) = &self.account else { return Ok(()) };
        let reads = &mut self.outbox.reads;
        let is_time = reads.end_pauses(turn.now);
        if !std::mem::take(&mut reads.wanted) && !is_time {
            return Ok(());
        }
        let under_way = reads.unanswered.values().map(|sent| sent.row.conversation);
        let waiting =
            reads.refused.iter().filter(|refused| refused.not_before.is_some()).map(|refused| refused.conversation);
        let skipped = ordered::set(under_way.chain(waiting));
        for row in ReadOutboxRow::all(turn.db)?.into_iter().filter(|row| !skipped.contains(&row.conversation)) {
            if self.outbox.in_flight() >= room {
                self.outbox.reads.wanted = true;
                break;
            }
            let conversation = ConversationRow::get(turn.db, row.conversation)?;
            let is_withheld = self.withholds_reading(turn, &conversation)?;
            let shown = match is_withheld {
                true => Vec::new(),
                false => store::readable(turn.db, row.conversation, row.since, row.up_to)?,
            };
            let authors = ordered::set(shown.iter().map(|&(_, author)| author));
            // The oldest runs first; in a chat in which both write in turn, every message is a run.
            let all = SeqRanges::of(shown.into_iter().map(|(seq, _)| seq));
            let ranges = all.clone().oldest(SeqRanges::MAX);
            let told = ranges.iter().last().map(SeqRange::last).filter(|_| ranges != all);
            let mut read = Read {
                id: self.outbox.next_id(),
                conversation: conversation.id,
                up_to: row.up_to,
                ranges,
                authors: authors.into_iter().take(Read::MAX_AUTHORS).collect(),
                at: row.at,
                signature: [0; 64],
            };
            read.signature = identity.sign_read(&read);
            self.outbox.reads.unanswered.insert(read.id, SentRead { row, told, is_withheld });
            turn.outputs.push(super::Output::Transmit(socket, ClientFrame::Read(read).encode()));
        }
        Ok(())
    }

    /// Says whether the answer was to a read mark.
    pub(super) fn read_accepted(&mut self, turn: &mut Turn<'_>, accepted: &Accepted) -> Result<bool, StoreError> {
        let reads = &mut self.outbox.reads;
        let Some(SentRead { row, told, is_withheld }) = reads.unanswered.remove(&accepted.message) else {
            return Ok(false);
        };
        reads.wanted = true;
        reads.refused.retain(|refused| refused.conversation != row.conversation);
        let conversation = ConversationRow::get(turn.db, row.conversation)?;
        if is_withheld {
            row.settle(turn.db)?;
            conversation.set_read_revision(turn.db, accepted.revision)?;
            return Ok(true);
        }
        match told {
            Some(told) => row.tell_rest(turn.db, told)?,
            None => row.settle(turn.db)?,
        }
        conversation.set_read_reported(turn.db, told.unwrap_or(row.up_to), accepted.revision)?;
        Ok(true)
    }

    /// As [`Self::read_accepted`].
    pub(super) fn read_rejected(&mut self, turn: &mut Turn<'_>, rejected: &Rejected) -> Result<bool, StoreError> {
        let Some(SentRead { row, .. }) = self.outbox.reads.unanswered.remove(&rejected.message) else {
            return Ok(false);
        };
        let is_unknown = rejected.code == ErrorCode::NotFound;
        if is_unknown || rejected.code.is_retryable() {
            let asked = u64::from(rejected.retry_after_ms);
            self.outbox.reads.hold(row.conversation, turn.now, is_unknown, asked);
        } else {
            tracing::warn!(code = %rejected.code, "the node refused a read mark");
            row.settle(turn.db)?;
        }
        Ok(true)
    }
}
