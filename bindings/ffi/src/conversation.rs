//! A line of the conversation list.

use chasqui::{ConversationId, Seq, Timestamp, UserId};

use crate::identity::Trust;
use crate::message::Message;
use crate::scalar::Count;

/// A conversation as the list shows it.
#[derive(Clone, Debug, PartialEq, Eq, uniffi::Record)]
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
    /// Whether somebody has compared the peer's identity; while it is `Changed`, nothing is sent in an encrypted conversation.
    pub peer_trust: Trust,
    /// The peer's account was deleted, for good: nothing can be sent any more.
    pub peer_deleted: bool,
    /// A stranger wrote, who hears neither RECEIVED nor READ before the user answers or accepts: `acceptRequest`.
    pub is_request: bool,
    /// Messages by others that were not read on any of the user's devices.
    pub unread: Count,
    /// Everything up to here is read.
    pub read_up_to: Option<Seq>,
    /// The newest message that is shown.
    pub last_message: Option<Message>,
    /// When something last happened here; the list is in this order, latest first.
    pub activity: Timestamp,
}

impl From<chasqui::ConversationSummary> for ConversationSummary {
    fn from(summary: chasqui::ConversationSummary) -> Self {
        let chasqui::ConversationSummary {
            id,
            kind,
            protection,
            peer,
            peer_name,
            peer_trust,
            peer_deleted,
            is_request,
            unread,
            read_up_to,
            last_message,
            activity,
        } = summary;
        Self {
            id,
            kind: kind.into(),
            protection: protection.into(),
            peer,
            peer_name,
            peer_trust: peer_trust.into(),
            peer_deleted,
            is_request,
            unread: unread.into(),
            read_up_to,
            last_message: last_message.map(Message::from),
            activity,
        }
    }
}

/// Somebody is writing something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, uniffi::Record)]
pub struct Typing {
    /// Where.
    pub conversation: ConversationId,
    /// Who, on whatever device.
    pub user: UserId,
}

impl From<chasqui::Typing> for Typing {
    fn from(typing: chasqui::Typing) -> Self {
        let chasqui::Typing { conversation, user } = typing;
        Self { conversation, user }
    }
}

/// What sort of conversation it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, uniffi::Enum)]
pub enum ConversationKind {
    /// Two people, or one with herself.
    Direct,
    /// Members that know each other.
    Group,
    /// Public broadcast.
    Channel,
}

impl From<chasqui::ConversationKind> for ConversationKind {
    fn from(kind: chasqui::ConversationKind) -> Self {
        match kind {
            chasqui::ConversationKind::Direct => Self::Direct,
            chasqui::ConversationKind::Group => Self::Group,
            chasqui::ConversationKind::Channel => Self::Channel,
        }
    }
}

/// Who can read a conversation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, uniffi::Enum)]
pub enum Protection {
    /// The node could read it: bots, moderation, channels.
    NodeReadable,
    /// Only the members' devices can.
    EndToEnd,
}

impl From<Protection> for chasqui::Protection {
    fn from(protection: Protection) -> Self {
        match protection {
            Protection::NodeReadable => Self::NodeReadable,
            Protection::EndToEnd => Self::EndToEnd,
        }
    }
}

impl From<chasqui::Protection> for Protection {
    fn from(protection: chasqui::Protection) -> Self {
        match protection {
            chasqui::Protection::NodeReadable => Self::NodeReadable,
            chasqui::Protection::EndToEnd => Self::EndToEnd,
        }
    }
}
