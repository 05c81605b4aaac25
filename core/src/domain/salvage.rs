//! What was saved from damaged files.

use serde::{Deserialize, Serialize};

/// What was saved when the history's files were found damaged: kept in the new history until it is wiped.
///
/// The damaged files are kept beside the new ones. Mail that was not acknowledged comes again by itself; the node has
/// forgotten the rest, so what is missing here is missing, unless another device of the user has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Salvage {
    /// Counts from 1.
    pub number: u64,
    /// English, for developers.
    pub cause: String,
    /// The file name of the damaged database in the data folder. Its log, if there was one, has `-wal` behind it.
    pub kept_as: String,
    /// The log of what was committed last was gone: what it held is missing from every table.
    pub is_log_missing: bool,
    /// How many rows of each table were saved.
    pub tables: Vec<SavedTable>,
    /// Messages that were not sent yet, and still will be.
    pub unsent: u64,
    /// Positions that are known to be missing; timelines show them as gaps.
    pub gaps: u64,
    /// The device's keys could not be read: log in again, as a new device. What was not sent goes out then.
    pub keys_lost: bool,
}

/// What was saved of one table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SavedTable {
    /// As in the schema.
    pub name: String,
    /// Saved.
    pub rows: u64,
    /// Whether every row could be read; if not, some may be missing.
    pub is_whole: bool,
}

impl Salvage {
    /// Whether nothing is missing.
    pub fn is_complete(&self) -> bool {
        !self.is_log_missing && self.gaps == 0 && self.tables.iter().all(|table| table.is_whole)
    }

    /// How many rows of a table were saved.
    pub fn rows(&self, table: &str) -> u64 {
        self.tables.iter().find(|saved| saved.name == table).map_or(0, |saved| saved.rows)
    }
}
