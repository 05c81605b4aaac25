//! What became of messages: the node's word, and what other devices say that was read.

use crate::parse::{fixed, required, wire};
use crate::{ConversationId, DeviceId, FrameError, Read, SeqRanges, Timestamp, UserId, proto::v1};

/// The node's word on what became of messages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// Where.
    pub conversation: ConversationId,
    /// The recipient that it is about.
    pub user: UserId,
    /// What became of them.
    pub kind: ReceiptKind,
    /// Which messages.
    pub ranges: SeqRanges,
    /// The node's clock.
    pub at: Timestamp,
}

/// What became of a message at one recipient.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ReceiptKind {
    /// A device of the user has it on disk.
    Received,
    /// The time-to-live ran out before any device stored it.
    Expired,
    /// Devices got it, none could read it.
    Unreadable,
    /// The last device that it waited for is gone.
    DeviceGone,
}

impl ReceiptKind {
    /// The number that travels and is stored.
    pub const fn number(self) -> u8 {
        match self {
            Self::Received => 1,
            Self::Expired => 2,
            Self::Unreadable => 3,
            Self::DeviceGone => 4,
        }
    }

    /// Reads back [`Self::number`].
    pub const fn from_number(number: i32) -> Option<Self> {
        match number {
            1 => Some(Self::Received),
            2 => Some(Self::Expired),
            3 => Some(Self::Unreadable),
            4 => Some(Self::DeviceGone),
            _ => None,
        }
    }
}

impl Receipt {
    pub(crate) fn parse(frame: v1::Receipt, kind: ReceiptKind) -> Result<Self, FrameError> {
        Ok(Self {
            conversation: ConversationId::from_slice(&frame.conversation)?,
            user: UserId::from_slice(&frame.user)?,
            kind,
            ranges: SeqRanges::parse(frame.ranges)?,
            at: Timestamp(frame.at),
        })
    }

    pub(crate) fn wire(&self) -> v1::Receipt {
        v1::Receipt {
            conversation: self.conversation.wire(),
            user: self.user.wire(),
            kind: self.kind.number().into(),
            ranges: self.ranges.wire(),
            at: self.at.0,
        }
    }
}

/// A read mark, passed on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReadNotice {
    /// Who read.
    pub user: UserId,
    /// On which device.
    pub device: DeviceId,
    /// Its public key, from the node's directory.
    pub device_key: [u8; 32],
    /// What was read, with the signature.
    pub read: Read,
}

impl ReadNotice {
    pub(crate) fn parse(frame: v1::ReadNotice) -> Result<Self, FrameError> {
        Ok(Self {
            user: UserId::from_slice(&frame.user)?,
            device: DeviceId::from_slice(&frame.device)?,
            device_key: fixed(&frame.device_key, "device_key is not 32 bytes")?,
            read: Read::parse(required(frame.read, "read is missing")?)?,
        })
    }

    pub(crate) fn wire(&self) -> v1::ReadNotice {
        v1::ReadNotice {
            user: self.user.wire(),
            device: self.device.wire(),
            device_key: wire(&self.device_key),
            read: Some(self.read.wire()),
        }
    }
}
