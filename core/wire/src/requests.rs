//! Message requests: what somebody says to a stranger who wrote.

use crate::{ConversationId, FrameError, MessageId, Protection, Seq, Timestamp, UserId, proto::v1};

/// What is said to a message request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// It is a conversation like others.
    Accept,
    /// Deleted; the other may ask again.
    Decline,
    /// Deleted, and nothing more is taken.
    Block,
}

impl Verdict {
    /// The number that travels and is stored.
    pub const fn number(self) -> u8 {
        match self {
            Self::Accept => 1,
            Self::Decline => 2,
            Self::Block => 3,
        }
    }

    /// Reads back [`Self::number`].
    pub const fn from_number(number: i32) -> Option<Self> {
        match number {
            1 => Some(Self::Accept),
            2 => Some(Self::Decline),
            3 => Some(Self::Block),
            _ => None,
        }
    }

    fn parse(number: i32) -> Result<Self, FrameError> {
        Self::from_number(number).ok_or(FrameError::Malformed("unknown verdict"))
    }
}

/// The user's word on a message request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Admit {
    /// Names it in the answer.
    pub id: MessageId,
    /// Who wrote.
    pub peer: UserId,
    /// Of the direct conversation with the peer.
    pub protection: Protection,
    /// What is said.
    pub verdict: Verdict,
    /// The highest position that the device knew then.
    pub up_to: Option<Seq>,
}

/// The same, as passed on to the user's other devices.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Admission {
    /// Where.
    pub conversation: ConversationId,
    /// What was said.
    pub verdict: Verdict,
    /// The highest position that the device that said it knew then.
    pub up_to: Option<Seq>,
    /// The node's clock.
    pub at: Timestamp,
}

fn position(raw: u64) -> Result<Option<Seq>, FrameError> {
    if raw == 0 { Ok(None) } else { Seq::parse(raw).map(Some) }
}

impl Admit {
    pub(crate) fn parse(frame: v1::Admit) -> Result<Self, FrameError> {
        Ok(Self {
            id: MessageId::from_slice(&frame.id)?,
            peer: UserId::from_slice(&frame.peer)?,
            protection: Protection::parse(frame.protection)?,
            verdict: Verdict::parse(frame.verdict)?,
            up_to: position(frame.up_to)?,
        })
    }

    pub(crate) fn wire(&self) -> v1::Admit {
        v1::Admit {
            id: self.id.wire(),
            peer: self.peer.wire(),
            protection: self.protection.number().into(),
            verdict: self.verdict.number().into(),
            up_to: self.up_to.map_or(0, Seq::raw),
        }
    }
}

impl Admission {
    pub(crate) fn parse(frame: v1::Admission) -> Result<Self, FrameError> {
        Ok(Self {
            conversation: ConversationId::from_slice(&frame.conversation)?,
            verdict: Verdict::parse(frame.verdict)?,
            up_to: position(frame.up_to)?,
            at: Timestamp(frame.at),
        })
    }

    pub(crate) fn wire(&self) -> v1::Admission {
        v1::Admission {
            conversation: self.conversation.wire(),
            verdict: self.verdict.number().into(),
            up_to: self.up_to.map_or(0, Seq::raw),
            at: self.at.0,
        }
    }
}
