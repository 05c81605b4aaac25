//! Epoch: what may be sent to an encrypted conversation as it stands, decided without asking or changing anything.
//!
//! Guarantees: a message or commit is taken at one epoch only, of a device that the group has; a commit leaves the roster
//! with devices of the members alone, each of which gets the Welcome, and removes nobody who is there but the sender's own
//! devices. What MLS makes of it is the devices' to check. See docs/adr/0012-encryption.md.

use std::collections::{BTreeMap, BTreeSet};

use chasqui_wire::{Commit, DeviceId, ErrorCode, RosterEntry, Send, UserId};
use ring::digest::{SHA256, digest};

use super::Who;
use super::publish::No;
use super::roster::{Group, GroupDevice, IsOutdated};
use crate::planted::{PlantedBug, planted};
use crate::store::{DeviceRow, UserRow};

/// What a commit makes of a group.
#[derive(Debug)]
pub(super) struct Change {
    /// Who is in it from now on.
    pub(super) roster: BTreeMap<DeviceRow, IsOutdated>,
    /// Who gets the commit: those who were in it, stay and are there, without the sender.
    pub(super) told: Vec<GroupDevice>,
    /// Who gets the Welcome.
    pub(super) welcomed: Vec<GroupDevice>,
}

/// Bounds on a commit.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    pub(super) segment_bytes: usize,
    pub(super) frame_bytes: usize,
}

impl Bounds {
    /// Bytes that an entry of a roster takes in a frame.
    pub(super) const ENTRY: usize = 40;
    /// Bytes of a frame that its fixed fields take at most.
    pub(super) const FRAME: usize = 512;

    /// Devices that a group may have: `claimed` names each of them twice at worst, and must leave half of its frame to
    /// key packages.
    fn devices(self) -> usize {
        Commit::MAX.min(self.frame_bytes / 2 / (2 * Self::ENTRY))
    }
}

const fn invalid<T>(detail: &'static str) -> Result<T, No> {
    Err(No(ErrorCode::Invalid, detail, 0))
}

const fn stale<T>(detail: &'static str) -> Result<T, No> {
    Err(No(ErrorCode::RosterStale, detail, 0))
}

/// Milliseconds after which it makes sense to look again whether a peer has linked a device.
const LINKED_WITHIN: u32 = 60_000;

impl Group {
    /// Whether a message may be sent now.
    pub(super) fn takes_message(&self, who: Who, peer: UserRow, send: &Send) -> Result<(), No> {
        let epoch = if planted(PlantedBug::PastMessages) { self.epoch } else { send.epoch };
        self.takes(who, epoch, true)?;
        if self.is_stale() && !send.roster_checked && !planted(PlantedBug::RosterUnchecked) {
            return stale("devices of members came or went: claim and commit first");
        }
        // Whoever has looked may go on without a device, but not without everybody: the message would reach nobody, and its
        // sender would never hear of it.
        if self.reached(peer).next().is_none() {
            let retry_after_ms = if self.lacks_any() { 0 } else { LINKED_WITHIN };
            let detail = "the group has no device of the peer";
            return Err(No(ErrorCode::RosterStale, detail, retry_after_ms));
        }
        Ok(())
    }

    /// What a commit makes of the group, if it may.
    pub(super) fn change(&self, who: Who, send: &Send, commit: &Commit, bounds: Bounds) -> Result<Change, No> {
        if digest(&SHA256, &send.body).as_ref() != commit.hash {
            return invalid("commit.hash is not the SHA-256 of the body");
        }
        if send.reclaim_seq.is_some() {
            return invalid("a commit is not given back: begin anew");
        }
        // Not `limits.body_bytes`: how long they are follows from how many devices there are.
        let longest = send.body.len().max(commit.welcome.len());
        let declared = (commit.added.len() + commit.removed.len()) * Bounds::ENTRY;
        if longest > bounds.segment_bytes || longest + declared + Bounds::FRAME > bounds.frame_bytes {
            return Err(No(ErrorCode::TooLarge, "the commit is too large for a frame to its members", 0));
        }
        let epoch = if planted(PlantedBug::EpochUnchecked) { self.epoch } else { send.epoch };
        self.takes(who, epoch, !commit.begins)?;
        if commit.begins && !commit.removed.is_empty() {
            return invalid("a commit that begins a group removes nobody");
        }
        let removed = self.removed(who, commit)?;
        let welcomed = self.welcomed(who, send.peer, commit, &removed)?;
        let stays = |device: &&GroupDevice| {
            device.row == who.device || (!commit.begins && !removed.contains(&device.entry.device))
        };
        let told = self.roster().filter(stays).filter(|device| device.takes_part() && device.row != who.device);
        let told: Vec<_> = told.copied().collect();
        let stay = self.roster().filter(stays).map(|device| (device.row, device.is_outdated));
        let added = welcomed.iter().map(|device| (device.row, false));
        let roster: BTreeMap<DeviceRow, IsOutdated> = stay.chain(added).chain([(who.device, false)]).collect();
        if roster.len() > bounds.devices() {
            return invalid("more devices than a group may have");
        }
        Ok(Change { roster, told, welcomed })
    }

    /// What holds of every send: the sender may take part, does (`as_member`), and knows how far the group has come.
    fn takes(&self, who: Who, epoch: u64, as_member: bool) -> Result<(), No> {
        let sender = self.find(who.device_id);
        if !sender.is_some_and(|sender| sender.is_there) {
            return Err(No(ErrorCode::NotLinked, "nobody of the user has linked this device", 0));
        }
        // First, because nothing that waits for it would bring a device back that is not in the group.
        if as_member && !sender.is_some_and(GroupDevice::takes_part) {
            return Err(No(ErrorCode::NotInRoster, "this device is not in the group: begin it anew", 0));
        }
        if epoch != self.epoch {
            return Err(No(ErrorCode::EpochConflict, "the conversation is at another epoch", 0));
        }
        Ok(())
    }

    fn removed(&self, who: Who, commit: &Commit) -> Result<BTreeSet<DeviceId>, No> {
        let mut removed = BTreeSet::new();
        for &entry in &commit.removed {
            let Some(device) = self.roster().find(|device| device.entry == entry) else {
                return invalid("a removed device is not in the group");
            };
            if !removed.insert(entry.device) {
                return invalid("a device is removed twice");
            }
            if device.row == who.device {
                return invalid("the sender's device removes itself");
            }
            if !device.is_gone() && device.user != who.user {
                return Err(No(ErrorCode::Forbidden, "a device of the peer that is there cannot be removed", 0));
            }
        }
        Ok(removed)
    }

    fn welcomed(
        &self,
        who: Who,
        peer: Option<UserId>,
        commit: &Commit,
        removed: &BTreeSet<DeviceId>,
    ) -> Result<Vec<GroupDevice>, No> {
        if commit.welcome.is_empty() != commit.added.is_empty() {
            return invalid("there is a Welcome if devices are added, and only then");
        }
        let mut welcomed = Vec::with_capacity(commit.added.len());
        let mut seen = BTreeSet::new();
        for &RosterEntry { user, device: id } in &commit.added {
            if user != who.user_id && Some(user) != peer {
                return invalid("an added device is said to be of somebody who is no member");
            }
            let Some(device) = self.find(id).filter(|device| device.is_there) else {
                // Since it was claimed, for all that is known.
                return stale("an added device was revoked, or is not linked");
            };
            if device.entry.user != user {
                return invalid("an added device is not of the member it is said to be of");
            }
            if device.row == who.device {
                return invalid("the sender's device adds itself");
            }
            if device.is_in_roster && !commit.begins && !removed.contains(&id) {
                return invalid("an added device is in the group");
            }
            if !seen.insert(id) {
                return invalid("a device is added twice");
            }
            welcomed.push(*device);
        }
        Ok(welcomed)
    }
}
