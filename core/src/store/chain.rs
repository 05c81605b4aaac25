//! What each message is chained to, so that one that is kept back is missed.

use chasqui_wire::{ConversationId, MessageId, Previous, Seq};
use rusqlite::{Connection, params};

use super::{Ask as _, ConversationKey, MessageKey, OutboxKey, RowExt as _, Sql, StoreError};
use crate::e2ee::GroupId;

/// What this device said in a conversation and has not named since, oldest first.
pub(crate) fn last_said(connection: &Connection, conversation: ConversationId) -> Result<Vec<Previous>, StoreError> {
    let sql = "SELECT message, mls_group, epoch FROM last_said WHERE conversation = ? ORDER BY rowid";
    connection.all(sql, params![Sql(conversation)], |row| {
        let epoch = row.get::<_, i64>("epoch")?.cast_unsigned();
        Ok(Previous { message: row.wire("message")?, group: row.get("mls_group")?, epoch })
    })
}

/// This it said, too.
pub(crate) fn add_last_said(
    connection: &Connection,
    conversation: ConversationId,
    said: &Previous,
) -> Result<(), StoreError> {
    let sql = "INSERT OR IGNORE INTO last_said (conversation, message, mls_group, epoch) VALUES (?, ?, ?, ?)";
    connection.run(sql, params![Sql(conversation), Sql(said.message), said.group, said.epoch.cast_signed()])?;
    Ok(())
}

/// This is named now, or was not said after all.
pub(crate) fn remove_last_said(
    connection: &Connection,
    conversation: ConversationId,
    message: MessageId,
) -> Result<(), StoreError> {
    let sql = "DELETE FROM last_said WHERE conversation = ? AND message = ?";
    connection.run(sql, params![Sql(conversation), Sql(message)])?;
    Ok(())
}

/// A message of people, and what waits behind its entry, is to be sealed anew if it is sent; where the node has surely not taken them, as for
/// the first time.
pub(crate) fn unseal_from(
    connection: &Connection,
    message: MessageKey,
    conversation: ConversationKey,
    entry: OutboxKey,
    are_untaken: bool,
) -> Result<(), StoreError> {
    let sql = "UPDATE flight SET epoch = -1, body = x'', first_epoch = iif(?4, -1, first_epoch)
               WHERE first_group IS NOT NULL AND (message = ?1 OR message IN
                   (SELECT message FROM outbox WHERE conversation = ?2 AND id > ?3))";
    connection.run(sql, params![message.0, conversation.0, entry.0, are_untaken])?;
    Ok(())
}

/// Since when this device is in the groups of a conversation.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Membership {
    /// The first epoch of the group that is asked about.
    pub(crate) epoch: Option<u64>,
    /// The change that led to the first of them all.
    pub(crate) first: Option<Seq>,
}

impl Membership {
    /// This device gets everything that is said in a group from `epoch` on, unless it got what came before already.
    pub(crate) fn note(
        connection: &Connection,
        conversation: ConversationId,
        group: GroupId,
        epoch: u64,
        since: Option<Seq>,
    ) -> Result<(), StoreError> {
        let sql = "INSERT INTO member_since (conversation, mls_group, epoch, seq) VALUES (?, ?, ?, ?)
                   ON CONFLICT DO NOTHING";
        let seq = super::conversation::raw(since);
        connection.run(sql, params![Sql(conversation), group.0, epoch.cast_signed(), seq])?;
        Ok(())
    }

    /// In the group of that name, and in all.
    pub(crate) fn of(
        connection: &Connection,
        conversation: ConversationId,
        group: &[u8; 16],
    ) -> Result<Self, StoreError> {
        let sql = "SELECT max(epoch) FILTER (WHERE mls_group = ?2) AS epoch, min(seq) AS first
                   FROM member_since WHERE conversation = ?1";
        connection.one(sql, params![Sql(conversation), group], |row| {
            let first = row.get::<_, Option<i64>>("first")?;
            Ok(Self {
                epoch: row.get::<_, Option<i64>>("epoch")?.map(i64::cast_unsigned),
                first: first.and_then(|first| Seq::from_raw(first.cast_unsigned())),
            })
        })
    }
}

/// Something is missing, in this conversation or in any, and people see it: nobody is asked for what nobody was asked for yet.
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
