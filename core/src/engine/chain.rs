//! Chains: what a device says in an encrypted conversation names what it said there before, so that a message which the node keeps back is
//! missed as soon as the next one comes.
//!
//! Guarantees: who was in the group when a message was sealed, and was told of nothing that it lost, asks for it from the transaction on
//! that stored the next one, and people are told when all mail is in and it was not among it. A message that was never sent is named by none.

use bytes::Bytes;
use chasqui_wire::{Content, ContentKind, ConversationId, Envelope, Limits, Previous, Protection};

use super::{Engine, Turn};
use crate::e2ee::{Fault, GroupId, Mls, SEALED_BYTES};
use crate::planted::{PlantedBug, planted};
use crate::store::{
    self, ConversationRow, FlightRow, MessageKind, MessageRow, NewMessage, OutboxKey, OutboxRow, Place, StoreError,
};

/// Nobody was ever in it.
const NO_GROUP: [u8; 16] = [0; 16];

impl Engine {
    /// What a message says, with what was said before it. What is sealed once more stays what it is: others may have it.
    pub(super) fn chained(
        &self,
        turn: &Turn<'_>,
        conversation: &ConversationRow,
        message: &MessageRow,
    ) -> Result<Bytes, StoreError> {
        let body = message.body.clone();
        let Ok(content) = Content::decode(body.clone(), message.id) else { return Ok(body) };
        let previous = store::last_said(turn.db, conversation.id)?;
        // Of a later version this one would lose what it does not know.
        if content.previous == previous || content.kind == ContentKind::Unknown {
            return Ok(body);
        }
        let (alone, body) = (body, Content { previous, ..content }.encode());
        let limit = self.link.limits().unwrap_or(&Limits::DEFAULT).body_bytes as usize;
        if body.len() + SEALED_BYTES > limit {
            // An earlier version took what has no room for this, or the node takes less than it did.
            return Ok(alone);
        }
        MessageRow::set_body(turn.db, message.key, &body)?;
        Ok(body)
    }

    /// It was sealed for the first time. Of what was sent before that nobody knows at which epoch the node took it, so nobody is to miss it.
    pub(super) fn was_said(
        &self,
        turn: &Turn<'_>,
        conversation: &ConversationRow,
        message: &MessageRow,
        (group, epoch): (GroupId, u64),
        was_sent: bool,
    ) -> Result<(), StoreError> {
        let group = if was_sent { NO_GROUP } else { group.0 };
        store::set_last_said(turn.db, conversation.id, Some(&Previous { message: message.id, group, epoch }))
    }

    /// It is not sent. What waits behind it is to name what was said before.
    pub(super) fn was_not_said(
        &self,
        turn: &Turn<'_>,
        conversation: &ConversationRow,
        entry: OutboxKey,
        row: &OutboxRow,
        message: &MessageRow,
    ) -> Result<(), StoreError> {
        let was_sealed = FlightRow::remove(turn.db, message.key)?;
        if !was_sealed || !is_chained(row, message) || planted(PlantedBug::UnsentStaysNamed) {
            return Ok(());
        }
        store::unseal_after(turn.db, conversation.key, entry)?;
        let content = Content::decode(message.body.clone(), message.id).ok();
        let previous = content.and_then(|content| content.previous);
        store::set_last_said(turn.db, conversation.id, previous.as_ref())
    }

    /// This device is in a group now.
    pub(super) fn takes_part_in(
        &self,
        turn: &Turn<'_>,
        conversation: ConversationId,
        group: GroupId,
    ) -> Result<(), StoreError> {
        let Some(own) = self.account.as_ref().and_then(|account| account.own.as_ref()) else { return Ok(()) };
        let epoch = match Mls::new(own, turn.db).epoch(group) {
            Ok(_) if planted(PlantedBug::MissesWhatWasBefore) => 0,
            Ok(epoch) => epoch,
            Err(Fault::Store(error)) => return Err(error),
            Err(_) => return Ok(()),
        };
        store::note_member(turn.db, conversation, group, epoch)
    }

    /// A message came. If what its device said before should be here and is not, it is asked for.
    pub(super) fn miss_previous(
        &mut self,
        turn: &mut Turn<'_>,
        conversation: &ConversationRow,
        envelope: &Envelope,
        content: &Content,
    ) -> Result<(), StoreError> {
        let Some(previous) = content.previous.filter(|_| conversation.protection == Protection::EndToEnd) else {
            return Ok(());
        };
        let known = MessageRow::find(turn.db, previous.message)?;
        let is_it = |row: &MessageRow| row.conversation == conversation.key && row.sender == envelope.sender_user;
        if known.as_ref().is_some_and(is_it) || !store::was_member(turn.db, conversation.id, &previous)? {
            return Ok(());
        }
        if known.is_some() {
            // Under its name something else came, which nobody but the node could know.
            return self.tell_of_missing(turn, conversation.key, envelope.sender_user, envelope.sender_device);
        }
        tracing::warn!("a message did not come");
        let new = NewMessage {
            id: previous.message,
            place: Place::Before(envelope.seq),
            sender: envelope.sender_user,
            sender_device: envelope.sender_device,
            incoming: self.account.as_ref().is_some_and(|account| account.user != envelope.sender_user),
            kind: MessageKind::Awaited,
            created_at: content.created_at,
            accepted_at: Some(envelope.accepted_at),
            body: Bytes::from_static(super::inbox::NOT_OPENED),
        };
        match MessageRow::insert(turn.db, conversation, &new)? {
            Some(key) => self.miss(turn, key),
            None => Ok(()),
        }
    }
}

/// Whether people say it, and for the first time.
pub(super) fn is_chained(row: &OutboxRow, message: &MessageRow) -> bool {
    !message.deleted && row.reclaim.is_none()
}
