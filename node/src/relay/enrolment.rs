//! Users who are enrolled on another authority's word: a token of the app's backend, or (in [`super::phone`]) a telephone
//! number.
//!
//! Whoever calls has already checked that word. The first time it makes a user, from then on it names that user.

use chasqui_wire::{ErrorCode, UserId};
use rusqlite::OptionalExtension as _;

use super::RelayError;
use super::accounts::{Accounts, Enrolment, KnownUser, Refusal, refuse};
use crate::store::UserRow;

/// Who asks, and who it will be if nobody is known by that word yet.
#[derive(Clone, Debug)]
pub struct Newcomer {
    /// Made by the device; for a user who is known already it means nothing.
    pub user: UserId,
    /// As the user would like to be called. Where that is missing or taken, the user's id is the name.
    pub name: Option<String>,
    /// Ed25519 public key; for a user who is known already it means nothing.
    pub identity_key: [u8; 32],
    /// The device, which holds this user's history already: anybody else is refused.
    pub only: Option<UserId>,
    /// The device.
    pub device: Enrolment,
}

impl Accounts<'_, '_> {
    /// Enrols a device of the user whom `issuer` calls `subject`; a subject that is seen for the first time becomes a new
    /// user. The very same again changes nothing and is no error.
    ///
    /// # Errors
    /// The database failed.
    pub fn enrol_subject(
        &mut self,
        issuer: &str,
        subject: &str,
        new: &Newcomer,
    ) -> Result<Result<KnownUser, Refusal>, RelayError> {
        let known = self
            .step
            .sql("SELECT user.id FROM subject JOIN user USING (user) WHERE issuer = ?1 AND subject = ?2")?
            .query_row([issuer, subject], |row| Ok(UserId::from_bytes(row.get(0)?)))
            .optional()?;
        if let Some(user) = known {
            return self.enrol_known(user, new);
        }
        let (row, user) = match self.add_newcomer(new)? {
            Ok(added) => added,
            Err(refusal) => return Ok(Err(refusal)),
        };
        self.step
            .sql("INSERT INTO subject (issuer, subject, user) VALUES (?1, ?2, ?3)")?
            .execute((issuer, subject, row))?;
        Ok(Ok(user))
    }

    /// A further device of somebody.
    pub(super) fn enrol_known(
        &mut self,
        user: UserId,
        new: &Newcomer,
    ) -> Result<Result<KnownUser, Refusal>, RelayError> {
        if new.only.is_some_and(|only| only != user) {
            return refuse(ErrorCode::Forbidden, "the device holds the history of another user");
        }
        if let Err(refusal) = self.enrol(user, &new.device)? {
            return Ok(Err(refusal));
        }
        let known = self.find_user(user)?.ok_or(RelayError::Damaged("a user vanished"))?;
        Ok(Ok(known))
    }

    /// A new user without a password.
    pub(super) fn add_newcomer(&mut self, new: &Newcomer) -> Result<Result<(UserRow, KnownUser), Refusal>, RelayError> {
        if new.only.is_some() {
            return refuse(ErrorCode::Forbidden, "the device holds the history of another user");
        }
        if self.find_user(new.user)?.is_some() {
            return refuse(ErrorCode::Invalid, "the user id is taken");
        }
        if self.step.device_row(new.device.device)?.is_some() {
            return refuse(ErrorCode::Invalid, "the device id is taken");
        }
        let id = new.user.to_string();
        let name = match &new.name {
            Some(name) if self.find_user_by_name(name)?.is_none() => name.clone(),
            _ if self.find_user_by_name(&id)?.is_none() => id,
            _ => return refuse(ErrorCode::Invalid, "the user id is taken"),
        };
        let row = self.add_user(new.user, &name, new.identity_key)?;
        self.add_device(row, &new.device)?;
        Ok(Ok((row, KnownUser { user: new.user, name, identity_key: new.identity_key, password_hash: None })))
    }
}
