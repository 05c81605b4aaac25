//! What mail would come to if it were taken now: the rules of [`super::inbox`], [`super::requests`] and [`super::receipts`], on
//! a history that nothing is written to.
//!
//! Guarantees: what is to be shown and counted here is what the app shows and counts after it took the same mail.

use std::collections::{BTreeMap, BTreeSet};

use chasqui_wire::{
    Admission, Content, ContentKind, ConversationId, Entry, EntryKind, Envelope, MessageId, Protection, ReadNotice,
    RosterEntry, Seq, UserId, Verdict, signing,
};
use rusqlite::Connection;

use super::encrypted::Read;
use super::inbox::direct_head;
use super::requests::request_after;
use super::{Engine, Turn};
use crate::domain::{Peeked, PeekedMessage};
use crate::store::{
    self, AccountRow, AdmissionRow, ConversationHead, ConversationRow, IdentityRow, MessageKind, MessageRow, Request,
    StoreError,
};

/// What mail, oldest first, would come to in this history. Whoever's name is not known here is left without one.
pub(crate) fn peek(db: &Connection, account: &AccountRow, mail: &[Entry]) -> Result<Peeked, StoreError> {
    let (conversations, early) = (BTreeMap::new(), BTreeMap::new());
    let mut peek =
        Peek { db, account, reader: None, conversations, early, seen: BTreeSet::new(), awaited: BTreeMap::new() };
    let mut arrived = Vec::new();
    for entry in mail {
        match &entry.kind {
            EntryKind::Envelope(envelope) => arrived.extend(peek.envelope(envelope)?),
            EntryKind::Read(notice) => peek.read_notice(notice)?,
            EntryKind::Admission(said) => peek.admission(said)?,
            // None of them makes, removes or reads a message.
            EntryKind::Receipt(_)
            | EntryKind::Gap(_)
            | EntryKind::Hole(_)
            | EntryKind::Absence(_)
            | EntryKind::Unknown => {}
        }
    }
    peek.sum_up(arrived)
}

struct Peek<'a> {
    db: &'a Connection,
    account: &'a AccountRow,
    /// Takes part in groups on a copy of their keys.
    reader: Option<Engine>,
    /// Those that the mail touches.
    conversations: BTreeMap<ConversationId, Talk>,
    /// How far was read in those that are not known yet.
    early: BTreeMap<ConversationId, Seq>,
    seen: BTreeSet<MessageId>,
    /// What the mail brings and is to be asked for: whose it is, and where it stands.
    awaited: BTreeMap<MessageId, ((ConversationId, UserId), Seq)>,
}

/// A conversation as the mail so far would leave it.
struct Talk {
    /// `None`: it is new here.
    row: Option<ConversationRow>,
    /// The user has written there, so it is no request.
    has_own_message: bool,
    request: Request,
    /// What was said to the request, and whether this device said it and the node has not heard.
    said: Option<(Verdict, bool)>,
    read_up_to: Option<Seq>,
    /// What others wrote up to here was declined.
    declined_up_to: Option<Seq>,
    head: Option<Seq>,
    /// Of messages by others that are new.
    arrived: Vec<Seq>,
}

impl Peek<'_> {
    fn talk(&mut self, head: &ConversationHead) -> Result<&mut Talk, StoreError> {
        if !self.conversations.contains_key(&head.id) {
            let row = ConversationRow::find(self.db, head.id)?;
            let said = row.as_ref().map(|row| AdmissionRow::get(self.db, row.key)).transpose()?.flatten();
            let read_up_to = match &row {
                Some(row) => row.read_up_to,
                None => store::early_read(self.db, head.id)?.max(self.early.get(&head.id).copied()),
            };
            let own = row.as_ref().map(|row| row.key.has_own_message(self.db)).transpose()?;
            let talk = Talk {
                has_own_message: own.unwrap_or(false),
                request: row.as_ref().map_or(Request::No, |row| row.request),
                said: said.map(|said| (said.verdict, said.waits)),
                read_up_to,
                declined_up_to: None,
                head: row.as_ref().and_then(|row| row.head),
                arrived: Vec::new(),
                row,
            };
            self.conversations.insert(head.id, talk);
        }
        Ok(self.conversations.get_mut(&head.id).expect("it was just put there"))
    }

    /// The conversation of mail that does not begin one.
    fn known(&mut self, id: ConversationId) -> Result<Option<&mut Talk>, StoreError> {
        if !self.conversations.contains_key(&id) {
            let Some(row) = ConversationRow::find(self.db, id)? else { return Ok(None) };
            let ConversationRow { kind, protection, peer, .. } = row;
            self.talk(&ConversationHead { id, kind, protection, peer })?;
        }
        Ok(self.conversations.get_mut(&id))
    }

    /// The message, if it is new, somebody else's, and can be shown.
    fn envelope(&mut self, envelope: &Envelope) -> Result<Option<PeekedMessage>, StoreError> {
        let (sender, own_user) = (envelope.sender_user, self.account.user);
        let Envelope { conversation, kind, protection, peer, .. } = *envelope;
        let Some(head) = direct_head(own_user, conversation, kind, protection, sender, peer) else { return Ok(None) };
        let id = envelope.resend_of.unwrap_or(envelope.message);
        if self.seen.contains(&id) || store::is_dealt_with(self.db, envelope.message)? {
            return Ok(None);
        }
        // What is sent again stands where it stood.
        let is_again = envelope.resend_of.is_some();
        let stands_at = match (MessageRow::find(self.db, id)?, self.awaited.get(&id)) {
            (Some(row), _) if self.is_awaited_of(&row, envelope)? => row.seq.or(Some(envelope.seq)),
            (None, Some(&(of, at))) if of == (conversation, sender) => Some(at),
            (None, None) => None,
            _ => return Ok(None),
        };
        let body = match protection {
            Protection::NodeReadable => Some(envelope.body.clone()),
            Protection::EndToEnd => match self.decrypt(envelope, head.peer)? {
                Read::Content(body) => Some(body),
                Read::Unreadable => None,
                // A group changes without a word.
                Read::Dealt(_) | Read::Later => return Ok(None),
            },
        };
        if body.is_none() && !envelope.urgent {
            return Ok(None);
        }
        let is_awaited = body.is_none();
        let content = body.and_then(|body| Content::decode(body, id).ok());
        if content.is_none() && (is_again || stands_at.is_some()) {
            return Ok(None);
        }
        if !is_awaited {
            self.seen.insert(id);
        }
        if content.as_ref().is_some_and(|content| content.kind.is_for_devices()) {
            return Ok(None);
        }
        let is_incoming = sender != own_user;
        let seq = stands_at.unwrap_or(envelope.seq);
        let talk = self.talk(&head)?;
        talk.has_own_message |= !is_incoming;
        let is_request = is_incoming && envelope.request;
        if stands_at.is_none() && (is_request || talk.request != Request::No) {
            talk.request = request_after(talk.said.map(|(verdict, _)| verdict), is_incoming, is_request);
        }
        talk.head = talk.head.max(Some(seq));
        if is_awaited {
            // Not shown meanwhile.
            self.awaited.insert(id, ((conversation, sender), seq));
            return Ok(None);
        }
        if !is_incoming {
            return Ok(None);
        }
        talk.arrived.push(seq);
        let Some(Content { created_at, kind: ContentKind::Text(text), .. }) = content else { return Ok(None) };
        Ok(Some(PeekedMessage {
            id,
            conversation,
            seq,
            sender,
            sender_name: store::user_name(self.db, sender)?,
            text,
            created_at,
            accepted_at: envelope.accepted_at,
            is_request: false,
        }))
    }

    /// Whether the message is asked for, and this may be it.
    fn is_awaited_of(&self, row: &MessageRow, envelope: &Envelope) -> Result<bool, StoreError> {
        let is_of_conversation = ConversationRow::find(self.db, envelope.conversation)?
            .is_some_and(|conversation| conversation.key == row.conversation);
        Ok(row.kind == MessageKind::Awaited
            && !row.deleted
            && is_of_conversation
            && row.sender == envelope.sender_user
            && (row.sender == self.account.user || !IdentityRow::is_of_an_earlier_one(self.db, row.sender, row.key)?))
    }

    /// As the app will read it, and with its keys: used up in a copy, which is gone with the connection.
    fn decrypt(&mut self, envelope: &Envelope, peer: Option<UserId>) -> Result<Read, StoreError> {
        let mut turn = Turn::new(self.db, envelope.accepted_at);
        self.reader()?.read_encrypted(&mut turn, envelope, peer)
    }

    fn reader(&mut self) -> Result<&mut Engine, StoreError> {
        match &mut self.reader {
            Some(reader) => Ok(reader),
            none => {
                store::shadow_groups(self.db)?;
                Ok(none.insert(Engine::load_from(self.db, 0)?))
            }
        }
    }

    /// The user read on another device.
    fn read_notice(&mut self, notice: &ReadNotice) -> Result<(), StoreError> {
        if notice.user != self.account.user {
            return Ok(());
        }
        let message = signing::read(self.account.realm, notice.user, notice.device, &notice.read);
        let leaf = match ConversationRow::find(self.db, notice.read.conversation)? {
            Some(row) if row.protection == Protection::EndToEnd => {
                let (db, entry) = (self.db, RosterEntry { user: notice.user, device: notice.device });
                self.reader()?.leaf(&Turn::new(db, notice.read.at), row.id, entry)?
            }
            _ => None,
        };
        let pinned = match leaf {
            Some(leaf) => Some((notice.user, leaf.key)),
            None => store::device_key(self.db, notice.device)?,
        };
        let is_its_key = pinned.is_none_or(|pinned| pinned == (notice.user, notice.device_key));
        if !is_its_key || !super::identity::verify(&notice.device_key, &message, &notice.read.signature) {
            return Ok(());
        }
        let (conversation, up_to) = (notice.read.conversation, notice.read.up_to);
        match self.known(conversation)? {
            Some(talk) => talk.read_up_to = talk.read_up_to.max(Some(up_to)),
            None => drop(
                self.early.insert(conversation, up_to.max(self.early.get(&conversation).copied().unwrap_or(up_to))),
            ),
        }
        Ok(())
    }

    /// The user answered a request on another device.
    fn admission(&mut self, said: &Admission) -> Result<(), StoreError> {
        let Admission { conversation, verdict, up_to, .. } = *said;
        let Some(talk) = self.known(conversation)? else { return Ok(()) };
        if talk.said.is_some_and(|(verdict, waits)| waits && verdict != Verdict::Decline) {
            return Ok(());
        }
        match verdict {
            Verdict::Accept => talk.request = Request::No,
            Verdict::Decline | Verdict::Block => {
                if !talk.has_own_message {
                    talk.declined_up_to = talk.declined_up_to.max(up_to);
                    talk.arrived.retain(|&seq| Some(seq) > up_to);
                }
                if verdict == Verdict::Block || talk.head <= up_to {
                    talk.request = Request::Refused;
                }
            }
        }
        talk.said = Some((verdict, false));
        Ok(())
    }

    fn sum_up(self, arrived: Vec<PeekedMessage>) -> Result<Peeked, StoreError> {
        let mut unread = store::total_unread(self.db)?;
        for talk in self.conversations.values() {
            if let Some(row) = &talk.row {
                let had = store::unread(self.db, row.key)?;
                if row.request == Request::No {
                    unread = unread.saturating_sub(had);
                }
                if talk.request == Request::No {
                    let above = talk.read_up_to.max(talk.declined_up_to);
                    let is_as_before = above == row.read_up_to;
                    unread += if is_as_before { had } else { store::unread_above(self.db, row.key, above)? };
                }
            }
            if talk.request == Request::No {
                let new = talk.arrived.iter().filter(|&&seq| Some(seq) > talk.read_up_to);
                unread += u32::try_from(new.count()).unwrap_or(u32::MAX);
            }
        }
        let shown = arrived.into_iter().filter_map(|message| {
            let talk = self.conversations.get(&message.conversation)?;
            let is_left = talk.arrived.contains(&message.seq) && Some(message.seq) > talk.read_up_to;
            let is_request = match talk.request {
                Request::No => false,
                Request::Asked => true,
                Request::Refused => return None,
            };
            is_left.then_some(PeekedMessage { is_request, ..message })
        });
        Ok(Peeked { messages: shown.collect(), unread, has_more: false })
    }
}
