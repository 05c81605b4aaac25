//! Messages, gaps and holes, in the order of the timeline.
//!
//! The order is (anchor, place, id). An accepted message has its position as anchor and place 0; a pending one stands
//! behind everything (anchor `PENDING`, place = its outbox entry); a failed one stays where it failed, behind what was
//! the head then. What was kept back stands in front of what named it (place -1) until it comes.

use bytes::Bytes;
use chasqui_wire::{DeviceId, MessageId, Seq, SeqRange, SeqRanges, Timestamp, UserId};
use rusqlite::{Connection, OptionalExtension as _, Row, named_params, params};

use super::{Ask as _, ConversationKey, ConversationRow, OutboxKey, RowExt as _, Sql, StoreError, hole, receipt};
use crate::domain::Failure;

/// A message's row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct MessageKey(pub(crate) i64);

/// Behind every position.
const PENDING: i64 = i64::MAX;

/// Where a new row stands.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Place {
    At(Seq),
    /// What should have come before what stands there.
    Before(Seq),
    Pending,
}

/// What kind of row it is; the numbers are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Content = 1,
    /// It cannot be read, and nobody is left to ask: a placeholder.
    Unreadable = 2,
    Gap = 3,
    Hole = 4,
    /// It could not be read, and is asked for. Nobody is shown it meanwhile.
    Awaited = 5,
}

impl Kind {
    /// Whether what the message says is not known here.
    pub(crate) fn is_missed(self) -> bool {
        matches!(self, Self::Unreadable | Self::Awaited)
    }
}

/// Of messages, gaps and holes: what people are shown, and what is counted.
pub(super) const VISIBLE: &str = "message.deleted = 0 AND message.kind <> 5";
/// Of messages: [`Kind::is_missed`].
pub(super) const MISSED: &str = "message.kind IN (2, 5)";

/// How far an own message got; the numbers are stored. Others' messages are `Accepted`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    Pending = 0,
    Accepted = 1,
    Failed = 2,
}

/// A message to be stored.
#[derive(Clone, Debug)]
pub(crate) struct NewMessage {
    pub(crate) id: MessageId,
    pub(crate) place: Place,
    pub(crate) sender: UserId,
    pub(crate) sender_device: DeviceId,
    pub(crate) incoming: bool,
    pub(crate) kind: Kind,
    pub(crate) created_at: Timestamp,
    pub(crate) accepted_at: Option<Timestamp>,
    pub(crate) body: Bytes,
}

/// What the engine needs to know of a stored message.
#[derive(Clone, Debug)]
pub(crate) struct MessageRow {
    pub(crate) key: MessageKey,
    pub(crate) conversation: ConversationKey,
    pub(crate) id: MessageId,
    pub(crate) seq: Option<Seq>,
    pub(crate) sender: UserId,
    pub(crate) sender_device: Option<DeviceId>,
    pub(crate) kind: Kind,
    pub(crate) body: Bytes,
    pub(crate) deleted: bool,
    pub(crate) state: State,
}

pub(super) fn state(number: i64) -> Option<State> {
    [State::Pending, State::Accepted, State::Failed].into_iter().find(|&state| state as i64 == number)
}

pub(super) fn kind(number: i64) -> Option<Kind> {
    let all = [Kind::Content, Kind::Unreadable, Kind::Gap, Kind::Hole, Kind::Awaited];
    all.into_iter().find(|&kind| kind as i64 == number)
}

impl MessageRow {
    pub(crate) fn find(connection: &Connection, id: MessageId) -> Result<Option<Self>, StoreError> {
        Self::query(connection, "message = ?", Sql(id))
    }

    pub(crate) fn get(connection: &Connection, key: MessageKey) -> Result<Self, StoreError> {
        Self::query(connection, "id = ?", key.0)?.ok_or(StoreError::Corrupt("an outbox entry without its message"))
    }

    fn query(
        connection: &Connection,
        which: &str,
        parameter: impl rusqlite::ToSql,
    ) -> Result<Option<Self>, StoreError> {
        let sql = format!(
            "SELECT id, conversation, message, seq, sender, sender_device, kind, body, deleted, state
             FROM message WHERE {which}"
        );
        let read = |row: &Row<'_>| {
            let (number, kind_number): (i64, i64) = (row.get("state")?, row.get("kind")?);
            Ok(Self {
                key: MessageKey(row.get("id")?),
                conversation: ConversationKey(row.get("conversation")?),
                id: row.wire("message")?,
                seq: row.wire_opt("seq")?,
                sender: row.wire("sender")?,
                sender_device: row.wire_opt("sender_device")?,
                kind: kind(kind_number).ok_or(rusqlite::Error::IntegralValueOutOfRange(0, kind_number))?,
                body: row.get::<_, Option<Vec<u8>>>("body")?.unwrap_or_default().into(),
                deleted: row.get("deleted")?,
                state: state(number).ok_or(rusqlite::Error::IntegralValueOutOfRange(0, number))?,
            })
        };
        connection.first(&sql, params![parameter], read)
    }

    /// `None` when a message of that id is here already.
    pub(crate) fn insert(
        connection: &Connection,
        conversation: &ConversationRow,
        new: &NewMessage,
    ) -> Result<Option<MessageKey>, StoreError> {
        let sql = "INSERT INTO message (conversation, message, anchor, place, seq, sender, sender_device, incoming,
                                        kind, state, created_at, accepted_at, body)
                   VALUES (:conversation, :message, :anchor, :place, :seq, :sender, :sender_device, :incoming,
                           :kind, :state, :created_at, :accepted_at, :body)
                   ON CONFLICT (message) DO NOTHING";
        let at = |seq: Seq| seq.raw().cast_signed();
        let (anchor, place, seq, state) = match new.place {
            Place::At(seq) => (at(seq), 0, Some(seq), State::Accepted),
            Place::Before(next) => (at(next), -1, None, State::Accepted),
            Place::Pending => (PENDING, 0, None, State::Pending),
        };
        let inserted = connection.run(
            sql,
            named_params! {
                ":conversation": conversation.key.0,
                ":message": Sql(new.id),
                ":anchor": anchor,
                ":place": place,
                ":seq": seq.map(Sql),
                ":sender": Sql(new.sender),
                ":sender_device": Sql(new.sender_device),
                ":incoming": new.incoming,
                ":kind": new.kind as i64,
                ":state": state as i64,
                ":created_at": Sql(new.created_at),
                ":accepted_at": new.accepted_at.map(Sql),
                ":body": new.body.as_ref(),
            },
        )?;
        Ok((inserted > 0).then(|| MessageKey(connection.last_insert_rowid())))
    }

    /// It waits behind everything, in the order of the outbox.
    pub(crate) fn set_pending(connection: &Connection, key: MessageKey, entry: OutboxKey) -> Result<(), StoreError> {
        let sql = "UPDATE message SET state = ?2, failure = NULL, anchor = ?3, place = ?4 WHERE id = ?1";
        connection.run(sql, params![key.0, State::Pending as i64, PENDING, entry.0])?;
        Ok(())
    }

    /// What waits is sent by this device from here on, whichever had written it.
    pub(crate) fn adopt_pending(connection: &Connection, device: DeviceId) -> Result<(), StoreError> {
        let sql = "UPDATE message SET sender_device = ? WHERE state = ?";
        connection.execute(sql, (Sql(device), State::Pending as i64))?;
        Ok(())
    }

    /// The node gave it a position.
    pub(crate) fn set_accepted(
        &self,
        connection: &Connection,
        seq: Seq,
        at: Timestamp,
        revision: u64,
    ) -> Result<(), StoreError> {
        let sql = "UPDATE message SET state = ?2, failure = NULL, seq = ?3, anchor = ?3, place = 0, accepted_at = ?4,
                                      revision = ?5 WHERE id = ?1";
        let parameters = params![self.key.0, State::Accepted as i64, Sql(seq), Sql(at), revision.cast_signed()];
        connection.run(sql, parameters)?;
        Ok(())
    }

    /// Accepted anew under another position, by a node that had forgotten it. What became of it stays known.
    pub(crate) fn move_to(&self, connection: &Connection, seq: Seq) -> Result<(), StoreError> {
        if let Some(old) = self.seq {
            receipt::follow(connection, self.conversation, old, seq)?;
        }
        let sql = "UPDATE message SET seq = ?2, anchor = ?2, place = 0 WHERE id = ?1";
        connection.run(sql, params![self.key.0, Sql(seq)])?;
        Ok(())
    }

    /// It stays where it failed: behind what is the head now.
    pub(crate) fn set_failed(
        &self,
        connection: &Connection,
        head: Option<Seq>,
        failure: Failure,
    ) -> Result<(), StoreError> {
        let number = match failure {
            Failure::TooOld => 0,
            Failure::Refused(code) => code.number(),
        };
        let sql = "UPDATE message SET state = ?2, failure = ?3, anchor = ?4, place = id WHERE id = ?1";
        let parameters = params![self.key.0, State::Failed as i64, number, super::conversation::raw(head)];
        connection.run(sql, parameters)?;
        Ok(())
    }

    /// What it says to others is said with this besides.
    pub(crate) fn set_body(connection: &Connection, key: MessageKey, body: &[u8]) -> Result<(), StoreError> {
        connection.run("UPDATE message SET body = ?2 WHERE id = ?1", params![key.0, body])?;
        Ok(())
    }

    /// What was kept back came after all, and this is where and when the node took it.
    pub(crate) fn set_place(&self, connection: &Connection, seq: Seq, at: Timestamp) -> Result<(), StoreError> {
        let sql = "UPDATE message SET seq = ?2, anchor = ?2, place = 0, accepted_at = ?3 WHERE id = ?1";
        connection.run(sql, params![self.key.0, Sql(seq), Sql(at)])?;
        Ok(())
    }

    /// Of what was kept back nobody knows where it belongs.
    pub(crate) fn is_out_of_place(&self) -> bool {
        self.state == State::Accepted && self.seq.is_none()
    }

    /// What could not be read came again.
    pub(crate) fn set_content(
        &self,
        connection: &Connection,
        created_at: Timestamp,
        body: &[u8],
    ) -> Result<(), StoreError> {
        let sql = "UPDATE message SET kind = ?2, created_at = ?3, body = ?4 WHERE id = ?1";
        connection.run(sql, params![self.key.0, Kind::Content as i64, Sql(created_at), body])?;
        Ok(())
    }

    /// Nobody is left to ask for it: a placeholder is shown.
    pub(crate) fn give_up(connection: &Connection, key: MessageKey) -> Result<(), StoreError> {
        connection.run("UPDATE message SET kind = ?2 WHERE id = ?1", params![key.0, Kind::Unreadable as i64])?;
        Ok(())
    }

    /// It is for devices, and not shown; what it says is kept until it is said.
    pub(crate) fn hide(connection: &Connection, key: MessageKey) -> Result<(), StoreError> {
        connection.run("UPDATE message SET deleted = 1 WHERE id = ?", params![key.0])?;
        Ok(())
    }

    /// Nothing is left of it.
    pub(crate) fn remove(&self, connection: &Connection) -> Result<(), StoreError> {
        connection.run("DELETE FROM message WHERE id = ?", params![self.key.0])?;
        Ok(())
    }

    /// Leaves a tombstone, so that a redelivery does not bring it back.
    pub(crate) fn delete(&self, connection: &Connection) -> Result<(), StoreError> {
        let sql = "UPDATE message SET deleted = 1, body = NULL WHERE id = ?";
        connection.run(sql, params![self.key.0])?;
        Ok(())
    }
}

/// Notes that `seq` stays empty here, unless something stands there; says whether it was noted.
pub(crate) fn note_gap(
    connection: &Connection,
    conversation: &ConversationRow,
    seq: Seq,
    sender: UserId,
    at: Timestamp,
) -> Result<bool, StoreError> {
    if conversation.has_holes {
        hole::fill(connection, conversation, seq)?;
    }
    let sql = "INSERT INTO message (conversation, anchor, place, seq, sender, incoming, kind, state, created_at)
               SELECT ?1, ?2, 0, ?2, ?3, 1, ?4, ?5, ?6
               WHERE NOT EXISTS (SELECT 1 FROM message WHERE conversation = ?1 AND anchor = ?2 AND place = 0)";
    let parameters =
        params![conversation.key.0, Sql(seq), Sql(sender), Kind::Gap as i64, State::Accepted as i64, Sql(at)];
    Ok(connection.run(sql, parameters)? > 0)
}

/// Whether the message at `seq` is held here.
pub(crate) fn holds(connection: &Connection, conversation: &ConversationRow, seq: Seq) -> Result<bool, StoreError> {
    let sql = "SELECT EXISTS (SELECT 1 FROM message WHERE conversation = ? AND anchor = ? AND place = 0 AND kind = ?)";
    let parameters = params![conversation.key.0, Sql(seq), Kind::Content as i64];
    connection.one(sql, parameters, |row| row.get(0))
}

/// The last position of which nobody is kept waiting: the head, or where the last line is shown, if that is followed by what is asked for.
pub(crate) fn last_seen(connection: &Connection, conversation: &ConversationRow) -> Result<Option<Seq>, StoreError> {
    let sql = format!(
        "SELECT max(anchor) FILTER (WHERE {VISIBLE}) AS seen, max(anchor) AS last FROM message
         WHERE conversation = ? AND anchor < ? AND deleted = 0"
    );
    connection.one(&sql, params![conversation.key.0, PENDING], |row| {
        let (seen, last): (Option<i64>, Option<i64>) = (row.get("seen")?, row.get("last")?);
        let is_last = seen == last;
        Ok(if is_last { conversation.head } else { seen.and_then(|seen| Seq::from_raw(seen.cast_unsigned())) })
    })
}

/// Positions of the range that hold messages by others, as they came.
pub(crate) fn held_from_others(
    connection: &Connection,
    conversation: &ConversationRow,
    range: SeqRange,
) -> Result<SeqRanges, StoreError> {
    let sql = "SELECT anchor FROM message WHERE conversation = ? AND anchor BETWEEN ? AND ? AND place = 0
               AND incoming = 1 AND kind = ?";
    let mut statement = connection.prepare_cached(sql)?;
    let parameters = params![conversation.key.0, Sql(range.first()), Sql(range.last()), Kind::Content as i64];
    let rows = statement.query_map(parameters, |row| row.wire("anchor"))?;
    Ok(SeqRanges::of(rows.collect::<Result<Vec<Seq>, _>>()?))
}

/// What was missing at `seq` arrived after all.
pub(crate) fn fill_gap(connection: &Connection, conversation: &ConversationRow, seq: Seq) -> Result<(), StoreError> {
    if conversation.has_holes {
        hole::fill(connection, conversation, seq)?;
    }
    let sql = "DELETE FROM message WHERE conversation = ? AND anchor = ? AND place = 0 AND message IS NULL";
    connection.run(sql, params![conversation.key.0, Sql(seq)])?;
    Ok(())
}

/// Own messages of this device that the node accepted after `revision` in an era before `era`.
pub(crate) fn accepted_after(
    connection: &Connection,
    device: DeviceId,
    revision: u64,
    era: u32,
) -> Result<Vec<MessageRow>, StoreError> {
    let sql = "SELECT id FROM message WHERE revision > ? AND sender_device = ? AND state = ? ORDER BY anchor";
    let parameters = params![revision.cast_signed(), Sql(device), State::Accepted as i64];
    let keys = connection.all(sql, parameters, |row| row.get("id"))?;
    let rows = keys.into_iter().map(|key| MessageRow::get(connection, MessageKey(key)));
    let older = |row: &MessageRow| row.seq.is_some_and(|seq| seq.era() < era) && !row.deleted;
    Ok(rows.collect::<Result<Vec<_>, _>>()?.into_iter().filter(older).collect())
}

/// The highest position that this device was told of a message of its own.
pub(crate) fn last_heard(
    connection: &Connection,
    conversation: ConversationKey,
    device: DeviceId,
) -> Result<Option<Seq>, StoreError> {
    let sql = "SELECT seq FROM message WHERE conversation = ? AND anchor < ? AND place = 0 AND incoming = 0
               AND sender_device = ? AND seq IS NOT NULL ORDER BY anchor DESC LIMIT 1";
    let mut statement = connection.prepare_cached(sql)?;
    let seq = statement.query_row((conversation.0, PENDING, Sql(device)), |row| row.wire("seq")).optional()?;
    Ok(seq)
}

/// Positions above `since` and up to `up_to` that hold readable messages by others, and who wrote them.
pub(crate) fn readable(
    connection: &Connection,
    conversation: ConversationKey,
    since: Option<Seq>,
    up_to: Seq,
) -> Result<Vec<(Seq, UserId)>, StoreError> {
    let sql = "SELECT seq, sender FROM message WHERE conversation = ? AND anchor > ? AND anchor <= ? AND place = 0
               AND incoming = 1 AND kind = ? AND deleted = 0 ORDER BY anchor";
    let parameters = params![conversation.0, super::conversation::raw(since), Sql(up_to), Kind::Content as i64];
    connection.all(sql, parameters, |row| Ok((row.wire("seq")?, row.wire("sender")?)))
}

/// The message of that id as it came; nothing if it is not here.
pub(crate) fn body(connection: &Connection, id: MessageId) -> Result<Bytes, StoreError> {
    Ok(MessageRow::find(connection, id)?.map(|row| row.body).unwrap_or_default())
}
