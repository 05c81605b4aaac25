//! Chains: what a device says in an encrypted conversation names what it said there before, so that a message which the node keeps back is
//! missed as soon as the next one comes.
//!
//! Guarantees: who was in the group when a message was sealed, and was told of nothing that it lost, asks for it from the transaction on
//! that stored the next one, and people are told when all mail is in and it was not among it. A message that was never sent is named by none.

use bytes::Bytes;
use chasqui_wire::{
    Content, ContentKind, ConversationId, Envelope, Limits, Previous, Protection, Seq, Timestamp, UserId,
};

use super::inbox::NOT_OPENED;
use super::{Engine, Turn};
use crate::e2ee::{Fault, GroupId, Mls, SEALED_BYTES};
use crate::planted::{PlantedBug, planted};
use crate::store::{
    self, ConversationRow, FlightRow, Membership, MessageKind, MessageRow, Missed, NewMessage, OutboxKey, OutboxRow,
    Place, Sealing, StoreError,
};

/// Nobody was ever in it.
const NO_GROUP: [u8; 16] = [0; 16];

/// What was said, and how it is chained.
pub(super) struct Chained {
    pub(super) body: Bytes,
    /// What it names.
    names: Vec<Previous>,
    /// Set where it was sealed before.
    first: Option<Sealing>,
}

impl Engine {
    /// What a message says, with what was said before it. What is sealed once more stays what it is: others may have it.
    pub(super) fn chained(
        &self,
        turn: &Turn<'_>,
        conversation: &ConversationRow,
        message: &MessageRow,
    ) -> Result<Option<Chained>, StoreError> {
        let first = FlightRow::first(turn.db, message.key)?;
        if first.is_some_and(|first| first.stands) {
            return Ok(None);
        }
        // Of a later version this one would lose what it does not know.
        let content = Content::decode(message.body.clone(), message.id).ok();
        let Some(mut content) = content.filter(|content| content.kind != ContentKind::Unknown) else { return Ok(None) };
        let limit = self.link.limits().unwrap_or(&Limits::DEFAULT).body_bytes as usize;
        content.previous = store::last_said(turn.db, conversation.id)?;
        content.previous.retain(|said| said.message != message.id);
        content.previous.truncate(Previous::MAX);
        let mut body = content.encode();
        // An earlier version took what has no room for it, or the node takes less than it did.
        while body.len() + SEALED_BYTES > limit && content.previous.pop().is_some() {
            body = content.encode();
        }
        MessageRow::set_body(turn.db, message.key, &body)?;
        Ok(Some(Chained { body, names: content.previous, first }))
    }

    /// It was sealed at this epoch. Of what was sent and sealed before this device became another one nobody knows how, so nobody is told to
    /// miss it.
    pub(super) fn was_chained(
        &self,
        turn: &Turn<'_>,
        conversation: &ConversationRow,
        message: &MessageRow,
        chained: &Chained,
        group: GroupId,
        was_sent: bool,
    ) -> Result<Sealing, StoreError> {
        let first = match chained.first {
            Some(first) if first.epoch.is_some() => first,
            other => {
                let is_known = !was_sent || other.is_some();
                let epoch = self.epoch_of(turn, group)?.unwrap_or_default();
                Sealing { group: if is_known { group.0 } else { NO_GROUP }, epoch: Some(epoch), stands: true }
            }
        };
        for named in &chained.names {
            store::remove_last_said(turn.db, conversation.id, named.message)?;
        }
        let said = Previous { message: message.id, group: first.group, epoch: first.epoch.unwrap_or_default() };
        store::add_last_said(turn.db, conversation.id, &said)?;
        Ok(first)
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
        if !is_chained(row, message) {
            return FlightRow::remove(turn.db, message.key);
        }
        self.unsay(turn, conversation, entry, message, false)
    }

    /// A message and what waits behind it are sealed and chained anew if they are sent. Where the node refused the message as it was, it has
    /// taken none of them before: it would have said so, and takes them in order.
    pub(super) fn unsay(
        &self,
        turn: &Turn<'_>,
        conversation: &ConversationRow,
        entry: OutboxKey,
        message: &MessageRow,
        are_untaken: bool,
    ) -> Result<(), StoreError> {
        if FlightRow::first(turn.db, message.key)?.is_none() || planted(PlantedBug::UnsentStaysNamed) {
            return Ok(());
        }
        store::unseal_from(turn.db, message.key, conversation.key, entry, are_untaken)?;
        let mut open = store::last_said(turn.db, conversation.id)?;
        // As many as can be under way, and more: a circle, which nothing makes, would have no end.
        for _ in 0..10_000 {
            let Some(said) = open.pop() else { break };
            let row = MessageRow::find(turn.db, said.message)?;
            let waits_at = row.as_ref().map(|row| OutboxRow::of(turn.db, row.key)).transpose()?.flatten();
            let is_unsaid =
                said.message == message.id || waits_at.is_some_and(|(at, reclaim)| at > entry && reclaim.is_none());
            let Some(row) = row.filter(|_| is_unsaid) else {
                store::add_last_said(turn.db, conversation.id, &said)?;
                continue;
            };
            store::remove_last_said(turn.db, conversation.id, said.message)?;
            open.extend(Content::decode(row.body, row.id).map(|content| content.previous).unwrap_or_default());
        }
        Ok(())
    }

    /// It was refused, and taken after all: it is named by nothing yet.
    pub(super) fn was_said_after_all(
        &self,
        turn: &Turn<'_>,
        conversation: &ConversationRow,
        message: &MessageRow,
    ) -> Result<(), StoreError> {
        if let Some(Sealing { group, epoch: Some(epoch), .. }) = FlightRow::first(turn.db, message.key)? {
            store::add_last_said(turn.db, conversation.id, &Previous { message: message.id, group, epoch })?;
        }
        FlightRow::remove(turn.db, message.key)
    }

    /// This device is in a group now, by the change at `since`. Where later positions are known already, what was said between may have been
    /// lost, and told of, before it was known that it was said in this group.
    pub(super) fn takes_part_in(
        &self,
        turn: &Turn<'_>,
        conversation: ConversationId,
        group: GroupId,
        since: Option<Seq>,
    ) -> Result<(), StoreError> {
        let known = ConversationRow::find(turn.db, conversation)?;
        if known.is_some_and(|known| known.head > since) {
            return Ok(());
        }
        let Some(epoch) = self.epoch_of(turn, group)? else { return Ok(()) };
        let epoch = if planted(PlantedBug::MissesWhatWasBefore) { 0 } else { epoch };
        Membership::note(turn.db, conversation, group, epoch, since)
    }

    fn epoch_of(&self, turn: &Turn<'_>, group: GroupId) -> Result<Option<u64>, StoreError> {
        let Some(own) = self.account.as_ref().and_then(|account| account.own.as_ref()) else { return Ok(None) };
        match Mls::new(own, turn.db).epoch(group) {
            Ok(epoch) => Ok(Some(epoch)),
            Err(Fault::Store(error)) => Err(error),
            Err(_) => Ok(None),
        }
    }

    /// A message came. What its device said before, and should be here and is not, is asked for.
    pub(super) fn miss_previous(
        &mut self,
        turn: &mut Turn<'_>,
        conversation: &ConversationRow,
        envelope: &Envelope,
        content: &Content,
    ) -> Result<(), StoreError> {
        if conversation.protection == Protection::EndToEnd {
            for previous in &content.previous {
                self.miss_named(turn, conversation, envelope, content.created_at, previous)?;
            }
        }
        Ok(())
    }

    fn miss_named(
        &mut self,
        turn: &mut Turn<'_>,
        conversation: &ConversationRow,
        envelope: &Envelope,
        created_at: Timestamp,
        previous: &Previous,
    ) -> Result<(), StoreError> {
        let known = MessageRow::find(turn.db, previous.message)?;
        if known.as_ref().is_some_and(|row| is_by(row, conversation, envelope.sender_user)) {
            return Ok(());
        }
        let member = Membership::of(turn.db, conversation.id, &previous.group)?;
        let is_doubtful = match member.epoch {
            Some(epoch) if epoch <= previous.epoch => false,
            Some(_) => return Ok(()),
            // The node may have kept all of that group back. Or it is from before this device was here, which the place shows of what
            // comes: it is not followed further.
            None if member.first.is_some_and(|first| first < envelope.seq) && !self.transfer.is_under_way() => true,
            None => return Ok(()),
        };
        if known.is_some() {
            // Under its name something else came, which nobody but the node could know.
            return match is_doubtful {
                true => Ok(()),
                false => self.tell_of_missing(turn, conversation.key, envelope.sender_user, envelope.sender_device),
            };
        }
        tracing::warn!(is_doubtful, "a message did not come");
        let new = NewMessage {
            id: previous.message,
            place: Place::Before(envelope.seq),
            sender: envelope.sender_user,
            sender_device: envelope.sender_device,
            incoming: self.account.as_ref().is_some_and(|account| account.user != envelope.sender_user),
            kind: MessageKind::Awaited,
            created_at,
            accepted_at: Some(envelope.accepted_at),
            body: Bytes::from_static(NOT_OPENED),
        };
        let Some(key) = MessageRow::insert(turn.db, conversation, &new)? else { return Ok(()) };
        self.miss(turn, key)?;
        if is_doubtful { Missed::doubt(turn.db, key) } else { Ok(()) }
    }

    /// What somebody said is theirs comes, and is somebody else's. Says whether it makes way.
    pub(super) fn makes_way(
        &self,
        turn: &Turn<'_>,
        row: &MessageRow,
        conversation: &ConversationRow,
        envelope: &Envelope,
    ) -> Result<bool, StoreError> {
        let was_made_up = row.is_out_of_place() && !is_by(row, conversation, envelope.sender_user);
        if was_made_up {
            store::settled(turn.db, row.key)?;
            row.remove(turn.db)?;
        }
        Ok(was_made_up)
    }
}

fn is_by(row: &MessageRow, conversation: &ConversationRow, user: UserId) -> bool {
    row.conversation == conversation.key && row.sender == user
}

/// Whether people say it, and for the first time.
pub(super) fn is_chained(row: &OutboxRow, message: &MessageRow) -> bool {
    !message.deleted && row.reclaim.is_none()
}
