//! What does not come: gaps, holes and absences.

use crate::parse::optional;
use crate::{ConversationId, ConversationKind, FrameError, Protection, Seq, SeqRange, Timestamp, UserId, proto::v1};

/// A message that can no longer be delivered to this device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gap {
    /// Where.
    pub conversation: ConversationId,
    /// The position that stays empty.
    pub seq: Seq,
    /// Why.
    pub reason: GapReason,
    /// What sort of conversation.
    pub kind: ConversationKind,
    /// Who can read it.
    pub protection: Protection,
    /// Who had written it.
    pub sender_user: UserId,
    /// Direct conversations: the other member than the sender.
    pub peer: Option<UserId>,
    /// The node's clock.
    pub at: Timestamp,
}

/// Why a position stays empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum GapReason {
    /// Its time-to-live ran out.
    Expired,
    /// A reason that this version does not know.
    Other,
}

impl Gap {
    pub(crate) fn parse(frame: v1::Gap) -> Result<Self, FrameError> {
        let reason = match frame.reason() {
            v1::GapReason::TtlExpired => GapReason::Expired,
            v1::GapReason::Unspecified => GapReason::Other,
        };
        Ok(Self {
            conversation: ConversationId::from_slice(&frame.conversation)?,
            seq: Seq::parse(frame.seq)?,
            reason,
            kind: ConversationKind::parse(frame.kind)?,
            protection: Protection::parse(frame.protection)?,
            sender_user: UserId::from_slice(&frame.sender_user)?,
            peer: optional(&frame.peer, UserId::from_slice)?,
            at: Timestamp(frame.at),
        })
    }

    pub(crate) fn wire(&self) -> v1::Gap {
        let reason = match self.reason {
            GapReason::Expired => v1::GapReason::TtlExpired,
            GapReason::Other => v1::GapReason::Unspecified,
        };
        v1::Gap {
            conversation: self.conversation.wire(),
            seq: self.seq.raw(),
            reason: reason.into(),
            kind: self.kind.number().into(),
            protection: self.protection.number().into(),
            sender_user: self.sender_user.wire(),
            peer: self.peer.map(UserId::wire).unwrap_or_default(),
            at: self.at.0,
        }
    }
}

/// Messages that were not kept for this device: what it does not hold of `range` is missing here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hole {
    /// Where.
    pub conversation: ConversationId,
    /// What sort of conversation.
    pub kind: ConversationKind,
    /// Who can read it.
    pub protection: Protection,
    /// Direct conversations: the other member than this device's user.
    pub peer: Option<UserId>,
    /// Where something may be missing.
    pub range: SeqRange,
    /// Why.
    pub reason: HoleReason,
    /// When the first of them was not kept, by the node's clock.
    pub since: Timestamp,
}

/// Why messages were not kept for a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum HoleReason {
    /// Its mailbox was full, or the share of it that one sender may take.
    MailboxFull,
    /// It was not seen for too long.
    Absent,
    /// A reason that this version does not know.
    Other,
}

impl HoleReason {
    /// The number that travels and is stored.
    pub const fn number(self) -> u8 {
        match self {
            Self::Other => 0,
            Self::MailboxFull => 1,
            Self::Absent => 2,
        }
    }

    /// Reads back [`Self::number`].
    pub const fn from_number(number: i32) -> Self {
        match number {
            1 => Self::MailboxFull,
            2 => Self::Absent,
            _ => Self::Other,
        }
    }
}

impl Hole {
    pub(crate) fn parse(frame: v1::Hole) -> Result<Self, FrameError> {
        let range = SeqRange::new(Seq::parse(frame.first)?, Seq::parse(frame.last)?);
        Ok(Self {
            conversation: ConversationId::from_slice(&frame.conversation)?,
            kind: ConversationKind::parse(frame.kind)?,
            protection: Protection::parse(frame.protection)?,
            peer: optional(&frame.peer, UserId::from_slice)?,
            range: range.ok_or(FrameError::Malformed("a hole does not run upwards within one era"))?,
            reason: HoleReason::from_number(frame.reason),
            since: Timestamp(frame.since),
        })
    }

    pub(crate) fn wire(&self) -> v1::Hole {
        v1::Hole {
            conversation: self.conversation.wire(),
            kind: self.kind.number().into(),
            protection: self.protection.number().into(),
            peer: self.peer.map(UserId::wire).unwrap_or_default(),
            first: self.range.first().raw(),
            last: self.range.last().raw(),
            reason: self.reason.number().into(),
            since: self.since.0,
        }
    }
}

/// The device was not seen for so long that receipts and read marks were not kept for it. Holes name the messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Absence {
    /// When it was last seen, by the node's clock.
    pub since: Timestamp,
}

impl Absence {
    pub(crate) fn parse(frame: &v1::Absence) -> Self {
        Self { since: Timestamp(frame.since) }
    }

    pub(crate) fn wire(self) -> v1::Absence {
        v1::Absence { since: self.since.0 }
    }
}
