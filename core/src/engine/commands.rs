//! What apps ask for. Each is checked before anything is written, and durable before it is answered.

use chasqui_wire::{
    Content, ContentKind, ConversationId, ConversationKind, Limits, MessageId, Previous, Protection, Seq, UserId,
    direct_conversation,
};

use super::identity::Identity;
use super::link::{Blocked, ConnectionState};
use super::merge::Unsent;
use super::{Command, Engine, Reply, Turn};
use crate::e2ee::SEALED_BYTES;
use crate::error::Error;
use crate::store::{
    self, AccountRow, ConversationHead, ConversationRow, IndexChange, MessageKind, MessageRow, MessageState,
    NewMessage, OutboxRow, Place, Request, StoreError,
};

type Answer = Result<Result<Reply, Error>, StoreError>;

impl Engine {
    pub(super) fn command(&mut self, turn: &mut Turn<'_>, command: Command) -> Answer {
        match command {
            Command::BeginEnrolment(enrolment) => {
                // A copy gives way to a new device.
                let is_copied = self.link.state() == ConnectionState::Blocked(Blocked::Copied);
                if self.account.is_some() && !is_copied {
                    return Ok(Err(Error::AlreadyEnrolled));
                }
                self.account = None;
                AccountRow::begin(turn.db, &enrolment)?;
                store::forget_groups(turn.db)?;
                Ok(Ok(Reply::Done))
            }
            Command::ConfirmEnrolment { user, name, device } => {
                if AccountRow::owner(turn.db)?.is_some_and(|(owner, _)| owner != user) {
                    return Ok(Err(Error::someone_elses_folder()));
                }
                if !AccountRow::confirm(turn.db, user, &name, device)? {
                    return Ok(Err(Error::Internal { detail: "another enrolment took this one's place".into() }));
                }
                let row = AccountRow::load(turn.db)?.ok_or(StoreError::Corrupt("no account to confirm"))?;
                self.account = Some(Identity::new(row)?);
                store::has_keys_again(turn.db)?;
                MessageRow::adopt_pending(turn.db, device)?;
                AccountRow::count_outbox_as_sent(turn.db)?;
                self.link.want();
                Ok(Ok(Reply::Done))
            }
            Command::ForgetEnrolment => {
                AccountRow::forget(turn.db)?;
                store::forget_groups(turn.db)?;
                self.account = None;
                let are_lost = store::are_keys_lost(turn.db)?;
                self.link.block(if are_lost { Blocked::KeysLost } else { Blocked::NotEnrolled });
                self.disconnect(turn);
                Ok(Ok(Reply::Done))
            }
            Command::RememberUser(user, answer) => {
                self.learn_who(turn, user, &answer)?;
                Ok(Ok(Reply::Done))
            }
            Command::OpenDirect(peer, protection) => self.open_direct(turn, peer, protection),
            Command::SendText { conversation, message, text } => self.send_text(turn, conversation, message, text),
            Command::Retry(message) => self.retry(turn, message),
            Command::MarkRead(conversation, up_to) => self.mark_read(turn, conversation, up_to),
            Command::Delete(message) => self.delete(turn, message),
            Command::SetTyping(conversation, typing) => self.set_typing(turn, conversation, typing),
            Command::AcceptRequest(conversation) => self.accept_request(turn, conversation),
            Command::DeclineRequest { conversation, block } => self.decline_request(turn, conversation, block),
            Command::BeginLinking(seed) => self.begin_linking(turn, &seed),
            Command::LinkDevice(code, seed) => self.link_device(turn, &code, &seed),
            Command::ConfirmLinking => self.confirm_linking(turn),
            Command::CancelLinking => self.cancel_linking(turn),
            Command::SetTrust { user, shown, verified } => self.set_trust(turn, user, shown, verified),
            Command::BeginIdentity(seed) => self.begin_identity(turn, &seed),
            Command::ConfirmIdentity => self.confirm_identity(turn),
            Command::Adopt(head) => self.adopt(turn, &head),
            Command::Merge(page) => {
                self.merge(turn, &page, Unsent::Kept)?;
                Ok(Ok(Reply::Done))
            }
        }
    }

    pub(super) fn not_enrolled(&self) -> Error {
        let again = [Blocked::KeysLost, Blocked::Copied].map(ConnectionState::Blocked);
        if again.contains(&self.link.state()) { Error::LogInAgain } else { Error::NotEnrolled }
    }

    fn open_direct(&mut self, turn: &mut Turn<'_>, peer: UserId, protection: Protection) -> Answer {
        let Some(account) = &self.account else { return Ok(Err(self.not_enrolled())) };
        let id = direct_conversation(account.user, peer, protection);
        let head = ConversationHead { id, kind: ConversationKind::Direct, protection, peer: Some(peer) };
        let row = self.conversation(turn, &head)?;
        if row.request == Request::Refused {
            // Whoever looks for somebody whom they refused sees the conversation again; writing there accepts.
            row.key.set_request(turn.db, Request::Asked)?;
        }
        row.show(turn.db)?;
        turn.changed(id);
        Ok(Ok(Reply::Conversation(id)))
    }

    fn send_text(
        &mut self,
        turn: &mut Turn<'_>,
        conversation: ConversationId,
        message: MessageId,
        text: String,
    ) -> Answer {
        let Some(account) = &self.account else { return Ok(Err(self.not_enrolled())) };
        let Some(row) = ConversationRow::find(turn.db, conversation)? else {
            return Ok(Err(Error::NotFound { what: "conversation" }));
        };
        if row.protection == Protection::EndToEnd && !account.is_linked() {
            return Ok(Err(Error::NotLinked));
        }
        if text.is_empty() {
            return Ok(Err(Error::Invalid { detail: "the text is empty".into() }));
        }
        let content = Content { message, created_at: turn.now, kind: ContentKind::Text(text), previous: vec![] };
        let body = content.encode();
        let limit = self.link.limits().unwrap_or(&Limits::DEFAULT).body_bytes as usize;
        let limit = match row.protection {
            Protection::NodeReadable => limit,
            Protection::EndToEnd => limit.saturating_sub(SEALED_BYTES + Previous::MAX_BYTES),
        };
        if body.len() > limit {
            return Ok(Err(Error::TooLarge { size: body.len() as u64, limit: limit as u64 }));
        }
        let new = NewMessage {
            id: message,
            place: Place::Pending,
            sender: account.user,
            sender_device: account.device,
            incoming: false,
            kind: MessageKind::Content,
            created_at: turn.now,
            accepted_at: None,
            body,
        };
        let Some(key) = MessageRow::insert(turn.db, &row, &new)? else {
            // The same command again, after a driver lost track of the first.
            return Ok(Ok(Reply::Message(message)));
        };
        if let ContentKind::Text(text) = &content.kind {
            turn.index(IndexChange::add(key, text));
        }
        if row.request != Request::No {
            self.accept_here(turn, &row)?;
        }
        self.enqueue(turn, &row, key)?;
        self.writers.sent(conversation);
        Ok(Ok(Reply::Message(message)))
    }

    fn enqueue(
        &mut self,
        turn: &mut Turn<'_>,
        conversation: &ConversationRow,
        message: store::MessageKey,
    ) -> Result<(), StoreError> {
        if let Some(entry) = OutboxRow::push(turn.db, conversation.key, message, turn.now, None)? {
            MessageRow::set_pending(turn.db, message, entry)?;
            self.outbox.queue(conversation.key, entry, None);
        }
        turn.arranged(conversation);
        Ok(())
    }

    fn retry(&mut self, turn: &mut Turn<'_>, message: MessageId) -> Answer {
        let Some(row) = MessageRow::find(turn.db, message)?.filter(|row| !row.deleted) else {
            return Ok(Err(Error::NotFound { what: "message" }));
        };
        if row.state != MessageState::Failed {
            return Ok(Err(Error::Invalid { detail: "only a failed message can be sent again".into() }));
        }
        let conversation = ConversationRow::get(turn.db, row.conversation)?;
        self.enqueue(turn, &conversation, row.key)?;
        Ok(Ok(Reply::Message(message)))
    }

    fn mark_read(&mut self, turn: &mut Turn<'_>, conversation: ConversationId, up_to: Option<Seq>) -> Answer {
        let Some(row) = ConversationRow::find(turn.db, conversation)? else {
            return Ok(Err(Error::NotFound { what: "conversation" }));
        };
        // Nobody has read what is not here yet, or is not shown.
        let up_to = match up_to {
            Some(up_to) => row.head.map(|head| head.min(up_to)),
            None => store::last_seen(turn.db, &row)?,
        };
        if let Some(up_to) = up_to {
            self.read_here(turn, &row, up_to)?;
        }
        Ok(Ok(Reply::Done))
    }

    fn delete(&mut self, turn: &mut Turn<'_>, message: MessageId) -> Answer {
        let Some(row) = MessageRow::find(turn.db, message)?.filter(|row| !row.deleted) else {
            return Ok(Err(Error::NotFound { what: "message" }));
        };
        // One that is accepted waits again when a restored node asks for it back.
        if row.state == MessageState::Pending || OutboxRow::holds(turn.db, row.key)? {
            return Ok(Err(Error::Invalid { detail: "the message is on its way; delete it once it is sent".into() }));
        }
        let conversation = ConversationRow::get(turn.db, row.conversation)?;
        row.delete(turn.db)?;
        turn.index(IndexChange::Remove(row.key));
        turn.reread(&conversation);
        turn.arranged(&conversation);
        Ok(Ok(Reply::Done))
    }
}
