//! Phones, desktops and servers: the engine owns the writing connection on a thread of its own, queries run on a second
//! thread with a reading connection, sockets and HTTP on a small tokio runtime.

mod api;
mod clock;
mod engine_thread;
mod folder;
mod reader_thread;
mod socket;

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError, mpsc};

use chasqui_wire::{ConversationId, Timestamp};
use ring::rand::{SecureRandom as _, SystemRandom};
use tokio::sync::{oneshot, watch};

pub(crate) use self::api::{Api, Credentials};
use self::engine_thread::ToEngine;
pub(crate) use self::folder::wipe;
use self::reader_thread::ToReader;
use crate::client::Home;
use crate::engine::{ChangeSet, Command, ConnectionState, Input, Reply};
use crate::{Error, History, StoreError};

/// 32 bytes from the operating system.
pub(crate) fn fresh_seed() -> Result<[u8; 32], Error> {
    let mut seed = [0; 32];
    let drawn = SystemRandom::new().fill(&mut seed);
    drawn.map_err(|_| Error::Internal { detail: "the operating system gives no random bytes".into() })?;
    Ok(seed)
}

/// A new UUIDv7 (RFC 9562).
#[expect(clippy::disallowed_methods, reason = "the driver is where time and randomness come from")]
pub(crate) fn fresh_id<T: From<uuid::Uuid>>() -> T {
    T::from(uuid::Uuid::now_v7())
}

/// What changed when, so that observers can tell whether they are behind.
#[derive(Debug, Default)]
pub(crate) struct Versions {
    latest: u64,
    list: u64,
    /// When everything changed at once.
    all: u64,
    conversations: std::collections::BTreeMap<ConversationId, u64>,
}

/// What a watcher watches.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Topic {
    List,
    Timeline(ConversationId),
}

impl Versions {
    fn record(&mut self, changes: &ChangeSet) -> u64 {
        self.latest += 1;
        self.list = self.latest;
        for &conversation in &changes.conversations {
            self.conversations.insert(conversation, self.latest);
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
            Topic::Timeline(conversation) => self.conversations.get(&conversation).copied().unwrap_or(0).max(self.all),
        }
    }
}

/// What the threads share.
#[derive(Debug)]
struct Shared {
    connection: watch::Sender<ConnectionState>,
    changes: watch::Sender<u64>,
    closed: watch::Sender<bool>,
    /// The number of the last salvage.
    salvages: watch::Sender<u64>,
    versions: Mutex<Versions>,
    token: Mutex<Option<HttpToken>>,
    /// Whether queries are answered.
    readable: watch::Sender<bool>,
}

/// A bearer token that no log can show.
#[derive(Clone)]
struct HttpToken {
    token: String,
    expires_at: Timestamp,
}

impl std::fmt::Debug for HttpToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("HttpToken").field("expires_at", &self.expires_at).finish_non_exhaustive()
    }
}

impl Shared {
    fn new() -> Self {
        Self {
            connection: watch::Sender::new(ConnectionState::Offline),
            changes: watch::Sender::new(0),
            closed: watch::Sender::new(false),
            salvages: watch::Sender::new(0),
            versions: Mutex::default(),
            token: Mutex::default(),
            readable: watch::Sender::new(false),
        }
    }

    fn record(&self, changes: &ChangeSet) {
        let version = self.versions.lock().unwrap_or_else(PoisonError::into_inner).record(changes);
        self.changes.send_replace(version);
    }

    /// Whatever is watched is asked for again.
    fn everything_changed(&self) {
        let version = self.versions.lock().unwrap_or_else(PoisonError::into_inner).record_all();
        self.changes.send_replace(version);
    }

    fn version_of(&self, topic: Topic) -> u64 {
        self.versions.lock().unwrap_or_else(PoisonError::into_inner).of(topic)
    }
}

/// Where sockets and HTTP run. Dropping it never blocks: that may happen on an async caller's thread.
#[derive(Debug)]
struct Network(Option<tokio::runtime::Runtime>);

impl Network {
    fn start() -> Result<Self, Error> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("chasqui-net")
            .enable_io()
            .enable_time()
            .build()
            .map_err(|error| Error::Internal { detail: error.to_string() })?;
        Ok(Self(Some(runtime)))
    }

    fn handle(&self) -> Result<&tokio::runtime::Handle, Error> {
        self.0.as_ref().map(tokio::runtime::Runtime::handle).ok_or(Error::Closed)
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

/// The running machinery of one client. Dropping it stops everything.
#[derive(Debug)]
pub(crate) struct Driver {
    engine: mpsc::Sender<ToEngine>,
    reader: mpsc::Sender<ToReader>,
    shared: Arc<Shared>,
    network: Network,
    pub(crate) api: Arc<Api>,
}

impl Driver {
    pub(crate) async fn start(folder: &Path, node: &str, home: Home) -> Result<Self, Error> {
        let network = Network::start()?;
        let shared = Arc::new(Shared::new());
        let api = Arc::new(Api::new(node, Arc::clone(&shared))?);
        let (reader, reader_inbox) = mpsc::channel();
        let (engine, engine_inbox) = mpsc::channel();
        let opened = engine_thread::start(engine_thread::Start {
            folder: folder.to_owned(),
            home,
            inbox: engine_inbox,
            reader: reader.clone(),
            to_self: engine.clone(),
            shared: Arc::clone(&shared),
            net: network.handle()?.clone(),
            api: Arc::clone(&api),
        })?;
        let driver = Self { engine, reader, shared, network, api };
        received(opened.await)??;
        reader_thread::start(folder.to_owned(), reader_inbox, Arc::clone(&driver.shared))?;
        Ok(driver)
    }

    pub(crate) async fn command(&self, command: Command) -> Result<Reply, Error> {
        let (reply, answer) = oneshot::channel();
        self.to_engine(ToEngine::Command(command, reply))?;
        received(answer.await)?
    }

    pub(crate) async fn query<T: Send + 'static>(
        &self,
        query: impl FnOnce(History<'_>) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, Error> {
        let (reply, answer) = oneshot::channel();
        let run = move |history: Option<History<'_>>| {
            let result = history.map_or(Err(Error::Suspended), |history| query(history).map_err(Error::from));
            // Whoever asked may have stopped waiting.
            let _ = reply.send(result);
        };
        self.reader.send(ToReader::Query(Box::new(run))).map_err(|_| Error::Closed)?;
        let answer = received(answer.await)?;
        if let Err(Error::Corrupt { detail }) = &answer {
            // The engine's thread replaces the files; the app may ask again.
            let _ = self.to_engine(ToEngine::Damaged(detail.clone()));
        }
        answer
    }

    /// Runs network work on the client's own runtime, whatever runtime the caller has.
    pub(crate) async fn on_network<T: Send + 'static>(
        &self,
        work: impl Future<Output = Result<T, Error>> + Send + 'static,
    ) -> Result<T, Error> {
        self.network.handle()?.spawn(work).await.unwrap_or(Err(Error::Closed))
    }

    pub(crate) fn network_up(&self) {
        // A closed client has nothing to wake.
        let _ = self.to_engine(ToEngine::Input(Input::NetworkUp));
    }

    pub(crate) fn connection(&self) -> watch::Receiver<ConnectionState> {
        self.shared.connection.subscribe()
    }

    /// Turns true when the client was closed.
    pub(crate) fn closed(&self) -> watch::Receiver<bool> {
        self.shared.closed.subscribe()
    }

    /// The number of the last salvage.
    pub(crate) fn salvages(&self) -> watch::Receiver<u64> {
        self.shared.salvages.subscribe()
    }

    /// Waits until `topic` is newer than `seen`; returns its version.
    pub(crate) async fn changed(&self, topic: Topic, seen: u64) -> Result<u64, Error> {
        let (mut changes, mut closed) = (self.shared.changes.subscribe(), self.closed());
        loop {
            let version = self.shared.version_of(topic);
            if version > seen {
                return Ok(version);
            }
            tokio::select! {
                changed = changes.changed() => changed.map_err(|_| Error::Closed)?,
                _ = closed.wait_for(|&closed| closed) => return Err(Error::Closed),
            }
        }
    }

    /// Waits until the client is not suspended.
    pub(crate) async fn resumed(&self) -> Result<(), Error> {
        let (mut readable, mut closed) = (self.shared.readable.subscribe(), self.closed());
        tokio::select! {
            readable = readable.wait_for(|&readable| readable) => readable.map(drop).map_err(|_| Error::Closed),
            _ = closed.wait_for(|&closed| closed) => Err(Error::Closed),
        }
    }

    pub(crate) fn version_of(&self, topic: Topic) -> u64 {
        self.shared.version_of(topic)
    }

    /// Closes the socket and both connections, and releases every file lock.
    pub(crate) async fn suspend(&self) -> Result<(), Error> {
        // Both are told before anything is awaited: a caller that stops waiting does not leave one of them open.
        let (reply, reader) = oneshot::channel();
        self.reader.send(ToReader::Close(reply)).map_err(|_| Error::Closed)?;
        let (reply, engine) = oneshot::channel();
        self.to_engine(ToEngine::Suspend(reply))?;
        received(reader.await)?;
        received(engine.await)
    }

    /// Opens everything again.
    pub(crate) async fn resume(&self) -> Result<(), Error> {
        let (reply, answer) = oneshot::channel();
        self.to_engine(ToEngine::Resume(reply))?;
        received(answer.await)??;
        let (reply, answer) = oneshot::channel();
        self.reader.send(ToReader::Open(reply)).map_err(|_| Error::Closed)?;
        received(answer.await)?
    }

    /// Stops the threads and waits until every file is closed.
    pub(crate) async fn stop(&self) -> Result<(), Error> {
        let (reply, answer) = oneshot::channel();
        if self.reader.send(ToReader::Stop(reply)).is_ok() {
            let _ = answer.await;
        }
        let (reply, answer) = oneshot::channel();
        if self.to_engine(ToEngine::Stop(reply)).is_ok() {
            let _ = answer.await;
        }
        self.shared.closed.send_replace(true);
        Ok(())
    }

    fn to_engine(&self, message: ToEngine) -> Result<(), Error> {
        self.engine.send(message).map_err(|_| Error::Closed)
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        let (reply, _) = oneshot::channel();
        let _ = self.reader.send(ToReader::Stop(reply));
        let (reply, _) = oneshot::channel();
        let _ = self.engine.send(ToEngine::Stop(reply));
    }
}

/// A thread that is gone answers nothing.
fn received<T>(answer: Result<T, oneshot::error::RecvError>) -> Result<T, Error> {
    answer.map_err(|_| Error::Closed)
}
