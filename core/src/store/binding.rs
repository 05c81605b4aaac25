//! The device that the folder belongs to, by a secret that the app keeps outside of it.

use ring::hmac;
use rusqlite::{Connection, OptionalExtension as _};

use super::{AccountRow, StoreError};
use crate::engine::Secret;

/// Whether this is the device that the history was bound to. The first secret given binds it.
pub(crate) fn is_at_home(connection: &Connection, secret: Option<&Secret>) -> Result<bool, StoreError> {
    match (bound(connection)?, secret) {
        (None, Some(secret)) => bind(connection, Some(secret)).map(|()| true),
        (bound, secret) => Ok(matches(bound.as_deref(), secret)),
    }
}

/// Whether the history is bound to another device than the one with this secret. Binds nothing.
pub(crate) fn is_bound_elsewhere(connection: &Connection, secret: Option<&Secret>) -> Result<bool, StoreError> {
    Ok(!matches(bound(connection)?.as_deref(), secret))
}

fn bound(connection: &Connection) -> Result<Option<Vec<u8>>, StoreError> {
    Ok(connection.query_row("SELECT tag FROM binding", [], |row| row.get(0)).optional()?)
}

/// What is not bound yet is at home wherever it is.
fn matches(bound: Option<&[u8]>, secret: Option<&Secret>) -> bool {
    match (bound, secret) {
        (None, _) => true,
        (Some(_), None) => false,
        (Some(bound), Some(secret)) => hmac::verify(&key(secret), PURPOSE, bound).is_ok(),
    }
}

/// The folder goes on here, as a copy: its device may go on elsewhere, so it has to log in anew.
pub(crate) fn adopt(connection: &Connection, secret: Option<&Secret>) -> Result<(), StoreError> {
    let transaction = connection.unchecked_transaction()?;
    bind(&transaction, secret)?;
    AccountRow::set_copied(&transaction)?;
    Ok(transaction.commit()?)
}

const PURPOSE: &[u8] = b"chasqui/v1/device-binding";

fn key(secret: &Secret) -> hmac::Key {
    hmac::Key::new(hmac::HMAC_SHA256, secret.expose())
}

fn bind(connection: &Connection, secret: Option<&Secret>) -> Result<(), StoreError> {
    connection.execute("DELETE FROM binding", [])?;
    if let Some(secret) = secret {
        let tag = hmac::sign(&key(secret), PURPOSE);
        connection.execute("INSERT INTO binding (id, tag) VALUES (1, ?)", [tag.as_ref()])?;
    }
    Ok(())
}
