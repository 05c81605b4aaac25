//! Who and what the batch's messages name: users, their devices, conversations, groups. Asked of the database once.
//!
//! It follows a batch at once, and one that is rolled back makes it forget everything. What it forgets it asks again, so
//! nothing but time depends on what it remembers.

use std::collections::BTreeMap;
use std::sync::Arc;

use chasqui_wire::{ConversationId, UserId};
use rusqlite::OptionalExtension as _;

use super::RelayError;
use super::roster::Group;
use super::route::ActiveDevice;
use super::step::Step;
use crate::store::{ConversationRow, UserRow};

/// What is remembered of users and conversations.
#[derive(Debug, Default)]
pub(super) struct Directory {
    users: BTreeMap<UserId, UserRow>,
    user_ids: BTreeMap<UserRow, UserId>,
    devices: BTreeMap<UserRow, Arc<[ActiveDevice]>>,
    /// With the highest position given so far.
    conversations: BTreeMap<ConversationId, (ConversationRow, u64)>,
    conversation_ids: BTreeMap<ConversationRow, ConversationId>,
    groups: BTreeMap<ConversationRow, Arc<Group>>,
}

/// The most that one of the maps remembers: beyond, it begins anew.
const MOST: usize = 100_000;

fn remember<K: Ord, V>(map: &mut BTreeMap<K, V>, key: K, value: V) {
    if map.len() >= MOST {
        map.clear();
    }
    map.insert(key, value);
}

impl Directory {
    /// Which devices somebody has may have changed.
    pub(super) fn forget_devices(&mut self) {
        self.devices.clear();
        self.groups.clear();
    }

    /// Which devices can be put in groups may have changed.
    pub(super) fn forget_groups(&mut self) {
        self.groups.clear();
    }

    pub(super) fn forget_group(&mut self, conversation: ConversationRow) {
        self.groups.remove(&conversation);
    }

    pub(super) fn group(&self, conversation: ConversationRow) -> Option<Arc<Group>> {
        self.groups.get(&conversation).map(Arc::clone)
    }

    pub(super) fn remember_group(&mut self, conversation: ConversationRow, group: Arc<Group>) {
        remember(&mut self.groups, conversation, group);
    }
}

impl Step<'_> {
    pub(super) fn user_by_id(&mut self, id: UserId) -> Result<Option<UserRow>, RelayError> {
        if let Some(&user) = self.state.directory.users.get(&id) {
            return Ok(Some(user));
        }
        let mut query = self.sql("SELECT user FROM user WHERE id = ?1")?;
        let user = query.query_row([id.as_bytes()], |row| row.get(0)).optional()?;
        drop(query);
        if let Some(user) = user {
            remember(&mut self.state.directory.users, id, user);
        }
        Ok(user)
    }

    pub(super) fn user_id(&mut self, user: UserRow) -> Result<UserId, RelayError> {
        if let Some(&id) = self.state.directory.user_ids.get(&user) {
            return Ok(id);
        }
        let mut query = self.sql("SELECT id FROM user WHERE user = ?1")?;
        let id = query.query_row([user], |row| row.get(0).map(UserId::from_bytes))?;
        drop(query);
        remember(&mut self.state.directory.user_ids, user, id);
        Ok(id)
    }

    /// The devices of a user that were not revoked.
    pub(super) fn active_devices(&mut self, user: UserRow) -> Result<Arc<[ActiveDevice]>, RelayError> {
        if let Some(devices) = self.state.directory.devices.get(&user) {
            return Ok(Arc::clone(devices));
        }
        let mut query = self.sql(
            "SELECT device, absent_since IS NOT NULL FROM device
             WHERE user = ?1 AND revoked_at IS NULL ORDER BY device",
        )?;
        let device = |row: &rusqlite::Row<'_>| Ok(ActiveDevice { row: row.get(0)?, is_absent: row.get(1)? });
        let devices: Arc<[ActiveDevice]> = query.query_map([user], device)?.collect::<Result<_, _>>()?;
        drop(query);
        remember(&mut self.state.directory.devices, user, Arc::clone(&devices));
        Ok(devices)
    }

    /// A conversation, and the highest position that it has given.
    pub(super) fn conversation_by_id(
        &mut self,
        id: ConversationId,
    ) -> Result<Option<(ConversationRow, u64)>, RelayError> {
        if let Some(&known) = self.state.directory.conversations.get(&id) {
            return Ok(Some(known));
        }
        let mut query = self.sql("SELECT conversation, head FROM conversation WHERE id = ?1")?;
        let found = query.query_row([id.as_bytes()], |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
        drop(query);
        let Some((row, head)) = found else { return Ok(None) };
        let head = self.pending.heads.get(&row).copied().unwrap_or(head);
        remember(&mut self.state.directory.conversations, id, (row, head));
        Ok(Some((row, head)))
    }

    pub(super) fn conversation_id(&mut self, row: ConversationRow) -> Result<ConversationId, RelayError> {
        if let Some(&id) = self.state.directory.conversation_ids.get(&row) {
            return Ok(id);
        }
        let mut query = self.sql("SELECT id FROM conversation WHERE conversation = ?1")?;
        let id = query.query_row([row], |row| row.get(0).map(ConversationId::from_bytes))?;
        drop(query);
        remember(&mut self.state.directory.conversation_ids, row, id);
        Ok(id)
    }

    /// The conversation has given this position; written once, at the end of the batch.
    pub(super) fn set_head(&mut self, id: ConversationId, row: ConversationRow, head: u64) {
        self.pending.heads.insert(row, head);
        remember(&mut self.state.directory.conversations, id, (row, head));
    }

    pub(super) fn write_heads(&mut self) -> Result<(), RelayError> {
        let mut update = self.sql("UPDATE conversation SET head = ?2 WHERE conversation = ?1")?;
        for (row, head) in &self.pending.heads {
            update.execute((row, head))?;
        }
        Ok(())
    }
}
