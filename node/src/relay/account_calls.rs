//! Account operations as plain methods that commit on their own: for tests, the simulation and the operator.

use chasqui_wire::{DeviceId, Timestamp, UserId};

use super::accounts::Accounts;
use super::{Enrolment, Event, KnownUser, NewUser, Refusal, Relay, RelayError, SessionId};

impl Relay {
    /// Runs `work` on the accounts in a transaction of its own.
    ///
    /// # Errors
    /// The transaction failed; nothing was done.
    pub fn call<T>(
        &mut self,
        now: Timestamp,
        work: impl FnOnce(&mut Accounts<'_, '_>) -> Result<T, RelayError>,
    ) -> Result<(T, Vec<(SessionId, Event)>), RelayError> {
        self.transact(now, |step| work(&mut Accounts::new(step)))
    }

    /// [`Accounts::register`], committed.
    ///
    /// # Errors
    /// The transaction failed; nothing was done.
    pub fn register(&mut self, now: Timestamp, new: &NewUser) -> Result<Result<KnownUser, Refusal>, RelayError> {
        self.call(now, |accounts| accounts.register(new)).map(|(known, _)| known)
    }

    /// [`Accounts::enrol`], committed.
    ///
    /// # Errors
    /// The transaction failed; nothing was done.
    pub fn enrol(&mut self, now: Timestamp, user: UserId, new: &Enrolment) -> Result<Result<(), Refusal>, RelayError> {
        self.call(now, |accounts| accounts.enrol(user, new)).map(|(enrolled, _)| enrolled)
    }

    /// [`Accounts::revoke`], committed; with what sessions are told.
    ///
    /// # Errors
    /// The transaction failed; nothing was done.
    #[expect(clippy::type_complexity, reason = "the refusal and the events are two things")]
    pub fn revoke(
        &mut self,
        now: Timestamp,
        user: UserId,
        device: DeviceId,
    ) -> Result<(Result<(), Refusal>, Vec<(SessionId, Event)>), RelayError> {
        self.call(now, |accounts| accounts.revoke(user, device))
    }
}
