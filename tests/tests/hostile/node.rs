//! A hostile node against a real client: it stays usable, comes back, and loses nothing.

use bytes::Bytes;
use chasqui::{Blocked, ConnectionState, ConversationId, Message as Shown, MessageContent, MessageState};
use chasqui_wire::{
    Accepted, AckOutcome, ClientFrame, Content, ContentKind, ConversationKind, Deliver, DeviceId, Drained, Entry,
    EntryKind, Envelope, ErrorCode, Gap, GapReason, Goodbye, GoodbyeReason, MessageId, NodeFrame, Pong, Protection,
    Read, ReadNotice, Receipt, ReceiptKind, Rejected, Seq, SeqRange, SeqRanges, Timestamp, UserId, direct_conversation,
};
use tokio::io::AsyncWriteExt as _;
use tokio_tungstenite::tungstenite::Message;

use crate::fake_node::{FakeNode, FakeSocket};
use crate::stage::{Device, Pair, Relay};

/// Ana, whose node was replaced by a hostile one. Bo waits at the real one.
struct Captive {
    relay: Relay,
    ana: Device,
    bo: Device,
    bos: UserId,
    chat: ConversationId,
    written: Vec<String>,
    fake: FakeNode,
}

impl Captive {
    async fn taken() -> Self {
        let Pair { mut relay, ana, bo, chat } = Pair::meet().await;
        ana.send_text(chat, "before").await.unwrap();
        bo.gets(chat, "before").await;
        ana.until(chat, "it to be received", |messages| messages[0].state == MessageState::Received).await;
        let bos = bo.user().await;
        // Only Ana is held.
        bo.suspend().await.unwrap();
        let (realm, user) = (relay.running().realm(), ana.user().await);
        relay.stop().await;
        let fake = FakeNode::at(relay.address(), realm, user).await;
        ana.network_up();
        Self { relay, ana, bo, bos, chat, written: vec!["before".into()], fake }
    }

    /// The client takes orders and answers questions, whatever its node does.
    async fn is_usable(&mut self, after: &str) {
        let text = format!("{} after {after}", self.written.len());
        self.ana.send_text(self.chat, text.as_str()).await.unwrap_or_else(|error| panic!("after {after}: {error}"));
        self.written.push(text);
        let texts: Vec<String> = self.texts().await;
        assert_eq!(texts, self.written, "after {after}");
        self.ana.network_up();
    }

    /// Own texts in the conversation with Bo.
    async fn texts(&self) -> Vec<String> {
        let messages = self.ana.messages(self.chat).await;
        let text = |message: Shown| match message.content {
            MessageContent::Text(text) if message.is_own => Some(text),
            _ => None,
        };
        messages.into_iter().filter_map(text).collect()
    }

    /// The real node is back: all that was written arrives, once and in order.
    async fn set_free(mut self) {
        drop(self.fake);
        self.relay.start_again().await;
        self.ana.network_up();
        self.bo.resume().await.unwrap();
        self.bo.gets(self.chat, self.written.last().unwrap()).await;
        assert_eq!(self.bo.texts(self.chat).await, self.written);
        let is_received = |message: &&Shown| message.state == MessageState::Received;
        self.ana.until(self.chat, "all to be received", |all| all.iter().filter(|m| m.is_own).all(is_received)).await;
        assert_eq!(self.ana.texts(self.chat).await, self.written);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn servers_that_speak_no_websocket() {
    let mut captive = Captive::taken().await;
    for what in
        ["", "\0\0\0", "SSH-2.0-x\r\n", "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok", "HTTP/1.1 503 No\r\n\r\n"]
    {
        let mut stream = captive.fake.connection().await;
        stream.write_all(what.as_bytes()).await.unwrap();
        drop(stream);
        captive.ana.is(ConnectionState::Offline).await;
        captive.is_usable(&format!("{what:?}")).await;
    }
    captive.set_free().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn frames_that_end_a_socket() {
    let mut captive = Captive::taken().await;
    let truncated = NodeFrame::Welcome(captive.fake.welcome(&captive.fake.greeted().await)).encode().slice(..40);
    let messages = [
        ("bytes that are no protobuf", Message::Binary(vec![0xFF; 100].into())),
        ("a challenge without fields", Message::Binary(vec![0x0A, 0].into())),
        ("a truncated welcome", Message::Binary(truncated)),
        ("256 KiB and a byte", Message::Binary(vec![0x2A; 256 * 1024 + 1].into())),
        ("17 MiB, above what any node may announce", Message::Binary(vec![0x2A; 17 * 1024 * 1024].into())),
        // Entries of an unknown kind, as many as fit: small on the wire, large in memory.
        (
            "100,000 empty entries",
            Message::Binary([&[0x2A, 0xC0, 0x9A, 0x0C][..], &[0x0A, 0].repeat(100_000)].concat().into()),
        ),
        ("a close", Message::Close(None)),
    ];
    for (what, message) in messages {
        for stage in ["at once", "after hello", "when online"] {
            let what = format!("{what} {stage}");
            let mut socket = match stage {
                "at once" => captive.fake.socket().await,
                "after hello" => captive.fake.greeted().await,
                _ => captive.fake.welcomed().await,
            };
            socket.say_message(message.clone()).await;
            socket.is_ended(&what).await;
            captive.is_usable(&what).await;
        }
    }
    captive.set_free().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn goodbyes_of_every_sort() {
    let mut captive = Captive::taken().await;
    let reasons = [
        GoodbyeReason::ShuttingDown,
        GoodbyeReason::Displaced,
        GoodbyeReason::ProtocolError,
        GoodbyeReason::FrameTooLarge,
        GoodbyeReason::TimedOut,
        GoodbyeReason::Overloaded,
        GoodbyeReason::NodeFailure,
        GoodbyeReason::NewEra,
    ];
    for reason in reasons {
        for retry_after_ms in [0, u32::MAX] {
            let what = format!("{reason:?}, come back in {retry_after_ms} ms");
            let mut socket = captive.fake.welcomed().await;
            let detail = "x".repeat(10_000);
            socket.say(&NodeFrame::Goodbye(Goodbye { reason, detail, retry_after_ms })).await;
            socket.is_ended(&what).await;
            captive.is_usable(&what).await;
        }
    }
    // What an app has to decide. Resuming is a fresh chance.
    for (reason, blocked) in [
        (GoodbyeReason::Unauthorised, Blocked::Unauthorised),
        (GoodbyeReason::IncompatibleVersion, Blocked::Incompatible),
        (GoodbyeReason::WrongRealm, Blocked::Incompatible),
    ] {
        let mut socket = captive.fake.greeted().await;
        socket.say(&NodeFrame::Goodbye(Goodbye { reason, detail: String::new(), retry_after_ms: 0 })).await;
        captive.ana.is(ConnectionState::Blocked(blocked)).await;
        captive.is_usable(&format!("{reason:?}")).await;
        assert_eq!(captive.ana.connection(), ConnectionState::Blocked(blocked), "a network does not help");
        captive.ana.resume().await.unwrap();
    }
    for (min, max) in [(2, 3), (0, 0), (3, 2), (u32::MAX, u32::MAX)] {
        let mut socket = captive.fake.socket().await;
        let challenge = captive.fake.challenge();
        let challenge = chasqui_wire::Challenge { version_min: min, version_max: max, ..challenge };
        socket.say(&NodeFrame::Challenge(challenge)).await;
        captive.ana.is(ConnectionState::Blocked(Blocked::Incompatible)).await;
        captive.ana.resume().await.unwrap();
    }
    captive.set_free().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn it_comes_back_by_itself_and_not_all_the_time() {
    let mut captive = Captive::taken().await;
    // Four sockets end at once; nobody says that there is a network.
    for round in 0..4 {
        drop(captive.fake.socket().await);
        captive.ana.is(ConnectionState::Offline).await;
        let text = format!("{}", captive.written.len());
        let began = stopwatch();
        captive.ana.send_text(captive.chat, text.as_str()).await.unwrap();
        captive.written.push(text);
        let state = captive.ana.connection();
        // A machine on which writing takes longer than the pause proves nothing.
        if began() < std::time::Duration::from_millis(200) {
            assert_eq!(state, ConnectionState::Offline, "round {round}: it waits a little");
        }
    }
    drop(captive.fake.socket().await);
    captive.set_free().await;
}

#[expect(clippy::disallowed_methods, reason = "how fast the machine is")]
fn stopwatch() -> impl Fn() -> std::time::Duration {
    let began = std::time::Instant::now();
    move || began.elapsed()
}

/// An envelope from `peer`, in order.
fn envelope(own: UserId, peer: UserId, number: u8, seq: u64) -> Envelope {
    let message = MessageId::from_bytes([0xFA, 0, 0, 0, 0, 0, 0x70, 0, 0x80, 0, 0, 0, 0, 0, 0, number]);
    let kind = ContentKind::Text(format!("fake {number}"));
    Envelope {
        message,
        conversation: direct_conversation(own, peer, Protection::NodeReadable),
        kind: ConversationKind::Direct,
        protection: Protection::NodeReadable,
        sender_user: peer,
        sender_device: DeviceId::from_bytes([8; 16]),
        peer: Some(own),
        seq: Seq::from_raw(seq).unwrap(),
        accepted_at: Timestamp(0),
        body: Content { message, created_at: Timestamp(0), kind, previous: vec![] }.encode(),
        urgent: false,
        resend_of: None,
        epoch: 0,
        commit: None,
        welcome: false,
        request: false,
    }
}

fn entry(number: u64, kind: EntryKind) -> Entry {
    Entry { number, kind }
}

async fn acknowledged(socket: &mut FakeSocket, number: u64) -> AckOutcome {
    loop {
        match socket.frame().await.expect("the socket stays") {
            ClientFrame::Ack(ack) => {
                if let Some(item) = ack.items.iter().find(|item| item.number == number) {
                    return item.outcome;
                }
            }
            ClientFrame::Send(_) | ClientFrame::Read(_) | ClientFrame::Ping(_) => {}
            other => panic!("an ack, not {other:?}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn lies_within_the_protocol_do_no_harm() {
    let mut captive = Captive::taken().await;
    let (own, bo) = (captive.ana.user().await, captive.bos);
    let stranger = UserId::from_bytes([5; 16]);
    let unknown = MessageId::from_bytes([6; 16]);
    let seq = |raw| Seq::from_raw(raw).unwrap();
    let everything = || {
        let all = SeqRange::new(seq(1), seq(Seq::NUMBER_MAX)).unwrap();
        SeqRanges::of([all.first(), all.last()])
    };
    let mut socket = captive.fake.welcomed().await;
    let accepted =
        |message, seq| NodeFrame::Accepted(Accepted { message, seq, at: Timestamp(i64::MIN), revision: u64::MAX });
    let rejected = |code| {
        let rejected = Rejected { message: unknown, code, detail: "x".repeat(10_000), retry_after_ms: u32::MAX };
        NodeFrame::Rejected(rejected)
    };
    let frames = [
        ("an unknown kind", Bytes::from_static(&[0xFA, 0x7F, 0])),
        ("nothing at all", Bytes::new()),
        ("accepted, of no message", accepted(unknown, Some(seq(1))).encode()),
        ("accepted, without a position", accepted(unknown, None).encode()),
        ("rejected, of no message", rejected(ErrorCode::StreamStalled).encode()),
        ("rejected, by an unknown code", rejected(ErrorCode::Unknown(u32::MAX)).encode()),
        (
            "a pong that nobody asked for",
            NodeFrame::Pong(Pong {
                nonce: 1,
                time: Timestamp(0),
                checkpoint: Some(socket.checkpoint()),
                key_packages: None,
            })
            .encode(),
        ),
        ("welcome again", NodeFrame::Welcome(captive.fake.welcome(&socket)).encode()),
        ("drained again", NodeFrame::Drained(Drained { checkpoint: socket.checkpoint() }).encode()),
        ("no entries", NodeFrame::Deliver(Deliver { entries: vec![] }).encode()),
    ];
    for (what, frame) in frames {
        socket.say_bytes(frame).await;
        captive.is_usable(what).await;
    }
    socket.say_message(Message::Text("x".repeat(1024 * 1024).into())).await;
    captive.is_usable("text, which is no part of the protocol").await;

    let mut inconsistent = envelope(own, bo, 1, 50);
    inconsistent.conversation = direct_conversation(own, stranger, Protection::NodeReadable);
    let mut of_others = envelope(own, bo, 2, 50);
    (of_others.sender_user, of_others.peer) = (stranger, Some(bo));
    of_others.conversation = direct_conversation(stranger, bo, Protection::NodeReadable);
    let mut group = envelope(own, bo, 3, 50);
    group.kind = ConversationKind::Group;
    let mut damaged = envelope(own, stranger, 4, 50);
    damaged.body = Bytes::from_static(&[0xFF; 9]);
    let good = envelope(own, stranger, 5, 51);
    let mut same_id = envelope(own, stranger, 5, 52);
    same_id.sender_device = DeviceId::from_bytes([9; 16]);
    let far = envelope(own, stranger, 6, (1 << 53) - 1);
    let receipt = |user, kind| {
        EntryKind::Receipt(Receipt {
            conversation: captive.chat,
            user,
            kind,
            ranges: everything(),
            at: Timestamp(i64::MAX),
        })
    };
    let read = Read {
        id: unknown,
        conversation: captive.chat,
        up_to: seq(Seq::NUMBER_MAX),
        ranges: everything(),
        authors: vec![own],
        at: Timestamp(0),
        signature: [1; 64],
    };
    let notice = |user| {
        EntryKind::Read(Box::new(ReadNotice {
            user,
            device: DeviceId::from_bytes([8; 16]),
            device_key: [4; 32],
            read: read.clone(),
        }))
    };
    let gap = |conversation, peer| {
        EntryKind::Gap(Gap {
            conversation,
            seq: seq(1),
            reason: GapReason::Other,
            kind: ConversationKind::Direct,
            protection: Protection::NodeReadable,
            sender_user: own,
            peer: Some(peer),
            at: Timestamp(0),
        })
    };
    use AckOutcome::{Stored, Unreadable};
    let mail = |envelope: &Envelope| EntryKind::Envelope(Box::new(envelope.clone()));
    let entries = [
        ("an envelope in a wrong conversation", mail(&inconsistent), Unreadable),
        ("an envelope between others", mail(&of_others), Unreadable),
        ("an envelope of a group", mail(&group), Unreadable),
        ("a damaged envelope", mail(&damaged), Unreadable),
        ("an envelope in order", mail(&good), Stored),
        ("the same again", mail(&good), Stored),
        ("its id on another device", mail(&same_id), Unreadable),
        ("the last position that there is", mail(&far), Stored),
        ("a kind of entry from the future", EntryKind::Unknown, Unreadable),
        ("a receipt by a stranger", receipt(stranger, ReceiptKind::Received), Stored),
        ("a forged read mark of Bo", notice(bo), Unreadable),
        ("a forged read mark of one's own", notice(own), Unreadable),
        ("a gap where a message is", gap(captive.chat, bo), Stored),
        ("a gap in a wrong conversation", gap(captive.chat, stranger), Unreadable),
    ];
    for (number, (what, kind, outcome)) in (1..).zip(entries) {
        socket.say(&NodeFrame::Deliver(Deliver { entries: vec![entry(number, kind)] })).await;
        assert_eq!(acknowledged(&mut socket, number).await, outcome, "{what}");
        captive.is_usable(what).await;
    }
    let theirs = direct_conversation(own, stranger, Protection::NodeReadable);
    let contents: Vec<MessageContent> =
        captive.ana.messages(theirs).await.into_iter().map(|message| message.content).collect();
    let text = |number| MessageContent::Text(format!("fake {number}"));
    assert_eq!(contents, [MessageContent::Unreadable, text(5), text(6)]);
    let first = &captive.ana.messages(captive.chat).await[0];
    assert_eq!(first.state, MessageState::Received, "nobody read it");
    assert_eq!(captive.ana.connection(), ConnectionState::Online, "on the same socket all the time");
    drop(socket);
    captive.set_free().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_contradicts_itself() {
    let mut captive = Captive::taken().await;
    let (own, stranger) = (captive.ana.user().await, UserId::from_bytes([5; 16]));
    let mut socket = captive.fake.welcomed().await;
    // Two messages at one position: both are kept, in the same frame and in two.
    let mail = |number: u8| entry(number.into(), EntryKind::Envelope(Box::new(envelope(own, stranger, number, 7))));
    socket.say(&NodeFrame::Deliver(Deliver { entries: vec![mail(1), mail(2)] })).await;
    acknowledged(&mut socket, 2).await;
    socket.say(&NodeFrame::Deliver(Deliver { entries: vec![mail(3)] })).await;
    acknowledged(&mut socket, 3).await;
    let theirs = direct_conversation(own, stranger, Protection::NodeReadable);
    captive.ana.until(theirs, "three messages", |messages| messages.len() == 3).await;
    captive.is_usable("two messages at one position").await;
    // The same number for two entries, and no number at all.
    let mut twice = vec![mail(4), mail(5), mail(6)];
    (twice[1].number, twice[2].number) = (4, 0);
    socket.say(&NodeFrame::Deliver(Deliver { entries: twice })).await;
    acknowledged(&mut socket, 0).await;
    captive.is_usable("entries of one number").await;

    drop(socket);
    captive.is_usable("a socket that just ended").await;
    let mut socket = captive.fake.welcomed().await;
    // What the client sends is refused again and again: it tries again, pauses when asked to, and keeps the order.
    for refused in 0..52 {
        let send = loop {
            match socket.frame().await.expect("the socket stays") {
                ClientFrame::Send(send) => break send,
                ClientFrame::Ack(_) | ClientFrame::Ping(_) => {}
                other => panic!("a send, not {other:?}"),
            }
        };
        let code = if refused < 50 { ErrorCode::StreamStalled } else { ErrorCode::RateLimited };
        let rejected = Rejected { message: send.message, code, detail: String::new(), retry_after_ms: 1 };
        socket.say(&NodeFrame::Rejected(rejected)).await;
        if refused % 10 == 0 {
            captive.is_usable("a refusal").await;
        }
    }
    drop(socket);
    captive.set_free().await;
}
