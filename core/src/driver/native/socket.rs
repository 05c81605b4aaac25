//! One WebSocket: frames in both directions between the node and the engine's thread.
//!
//! Reads no faster than the engine takes: what the node sends beyond [`Inbound`] waits in the network, and so with the node.
//! Frames to the node never wait for those from it.

use std::sync::{Arc, mpsc};
use std::time::Duration;

use bytes::Bytes;
use chasqui_wire::Limits;
use futures_util::{SinkExt as _, StreamExt as _};
use tokio::sync::Semaphore;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio_tungstenite::client_async_with_config;
use tokio_tungstenite::tungstenite::{Message, http::Uri, protocol::WebSocketConfig};

use super::Net;
use super::connect::connect;
use crate::driver::api::Api;
use crate::driver::engine_loop::ToEngine;
use crate::engine::{Input, SocketId};

const CONNECT_WITHIN: Duration = Duration::from_secs(15);
const CLOSE_WITHIN: Duration = Duration::from_secs(1);
/// Of frames that may wait for the engine: one of the largest, or many.
const WAITING_BYTES: u32 = Limits::FRAME_BYTES_MAX;
/// What the smallest frame counts as, because it takes more than its bytes.
const UNIT_BYTES: usize = 1024;
/// One conversation's worth; the default of 128 KiB is meant for servers.
const BUFFER_BYTES: usize = 8 * 1024;

/// The way to the engine: all sockets of a client share one allowance of what waits for it.
#[derive(Clone)]
pub(in crate::driver) struct Inbound {
    engine: mpsc::Sender<ToEngine>,
    room: Arc<Semaphore>,
}

impl Inbound {
    pub(super) fn new(engine: mpsc::Sender<ToEngine>) -> Self {
        Self { engine, room: Arc::new(Semaphore::new(units(WAITING_BYTES as usize) as usize)) }
    }

    pub(in crate::driver) fn tell(&self, input: Input) {
        // The engine may have stopped first.
        let _ = self.engine.send(ToEngine::Input(input));
    }
}

/// What a frame takes of the allowance.
fn units(bytes: usize) -> u32 {
    u32::try_from(bytes.div_ceil(UNIT_BYTES).max(1)).unwrap_or(u32::MAX)
}

/// Opens a socket in the background. Dropping the sender closes it, after what was sent.
pub(in crate::driver) fn open(id: SocketId, api: Arc<Api>, net: &Net, inbound: Inbound) -> UnboundedSender<Bytes> {
    let (outbound, outbox) = unbounded_channel();
    net.spawn(async move {
        if let Err(error) = run(id, &api, outbox, &inbound).await {
            tracing::debug!(%error, "the socket ended");
        }
        inbound.tell(Input::Disconnected(id));
    });
    outbound
}

type Failure = Box<dyn std::error::Error + Send + Sync>;

async fn run(
    id: SocketId,
    api: &Api,
    mut outbox: UnboundedReceiver<Bytes>,
    Inbound { engine, room }: &Inbound,
) -> Result<(), Failure> {
    // What the node announces is checked when the frame is decoded.
    let frame_bytes = Limits::FRAME_BYTES_MAX as usize;
    let config = WebSocketConfig::default()
        .read_buffer_size(BUFFER_BYTES)
        .write_buffer_size(BUFFER_BYTES)
        .max_message_size(Some(frame_bytes))
        .max_frame_size(Some(frame_bytes));
    let address: Uri = api.socket_url().parse()?;
    let open = async {
        let stream = connect(&address, api.http.tls()).await?;
        client_async_with_config(&address, stream, Some(config)).await
    };
    let (mut socket, _) = tokio::time::timeout(CONNECT_WITHIN, open).await??;
    engine.send(ToEngine::Input(Input::Connected(id)))?;
    // Read, and waiting for room. Nothing more is read before it has found some.
    let mut held: Option<Bytes> = None;
    loop {
        let size = held.as_ref().map_or(0, Bytes::len);
        tokio::select! {
            place = Arc::clone(room).acquire_many_owned(units(size)), if held.is_some() => {
                let place = place?;
                if let Some(bytes) = held.take() {
                    engine.send(ToEngine::Frame(id, bytes, place))?;
                }
            }
            message = socket.next(), if held.is_none() => match message {
                Some(Ok(Message::Binary(bytes))) => held = Some(bytes),
                Some(Ok(Message::Close(_))) | None => return Ok(()),
                // Pings are answered by the library; text is not part of the protocol.
                Some(Ok(_)) => {}
                Some(Err(error)) => return Err(error.into()),
            },
            bytes = outbox.recv() => match bytes {
                Some(bytes) => {
                    socket.feed(Message::Binary(bytes)).await?;
                    // What else waits goes out with the same flush.
                    while let Ok(bytes) = outbox.try_recv() {
                        socket.feed(Message::Binary(bytes)).await?;
                    }
                    socket.flush().await?;
                }
                None => {
                    let _ = tokio::time::timeout(CLOSE_WITHIN, socket.close(None)).await;
                    return Ok(());
                }
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;
    use crate::driver::shared::Shared;

    const FRAME: usize = 1024 * 1024;
    /// Far more than fits into the allowance and the buffers of the network.
    const FRAMES: usize = 200;

    /// A node that sends without end, and tells what it hears.
    async fn flood(listener: TcpListener, heard: UnboundedSender<Bytes>) {
        let (stream, _) = listener.accept().await.unwrap();
        let (mut to_client, mut from_client) = tokio_tungstenite::accept_async(stream).await.unwrap().split();
        tokio::spawn(async move {
            while let Some(Ok(Message::Binary(bytes))) = from_client.next().await {
                heard.send(bytes).unwrap();
            }
        });
        for _ in 0..FRAMES {
            to_client.send(Message::Binary(vec![0x2A; FRAME].into())).await.unwrap();
        }
        std::future::pending().await
    }

    #[tokio::test]
    async fn what_the_engine_does_not_take_stays_with_the_node() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let (heard, mut hears) = unbounded_channel();
        tokio::spawn(flood(listener, heard));
        let (engine, inbox) = mpsc::channel();
        let inbound = Inbound::new(engine);
        let room = Arc::clone(&inbound.room);
        let api = Arc::new(Api::new(&address, Arc::new(Shared::new())).unwrap());
        let outbound = open(SocketId(1), api, &Net(tokio::runtime::Handle::current()), inbound);

        const FIT: usize = WAITING_BYTES as usize / FRAME;
        for _ in 0..FRAMES / FIT - 1 {
            let mut waiting = Vec::new();
            while room.available_permits() >= FRAME / UNIT_BYTES && waiting.len() <= FIT {
                waiting.extend(inbox.try_iter().filter(|message| matches!(message, ToEngine::Frame(..))));
                tokio::task::yield_now().await;
            }
            // The client still speaks, and has had every chance to read on.
            outbound.send(Bytes::from_static(b"still there")).unwrap();
            assert_eq!(hears.recv().await.unwrap(), "still there");
            waiting.extend(inbox.try_iter().filter(|message| matches!(message, ToEngine::Frame(..))));
            assert_eq!(waiting.len(), FIT);
        }
    }
}
