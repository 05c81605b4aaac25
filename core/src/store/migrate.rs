//! Numbered migrations, append-only. The version of a file is SQLite's `user_version`.

use rusqlite::Connection;

use super::{StoreError, search};

const MIGRATIONS: [&str; 14] = [
    include_str!("../../migrations/0001_history.sql"),
    include_str!("../../migrations/0002_durability.sql"),
    include_str!("../../migrations/0003_holes.sql"),
    include_str!("../../migrations/0004_eras.sql"),
    include_str!("../../migrations/0005_short_words.sql"),
    include_str!("../../migrations/0006_deleted_users.sql"),
    include_str!("../../migrations/0007_sent.sql"),
    include_str!("../../migrations/0008_requests.sql"),
    include_str!("../../migrations/0009_encryption.sql"),
    include_str!("../../migrations/0010_recovery.sql"),
    include_str!("../../migrations/0011_identity.sql"),
    include_str!("../../migrations/0012_renewal.sql"),
    include_str!("../../migrations/0013_key_packages.sql"),
    include_str!("../../migrations/0014_chains.sql"),
];

/// From here on the full-text index is as [`search`] writes it now.
const INDEX_SINCE: u32 = 5;

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
    if found < INDEX_SINCE {
        // What goes into it is decided in Rust.
        search::index_all(&transaction)?;
    }
    transaction.pragma_update(None, "user_version", SCHEMA_VERSION)?;
    Ok(transaction.commit()?)
}

#[cfg(test)]
mod upgrades;

#[cfg(test)]
mod tests {
    use chasqui_wire::{Content, ContentKind, Timestamp};

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
    fn an_upgraded_history_can_be_searched() {
        let connection = Connection::open_in_memory().unwrap();
        MIGRATIONS[..INDEX_SINCE as usize - 1].iter().for_each(|sql| connection.execute_batch(sql).unwrap());
        connection.pragma_update(None, "user_version", INDEX_SINCE - 1).unwrap();
        let id = |number: u8| chasqui_wire::MessageId::from_bytes([number; 16]);
        let (user, peer) = ([1_u8; 16], [2_u8; 16]);
        let sql = "INSERT INTO conversation (conversation, kind, protection, peer, activity) VALUES (?, 1, 1, ?, 0)";
        connection.execute(sql, ([3_u8; 16], peer)).unwrap();
        for (number, text, deleted) in [(1_u8, "good morning", false), (2, "good night", true), (3, "明天见", false)]
        {
            let kind = ContentKind::Text(text.to_owned());
            let body = Content { message: id(number), created_at: Timestamp(0), kind, previous: vec![] }.encode();
            let sql =
                "INSERT INTO message (conversation, message, anchor, place, seq, sender, sender_device, incoming, kind,
                                            state, created_at, body, deleted)
                       VALUES (1, ?1, ?2, 0, ?2, ?3, ?3, 1, 1, 1, 0, ?4, ?5)";
            connection.execute(sql, (id(number).as_bytes(), number, user, body.as_ref(), deleted)).unwrap();
        }
        migrate(&connection).unwrap();
        let found = |query: &str| search::find(&connection, query, 10).unwrap().into_iter().map(|hit| hit.message.id);
        assert_eq!(found("g").collect::<Vec<_>>(), [id(1)]);
        assert_eq!(found("明天").collect::<Vec<_>>(), [id(3)]);
        let known = connection.query_row("SELECT user FROM user", [], |row| row.get::<_, [u8; 16]>(0));
        assert_eq!(known, Ok(peer));
    }

    #[test]
    fn a_newer_history_is_refused_untouched() {
        let connection = Connection::open_in_memory().unwrap();
        connection.pragma_update(None, "user_version", 999).unwrap();
        assert!(matches!(migrate(&connection), Err(StoreError::TooNew { found: 999, .. })));
    }
}
