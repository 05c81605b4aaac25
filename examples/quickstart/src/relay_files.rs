//! Looking into the relay's folder, which only its operator can: files, and rows of its database.

use std::io;
use std::path::{Path, PathBuf};

use rusqlite::{Connection, OpenFlags};

/// What waits, by the relay's database and its body segments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Waiting {
    pub(crate) mailbox_entries: u64,
    /// Bodies that the database knows.
    pub(crate) envelopes: u64,
}

impl Waiting {
    pub(crate) const fn is_nothing(self) -> bool {
        self.mailbox_entries == 0 && self.envelopes == 0
    }
}

/// All files below `folder`. The relay's admin socket holds nothing.
pub(crate) fn list(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let kind = entry.file_type()?;
        if kind.is_dir() {
            files.extend(list(&entry.path())?);
        } else if kind.is_file() {
            files.push(entry.path());
        }
    }
    files.sort();
    Ok(files)
}

/// A file's bytes. The relay deletes files while it runs; one that is gone holds nothing.
pub(crate) fn read(file: &Path) -> io::Result<Vec<u8>> {
    match std::fs::read(file) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        read => read,
    }
}

/// Keeps the files as they are now.
pub(crate) fn copy(from: &Path, to: &Path) -> io::Result<()> {
    std::fs::create_dir_all(to)?;
    for (number, file) in list(from)?.iter().enumerate() {
        std::fs::write(to.join(number.to_string()), read(file)?)?;
    }
    Ok(())
}

/// Bytes of the body segments that are not zero.
pub(crate) fn body_bytes(folder: &Path) -> io::Result<u64> {
    let mut bytes = 0;
    for file in list(&folder.join("bodies"))? {
        bytes += read(&file)?.iter().filter(|&&byte| byte != 0).count() as u64;
    }
    Ok(bytes)
}

/// The bodies that wait, as they lie there.
pub(crate) fn bodies(folder: &Path) -> Result<Vec<Vec<u8>>, Box<dyn std::error::Error>> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let database = Connection::open_with_flags(folder.join("relay.db"), flags)?;
    let mut query = database.prepare("SELECT segment, start, length FROM envelope WHERE change IS NULL")?;
    let found = query.query_map([], |row| Ok((row.get::<_, u32>(0)?, row.get::<_, u32>(1)?, row.get::<_, u32>(2)?)))?;
    let mut bodies = Vec::new();
    for body in found {
        let (segment, start, length) = body?;
        let file = read(&folder.join("bodies").join(format!("{segment:08}.seg")))?;
        bodies.extend(file.get(start as usize..(start + length) as usize).map(<[u8]>::to_vec));
    }
    Ok(bodies)
}

/// Counts rows, beside a running relay or after it.
pub(crate) fn waiting(folder: &Path) -> rusqlite::Result<Waiting> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let database = Connection::open_with_flags(folder.join("relay.db"), flags)?;
    let sql = "SELECT (SELECT count(*) FROM mailbox), (SELECT count(*) FROM envelope)";
    database.query_row(sql, [], |row| {
        let count = |column| row.get::<_, i64>(column).map(i64::unsigned_abs);
        Ok(Waiting { mailbox_entries: count(0)?, envelopes: count(1)? })
    })
}
