//! The door: TLS, who is let in, and who is shown out.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod client;

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use chasqui_node::config::Config;
use chasqui_node::serve::{self, ServeError, TlsError};
use chasqui_wire::{
    Ack, AckItem, AckOutcome, ClientFrame, ConversationKind, Entry, EntryKind, MessageId, NodeFrame, Protection, Send,
    StorageClass, direct_conversation,
};
use client::{Device, Node, config, request};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

async fn start(change: impl FnOnce(&mut Config)) -> Node {
    let folder = tempfile::tempdir().unwrap();
    let mut config = config(&folder);
    change(&mut config);
    let running = serve::start(config).await.unwrap();
    Node { running, folder }
}

/// A certificate for localhost and its key in the folder.
fn certify(folder: &std::path::Path) -> Vec<CertificateDer<'static>> {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    std::fs::write(folder.join("key.pem"), made.signing_key.serialize_pem()).unwrap();
    std::fs::write(folder.join("cert.pem"), made.cert.pem()).unwrap();
    CertificateDer::pem_slice_iter(made.cert.pem().as_bytes()).collect::<Result<_, _>>().unwrap()
}

fn with_tls(config: &mut Config, folder: &std::path::Path) {
    config.tls.certificate = Some(folder.join("cert.pem"));
    config.tls.key = Some(folder.join("key.pem"));
}

async fn tls(to: SocketAddr, trusted: &[CertificateDer<'static>]) -> std::io::Result<TlsStream<TcpStream>> {
    let mut roots = rustls::RootCertStore::empty();
    for certificate in trusted {
        roots.add(certificate.clone()).unwrap();
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let config = config.with_root_certificates(roots).with_no_client_auth();
    let stream = TcpStream::connect(to).await?;
    TlsConnector::from(Arc::new(config)).connect(ServerName::try_from("localhost").unwrap(), stream).await
}

const HEALTH: &[u8] = b"GET /healthz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
const UPGRADE: &str = "GET /v1/connect HTTP/1.1\r\nhost: localhost\r\nconnection: Upgrade\r\nupgrade: websocket\r\n\
    sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n";

async fn answer(stream: &mut (impl tokio::io::AsyncRead + Unpin)) -> String {
    let mut answer = Vec::new();
    // An end without TLS's own goodbye is an end.
    drop(stream.read_to_end(&mut answer).await);
    String::from_utf8_lossy(&answer).into_owned()
}

/// The head of the answer to an upgrade; the stream stays.
async fn upgraded(to: SocketAddr, more: &str) -> (String, TcpStream) {
    let mut stream = TcpStream::connect(to).await.unwrap();
    stream.write_all(format!("{UPGRADE}{more}\r\n").as_bytes()).await.unwrap();
    let mut head = vec![0; 1024];
    let length = stream.read(&mut head).await.unwrap();
    head.truncate(length);
    (String::from_utf8_lossy(&head).into_owned(), stream)
}

#[tokio::test]
async fn tls_carries_http_and_sockets_and_takes_a_new_certificate() {
    let certificates = tempfile::tempdir().unwrap();
    let first = certify(certificates.path());
    let node = start(|config| with_tls(config, certificates.path())).await;
    let address = node.running.address();

    let mut stream = tls(address, &first).await.unwrap();
    stream.write_all(HEALTH).await.unwrap();
    assert!(answer(&mut stream).await.starts_with("HTTP/1.1 200"));

    let stream = tls(address, &first).await.unwrap();
    let (mut socket, _) = tokio_tungstenite::client_async("wss://localhost/v1/connect", stream).await.unwrap();
    let challenge = futures_util::StreamExt::next(&mut socket).await.unwrap().unwrap();
    let challenge = NodeFrame::decode(challenge.into_data(), &chasqui_wire::Limits::DEFAULT).unwrap();
    assert!(matches!(challenge, NodeFrame::Challenge(_)));

    // Plain HTTP at a TLS port gets no answer, and harms nobody.
    let mut plain = TcpStream::connect(address).await.unwrap();
    plain.write_all(HEALTH).await.unwrap();
    assert!(!answer(&mut plain).await.starts_with("HTTP"));

    let second = certify(certificates.path());
    while tls(address, &second).await.is_err() {
        tokio::task::yield_now().await;
    }
    assert!(tls(address, &first).await.is_err(), "the old certificate is not used any more");
}

#[tokio::test]
async fn a_key_of_another_certificate_is_refused_at_the_start() {
    let folder = tempfile::tempdir().unwrap();
    certify(folder.path());
    let key = std::fs::read(folder.path().join("key.pem")).unwrap();
    certify(folder.path());
    std::fs::write(folder.path().join("key.pem"), key).unwrap();
    let mut config = config(&folder);
    with_tls(&mut config, folder.path());
    let refused = serve::start(config).await;
    assert!(matches!(refused.err(), Some(ServeError::Tls(TlsError::Mismatch { .. }))));
}

#[tokio::test]
async fn one_address_gets_its_share_and_no_more() {
    let node = start(|config| config.connections_per_address = 2).await;
    let address = node.running.address();
    let (first, stream) = upgraded(address, "").await;
    let (second, _second) = upgraded(address, "").await;
    assert!(first.starts_with("HTTP/1.1 101") && second.starts_with("HTTP/1.1 101"), "{first}{second}");
    let mut third = TcpStream::connect(address).await.unwrap();
    let refusal = answer(&mut third).await;
    assert!(refusal.starts_with("HTTP/1.1 429") && refusal.contains("rate_limited"), "{refusal}");
    drop(stream);
    // The seat is given back with the socket, whenever the node notices.
    while request(address, "GET", "/healthz", None, "").await.status != 200 {}
}

#[tokio::test]
async fn behind_a_proxy_each_client_counts_for_itself() {
    let node = start(|config| {
        config.connections_per_address = 1;
        config.trusted_proxies = vec!["127.0.0.1/32".parse().unwrap()];
    })
    .await;
    let address = node.running.address();
    let connect =
        |client: &'static str| async move { upgraded(address, &format!("x-forwarded-for: {client}\r\n")).await };
    let (ana, _ana) = connect("192.0.2.1").await;
    let (bo, _bo) = connect("192.0.2.2").await;
    assert!(ana.starts_with("HTTP/1.1 101") && bo.starts_with("HTTP/1.1 101"), "{ana}{bo}");
    let (again, _again) = connect("192.0.2.1").await;
    assert!(again.starts_with("HTTP/1.1 429"), "{again}");
}

#[tokio::test]
async fn who_is_not_trusted_cannot_speak_for_others() {
    let node = start(|config| config.connections_per_address = 1).await;
    let address = node.running.address();
    let (first, _first) = upgraded(address, "x-forwarded-for: 192.0.2.1\r\n").await;
    assert!(first.starts_with("HTTP/1.1 101"), "{first}");
    let mut second = TcpStream::connect(address).await.unwrap();
    assert!(answer(&mut second).await.starts_with("HTTP/1.1 429"));
}

/// Time is the test's: it goes on whenever everybody waits.
#[tokio::test(start_paused = true)]
async fn who_trickles_is_shown_out() {
    let certificates = tempfile::tempdir().unwrap();
    certify(certificates.path());
    let plain = start(|_| {}).await;
    let secure = start(|config| with_tls(config, certificates.path())).await;
    // Half a head; half a handshake; nothing at all.
    for (node, said) in [(&plain, &b"GET /healthz HT"[..]), (&secure, &[22, 3, 1][..]), (&plain, b""), (&secure, b"")] {
        let mut stream = TcpStream::connect(node.running.address()).await.unwrap();
        stream.write_all(said).await.unwrap();
        let answered = answer(&mut stream).await;
        assert!(answered.is_empty() || answered.contains(" 408 "), "{answered}");
    }
    // A body that never comes.
    let mut stream = TcpStream::connect(plain.running.address()).await.unwrap();
    let head = "POST /v1/login HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-type: application/json\r\n\
        content-length: 100\r\n\r\n{";
    stream.write_all(head.as_bytes()).await.unwrap();
    let refusal = answer(&mut stream).await;
    assert!(refusal.contains("took too long"), "{refusal}");
}

fn send(from: &Device, to: &Device, number: u16) -> ClientFrame {
    let mut message = [9; 16];
    message[..2].copy_from_slice(&number.to_be_bytes());
    ClientFrame::Send(Box::new(Send {
        message: MessageId::from_bytes(message),
        conversation: direct_conversation(from.user, to.user, Protection::NodeReadable),
        kind: ConversationKind::Direct,
        protection: Protection::NodeReadable,
        peer: Some(to.user),
        body: Bytes::from(vec![7; 64 * 1024]),
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
    }))
}

/// A device that takes nothing has its window's worth in the node's memory; all such devices together have an
/// allowance. Who loses the socket loses no mail.
#[tokio::test]
async fn who_takes_mail_too_slowly_loses_the_socket_and_no_mail() {
    const MESSAGES: u16 = 300;
    let node = start(|config| {
        config.buffered_bytes = 1024 * 1024;
        // More than the operating system buffers for a loopback connection.
        config.limits.window_bytes = 64 * 1024 * 1024;
        config.limits.window_entries = 10_000;
    })
    .await;
    let (ana, bo) = (Device::registered(&node, 1, "ana").await, Device::registered(&node, 2, "bo").await);
    let (mut slow, _) = bo.welcomed().await;
    assert!(matches!(slow.frame().await, NodeFrame::Drained(_)));
    let (mut anas, _) = ana.welcomed().await;
    for number in 0..MESSAGES {
        anas.send(send(&ana, &bo, number)).await;
        while !matches!(anas.frame().await, NodeFrame::Accepted(_)) {}
    }
    // The rest of what was under way, then the end: not all of it came.
    let mut came = 0;
    while let Some(frame) = slow.maybe_frame().await {
        if let NodeFrame::Deliver(deliver) = frame {
            came += deliver.entries.len();
        }
    }
    assert!(came < usize::from(MESSAGES), "{came} came through a socket that nobody read");
    // On a new socket all of it comes, because nothing was acknowledged.
    let (mut bos, _) = bo.welcomed().await;
    let mut received = 0;
    while received < usize::from(MESSAGES) {
        let NodeFrame::Deliver(deliver) = bos.frame().await else { continue };
        let is_message = |entry: &&Entry| matches!(entry.kind, EntryKind::Envelope(_));
        received += deliver.entries.iter().filter(is_message).count();
        let item = |entry: &Entry| AckItem { number: entry.number, outcome: AckOutcome::Stored };
        bos.send(ClientFrame::Ack(Ack {
            items: deliver.entries.iter().map(item).collect(),
            held: chasqui_wire::SeqRanges::default(),
        }))
        .await;
    }
}
