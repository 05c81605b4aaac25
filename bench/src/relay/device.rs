//! A device reduced to its socket: what a benchmark needs, and as little CPU beside the node as possible.

use bytes::Bytes;
use chasqui_wire::{
    AckItem, AckOutcome, ClientFrame, ConversationKind, Entry, EntryKind, Hello, Limits, MessageId, NodeFrame,
    Protection, Send, StorageClass, direct_conversation, signing,
};
use futures_util::{SinkExt as _, StreamExt as _};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

use super::Outcome;
use super::node::{Person, Place};
use super::tls::Trust;

/// A welcomed device.
pub(crate) struct Device {
    person: Person,
    socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
    sent: u64,
}

/// What a device was told.
pub(crate) enum News {
    /// A send that is on the node's disk.
    Accepted(MessageId),
    /// Mail; it is to be acknowledged.
    Mail(Vec<Entry>),
    /// All mail that waited has come.
    Drained,
}

impl Device {
    pub(crate) async fn connect(node: Place, person: Person) -> Outcome<Self> {
        Self::open(node, person, None).await
    }

    /// Over TLS, if there is something to trust.
    pub(crate) async fn open(node: Place, person: Person, trust: Option<&Trust>) -> Outcome<Self> {
        let stream = TcpStream::connect(node.address).await?;
        stream.set_nodelay(true)?;
        let stream = match trust {
            Some(trust) => MaybeTlsStream::Rustls(trust.secure(stream).await?),
            None => MaybeTlsStream::Plain(stream),
        };
        let config = WebSocketConfig::default().read_buffer_size(2048).write_buffer_size(0);
        let url = format!("ws://{}/v1/connect", node.address);
        let (socket, _) = tokio_tungstenite::client_async_with_config(url, stream, Some(config)).await?;
        let mut device = Self { person, socket, sent: 0 };
        let NodeFrame::Challenge(challenge) = device.frame().await? else { return Err("no challenge".into()) };
        let signature = person.key()?.sign(&signing::hello(node.realm, &challenge.nonce, person.device(), 1));
        let hello = Hello {
            progress: chasqui_wire::Progress::default(),
            version: 1,
            realm: node.realm,
            device: person.device(),
            signature: signature.as_ref().try_into()?,
            window_entries: 0,
            window_bytes: 0,
            checkpoint: None,
            agent: "bench".to_owned(),
        };
        device.socket.send(Message::Binary(ClientFrame::Hello(hello).encode())).await?;
        let NodeFrame::Welcome(_) = device.frame().await? else { return Err("not welcome".into()) };
        Ok(device)
    }

    /// Puts a message on its way; [`Self::flush`] sends it.
    pub(crate) async fn send(&mut self, to: Person, body: Bytes) -> Outcome {
        self.sent += 1;
        self.send_as(self.person.message(self.sent), to, body).await
    }

    /// As [`Self::send`], under an id that may have been used before for the same message.
    pub(crate) async fn send_as(&mut self, message: MessageId, to: Person, body: Bytes) -> Outcome {
        let protection = Protection::NodeReadable;
        let frame = ClientFrame::Send(Box::new(Send {
            message,
            conversation: direct_conversation(self.person.user(), to.user(), protection),
            kind: ConversationKind::Direct,
            protection,
            peer: Some(to.user()),
            body,
            storage: StorageClass::Durable,
            urgent: false,
            ttl_seconds: 0,
            restart: false,
            reclaim_seq: None,
            after_seq: None,
            resend_of: None,
            only_device: None,
            epoch: 0,
            commit: None,
            roster_checked: false,
        }));
        self.socket.feed(Message::Binary(frame.encode())).await?;
        Ok(())
    }

    pub(crate) async fn acknowledge(&mut self, entries: &[Entry]) -> Outcome {
        let item = |entry: &Entry| AckItem { number: entry.number, outcome: AckOutcome::Stored };
        let ack = ClientFrame::Ack(entries.iter().map(item).collect::<Vec<_>>().into());
        self.socket.feed(Message::Binary(ack.encode())).await?;
        Ok(())
    }

    pub(crate) async fn flush(&mut self) -> Outcome {
        Ok(self.socket.flush().await?)
    }

    /// The next news; waits for it.
    pub(crate) async fn news(&mut self) -> Outcome<News> {
        loop {
            match self.frame().await? {
                NodeFrame::Accepted(accepted) => return Ok(News::Accepted(accepted.message)),
                NodeFrame::Deliver(deliver) => return Ok(News::Mail(deliver.entries)),
                NodeFrame::Drained(_) => return Ok(News::Drained),
                NodeFrame::Pong(_) => {}
                other => return Err(format!("unexpected: {other:?}").into()),
            }
        }
    }

    async fn frame(&mut self) -> Outcome<NodeFrame> {
        loop {
            match self.socket.next().await.ok_or("the node closed the socket")?? {
                Message::Binary(bytes) => return Ok(NodeFrame::decode(bytes, &Limits::DEFAULT)?),
                Message::Close(_) => return Err("the node closed the socket".into()),
                Message::Text(_) | Message::Ping(_) | Message::Pong(_) | Message::Frame(_) => {}
            }
        }
    }
}

/// How many messages these receipts confirm.
pub(crate) fn receipted(entries: &[Entry]) -> usize {
    let count = |entry: &Entry| match &entry.kind {
        EntryKind::Receipt(receipt) => {
            let length = |range: chasqui_wire::SeqRange| range.last().raw() - range.first().raw() + 1;
            receipt.ranges.iter().map(length).sum::<u64>() as usize
        }
        EntryKind::Envelope(_)
        | EntryKind::Read(_)
        | EntryKind::Gap(_)
        | EntryKind::Hole(_)
        | EntryKind::Absence(_)
        | EntryKind::Admission(_)
        | EntryKind::Unknown => 0,
    };
    entries.iter().map(count).sum()
}

/// How many messages these are.
pub(crate) fn envelopes(entries: &[Entry]) -> usize {
    entries.iter().filter(|entry| matches!(entry.kind, EntryKind::Envelope(_))).count()
}
