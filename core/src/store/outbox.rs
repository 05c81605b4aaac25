//! What waits to be accepted by the node: messages in order, and one read mark a conversation.

use chasqui_wire::{DeviceId, MessageId, Seq, Timestamp};
use rusqlite::{Connection, params};

use super::{Ask as _, ConversationKey, MessageKey, RowExt as _, Sql, StoreError};

/// An entry's row; grows with time, so it is the order of sending.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct OutboxKey(pub(crate) i64);

/// A message that waits.
#[derive(Clone, Copy, Debug)]
pub(crate) struct OutboxRow {
    pub(crate) message: MessageKey,
    /// By the node's clock; `None` when no node can have seen it.
    pub(crate) first_sent_at: Option<Timestamp>,
    pub(crate) reclaim: Option<Seq>,
    /// Nobody else gets it.
    pub(crate) only_device: Option<DeviceId>,
    /// The message that it repeats.
    pub(crate) resend_of: Option<MessageId>,
}

/// A read mark that waits.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ReadOutboxRow {
    pub(crate) conversation: ConversationKey,
    pub(crate) up_to: Seq,
    pub(crate) since: Option<Seq>,
    pub(crate) at: Timestamp,
    pub(crate) version: i64,
}

impl OutboxRow {
    /// Queues a message behind all others, unless it waits already.
    pub(crate) fn push(
        connection: &Connection,
        conversation: ConversationKey,
        message: MessageKey,
        now: Timestamp,
        reclaim: Option<Seq>,
    ) -> Result<Option<OutboxKey>, StoreError> {
        let sql = "INSERT INTO outbox (conversation, message, queued_at, reclaim) VALUES (?, ?, ?, ?)
                   ON CONFLICT (message) DO NOTHING";
        let parameters = params![conversation.0, message.0, Sql(now), reclaim.map(Sql)];
        let inserted = connection.run(sql, parameters)? > 0;
        Ok(inserted.then(|| OutboxKey(connection.last_insert_rowid())))
    }

    /// Who is to get it alone, and what it repeats.
    pub(crate) fn address(
        connection: &Connection,
        key: OutboxKey,
        only_device: Option<DeviceId>,
        resend_of: Option<MessageId>,
    ) -> Result<(), StoreError> {
        let sql = "UPDATE outbox SET only_device = ?2, resend_of = ?3 WHERE id = ?1";
        connection.run(sql, params![key.0, only_device.map(Sql), resend_of.map(Sql)])?;
        Ok(())
    }

    pub(crate) fn get(connection: &Connection, key: OutboxKey) -> Result<Option<Self>, StoreError> {
        let sql = "SELECT message, first_sent_at, reclaim, only_device, resend_of FROM outbox WHERE id = ?";
        let read = |row: &rusqlite::Row<'_>| {
            Ok(Self {
                message: MessageKey(row.get("message")?),
                first_sent_at: row.wire_opt("first_sent_at")?,
                reclaim: row.wire_opt("reclaim")?,
                only_device: row.wire_opt("only_device")?,
                resend_of: row.wire_opt("resend_of")?,
            })
        };
        connection.first(sql, params![key.0], read)
    }

    /// The entry of a message that waits, and the position to be asked back for it.
    pub(crate) fn of(
        connection: &Connection,
        message: MessageKey,
    ) -> Result<Option<(OutboxKey, Option<Seq>)>, StoreError> {
        let sql = "SELECT id, reclaim FROM outbox WHERE message = ?";
        let read = |row: &rusqlite::Row<'_>| Ok((OutboxKey(row.get("id")?), row.wire_opt("reclaim")?));
        connection.first(sql, params![message.0], read)
    }

    /// It leaves the device for the first time.
    pub(crate) fn set_first_sent_at(connection: &Connection, key: OutboxKey, at: Timestamp) -> Result<(), StoreError> {
        connection.run("UPDATE outbox SET first_sent_at = ?2 WHERE id = ?1", params![key.0, Sql(at)])?;
        Ok(())
    }

    /// Whether a message waits.
    pub(crate) fn holds(connection: &Connection, message: MessageKey) -> Result<bool, StoreError> {
        let sql = "SELECT EXISTS (SELECT 1 FROM outbox WHERE message = ?)";
        connection.one(sql, params![message.0], |row| row.get(0))
    }

    /// Whether a message waits to be sent again to a device.
    pub(crate) fn repeats(connection: &Connection, message: MessageId, device: DeviceId) -> Result<bool, StoreError> {
        let sql = "SELECT EXISTS (SELECT 1 FROM outbox WHERE resend_of = ? AND only_device = ?)";
        connection.one(sql, params![Sql(message), Sql(device)], |row| row.get(0))
    }

    pub(crate) fn remove(connection: &Connection, key: OutboxKey) -> Result<(), StoreError> {
        connection.run("DELETE FROM outbox WHERE id = ?", params![key.0])?;
        Ok(())
    }

    /// Everything that waits, in order.
    pub(crate) fn all(connection: &Connection) -> Result<Vec<(OutboxKey, ConversationKey, Option<Seq>)>, StoreError> {
        connection.all("SELECT id, conversation, reclaim FROM outbox ORDER BY id", params![], |row| {
            Ok((OutboxKey(row.get("id")?), ConversationKey(row.get("conversation")?), row.wire_opt("reclaim")?))
        })
    }
}

impl ReadOutboxRow {
    /// Queues a read mark; a later one takes an earlier one's place.
    pub(crate) fn put(
        connection: &Connection,
        conversation: ConversationKey,
        up_to: Seq,
        since: Option<Seq>,
        at: Timestamp,
    ) -> Result<(), StoreError> {
        let sql = "INSERT INTO read_outbox (conversation, up_to, since, at) VALUES (?, ?, ?, ?)
                   ON CONFLICT (conversation) DO UPDATE SET up_to = max(up_to, excluded.up_to),
                       since = min(since, excluded.since), at = excluded.at, version = version + 1";
        let parameters = params![conversation.0, Sql(up_to), super::conversation::raw(since), Sql(at)];
        connection.run(sql, parameters)?;
        Ok(())
    }

    /// The node has dealt with this; what was added meanwhile stays.
    pub(crate) fn settle(&self, connection: &Connection) -> Result<(), StoreError> {
        let sql = "DELETE FROM read_outbox WHERE conversation = ? AND version = ?";
        connection.run(sql, params![self.conversation.0, self.version])?;
        Ok(())
    }

    /// The node was told of what lies up to `told`; the rest still waits.
    pub(crate) fn tell_rest(&self, connection: &Connection, told: Seq) -> Result<(), StoreError> {
        let sql = "UPDATE read_outbox SET since = ?3 WHERE conversation = ?1 AND version = ?2";
        connection.run(sql, params![self.conversation.0, self.version, Sql(told)])?;
        Ok(())
    }

    /// All that wait.
    pub(crate) fn all(connection: &Connection) -> Result<Vec<Self>, StoreError> {
        connection.all("SELECT conversation, up_to, since, at, version FROM read_outbox", params![], |row| {
            Ok(Self {
                conversation: ConversationKey(row.get("conversation")?),
                up_to: row.wire("up_to")?,
                since: u64::try_from(row.get::<_, i64>("since")?).ok().and_then(Seq::from_raw),
                at: row.wire("at")?,
                version: row.get("version")?,
            })
        })
    }
}
