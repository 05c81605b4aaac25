//! A hostile device at a real node, beside Ana and Bo.

use bytes::Bytes;
use chasqui::{Message as Shown, MessageContent, MessageState};
use chasqui_node::config::Config as NodeConfig;
use chasqui_node::relay::RelayError;
use chasqui_node::serve::{self, ServeError};
use chasqui_wire::{
    Ack, AckItem, AckOutcome, ClientFrame, Content, ContentKind, DeviceId, EntryKind, ErrorCode, GoodbyeReason, Limits,
    Ping, Protection, Read, ReceiptKind, Seq, SeqRanges, Signal, SignalBody, SignalKind, StorageClass, Timestamp,
    UserId, direct_conversation, signing,
};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;

use crate::intruder::Intruder;
use crate::stage::{Device, PASSWORD, Pair, Relay, within};

/// Ana and Bo, who must not notice anything.
struct Neighbours {
    pair: Pair,
    said: Vec<String>,
}

impl Neighbours {
    async fn meet() -> Self {
        let pair = Pair::meet().await;
        pair.bo.open_readable(pair.ana.user().await).await.unwrap();
        let mut neighbours = Self { pair, said: Vec::new() };
        neighbours.are_unharmed("the beginning").await;
        neighbours
    }

    fn relay(&self) -> &Relay {
        &self.pair.relay
    }

    /// A text goes each way and is received; nothing of before is missing.
    async fn are_unharmed(&mut self, after: &str) {
        let Pair { ana, bo, chat, .. } = &self.pair;
        for (from, to) in [(ana, bo), (bo, ana)] {
            let text = format!("{} after {after}", self.said.len());
            let id = from.send_text(*chat, text.as_str()).await.unwrap();
            to.gets(*chat, &text).await;
            let is_received = |messages: &[&Shown]| {
                messages.iter().any(|message| message.id == id && message.state == MessageState::Received)
            };
            from.until(*chat, &format!("{text:?} to be received"), is_received).await;
            self.said.push(text);
        }
        assert_eq!(ana.texts(*chat).await, self.said, "after {after}");
        assert_eq!(bo.texts(*chat).await, self.said, "after {after}");
    }

    async fn users(&self) -> (UserId, UserId) {
        (self.pair.ana.user().await, self.pair.bo.user().await)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn strangers_at_the_door() {
    let mut neighbours = Neighbours::meet().await;
    let mallory = Intruder::enrolled(neighbours.relay()).await;
    let stranger = DeviceId::from_bytes([9; 16]);
    let (_other_socket, other_nonce) = mallory.socket().await;

    let garbage: [(&str, Vec<u8>, GoodbyeReason); 6] = [
        ("bytes that are no protobuf", vec![0xFF; 100], GoodbyeReason::ProtocolError),
        ("a truncated hello", mallory.hello(&[0; 32]).device.as_bytes().to_vec(), GoodbyeReason::ProtocolError),
        ("a hello without fields", vec![0x0A, 0], GoodbyeReason::ProtocolError),
        ("a ping before hello", ClientFrame::Ping(Ping { nonce: 1 }).encode().to_vec(), GoodbyeReason::ProtocolError),
        ("256 KiB and a byte", vec![0; 256 * 1024 + 1], GoodbyeReason::FrameTooLarge),
        ("2 MiB", vec![0; 2 * 1024 * 1024], GoodbyeReason::FrameTooLarge),
    ];
    for (what, bytes, reason) in garbage {
        let (mut socket, _) = mallory.socket().await;
        socket.say_bytes(bytes).await;
        assert_eq!(socket.goodbye().await, reason, "{what}");
        neighbours.are_unharmed(what).await;
    }

    type Change = fn(&Intruder, &mut chasqui_wire::Hello, [u8; 32]);
    let hellos: [(&str, Change, GoodbyeReason); 7] = [
        ("a forged signature", |_, hello, _| hello.signature[5] ^= 1, GoodbyeReason::Unauthorised),
        (
            "a hello for another socket",
            |mallory, hello, other| *hello = mallory.hello(&other),
            GoodbyeReason::Unauthorised,
        ),
        (
            "the name of another device",
            |_, hello, _| hello.device = DeviceId::from_bytes([9; 16]),
            GoodbyeReason::Unauthorised,
        ),
        ("version 0", |_, hello, _| hello.version = 0, GoodbyeReason::IncompatibleVersion),
        ("version 99", |_, hello, _| hello.version = 99, GoodbyeReason::IncompatibleVersion),
        (
            "another realm",
            |_, hello, _| hello.realm = "0190f5f0-0000-7000-8000-0000000000aa".parse().unwrap(),
            GoodbyeReason::WrongRealm,
        ),
        (
            "a signature for another purpose",
            |mallory, hello, nonce| hello.signature = mallory.sign(&signing::token(hello.realm, &nonce, hello.device)),
            GoodbyeReason::Unauthorised,
        ),
    ];
    for (what, change, reason) in hellos {
        let (mut socket, nonce) = mallory.socket().await;
        let mut hello = mallory.hello(&nonce);
        change(&mallory, &mut hello, other_nonce);
        socket.say(&ClientFrame::Hello(hello)).await;
        assert_eq!(socket.goodbye().await, reason, "{what}");
        neighbours.are_unharmed(what).await;
    }
    // To take Ana's place one needs her key.
    let anas = neighbours.pair.ana.account().await.unwrap().unwrap().device;
    assert_ne!(anas, stranger);
    let (mut socket, nonce) = mallory.socket().await;
    let mut hello = mallory.hello(&nonce);
    hello.device = anas;
    hello.signature = mallory.sign(&signing::hello(hello.realm, &nonce, anas, 1));
    socket.say(&ClientFrame::Hello(hello)).await;
    assert_eq!(socket.goodbye().await, GoodbyeReason::Unauthorised);
    neighbours.are_unharmed("an attempt at Ana's place").await;

    let (mut socket, _) = mallory.socket().await;
    socket.say_message(Message::Text("hello".into())).await;
    assert_eq!(socket.goodbye().await, GoodbyeReason::ProtocolError);
    neighbours.are_unharmed("a text frame").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn frames_that_end_a_socket() {
    let mut neighbours = Neighbours::meet().await;
    let mallory = Intruder::enrolled(neighbours.relay()).await;
    let many = Ack::from(vec![AckItem { number: 1, outcome: AckOutcome::Stored }; 1025]);
    let frames: [(&str, Bytes, GoodbyeReason); 5] = [
        ("bytes that are no protobuf", vec![0xFF; 100].into(), GoodbyeReason::ProtocolError),
        ("a send without fields", vec![0x12, 0].into(), GoodbyeReason::ProtocolError),
        ("an ack of 1,025", ClientFrame::Ack(many).encode(), GoodbyeReason::ProtocolError),
        ("a second hello", ClientFrame::Hello(mallory.hello(&[0; 32])).encode(), GoodbyeReason::ProtocolError),
        ("256 KiB and a byte", vec![0x12; 256 * 1024 + 1].into(), GoodbyeReason::FrameTooLarge),
    ];
    for (what, bytes, reason) in frames {
        let mut socket = mallory.welcomed().await;
        socket.say_bytes(bytes).await;
        assert_eq!(socket.goodbye().await, reason, "{what}");
        neighbours.are_unharmed(what).await;
    }
    let mut socket = mallory.welcomed().await;
    let mut newer = mallory.welcomed().await;
    assert_eq!(socket.goodbye().await, GoodbyeReason::Displaced);
    newer.is_open().await;
    neighbours.are_unharmed("a second socket").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_refused_leaves_the_socket_open() {
    let mut neighbours = Neighbours::meet().await;
    let (ana, bo) = neighbours.users().await;
    let chat = neighbours.pair.chat;
    let mallory = Intruder::enrolled(neighbours.relay()).await;
    let anas_message = neighbours.pair.ana.messages(chat).await[0].id;
    let bos_device = neighbours.pair.bo.devices().await.unwrap()[0].device;
    let mut socket = mallory.welcomed().await;

    socket.say_bytes(vec![0xFA, 0x7F, 0]).await;
    socket.is_unsupported().await;
    socket.is_open().await;
    // Signals are not answered, whatever comes of them; of this one nothing does.
    let body = SignalBody { at: Timestamp(0), kind: SignalKind::Typing }.encode().into();
    let signal = Signal { conversation: chat, sender: Some((ana, mallory.device)), body, epoch: 0 };
    for _ in 0..100 {
        socket.say(&ClientFrame::Signal(signal.clone())).await;
    }
    socket.is_open().await;

    type Change<'a> = Box<dyn Fn(&mut chasqui_wire::Send) + 'a>;
    let sends: Vec<(&str, Change<'_>, ErrorCode)> = vec![
        ("the message id of another device", Box::new(|send| send.message = anas_message), ErrorCode::MessageIdTaken),
        (
            "a body above the limit",
            Box::new(|send| send.body = vec![b'x'; Limits::DEFAULT.body_bytes as usize + 1].into()),
            ErrorCode::TooLarge,
        ),
        (
            "an unknown recipient",
            Box::new(|send| {
                let nobody = UserId::from_bytes([9; 16]);
                (send.peer, send.conversation) = (Some(nobody), mallory.conversation_with(nobody));
            }),
            ErrorCode::UnknownUser,
        ),
        ("the conversation of others", Box::new(|send| send.conversation = chat), ErrorCode::Invalid),
        ("no recipient", Box::new(|send| send.peer = None), ErrorCode::Invalid),
        ("a year to live", Box::new(|send| send.ttl_seconds = 365 * 24 * 3600), ErrorCode::Invalid),
        ("another protection", Box::new(|send| send.protection = Protection::EndToEnd), ErrorCode::Invalid),
        (
            "encryption without a link",
            Box::new(|send| {
                send.protection = Protection::EndToEnd;
                send.conversation = direct_conversation(mallory.user, bo, Protection::EndToEnd);
            }),
            ErrorCode::NotLinked,
        ),
        ("a call", Box::new(|send| send.storage = StorageClass::Transient), ErrorCode::NotSupported),
        ("an epoch", Box::new(|send| send.epoch = 1), ErrorCode::NotSupported),
        ("a resend to everybody", Box::new(|send| send.resend_of = Some(anas_message)), ErrorCode::Invalid),
        (
            "a device of nobody",
            Box::new(|send| send.only_device = Some(DeviceId::from_bytes([9; 16]))),
            ErrorCode::NotFound,
        ),
        (
            "a resend of what somebody else said",
            Box::new(|send| (send.resend_of, send.only_device) = (Some(anas_message), Some(bos_device))),
            ErrorCode::NotFound,
        ),
    ];
    for (number, (what, change, code)) in (1..).zip(sends) {
        let mut send = mallory.send(bo, number);
        change(&mut send);
        socket.say(&ClientFrame::Send(Box::new(send))).await;
        assert_eq!(socket.answer().await, Err(code), "{what}");
        socket.is_open().await;
        neighbours.are_unharmed(what).await;
    }

    // What follows a refusal in its stream is refused as well; a repeat is not.
    let mut next = mallory.send(bo, 100);
    next.restart = false;
    socket.say(&ClientFrame::Send(Box::new(next.clone()))).await;
    assert_eq!(socket.answer().await, Err(ErrorCode::StreamStalled));
    next.restart = true;
    // A position that nobody lost is not given.
    next.reclaim_seq = Seq::new(0, 1_000_000);
    socket.say(&ClientFrame::Send(Box::new(next.clone()))).await;
    let accepted = socket.answer().await.expect("in order");
    assert_eq!(accepted.seq, Seq::new(0, 1));
    socket.say(&ClientFrame::Send(Box::new(next))).await;
    assert_eq!(socket.answer().await, Ok(accepted), "a repeat has the first answer");

    let mut read = Read {
        id: anas_message,
        conversation: chat,
        up_to: Seq::new(0, 1).unwrap(),
        ranges: SeqRanges::of(Seq::new(0, 1)),
        authors: vec![ana, bo],
        at: Timestamp(0),
        signature: [1; 64],
    };
    socket.say(&ClientFrame::Read(read.clone())).await;
    assert_eq!(socket.answer().await, Err(ErrorCode::Invalid), "a forged read mark");
    read.signature = mallory.sign(&signing::read(mallory.realm, mallory.user, mallory.device, &read));
    socket.say(&ClientFrame::Read(read)).await;
    let refused = socket.answer().await;
    assert!(matches!(refused, Err(ErrorCode::Forbidden | ErrorCode::NotFound)), "a mark of a stranger: {refused:?}");
    neighbours.are_unharmed("read marks").await;
    let states = neighbours.pair.ana.messages(chat).await;
    let is_read = |message: &Shown| message.state == MessageState::Read;
    assert!(!states.iter().any(is_read), "nobody read anything");
}

#[tokio::test(flavor = "multi_thread")]
async fn acknowledging_the_mail_of_others() {
    let mut neighbours = Neighbours::meet().await;
    let (_, bo) = neighbours.users().await;
    let mallory = Intruder::enrolled(neighbours.relay()).await;
    let Pair { relay, ana, bo: bos, chat } = &mut neighbours.pair;
    // Bo is away, his mail waits.
    bos.close().await.unwrap();
    for number in 0..10 {
        let text = format!("waits {number}");
        ana.send_text(*chat, text.as_str()).await.unwrap();
        neighbours.said.push(text);
    }
    let are_sent = |messages: &[&Shown]| messages.iter().all(|message| message.seq.is_some());
    ana.until(*chat, "all to be accepted", are_sent).await;
    let mut socket = mallory.welcomed().await;
    for outcome in [AckOutcome::Stored, AckOutcome::Unreadable, AckOutcome::Noted] {
        let items: Vec<_> = (0..1024).map(|number| AckItem { number, outcome }).collect();
        socket.say(&ClientFrame::Ack(items.into())).await;
        let items = vec![AckItem { number: u64::MAX, outcome }, AckItem { number: 1 << 63, outcome }];
        socket.say(&ClientFrame::Ack(items.into())).await;
    }
    socket.is_open().await;
    bos.reopen(relay).await;
    bos.gets(*chat, "waits 9").await;
    neighbours.are_unharmed("acknowledgements of what was never delivered").await;

    // Of mail to Bo only Bo says what became of it.
    socket.say(&ClientFrame::Send(Box::new(mallory.send(bo, 1)))).await;
    socket.answer().await.expect("in order");
    let receipt = socket.mail().await.remove(0);
    let item = |outcome| AckItem { number: receipt.number, outcome };
    // A receipt is no gap and no message; and twice is once.
    let items = vec![item(AckOutcome::Noted), item(AckOutcome::Unreadable), item(AckOutcome::Stored)];
    socket.say(&ClientFrame::Ack(items.into())).await;
    socket.is_open().await;
    neighbours.are_unharmed("acknowledging thrice").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_that_cannot_be_read() {
    let mut neighbours = Neighbours::meet().await;
    let (_, bo) = neighbours.users().await;
    let mallory = Intruder::enrolled(neighbours.relay()).await;
    let mut socket = mallory.welcomed().await;
    let good = mallory.send(bo, 1);
    let others = Content {
        message: mallory.send(bo, 77).message,
        created_at: Timestamp(0),
        kind: ContentKind::Text("x".into()),
        previous: vec![],
    };
    let unknown = Content {
        message: mallory.send(bo, 4).message,
        created_at: Timestamp(i64::MAX),
        kind: ContentKind::Unknown,
        previous: vec![],
    };
    let bodies = [
        good.body.clone(),
        Bytes::from(vec![0xFF; 64 * 1024]),
        others.encode(),
        unknown.encode(),
        Bytes::new(),
        // As many fields as fit: nothing grows out of it.
        Bytes::from([0x1A, 0].repeat(32 * 1024)),
    ];
    for (number, body) in (1..).zip(bodies) {
        let mut send = mallory.send(bo, number);
        send.body = body;
        socket.say(&ClientFrame::Send(Box::new(send))).await;
        socket.answer().await.expect("the node does not look into bodies");
    }
    let theirs = mallory.conversation_with(bo);
    let bos = &neighbours.pair.bo;
    bos.until(theirs, "six messages", |messages| messages.len() == 6).await;
    let contents: Vec<MessageContent> = bos.messages(theirs).await.into_iter().map(|message| message.content).collect();
    use MessageContent::{Text, Unreadable, Unsupported};
    let text = Text("mail 1".into());
    assert_eq!(contents, [text, Unreadable, Unreadable, Unsupported, Unreadable, Unreadable]);
    // Mallory is told which of them Bo could not read.
    let (mut received, mut unreadable) = (0, 0);
    while received + unreadable < 6 {
        for entry in socket.mail().await {
            let EntryKind::Receipt(receipt) = entry.kind else { continue };
            let count = receipt.ranges.iter().map(|run| run.last().raw() - run.first().raw() + 1).sum::<u64>();
            match receipt.kind {
                ReceiptKind::Received => received += count,
                ReceiptKind::Unreadable => unreadable += count,
                other => panic!("{other:?}"),
            }
        }
    }
    assert_eq!((received, unreadable), (2, 4));
    neighbours.are_unharmed("bodies that cannot be read").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_device_gets_no_socket() {
    let mut neighbours = Neighbours::meet().await;
    let phone = Device::registered(neighbours.relay(), "mallory").await;
    let laptop = Device::blank(&neighbours.relay().url()).await;
    laptop.login("mallory", PASSWORD, "laptop").await.unwrap();
    let mallory = Intruder::with_keys_of(neighbours.relay(), phone).await;
    let mut socket = mallory.welcomed().await;
    laptop.revoke_device(mallory.device).await.unwrap();
    assert_eq!(socket.goodbye().await, GoodbyeReason::Revoked);
    let (mut socket, nonce) = mallory.socket().await;
    socket.say(&ClientFrame::Hello(mallory.hello(&nonce))).await;
    assert_eq!(socket.goodbye().await, GoodbyeReason::Revoked);
    neighbours.are_unharmed("a revocation").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn those_who_only_hold_sockets() {
    let mut neighbours = Neighbours::meet().await;
    let mallory = Intruder::enrolled(neighbours.relay()).await;
    let mut held = Vec::new();
    for _ in 0..100 {
        held.push(mallory.socket().await);
    }
    let mut half = Vec::new();
    for _ in 0..100 {
        let mut stream = TcpStream::connect(mallory.node).await.unwrap();
        stream.write_all(b"GET /v1/connect HT").await.unwrap();
        half.push(stream);
    }
    neighbours.are_unharmed("200 connections that say nothing").await;
    // One that is welcomed, asks much and takes no answer.
    let mut deaf = mallory.welcomed().await;
    for nonce in 0..20_000 {
        deaf.say(&ClientFrame::Ping(Ping { nonce })).await;
    }
    neighbours.are_unharmed("a device that does not listen").await;
    drop(held);
    neighbours.are_unharmed("100 sockets that just ended").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn http_that_is_none() {
    let mut neighbours = Neighbours::meet().await;
    let address = neighbours.relay().address();
    let post = |path: &str, body: &str| {
        format!(
            "POST {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        )
    };
    let get = |path: &str| format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
    let requests = [
        ("no HTTP", "\u{16}\u{3}\u{1}garbage\r\n\r\n".to_owned(), &["400"][..]),
        ("a long header", format!("GET / HTTP/1.1\r\nx: {}\r\n\r\n", "y".repeat(1024 * 1024)), &["431", "400"]),
        ("no JSON", post("/v1/register", "{"), &["400"]),
        ("JSON of another shape", post("/v1/login", "[[[[[]]]]]"), &["400"]),
        ("deep JSON", post("/v1/login", &"[".repeat(10_000)), &["400"]),
        ("a long body", post("/v1/register", &" ".repeat(1024 * 1024)), &["413", "400"]),
        ("another path", get("/v2/../../etc/passwd"), &["404"]),
        ("no token", get("/v1/devices"), &["401"]),
        ("a socket without an upgrade", get("/v1/connect"), &["400", "426"]),
    ];
    for (what, request, statuses) in requests {
        let mut stream = TcpStream::connect(address).await.unwrap();
        // The node may answer before it took everything.
        drop(stream.write_all(request.as_bytes()).await);
        let mut answer = Vec::new();
        drop(within("an answer", stream.read_to_end(&mut answer)).await);
        let answer = String::from_utf8_lossy(&answer);
        let status = answer.split(' ').nth(1).unwrap_or("none");
        assert!(statuses.contains(&status) || answer.is_empty() && what == "a long header", "{what}: {answer:?}");
        neighbours.are_unharmed(what).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_node() {
    let mut neighbours = Neighbours::meet().await;
    let (folder, elsewhere) = (tempfile::tempdir().unwrap(), crate::stage::free_address());
    let address = neighbours.relay().address();
    let at = |data: &std::path::Path, listen| NodeConfig { data: data.to_owned(), listen, ..NodeConfig::default() };
    let taken = serve::start(at(folder.path(), address)).await;
    assert!(matches!(taken, Err(ServeError::AddressInUse { address: found }) if found == address));
    neighbours.are_unharmed("a second node at the same address").await;
    let in_use = serve::start(at(neighbours.relay().folder(), elsewhere)).await;
    assert!(matches!(in_use, Err(ServeError::Relay(RelayError::FolderInUse { .. }))));
    neighbours.are_unharmed("a second node on the same folder").await;
}
