//! One WebSocket: carries a [`Session`]'s inputs and outputs, and knows nothing else.
//!
//! Reads only while what it wrote has left, so that a peer that takes nothing is given nothing to do either; and gives
//! it up when it takes nothing for as long as it may be silent.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use chasqui_wire::{GoodbyeReason, Timestamp};
use tokio::time::Sleep;
use tracing::Instrument as _;

use super::guests::Seat;
use super::mailbag::{Found, Mailbag};
use super::transport::Transport;
use super::websocket::{Incoming, WebSocket};
use super::{App, clock};
use crate::relay::{Event, SessionId};
use crate::session::{Input, Output, Session};

/// Bytes to be sent above which they leave before anything else is read.
const ENOUGH: usize = 32 * 1024;
/// How long the peer may take to answer a close.
const CLOSE_WITHIN: Duration = Duration::from_secs(2);
/// Milliseconds over which returning devices are spread after a stop.
const RETURN_WITHIN: u32 = 5_000;

/// Runs until either side closes. `already_read` are bytes that came with the handshake.
pub(crate) async fn run(app: App, transport: Transport, already_read: Vec<u8>, seat: Arc<Seat>) {
    let id = app.next_session();
    let bag = Mailbag::new(Arc::clone(&app.allowance));
    if app.relay.opened(id, Arc::clone(&bag)).is_err() {
        return;
    }
    let session = Session::new(id, app.realm, app.limits.clone(), clock::random(), clock::now());
    // A little above the limit, so that the session sees most frames that are too large and can say so.
    let socket = WebSocket::new(transport, already_read, app.limits.frame_bytes as usize + 64 * 1024);
    let mut carrier = Carrier { app, socket, session, bag, stalls_at: None, alarm: None, _seat: seat };
    carrier.run().instrument(tracing::debug_span!("connection", session = id.0)).await;
    carrier.app.relay.closed(id);
    if let Some(reason) = carrier.session.said_goodbye() {
        carrier.app.metrics.goodbye(reason);
    }
}

struct Carrier {
    app: App,
    socket: WebSocket,
    session: Session,
    bag: Arc<Mailbag>,
    /// When the peer is given up, while it does not take what is to be sent.
    stalls_at: Option<Timestamp>,
    /// Never later than what it is for; put forward only when it rings.
    alarm: Option<Pin<Box<Sleep>>>,
    _seat: Arc<Seat>,
}

/// What a socket waits for.
enum Happened {
    Events(VecDeque<Event>),
    Input(Input),
}

impl Carrier {
    async fn run(&mut self) {
        let mut outputs = self.session.open();
        while !self.put(outputs) && !self.session.is_closed() {
            outputs = match std::future::poll_fn(|cx| self.poll(cx)).await {
                Happened::Input(input) => self.session.handle(clock::now(), input),
                Happened::Events(events) => self.answer(events),
            };
        }
        self.farewell().await;
    }

    /// All events that wait are answered with one write: a group commit wakes a session once.
    fn answer(&mut self, events: VecDeque<Event>) -> Vec<Output> {
        let now = clock::now();
        let mut outputs = Vec::with_capacity(events.len());
        for event in events {
            outputs.extend(self.session.handle(now, Input::Event(event)));
        }
        outputs
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Happened> {
        let mut is_free = self.stalls_at.is_none() && self.socket.unwritten() < ENOUGH;
        loop {
            if is_free {
                if let Poll::Ready(found) = self.bag.poll_take(cx) {
                    return Poll::Ready(self.found(found));
                }
                if self.session.wants_input()
                    && let Poll::Ready(incoming) = self.socket.poll_next(cx)
                {
                    return Poll::Ready(Happened::Input(read(incoming)));
                }
            }
            match self.socket.poll_flush(cx) {
                Poll::Ready(Ok(())) => {
                    self.stalls_at = None;
                    self.bag.settle();
                    if is_free {
                        return self.poll_alarm(cx);
                    }
                    is_free = true;
                }
                Poll::Ready(Err(_)) => return Poll::Ready(Happened::Input(Input::Lost)),
                Poll::Pending => {
                    let silence = u64::from(self.app.limits.silence_ms);
                    self.stalls_at.get_or_insert_with(|| clock::now().plus_millis(silence));
                    if self.bag.poll_slow(cx).is_ready() {
                        return Poll::Ready(self.found(Found::Slow));
                    }
                    return self.poll_alarm(cx);
                }
            }
        }
    }

    fn found(&self, found: Found) -> Happened {
        match found {
            Found::Events(events) => Happened::Events(events),
            Found::Leaving => Happened::Input(Input::ShutDown { retry_after_ms: spread(self.session.id()) }),
            Found::Slow => {
                self.app.metrics.slow_readers.inc();
                let detail = "mail was taken too slowly, and the node holds too much of it";
                Happened::Input(Input::Broken { reason: GoodbyeReason::Overloaded, detail })
            }
        }
    }

    /// The session's deadline and the peer's, whichever is first.
    fn poll_alarm(&mut self, cx: &mut Context<'_>) -> Poll<Happened> {
        loop {
            let Some(due) = [self.session.wake_at(), self.stalls_at].into_iter().flatten().min() else {
                return Poll::Pending;
            };
            let alarm = match &mut self.alarm {
                Some(alarm) => alarm,
                none => none.insert(Box::pin(tokio::time::sleep(until(due)))),
            };
            if alarm.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
            self.alarm = None;
            if due <= clock::now() {
                let is_stalled = self.stalls_at.is_some_and(|at| at <= due);
                self.app.metrics.slow_readers.inc_by(is_stalled.into());
                return Poll::Ready(Happened::Input(if is_stalled { Input::Lost } else { Input::Tick }));
            }
        }
    }

    /// Does what the session wants. Whether the socket is over.
    fn put(&mut self, outputs: Vec<Output>) -> bool {
        let mut is_stopped = false;
        self.app.metrics.signals_dropped("rate", self.session.take_dropped_signals());
        for output in outputs {
            match output {
                Output::Transmit(bytes) => self.socket.put(&bytes),
                Output::Submit(op) => is_stopped |= self.app.relay.submit(self.session.id(), op).is_err(),
                // The caller sees that the session is closed.
                Output::Close => {}
            }
        }
        is_stopped
    }

    /// Closes properly, so that the goodbye is not lost with what the peer still had under way.
    async fn farewell(&mut self) {
        self.socket.put_close();
        let closing = std::future::poll_fn(|cx| {
            if std::task::ready!(self.socket.poll_flush(cx)).is_err() {
                return Poll::Ready(());
            }
            loop {
                match std::task::ready!(self.socket.poll_next(cx)) {
                    Incoming::Gone => return Poll::Ready(()),
                    Incoming::Frame(_) | Incoming::Text | Incoming::TooLarge => {}
                }
            }
        });
        // A peer that does not answer is left alone.
        drop(tokio::time::timeout(CLOSE_WITHIN, closing).await);
    }
}

/// What came, to the session.
fn read(incoming: Incoming) -> Input {
    match incoming {
        Incoming::Frame(bytes) => Input::Frame(bytes),
        Incoming::Text => Input::Broken { reason: GoodbyeReason::ProtocolError, detail: "a text message" },
        Incoming::TooLarge => {
            Input::Broken { reason: GoodbyeReason::FrameTooLarge, detail: "above limits.frame_bytes" }
        }
        Incoming::Gone => Input::Lost,
    }
}

fn until(due: Timestamp) -> Duration {
    Duration::from_millis(due.millis_since(clock::now()).max(1))
}

/// So that not everyone returns at once. Session ids count up, so this is even.
fn spread(session: SessionId) -> u32 {
    let slot = u32::try_from(session.0.wrapping_mul(7_919) % u64::from(RETURN_WITHIN)).unwrap_or(0);
    500 + slot
}
