//! Browsers: everything of one client runs in one dedicated worker, as tasks of its event loop. The engine's connection to
//! the history is the only one, and queries share it; sockets, HTTP and timers are the browser's.
//!
//! What belongs to JavaScript stays inside tasks that are spawned here: futures of a client wait at channels only.

mod folder;
mod http;
mod place;
pub(super) mod socket;
mod task;
mod timer;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use ring::rand::{SecureRandom as _, SystemRandom};
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use tokio::sync::oneshot;
use wasm_bindgen_futures::spawn_local;

pub(super) use self::folder::Folder;
pub(crate) use self::folder::wipe;
pub(super) use self::http::Http;
pub(super) use self::place::Place;
pub(super) use self::socket::Inbound;
pub(super) use self::task::Readers;
use self::task::ToTask;
use super::api::Api;
use super::clock::Clock;
use super::engine_loop::{Start, ToEngine};
use super::shared::Shared;
use super::{ToReader, ended};
use crate::Error;
use crate::client::{Config, Home};
use crate::domain::Peeked;

/// 32 bytes from the browser.
pub(crate) fn fresh_seed() -> Result<[u8; 32], Error> {
    let mut seed = [0; 32];
    let drawn = SystemRandom::new().fill(&mut seed);
    drawn.map_err(|_| Error::Internal { detail: "the browser gives no random bytes".into() })?;
    Ok(seed)
}

/// A new UUIDv7 (RFC 9562).
pub(crate) fn fresh_id<T: From<uuid::Uuid>>() -> T {
    let mut random = [0; 10];
    // A browser without random bytes gives no keys either: nothing gets as far as sending with such an id.
    random.copy_from_slice(&fresh_seed().unwrap_or_default()[..10]);
    let millis = u64::try_from(Clock::start().now().0).unwrap_or_default();
    T::from(uuid::Builder::from_unix_timestamp_millis(millis, &random).into_uuid())
}

/// A worker that holds a folder keeps everybody else out of it.
pub(crate) async fn peek(_: &Config, _: Duration) -> Result<Peeked, Error> {
    Err(Error::Incompatible { detail: "browsers let nobody look into a folder beside its client".into() })
}

/// Runs network work. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct Net;

impl Net {
    pub(super) fn spawn(&self, work: impl Future<Output = ()> + 'static) {
        spawn_local(work);
    }
}

/// The way to the task that does everything.
#[derive(Debug)]
pub(super) struct Machinery {
    task: UnboundedSender<ToTask>,
    is_persistent: bool,
}

impl Machinery {
    pub(super) async fn start(folder: &Path, home: Home, shared: Arc<Shared>, api: Arc<Api>) -> Result<Self, Error> {
        let (task, inbox) = unbounded_channel();
        let (opened, opening) = oneshot::channel();
        let (folder, to_task) = (folder.to_owned(), task.downgrade());
        let inbound = Inbound::new(to_task);
        spawn_local(async move {
            let place = match Place::reach(&folder).await {
                Ok(place) => place,
                Err(error) => return drop(opened.send(Err(error))),
            };
            let readers = Readers::new(Arc::clone(&shared));
            let start =
                Start { place: place.clone(), home, readers, inbound, shared: Arc::clone(&shared), net: Net, api };
            match task::Task::open(start, shared) {
                Ok(task) => {
                    let _ = opened.send(Ok(place.is_persistent()));
                    task.run(inbox).await;
                }
                Err(error) => drop(opened.send(Err(error))),
            }
        });
        Ok(Self { task, is_persistent: opening.await.map_err(|_| ended())?? })
    }

    pub(super) fn is_persistent(&self) -> bool {
        self.is_persistent
    }

    pub(super) fn to_engine(&self, message: ToEngine) -> Result<(), Error> {
        self.task.send(ToTask::Engine(message)).map_err(|_| Error::Closed)
    }

    pub(super) fn to_reader(&self, message: ToReader) -> Result<(), Error> {
        self.task.send(ToTask::Reader(message)).map_err(|_| Error::Closed)
    }

    /// What is under way in the browser ends by itself.
    pub(super) fn end(&self) {}

    #[expect(clippy::unnecessary_wraps, reason = "elsewhere a client that is closed has nothing to run it on")]
    pub(super) fn spawn(&self, work: impl Future<Output = ()> + 'static) -> Result<(), Error> {
        spawn_local(work);
        Ok(())
    }
}
