//! What was saved from damaged files.

use crate::scalar::signed;

/// What was saved when the history's files were found damaged: kept in the new history until it is wiped.
///
/// The damaged files are kept beside the new ones. Mail that was not acknowledged comes again by itself; the node has
/// forgotten the rest, so what is missing here is missing, unless another device of the user has it.
#[derive(Clone, Debug, PartialEq, Eq, uniffi::Record)]
pub struct Salvage {
    /// Counts from 1.
    pub number: i64,
    /// English, for developers.
    pub cause: String,
    /// The file name of the damaged database in the data folder. Its log, if there was one, has `-wal` behind it.
    pub kept_as: String,
    /// The log of what was committed last was gone: what it held is missing from every table.
    pub is_log_missing: bool,
    /// How many rows of each table were saved.
    pub tables: Vec<SavedTable>,
    /// Messages that were not sent yet, and still will be.
    pub unsent: i64,
    /// Positions that are known to be missing; timelines show them as gaps.
    pub gaps: i64,
    /// The device's keys could not be read: log in again, as a new device. What was not sent goes out then.
    pub keys_lost: bool,
    /// Whether nothing is missing.
    pub is_complete: bool,
}

impl From<chasqui::Salvage> for Salvage {
    fn from(salvage: chasqui::Salvage) -> Self {
        let is_complete = salvage.is_complete();
        let chasqui::Salvage { number, cause, kept_as, is_log_missing, tables, unsent, gaps, keys_lost } = salvage;
        Self {
            number: signed(number),
            cause,
            kept_as,
            is_log_missing,
            tables: tables.into_iter().map(SavedTable::from).collect(),
            unsent: signed(unsent),
            gaps: signed(gaps),
            keys_lost,
            is_complete,
        }
    }
}

/// What was saved of one table.
#[derive(Clone, Debug, PartialEq, Eq, uniffi::Record)]
pub struct SavedTable {
    /// As in the schema.
    pub name: String,
    /// Saved.
    pub rows: i64,
    /// Whether every row could be read; if not, some may be missing.
    pub is_whole: bool,
}

impl From<chasqui::SavedTable> for SavedTable {
    fn from(table: chasqui::SavedTable) -> Self {
        let chasqui::SavedTable { name, rows, is_whole } = table;
        Self { name, rows: signed(rows), is_whole }
    }
}
