//! Messages as apps see them: one, or the lines of a timeline.

use chasqui_wire::{Content, ContentKind, ConversationId, ErrorCode, HoleReason, MessageId, Seq, UserId};
use rusqlite::{Connection, Row};

use super::message::{Kind, MessageKey, MessageRow, State, VISIBLE, kind, state};
use super::{ConversationKey, RowExt as _, Sql, StoreError, receipt};
use crate::domain::{
    Cursor, Delivery, Failure, Message, MessageContent, MessageState, TimelineItem, TimelinePage, Undelivered,
};

const SHOWN: &str = "message.id AS id, message.anchor AS anchor, message.place AS place, message.message AS message,
    message.seq AS seq, message.sender AS sender, message.sender_device AS sender_device,
    message.incoming AS incoming, message.kind AS kind, message.state AS state, message.failure AS failure,
    message.created_at AS created_at, message.accepted_at AS accepted_at, message.body AS body,
    message.until AS until, message.reason AS reason,
    conversation.conversation AS conversation, conversation.id AS conversation_key, conversation.peer AS peer
    FROM message JOIN conversation ON conversation.id = message.conversation";

/// The message as apps see it.
pub(crate) fn show(connection: &Connection, key: MessageKey) -> Result<Option<Message>, StoreError> {
    Ok(show_with_cursor(connection, key)?.map(|(message, _)| message))
}

/// The message as apps see it, and where it stands.
pub(crate) fn show_with_cursor(
    connection: &Connection,
    key: MessageKey,
) -> Result<Option<(Message, Cursor)>, StoreError> {
    let sql = format!("SELECT {SHOWN} WHERE message.id = ? AND {VISIBLE} AND message.message IS NOT NULL");
    let mut statement = connection.prepare_cached(&sql)?;
    let mut rows = statement.query([key.0])?;
    let Some(row) = rows.next()? else { return Ok(None) };
    Ok(Some((message(connection, row)?, cursor(row)?)))
}

/// The message of that id, as apps see it.
pub(crate) fn show_by_id(connection: &Connection, id: MessageId) -> Result<Option<Message>, StoreError> {
    match MessageRow::find(connection, id)? {
        Some(row) => show(connection, row.key),
        None => Ok(None),
    }
}

/// The `limit` lines before `before`; the newest ones if that is `None`. Oldest first.
pub(crate) fn page_before(
    connection: &Connection,
    conversation: ConversationId,
    before: Option<Cursor>,
    limit: u32,
) -> Result<TimelinePage, StoreError> {
    let end = Cursor { anchor: i64::MAX, place: i64::MAX, row: i64::MAX };
    let mut lines = lines(connection, conversation, before.unwrap_or(end), "<", "DESC", limit)?;
    let older = if lines.len() > limit as usize { Some(()) } else { None };
    lines.truncate(limit as usize);
    lines.reverse();
    Ok(TimelinePage {
        older: older.and(lines.first().map(|line| line.0)),
        newer: before.and(lines.last().map(|line| line.0)),
        items: lines.into_iter().map(|line| line.1).collect(),
    })
}

/// The `limit` lines after `after`, oldest first.
pub(crate) fn page_after(
    connection: &Connection,
    conversation: ConversationId,
    after: Cursor,
    limit: u32,
) -> Result<TimelinePage, StoreError> {
    let mut lines = lines(connection, conversation, after, ">", "ASC", limit)?;
    let newer = if lines.len() > limit as usize { Some(()) } else { None };
    lines.truncate(limit as usize);
    Ok(TimelinePage {
        older: lines.first().map(|line| line.0),
        newer: newer.and(lines.last().map(|line| line.0)),
        items: lines.into_iter().map(|line| line.1).collect(),
    })
}

/// One line more than `limit`, to see whether there is more.
fn lines(
    connection: &Connection,
    conversation: ConversationId,
    from: Cursor,
    comparison: &str,
    order: &str,
    limit: u32,
) -> Result<Vec<(Cursor, TimelineItem)>, StoreError> {
    let from = where_it_stands(connection, conversation, from)?;
    let sql = format!(
        "SELECT {SHOWN} WHERE message.conversation = (SELECT id FROM conversation WHERE conversation = ?)
         AND (message.anchor, message.place, message.id) {comparison} (?, ?, ?) AND {VISIBLE}
         ORDER BY message.anchor {order}, message.place {order}, message.id {order} LIMIT ?"
    );
    let mut statement = connection.prepare_cached(&sql)?;
    let mut rows = statement.query((Sql(conversation), from.anchor, from.place, from.row, i64::from(limit) + 1))?;
    let mut lines = Vec::new();
    while let Some(row) = rows.next()? {
        let kind: i64 = row.get("kind")?;
        let item = if kind == Kind::Gap as i64 {
            TimelineItem::Gap { conversation, seq: row.wire("seq")? }
        } else if kind == Kind::Hole as i64 {
            TimelineItem::Hole {
                conversation,
                first: row.wire("seq")?,
                last: row.wire("until")?,
                reason: HoleReason::from_number(row.get("reason")?),
            }
        } else {
            TimelineItem::Message(Box::new(message(connection, row)?))
        };
        lines.push((cursor(row)?, item));
    }
    Ok(lines)
}

/// A message moves when it is accepted, is sent again or fails: a page that begins at it begins where it stands now.
fn where_it_stands(
    connection: &Connection,
    conversation: ConversationId,
    cursor: Cursor,
) -> Result<Cursor, StoreError> {
    let sql = "SELECT anchor, place FROM message
               WHERE id = ? AND conversation = (SELECT id FROM conversation WHERE conversation = ?)";
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query((cursor.row, Sql(conversation)))?;
    let Some(row) = rows.next()? else { return Ok(cursor) };
    Ok(Cursor { anchor: row.get("anchor")?, place: row.get("place")?, row: cursor.row })
}

fn cursor(row: &Row<'_>) -> rusqlite::Result<Cursor> {
    Ok(Cursor { anchor: row.get("anchor")?, place: row.get("place")?, row: row.get("id")? })
}

fn message(connection: &Connection, row: &Row<'_>) -> Result<Message, StoreError> {
    let id: MessageId = row.wire("message")?;
    let sender: UserId = row.wire("sender")?;
    let is_own = !row.get::<_, bool>("incoming")?;
    let seq: Option<Seq> = row.wire_opt("seq")?;
    let body = row.get::<_, Option<Vec<u8>>>("body")?.unwrap_or_default();
    let stored_as = kind(row.get("kind")?).ok_or(StoreError::Corrupt("unknown kind of message"))?;
    let content = match Content::decode(body.into(), id).map(|content| content.kind) {
        // Whatever it seems to say: in an encrypted conversation nobody has sealed it.
        _ if stored_as.is_missed() => MessageContent::Unreadable,
        Ok(ContentKind::Text(text)) => MessageContent::Text(text),
        Ok(_) => MessageContent::Unsupported,
        Err(_) => MessageContent::Unreadable,
    };
    let recipient = row.wire_opt::<UserId>("peer")?.filter(|&peer| is_own && peer != sender);
    let deliveries = match (seq, recipient) {
        (Some(seq), Some(recipient)) => {
            vec![receipt::delivery(connection, ConversationKey(row.get("conversation_key")?), seq, recipient)?]
        }
        _ => Vec::new(),
    };
    let stored = row.get::<_, i64>("state")?;
    let state = match state(stored).ok_or(StoreError::Corrupt("unknown message state"))? {
        State::Pending => MessageState::Pending,
        State::Failed => MessageState::Failed(match row.get::<_, Option<u32>>("failure")?.unwrap_or_default() {
            0 => Failure::TooOld,
            code => Failure::Refused(ErrorCode::from_number(code)),
        }),
        State::Accepted if is_own => overall(&deliveries),
        State::Accepted => MessageState::Received,
    };
    Ok(Message {
        id,
        conversation: row.wire("conversation")?,
        seq,
        sender,
        sender_device: row.wire("sender_device")?,
        is_own,
        content,
        created_at: row.wire("created_at")?,
        accepted_at: row.wire_opt("accepted_at")?,
        state,
        deliveries,
    })
}

/// The least of the recipients' states.
fn overall(deliveries: &[Delivery]) -> MessageState {
    if deliveries.is_empty() {
        return MessageState::Sent;
    }
    let undelivered: Option<Undelivered> = deliveries.iter().filter_map(|delivery| delivery.undelivered).min();
    match undelivered {
        Some(reason) => MessageState::Undelivered(reason),
        None if deliveries.iter().all(|delivery| delivery.read_at.is_some()) => MessageState::Read,
        None if deliveries.iter().all(|delivery| delivery.received_at.or(delivery.read_at).is_some()) => {
            MessageState::Received
        }
        None => MessageState::Sent,
    }
}
