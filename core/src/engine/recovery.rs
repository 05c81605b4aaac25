//! Recovery: what arrived and could not be read is asked for again, and whoever wrote it sends it again.
//!
//! Guarantees: a message that cannot be read is asked for from the transaction on that acknowledged it. A device gives only
//! what its own user wrote, and takes a message again only from a device of whoever wrote it, under the identity that they had then.
//! Nothing here waits for an answer: what is not answered is asked for again, each time later, and of more devices. Meanwhile nobody is
//! shown that there is such a message. Once nobody is left to ask, a placeholder stands in its place, and still gives way to what comes.

use std::collections::BTreeMap;

use bytes::Bytes;
use chasqui_wire::{
    AckOutcome, Content, ContentKind, DeviceId, Envelope, ErrorCode, MessageId, Protection, Timestamp, UserId,
};
use ring::digest::{Context, SHA256};

use super::inbox::take_place;
use super::{Engine, Turn, encrypted};
use crate::planted::{PlantedBug, planted};
use crate::store::{
    self, ConversationKey, ConversationRow, IndexChange, MessageKind, MessageRow, Missed, NewMessage, OutboxRow, Place,
    StoreError,
};

const MINUTE_MS: u64 = 60_000;
const HOUR_MS: u64 = 60 * MINUTE_MS;
const DAY_MS: u64 = 24 * HOUR_MS;
/// After each attempt: three weeks in all. As long as the node remembers a message, it can be sent again.
const PAUSES_MS: [u64; 8] = [MINUTE_MS, HOUR_MS, 12 * HOUR_MS, DAY_MS, 2 * DAY_MS, 4 * DAY_MS, 7 * DAY_MS, 7 * DAY_MS];

/// How often what was perhaps never for this device is asked for.
const DOUBTFUL: u32 = 2;

/// When something is to be asked for.
#[derive(Debug, Default)]
pub(super) struct Recovery {
    next: Option<Timestamp>,
    /// When groups were given up because nobody answered.
    began_anew: BTreeMap<ConversationKey, Timestamp>,
}

impl Recovery {
    pub(super) fn load(db: &rusqlite::Connection) -> Result<Self, StoreError> {
        // The clock may have been set since: what is due is looked up once.
        Ok(Self { next: Missed::next(db)?.map(|_| Timestamp(i64::MIN)), ..Self::default() })
    }

    /// Something may be due.
    pub(super) fn look(&mut self) {
        self.next = Some(Timestamp(i64::MIN));
    }

    pub(super) fn wake_at(&self) -> Option<Timestamp> {
        self.next
    }

    /// Once an hour: whoever sends what nobody can read must not have groups begun anew all the time.
    pub(super) fn may_begin_anew(&mut self, conversation: ConversationKey, now: Timestamp) -> bool {
        let last = self.began_anew.get(&conversation);
        let may = last.is_none_or(|&last| now < last || now >= last.plus_millis(HOUR_MS));
        if may {
            self.began_anew.insert(conversation, now);
        }
        may
    }
}

/// Names what a device says to devices: the same for the same words.
pub(super) fn name(parts: &[&[u8]]) -> MessageId {
    let mut hash = Context::new(&SHA256);
    parts.iter().for_each(|part| hash.update(part));
    encrypted::id_of_hash(hash.finish().as_ref())
}

impl Engine {
    /// A message of an encrypted conversation is here that nobody can read.
    pub(super) fn miss(&mut self, turn: &Turn<'_>, key: store::MessageKey) -> Result<(), StoreError> {
        if !planted(PlantedBug::UnreadableUnnoted) {
            Missed::note(turn.db, key, turn.now)?;
        }
        self.recovery.look();
        Ok(())
    }

    /// Asks for what is due. The first time its author's device alone; then whoever is there and wrote it. Not before the mail is in,
    /// which may hold the answer.
    pub(super) fn request_resends(&mut self, turn: &mut Turn<'_>) -> Result<(), StoreError> {
        let is_due = self.recovery.next.is_some_and(|at| at <= turn.now);
        if !is_due || !self.link.is_drained() {
            return Ok(());
        }
        if planted(PlantedBug::UnreadableForGood) {
            self.recovery.next = None;
            return Ok(());
        }
        let Some(account) = self.account.as_ref().filter(|account| account.is_linked()) else { return Ok(()) };
        let own = account.device;
        let mut requests: BTreeMap<(ConversationKey, u32, Option<DeviceId>), Vec<Missed>> = BTreeMap::new();
        for missed in Missed::due(turn.db, turn.now, &PAUSES_MS)? {
            let is_over = missed.attempts >= if missed.is_doubtful { DOUBTFUL } else { PAUSES_MS.len() as u32 };
            if is_over || self.is_gone_for_good(turn, &missed)? {
                give_up(turn, &missed)?;
                continue;
            }
            let of = (missed.attempts == 0 && missed.author != own).then_some(missed.author);
            if missed.attempts == 0 && missed.is_out_of_place && !missed.is_doubtful {
                // All mail is in, and it was not among it.
                self.tell_of_missing(turn, missed.conversation, missed.sender, missed.author)?;
            }
            requests.entry((missed.conversation, missed.attempts, of)).or_default().push(missed);
        }
        for ((conversation, attempts, of), all) in requests {
            let conversation = ConversationRow::get(turn.db, conversation)?;
            let is_known = all.iter().any(|missed| !missed.is_doubtful);
            if attempts > 0 && is_known && self.recovery.may_begin_anew(conversation.key, turn.now) {
                // Nobody answered: after a restore of the node two groups may stand at the same epoch, and whoever is in one does not
                // hear the other. A group that is begun anew is everybody's.
                self.let_go(turn, conversation.id)?;
            }
            for some in all.chunks(Content::RESENT_MAX) {
                let ids: Vec<MessageId> = some.iter().map(|missed| missed.id).collect();
                let bytes: Vec<u8> = ids.iter().flat_map(|id| *id.as_bytes()).collect();
                let id = name(&[b"chasqui/v1/resend-request", own.as_bytes(), &attempts.to_be_bytes(), &bytes]);
                let content = Content {
                    message: id,
                    created_at: turn.now,
                    kind: ContentKind::ResendRequest(ids),
                    previous: vec![],
                };
                self.say_to_devices(turn, &conversation, id, content.encode(), of, None)?;
                for missed in some {
                    let pause = PAUSES_MS[attempts as usize];
                    missed.put(turn.db, attempts + 1, turn.now.plus_millis(pause))?;
                }
            }
        }
        self.recovery.next = Missed::next(turn.db)?;
        Ok(())
    }

    /// Whether nobody is who wrote it any more.
    fn is_gone_for_good(&self, turn: &Turn<'_>, missed: &Missed) -> Result<bool, StoreError> {
        Ok(store::is_user_deleted(turn.db, missed.sender)?
            || self.is_of_an_earlier_identity(turn, missed.sender, missed.key)?)
    }

    /// Somebody may be gone, with what they wrote.
    pub(super) fn look_after(&mut self, turn: &Turn<'_>, sender: UserId) -> Result<(), StoreError> {
        store::hasten_all_of(turn.db, sender, turn.now)?;
        self.recovery.look();
        Ok(())
    }

    /// A device could not read these. It gets those again that this device's user wrote.
    pub(super) fn answer_resend_request(
        &mut self,
        turn: &mut Turn<'_>,
        conversation: &ConversationRow,
        envelope: &Envelope,
        messages: &[MessageId],
    ) -> Result<(), StoreError> {
        let Some((user, device)) = self.account.as_ref().map(|account| (account.user, account.device)) else {
            return Ok(());
        };
        for &id in messages {
            let Some(row) = MessageRow::find(turn.db, id)? else { continue };
            let is_ours = row.sender == user && row.conversation == conversation.key;
            if self.is_of_an_earlier_identity(turn, envelope.sender_user, row.key)? {
                continue;
            }
            if !is_ours || row.deleted || row.kind != MessageKind::Content || row.seq.is_none() {
                continue;
            }
            // However often it is asked for: what people write waits behind it.
            if OutboxRow::repeats(turn.db, id, envelope.sender_device)? {
                continue;
            }
            let resend = name(&[b"chasqui/v1/resend", envelope.message.as_bytes(), id.as_bytes(), device.as_bytes()]);
            self.say_to_devices(turn, conversation, resend, row.body, Some(envelope.sender_device), Some(id))?;
        }
        Ok(())
    }

    /// Who has somebody's identity by now may be somebody else than who was written to, or wrote, then: nothing goes across a change.
    fn is_of_an_earlier_identity(
        &self,
        turn: &Turn<'_>,
        user: UserId,
        message: store::MessageKey,
    ) -> Result<bool, StoreError> {
        let is_own = self.account.as_ref().is_some_and(|account| account.user == user);
        Ok(!is_own && store::IdentityRow::is_of_an_earlier_one(turn.db, user, message)?)
    }

    /// Queues what this device says to others: a message that is never shown. Said twice, it is said once.
    pub(super) fn say_to_devices(
        &mut self,
        turn: &Turn<'_>,
        conversation: &ConversationRow,
        id: MessageId,
        body: Bytes,
        only_device: Option<DeviceId>,
        resend_of: Option<MessageId>,
    ) -> Result<(), StoreError> {
        let Some(account) = &self.account else { return Ok(()) };
        let new = NewMessage {
            id,
            place: Place::Pending,
            sender: account.user,
            sender_device: account.device,
            incoming: false,
            kind: MessageKind::Content,
            created_at: turn.now,
            accepted_at: None,
            body,
        };
        let Some(key) = MessageRow::insert(turn.db, conversation, &new)? else { return Ok(()) };
        MessageRow::hide(turn.db, key)?;
        if let Some(entry) = OutboxRow::push(turn.db, conversation.key, key, turn.now, None)? {
            OutboxRow::address(turn.db, entry, only_device, resend_of)?;
            MessageRow::set_pending(turn.db, key, entry)?;
            self.outbox.queue(conversation.key, entry, None);
        }
        Ok(())
    }

    /// What this device said to others is not said any more. What was asked of one device is asked of others now.
    pub(super) fn said_to_nobody(
        &mut self,
        turn: &mut Turn<'_>,
        message: &MessageRow,
        was_for_one: bool,
        code: ErrorCode,
    ) -> Result<(), StoreError> {
        match Content::decode(message.body.clone(), message.id).map(|content| content.kind) {
            Ok(ContentKind::ResendRequest(ids)) if was_for_one => {
                for id in ids {
                    store::hasten(turn.db, id, turn.now)?;
                }
                self.recovery.look();
            }
            Ok(ContentKind::Linking(linking)) => self.linking_reached_nobody(turn, &linking),
            Ok(ContentKind::HistoryRequest(_)) if was_for_one => {
                self.history_request_reached_nobody(turn, code)?;
            }
            _ => {}
        }
        message.remove(turn.db)
    }

    /// How what is dealt with already is acknowledged: a message that was sent again counts as received if it is here.
    pub(super) fn outcome_of_repeat(&self, turn: &Turn<'_>, envelope: &Envelope) -> Result<AckOutcome, StoreError> {
        let Some(message) = envelope.resend_of else { return Ok(AckOutcome::Stored) };
        let row = MessageRow::find(turn.db, message)?;
        let is_here = row.is_some_and(|row| row.deleted || row.kind == MessageKind::Content);
        Ok(if is_here { AckOutcome::Stored } else { AckOutcome::Unreadable })
    }

    /// A message that could not be read comes again, for this device.
    pub(super) fn resend(
        &mut self,
        turn: &mut Turn<'_>,
        envelope: &Envelope,
        message: MessageId,
        peer: Option<UserId>,
        conversation: &ConversationRow,
    ) -> Result<AckOutcome, StoreError> {
        let body = match envelope.protection {
            Protection::EndToEnd => match self.read_encrypted(turn, envelope, peer)? {
                encrypted::Read::Content(body) => Some(body),
                encrypted::Read::Unreadable | encrypted::Read::Later => None,
                encrypted::Read::Dealt(outcome) => return Ok(outcome),
            },
            Protection::NodeReadable => Some(envelope.body.clone()),
        };
        store::note_dealt_with(turn.db, envelope.message)?;
        let Some(body) = body else { return Ok(AckOutcome::Unreadable) };
        let Ok(content) = Content::decode(body.clone(), message) else { return Ok(AckOutcome::Unreadable) };
        let Some(row) = MessageRow::find(turn.db, message)? else {
            let again = Envelope { message, body: body.clone(), ..envelope.clone() };
            return self.store(turn, conversation, &again, body, Ok(content));
        };
        let again = Envelope { message: row.id, ..envelope.clone() };
        self.take_again(turn, &again, conversation, &content, &body)
    }

    /// What could not be read is here, in an envelope of whoever wrote it.
    pub(super) fn take_again(
        &mut self,
        turn: &mut Turn<'_>,
        envelope: &Envelope,
        conversation: &ConversationRow,
        content: &Content,
        body: &[u8],
    ) -> Result<AckOutcome, StoreError> {
        let Some(row) = MessageRow::find(turn.db, envelope.message)? else { return Ok(AckOutcome::Unreadable) };
        if row.conversation != conversation.key || row.sender != envelope.sender_user {
            tracing::warn!("somebody else's message is sent again");
            return Ok(AckOutcome::Unreadable);
        }
        if conversation.protection == Protection::EndToEnd
            && self.is_of_an_earlier_identity(turn, row.sender, row.key)?
        {
            tracing::warn!("a message of an earlier identity is sent again");
            return Ok(AckOutcome::Unreadable);
        }
        if row.kind.is_missed() && !row.deleted {
            came_after_all(turn, conversation, &row, content.created_at, body)?;
            if row.is_out_of_place() {
                take_place(turn, conversation, &row, envelope.seq, envelope.accepted_at)?;
            }
            self.miss_previous(turn, conversation, envelope, content)?;
            if let ContentKind::Text(text) = &content.kind {
                turn.index(IndexChange::add(row.key, text));
            }
            if Some(row.sender) == conversation.peer {
                self.tell_author_of_straggler(turn, conversation, row.seq.unwrap_or(envelope.seq))?;
            }
            turn.arranged(conversation);
        }
        Ok(AckOutcome::Stored)
    }
}

/// What could not be read takes its place; nobody is asked for it any more.
pub(super) fn came_after_all(
    turn: &mut Turn<'_>,
    conversation: &ConversationRow,
    row: &MessageRow,
    created_at: Timestamp,
    body: &[u8],
) -> Result<(), StoreError> {
    row.set_content(turn.db, created_at, body)?;
    store::settled(turn.db, row.key)?;
    conversation.show(turn.db)?;
    turn.reread(conversation);
    Ok(())
}

/// A placeholder stands where it would, from here on.
fn give_up(turn: &mut Turn<'_>, missed: &Missed) -> Result<(), StoreError> {
    if missed.is_doubtful {
        store::settled(turn.db, missed.key)?;
        return MessageRow::get(turn.db, missed.key)?.remove(turn.db);
    }
    MessageRow::give_up(turn.db, missed.key)?;
    store::settled(turn.db, missed.key)?;
    let conversation = ConversationRow::get(turn.db, missed.conversation)?;
    conversation.show(turn.db)?;
    turn.reread(&conversation);
    turn.arranged(&conversation);
    Ok(())
}
