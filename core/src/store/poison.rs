//! Mail that failed here: counted, and after a few failures kept as it came, so that it cannot block what follows.

use rusqlite::{Connection, params};

use super::{Ask as _, StoreError};

/// How often the same entry may fail before it is given up.
pub(crate) const MAX_FAILURES: u32 = 3;

/// Counts a failure of the entry with this SHA-256; returns how many there were.
pub(crate) fn count(connection: &Connection, digest: &[u8]) -> Result<u32, StoreError> {
    let sql = "INSERT INTO poison (digest, failures) VALUES (?, 1)
               ON CONFLICT (digest) DO UPDATE SET failures = failures + 1 RETURNING failures";
    connection.one(sql, params![digest], |row| row.get(0))
}

/// Keeps an entry that is given up.
pub(crate) fn keep(connection: &Connection, digest: &[u8], entry: &[u8]) -> Result<(), StoreError> {
    connection.execute("UPDATE poison SET entry = ? WHERE digest = ?", (entry, digest))?;
    Ok(())
}
