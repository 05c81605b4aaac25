//! Attach and detach: a device has one session, and the newest wins.

use std::collections::{BTreeMap, BTreeSet};

use chasqui_wire::{Absence, DeviceId, EntryKind, Timestamp, UserId};
use rusqlite::OptionalExtension as _;

use super::deliver::Online;
use super::step::{Pending, Step};
use super::{Attach, Attached, Event, KnownDevice, RelayError, SessionId, State, Who};
use crate::store::DeviceRow;

impl Step<'_> {
    pub(super) fn lookup(&mut self, session: SessionId, device: DeviceId) -> Result<(), RelayError> {
        let found = self.find_device(session, device)?;
        let known = |(who, revoked): (Who, bool)| KnownDevice { user: who.user_id, key: who.device_key, revoked };
        self.answer(session, Event::Device(found.map(known)));
        Ok(())
    }

    pub(super) fn attach(&mut self, session: SessionId, attach: &Attach) -> Result<(), RelayError> {
        let who = match self.find_device(session, attach.device)? {
            Some((who, false)) => who,
            // Revoked since its signature was verified.
            Some((_, true)) | None => {
                self.answer(session, Event::Revoked);
                return Ok(());
            }
        };
        if let Some(older) = self.session_of(who.device) {
            self.pending.left.insert(older);
            self.answer(older, Event::Displaced);
        }
        if let Some(checkpoint) = &attach.checkpoint {
            self.heed_checkpoint(checkpoint)?;
        }
        self.tell_absence(who)?;
        self.seen(who)?;
        self.tell_missed(who.device)?;
        let latest = self.latest_entry(who.device)?;
        self.pending.joined.insert(session, Online::new(who, attach, latest));
        let (http_token, http_token_expires_at) = self.state.keys.token(who.device_id, self.now);
        let mut eras = self.state.eras.clone();
        eras.extend(self.pending.new_era);
        let checkpoint = self.state.checkpoint(self.era(), self.revision());
        let attached = Attached { user: who.user_id, checkpoint, eras, http_token, http_token_expires_at };
        self.answer(session, Event::Attached(Box::new(attached)));
        Ok(())
    }

    pub(super) fn detach(&mut self, who: Who) -> Result<(), RelayError> {
        self.pending.left.insert(who.session);
        self.seen(who)
    }

    /// A device that was away for too long is told so, and its mailbox is no longer emptied.
    fn tell_absence(&mut self, who: Who) -> Result<(), RelayError> {
        let mut query = self.sql("SELECT absent_since FROM device WHERE device = ?1")?;
        let absent_since: Option<i64> = query.query_row([who.device], |row| row.get(0))?;
        drop(query);
        let Some(since) = absent_since else { return Ok(()) };
        self.add_notice(who.device, EntryKind::Absence(Absence { since: Timestamp(since) }))?;
        self.state.directory.forget_devices();
        self.sql("UPDATE device SET absent_since = NULL, empty_below = NULL WHERE device = ?1")?
            .execute([who.device])?;
        Ok(())
    }

    fn seen(&mut self, who: Who) -> Result<(), RelayError> {
        self.sql("UPDATE device SET last_seen_at = ?2 WHERE device = ?1")?.execute((who.device, self.now.0))?;
        self.pending.changed = true;
        Ok(())
    }

    /// A device, as this session's; and whether it was revoked.
    fn find_device(&self, session: SessionId, id: DeviceId) -> Result<Option<(Who, bool)>, RelayError> {
        let mut query = self.sql(
            "SELECT device.device, device.key, device.user, user.id, device.revoked_at IS NOT NULL
             FROM device JOIN user USING (user) WHERE device.id = ?1",
        )?;
        let found = query.query_row([id.as_bytes()], |row| {
            let user_id = UserId::from_bytes(row.get(3)?);
            let (device, device_key, user) = (row.get(0)?, row.get(1)?, row.get(2)?);
            Ok((Who { session, device, device_id: id, device_key, user, user_id }, row.get(4)?))
        });
        Ok(found.optional()?)
    }

    fn latest_entry(&self, device: DeviceRow) -> Result<u64, RelayError> {
        let mut query = self.sql("SELECT coalesce(max(entry), 0) FROM mailbox WHERE device = ?1")?;
        Ok(query.query_row([device], |row| row.get(0))?)
    }
}

impl State {
    /// Applies who came and went, and which acknowledged entries left a window. Returns the devices that may now
    /// take more of their backlog.
    pub(super) fn settle_seats(&mut self, pending: &mut Pending, now: Timestamp) -> BTreeSet<DeviceRow> {
        let mut woken = BTreeSet::new();
        for &(device, entry) in &pending.acknowledged {
            if let Some(online) = self.online.get_mut(&device)
                && online.release(entry)
            {
                woken.insert(device);
            }
        }
        for &session in &pending.left {
            pending.joined.remove(&session);
            self.leave(session);
            // What this session held back from expiring may be due.
            self.next_expiry = Some(self.next_expiry.map_or(now, |first| first.min(now)));
        }
        for (session, online) in std::mem::take(&mut pending.joined) {
            let device = online.who.device;
            self.seats.insert(session, device);
            self.online.insert(device, online);
            woken.insert(device);
        }
        woken
    }

    pub(super) fn leave(&mut self, session: SessionId) {
        if let Some(device) = self.seats.remove(&session)
            && self.online.get(&device).is_some_and(|online| online.who.session == session)
        {
            self.online.remove(&device);
        }
        self.stalls.remove(&session);
    }

    /// The devices that are online, in a fixed order.
    pub(super) fn online(&self) -> &BTreeMap<DeviceRow, Online> {
        &self.online
    }
}
