//! From device to node: messages, read marks, and the node's answers.

use bytes::Bytes;
use prost::Message as _;

use crate::parse::{fixed, optional, short, wire};
use crate::{
    ConversationId, DeviceId, ErrorCode, FrameError, MessageId, Seq, SeqRanges, Timestamp, UserId, proto::v1, weigh,
};

/// What sort of conversation it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ConversationKind {
    /// Two people, or one with herself.
    Direct,
    /// Members that know each other; fans out on write.
    Group,
    /// Public broadcast; fans out on read.
    Channel,
}

impl ConversationKind {
    /// The number that travels and is stored.
    pub const fn number(self) -> u8 {
        match self {
            Self::Direct => 1,
            Self::Group => 2,
            Self::Channel => 3,
        }
    }

    /// Reads back [`Self::number`].
    pub const fn from_number(number: i32) -> Option<Self> {
        match number {
            1 => Some(Self::Direct),
            2 => Some(Self::Group),
            3 => Some(Self::Channel),
            _ => None,
        }
    }

    pub(crate) fn parse(number: i32) -> Result<Self, FrameError> {
        Self::from_number(number).ok_or(FrameError::Malformed("unknown conversation kind"))
    }
}

/// Who can read a conversation. Fixed at its creation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Protection {
    /// The node could read it: bots, moderation, channels.
    NodeReadable,
    /// Only the members' devices can (MLS, RFC 9420).
    EndToEnd,
}

impl Protection {
    /// The number that travels and is stored.
    pub const fn number(self) -> u8 {
        match self {
            Self::NodeReadable => 1,
            Self::EndToEnd => 2,
        }
    }

    /// Reads back [`Self::number`].
    pub const fn from_number(number: i32) -> Option<Self> {
        match number {
            1 => Some(Self::NodeReadable),
            2 => Some(Self::EndToEnd),
            _ => None,
        }
    }

    pub(crate) fn parse(number: i32) -> Result<Self, FrameError> {
        Self::from_number(number).ok_or(FrameError::Malformed("unknown protection"))
    }
}

/// How long the node keeps an envelope.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum StorageClass {
    /// On disk until confirmed or expired.
    #[default]
    Durable,
    /// In memory for at most a minute.
    Transient,
    /// Routed or dropped.
    Ephemeral,
}

/// A message on its way to the node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Send {
    /// Made by the sending device; the idempotency key.
    pub message: MessageId,
    /// Where it belongs.
    pub conversation: ConversationId,
    /// What that is.
    pub kind: ConversationKind,
    /// Who can read it.
    pub protection: Protection,
    /// Direct conversations: the other user.
    pub peer: Option<UserId>,
    /// Opaque to the node.
    pub body: Bytes,
    /// How long the node keeps it.
    pub storage: StorageClass,
    /// May wake a device by push.
    pub urgent: bool,
    /// Time-to-live in seconds; 0 = the longest that the node allows.
    pub ttl_seconds: u32,
    /// Begins a new stream after a rejection.
    pub restart: bool,
    /// The position that an earlier era had given to this message.
    pub reclaim_seq: Option<Seq>,
    /// The highest position that the device was told of what it sent before: this message must stand behind it, whatever
    /// position a restored node remembers.
    pub after_seq: Option<Seq>,
    /// The earlier message of the same user that this one repeats for [`Self::only_device`], at the position that it had.
    pub resend_of: Option<MessageId>,
    /// The only addressee: one of the devices that the message would reach, and not the sending one.
    pub only_device: Option<DeviceId>,
    /// MLS epoch under which the body is encrypted; 0 outside encrypted conversations.
    pub epoch: u64,
    /// Makes this a change of epoch.
    pub commit: Option<Commit>,
    /// The group has whom it can have: not to be refused because it lacks somebody.
    pub roster_checked: bool,
}

impl Send {
    pub(crate) fn parse(frame: v1::Send) -> Result<Self, FrameError> {
        let storage = match frame.storage() {
            v1::StorageClass::Durable => StorageClass::Durable,
            v1::StorageClass::Transient => StorageClass::Transient,
            v1::StorageClass::Ephemeral => StorageClass::Ephemeral,
        };
        Ok(Self {
            message: MessageId::from_slice(&frame.message)?,
            conversation: ConversationId::from_slice(&frame.conversation)?,
            kind: ConversationKind::parse(frame.kind)?,
            protection: Protection::parse(frame.protection)?,
            peer: optional(&frame.peer, UserId::from_slice)?,
            body: frame.body,
            storage,
            urgent: frame.urgent,
            ttl_seconds: frame.ttl_seconds,
            restart: frame.restart,
            reclaim_seq: position(frame.reclaim_seq)?,
            after_seq: position(frame.after_seq)?,
            resend_of: optional(&frame.resend_of, MessageId::from_slice)?,
            only_device: optional(&frame.only_device, DeviceId::from_slice)?,
            epoch: frame.epoch,
            commit: frame.commit.map(Commit::parse).transpose()?,
            roster_checked: frame.roster_checked,
        })
    }

    pub(crate) fn wire(&self) -> v1::Send {
        let storage = match self.storage {
            StorageClass::Durable => v1::StorageClass::Durable,
            StorageClass::Transient => v1::StorageClass::Transient,
            StorageClass::Ephemeral => v1::StorageClass::Ephemeral,
        };
        v1::Send {
            message: self.message.wire(),
            conversation: self.conversation.wire(),
            kind: self.kind.number().into(),
            protection: self.protection.number().into(),
            peer: self.peer.map(UserId::wire).unwrap_or_default(),
            body: self.body.clone(),
            storage: storage.into(),
            urgent: self.urgent,
            ttl_seconds: self.ttl_seconds,
            restart: self.restart,
            reclaim_seq: self.reclaim_seq.map_or(0, Seq::raw),
            after_seq: self.after_seq.map_or(0, Seq::raw),
            resend_of: self.resend_of.map(MessageId::wire).unwrap_or_default(),
            only_device: self.only_device.map(DeviceId::wire).unwrap_or_default(),
            epoch: self.epoch,
            commit: self.commit.as_ref().map(Commit::wire),
            roster_checked: self.roster_checked,
        }
    }
}

/// 0 = none.
fn position(raw: u64) -> Result<Option<Seq>, FrameError> {
    if raw == 0 { Ok(None) } else { Seq::parse(raw).map(Some) }
}

/// A declared change of an encrypted conversation's members.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Commit {
    /// SHA-256 of the commit message.
    pub hash: [u8; 32],
    /// Who joins.
    pub added: Vec<RosterEntry>,
    /// Who leaves.
    pub removed: Vec<RosterEntry>,
    /// A new group, of the sender's device and those that are added.
    pub begins: bool,
    /// The MLS Welcome for all who join, opaque to the node; empty if nobody does, and in an envelope, where it is the body.
    pub welcome: Bytes,
}

/// One device of one member.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct RosterEntry {
    /// The member.
    pub user: UserId,
    /// Her device.
    pub device: DeviceId,
}

impl RosterEntry {
    pub(crate) fn parse(entry: v1::RosterEntry) -> Result<Self, FrameError> {
        Ok(Self { user: UserId::from_slice(&entry.user)?, device: DeviceId::from_slice(&entry.device)? })
    }

    pub(crate) fn wire(&self) -> v1::RosterEntry {
        v1::RosterEntry { user: self.user.wire(), device: self.device.wire() }
    }
}

impl Commit {
    /// The most devices that one commit may add or remove: a group's limit.
    pub const MAX: usize = 1000;

    /// The bytes under which a node keeps it.
    pub fn encode(&self) -> Bytes {
        self.wire().encode_to_vec().into()
    }

    /// Reads back [`Self::encode`].
    ///
    /// # Errors
    /// [`FrameError::Malformed`].
    pub fn decode(bytes: Bytes) -> Result<Self, FrameError> {
        weigh::check(&bytes, weigh::COMMIT)?;
        let commit = v1::Commit::decode(bytes).map_err(|_| FrameError::Malformed("not protobuf"))?;
        Self::parse(commit)
    }

    pub(crate) fn parse(frame: v1::Commit) -> Result<Self, FrameError> {
        let lists = [frame.added.len(), frame.removed.len()];
        if lists.iter().any(|&length| length > Self::MAX) {
            return Err(FrameError::Malformed("a commit changes more devices than a group may have"));
        }
        Ok(Self {
            hash: fixed(&frame.hash, "commit.hash is not 32 bytes")?,
            added: frame.added.into_iter().map(RosterEntry::parse).collect::<Result<_, FrameError>>()?,
            removed: frame.removed.into_iter().map(RosterEntry::parse).collect::<Result<_, FrameError>>()?,
            begins: frame.begins,
            welcome: frame.welcome,
        })
    }

    pub(crate) fn wire(&self) -> v1::Commit {
        v1::Commit {
            hash: wire(&self.hash),
            added: self.added.iter().map(RosterEntry::wire).collect(),
            removed: self.removed.iter().map(RosterEntry::wire).collect(),
            begins: self.begins,
            welcome: self.welcome.clone(),
        }
    }
}

/// It is on the node's disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Accepted {
    /// Which send or read.
    pub message: MessageId,
    /// Where it stands, a resend where what it repeats does; `None` for a read.
    pub seq: Option<Seq>,
    /// The node's clock; of a resend as [`Self::seq`].
    pub at: Timestamp,
    /// The commit that made it durable.
    pub revision: u64,
}

impl Accepted {
    pub(crate) fn parse(frame: v1::Accepted) -> Result<Self, FrameError> {
        Ok(Self {
            message: MessageId::from_slice(&frame.message)?,
            seq: if frame.seq == 0 { None } else { Some(Seq::parse(frame.seq)?) },
            at: Timestamp(frame.at),
            revision: frame.revision,
        })
    }

    pub(crate) fn wire(&self) -> v1::Accepted {
        let seq = self.seq.map_or(0, Seq::raw);
        v1::Accepted { message: self.message.wire(), seq, at: self.at.0, revision: self.revision }
    }
}

/// It is not on the node's disk, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejected {
    /// Which send or read.
    pub message: MessageId,
    /// What to do about it.
    pub code: ErrorCode,
    /// English, for developers.
    pub detail: String,
    /// Milliseconds after which a retry may help; 0 = the device decides.
    pub retry_after_ms: u32,
}

impl Rejected {
    pub(crate) fn parse(frame: v1::Rejected) -> Result<Self, FrameError> {
        Ok(Self {
            message: MessageId::from_slice(&frame.message)?,
            code: ErrorCode::from_number(frame.code),
            detail: short(frame.detail, 256),
            retry_after_ms: frame.retry_after_ms,
        })
    }

    pub(crate) fn wire(&self) -> v1::Rejected {
        v1::Rejected {
            message: self.message.wire(),
            code: self.code.number(),
            detail: self.detail.clone(),
            retry_after_ms: self.retry_after_ms,
        }
    }
}

/// What a user has read of a conversation, signed by the device on which she did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Read {
    /// Names this frame in the node's answer.
    pub id: MessageId,
    /// Where.
    pub conversation: ConversationId,
    /// Everything up to here is read.
    pub up_to: Seq,
    /// What the device really holds of it, written by others.
    pub ranges: SeqRanges,
    /// Who wrote those.
    pub authors: Vec<UserId>,
    /// The reader's clock.
    pub at: Timestamp,
    /// Ed25519 by the device key over [`crate::signing::read`].
    pub signature: [u8; 64],
}

impl Read {
    /// The most authors that one read may name: a group's limit.
    pub const MAX_AUTHORS: usize = 1000;

    pub(crate) fn parse(frame: v1::Read) -> Result<Self, FrameError> {
        if frame.authors.len() > Self::MAX_AUTHORS {
            return Err(FrameError::Malformed("too many authors"));
        }
        Ok(Self {
            id: MessageId::from_slice(&frame.id)?,
            conversation: ConversationId::from_slice(&frame.conversation)?,
            up_to: Seq::parse(frame.up_to)?,
            ranges: SeqRanges::parse(frame.ranges)?,
            authors: frame.authors.iter().map(|user| UserId::from_slice(user)).collect::<Result<_, _>>()?,
            at: Timestamp(frame.at),
            signature: fixed(&frame.signature, "read.signature is not 64 bytes")?,
        })
    }

    pub(crate) fn wire(&self) -> v1::Read {
        v1::Read {
            id: self.id.wire(),
            conversation: self.conversation.wire(),
            up_to: self.up_to.raw(),
            ranges: self.ranges.wire(),
            authors: self.authors.iter().map(|user| user.wire()).collect(),
            at: self.at.0,
            signature: wire(&self.signature),
        }
    }
}
