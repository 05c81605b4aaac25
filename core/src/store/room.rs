//! Is there room on the disk again? Asked with a real commit, because nothing else knows.

use rusqlite::Connection;

use super::StoreError;

/// More than a step usually needs. What the question took stays in the file as free pages, for the step that follows.
const BYTES: u32 = 256 * 1024;

/// Succeeds when so much could be written and given back.
pub(crate) fn probe(connection: &Connection) -> Result<(), StoreError> {
    let sql = "INSERT OR REPLACE INTO room (id, filler) VALUES (1, zeroblob(?))";
    connection.execute(sql, [BYTES])?;
    connection.execute("DELETE FROM room", [])?;
    Ok(())
}
