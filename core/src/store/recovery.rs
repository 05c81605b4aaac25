//! Messages that came and could not be read, until somebody sent them again; and what devices say to each other about it.

use chasqui_wire::{DeviceId, MessageId, Timestamp, UserId};
use rusqlite::{Connection, Row, params};

use super::{Ask as _, ConversationKey, MessageKey, RowExt as _, Sql, StoreError, message::MISSED};

/// A message that is asked for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Missed {
    pub(crate) key: MessageKey,
    pub(crate) conversation: ConversationKey,
    pub(crate) id: MessageId,
    pub(crate) sender: UserId,
    /// The device that sent it.
    pub(crate) author: DeviceId,
    /// How often it was asked for.
    pub(crate) attempts: u32,
    /// It never came: see [`super::MessageRow::is_out_of_place`].
    pub(crate) is_out_of_place: bool,
    /// Perhaps nobody kept it back: nobody here knows whether this device should have it.
    pub(crate) is_doubtful: bool,
}

/// What nobody has deleted, where the user takes part. `CROSS` has SQLite begin with the few, and not look through all messages.
fn open() -> String {
    format!(
        "FROM recovery CROSS JOIN message ON message.id = recovery.message
         CROSS JOIN conversation ON conversation.id = message.conversation
         WHERE {MISSED} AND message.deleted = 0 AND conversation.request = 0"
    )
}

impl Missed {
    /// It is asked for from `at` on.
    pub(crate) fn note(connection: &Connection, key: MessageKey, at: Timestamp) -> Result<(), StoreError> {
        let sql = "INSERT INTO recovery (message, ask_at) VALUES (?, ?) ON CONFLICT DO NOTHING";
        connection.run(sql, params![key.0, Sql(at)])?;
        Ok(())
    }

    /// Whether it should be here at all nobody knows.
    pub(crate) fn doubt(connection: &Connection, key: MessageKey) -> Result<(), StoreError> {
        connection.run("UPDATE recovery SET doubtful = 1 WHERE message = ?", params![key.0])?;
        Ok(())
    }

    /// Those that are to be asked for by now, or were often enough: `pauses`, in milliseconds, are those after each time. Also what is farther off than its pause is long, which a wrong clock wrote.
    pub(crate) fn due(connection: &Connection, now: Timestamp, pauses: &[u64]) -> Result<Vec<Self>, StoreError> {
        let pause: String =
            pauses.iter().zip(1..).map(|(pause, asked)| format!(" WHEN {asked} THEN {pause}")).collect();
        let sql = format!(
            "SELECT message.id AS id, message.conversation AS conversation, message.message AS message,
                    message.sender AS sender, message.sender_device AS author, recovery.attempts AS attempts,
                    message.seq IS NULL AS is_out_of_place, recovery.doubtful AS is_doubtful
             {} AND (recovery.ask_at <= :now
                 OR recovery.ask_at > :now + CASE recovery.attempts{pause} ELSE 0 END) ORDER BY message.anchor LIMIT 1000",
            open()
        );
        let read = |row: &Row<'_>| {
            Ok(Self {
                key: MessageKey(row.get("id")?),
                conversation: ConversationKey(row.get("conversation")?),
                id: row.wire("message")?,
                sender: row.wire("sender")?,
                author: row.wire("author")?,
                attempts: row.get("attempts")?,
                is_out_of_place: row.get("is_out_of_place")?,
                is_doubtful: row.get("is_doubtful")?,
            })
        };
        connection.all(&sql, rusqlite::named_params! { ":now": Sql(now) }, read)
    }

    /// When the next one is to be asked for.
    pub(crate) fn next(connection: &Connection) -> Result<Option<Timestamp>, StoreError> {
        let sql = format!("SELECT min(recovery.ask_at) AS at {}", open());
        let found = connection.first(&sql, params![], |row| row.wire_opt("at"))?;
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

/// What somebody wrote may not come any more: whether it does is looked at now.
pub(crate) fn hasten_all_of(connection: &Connection, sender: UserId, now: Timestamp) -> Result<(), StoreError> {
    let sql = "UPDATE recovery SET ask_at = ?2
               WHERE (SELECT sender FROM message WHERE message.id = recovery.message) = ?1";
    connection.run(sql, params![Sql(sender), Sql(now)])?;
    Ok(())
}

/// It is not asked for any more.
pub(crate) fn settled(connection: &Connection, key: MessageKey) -> Result<(), StoreError> {
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
