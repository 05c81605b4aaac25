//! The device that the folder belongs to, by a secret that the app keeps outside of it; the same secret opens the vault.

use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, PoisonError};

use ring::rand::{SecureRandom as _, SystemRandom};
use ring::{hmac, pbkdf2};
use rusqlite::{Connection, OptionalExtension as _};

use super::{AccountRow, StoreError, vault};
use crate::engine::Secret;

/// As OWASP advises for PBKDF2 with HMAC-SHA-256 (Password Storage Cheat Sheet, 2023).
const ROUNDS: NonZeroU32 = NonZeroU32::new(600_000).expect("not zero");

/// What an app gives.
#[derive(Clone)]
pub(crate) enum Binding {
    /// 32 random bytes.
    Secret(Secret),
    /// Something that people know.
    Passphrase(Arc<Passphrase>),
}

/// A passphrase, and the secret that it was last made to: that takes half a second.
pub(crate) struct Passphrase {
    text: String,
    made: Mutex<Option<([u8; 16], Secret)>>,
}

impl std::fmt::Debug for Binding {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Binding").finish_non_exhaustive()
    }
}

impl Binding {
    pub(crate) fn passphrase(text: &str) -> Self {
        Self::Passphrase(Arc::new(Passphrase { text: text.to_owned(), made: Mutex::default() }))
    }

    /// Of a folder with this salt; one that was bound otherwise has none.
    fn secret(&self, salt: Option<[u8; 16]>) -> Option<Secret> {
        match (self, salt) {
            (Self::Secret(secret), None) => Some(secret.clone()),
            (Self::Passphrase(passphrase), Some(salt)) => Some(passphrase.secret(salt)),
            (Self::Secret(_), Some(_)) | (Self::Passphrase(_), None) => None,
        }
    }
}

impl Passphrase {
    fn secret(&self, salt: [u8; 16]) -> Secret {
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        match &*made {
            Some((of, secret)) if *of == salt => secret.clone(),
            _ => {
                let mut secret = [0; 32];
                pbkdf2::derive(pbkdf2::PBKDF2_HMAC_SHA256, ROUNDS, &salt, self.text.as_bytes(), &mut secret);
                made.insert((salt, Secret::new(secret))).1.clone()
            }
        }
    }
}

/// Whether this is the device that the history was bound to; then its vault is open. What is given first binds it.
pub(crate) fn unlock(connection: &Connection, binding: Option<&Binding>) -> Result<bool, StoreError> {
    match (bound(connection)?, binding) {
        (None, Some(_)) => {
            bind(connection, binding, |_| Ok(()))?;
            Ok(true)
        }
        (bound, binding) => open_vault(connection, bound, binding),
    }
}

/// As [`unlock`], on a connection beside the writer's. Binds nothing.
pub(crate) fn unlock_reader(connection: &Connection, binding: Option<&Binding>) -> Result<bool, StoreError> {
    open_vault(connection, bound(connection)?, binding)
}

/// The folder goes on here, as a copy: its device may go on elsewhere, so it has to log in anew.
pub(crate) fn adopt(connection: &Connection, binding: Option<&Binding>) -> Result<(), StoreError> {
    bind(connection, binding, AccountRow::set_copied)
}

/// How a history was bound.
struct Bound {
    tag: Vec<u8>,
    salt: Option<[u8; 16]>,
}

fn bound(connection: &Connection) -> Result<Option<Bound>, StoreError> {
    let read = |row: &rusqlite::Row<'_>| Ok(Bound { tag: row.get(0)?, salt: row.get(1)? });
    Ok(connection.query_row("SELECT tag, salt FROM binding", [], read).optional()?)
}

/// What is not bound yet is at home wherever it is.
fn open_vault(connection: &Connection, bound: Option<Bound>, binding: Option<&Binding>) -> Result<bool, StoreError> {
    let Some(Bound { tag, salt }) = bound else { return Ok(true) };
    let secret = binding.and_then(|binding| binding.secret(salt));
    let secret = secret.filter(|secret| hmac::verify(&key(secret), PURPOSE, &tag).is_ok());
    match secret {
        Some(secret) => vault::install(connection, Some(&secret)).map(|()| true),
        None => Ok(false),
    }
}

const PURPOSE: &[u8] = b"chasqui/v1/device-binding";

fn key(secret: &Secret) -> hmac::Key {
    hmac::Key::new(hmac::HMAC_SHA256, secret.expose())
}

fn bind(
    connection: &Connection,
    binding: Option<&Binding>,
    also: impl FnOnce(&Connection) -> Result<(), StoreError>,
) -> Result<(), StoreError> {
    let salt = match binding {
        Some(Binding::Passphrase(_)) => {
            let mut salt = [0; 16];
            let filled = SystemRandom::new().fill(&mut salt);
            filled.map_err(|_| StoreError::Corrupt("the system has no random numbers"))?;
            Some(salt)
        }
        Some(Binding::Secret(_)) | None => None,
    };
    let secret = binding.and_then(|binding| binding.secret(salt));
    vault::install(connection, secret.as_ref())?;
    // Nothing of what was there in clear is to be left in the file.
    connection.pragma_update(None, "secure_delete", "ON")?;
    let transaction = connection.unchecked_transaction()?;
    transaction.execute("DELETE FROM binding", [])?;
    if let Some(secret) = &secret {
        let tag = hmac::sign(&key(secret), PURPOSE);
        transaction.execute("INSERT INTO binding (id, tag, salt) VALUES (1, ?, ?)", (tag.as_ref(), salt))?;
    }
    also(&transaction)?;
    vault::seal_all(&transaction)?;
    transaction.commit()?;
    connection.pragma_update(None, "secure_delete", "FAST")?;
    // The log may hold it. Whoever reads now keeps it for a while longer.
    let _ = connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()));
    Ok(())
}
