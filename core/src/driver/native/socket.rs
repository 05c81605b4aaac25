//! One WebSocket: frames in both directions between the node and the engine's thread.

use std::sync::{Arc, mpsc};
use std::time::Duration;

use bytes::Bytes;
use chasqui_wire::Limits;
use futures_util::{SinkExt as _, StreamExt as _};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio_tungstenite::tungstenite::{Message, protocol::WebSocketConfig};
use tokio_tungstenite::{Connector, connect_async_tls_with_config};

use super::api::Api;
use super::engine_thread::ToEngine;
use crate::engine::{Input, SocketId};

const CONNECT_WITHIN: Duration = Duration::from_secs(15);
const CLOSE_WITHIN: Duration = Duration::from_secs(1);
/// One conversation's worth; the default of 128 KiB is meant for servers.
const BUFFER_BYTES: usize = 8 * 1024;

/// Opens a socket in the background. Dropping the sender closes it, after what was sent.
pub(super) fn open(
    id: SocketId,
    api: Arc<Api>,
    net: &tokio::runtime::Handle,
    engine: mpsc::Sender<ToEngine>,
) -> UnboundedSender<Bytes> {
    let (outbound, outbox) = unbounded_channel();
    net.spawn(async move {
        if let Err(error) = run(id, &api, outbox, &engine).await {
            tracing::debug!(%error, "the socket ended");
        }
        // The engine may have stopped first.
        let _ = engine.send(ToEngine::Input(Input::Disconnected(id)));
    });
    outbound
}

type Failure = Box<dyn std::error::Error + Send + Sync>;

async fn run(
    id: SocketId,
    api: &Api,
    mut outbox: UnboundedReceiver<Bytes>,
    engine: &mpsc::Sender<ToEngine>,
) -> Result<(), Failure> {
    // What the node announces is checked when the frame is decoded.
    let frame_bytes = Limits::FRAME_BYTES_MAX as usize;
    let config = WebSocketConfig::default()
        .read_buffer_size(BUFFER_BYTES)
        .write_buffer_size(BUFFER_BYTES)
        .max_message_size(Some(frame_bytes))
        .max_frame_size(Some(frame_bytes));
    let connector = api.tls().map(Connector::Rustls);
    let connect = connect_async_tls_with_config(api.socket_url(), Some(config), true, connector);
    let (mut socket, _) = tokio::time::timeout(CONNECT_WITHIN, connect).await??;
    engine.send(ToEngine::Input(Input::Connected(id)))?;
    loop {
        tokio::select! {
            message = socket.next() => match message {
                Some(Ok(Message::Binary(bytes))) => engine.send(ToEngine::Input(Input::Frame(id, bytes)))?,
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
