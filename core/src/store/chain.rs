//! What each message is chained to, so that one that is kept back is missed.

use chasqui_wire::{ConversationId, Previous};
use rusqlite::{Connection, params};

use super::{Ask as _, ConversationKey, OutboxKey, RowExt as _, Sql, StoreError};
use crate::e2ee::GroupId;

/// Groups of a conversation in which something may still be missed. Each is begun because another one is lost.
const GROUPS: i64 = 8;

/// What this device said last in a conversation.
pub(crate) fn last_said(connection: &Connection, conversation: ConversationId) -> Result<Option<Previous>, StoreError> {
    let sql = "SELECT message, mls_group, epoch FROM last_said WHERE conversation = ?";
    connection.first(sql, params![Sql(conversation)], |row| {
        let epoch = row.get::<_, i64>("epoch")?.cast_unsigned();
        Ok(Previous { message: row.wire("message")?, group: row.get("mls_group")?, epoch })
    })
}

/// This it said last; or nothing.
pub(crate) fn set_last_said(
    connection: &Connection,
    conversation: ConversationId,
    said: Option<&Previous>,
) -> Result<(), StoreError> {
    let Some(said) = said else {
        connection.run("DELETE FROM last_said WHERE conversation = ?", params![Sql(conversation)])?;
        return Ok(());
    };
    let sql = "INSERT OR REPLACE INTO last_said (conversation, message, mls_group, epoch) VALUES (?, ?, ?, ?)";
    connection.run(sql, params![Sql(conversation), Sql(said.message), said.group, said.epoch.cast_signed()])?;
    Ok(())
}

/// What waits behind `entry` is to be encrypted again.
pub(crate) fn unseal_after(
    connection: &Connection,
    conversation: ConversationKey,
    entry: OutboxKey,
) -> Result<(), StoreError> {
    let sql = "DELETE FROM flight WHERE message IN (SELECT message FROM outbox WHERE conversation = ? AND id > ?)";
    connection.run(sql, params![conversation.0, entry.0])?;
    Ok(())
}

/// This device gets everything that is said in a group from `epoch` on, unless it got what came before already.
pub(crate) fn note_member(
    connection: &Connection,
    conversation: ConversationId,
    group: GroupId,
    epoch: u64,
) -> Result<(), StoreError> {
    let sql = "INSERT INTO member_since (conversation, mls_group, epoch) VALUES (?, ?, ?) ON CONFLICT DO NOTHING";
    if connection.run(sql, params![Sql(conversation), group.0, epoch.cast_signed()])? > 0 {
        let sql = "DELETE FROM member_since WHERE conversation = ?1 AND id NOT IN
                   (SELECT id FROM member_since WHERE conversation = ?1 ORDER BY id DESC LIMIT ?2)";
        connection.run(sql, params![Sql(conversation), GROUPS])?;
    }
    Ok(())
}

/// Whether this device should have what was said in a group at that epoch.
pub(crate) fn was_member(
    connection: &Connection,
    conversation: ConversationId,
    said: &Previous,
) -> Result<bool, StoreError> {
    let sql = "SELECT EXISTS (SELECT 1 FROM member_since WHERE conversation = ? AND mls_group = ? AND epoch <= ?)";
    connection.one(sql, params![Sql(conversation), said.group, said.epoch.cast_signed()], |row| row.get(0))
}

/// Something may be missing, in this conversation or in any, and was not kept back: nobody is asked for what nobody was asked for yet.
pub(crate) fn note_lost(connection: &Connection, conversation: Option<ConversationId>) -> Result<(), StoreError> {
    let parameters = params![conversation.map(Sql)];
    connection.run("DELETE FROM member_since WHERE conversation = ?1 OR ?1 IS NULL", parameters)?;
    let sql = "DELETE FROM message WHERE kind = 5 AND seq IS NULL AND deleted = 0
               AND id IN (SELECT message FROM recovery WHERE attempts = 0)
               AND (?1 IS NULL OR conversation = (SELECT id FROM conversation WHERE conversation = ?1))";
    connection.run(sql, parameters)?;
    let sql = "DELETE FROM recovery WHERE message NOT IN (SELECT id FROM message)";
    connection.run(sql, params![])?;
    Ok(())
}
