//! Identity: a user who has lost the key gets another one. Nobody's word but the new key's links a device from then on.
//!
//! Guarantees: one transaction. Groups stay as they are, with leaves that the old key had vouched for: whoever sends next
//! takes them out, also of devices that were linked again by then. What waits for these devices still waits.

use chasqui_wire::UserId;

use super::accounts::{Accounts, Refusal};
use super::step::Step;
use super::{Event, RelayError};
use crate::store::UserRow;

impl Accounts<'_, '_> {
    /// Gives the user this identity key; the one that it is already changes nothing. Whoever calls has checked that the
    /// account's owner wants it and holds the key.
    ///
    /// # Errors
    /// The database failed.
    pub fn reset_identity(&mut self, user: UserId, identity_key: [u8; 32]) -> Result<Result<(), Refusal>, RelayError> {
        let row = match self.living(user)? {
            Ok(row) => row,
            Err(refusal) => return Ok(Err(refusal)),
        };
        let is_new = self
            .step
            .sql("UPDATE user SET identity_key = ?2 WHERE user = ?1 AND identity_key <> ?2")?
            .execute((row, identity_key))?;
        if is_new > 0 {
            self.step.unlink_all(row)?;
            self.step.pending.identity_resets += 1;
        }
        Ok(Ok(()))
    }
}

impl Step<'_> {
    /// No device of the user takes part in groups until it shows a new link. Their sessions end, because they know the old
    /// key, and have to hear of the new one.
    fn unlink_all(&mut self, user: UserRow) -> Result<(), RelayError> {
        for device in self.active_devices(user)?.iter() {
            self.unlink(device.row)?;
            if let Some(who) = self.online(device.row).map(|online| online.who) {
                self.detach(who)?;
                self.answer(who.session, Event::NewIdentity);
            }
        }
        self.sql("UPDATE roster SET is_outdated = 1 WHERE device IN (SELECT device FROM device WHERE user = ?1)")?
            .execute([user])?;
        self.state.directory.forget_groups();
        self.pending.changed = true;
        Ok(())
    }
}
