//! The thread that owns the relay: takes all work that waits, commits it, hands out the answers.
//!
//! It never waits to make a batch larger: while one commit is on its way to the disk, the next batch gathers.

use std::collections::BTreeMap;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::oneshot;

use super::clock;
use crate::relay::{Accounts, Call, Event, Op, Relay, RelayError, SessionId, Work};

/// The most work in one transaction: more would only delay its answers.
const BATCH: usize = 512;
/// How long to wait after a failure before trying again what is due.
const AFTER_FAILURE: Duration = Duration::from_secs(1);

enum Message {
    Work(Work),
    Opened(SessionId, UnboundedSender<Event>),
    Closed(SessionId),
    With(Box<dyn FnOnce(&mut Relay) + Send>),
    Stop,
}

/// Sends work to the relay thread.
#[derive(Clone)]
pub(crate) struct RelayHandle(Sender<Message>);

/// The relay thread has ended: the node stops.
#[derive(Debug)]
pub(crate) struct Stopped;

impl RelayHandle {
    /// From now on this session's events go there.
    pub(crate) fn opened(&self, session: SessionId, events: UnboundedSender<Event>) -> Result<(), Stopped> {
        self.0.send(Message::Opened(session, events)).map_err(|_| Stopped)
    }

    pub(crate) fn closed(&self, session: SessionId) {
        // If the thread has ended, nobody holds the session any more either.
        drop(self.0.send(Message::Closed(session)));
    }

    pub(crate) fn submit(&self, session: SessionId, op: Op) -> Result<(), Stopped> {
        self.0.send(Message::Work(Work::Session(session, op))).map_err(|_| Stopped)
    }

    /// Works on accounts; returns when it is committed.
    pub(crate) async fn call<T: Send + 'static>(
        &self,
        run: impl FnMut(&mut Accounts<'_, '_>) -> Result<T, RelayError> + Send + 'static,
    ) -> Result<T, CallError> {
        let (reply, answer) = oneshot::channel();
        // A caller that went away needs no answer.
        let call = Call::new(run, move |result| drop(reply.send(result)));
        self.0.send(Message::Work(Work::Call(call))).map_err(|_| CallError::Stopped)?;
        answer.await.map_err(|_| CallError::Stopped)?.map_err(CallError::Relay)
    }

    /// Has the relay itself for a moment, between two batches; returns what `look` found.
    pub(crate) async fn with<T: Send + 'static>(
        &self,
        look: impl FnOnce(&mut Relay) -> T + Send + 'static,
    ) -> Result<T, CallError> {
        let (reply, answer) = oneshot::channel();
        let look = move |relay: &mut Relay| drop(reply.send(look(relay)));
        self.0.send(Message::With(Box::new(look))).map_err(|_| CallError::Stopped)?;
        answer.await.map_err(|_| CallError::Stopped)
    }

    pub(crate) fn stop(&self) {
        drop(self.0.send(Message::Stop));
    }
}

/// Why a call was not done.
#[derive(Debug)]
pub(crate) enum CallError {
    Stopped,
    Relay(RelayError),
}

/// The thread, and what is heard of it when it has ended.
pub(crate) struct Started {
    pub(crate) handle: RelayHandle,
    pub(crate) thread: JoinHandle<()>,
    pub(crate) ended: oneshot::Receiver<()>,
}

/// Starts the thread.
pub(crate) fn spawn(relay: Relay) -> std::io::Result<Started> {
    let (sender, inbox) = channel();
    let (alive, ended) = oneshot::channel();
    let thread = std::thread::Builder::new().name("relay".to_owned()).spawn(move || {
        let _alive: oneshot::Sender<()> = alive;
        RelayThread { relay, inbox, sessions: BTreeMap::new(), failed: false }.run();
    })?;
    Ok(Started { handle: RelayHandle(sender), thread, ended })
}

struct RelayThread {
    relay: Relay,
    inbox: Receiver<Message>,
    sessions: BTreeMap<SessionId, UnboundedSender<Event>>,
    /// Whether the last tick failed.
    failed: bool,
}

impl RelayThread {
    fn run(mut self) {
        let mut goes_on = true;
        while goes_on {
            let mut batch = Vec::new();
            match self.wait() {
                Ok(message) => {
                    goes_on = self.take(message, &mut batch);
                    while goes_on && batch.len() < BATCH {
                        let Ok(message) = self.inbox.try_recv() else { break };
                        goes_on = self.take(message, &mut batch);
                    }
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => goes_on = false,
            }
            if !batch.is_empty() {
                let events = self.relay.commit(clock::now(), batch);
                self.dispatch(events);
            }
            self.tick();
        }
        if let Err(error) = self.relay.settle_down(clock::now()) {
            tracing::error!(%error, "the last sync failed; what was accepted is safe");
        }
    }

    fn wait(&self) -> Result<Message, RecvTimeoutError> {
        let Some(due) = self.relay.wake_at() else {
            return self.inbox.recv().map_err(|_| RecvTimeoutError::Disconnected);
        };
        let until = Duration::from_millis(due.millis_since(clock::now()));
        self.inbox.recv_timeout(if self.failed { until.max(AFTER_FAILURE) } else { until })
    }

    /// Whether to go on.
    fn take(&mut self, message: Message, batch: &mut Vec<Work>) -> bool {
        match message {
            Message::Work(work) => batch.push(work),
            Message::Opened(session, events) => drop(self.sessions.insert(session, events)),
            Message::Closed(session) => drop(self.sessions.remove(&session)),
            Message::With(look) => look(&mut self.relay),
            Message::Stop => return false,
        }
        true
    }

    fn tick(&mut self) {
        let now = clock::now();
        if self.relay.wake_at().is_none_or(|due| due > now) {
            return;
        }
        let (events, error) = self.relay.tick(now);
        self.failed = error.is_some();
        self.dispatch(events);
        if let Some(error) = error {
            tracing::error!(%error, "housekeeping failed; trying again");
        }
    }

    fn dispatch(&self, events: Vec<(SessionId, Event)>) {
        for (session, event) in events {
            if let Some(sender) = self.sessions.get(&session) {
                // A session that has just ended needs no answer: its device asks again.
                drop(sender.send(event));
            }
        }
    }
}
