//! Statements that are asked once and done. What is around a statement is compiled here, not where each of them is: of 130 that was
//! 60 KiB.

use std::ops::ControlFlow;

use rusqlite::{Connection, Params, Row};

use super::StoreError;

/// Parameters are given by `params!` or `named_params!`, so that they are of one type.
pub(crate) trait Ask {
    /// Runs a statement that answers nothing. How many rows it changed.
    fn run(&self, sql: &str, parameters: impl Params) -> Result<usize, StoreError>;

    /// Gives every row to `look`, until that breaks off.
    fn each(
        &self,
        sql: &str,
        parameters: impl Params,
        look: &mut dyn FnMut(&Row<'_>) -> rusqlite::Result<ControlFlow<()>>,
    ) -> Result<(), StoreError>;

    /// All rows.
    fn all<T>(
        &self,
        sql: &str,
        parameters: impl Params,
        mut read: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Vec<T>, StoreError> {
        let mut found = Vec::new();
        self.each(sql, parameters, &mut |row| {
            found.push(read(row)?);
            Ok(ControlFlow::Continue(()))
        })?;
        Ok(found)
    }

    /// The first row, if there is one.
    fn first<T>(
        &self,
        sql: &str,
        parameters: impl Params,
        mut read: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Option<T>, StoreError> {
        let mut found = None;
        self.each(sql, parameters, &mut |row| {
            found = Some(read(row)?);
            Ok(ControlFlow::Break(()))
        })?;
        Ok(found)
    }

    /// The first row, where there always is one.
    fn one<T>(
        &self,
        sql: &str,
        parameters: impl Params,
        read: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<T, StoreError> {
        Ok(self.first(sql, parameters, read)?.ok_or(rusqlite::Error::QueryReturnedNoRows)?)
    }
}

impl Ask for Connection {
    fn run(&self, sql: &str, parameters: impl Params) -> Result<usize, StoreError> {
        Ok(self.prepare_cached(sql)?.execute(parameters)?)
    }

    fn each(
        &self,
        sql: &str,
        parameters: impl Params,
        look: &mut dyn FnMut(&Row<'_>) -> rusqlite::Result<ControlFlow<()>>,
    ) -> Result<(), StoreError> {
        let mut statement = self.prepare_cached(sql)?;
        let mut rows = statement.query(parameters)?;
        while let Some(row) = rows.next()? {
            if look(row)?.is_break() {
                break;
            }
        }
        Ok(())
    }
}
