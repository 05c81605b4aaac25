//! Revoke: a device is shut out, its mail and key packages are dropped, and the senders told where nobody else of that user
//! waits.

use chasqui_wire::ReceiptKind;

use super::acknowledge::Leaving;
use super::step::Step;
use super::{Event, RelayError};
use crate::store::{DeviceRow, EnvelopeRow, UserRow};

impl Step<'_> {
    pub(super) fn revoke(&mut self, user: UserRow, device: DeviceRow) -> Result<(), RelayError> {
        self.sql("UPDATE device SET revoked_at = ?2, empty_below = NULL WHERE device = ?1")?
            .execute((device, self.now.0))?;
        self.pending.changed = true;
        self.state.directory.forget_devices();
        let envelopes: Vec<EnvelopeRow> = self
            .sql("SELECT entry FROM mailbox WHERE device = ?1 AND notice IS NULL ORDER BY entry")?
            .query_map([device], |row| row.get(0))?
            .collect::<Result<_, _>>()?;
        self.sql("DELETE FROM mailbox WHERE device = ?1")?.execute([device])?;
        for envelope in envelopes {
            self.leave_envelope(device, user, envelope, Leaving::Without(ReceiptKind::DeviceGone))?;
        }
        self.forget_missed(device)?;
        self.unlink(device)?;
        self.state.mailboxes.forget(device);
        // Mail that this very batch had addressed to it is gone as well.
        self.pending.mail.remove(&device);
        if let Some(session) = self.session_of(device) {
            self.pending.left.insert(session);
            self.answer(session, Event::Revoked);
        }
        Ok(())
    }
}
