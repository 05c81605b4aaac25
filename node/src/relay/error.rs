//! Why the relay as a whole cannot go on. What a device or a person did wrong is never one of these.

use std::path::PathBuf;

use chasqui_wire::{ErrorCode, RealmId};

/// The relay could not open, or a commit failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RelayError {
    /// Another node runs on it.
    #[error("the data folder {} is in use by another node", folder.display())]
    FolderInUse {
        /// Which.
        folder: PathBuf,
    },
    /// It cannot be made, read or written.
    #[error("the data folder {} cannot be used: {source}", folder.display())]
    Folder {
        /// Which.
        folder: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The data belongs to another app.
    #[error("the data belongs to realm {found}, not to {expected}")]
    OtherRealm {
        /// In the data.
        found: RealmId,
        /// In the options.
        expected: RealmId,
    },
    /// A newer node wrote the data.
    #[error("the data has schema version {found}, this node knows {known}: use a newer node")]
    NewerSchema {
        /// In the data.
        found: u32,
        /// The newest that this node knows.
        known: u32,
    },
    /// An older node wrote the data, and nobody has upgraded it.
    #[error("the data has schema version {found}, this node's is {known}: start the node once, which upgrades it")]
    OlderSchema {
        /// In the data.
        found: u32,
        /// What this node writes.
        known: u32,
    },
    /// There is no node's data.
    #[error("the folder {} holds no node's data", folder.display())]
    NoData {
        /// Which.
        folder: PathBuf,
    },
    /// It was to be missing or empty.
    #[error("the folder {} is not empty", folder.display())]
    NotEmpty {
        /// Which.
        folder: PathBuf,
    },
    /// It is no backup.
    #[error("the folder {} holds no backup, or one that did not end", folder.display())]
    NoBackup {
        /// Which.
        folder: PathBuf,
    },
    /// A restore into it did not end.
    #[error("a restore into {} did not end: empty the folder and restore again", folder.display())]
    Unfinished {
        /// Which.
        folder: PathBuf,
    },
    /// One at a time.
    #[error("another backup is under way")]
    BackupUnderWay,
    /// The options contradict each other.
    #[error("{0}")]
    Options(&'static str),
    /// The database failed.
    #[error("the database failed: {0}")]
    Database(#[from] rusqlite::Error),
    /// The body segments failed.
    #[error("the body segments failed: {0}")]
    Bodies(#[from] std::io::Error),
    /// The disk failed a moment ago; it was not tried again.
    #[error("the disk cannot be written at present")]
    Pressed {
        /// Whether it is full.
        is_full: bool,
    },
    /// The data contradicts itself.
    #[error("the data is damaged: {0}")]
    Damaged(&'static str),
}

impl RelayError {
    /// Whether a row says what it cannot say: then it is that row's trouble alone.
    pub(crate) fn is_damage(&self) -> bool {
        use rusqlite::Error as Sql;
        match self {
            Self::Damaged(_) => true,
            Self::Database(error) => matches!(
                error,
                Sql::FromSqlConversionFailure(..) | Sql::IntegralValueOutOfRange(..) | Sql::InvalidColumnType(..)
            ),
            Self::FolderInUse { .. }
            | Self::Folder { .. }
            | Self::OtherRealm { .. }
            | Self::NewerSchema { .. }
            | Self::OlderSchema { .. }
            | Self::NoData { .. }
            | Self::NotEmpty { .. }
            | Self::NoBackup { .. }
            | Self::Unfinished { .. }
            | Self::BackupUnderWay
            | Self::Options(_)
            | Self::Pressed { .. }
            | Self::Bodies(_) => false,
        }
    }

    /// Whether the disk as a whole cannot be written now, so that no other work would fare better.
    pub(crate) fn is_systemic(&self) -> bool {
        use rusqlite::ErrorCode as Code;
        match self {
            Self::Database(error) => matches!(
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
            Self::Bodies(_) | Self::Pressed { .. } => true,
            Self::FolderInUse { .. }
            | Self::Folder { .. }
            | Self::OtherRealm { .. }
            | Self::NewerSchema { .. }
            | Self::OlderSchema { .. }
            | Self::NoData { .. }
            | Self::NotEmpty { .. }
            | Self::NoBackup { .. }
            | Self::Unfinished { .. }
            | Self::BackupUnderWay
            | Self::Options(_)
            | Self::Damaged(_) => false,
        }
    }

    /// Whether it is for want of space.
    pub(crate) fn is_full(&self) -> bool {
        match self {
            Self::Database(error) => error.sqlite_error_code() == Some(rusqlite::ErrorCode::DiskFull),
            Self::Bodies(error) => {
                matches!(error.kind(), std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded)
            }
            Self::Pressed { is_full } => *is_full,
            Self::FolderInUse { .. }
            | Self::Folder { .. }
            | Self::OtherRealm { .. }
            | Self::NewerSchema { .. }
            | Self::OlderSchema { .. }
            | Self::NoData { .. }
            | Self::NotEmpty { .. }
            | Self::NoBackup { .. }
            | Self::Unfinished { .. }
            | Self::BackupUnderWay
            | Self::Options(_)
            | Self::Damaged(_) => false,
        }
    }

    /// As it is told to somebody whose work failed by it: whoever operates the node has seen the rest in the log.
    pub(crate) fn brief(&self) -> Self {
        match self {
            Self::Damaged(what) => Self::Damaged(what),
            Self::Options(what) => Self::Options(what),
            Self::BackupUnderWay => Self::BackupUnderWay,
            other => Self::Pressed { is_full: other.is_full() },
        }
    }

    /// What a device is told when its work failed alone.
    pub fn code(&self) -> ErrorCode {
        if self.is_full() { ErrorCode::StorageFull } else { ErrorCode::Internal }
    }
}
