//! The one way to a database file.

use std::path::Path;

use rusqlite::{Connection, OpenFlags};

/// Opens a file with what every platform needs before anything else is said to it.
pub(super) fn open(file: &Path, flags: OpenFlags) -> rusqlite::Result<Connection> {
    let connection = Connection::open_with_flags(file, flags)?;
    // Browsers have no memory that connections share, which the index of a log lies in. One that is alone keeps it on its heap.
    #[cfg(target_arch = "wasm32")]
    connection.pragma_update(None, "locking_mode", "EXCLUSIVE")?;
    Ok(connection)
}
