//! Message requests: what a stranger wrote waits for the user's word, which goes to the node like everything else: it is
//! durable here first, and repeated until the node has it.
//!
//! The node says whether something is a request. What this device said itself counts for more, until the node has heard of it.

use std::collections::BTreeMap;

use chasqui_wire::{
    Accepted, AckOutcome, Admission, Admit, ClientFrame, ConversationId, Envelope, MessageId, Rejected, Seq, Timestamp,
    Verdict,
};

use super::{Engine, Reply, SocketId, Turn};
use crate::error::Error;
use crate::planted::{PlantedBug, planted};
use crate::store::{AdmissionRow, ConversationKey, ConversationRow, ReadOutboxRow, Request, StoreError};

const FIRST_PAUSE_MS: u64 = 1_000;
const LAST_PAUSE_MS: u64 = 5 * 60_000;

/// What is under way to the node.
#[derive(Debug, Default)]
pub(super) struct Admissions {
    pub(super) wanted: bool,
    unanswered: BTreeMap<MessageId, AdmissionRow>,
    not_before: Option<Timestamp>,
}

impl Admissions {
    pub(super) fn socket_gone(&mut self) {
        *self = Self { wanted: true, ..Self::default() };
    }

    pub(super) fn in_flight(&self) -> usize {
        self.unanswered.len()
    }

    pub(super) fn wake_at(&self) -> Option<Timestamp> {
        self.not_before
    }
}

impl Engine {
    pub(super) fn accept_request(
        &mut self,
        turn: &mut Turn<'_>,
        conversation: ConversationId,
    ) -> Result<Result<Reply, Error>, StoreError> {
        let Some(row) = ConversationRow::find(turn.db, conversation)? else {
            return Ok(Err(Error::NotFound { what: "conversation" }));
        };
        if row.request != Request::No {
            self.accept_here(turn, &row)?;
        }
        Ok(Ok(Reply::Done))
    }

    pub(super) fn decline_request(
        &mut self,
        turn: &mut Turn<'_>,
        conversation: ConversationId,
        block: bool,
    ) -> Result<Result<Reply, Error>, StoreError> {
        let Some(row) = ConversationRow::find(turn.db, conversation)? else {
            return Ok(Err(Error::NotFound { what: "conversation" }));
        };
        if row.request == Request::No {
            return Ok(Err(Error::Invalid { detail: "the conversation is no request".into() }));
        }
        let verdict = if block { Verdict::Block } else { Verdict::Decline };
        refuse(turn, &row, verdict, row.head, true)?;
        self.say(turn, &row, verdict)?;
        Ok(Ok(Reply::Done))
    }

    /// The user accepts, or answers, which is the same.
    pub(super) fn accept_here(&mut self, turn: &mut Turn<'_>, row: &ConversationRow) -> Result<(), StoreError> {
        row.key.set_request(turn.db, Request::No)?;
        turn.reread(row);
        self.recovery.look();
        self.say(turn, row, Verdict::Accept)
    }

    fn say(&mut self, turn: &Turn<'_>, row: &ConversationRow, verdict: Verdict) -> Result<(), StoreError> {
        AdmissionRow { conversation: row.key, verdict, up_to: row.head, waits: true }.put(turn.db)?;
        self.outbox.admissions.wanted = true;
        Ok(())
    }

    /// A new message says where the conversation stands with the node.
    pub(super) fn note_request(
        &mut self,
        turn: &mut Turn<'_>,
        row: &ConversationRow,
        envelope: &Envelope,
        is_incoming: bool,
    ) -> Result<(), StoreError> {
        let is_request = is_incoming && envelope.request;
        if !is_request && row.request == Request::No {
            return Ok(());
        }
        let said = AdmissionRow::get(turn.db, row.key)?.map(|said| said.verdict);
        let request = request_after(said, is_incoming, is_request);
        if request == row.request {
            return Ok(());
        }
        row.key.set_request(turn.db, request)?;
        turn.reread(row);
        // Another device of the user has answered.
        if request == Request::No { self.tell_withheld_reading(turn, row.key) } else { Ok(()) }
    }

    /// The node took a message of the user's, so the peer is welcome, as the other devices learn from the message. It may
    /// have been written before the request arrived.
    pub(super) fn note_answered(&mut self, turn: &mut Turn<'_>, row: &ConversationRow) -> Result<(), StoreError> {
        if row.request != Request::Asked {
            return Ok(());
        }
        row.key.set_request(turn.db, Request::No)?;
        turn.reread(row);
        self.tell_withheld_reading(turn, row.key)
    }

    /// Another device of this user has answered, or the node says how it stands after all.
    pub(super) fn admission(&mut self, turn: &mut Turn<'_>, said: &Admission) -> Result<AckOutcome, StoreError> {
        let Some(row) = ConversationRow::find(turn.db, said.conversation)? else { return Ok(AckOutcome::Stored) };
        let Admission { verdict, up_to, .. } = *said;
        // What was said here, and the node has not heard of, comes later, and counts. But of two devices, the one that
        // declines is not heard any more when the other has accepted.
        let own = AdmissionRow::get(turn.db, row.key)?.filter(|own| own.waits);
        if own.is_some_and(|own| own.verdict != Verdict::Decline) || planted(PlantedBug::AdmissionIgnored) {
            return Ok(AckOutcome::Stored);
        }
        match verdict {
            Verdict::Accept => row.key.set_request(turn.db, Request::No)?,
            Verdict::Decline | Verdict::Block => {
                // It is the node that says so: of a conversation in which the user has written, too, nothing is deleted on its word.
                let deletes = !row.key.has_own_message(turn.db)?;
                refuse(turn, &row, verdict, up_to, deletes)?;
            }
        }
        turn.reread(&row);
        self.recovery.look();
        AdmissionRow { conversation: row.key, verdict, up_to, waits: false }.put(turn.db)?;
        if verdict == Verdict::Accept {
            self.tell_withheld_reading(turn, row.key)?;
        }
        Ok(AckOutcome::Stored)
    }

    /// Whether authors are not told what is read: the node has not heard that they are welcome.
    pub(super) fn withholds_reading(&self, turn: &Turn<'_>, row: &ConversationRow) -> Result<bool, StoreError> {
        Ok(row.request != Request::No || AdmissionRow::get(turn.db, row.key)?.is_some_and(|said| said.waits))
    }

    /// What was read meanwhile can be told now.
    fn tell_withheld_reading(&mut self, turn: &Turn<'_>, key: ConversationKey) -> Result<(), StoreError> {
        // And what could not be read can be asked for.
        self.recovery.look();
        let row = ConversationRow::get(turn.db, key)?;
        if let Some(up_to) = row.read_up_to.filter(|_| row.read_up_to > row.read_reported) {
            ReadOutboxRow::put(turn.db, key, up_to, row.read_reported, turn.now)?;
            self.outbox.queue_read();
        }
        Ok(())
    }

    /// Before messages and read marks: what follows an acceptance finds it done.
    pub(super) fn send_admissions(
        &mut self,
        turn: &mut Turn<'_>,
        socket: SocketId,
        room: usize,
    ) -> Result<(), StoreError> {
        let admissions = &mut self.outbox.admissions;
        if admissions.not_before.is_some_and(|at| turn.now < at) {
            return Ok(());
        }
        if admissions.not_before.take().is_none() && !admissions.wanted {
            return Ok(());
        }
        self.outbox.admissions.wanted = false;
        for row in AdmissionRow::waiting(turn.db)? {
            if self.outbox.admissions.unanswered.values().any(|sent| *sent == row) {
                continue;
            }
            if self.outbox.in_flight() >= room {
                self.outbox.admissions.wanted = true;
                break;
            }
            let conversation = ConversationRow::get(turn.db, row.conversation)?;
            let Some(peer) = conversation.peer else { continue };
            let (id, protection) = (self.outbox.next_id(), conversation.protection);
            let admit = Admit { id, peer, protection, verdict: row.verdict, up_to: row.up_to };
            self.outbox.admissions.unanswered.insert(id, row);
            turn.transmit(socket, &ClientFrame::Admit(admit));
        }
        Ok(())
    }

    /// Says whether the answer was to a word on a request.
    pub(super) fn admission_accepted(&mut self, turn: &Turn<'_>, accepted: &Accepted) -> Result<bool, StoreError> {
        let Some(row) = self.outbox.admissions.unanswered.remove(&accepted.message) else { return Ok(false) };
        row.settle(turn.db, accepted.revision)?;
        self.outbox.admissions.wanted = true;
        if row.verdict == Verdict::Accept {
            self.tell_withheld_reading(turn, row.conversation)?;
        }
        Ok(true)
    }

    /// As [`Self::admission_accepted`].
    pub(super) fn admission_rejected(&mut self, turn: &Turn<'_>, rejected: &Rejected) -> Result<bool, StoreError> {
        let Some(row) = self.outbox.admissions.unanswered.remove(&rejected.message) else { return Ok(false) };
        if rejected.code.is_retryable() {
            let pause = u64::from(rejected.retry_after_ms).clamp(FIRST_PAUSE_MS, LAST_PAUSE_MS);
            self.outbox.admissions.not_before = Some(turn.now.plus_millis(pause));
        } else {
            tracing::warn!(code = %rejected.code, "the node refused a word on a request");
            row.settle(turn.db, 0)?;
        }
        Ok(true)
    }
}

/// Where a conversation stands after a new message, by what the user said and what the node says of the message.
pub(super) fn request_after(said: Option<Verdict>, is_incoming: bool, is_request: bool) -> Request {
    match said {
        // On its way to the node, or the message was written before.
        Some(Verdict::Accept) => Request::No,
        Some(Verdict::Block) if is_incoming => Request::Refused,
        Some(Verdict::Block | Verdict::Decline) | None if is_request => Request::Asked,
        Some(Verdict::Block | Verdict::Decline) | None => Request::No,
    }
}

/// Deletes what the stranger wrote up to there. The conversation goes from the list, unless more was written since to somebody
/// who only declined.
fn refuse(
    turn: &mut Turn<'_>,
    row: &ConversationRow,
    verdict: Verdict,
    up_to: Option<Seq>,
    deletes: bool,
) -> Result<(), StoreError> {
    if let Some(up_to) = up_to.filter(|_| deletes) {
        for change in row.key.delete_up_to(turn.db, up_to)? {
            turn.index(change);
        }
    }
    if verdict == Verdict::Block || row.head <= up_to {
        row.key.set_request(turn.db, Request::Refused)?;
    }
    turn.reread(row);
    turn.arranged(row);
    Ok(())
}
