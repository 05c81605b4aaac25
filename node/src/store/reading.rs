//! Looking at a data folder without changing it, beside a node that may be running.

use std::fs::{File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use rusqlite::{Connection, OpenFlags};

use super::disk::{list, segment_path};
use super::migrate;
use crate::relay::RelayError;

/// Sizes of what lies in a folder.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Sizes {
    pub(crate) segments: u64,
    pub(crate) segment_bytes: u64,
    pub(crate) database_bytes: u64,
}

/// The database, to read. A node that runs goes on meanwhile.
pub(crate) fn open_to_read(folder: &Path) -> Result<Connection, RelayError> {
    let path = folder.join("relay.db");
    if !path.is_file() {
        return Err(RelayError::NoData { folder: folder.to_owned() });
    }
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let open = |path: &Path, flags| {
        let db = Connection::open_with_flags(path, flags)?;
        // Opening reads nothing yet; this does.
        db.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get::<_, u32>(0))?;
        Ok::<_, rusqlite::Error>(db)
    };
    match open(&path, flags) {
        // A copy on a medium that cannot be written has no room for SQLite's shared memory, and needs none.
        Err(error) if !has_log(folder) && error.sqlite_error_code() == Some(rusqlite::ErrorCode::CannotOpen) => {
            let uri = PathBuf::from(format!("file:{}?immutable=1", escape(&path)));
            Ok(open(&uri, flags | OpenFlags::SQLITE_OPEN_URI)?)
        }
        opened => Ok(opened?),
    }
}

/// A path within a URI (<https://sqlite.org/uri.html>).
fn escape(path: &Path) -> String {
    path.to_string_lossy().replace('%', "%25").replace('?', "%3f").replace('#', "%23")
}

/// Keeps nodes away while it is held, unless one is there already. A backup has no lock: nothing runs on it.
pub(crate) fn lock_to_read(folder: &Path) -> Result<Option<File>, RelayError> {
    let lock = match File::open(folder.join("lock")) {
        Ok(lock) => lock,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(RelayError::Folder { folder: folder.to_owned(), source }),
    };
    match lock.try_lock_shared() {
        Ok(()) => Ok(Some(lock)),
        Err(TryLockError::WouldBlock) => Err(RelayError::FolderInUse { folder: folder.to_owned() }),
        Err(TryLockError::Error(source)) => Err(RelayError::Folder { folder: folder.to_owned(), source }),
    }
}

/// The schema's version in the data, and the newest that this node knows.
pub(crate) fn schema_version(db: &Connection) -> rusqlite::Result<(u32, u32)> {
    Ok((db.query_row("PRAGMA user_version", [], |row| row.get(0))?, migrate::NEWEST))
}

/// Every table and index, as SQL.
pub(crate) fn schema(db: &Connection) -> rusqlite::Result<Vec<String>> {
    let sql = "SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite_%' ORDER BY type, name";
    db.prepare(sql)?.query_map([], |row| row.get(0))?.collect()
}

/// [`schema`] of a new database.
pub(crate) fn newest_schema() -> Result<Vec<String>, RelayError> {
    let mut db = Connection::open_in_memory()?;
    migrate::migrate(&mut db)?;
    Ok(schema(&db)?)
}

/// The segments of a folder, ascending, with their sizes.
pub(crate) fn segments(folder: &Path) -> io::Result<Vec<(u32, u32)>> {
    list(&folder.join("bodies"))
}

/// All bytes of a segment.
pub(crate) fn read_segment(folder: &Path, segment: u32) -> io::Result<Vec<u8>> {
    std::fs::read(segment_path(&folder.join("bodies"), segment))
}

/// Whether the database's log holds anything: the node runs, or did not stop properly.
pub(crate) fn has_log(folder: &Path) -> bool {
    size_of(&folder.join("relay.db-wal")) > 0
}

pub(crate) fn sizes(folder: &Path) -> io::Result<Sizes> {
    let segments = segments(folder)?;
    Ok(Sizes {
        segments: segments.len() as u64,
        segment_bytes: segments.iter().map(|&(_, size)| u64::from(size)).sum(),
        database_bytes: size_of(&folder.join("relay.db")) + size_of(&folder.join("relay.db-wal")),
    })
}

fn size_of(path: &Path) -> u64 {
    std::fs::metadata(path).map_or(0, |file| file.len())
}

/// Bytes that the file system has left for others than root; `None` where that cannot be asked.
pub(crate) fn free_bytes(folder: &Path) -> Option<u64> {
    #[cfg(unix)]
    return rustix::fs::statvfs(folder).ok().map(|disk| disk.f_bavail.saturating_mul(disk.f_frsize));
    #[cfg(not(unix))]
    {
        let _ = folder;
        None
    }
}

/// Whether others than the owner may enter.
pub(crate) fn is_open_to_others(folder: &Path) -> bool {
    #[cfg(unix)]
    return std::fs::metadata(folder)
        .is_ok_and(|folder| std::os::unix::fs::PermissionsExt::mode(&folder.permissions()) & 0o077 != 0);
    #[cfg(not(unix))]
    {
        let _ = folder;
        false
    }
}
