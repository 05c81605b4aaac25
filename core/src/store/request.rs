//! Message requests: conversations that somebody began whom the user does not know, and what the user said to it.

use chasqui_wire::{Seq, Verdict};
use rusqlite::{Connection, params};

use super::{Ask as _, ConversationKey, IndexChange, StoreError, message::MessageKey};

/// Whether a conversation waits for the user's word. The numbers are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Request {
    /// It is one like others.
    No = 0,
    /// Somebody wrote, and nothing was said to it.
    Asked = 1,
    /// Declined or blocked: not shown in lists.
    Refused = 2,
}

impl Request {
    pub(crate) fn from_number(number: i64) -> Option<Self> {
        [Self::No, Self::Asked, Self::Refused].into_iter().find(|&request| request as i64 == number)
    }
}

/// What the user said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct AdmissionRow {
    pub(crate) conversation: ConversationKey,
    pub(crate) verdict: Verdict,
    pub(crate) up_to: Option<Seq>,
    /// Whether the node has yet to hear of it.
    pub(crate) waits: bool,
}

/// Said on another device, which knows the revision: it is said again after every restore of the node.
const ELSEWHERE: i64 = i64::MAX;

const COLUMNS: &str = "conversation, verdict, up_to, revision IS NULL AS waits";

fn read(row: &rusqlite::Row<'_>) -> rusqlite::Result<AdmissionRow> {
    let number: i32 = row.get("verdict")?;
    Ok(AdmissionRow {
        conversation: ConversationKey(row.get("conversation")?),
        verdict: Verdict::from_number(number).ok_or(rusqlite::Error::IntegralValueOutOfRange(1, number.into()))?,
        up_to: u64::try_from(row.get::<_, i64>("up_to")?).ok().and_then(Seq::from_raw),
        waits: row.get("waits")?,
    })
}

impl ConversationKey {
    /// Whether the user has written there, on whichever device.
    pub(crate) fn has_own_message(self, connection: &Connection) -> Result<bool, StoreError> {
        let sql = "SELECT EXISTS (SELECT 1 FROM message WHERE conversation = ? AND incoming = 0 AND seq IS NOT NULL)";
        connection.one(sql, params![self.0], |row| row.get(0))
    }
}

impl AdmissionRow {
    pub(crate) fn get(connection: &Connection, key: ConversationKey) -> Result<Option<Self>, StoreError> {
        let sql = format!("SELECT {COLUMNS} FROM admission WHERE conversation = ?");
        connection.first(&sql, params![key.0], read)
    }

    /// All that the node has yet to hear of.
    pub(crate) fn waiting(connection: &Connection) -> Result<Vec<Self>, StoreError> {
        let sql = format!("SELECT {COLUMNS} FROM admission WHERE revision IS NULL ORDER BY conversation");
        connection.all(&sql, params![], read)
    }

    /// Takes the place of what was said before.
    pub(crate) fn put(&self, connection: &Connection) -> Result<(), StoreError> {
        let sql = "INSERT OR REPLACE INTO admission (conversation, verdict, up_to, revision) VALUES (?, ?, ?, ?)";
        let revision = (!self.waits).then_some(ELSEWHERE);
        let parameters =
            params![self.conversation.0, self.verdict.number(), super::conversation::raw(self.up_to), revision];
        connection.run(sql, parameters)?;
        Ok(())
    }

    /// The node has heard of it; what was said since still waits.
    pub(crate) fn settle(&self, connection: &Connection, revision: u64) -> Result<(), StoreError> {
        let sql = "UPDATE admission SET revision = ?4
                   WHERE conversation = ?1 AND verdict = ?2 AND up_to = ?3 AND revision IS NULL";
        let up_to = super::conversation::raw(self.up_to);
        let parameters = params![self.conversation.0, self.verdict.number(), up_to, revision.cast_signed()];
        connection.run(sql, parameters)?;
        Ok(())
    }

    /// A restored node may have forgotten what it heard after `revision`. What was declined is not said twice.
    pub(crate) fn say_again_after(connection: &Connection, revision: u64) -> Result<(), StoreError> {
        let sql = "UPDATE admission SET revision = NULL WHERE revision > ? AND verdict <> 2";
        connection.run(sql, params![revision.cast_signed()])?;
        Ok(())
    }
}

impl ConversationKey {
    pub(crate) fn set_request(self, connection: &Connection, request: Request) -> Result<(), StoreError> {
        let sql = "UPDATE conversation SET request = ?2 WHERE id = ?1";
        connection.run(sql, params![self.0, request as i64])?;
        Ok(())
    }

    /// Deletes what others wrote up to a position, leaving tombstones; says what the index loses by it.
    pub(crate) fn delete_up_to(self, connection: &Connection, up_to: Seq) -> Result<Vec<IndexChange>, StoreError> {
        let sql = "UPDATE message SET deleted = 1, body = NULL WHERE conversation = ? AND anchor <= ? AND incoming = 1
                   AND deleted = 0 AND message IS NOT NULL RETURNING id";
        let mut statement = connection.prepare_cached(sql)?;
        let rows = statement.query_map((self.0, up_to.raw().cast_signed()), |row| row.get(0).map(MessageKey))?;
        rows.map(|key| Ok(IndexChange::Remove(key?))).collect()
    }
}
