//! Trust: whose key is whose, what becomes of a user who has a new identity, and what people are told of it.
//!
//! Guarantees: an identity is taken for somebody's when it is the first one that is heard of, or when the node's directory names it as
//! the present one; each change is told. To whom somebody had verified nothing encrypted is sent under another key before they say so.

use std::collections::{BTreeMap, BTreeSet};

use chasqui_wire::{
    Comparison, Content, ContentKind, ConversationId, DeviceId, Envelope, KeyPackagesLeft, MessageId, Protection,
    Timestamp, UserId, direct_conversation,
};

use super::identity::Identity;
use super::recovery::name;
use super::{Engine, Reply, ResolvedUser, Secret, Turn, public_key};
use crate::domain::{SecurityEventKind, Trust};
use crate::e2ee::{Distrust, Fault};
use crate::error::Error;
use crate::store::{self, AccountRow, ConversationKey, ConversationRow, IdentityRow, NewSecurityEvent, StoreError};

type Answer = Result<Result<Reply, Error>, StoreError>;

/// Before the directory is asked again about somebody whose devices say something else than it does.
const PATIENCE_MS: u64 = 60_000;

/// Whose identity seems to be another one than the one that is known.
#[derive(Debug, Default)]
pub(super) struct Doubts {
    asked: BTreeMap<UserId, Timestamp>,
    /// Whose mail waits for the directory's answer.
    waiting: BTreeSet<UserId>,
}

impl Engine {
    /// Somebody's device has another identity than the one that is known: the directory tells whether there is a new one. Says whether
    /// it was asked now.
    pub(super) fn doubt(&mut self, turn: &mut Turn<'_>, user: UserId) -> bool {
        let asked = self.doubts.asked.get(&user);
        if asked.is_some_and(|&at| turn.now < at.plus_millis(PATIENCE_MS)) {
            return self.doubts.waiting.contains(&user);
        }
        self.doubts.asked.insert(user, turn.now);
        self.doubts.waiting.insert(user);
        self.ask_again(turn, user);
        true
    }

    /// The directory was asked about somebody, whatever came of it: mail that waited for that comes again.
    pub(super) fn directory_answered(&mut self, user: UserId) {
        if self.doubts.waiting.remove(&user) {
            self.recycle_socket = true;
        }
    }

    /// The directory says who somebody is.
    pub(super) fn learn_who(
        &mut self,
        turn: &mut Turn<'_>,
        user: UserId,
        answer: &ResolvedUser,
    ) -> Result<(), StoreError> {
        store::remember_user(turn.db, user, &answer.name)?;
        turn.changes.users = true;
        if self.account.as_ref().is_some_and(|account| account.user == user) {
            return Ok(());
        }
        let was_compared = store::last_comparison(turn.db, user)?.filter(|said| said.verified);
        if store::pin_identity_key(turn.db, user, &answer.identity_key)? {
            if was_compared.is_some_and(|said| said.identity_key != answer.identity_key) {
                self.contest(turn, user)?;
            }
            return Ok(());
        }
        let Some(known) = IdentityRow::get(turn.db, user)? else { return Ok(()) };
        let trust = match known.trust {
            _ if was_compared.is_some_and(|said| said.identity_key == answer.identity_key) => Trust::Verified,
            Trust::Unverified => Trust::Unverified,
            Trust::Verified | Trust::Changed => Trust::Changed,
        };
        IdentityRow::replace(turn.db, user, &answer.identity_key, trust, self.latest_time(turn.now))?;
        self.look_after(turn, user)?;
        let conversation = self.encrypted_with(user);
        let event =
            NewSecurityEvent { kind: SecurityEventKind::IdentityChanged, user: Some(user), device: None, conversation };
        self.tell_people(turn, &event)?;
        if let Some(conversation) = conversation {
            // Whoever is in its group under the old identity has no place there any more.
            self.let_go(turn, conversation)?;
            self.end_hold_of(turn, conversation)?;
            turn.changed(conversation);
        }
        Ok(())
    }

    /// Another device, or a backup, knows that people have compared another key than the one that is known here.
    pub(super) fn contest(&mut self, turn: &mut Turn<'_>, user: UserId) -> Result<(), StoreError> {
        if IdentityRow::get(turn.db, user)?.is_none_or(|known| known.trust == Trust::Changed) {
            return Ok(());
        }
        IdentityRow::contest(turn.db, user, self.latest_time(turn.now))?;
        turn.changes.users = true;
        let conversation = self.encrypted_with(user);
        let (kind, user) = (SecurityEventKind::IdentityChanged, Some(user));
        self.tell_people(turn, &NewSecurityEvent { kind, user, device: None, conversation })
    }

    /// What people make of somebody's identity.
    pub(super) fn set_trust(
        &mut self,
        turn: &mut Turn<'_>,
        user: UserId,
        shown: Option<[u8; 32]>,
        verified: bool,
    ) -> Answer {
        let Some(known) = IdentityRow::get(turn.db, user)? else {
            return Ok(Err(Error::NotFound { what: "identity" }));
        };
        if shown.is_some_and(|shown| shown != known.key) {
            return Ok(Err(Error::Invalid { detail: "the identity changed since it was shown: compare again".into() }));
        }
        // Later than whatever is known, if clocks differ.
        let last = store::last_comparison(turn.db, user)?.map_or(i64::MIN, |last| last.at.0.saturating_add(1));
        let at = self.node_time(turn.now).max(Timestamp(last));
        let said = Comparison { user, identity_key: known.key, verified, at };
        store::note_comparison(turn.db, &said)?;
        self.trust(turn, user, known.trust, verified)?;
        if self.account.as_ref().is_some_and(Identity::is_linked) {
            self.tell_comparison(turn, said)?;
        }
        Ok(Ok(Reply::Done))
    }

    fn trust(&mut self, turn: &mut Turn<'_>, user: UserId, known: Trust, verified: bool) -> Result<(), StoreError> {
        let trust = if verified { Trust::Verified } else { Trust::Unverified };
        if known == trust {
            return Ok(());
        }
        IdentityRow::set_trust(turn.db, user, trust)?;
        turn.changes.users = true;
        if let Some(conversation) = self.encrypted_with(user) {
            self.end_hold_of(turn, conversation)?;
            turn.changed(conversation);
        }
        Ok(())
    }

    /// The user's other devices hear of it.
    fn tell_comparison(&mut self, turn: &Turn<'_>, comparison: Comparison) -> Result<(), StoreError> {
        let Some(own) = self.account.as_ref().map(|account| account.device) else { return Ok(()) };
        let Some(conversation) = self.with_oneself(turn)? else { return Ok(()) };
        let (message, created_at) = (MessageId::from_bytes([0; 16]), turn.now);
        let mut content = Content { message, created_at, kind: ContentKind::Comparison(comparison), previous: vec![] };
        content.message = name(&[b"chasqui/v1/comparison", own.as_bytes(), &content.encode()]);
        self.say_to_devices(turn, &conversation, content.message, content.encode(), None, None)
    }

    /// People compared, or took it back, on another device.
    pub(super) fn hear_comparison(
        &mut self,
        turn: &mut Turn<'_>,
        envelope: &Envelope,
        comparison: &Comparison,
    ) -> Result<(), StoreError> {
        if !self.is_own_device(envelope) || comparison.user == envelope.sender_user {
            return Ok(());
        }
        self.take_comparison(turn, comparison).map(drop)
    }

    /// What another device, or a backup, knows of what people made of somebody else's identity; says whether that is news.
    pub(super) fn take_comparison(&mut self, turn: &mut Turn<'_>, comparison: &Comparison) -> Result<bool, StoreError> {
        let Comparison { user, identity_key, verified, at: _ } = *comparison;
        // Several devices may have been told of several things at once, and hear of each other in any order: the latest counts.
        let is_own = self.account.as_ref().is_some_and(|account| account.user == user);
        if is_own || !store::note_comparison(turn.db, comparison)? {
            return Ok(false);
        }
        let is_known = store::pin_identity_key(turn.db, user, &identity_key)?;
        let Some(known) = IdentityRow::get(turn.db, user)? else { return Ok(true) };
        if is_known {
            self.trust(turn, user, known.trust, verified)?;
        } else if verified {
            // Of two identities the directory knows the present one.
            self.ask_again(turn, user);
        }
        Ok(true)
    }

    /// Whether nothing is to be sent to somebody before people say what to make of their new identity.
    pub(super) fn is_unconfirmed(&self, turn: &Turn<'_>, conversation: &ConversationRow) -> Result<bool, StoreError> {
        let Some(peer) = conversation.peer.filter(|_| conversation.protection == Protection::EndToEnd) else {
            return Ok(false);
        };
        Ok(IdentityRow::get(turn.db, peer)?.is_some_and(|known| known.trust == Trust::Changed))
    }

    /// Tells what MLS, or whoever looks after it, would not believe.
    pub(super) fn report(
        &self,
        turn: &mut Turn<'_>,
        fault: &Fault,
        conversation: ConversationId,
        by: Option<(UserId, DeviceId)>,
    ) -> Result<(), StoreError> {
        let kind = match fault {
            Fault::Untrusted(Distrust::Device, _) => SecurityEventKind::UntrustedDevice,
            Fault::Untrusted(Distrust::Message, _) => SecurityEventKind::ForgedMessage,
            Fault::Untrusted(Distrust::Change, _) | Fault::Repeated => SecurityEventKind::ForgedChange,
            Fault::Forked => SecurityEventKind::ForkedConversation,
            Fault::OtherIdentity(user) => {
                let (user, device) = (Some(*user), by.map(|(_, device)| device));
                let kind = SecurityEventKind::UntrustedDevice;
                return self
                    .tell_people(turn, &NewSecurityEvent { kind, user, device, conversation: Some(conversation) });
            }
            Fault::Store(_) | Fault::NoGroup | Fault::Epoch | Fault::Unreadable(_) => return Ok(()),
        };
        let (user, device) = (by.map(|(user, _)| user), by.map(|(_, device)| device));
        self.tell_people(turn, &NewSecurityEvent { kind, user, device, conversation: Some(conversation) })
    }

    /// A message of this device's was kept back.
    pub(super) fn tell_of_missing(
        &self,
        turn: &mut Turn<'_>,
        conversation: ConversationKey,
        user: UserId,
        device: DeviceId,
    ) -> Result<(), StoreError> {
        let conversation = Some(ConversationRow::get(turn.db, conversation)?.id);
        let kind = SecurityEventKind::MissingMessage;
        self.tell_people(turn, &NewSecurityEvent { kind, user: Some(user), device: Some(device), conversation })
    }

    /// Somebody took what others need to write to this device.
    pub(super) fn tell_of_exhaustion(&self, turn: &mut Turn<'_>) -> Result<(), StoreError> {
        let kind = SecurityEventKind::KeyPackagesExhausted;
        self.tell_people(turn, &NewSecurityEvent { kind, user: None, device: None, conversation: None })
    }

    fn tell_people(&self, turn: &mut Turn<'_>, event: &NewSecurityEvent) -> Result<(), StoreError> {
        turn.changes.security |= store::note_security_event(turn.db, event, turn.now)?;
        Ok(())
    }

    fn encrypted_with(&self, user: UserId) -> Option<ConversationId> {
        self.account.as_ref().map(|account| direct_conversation(account.user, user, Protection::EndToEnd))
    }

    fn end_hold_of(&mut self, turn: &Turn<'_>, conversation: ConversationId) -> Result<(), StoreError> {
        if let Some(conversation) = ConversationRow::find(turn.db, conversation)? {
            self.outbox.end_hold(conversation.key);
        }
        Ok(())
    }

    /// Keeps a new identity, before the node is asked to take it. A try whose answer was lost goes on with the one that it had.
    pub(super) fn begin_identity(&mut self, turn: &mut Turn<'_>, seed: &Secret) -> Answer {
        let Some(row) = AccountRow::load(turn.db)?.filter(|row| row.enrolled) else {
            return Ok(Err(self.not_enrolled()));
        };
        if row.new_identity_seed.is_none() {
            AccountRow::set_new_identity(turn.db, seed)?;
        }
        Ok(Ok(Reply::Done))
    }

    /// The node took the new identity.
    pub(super) fn confirm_identity(&mut self, turn: &mut Turn<'_>) -> Answer {
        self.take_new_identity(turn)?;
        Ok(Ok(Reply::Done))
    }

    fn take_new_identity(&mut self, turn: &mut Turn<'_>) -> Result<(), StoreError> {
        if AccountRow::take_new_identity(turn.db)? {
            self.identity_is_new(turn)?;
        }
        Ok(())
    }

    /// What was said under the old one is of no use, to this device and to others.
    pub(super) fn identity_is_new(&mut self, turn: &mut Turn<'_>) -> Result<(), StoreError> {
        store::forget_groups(turn.db)?;
        let row = AccountRow::load(turn.db)?.ok_or(StoreError::Corrupt("no account to have an identity"))?;
        self.account = Some(Identity::new(row)?);
        self.groups.socket_gone();
        self.groups.told(Some(KeyPackagesLeft { one_time: 0, last_resort: false }));
        self.recovery.look();
        turn.changes.users = true;
        Ok(())
    }

    /// The node says which identity the user has.
    pub(super) fn heed_identity(&mut self, turn: &mut Turn<'_>, told: Option<[u8; 32]>) -> Result<(), StoreError> {
        let (Some(told), Some(row)) = (told, AccountRow::load(turn.db)?) else { return Ok(()) };
        // The answer to a reset was lost.
        if row.new_identity_seed.as_ref().is_some_and(|seed| public_key(seed) == told) {
            return self.take_new_identity(turn);
        }
        let is_other = row.identity_seed.as_ref().is_some_and(|seed| public_key(seed) != told);
        let other = is_other.then_some(told);
        if row.other_identity == other {
            return Ok(());
        }
        // Nothing is thrown away on the node's word: if it was restored to before the reset, this identity is the user's again.
        AccountRow::set_other_identity(turn.db, other)?;
        let row = AccountRow::load(turn.db)?.ok_or(StoreError::Corrupt("no account to have an identity"))?;
        let user = Some(row.user);
        self.account = Some(Identity::new(row)?);
        turn.changes.users = true;
        if is_other {
            let kind = SecurityEventKind::OwnIdentityReplaced;
            self.tell_people(turn, &NewSecurityEvent { kind, user, device: None, conversation: None })?;
        }
        Ok(())
    }
}
