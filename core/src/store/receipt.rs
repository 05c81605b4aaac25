//! What became of own messages, by recipient and position. A rank only ever grows: states never go back.

use chasqui_wire::{ArchivedDelivery, ReceiptKind, Seq, SeqRange, Timestamp, UserId};
use rusqlite::{Connection, named_params, params};

use super::{Ask as _, ConversationKey, RowExt as _, Sql, StoreError};
use crate::domain::{Delivery, Undelivered};
use crate::planted::{PlantedBug, planted};

/// How good the news is; the numbers are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Rank {
    Undelivered = 1,
    Received = 2,
    Read = 3,
}

/// News about own messages at some positions.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ReceiptMark {
    pub(crate) user: UserId,
    pub(crate) rank: Rank,
    pub(crate) reason: Option<Undelivered>,
    pub(crate) at: Timestamp,
}

impl ReceiptMark {
    /// The node's word.
    pub(crate) fn from_receipt(user: UserId, kind: ReceiptKind, at: Timestamp) -> Self {
        let (rank, reason) = match kind {
            ReceiptKind::Received => (Rank::Received, None),
            ReceiptKind::Expired => (Rank::Undelivered, Some(Undelivered::Expired)),
            ReceiptKind::Unreadable => (Rank::Undelivered, Some(Undelivered::Unreadable)),
            ReceiptKind::DeviceGone => (Rank::Undelivered, Some(Undelivered::DeviceGone)),
        };
        Self { user, rank, reason, at }
    }
}

/// Applies `mark` to the own messages in `range`. What holds no own message (yet) is kept aside when `may_be_early`.
/// Returns how many messages changed.
pub(crate) fn apply(
    connection: &Connection,
    conversation: ConversationKey,
    range: SeqRange,
    mark: &ReceiptMark,
    may_be_early: bool,
) -> Result<usize, StoreError> {
    let sql = "SELECT message.seq AS seq FROM message LEFT JOIN receipt ON receipt.conversation = message.conversation
                   AND receipt.seq = message.seq AND receipt.user = ?4
               WHERE message.conversation = ?1 AND anchor BETWEEN ?2 AND ?3 AND place = 0 AND incoming = 0
               AND message IS NOT NULL AND coalesce(receipt.rank, 0) < ?5";
    let below = if planted(PlantedBug::StatesGoBack) { i64::MAX } else { mark.rank as i64 };
    let mut statement = connection.prepare_cached(sql)?;
    let parameters = params![conversation.0, Sql(range.first()), Sql(range.last()), Sql(mark.user), below];
    let rows = statement.query_map(parameters, |row| row.wire("seq"))?;
    let mut changed = 0;
    for seq in rows.collect::<Result<Vec<Seq>, _>>()? {
        changed += usize::from(raise(connection, conversation, seq, mark)?);
    }
    if may_be_early {
        keep_early(connection, conversation, range, mark)?;
    }
    Ok(changed)
}

/// The peer decides how many ranges there are, so there is an end to them.
const MAX_EARLY: i64 = 4096;

fn keep_early(
    connection: &Connection,
    conversation: ConversationKey,
    range: SeqRange,
    mark: &ReceiptMark,
) -> Result<(), StoreError> {
    let sql = "INSERT INTO early_receipt (conversation, first, last, user, rank, reason, at)
               SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7
               WHERE (SELECT count(*) FROM early_receipt WHERE conversation = ?1) < ?8
               ON CONFLICT DO NOTHING";
    connection.run(
        sql,
        params![
            conversation.0,
            Sql(range.first()),
            Sql(range.last()),
            Sql(mark.user),
            mark.rank as i64,
            mark.reason.map(Undelivered::number),
            Sql(mark.at),
            MAX_EARLY
        ],
    )?;
    Ok(())
}

/// An own message got its position: what was known of it early applies now.
pub(crate) fn apply_early(connection: &Connection, conversation: ConversationKey, seq: Seq) -> Result<(), StoreError> {
    let sql = "SELECT user, rank, reason, at FROM early_receipt WHERE conversation = ? AND ? BETWEEN first AND last";
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query((conversation.0, Sql(seq)))?;
    while let Some(row) = rows.next()? {
        let rank = match row.get::<_, i64>("rank")? {
            3 => Rank::Read,
            2 => Rank::Received,
            _ => Rank::Undelivered,
        };
        let mark = ReceiptMark { user: row.wire("user")?, rank, reason: reason(row)?, at: row.wire("at")? };
        raise(connection, conversation, seq, &mark)?;
    }
    Ok(())
}

/// Drops what was kept for conversations in which nothing waits.
pub(crate) fn drop_stale_early(connection: &Connection) -> Result<(), StoreError> {
    let sql = "DELETE FROM early_receipt WHERE conversation NOT IN (SELECT conversation FROM outbox)";
    connection.execute(sql, [])?;
    Ok(())
}

/// A message moved to another position: its receipts go with it.
pub(crate) fn follow(
    connection: &Connection,
    conversation: ConversationKey,
    from: Seq,
    to: Seq,
) -> Result<(), StoreError> {
    // What stands at both positions keeps the better news.
    let sql = "INSERT INTO receipt (conversation, seq, user, rank, reason, received_at, read_at)
               SELECT conversation, ?3, user, rank, reason, received_at, read_at FROM receipt
               WHERE conversation = ?1 AND seq = ?2
               ON CONFLICT (conversation, seq, user) DO UPDATE SET rank = excluded.rank, reason = excluded.reason,
                   received_at = coalesce(received_at, excluded.received_at),
                   read_at = coalesce(read_at, excluded.read_at)
               WHERE excluded.rank > rank";
    connection.run(sql, params![conversation.0, Sql(from), Sql(to)])?;
    let sql = "DELETE FROM receipt WHERE conversation = ? AND seq = ?";
    connection.run(sql, params![conversation.0, Sql(from)])?;
    Ok(())
}

/// Nothing of this conversation waits for a position any more.
pub(crate) fn drop_early(connection: &Connection, conversation: ConversationKey) -> Result<(), StoreError> {
    connection.run("DELETE FROM early_receipt WHERE conversation = ?", params![conversation.0])?;
    Ok(())
}

/// Raises the rank; says whether that is news.
fn raise(
    connection: &Connection,
    conversation: ConversationKey,
    seq: Seq,
    mark: &ReceiptMark,
) -> Result<bool, StoreError> {
    let only_upwards = if planted(PlantedBug::StatesGoBack) { "1" } else { "excluded.rank > rank" };
    let sql = format!(
        "INSERT INTO receipt (conversation, seq, user, rank, reason, received_at, read_at)
         VALUES (:conversation, :seq, :user, :rank, :reason, :received_at, :read_at)
         ON CONFLICT (conversation, seq, user) DO UPDATE SET rank = excluded.rank, reason = excluded.reason,
            received_at = coalesce(received_at, excluded.received_at), read_at = coalesce(read_at, excluded.read_at)
         WHERE {only_upwards}"
    );
    let changed = connection.run(
        &sql,
        named_params! {
            ":conversation": conversation.0,
            ":seq": Sql(seq),
            ":user": Sql(mark.user),
            ":rank": mark.rank as i64,
            ":reason": mark.reason.map(Undelivered::number),
            ":received_at": (mark.rank == Rank::Received).then_some(Sql(mark.at)),
            ":read_at": (mark.rank == Rank::Read).then_some(Sql(mark.at)),
        },
    )?;
    Ok(changed > 0)
}

/// What became of the own message at `seq`, for an archive.
pub(super) fn archived(
    connection: &Connection,
    conversation: ConversationKey,
    seq: Seq,
) -> Result<Vec<ArchivedDelivery>, StoreError> {
    let sql = "SELECT user, rank, reason, received_at, read_at FROM receipt WHERE conversation = ? AND seq = ?";
    connection.all(sql, params![conversation.0, Sql(seq)], |row| {
        Ok(ArchivedDelivery {
            user: row.wire("user")?,
            rank: row.get("rank")?,
            reason: row.get::<_, Option<i32>>("reason")?.unwrap_or(0),
            received_at: row.wire_opt("received_at")?,
            read_at: row.wire_opt("read_at")?,
        })
    })
}

/// What an archive says of the own message at `seq`; better news is kept.
pub(super) fn restore(
    connection: &Connection,
    conversation: ConversationKey,
    seq: Seq,
    delivery: &ArchivedDelivery,
) -> Result<(), StoreError> {
    let sql = "INSERT INTO receipt (conversation, seq, user, rank, reason, received_at, read_at)
               VALUES (:conversation, :seq, :user, :rank, :reason, :received_at, :read_at)
               ON CONFLICT (conversation, seq, user) DO UPDATE SET rank = excluded.rank, reason = excluded.reason,
                  received_at = coalesce(received_at, excluded.received_at), read_at = coalesce(read_at, excluded.read_at)
               WHERE excluded.rank > rank";
    // A rank of a later version is not known here.
    if !(Rank::Undelivered as u32..=Rank::Read as u32).contains(&delivery.rank) {
        return Ok(());
    }
    connection.run(
        sql,
        named_params! {
            ":conversation": conversation.0,
            ":seq": Sql(seq),
            ":user": Sql(delivery.user),
            ":rank": delivery.rank,
            ":reason": Undelivered::from_number(delivery.reason).map(Undelivered::number),
            ":received_at": delivery.received_at.map(Sql),
            ":read_at": delivery.read_at.map(Sql),
        },
    )?;
    Ok(())
}

/// How far the own message at `seq` got with `user`.
pub(crate) fn delivery(
    connection: &Connection,
    conversation: ConversationKey,
    seq: Seq,
    user: UserId,
) -> Result<Delivery, StoreError> {
    let sql = "SELECT rank, reason, received_at, read_at FROM receipt WHERE conversation = ? AND seq = ? AND user = ?";
    let read = |row: &rusqlite::Row<'_>| {
        let rank: i64 = row.get("rank")?;
        Ok(Delivery {
            user,
            received_at: row.wire_opt("received_at")?.filter(|_| rank >= Rank::Received as i64),
            read_at: row.wire_opt("read_at")?.filter(|_| rank >= Rank::Read as i64),
            undelivered: reason(row)?,
        })
    };
    let parameters = params![conversation.0, Sql(seq), Sql(user)];
    let found = connection.first(sql, parameters, read)?;
    Ok(found.unwrap_or(Delivery { user, received_at: None, read_at: None, undelivered: None }))
}

fn reason(row: &rusqlite::Row<'_>) -> rusqlite::Result<Option<Undelivered>> {
    Ok(row.get::<_, Option<i32>>("reason")?.and_then(Undelivered::from_number))
}
