//! Devices on real sockets.

mod client;

use bytes::Bytes;
use chasqui_wire::http::WaitingMail;
use chasqui_wire::{
    AckItem, AckOutcome, ClientFrame, ConversationKind, Entry, EntryKind, GoodbyeReason, Limits, MessageId, NodeFrame,
    Ping, Protection, ReceiptKind, Send, StorageClass, direct_conversation,
};
use client::{Device, Socket, node, request};
use futures_util::SinkExt as _;
use tokio_tungstenite::tungstenite::Message;

fn send(from: &Device, to: &Device, text: &'static str) -> ClientFrame {
    send_nth(9, from, to, Bytes::from_static(text.as_bytes()))
}

fn send_nth(number: u8, from: &Device, to: &Device, body: Bytes) -> ClientFrame {
    ClientFrame::Send(Box::new(Send {
        message: MessageId::from_bytes([number; 16]),
        conversation: direct_conversation(from.user, to.user, Protection::NodeReadable),
        kind: ConversationKind::Direct,
        protection: Protection::NodeReadable,
        peer: Some(to.user),
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
    }))
}

/// What is shown of a device's mailbox, and whether there is more.
async fn peek(device: &Device, token: &str) -> (Vec<Entry>, bool) {
    let answer = device.get("/v1/mailbox?peek", token).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    let waiting: WaitingMail = serde_json::from_value(answer.body).expect("waiting mail");
    let frame = NodeFrame::decode(waiting.deliver.0, &Limits::DEFAULT).expect("one frame");
    let NodeFrame::Deliver(deliver) = frame else { panic!("mail") };
    (deliver.entries, waiting.has_more)
}

async fn drained(socket: &mut Socket) {
    assert!(matches!(socket.frame().await, NodeFrame::Drained(_)));
}

async fn goodbye(socket: &mut Socket) -> GoodbyeReason {
    let NodeFrame::Goodbye(goodbye) = socket.frame().await else { panic!("goodbye") };
    assert_eq!(socket.maybe_frame().await, None, "nothing follows");
    goodbye.reason
}

#[tokio::test]
async fn a_message_is_delivered_receipted_and_forgotten() {
    let node = node().await;
    let (ana, bo) = (Device::registered(&node, 1, "ana").await, Device::registered(&node, 2, "bo").await);
    let (mut anas, welcome) = ana.welcomed().await;
    assert_eq!(welcome.user, ana.user);
    assert_eq!(ana.get("/v1/devices", &welcome.http_token.0).await.status, 200);
    drained(&mut anas).await;
    anas.send(send(&ana, &bo, "canary-in-the-body")).await;
    let NodeFrame::Accepted(accepted) = anas.frame().await else { panic!("accepted") };
    assert_eq!(accepted.seq.map(|seq| seq.number()), Some(1));

    let (mut bos, _) = bo.welcomed().await;
    let NodeFrame::Deliver(deliver) = bos.frame().await else { panic!("mail") };
    let EntryKind::Envelope(envelope) = &deliver.entries[0].kind else { panic!("a message") };
    assert_eq!(envelope.body, "canary-in-the-body");
    drained(&mut bos).await;
    let items = vec![AckItem { number: deliver.entries[0].number, outcome: AckOutcome::Stored }];
    bos.send(ClientFrame::Ack(items.into())).await;

    let NodeFrame::Deliver(deliver) = anas.frame().await else { panic!("a receipt") };
    let EntryKind::Receipt(receipt) = &deliver.entries[0].kind else { panic!("a receipt") };
    assert_eq!((receipt.user, receipt.kind), (bo.user, ReceiptKind::Received));
    for segment in std::fs::read_dir(node.folder.path().join("bodies")).unwrap() {
        let bytes = std::fs::read(segment.unwrap().path()).unwrap();
        assert!(bytes.iter().all(|&byte| byte == 0), "forgotten");
    }
    node.running.stop().await;
}

#[tokio::test]
async fn who_peeks_takes_nothing_and_disturbs_nobody() {
    let node = node().await;
    let (ana, bo) = (Device::registered(&node, 1, "ana").await, Device::registered(&node, 2, "bo").await);
    let (anas_token, bos_token) = (ana.token().await, bo.token().await);
    let (mut anas, _) = ana.welcomed().await;
    drained(&mut anas).await;
    anas.send(send(&ana, &bo, "good news")).await;
    assert!(matches!(anas.frame().await, NodeFrame::Accepted(_)));

    assert_eq!(peek(&ana, &anas_token).await, (vec![], false), "the mail is Bo's");
    let shown = peek(&bo, &bos_token).await;
    assert_eq!(shown, peek(&bo, &bos_token).await, "it is still there");
    let (entries, false) = &shown else { panic!("there is no more") };
    let EntryKind::Envelope(envelope) = &entries[0].kind else { panic!("a message") };
    assert_eq!((entries.len(), &envelope.body[..]), (1, &b"good news"[..]));
    let devices = bo.get("/v1/devices", &bos_token).await;
    assert!(devices.body["devices"][0]["last_seen_at"].is_null(), "nobody was there: {}", devices.body);

    // What is on a socket already is delivered there, whoever looks.
    let (mut bos, _) = bo.welcomed().await;
    let NodeFrame::Deliver(deliver) = bos.frame().await else { panic!("mail") };
    assert_eq!(&deliver.entries, entries);
    drained(&mut bos).await;
    assert_eq!(peek(&bo, &bos_token).await, shown);
    let items = vec![AckItem { number: entries[0].number, outcome: AckOutcome::Stored }];
    bos.send(ClientFrame::Ack(items.into())).await;
    assert!(matches!(anas.frame().await, NodeFrame::Deliver(_)), "received");
    assert_eq!(peek(&bo, &bos_token).await, (vec![], false));
    node.running.stop().await;
}

#[tokio::test]
async fn who_peeks_sees_the_newest_that_fits() {
    let node = node().await;
    let (ana, bo) = (Device::registered(&node, 1, "ana").await, Device::registered(&node, 2, "bo").await);
    let token = bo.token().await;
    let (mut anas, _) = ana.welcomed().await;
    drained(&mut anas).await;
    for number in 1..=140 {
        anas.send(send_nth(number, &ana, &bo, Bytes::new())).await;
        assert!(matches!(anas.frame().await, NodeFrame::Accepted(_)));
    }
    let numbers = |entries: &[Entry]| -> Vec<u64> {
        let seq = |entry: &Entry| match &entry.kind {
            EntryKind::Envelope(envelope) => envelope.seq.number(),
            other => panic!("{other:?}"),
        };
        entries.iter().map(seq).collect()
    };
    let (entries, has_more) = peek(&bo, &token).await;
    assert_eq!((numbers(&entries), has_more), ((13..=140).collect(), true));
    for number in 141..=150 {
        anas.send(send_nth(number, &ana, &bo, vec![7; 60_000].into())).await;
        assert!(matches!(anas.frame().await, NodeFrame::Accepted(_)));
    }
    let (entries, has_more) = peek(&bo, &token).await;
    assert_eq!((numbers(&entries), has_more), ((147..=150).collect(), true));

    let mut looks = 0;
    while bo.get("/v1/mailbox?peek", &token).await.status != 429 {
        looks += 1;
        assert!(looks < 1_000, "somebody who looks too often waits");
    }
    assert_eq!(ana.get("/v1/mailbox?peek", &ana.token().await).await.status, 200, "nobody else waits");
    node.running.stop().await;
}

#[tokio::test]
async fn a_newer_socket_displaces_the_older() {
    let node = node().await;
    let ana = Device::registered(&node, 1, "ana").await;
    let (mut older, _) = ana.welcomed().await;
    drained(&mut older).await;
    let (mut newer, _) = ana.welcomed().await;
    assert_eq!(goodbye(&mut older).await, GoodbyeReason::Displaced);
    drained(&mut newer).await;
    newer.send(ClientFrame::Ping(Ping { nonce: 5 })).await;
    assert!(matches!(newer.frame().await, NodeFrame::Pong(pong) if pong.nonce == 5));
    node.running.stop().await;
}

#[tokio::test]
async fn sockets_that_are_ended() {
    let node = node().await;
    let ana = Device::registered(&node, 1, "ana").await;
    let stranger = Device::new(&node, 7, 7);

    let (mut socket, nonce) = stranger.socket().await;
    socket.send(ClientFrame::Hello(stranger.hello(&nonce))).await;
    assert_eq!(goodbye(&mut socket).await, GoodbyeReason::Unauthorised);

    let (mut socket, _) = ana.socket().await;
    socket.send(ClientFrame::Hello(ana.hello(&[0; 32]))).await;
    assert_eq!(goodbye(&mut socket).await, GoodbyeReason::Unauthorised);

    let (mut socket, _) = ana.socket().await;
    socket.0.send(Message::Text("hello".into())).await.unwrap();
    assert_eq!(goodbye(&mut socket).await, GoodbyeReason::ProtocolError);

    for bytes in [256 * 1024 + 1, 1024 * 1024] {
        let (mut socket, _) = ana.welcomed().await;
        drained(&mut socket).await;
        // The node may close before it took all of it.
        drop(socket.0.send(Message::Binary(vec![0; bytes].into())).await);
        assert_eq!(goodbye(&mut socket).await, GoodbyeReason::FrameTooLarge, "{bytes} bytes");
    }

    let (mut socket, welcome) = ana.welcomed().await;
    drained(&mut socket).await;
    let path = format!("/v1/devices/{}", ana.device);
    assert_eq!(request(ana.node, "DELETE", &path, Some(&welcome.http_token.0), "").await.status, 204);
    assert_eq!(goodbye(&mut socket).await, GoodbyeReason::Revoked);
    let (mut socket, nonce) = ana.socket().await;
    socket.send(ClientFrame::Hello(ana.hello(&nonce))).await;
    assert_eq!(goodbye(&mut socket).await, GoodbyeReason::Revoked);
    node.running.stop().await;
}
