//! Async observers over [`crate::observe`]: they ask again when something changed, and tell the difference.

use std::future::Future;

use chasqui_wire::ConversationId;
use tokio::sync::watch;

use crate::client::Client;
use crate::domain::{ConversationSummary, HistoryTransfer, Salvage, SecurityEvent, TimelineItem, Typing};
use crate::driver::{Topic, until_true};
use crate::engine::ConnectionState;
use crate::error::Error;
use crate::observe::{Line, Update, difference};

/// A window of a list, watched. The first update is a `Reset`.
#[derive(Debug)]
pub struct Observer<T> {
    client: Client,
    topic: Topic,
    limit: u32,
    /// The version that the window shows; `None` = ask at once.
    seen: Option<u64>,
    window: Option<Vec<T>>,
}

/// Watches the newest lines of a timeline.
pub type TimelineObserver = Observer<TimelineItem>;
/// Watches the top of the conversation list.
pub type ConversationsObserver = Observer<ConversationSummary>;

impl<T> Observer<T> {
    pub(crate) fn new(client: Client, topic: Topic, limit: u32) -> Self {
        Self { client, topic, limit, seen: None, window: None }
    }

    /// Shows this many lines from the next update on: loading older ones.
    pub fn set_limit(&mut self, limit: u32) {
        if self.limit != limit {
            self.limit = limit;
            self.seen = None;
        }
    }

    /// The lines as of the last update.
    pub fn window(&self) -> &[T] {
        self.window.as_deref().unwrap_or_default()
    }
}

impl TimelineObserver {
    /// Waits for news. Dropping the future loses nothing.
    ///
    /// # Errors
    /// [`Error::Closed`] when the client was closed.
    pub async fn next(&mut self) -> Result<Update<TimelineItem>, Error> {
        let Topic::Timeline(conversation) = self.topic else { return Err(Error::Closed) };
        advance(self, |client, limit| timeline(client, conversation, limit)).await
    }
}

impl ConversationsObserver {
    /// Waits for news. Dropping the future loses nothing.
    ///
    /// # Errors
    /// [`Error::Closed`] when the client was closed.
    pub async fn next(&mut self) -> Result<Update<ConversationSummary>, Error> {
        advance(self, |client, limit| async move { client.conversations(limit).await }).await
    }
}

async fn timeline(client: Client, conversation: ConversationId, limit: u32) -> Result<Vec<TimelineItem>, Error> {
    Ok(client.timeline(conversation, None, limit).await?.items)
}

/// The next update that says something.
async fn advance<T: Line, F: Future<Output = Result<Vec<T>, Error>>>(
    observer: &mut Observer<T>,
    ask: impl Fn(Client, u32) -> F,
) -> Result<Update<T>, Error> {
    loop {
        let version = match observer.seen {
            None => observer.client.driver.version_of(observer.topic),
            Some(seen) => observer.client.driver.changed(observer.topic, seen).await?,
        };
        let lines = match ask(observer.client.clone(), observer.limit).await {
            Ok(lines) => lines,
            // Nothing changes while the client is suspended; it will say so when it is back.
            Err(Error::Suspended) => {
                observer.client.driver.resumed().await?;
                continue;
            }
            Err(error) => return Err(error),
        };
        observer.seen = Some(version);
        let update = match &observer.window {
            None => Update::Reset(lines.clone()),
            Some(window) => Update::Changes(difference(window, &lines)),
        };
        observer.window = Some(lines);
        if !matches!(&update, Update::Changes(changes) if changes.is_empty()) {
            return Ok(update);
        }
    }
}

/// Watches the connection.
#[derive(Debug)]
pub struct ConnectionObserver {
    states: watch::Receiver<ConnectionState>,
    closed: watch::Receiver<bool>,
    first: bool,
}

impl ConnectionObserver {
    pub(crate) fn new(states: watch::Receiver<ConnectionState>, closed: watch::Receiver<bool>) -> Self {
        Self { states, closed, first: true }
    }

    /// The state now at the first call, then each change. States in between may be skipped.
    ///
    /// # Errors
    /// [`Error::Closed`] when the client was closed.
    pub async fn next(&mut self) -> Result<ConnectionState, Error> {
        if !self.first {
            tokio::select! {
                biased;
                changed = self.states.changed() => changed.map_err(|_| Error::Closed)?,
                () = until_true(&mut self.closed) => return Err(Error::Closed),
            }
        }
        self.first = false;
        Ok(*self.states.borrow_and_update())
    }
}

/// Watches who else is writing.
#[derive(Debug)]
pub struct TypingObserver {
    lists: watch::Receiver<Vec<Typing>>,
    closed: watch::Receiver<bool>,
    first: bool,
}

impl TypingObserver {
    pub(crate) fn new(lists: watch::Receiver<Vec<Typing>>, closed: watch::Receiver<bool>) -> Self {
        Self { lists, closed, first: true }
    }

    /// Everybody who is at the first call, then the whole list at each change. Lists in between may be skipped.
    ///
    /// # Errors
    /// [`Error::Closed`] when the client was closed.
    pub async fn next(&mut self) -> Result<Vec<Typing>, Error> {
        if !self.first {
            tokio::select! {
                biased;
                changed = self.lists.changed() => changed.map_err(|_| Error::Closed)?,
                () = until_true(&mut self.closed) => return Err(Error::Closed),
            }
        }
        self.first = false;
        Ok(self.lists.borrow_and_update().clone())
    }
}

/// Watches for damage that was found, and what was saved from it.
#[derive(Debug)]
pub struct SalvageObserver {
    client: Client,
    numbers: watch::Receiver<u64>,
    closed: watch::Receiver<bool>,
    shown: u64,
}

impl SalvageObserver {
    pub(crate) fn new(client: Client, shown: u64) -> Self {
        let (numbers, closed) = (client.driver.salvages(), client.driver.closed());
        Self { client, numbers, closed, shown }
    }

    /// The next report that was not shown yet. Dropping the future loses nothing.
    ///
    /// # Errors
    /// [`Error::Closed`] when the client was closed.
    pub async fn next(&mut self) -> Result<Salvage, Error> {
        loop {
            let shown = self.shown;
            tokio::select! {
                biased;
                news = self.numbers.wait_for(|&number| number > shown) => news.map(drop).map_err(|_| Error::Closed)?,
                () = until_true(&mut self.closed) => return Err(Error::Closed),
            }
            let reports = match self.client.salvages().await {
                Err(Error::Suspended) => {
                    self.client.driver.resumed().await?;
                    continue;
                }
                reports => reports?,
            };
            // Of one that cannot be read there is at least its number.
            let Some(report) = reports.into_iter().find(|report| report.number > shown) else {
                self.shown = shown + 1;
                continue;
            };
            self.shown = report.number;
            return Ok(report);
        }
    }
}

/// Watches for security events.
#[derive(Debug)]
pub struct SecurityObserver {
    client: Client,
    /// The version that everything up to `shown` was found at.
    seen: Option<u64>,
    shown: u64,
}

impl SecurityObserver {
    pub(crate) fn new(client: Client, shown: u64) -> Self {
        Self { client, seen: None, shown }
    }

    /// The next event that was not shown yet. Dropping the future loses nothing.
    ///
    /// # Errors
    /// [`Error::Closed`] when the client was closed.
    pub async fn next(&mut self) -> Result<SecurityEvent, Error> {
        loop {
            let driver = &self.client.driver;
            let version = match self.seen {
                None => driver.version_of(Topic::Security),
                Some(seen) => driver.changed(Topic::Security, seen).await?,
            };
            match self.client.security_events(self.shown, 1).await {
                Ok(events) => match events.into_iter().next() {
                    Some(event) => {
                        self.shown = event.number;
                        // There may be more.
                        self.seen = None;
                        return Ok(event);
                    }
                    None => self.seen = Some(version),
                },
                Err(Error::Suspended) => self.client.driver.resumed().await?,
                Err(error) => return Err(error),
            }
        }
    }
}

/// Watches how far the history of another device has come.
#[derive(Debug)]
pub struct TransferObserver {
    client: Client,
    seen: Option<u64>,
    shown: Option<Option<HistoryTransfer>>,
}

impl TransferObserver {
    pub(crate) fn new(client: Client) -> Self {
        Self { client, seen: None, shown: None }
    }

    /// How far it is now at the first call, then each change; `None` = none is on its way. Steps in between may be skipped.
    ///
    /// # Errors
    /// [`Error::Closed`] when the client was closed.
    pub async fn next(&mut self) -> Result<Option<HistoryTransfer>, Error> {
        loop {
            let driver = &self.client.driver;
            let version = match self.seen {
                None => driver.version_of(Topic::Transfer),
                Some(seen) => driver.changed(Topic::Transfer, seen).await?,
            };
            match self.client.history_transfer().await {
                Ok(transfer) => {
                    self.seen = Some(version);
                    if self.shown != Some(transfer) {
                        self.shown = Some(transfer);
                        return Ok(transfer);
                    }
                }
                Err(Error::Suspended) => self.client.driver.resumed().await?,
                Err(error) => return Err(error),
            }
        }
    }
}
