//! Linking: a new device of the user gets the user's identity from one that has it.
//!
//! The new device shows a code, which another device of the user reads: a commitment to a key. Keys are exchanged, both show a number,
//! people say on both that it is the same, and the identity goes over, sealed ([`crate::e2ee::Exchange`]). All of it is said
//! from device to device in the conversation with oneself; an attempt lives in memory only, and ends with the process.
//!
//! Guarantees: the identity leaves for nobody whose number was not confirmed here, and is taken from nobody whose number was not.

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD as BASE64;
use bytes::Bytes;
use chasqui_wire::{
    Content, ContentKind, ConversationKind, DeviceId, Envelope, KeyPackagesLeft, Linking, LinkingGrant, LinkingStep,
    Protection, direct_conversation,
};

use super::recovery::name;
use super::{Engine, Output, Reply, Secret, Turn};
use crate::e2ee::{Agreed, Exchange, Parties};
use crate::error::Error;
use crate::store::{AccountRow, ConversationHead, StoreError};

/// What the code begins with, which a camera finds; 1 is the version of what follows: the device and its commitment, in
/// base64url (RFC 4648, section 5).
const CODE: &str = "chasqui:link:1:";

type Answer = Result<Result<Reply, Error>, StoreError>;

/// How far an attempt has come, for whoever waits for it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum LinkingState {
    /// There is none.
    #[default]
    None,
    /// This device is to be linked, and shows this code.
    Shown(String),
    /// This device links another, and waits for it.
    Asked {
        /// What the other one committed to, which names the attempt.
        attempt: [u8; 32],
    },
    /// People are to see whether both devices show the same number.
    Compare {
        /// As for the above.
        attempt: [u8; 32],
        /// Six digits.
        number: String,
    },
    /// The other device, or this one, has what it needs.
    Done,
    /// Why not: English, for developers.
    Failed(String),
}

/// An attempt: `attempt` is the commitment that names it.
pub(super) enum Attempt {
    /// To be linked: the code is shown.
    Shown { attempt: [u8; 32], exchange: Exchange },
    /// To be linked: the number is shown.
    Comparing { attempt: [u8; 32], agreed: Agreed, approver: DeviceId, is_confirmed: bool, granted: Option<Secret> },
    /// Links: waits for the new device's key.
    Asked { attempt: [u8; 32], exchange: Exchange, newcomer: DeviceId },
    /// Links: the number is shown.
    Approving { attempt: [u8; 32], agreed: Agreed, newcomer: DeviceId },
}

impl Attempt {
    fn name(&self) -> [u8; 32] {
        match *self {
            Self::Shown { attempt, .. }
            | Self::Comparing { attempt, .. }
            | Self::Asked { attempt, .. }
            | Self::Approving { attempt, .. } => attempt,
        }
    }

    /// The other device, once it is known.
    fn other(&self) -> Option<DeviceId> {
        match *self {
            Self::Shown { .. } => None,
            Self::Comparing { approver, .. } => Some(approver),
            Self::Asked { newcomer, .. } | Self::Approving { newcomer, .. } => Some(newcomer),
        }
    }
}

/// The device and its commitment.
fn read_code(code: &str) -> Option<(DeviceId, [u8; 32])> {
    let bytes = BASE64.decode(code.trim().strip_prefix(CODE)?).ok()?;
    let (device, attempt) = bytes.split_first_chunk::<16>()?;
    Some((DeviceId::from_bytes(*device), attempt.try_into().ok()?))
}

/// What names the attempt that a code begins.
pub(crate) fn linking_attempt(code: &str) -> Option<[u8; 32]> {
    read_code(code).map(|(_, attempt)| attempt)
}

fn write_code(device: DeviceId, attempt: &[u8; 32]) -> String {
    format!("{CODE}{}", BASE64.encode([device.as_bytes().as_slice(), attempt].concat()))
}

impl Engine {
    /// This device is to be linked. `seed` is 32 random bytes.
    pub(super) fn begin_linking(&mut self, turn: &mut Turn<'_>, seed: &Secret) -> Answer {
        let Some(account) = &self.account else { return Ok(Err(self.not_enrolled())) };
        if account.is_linked() {
            return Ok(Err(Error::Invalid { detail: "this device is linked already".into() }));
        }
        let parties = Parties { realm: account.realm, user: account.user, newcomer: account.device };
        let exchange = Exchange::new(seed);
        let attempt = parties.commitment(&exchange.public());
        let code = write_code(account.device, &attempt);
        self.leave_linking(turn)?;
        self.linking = Some(Attempt::Shown { attempt, exchange });
        turn.outputs.push(Output::Linking(LinkingState::Shown(code)));
        Ok(Ok(Reply::Done))
    }

    /// Links the device that shows this code. `seed` is 32 random bytes.
    pub(super) fn link_device(&mut self, turn: &mut Turn<'_>, code: &str, seed: &Secret) -> Answer {
        let Some(account) = &self.account else { return Ok(Err(self.not_enrolled())) };
        if !account.is_linked() {
            return Ok(Err(Error::NotLinked));
        }
        let Some((newcomer, attempt)) = read_code(code).filter(|(newcomer, _)| *newcomer != account.device) else {
            return Ok(Err(Error::Invalid { detail: "this is not the code of a device to be linked".into() }));
        };
        // A camera that reads the same code once more changes nothing.
        if self.linking.as_ref().is_some_and(|known| known.name() == attempt) {
            return Ok(Ok(Reply::Done));
        }
        self.leave_linking(turn)?;
        let exchange = Exchange::new(seed);
        self.tell(turn, newcomer, attempt, LinkingStep::Offer(exchange.public()))?;
        self.linking = Some(Attempt::Asked { attempt, exchange, newcomer });
        turn.outputs.push(Output::Linking(LinkingState::Asked { attempt }));
        Ok(Ok(Reply::Done))
    }

    /// The user says that both devices show the same number.
    pub(super) fn confirm_linking(&mut self, turn: &mut Turn<'_>) -> Answer {
        match self.linking.take() {
            Some(Attempt::Comparing { attempt, agreed, approver, granted, .. }) => {
                match granted {
                    Some(seed) => self.take_identity(turn, &seed, approver)?,
                    None => {
                        self.linking =
                            Some(Attempt::Comparing { attempt, agreed, approver, is_confirmed: true, granted: None });
                    }
                }
                Ok(Ok(Reply::Done))
            }
            Some(Attempt::Approving { attempt, agreed, newcomer }) => {
                let row = AccountRow::load(turn.db)?.filter(|row| row.other_identity.is_none());
                let seed = row.and_then(|row| row.identity_seed);
                let grant = seed.map(|seed| LinkingGrant { identity_seed: *seed.expose() }.encode());
                let Some(Ok(sealed)) = grant.map(|grant| agreed.seal(grant)) else {
                    return Ok(Err(Error::NotLinked));
                };
                self.tell(turn, newcomer, attempt, LinkingStep::Grant(sealed.into()))?;
                turn.outputs.push(Output::Linking(LinkingState::Done));
                Ok(Ok(Reply::Done))
            }
            other => {
                self.linking = other;
                Ok(Err(Error::Invalid { detail: "no number is shown that could be confirmed".into() }))
            }
        }
    }

    /// Nothing comes of it; the other device is told, if it is known.
    pub(super) fn cancel_linking(&mut self, turn: &mut Turn<'_>) -> Answer {
        if self.leave_linking(turn)? {
            fail(turn, "cancelled here");
        }
        Ok(Ok(Reply::Done))
    }

    /// Ends an attempt, if there is one: what people do last counts, and who waits for what they did before is told.
    fn leave_linking(&mut self, turn: &Turn<'_>) -> Result<bool, StoreError> {
        let Some(attempt) = self.linking.take() else { return Ok(false) };
        if let Some(other) = attempt.other() {
            self.tell(turn, other, attempt.name(), LinkingStep::Refusal)?;
        }
        Ok(true)
    }

    /// Another device of the user says something about linking.
    pub(super) fn hear_of_linking(
        &mut self,
        turn: &mut Turn<'_>,
        envelope: &Envelope,
        linking: &Linking,
    ) -> Result<(), StoreError> {
        let Some(account) = &self.account else { return Ok(()) };
        let is_own = envelope.sender_user == account.user && envelope.peer == Some(account.user);
        if !is_own || self.linking.as_ref().is_none_or(|attempt| attempt.name() != linking.attempt) {
            return Ok(());
        }
        let (realm, user, device) = (account.realm, account.user, account.device);
        let (name, sender) = (linking.attempt, envelope.sender_device);
        match (self.linking.take(), &linking.step) {
            (Some(Attempt::Shown { attempt, exchange }), LinkingStep::Offer(key)) => {
                let (parties, own) = (Parties { realm, user, newcomer: device }, exchange.public());
                let Ok(agreed) = exchange.agree(parties, sender, &own, key) else {
                    return self.refuse_linking(turn, sender, name, "the other device's key is of no use");
                };
                self.tell(turn, sender, name, LinkingStep::Reveal(own))?;
                turn.outputs.push(Output::Linking(LinkingState::Compare { attempt, number: agreed.number.clone() }));
                self.linking =
                    Some(Attempt::Comparing { attempt, agreed, approver: sender, is_confirmed: false, granted: None });
            }
            (Some(Attempt::Asked { attempt, exchange, newcomer }), LinkingStep::Reveal(key)) if newcomer == sender => {
                let parties = Parties { realm, user, newcomer };
                if parties.commitment(key) != attempt {
                    return self.refuse_linking(turn, sender, name, "the other device shows another key than its code");
                }
                let Ok(agreed) = exchange.agree(parties, device, key, &exchange.public()) else {
                    return self.refuse_linking(turn, sender, name, "the other device's key is of no use");
                };
                turn.outputs.push(Output::Linking(LinkingState::Compare { attempt, number: agreed.number.clone() }));
                self.linking = Some(Attempt::Approving { attempt, agreed, newcomer });
            }
            (
                Some(Attempt::Comparing { attempt, agreed, approver, is_confirmed, granted: None }),
                LinkingStep::Grant(sealed),
            ) if approver == sender => {
                let grant = agreed.open(sealed).ok().and_then(|grant| LinkingGrant::decode(&grant).ok());
                let Some(grant) = grant else {
                    fail(turn, "what the other device sent was not for this one");
                    return Ok(());
                };
                let seed = Secret::new(grant.identity_seed);
                if is_confirmed {
                    return self.take_identity(turn, &seed, approver);
                }
                let granted = Some(seed);
                self.linking = Some(Attempt::Comparing { attempt, agreed, approver, is_confirmed, granted });
            }
            // Keys are shown to one only. Whoever read the code as well, or once more, does not wait in vain.
            (Some(known @ Attempt::Comparing { .. }), LinkingStep::Offer(_)) => {
                if known.other() == Some(sender) {
                    return self.refuse_linking(turn, sender, name, "begun anew on the other device");
                }
                self.tell(turn, sender, name, LinkingStep::Refusal)?;
                self.linking = Some(known);
            }
            (Some(attempt), LinkingStep::Refusal) if attempt.other().is_none_or(|other| other == sender) => {
                fail(turn, "cancelled on the other device");
            }
            (attempt, _) => self.linking = attempt,
        }
        Ok(())
    }

    /// What was said did not reach the other device: it is gone, somebody else's, or has no room.
    pub(super) fn linking_reached_nobody(&mut self, turn: &mut Turn<'_>, linking: &Linking) {
        let is_of_this = self.linking.as_ref().is_some_and(|attempt| attempt.name() == linking.attempt);
        // What the other one was to have last is said when nothing is waited for here any more.
        if is_of_this || matches!(linking.step, LinkingStep::Grant(_)) {
            self.linking = None;
            fail(turn, "the other device cannot be reached: it is not one of the user's, or not any more");
        }
    }

    /// From here on this device takes part in encrypted conversations.
    fn take_identity(&mut self, turn: &mut Turn<'_>, seed: &Secret, approver: DeviceId) -> Result<(), StoreError> {
        AccountRow::set_identity_seed(turn.db, seed)?;
        // What it has of groups is of an identity that it had before, if it had any.
        self.identity_is_new(turn)?;
        // The node has none of this device.
        self.groups.told(Some(KeyPackagesLeft { one_time: 0, last_resort: false }));
        self.recovery.look();
        self.begin_transfer(turn, approver)?;
        self.groups.is_newcomer = true;
        Ok(())
    }

    /// The node has the key packages of this device: whatever is written from here on is for it, too.
    pub(super) fn takes_part_now(&mut self, turn: &mut Turn<'_>) {
        if std::mem::take(&mut self.groups.is_newcomer) {
            turn.outputs.push(Output::Linking(LinkingState::Done));
        }
    }

    fn refuse_linking(
        &mut self,
        turn: &mut Turn<'_>,
        other: DeviceId,
        attempt: [u8; 32],
        why: &'static str,
    ) -> Result<(), StoreError> {
        self.tell(turn, other, attempt, LinkingStep::Refusal)?;
        fail(turn, why);
        Ok(())
    }

    fn tell(
        &mut self,
        turn: &Turn<'_>,
        device: DeviceId,
        attempt: [u8; 32],
        step: LinkingStep,
    ) -> Result<(), StoreError> {
        let Some(account) = &self.account else { return Ok(()) };
        let (user, own) = (account.user, account.device);
        let protection = Protection::NodeReadable;
        let id = direct_conversation(user, user, protection);
        let head = ConversationHead { id, kind: ConversationKind::Direct, protection, peer: Some(user) };
        let conversation = self.conversation_of_devices(turn, &head)?;
        let mut content = Content {
            message: chasqui_wire::MessageId::from_bytes([0; 16]),
            created_at: turn.now,
            kind: ContentKind::Linking(Linking { attempt, step }),
            previous: vec![],
        };
        let words: Bytes = content.encode();
        content.message = name(&[b"chasqui/v1/linking", own.as_bytes(), device.as_bytes(), &words]);
        self.say_to_devices(turn, &conversation, content.message, content.encode(), Some(device), None)
    }
}

fn fail(turn: &mut Turn<'_>, why: &str) {
    turn.outputs.push(Output::Linking(LinkingState::Failed(why.to_owned())));
}
