//! Claim: who is in a conversation's group, who should be, and what it takes to put them there.
//!
//! Guarantees: a package that is given once is given in the transaction that answers. Whoever asks often, or is not wanted,
//! is given packages of last resort, so that no stranger uses up what others need; a claim says nothing about
//! what the peer thinks of who asks. What does not fit into a frame is left out, and lacks again the next time.

use chasqui_wire::{
    Claim, Claimed, ConversationKind, ErrorCode, KeyPackage, Protection, RosterEntry, direct_conversation,
};

use super::commit::rejected;
use super::epoch::Bounds;
use super::key_packages::Sort;
use super::publish::No;
use super::requests::Gate;
use super::roster::{Group, GroupDevice};
use super::step::Step;
use super::{Event, RelayError, Who};
use crate::store::UserRow;

impl Step<'_> {
    pub(super) fn claim(&mut self, who: Who, claim: &Claim) -> Result<(), RelayError> {
        let over_rate = self.over_rate(who).or_else(|| self.over_rate_of_claims(who));
        let answer = match over_rate {
            Some(retry_after_ms) => Err(No(ErrorCode::RateLimited, "too many claims a minute", retry_after_ms)),
            None => self.claimed(who, claim)?,
        };
        let answer = match answer {
            Ok(claimed) => Event::Claimed(Box::new(claimed)),
            Err(No(code, detail, retry_after_ms)) => rejected(claim.id, code, detail, retry_after_ms),
        };
        self.answer(who.session, answer);
        Ok(())
    }

    fn claimed(&mut self, who: Who, claim: &Claim) -> Result<Result<Claimed, No>, RelayError> {
        if claim.kind != ConversationKind::Direct {
            return Ok(Err(No(ErrorCode::NotSupported, "this node has direct conversations", 0)));
        }
        if claim.protection != Protection::EndToEnd {
            return Ok(Err(No(ErrorCode::Invalid, "only encrypted conversations have a group", 0)));
        }
        let Some(peer_id) = claim.peer else {
            return Ok(Err(No(ErrorCode::Invalid, "a direct conversation needs a peer", 0)));
        };
        if claim.conversation != direct_conversation(who.user_id, peer_id, claim.protection) {
            return Ok(Err(No(ErrorCode::Invalid, "the conversation is not the one with this peer", 0)));
        }
        let Some(peer) = self.user_by_id(peer_id)? else {
            return Ok(Err(No(ErrorCode::UnknownUser, "no such peer", 0)));
        };
        if self.is_deleted(peer)? {
            return Ok(Err(No(ErrorCode::AccountDeleted, "the peer deleted the account", 0)));
        }
        let conversation = self.conversation_by_id(claim.conversation)?.map(|(row, _)| row);
        if let Some(conversation) = conversation
            && self.is_behind(who.device, conversation)?
        {
            return Ok(Err(No::BEHIND));
        }
        let group = self.group(conversation, [who.user, peer])?;
        if !group.find(who.device_id).is_some_and(|asking| asking.is_there) {
            return Ok(Err(No(ErrorCode::NotLinked, "nobody of the user has linked this device", 0)));
        }
        let wanted =
            |device: &&GroupDevice| device.row != who.device && (device.is_lacking() || claim.anew && device.is_there);
        let wanted: Vec<GroupDevice> = group.devices.iter().filter(wanted).copied().collect();
        let is_open = peer == who.user || self.gate(conversation, who.user, peer)? != Gate::Closed;
        let asks_peer = wanted.iter().any(|device| device.user != who.user && device.has_package);
        let is_spared = asks_peer && !(is_open && self.may_use_up(who.user, peer));
        let packages = self.packages_of(&wanted, |user| user != who.user && is_spared, &group)?;
        let entries = |devices: &mut dyn Iterator<Item = &GroupDevice>| devices.map(|device| device.entry).collect();
        let roster: Vec<RosterEntry> = entries(&mut group.roster());
        let gone = entries(&mut group.devices.iter().filter(|device| device.is_gone()));
        Ok(Ok(Claimed { id: claim.id, epoch: group.epoch, roster, gone, packages }))
    }

    /// A package of each device that has one, as far as they fit into one frame beside the roster.
    fn packages_of(
        &mut self,
        wanted: &[GroupDevice],
        is_spared: impl Fn(UserRow) -> bool,
        group: &Group,
    ) -> Result<Vec<KeyPackage>, RelayError> {
        let listed = group.roster().count() + group.devices.iter().filter(|device| device.is_gone()).count();
        let frame = self.state.options.limits.frame_bytes as usize;
        let mut room = frame.saturating_sub(Bounds::FRAME + listed * Bounds::ENTRY);
        let mut packages = Vec::new();
        for device in wanted.iter().filter(|device| device.has_package) {
            let mut offer = None;
            if !is_spared(device.user) {
                offer = self.offer(device.row, Sort::OneTime)?;
            }
            if offer.is_none() {
                offer = self.offer(device.row, Sort::LastResort)?;
            }
            let Some(offer) = offer else { continue };
            // With its tags and lengths.
            let bytes = offer.body.len() + Bounds::ENTRY + 8;
            if bytes > room {
                break;
            }
            room -= bytes;
            packages.push(KeyPackage { entry: device.entry, body: self.give(offer)? });
        }
        Ok(packages)
    }
}
