//! Users and their devices: what the HTTP API does through [`super::Call`].
//!
//! Whoever calls has already checked proofs and passwords; here it is decided what may stand beside what.

use chasqui_wire::{DeviceId, ErrorCode, Timestamp, UserId};
use rusqlite::OptionalExtension as _;

use super::RelayError;
use super::step::Step;
use crate::store::UserRow;

/// The accounts within one transaction.
pub struct Accounts<'a, 'b> {
    pub(super) step: &'a mut Step<'b>,
    changes_before: u64,
}

impl Drop for Accounts<'_, '_> {
    /// Whatever was done to accounts, what is remembered of them may no longer be so.
    fn drop(&mut self) {
        if self.step.db.total_changes() != self.changes_before {
            self.step.state.directory.forget_devices();
        }
    }
}

/// A user to be registered.
#[derive(Clone, Debug)]
pub struct NewUser {
    /// Made by the device.
    pub user: UserId,
    /// As the user writes it; compared without case.
    pub name: String,
    /// PHC text.
    pub password_hash: String,
    /// Ed25519 public key.
    pub identity_key: [u8; 32],
    /// The first device.
    pub device: Enrolment,
}

/// A device to be enrolled.
#[derive(Clone, Debug)]
pub struct Enrolment {
    /// Made by the device.
    pub device: DeviceId,
    /// Ed25519 public key.
    pub key: [u8; 32],
    /// For people.
    pub name: String,
}

/// A user in the directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownUser {
    /// Who.
    pub user: UserId,
    /// As registered.
    pub name: String,
    /// Ed25519 public key.
    pub identity_key: [u8; 32],
    /// PHC text; `None` = this user has no password.
    pub password_hash: Option<String>,
}

/// One of a user's devices.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceEntry {
    /// Which.
    pub device: DeviceId,
    /// For people.
    pub name: String,
    /// By the node's clock.
    pub created_at: Timestamp,
    /// When it last opened or closed a socket.
    pub last_seen_at: Option<Timestamp>,
}

/// Why an account operation is refused; nothing was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{code}: {detail}")]
pub struct Refusal {
    /// Stable.
    pub code: ErrorCode,
    /// English, for developers.
    pub detail: &'static str,
    /// Milliseconds after which it may be different; 0 = the code alone says.
    pub retry_after_ms: u32,
}

pub(super) const fn refuse<T>(code: ErrorCode, detail: &'static str) -> Result<Result<T, Refusal>, RelayError> {
    Ok(Err(Refusal { code, detail, retry_after_ms: 0 }))
}

/// A refusal for so many milliseconds.
pub(super) fn refuse_until<T>(
    code: ErrorCode,
    detail: &'static str,
    wait_ms: u64,
) -> Result<Result<T, Refusal>, RelayError> {
    Ok(Err(Refusal { code, detail, retry_after_ms: u32::try_from(wait_ms).unwrap_or(u32::MAX) }))
}

impl<'a, 'b> Accounts<'a, 'b> {
    pub(super) fn new(step: &'a mut Step<'b>) -> Self {
        let changes_before = step.db.total_changes();
        Self { step, changes_before }
    }

    /// A new user with a first device. The very same again changes nothing and is no error; whether the password is the
    /// same too is the caller's to verify, against the hash that this returns.
    ///
    /// # Errors
    /// The database failed.
    pub fn register(&mut self, new: &NewUser) -> Result<Result<KnownUser, Refusal>, RelayError> {
        match self.registered(new)? {
            Ok(None) => {}
            Ok(Some(known)) => return Ok(Ok(known)),
            Err(refusal) => return Ok(Err(refusal)),
        }
        let user = self.add_user(new.user, &new.name, new.identity_key)?;
        self.step.sql("INSERT INTO password (user, hash) VALUES (?1, ?2)")?.execute((user, &new.password_hash))?;
        self.add_device(user, &new.device)?;
        let NewUser { user, name, password_hash, identity_key, device: _ } = new.clone();
        Ok(Ok(KnownUser { user, name, identity_key, password_hash: Some(password_hash) }))
    }

    /// Whether [`Self::register`] would find the very same user and device registered already, be refused, or (`None`)
    /// make them. Says nothing about the password.
    ///
    /// # Errors
    /// The database failed.
    pub fn registered(&mut self, new: &NewUser) -> Result<Result<Option<KnownUser>, Refusal>, RelayError> {
        if let Some(known) = self.find_user(new.user)? {
            let is_repeat = fold(&known.name) == fold(&new.name)
                && known.identity_key == new.identity_key
                && self.is_enrolled(new.user, &new.device)?;
            return match self.device_owner(new.device.device)? {
                _ if !is_repeat => refuse(ErrorCode::Invalid, "the user id is taken"),
                Some((_, true)) => refuse(ErrorCode::DeviceRevoked, "the device was revoked"),
                Some((_, false)) | None => Ok(Ok(Some(known))),
            };
        }
        if self.find_user_by_name(&new.name)?.is_some() {
            return refuse(ErrorCode::NameTaken, "the name is taken");
        }
        if self.step.device_row(new.device.device)?.is_some() {
            return refuse(ErrorCode::Invalid, "the device id is taken");
        }
        Ok(Ok(None))
    }

    /// A further device of a user. The very same again changes nothing and is no error.
    ///
    /// # Errors
    /// The database failed.
    pub fn enrol(&mut self, user: UserId, new: &Enrolment) -> Result<Result<(), Refusal>, RelayError> {
        let row = match self.living(user)? {
            Ok(row) => row,
            Err(refusal) => return Ok(Err(refusal)),
        };
        if self.is_enrolled(user, new)? {
            return match self.device_owner(new.device)? {
                Some((_, true)) => refuse(ErrorCode::DeviceRevoked, "the device was revoked"),
                Some((_, false)) | None => Ok(Ok(())),
            };
        }
        if self.step.device_row(new.device)?.is_some() {
            return refuse(ErrorCode::Invalid, "the device id is taken");
        }
        if self.step.active_devices(row)?.len() >= self.step.state.options.devices_per_user as usize {
            return refuse(ErrorCode::TooManyDevices, "revoke a device first");
        }
        self.add_device(row, new)?;
        Ok(Ok(()))
    }

    /// Whose device it is, and whether it was revoked.
    ///
    /// # Errors
    /// The database failed.
    pub fn device_owner(&mut self, device: DeviceId) -> Result<Option<(UserId, bool)>, RelayError> {
        let mut query = self.step.sql(
            "SELECT user.id, device.revoked_at IS NOT NULL FROM device JOIN user USING (user) WHERE device.id = ?1",
        )?;
        let owner = query.query_row([device.as_bytes()], |row| Ok((UserId::from_bytes(row.get(0)?), row.get(1)?)));
        Ok(owner.optional()?)
    }

    /// Whose device it is, if it may still speak for its user.
    ///
    /// # Errors
    /// The database failed.
    pub fn caller(&mut self, device: DeviceId) -> Result<Result<UserId, Refusal>, RelayError> {
        let Some((user, is_revoked)) = self.device_owner(device)? else {
            return refuse(ErrorCode::Unauthorised, "no such device");
        };
        match self.living(user)? {
            Ok(_) if is_revoked => refuse(ErrorCode::DeviceRevoked, "the device was revoked"),
            living => Ok(living.map(|_| user)),
        }
    }

    /// A device's public key, whether it was revoked or not.
    ///
    /// # Errors
    /// The database failed.
    pub fn device_key(&mut self, device: DeviceId) -> Result<Option<[u8; 32]>, RelayError> {
        let mut query = self.step.sql("SELECT key FROM device WHERE id = ?1")?;
        Ok(query.query_row([device.as_bytes()], |row| row.get(0)).optional()?)
    }

    /// Who that is.
    ///
    /// # Errors
    /// The database failed.
    pub fn find_user(&mut self, user: UserId) -> Result<Option<KnownUser>, RelayError> {
        let mut query = self
            .step
            .sql("SELECT id, name, identity_key, hash FROM user LEFT JOIN password USING (user) WHERE id = ?1")?;
        Ok(query.query_row([user.as_bytes()], known_user).optional()?)
    }

    /// Who has that name.
    ///
    /// # Errors
    /// The database failed.
    pub fn find_user_by_name(&mut self, name: &str) -> Result<Option<KnownUser>, RelayError> {
        let mut query = self.step.sql(
            "SELECT id, name, identity_key, hash FROM user LEFT JOIN password USING (user)
             WHERE folded_name = ?1 AND deleted_at IS NULL",
        )?;
        Ok(query.query_row([fold(name)], known_user).optional()?)
    }

    /// The user's devices that were not revoked, oldest first.
    ///
    /// # Errors
    /// The database failed.
    pub fn devices(&mut self, user: UserId) -> Result<Vec<DeviceEntry>, RelayError> {
        let mut query = self.step.sql(
            "SELECT device.id, device.name, device.created_at, device.last_seen_at
             FROM device JOIN user USING (user)
             WHERE user.id = ?1 AND device.revoked_at IS NULL ORDER BY device.created_at, device.device",
        )?;
        let entry = |row: &rusqlite::Row<'_>| {
            Ok(DeviceEntry {
                device: DeviceId::from_bytes(row.get(0)?),
                name: row.get(1)?,
                created_at: Timestamp(row.get(2)?),
                last_seen_at: row.get::<_, Option<i64>>(3)?.map(Timestamp),
            })
        };
        let devices = query.query_map([user.as_bytes()], entry)?.collect::<Result<_, _>>()?;
        Ok(devices)
    }

    /// Revokes one of the user's devices; again is no error.
    ///
    /// # Errors
    /// The database failed.
    pub fn revoke(&mut self, user: UserId, device: DeviceId) -> Result<Result<(), Refusal>, RelayError> {
        match self.device_owner(device)? {
            Some((owner, false)) if owner == user => {}
            Some((owner, true)) if owner == user => return Ok(Ok(())),
            Some(_) | None => return refuse(ErrorCode::NotFound, "no such device of this user"),
        }
        if let (Some(user), Some(device)) = (self.step.user_by_id(user)?, self.step.device_row(device)?) {
            self.step.revoke(user, device)?;
        }
        Ok(Ok(()))
    }

    pub(super) fn is_enrolled(&self, user: UserId, device: &Enrolment) -> Result<bool, RelayError> {
        let mut query = self.step.sql(
            "SELECT EXISTS (SELECT 1 FROM device JOIN user USING (user)
             WHERE device.id = ?1 AND device.key = ?2 AND user.id = ?3)",
        )?;
        Ok(query.query_row((device.device.as_bytes(), device.key, user.as_bytes()), |row| row.get(0))?)
    }

    /// A user without anything else. What may stand beside what is the caller's to check.
    pub(super) fn add_user(&mut self, user: UserId, name: &str, identity_key: [u8; 32]) -> Result<UserRow, RelayError> {
        self.step
            .sql("INSERT INTO user (id, name, folded_name, identity_key, created_at) VALUES (?1, ?2, ?3, ?4, ?5)")?
            .execute((user.as_bytes(), name, fold(name), identity_key, self.step.now.0))?;
        Ok(UserRow(self.step.db.last_insert_rowid()))
    }

    pub(super) fn add_device(&mut self, user: UserRow, new: &Enrolment) -> Result<(), RelayError> {
        self.step
            .sql("INSERT INTO device (id, user, key, name, created_at) VALUES (?1, ?2, ?3, ?4, ?5)")?
            .execute((new.device.as_bytes(), user, new.key, &new.name, self.step.now.0))?;
        self.step.pending.changed = true;
        Ok(())
    }
}

fn known_user(row: &rusqlite::Row<'_>) -> rusqlite::Result<KnownUser> {
    let user = UserId::from_bytes(row.get(0)?);
    Ok(KnownUser { user, name: row.get(1)?, identity_key: row.get(2)?, password_hash: row.get(3)? })
}

/// Names are ASCII (see `http::Register::name`), so this is all that "without case" needs.
fn fold(name: &str) -> String {
    name.to_ascii_lowercase()
}
