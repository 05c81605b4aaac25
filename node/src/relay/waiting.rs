//! How full mailboxes are: counted once, then kept up to date.
//!
//! The counts follow a batch at once, and one that is rolled back makes them forget whatever it touched. What they forget
//! they count again, so nothing but time depends on what they remember.

use std::collections::BTreeMap;

use super::step::Step;
use super::{RelayError, State};
use crate::planted::{PlantedBug, planted};
use crate::store::{DeviceRow, UserRow};

/// Entries and bytes of bodies.
#[derive(Clone, Copy, Debug, Default)]
struct Amount {
    entries: i64,
    bytes: i64,
}

/// What waits in one mailbox.
#[derive(Debug, Default)]
struct Waiting {
    all: Amount,
    /// Envelopes by who sent them; counted only while there are enough for anybody to have more than a share.
    by_sender: Option<BTreeMap<UserRow, Amount>>,
}

/// What waits in the mailboxes that were used lately.
#[derive(Debug, Default)]
pub(super) struct Mailboxes {
    young: BTreeMap<DeviceRow, Waiting>,
    /// What was not used since `young` was last full; forgotten when it is full again.
    old: BTreeMap<DeviceRow, Waiting>,
}

/// What a mailbox may hold.
#[derive(Clone, Copy, Debug)]
struct Quota {
    all: Amount,
    share: Amount,
}

impl Amount {
    fn add(&mut self, other: Self) {
        self.entries += other.entries;
        self.bytes += other.bytes;
    }

    /// Whether one entry more with a body of `bytes` stays within `quota`.
    fn takes(self, bytes: i64, quota: Self) -> bool {
        self.entries < quota.entries && self.bytes + bytes <= quota.bytes
    }
}

impl Mailboxes {
    /// Half of the mailboxes that are remembered.
    const GENERATION: usize = 50_000;

    fn get(&mut self, device: DeviceRow) -> Option<&mut Waiting> {
        if !self.young.contains_key(&device) {
            let waiting = self.old.remove(&device)?;
            self.insert(device, waiting);
        }
        self.young.get_mut(&device)
    }

    fn insert(&mut self, device: DeviceRow, waiting: Waiting) {
        if self.young.len() >= Self::GENERATION {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(device, waiting);
    }

    pub(super) fn forget(&mut self, device: DeviceRow) {
        self.young.remove(&device);
        self.old.remove(&device);
    }
}

impl State {
    fn quota(&self) -> Quota {
        let limits = &self.options.limits;
        let bytes = i64::try_from(limits.mailbox_bytes).unwrap_or(i64::MAX);
        let all = Amount { entries: limits.mailbox_entries.into(), bytes };
        let percent = i64::from(self.options.mailbox_share_percent.clamp(1, 100));
        let part = |whole: i64| (whole / 100 * percent).saturating_add(whole % 100 * percent / 100);
        let share = Amount { entries: part(all.entries).max(1), bytes: part(all.bytes) };
        Quota { all, share }
    }
}

impl Step<'_> {
    /// Notes a change of what waits for a device. `sender` is who sent the envelope, if it is one.
    pub(super) fn count_mail(&mut self, device: DeviceRow, sender: Option<UserRow>, entries: i64, bytes: i64) {
        self.pending.counted.push(device);
        let change = Amount { entries, bytes };
        let Some(waiting) = self.state.mailboxes.get(device) else { return };
        waiting.all.add(change);
        if let (Some(by_sender), Some(sender)) = (&mut waiting.by_sender, sender) {
            by_sender.entry(sender).or_default().add(change);
        }
    }

    /// Whether the mailbox can take one more entry with a body of `bytes`, from this sender if it is not the mailbox's
    /// own user.
    pub(super) fn takes(&mut self, device: DeviceRow, sender: Option<UserRow>, bytes: u32) -> Result<bool, RelayError> {
        let bytes = i64::from(bytes);
        let quota = self.state.quota();
        let waiting = self.waiting(device)?;
        if !waiting.all.takes(bytes, quota.all) {
            return Ok(false);
        }
        // Where all of it is no more than a share, nobody has more than that.
        if waiting.all.takes(bytes, quota.share) {
            waiting.by_sender = None;
            return Ok(true);
        }
        let Some(sender) = sender.filter(|_| !planted(PlantedBug::ShareIgnored)) else { return Ok(true) };
        if waiting.by_sender.is_none() {
            let by_sender = self.count_by_sender(device)?;
            self.waiting(device)?.by_sender = Some(by_sender);
        }
        let of_sender = self.waiting(device)?.by_sender.as_ref().and_then(|all| all.get(&sender));
        let of_sender = of_sender.copied().unwrap_or_default();
        // Whatever a share is, one message of a body that is allowed fits.
        Ok(of_sender.entries <= 0 || of_sender.takes(bytes, quota.share))
    }

    fn waiting(&mut self, device: DeviceRow) -> Result<&mut Waiting, RelayError> {
        if self.state.mailboxes.get(device).is_none() {
            let mut query = self.sql(
                "SELECT count(*), coalesce(sum(envelope.length), 0) FROM mailbox
                 LEFT JOIN envelope ON envelope = entry AND notice IS NULL WHERE device = ?1",
            )?;
            let all = query.query_row([device], |row| Ok(Amount { entries: row.get(0)?, bytes: row.get(1)? }))?;
            drop(query);
            self.state.mailboxes.insert(device, Waiting { all, by_sender: None });
        }
        Ok(self.state.mailboxes.get(device).expect("it was just put there"))
    }

    fn count_by_sender(&self, device: DeviceRow) -> Result<BTreeMap<UserRow, Amount>, RelayError> {
        let mut query = self.sql(
            "SELECT envelope.sender_user, count(*), sum(envelope.length) FROM mailbox
             JOIN envelope ON envelope = entry WHERE device = ?1 AND notice IS NULL GROUP BY envelope.sender_user",
        )?;
        let rows =
            query.query_map([device], |row| Ok((row.get(0)?, Amount { entries: row.get(1)?, bytes: row.get(2)? })))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_used_lately_is_remembered_and_the_rest_is_bounded() {
        let mut mailboxes = Mailboxes::default();
        for device in 0..3 * Mailboxes::GENERATION as i64 {
            mailboxes.insert(DeviceRow(device), Waiting::default());
            assert!(mailboxes.get(DeviceRow(0)).is_some(), "it is used all the time");
            assert!(mailboxes.young.len() + mailboxes.old.len() <= 2 * Mailboxes::GENERATION);
        }
        assert!(mailboxes.get(DeviceRow(1)).is_none());
    }
}
