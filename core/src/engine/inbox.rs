//! Receiving: an entry is acknowledged only with the transaction that stored it.
//!
//! An entry that cannot be processed does not harm its neighbours: they are stored, each by itself. It is left
//! unacknowledged and the socket is opened anew, so that it comes again; after three failures it is kept as it came and
//! acknowledged as unreadable.

use bytes::Bytes;
use chasqui_wire::{
    Ack, AckItem, AckOutcome, Content, ContentKind, ConversationId, ConversationKind, Deliver, Entry, EntryKind,
    Envelope, Protection, Seq, SeqRanges, Timestamp, UserId, direct_conversation,
};

use super::outbox::taken_after_all;
use super::{Engine, Turn, encrypted};
use crate::planted::{PlantedBug, planted};
use crate::store::{
    self, AccountRow, ConversationHead, ConversationRow, IndexChange, MAX_FAILURES, MessageKind, MessageRow,
    MessageState, NewMessage, Place, ReadOutboxRow, StoreError,
};

/// What is kept of a message that could not be opened: not what the node says it is. It is not empty, as what a history brings is.
pub(super) const NOT_OPENED: &[u8] = &[0];

/// How an entry is acknowledged.
pub(super) struct Dealt {
    pub(super) outcome: AckOutcome,
    /// Of a hole: what is held of it all the same.
    pub(super) held: SeqRanges,
}

impl From<AckOutcome> for Dealt {
    fn from(outcome: AckOutcome) -> Self {
        Self { outcome, held: SeqRanges::default() }
    }
}

impl Turn<'_> {
    fn acknowledge(&mut self, number: u64, Dealt { outcome, held }: Dealt) {
        let item = AckItem { number, outcome };
        if held.is_empty() {
            self.acks.push(item);
        } else {
            self.hole_acks.push(Ack { items: vec![item], held });
        }
    }
}

impl Engine {
    pub(super) fn deliver(&mut self, turn: &mut Turn<'_>, deliver: Deliver) -> Result<(), StoreError> {
        let mut conversations = deliver.entries.iter().filter_map(|entry| conversation_of(&entry.kind));
        if conversations.any(|conversation| self.groups.is_held_up(conversation)) {
            self.deliver_one_by_one(turn, deliver.entries)?;
        } else {
            self.deliver_together(turn, deliver)?;
        }
        // In the transaction after which they are acknowledged: the node takes whoever knows less for a copy.
        let holes = turn.hole_acks.iter().flat_map(|ack| &ack.items);
        if let Some(highest) = turn.acks.iter().chain(holes).map(|item| item.number).max() {
            AccountRow::raise_stored_up_to(turn.db, highest)?;
        }
        Ok(())
    }

    fn deliver_together(&mut self, turn: &mut Turn<'_>, deliver: Deliver) -> Result<(), StoreError> {
        // All in one savepoint first: for each one SQLite copies the pages that change in it. What a failed attempt leaves
        // in memory are reminders to look, and they do no harm.
        let together = turn.in_savepoint(|turn| {
            let outcomes = deliver.entries.iter().map(|entry| self.entry(turn, &entry.kind));
            outcomes.collect::<Result<Vec<Option<Dealt>>, StoreError>>()
        });
        match together {
            Ok(outcomes) => {
                for (entry, dealt) in deliver.entries.iter().zip(outcomes) {
                    if let Some(dealt) = dealt {
                        turn.acknowledge(entry.number, dealt);
                    }
                }
                Ok(())
            }
            Err(error) if error.is_systemic() && !planted(PlantedBug::FullDiskIsPoison) => Err(error),
            Err(_) => self.deliver_one_by_one(turn, deliver.entries),
        }
    }

    fn deliver_one_by_one(&mut self, turn: &mut Turn<'_>, entries: Vec<Entry>) -> Result<(), StoreError> {
        let mut failed = false;
        for entry in entries {
            let number = entry.number;
            let conversation = conversation_of(&entry.kind);
            if conversation.is_some_and(|conversation| self.groups.is_held_up(conversation)) {
                continue;
            }
            let is_encrypted = matches!(&entry.kind, EntryKind::Envelope(it) if it.protection == Protection::EndToEnd);
            match turn.in_savepoint(|turn| self.entry(turn, &entry.kind)) {
                Ok(Some(dealt)) => turn.acknowledge(number, dealt),
                Ok(None) => {}
                Err(error) if error.is_systemic() && !planted(PlantedBug::FullDiskIsPoison) => return Err(error),
                Err(error) => {
                    let failures = self.count_failure(turn, entry)?;
                    tracing::error!(%error, failures, "an entry could not be processed");
                    if failures >= MAX_FAILURES {
                        // Nobody kept it back.
                        store::note_lost(turn.db, conversation)?;
                        turn.acks.push(AckItem { number, outcome: AckOutcome::Unreadable });
                    } else if planted(PlantedBug::AckFailedEntry) {
                        turn.acks.push(AckItem { number, outcome: AckOutcome::Stored });
                    } else {
                        failed = true;
                        if is_encrypted {
                            // What comes later would take the keys along.
                            self.groups.hold_up(conversation);
                        }
                    }
                }
            }
        }
        if failed {
            // The neighbours' acknowledgements leave first; then the socket is opened anew to get the entry again.
            self.recycle_socket = true;
        }
        Ok(())
    }

    fn count_failure(&self, turn: &Turn<'_>, entry: Entry) -> Result<u32, StoreError> {
        // Without its number, so that the same mail has the same digest on every socket.
        let entry = entry.kind.encode();
        let digest = ring::digest::digest(&ring::digest::SHA256, &entry);
        let failures = store::count_poison(turn.db, digest.as_ref())?;
        if failures >= MAX_FAILURES {
            store::keep_poison(turn.db, digest.as_ref(), &entry)?;
        }
        Ok(failures)
    }

    /// `None`: it is not dealt with on this socket, and comes again.
    fn entry(&mut self, turn: &mut Turn<'_>, kind: &EntryKind) -> Result<Option<Dealt>, StoreError> {
        if conversation_of(kind).is_some_and(|conversation| self.groups.is_held_up(conversation)) {
            return Ok(None);
        }
        let outcome = match kind {
            EntryKind::Envelope(envelope) => {
                return Ok(self.envelope(turn, envelope)?.map(Dealt::from));
            }
            EntryKind::Gap(gap) => self.gap(turn, gap),
            EntryKind::Hole(hole) => return self.hole(turn, hole).map(Some),
            EntryKind::Absence(absence) => self.absence(turn, absence),
            EntryKind::Receipt(receipt) => self.receipt(turn, receipt),
            EntryKind::Read(notice) => self.read_notice(turn, notice),
            EntryKind::Admission(said) => self.admission(turn, said),
            EntryKind::Unknown => Ok(AckOutcome::Unreadable),
        };
        outcome.map(Dealt::from).map(Some)
    }

    fn envelope(&mut self, turn: &mut Turn<'_>, envelope: &Envelope) -> Result<Option<AckOutcome>, StoreError> {
        let Some(own_user) = self.account.as_ref().map(|account| account.user) else {
            return Ok(Some(AckOutcome::Unreadable));
        };
        let Some(head) = direct_head(
            own_user,
            envelope.conversation,
            envelope.kind,
            envelope.protection,
            envelope.sender_user,
            envelope.peer,
        ) else {
            tracing::warn!("an envelope does not belong to its conversation");
            return Ok(Some(AckOutcome::Unreadable));
        };
        if store::is_dealt_with(turn.db, envelope.message)? {
            return self.outcome_of_repeat(turn, envelope).map(Some);
        }
        if let Some(message) = envelope.resend_of {
            let conversation = self.conversation_of_devices(turn, &head)?;
            return self.resend(turn, envelope, message, head.peer, &conversation).map(Some);
        }
        let is_encrypted = envelope.protection == Protection::EndToEnd;
        if is_encrypted
            && envelope.commit.is_none()
            && let Some(row) = MessageRow::find(turn.db, envelope.message)?
        {
            let conversation = self.conversation_of_devices(turn, &head)?;
            if !self.makes_way(turn, &row, &conversation, envelope)? {
                if row.kind.is_missed() && !row.deleted {
                    return self.read_again(turn, envelope, &conversation);
                }
                // A message that is here already took its keys with it. So what comes under its name now cannot be read, and whatever it
                // seems to say nobody has sealed.
                return redelivered(turn, &conversation, envelope).map(Some);
            }
        }
        let body = if is_encrypted {
            match self.read_encrypted(turn, envelope, head.peer)? {
                encrypted::Read::Content(body) => Some(body),
                encrypted::Read::Unreadable => None,
                encrypted::Read::Dealt(outcome) => return Ok(Some(outcome)),
                encrypted::Read::Later => return Ok(None),
            }
        } else {
            Some(envelope.body.clone())
        };
        if body.is_none() && !envelope.urgent {
            // What wakes nobody is said by a device to devices, and a word that is not understood is not asked for: or two that do
            // not understand each other would never stop asking.
            store::note_dealt_with(turn.db, envelope.message)?;
            store::note_group_change(turn.db, envelope.conversation, envelope.seq)?;
            if let Some(row) = ConversationRow::find(turn.db, envelope.conversation)? {
                row.raise_head(turn.db, envelope.seq)?;
            }
            if self.is_own_device(envelope) {
                self.catch_up_in_time(turn)?;
            }
            return Ok(Some(AckOutcome::Unreadable));
        }
        let content = body.as_ref().and_then(|body| Content::decode(body.clone(), envelope.message).ok());
        if let Some(content) = content.as_ref().filter(|content| content.kind.is_for_devices()) {
            let conversation = self.conversation_of_devices(turn, &head)?;
            self.said_to_devices(turn, &conversation, envelope, &content.kind)?;
            store::note_dealt_with(turn.db, envelope.message)?;
            store::note_group_change(turn.db, conversation.id, envelope.seq)?;
            conversation.raise_head(turn.db, envelope.seq)?;
            return Ok(Some(AckOutcome::Stored));
        }
        match body {
            Some(body) => {
                let conversation = self.conversation(turn, &head)?;
                // What its author said no better would say no better if it was asked for.
                let content = content.ok_or(MessageKind::Unreadable);
                self.store(turn, &conversation, envelope, body, content).map(Some)
            }
            None => {
                let conversation = self.conversation_of_devices(turn, &head)?;
                let nothing = Bytes::from_static(NOT_OPENED);
                self.store(turn, &conversation, envelope, nothing, Err(MessageKind::Awaited)).map(Some)
            }
        }
    }

    /// What could not be read when it came first comes again, perhaps after what it takes to read it.
    fn read_again(
        &mut self,
        turn: &mut Turn<'_>,
        envelope: &Envelope,
        conversation: &ConversationRow,
    ) -> Result<Option<AckOutcome>, StoreError> {
        let body = match self.read_encrypted(turn, envelope, conversation.peer)? {
            encrypted::Read::Content(body) => Some(body),
            encrypted::Read::Unreadable => None,
            encrypted::Read::Dealt(outcome) => return Ok(Some(outcome)),
            encrypted::Read::Later => return Ok(None),
        };
        if let Some(body) = body
            && let Ok(content) = Content::decode(body.clone(), envelope.message)
        {
            self.take_again(turn, envelope, conversation, &content, &body)?;
        }
        redelivered(turn, conversation, envelope).map(Some)
    }

    /// What nobody is shown.
    fn said_to_devices(
        &mut self,
        turn: &mut Turn<'_>,
        conversation: &ConversationRow,
        envelope: &Envelope,
        said: &ContentKind,
    ) -> Result<(), StoreError> {
        match said {
            ContentKind::ResendRequest(messages) if envelope.protection == Protection::EndToEnd => {
                self.answer_resend_request(turn, conversation, envelope, messages)
            }
            ContentKind::Linking(linking) => self.hear_of_linking(turn, envelope, linking),
            ContentKind::HistoryRequest(request) => self.answer_history_request(turn, conversation, envelope, request),
            ContentKind::HistoryPiece(piece) => self.hear_history(turn, envelope, piece),
            ContentKind::Comparison(comparison) => self.hear_comparison(turn, envelope, comparison),
            _ => Ok(()),
        }
    }

    /// Puts a message in its place: what it says, or that it cannot be read.
    pub(super) fn store(
        &mut self,
        turn: &mut Turn<'_>,
        conversation: &ConversationRow,
        envelope: &Envelope,
        body: Bytes,
        content: Result<Content, MessageKind>,
    ) -> Result<AckOutcome, StoreError> {
        let Some(own_user) = self.account.as_ref().map(|account| account.user) else {
            return Ok(AckOutcome::Unreadable);
        };
        let (kind, created_at, outcome) = match &content {
            Ok(content) => (MessageKind::Content, content.created_at, AckOutcome::Stored),
            // The record from which recovery starts, where there is somebody to ask.
            Err(kind) => (*kind, envelope.accepted_at, AckOutcome::Unreadable),
        };
        let new = NewMessage {
            id: envelope.message,
            place: Place::At(envelope.seq),
            sender: envelope.sender_user,
            sender_device: envelope.sender_device,
            incoming: envelope.sender_user != own_user,
            kind,
            created_at,
            accepted_at: Some(envelope.accepted_at),
            body,
        };
        let mut inserted = MessageRow::insert(turn.db, conversation, &new)?;
        if inserted.is_none()
            && let Some(row) = MessageRow::find(turn.db, envelope.message)?
            && self.makes_way(turn, &row, conversation, envelope)?
        {
            inserted = MessageRow::insert(turn.db, conversation, &new)?;
        }
        let Some(key) = inserted else { return redelivered(turn, conversation, envelope) };
        // What lies above the head was never missing.
        if conversation.head >= Some(envelope.seq) {
            store::fill_gap(turn.db, conversation, envelope.seq)?;
        }
        if let Ok(Content { kind: ContentKind::Text(text), .. }) = &content {
            turn.index(IndexChange::add(key, text));
        }
        self.note_request(turn, conversation, envelope, new.incoming)?;
        if kind == MessageKind::Awaited {
            self.miss(turn, key)?;
            conversation.raise_head(turn.db, envelope.seq)?;
            if envelope.request {
                // Of a stranger nothing is asked before being accepted.
                conversation.show(turn.db)?;
            }
            turn.changed(conversation.id);
            return Ok(outcome);
        }
        if let Ok(content) = &content {
            self.miss_previous(turn, conversation, envelope, content)?;
        }
        conversation.add(turn.db, envelope.seq, new.incoming)?;
        conversation.show(turn.db)?;
        if new.incoming {
            self.writers.wrote(conversation.id, envelope.sender_user);
            self.tell_author_of_straggler(turn, conversation, envelope.seq)?;
        }
        turn.arranged(conversation);
        Ok(outcome)
    }

    /// A straggler below the read mark counts as read, so its author is told so.
    pub(super) fn tell_author_of_straggler(
        &mut self,
        turn: &Turn<'_>,
        conversation: &ConversationRow,
        seq: Seq,
    ) -> Result<(), StoreError> {
        if let Some(read) = conversation.read_up_to.filter(|&read| seq <= read) {
            self.outbox.queue_read();
            ReadOutboxRow::put(turn.db, conversation.key, read, seq.before(), turn.now)?;
        }
        Ok(())
    }

    /// The conversation, made if it is new here: then it is in no list as long as nobody says anything in it.
    pub(super) fn conversation_of_devices(
        &mut self,
        turn: &Turn<'_>,
        head: &ConversationHead,
    ) -> Result<ConversationRow, StoreError> {
        if let Some(known) = ConversationRow::find(turn.db, head.id)? {
            return Ok(known);
        }
        let conversation = self.conversation(turn, head)?;
        conversation.hide(turn.db)?;
        Ok(ConversationRow { hidden: true, ..conversation })
    }

    /// The conversation, made if it is new here; then there is somebody to know the name of.
    pub(super) fn conversation(
        &mut self,
        turn: &Turn<'_>,
        head: &ConversationHead,
    ) -> Result<ConversationRow, StoreError> {
        if let Some(known) = ConversationRow::find(turn.db, head.id)? {
            return Ok(known);
        }
        if let Some(peer) = head.peer
            && store::mention_user(turn.db, peer)?
        {
            self.names_wanted = true;
        }
        ConversationRow::ensure(turn.db, head, turn.now)
    }
}

/// What an entry is about.
fn conversation_of(kind: &EntryKind) -> Option<ConversationId> {
    match kind {
        EntryKind::Envelope(envelope) => Some(envelope.conversation),
        EntryKind::Receipt(receipt) => Some(receipt.conversation),
        EntryKind::Read(notice) => Some(notice.read.conversation),
        EntryKind::Gap(gap) => Some(gap.conversation),
        EntryKind::Hole(hole) => Some(hole.conversation),
        EntryKind::Admission(said) => Some(said.conversation),
        EntryKind::Absence(_) | EntryKind::Unknown => None,
    }
}

/// What arrives again is recognised by its id. A restored node may have given it another position.
fn redelivered(
    turn: &mut Turn<'_>,
    conversation: &ConversationRow,
    envelope: &Envelope,
) -> Result<AckOutcome, StoreError> {
    let known = MessageRow::find(turn.db, envelope.message)?;
    let known = known.ok_or(StoreError::Corrupt("a message that is there and is not"))?;
    // Own messages may have been sent by the device that this one was before it logged in anew.
    let is_same_author = if conversation.peer == Some(known.sender) {
        known.sender_device == Some(envelope.sender_device)
    } else {
        known.sender == envelope.sender_user
    };
    if !is_same_author || known.conversation != conversation.key {
        tracing::warn!("a message id was used twice");
        return Ok(AckOutcome::Unreadable);
    }
    if known.state == MessageState::Failed {
        // Refused here, and sent by another device of the user that had the same folder once.
        taken_after_all(turn, conversation, &known, envelope.seq, envelope.accepted_at, 0)?;
    } else if known.is_out_of_place() {
        take_place(turn, conversation, &known, envelope.seq, envelope.accepted_at)?;
    } else {
        move_to_later(turn, conversation, &known, envelope.seq)?;
    }
    let is_here = known.deleted || !known.kind.is_missed();
    Ok(if is_here { AckOutcome::Stored } else { AckOutcome::Unreadable })
}

/// What was kept back is where it belongs.
pub(super) fn take_place(
    turn: &mut Turn<'_>,
    conversation: &ConversationRow,
    row: &MessageRow,
    seq: Seq,
    at: Timestamp,
) -> Result<(), StoreError> {
    store::fill_gap(turn.db, conversation, seq)?;
    row.set_place(turn.db, seq, at)?;
    conversation.raise_head(turn.db, seq)?;
    turn.reread(conversation);
    turn.arranged(conversation);
    Ok(())
}

/// A restored node gave it another position, because its author had not heard of the first: the later one counts everywhere.
pub(super) fn move_to_later(
    turn: &mut Turn<'_>,
    conversation: &ConversationRow,
    known: &MessageRow,
    seq: Seq,
) -> Result<(), StoreError> {
    if known.seq.is_some_and(|before| before < seq) {
        store::fill_gap(turn.db, conversation, seq)?;
        known.move_to(turn.db, seq)?;
        conversation.raise_head(turn.db, seq)?;
        turn.reread(conversation);
        turn.arranged(conversation);
    }
    Ok(())
}

/// The direct conversation that a header names, if the header is consistent: the id follows from both users.
pub(super) fn direct_head(
    own_user: UserId,
    id: ConversationId,
    kind: ConversationKind,
    protection: Protection,
    sender: UserId,
    peer: Option<UserId>,
) -> Option<ConversationHead> {
    let other = if sender == own_user { peer? } else { sender };
    let consistent = kind == ConversationKind::Direct && direct_conversation(own_user, other, protection) == id;
    consistent.then_some(ConversationHead { id, kind, protection, peer: Some(other) })
}
