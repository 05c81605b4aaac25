//! Phones, desktops and servers: the engine owns the writing connection on a thread of its own, queries run on a second
//! thread with a reading connection, sockets and HTTP on a small tokio runtime.

mod connect;
mod engine_thread;
mod folder;
mod http;
mod peek;
mod reader_thread;
pub(super) mod socket;

use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError, mpsc};

use ring::rand::{SecureRandom as _, SystemRandom};

pub(super) use self::folder::Folder;
pub(crate) use self::folder::wipe;
pub(super) use self::http::Http;
pub(crate) use self::peek::peek;
pub(super) use self::reader_thread::Readers;
pub(super) use self::socket::Inbound;
use super::api::Api;
use super::engine_loop::{Start, ToEngine};
use super::shared::Shared;
use super::{ToReader, ended};
use crate::Error;
use crate::client::Home;

/// Where a history lies.
pub(super) type Place = PathBuf;

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

/// Runs network work. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct Net(tokio::runtime::Handle);

impl Net {
    pub(super) fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) {
        // Boxed, so that all work is one type of task: the machinery around each type takes some KiB.
        let work: Pin<Box<dyn Future<Output = ()> + Send>> = Box::pin(work);
        self.0.spawn(work);
    }
}

/// Where sockets and HTTP run. Dropping it never blocks: that may happen on an async caller's thread.
#[derive(Debug)]
struct Network(Mutex<Option<tokio::runtime::Runtime>>);

impl Network {
    fn start() -> Result<Self, Error> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("chasqui-net")
            .enable_io()
            .enable_time()
            .build()
            .map_err(|error| Error::Internal { detail: error.to_string() })?;
        Ok(Self(Mutex::new(Some(runtime))))
    }

    fn net(&self) -> Result<Net, Error> {
        let runtime = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        runtime.as_ref().map(|runtime| Net(runtime.handle().clone())).ok_or(Error::Closed)
    }

    /// What is under way ends where it is.
    fn end(&self) {
        if let Some(runtime) = self.0.lock().unwrap_or_else(PoisonError::into_inner).take() {
            runtime.shutdown_background();
        }
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        self.end();
    }
}

/// The threads of one client, and the ways to them.
#[derive(Debug)]
pub(super) struct Machinery {
    engine: mpsc::Sender<ToEngine>,
    reader: mpsc::Sender<ToReader>,
    network: Network,
}

impl Machinery {
    pub(super) async fn start(folder: &Path, home: Home, shared: Arc<Shared>, api: Arc<Api>) -> Result<Self, Error> {
        let network = Network::start()?;
        let binding = home.binding.clone();
        let (reader, reader_inbox) = mpsc::channel();
        let (engine, engine_inbox) = mpsc::channel();
        let start = Start {
            place: folder.to_owned(),
            home,
            readers: Readers::new(reader.clone()),
            inbound: Inbound::new(engine.clone()),
            shared: Arc::clone(&shared),
            net: network.net()?,
            api,
        };
        let opened = engine_thread::start(start, engine_inbox)?;
        let machinery = Self { engine, reader, network };
        opened.await.map_err(|_| ended())??;
        reader_thread::start(folder.to_owned(), binding, reader_inbox, shared)?;
        Ok(machinery)
    }

    pub(super) fn to_engine(&self, message: ToEngine) -> Result<(), Error> {
        self.engine.send(message).map_err(|_| Error::Closed)
    }

    pub(super) fn to_reader(&self, message: ToReader) -> Result<(), Error> {
        self.reader.send(message).map_err(|_| Error::Closed)
    }

    pub(super) fn is_persistent(&self) -> bool {
        true
    }

    /// Sockets and requests end, and the thread that they ran on.
    pub(super) fn end(&self) {
        self.network.end();
    }

    pub(super) fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) -> Result<(), Error> {
        self.network.net().map(|net| net.spawn(work))
    }
}
