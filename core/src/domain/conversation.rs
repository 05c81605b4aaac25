//! A line of the conversation list, and who is writing where.

use chasqui_wire::{ConversationId, ConversationKind, Protection, Seq, Timestamp, UserId};

use super::{Message, Trust};

/// A conversation as the list shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConversationSummary {
    /// Which.
    pub id: ConversationId,
    /// Direct, group or channel.
    pub kind: ConversationKind,
    /// Who can read it; fixed when it was created.
    pub protection: Protection,
    /// Direct conversations: the other user, or oneself.
    pub peer: Option<UserId>,
    /// The peer's name, once known here.
    pub peer_name: Option<String>,
    /// Whether somebody has compared the peer's identity; while it is [`Trust::Changed`], nothing is sent in an encrypted conversation.
    pub peer_trust: Trust,
    /// The peer's account was deleted, for good: nothing can be sent any more.
    pub peer_deleted: bool,
    /// A stranger wrote, who hears neither RECEIVED nor READ before the user answers or accepts:
    /// [`crate::Client::accept_request`].
    pub is_request: bool,
    /// Messages by others that were not read on any of the user's devices.
    pub unread: u32,
    /// Everything up to here is read.
    pub read_up_to: Option<Seq>,
    /// The newest message that is shown.
    pub last_message: Option<Message>,
    /// When something last happened here; the list is in this order, latest first.
    pub activity: Timestamp,
}

/// Somebody is writing something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Typing {
    /// Where.
    pub conversation: ConversationId,
    /// Who, on whatever device.
    pub user: UserId,
}
