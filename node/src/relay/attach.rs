//! Attach and detach: a device has one session, and the newest wins.

use std::collections::{BTreeMap, BTreeSet};

use chasqui_wire::{Absence, DeviceId, EntryKind, Progress, Timestamp, UserId};
use rusqlite::OptionalExtension as _;

use super::deliver::Online;
use super::step::{Pending, Step};
use super::{Attach, Attached, Event, KnownDevice, RelayError, SessionId, State, Who};
use crate::planted::{PlantedBug, planted};
use crate::store::DeviceRow;

/// What the directory knows of a device that somebody says to be.
struct Found {
    who: Who,
    identity_key: [u8; 32],
    revoked: bool,
}

impl Step<'_> {
    pub(super) fn lookup(&mut self, session: SessionId, device: DeviceId) -> Result<(), RelayError> {
        let found = self.find_device(session, device)?;
        let known = |Found { who, identity_key, revoked }| KnownDevice {
            user: who.user_id,
            identity_key,
            key: who.device_key,
            revoked,
        };
        self.answer(session, Event::Device(found.map(known)));
        Ok(())
    }

    pub(super) fn attach(&mut self, session: SessionId, attach: &Attach) -> Result<(), RelayError> {
        let (who, identity_key) = match self.find_device(session, attach.device)? {
            Some(Found { who, identity_key, revoked: false }) => (who, identity_key),
            // Revoked since its signature was verified.
            Some(Found { revoked: true, .. }) | None => {
                self.answer(session, Event::Revoked);
                return Ok(());
            }
        };
        let known = self.progress_of(who.device)?;
        if is_copy(attach.progress, known) {
            self.answer(session, Event::Copied);
            return Ok(());
        }
        if let Some(older) = self.session_of(who.device) {
            self.pending.left.insert(older);
            self.answer(older, Event::Displaced);
        }
        if let Some(checkpoint) = &attach.checkpoint {
            self.heed_checkpoint(checkpoint)?;
        }
        self.tell_absence(who)?;
        self.seen(who, Progress { connections: known.connections.max(attach.progress.connections), ..known })?;
        self.tell_missed(who.device)?;
        let latest = self.latest_entry(who.device)?;
        self.pending.joined.insert(session, Online::new(who, attach, latest));
        let (http_token, http_token_expires_at) = self.state.keys.token(who.device_id, self.now);
        let mut eras = self.state.eras.clone();
        eras.extend(self.pending.new_era);
        let checkpoint = self.state.checkpoint(self.era(), self.revision());
        let http_token = http_token.into();
        let key_packages = self.packages_left(who.device)?;
        let attached = Attached {
            user: who.user_id,
            checkpoint,
            eras,
            http_token,
            http_token_expires_at,
            key_packages,
            identity_key,
        };
        self.answer(session, Event::Attached(Box::new(attached)));
        Ok(())
    }

    pub(super) fn detach(&mut self, who: Who) -> Result<(), RelayError> {
        let known = self.progress_of(who.device)?;
        self.pending.left.insert(who.session);
        self.seen(who, known)
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

    fn seen(&mut self, who: Who, progress: Progress) -> Result<(), RelayError> {
        let column = |count: u64| count.min(i64::MAX.unsigned_abs());
        self.sql(
            "UPDATE device SET last_seen_at = ?2, connections = ?3, stored_up_to = ?4, sent = ?5 WHERE device = ?1",
        )?
        .execute((
            who.device,
            self.now.0,
            column(progress.connections),
            column(progress.stored_up_to),
            column(progress.sent),
        ))?;
        self.pending.changed = true;
        Ok(())
    }

    /// How far the node has seen the device come, on its session now and before. It is written when a session ends, not
    /// with every message: a node that crashes forgets a little of it, and suspects less.
    fn progress_of(&self, device: DeviceRow) -> Result<Progress, RelayError> {
        let mut query = self.sql("SELECT connections, stored_up_to, sent FROM device WHERE device = ?1")?;
        let mut known = query.query_row([device], |row| {
            Ok(Progress { connections: row.get(0)?, stored_up_to: row.get(1)?, sent: row.get(2)? })
        })?;
        // What a device did that did not count itself is not held against it once a newer version of it does.
        if let Some(online) = self.online(device).filter(|online| online.counts) {
            let batch =
                self.pending.acknowledged.iter().filter(|&&(whose, _)| whose == device).map(|&(_, entry)| entry);
            known.stored_up_to = known.stored_up_to.max(online.acknowledged).max(batch.max().unwrap_or(0));
            known.sent += online.accepted + self.pending.accepted.get(&online.who.session).copied().unwrap_or(0);
        }
        Ok(known)
    }

    /// A device, as this session's.
    fn find_device(&self, session: SessionId, id: DeviceId) -> Result<Option<Found>, RelayError> {
        let mut query = self.sql(
            "SELECT device.device, device.key, device.user, user.id, device.revoked_at IS NOT NULL, user.identity_key
             FROM device JOIN user USING (user) WHERE device.id = ?1",
        )?;
        let found = query.query_row([id.as_bytes()], |row| {
            let user_id = UserId::from_bytes(row.get(3)?);
            let (device, device_key, user) = (row.get(0)?, row.get(1)?, row.get(2)?);
            let who = Who { session, device, device_id: id, device_key, user, user_id };
            Ok(Found { who, revoked: row.get(4)?, identity_key: row.get(5)? })
        });
        Ok(found.optional()?)
    }

    fn latest_entry(&self, device: DeviceRow) -> Result<u64, RelayError> {
        let mut query = self.sql("SELECT coalesce(max(entry), 0) FROM mailbox WHERE device = ?1")?;
        Ok(query.query_row([device], |row| row.get(0))?)
    }
}

/// Whether the device's data is an older copy of what was connected before. It counts its attempts before it makes them,
/// stores what it acknowledges, and counts what it sends; what a restored node has forgotten makes it less suspicious.
fn is_copy(claimed: Progress, known: Progress) -> bool {
    let is_counted = claimed.connections > 0 && !planted(PlantedBug::CopiesWelcome);
    is_counted
        && (claimed.connections <= known.connections
            || claimed.stored_up_to < known.stored_up_to
            || claimed.sent < known.sent)
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
        for (session, count) in std::mem::take(&mut pending.accepted) {
            let device = self.seats.get(&session).copied();
            let online = device.and_then(|device| self.online.get_mut(&device));
            if let Some(online) = online.filter(|online| online.who.session == session) {
                online.accepted += count;
            } else if let Some(online) = pending.joined.get_mut(&session) {
                online.accepted += count;
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
