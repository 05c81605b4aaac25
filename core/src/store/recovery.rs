//! Messages that came and could not be read, until somebody sent them again; and what devices say to each other about it.

use chasqui_wire::{DeviceId, MessageId, Timestamp};
use rusqlite::{Connection, Row, params};

use super::{Ask as _, ConversationKey, MessageKey, MessageKind, RowExt as _, Sql, StoreError};

/// A message that is asked for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Missed {
    pub(crate) key: MessageKey,
    pub(crate) conversation: ConversationKey,
    pub(crate) id: MessageId,
    /// That sent it.
    pub(crate) author: DeviceId,
    /// How often it was asked for.
    pub(crate) attempts: u32,
}

/// What nobody has deleted, where the user takes part. `CROSS` has SQLite begin with the few, and not look through all messages.
const OPEN: &str = "FROM recovery CROSS JOIN message ON message.id = recovery.message
    CROSS JOIN conversation ON conversation.id = message.conversation
    WHERE message.kind = :unreadable AND message.deleted = 0 AND conversation.request = 0
      AND recovery.attempts < :attempts";

impl Missed {
    /// A placeholder was stored: it is asked for from `at` on.
    pub(crate) fn note(connection: &Connection, key: MessageKey, at: Timestamp) -> Result<(), StoreError> {
        let sql = "INSERT INTO recovery (message, ask_at) VALUES (?, ?) ON CONFLICT DO NOTHING";
        connection.run(sql, params![key.0, Sql(at)])?;
        Ok(())
    }

    /// Those that are to be asked for by now, and not as often so far as there are pauses, in milliseconds: one after each time.
    /// Also what is farther off than its pause is long, which a wrong clock wrote.
    pub(crate) fn due(connection: &Connection, now: Timestamp, pauses: &[u64]) -> Result<Vec<Self>, StoreError> {
        let pause: String =
            pauses.iter().zip(1..).map(|(pause, asked)| format!(" WHEN {asked} THEN {pause}")).collect();
        let sql = format!(
            "SELECT message.id AS id, message.conversation AS conversation, message.message AS message,
                    message.sender_device AS author, recovery.attempts AS attempts
             {OPEN} AND (recovery.ask_at <= :now
                 OR recovery.ask_at > :now + CASE recovery.attempts{pause} ELSE 0 END) ORDER BY message.anchor LIMIT 1000"
        );
        let read = |row: &Row<'_>| {
            Ok(Self {
                key: MessageKey(row.get("id")?),
                conversation: ConversationKey(row.get("conversation")?),
                id: row.wire("message")?,
                author: row.wire("author")?,
                attempts: row.get("attempts")?,
            })
        };
        connection.all(
            &sql,
            rusqlite::named_params! {
                ":unreadable": MessageKind::Unreadable as i64, ":attempts": pauses.len() as i64, ":now": Sql(now),
            },
            read,
        )
    }

    /// When the next one is to be asked for.
    pub(crate) fn next(connection: &Connection, attempts: u32) -> Result<Option<Timestamp>, StoreError> {
        let sql = format!("SELECT min(recovery.ask_at) AS at {OPEN}");
        let parameters = rusqlite::named_params! {
            ":unreadable": MessageKind::Unreadable as i64, ":attempts": attempts,
        };
        let found = connection.first(&sql, parameters, |row| row.wire_opt("at"))?;
        Ok(found.flatten())
    }

    /// It was asked for, or is to be, once more.
    pub(crate) fn put(&self, connection: &Connection, attempts: u32, ask_at: Timestamp) -> Result<(), StoreError> {
        let sql = "UPDATE recovery SET attempts = ?2, ask_at = ?3 WHERE message = ?1";
        connection.run(sql, params![self.key.0, attempts, Sql(ask_at)])?;
        Ok(())
    }
}

/// A request for it did not reach anybody: the next is due now.
pub(crate) fn hasten(connection: &Connection, id: MessageId, now: Timestamp) -> Result<(), StoreError> {
    let sql = "UPDATE recovery SET ask_at = ?2 WHERE message = (SELECT id FROM message WHERE message = ?1)";
    connection.run(sql, params![Sql(id), Sql(now)])?;
    Ok(())
}

/// It is here.
pub(crate) fn found(connection: &Connection, key: MessageKey) -> Result<(), StoreError> {
    connection.run("DELETE FROM recovery WHERE message = ?", params![key.0])?;
    Ok(())
}

/// Whether this spoke to the device, and not to people, and was dealt with.
pub(crate) fn is_dealt_with(connection: &Connection, id: MessageId) -> Result<bool, StoreError> {
    let sql = "SELECT EXISTS (SELECT 1 FROM dealt_with WHERE message = ?)";
    connection.one(sql, params![Sql(id)], |row| row.get(0))
}

pub(crate) fn note_dealt_with(connection: &Connection, id: MessageId) -> Result<(), StoreError> {
    connection.run("INSERT INTO dealt_with (message) VALUES (?) ON CONFLICT DO NOTHING", params![Sql(id)])?;
    Ok(())
}
