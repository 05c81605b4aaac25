//! What is said in an encrypted conversation on its way into mailboxes: messages for the roster, commits for who stays, a
//! Welcome for each that joins.
//!
//! Guarantees: epoch, roster and mail change in one transaction. A commit or Welcome that a device cannot take is dropped
//! without a trace: it is no message, so nobody misses it; the device notices by the next message, which it cannot read.
//! But a commit that no device of the peer could take is refused, because then none of them could read on.

use std::collections::BTreeMap;

use chasqui_wire::{Commit, Send};

use super::epoch::Bounds;
use super::fan_out::{Cargo, Post};
use super::publish::No;
use super::roster::{Group, GroupDevice, IsOutdated};
use super::route::{ActiveDevice, Route};
use super::step::Step;
use super::{RelayError, Who};
use crate::store::{DeviceRow, UserRow};

/// A commit that is in order, and who gets what of it.
pub(super) struct CommitRoute {
    roster: BTreeMap<DeviceRow, IsOutdated>,
    told: Vec<DeviceRow>,
    /// With the index of the Welcome.
    welcomed: Vec<(DeviceRow, usize)>,
}

/// A device that should get the commit (no index), or a Welcome.
type Addressee = (GroupDevice, Option<usize>);

impl Step<'_> {
    /// To the devices of the roster, but the sending one.
    pub(super) fn route_encrypted(
        &mut self,
        who: Who,
        peer: UserRow,
        send: &Send,
        group: &Group,
    ) -> Result<Result<Route, No>, RelayError> {
        if let Err(no) = group.takes_message(who, peer, send) {
            return Ok(Err(no));
        }
        let bytes = send.body.len() as u32;
        let reached = |user| group.reached(user).map(GroupDevice::as_active).collect::<Vec<ActiveDevice>>();
        let mut route = Route::default();
        if peer != who.user {
            match self.route_to_peer(who, &reached(peer), bytes)? {
                Some(to_peer) => route = to_peer,
                None => return Ok(Err(No::NO_ROOM)),
            }
        }
        self.route_to_siblings(who, &reached(who.user), bytes, &mut route)?;
        Ok(Ok(route))
    }

    pub(super) fn route_commit(
        &mut self,
        who: Who,
        peer: UserRow,
        send: &Send,
        commit: &Commit,
        group: &Group,
    ) -> Result<Result<CommitRoute, No>, RelayError> {
        let limits = &self.state.options.limits;
        let bounds = Bounds { body_bytes: limits.body_bytes as usize, frame_bytes: limits.frame_bytes as usize };
        let change = match group.change(who, send, commit, bounds) {
            Ok(change) => change,
            Err(no) => return Ok(Err(no)),
        };
        let told = change.told.into_iter().map(|device| (device, None));
        let welcomed = change.welcomed.into_iter().map(|(device, index)| (device, Some(index)));
        let (own, others): (Vec<_>, Vec<_>) =
            told.chain(welcomed).partition(|(device, _): &Addressee| device.user == who.user);
        let length = |&(_, welcome): &Addressee| match welcome {
            Some(index) => commit.welcomes[index].body.len() as u32,
            None => send.body.len() as u32,
        };
        let mut takers = Vec::with_capacity(others.len() + own.len());
        // As messages do, it waits for devices that were away for too long if there is no other.
        for is_absent in [false, true] {
            if takers.is_empty() {
                for addressee in others.iter().filter(|(device, _)| device.as_active().is_absent == is_absent) {
                    if self.takes(addressee.0.row, Some(who.user), length(addressee))? {
                        takers.push(*addressee);
                    }
                }
            }
        }
        if takers.is_empty() && !others.is_empty() {
            debug_assert_ne!(peer, who.user, "who is not the sender's is the peer's");
            return Ok(Err(No::NO_ROOM));
        }
        for addressee in own.iter().filter(|(device, _)| !device.as_active().is_absent) {
            if self.takes(addressee.0.row, None, length(addressee))? {
                takers.push(*addressee);
            }
        }
        let told = takers.iter().filter(|(_, welcome)| welcome.is_none()).map(|(device, _)| device.row).collect();
        let welcomed = takers.iter().filter_map(|&(device, welcome)| Some((device.row, welcome?))).collect();
        Ok(Ok(CommitRoute { roster: change.roster, told, welcomed }))
    }

    /// The conversation comes to its next epoch, and everybody concerned gets mail.
    pub(super) fn take_commit(&mut self, post: &Post<'_>, route: CommitRoute) -> Result<(), RelayError> {
        let Some(commit) = &post.send.commit else { return Ok(()) };
        self.advance(post.conversation, post.send.epoch, &route.roster)?;
        let declared = Commit { welcomes: Vec::new(), ..commit.clone() };
        self.fan_out(post, Cargo::Commit(&post.send.body, &declared), &route.told)?;
        for (device, index) in route.welcomed {
            self.fan_out(post, Cargo::Welcome(&commit.welcomes[index].body, &declared), &[device])?;
        }
        Ok(())
    }
}
