//! Pages of a conversation.

use chasqui::{ConversationId, Cursor, Seq, Timestamp};

use crate::message::Message;
use crate::scalar::Count;

/// A line of a timeline.
#[derive(Clone, Debug, PartialEq, Eq, uniffi::Enum)]
pub enum TimelineItem {
    /// A message.
    Message {
        /// It.
        // Not boxed: Kotlin would take it for the variant of the same name.
        message: Message,
    },
    /// Something stood here that can no longer be delivered to this device.
    Gap {
        /// Where.
        conversation: ConversationId,
        /// The position that stays empty.
        seq: Seq,
    },
    /// Messages that the node did not keep for this device. Other devices of the user may have them.
    Hole {
        /// Where.
        conversation: ConversationId,
        /// The lowest position that is missing.
        first: Seq,
        /// The highest.
        last: Seq,
        /// Why.
        reason: HoleReason,
    },
}

impl From<chasqui::TimelineItem> for TimelineItem {
    fn from(item: chasqui::TimelineItem) -> Self {
        match item {
            chasqui::TimelineItem::Message(message) => Self::Message { message: (*message).into() },
            chasqui::TimelineItem::Gap { conversation, seq } => Self::Gap { conversation, seq },
            chasqui::TimelineItem::Hole { conversation, first, last, reason } => {
                Self::Hole { conversation, first, last, reason: reason.into() }
            }
        }
    }
}

/// Why the node did not keep messages for a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, uniffi::Enum)]
pub enum HoleReason {
    /// Its mailbox was full, or the share of it that one sender may take.
    MailboxFull,
    /// It was not seen for too long.
    Absent,
    /// A reason that this version does not know.
    Other,
}

impl From<chasqui::HoleReason> for HoleReason {
    fn from(reason: chasqui::HoleReason) -> Self {
        match reason {
            chasqui::HoleReason::MailboxFull => Self::MailboxFull,
            chasqui::HoleReason::Absent => Self::Absent,
            chasqui::HoleReason::Other | _ => Self::Other,
        }
    }
}

/// What is known to be missing in the history of this device.
#[derive(Clone, Debug, PartialEq, Eq, uniffi::Record)]
pub struct Incomplete {
    /// When the node first kept something back, by its clock.
    pub since: Timestamp,
    /// Set when the device was away for so long that receipts and read marks were not kept for it either: when it was last
    /// seen before that. Also when no other device of the user could give a part of the history that can be used here: what was said
    /// from then on may lack that part.
    pub absent_since: Option<Timestamp>,
    /// Holes in timelines.
    pub holes: Count,
}

impl From<chasqui::Incomplete> for Incomplete {
    fn from(incomplete: chasqui::Incomplete) -> Self {
        let chasqui::Incomplete { since, absent_since, holes } = incomplete;
        Self { since, absent_since, holes: holes.into() }
    }
}

/// Consecutive lines of a timeline, oldest first.
#[derive(Clone, Debug, PartialEq, Eq, uniffi::Record)]
pub struct TimelinePage {
    /// Oldest first.
    pub items: Vec<TimelineItem>,
    /// Where the page before begins; nothing at the beginning of the history.
    pub older: Option<Cursor>,
    /// Where the page after begins; nothing at the end.
    pub newer: Option<Cursor>,
}

impl From<chasqui::TimelinePage> for TimelinePage {
    fn from(page: chasqui::TimelinePage) -> Self {
        let chasqui::TimelinePage { items, older, newer } = page;
        Self { items: items.into_iter().map(TimelineItem::from).collect(), older, newer }
    }
}

/// A message that a search found.
#[derive(Clone, Debug, PartialEq, Eq, uniffi::Record)]
pub struct SearchHit {
    /// The message.
    pub message: Message,
    /// Opens its surroundings: `timeline` and `timelineAfter` around it.
    pub cursor: Cursor,
}

impl From<chasqui::SearchHit> for SearchHit {
    fn from(hit: chasqui::SearchHit) -> Self {
        let chasqui::SearchHit { message, cursor } = hit;
        Self { message: message.into(), cursor }
    }
}
