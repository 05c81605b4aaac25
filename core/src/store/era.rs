//! The node's past as this device last heard it.

use chasqui_wire::Era;
use rusqlite::Connection;

use super::StoreError;

/// Every era but the first, oldest first.
pub(crate) fn eras(connection: &Connection) -> Result<Vec<Era>, StoreError> {
    let mut statement = connection.prepare_cached("SELECT number, began_at_revision FROM node_era ORDER BY number")?;
    let era = |row: &rusqlite::Row<'_>| {
        let began_at_revision = row.get::<_, i64>("began_at_revision")?.cast_unsigned();
        Ok(Era { number: row.get("number")?, began_at_revision })
    };
    Ok(statement.query_map([], era)?.collect::<Result<_, _>>()?)
}

/// Replaces them all.
pub(crate) fn set_eras(connection: &Connection, eras: &[Era]) -> Result<(), StoreError> {
    connection.execute("DELETE FROM node_era", [])?;
    // A node that names one twice means it once.
    let sql = "INSERT OR REPLACE INTO node_era (number, began_at_revision) VALUES (?, ?)";
    let mut statement = connection.prepare_cached(sql)?;
    for era in eras {
        statement.execute((era.number, era.began_at_revision.cast_signed()))?;
    }
    Ok(())
}
