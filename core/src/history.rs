//! Queries over the local history. They never wait for the network, and never change anything.

use chasqui_wire::{ArchivePage, ConversationId, DeviceId, MessageId, UserId};
use rusqlite::Connection;

use crate::domain::{
    Account, ConversationSummary, Cursor, HistoryTransfer, Incomplete, Message, Salvage, SearchHit, SecurityEvent,
    TimelinePage,
};
use crate::engine::Secret;
use crate::export::{KnownDevice, KnownUser};
use crate::store::{self, AccountRow, ArchiveCursor, IdentityRow, StoreError, TransferRow};

/// The local history, seen through one connection.
#[derive(Clone, Copy, Debug)]
pub struct History<'a> {
    connection: &'a Connection,
}

impl<'a> History<'a> {
    pub(crate) fn new(connection: &'a Connection) -> Self {
        Self { connection }
    }

    /// Whom this folder belongs to, if a device is enrolled.
    pub fn account(&self) -> Result<Option<Account>, StoreError> {
        let row = AccountRow::load(self.connection)?.filter(|row| row.enrolled);
        Ok(row.map(|row| Account {
            is_linked: row.identity_seed.is_some() && row.other_identity.is_none(),
            user: row.user,
            name: row.name,
            device: row.device,
            node: row.node,
        }))
    }

    /// The conversation list, latest activity first.
    pub fn conversations(&self, limit: u32) -> Result<Vec<ConversationSummary>, StoreError> {
        store::list(self.connection, limit)
    }

    /// One line of the list.
    pub fn conversation(&self, id: ConversationId) -> Result<Option<ConversationSummary>, StoreError> {
        store::summary(self.connection, id)
    }

    /// Unread messages in all conversations.
    pub fn total_unread(&self) -> Result<u32, StoreError> {
        store::total_unread(self.connection)
    }

    /// The newest `limit` lines of a timeline, or those before a cursor.
    pub fn timeline_before(
        &self,
        id: ConversationId,
        before: Option<Cursor>,
        limit: u32,
    ) -> Result<TimelinePage, StoreError> {
        store::page_before(self.connection, id, before, limit)
    }

    /// The lines after a cursor.
    pub fn timeline_after(&self, id: ConversationId, after: Cursor, limit: u32) -> Result<TimelinePage, StoreError> {
        store::page_after(self.connection, id, after, limit)
    }

    /// What the node did not keep for this device, if it ever had to.
    pub fn incomplete(&self) -> Result<Option<Incomplete>, StoreError> {
        store::incomplete(self.connection)
    }

    /// One message.
    pub fn message(&self, id: MessageId) -> Result<Option<Message>, StoreError> {
        store::show_by_id(self.connection, id)
    }

    /// Messages that hold every word of `query`, newest first.
    pub fn search(&self, query: &str, limit: u32) -> Result<Vec<SearchHit>, StoreError> {
        store::search(self.connection, query, limit)
    }

    /// The user of that name, if met before.
    pub fn user_by_name(&self, name: &str) -> Result<Option<UserId>, StoreError> {
        Ok(store::user_by_name(self.connection, name)?.map(|(user, _)| user))
    }

    /// People who are known here, in the order of their ids.
    pub(crate) fn users_after(&self, after: Option<UserId>, limit: u32) -> Result<Vec<KnownUser>, StoreError> {
        store::users_after(self.connection, after, limit)
    }

    /// Devices whose keys are known here, in the order of their ids.
    pub(crate) fn devices_after(&self, after: Option<DeviceId>, limit: u32) -> Result<Vec<KnownDevice>, StoreError> {
        store::devices_after(self.connection, after, limit)
    }

    /// The conversation that came next into this history, in the list or not, and what to go on with.
    pub(crate) fn conversation_after(&self, after: i64) -> Result<Option<(i64, ConversationSummary)>, StoreError> {
        store::conversation_after(self.connection, after)
    }

    /// A message as it came.
    pub(crate) fn body(&self, id: MessageId) -> Result<bytes::Bytes, StoreError> {
        store::body(self.connection, id)
    }

    /// Whose history this is, whether a device is enrolled or not.
    pub(crate) fn owner(&self) -> Result<Option<(UserId, String)>, StoreError> {
        AccountRow::owner(self.connection)
    }

    /// The identity (Ed25519 seed) of whoever's history this is, whether a device is enrolled or not. None where the node names another
    /// one.
    pub(crate) fn identity_seed(&self) -> Result<Option<Secret>, StoreError> {
        match self.account_row()?.filter(|row| row.enrolled) {
            Some(row) => Ok(row.identity_seed.filter(|_| row.other_identity.is_none())),
            None => AccountRow::owners_identity(self.connection),
        }
    }

    /// What was saved from damaged files so far, oldest first.
    pub fn salvages(&self) -> Result<Vec<Salvage>, StoreError> {
        store::salvages(self.connection)
    }

    /// What was noticed about identities after that event, oldest first.
    pub fn security_events(&self, after: u64, limit: u32) -> Result<Vec<SecurityEvent>, StoreError> {
        store::security_events(self.connection, after, limit)
    }

    /// What is known of somebody's identity.
    pub(crate) fn identity(&self, user: UserId) -> Result<Option<IdentityRow>, StoreError> {
        IdentityRow::get(self.connection, user)
    }

    /// How far the history of another device of the user has come; `None` when none is on its way.
    pub fn transfer(&self) -> Result<Option<HistoryTransfer>, StoreError> {
        let row = TransferRow::load(self.connection)?;
        Ok(row
            .filter(|row| !row.catches_up())
            .map(|row| HistoryTransfer { messages: row.messages, per_mille: row.per_mille }))
    }

    /// A part of the history, for a backup.
    pub(crate) fn archive(
        &self,
        from: Option<ArchiveCursor>,
        size: usize,
    ) -> Result<(ArchivePage, Option<ArchiveCursor>), StoreError> {
        let from = from.map_or_else(|| ArchiveCursor::beginning(self.connection), Ok)?;
        from.page(self.connection, size)
    }

    pub(crate) fn account_row(&self) -> Result<Option<AccountRow>, StoreError> {
        AccountRow::load(self.connection)
    }
}
