//! Who people are: safety numbers, what was verified, and a new identity for whoever lost the old one.

use std::collections::BTreeMap;
use std::sync::{Arc, MutexGuard, PoisonError};

use chasqui_wire::http::{Key, NewIdentity};
use chasqui_wire::{UserId, signing};

use crate::client::Client;
use crate::domain::{AccountProof, HistoryTransfer, SafetyNumber, SecurityEvent, Trust};
use crate::driver::fresh_seed;
use crate::e2ee::safety_number;
use crate::engine::{Command, ResolvedUser, Secret, public_key, sign_with};
use crate::error::Error;
use crate::observer::{SecurityObserver, TransferObserver};

impl Client {
    /// What this user and `user` compare to know that nobody stands between them: the same on both sides.
    ///
    /// # Errors
    /// [`Error::NotLinked`] on a device that was not linked, [`Error::NotFound`] when nothing is known of that user's identity, and
    /// the node does not know either; [`Error::Offline`] when it could not be asked; [`Error::Invalid`] for oneself.
    pub async fn safety_number(&self, user: UserId) -> Result<SafetyNumber, Error> {
        let (realm, own, other, trust, changed_at) = self.both(user).await?;
        self.shown().insert(user, other.1);
        let digits = safety_number::digits(realm, &own, &other);
        Ok(SafetyNumber { digits, scannable: safety_number::scannable(&own, &other), trust, changed_at })
    }

    /// Reads the code that `user`'s device shows ([`SafetyNumber::scannable`]). Returns whether it is the right one, and if so notes that
    /// the identity is verified. A wrong one is an alarm: somebody may stand in between; nothing is changed then.
    ///
    /// # Errors
    /// [`Error::Invalid`] when that is no such code; else as [`Self::safety_number`].
    pub async fn verify(&self, user: UserId, scanned: &str) -> Result<bool, Error> {
        let (_, own, other, _, _) = self.both(user).await?;
        let matches = safety_number::matches(scanned, &own, &other);
        let is_right = matches.ok_or(Error::Invalid { detail: "this is no safety number's code".into() })?;
        if is_right {
            let command = Command::SetTrust { user, shown: Some(other.1), verified: true };
            self.driver.command(command).await?;
        }
        Ok(is_right)
    }

    /// People have compared the digits, or take that back. After a change of a verified identity either is the word that
    /// [`Trust::Changed`] waits for: `false` goes on without verifying. The user's other
    /// linked devices are told; the latest word counts.
    ///
    /// # Errors
    /// [`Error::NotFound`] when nothing is known of that user's identity, [`Error::Invalid`] when it changed since
    /// [`Self::safety_number`] last showed it: people have compared another one.
    pub async fn set_verified(&self, user: UserId, is_verified: bool) -> Result<(), Error> {
        let shown = self.shown().get(&user).copied();
        self.driver.command(Command::SetTrust { user, shown, verified: is_verified }).await.map(drop)
    }

    fn shown(&self) -> MutexGuard<'_, BTreeMap<UserId, [u8; 32]>> {
        self.shown.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes a new identity, for a user who has lost every linked device and has no backup. This device is linked by it; the user's
    /// others are not any more, until they are linked again. Everybody whom the user wrote to is told that the identity changed.
    ///
    /// Repeating it after a lost answer ends the same.
    ///
    /// # Errors
    /// [`Error::ProofNeeded`], [`Error::WrongPin`], [`Error::AttemptsExhausted`], [`Error::InvalidToken`], [`Error::RateLimited`],
    /// [`Error::NotEnrolled`], [`Error::Offline`]: the identity is what it was, as far as this device heard.
    pub async fn reset_identity(&self, proof: AccountProof) -> Result<(), Error> {
        let _alone = self.enrolling.lock().await;
        self.driver.command(Command::BeginIdentity(Secret::new(fresh_seed()?))).await?;
        let row = self.driver.query(|history| history.account_row()).await?.ok_or(Error::NotEnrolled)?;
        let seed = row.new_identity_seed.ok_or(Error::NotEnrolled)?;
        let link = signing::link(row.realm, row.user, row.device, &public_key(&row.device_seed));
        let body =
            NewIdentity { identity_key: Key(public_key(&seed)), link: Key(sign_with(&seed, &link)), proof: proof.0 };
        let api = Arc::clone(&self.driver.api);
        self.driver.on_network(async move { api.reset_identity(&body).await }).await?;
        self.driver.command(Command::ConfirmIdentity).await.map(drop)
    }

    /// What was noticed about identities, and what was refused, after the event of that number; oldest first.
    pub async fn security_events(&self, after: u64, limit: u32) -> Result<Vec<SecurityEvent>, Error> {
        self.driver.query(move |history| history.security_events(after, limit)).await
    }

    /// Watches for security events after the one of that number; 0 = all that are kept, at most 1,000.
    pub fn observe_security_events(&self, after: u64) -> SecurityObserver {
        SecurityObserver::new(self.clone(), after)
    }

    /// How far a device that was linked has come in getting the history from the one that linked it; `None` = none is on its way.
    pub async fn history_transfer(&self) -> Result<Option<HistoryTransfer>, Error> {
        self.driver.query(|history| history.transfer()).await
    }

    /// Watches that.
    pub fn observe_history_transfer(&self) -> TransferObserver {
        TransferObserver::new(self.clone())
    }

    /// The identities of the user and of somebody else.
    async fn both(
        &self,
        user: UserId,
    ) -> Result<
        (chasqui_wire::RealmId, safety_number::Person, safety_number::Person, Trust, Option<chasqui_wire::Timestamp>),
        Error,
    > {
        let row = self.driver.query(|history| history.account_row()).await?;
        let row = row.filter(|row| row.enrolled).ok_or(Error::NotEnrolled)?;
        let seed = row.identity_seed.filter(|_| row.other_identity.is_none()).ok_or(Error::NotLinked)?;
        if user == row.user {
            return Err(Error::Invalid { detail: "nobody compares an identity with itself".into() });
        }
        let mut known = self.driver.query(move |history| history.identity(user)).await?;
        if known.is_none() {
            let api = Arc::clone(&self.driver.api);
            let ResolvedUser { name, identity_key } =
                self.driver.on_network(async move { api.user(user).await }).await?;
            self.driver.command(Command::RememberUser(user, ResolvedUser { name, identity_key })).await?;
            known = self.driver.query(move |history| history.identity(user)).await?;
        }
        let known = known.ok_or(Error::NotFound { what: "identity" })?;
        Ok((row.realm, (row.user, public_key(&seed)), (user, known.key), known.trust, known.changed_at))
    }
}
