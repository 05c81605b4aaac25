//! The node's disk: one SQLite database for rows, segments for bodies, a lock file for the folder.
//!
//! Opening migrates. Nothing here decides anything about messages.

mod bodies;
mod copy;
mod disk;
mod migrate;
mod reading;
mod rows;
mod sim_disk;

use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};

use rusqlite::Connection;
use rusqlite::config::DbConfig;

use crate::relay::RelayError;
pub(crate) use bodies::{Bodies, BodyAt, claims};
pub(crate) use copy::{BodyCopy, Rescue};
pub use disk::Disk;
pub(crate) use disk::{FileDisk, copy_file, copy_segments, create_for_owner, is_lost, make_folder, sync_folder};
pub(crate) use reading::{
    free_bytes, has_log, is_open_to_others, lock_to_read, newest_schema, open_to_read, read_segment, schema,
    schema_version, segments, sizes,
};
pub(crate) use rows::{ConversationRow, DeviceRow, EnvelopeRow, UserRow};
pub use sim_disk::{DiskImage, SimDisk};

/// Where a relay keeps its data.
pub struct Storage(Kind);

/// In a folder whose restore has not ended.
pub(crate) const UNFINISHED: &str = "restoring";

enum Kind {
    Folder { path: PathBuf, is_unfinished: bool },
    Given { connection: Box<Connection>, disk: Box<dyn Disk> },
}

/// An opened [`Storage`].
pub(crate) struct Opened {
    pub(crate) db: Connection,
    pub(crate) disk: Box<dyn Disk>,
    /// Held for as long as the relay lives; `None` in memory.
    pub(crate) lock: Option<File>,
    pub(crate) folder: Option<PathBuf>,
}

impl Storage {
    /// `relay.db`, `bodies/` and `lock` in this folder, which is made if it is missing.
    pub fn folder(path: impl Into<PathBuf>) -> Self {
        Self(Kind::Folder { path: path.into(), is_unfinished: false })
    }

    /// The folder of a restore that is under way, which nobody else may open.
    pub(crate) fn unfinished(path: &Path) -> Self {
        Self(Kind::Folder { path: path.to_owned(), is_unfinished: true })
    }

    /// A connection (usually in memory) and a disk of the caller's: for the simulation and for tests.
    pub fn memory(connection: Connection, disk: impl Disk + 'static) -> Self {
        Self(Kind::Given { connection: Box::new(connection), disk: Box::new(disk) })
    }

    pub(crate) fn open(self) -> Result<Opened, RelayError> {
        let mut opened = match self.0 {
            Kind::Folder { path, is_unfinished } => open_folder(path, is_unfinished)?,
            Kind::Given { connection, disk } => {
                connection.pragma_update(None, "foreign_keys", true)?;
                Opened { db: *connection, disk, lock: None, folder: None }
            }
        };
        opened.db.execute_batch("PRAGMA secure_delete = ON; PRAGMA temp_store = MEMORY;")?;
        // The planner's stability guarantee: without it, some statements are parsed again each time that another value is
        // bound, which costs more than running them (https://sqlite.org/queryplanner-ng.html#qpstab).
        opened.db.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
        opened.db.set_prepared_statement_cache_capacity(192);
        migrate::migrate(&mut opened.db)?;
        Ok(opened)
    }
}

fn open_folder(folder: PathBuf, is_unfinished: bool) -> Result<Opened, RelayError> {
    let unusable = |source| RelayError::Folder { folder: folder.clone(), source };
    disk::make_folder(&folder).map_err(unusable)?;
    let open = |name| disk::for_owner().create(true).truncate(false).open(folder.join(name));
    let lock = open("lock").map_err(unusable)?;
    match lock.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Err(RelayError::FolderInUse { folder: folder.clone() }),
        Err(TryLockError::Error(source)) => return Err(unusable(source)),
    }
    if folder.join(UNFINISHED).exists() != is_unfinished {
        return Err(RelayError::Unfinished { folder });
    }
    // SQLite gives its log the mode of the database, so that has to exist with it.
    drop(open("relay.db").map_err(unusable)?);
    let db = Connection::open(folder.join("relay.db"))?;
    // FULL: an answer may leave as soon as COMMIT returned, so COMMIT has to mean the disk.
    db.execute_batch("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;")?;
    // No reference is checked here, at a tenth of a message's cost: bugs are looked for where they are made, in memory.
    db.pragma_update(None, "foreign_keys", false)?;
    migrate::keep_older(&db, &folder)?;
    let disk = FileDisk::open(&folder.join("bodies")).map_err(unusable)?;
    Ok(Opened { db, disk: Box::new(disk), lock: Some(lock), folder: Some(folder) })
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn nobody_else_may_read_anything() {
        let parent = tempfile::tempdir().unwrap();
        let folder = parent.path().join("data");
        let mut opened = Storage::folder(&folder).open().unwrap();
        opened.disk.create(1, 1024).unwrap();
        let mode = |path: &str| folder.join(path).metadata().unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(""), mode("bodies")), (0o700, 0o700));
        for file in ["lock", "relay.db", "relay.db-wal", "relay.db-shm", "bodies/00000001.seg"] {
            assert_eq!(mode(file), 0o600, "{file}");
        }
    }
}
