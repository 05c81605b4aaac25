//! What is said in an encrypted conversation on its way into mailboxes: messages for the roster, commits for who stays, the
//! Welcome for all who join.
//!
//! Guarantees: epoch, roster and mail change in one transaction. A commit or Welcome that a device cannot take is dropped
//! without a trace: it is no message, so nobody misses it; the device notices by the next message, which it cannot read.
//! But a commit that no device of the peer could take is refused, because then none of them could read on.

use std::collections::BTreeMap;

use bytes::Bytes;
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
    welcomed: Vec<DeviceRow>,
}

/// A device that should get the commit or, as it joins, the Welcome.
#[derive(Clone, Copy)]
struct Addressee {
    device: GroupDevice,
    joins: bool,
}

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
        let options = &self.state.options;
        let bounds =
            Bounds { segment_bytes: options.segment_bytes as usize, frame_bytes: options.limits.frame_bytes as usize };
        let change = match group.change(who, send, commit, bounds) {
            Ok(change) => change,
            Err(no) => return Ok(Err(no)),
        };
        let told = change.told.into_iter().map(|device| Addressee { device, joins: false });
        let welcomed = change.welcomed.into_iter().map(|device| Addressee { device, joins: true });
        let (own, others): (Vec<_>, Vec<_>) = told.chain(welcomed).partition(|to| to.device.user == who.user);
        let length = |to: &Addressee| if to.joins { commit.welcome.len() as u32 } else { send.body.len() as u32 };
        let mut takers = Vec::with_capacity(others.len() + own.len());
        // As messages do, it waits for devices that were away for too long if there is no other.
        for is_absent in [false, true] {
            if takers.is_empty() {
                for addressee in others.iter().filter(|to| to.device.as_active().is_absent == is_absent) {
                    if self.takes(addressee.device.row, Some(who.user), length(addressee))? {
                        takers.push(*addressee);
                    }
                }
            }
        }
        if takers.is_empty() && !others.is_empty() {
            debug_assert_ne!(peer, who.user, "who is not the sender's is the peer's");
            return Ok(Err(No::NO_ROOM));
        }
        for addressee in own.iter().filter(|to| !to.device.as_active().is_absent) {
            if self.takes(addressee.device.row, None, length(addressee))? {
                takers.push(*addressee);
            }
        }
        let rows = |joins: bool| takers.iter().filter(|to| to.joins == joins).map(|to| to.device.row).collect();
        Ok(Ok(CommitRoute { roster: change.roster, told: rows(false), welcomed: rows(true) }))
    }

    /// The conversation comes to its next epoch, and everybody concerned gets mail.
    pub(super) fn take_commit(&mut self, post: &Post<'_>, route: CommitRoute) -> Result<(), RelayError> {
        let Some(commit) = &post.send.commit else { return Ok(()) };
        self.advance(post.conversation, post.send.epoch, &route.roster)?;
        let declared = Commit { welcome: Bytes::new(), ..commit.clone() };
        self.fan_out(post, Cargo::Commit(&post.send.body, &declared), &route.told)?;
        self.fan_out(post, Cargo::Welcome(&commit.welcome, &declared), &route.welcomed)
    }
}
