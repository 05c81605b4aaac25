//! Report: what the node holds about a user, for that user. Never what people wrote, and nothing that proves anything.

use chasqui_wire::{DeviceId, Timestamp, UserId};
use rusqlite::{Connection, OptionalExtension as _};
use serde::Serialize;

use super::RelayError;
use super::accounts::{Accounts, Refusal};

/// An account, as its owner may see it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct AccountReport {
    /// Who.
    pub user: UserId,
    /// As registered.
    pub name: String,
    /// When, by the node's clock, like all times here.
    pub created_at: Timestamp,
    /// Whether there is a password, as a hash.
    pub has_password: bool,
    /// Whether there is a PIN, as a hash.
    pub has_pin: bool,
    /// Whether there is a telephone number, as a keyed hash.
    pub has_phone: bool,
    /// What the app's tokens call the user.
    pub subjects: Vec<Subject>,
    /// Revoked ones too.
    pub devices: Vec<DeviceHeld>,
}

/// What a token calls somebody.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Subject {
    /// Whose tokens.
    pub issuer: String,
    /// What they say.
    pub subject: String,
}

/// One device.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DeviceHeld {
    /// Which.
    pub device: DeviceId,
    /// For people.
    pub name: String,
    /// When it was enrolled.
    pub created_at: Timestamp,
    /// When it last opened or closed a socket.
    pub last_seen_at: Option<Timestamp>,
    /// When it was shut out.
    pub revoked_at: Option<Timestamp>,
    /// When it was linked, for encrypted conversations.
    pub linked_at: Option<Timestamp>,
    /// Key packages of it that others can claim.
    pub key_packages: u64,
    /// Messages and notices that wait for it.
    pub waiting: u64,
}

impl Accounts<'_, '_> {
    /// What is held about the user.
    ///
    /// # Errors
    /// The database failed.
    pub fn report(&mut self, user: UserId) -> Result<Result<AccountReport, Refusal>, RelayError> {
        match self.living(user)? {
            Ok(_) => report(self.step.db, user)?.map(Ok).ok_or(RelayError::Damaged("a user vanished")),
            Err(refusal) => Ok(Err(refusal)),
        }
    }
}

/// What is held about a user who was not deleted.
pub(crate) fn report(db: &Connection, user: UserId) -> rusqlite::Result<Option<AccountReport>> {
    let mut query = db.prepare_cached(
        "SELECT name, created_at,
             EXISTS (SELECT 1 FROM password WHERE password.user = user.user),
             EXISTS (SELECT 1 FROM pin WHERE pin.user = user.user),
             EXISTS (SELECT 1 FROM phone WHERE phone.user = user.user)
         FROM user WHERE id = ?1 AND deleted_at IS NULL",
    )?;
    let account = query.query_row([user.as_bytes()], |row| {
        Ok(AccountReport {
            user,
            name: row.get(0)?,
            created_at: Timestamp(row.get(1)?),
            has_password: row.get(2)?,
            has_pin: row.get(3)?,
            has_phone: row.get(4)?,
            subjects: Vec::new(),
            devices: Vec::new(),
        })
    });
    let Some(account) = account.optional()? else { return Ok(None) };
    let mut query = db.prepare_cached(
        "SELECT issuer, subject FROM subject JOIN user USING (user) WHERE user.id = ?1 ORDER BY issuer, subject",
    )?;
    let subject = |row: &rusqlite::Row<'_>| Ok(Subject { issuer: row.get(0)?, subject: row.get(1)? });
    let subjects = query.query_map([user.as_bytes()], subject)?.collect::<Result<_, _>>()?;
    let mut query = db.prepare_cached(
        "SELECT device.id, device.name, device.created_at, device.last_seen_at, device.revoked_at,
             device.linked_at,
             (SELECT count(*) FROM key_package WHERE key_package.device = device.device AND given_at IS NULL),
             (SELECT count(*) FROM mailbox WHERE mailbox.device = device.device)
         FROM device JOIN user USING (user) WHERE user.id = ?1 ORDER BY device.created_at, device.device",
    )?;
    let device = |row: &rusqlite::Row<'_>| {
        Ok(DeviceHeld {
            device: DeviceId::from_bytes(row.get(0)?),
            name: row.get(1)?,
            created_at: Timestamp(row.get(2)?),
            last_seen_at: row.get::<_, Option<i64>>(3)?.map(Timestamp),
            revoked_at: row.get::<_, Option<i64>>(4)?.map(Timestamp),
            linked_at: row.get::<_, Option<i64>>(5)?.map(Timestamp),
            key_packages: row.get(6)?,
            waiting: row.get(7)?,
        })
    };
    let devices = query.query_map([user.as_bytes()], device)?.collect::<Result<_, _>>()?;
    Ok(Some(AccountReport { subjects, devices, ..account }))
}
