//! A history in pages: for another device of its user, or for a backup.
//!
//! Guarantees: a page after the other gives every person, every conversation that was not refused, and every message that was here when
//! the first page was read, newest first: what it says, or that it cannot be read, or that something is missing. What waits to be sent is
//! not in it: its device sends it.

use bytes::Bytes;
use chasqui_wire::{
    ArchivePage, ArchivedConversation, ArchivedDelivery, ArchivedMessage, ArchivedMissing, ArchivedUser,
    ConversationKind, HoleReason, Protection, Seq, SeqRange, Timestamp, UserId,
};
use rusqlite::types::ValueRef;
use rusqlite::{Connection, Row, named_params, params};

use super::identity::comparisons;
use super::message::MISSED;
use super::{Ask as _, ConversationKey, MessageState, Request, RowExt as _, Sql, StoreError, receipt};

/// Where the next page begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ArchiveCursor {
    /// The newest message's row when the first page was read.
    newest: i64,
    part: Part,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    /// The people after this one.
    Users(Option<UserId>),
    /// The conversations after this row.
    Conversations(i64),
    /// The same once more, as they are by now: see [`ArchiveCursor::begins_messages`].
    Again(i64),
    /// The messages up to this row.
    Messages(i64),
}

/// People and conversations that are read at once.
const ROWS: u32 = 200;

impl ArchiveCursor {
    /// Where nothing of the history is left: see [`TransferRow::catches_up`]. When it was wanted tells it from others, so that what was
    /// said before, and comes late, is no answer.
    pub(crate) fn end(wanted_at: Timestamp) -> Self {
        Self { newest: wanted_at.0.saturating_neg(), part: Part::Messages(-1) }
    }

    pub(crate) fn is_end(self) -> bool {
        self.part == Part::Messages(-1)
    }

    pub(crate) fn beginning(connection: &Connection) -> Result<Self, StoreError> {
        let newest = connection.query_row("SELECT coalesce(max(id), 0) FROM message", [], |row| row.get(0))?;
        Ok(Self { newest, part: Part::Users(None) })
    }

    /// Reads back [`Self::encode`].
    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let (newest, rest) = bytes.split_first_chunk::<8>()?;
        let (&tag, rest) = rest.split_first()?;
        let row = || rest.try_into().ok().map(i64::from_be_bytes);
        let part = match tag {
            0 if rest.is_empty() => Part::Users(None),
            0 => Part::Users(Some(UserId::from_slice(rest).ok()?)),
            1 => Part::Conversations(row()?),
            3 => Part::Again(row()?),
            2 => Part::Messages(row()?),
            _ => return None,
        };
        Some(Self { newest: i64::from_be_bytes(*newest), part })
    }

    pub(crate) fn encode(self) -> Bytes {
        let mut bytes = self.newest.to_be_bytes().to_vec();
        match self.part {
            Part::Users(None) => bytes.push(0),
            Part::Users(Some(user)) => {
                bytes.push(0);
                bytes.extend_from_slice(user.as_bytes());
            }
            Part::Conversations(row) => {
                bytes.push(1);
                bytes.extend_from_slice(&row.to_be_bytes());
            }
            Part::Again(row) => {
                bytes.push(3);
                bytes.extend_from_slice(&row.to_be_bytes());
            }
            Part::Messages(row) => {
                bytes.push(2);
                bytes.extend_from_slice(&row.to_be_bytes());
            }
        }
        bytes.into()
    }

    /// Whether whoever asks has all conversations, and asks for what was said in them. What the node takes after that is asked reaches a
    /// device that knows the conversation; what it took before, the device that is asked has by then.
    pub(crate) fn begins_messages(self) -> bool {
        self.part == Part::Again(0)
    }

    /// How much lies before it, of 1,000.
    pub(crate) fn per_mille(self) -> u32 {
        match self.part {
            Part::Messages(row) if self.newest > 0 => {
                let done = self.newest.saturating_sub(row).clamp(0, self.newest);
                u32::try_from(i128::from(done) * 1000 / i128::from(self.newest)).unwrap_or(1000)
            }
            Part::Messages(_) | Part::Users(_) | Part::Conversations(_) | Part::Again(_) => 0,
        }
    }

    /// The page that begins here, of about `size` bytes, and where the next one does, if any. At least one message fits, however
    /// long it is.
    pub(crate) fn page(
        self,
        connection: &Connection,
        size: usize,
    ) -> Result<(ArchivePage, Option<ArchiveCursor>), StoreError> {
        let mut page = ArchivePage::default();
        let part = match self.part {
            Part::Users(after) => {
                page.users = users(connection, after)?;
                page.users.last().map_or(Part::Conversations(0), |last| Part::Users(Some(last.user)))
            }
            Part::Conversations(after) => {
                let (conversations, last) = conversations(connection, after)?;
                page.conversations = conversations;
                last.map_or(Part::Again(0), Part::Conversations)
            }
            Part::Again(after) => {
                let (conversations, last) = conversations(connection, after)?;
                page.conversations = conversations;
                last.map_or(Part::Messages(self.newest), Part::Again)
            }
            Part::Messages(up_to) => match messages(connection, up_to, size, &mut page)? {
                Some(next) => Part::Messages(next),
                None => {
                    page.comparisons = comparisons(connection)?;
                    return Ok((page, None));
                }
            },
        };
        Ok((page, Some(Self { part, ..self })))
    }
}

fn users(connection: &Connection, after: Option<UserId>) -> Result<Vec<ArchivedUser>, StoreError> {
    let sql = "SELECT user, name, identity_key, deleted, verified, identity_changed_at,
                      iif(compared_key = identity_key, compared_at, NULL) AS compared_at FROM user
               WHERE ?1 IS NULL OR user > ?1 ORDER BY user LIMIT ?2";
    connection.all(sql, params![after.map(Sql), ROWS], |row| {
        Ok(ArchivedUser {
            user: row.wire("user")?,
            name: row.get("name")?,
            identity_key: row.get("identity_key")?,
            deleted: row.get("deleted")?,
            trust: row.get("verified")?,
            identity_changed_at: row.wire_opt("identity_changed_at")?,
            compared_at: row.wire_opt("compared_at")?,
        })
    })
}

fn conversations(connection: &Connection, after: i64) -> Result<(Vec<ArchivedConversation>, Option<i64>), StoreError> {
    let sql = "SELECT id, conversation, kind, protection, peer, read_up_to, request, hidden, activity FROM conversation
               WHERE id > ? AND request <> ? ORDER BY id LIMIT ?";
    let number = |row: &Row<'_>, column: &str| row.get::<_, i32>(column);
    let unknown = |number: i32| rusqlite::Error::IntegralValueOutOfRange(0, number.into());
    let mut statement = connection.prepare_cached(sql)?;
    let mut last = None;
    let rows = statement.query_map((after, Request::Refused as i64, ROWS), |row| {
        last = Some(row.get("id")?);
        let (kind, protection) = (number(row, "kind")?, number(row, "protection")?);
        Ok(ArchivedConversation {
            conversation: row.wire("conversation")?,
            kind: ConversationKind::from_number(kind).ok_or_else(|| unknown(kind))?,
            protection: Protection::from_number(protection).ok_or_else(|| unknown(protection))?,
            peer: row.wire_opt("peer")?,
            read_up_to: u64::try_from(row.get::<_, i64>("read_up_to")?).ok().and_then(Seq::from_raw),
            is_request: row.get::<_, i64>("request")? == Request::Asked as i64,
            hidden: row.get("hidden")?,
            activity: row.wire("activity")?,
        })
    })?;
    let rows = rows.collect::<Result<_, _>>()?;
    Ok((rows, last))
}

/// Those up to a row, the newest first, and what is missing among them. Gives the row to go on with.
fn messages(
    connection: &Connection,
    up_to: i64,
    size: usize,
    page: &mut ArchivePage,
) -> Result<Option<i64>, StoreError> {
    /// Of a message beside its body: ids, times, what became of it.
    const BESIDE: usize = 160;
    let sql = format!(
        "SELECT message.id AS id, conversation.id AS conversation_row, conversation.conversation AS conversation,
                      message, seq, sender, sender_device, incoming, created_at, accepted_at, until, reason,
                      iif({MISSED}, x'', body) AS body
               FROM message JOIN conversation ON conversation.id = message.conversation
               WHERE message.id <= :up_to AND deleted = 0 AND request <> :refused AND (message IS NULL OR (
                   sender_device IS NOT NULL AND body IS NOT NULL AND message.state <> :pending))
               ORDER BY message.id DESC"
    );
    let mut statement = connection.prepare_cached(&sql)?;
    let mut rows = statement.query(named_params! {
        ":up_to": up_to, ":pending": MessageState::Pending as i64,
        ":refused": Request::Refused as i64,
    })?;
    let mut taken = 0;
    while let Some(row) = rows.next()? {
        if row.get_ref("message")? == ValueRef::Null {
            if taken > 0 && taken + BESIDE > size {
                return Ok(Some(row.get("id")?));
            }
            taken += BESIDE;
            page.missing.extend(missing(row)?);
            continue;
        }
        let body = Bytes::from(row.get::<_, Vec<u8>>("body")?);
        let weight = BESIDE + body.len();
        if taken > 0 && taken + weight > size {
            return Ok(Some(row.get("id")?));
        }
        taken += weight;
        let (seq, conversation) = (row.wire_opt("seq")?, ConversationKey(row.get("conversation_row")?));
        let deliveries = match seq {
            Some(seq) if !row.get::<_, bool>("incoming")? => receipt::archived(connection, conversation, seq)?,
            _ => Vec::new(),
        };
        page.messages.push(ArchivedMessage {
            conversation: row.wire("conversation")?,
            message: row.wire("message")?,
            seq,
            sender: row.wire("sender")?,
            sender_device: row.wire("sender_device")?,
            created_at: row.wire("created_at")?,
            accepted_at: row.wire_opt("accepted_at")?,
            body,
            deliveries,
        });
    }
    Ok(None)
}

/// A gap, or a hole.
fn missing(row: &Row<'_>) -> Result<Option<ArchivedMissing>, StoreError> {
    let (first, last) = (row.wire("seq")?, row.wire_opt("until")?);
    let reason: Option<i32> = row.get("reason")?;
    let missing = |range| {
        Ok::<_, rusqlite::Error>(ArchivedMissing {
            conversation: row.wire("conversation")?,
            range,
            reason: last.map(|_| HoleReason::from_number(reason.unwrap_or(0))),
            sender: row.wire("sender")?,
            at: row.wire("created_at")?,
        })
    };
    Ok(SeqRange::new(first, last.unwrap_or(first)).map(missing).transpose()?)
}

/// The history that another device of the user gives this one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TransferRow {
    /// That is asked; of no meaning where all are.
    pub(crate) device: chasqui_wire::DeviceId,
    /// The cursor that it was asked for.
    pub(crate) asked: Bytes,
    /// Where to go on.
    pub(crate) next: Bytes,
    /// Pieces of the answer, so far.
    pub(crate) pieces: u32,
    /// What is here of the page that is not whole.
    pub(crate) page: Vec<u8>,
    /// Messages that came so far.
    pub(crate) messages: u64,
    pub(crate) per_mille: u32,
    /// Requests since the last piece came.
    pub(crate) attempts: u32,
    pub(crate) ask_at: chasqui_wire::Timestamp,
}

impl TransferRow {
    /// Whether nothing is asked for but what devices of the user were told beside the history: of all of them.
    pub(crate) fn catches_up(&self) -> bool {
        ArchiveCursor::decode(&self.next).is_some_and(ArchiveCursor::is_end)
    }

    pub(crate) fn load(connection: &Connection) -> Result<Option<Self>, StoreError> {
        let sql = "SELECT device, asked, next, pieces, page, messages, per_mille, attempts, ask_at
                   FROM history_transfer";
        let read = |row: &Row<'_>| {
            Ok(Self {
                device: row.wire("device")?,
                asked: row.get::<_, Vec<u8>>("asked")?.into(),
                next: row.get::<_, Vec<u8>>("next")?.into(),
                pieces: row.get("pieces")?,
                page: row.get("page")?,
                messages: row.get::<_, i64>("messages")?.cast_unsigned(),
                per_mille: row.get("per_mille")?,
                attempts: row.get("attempts")?,
                ask_at: row.wire("ask_at")?,
            })
        };
        connection.first(sql, params![], read)
    }

    pub(crate) fn put(&self, connection: &Connection) -> Result<(), StoreError> {
        let sql = "INSERT OR REPLACE INTO history_transfer
                       (id, device, asked, next, pieces, page, messages, per_mille, attempts, ask_at)
                   VALUES (1, :device, :asked, :next, :pieces, :page, :messages, :per_mille, :attempts, :ask_at)";
        connection.run(
            sql,
            named_params! {
                ":device": Sql(self.device), ":asked": self.asked.as_ref(), ":next": self.next.as_ref(),
                ":pieces": self.pieces, ":page": self.page, ":messages": self.messages.cast_signed(),
                ":per_mille": self.per_mille, ":attempts": self.attempts, ":ask_at": Sql(self.ask_at),
            },
        )?;
        Ok(())
    }

    /// It is over.
    pub(crate) fn remove(connection: &Connection) -> Result<(), StoreError> {
        connection.execute("DELETE FROM history_transfer", [])?;
        Ok(())
    }
}

/// What became of an own message, as an archive says.
pub(crate) fn restore_deliveries(
    connection: &Connection,
    conversation: ConversationKey,
    seq: Seq,
    deliveries: &[ArchivedDelivery],
) -> Result<(), StoreError> {
    deliveries.iter().try_for_each(|delivery| receipt::restore(connection, conversation, seq, delivery))
}
