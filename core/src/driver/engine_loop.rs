//! Around the engine: takes what happened, lets the engine decide in one transaction, carries it out; replaces files that
//! are damaged, waits out a disk that is full.
//!
//! Whoever runs it (a thread, or a task in a browser's worker) hands in what waits, and calls again at [`EngineLoop::wake_at`].

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use chasqui_wire::Timestamp;
use tokio::sync::{OwnedSemaphorePermit, mpsc::UnboundedSender, oneshot};

use super::api::Api;
use super::clock::Clock;
use super::platform::{Folder, Inbound, Net, Place, Readers, fresh_seed, socket};
use super::shared::Shared;
use crate::Error;
use crate::client::Home;
use crate::engine::{Blocked, Command, CommandId, ConnectionState, Engine, Input, Output, Reply, SocketId, Step};
use crate::store::{Damage, Store, StoreError, adopt, unlock};

/// After a step that could not be committed: doubles with every further one, from the first to the last.
const FIRST_PAUSE_AFTER_FAILURE_MS: u64 = 1_000;
const LAST_PAUSE_AFTER_FAILURE_MS: u64 = 60_000;
/// Damage that is found again after so many failures, with nothing stored in between, is left alone.
const REPLACED_IN_A_ROW: u32 = 3;
/// As much as waits goes into one transaction, up to this.
pub(super) const BATCH: usize = 256;

pub(super) enum ToEngine {
    Input(Input),
    /// A frame, and its share of what may wait.
    Frame(SocketId, Bytes, OwnedSemaphorePermit),
    Command(Command, oneshot::Sender<Result<Reply, Error>>),
    Suspend(oneshot::Sender<()>),
    Resume(oneshot::Sender<Result<(), Error>>),
    /// A query met damage.
    Damaged(String),
    Stop(oneshot::Sender<()>),
}

pub(super) struct Start {
    pub(super) place: Place,
    pub(super) home: Home,
    pub(super) readers: Readers,
    pub(super) inbound: Inbound,
    pub(super) shared: Arc<Shared>,
    pub(super) net: Net,
    pub(super) api: Arc<Api>,
}

/// The files, while the client is not suspended.
struct Files {
    engine: Engine,
    store: Store,
    folder: Folder,
}

impl Files {
    fn open(place: &Place, home: &Home, last_socket: SocketId) -> Result<Self, Error> {
        let mut folder = Folder::open(place)?;
        if let Some(damage) = folder.take_suspicion() {
            folder.salvage(&damage)?;
        }
        let opened = match Self::open_history(&folder, home, last_socket) {
            Err(error) if error.is_damage() => {
                folder.salvage(&Damage { cause: error.to_string(), is_log_missing: false })?;
                Self::open_history(&folder, home, last_socket)
            }
            opened => opened,
        };
        let (store, engine) = opened?.ok_or(Error::OtherDevice)?;
        folder.mark_in_use()?;
        Ok(Self { engine, store, folder })
    }

    /// `None` when the history is bound to another device.
    fn open_history(
        folder: &Folder,
        home: &Home,
        last_socket: SocketId,
    ) -> Result<Option<(Store, Engine)>, StoreError> {
        let store = Store::open(&folder.history())?;
        if !unlock(store.connection(), home.binding.as_ref())? {
            if !home.adopts_copies {
                return Ok(None);
            }
            adopt(store.connection(), home.binding.as_ref())?;
        }
        let engine = load(&store, last_socket)?;
        Ok(Some((store, engine)))
    }

    /// The number of the last salvage.
    fn salvages(&self) -> u64 {
        let reports = self.store.history().salvages().unwrap_or_default();
        reports.last().map_or(0, |report| report.number)
    }

    /// Closes the history; whoever closes last merges the log.
    fn close(mut self) {
        self.folder.mark_closed();
    }
}

/// The engine in memory had moved on when its step failed; what is on disk counts.
fn reload(files: &mut Files, last_socket: SocketId, now: Timestamp) -> Result<(), StoreError> {
    files.engine = load(&files.store, last_socket)?;
    // A full disk does not get better by connecting at once.
    files.engine.hold_off(now);
    Ok(())
}

fn load(store: &Store, last_socket: SocketId) -> Result<Engine, StoreError> {
    // Without random bytes the reconnections are not spread, that is all.
    let seed = fresh_seed().unwrap_or_default();
    let entropy = u64::from_le_bytes(seed[..8].try_into().expect("8 of 32 bytes"));
    let mut engine = Engine::load(store, entropy)?;
    engine.name_sockets_after(last_socket);
    Ok(engine)
}

pub(super) struct EngineLoop {
    open: Option<Files>,
    /// The files are damaged, and could not be replaced yet.
    damaged: Option<(Folder, Damage)>,
    place: Place,
    home: Home,
    readers: Readers,
    /// What the sockets bring.
    inbound: Inbound,
    shared: Arc<Shared>,
    net: Net,
    api: Arc<Api>,
    clock: Clock,
    sockets: BTreeMap<SocketId, UnboundedSender<Bytes>>,
    replies: BTreeMap<CommandId, oneshot::Sender<Result<Reply, Error>>>,
    next_command: u64,
    /// A late word about an older socket must not be taken for one about a newer.
    last_socket: SocketId,
    /// The last step failed: the engine has to be loaded anew before the next one.
    is_stale: bool,
    /// It failed because the disk takes no writes: nothing is asked of the network until it does.
    is_full: bool,
    /// Steps that failed since the last one that stored something.
    failures: u32,
    wake_at: Option<Timestamp>,
}

impl EngineLoop {
    /// Opens the history.
    pub(super) fn open(start: Start) -> Result<Self, Error> {
        let Start { place, home, readers, inbound, shared, net, api } = start;
        let open = Files::open(&place, &home, SocketId(0))?;
        shared.connection.send_replace(open.engine.connection());
        shared.salvages.send_replace(open.salvages());
        Ok(Self {
            open: Some(open),
            damaged: None,
            place,
            home,
            readers,
            inbound,
            shared,
            net,
            api,
            clock: Clock::start(),
            sockets: BTreeMap::new(),
            replies: BTreeMap::new(),
            next_command: 0,
            last_socket: SocketId(0),
            is_stale: false,
            is_full: false,
            failures: 0,
            wake_at: None,
        })
    }

    /// Takes everything that waits, in order; says whether to go on.
    pub(super) fn take(&mut self, waiting: Vec<ToEngine>) -> ControlFlow<()> {
        let (mut inputs, mut places) = (Vec::new(), Vec::new());
        for message in waiting {
            match message {
                ToEngine::Input(input) => {
                    if let Input::Disconnected(id) = &input {
                        self.sockets.remove(id);
                    }
                    inputs.push(input);
                }
                ToEngine::Frame(socket, bytes, place) => {
                    places.push(place);
                    inputs.push(Input::Frame(socket, bytes));
                }
                ToEngine::Command(command, reply) => {
                    self.next_command += 1;
                    let id = CommandId(self.next_command);
                    self.replies.insert(id, reply);
                    inputs.push(Input::Command(id, command));
                }
                ToEngine::Damaged(cause) => {
                    self.step(std::mem::take(&mut inputs));
                    self.replace_history(Damage { cause, is_log_missing: false });
                }
                ToEngine::Suspend(done) => {
                    inputs.push(Input::Suspend);
                    self.step(std::mem::take(&mut inputs));
                    self.close(ConnectionState::Blocked(Blocked::Suspended));
                    let _ = done.send(());
                }
                ToEngine::Resume(done) => {
                    self.step(std::mem::take(&mut inputs));
                    let resumed = self.resume();
                    let _ = done.send(resumed);
                }
                ToEngine::Stop(done) => {
                    self.step(std::mem::take(&mut inputs));
                    self.close(ConnectionState::Offline);
                    let _ = done.send(());
                    return ControlFlow::Break(());
                }
            }
        }
        self.step(inputs);
        // Dealt with: the sockets may read on.
        drop(places);
        ControlFlow::Continue(())
    }

    /// Queries, where the engine's connection answers them; `None` while the client is suspended.
    #[cfg(target_arch = "wasm32")]
    pub(super) fn history(&self) -> Option<crate::History<'_>> {
        self.open.as_ref().map(|open| open.store.history())
    }

    /// How long until the next call of [`Self::take`] at the latest, with [`Input::Wake`].
    pub(super) fn until_wake(&mut self) -> Option<Duration> {
        let wake_at = self.wake_at.filter(|_| self.open.is_some() || self.damaged.is_some());
        wake_at.map(|at| self.clock.until(at))
    }

    fn step(&mut self, inputs: Vec<Input>) {
        if inputs.is_empty() {
            return;
        }
        let now = self.clock.now();
        if let Some((folder, damage)) = self.damaged.take() {
            self.replace_files(folder, damage);
        }
        let Some(open) = &mut self.open else {
            for reply in std::mem::take(&mut self.replies).into_values() {
                let _ = reply.send(Err(Error::Suspended));
            }
            return;
        };
        if self.is_stale {
            // Late words of sockets that were let go of are no reason to try again; an app that asks for something is.
            let is_asked = inputs.iter().any(|input| matches!(input, Input::Command(..)));
            if !is_asked && self.wake_at.is_some_and(|at| now < at) {
                return;
            }
            let has_room = if self.is_full { open.store.probe_room() } else { Ok(()) };
            if let Err(error) = has_room.and_then(|()| reload(open, self.last_socket, now)) {
                return self.failed(&error);
            }
            (self.is_stale, self.is_full) = (false, false);
            self.shared.connection.send_replace(open.engine.connection());
        }
        let handled = catch_unwind(AssertUnwindSafe(|| open.engine.handle(&mut open.store, now, inputs)));
        match handled.unwrap_or(Err(StoreError::Panicked)) {
            Ok(Step { outputs, wake_at }) => {
                self.wake_at = wake_at;
                self.shared.show_typing(open.engine.typing());
                // Whoever gets an answer finds everything else as it says: the connection, what observers see.
                let is_reply = |output: &Output| matches!(output, Output::Reply(..));
                let (replies, others): (Vec<_>, Vec<_>) = outputs.into_iter().partition(is_reply);
                for output in others.into_iter().chain(replies) {
                    self.carry_out(output);
                }
            }
            Err(error) => self.failed(&error),
        }
    }

    /// Nothing of the step happened: say so, and start again from what is on disk before the next one.
    fn failed(&mut self, error: &StoreError) {
        tracing::error!(%error, "a step could not be committed");
        let told = Error::from(error);
        for reply in std::mem::take(&mut self.replies).into_values() {
            let _ = reply.send(Err(told.clone()));
        }
        // Nothing of their mail was acknowledged: it waits at the node.
        self.sockets.clear();
        (self.is_stale, self.is_full) = (true, error.is_storage_full());
        self.shared.engine_replaced();
        self.pause(self.is_full);
        if error.is_damage() {
            self.replace_history(Damage { cause: error.to_string(), is_log_missing: false });
        }
    }

    /// Nothing is tried for a while.
    fn pause(&mut self, is_full: bool) {
        self.shared.connection.send_if_modified(|state| {
            let news = match *state {
                ConnectionState::Blocked(reason) if reason != Blocked::StorageFull => return false,
                _ if is_full => ConnectionState::Blocked(Blocked::StorageFull),
                _ => ConnectionState::Offline,
            };
            std::mem::replace(state, news) != news
        });
        let pause = FIRST_PAUSE_AFTER_FAILURE_MS << self.failures.min(10);
        self.failures += 1;
        self.wake_at = Some(self.clock.now().plus_millis(pause.min(LAST_PAUSE_AFTER_FAILURE_MS)));
    }

    fn carry_out(&mut self, output: Output) {
        match output {
            Output::Connect(id) => {
                self.last_socket = id;
                let socket = socket::open(id, Arc::clone(&self.api), &self.net, self.inbound.clone());
                self.sockets.insert(id, socket);
            }
            Output::Disconnect(id) => drop(self.sockets.remove(&id)),
            Output::Transmit(id, bytes) => {
                if let Some(socket) = self.sockets.get(&id) {
                    // A socket that just ended has told so, or will.
                    let _ = socket.send(bytes);
                }
            }
            Output::Reply(id, result) => {
                if let Some(reply) = self.replies.remove(&id) {
                    let _ = reply.send(result);
                }
            }
            Output::Resolve(user) => {
                let (api, inbound) = (Arc::clone(&self.api), self.inbound.clone());
                self.net.spawn(async move {
                    let answer = match api.user(user).await {
                        Err(Error::AccountDeleted) => Input::Deleted(user),
                        answer => Input::Resolved(user, answer.ok()),
                    };
                    inbound.tell(answer);
                });
            }
            Output::Changed(changes) => {
                self.failures = 0;
                self.shared.record(&changes);
            }
            Output::Connection(state) => {
                if state == ConnectionState::Blocked(Blocked::Copied) {
                    // What its device may ask over HTTP is not for a copy to ask.
                    self.api.set_credentials(None);
                }
                tracing::info!(?state, "connection");
                self.shared.connection.send_replace(state);
            }
            Output::Linking(state) => drop(self.shared.linking.send_replace(state)),
            Output::HttpToken(token, expires_at) => self.api.set_token(token.0, expires_at),
        }
    }

    /// Damage does not heal: what can be read is saved into a new history, and everything goes on with that.
    fn replace_history(&mut self, damage: Damage) {
        // What finds damage again and again without storing anything in between is not cured by this.
        if self.failures > REPLACED_IN_A_ROW {
            return;
        }
        let Some(Files { engine, store, folder }) = self.open.take() else { return };
        drop((engine, store));
        self.sockets.clear();
        self.replace_files(folder, damage);
    }

    fn replace_files(&mut self, folder: Folder, damage: Damage) {
        self.readers.close();
        let open = || {
            let opened = Files::open_history(&folder, &self.home, self.last_socket)?;
            opened.ok_or(Error::OtherDevice)
        };
        let (store, engine) = match folder.salvage(&damage).and_then(|_| open()) {
            Ok(opened) => opened,
            Err(error) => {
                tracing::error!(%error, "the damaged history could not be replaced yet");
                for reply in std::mem::take(&mut self.replies).into_values() {
                    let _ = reply.send(Err(error.clone()));
                }
                self.damaged = Some((folder, damage));
                return self.pause(error == Error::StorageFull);
            }
        };
        let open = Files { engine, store, folder };
        (self.is_stale, self.is_full) = (false, false);
        self.shared.connection.send_replace(open.engine.connection());
        self.shared.salvages.send_replace(open.salvages());
        self.shared.everything_changed();
        self.open = Some(open);
        self.shared.engine_replaced();
        self.wake_at = Some(self.clock.now());
        self.readers.open();
    }

    fn close(&mut self, state: ConnectionState) {
        self.sockets.clear();
        if let Some(open) = self.open.take() {
            open.close();
        }
        self.damaged = None;
        self.wake_at = None;
        self.shared.connection.send_replace(state);
    }

    fn resume(&mut self) -> Result<(), Error> {
        if self.open.is_none() {
            // Time passed while nobody counted it.
            self.clock = Clock::start();
            self.open = Some(Files::open(&self.place, &self.home, self.last_socket)?);
            self.shared.engine_replaced();
            (self.is_stale, self.is_full) = (false, false);
        }
        self.step(vec![Input::Resume]);
        if let Some(open) = &self.open {
            self.shared.connection.send_replace(open.engine.connection());
        }
        Ok(())
    }
}
