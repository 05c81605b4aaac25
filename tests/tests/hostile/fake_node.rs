//! A server that speaks as much of the node's protocol as a test wants, and anything else.

use std::net::SocketAddr;

use bytes::Bytes;
use chasqui_wire::{
    Challenge, Checkpoint, ClientFrame, Drained, Limits, NodeFrame, RealmId, Timestamp, UserId, Welcome,
};
use futures_util::{SinkExt as _, StreamExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{WebSocketStream, accept_async};

use crate::stage::within;

pub(crate) struct FakeNode {
    listener: TcpListener,
    realm: RealmId,
    user: UserId,
}

impl FakeNode {
    /// Stands where the real one stood, for a device of this user.
    pub(crate) async fn at(address: SocketAddr, realm: RealmId, user: UserId) -> Self {
        Self { listener: TcpListener::bind(address).await.unwrap(), realm, user }
    }

    /// The next TCP connection, whatever it wants.
    pub(crate) async fn connection(&self) -> TcpStream {
        within("the client to connect", self.listener.accept()).await.unwrap().0
    }

    /// The client's next socket. Its HTTP requests get no answer.
    pub(crate) async fn socket(&self) -> FakeSocket {
        loop {
            let stream = self.connection().await;
            let mut start = [0; 15];
            let Ok(15) = within("a request", stream.peek(&mut start)).await else { continue };
            if start.starts_with(b"GET /v1/connect")
                && let Ok(socket) = within("a handshake", accept_async(stream)).await
            {
                return FakeSocket { stream: socket, checkpoint: None };
            }
        }
    }

    pub(crate) fn challenge(&self) -> Challenge {
        Challenge { nonce: [7; 32], realm: self.realm, version_min: 1, version_max: 1 }
    }

    pub(crate) fn welcome(&self, socket: &FakeSocket) -> Welcome {
        Welcome {
            user: self.user,
            limits: Limits::DEFAULT,
            checkpoint: socket.checkpoint(),
            eras: vec![],
            time: Timestamp(0),
            http_token: "token".to_owned().into(),
            http_token_expires_at: Timestamp(i64::MAX),
            key_packages: None,
            identity_key: None,
        }
    }

    /// A socket on which the client has said hello.
    pub(crate) async fn greeted(&self) -> FakeSocket {
        let mut socket = self.socket().await;
        socket.say(&NodeFrame::Challenge(self.challenge())).await;
        match socket.frame().await {
            Some(ClientFrame::Hello(hello)) => {
                assert_eq!(hello.realm, self.realm);
                socket.checkpoint = hello.checkpoint;
            }
            other => panic!("a hello, not {other:?}"),
        }
        socket
    }

    /// A socket on which the client takes this for its node, and is online.
    pub(crate) async fn welcomed(&self) -> FakeSocket {
        let mut socket = self.greeted().await;
        socket.say(&NodeFrame::Welcome(self.welcome(&socket))).await;
        socket.say(&NodeFrame::Drained(Drained { checkpoint: socket.checkpoint() })).await;
        socket
    }
}

pub(crate) struct FakeSocket {
    stream: WebSocketStream<TcpStream>,
    /// What the client was told before.
    checkpoint: Option<Checkpoint>,
}

impl FakeSocket {
    /// Far ahead, and sealed by nobody.
    pub(crate) fn checkpoint(&self) -> Checkpoint {
        let mut checkpoint = self.checkpoint.clone().expect("the client was at a node before, and says so in hello");
        checkpoint.revision = 1 << 40;
        checkpoint.seal = [3; 32];
        checkpoint
    }

    pub(crate) async fn say(&mut self, frame: &NodeFrame) {
        self.say_bytes(frame.encode()).await;
    }

    pub(crate) async fn say_bytes(&mut self, bytes: impl Into<Bytes>) {
        self.say_message(Message::Binary(bytes.into())).await;
    }

    pub(crate) async fn say_message(&mut self, message: Message) {
        // The client may have ended the socket before it took all of it.
        drop(within("the client to take a frame", self.stream.send(message)).await);
    }

    /// `None` once the client has ended the socket.
    pub(crate) async fn frame(&mut self) -> Option<ClientFrame> {
        loop {
            match within("a frame from the client", self.stream.next()).await? {
                Ok(Message::Binary(bytes)) => return Some(ClientFrame::decode(bytes, &Limits::DEFAULT).unwrap()),
                Ok(Message::Close(_)) | Err(_) => return None,
                Ok(_) => {}
            }
        }
    }

    /// Waits until the client ends it, whatever it says before.
    pub(crate) async fn is_ended(&mut self, what: &str) {
        within(&format!("the client to end the socket: {what}"), async { while self.frame().await.is_some() {} }).await;
    }
}
