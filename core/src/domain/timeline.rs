//! Pages of a conversation.

use chasqui_wire::{ConversationId, MessageId, Seq};

use super::Message;

/// A line of a timeline.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TimelineItem {
    /// A message.
    Message(Box<Message>),
    /// Something stood here that can no longer be delivered to this device.
    Gap {
        /// Where.
        conversation: ConversationId,
        /// The position that stays empty.
        seq: Seq,
    },
}

impl TimelineItem {
    /// The message, unless it is a gap.
    pub fn message(&self) -> Option<&Message> {
        match self {
            Self::Message(message) => Some(message),
            Self::Gap { .. } => None,
        }
    }
}

/// A place in a timeline; stays valid while messages come and go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cursor {
    pub(crate) anchor: i64,
    pub(crate) place: i64,
    pub(crate) row: i64,
}

/// Consecutive lines of a timeline, oldest first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TimelinePage {
    /// Oldest first.
    pub items: Vec<TimelineItem>,
    /// Where the page before begins; `None` at the beginning of the history.
    pub older: Option<Cursor>,
    /// Where the page after begins; `None` at the end.
    pub newer: Option<Cursor>,
}

/// A message that a search found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SearchHit {
    /// The message.
    pub message: Message,
    /// Opens its surroundings: [`crate::Client::timeline`] around it.
    pub cursor: Cursor,
}

/// Tells lines of a timeline apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum TimelineKey {
    Message(MessageId),
    Gap(ConversationId, Seq),
}

impl TimelineItem {
    pub(crate) fn key(&self) -> TimelineKey {
        match self {
            Self::Message(message) => TimelineKey::Message(message.id),
            Self::Gap { conversation, seq } => TimelineKey::Gap(*conversation, *seq),
        }
    }
}
