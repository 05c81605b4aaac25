//! The device's memory: one SQLite database, one writer.
//!
//! Guarantees: what a step of the engine changes becomes durable in one transaction or not at all. Each module holds one
//! aggregate, its SQL beside its functions. Nothing here decides anything about the network.

mod account;
mod archive;
mod ask;
mod binding;
mod chain;
mod conversation;
mod era;
mod hole;
mod identity;
mod mend;
mod message;
mod migrate;
mod open;
mod outbox;
mod poison;
mod receipt;
mod recovery;
mod request;
mod room;
mod salvage;
mod search;
mod secured;
mod timeline;
mod unicode;
mod user;
mod vault;

use std::path::Path;

use chasqui_wire::{ConversationId, DeviceId, MessageId, RealmId, Seq, Timestamp, UserId};
use rusqlite::config::DbConfig;
use rusqlite::types::{FromSql, FromSqlError, FromSqlResult, ToSqlOutput, ValueRef};
use rusqlite::{Connection, OpenFlags, ToSql};

pub(crate) use account::AccountRow;
pub(crate) use archive::{ArchiveCursor, TransferRow, restore_deliveries};
pub(crate) use ask::Ask;
pub(crate) use binding::{Binding, adopt, unlock, unlock_reader};
pub(crate) use chain::{Membership, add_last_said, last_said, note_lost, remove_last_said, unseal_from};
pub(crate) use conversation::{
    ConversationHead, ConversationKey, ConversationRow, after as conversation_after, early_read, list, note_early_read,
    summary, total_unread, unread, unread_above,
};
pub(crate) use era::{eras, set_eras};
pub(crate) use hole::{NewHole, date_loss, date_oldest_loss, incomplete, note as note_hole, note_absence, note_loss};
pub(crate) use identity::{
    IdentityRow, NewSecurityEvent, comparisons, last_comparison, note_comparison, note_security_event,
    pin_identity_key, restore_user, security_events,
};
pub(crate) use mend::{are_keys_lost, has_keys_again, reports as salvages};
pub(crate) use message::{
    Kind as MessageKind, MessageKey, MessageRow, NewMessage, Place, State as MessageState, accepted_after, body,
    fill_gap, held_from_others, holds, last_heard, last_seen, note_gap, readable,
};
pub(crate) use migrate::{SCHEMA_VERSION, migrate};
pub(crate) use outbox::{OutboxKey, OutboxRow, ReadOutboxRow};
pub(crate) use poison::{MAX_FAILURES, count as count_poison, keep as keep_poison};
pub(crate) use receipt::{
    Rank, ReceiptMark, apply as apply_receipt, apply_early as apply_early_receipts, drop_early as drop_early_receipts,
    drop_stale_early as drop_stale_early_receipts, follow as move_receipts,
};
pub(crate) use recovery::{Missed, hasten, hasten_all_of, is_dealt_with, note_dealt_with, settled};
pub(crate) use request::{AdmissionRow, Request};
pub(crate) use room::probe as probe_room;
pub(crate) use salvage::{Damage, salvage};
pub(crate) use search::{IndexChange, find as search, index_all};
pub(crate) use secured::{
    FlightRow, Sealing, SecuredRow, forget_groups, next_renewal, note_group_change, shadow_groups,
};
pub(crate) use timeline::{page_after, page_before, show_by_id};
pub(crate) use user::{
    after as users_after, by_name as user_by_name, device_key, devices_after, is_deleted as is_user_deleted,
    mark_deleted as mark_user_deleted, mention as mention_user, name as user_name, nameless as nameless_users,
    pin_device_key, remember as remember_user, set_device_key,
};

/// The database failed. Says what happened; the border turns it into what an app can do.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// SQLite's word.
    #[error("database: {0}")]
    Sqlite(#[from] rusqlite::Error),
    /// The folder was written by a newer version.
    #[error("the history has schema {found}, this version knows {known}")]
    TooNew {
        /// In the file.
        found: u32,
        /// The newest that this version knows.
        known: u32,
    },
    /// A row holds what no version ever wrote.
    #[error("corrupt history: {0}")]
    Corrupt(&'static str),
    /// Processing an input panicked; it was rolled back.
    #[error("a step panicked")]
    Panicked,
    /// SQLite gave up the whole transaction over what one input did.
    #[error("the step was rolled back")]
    RolledBack,
}

impl StoreError {
    /// Whether the database as a whole cannot write or read now, so that no other input would fare better.
    pub(crate) fn is_systemic(&self) -> bool {
        use rusqlite::ErrorCode as Code;
        match self {
            Self::Sqlite(error) => matches!(
                error.sqlite_error_code(),
                Some(
                    Code::DiskFull
                        | Code::SystemIoFailure
                        | Code::DatabaseCorrupt
                        | Code::NotADatabase
                        | Code::ReadOnly
                        | Code::OutOfMemory
                        | Code::DatabaseBusy
                        | Code::CannotOpen
                )
            ),
            Self::TooNew { .. } | Self::RolledBack => true,
            Self::Corrupt(_) | Self::Panicked => false,
        }
    }

    /// Whether the files hold what no version ever wrote there.
    pub fn is_damage(&self) -> bool {
        use rusqlite::{Error as Sql, ErrorCode as Code, ffi};
        match self {
            Self::Sqlite(
                Sql::FromSqlConversionFailure(..) | Sql::IntegralValueOutOfRange(..) | Sql::InvalidColumnType(..),
            )
            | Self::Corrupt(_) => true,
            Self::Sqlite(error) => match (error.sqlite_error_code(), error.sqlite_extended_error_code()) {
                (Some(Code::DatabaseCorrupt | Code::NotADatabase), _) => true,
                (_, Some(code)) => matches!(code, ffi::SQLITE_IOERR_CORRUPTFS | ffi::SQLITE_IOERR_DATA),
                _ => false,
            },
            Self::TooNew { .. } | Self::Panicked | Self::RolledBack => false,
        }
    }

    /// Whether the disk takes no writes for now: it is full, a quota is used up, or it fails.
    pub fn is_storage_full(&self) -> bool {
        use rusqlite::ffi;
        match self {
            Self::Sqlite(error) => match (error.sqlite_error_code(), error.sqlite_extended_error_code()) {
                (Some(rusqlite::ErrorCode::DiskFull), _) => true,
                // Reading what is damaged is another matter.
                (Some(rusqlite::ErrorCode::SystemIoFailure), Some(code)) => {
                    !matches!(code, ffi::SQLITE_IOERR_CORRUPTFS | ffi::SQLITE_IOERR_DATA)
                }
                _ => false,
            },
            Self::TooNew { .. } | Self::Corrupt(_) | Self::Panicked | Self::RolledBack => false,
        }
    }
}

/// The writing connection: the engine's memory.
#[derive(Debug)]
pub struct Store {
    connection: Connection,
}

impl Store {
    /// Opens or creates the history in `file`.
    ///
    /// # Errors
    /// [`StoreError`] when it cannot be opened, was written by a newer version, or cannot be migrated.
    pub fn open(file: &Path) -> Result<Self, StoreError> {
        let connection = open::open(file, OpenFlags::default())?;
        // WAL: readers never wait for the writer. FULL: a commit survives power loss, because an acknowledgement
        // makes the node forget.
        connection.pragma_update(None, "journal_mode", "WAL")?;
        connection.pragma_update(None, "synchronous", "FULL")?;
        // What is deleted is written over where that costs nothing.
        connection.pragma_update(None, "secure_delete", "FAST")?;
        Self::prepare(connection)
    }

    /// The history in a connection that the caller opened: the simulation keeps it across crashes.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn with_connection(connection: Connection) -> Result<Self, StoreError> {
        Self::prepare(connection)
    }

    fn prepare(connection: Connection) -> Result<Self, StoreError> {
        vault::install(&connection, None)?;
        connection.pragma_update(None, "foreign_keys", true)?;
        keep_plans(&connection)?;
        connection.set_prepared_statement_cache_capacity(128);
        migrate(&connection)?;
        // What savepoints keep of pages, with the keys on them, would go into files that lie wherever the platform puts such.
        connection.pragma_update(None, "temp_store", "memory")?;
        Ok(Self { connection })
    }

    /// Queries.
    pub fn history(&self) -> crate::History<'_> {
        crate::History::new(&self.connection)
    }

    /// The connection, for the engine and for faults that a test injects.
    pub fn connection(&self) -> &Connection {
        &self.connection
    }

    /// The connection, for a simulation that makes commits fail (`Connection::commit_hook`).
    pub fn connection_mut(&mut self) -> &mut Connection {
        &mut self.connection
    }

    /// Whether the disk takes writes again: tries.
    ///
    /// # Errors
    /// [`StoreError::is_storage_full`] when it does not.
    pub fn probe_room(&self) -> Result<(), StoreError> {
        probe_room(&self.connection)
    }

    /// Gives the connection back.
    pub fn into_connection(self) -> Connection {
        self.connection
    }

    /// A connection that can only read, beside the writer, for somebody who cannot bring the file to this version's schema:
    /// says which one it has.
    pub(crate) fn open_reader_of_any_version(file: &Path) -> Result<(Connection, u32), StoreError> {
        let connection = Self::open_reader(file)?;
        let found = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
        Ok((connection, found))
    }

    /// A connection that can only read, beside the writer.
    pub(crate) fn open_reader(file: &Path) -> Result<Connection, StoreError> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = open::open(file, flags)?;
        connection.pragma_update(None, "query_only", true)?;
        connection.pragma_update(None, "temp_store", "memory")?;
        keep_plans(&connection)?;
        connection.set_prepared_statement_cache_capacity(64);
        vault::install(&connection, None)?;
        Ok(connection)
    }
}

/// SQLite's query planner stability guarantee: without it, some statements are parsed again each time that another
/// value is bound, which costs more than running them (<https://sqlite.org/queryplanner-ng.html#qpstab>).
fn keep_plans(connection: &Connection) -> rusqlite::Result<()> {
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true).map(drop)
}

/// How wire types look in a column: ids as 16 bytes, positions and times as integers.
macro_rules! id_column {
    ($($id:ty),*) => {$(
        impl Column for $id {
            fn to_column(&self) -> ToSqlOutput<'_> {
                ToSqlOutput::Borrowed(ValueRef::Blob(self.as_bytes()))
            }
            fn from_column(value: ValueRef<'_>) -> FromSqlResult<Self> {
                <$id>::from_slice(value.as_blob()?).map_err(|error| FromSqlError::Other(Box::new(error)))
            }
        }
    )*};
}

pub(crate) trait Column: Sized {
    fn to_column(&self) -> ToSqlOutput<'_>;
    fn from_column(value: ValueRef<'_>) -> FromSqlResult<Self>;
}

id_column!(UserId, DeviceId, ConversationId, MessageId, RealmId);

impl Column for Timestamp {
    fn to_column(&self) -> ToSqlOutput<'_> {
        ToSqlOutput::from(self.0)
    }
    fn from_column(value: ValueRef<'_>) -> FromSqlResult<Self> {
        value.as_i64().map(Self)
    }
}

impl Column for Seq {
    fn to_column(&self) -> ToSqlOutput<'_> {
        ToSqlOutput::from(self.raw().cast_signed())
    }
    fn from_column(value: ValueRef<'_>) -> FromSqlResult<Self> {
        let raw = value.as_i64()?;
        u64::try_from(raw).ok().and_then(Self::from_raw).ok_or(FromSqlError::OutOfRange(raw))
    }
}

/// Lets the foreign wire types stand in queries and rows.
#[derive(Debug)]
pub(crate) struct Sql<T>(pub(crate) T);

impl<T: Column> ToSql for Sql<T> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(self.0.to_column())
    }
}

impl<T: Column> FromSql for Sql<T> {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        T::from_column(value).map(Sql)
    }
}

pub(crate) trait RowExt {
    /// Reads a wire type.
    fn wire<T: Column>(&self, column: &str) -> rusqlite::Result<T>;
    /// Reads a wire type that may be NULL.
    fn wire_opt<T: Column>(&self, column: &str) -> rusqlite::Result<Option<T>>;
}

impl RowExt for rusqlite::Row<'_> {
    fn wire<T: Column>(&self, column: &str) -> rusqlite::Result<T> {
        self.get::<_, Sql<T>>(column).map(|value| value.0)
    }
    fn wire_opt<T: Column>(&self, column: &str) -> rusqlite::Result<Option<T>> {
        self.get::<_, Option<Sql<T>>>(column).map(|value| value.map(|value| value.0))
    }
}
