//! Pages of a conversation.

use chasqui_wire::{ConversationId, HoleReason, MessageId, Seq, Timestamp};

use super::Message;
use crate::error::Error;

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

/// What is known to be missing in the history of this device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Incomplete {
    /// When the node first kept something back, by its clock.
    pub since: Timestamp,
    /// Set when the device was away for so long that receipts and read marks were not kept for it either: when it was last
    /// seen before that. Also when no other device of the user could give a part of the history that can be used here: what was said
    /// from then on may lack that part.
    pub absent_since: Option<Timestamp>,
    /// Holes in timelines.
    pub holes: u32,
}

impl TimelineItem {
    /// The message, unless it is missing.
    pub fn message(&self) -> Option<&Message> {
        match self {
            Self::Message(message) => Some(message),
            Self::Gap { .. } | Self::Hole { .. } => None,
        }
    }
}

/// A place in a timeline; stays valid while messages come and go.
///
/// As text it can be kept and parsed again, for the folder that it came from. What stands in it is nobody else's concern.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cursor {
    pub(crate) anchor: i64,
    pub(crate) place: i64,
    pub(crate) row: i64,
}

impl Cursor {
    /// Before everything.
    pub(crate) const BEGINNING: Self = Self { anchor: i64::MIN, place: i64::MIN, row: i64::MIN };
}

impl std::fmt::Display for Cursor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}.{}", self.anchor, self.place, self.row)
    }
}

impl std::str::FromStr for Cursor {
    type Err = Error;

    /// # Errors
    /// [`Error::Invalid`] for a text that no cursor had.
    fn from_str(text: &str) -> Result<Self, Error> {
        let invalid = || Error::Invalid { detail: "that is no cursor".into() };
        let mut numbers = text.split('.').map(|number| number.parse().map_err(|_| invalid()));
        let mut number = || numbers.next().ok_or_else(invalid)?;
        let cursor = Self { anchor: number()?, place: number()?, row: number()? };
        if numbers.next().is_some() { Err(invalid()) } else { Ok(cursor) }
    }
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
    Hole(ConversationId, Seq),
}

impl TimelineItem {
    pub(crate) fn key(&self) -> TimelineKey {
        match self {
            Self::Message(message) => TimelineKey::Message(message.id),
            Self::Gap { conversation, seq } => TimelineKey::Gap(*conversation, *seq),
            Self::Hole { conversation, first, .. } => TimelineKey::Hole(*conversation, *first),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_is_read_back_from_its_text() {
        for cursor in [Cursor { anchor: 5, place: 0, row: 17 }, Cursor::BEGINNING] {
            assert_eq!(cursor.to_string().parse(), Ok(cursor));
        }
        for text in ["", "1", "1.2", "1.2.3.4", "1.2.x", "1.2.9223372036854775808", " 1.2.3"] {
            let parsed = text.parse::<Cursor>();
            assert!(matches!(parsed, Err(Error::Invalid { .. })), "{text:?}: {parsed:?}");
        }
    }
}
