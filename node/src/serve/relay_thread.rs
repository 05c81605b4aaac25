//! The thread that owns the relay: takes all work that waits, commits it, hands out the answers.
//!
//! It never waits to make a batch larger: while one commit is on its way to the disk, the next batch gathers.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use chasqui_wire::Signal;
use tokio::sync::oneshot;
use tracing::Instrument as _;

use super::clock;
use super::mailbag::Mailbag;
use crate::metrics::Metrics;
use crate::relay::{Accounts, Call, Event, Op, Relay, RelayError, SessionId, Vitals, Work};

/// The most work in one transaction: more would only delay its answers.
const BATCH: usize = 512;
/// How long to wait after a failure before trying again what is due.
const AFTER_FAILURE: Duration = Duration::from_secs(1);

enum Message {
    Work(Work),
    Opened(SessionId, Arc<Mailbag>),
    Closed(SessionId),
    With(Box<dyn FnOnce(&mut Relay) + Send>),
    Leave,
    Stop,
}

/// Sends work to the relay thread.
#[derive(Clone)]
pub(crate) struct RelayHandle {
    sender: Sender<Message>,
    metrics: Arc<Metrics>,
}

/// The relay thread has ended: the node stops.
#[derive(Debug)]
pub(crate) struct Stopped;

impl RelayHandle {
    fn send(&self, message: Message) -> Result<(), Stopped> {
        self.metrics.queue.inc();
        self.sender.send(message).map_err(|_| Stopped)
    }

    /// From now on this session's events go into that bag.
    pub(crate) fn opened(&self, session: SessionId, bag: Arc<Mailbag>) -> Result<(), Stopped> {
        self.send(Message::Opened(session, bag))
    }

    pub(crate) fn closed(&self, session: SessionId) {
        // If the thread has ended, nobody holds the session any more either.
        drop(self.send(Message::Closed(session)));
    }

    pub(crate) fn submit(&self, session: SessionId, op: Op) -> Result<(), Stopped> {
        self.send(Message::Work(Work::Session(session, op)))
    }

    /// Works on accounts; returns when it is committed.
    pub(crate) async fn call<T: Send + 'static>(
        &self,
        run: impl FnMut(&mut Accounts<'_, '_>) -> Result<T, RelayError> + Send + 'static,
    ) -> Result<T, CallError> {
        let (reply, answer) = oneshot::channel();
        // A caller that went away needs no answer.
        let call = Call::new(run, move |result| drop(reply.send(result)));
        self.send(Message::Work(Work::Call(call))).map_err(|_| CallError::Stopped)?;
        let answer = answer.instrument(tracing::debug_span!("relay_call"));
        answer.await.map_err(|_| CallError::Stopped)?.map_err(CallError::Relay)
    }

    /// Has the relay itself for a moment, between two batches; returns what `look` found.
    pub(crate) async fn with<T: Send + 'static>(
        &self,
        look: impl FnOnce(&mut Relay) -> T + Send + 'static,
    ) -> Result<T, CallError> {
        let (reply, answer) = oneshot::channel();
        let look = move |relay: &mut Relay| drop(reply.send(look(relay)));
        self.send(Message::With(Box::new(look))).map_err(|_| CallError::Stopped)?;
        answer.await.map_err(|_| CallError::Stopped)
    }

    /// Tells every session, and every later one, that the node stops.
    pub(crate) fn leave(&self) {
        drop(self.send(Message::Leave));
    }

    pub(crate) fn stop(&self) {
        drop(self.send(Message::Stop));
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
pub(crate) fn spawn(relay: Relay, metrics: &Arc<Metrics>) -> std::io::Result<Started> {
    let handle_metrics = Arc::clone(metrics);
    let metrics = Arc::clone(metrics);
    let (sender, inbox) = channel();
    let (alive, ended) = oneshot::channel();
    let thread = std::thread::Builder::new().name("relay".to_owned()).spawn(move || {
        let _alive: oneshot::Sender<()> = alive;
        let before = Vitals::default();
        let sessions = BTreeMap::new();
        RelayThread { relay, inbox, sessions, is_leaving: false, failed: false, metrics, before }.run();
    })?;
    Ok(Started { handle: RelayHandle { sender, metrics: handle_metrics }, thread, ended })
}

struct RelayThread {
    relay: Relay,
    inbox: Receiver<Message>,
    sessions: BTreeMap<SessionId, Arc<Mailbag>>,
    /// Whether the node stops.
    is_leaving: bool,
    /// Whether the last tick failed.
    failed: bool,
    metrics: Arc<Metrics>,
    /// As the metrics saw them last.
    before: Vitals,
}

impl RelayThread {
    fn run(mut self) {
        let mut goes_on = true;
        self.show_vitals();
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
                self.commit(batch);
            }
            self.tick();
            self.show_vitals();
        }
        if let Err(error) = self.relay.settle_down(clock::now()) {
            tracing::error!(%error, "the last sync failed; what was accepted is safe");
        }
    }

    fn commit(&mut self, batch: Vec<Work>) {
        let _span = tracing::debug_span!("commit", works = batch.len()).entered();
        let confirmed =
            |work: &Work| if let Work::Session(_, Op::Acknowledge(ack)) = work { ack.items.len() } else { 0 };
        self.metrics.acknowledged.inc_by(batch.iter().map(confirmed).sum::<usize>() as u64);
        self.metrics.batch.observe(batch.len() as f64);
        let seconds = clock::stopwatch();
        let events = self.relay.commit(clock::now(), batch);
        self.metrics.commit.observe(seconds());
        self.dispatch(events);
    }

    fn show_vitals(&mut self) {
        let now = self.relay.vitals();
        if now != self.before {
            self.metrics.saw(&now, &self.before);
            self.before = now;
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
        self.metrics.queue.dec();
        match message {
            // What is of this moment waits for no commit, and makes none.
            Message::Work(Work::Session(session, Op::Signal(signal))) => self.signal(session, &signal),
            Message::Work(work) => batch.push(work),
            Message::Opened(session, bag) => {
                self.metrics.sockets.inc();
                if self.is_leaving {
                    bag.leave();
                }
                self.sessions.insert(session, bag);
            }
            Message::Closed(session) => {
                self.metrics.sockets.dec();
                self.sessions.remove(&session);
            }
            Message::With(look) => look(&mut self.relay),
            Message::Leave => {
                self.is_leaving = true;
                self.sessions.values().for_each(|bag| bag.leave());
            }
            Message::Stop => return false,
        }
        true
    }

    fn signal(&mut self, session: SessionId, signal: &Signal) {
        for (to, event) in self.relay.signal(clock::now(), session, signal) {
            match self.sessions.get(&to).map(|bag| bag.offer(event)) {
                Some(true) => drop(self.metrics.signals.inc()),
                Some(false) => self.metrics.signals_dropped("behind", 1),
                None => {}
            }
        }
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

    /// Each session gets all of its events at once, so that it is woken once.
    fn dispatch(&self, mut events: Vec<(SessionId, Event)>) {
        events.iter().for_each(|(_, event)| self.count(event));
        events.sort_by_key(|&(session, _)| session);
        let mut events = events.into_iter().peekable();
        while let Some((session, first)) = events.next() {
            let mut next = || events.next_if(|&(of, _)| of == session).map(|(_, event)| event);
            let of_session = std::iter::once(first).chain(std::iter::from_fn(&mut next));
            match self.sessions.get(&session) {
                Some(bag) => bag.put(of_session),
                // A session that has just ended needs no answer: its device asks again.
                None => of_session.for_each(drop),
            }
        }
    }

    fn count(&self, event: &Event) {
        match event {
            Event::Accepted(_) => drop(self.metrics.accepted.inc()),
            Event::Rejected(rejected) => self.metrics.rejected(rejected.code),
            Event::Signal(_) => drop(self.metrics.signals.inc()),
            Event::Mail(entries) => drop(self.metrics.delivered.inc_by(entries.len() as u64)),
            // What the session makes of these is counted as a goodbye, or as nothing.
            Event::Device(_)
            | Event::Attached(_)
            | Event::Claimed(_)
            | Event::KeyPackagesLeft(_)
            | Event::Drained(_)
            | Event::Displaced
            | Event::Revoked
            | Event::Copied
            | Event::NewEra
            | Event::NewIdentity
            | Event::Overloaded
            | Event::Failed => {}
        }
    }
}
