//! What lets devices meet in a group (MLS, RFC 9420): key packages, and who should be there. See docs/adr/0012-encryption.md.

use bytes::Bytes;

use crate::parse::{fixed, optional, wire};
use crate::{
    Commit, ConversationId, ConversationKind, DeviceId, FrameError, MessageId, Protection, RosterEntry, UserId,
    proto::v1,
};

/// What others need to put this device in a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyPackages {
    /// Names it in the answer.
    pub id: MessageId,
    /// Ed25519 by the user's identity key over [`crate::signing::link`].
    pub link: [u8; 64],
    /// Each is given away once; at most [`Self::ONE_TIME_MAX`].
    pub one_time: Vec<Bytes>,
    /// Given away when there is no other.
    pub last_resort: Option<Bytes>,
    /// In place of all that the node has of this device.
    pub replace: bool,
}

impl KeyPackages {
    /// The most that a node keeps of one device.
    pub const ONE_TIME_MAX: usize = 100;
    /// The longest key package, in bytes; ours have about 500.
    pub const LENGTH_MAX: usize = 4 * 1024;

    pub(crate) fn parse(frame: v1::KeyPackages) -> Result<Self, FrameError> {
        if frame.one_time.len() > Self::ONE_TIME_MAX {
            return Err(FrameError::Malformed("too many key packages"));
        }
        let is_body = |body: &Bytes| !body.is_empty() && body.len() <= Self::LENGTH_MAX;
        let last_resort = Some(frame.last_resort).filter(|body| !body.is_empty());
        if !frame.one_time.iter().chain(&last_resort).all(is_body) {
            return Err(FrameError::Malformed("a key package is empty or too long"));
        }
        Ok(Self {
            id: MessageId::from_slice(&frame.id)?,
            link: fixed(&frame.link, "key_packages.link is not 64 bytes")?,
            one_time: frame.one_time,
            last_resort,
            replace: frame.replace,
        })
    }

    pub(crate) fn wire(&self) -> v1::KeyPackages {
        v1::KeyPackages {
            id: self.id.wire(),
            link: wire(&self.link),
            one_time: self.one_time.clone(),
            last_resort: self.last_resort.clone().unwrap_or_default(),
            replace: self.replace,
        }
    }
}

/// What others can still claim of a device.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KeyPackagesLeft {
    /// Given away once each.
    pub one_time: u32,
    /// Whether there is one for when those are used up.
    pub last_resort: bool,
}

impl KeyPackagesLeft {
    pub(crate) fn parse(left: v1::KeyPackagesLeft) -> Self {
        Self { one_time: left.one_time, last_resort: left.last_resort }
    }

    pub(crate) fn wire(&self) -> v1::KeyPackagesLeft {
        v1::KeyPackagesLeft { one_time: self.one_time, last_resort: self.last_resort }
    }
}

/// Asks who should be in the group of a conversation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Claim {
    /// Names it in the answer.
    pub id: MessageId,
    /// Where.
    pub conversation: ConversationId,
    /// What that is.
    pub kind: ConversationKind,
    /// Who can read it.
    pub protection: Protection,
    /// Direct conversations: the other user.
    pub peer: Option<UserId>,
    /// Key packages of all devices, to begin a group; otherwise of those that the roster lacks.
    pub anew: bool,
}

impl Claim {
    pub(crate) fn parse(frame: v1::Claim) -> Result<Self, FrameError> {
        Ok(Self {
            id: MessageId::from_slice(&frame.id)?,
            conversation: ConversationId::from_slice(&frame.conversation)?,
            kind: ConversationKind::parse(frame.kind)?,
            protection: Protection::parse(frame.protection)?,
            peer: optional(&frame.peer, UserId::from_slice)?,
            anew: frame.anew,
        })
    }

    pub(crate) fn wire(&self) -> v1::Claim {
        v1::Claim {
            id: self.id.wire(),
            conversation: self.conversation.wire(),
            kind: self.kind.number().into(),
            protection: self.protection.number().into(),
            peer: self.peer.map(UserId::wire).unwrap_or_default(),
            anew: self.anew,
        }
    }
}

/// Who is in a group, and who should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claimed {
    /// The claim's.
    pub id: MessageId,
    /// Of the conversation now; 0 = it has no group.
    pub epoch: u64,
    /// Its devices at this epoch.
    pub roster: Vec<RosterEntry>,
    /// Devices of the roster that are not there any more.
    pub gone: Vec<RosterEntry>,
    /// Of other devices than the asking one.
    pub packages: Vec<KeyPackage>,
}

/// What it takes to put one device in a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyPackage {
    /// Whose device.
    pub entry: RosterEntry,
    /// An MLS KeyPackage.
    pub body: Bytes,
}

impl Claimed {
    pub(crate) fn parse(frame: v1::Claimed) -> Result<Self, FrameError> {
        let lists = [frame.roster.len(), frame.gone.len(), frame.packages.len()];
        if lists.iter().any(|&length| length > Commit::MAX) {
            return Err(FrameError::Malformed("more devices than a group may have"));
        }
        let roster = |list: Vec<v1::RosterEntry>| {
            list.into_iter().map(RosterEntry::parse).collect::<Result<Vec<_>, FrameError>>()
        };
        let package = |package: v1::KeyPackage| {
            let (user, device) = (UserId::from_slice(&package.user)?, DeviceId::from_slice(&package.device)?);
            Ok(KeyPackage { entry: RosterEntry { user, device }, body: package.body })
        };
        Ok(Self {
            id: MessageId::from_slice(&frame.id)?,
            epoch: frame.epoch,
            roster: roster(frame.roster)?,
            gone: roster(frame.gone)?,
            packages: frame.packages.into_iter().map(package).collect::<Result<_, FrameError>>()?,
        })
    }

    pub(crate) fn wire(&self) -> v1::Claimed {
        let package = |package: &KeyPackage| v1::KeyPackage {
            user: package.entry.user.wire(),
            device: package.entry.device.wire(),
            body: package.body.clone(),
        };
        v1::Claimed {
            id: self.id.wire(),
            epoch: self.epoch,
            roster: self.roster.iter().map(RosterEntry::wire).collect(),
            gone: self.gone.iter().map(RosterEntry::wire).collect(),
            packages: self.packages.iter().map(package).collect(),
        }
    }
}
