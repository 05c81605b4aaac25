//! The node as it runs: relay thread, listener, a task a socket, and an end that loses nothing.

mod certificate;
pub(crate) mod clock;
mod guests;
mod listener;
mod mailbag;
mod proxies;
mod relay_thread;
mod socket;
mod tls;
mod transport;
mod websocket;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use chasqui_wire::{Limits, RealmId};
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;

use crate::admin;
use crate::config::Config;
use crate::http::{Gate, Origins};
use crate::jwt::{SetUpError, Verifier};
use crate::metrics::{self, Metrics, Monitor};
use crate::phone::{self, Phones};
use crate::relay::{NodeKeys, Relay, RelayError, SessionId, Storage};
use crate::traces::Traces;
pub use certificate::{Age, Certificate};
pub(crate) use guests::{Full, Guests};
pub(crate) use listener::Connection;
use listener::Door;
use mailbag::Allowance;
pub(crate) use proxies::Proxies;
pub(crate) use relay_thread::{CallError, RelayHandle};
pub(crate) use socket::run as run_socket;
pub(crate) use tls::Tls;
pub use tls::{TlsError, TlsFiles, check as check_tls};
pub(crate) use transport::Transport;

/// What every request and socket shares.
#[derive(Clone)]
pub(crate) struct App {
    pub(crate) relay: RelayHandle,
    pub(crate) realm: RealmId,
    pub(crate) limits: Limits,
    pub(crate) keys: NodeKeys,
    /// Whether it enrols by name and password.
    pub(crate) passwords: bool,
    /// Checks tokens of the app's backend; `None` = this node takes none.
    pub(crate) jwt: Option<Arc<Verifier>>,
    pub(crate) metrics: Arc<Metrics>,
    /// Sends codes to telephones; `None` = numbers enrol nobody here.
    pub(crate) phones: Option<Arc<Phones>>,
    /// Who may enrol now.
    pub(crate) gate: Arc<Gate>,
    /// Who is connected.
    pub(crate) guests: Arc<Guests>,
    /// Whose word about addresses counts.
    pub(crate) proxies: Arc<Proxies>,
    /// Which web pages may use the node.
    pub(crate) origins: Origins,
    allowance: Arc<Allowance>,
    sessions: Arc<AtomicU64>,
    /// Dropped with the last request and socket: then everyone has left.
    _present: mpsc::Sender<()>,
}

impl App {
    fn next_session(&self) -> SessionId {
        SessionId(self.sessions.fetch_add(1, Ordering::Relaxed))
    }
}

/// Why a node does not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServeError {
    /// The data cannot be opened.
    #[error(transparent)]
    Relay(#[from] RelayError),
    /// Something else listens there.
    #[error("the address {address} is already in use")]
    AddressInUse {
        /// Which.
        address: SocketAddr,
    },
    /// The address cannot be used.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// Which.
        address: SocketAddr,
        /// Why.
        source: std::io::Error,
    },
    /// A secret, a file or an address that is needed to enrol cannot be used.
    #[error("{0}")]
    Enrolment(String),
    /// The certificate or its key cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The operating system gave no thread.
    #[error("cannot start a thread: {0}")]
    Thread(std::io::Error),
}

impl From<SetUpError> for ServeError {
    fn from(error: SetUpError) -> Self {
        Self::Enrolment(error.to_string())
    }
}

impl From<phone::SetUpError> for ServeError {
    fn from(error: phone::SetUpError) -> Self {
        Self::Enrolment(error.to_string())
    }
}

/// A node that runs until it is stopped. Dropping it lets it run on for as long as the runtime does.
pub struct Running {
    address: SocketAddr,
    realm: RealmId,
    stop: watch::Sender<bool>,
    everyone_left: mpsc::Receiver<()>,
    relay: RelayHandle,
    thread: std::thread::JoinHandle<()>,
    ended: oneshot::Receiver<()>,
    door: JoinHandle<()>,
    watcher: Option<JoinHandle<()>>,
    drain: Duration,
    metrics_address: Option<SocketAddr>,
    for_operator: Option<JoinHandle<std::io::Result<()>>>,
    #[cfg(unix)]
    _admin: Option<admin::Door>,
}

/// Starts a node on the current Tokio runtime.
///
/// # Errors
/// [`ServeError`], each with one clear line.
pub async fn start(config: Config) -> Result<Running, ServeError> {
    start_with(config, None).await
}

/// As [`start`]; its metrics tell what became of the spans of `traces` too.
///
/// # Errors
/// [`ServeError`].
pub async fn start_with(config: Config, traces: Option<&Traces>) -> Result<Running, ServeError> {
    let (listener, address) = bind(config.listen).await?;
    let for_operator = match config.metrics_listen {
        Some(address) => Some(bind(address).await?),
        None => None,
    };
    let jwt = if config.jwt.is_on() { Some(Arc::new(Verifier::start(&config.jwt).await?)) } else { None };
    let tls = config.tls_files().map(Tls::open).transpose()?;
    let do_addresses_count = config.enrolments_per_minute > 0;
    let metrics = Arc::new(Metrics::new(traces.map(Traces::counts).unwrap_or_default()));
    let phones = config.phone.sender.map(|_| Phones::start(&config.phone, do_addresses_count, &metrics).map(Arc::new));
    let phones = phones.transpose()?;
    let storage = Storage::folder(&config.data);
    let relay = Relay::open(storage, config.relay_options(), clock::now(), clock::random())?;
    let (realm, limits, keys) = (relay.realm(), relay.limits().clone(), relay.keys());
    let relay_thread::Started { handle: relay, thread, ended } =
        relay_thread::spawn(relay, &metrics).map_err(ServeError::Thread)?;
    let (stop, stopping) = watch::channel(false);
    let (present, everyone_left) = mpsc::channel(1);
    let gate = Arc::new(Gate::new(config.enrolments_per_minute, config.password_hashers));
    let monitor = Monitor {
        metrics: Arc::clone(&metrics),
        relay: relay.clone(),
        gate: Arc::clone(&gate),
        stopping: stopping.clone(),
        data: config.data.clone(),
        tls: tls.clone(),
    };
    let guests = Guests::new(config.connections as usize, config.connections_per_address as usize);
    let proxies = Arc::new(Proxies::new(config.trusted_proxies.clone()));
    let app = App {
        relay: relay.clone(),
        realm,
        limits,
        keys,
        passwords: config.passwords,
        jwt,
        metrics: Arc::clone(&metrics),
        gate,
        guests: Arc::clone(&guests),
        proxies: Arc::clone(&proxies),
        origins: Origins::new(&config.allowed_origins),
        allowance: Allowance::new(usize::try_from(config.buffered_bytes).unwrap_or(usize::MAX)),
        phones,
        sessions: Arc::new(AtomicU64::new(1)),
        _present: present,
    };
    let watcher = tls.clone().map(|tls| tokio::spawn(tls.watch()));
    let door =
        Door { listener, router: crate::http::router(app, monitor.clone()), guests, proxies, tls, metrics, stopping };
    let door = tokio::spawn(door.open());
    let drain = Duration::from_secs(config.drain_seconds.into());
    // Without it the node serves its people all the same.
    #[cfg(unix)]
    let _admin =
        admin::open(&config.data, relay.clone()).inspect_err(|error| tracing::warn!(%error, "no admin socket")).ok();
    let metrics_address = for_operator.as_ref().map(|(_, address)| *address);
    let for_operator =
        for_operator.map(|(listener, _)| tokio::spawn(axum::serve(listener, metrics::router(monitor)).into_future()));
    tracing::info!("started");
    Ok(Running {
        address,
        realm,
        stop,
        everyone_left,
        relay,
        thread,
        ended,
        door,
        watcher,
        drain,
        metrics_address,
        for_operator,
        #[cfg(unix)]
        _admin,
    })
}

async fn bind(address: SocketAddr) -> Result<(TcpListener, SocketAddr), ServeError> {
    let listener = TcpListener::bind(address).await.map_err(|source| match source.kind() {
        std::io::ErrorKind::AddrInUse => ServeError::AddressInUse { address },
        _ => ServeError::Listen { address, source },
    })?;
    let address = listener.local_addr().map_err(|source| ServeError::Listen { address, source })?;
    Ok((listener, address))
}

impl Running {
    /// Where it listens; the port is the real one if 0 was asked for.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where it tells how it is, if it listens for that.
    pub fn metrics_address(&self) -> Option<SocketAddr> {
        self.metrics_address
    }

    /// The app that it serves.
    pub fn realm(&self) -> RealmId {
        self.realm
    }

    /// Returns if the relay ends by itself, which is a bug: nothing works any more, and only a restart helps.
    pub async fn failed(&mut self) {
        // Nothing is ever sent; the sender is dropped with the thread.
        drop((&mut self.ended).await);
    }

    /// Stops accepting, says goodbye to every socket, commits what is under way, empties the log. Sockets that do not
    /// leave within `drain_seconds` are cut.
    pub async fn stop(mut self) {
        self.stop.send_replace(true);
        self.relay.leave();
        let leaving = async {
            // A panic has been printed; what matters is that nobody comes in any more.
            drop((&mut self.door).await);
            // Ends when the last sender is dropped; nothing is ever sent.
            while self.everyone_left.recv().await.is_some() {}
        };
        if tokio::time::timeout(self.drain, leaving).await.is_err() {
            tracing::warn!("some connections did not leave in time");
        }
        if let Some(watcher) = &self.watcher {
            watcher.abort();
        }
        self.relay.stop();
        let thread = self.thread;
        if tokio::task::spawn_blocking(move || thread.join().is_err()).await.unwrap_or(true) {
            tracing::error!("the relay thread ended with a panic");
        }
        if let Some(for_operator) = self.for_operator {
            for_operator.abort();
        }
        tracing::info!("stopped");
    }
}
