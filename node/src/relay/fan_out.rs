//! Mailboxes: what is put into them, and how rows are found.

use chasqui_wire::{DeviceId, EntryKind};
use rusqlite::OptionalExtension as _;

use super::RelayError;
use super::step::{NewMail, Step};
use crate::store::{DeviceRow, EnvelopeRow, UserRow};

impl Step<'_> {
    /// Adds a notice to a mailbox. Notices are never refused: they are small, and nobody else could repeat them.
    pub(super) fn add_notice(&mut self, device: DeviceRow, kind: EntryKind) -> Result<u64, RelayError> {
        let entry = self.next_entry();
        let notice = kind.encode();
        self.sql("INSERT INTO mailbox (device, entry, notice) VALUES (?1, ?2, ?3)")?.execute((
            device,
            entry,
            notice.as_ref(),
        ))?;
        self.count_mail(device, None, 1, 0);
        self.pending.mail.entry(device).or_default().push(NewMail { entry, kind, body_bytes: 0 });
        self.pending.changed = true;
        Ok(entry)
    }

    /// Adds an envelope to a mailbox, under its own number.
    pub(super) fn add_mail(
        &mut self,
        device: DeviceRow,
        (envelope, sender): (EnvelopeRow, UserRow),
        kind: EntryKind,
        body_bytes: u32,
    ) -> Result<(), RelayError> {
        let entry = envelope.entry();
        self.sql("INSERT INTO mailbox (device, entry) VALUES (?1, ?2)")?.execute((device, entry))?;
        self.count_mail(device, Some(sender), 1, body_bytes.into());
        self.pending.mail.entry(device).or_default().push(NewMail { entry, kind, body_bytes });
        Ok(())
    }

    /// Entry numbers only grow while the process lives. A batch that fails leaves a hole, which nobody minds.
    pub(super) fn next_entry(&mut self) -> u64 {
        let entry = self.state.next_entry;
        self.state.next_entry += 1;
        entry
    }

    pub(super) fn device_row(&self, device: DeviceId) -> Result<Option<DeviceRow>, RelayError> {
        let mut query = self.sql("SELECT device FROM device WHERE id = ?1")?;
        Ok(query.query_row([device.as_bytes()], |row| row.get(0)).optional()?)
    }
}
