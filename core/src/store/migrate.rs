//! Numbered migrations, append-only. The version of a file is SQLite's `user_version`.

use rusqlite::Connection;

use super::StoreError;

const MIGRATIONS: [&str; 4] = [
    include_str!("../../migrations/0001_history.sql"),
    include_str!("../../migrations/0002_durability.sql"),
    include_str!("../../migrations/0003_holes.sql"),
    include_str!("../../migrations/0004_eras.sql"),
];

/// The schema that this version writes.
pub(crate) const SCHEMA_VERSION: u32 = MIGRATIONS.len() as u32;

/// Brings the history to [`SCHEMA_VERSION`], in one transaction.
pub(crate) fn migrate(connection: &Connection) -> Result<(), StoreError> {
    let found: u32 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    if found > SCHEMA_VERSION {
        return Err(StoreError::TooNew { found, known: SCHEMA_VERSION });
    }
    if found == SCHEMA_VERSION {
        return Ok(());
    }
    let transaction = connection.unchecked_transaction()?;
    for migration in &MIGRATIONS[found as usize..] {
        transaction.execute_batch(migration)?;
    }
    transaction.pragma_update(None, "user_version", SCHEMA_VERSION)?;
    Ok(transaction.commit()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schema(connection: &Connection) -> String {
        let sql =
            "SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL AND name NOT LIKE 'message_index_%' ORDER BY rowid";
        let mut statement = connection.prepare(sql).unwrap();
        let rows = statement.query_map([], |row| row.get::<_, String>(0)).unwrap();
        rows.map(|sql| sql.unwrap() + ";\n").collect()
    }

    /// Upgraded, fresh and checked in are one schema. `CHASQUI_BLESS=1` writes the file.
    #[test]
    fn the_checked_in_schema_is_current() {
        let connection = Connection::open_in_memory().unwrap();
        migrate(&connection).unwrap();
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/schema.sql");
        if std::env::var_os("CHASQUI_BLESS").is_some() {
            std::fs::write(path, schema(&connection)).unwrap();
        }
        assert_eq!(schema(&connection), std::fs::read_to_string(path).unwrap_or_default());
    }

    #[test]
    fn a_newer_history_is_refused_untouched() {
        let connection = Connection::open_in_memory().unwrap();
        connection.pragma_update(None, "user_version", 999).unwrap();
        assert!(matches!(migrate(&connection), Err(StoreError::TooNew { found: 999, .. })));
    }
}
