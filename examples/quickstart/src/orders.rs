//! What the director and a device's process say to each other: one JSON object a line, each order answered in turn.

use chasqui::{DeviceId, MessageId, Timestamp};
use serde::{Deserialize, Serialize};

/// What a device shall do.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case")]
pub(crate) enum Order {
    /// Become a new user's first device.
    Register { name: String, password: String, device: String },
    /// Become a further device.
    Login { name: String, password: String, device: String },
    /// Show the code by which another device of the user links this one: [`Answer::Words`].
    BeginLinking,
    /// Link the device that shows this code; the number of both: [`Answer::Words`].
    Link { code: String },
    /// The number that the device which links shows, too: [`Answer::Words`].
    LinkingNumber,
    /// The director saw the same number on both.
    ConfirmLinking,
    /// Open the direct conversation with that user; all other orders are about it.
    Open { peer: String },
    /// Send these, in this order.
    Send { texts: Vec<String> },
    /// Answer only when it holds.
    Wait { until: Condition },
    /// Everything here is read.
    MarkRead,
    /// Look for a text in the local history.
    Search { query: String },
    /// Show what stands above a position: [`Answer::Line`] for each message, then [`Answer::Done`].
    Show { after: u64 },
    /// Close the history and leave.
    Close,
}

/// What the director waits for. Conditions are about the device's database, except the first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Condition {
    /// Connected, and what waited has arrived.
    Online,
    /// So many of the user's own messages (from all devices) and of the peer's have a position here.
    Holds { own: u64, others: u64 },
    /// All of the user's own messages got so far at least.
    OwnAre { at_least: State },
    /// Nothing is unread.
    AllRead,
}

/// What a device says.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "answer", rename_all = "snake_case")]
pub(crate) enum Answer {
    /// It was done; or the history is open, when nothing was ordered yet.
    Done,
    /// One message of [`Order::Show`].
    Line(Shown),
    /// A code or a number.
    Words { words: String },
    /// What the search found, newest first.
    Found { texts: Vec<String> },
    /// It could not be done.
    Failed { code: String, detail: String },
}

/// A message as one device shows it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Shown {
    pub(crate) id: MessageId,
    pub(crate) seq: Option<u64>,
    pub(crate) is_own: bool,
    /// Written on the device that shows it.
    pub(crate) is_from_here: bool,
    pub(crate) created_at: Timestamp,
    pub(crate) state: State,
    pub(crate) text: String,
}

/// How far a message got, as far as the quickstart tells it apart; ordered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum State {
    /// The node refused it, or a recipient will not get it: nothing of the kind should happen here.
    Lost,
    Pending,
    Sent,
    Received,
    Read,
}

impl From<chasqui::MessageState> for State {
    fn from(state: chasqui::MessageState) -> Self {
        use chasqui::MessageState;
        match state {
            MessageState::Pending => Self::Pending,
            MessageState::Sent => Self::Sent,
            MessageState::Received => Self::Received,
            MessageState::Read => Self::Read,
            MessageState::Undelivered(_) | MessageState::Failed(_) => Self::Lost,
        }
    }
}

impl Shown {
    /// `None` for a message without text, which nobody sends here.
    pub(crate) fn of(message: &chasqui::Message, here: DeviceId) -> Option<Self> {
        let chasqui::MessageContent::Text(text) = &message.content else { return None };
        Some(Self {
            id: message.id,
            seq: message.seq.map(chasqui::Seq::number),
            is_own: message.is_own,
            is_from_here: message.sender_device == here,
            created_at: message.created_at,
            state: message.state.into(),
            text: text.clone(),
        })
    }
}
