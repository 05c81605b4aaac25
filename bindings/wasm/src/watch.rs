//! Watching, a piece of news at a time: a tab asks for the next one when it has dealt with the last.

use chasqui::{
    Client, ConnectionObserver, ConversationId, ConversationsObserver, Error, SalvageObserver, SecurityObserver,
    TimelineObserver, TransferObserver, TypingObserver,
};
use serde::Deserialize;
use serde_json::Value;

use crate::shape;

/// What is watched.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(tag = "kind", rename_all = "camelCase", deny_unknown_fields)]
#[expect(missing_docs, reason = "documented at `Client`")]
pub enum Topic {
    Connection {},
    Conversations { limit: u32 },
    Timeline { conversation: ConversationId, limit: u32 },
    Salvages { shown: u64 },
    SecurityEvents { after: u64 },
    HistoryTransfer {},
    Typing {},
}

/// One of the core's observers.
#[derive(Debug)]
#[expect(missing_docs, reason = "documented at `Client`")]
pub enum Observer {
    Connection(ConnectionObserver),
    Conversations(ConversationsObserver),
    Timeline(TimelineObserver),
    Salvages(SalvageObserver),
    SecurityEvents(SecurityObserver),
    HistoryTransfer(TransferObserver),
    Typing(TypingObserver),
}

impl Observer {
    /// Begins to watch.
    pub fn new(client: &Client, topic: Topic) -> Self {
        match topic {
            Topic::Connection {} => Self::Connection(client.observe_connection()),
            Topic::Conversations { limit } => Self::Conversations(client.observe_conversations(limit)),
            Topic::Timeline { conversation, limit } => Self::Timeline(client.observe_timeline(conversation, limit)),
            Topic::Salvages { shown } => Self::Salvages(client.observe_salvages(shown)),
            Topic::SecurityEvents { after } => Self::SecurityEvents(client.observe_security_events(after)),
            Topic::HistoryTransfer {} => Self::HistoryTransfer(client.observe_history_transfer()),
            Topic::Typing {} => Self::Typing(client.observe_typing()),
        }
    }

    /// Shows as many lines as the topic says from the next update on.
    pub fn set_limit(&mut self, topic: Topic) {
        match (self, topic) {
            (Self::Conversations(observer), Topic::Conversations { limit }) => observer.set_limit(limit),
            (Self::Timeline(observer), Topic::Timeline { limit, .. }) => observer.set_limit(limit),
            _ => {}
        }
    }

    /// Waits for news. Dropping the future loses nothing.
    ///
    /// # Errors
    /// [`Error::Closed`] when the client was closed.
    pub async fn next(&mut self) -> Result<Value, Error> {
        match self {
            Self::Connection(observer) => observer.next().await.map(shape::connection),
            Self::Conversations(observer) => Ok(shape::update(&observer.next().await?, shape::conversation)),
            Self::Timeline(observer) => Ok(shape::update(&observer.next().await?, shape::item)),
            Self::Salvages(observer) => observer.next().await.map(|salvage| shape::salvage(&salvage)),
            Self::SecurityEvents(observer) => observer.next().await.map(|event| shape::security_event(&event)),
            Self::HistoryTransfer(observer) => observer.next().await.map(shape::transfer),
            Self::Typing(observer) => observer.next().await.map(|list| shape::typing(&list)),
        }
    }
}
