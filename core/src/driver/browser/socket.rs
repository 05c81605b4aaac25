//! One WebSocket: frames in both directions between the node and the engine.
//!
//! A browser reads as fast as the node sends. The node's window bounds what waits here.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use chasqui_wire::Limits;
use tokio::sync::Semaphore;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, WeakUnboundedSender, unbounded_channel};
use wasm_bindgen::closure::Closure;
use wasm_bindgen::{JsCast as _, JsValue};
use web_sys::{BinaryType, MessageEvent, WebSocket};

use super::Net;
use super::task::ToTask;
use super::timer::sleep;
use crate::driver::api::Api;
use crate::driver::engine_loop::ToEngine;
use crate::engine::{Input, SocketId};

const CONNECT_WITHIN: Duration = Duration::from_secs(15);

/// The way to the engine, which does not keep it alive.
#[derive(Clone)]
pub(in crate::driver) struct Inbound {
    task: WeakUnboundedSender<ToTask>,
    /// Nobody waits for it here; frames carry a share of it as they do elsewhere.
    room: Arc<Semaphore>,
}

impl Inbound {
    pub(super) fn new(task: WeakUnboundedSender<ToTask>) -> Self {
        Self { task, room: Arc::new(Semaphore::new(Semaphore::MAX_PERMITS)) }
    }

    pub(in crate::driver) fn tell(&self, input: Input) {
        self.send(ToEngine::Input(input));
    }

    fn send(&self, message: ToEngine) {
        if let Some(task) = self.task.upgrade() {
            // The engine may have stopped first.
            let _ = task.send(ToTask::Engine(message));
        }
    }
}

/// Opens a socket in the background. Dropping the sender closes it, after what was sent.
pub(in crate::driver) fn open(id: SocketId, api: Arc<Api>, net: &Net, inbound: Inbound) -> UnboundedSender<Bytes> {
    let (outbound, outbox) = unbounded_channel();
    net.spawn(async move {
        if let Err(error) = run(id, &api.socket_url(), outbox, &inbound).await {
            tracing::debug!(?error, "the socket ended");
        }
        inbound.tell(Input::Disconnected(id));
    });
    outbound
}

enum Event {
    Opened,
    Frame(Bytes),
    Closed,
}

/// A socket and who listens to it; dropping it closes it, and nobody is called any more.
struct Socket {
    socket: WebSocket,
    _on_open: Closure<dyn FnMut()>,
    _on_close: Closure<dyn FnMut()>,
    _on_message: Closure<dyn FnMut(MessageEvent)>,
}

impl Socket {
    fn open(url: &str) -> Result<(Self, UnboundedReceiver<Event>), JsValue> {
        let socket = WebSocket::new(url)?;
        socket.set_binary_type(BinaryType::Arraybuffer);
        let (events, incoming) = unbounded_channel();
        let tell = |event: fn() -> Event| {
            let events = events.clone();
            Closure::<dyn FnMut()>::new(move || drop(events.send(event())))
        };
        let (on_open, on_close) = (tell(|| Event::Opened), tell(|| Event::Closed));
        let on_message = Closure::<dyn FnMut(MessageEvent)>::new(move |message: MessageEvent| {
            // Text is not part of the protocol.
            let Ok(buffer) = message.data().dyn_into::<js_sys::ArrayBuffer>() else { return };
            // What the node announces is checked when the frame is decoded.
            let is_usable = buffer.byte_length() <= Limits::FRAME_BYTES_MAX;
            let frame = || Event::Frame(Bytes::from(js_sys::Uint8Array::new(&buffer).to_vec()));
            let _ = events.send(if is_usable { frame() } else { Event::Closed });
        });
        socket.set_onopen(Some(on_open.as_ref().unchecked_ref()));
        // Errors are followed by this.
        socket.set_onclose(Some(on_close.as_ref().unchecked_ref()));
        socket.set_onmessage(Some(on_message.as_ref().unchecked_ref()));
        Ok((Self { socket, _on_open: on_open, _on_close: on_close, _on_message: on_message }, incoming))
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        self.socket.set_onopen(None);
        self.socket.set_onclose(None);
        self.socket.set_onmessage(None);
        // What was sent goes out first; on a socket that is closed it does nothing.
        let _ = self.socket.close();
    }
}

async fn run(id: SocketId, url: &str, mut outbox: UnboundedReceiver<Bytes>, inbound: &Inbound) -> Result<(), JsValue> {
    let (socket, mut events) = Socket::open(url)?;
    let opened = tokio::select! {
        event = events.recv() => matches!(event, Some(Event::Opened)),
        () = sleep(CONNECT_WITHIN) => false,
    };
    if !opened {
        return Err("it did not open".into());
    }
    inbound.tell(Input::Connected(id));
    loop {
        tokio::select! {
            event = events.recv() => match event {
                Some(Event::Frame(bytes)) => {
                    let place = Arc::clone(&inbound.room).acquire_owned().await.map_err(|_| "closed")?;
                    inbound.send(ToEngine::Frame(id, bytes, place));
                }
                Some(Event::Opened) => {}
                Some(Event::Closed) | None => return Ok(()),
            },
            bytes = outbox.recv() => match bytes {
                Some(bytes) => socket.socket.send_with_u8_array(&bytes)?,
                None => return Ok(()),
            },
        }
    }
}
