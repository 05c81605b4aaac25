//! Saving what can be read of damaged files into a new history.
//!
//! Guarantees: the damaged files are only read; what is written is a history like any other, in which every row says what
//! some version could have said; and the report names every table that may lack something. Never panics over what it
//! reads. Tables are found in the schema, so that a new one needs nothing here unless its rows have rules.

use std::path::Path;

use rusqlite::types::Value;
use rusqlite::{Connection, OpenFlags, OptionalExtension as _};

use super::mend::mend;
use super::open::open;
use super::{SCHEMA_VERSION, StoreError, migrate};
use crate::domain::{Salvage, SavedTable};

/// Keys first, then what was not sent yet, then the rest.
const FIRST: [&str; 6] = ["account", "owner", "binding", "outbox", "conversation", "message"];
/// Nothing to save: `room` is empty, and tables keep their numbers in `sqlite_sequence` themselves. The keys of groups may be older than
/// what was said with them, and none is used twice: groups are begun anew.
const SKIPPED: [&str; 7] = ["room", "sqlite_sequence", "mls", "secured", "flight", "last_said", "member_since"];
/// How far behind damage it is looked for more, when doubling steps found nothing: rows, and rows a step.
const FAR: i64 = 1 << 20;
const STRIDE: i64 = 16;

/// What is known of the damage before anything is read.
#[derive(Clone, Debug)]
pub(crate) struct Damage {
    /// English, for developers.
    pub(crate) cause: String,
    /// What was committed last lay in a log that is gone.
    pub(crate) is_log_missing: bool,
}

/// Saves what can be read of `damaged` into `fresh`, a new file. `kept_as` is for the report.
///
/// # Errors
/// [`StoreError`] when the new history cannot be written. The damaged one never is a reason to fail.
pub(crate) fn salvage(
    damaged: Option<&Path>,
    fresh: &Path,
    damage: &Damage,
    kept_as: String,
) -> Result<Salvage, StoreError> {
    let into = open(fresh, OpenFlags::default())?;
    migrate(&into)?;
    // Rows come in any order; in the end every reference is checked.
    into.pragma_update(None, "foreign_keys", false)?;
    let transaction = into.unchecked_transaction()?;
    let source = damaged.and_then(|file| open_damaged(file).ok());
    let mut tables = Vec::new();
    for table in tables_of(&into)? {
        let saved = match &source {
            Some(source) => table.save(source, &into)?,
            None => Saved { rows: 0, is_whole: false },
        };
        tables.push(SavedTable { name: table.name, rows: saved.rows, is_whole: saved.is_whole });
    }
    let mut report = Salvage {
        number: 0,
        cause: damage.cause.clone(),
        kept_as,
        is_log_missing: damage.is_log_missing,
        tables,
        unsent: 0,
        gaps: 0,
        keys_lost: false,
    };
    mend(&into, &mut report)?;
    transaction.commit()?;
    into.close().map_err(|(_, error)| error)?;
    Ok(report)
}

fn open_damaged(file: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let source = open(file, flags)?;
    // A schema with one unreadable line still serves for the others.
    source.pragma_update(None, "writable_schema", true)?;
    source.pragma_update(None, "cell_size_check", true)?;
    source.query_row("SELECT count(*) FROM sqlite_schema", [], |_| Ok(()))?;
    Ok(source)
}

/// A table of the new schema.
struct Table {
    name: String,
    columns: Vec<String>,
    /// The primary key, of tables that have no other.
    key: Vec<String>,
    has_rowid: bool,
}

struct Saved {
    rows: u64,
    is_whole: bool,
}

fn tables_of(into: &Connection) -> Result<Vec<Table>, StoreError> {
    let sql = "SELECT name, wr FROM pragma_table_list WHERE schema = 'main' AND type = 'table' ORDER BY name";
    let mut statement = into.prepare(sql)?;
    let found = statement.query_map([], |row| Ok((row.get::<_, String>(0)?, row.get::<_, bool>(1)?)))?;
    let mut tables = Vec::new();
    for table in found {
        let (name, without_rowid) = table?;
        if SKIPPED.contains(&name.as_str()) || name.starts_with("sqlite_") {
            continue;
        }
        let columns = names(into, "SELECT name FROM pragma_table_info(?)", &name)?;
        let key = names(into, "SELECT name FROM pragma_table_info(?) WHERE pk > 0 ORDER BY pk", &name)?;
        tables.push(Table { name, columns, key, has_rowid: !without_rowid });
    }
    // The last of them before the others, and so on.
    for first in FIRST.iter().rev() {
        if let Some(at) = tables.iter().position(|table| table.name == *first) {
            tables[..=at].rotate_right(1);
        }
    }
    Ok(tables)
}

fn names(connection: &Connection, sql: &str, table: &str) -> Result<Vec<String>, StoreError> {
    let mut statement = connection.prepare(sql)?;
    let found = statement.query_map([table], |row| row.get(0))?.collect::<Result<_, _>>()?;
    Ok(found)
}

impl Table {
    fn save(&self, source: &Connection, into: &Connection) -> Result<Saved, StoreError> {
        let Some(columns) = self.columns_in(source) else {
            // An older schema does not have it; where the schema itself is damaged, nobody can say.
            return Ok(Saved { rows: 0, is_whole: self.is_younger_than(source) });
        };
        let mut sink = Sink::new(into, &self.name, &columns)?;
        let is_whole = if self.has_rowid {
            self.save_by_rowid(source, &columns, &mut sink)?
        } else {
            self.save_by_key(source, &columns, into, &mut sink)?
        };
        if !is_whole && self.name == "message" {
            self.save_what_waits(source, &columns, into, &mut sink)?;
        }
        Ok(Saved { rows: sink.rows, is_whole: is_whole && sink.is_whole })
    }

    /// Those that the damaged file has as well.
    fn columns_in(&self, source: &Connection) -> Option<Vec<String>> {
        let found = names(source, "SELECT name FROM pragma_table_info(?)", &self.name).ok()?;
        let columns: Vec<String> = self.columns.iter().filter(|name| found.contains(name)).cloned().collect();
        (!columns.is_empty()).then_some(columns)
    }

    fn is_younger_than(&self, source: &Connection) -> bool {
        let version: Option<u32> = source.pragma_query_value(None, "user_version", |row| row.get(0)).ok();
        version.is_some_and(|version| (1..SCHEMA_VERSION).contains(&version))
    }

    /// Reads on behind what cannot be read. Says whether everything could be.
    fn save_by_rowid(&self, source: &Connection, columns: &[String], sink: &mut Sink<'_>) -> Result<bool, StoreError> {
        let name = &self.name;
        let sql = format!(
            "SELECT rowid, {} FROM main.\"{name}\" NOT INDEXED WHERE rowid >= ? ORDER BY rowid",
            quoted(columns)
        );
        let mut next = i64::MIN;
        let mut is_whole = true;
        loop {
            let end = each_row(source, &sql, next, columns.len() + 1, |mut row| {
                if let Value::Integer(rowid) = row.remove(0) {
                    // Damage may give them in any order.
                    next = next.max(rowid.saturating_add(1));
                }
                sink.put(row)
            })?;
            if end == End::All {
                return Ok(is_whole);
            }
            is_whole = false;
            if next == i64::MAX {
                return Ok(false);
            }
            match behind(source, name, next) {
                Some(readable) if readable > next => next = readable,
                // The row is there, what it says is not.
                Some(readable) => next = readable.saturating_add(1),
                None => return Ok(false),
            }
        }
    }

    /// Where the way through a table is damaged, the way to a row may not be. The outbox, which was saved before, names those that
    /// matter most.
    fn save_what_waits(
        &self,
        source: &Connection,
        columns: &[String],
        into: &Connection,
        sink: &mut Sink<'_>,
    ) -> Result<(), StoreError> {
        let mut statement = into.prepare("SELECT message FROM outbox WHERE message NOT IN (SELECT id FROM message)")?;
        let missing = statement.query_map([], |row| row.get::<_, i64>(0))?.collect::<Result<Vec<_>, _>>()?;
        let sql = format!("SELECT {} FROM main.\"{}\" NOT INDEXED WHERE rowid = ?", quoted(columns), self.name);
        for key in missing {
            each_row(source, &sql, key, columns.len(), |row| sink.put(row))?;
        }
        Ok(())
    }

    /// From both ends, and from both ends of each conversation.
    fn save_by_key(
        &self,
        source: &Connection,
        columns: &[String],
        into: &Connection,
        sink: &mut Sink<'_>,
    ) -> Result<bool, StoreError> {
        let (name, all) = (&self.name, quoted(columns));
        let order = |way: &str| {
            let key = self.key.iter().map(|column| format!("\"{column}\" {way}"));
            key.collect::<Vec<_>>().join(", ")
        };
        let sql = |which: &str, way: &str| format!("SELECT {all} FROM main.\"{name}\" {which} ORDER BY {}", order(way));
        let from_both_ends = |sink: &mut Sink<'_>, which: &str, parameter: i64| -> Result<bool, StoreError> {
            for way in ["ASC", "DESC"] {
                if each_row(source, &sql(which, way), parameter, columns.len(), |row| sink.put(row))? == End::All {
                    return Ok(true);
                }
            }
            Ok(false)
        };
        // The parameter is there for the other question.
        if from_both_ends(sink, "WHERE ?1 IS NOT NULL", 0)? {
            return Ok(true);
        }
        if self.key.first().is_some_and(|column| column == "conversation") {
            let mut statement = into.prepare("SELECT id FROM conversation ORDER BY id")?;
            let keys = statement.query_map([], |row| row.get::<_, i64>(0))?.collect::<Result<Vec<_>, _>>()?;
            for conversation in keys {
                from_both_ends(sink, "WHERE conversation = ?1", conversation)?;
            }
        }
        Ok(false)
    }
}

fn quoted(columns: &[String]) -> String {
    columns.iter().map(|column| format!("\"{column}\"")).collect::<Vec<_>>().join(", ")
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    All,
    Damage,
}

/// Hands every row that can be read to `take`. Its failures are the new history's and end everything.
fn each_row(
    source: &Connection,
    sql: &str,
    parameter: i64,
    width: usize,
    mut take: impl FnMut(Vec<Value>) -> Result<(), StoreError>,
) -> Result<End, StoreError> {
    let Ok(mut statement) = source.prepare_cached(sql) else { return Ok(End::Damage) };
    let Ok(mut rows) = statement.query([parameter]) else { return Ok(End::Damage) };
    loop {
        let row = match rows.next() {
            Ok(Some(row)) => row,
            Ok(None) => return Ok(End::All),
            Err(_) => return Ok(End::Damage),
        };
        match (0..width).map(|column| row.get(column)).collect::<Result<Vec<Value>, _>>() {
            Ok(values) => take(values)?,
            Err(_) => return Ok(End::Damage),
        }
    }
}

/// The first row at or behind `from` that can be found again; `None` when there is none, or none is found.
fn behind(source: &Connection, table: &str, from: i64) -> Option<i64> {
    let sql = format!("SELECT rowid FROM main.\"{table}\" NOT INDEXED WHERE rowid >= ? ORDER BY rowid LIMIT 1");
    let mut statement = source.prepare_cached(&sql).ok()?;
    // The outer `None` stands for damage, the inner one for the end.
    let mut ask = |at: i64| statement.query_row([at], |row| row.get::<_, i64>(0)).optional().ok();
    let from = from.max(0);
    if let Some(found) = ask(from) {
        return found;
    }
    let doubling = (0..62).map(|power| from.saturating_add(1 << power));
    let far = (0..FAR / STRIDE).map(|step| from.saturating_add(step * STRIDE));
    let mut good = doubling.chain(far).find(|&at| ask(at).is_some())?;
    // Nearer, as far as one can still read.
    let mut bad = from;
    while good - bad > 1 {
        let middle = bad + (good - bad) / 2;
        if ask(middle).is_some() { good = middle } else { bad = middle }
    }
    ask(good).flatten()
}

/// Writes rows into one table; what the schema refuses was damaged.
struct Sink<'a> {
    insert: rusqlite::Statement<'a>,
    rows: u64,
    is_whole: bool,
}

impl<'a> Sink<'a> {
    fn new(into: &'a Connection, table: &str, columns: &[String]) -> Result<Self, StoreError> {
        let marks = vec!["?"; columns.len()].join(", ");
        let sql = format!("INSERT INTO \"{table}\" ({}) VALUES ({marks})", quoted(columns));
        Ok(Self { insert: into.prepare(&sql)?, rows: 0, is_whole: true })
    }

    fn put(&mut self, row: Vec<Value>) -> Result<(), StoreError> {
        match self.insert.execute(rusqlite::params_from_iter(row)) {
            Ok(_) => self.rows += 1,
            // Read before, from the other end.
            Err(error) if error.sqlite_extended_error_code() == Some(rusqlite::ffi::SQLITE_CONSTRAINT_PRIMARYKEY) => {}
            Err(error) if error.sqlite_error_code() == Some(rusqlite::ErrorCode::ConstraintViolation) => {
                self.is_whole = false;
            }
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }
}
