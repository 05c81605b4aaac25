//! A message and what became of it.

use chasqui_wire::{ConversationId, DeviceId, ErrorCode, MessageId, ReceiptKind, Seq, Timestamp, UserId};

/// A message as the timeline shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
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
    /// How far it got. Others' messages are always [`MessageState::Received`] here.
    pub state: MessageState,
    /// Own messages: how far it got with each recipient, once the node accepted it.
    pub deliveries: Vec<Delivery>,
}

/// What a message says.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum MessageContent {
    /// Plain text.
    Text(String),
    /// A kind that this version cannot show; a later one can.
    Unsupported,
    /// It cannot be read here, and nobody is left to ask for it: in an encrypted conversation a message that cannot be read is not shown while it
    /// is asked for from its author's devices, for three weeks. It still gives way to the message if that comes. Otherwise it says nothing that
    /// is a message: it arrived damaged in a conversation that the node can read, or was sealed so by its author.
    Unreadable,
}

/// How far a message got: the least of its recipients. Never goes back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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
    Undelivered(Undelivered),
    /// The node refused it, or did not answer for too long. [`crate::Client::retry`] tries again.
    Failed(Failure),
}

/// Why a message was never accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Failure {
    /// The node's word.
    Refused(ErrorCode),
    /// It was sent 30 days ago or earlier, by the node's clock, and never answered: the node may not know any more whether it
    /// was accepted, so sending it again by itself could double it.
    TooOld,
}

/// Why a recipient will not get a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
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

impl Undelivered {
    const ALL: [Self; 4] = [Self::Expired, Self::Unreadable, Self::DeviceGone, Self::Refused];

    /// As it is stored: the number of the receipt that said so, or one that no receipt has.
    pub(crate) fn number(self) -> i32 {
        match self {
            Self::Expired => ReceiptKind::Expired.number().into(),
            Self::Unreadable => ReceiptKind::Unreadable.number().into(),
            Self::DeviceGone => ReceiptKind::DeviceGone.number().into(),
            Self::Refused => 1_000,
        }
    }

    /// Reads back [`Self::number`].
    pub(crate) fn from_number(number: i32) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| reason.number() == number)
    }
}

/// How far a message got with one recipient.
#[derive(Clone, Debug, PartialEq, Eq)]
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
