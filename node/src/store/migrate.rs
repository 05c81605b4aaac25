//! Numbered migrations, append-only: an upgraded database equals a fresh one, and both equal `schema.sql`.

use std::fs::File;
use std::io;
use std::path::Path;
use std::time::Duration;

use rusqlite::Connection;
use rusqlite::backup::Backup;

use super::disk;
use crate::relay::RelayError;

const MIGRATIONS: &[&str] = &[
    include_str!("../../migrations/0001_relay.sql"),
    include_str!("../../migrations/0002_enrolment.sql"),
    include_str!("../../migrations/0003_missed.sql"),
    include_str!("../../migrations/0004_awaited.sql"),
    include_str!("../../migrations/0005_phone.sql"),
    include_str!("../../migrations/0006_deleted.sql"),
    include_str!("../../migrations/0007_copies.sql"),
    include_str!("../../migrations/0008_one_number.sql"),
    include_str!("../../migrations/0009_requests.sql"),
    include_str!("../../migrations/0010_encryption.sql"),
    include_str!("../../migrations/0011_one_device.sql"),
    include_str!("../../migrations/0012_identity.sql"),
];

/// The schema that this node writes.
pub(super) const NEWEST: u32 = MIGRATIONS.len() as u32;

/// Brings the database to this version, or leaves it as it is.
pub(super) fn migrate(db: &mut Connection) -> Result<(), RelayError> {
    run(db, MIGRATIONS)
}

/// All that are missing are one transaction: a disk that fills up leaves the older version's data.
fn run(db: &mut Connection, migrations: &[&str]) -> Result<(), RelayError> {
    let (found, known) = (version(db)?, migrations.len() as u32);
    if found > known {
        return Err(RelayError::NewerSchema { found, known });
    }
    if found == known {
        return Ok(());
    }
    let all = db.transaction()?;
    for migration in &migrations[found as usize..] {
        all.execute_batch(migration)?;
    }
    all.pragma_update(None, "user_version", known)?;
    all.commit()?;
    Ok(())
}

fn version(db: &Connection) -> rusqlite::Result<u32> {
    db.query_row("PRAGMA user_version", [], |row| row.get(0))
}

/// Before a migration, keeps the database as the older version wrote it, so that one can go back to that; a start that
/// migrates nothing removes it. It holds no bodies.
pub(super) fn keep_older(db: &Connection, folder: &Path) -> Result<(), RelayError> {
    let unusable = |source| RelayError::Folder { folder: folder.to_owned(), source };
    match version(db)? {
        found if (1..NEWEST).contains(&found) => copy(db, folder, found),
        NEWEST => remove_copies(folder).map_err(unusable),
        // Nobody's yet, or a newer version's.
        _ => Ok(()),
    }
}

/// Of the database that a node of schema `version` wrote.
const COPY: &str = "relay.db.v";

fn copy(db: &Connection, folder: &Path, version: u32) -> Result<(), RelayError> {
    let unusable = |source| RelayError::Folder { folder: folder.to_owned(), source };
    let (new, kept) = (folder.join(format!("{COPY}{version}.new")), folder.join(format!("{COPY}{version}")));
    disk::create_for_owner(&new).map_err(unusable)?;
    let mut copy = Connection::open(&new)?;
    Backup::new(db, &mut copy)?.run_to_completion(1_024, Duration::ZERO, None)?;
    // One file, without a log of its own.
    copy.query_row("PRAGMA journal_mode = DELETE", [], |_| Ok(()))?;
    copy.close().map_err(|(_, error)| error)?;
    File::open(&new).and_then(|file| file.sync_all()).map_err(unusable)?;
    std::fs::rename(new, kept).and_then(|()| disk::sync_folder(folder)).map_err(unusable)
}

fn remove_copies(folder: &Path) -> io::Result<()> {
    for file in std::fs::read_dir(folder)? {
        let file = file?;
        if file.file_name().to_str().is_some_and(|name| name.starts_with(COPY)) {
            std::fs::remove_file(file.path())?;
        }
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

    #[test]
    fn a_migration_that_fails_leaves_the_older_version() {
        let mut db = Connection::open_in_memory().unwrap();
        run(&mut db, &["CREATE TABLE one (x INTEGER) STRICT"]).unwrap();
        let failing = ["", "CREATE TABLE two (x INTEGER) STRICT", "INSERT INTO nowhere VALUES (1)"];
        assert!(run(&mut db, &failing).is_err());
        assert_eq!((version(&db).unwrap(), schema(&db).as_str()), (1, "CREATE TABLE one (x INTEGER) STRICT;\n"));
        run(&mut db, &failing[..2]).unwrap();
        assert_eq!(version(&db).unwrap(), 2);
    }

    #[test]
    fn the_older_database_is_kept_until_a_start_that_migrates_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let mut db = Connection::open(folder.path().join("relay.db")).unwrap();
        let kept = || folder.path().join("relay.db.v1").exists();
        keep_older(&db, folder.path()).unwrap();
        assert!(!kept(), "a new database has no past");
        run(&mut db, &MIGRATIONS[..1]).unwrap();
        copy(&db, folder.path(), 1).unwrap();
        let copied = Connection::open(folder.path().join("relay.db.v1")).unwrap();
        assert_eq!((version(&copied).unwrap(), schema(&copied)), (1, schema(&db)));
        migrate(&mut db).unwrap();
        keep_older(&db, folder.path()).unwrap();
        assert!(!kept());
        db.pragma_update(None, "user_version", 99).unwrap();
        keep_older(&db, folder.path()).unwrap();
    }

    #[test]
    fn envelopes_get_one_number_in_all_mailboxes_and_every_order_stays() {
        let mut db = Connection::open_in_memory().unwrap();
        db.pragma_update(None, "foreign_keys", false).unwrap();
        run(&mut db, &MIGRATIONS[..7]).unwrap();
        let rows =
            "INSERT INTO envelope (envelope, message, conversation, sender_user, sender_device, peer, seq, accepted_at,
                 expires_at, urgent, segment, start, length, waiting)
             SELECT column1, randomblob(16), 1, 1, 1, 2, column1, 0, 0, 0, 1, 0, 0, 2 FROM (VALUES (1), (2), (5));
             INSERT INTO mailbox (device, entry, envelope, notice) VALUES
                 (1, 2, 2, NULL), (1, 5, 1, NULL), (1, 7, NULL, x'07'), (1, 9, 5, NULL),
                 (2, 1, NULL, x'01'), (2, 3, 2, NULL), (2, 4, 1, NULL), (2, 8, 5, NULL);";
        db.execute_batch(rows).unwrap();
        migrate(&mut db).unwrap();
        let list = |sql: &str| -> Vec<String> {
            let mut query = db.prepare(sql).unwrap();
            query.query_map([], |row| row.get(0)).unwrap().collect::<Result<_, _>>().unwrap()
        };
        // By position, which says which message it is.
        assert_eq!(list("SELECT seq || ' is ' || envelope FROM envelope ORDER BY seq"), ["1 is 4", "2 is 2", "5 is 8"]);
        let mail = "SELECT device || ': ' || group_concat(entry || iif(notice IS NULL, '', ' notice'), ', ')
                    FROM (SELECT * FROM mailbox ORDER BY device, entry) GROUP BY device";
        assert_eq!(list(mail), ["1: 2, 4, 7 notice, 8", "2: 1 notice, 2, 4, 8"]);
    }
}
