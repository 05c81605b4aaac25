//! Numbered migrations, append-only: an upgraded database equals a fresh one, and both equal `schema.sql`.

use rusqlite::Connection;

use crate::relay::RelayError;

const MIGRATIONS: &[&str] = &[
    include_str!("../../migrations/0001_relay.sql"),
    include_str!("../../migrations/0002_enrolment.sql"),
    include_str!("../../migrations/0003_missed.sql"),
];

/// The schema that this node writes.
pub(super) const NEWEST: u32 = MIGRATIONS.len() as u32;

/// Brings the database to this version.
pub(super) fn migrate(db: &mut Connection) -> Result<(), RelayError> {
    let found: u32 = db.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    if found > NEWEST {
        return Err(RelayError::NewerSchema { found, known: NEWEST });
    }
    for (version, migration) in (1..).zip(MIGRATIONS).skip(found as usize) {
        let step = db.transaction()?;
        step.execute_batch(migration)?;
        step.pragma_update(None, "user_version", version)?;
        step.commit()?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schema(db: &Connection) -> String {
        let mut rows = db.prepare("SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL ORDER BY type, name").unwrap();
        let sql = rows.query_map([], |row| row.get::<_, String>(0)).unwrap();
        sql.map(|sql| sql.unwrap() + ";\n").collect()
    }

    #[test]
    fn a_migrated_database_equals_the_checked_in_schema() {
        let mut migrated = Connection::open_in_memory().unwrap();
        migrate(&mut migrated).unwrap();
        let written = Connection::open_in_memory().unwrap();
        written.execute_batch(include_str!("../../schema.sql")).unwrap();
        assert_eq!(schema(&migrated), schema(&written), "update node/schema.sql");
    }

    #[test]
    fn a_newer_database_is_left_alone() {
        let mut db = Connection::open_in_memory().unwrap();
        db.pragma_update(None, "user_version", 99).unwrap();
        assert!(matches!(migrate(&mut db), Err(RelayError::NewerSchema { found: 99, .. })));
    }
}
