//! How a further device of a user comes to take part in encrypted conversations: another one links it.

use crate::client::Client;
use crate::driver::{fresh_seed, until_true};
use crate::engine::{Command, LinkingState, Secret, linking_attempt};
use crate::error::Error;

impl Client {
    /// On a device that only logged in: begins to link it. Show the code that this returns (about 80 letters of ASCII), as a QR code or as
    /// text, to a device of the same user that is linked, which reads it by [`Self::link_device`]; then wait for
    /// [`Self::linking_number`]. Called again, it begins anew, with another code.
    ///
    /// A device that a user registers with is linked from the start; whether this one is says
    /// [`Account::is_linked`](crate::Account::is_linked). One that is not takes part in node-readable conversations only.
    ///
    /// # Errors
    /// [`Error::Invalid`] when the device is linked, [`Error::NotEnrolled`].
    pub async fn begin_linking(&self) -> Result<String, Error> {
        self.driver.command(Command::BeginLinking(Secret::new(fresh_seed()?))).await?;
        self.linking(None, |state| match state {
            LinkingState::Shown(code) => Some(code.clone()),
            _ => None,
        })
        .await
    }

    /// On the device to be linked: the number, of six digits, that both devices show once the other has read the code. People compare
    /// them; if they are the same, call [`Self::confirm_linking`] on both.
    ///
    /// # Errors
    /// [`Error::LinkingFailed`], [`Error::Closed`].
    pub async fn linking_number(&self) -> Result<String, Error> {
        self.linking(None, |state| match state {
            LinkingState::Compare { number, .. } => Some(number.clone()),
            _ => None,
        })
        .await
    }

    /// On a device that is linked: reads the code that another device of the same user shows. Returns the number, of six digits, that
    /// the other one shows as well: people compare them; if they are the same, call [`Self::confirm_linking`] on both. Waits
    /// until the other device is connected, or this is cancelled. Of two codes the later counts: the first one's device is told that
    /// nothing comes of it, as when it is cancelled, and so is who still waits here. The same code once more changes nothing.
    ///
    /// # Errors
    /// [`Error::Invalid`] when that is no such code, [`Error::NotLinked`] when this device is not linked itself,
    /// [`Error::LinkingFailed`], [`Error::NotEnrolled`], [`Error::Closed`].
    pub async fn link_device(&self, code: &str) -> Result<String, Error> {
        self.driver.command(Command::LinkDevice(code.to_owned(), Secret::new(fresh_seed()?))).await?;
        self.linking(linking_attempt(code), |state| match state {
            LinkingState::Compare { number, .. } => Some(number.clone()),
            _ => None,
        })
        .await
    }

    /// On either device: people saw the same number on both. On the one that links this is done when the other's identity is on its way; on
    /// the one to be linked, when it has arrived: from then on that device takes part in encrypted conversations, with what
    /// is written from there on.
    ///
    /// # Errors
    /// [`Error::Invalid`] when no number was shown, [`Error::LinkingFailed`], [`Error::Closed`].
    pub async fn confirm_linking(&self) -> Result<(), Error> {
        let confirmed = self.driver.command(Command::ConfirmLinking).await;
        if let (Err(Error::Invalid { .. }), LinkingState::Failed(detail)) =
            (&confirmed, &*self.driver.linking().borrow())
        {
            // While people looked at the number, which is what they have to hear.
            return Err(Error::LinkingFailed { detail: detail.clone() });
        }
        confirmed?;
        self.linking(None, |state| (*state == LinkingState::Done).then_some(())).await
    }

    /// On either device: nothing is to come of it. The other one is told.
    pub async fn cancel_linking(&self) -> Result<(), Error> {
        self.driver.command(Command::CancelLinking).await.map(drop)
    }

    /// Waits until linking has come as far as `reached` says; of a certain attempt, if one is given.
    async fn linking<T>(&self, asked: Option<[u8; 32]>, reached: fn(&LinkingState) -> Option<T>) -> Result<T, Error> {
        let failed = |detail: &str| Err(Error::LinkingFailed { detail: detail.to_owned() });
        let (mut states, mut closed) = (self.driver.linking(), self.driver.closed());
        loop {
            let state = states.borrow_and_update().clone();
            if let LinkingState::Asked { attempt } | LinkingState::Compare { attempt, .. } = &state
                && asked.is_some_and(|asked| asked != *attempt)
            {
                return failed("the code of another device was read since");
            }
            if let Some(reached) = reached(&state) {
                return Ok(reached);
            }
            match state {
                LinkingState::Failed(detail) => return failed(&detail),
                LinkingState::None => return failed("nothing was begun, or it was interrupted"),
                LinkingState::Done => return failed("it is over"),
                LinkingState::Shown(_) | LinkingState::Asked { .. } | LinkingState::Compare { .. } => {}
            }
            tokio::select! {
                changed = states.changed() => changed.map_err(|_| Error::Closed)?,
                () = until_true(&mut closed) => return Err(Error::Closed),
            }
        }
    }
}
