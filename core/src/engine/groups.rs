//! Who is in the group of an encrypted conversation: the claims and commits that bring a group up to date before something is sent. The
//! rules are those of docs/adr/0012-encryption.md.
//!
//! Guarantees: a commit of this device is in force here when the node has taken it, not before. A group that cannot be followed is
//! let go of and begun anew with the next message; no message waits for it.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use chasqui_wire::{
    Accepted, Claim, Claimed, ClientFrame, ConversationId, Envelope, ErrorCode, KeyPackagesLeft, Limits, MessageId,
    Protection, Rejected, RosterEntry, Send, Seq, StorageClass, UserId,
};

use super::encrypted::id_of_hash;
use super::identity::Identity;
use super::renewal::{Renewals, renews};
use super::{Engine, SocketId, Turn};
use crate::e2ee::{Change, Distrust, Fault, GroupId, Leaf, Mls, Offering, Own};
use crate::planted::{PlantedBug, planted};
use crate::store::{self, ConversationRow, SecuredRow, StoreError};

/// How often it is asked after a commit that the node has taken and that does not arrive here.
const PATIENCE: u32 = 4;

/// What is asked of the node for groups, on this socket.
#[derive(Debug, Default)]
pub(super) struct Groups {
    pub(super) asked: BTreeMap<MessageId, Asked>,
    /// The node refused something because of who is in the group, or because of its epoch; and how often that was asked after.
    doubted: BTreeMap<ConversationId, u32>,
    /// Whose group lacks somebody who cannot be put there: the node is not asked to refuse what is sent for that.
    pub(super) insisting: BTreeSet<ConversationId>,
    /// Whose mail is not taken on this socket any more, because something before it could not be.
    pub(super) held_up: BTreeSet<ConversationId>,
    /// What the node has of this device's key packages, until that was looked at.
    pub(super) packages: Option<KeyPackagesLeft>,
    /// The node would not have them: it knows another identity.
    packages_refused: bool,
    /// It was linked, and whoever linked it waits until it takes part.
    pub(super) is_newcomer: bool,
    pub(super) renewals: Renewals,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Asked {
    Claim { conversation: ConversationId, anew: bool },
    Offer { conversation: ConversationId },
    Packages(Offering),
}

impl Asked {
    fn conversation(self) -> Option<ConversationId> {
        match self {
            Self::Claim { conversation, .. } | Self::Offer { conversation } => Some(conversation),
            Self::Packages(_) => None,
        }
    }
}

impl Groups {
    pub(super) fn socket_gone(&mut self) {
        self.asked.clear();
        self.insisting.clear();
        self.held_up.clear();
        self.packages = None;
        self.packages_refused = false;
    }

    pub(super) fn in_flight(&self) -> usize {
        self.asked.len()
    }

    pub(super) fn told(&mut self, left: Option<KeyPackagesLeft>) {
        if left.is_some() {
            self.packages = left;
            self.packages_refused = false;
        }
    }

    /// Whether others can put this device in their groups: the node has its key packages.
    pub(super) fn are_packages_there(&self) -> bool {
        !self.are_packages_offered()
            && !self.packages_refused
            && self.packages.is_none_or(|left| left.one_time > 0 || left.last_resort)
    }

    pub(super) fn are_packages_offered(&self) -> bool {
        self.asked.values().any(|asked| matches!(asked, Asked::Packages(_)))
    }

    /// What comes after it would use its keys up.
    pub(super) fn hold_up(&mut self, conversation: Option<ConversationId>) {
        self.held_up.extend(conversation);
    }

    pub(super) fn is_held_up(&self, conversation: ConversationId) -> bool {
        self.held_up.contains(&conversation)
    }

    fn claims(&self, conversation: ConversationId) -> u32 {
        self.doubted.get(&conversation).copied().unwrap_or(0)
    }

    pub(super) fn is_asked(&self, conversation: ConversationId) -> bool {
        self.asked.values().any(|asked| asked.conversation() == Some(conversation))
    }
}

/// Whether the devices in a group are those.
fn has_members(mls: &Mls<'_>, group: GroupId, roster: &[RosterEntry]) -> Result<bool, StoreError> {
    match mls.members(group) {
        Ok(members) => Ok(members.len() == roster.len() && members.iter().all(|leaf| roster.contains(&leaf.entry()))),
        Err(Fault::Store(error)) => Err(error),
        Err(_) => Ok(false),
    }
}

/// Whoever is neither of the two has no place in their conversation, nor has a device on another identity's word.
pub(super) fn check<'a>(
    turn: &'a Turn<'_>,
    own: &'a Own,
    peer: Option<UserId>,
) -> impl Fn(&Leaf) -> Result<(), Fault> + 'a {
    move |leaf| {
        if leaf.user == own.user() {
            let is_own = leaf.identity_key == own.identity_key();
            let other = || Fault::Untrusted(Distrust::Device, "a device of the user's under another identity");
            return if is_own { Ok(()) } else { Err(other()) };
        }
        if Some(leaf.user) != peer {
            return Err(Fault::Untrusted(Distrust::Device, "somebody else is in the group of two"));
        }
        let is_known = store::pin_identity_key(turn.db, leaf.user, &leaf.identity_key)?;
        if is_known { Ok(()) } else { Err(Fault::OtherIdentity(leaf.user)) }
    }
}

impl Engine {
    /// Whether something can be sent in this conversation now. If it takes a claim or a commit first, that is on its way.
    pub(super) fn is_ready_to_send(
        &mut self,
        turn: &mut Turn<'_>,
        socket: SocketId,
        conversation: &ConversationRow,
    ) -> Result<bool, StoreError> {
        if conversation.protection != Protection::EndToEnd {
            return Ok(true);
        }
        let is_linked = self.account.as_ref().is_some_and(Identity::is_linked);
        // A commit that waits in the mailbox would make whatever is sent now a thing of the past.
        let is_known = is_linked && self.groups.are_packages_there();
        let has_mail = !self.link.is_drained() && !planted(PlantedBug::CommitsOvertaken);
        if !is_known || has_mail || self.groups.is_asked(conversation.id) {
            return Ok(false);
        }
        let row = SecuredRow::get(turn.db, conversation.id)?;
        let is_doubted = self.groups.doubted.contains_key(&conversation.id);
        if self.is_unconfirmed(turn, conversation)? {
            return Ok(false);
        }
        if row.offer.is_none() && row.group.is_some() && !is_doubted {
            return Ok(true);
        }
        if self.outbox.has_unanswered(conversation.key) {
            return Ok(false);
        }
        if let Some((frame, _)) = &row.offer {
            self.offer(turn, socket, conversation, frame)?;
            return Ok(false);
        }
        let (id, anew) = (self.outbox.next_id(), row.group.is_none());
        if let Some(claims) = self.groups.doubted.get_mut(&conversation.id) {
            *claims += 1;
        }
        self.groups.asked.insert(id, Asked::Claim { conversation: conversation.id, anew });
        let ConversationRow { id: conversation, kind, protection, peer, .. } = *conversation;
        turn.transmit(socket, &ClientFrame::Claim(Claim { id, conversation, kind, protection, peer, anew }));
        Ok(false)
    }

    pub(super) fn offer(
        &mut self,
        turn: &mut Turn<'_>,
        socket: SocketId,
        conversation: &ConversationRow,
        frame: &Bytes,
    ) -> Result<(), StoreError> {
        // Sent all the same it would cost the socket, again and again.
        if frame.len() > self.link.limits().unwrap_or(&Limits::DEFAULT).frame_bytes as usize {
            tracing::error!(bytes = frame.len(), "a commit is larger than a frame");
            return self.give_up(turn, conversation, ErrorCode::TooLarge);
        }
        let mut send = offered(frame)?;
        send.restart = self.outbox.takes_restart(conversation.key);
        self.groups.asked.insert(send.message, Asked::Offer { conversation: conversation.id });
        turn.transmit(socket, &ClientFrame::Send(send));
        Ok(())
    }

    /// The node says who should be in a group.
    pub(super) fn claimed(&mut self, turn: &mut Turn<'_>, claimed: &Claimed) -> Result<(), StoreError> {
        let Some(Asked::Claim { conversation, anew }) = self.groups.asked.remove(&claimed.id) else { return Ok(()) };
        let Some(conversation) = ConversationRow::find(turn.db, conversation)? else { return Ok(()) };
        let mut refused = Vec::new();
        self.bring_up_to_date(turn, claimed, &conversation, anew, &mut refused)?;
        for (entry, fault) in refused {
            let is_asked_after = matches!(fault, Fault::OtherIdentity(user) if self.doubt(turn, user));
            if !is_asked_after {
                self.report(turn, &fault, conversation.id, Some((entry.user, entry.device)))?;
            }
        }
        Ok(())
    }

    /// `refused` are those who should be in the group and cannot be put there.
    fn bring_up_to_date(
        &mut self,
        turn: &mut Turn<'_>,
        claimed: &Claimed,
        conversation: &ConversationRow,
        anew: bool,
        refused: &mut Vec<(RosterEntry, Fault)>,
    ) -> Result<(), StoreError> {
        let Some(own) = self.account.as_ref().and_then(|account| account.own.as_ref()) else { return Ok(()) };
        let (mls, check) = (Mls::new(own, turn.db), check(turn, own, conversation.peer));
        let mut row = SecuredRow::get(turn.db, conversation.id)?;
        if row.offer.is_some() {
            return Ok(());
        }
        let is_here = claimed.roster.contains(&own.entry());
        let change = match row.group {
            // Mail that says otherwise came in the meantime.
            Some(_) if anew => return Ok(()),
            // A restored node may be at the same epoch, and not know whom it was told of since. It would give them nothing.
            Some(group) if is_here && row.epoch == claimed.epoch && !has_members(&mls, group, &claimed.roster)? => None,
            Some(group) if is_here && row.epoch == claimed.epoch => {
                let removed: Vec<_> = match planted(PlantedBug::RevokedStay) {
                    true => Vec::new(),
                    false => claimed.gone.iter().map(|entry| entry.device).collect(),
                };
                let changed = mls.change(group, &claimed.packages, &removed, check).map(|mut change| {
                    refused.append(&mut change.refused);
                    change
                });
                match changed {
                    Ok(change) if change.is_empty() => {
                        settle(mls.withdraw(group))?;
                        self.groups.doubted.remove(&conversation.id);
                        if !claimed.packages.is_empty() || !claimed.gone.is_empty() {
                            // Somebody who should be in it, and cannot be put there, or who is out of it already.
                            self.groups.insisting.insert(conversation.id);
                        }
                        return Ok(());
                    }
                    Ok(change) => Some((change, None)),
                    Err(Fault::Store(error)) => return Err(error),
                    Err(fault) => {
                        tracing::warn!(%fault, "a group cannot be changed");
                        None
                    }
                }
            }
            // A commit is on its way here.
            Some(_) if is_here && row.epoch < claimed.epoch && self.groups.claims(conversation.id) < PATIENCE => {
                self.groups.doubted.entry(conversation.id).or_default();
                self.outbox.hold(conversation.key, turn.now, 0);
                return Ok(());
            }
            Some(_) => None,
            None if !anew => None,
            None => {
                let group = GroupId::random()?;
                let begun = mls.begin(group, &claimed.packages, check).map(|mut change| {
                    refused.append(&mut change.refused);
                    change
                });
                match begun {
                    Ok(change) if change.reaches(conversation.peer, own.user()) => Some((change, Some(group))),
                    Ok(_) => {
                        // Nobody there could read it: the peer has no device that takes part yet.
                        settle(mls.forget(group))?;
                        self.outbox.hold(conversation.key, turn.now, 0);
                        return Ok(());
                    }
                    Err(Fault::Store(error)) => return Err(error),
                    Err(fault) => {
                        tracing::error!(%fault, "no group can be begun");
                        self.outbox.hold(conversation.key, turn.now, 0);
                        return Ok(());
                    }
                }
            }
        };
        let Some((change, begun)) = change else {
            return self.let_go(turn, conversation.id);
        };
        self.groups.doubted.remove(&conversation.id);
        row.offer = Some((offer(conversation, claimed.epoch, change), begun));
        row.put(turn.db, conversation.id)
    }

    /// Whether the answer was to something of a group.
    pub(super) fn group_accepted(&mut self, turn: &mut Turn<'_>, accepted: &Accepted) -> Result<bool, StoreError> {
        let Some(asked) = self.groups.asked.remove(&accepted.message) else { return Ok(false) };
        let conversation = match asked {
            Asked::Offer { conversation } => conversation,
            Asked::Packages(offering) => {
                if let Some(own) = self.account.as_ref().and_then(|account| account.own.as_ref()) {
                    Mls::new(own, turn.db).key_packages_taken(offering, self.node_time(turn.now))?;
                }
                self.takes_part_now(turn);
                return Ok(true);
            }
            Asked::Claim { .. } => return Ok(true),
        };
        if let Some(group) = self.enact(turn, conversation, accepted.seq)? {
            self.takes_part_in(turn, conversation, group, accepted.seq)?;
        }
        if let Some(seq) = accepted.seq {
            store::note_group_change(turn.db, conversation, seq)?;
            if let Some(conversation) = ConversationRow::find(turn.db, conversation)? {
                conversation.raise_head(turn.db, seq)?;
                self.outbox.end_hold(conversation.key);
            }
        }
        Ok(true)
    }

    /// The commit that this device offered is in force.
    fn enact(
        &self,
        turn: &Turn<'_>,
        conversation: ConversationId,
        since: Option<Seq>,
    ) -> Result<Option<GroupId>, StoreError> {
        let Some(own) = self.account.as_ref().and_then(|account| account.own.as_ref()) else { return Ok(None) };
        let mut row = SecuredRow::get(turn.db, conversation)?;
        let Some((frame, begun)) = row.offer.take() else { return Ok(None) };
        let mls = Mls::new(own, turn.db);
        if let (Some(old), Some(_)) = (row.group, begun) {
            settle(mls.forget(old))?;
        }
        let group = begun.or(row.group);
        row.group = match group.map(|group| mls.merge(group)) {
            Some(Ok(())) => group,
            Some(Err(Fault::Store(error))) => return Err(error),
            Some(Err(_)) | None => None,
        };
        let offered = offered(&frame)?;
        row.epoch = offered.epoch + 1;
        row.since = since;
        if offered.commit.is_some_and(|commit| renews(&commit)) {
            row.renew_at = None;
        }
        row.put(turn.db, conversation)?;
        Ok(row.group)
    }

    /// What is of the epoch that the commit of this device leads to shows that the node has taken it, and that only its answer
    /// was lost: another's commit would have come before. Says whether it seems so; it is not when that other commit was lost.
    pub(super) fn learn_what_was_taken(&self, turn: &Turn<'_>, envelope: &Envelope) -> Result<bool, StoreError> {
        let row = SecuredRow::get(turn.db, envelope.conversation)?;
        match row.offer {
            Some((frame, _)) if offered(&frame)?.epoch + 1 == envelope.epoch => {
                self.enact(turn, envelope.conversation, envelope.seq.before())?;
                Ok(true)
            }
            _ => Ok(false),
        }
    }

    /// Whether the refusal was of something of a group.
    pub(super) fn group_rejected(&mut self, turn: &mut Turn<'_>, rejected: &Rejected) -> Result<bool, StoreError> {
        let Some(asked) = self.groups.asked.remove(&rejected.message) else { return Ok(false) };
        tracing::debug!(code = %rejected.code, ?asked, "refused");
        if let Asked::Packages(offering) = asked {
            if let Some(own) = self.account.as_ref().and_then(|account| account.own.as_ref()) {
                Mls::new(own, turn.db).key_packages_refused(offering)?;
            }
            // A newcomer has none there; of others some are left, whatever this was.
            self.groups.packages_refused = rejected.code == ErrorCode::NotLinked || self.groups.is_newcomer;
        }
        let Some(id) = asked.conversation() else { return Ok(true) };
        let Some(conversation) = ConversationRow::find(turn.db, id)? else { return Ok(true) };
        let is_offer = matches!(asked, Asked::Offer { .. });
        if is_offer {
            self.outbox.wants_restart(conversation.key);
        }
        self.outbox.hold(conversation.key, turn.now, u64::from(rejected.retry_after_ms));
        match rejected.code {
            // What cannot be said to this peer fails as it would without encryption.
            code @ (ErrorCode::RequestPending
            | ErrorCode::UnknownUser
            | ErrorCode::AccountDeleted
            | ErrorCode::TooLarge) => {
                if let (ErrorCode::AccountDeleted, Some(peer)) = (code, conversation.peer) {
                    self.account_deleted(turn, peer)?;
                }
                self.give_up(turn, &conversation, code)?;
            }
            ErrorCode::EpochConflict | ErrorCode::NotInRoster | ErrorCode::RosterStale if is_offer => {
                self.withdraw(turn, id)?;
                // Whoever came first has written, or the node was restored: the next claim tells. A renewal asks for none: refused
                // once more, it gives up the group.
                let was_doubted = self.groups.doubted.contains_key(&id) && !self.outbox.holds(conversation.key);
                if rejected.code == ErrorCode::NotInRoster || was_doubted {
                    self.let_go(turn, id)?;
                }
                self.groups.doubted.entry(id).or_default();
                self.outbox.end_hold(conversation.key);
            }
            code if code.is_retryable() || !is_offer => {}
            _ => {
                self.withdraw(turn, id)?;
                self.let_go(turn, id)?;
            }
        }
        Ok(true)
    }

    /// What a message waits for cannot be done: it fails.
    fn give_up(
        &mut self,
        turn: &mut Turn<'_>,
        conversation: &ConversationRow,
        code: ErrorCode,
    ) -> Result<(), StoreError> {
        self.withdraw(turn, conversation.id)?;
        // Keys that nobody can be given are not renewed before somebody writes.
        let row = SecuredRow { renew_at: None, ..SecuredRow::get(turn.db, conversation.id)? };
        row.put(turn.db, conversation.id)?;
        self.fail_first(turn, conversation, code)
    }

    /// A message was refused because of the group: it is encrypted again when the group is up to date. Where a claim changes nothing,
    /// as long as the peer has no device that takes part, it waits as the node asks; mail that changes the group ends that.
    pub(super) fn message_was_out_of_date(
        &mut self,
        turn: &mut Turn<'_>,
        conversation: &ConversationRow,
        rejected: &Rejected,
    ) -> Result<(), StoreError> {
        self.outbox.hold_if_again(conversation.key, turn.now, u64::from(rejected.retry_after_ms));
        if rejected.code == ErrorCode::NotInRoster {
            return self.let_go(turn, conversation.id);
        }
        self.groups.insisting.remove(&conversation.id);
        self.groups.doubted.entry(conversation.id).or_default();
        Ok(())
    }

    /// Takes back a commit that the node will not take.
    pub(super) fn withdraw(&mut self, turn: &Turn<'_>, conversation: ConversationId) -> Result<(), StoreError> {
        let Some(own) = self.account.as_ref().and_then(|account| account.own.as_ref()) else { return Ok(()) };
        let mut row = SecuredRow::get(turn.db, conversation)?;
        let Some((_, begun)) = row.offer.take() else { return Ok(()) };
        let mls = Mls::new(own, turn.db);
        match (begun, row.group) {
            (Some(begun), _) => settle(mls.forget(begun))?,
            (None, Some(group)) => settle(mls.withdraw(group))?,
            (None, None) => {}
        }
        self.groups.asked.retain(|_, asked| asked.conversation() != Some(conversation));
        row.put(turn.db, conversation)
    }

    /// The group cannot be followed: a new one is begun when something is to be sent.
    pub(super) fn let_go(&self, turn: &Turn<'_>, conversation: ConversationId) -> Result<(), StoreError> {
        let Some(own) = self.account.as_ref().and_then(|account| account.own.as_ref()) else { return Ok(()) };
        let mut row = SecuredRow::get(turn.db, conversation)?;
        row.renew_at = None;
        if let Some(group) = row.group.take() {
            settle(Mls::new(own, turn.db).forget(group))?;
        }
        row.put(turn.db, conversation)
    }
}

/// A commit as the node gets it.
pub(super) fn offer(conversation: &ConversationRow, epoch: u64, change: Change) -> Bytes {
    let send = Send {
        message: id_of_hash(&change.declared.hash),
        conversation: conversation.id,
        kind: conversation.kind,
        protection: conversation.protection,
        peer: conversation.peer,
        body: change.commit,
        storage: StorageClass::Durable,
        urgent: false,
        ttl_seconds: 0,
        restart: false,
        reclaim_seq: None,
        after_seq: None,
        resend_of: None,
        only_device: None,
        epoch,
        commit: Some(change.declared),
        roster_checked: true,
    };
    ClientFrame::Send(Box::new(send)).encode()
}

/// A commit that waits for the node's answer.
fn offered(frame: &Bytes) -> Result<Box<Send>, StoreError> {
    let send = Send::decode_frame(frame.clone());
    send.map(Box::new).map_err(|_| StoreError::Corrupt("a commit that waits is no frame"))
}

/// What MLS could not do to something that is given up anyway is no reason to stop.
pub(super) fn settle(outcome: Result<(), Fault>) -> Result<(), StoreError> {
    match outcome {
        Err(Fault::Store(error)) => Err(error),
        Err(fault) => {
            tracing::warn!(%fault, "a group was not put away");
            Ok(())
        }
        Ok(()) => Ok(()),
    }
}
