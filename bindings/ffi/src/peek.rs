//! What a notification may show.

use std::time::Duration;

use chasqui::{ConversationId, MessageId, Seq, Timestamp, UserId};

use crate::config::Config;
use crate::error::ChasquiError;
use crate::scalar::{Count, unsigned};

/// Mail that waits at the node, seen without taking it.
#[derive(Clone, Debug, PartialEq, Eq, uniffi::Record)]
pub struct Peeked {
    /// What to show: messages by others that this device does not have yet and that nobody read on another device of the
    /// user. Oldest first, at most 128.
    pub messages: Vec<PeekedMessage>,
    /// The app's badge: what `totalUnread` will say once it has the mail that was seen.
    pub unread: Count,
    /// More mail waits than was looked at, so there may be more to show and to count.
    pub has_more: bool,
}

impl From<chasqui::Peeked> for Peeked {
    fn from(peeked: chasqui::Peeked) -> Self {
        let chasqui::Peeked { messages, unread, has_more } = peeked;
        let messages = messages.into_iter().map(PeekedMessage::from).collect();
        Self { messages, unread: unread.into(), has_more }
    }
}

/// A message as a notification shows it.
#[derive(Clone, Debug, PartialEq, Eq, uniffi::Record)]
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
    /// A stranger wrote: see `isRequest` of the conversation list. It does not count as unread.
    pub is_request: bool,
}

impl From<chasqui::PeekedMessage> for PeekedMessage {
    fn from(message: chasqui::PeekedMessage) -> Self {
        let chasqui::PeekedMessage {
            id,
            conversation,
            seq,
            sender,
            sender_name,
            text,
            created_at,
            accepted_at,
            is_request,
        } = message;
        Self { id, conversation, seq, sender, sender_name, text, created_at, accepted_at, is_request }
    }
}

/// See [`chasqui::peek`]. `within_ms` is in milliseconds.
#[uniffi::export]
pub async fn native_peek(config: Config, within_ms: i64) -> Result<Peeked, ChasquiError> {
    let within = Duration::from_millis(unsigned(within_ms, "a time in milliseconds")?);
    Ok(chasqui::peek(&config.try_into()?, within).await?.into())
}
