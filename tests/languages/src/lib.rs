//! What an actor is told on its stdin and says on its stdout, a line of JSON each. An actor is a client in one of the
//! languages; it does as it is told, one order after the other, and leaves when stdin ends.

use serde::{Deserialize, Serialize};

/// To an actor.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "lowercase")]
pub enum Order {
    /// Opens a folder and registers under a name. Answered by [`Answer::Done`].
    Register {
        /// Path.
        folder: String,
        /// URL.
        node: String,
        /// Of the new user.
        name: String,
        /// Of the new user.
        password: String,
    },
    /// Sends `count` texts to somebody, one after the other: "NAME to PEER 1" and so on. Answered by [`Answer::Done`].
    Write {
        /// The peer's name.
        to: String,
        /// How many.
        count: u32,
    },
    /// Marks as read what comes from somebody, until there are so many messages and all own ones are read. Answered by
    /// [`Answer::History`].
    Settle {
        /// The peer's name.
        with: String,
        /// By both together.
        messages: u32,
    },
}

/// From an actor.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "lowercase")]
pub enum Answer {
    /// It is done.
    Done,
    /// A conversation, in its order.
    History {
        /// Oldest first.
        lines: Vec<Line>,
    },
    /// It could not be done.
    Failed {
        /// A stable code.
        code: String,
        /// For people.
        detail: String,
    },
}

/// A message as every language shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line {
    /// UUID.
    pub id: String,
    /// Its position.
    pub seq: u64,
    /// What it says.
    pub text: String,
}
