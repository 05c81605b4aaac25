//! Which group an encrypted conversation has, and what is encrypted and under way.

use bytes::Bytes;
use chasqui_wire::{ConversationId, Seq, Timestamp};
use rusqlite::{Connection, Row, params};

use super::{Ask as _, MessageKey, Sql, StoreError, conversation};
use crate::e2ee::GroupId;

/// How a conversation's group stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct SecuredRow {
    /// `None`: there is none, or it is lost.
    pub(crate) group: Option<GroupId>,
    /// The node's, at which the group stands.
    pub(crate) epoch: u64,
    /// The commit that made it stand so.
    pub(crate) since: Option<Seq>,
    /// A commit of this device that the node has not answered: the frame, and the group that it begins.
    pub(crate) offer: Option<(Bytes, Option<GroupId>)>,
    /// When the group is to get new keys of this device.
    pub(crate) renew_at: Option<Timestamp>,
}

fn group(row: &Row<'_>, column: &str) -> rusqlite::Result<Option<GroupId>> {
    Ok(row.get::<_, Option<[u8; 16]>>(column)?.map(GroupId))
}

impl SecuredRow {
    pub(crate) fn get(connection: &Connection, conversation: ConversationId) -> Result<Self, StoreError> {
        let sql = "SELECT mls_group, epoch, since, offer, offered_group, renew_at FROM secured WHERE conversation = ?";
        let read = |row: &Row<'_>| {
            let (offer, offered) = (row.get::<_, Option<Vec<u8>>>("offer")?, group(row, "offered_group")?);
            Ok(Self {
                group: group(row, "mls_group")?,
                epoch: row.get::<_, i64>("epoch")?.cast_unsigned(),
                since: Seq::from_raw(row.get::<_, i64>("since")?.cast_unsigned()),
                offer: offer.map(|frame| (frame.into(), offered)),
                renew_at: row.get::<_, Option<i64>>("renew_at")?.map(Timestamp),
            })
        };
        let found = connection.first(sql, params![Sql(conversation)], read)?;
        Ok(found.unwrap_or_default())
    }

    /// All groups that there are, this conversation's first.
    pub(crate) fn groups(connection: &Connection, first: ConversationId) -> Result<Vec<GroupId>, StoreError> {
        let sql = "SELECT mls_group FROM secured WHERE mls_group IS NOT NULL ORDER BY conversation <> ?";
        let mut query = connection.prepare_cached(sql)?;
        let groups = query.query_map([Sql(first)], |row| row.get(0).map(GroupId))?;
        Ok(groups.collect::<Result<_, _>>()?)
    }

    pub(crate) fn put(&self, connection: &Connection, conversation: ConversationId) -> Result<(), StoreError> {
        let sql = "INSERT INTO secured (conversation, mls_group, epoch, since, offer, offered_group, renew_at)
                   VALUES (?, ?, ?, ?, ?, ?, ?)
                   ON CONFLICT (conversation) DO UPDATE SET mls_group = excluded.mls_group, epoch = excluded.epoch,
                       since = excluded.since, offer = excluded.offer,
                       offered_group = excluded.offered_group, renew_at = excluded.renew_at";
        let (frame, offered) = match &self.offer {
            Some((frame, offered)) => (Some(frame.as_ref()), *offered),
            None => (None, None),
        };
        let parameters = params![
            Sql(conversation),
            self.group.map(|group| group.0),
            self.epoch.cast_signed(),
            conversation::raw(self.since),
            frame,
            offered.map(|group| group.0),
            self.renew_at.map(|at| at.0),
        ];
        connection.run(sql, parameters)?;
        Ok(())
    }
}

/// The conversation whose group is to get new keys first, and when. What is farther off than `latest` was noted before the clock was
/// set back, and is due.
pub(crate) fn next_renewal(
    connection: &Connection,
    latest: Timestamp,
) -> Result<Option<(ConversationId, Timestamp)>, StoreError> {
    let sql = "SELECT conversation, iif(renew_at > ?1, 0, renew_at) AS due FROM secured
               WHERE mls_group IS NOT NULL AND renew_at IS NOT NULL ORDER BY due LIMIT 1";
    let found = connection
        .first(sql, params![latest.0], |row| Ok((row.get::<_, Sql<ConversationId>>(0)?.0, Timestamp(row.get(1)?))))?;
    Ok(found)
}

/// Nothing is said at this position, and nothing is missing there.
pub(crate) fn note_group_change(
    connection: &Connection,
    conversation: ConversationId,
    seq: Seq,
) -> Result<(), StoreError> {
    let sql = "INSERT INTO group_change (conversation, seq) VALUES (?, ?) ON CONFLICT DO NOTHING";
    connection.run(sql, params![Sql(conversation), Sql(seq)])?;
    Ok(())
}

/// From here on what this connection writes of groups, and of who is in them, goes into copies, which are gone with it. Where
/// temporary tables lie is decided when it is opened: in memory, because these are keys.
///
/// A temporary table is found before one of the same name in the file (<https://www.sqlite.org/lang_naming.html>).
pub(crate) fn shadow_groups(connection: &Connection) -> Result<(), StoreError> {
    connection.pragma_update(None, "query_only", false)?;
    let tables = [
        "mls",
        "secured",
        "member_since",
        "group_change",
        "dealt_with",
        "conversation",
        "early_read",
        "user",
        "account",
        "security_event",
    ];
    for table in tables {
        let sql = "SELECT sql FROM main.sqlite_schema WHERE type = 'table' AND name = ?";
        let sql: String = connection.query_row(sql, [table], |row| row.get(0))?;
        connection.execute_batch(&sql.replacen("CREATE TABLE", "CREATE TEMP TABLE", 1))?;
        connection.execute_batch(&format!("INSERT INTO temp.{table} SELECT * FROM main.{table}"))?;
    }
    Ok(())
}

/// Whoever this device is next has no part in what it was in.
pub(crate) fn forget_groups(connection: &Connection) -> Result<(), StoreError> {
    let sql =
        "DELETE FROM flight; DELETE FROM secured; DELETE FROM mls; DELETE FROM last_said; DELETE FROM member_since";
    Ok(connection.execute_batch(sql)?)
}

/// For whom a message was sealed first.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sealing {
    pub(crate) group: [u8; 16],
    /// MLS's; `None`: the node has surely not taken what was sealed then.
    pub(crate) epoch: Option<u64>,
    /// Whether what it says besides is still right.
    pub(crate) stands: bool,
}

/// A message as it was encrypted.
pub(crate) struct FlightRow;

impl FlightRow {
    /// The body, if it was encrypted for this group at this epoch.
    pub(crate) fn body(
        connection: &Connection,
        message: MessageKey,
        group: GroupId,
        epoch: u64,
    ) -> Result<Option<Bytes>, StoreError> {
        let sql = "SELECT body FROM flight WHERE message = ? AND mls_group = ? AND epoch = ?";
        let parameters = params![message.0, group.0, epoch.cast_signed()];
        let body = connection.first(sql, parameters, |row| row.get::<_, Vec<u8>>(0))?;
        Ok(body.map(Bytes::from))
    }

    pub(crate) fn put(
        connection: &Connection,
        message: MessageKey,
        group: GroupId,
        epoch: u64,
        body: &[u8],
        first: Option<Sealing>,
    ) -> Result<(), StoreError> {
        let sql =
            "INSERT INTO flight (message, mls_group, epoch, body, first_group, first_epoch) VALUES (?, ?, ?, ?, ?, ?)
                   ON CONFLICT (message) DO UPDATE SET mls_group = excluded.mls_group, epoch = excluded.epoch,
                       body = excluded.body, first_group = coalesce(excluded.first_group, first_group),
                       first_epoch = coalesce(excluded.first_epoch, first_epoch)";
        let first_group = first.map(|first| first.group);
        let first_epoch = first.and_then(|first| first.epoch).map(u64::cast_signed);
        connection.run(sql, params![message.0, group.0, epoch.cast_signed(), body, first_group, first_epoch])?;
        Ok(())
    }

    /// How a message of people was sealed first, if it was.
    pub(crate) fn first(connection: &Connection, message: MessageKey) -> Result<Option<Sealing>, StoreError> {
        let sql = "SELECT first_group, first_epoch, epoch >= 0 AS stands FROM flight
                   WHERE message = ? AND first_group IS NOT NULL";
        connection.first(sql, params![message.0], |row| {
            let epoch = u64::try_from(row.get::<_, i64>("first_epoch")?).ok();
            Ok(Sealing { group: row.get("first_group")?, epoch, stands: row.get("stands")? })
        })
    }

    pub(crate) fn remove(connection: &Connection, message: MessageKey) -> Result<(), StoreError> {
        connection.run("DELETE FROM flight WHERE message = ?", params![message.0])?;
        Ok(())
    }
}
