//! Merging: a part of a history, of another device or of a backup, takes its place in this one.
//!
//! Guarantees: what is merged twice is there once; nothing that is here is replaced by what an archive says, but a message that could not
//! be read, and a position by a later one.

use chasqui_wire::{
    ArchivePage, ArchivedConversation, ArchivedMessage, ArchivedMissing, ArchivedUser, BackupHead, Content,
    ContentKind, ConversationKind, Protection, Seq, UserId, direct_conversation,
};

use super::inbox::{move_to_later, take_place};
use super::recovery::came_after_all;
use super::{Engine, Reply, Secret, Turn, public_key};
use crate::domain::Failure;
use crate::error::Error;
use crate::store::{
    self, AccountRow, ConversationHead, ConversationRow, IndexChange, MessageKind, MessageRow, NewHole, NewMessage,
    Place, Request, StoreError,
};

type Answer = Result<Result<Reply, Error>, StoreError>;

/// What becomes of messages that the node never took.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unsent {
    /// Their device sends them.
    Left,
    /// Their device is gone: they stay, to be sent again by whoever wants.
    Kept,
}

impl Engine {
    /// A backup says whose history it is, and what their identity was.
    pub(super) fn adopt(&mut self, turn: &mut Turn<'_>, head: &BackupHead) -> Answer {
        let seed = head.identity_seed.map(Secret::new);
        if !AccountRow::adopt_owner(turn.db, head.user, &head.name, seed.as_ref())? {
            return Ok(Err(Error::someone_elses_folder()));
        }
        let Some(row) = AccountRow::load(turn.db)?.filter(|row| row.enrolled) else { return Ok(Ok(Reply::Done)) };
        if row.user != head.user {
            return Ok(Err(Error::someone_elses_folder()));
        }
        // Logged in before: the node says whether that is still the user's identity.
        let is_wanted = |seed: &Secret| row.identity_seed.is_none() || row.other_identity == Some(public_key(seed));
        if let Some(seed) = seed.filter(is_wanted) {
            AccountRow::set_identity_seed(turn.db, &seed)?;
            self.identity_is_new(turn)?;
            self.recycle_socket = true;
        }
        Ok(Ok(Reply::Done))
    }

    /// Puts a part of a history in its place; says how many messages are new here.
    pub(super) fn merge(&mut self, turn: &mut Turn<'_>, page: &ArchivePage, unsent: Unsent) -> Result<u64, StoreError> {
        let own = match &self.account {
            Some(account) => Some(account.user),
            None => AccountRow::owner(turn.db)?.map(|(user, _)| user),
        };
        let Some(own) = own else { return Ok(0) };
        for user in &page.users {
            self.merge_user(turn, own, user)?;
        }
        for conversation in &page.conversations {
            self.merge_conversation(turn, own, conversation)?;
        }
        let mut new = 0;
        for message in &page.messages {
            new += u64::from(self.merge_message(turn, own, message, unsent)?);
        }
        for missing in &page.missing {
            self.merge_missing(turn, missing)?;
        }
        for comparison in page.comparisons.iter().filter(|comparison| comparison.user != own) {
            self.take_comparison(turn, comparison)?;
        }
        Ok(new)
    }

    /// What is not there, and is not here, is said to be missing here, too.
    fn merge_missing(&mut self, turn: &mut Turn<'_>, missing: &ArchivedMissing) -> Result<(), StoreError> {
        let ArchivedMissing { conversation, range, reason, sender, at } = *missing;
        let Some(conversation) = ConversationRow::find(turn.db, conversation)? else { return Ok(()) };
        match reason {
            None => drop(store::note_gap(turn.db, &conversation, range.first(), sender, at)?),
            Some(reason) => {
                turn.changes.incomplete |=
                    store::note_hole(turn.db, &conversation, &NewHole { range, reason, since: at, sender })?;
            }
        }
        conversation.raise_head(turn.db, range.last())?;
        turn.changed(conversation.id);
        Ok(())
    }

    /// What nobody could read there is asked for from here, too, of whoever wrote it.
    fn merge_unreadable(
        &mut self,
        turn: &mut Turn<'_>,
        conversation: &ConversationRow,
        new: NewMessage,
        seq: Seq,
    ) -> Result<bool, StoreError> {
        store::fill_gap(turn.db, conversation, seq)?;
        let Some(key) = MessageRow::insert(turn.db, conversation, &new)? else { return Ok(false) };
        if new.kind == MessageKind::Awaited {
            self.miss(turn, key)?;
            conversation.raise_head(turn.db, seq)?;
        } else {
            conversation.add(turn.db, seq, new.incoming)?;
        }
        turn.arranged(conversation);
        Ok(true)
    }

    fn merge_user(&mut self, turn: &mut Turn<'_>, own: UserId, user: &ArchivedUser) -> Result<(), StoreError> {
        if store::restore_user(turn.db, user, self.latest_time(turn.now))? {
            self.contest(turn, user.user)?;
        }
        if user.deleted || user.identity_changed_at.is_some() {
            self.look_after(turn, user.user)?;
        }
        self.names_wanted |= user.name.is_none() && user.user != own;
        turn.changes.users = true;
        Ok(())
    }

    fn merge_conversation(
        &mut self,
        turn: &mut Turn<'_>,
        own: UserId,
        archived: &ArchivedConversation,
    ) -> Result<(), StoreError> {
        let ArchivedConversation { conversation: id, kind, protection, peer, .. } = *archived;
        // Of a later version, or not what it says.
        if kind != ConversationKind::Direct || peer.is_none_or(|peer| direct_conversation(own, peer, protection) != id)
        {
            return Ok(());
        }
        let is_new = ConversationRow::find(turn.db, id)?.is_none();
        let row =
            ConversationRow::ensure(turn.db, &ConversationHead { id, kind, protection, peer }, archived.activity)?;
        if is_new && archived.hidden {
            row.hide(turn.db)?;
        } else if !archived.hidden {
            row.show(turn.db)?;
        }
        match row.request {
            Request::No if is_new && archived.is_request => row.key.set_request(turn.db, Request::Asked)?,
            Request::Asked if !archived.is_request => row.key.set_request(turn.db, Request::No)?,
            Request::No | Request::Asked | Request::Refused => {}
        }
        if let Some(read) = archived.read_up_to {
            // Authors were told by the device that this comes from.
            row.skip_reported(turn.db, read)?;
            row.raise_read(turn.db, read)?;
        }
        turn.reread(&row);
        self.recovery.look();
        Ok(())
    }

    fn merge_message(
        &mut self,
        turn: &mut Turn<'_>,
        own: UserId,
        archived: &ArchivedMessage,
        unsent: Unsent,
    ) -> Result<bool, StoreError> {
        let Some(conversation) = ConversationRow::find(turn.db, archived.conversation)? else { return Ok(false) };
        let incoming = archived.sender != own;
        let is_readable = !archived.body.is_empty();
        let kind = match conversation.protection {
            _ if is_readable => MessageKind::Content,
            Protection::EndToEnd => MessageKind::Awaited,
            Protection::NodeReadable => MessageKind::Unreadable,
        };
        let new = NewMessage {
            id: archived.message,
            place: archived.seq.map_or(Place::Pending, Place::At),
            sender: archived.sender,
            sender_device: archived.sender_device,
            incoming,
            kind,
            created_at: archived.created_at,
            accepted_at: archived.accepted_at,
            body: archived.body.clone(),
        };
        if !is_readable {
            let is_here = MessageRow::find(turn.db, archived.message)?.is_some();
            return match archived.seq.filter(|_| !is_here) {
                Some(seq) => self.merge_unreadable(turn, &conversation, new, seq),
                None => Ok(false),
            };
        }
        let Ok(content) = Content::decode(archived.body.clone(), archived.message) else { return Ok(false) };
        if content.kind.is_for_devices() || (archived.seq.is_none() && unsent == Unsent::Left) {
            return Ok(false);
        }
        let inserted = MessageRow::insert(turn.db, &conversation, &new)?;
        let key = match inserted {
            Some(key) => key,
            None => match MessageRow::find(turn.db, archived.message)? {
                // It came here, and could not be read.
                Some(row)
                    if row.kind.is_missed()
                        && !row.deleted
                        && row.conversation == conversation.key
                        && row.sender == archived.sender =>
                {
                    came_after_all(turn, &conversation, &row, archived.created_at, &archived.body)?;
                    if let Some(seq) = archived.seq.filter(|_| row.is_out_of_place()) {
                        let at = archived.accepted_at.unwrap_or(archived.created_at);
                        take_place(turn, &conversation, &row, seq, at)?;
                    }
                    row.key
                }
                Some(row) if row.conversation == conversation.key && row.sender == archived.sender => {
                    if let Some(seq) = archived.seq {
                        move_to_later(turn, &conversation, &row, seq)?;
                    }
                    return Ok(false);
                }
                _ => return Ok(false),
            },
        };
        match archived.seq {
            Some(seq) => {
                store::fill_gap(turn.db, &conversation, seq)?;
                if inserted.is_some() {
                    conversation.add(turn.db, seq, incoming)?;
                }
                if !incoming {
                    store::restore_deliveries(turn.db, conversation.key, seq, &archived.deliveries)?;
                    store::apply_early_receipts(turn.db, conversation.key, seq)?;
                }
            }
            None => {
                let row = MessageRow::get(turn.db, key)?;
                row.set_failed(turn.db, conversation.head, Failure::TooOld)?;
            }
        }
        if let ContentKind::Text(text) = &content.kind {
            turn.index(IndexChange::add(key, text));
        }
        turn.arranged(&conversation);
        Ok(true)
    }
}
