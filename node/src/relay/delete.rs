//! Delete: an account ends. What it had sent is still delivered; what waited for it is dropped, and the senders are told.
//!
//! Guarantees: one transaction. What is left is a tombstone (the user's id, the ids and public keys of the devices), so
//! that nobody else gets the id, and whoever asks is told. The name, and whatever somebody could enrol by, are free.

use chasqui_wire::{ErrorCode, UserId};

use super::RelayError;
use super::accounts::{Accounts, Refusal, refuse};
use super::phone::PinToVerify;
use super::step::Step;
use crate::store::UserRow;

/// How somebody may prove to be the account's owner.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proofs {
    /// As registered.
    pub name: String,
    /// The password, as PHC text.
    pub password_hash: Option<String>,
    /// Whether there is a PIN.
    pub has_pin: bool,
    /// Whether tokens of the app's backend name the user.
    pub has_subject: bool,
}

impl Accounts<'_, '_> {
    /// What the account can be proved by.
    ///
    /// # Errors
    /// The database failed.
    pub fn proofs(&mut self, user: UserId) -> Result<Result<Proofs, Refusal>, RelayError> {
        let row = match self.living(user)? {
            Ok(row) => row,
            Err(refusal) => return Ok(Err(refusal)),
        };
        let mut query = self.step.sql(
            "SELECT name, (SELECT hash FROM password WHERE password.user = user.user),
                 EXISTS (SELECT 1 FROM pin WHERE pin.user = user.user),
                 EXISTS (SELECT 1 FROM subject WHERE subject.user = user.user)
             FROM user WHERE user = ?1",
        )?;
        let proofs = query.query_row([row], |row| {
            let (name, password_hash) = (row.get(0)?, row.get(1)?);
            Ok(Proofs { name, password_hash, has_pin: row.get(2)?, has_subject: row.get(3)? })
        })?;
        Ok(Ok(proofs))
    }

    /// Counts a guess at the user's PIN before it is verified. `None`: there is no PIN any more.
    ///
    /// # Errors
    /// The database failed.
    pub fn guess_pin(&mut self, user: UserId) -> Result<Result<Option<PinToVerify>, Refusal>, RelayError> {
        let row = match self.living(user)? {
            Ok(row) => row,
            Err(refusal) => return Ok(Err(refusal)),
        };
        match self.pin_hash(row)? {
            Some(hash) => self.try_pin(row, hash),
            None => Ok(Ok(None)),
        }
    }

    /// Whether `issuer` calls the user `subject`.
    ///
    /// # Errors
    /// The database failed.
    pub fn is_called(&mut self, user: UserId, issuer: &str, subject: &str) -> Result<bool, RelayError> {
        let mut query = self.step.sql(
            "SELECT EXISTS (SELECT 1 FROM subject JOIN user USING (user)
             WHERE issuer = ?1 AND subject = ?2 AND user.id = ?3)",
        )?;
        Ok(query.query_row((issuer, subject, user.as_bytes()), |row| row.get(0))?)
    }

    /// Deletes the account. Whoever calls has checked that its owner, or the operator, wants it.
    ///
    /// # Errors
    /// The database failed.
    pub fn delete(&mut self, user: UserId) -> Result<Result<(), Refusal>, RelayError> {
        let row = match self.living(user)? {
            Ok(row) => row,
            Err(refusal) => return Ok(Err(refusal)),
        };
        for device in self.step.active_devices(row)?.iter() {
            self.step.revoke(row, device.row)?;
        }
        let step = &self.step;
        step.sql("DELETE FROM withheld WHERE user = ?1")?.execute([row])?;
        step.sql("DELETE FROM password WHERE user = ?1")?.execute([row])?;
        step.sql("DELETE FROM subject WHERE user = ?1")?.execute([row])?;
        // Not the row itself: it counts the codes that were sent to the number today.
        step.sql(
            "UPDATE phone_code SET guesses_left = 0, device = NULL
             WHERE number = (SELECT number FROM phone WHERE user = ?1)",
        )?
        .execute([row])?;
        step.sql("DELETE FROM phone WHERE user = ?1")?.execute([row])?;
        step.sql("DELETE FROM pin WHERE user = ?1")?.execute([row])?;
        step.sql("UPDATE device SET name = '', created_at = 0, last_seen_at = NULL WHERE user = ?1")?.execute([row])?;
        // No name has a colon.
        step.sql(
            "UPDATE user SET name = '', folded_name = ':' || hex(id), identity_key = zeroblob(32), created_at = 0,
                 deleted_at = ?2 WHERE user = ?1",
        )?
        .execute((row, step.now.0))?;
        self.step.pending.changed = true;
        Ok(Ok(()))
    }

    /// The row of a user who is known and was not deleted.
    pub(crate) fn living(&mut self, user: UserId) -> Result<Result<UserRow, Refusal>, RelayError> {
        match self.step.user_by_id(user)? {
            None => refuse(ErrorCode::UnknownUser, "no such user"),
            Some(row) if self.step.is_deleted(row)? => refuse(ErrorCode::AccountDeleted, "the account was deleted"),
            Some(row) => Ok(Ok(row)),
        }
    }
}

impl Step<'_> {
    pub(super) fn is_deleted(&self, user: UserRow) -> Result<bool, RelayError> {
        let mut query = self.sql("SELECT deleted_at IS NOT NULL FROM user WHERE user = ?1")?;
        Ok(query.query_row([user], |row| row.get(0))?)
    }
}
