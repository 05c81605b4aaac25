//! What is done with a group: begin it, join it, change who is in it, say and read something in it.

use std::collections::BTreeSet;

use bytes::Bytes;
use chasqui_wire::{Commit, DeviceId, KeyPackage as Claimed, RosterEntry, UserId};
use openmls::framing::errors::{MessageDecryptionError, SecretTreeError};
use openmls::prelude::{
    KeyPackage, LeafNode, LeafNodeIndex, MlsGroup, MlsGroupJoinConfig, MlsMessageIn,
    PURE_CIPHERTEXT_WIRE_FORMAT_POLICY, ProcessMessageError, ProcessedMessageContent, Proposal, ProtocolMessage,
    Sender, SenderRatchetConfiguration, StagedCommit, StagedWelcome, ValidationError, Welcome,
};
use ring::digest::{Context, SHA256, digest};
use ring::rand::SecureRandom as _;
use tls_codec::{DeserializeBytes as _, Serialize as _};

use super::kept::Kept;
use super::key_package::{Keys, capabilities, lifetime};
use super::{Distrust, Fault, Leaf, Mls, SUITE};
use crate::ordered;
use crate::store::StoreError;

/// Names a group: random, made by who begins it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct GroupId(pub(crate) [u8; 16]);

impl GroupId {
    pub(crate) fn random() -> Result<Self, StoreError> {
        let mut bytes = [0; 16];
        let filled = ring::rand::SystemRandom::new().fill(&mut bytes);
        filled.map_err(|_| StoreError::Corrupt("the system has no random numbers"))?;
        Ok(Self(bytes))
    }

    fn mls(self) -> openmls::prelude::GroupId {
        openmls::prelude::GroupId::from_slice(&self.0)
    }
}

/// Texts are padded to a multiple of this, so that their length says less.
const PADDING: usize = 64;
/// Bytes that a message grows by when it is sealed, at most: header, signature, tag and padding.
pub(crate) const SEALED_BYTES: usize = 320;
/// Bytes of [`past`] in front of what is sealed.
const PAST: usize = 8;
/// The node keeps the order, so hardly any key is needed later than the one after it.
const OUT_OF_ORDER: u32 = 8;
/// What a device missed (a full mailbox, a long absence) is skipped: a hash each.
const SKIPPED_MAX: u32 = 100_000;

/// A change of who is in a group, made here and not yet in force.
#[derive(Debug)]
pub(crate) struct Change {
    /// To all who were in it.
    pub(crate) commit: Bytes,
    /// As it is declared to the node.
    pub(crate) declared: Commit,
    /// Who was to be put in, and was not.
    pub(crate) refused: Vec<(RosterEntry, Fault)>,
}

impl Change {
    pub(crate) fn is_empty(&self) -> bool {
        self.declared.added.is_empty() && self.declared.removed.is_empty()
    }

    /// Whether a group that it begins has a device of `peer`, if that is somebody else.
    pub(crate) fn reaches(&self, peer: Option<UserId>, own: UserId) -> bool {
        peer.is_none_or(|peer| peer == own || self.declared.added.iter().any(|entry| entry.user == peer))
    }
}

/// A group that this device is in from now on.
#[derive(Debug)]
pub(crate) struct Joined {
    pub(crate) group: GroupId,
    /// The same if the same Welcome is taken again.
    pub(crate) past: [u8; PAST],
    /// By a key package of this device that others may have as well.
    pub(crate) by_last_resort: bool,
    /// Who put this device in.
    by: RosterEntry,
    members: BTreeSet<RosterEntry>,
}

impl Joined {
    /// Whether it is what was declared, by whom it is said to be.
    pub(crate) fn is(&self, declared: &Commit, by: RosterEntry) -> Result<(), Fault> {
        let added = ordered::set(declared.added.iter().copied());
        let is_as_declared = match declared.begins {
            true => self.members.iter().filter(|&&member| member != by).eq(&added),
            false => self.members.is_superset(&added),
        };
        if self.by != by || !is_as_declared {
            return Err(Fault::Untrusted(Distrust::Change, "a Welcome to another group than was declared"));
        }
        Ok(())
    }
}

/// What was said in a group.
#[derive(Debug)]
pub(crate) struct Opened {
    pub(crate) sender: Leaf,
    pub(crate) content: Vec<u8>,
}

impl Mls<'_> {
    /// Begins a group of this device and of those whose key packages are given. It is there when it is in force: see
    /// [`Self::merge`].
    ///
    /// A key package that is not what it says, or of no use there, is left out; `check` refuses whoever does not belong there.
    pub(crate) fn begin(
        &self,
        id: GroupId,
        packages: &[Claimed],
        check: impl Fn(&Leaf) -> Result<(), Fault>,
    ) -> Result<Change, Fault> {
        let mut group = MlsGroup::builder()
            .with_group_id(id.mls())
            .ciphersuite(SUITE)
            .with_capabilities(capabilities())
            .lifetime(lifetime())
            .with_wire_format_policy(PURE_CIPHERTEXT_WIRE_FORMAT_POLICY)
            .padding_size(PADDING)
            .max_past_epochs(0)
            .sender_ratchet_configuration(SenderRatchetConfiguration::new(OUT_OF_ORDER, SKIPPED_MAX))
            .use_ratchet_tree_extension(true)
            .build(&self.provider, &self.own.signer, self.own.credential.clone())
            .map_err(|error| self.fault(error))?;
        let change = self.stage(&mut group, packages, &[], check)?;
        Ok(Change { declared: Commit { begins: true, ..change.declared }, ..change })
    }

    /// Puts devices in, and takes others out.
    pub(crate) fn change(
        &self,
        id: GroupId,
        packages: &[Claimed],
        removed: &[DeviceId],
        check: impl Fn(&Leaf) -> Result<(), Fault>,
    ) -> Result<Change, Fault> {
        self.stage(&mut self.load(id)?, packages, removed, check)
    }

    fn stage(
        &self,
        group: &mut MlsGroup,
        packages: &[Claimed],
        removed: &[DeviceId],
        check: impl Fn(&Leaf) -> Result<(), Fault>,
    ) -> Result<Change, Fault> {
        let mut leaving: Vec<(LeafNodeIndex, Leaf)> = Vec::new();
        let mut keys = Keys::default();
        for member in group.members() {
            let leaf = self.own.verified(&member.credential, &member.signature_key)?;
            if removed.contains(&leaf.device) {
                leaving.push((member.index, leaf));
            } else {
                keys.of_member(member);
            }
        }
        let mut added: Vec<(KeyPackage, Leaf)> = Vec::new();
        let mut refused = Vec::new();
        for package in packages {
            let found = self.claimed(package, group.ciphersuite()).and_then(|found| check(&found.1).map(|()| found));
            match found.and_then(|found| self.take_keys(&mut keys, &found.0).map(|()| found)) {
                Ok(found) => added.push(found),
                Err(Fault::Store(error)) => return Err(error.into()),
                Err(fault) => {
                    tracing::warn!(%fault, "a device cannot be put in a group");
                    refused.push((package.entry, fault));
                }
            }
        }
        let bundle = group
            .commit_builder()
            .propose_removals(leaving.iter().map(|(index, _)| *index))
            .propose_adds(added.iter().map(|(package, _)| package.clone()))
            .load_psks(&self.provider.storage)
            .map_err(|error| self.fault(error))?
            .build(&self.provider.crypto, &self.provider.crypto, &self.own.signer, |_| true)
            .map_err(|error| self.fault(error))?
            .stage_commit(&self.provider)
            .map_err(|error| self.fault(error))?;
        let commit: Bytes = bundle.commit().to_bytes().map_err(|error| self.fault(error))?.into();
        let welcome = bundle.welcome().map(Welcome::tls_serialize_detached).transpose();
        let welcome = welcome.map_err(|error| self.fault(error))?.unwrap_or_default();
        let declared = Commit {
            hash: digest(&SHA256, &commit).as_ref().try_into().expect("SHA-256 has 32 bytes"),
            added: added.iter().map(|(_, leaf)| leaf.entry()).collect(),
            removed: leaving.iter().map(|(_, leaf)| leaf.entry()).collect(),
            begins: false,
            welcome: welcome.into(),
        };
        Ok(Change { commit, declared, refused })
    }

    /// What was made here last is in force: the node has taken it.
    pub(crate) fn merge(&self, id: GroupId) -> Result<(), Fault> {
        self.load(id)?.merge_pending_commit(&self.provider).map_err(|error| self.fault(error))
    }

    /// What was made here last is not in force: another change came first.
    pub(crate) fn withdraw(&self, id: GroupId) -> Result<(), Fault> {
        self.load(id)?.clear_pending_commit(&self.provider.storage).map_err(|error| self.fault(error))
    }

    /// Takes over the change that somebody else made, if it is the one that was declared. Returns who made it.
    pub(crate) fn follow(
        &self,
        id: GroupId,
        message: &[u8],
        declared: &Commit,
        check: impl Fn(&Leaf) -> Result<(), Fault>,
    ) -> Result<RosterEntry, Fault> {
        let mut group = self.load(id)?;
        let (author, content) = self.process(&mut group, message, None)?;
        let ProcessedMessageContent::StagedCommitMessage(staged) = content else {
            return Err(Fault::Unreadable("not a commit".into()));
        };
        let (added, removed) = self.delta(&group, &staged, &author)?;
        added.iter().try_for_each(check)?;
        let entries = |leaves: &[Leaf]| ordered::set(leaves.iter().map(Leaf::entry));
        let said = |entries: &[RosterEntry]| ordered::set(entries.iter().copied());
        if entries(&added) != said(&declared.added) || entries(&removed) != said(&declared.removed) {
            return Err(Fault::Untrusted(Distrust::Change, "a commit does something else than was declared"));
        }
        group.merge_staged_commit(&self.provider, *staged).map_err(|error| self.fault(error))?;
        Ok(author.entry())
    }

    /// Who a commit adds and removes. It may do nothing else than that, and renew its author's own keys.
    fn delta(&self, group: &MlsGroup, staged: &StagedCommit, author: &Leaf) -> Result<(Vec<Leaf>, Vec<Leaf>), Fault> {
        let (mut added, mut removed) = (Vec::new(), Vec::new());
        for queued in staged.queued_proposals() {
            match queued.proposal() {
                Proposal::Add(add) => added.push(self.verified(add.key_package().leaf_node())?),
                Proposal::Remove(remove) => removed.push(self.member(group, remove.removed())?),
                _ => return Err(Fault::Untrusted(Distrust::Change, "a commit does more than to add and remove")),
            }
        }
        if let Some(renewed) = staged.update_path_leaf_node()
            && self.verified(renewed)? != *author
        {
            return Err(Fault::Untrusted(Distrust::Change, "a commit makes its author somebody else"));
        }
        Ok((added, removed))
    }

    fn verified(&self, leaf: &LeafNode) -> Result<Leaf, Fault> {
        self.own.verified(leaf.credential(), leaf.signature_key().as_slice())
    }

    fn member(&self, group: &MlsGroup, index: LeafNodeIndex) -> Result<Leaf, Fault> {
        let member = group.member_at(index).ok_or(Fault::Untrusted(Distrust::Change, "nobody is there"))?;
        self.own.verified(&member.credential, &member.signature_key)
    }

    /// Joins a group; every leaf in it passes `check`. It may take the place of `old` and of no other one: whoever begins a group
    /// chooses its name, which for others stands in front of every message.
    pub(crate) fn join(
        &self,
        bytes: &[u8],
        old: Option<GroupId>,
        check: impl Fn(&Leaf) -> Result<(), Fault>,
    ) -> Result<Joined, Fault> {
        let welcome = Welcome::tls_deserialize_exact_bytes(bytes).map_err(|error| self.fault(error))?;
        let config = MlsGroupJoinConfig::builder()
            .wire_format_policy(PURE_CIPHERTEXT_WIRE_FORMAT_POLICY)
            .padding_size(PADDING)
            .max_past_epochs(0)
            .sender_ratchet_configuration(SenderRatchetConfiguration::new(OUT_OF_ORDER, SKIPPED_MAX))
            .use_ratchet_tree_extension(true)
            .build();
        let builder = StagedWelcome::build_from_welcome(&self.provider, &config, welcome);
        let builder = builder.map_err(|error| self.fault(error))?;
        let by_last_resort = builder.processed_welcome().own_key_package().is_some_and(KeyPackage::last_resort);
        let staged = builder.skip_lifetime_validation().replace_old_group().build();
        let staged = staged.map_err(|error| self.fault(error))?;
        let mut members = BTreeSet::new();
        for member in staged.members() {
            let leaf = self.own.verified(&member.credential, &member.signature_key)?;
            check(&leaf)?;
            members.insert(leaf.entry());
        }
        let by = self.verified(staged.welcome_sender().map_err(|error| self.fault(error))?)?.entry();
        let id = staged.group_context().group_id().as_slice().try_into();
        let group = GroupId(id.map_err(|_| Fault::Unreadable("a group's id is not 16 bytes".into()))?);
        drop(self.own.groups.take(group));
        let is_here = || MlsGroup::load(&self.provider.storage, &group.mls()).map_err(|error| self.fault(error));
        if Some(group) != old && is_here()?.is_some() {
            return Err(Fault::Untrusted(Distrust::Change, "a Welcome to a group by the name of another one"));
        }
        let joined = staged.into_group(&self.provider).map_err(|error| self.fault(error))?;
        Ok(Joined { group, past: past(&joined), by_last_resort, by, members })
    }

    /// For all in the group. `header` is what is said about it in clear: whoever reads it has to have the same.
    pub(crate) fn seal(&self, id: GroupId, header: &[u8], content: &[u8]) -> Result<Bytes, Fault> {
        let mut kept = self.resume(id)?;
        kept.group.set_aad(header.to_vec());
        let sealed = kept.group.create_message(&self.provider, &self.own.signer, content);
        let sealed = sealed.map_err(|error| self.fault(error))?.to_bytes();
        let sealed = sealed.map_err(|error| self.fault(error))?;
        let past = past(&kept.group);
        self.keep(kept);
        Ok([past.as_slice(), &sealed].concat().into())
    }

    /// Reads what was sealed, once.
    pub(crate) fn open(&self, id: GroupId, header: &[u8], message: &[u8]) -> Result<Opened, Fault> {
        let mut kept = self.resume(id)?;
        let (of, message) =
            message.split_at_checked(PAST).ok_or_else(|| Fault::Unreadable("shorter than a message can be".into()))?;
        let processed = self.process(&mut kept.group, message, Some(header)).map_err(|fault| match fault {
            Fault::Unreadable(_) if of != past(&kept.group) => Fault::Forked,
            fault => fault,
        });
        let (sender, content) = processed?;
        self.keep(kept);
        match content {
            ProcessedMessageContent::ApplicationMessage(content) => {
                Ok(Opened { sender, content: content.into_bytes() })
            }
            _ => Err(Fault::Unreadable("not a message".into())),
        }
    }

    fn process(
        &self,
        group: &mut MlsGroup,
        message: &[u8],
        header: Option<&[u8]>,
    ) -> Result<(Leaf, ProcessedMessageContent), Fault> {
        let message = MlsMessageIn::tls_deserialize_exact_bytes(message).map_err(|error| self.fault(error))?;
        let message: ProtocolMessage = message.try_into_protocol_message().map_err(|error| self.fault(error))?;
        if message.group_id() != group.group_id() || message.epoch() != group.epoch() {
            return Err(Fault::Epoch);
        }
        let processed = group.process_message(&self.provider, message).map_err(|error| match error {
            // Whoever seals uses a key once, and what comes again as it was is known by its id.
            ProcessMessageError::ValidationError(ValidationError::UnableToDecrypt(
                MessageDecryptionError::SecretTreeError(SecretTreeError::SecretReuseError),
            )) if header.is_some() => Fault::Untrusted(Distrust::Message, "a message comes again as another one"),
            error => self.fault(error),
        })?;
        if header.is_some_and(|header| header != processed.aad()) {
            return Err(Fault::Untrusted(Distrust::Message, "a message is not what its header says"));
        }
        let Sender::Member(index) = *processed.sender() else {
            return Err(Fault::Untrusted(Distrust::Message, "from outside the group"));
        };
        Ok((self.member(group, index)?, processed.into_content()))
    }

    /// Who is in it.
    pub(crate) fn members(&self, id: GroupId) -> Result<Vec<Leaf>, Fault> {
        let kept = self.resume(id)?;
        let leaf = |member: openmls::prelude::Member| self.own.verified(&member.credential, &member.signature_key);
        let members = kept.group.members().map(leaf).collect();
        self.keep(kept);
        members
    }

    /// How many changes it has seen.
    pub(crate) fn epoch(&self, id: GroupId) -> Result<u64, Fault> {
        let kept = self.resume(id)?;
        let epoch = kept.group.epoch().as_u64();
        self.keep(kept);
        Ok(epoch)
    }

    /// Forgets it, with its keys.
    pub(crate) fn forget(&self, id: GroupId) -> Result<(), Fault> {
        drop(self.own.groups.take(id));
        // Also one that this device was taken out of.
        let group = MlsGroup::load(&self.provider.storage, &id.mls()).map_err(|error| self.fault(error))?;
        group.map_or(Ok(()), |mut group| group.delete(&self.provider.storage).map_err(|error| self.fault(error)))
    }

    /// For what changes nothing in it but the keys of messages: it is read only if it is not [kept](super::kept).
    pub(super) fn resume(&self, id: GroupId) -> Result<Kept, Fault> {
        let secrets = self.provider.storage.secrets(&id.mls())?.ok_or(Fault::NoGroup)?;
        drop(self.provider.storage.written_secrets());
        match self.own.groups.take(id) {
            Some(kept) if kept.secrets == secrets => Ok(kept),
            _ => {
                let group = self.load(id)?;
                Ok(Kept { id, members: group.members().count(), group, secrets })
            }
        }
    }

    /// What failed must not come here: then the group is read anew.
    pub(super) fn keep(&self, kept: Kept) {
        let secrets = self.provider.storage.written_secrets().unwrap_or(kept.secrets);
        self.own.groups.keep(Kept { secrets, ..kept });
    }

    pub(super) fn load(&self, id: GroupId) -> Result<MlsGroup, Fault> {
        drop(self.own.groups.take(id));
        let group = MlsGroup::load(&self.provider.storage, &id.mls()).map_err(|error| self.fault(error))?;
        group.filter(MlsGroup::is_active).ok_or(Fault::NoGroup)
    }
}

/// Says in clear which past a group has, and nothing else: the beginning of a hash of its epoch's authenticator (RFC 9420, section
/// 8.7), which is the same for those who agree on everything that ever happened to it.
///
/// What can be read shows by that alone that both agree. This tells why something cannot be.
fn past(group: &MlsGroup) -> [u8; PAST] {
    let mut hash = Context::new(&SHA256);
    hash.update(b"chasqui past");
    hash.update(group.epoch_authenticator().as_slice());
    hash.finish().as_ref()[..PAST].try_into().expect("SHA-256 has 32 bytes")
}
