//! Vault: secrets at rest are sealed by a key that the platform's keystore holds, where the app gave one.
//!
//! SQL knows it by two functions, `sealed` and `unsealed`, on every connection that [`super::open`] opens: what is written into a
//! column for secrets goes through the one, what is read through the other. Without a key both leave everything as it is. What another
//! key has sealed is NULL.
//!
//! A sealed value is a magic number, a random nonce, and the value with its tag (ChaCha20-Poly1305, RFC 8439).

use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::hmac;
use ring::rand::{SecureRandom as _, SystemRandom};
use rusqlite::Connection;
use rusqlite::functions::{Context, FunctionFlags};

use super::StoreError;
use crate::engine::Secret;

/// No secret begins like this by chance.
const MAGIC: &[u8; 8] = b"\xc5CHSQ\x00v1";

/// Gives a connection the key that is made of the binding's secret, or none.
pub(super) fn install(connection: &Connection, secret: Option<&Secret>) -> Result<(), StoreError> {
    let flags = FunctionFlags::SQLITE_UTF8 | FunctionFlags::SQLITE_DIRECTONLY;
    let (sealing, opening) = (secret.map(key).transpose()?, secret.map(key).transpose()?);
    connection.create_scalar_function("sealed", 1, flags, move |context| {
        let Some(plain) = value(context)? else { return Ok(None) };
        match &sealing {
            Some(key) => seal(key, plain).map(Some),
            None => Ok(Some(plain)),
        }
    })?;
    connection.create_scalar_function("unsealed", 1, flags, move |context| {
        let Some(stored) = value(context)? else { return Ok(None) };
        Ok(if stored.starts_with(MAGIC) { opening.as_ref().and_then(|key| unseal(key, &stored)) } else { Some(stored) })
    })?;
    // Plans that were made with the functions before would use those.
    connection.flush_prepared_statement_cache();
    Ok(())
}

/// Seals what is there already: a transaction of the caller's. What another key has sealed is lost to this device, which has to log in
/// anew, as a copy does.
pub(super) fn seal_all(connection: &Connection) -> Result<(), StoreError> {
    connection.execute_batch(
        "UPDATE account SET copied = 1, device_seed = zeroblob(32) WHERE unsealed(device_seed) IS NULL;
         UPDATE account SET device_seed = sealed(unsealed(device_seed)), identity_seed = sealed(unsealed(identity_seed)),
             new_identity_seed = sealed(unsealed(new_identity_seed));
         UPDATE owner SET identity_seed = sealed(unsealed(identity_seed));",
    )?;
    let are_foreign = "SELECT EXISTS (SELECT 1 FROM mls WHERE unsealed(value) IS NULL)";
    if connection.query_row(are_foreign, [], |row| row.get(0))? {
        super::forget_groups(connection)?;
    }
    connection.execute("UPDATE mls SET value = sealed(unsealed(value))", [])?;
    Ok(())
}

fn value(context: &Context<'_>) -> rusqlite::Result<Option<Vec<u8>>> {
    context.get(0)
}

fn key(secret: &Secret) -> Result<LessSafeKey, StoreError> {
    let derived = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret.expose()), b"chasqui/v1/secrets-at-rest");
    let key = UnboundKey::new(&CHACHA20_POLY1305, derived.as_ref());
    key.map(LessSafeKey::new).map_err(|_| StoreError::Corrupt("a key is not 32 bytes"))
}

fn seal(key: &LessSafeKey, plain: Vec<u8>) -> rusqlite::Result<Vec<u8>> {
    let failed = |_| rusqlite::Error::UserFunctionError("a secret cannot be sealed".into());
    let mut nonce = [0; NONCE_LEN];
    SystemRandom::new().fill(&mut nonce).map_err(failed)?;
    let mut sealed = plain;
    key.seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::from(MAGIC), &mut sealed).map_err(failed)?;
    Ok([MAGIC.as_slice(), &nonce, &sealed].concat())
}

fn unseal(key: &LessSafeKey, stored: &[u8]) -> Option<Vec<u8>> {
    let (nonce, sealed) = stored.strip_prefix(MAGIC)?.split_first_chunk::<NONCE_LEN>()?;
    let mut plain = sealed.to_vec();
    let length = key.open_in_place(Nonce::assume_unique_for_key(*nonce), Aad::from(MAGIC), &mut plain).ok()?.len();
    plain.truncate(length);
    Some(plain)
}
