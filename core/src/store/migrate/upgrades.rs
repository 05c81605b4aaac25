//! People come back after years: every older history is upgraded with all its rows, or left as it was.

use chasqui_wire::MessageId;

use super::*;
use crate::store::{Damage, salvage};

/// Rows in every table that a schema added, as that version wrote them.
const FIXTURES: [&str; MIGRATIONS.len()] = [
    include_str!("../../../migrations/fixtures/0001.sql"),
    include_str!("../../../migrations/fixtures/0002.sql"),
    include_str!("../../../migrations/fixtures/0003.sql"),
    include_str!("../../../migrations/fixtures/0004.sql"),
    include_str!("../../../migrations/fixtures/0005.sql"),
    include_str!("../../../migrations/fixtures/0006.sql"),
    include_str!("../../../migrations/fixtures/0007.sql"),
    include_str!("../../../migrations/fixtures/0008.sql"),
    include_str!("../../../migrations/fixtures/0009.sql"),
    include_str!("../../../migrations/fixtures/0010.sql"),
    include_str!("../../../migrations/fixtures/0011.sql"),
    include_str!("../../../migrations/fixtures/0012.sql"),
    include_str!("../../../migrations/fixtures/0013.sql"),
    include_str!("../../../migrations/fixtures/0014.sql"),
];

/// A history that the version of this schema left behind.
fn of_version(version: usize) -> Connection {
    let connection = Connection::open_in_memory().unwrap();
    for (migration, rows) in MIGRATIONS.iter().zip(FIXTURES).take(version) {
        connection.execute_batch(migration).unwrap();
        connection.execute_batch(rows).unwrap();
    }
    connection.pragma_update(None, "user_version", version as u32).unwrap();
    connection
}

fn version_of(connection: &Connection) -> u32 {
    connection.pragma_query_value(None, "user_version", |row| row.get(0)).unwrap()
}

/// Names and definitions, in no particular order: an index that was made anew stands elsewhere.
fn schema(connection: &Connection) -> Vec<String> {
    strings(connection, "SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL ORDER BY name")
}

fn tables(connection: &Connection) -> Vec<String> {
    let sql = "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'message_index%'
               AND name NOT LIKE 'sqlite_%' ORDER BY name";
    strings(connection, sql)
}

fn strings(connection: &Connection, sql: &str) -> Vec<String> {
    let mut statement = connection.prepare(sql).unwrap();
    statement.query_map([], |row| row.get(0)).unwrap().collect::<Result<_, _>>().unwrap()
}

/// Every row of every table of `like`, in the columns that it has there.
fn rows(connection: &Connection, like: &Connection) -> Vec<String> {
    let mut all = Vec::new();
    for table in tables(like) {
        let columns = strings(like, &format!("SELECT name FROM pragma_table_info('{table}')"));
        let sql = format!("SELECT {} FROM {table} ORDER BY 1", columns.join(", "));
        let mut statement = connection.prepare(&sql).unwrap();
        let mut rows = statement.query([]).unwrap();
        while let Some(row) = rows.next().unwrap() {
            let values = (0..columns.len()).map(|column| format!("{:?}", row.get_ref_unwrap(column)));
            all.push(format!("{table}: {}", values.collect::<Vec<_>>().join(", ")));
        }
    }
    all
}

fn found(connection: &Connection, query: &str) -> Vec<MessageId> {
    search::find(connection, query, 10).unwrap().into_iter().map(|hit| hit.message.id).collect()
}

#[test]
fn every_older_history_is_upgraded_with_all_its_rows() {
    let fresh = Connection::open_in_memory().unwrap();
    migrate(&fresh).unwrap();
    for version in 1..=MIGRATIONS.len() {
        let (before, upgraded) = (of_version(version), of_version(version));
        for table in tables(&before) {
            let count: u32 = before.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0)).unwrap();
            assert!(count > 0, "schema {version}: no row in {table}; give it one in migrations/fixtures");
        }
        migrate(&upgraded).unwrap();
        assert_eq!(version_of(&upgraded), SCHEMA_VERSION);
        assert_eq!(schema(&upgraded), schema(&fresh), "from schema {version}");
        assert_eq!(rows(&upgraded, &before), rows(&before, &before), "from schema {version}");
        assert_eq!(strings(&upgraded, "PRAGMA integrity_check"), ["ok"]);
        assert!(strings(&upgraded, "SELECT \"table\" FROM pragma_foreign_key_check").is_empty());
        let id = |number: u8| MessageId::from_bytes([number; 16]);
        assert_eq!(found(&upgraded, "hello"), [id(1)], "from schema {version}");
        assert_eq!(found(&upgraded, "goo"), [id(3), id(2)], "from schema {version}");
    }
}

/// A device's battery ends whenever it does: the old history, whole, or the new one. Cut off at every step of SQLite's
/// machine at first, and ever more rarely, because each try costs all the steps before.
#[test]
fn an_upgrade_that_is_cut_off_leaves_the_old_history() {
    for version in 0..MIGRATIONS.len() {
        let mut connection = of_version(version);
        let before = (schema(&connection), rows(&connection, &connection));
        let (mut steps, mut cut_off) = (1_u32, 0_u32);
        loop {
            let mut step = 0;
            // Once, or the way back would be cut off as well.
            let stop = move || {
                step += 1;
                step == steps
            };
            connection.progress_handler(1, Some(stop)).unwrap();
            let outcome = migrate(&connection);
            connection.progress_handler(0, None::<fn() -> bool>).unwrap();
            if outcome.is_ok() {
                break;
            }
            if !connection.is_autocommit() {
                // Cut off within BEGIN. A client that cannot open its history closes it.
                connection.execute_batch("ROLLBACK").unwrap();
            }
            assert_eq!(version_of(&connection) as usize, version);
            assert_eq!((schema(&connection), rows(&connection, &connection)), before, "after {steps} steps");
            cut_off += 1;
            steps += 1 + steps / 16;
        }
        assert!(cut_off > 10, "from schema {version}: {cut_off} times only");
        assert_eq!(version_of(&connection), SCHEMA_VERSION);
    }
}

#[test]
fn an_upgrade_on_a_full_disk_leaves_the_old_history_and_goes_on_when_there_is_room() {
    // From here on everything fits into pages that are there.
    const MAKES_TABLES: usize = 4;
    for version in 0..MAKES_TABLES {
        let connection = of_version(version);
        let before = (schema(&connection), rows(&connection, &connection));
        let limit =
            |pages: u32| connection.query_row(&format!("PRAGMA max_page_count = {pages}"), [], |_| Ok(())).unwrap();
        limit(connection.pragma_query_value(None, "page_count", |row| row.get(0)).unwrap());
        assert_eq!(
            crate::Error::from(&migrate(&connection).unwrap_err()),
            crate::Error::StorageFull,
            "schema {version}"
        );
        assert_eq!(version_of(&connection) as usize, version);
        assert_eq!((schema(&connection), rows(&connection, &connection)), before);
        limit(u32::MAX);
        migrate(&connection).unwrap();
        assert_eq!(version_of(&connection), SCHEMA_VERSION);
    }
}

/// Damage may be found before the upgrade: what is saved goes into the present schema straight away.
#[test]
fn every_older_history_that_is_damaged_is_saved_with_all_its_rows() {
    for version in 1..=MIGRATIONS.len() {
        let folder = tempfile::tempdir().unwrap();
        let (old, fresh) = (folder.path().join("old.db"), folder.path().join("fresh.db"));
        let before = of_version(version);
        before.execute("VACUUM INTO ?", [old.to_str().unwrap()]).unwrap();
        let damage = Damage { cause: "somebody says so".into(), is_log_missing: false };
        let report = salvage(Some(&old), &fresh, &damage, "old.db".into()).unwrap();
        assert!(!report.keys_lost && report.tables.iter().all(|table| table.is_whole), "schema {version}: {report:?}");
        assert_eq!(report.unsent, 1);
        let saved = Connection::open(&fresh).unwrap();
        assert_eq!(version_of(&saved), SCHEMA_VERSION);
        for table in ["owner", "user", "device", "message", "outbox", "receipt", "poison"] {
            let of_table = |rows: Vec<String>| -> Vec<String> {
                rows.into_iter().filter(|row| row.starts_with(&format!("{table}: "))).collect()
            };
            assert_eq!(of_table(rows(&saved, &before)), of_table(rows(&before, &before)), "from schema {version}");
        }
        assert_eq!(found(&saved, "goo").len(), 2, "from schema {version}");
    }
}
