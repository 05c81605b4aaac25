//! Carries out what the engine decides. The only rooms that know sockets, clocks, threads and randomness; one a
//! platform, each with the same parts under the same names. What the platforms share is written here once.

mod api;
#[cfg(target_arch = "wasm32")]
mod browser;
mod clock;
mod engine_loop;
#[cfg(not(target_arch = "wasm32"))]
mod native;
mod shared;

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use tokio::sync::{oneshot, watch};

#[cfg(target_arch = "wasm32")]
use self::browser as platform;
#[cfg(not(target_arch = "wasm32"))]
use self::native as platform;

pub(crate) use self::api::{Api, Credentials};
pub(crate) use self::clock::wall as now;
use self::engine_loop::ToEngine;
use self::platform::Machinery;
pub(crate) use self::platform::{fresh_id, fresh_seed, peek, wipe};
use self::shared::Shared;
pub(crate) use self::shared::Topic;
use crate::client::Home;
use crate::domain::Typing;
use crate::engine::{Command, ConnectionState, Input, LinkingState, Reply};
use crate::{Error, History, StoreError};

/// What a query found. Of no type in between, so that what carries questions and answers is compiled once.
type Found = Box<dyn Any + Send>;

type Run = Box<dyn FnOnce(History<'_>) -> Result<Found, StoreError> + Send>;

struct Query {
    run: Run,
    reply: oneshot::Sender<Result<Found, Error>>,
}

impl Query {
    /// Gets `None` while the client is suspended.
    fn answer(self, history: Option<History<'_>>) {
        let Self { run, reply } = self;
        let ask = |history| run(history).map_err(Error::from);
        let asked = catch_unwind(AssertUnwindSafe(|| history.map_or(Err(Error::Suspended), ask)));
        let result = asked.unwrap_or_else(|_| {
            tracing::error!("a query panicked");
            Err(Error::Internal { detail: "a query panicked".into() })
        });
        // Whoever asked may have stopped waiting.
        let _ = reply.send(result);
    }
}

/// To whoever holds the connection for queries.
enum ToReader {
    Query(Query),
    Close(oneshot::Sender<()>),
    Open(oneshot::Sender<Result<(), Error>>),
    Stop(oneshot::Sender<()>),
}

/// The running machinery of one client. Dropping it stops everything.
#[derive(Debug)]
pub(crate) struct Driver {
    machinery: Machinery,
    shared: Arc<Shared>,
    pub(crate) api: Arc<Api>,
}

impl Driver {
    pub(crate) async fn start(folder: &Path, node: &str, home: Home) -> Result<Self, Error> {
        let shared = Arc::new(Shared::new());
        let api = Arc::new(Api::new(node, Arc::clone(&shared))?);
        let machinery = Machinery::start(folder, home, Arc::clone(&shared), Arc::clone(&api)).await?;
        Ok(Self { machinery, shared, api })
    }

    pub(crate) async fn command(&self, command: Command) -> Result<Reply, Error> {
        let (reply, answer) = oneshot::channel();
        self.to_engine(ToEngine::Command(command, reply))?;
        self.received(answer.await)?
    }

    pub(crate) async fn query<T: Send + 'static>(
        &self,
        query: impl FnOnce(History<'_>) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, Error> {
        let found = self.found(Box::new(|history| Ok(Box::new(query(history)?)))).await?;
        found.downcast().map(|found| *found).map_err(|_| ended())
    }

    async fn found(&self, run: Run) -> Result<Found, Error> {
        let (reply, answer) = oneshot::channel();
        self.to_reader(ToReader::Query(Query { run, reply }))?;
        let answer = self.received(answer.await)?;
        if let Err(Error::Corrupt { detail }) = &answer {
            // The engine replaces the files; the app may ask again.
            let _ = self.machinery.to_engine(ToEngine::Damaged(detail.clone()));
        }
        answer
    }

    /// Runs network work on the client's own machinery, whatever runtime the caller has, until the client is closed.
    pub(crate) async fn on_network<T: Send + 'static>(
        &self,
        work: impl Future<Output = Result<T, Error>> + Send + 'static,
    ) -> Result<T, Error> {
        let (reply, answer) = oneshot::channel();
        // Boxed: what is around it is compiled once, not for each kind of work.
        self.spawn_until_closed(Box::pin(async move {
            let _ = reply.send(work.await);
        }))?;
        self.received(answer.await)?
    }

    fn spawn_until_closed(&self, work: Pin<Box<dyn Future<Output = ()> + Send>>) -> Result<(), Error> {
        let mut closed = self.closed();
        self.machinery.spawn(async move {
            tokio::select! {
                biased;
                // What is dropped gives no answer, which is told as what it is.
                () = until_true(&mut closed) => {}
                () = work => {}
            }
        })
    }

    /// Whether the history outlives this process.
    pub(crate) fn is_persistent(&self) -> bool {
        self.machinery.is_persistent()
    }

    pub(crate) fn network_up(&self) {
        // A closed client has nothing to wake.
        let _ = self.machinery.to_engine(ToEngine::Input(Input::NetworkUp));
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

    pub(crate) fn linking(&self) -> watch::Receiver<LinkingState> {
        self.shared.linking.subscribe()
    }

    /// Who else is writing.
    pub(crate) fn typing(&self) -> watch::Receiver<Vec<Typing>> {
        self.shared.typing.subscribe()
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
                () = until_true(&mut closed) => return Err(Error::Closed),
            }
        }
    }

    /// Waits until the client is not suspended.
    pub(crate) async fn resumed(&self) -> Result<(), Error> {
        let (mut readable, mut closed) = (self.shared.readable.subscribe(), self.closed());
        tokio::select! {
            readable = readable.wait_for(|&readable| readable) => readable.map(drop).map_err(|_| Error::Closed),
            () = until_true(&mut closed) => Err(Error::Closed),
        }
    }

    pub(crate) fn version_of(&self, topic: Topic) -> u64 {
        self.shared.version_of(topic)
    }

    /// Closes the socket and every connection to the history, and releases every file lock.
    pub(crate) async fn suspend(&self) -> Result<(), Error> {
        // Both are told before anything is awaited: a caller that stops waiting does not leave one of them open.
        let (reply, reader) = oneshot::channel();
        self.to_reader(ToReader::Close(reply))?;
        let (reply, engine) = oneshot::channel();
        self.to_engine(ToEngine::Suspend(reply))?;
        self.received(reader.await)?;
        self.received(engine.await)
    }

    /// Opens everything again.
    pub(crate) async fn resume(&self) -> Result<(), Error> {
        let (reply, answer) = oneshot::channel();
        self.to_engine(ToEngine::Resume(reply))?;
        self.received(answer.await)??;
        let (reply, answer) = oneshot::channel();
        self.to_reader(ToReader::Open(reply))?;
        self.received(answer.await)?
    }

    /// Stops everything and waits until every file is closed.
    pub(crate) async fn stop(&self) -> Result<(), Error> {
        self.shared.is_closing.store(true, Ordering::Release);
        let (reply, answer) = oneshot::channel();
        if self.machinery.to_reader(ToReader::Stop(reply)).is_ok() {
            let _ = answer.await;
        }
        let (reply, answer) = oneshot::channel();
        if self.machinery.to_engine(ToEngine::Stop(reply)).is_ok() {
            let _ = answer.await;
        }
        self.shared.closed.send_replace(true);
        self.machinery.end();
        Ok(())
    }

    fn to_engine(&self, message: ToEngine) -> Result<(), Error> {
        self.machinery.to_engine(message).map_err(|_| self.gone())
    }

    fn to_reader(&self, message: ToReader) -> Result<(), Error> {
        self.machinery.to_reader(message).map_err(|_| self.gone())
    }

    fn received<T>(&self, answer: Result<T, oneshot::error::RecvError>) -> Result<T, Error> {
        answer.map_err(|_| self.gone())
    }

    /// Why nobody answers: the app closed the client, or a defect ended whoever should have.
    fn gone(&self) -> Error {
        if self.shared.is_closing.load(Ordering::Acquire) { Error::Closed } else { ended() }
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        let (reply, _) = oneshot::channel();
        let _ = self.machinery.to_reader(ToReader::Stop(reply));
        let (reply, _) = oneshot::channel();
        let _ = self.machinery.to_engine(ToEngine::Stop(reply));
    }
}

/// Until it is so, or nobody is left to say it. In a function of its own, because what waits is compiled for each closure.
pub(crate) async fn until_true(flag: &mut watch::Receiver<bool>) {
    let _ = flag.wait_for(|&is_so| is_so).await;
}

fn ended() -> Error {
    Error::Internal { detail: "a part of the library ended before its time".into() }
}

#[cfg(all(test, not(target_arch = "wasm32")))]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_told_as_internal_and_harms_nobody_else() {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let folder = tempfile::tempdir().unwrap();
        runtime.block_on(async {
            let driver = Driver::start(folder.path(), "http://127.0.0.1:1", Home::default()).await.unwrap();
            let panicked = driver.query(|_| -> Result<(), StoreError> { panic!("as the test wants") }).await;
            assert!(matches!(panicked, Err(Error::Internal { .. })), "{panicked:?}");
            let panicked = driver.on_network(async { panic!("as the test wants") }).await;
            assert!(matches!(panicked, Err::<(), _>(Error::Internal { .. })), "{panicked:?}");
            assert_eq!(driver.query(|history| history.account()).await, Ok(None));
            driver.stop().await.unwrap();
            assert_eq!(driver.query(|history| history.account()).await, Err(Error::Closed));
            assert_eq!(driver.suspend().await, Err(Error::Closed));
        });
    }
}
