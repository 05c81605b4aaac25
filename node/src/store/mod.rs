//! The node's disk: one SQLite database for rows, segments for bodies, a lock file for the folder.
//!
//! Opening migrates. Nothing here decides anything about messages.

mod bodies;
mod disk;
mod migrate;
mod rows;
mod sim_disk;

use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};

use rusqlite::Connection;
use rusqlite::config::DbConfig;

use crate::relay::RelayError;
pub(crate) use bodies::{Bodies, BodyAt};
pub use disk::Disk;
pub(crate) use disk::{FileDisk, is_lost};
pub(crate) use rows::{ConversationRow, DeviceRow, EnvelopeRow, UserRow};
pub use sim_disk::{DiskImage, SimDisk};

/// Where a relay keeps its data.
pub struct Storage(Kind);

enum Kind {
    Folder(PathBuf),
    Given { connection: Box<Connection>, disk: Box<dyn Disk> },
}

/// An opened [`Storage`].
pub(crate) struct Opened {
    pub(crate) db: Connection,
    pub(crate) disk: Box<dyn Disk>,
    /// Held for as long as the relay lives; `None` in memory.
    pub(crate) lock: Option<File>,
}

impl Storage {
    /// `relay.db`, `bodies/` and `lock` in this folder, which is made if it is missing.
    pub fn folder(path: impl Into<PathBuf>) -> Self {
        Self(Kind::Folder(path.into()))
    }

    /// A connection (usually in memory) and a disk of the caller's: for the simulation and for tests.
    pub fn memory(connection: Connection, disk: impl Disk + 'static) -> Self {
        Self(Kind::Given { connection: Box::new(connection), disk: Box::new(disk) })
    }

    pub(crate) fn open(self) -> Result<Opened, RelayError> {
        let mut opened = match self.0 {
            Kind::Folder(folder) => open_folder(&folder)?,
            Kind::Given { connection, disk } => Opened { db: *connection, disk, lock: None },
        };
        opened.db.execute_batch("PRAGMA foreign_keys = ON; PRAGMA secure_delete = ON; PRAGMA temp_store = MEMORY;")?;
        // The planner's stability guarantee: without it, some statements are parsed again each time that another value is
        // bound, which costs more than running them (https://sqlite.org/queryplanner-ng.html#qpstab).
        opened.db.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
        opened.db.set_prepared_statement_cache_capacity(128);
        migrate::migrate(&mut opened.db)?;
        Ok(opened)
    }
}

fn open_folder(folder: &Path) -> Result<Opened, RelayError> {
    let unusable = |source| RelayError::Folder { folder: folder.to_owned(), source };
    disk::make_folder(folder).map_err(unusable)?;
    let open = |name| disk::for_owner().create(true).truncate(false).open(folder.join(name));
    let lock = open("lock").map_err(unusable)?;
    match lock.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Err(RelayError::FolderInUse { folder: folder.to_owned() }),
        Err(TryLockError::Error(source)) => return Err(unusable(source)),
    }
    // SQLite gives its log the mode of the database, so that has to exist with it.
    drop(open("relay.db").map_err(unusable)?);
    let db = Connection::open(folder.join("relay.db"))?;
    // FULL: an answer may leave as soon as COMMIT returned, so COMMIT has to mean the disk.
    db.execute_batch("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;")?;
    let disk = FileDisk::open(&folder.join("bodies")).map_err(unusable)?;
    Ok(Opened { db, disk: Box::new(disk), lock: Some(lock) })
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
