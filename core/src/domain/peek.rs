//! What a notification may show.

use chasqui_wire::{ConversationId, MessageId, Seq, Timestamp, UserId};

/// Mail that waits at the node, seen without taking it: [`crate::peek`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Peeked {
    /// What to show: messages by others that this device does not have yet and that nobody read on another device of the
    /// user. Oldest first, at most 128.
    pub messages: Vec<PeekedMessage>,
    /// The app's badge: what [`crate::Client::total_unread`] will say once it has the mail that was seen.
    pub unread: u32,
    /// More mail waits than was looked at, so there may be more to show and to count.
    pub has_more: bool,
}

/// A message as a notification shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeekedMessage {
    /// The same as in the history, later: a notification under this name replaces itself.
    pub id: MessageId,
    /// Where it belongs.
    pub conversation: ConversationId,
    /// Its position there.
    pub seq: Seq,
    /// Who wrote it.
    pub sender: UserId,
    /// The sender's name, if it is known here or the node could be asked in time.
    pub sender_name: Option<String>,
    /// What it says.
    pub text: String,
    /// The author's clock: may be wrong.
    pub created_at: Timestamp,
    /// The node's clock.
    pub accepted_at: Timestamp,
    /// A stranger wrote: see [`crate::ConversationSummary::is_request`]. It does not count as unread.
    pub is_request: bool,
}
