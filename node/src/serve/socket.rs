//! One WebSocket: carries a [`Session`]'s inputs and outputs, and knows nothing else.

use std::time::Duration;

use axum::extract::ws::{Message, WebSocket};
use bytes::Bytes;
use chasqui_wire::GoodbyeReason;
use futures_util::SinkExt as _;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tracing::Instrument as _;

use super::{App, clock};
use crate::relay::{Event, SessionId};
use crate::session::{Input, Output, Session};

/// Outputs that are written together.
const AT_ONCE: usize = 64;
/// How long the peer may take to answer a close.
const CLOSE_WITHIN: Duration = Duration::from_secs(2);
/// Milliseconds over which returning devices are spread after a stop.
const RETURN_WITHIN: u32 = 5_000;

/// Runs until either side closes.
pub(crate) async fn run(app: App, socket: WebSocket) {
    let id = app.next_session();
    let (sender, events) = unbounded_channel();
    if app.relay.opened(id, sender).is_err() {
        return;
    }
    let session = Session::new(id, app.realm, app.limits.clone(), clock::random(), clock::now());
    let mut carrier = Carrier { app, socket, session, events };
    carrier.run().instrument(tracing::info_span!("connection", session = id.0)).await;
    carrier.app.relay.closed(id);
    if let Some(reason) = carrier.session.said_goodbye() {
        carrier.app.metrics.goodbye(reason);
    }
}

struct Carrier {
    app: App,
    socket: WebSocket,
    session: Session,
    events: UnboundedReceiver<Event>,
}

impl Carrier {
    async fn run(&mut self) {
        let mut stopping = self.app.stopping.clone();
        let mut outputs = self.session.open();
        loop {
            let is_over = self.put(outputs).await;
            if is_over || self.session.is_closed() {
                break;
            }
            let wake_at = self.session.wake_at();
            let sleep = async {
                match wake_at {
                    Some(at) => tokio::time::sleep(Duration::from_millis(at.millis_since(clock::now()))).await,
                    None => std::future::pending().await,
                }
            };
            let input = tokio::select! {
                biased;
                Some(event) = self.events.recv() => {
                    outputs = self.answer_events(event);
                    continue;
                }
                message = self.socket.recv() => match self.read(message) {
                    Some(input) => input,
                    None => {
                        outputs = Vec::new();
                        continue;
                    }
                },
                _ = stopping.wait_for(|stopping| *stopping) => Input::ShutDown { retry_after_ms: spread(self.session.id()) },
                () = sleep => Input::Tick,
            };
            outputs = self.session.handle(clock::now(), input);
        }
        self.farewell().await;
    }

    /// All events that wait are answered with one write: a group commit wakes a session once.
    fn answer_events(&mut self, first: Event) -> Vec<Output> {
        let mut outputs = self.session.handle(clock::now(), Input::Event(first));
        while outputs.len() < AT_ONCE
            && !self.session.is_closed()
            && let Ok(event) = self.events.try_recv()
        {
            outputs.extend(self.session.handle(clock::now(), Input::Event(event)));
        }
        outputs
    }

    /// What a WebSocket message means to the session; `None` = nothing.
    fn read(&self, message: Option<Result<Message, axum::Error>>) -> Option<Input> {
        match message {
            Some(Ok(Message::Binary(bytes))) => Some(Input::Frame(bytes)),
            Some(Ok(Message::Text(_))) => {
                Some(Input::Broken { reason: GoodbyeReason::ProtocolError, detail: "a text message" })
            }
            // The library answers pings.
            Some(Ok(Message::Ping(_) | Message::Pong(_))) => None,
            Some(Ok(Message::Close(_))) | None => Some(Input::Lost),
            // axum keeps the library's error type to itself; its text is all there is.
            Some(Err(error)) if error.to_string().contains("too long") => {
                Some(Input::Broken { reason: GoodbyeReason::FrameTooLarge, detail: "above limits.frame_bytes" })
            }
            Some(Err(_)) => Some(Input::Lost),
        }
    }

    /// Does what the session wants. Whether the socket is over.
    async fn put(&mut self, outputs: Vec<Output>) -> bool {
        let mut frames = Vec::new();
        let mut is_stopped = false;
        for output in outputs {
            match output {
                Output::Transmit(bytes) => frames.push(bytes),
                Output::Submit(op) => is_stopped |= self.app.relay.submit(self.session.id(), op).is_err(),
                // The caller sees that the session is closed.
                Output::Close => {}
            }
        }
        if !frames.is_empty() && !self.send(frames).await {
            for output in self.session.handle(clock::now(), Input::Lost) {
                if let Output::Submit(op) = output {
                    // If the relay has ended, it needs no detaching.
                    drop(self.app.relay.submit(self.session.id(), op));
                }
            }
            return true;
        }
        is_stopped
    }

    /// A peer that takes nothing for as long as it may be silent is gone.
    async fn send(&mut self, frames: Vec<Bytes>) -> bool {
        let within = Duration::from_millis(self.app.limits.silence_ms.into());
        let sending = async {
            for frame in frames {
                self.socket.feed(Message::Binary(frame)).await?;
            }
            self.socket.flush().await
        };
        let sent = tokio::time::timeout(within, sending).await;
        if sent.is_err() {
            self.app.metrics.slow_readers.inc();
        }
        matches!(sent, Ok(Ok(())))
    }

    /// Closes properly, so that the goodbye is not lost with what the peer still had under way.
    async fn farewell(&mut self) {
        let closing = async {
            if self.socket.send(Message::Close(None)).await.is_ok() {
                while let Some(Ok(_)) = self.socket.recv().await {}
            }
        };
        // A peer that does not answer is left alone.
        drop(tokio::time::timeout(CLOSE_WITHIN, closing).await);
    }
}

/// So that not everyone returns at once. Session ids count up, so this is even.
fn spread(session: SessionId) -> u32 {
    let slot = u32::try_from(session.0.wrapping_mul(7_919) % u64::from(RETURN_WITHIN)).unwrap_or(0);
    500 + slot
}
