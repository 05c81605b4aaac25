//! Mallory: a device that was enrolled properly, and then says on its socket whatever a test wants.

use std::net::SocketAddr;

use bytes::Bytes;
use chasqui_wire::{
    Accepted, ClientFrame, Content, ContentKind, ConversationId, ConversationKind, DeviceId, Entry, ErrorCode, Goodbye,
    GoodbyeReason, Hello, Limits, MessageId, NodeFrame, Ping, Protection, RealmId, Rejected, Send, StorageClass,
    Timestamp, UserId, direct_conversation, signing,
};
use futures_util::{SinkExt as _, StreamExt as _};
use ring::signature::Ed25519KeyPair;
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

use crate::stage::{Device, Relay, within};

/// The keys of an enrolled device, taken out of its folder.
pub(crate) struct Intruder {
    pub(crate) node: SocketAddr,
    pub(crate) realm: RealmId,
    pub(crate) user: UserId,
    pub(crate) device: DeviceId,
    key: Ed25519KeyPair,
}

impl Intruder {
    pub(crate) async fn enrolled(relay: &Relay) -> Self {
        Self::with_keys_of(relay, Device::registered(relay, "mallory").await).await
    }

    pub(crate) async fn with_keys_of(relay: &Relay, device: Device) -> Self {
        device.close().await.unwrap();
        let history = rusqlite::Connection::open(device.folder.path().join("history.db")).unwrap();
        let keys = history.query_row("SELECT realm, user, device, device_seed FROM account", [], |row| {
            Ok(Self {
                node: relay.address(),
                realm: RealmId::from_bytes(row.get(0)?),
                user: UserId::from_bytes(row.get(1)?),
                device: DeviceId::from_bytes(row.get(2)?),
                key: Ed25519KeyPair::from_seed_unchecked(&row.get::<_, [u8; 32]>(3)?).unwrap(),
            })
        });
        keys.unwrap()
    }

    pub(crate) fn sign(&self, bytes: &[u8]) -> [u8; 64] {
        self.key.sign(bytes).as_ref().try_into().unwrap()
    }

    pub(crate) fn hello(&self, nonce: &[u8; 32]) -> Hello {
        Hello {
            progress: chasqui_wire::Progress::default(),
            version: 1,
            realm: self.realm,
            device: self.device,
            signature: self.sign(&signing::hello(self.realm, nonce, self.device, 1)),
            window_entries: 0,
            window_bytes: 0,
            checkpoint: None,
            agent: "mallory".into(),
        }
    }

    /// A socket up to the challenge, and its nonce.
    pub(crate) async fn socket(&self) -> (Socket, [u8; 32]) {
        let connected = connect_async(format!("ws://{}/v1/connect", self.node));
        let (stream, _) = within("the socket to open", connected).await.unwrap();
        let mut socket = Socket { stream, mail: Vec::new() };
        match socket.frame().await {
            Some(NodeFrame::Challenge(challenge)) => (socket, challenge.nonce),
            other => panic!("a challenge first, not {other:?}"),
        }
    }

    /// A socket that the node took for that of a good device.
    pub(crate) async fn welcomed(&self) -> Socket {
        let (mut socket, nonce) = self.socket().await;
        socket.say(&ClientFrame::Hello(self.hello(&nonce))).await;
        match socket.frame().await {
            Some(NodeFrame::Welcome(welcome)) => assert_eq!(welcome.user, self.user),
            other => panic!("a welcome, not {other:?}"),
        }
        socket
    }

    /// A message that is in order.
    pub(crate) fn send(&self, to: UserId, number: u8) -> Send {
        let message = MessageId::from_bytes([0xEE, 0, 0, 0, 0, 0, 0x70, 0, 0x80, 0, 0, 0, 0, 0, 0, number]);
        let content = Content {
            message,
            created_at: Timestamp(0),
            kind: ContentKind::Text(format!("mail {number}")),
            previous: vec![],
        };
        Send {
            message,
            conversation: self.conversation_with(to),
            kind: ConversationKind::Direct,
            protection: Protection::NodeReadable,
            peer: Some(to),
            body: content.encode(),
            storage: StorageClass::Durable,
            urgent: false,
            ttl_seconds: 0,
            // Each a stream of its own, so that one refusal does not explain the next.
            restart: true,
            reclaim_seq: None,
            after_seq: None,
            resend_of: None,
            only_device: None,
            epoch: 0,
            commit: None,
            roster_checked: false,
        }
    }

    pub(crate) fn conversation_with(&self, user: UserId) -> ConversationId {
        direct_conversation(self.user, user, Protection::NodeReadable)
    }
}

pub(crate) struct Socket {
    stream: WebSocketStream<MaybeTlsStream<TcpStream>>,
    /// What was delivered while something else was waited for.
    pub(crate) mail: Vec<Entry>,
}

impl Socket {
    pub(crate) async fn say(&mut self, frame: &ClientFrame) {
        self.say_bytes(frame.encode()).await;
    }

    pub(crate) async fn say_bytes(&mut self, bytes: impl Into<Bytes>) {
        self.say_message(Message::Binary(bytes.into())).await;
    }

    pub(crate) async fn say_message(&mut self, message: Message) {
        // The node may have ended the socket before it took all of it.
        drop(within("the node to take a frame", self.stream.send(message)).await);
    }

    /// `None` once the socket is closed.
    pub(crate) async fn frame(&mut self) -> Option<NodeFrame> {
        loop {
            match within("a frame from the node", self.stream.next()).await? {
                Ok(Message::Binary(bytes)) => return Some(NodeFrame::decode(bytes, &Limits::DEFAULT).unwrap()),
                Ok(Message::Close(_)) | Err(_) => return None,
                Ok(_) => {}
            }
        }
    }

    /// The next frame that is not mail.
    async fn word(&mut self) -> Option<NodeFrame> {
        loop {
            match self.frame().await? {
                NodeFrame::Deliver(deliver) => self.mail.extend(deliver.entries),
                NodeFrame::Drained(_) => {}
                other => return Some(other),
            }
        }
    }

    /// Waits until there is mail, and takes it.
    pub(crate) async fn mail(&mut self) -> Vec<Entry> {
        while self.mail.is_empty() {
            match self.frame().await.expect("mail before the end") {
                NodeFrame::Deliver(deliver) => self.mail.extend(deliver.entries),
                NodeFrame::Drained(_) => {}
                other => panic!("mail, not {other:?}"),
            }
        }
        std::mem::take(&mut self.mail)
    }

    /// The node's last word.
    pub(crate) async fn goodbye(&mut self) -> GoodbyeReason {
        match self.word().await {
            Some(NodeFrame::Goodbye(Goodbye { reason, .. })) => {
                assert_eq!(self.frame().await, None, "nothing follows a goodbye");
                reason
            }
            other => panic!("a goodbye, not {other:?}"),
        }
    }

    /// What the node answers to a send or a read.
    pub(crate) async fn answer(&mut self) -> Result<Accepted, ErrorCode> {
        match self.word().await {
            Some(NodeFrame::Accepted(accepted)) => Ok(accepted),
            Some(NodeFrame::Rejected(Rejected { code, .. })) => Err(code),
            other => panic!("an answer, not {other:?}"),
        }
    }

    pub(crate) async fn is_unsupported(&mut self) {
        match self.word().await {
            Some(NodeFrame::Unsupported(_)) => {}
            other => panic!("unsupported, not {other:?}"),
        }
    }

    /// Whether the socket still serves.
    pub(crate) async fn is_open(&mut self) {
        self.say(&ClientFrame::Ping(Ping { nonce: 7 })).await;
        match self.word().await {
            Some(NodeFrame::Pong(pong)) => assert_eq!(pong.nonce, 7),
            other => panic!("a pong, not {other:?}"),
        }
    }
}
