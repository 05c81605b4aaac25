//! What the parts of a driver share, wherever each of them runs.

use std::collections::BTreeMap;
use std::sync::atomic::AtomicBool;
use std::sync::{Mutex, PoisonError};

use chasqui_wire::{ConversationId, Timestamp};
use tokio::sync::watch;

use crate::domain::Typing;
use crate::engine::{ChangeSet, ConnectionState, LinkingState};

/// What a watcher watches.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Topic {
    List,
    Timeline(ConversationId),
    Security,
    Transfer,
}

/// Channels from the machinery to whoever watches, and the token for HTTP.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) connection: watch::Sender<ConnectionState>,
    pub(super) changes: watch::Sender<u64>,
    pub(super) closed: watch::Sender<bool>,
    /// The app wants it closed: whoever does not answer from here on need not.
    pub(super) is_closing: AtomicBool,
    /// The number of the last salvage.
    pub(super) salvages: watch::Sender<u64>,
    pub(super) linking: watch::Sender<LinkingState>,
    /// Who else is writing.
    pub(super) typing: watch::Sender<Vec<Typing>>,
    versions: Mutex<Versions>,
    token: Mutex<Option<HttpToken>>,
    /// Whether queries are answered.
    pub(super) readable: watch::Sender<bool>,
}

impl Shared {
    pub(super) fn new() -> Self {
        Self {
            connection: watch::Sender::new(ConnectionState::Offline),
            changes: watch::Sender::new(0),
            closed: watch::Sender::new(false),
            is_closing: AtomicBool::new(false),
            salvages: watch::Sender::new(0),
            linking: watch::Sender::default(),
            typing: watch::Sender::default(),
            versions: Mutex::default(),
            token: Mutex::default(),
            readable: watch::Sender::new(false),
        }
    }

    /// Who else is writing now.
    pub(super) fn show_typing(&self, typing: Vec<Typing>) {
        self.typing.send_if_modified(|shown| {
            let is_new = *shown != typing;
            *shown = typing;
            is_new
        });
    }

    /// Another engine goes on, which knows nothing of what the one before had in memory only.
    pub(super) fn engine_replaced(&self) {
        self.linking.send_replace(LinkingState::None);
        self.show_typing(Vec::new());
    }

    pub(super) fn record(&self, changes: &ChangeSet) {
        let version = self.versions.lock().unwrap_or_else(PoisonError::into_inner).record(changes);
        self.changes.send_replace(version);
    }

    /// Whatever is watched is asked for again.
    pub(super) fn everything_changed(&self) {
        let version = self.versions.lock().unwrap_or_else(PoisonError::into_inner).record_all();
        self.changes.send_replace(version);
    }

    pub(super) fn version_of(&self, topic: Topic) -> u64 {
        self.versions.lock().unwrap_or_else(PoisonError::into_inner).of(topic)
    }

    pub(super) fn token(&self) -> Option<HttpToken> {
        self.token.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn set_token(&self, token: Option<HttpToken>) {
        *self.token.lock().unwrap_or_else(PoisonError::into_inner) = token;
    }
}

/// What changed when, so that observers can tell whether they are behind.
#[derive(Debug, Default)]
struct Versions {
    latest: u64,
    list: u64,
    security: u64,
    transfer: u64,
    /// When everything changed at once.
    all: u64,
    conversations: BTreeMap<ConversationId, u64>,
}

impl Versions {
    fn record(&mut self, changes: &ChangeSet) -> u64 {
        self.latest += 1;
        self.list = self.latest;
        for &conversation in &changes.conversations {
            self.conversations.insert(conversation, self.latest);
        }
        if changes.security {
            self.security = self.latest;
        }
        if changes.transfer {
            self.transfer = self.latest;
        }
        self.latest
    }

    fn record_all(&mut self) -> u64 {
        self.latest += 1;
        (self.list, self.all) = (self.latest, self.latest);
        self.latest
    }

    fn of(&self, topic: Topic) -> u64 {
        match topic {
            Topic::List => self.list,
            Topic::Security => self.security.max(self.all),
            Topic::Transfer => self.transfer.max(self.all),
            Topic::Timeline(conversation) => self.conversations.get(&conversation).copied().unwrap_or(0).max(self.all),
        }
    }
}

/// A bearer token that no log can show.
#[derive(Clone)]
pub(super) struct HttpToken {
    pub(super) token: String,
    pub(super) expires_at: Timestamp,
}

impl std::fmt::Debug for HttpToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("HttpToken").field("expires_at", &self.expires_at).finish_non_exhaustive()
    }
}
