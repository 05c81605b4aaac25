//! What catch-up is compared with: the same rows, written by SQLite and nothing else.
//!
//! The rows are recorded from the core itself, so they are the same by construction. Written are the rows as they end:
//! no question is asked, no counter kept, nothing updated, and all prepared statements are at hand. Nobody who stores
//! messages could do less.

use std::collections::BTreeSet;
use std::error::Error;
use std::path::Path;

use bytes::Bytes;
use chasqui::Store;
use rusqlite::Connection;
use rusqlite::types::Value;

use super::device::Device;
use super::mail::Mail;

/// A row, column by column.
type Row = Vec<Value>;

/// Everything that a backlog leaves behind.
#[derive(Debug)]
pub(super) struct Rows {
    /// In the order in which they were stored: each with its row of the full-text index.
    messages: Vec<(Row, Option<Row>)>,
    conversations: Vec<Row>,
    users: Vec<Row>,
    owner: Vec<Row>,
}

const INDEX: &str = "rowid, words, singles, pairs";

impl Rows {
    /// Records what the core writes for these frames.
    pub(super) fn record(mail: &Mail, frames: &[Bytes]) -> Result<Self, Box<dyn Error>> {
        let store = Store::with_connection(Connection::open_in_memory()?)?;
        // A full-text index without content cannot be read back; an ordinary table of that name can.
        store.connection().execute_batch(
            "DROP TABLE message_index;
             CREATE TABLE message_index (words TEXT NOT NULL, singles TEXT NOT NULL, pairs TEXT NOT NULL);",
        )?;
        let mut device = Device::connected(store, mail)?;
        for frame in frames {
            device.take(mail.now(), vec![frame.clone()])?;
        }
        let db = device.into_store().into_connection();
        let mut index = all(&db, &format!("SELECT {INDEX} FROM message_index ORDER BY rowid"))?.into_iter().peekable();
        let indexed = |row: Row| {
            let index = index.next_if(|index| index.first() == row.first());
            (row, index)
        };
        Ok(Self {
            messages: all(&db, "SELECT * FROM message ORDER BY id")?.into_iter().map(indexed).collect(),
            conversations: all(&db, "SELECT * FROM conversation ORDER BY id")?,
            users: all(&db, "SELECT * FROM user")?,
            owner: all(&db, "SELECT * FROM owner")?,
        })
    }

    pub(super) fn count(&self) -> usize {
        self.messages.len()
    }

    /// A new history in which only the messages and their conversations are missing.
    pub(super) fn prepare(&self, file: &Path) -> Result<Connection, Box<dyn Error>> {
        let db = Store::open(file)?.into_connection();
        let transaction = db.unchecked_transaction()?;
        insert_all(&db, "user", &self.users)?;
        insert_all(&db, "owner", &self.owner)?;
        transaction.commit()?;
        Ok(db)
    }

    /// Writes them, so many messages a transaction.
    pub(super) fn write(&self, db: &Connection, batch: usize) -> Result<(), Box<dyn Error>> {
        let mut known = BTreeSet::new();
        let message = insert("message", self.messages.first().map_or(0, |(row, _)| row.len()));
        let index = format!("INSERT INTO message_index ({INDEX}) VALUES (?, ?, ?, ?)");
        let conversation = insert("conversation", self.conversations.first().map_or(0, Vec::len));
        for messages in self.messages.chunks(batch) {
            let transaction = db.unchecked_transaction()?;
            let mut messages_in = db.prepare_cached(&message)?;
            let mut index_in = db.prepare_cached(&index)?;
            for (row, words) in messages {
                if let Some(Value::Integer(key)) = row.get(1)
                    && known.insert(*key)
                {
                    // The core counts its conversations from 1, in the order in which they appear.
                    let place = usize::try_from(*key - 1)?;
                    let row = self.conversations.get(place).ok_or("a message without its conversation")?;
                    db.prepare_cached(&conversation)?.execute(rusqlite::params_from_iter(row))?;
                }
                messages_in.execute(rusqlite::params_from_iter(row))?;
                if let Some(words) = words {
                    index_in.execute(rusqlite::params_from_iter(words))?;
                }
            }
            drop((messages_in, index_in));
            transaction.commit()?;
        }
        Ok(())
    }
}

fn all(db: &Connection, sql: &str) -> Result<Vec<Row>, rusqlite::Error> {
    let mut statement = db.prepare(sql)?;
    let columns = statement.column_count();
    let rows = statement.query_map([], |row| (0..columns).map(|column| row.get(column)).collect::<Result<Row, _>>())?;
    rows.collect()
}

fn insert(table: &str, columns: usize) -> String {
    format!("INSERT INTO {table} VALUES ({})", vec!["?"; columns].join(", "))
}

fn insert_all(db: &Connection, table: &str, rows: &[Row]) -> Result<(), rusqlite::Error> {
    for row in rows {
        db.prepare_cached(&insert(table, row.len()))?.execute(rusqlite::params_from_iter(row))?;
    }
    Ok(())
}

/// Fails unless both files hold the same messages and conversations, and the same words.
pub(super) fn assert_same(core: &Connection, bare: &Path) -> Result<(), Box<dyn Error>> {
    core.execute("ATTACH ? AS bare", [bare.to_str().ok_or("a folder whose name is not text")?])?;
    for table in ["message", "conversation", "user", "owner"] {
        let sql = format!(
            "SELECT (SELECT count(*) FROM (SELECT * FROM main.{table} EXCEPT SELECT * FROM bare.{table}))
                  + (SELECT count(*) FROM (SELECT * FROM bare.{table} EXCEPT SELECT * FROM main.{table}))"
        );
        let different: i64 = core.query_row(&sql, [], |row| row.get(0))?;
        if different > 0 {
            return Err(format!("{different} rows of {table} differ between core and bare SQLite").into());
        }
    }
    let terms = |schema: &str| -> Result<Vec<Row>, rusqlite::Error> {
        core.execute_batch(&format!(
            "CREATE VIRTUAL TABLE temp.words_of_{schema} USING fts5vocab({schema}, message_index, col)"
        ))?;
        all(core, &format!("SELECT * FROM temp.words_of_{schema} ORDER BY 1, 2"))
    };
    if terms("main")? != terms("bare")? {
        return Err("the full-text indexes of core and bare SQLite differ".into());
    }
    Ok(())
}
