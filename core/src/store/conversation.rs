//! Conversations: their place in the list, what is read, what is unread.

use chasqui_wire::{ConversationId, ConversationKind, Protection, Seq, Timestamp, UserId};
use rusqlite::{Connection, named_params, params};

use super::{Ask as _, Request, RowExt as _, Sql, StoreError, identity, message, message::VISIBLE, timeline};
use crate::domain::ConversationSummary;

/// A conversation's row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct ConversationKey(pub(crate) i64);

/// What the engine needs to know of a conversation.
#[derive(Clone, Debug)]
pub(crate) struct ConversationRow {
    pub(crate) key: ConversationKey,
    pub(crate) id: ConversationId,
    pub(crate) kind: ConversationKind,
    pub(crate) protection: Protection,
    pub(crate) peer: Option<UserId>,
    pub(crate) head: Option<Seq>,
    pub(crate) read_up_to: Option<Seq>,
    pub(crate) read_reported: Option<Seq>,
    /// Whether positions may be missing that the node named as runs.
    pub(crate) has_holes: bool,
    /// Whether it waits for the user's word.
    pub(crate) request: Request,
    /// Nobody has said anything in it but devices.
    pub(crate) hidden: bool,
}

/// What makes a conversation.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ConversationHead {
    pub(crate) id: ConversationId,
    pub(crate) kind: ConversationKind,
    pub(crate) protection: Protection,
    pub(crate) peer: Option<UserId>,
}

const COLUMNS: &str =
    "id, conversation, kind, protection, peer, head, read_up_to, read_reported, has_holes, request, hidden";

fn read(row: &rusqlite::Row<'_>) -> rusqlite::Result<ConversationRow> {
    Ok(ConversationRow {
        key: ConversationKey(row.get("id")?),
        id: row.wire("conversation")?,
        kind: kind(row)?,
        protection: protection(row)?,
        peer: row.wire_opt("peer")?,
        head: position(row, "head")?,
        read_up_to: position(row, "read_up_to")?,
        read_reported: position(row, "read_reported")?,
        has_holes: row.get("has_holes")?,
        request: request(row)?,
        hidden: row.get("hidden")?,
    })
}

fn kind(row: &rusqlite::Row<'_>) -> rusqlite::Result<ConversationKind> {
    let number = row.get("kind")?;
    ConversationKind::from_number(number).ok_or(rusqlite::Error::IntegralValueOutOfRange(0, number.into()))
}

fn protection(row: &rusqlite::Row<'_>) -> rusqlite::Result<Protection> {
    let number = row.get("protection")?;
    Protection::from_number(number).ok_or(rusqlite::Error::IntegralValueOutOfRange(0, number.into()))
}

fn request(row: &rusqlite::Row<'_>) -> rusqlite::Result<Request> {
    let number = row.get("request")?;
    Request::from_number(number).ok_or(rusqlite::Error::IntegralValueOutOfRange(0, number))
}

/// 0 stands for none.
fn position(row: &rusqlite::Row<'_>, column: &str) -> rusqlite::Result<Option<Seq>> {
    Ok(u64::try_from(row.get::<_, i64>(column)?).ok().and_then(Seq::from_raw))
}

pub(crate) fn raw(seq: Option<Seq>) -> i64 {
    seq.map_or(0, |seq| seq.raw().cast_signed())
}

impl ConversationRow {
    pub(crate) fn find(connection: &Connection, id: ConversationId) -> Result<Option<Self>, StoreError> {
        let sql = format!("SELECT {COLUMNS} FROM conversation WHERE conversation = ?");
        connection.first(&sql, params![Sql(id)], read)
    }

    pub(crate) fn get(connection: &Connection, key: ConversationKey) -> Result<Self, StoreError> {
        let sql = format!("SELECT {COLUMNS} FROM conversation WHERE id = ?");
        connection.one(&sql, params![key.0], read)
    }

    /// The conversation, made if it is new here.
    pub(crate) fn ensure(connection: &Connection, head: &ConversationHead, now: Timestamp) -> Result<Self, StoreError> {
        if let Some(row) = Self::find(connection, head.id)? {
            return Ok(row);
        }
        let sql = "INSERT INTO conversation (conversation, kind, protection, peer, activity)
                   VALUES (:conversation, :kind, :protection, :peer, :activity)";
        connection.run(
            sql,
            named_params! {
                ":conversation": Sql(head.id),
                ":kind": head.kind.number(),
                ":protection": head.protection.number(),
                ":peer": head.peer.map(Sql),
                ":activity": Sql(now),
            },
        )?;
        let key = ConversationKey(connection.last_insert_rowid());
        let sql = "UPDATE conversation SET read_up_to = early_read.up_to FROM early_read
                   WHERE conversation.id = ? AND early_read.conversation = conversation.conversation";
        if connection.run(sql, params![key.0])? > 0 {
            connection.run("DELETE FROM early_read WHERE conversation = ?", params![Sql(head.id)])?;
        }
        Self::get(connection, key)
    }

    /// It is in no list.
    pub(crate) fn hide(&self, connection: &Connection) -> Result<(), StoreError> {
        connection.run("UPDATE conversation SET hidden = 1 WHERE id = ?", params![self.key.0])?;
        Ok(())
    }

    /// It is in the list, if it was not.
    pub(crate) fn show(&self, connection: &Connection) -> Result<(), StoreError> {
        if self.hidden {
            connection.run("UPDATE conversation SET hidden = 0 WHERE id = ?", params![self.key.0])?;
        }
        Ok(())
    }

    /// A position became known here.
    pub(crate) fn raise_head(&self, connection: &Connection, seq: Seq) -> Result<(), StoreError> {
        let sql = "UPDATE conversation SET head = max(head, ?2) WHERE id = ?1";
        connection.run(sql, params![self.key.0, Sql(seq)])?;
        Ok(())
    }

    /// Everything up to `seq` is read; says whether that is news. What is unread is to be counted again then.
    pub(crate) fn raise_read(&self, connection: &Connection, seq: Seq) -> Result<bool, StoreError> {
        let sql = "UPDATE conversation SET read_up_to = ?2 WHERE id = ?1 AND read_up_to < ?2";
        Ok(connection.run(sql, params![self.key.0, Sql(seq)])? > 0)
    }

    /// The node accepted a read mark.
    pub(crate) fn set_read_reported(&self, connection: &Connection, seq: Seq, revision: u64) -> Result<(), StoreError> {
        let sql = "UPDATE conversation SET read_reported = max(read_reported, ?2), read_revision = ?3 WHERE id = ?1";
        connection.run(sql, params![self.key.0, Sql(seq), revision.cast_signed()])?;
        Ok(())
    }

    /// The node passed a read mark on to the user's own devices, and told no author.
    pub(crate) fn set_read_revision(&self, connection: &Connection, revision: u64) -> Result<(), StoreError> {
        let sql = "UPDATE conversation SET read_revision = ?2 WHERE id = ?1";
        connection.run(sql, params![self.key.0, revision.cast_signed()])?;
        Ok(())
    }

    /// Another device of this user has told the node everything up to `seq`.
    pub(crate) fn skip_reported(&self, connection: &Connection, seq: Seq) -> Result<(), StoreError> {
        let sql = "UPDATE conversation SET read_reported = max(read_reported, ?2) WHERE id = ?1";
        connection.run(sql, params![self.key.0, Sql(seq)])?;
        Ok(())
    }

    /// One more message, at `seq`. By somebody else and above the read mark, it is unread.
    pub(crate) fn add(&self, connection: &Connection, seq: Seq, incoming: bool) -> Result<(), StoreError> {
        let sql = "UPDATE conversation SET head = max(head, ?2), unread = unread + (?3 AND ?2 > read_up_to)
                   WHERE id = ?1";
        connection.run(sql, params![self.key.0, Sql(seq), incoming])?;
        Ok(())
    }

    /// Conversations whose accepted read marks a restored node may have forgotten.
    pub(crate) fn with_reads_after(connection: &Connection, revision: u64) -> Result<Vec<Self>, StoreError> {
        let sql = format!("SELECT {COLUMNS} FROM conversation WHERE read_revision > ?");
        connection.all(&sql, params![revision.cast_signed()], read)
    }
}

impl ConversationKey {
    /// Counts again, from the messages.
    pub(crate) fn recount_unread(self, connection: &Connection) -> Result<(), StoreError> {
        let sql = format!(
            "UPDATE conversation SET unread =
                 (SELECT count(*) FROM message WHERE message.conversation = conversation.id
                  AND anchor > read_up_to AND incoming = 1 AND {VISIBLE} AND message IS NOT NULL)
             WHERE id = ?"
        );
        connection.run(&sql, params![self.0])?;
        Ok(())
    }

    /// Finds the newest shown message again, and with it the place in the list. What has none left stays in its place.
    pub(crate) fn refresh_last_message(self, connection: &Connection) -> Result<(), StoreError> {
        let sql = format!(
            "SELECT id, coalesce(accepted_at, created_at) FROM message WHERE conversation = ? AND {VISIBLE}
             AND message IS NOT NULL ORDER BY anchor DESC, place DESC, id DESC LIMIT 1"
        );
        let read = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?));
        let last: Option<(i64, i64)> = connection.first(&sql, params![self.0], read)?;
        let sql = "UPDATE conversation SET last_message = ?2, activity = coalesce(?3, activity) WHERE id = ?1";
        connection.run(sql, params![self.0, last.map(|last| last.0), last.map(|last| last.1)])?;
        Ok(())
    }
}

/// The conversation list: latest activity first.
pub(crate) fn list(connection: &Connection, limit: u32) -> Result<Vec<ConversationSummary>, StoreError> {
    summaries(connection, "request <> 2 AND hidden = 0 ORDER BY activity DESC, id DESC LIMIT ?", limit)
}

/// One line of the list.
pub(crate) fn summary(connection: &Connection, id: ConversationId) -> Result<Option<ConversationSummary>, StoreError> {
    Ok(summaries(connection, "conversation = ?", Sql(id))?.pop())
}

/// The conversation of the next row, and the row.
pub(crate) fn after(connection: &Connection, row: i64) -> Result<Option<(i64, ConversationSummary)>, StoreError> {
    let sql = "SELECT min(id) FROM conversation WHERE id > ?";
    let next: Option<i64> = connection.one(sql, params![row], |row| row.get(0))?;
    let Some(next) = next else { return Ok(None) };
    Ok(summaries(connection, "id = ?", next)?.pop().map(|summary| (next, summary)))
}

/// The sum over all conversations but requests.
pub(crate) fn total_unread(connection: &Connection) -> Result<u32, StoreError> {
    let sql = "SELECT coalesce(sum(unread), 0) FROM conversation WHERE request = 0";
    connection.one(sql, params![], |row| row.get(0))
}

/// Of one conversation.
pub(crate) fn unread(connection: &Connection, key: ConversationKey) -> Result<u32, StoreError> {
    let sql = "SELECT unread FROM conversation WHERE id = ?";
    connection.one(sql, params![key.0], |row| row.get(0))
}

/// Of one conversation, if everything up to a position were read.
pub(crate) fn unread_above(
    connection: &Connection,
    key: ConversationKey,
    up_to: Option<Seq>,
) -> Result<u32, StoreError> {
    let sql = format!(
        "SELECT count(*) FROM message WHERE conversation = ? AND anchor > ? AND incoming = 1 AND {VISIBLE}
         AND message IS NOT NULL"
    );
    connection.one(&sql, params![key.0, raw(up_to)], |row| row.get(0))
}

fn summaries(
    connection: &Connection,
    which: &str,
    parameter: impl rusqlite::ToSql,
) -> Result<Vec<ConversationSummary>, StoreError> {
    let sql = format!(
        "SELECT id, conversation, kind, protection, peer, request, unread, read_up_to, last_message, activity,
                (SELECT name FROM user WHERE user = peer) AS peer_name,
                coalesce((SELECT verified FROM user WHERE user = peer), 0) AS peer_trust,
                coalesce((SELECT deleted FROM user WHERE user = peer), 0) AS peer_deleted FROM conversation WHERE {which}"
    );
    let mut statement = connection.prepare_cached(&sql)?;
    let mut rows = statement.query([parameter])?;
    let mut list = Vec::new();
    while let Some(row) = rows.next()? {
        let last_message = match row.get("last_message")? {
            Some(key) => timeline::show(connection, message::MessageKey(key))?,
            None => None,
        };
        list.push(ConversationSummary {
            id: row.wire("conversation")?,
            kind: kind(row)?,
            protection: protection(row)?,
            peer: row.wire_opt("peer")?,
            peer_name: row.get("peer_name")?,
            peer_trust: identity::trust(row.get("peer_trust")?),
            peer_deleted: row.get("peer_deleted")?,
            is_request: request(row)? == Request::Asked,
            unread: row.get("unread")?,
            read_up_to: position(row, "read_up_to")?,
            last_message,
            activity: row.wire("activity")?,
        });
    }
    Ok(list)
}

/// How far another device of the user has read in a conversation that is not known here yet.
pub(crate) fn early_read(connection: &Connection, conversation: ConversationId) -> Result<Option<Seq>, StoreError> {
    let sql = "SELECT up_to FROM early_read WHERE conversation = ?";
    let found = connection.first(sql, params![Sql(conversation)], |row| row.wire("up_to"))?;
    Ok(found)
}

/// Another device of the user read in a conversation that is not known here yet.
pub(crate) fn note_early_read(
    connection: &Connection,
    conversation: ConversationId,
    up_to: Seq,
) -> Result<(), StoreError> {
    let sql = "INSERT INTO early_read (conversation, up_to) VALUES (?, ?)
               ON CONFLICT (conversation) DO UPDATE SET up_to = max(up_to, excluded.up_to)";
    connection.run(sql, params![Sql(conversation), Sql(up_to)])?;
    Ok(())
}
