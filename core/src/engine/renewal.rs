//! Renewal: a device that is in a group gives it new keys of its own, by a commit that changes nobody.
//!
//! Whoever was put in a group has keys there that lay with the node for as long as its key package did, and in a large group makes
//! the commits of all others long (RFC 9420, section 16.6, and "cold" trees): within a day it makes new ones. Whoever has written
//! makes new ones a month after that, so that stolen keys are of use for no longer. Who says nothing need not.
//!
//! Guarantees: no message waits for it longer than for the node's answer; what is refused is tried again an hour later.

use chasqui_wire::{Commit, ConversationId, Timestamp};

use super::groups::offer;
use super::identity::Identity;
use super::{Engine, SocketId, Turn};
use crate::e2ee::{Fault, Mls};
use crate::planted::{PlantedBug, planted};
use crate::store::{self, ConversationRow, Request, SecuredRow, StoreError};

const HOUR_MS: u64 = 3_600_000;
const DAY_MS: u64 = 24 * HOUR_MS;
/// How long keys serve a device that writes.
const KEYS_LAST_MS: u64 = 30 * DAY_MS;

/// When keys are to be renewed next.
#[derive(Debug, Default)]
pub(super) struct Renewals {
    /// It was looked up, and is not before then.
    next: Option<Next>,
}

#[derive(Clone, Copy, Debug)]
enum Next {
    At(Timestamp),
    Never,
}

impl Renewals {
    /// Something changed: look it up again.
    pub(super) fn look(&mut self) {
        self.next = None;
    }

    pub(super) fn wake_at(&self) -> Option<Timestamp> {
        match self.next {
            Some(Next::At(at)) => Some(at),
            Some(Next::Never) | None => None,
        }
    }

    fn is_waiting(&self, now: Timestamp) -> bool {
        match self.next {
            Some(Next::At(at)) => at > now,
            Some(Next::Never) => true,
            None => false,
        }
    }
}

/// Whether a commit has new keys of its author: all have but those that only add (RFC 9420, section 12.4), and who begins a group made
/// its keys for that.
pub(super) fn renews(commit: &Commit) -> bool {
    commit.begins || commit.added.is_empty() || !commit.removed.is_empty()
}

impl Engine {
    /// Devices that were put in a group at once do not renew their keys at once.
    pub(super) fn renew_within_a_day(&mut self, now: Timestamp) -> Timestamp {
        self.groups.renewals.look();
        now.plus_millis(HOUR_MS + self.link.random(DAY_MS - HOUR_MS))
    }

    /// Something was said by keys that are to be renewed, then.
    pub(super) fn keys_are_used(
        &mut self,
        turn: &Turn<'_>,
        conversation: ConversationId,
        mut row: SecuredRow,
    ) -> Result<(), StoreError> {
        if row.renew_at.is_none() {
            row.renew_at = Some(turn.now.plus_millis(KEYS_LAST_MS));
            row.put(turn.db, conversation)?;
            self.groups.renewals.look();
        }
        Ok(())
    }

    /// Offers the next commit that is due.
    pub(super) fn renew_keys(&mut self, turn: &mut Turn<'_>, socket: SocketId) -> Result<(), StoreError> {
        let Some(own) = self.account.as_ref().and_then(Identity::linked) else { return Ok(()) };
        if self.groups.renewals.is_waiting(turn.now) || planted(PlantedBug::KeysForever) {
            return Ok(());
        }
        // Whatever it waits for now will make a step by itself.
        self.groups.renewals.look();
        let is_free = self.link.is_drained() && self.groups.in_flight() == 0 && self.groups.are_packages_there();
        if !is_free {
            return Ok(());
        }
        let Some((id, at)) = store::next_renewal(turn.db, turn.now.plus_millis(2 * KEYS_LAST_MS))? else {
            self.groups.renewals.next = Some(Next::Never);
            return Ok(());
        };
        if at > turn.now {
            self.groups.renewals.next = Some(Next::At(at));
            return Ok(());
        }
        let mut row = SecuredRow::get(turn.db, id)?;
        // Before something was said, or to a stranger, nothing is done that others see.
        let conversation = ConversationRow::find(turn.db, id)?.filter(|row| row.request == Request::No);
        let Some(conversation) = conversation else {
            row.renew_at = Some(turn.now.plus_millis(DAY_MS));
            return row.put(turn.db, id);
        };
        row.renew_at = Some(turn.now.plus_millis(HOUR_MS));
        let is_quiet = !self.outbox.holds(conversation.key) && !self.is_unconfirmed(turn, &conversation)?;
        if let (Some(group), None, true) = (row.group, &row.offer, is_quiet) {
            match Mls::new(own, turn.db).change(group, &[], &[], |_| Ok(())) {
                Ok(change) => row.offer = Some((offer(&conversation, row.epoch, change), None)),
                Err(Fault::Store(error)) => return Err(error),
                Err(fault) => tracing::warn!(%fault, "keys cannot be renewed"),
            }
        }
        row.put(turn.db, id)?;
        if let (Some((frame, _)), true, false) = (&row.offer, is_quiet, planted(PlantedBug::KeysUntold)) {
            self.offer(turn, socket, &conversation, frame)?;
        }
        Ok(())
    }
}
