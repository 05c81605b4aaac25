//! A device in a few lines: HTTP by hand, frames over a WebSocket.

#![expect(dead_code, clippy::unwrap_used, reason = "each test file uses its part; a test may panic")]

use std::net::SocketAddr;

use chasqui_node::config::Config;
use chasqui_node::serve::{self, Running};
use chasqui_wire::http::{Enrolled, Key, NewDevice, Register};
use chasqui_wire::{ClientFrame, DeviceId, Hello, Limits, NodeFrame, Progress, RealmId, UserId, signing};
use futures_util::{SinkExt as _, StreamExt as _};
use ring::signature::{Ed25519KeyPair, KeyPair as _};
use serde_json::Value;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

pub(crate) struct Node {
    pub(crate) running: Running,
    pub(crate) folder: TempDir,
}

pub(crate) async fn node() -> Node {
    let folder = tempfile::tempdir().unwrap();
    let running = serve::start(config(&folder)).await.unwrap();
    Node { running, folder }
}

pub(crate) fn config(folder: &TempDir) -> Config {
    Config { data: folder.path().to_owned(), listen: SocketAddr::from(([127, 0, 0, 1], 0)), ..Config::default() }
}

pub(crate) struct Response {
    pub(crate) status: u16,
    pub(crate) body: Value,
}

impl Response {
    pub(crate) fn code(&self) -> &str {
        self.body["error"]["code"].as_str().unwrap_or("none")
    }
}

pub(crate) async fn request(to: SocketAddr, method: &str, path: &str, token: Option<&str>, body: &str) -> Response {
    let token = token.map(|token| format!("Bearer {token}"));
    let header = token.as_deref().map(|token| ("authorization", token));
    let answer = raw_request(to, method, path, header, body).await;
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head and a body");
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    Response { status, body: serde_json::from_str(body).unwrap_or(Value::Null) }
}

/// The answer as it comes, with one more header in the request.
pub(crate) async fn raw_request(
    to: SocketAddr,
    method: &str,
    path: &str,
    header: Option<(&str, &str)>,
    body: &str,
) -> String {
    let mut stream = TcpStream::connect(to).await.unwrap();
    let header = header.map(|(name, value)| format!("{name}: {value}\r\n")).unwrap_or_default();
    let head = format!(
        "{method} {path} HTTP/1.1\r\nhost: node\r\nconnection: close\r\ncontent-type: application/json\r\n{header}content-length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    // A refusal may come before the whole body was taken.
    drop(stream.write_all(body.as_bytes()).await);
    let mut answer = Vec::new();
    drop(stream.read_to_end(&mut answer).await);
    String::from_utf8(answer).unwrap()
}

pub(crate) struct Device {
    pub(crate) node: SocketAddr,
    pub(crate) realm: RealmId,
    pub(crate) user: UserId,
    pub(crate) device: DeviceId,
    pub(crate) key: Ed25519KeyPair,
}

impl Device {
    pub(crate) fn new(node: &Node, user: u8, device: u8) -> Self {
        Self {
            node: node.running.address(),
            realm: node.running.realm(),
            user: UserId::from_bytes([user; 16]),
            device: DeviceId::from_bytes([device; 16]),
            key: Ed25519KeyPair::from_seed_unchecked(&[device; 32]).unwrap(),
        }
    }

    /// A registered device with a new user.
    pub(crate) async fn registered(node: &Node, user: u8, name: &str) -> Self {
        let device = Self::new(node, user, user);
        let answer = device.post("/v1/register", &device.register(name)).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        let enrolled: Enrolled = serde_json::from_value(answer.body).unwrap();
        assert_eq!(enrolled.user, device.user);
        device
    }

    pub(crate) fn sign(&self, bytes: &[u8]) -> [u8; 64] {
        self.key.sign(bytes).as_ref().try_into().unwrap()
    }

    pub(crate) fn new_device(&self) -> NewDevice {
        let key: [u8; 32] = self.key.public_key().as_ref().try_into().unwrap();
        let proof = Key(self.sign(&signing::enrol(self.realm, self.device, &key)));
        NewDevice { device: self.device, key: Key(key), proof, name: "phone".into() }
    }

    pub(crate) fn register(&self, name: &str) -> Register {
        let (realm, user, identity_key) = (self.realm, self.user, Key([1; 32]));
        Register {
            realm,
            user,
            name: name.into(),
            password: "correct horse".into(),
            identity_key,
            device: self.new_device(),
        }
    }

    pub(crate) async fn post(&self, path: &str, body: &impl serde::Serialize) -> Response {
        request(self.node, "POST", path, None, &serde_json::to_string(body).unwrap()).await
    }

    pub(crate) async fn get(&self, path: &str, token: &str) -> Response {
        request(self.node, "GET", path, Some(token), "").await
    }

    pub(crate) async fn token(&self) -> String {
        let nonce =
            request(self.node, "GET", "/v1/challenge", None, "").await.body["nonce"].as_str().unwrap().to_owned();
        let signature = Key(self.sign(&signing::token(self.realm, nonce.as_bytes(), self.device)));
        let answer =
            self.post("/v1/tokens", &chasqui_wire::http::TokenRequest { device: self.device, nonce, signature }).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        answer.body["token"].as_str().unwrap().to_owned()
    }

    /// A socket up to the challenge.
    pub(crate) async fn socket(&self) -> (Socket, [u8; 32]) {
        let (stream, _) = connect_async(format!("ws://{}/v1/connect", self.node)).await.unwrap();
        let mut socket = Socket(stream);
        let NodeFrame::Challenge(challenge) = socket.frame().await else { panic!("challenge first") };
        assert_eq!(challenge.realm, self.realm);
        (socket, challenge.nonce)
    }

    pub(crate) fn hello(&self, nonce: &[u8; 32]) -> Hello {
        let signature = self.sign(&signing::hello(self.realm, nonce, self.device, 1));
        let (version, realm, device) = (1, self.realm, self.device);
        let agent = "test".into();
        Hello {
            version,
            realm,
            device,
            signature,
            window_entries: 0,
            window_bytes: 0,
            checkpoint: None,
            agent,
            progress: Progress::default(),
        }
    }

    /// A socket after welcome.
    pub(crate) async fn welcomed(&self) -> (Socket, chasqui_wire::Welcome) {
        let (mut socket, nonce) = self.socket().await;
        socket.send(ClientFrame::Hello(self.hello(&nonce))).await;
        let NodeFrame::Welcome(welcome) = socket.frame().await else { panic!("welcome") };
        (socket, welcome)
    }
}

pub(crate) struct Socket(pub(crate) WebSocketStream<MaybeTlsStream<TcpStream>>);

impl Socket {
    pub(crate) async fn send(&mut self, frame: ClientFrame) {
        self.0.send(Message::Binary(frame.encode())).await.unwrap();
    }

    pub(crate) async fn frame(&mut self) -> NodeFrame {
        self.maybe_frame().await.expect("a frame")
    }

    /// `None` once the socket is closed.
    pub(crate) async fn maybe_frame(&mut self) -> Option<NodeFrame> {
        loop {
            match self.0.next().await? {
                Ok(Message::Binary(bytes)) => return Some(NodeFrame::decode(bytes, &Limits::DEFAULT).unwrap()),
                Ok(Message::Close(_)) | Err(_) => return None,
                Ok(_) => {}
            }
        }
    }
}
