//! A message and what became of it.

use chasqui::{ConversationId, DeviceId, MessageId, Seq, Timestamp, UserId};

use crate::error::ErrorCode;

/// A message as the timeline shows it.
#[derive(Clone, Debug, PartialEq, Eq, uniffi::Record)]
pub struct Message {
    /// Made by the sending device.
    pub id: MessageId,
    /// Where it belongs.
    pub conversation: ConversationId,
    /// Its position, once the node accepted it.
    pub seq: Option<Seq>,
    /// Who wrote it.
    pub sender: UserId,
    /// On which device.
    pub sender_device: DeviceId,
    /// Whether this user wrote it, on whichever device.
    pub is_own: bool,
    /// What it says.
    pub content: MessageContent,
    /// The author's clock: may be wrong.
    pub created_at: Timestamp,
    /// The node's clock.
    pub accepted_at: Option<Timestamp>,
    /// How far it got. Others' messages are always received here.
    pub state: MessageState,
    /// Own messages: how far it got with each recipient, once the node accepted it.
    pub deliveries: Vec<Delivery>,
}

impl From<chasqui::Message> for Message {
    fn from(message: chasqui::Message) -> Self {
        let chasqui::Message {
            id,
            conversation,
            seq,
            sender,
            sender_device,
            is_own,
            content,
            created_at,
            accepted_at,
            state,
            deliveries,
        } = message;
        Self {
            id,
            conversation,
            seq,
            sender,
            sender_device,
            is_own,
            content: content.into(),
            created_at,
            accepted_at,
            state: state.into(),
            deliveries: deliveries.into_iter().map(Delivery::from).collect(),
        }
    }
}

/// What a message says.
#[derive(Clone, Debug, PartialEq, Eq, uniffi::Enum)]
pub enum MessageContent {
    /// Plain text.
    Text {
        /// As it was written.
        text: String,
    },
    /// A kind that this version cannot show; a later one can.
    Unsupported,
    /// It cannot be read here, and nobody is left to ask for it: in an encrypted conversation a message that cannot be read is not shown while it
    /// is asked for from its author's devices, for three weeks. It still gives way to the message if that comes. Otherwise it says nothing that
    /// is a message: it arrived damaged in a conversation that the node can read, or was sealed so by its author.
    Unreadable,
}

impl From<chasqui::MessageContent> for MessageContent {
    fn from(content: chasqui::MessageContent) -> Self {
        match content {
            chasqui::MessageContent::Text(text) => Self::Text { text },
            chasqui::MessageContent::Unreadable => Self::Unreadable,
            // There is no other; a test fails when there is.
            chasqui::MessageContent::Unsupported | _ => Self::Unsupported,
        }
    }
}

/// How far a message got: the least of its recipients. Never goes back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, uniffi::Enum)]
pub enum MessageState {
    /// On this device's disk, on its way.
    Pending,
    /// On the node's disk.
    Sent,
    /// On a disk of every recipient.
    Received,
    /// Read by every recipient.
    Read,
    /// Some recipient will not get it.
    Undelivered {
        /// Why.
        reason: Undelivered,
    },
    /// The node refused it, or did not answer for too long. `retry` tries again.
    Failed {
        /// Why.
        failure: Failure,
    },
}

impl From<chasqui::MessageState> for MessageState {
    fn from(state: chasqui::MessageState) -> Self {
        match state {
            chasqui::MessageState::Pending => Self::Pending,
            chasqui::MessageState::Sent => Self::Sent,
            chasqui::MessageState::Received => Self::Received,
            chasqui::MessageState::Read => Self::Read,
            chasqui::MessageState::Undelivered(reason) => Self::Undelivered { reason: reason.into() },
            chasqui::MessageState::Failed(failure) => Self::Failed { failure: failure.into() },
        }
    }
}

/// Why a message was never accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, uniffi::Enum)]
pub enum Failure {
    /// The node's word.
    Refused {
        /// Which.
        code: ErrorCode,
    },
    /// It was sent 30 days ago or earlier, by the node's clock, and never answered: the node may not know any more whether it
    /// was accepted, so sending it again by itself could double it.
    TooOld,
}

impl From<chasqui::Failure> for Failure {
    fn from(failure: chasqui::Failure) -> Self {
        match failure {
            chasqui::Failure::Refused(code) => Self::Refused { code: code.into() },
            // There is no other; a test fails when there is.
            chasqui::Failure::TooOld | _ => Self::TooOld,
        }
    }
}

/// Why a recipient will not get a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, uniffi::Enum)]
pub enum Undelivered {
    /// Its time-to-live ran out.
    Expired,
    /// No device of the recipient could read it.
    Unreadable,
    /// The recipient's last device that it waited for is gone.
    DeviceGone,
    /// The node came back from an older copy of itself, had forgotten the message, and did not take it back. Told on the
    /// device that wrote it.
    Refused,
}

impl From<chasqui::Undelivered> for Undelivered {
    fn from(reason: chasqui::Undelivered) -> Self {
        match reason {
            chasqui::Undelivered::Expired => Self::Expired,
            chasqui::Undelivered::Unreadable => Self::Unreadable,
            chasqui::Undelivered::DeviceGone => Self::DeviceGone,
            // There is no other; a test fails when there is.
            chasqui::Undelivered::Refused | _ => Self::Refused,
        }
    }
}

/// How far a message got with one recipient.
#[derive(Clone, Debug, PartialEq, Eq, uniffi::Record)]
pub struct Delivery {
    /// Who.
    pub user: UserId,
    /// When the node saw it on a disk of the recipient, by the node's clock.
    pub received_at: Option<Timestamp>,
    /// When she read it, by her clock, signed by her device.
    pub read_at: Option<Timestamp>,
    /// Set when she will not get it.
    pub undelivered: Option<Undelivered>,
}

impl From<chasqui::Delivery> for Delivery {
    fn from(delivery: chasqui::Delivery) -> Self {
        let chasqui::Delivery { user, received_at, read_at, undelivered } = delivery;
        Self { user, received_at, read_at, undelivered: undelivered.map(Undelivered::from) }
    }
}
