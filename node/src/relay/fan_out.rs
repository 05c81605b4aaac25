//! Mailboxes: whom a message addresses, and how full they are.

use std::collections::BTreeMap;

use chasqui_wire::{ConversationId, DeviceId, EntryKind};
use rusqlite::OptionalExtension as _;

use super::step::{NewMail, Pending, Step};
use super::{RelayError, State};
use crate::store::{ConversationRow, DeviceRow, EnvelopeRow, UserRow};

/// What waits in one mailbox.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Waiting {
    pub(super) entries: i64,
    pub(super) bytes: i64,
}

impl Step<'_> {
    /// The devices of a user that were not revoked.
    pub(super) fn active_devices(&self, user: UserRow) -> Result<Vec<DeviceRow>, RelayError> {
        let mut query = self.sql("SELECT device FROM device WHERE user = ?1 AND revoked_at IS NULL ORDER BY device")?;
        let devices = query.query_map([user], |row| row.get(0))?.collect::<Result<_, _>>()?;
        Ok(devices)
    }

    /// Adds a notice to a mailbox. Notices are never refused: they are small, and nobody else could repeat them.
    pub(super) fn add_notice(&mut self, device: DeviceRow, kind: EntryKind) -> Result<(), RelayError> {
        let entry = self.next_entry();
        let notice = kind.encode();
        self.sql("INSERT INTO mailbox (device, entry, envelope, notice) VALUES (?1, ?2, NULL, ?3)")?.execute((
            device,
            entry,
            notice.as_ref(),
        ))?;
        self.count_mail(device, 1, 0);
        self.pending.mail.entry(device).or_default().push(NewMail { entry, kind, body_bytes: 0 });
        self.pending.changed = true;
        Ok(())
    }

    /// Adds an envelope to a mailbox.
    pub(super) fn add_mail(
        &mut self,
        device: DeviceRow,
        envelope: EnvelopeRow,
        kind: EntryKind,
        body_bytes: u32,
    ) -> Result<(), RelayError> {
        let entry = self.next_entry();
        self.sql("INSERT INTO mailbox (device, entry, envelope, notice) VALUES (?1, ?2, ?3, NULL)")?
            .execute((device, entry, envelope))?;
        self.count_mail(device, 1, body_bytes.into());
        self.pending.mail.entry(device).or_default().push(NewMail { entry, kind, body_bytes });
        Ok(())
    }

    /// Entry numbers only grow while the process lives. A batch that fails leaves a hole, which nobody minds.
    fn next_entry(&mut self) -> u64 {
        let entry = self.state.next_entry;
        self.state.next_entry += 1;
        entry
    }

    /// Notes a change of what waits for a device.
    pub(super) fn count_mail(&mut self, device: DeviceRow, entries: i64, bytes: i64) {
        let change = self.pending.waiting.entry(device).or_default();
        change.0 += entries;
        change.1 += bytes;
    }

    /// Whether the mailbox can take an envelope with a body of `bytes`.
    pub(super) fn has_room(&mut self, device: DeviceRow, bytes: u32) -> Result<bool, RelayError> {
        let change = self.pending.waiting.get(&device).copied().unwrap_or_default();
        let before = match self.state.waiting.get(&device) {
            Some(waiting) => *waiting,
            None => {
                let (entries, held): (i64, i64) = self
                    .sql(
                        "SELECT count(*), coalesce(sum(envelope.length), 0) FROM mailbox
                         LEFT JOIN envelope USING (envelope) WHERE device = ?1",
                    )?
                    .query_row([device], |row| Ok((row.get(0)?, row.get(1)?)))?;
                let waiting = Waiting { entries: entries - change.0, bytes: held - change.1 };
                self.state.waiting.insert(device, waiting);
                waiting
            }
        };
        let limits = &self.state.options.limits;
        let entries = before.entries + change.0 + 1;
        let bytes = before.bytes + change.1 + i64::from(bytes);
        Ok(entries <= limits.mailbox_entries.into() && bytes <= i64::try_from(limits.mailbox_bytes).unwrap_or(i64::MAX))
    }

    pub(super) fn user_by_id(&self, user: chasqui_wire::UserId) -> Result<Option<UserRow>, RelayError> {
        let found = self.sql("SELECT user FROM user WHERE id = ?1")?.query_row([user.as_bytes()], |row| row.get(0));
        Ok(found.optional()?)
    }

    pub(super) fn conversation_by_id(&self, id: ConversationId) -> Result<Option<(ConversationRow, u64)>, RelayError> {
        let mut query = self.sql("SELECT conversation, head FROM conversation WHERE id = ?1")?;
        let found = query.query_row([id.as_bytes()], |row| Ok((row.get(0)?, row.get(1)?)));
        Ok(found.optional()?)
    }

    pub(super) fn device_row(&self, device: DeviceId) -> Result<Option<DeviceRow>, RelayError> {
        let mut query = self.sql("SELECT device FROM device WHERE id = ?1")?;
        Ok(query.query_row([device.as_bytes()], |row| row.get(0)).optional()?)
    }
}

impl State {
    pub(super) fn settle_waiting(&mut self, pending: &Pending) {
        for (device, (entries, bytes)) in &pending.waiting {
            if let Some(waiting) = self.waiting.get_mut(device) {
                waiting.entries += entries;
                waiting.bytes += bytes;
            }
        }
        // Knowing that nothing waits is worth no memory: it is quickly counted.
        if self.waiting.len() > 100_000 {
            let waiting: BTreeMap<_, _> = std::mem::take(&mut self.waiting);
            self.waiting = waiting.into_iter().filter(|(_, waiting)| waiting.entries > 0).collect();
        }
    }
}
