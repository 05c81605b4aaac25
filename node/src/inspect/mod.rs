//! Looks into a data folder, of a node that runs or not, or of a backup. Reads only, and never what people wrote.

mod check;
mod directory;
mod stats;

use std::fs::File;
use std::path::{Path, PathBuf};

use rusqlite::Connection;

use crate::relay::RelayError;
use crate::store;
pub use check::{Finding, Verdict};
pub use directory::{DeviceReport, UserReport};
pub use stats::{MailboxReport, SenderReport, Stats};

/// A data folder that is looked at.
pub struct Inspection {
    folder: PathBuf,
    db: Connection,
    /// Keeps a node from starting while it is held.
    _lock: Option<File>,
}

impl Inspection {
    /// Opens a folder beside whoever uses it.
    ///
    /// # Errors
    /// [`RelayError`]: there is no data, or data of another version.
    pub fn open(folder: &Path) -> Result<Self, RelayError> {
        let db = store::open_to_read(folder)?;
        match store::schema_version(&db)? {
            (found, known) if found > known => Err(RelayError::NewerSchema { found, known }),
            (found, known) if found < known => Err(RelayError::OlderSchema { found, known }),
            _ => Ok(Self { folder: folder.to_owned(), db, _lock: None }),
        }
    }

    /// Opens a folder that no node uses, and keeps it so. Older data may be looked at in this way.
    ///
    /// # Errors
    /// [`RelayError::FolderInUse`] among others.
    pub fn open_stopped(folder: &Path) -> Result<Self, RelayError> {
        let lock = store::lock_to_read(folder)?;
        let db = store::open_to_read(folder)?;
        match store::schema_version(&db)? {
            (found, known) if found > known => Err(RelayError::NewerSchema { found, known }),
            _ => Ok(Self { folder: folder.to_owned(), db, _lock: lock }),
        }
    }
}
