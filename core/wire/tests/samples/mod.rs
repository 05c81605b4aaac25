//! One value of every frame kind, each field different from its default, and the kinds within them.

use bytes::Bytes;
use chasqui_wire::{
    Absence, Accepted, Ack, AckItem, AckOutcome, Admission, Admit, ArchivePage, ArchivedConversation, ArchivedDelivery,
    ArchivedMessage, ArchivedMissing, ArchivedUser, Challenge, Checkpoint, Claim, Claimed, ClientFrame, Commit,
    Comparison, Content, ContentKind, ConversationId, ConversationKind, Deliver, DeviceId, Drained, Entry, EntryKind,
    Envelope, Era, ErrorCode, Gap, GapReason, Goodbye, GoodbyeReason, Hello, HistoryNext, HistoryPiece, HistoryRequest,
    Hole, HoleReason, KeyPackage, KeyPackages, KeyPackagesLeft, Limits, Linking, LinkingStep, MessageId, NodeFrame,
    Ping, Pong, Previous, Progress, Protection, Read, ReadNotice, RealmId, Receipt, ReceiptKind, Rejected, RosterEntry,
    Send, Seq, SeqRange, SeqRanges, Signal, SignalBody, SignalKind, StorageClass, Timestamp, Unsupported, UserId,
    Verdict, Welcome,
};

pub(crate) const REALM: RealmId = RealmId::from_bytes(id(0x10));
pub(crate) const ANA: UserId = UserId::from_bytes(id(0xa0));
pub(crate) const BO: UserId = UserId::from_bytes(id(0xb0));
pub(crate) const PHONE: DeviceId = DeviceId::from_bytes(id(0xd0));
const LAPTOP: DeviceId = DeviceId::from_bytes(id(0xd1));
const CHAT: ConversationId = ConversationId::from_bytes(id(0xc0));
const MESSAGE: MessageId = MessageId::from_bytes(id(0xe0));
const ORIGINAL: MessageId = MessageId::from_bytes(id(0xe1));
const NOON: Timestamp = Timestamp(1_767_268_800_000);

/// A UUIDv7 of 2026-01-01T12:00:00Z that ends in `last`.
const fn id(last: u8) -> [u8; 16] {
    [0x01, 0x9b, 0x79, 0x6d, 0xd6, 0x00, 0x70, 0, 0x80, 0, 0, 0, 0, 0, 0, last]
}

pub(crate) enum Sample {
    Client(ClientFrame),
    Node(NodeFrame),
    Content(Content),
    Signal(SignalBody),
}

/// Names are file names.
pub(crate) fn all() -> Vec<(String, Sample)> {
    let client = [
        ("hello", ClientFrame::Hello(hello())),
        ("hello-first", ClientFrame::Hello(Hello { checkpoint: None, window_entries: 0, window_bytes: 0, ..hello() })),
        ("hello-counted", ClientFrame::Hello(Hello { progress: progress(), ..hello() })),
        ("send", ClientFrame::Send(Box::new(send()))),
        ("send-commit", ClientFrame::Send(Box::new(send_commit()))),
        ("send-resend", ClientFrame::Send(Box::new(send_resend()))),
        ("send-after", ClientFrame::Send(Box::new(Send { after_seq: Some(seq(3, 5)), ..send() }))),
        ("read", ClientFrame::Read(read())),
        ("ack", ClientFrame::Ack(ack())),
        ("ack-held", ClientFrame::Ack(Ack { held: ranges(), ..ack() })),
        ("signal", ClientFrame::Signal(Signal { sender: None, ..signal() })),
        ("admit", ClientFrame::Admit(admit())),
        ("send-begins", ClientFrame::Send(Box::new(send_begins()))),
        ("key-packages", ClientFrame::KeyPackages(key_packages())),
        ("claim", ClientFrame::Claim(claim())),
        ("ping", ClientFrame::Ping(Ping { nonce: 0x0102_0304_0506_0708 })),
    ];
    let node = [
        ("challenge", NodeFrame::Challenge(challenge())),
        ("welcome", NodeFrame::Welcome(welcome())),
        ("accepted", NodeFrame::Accepted(accepted())),
        ("accepted-read", NodeFrame::Accepted(Accepted { seq: None, ..accepted() })),
        ("rejected", NodeFrame::Rejected(rejected())),
        ("deliver-envelope", deliver(EntryKind::Envelope(Box::new(envelope())))),
        ("deliver-envelope-commit", deliver(EntryKind::Envelope(Box::new(envelope_commit())))),
        ("deliver-receipt", deliver(EntryKind::Receipt(receipt()))),
        ("deliver-read", deliver(EntryKind::Read(Box::new(read_notice())))),
        ("deliver-gap", deliver(EntryKind::Gap(gap()))),
        ("deliver-hole", deliver(EntryKind::Hole(hole()))),
        ("deliver-envelope-request", deliver(EntryKind::Envelope(Box::new(Envelope { request: true, ..envelope() })))),
        ("deliver-admission", deliver(EntryKind::Admission(admission()))),
        ("deliver-absence", deliver(EntryKind::Absence(Absence { since: NOON }))),
        ("drained", NodeFrame::Drained(Drained { checkpoint: checkpoint() })),
        ("signal", NodeFrame::Signal(signal())),
        ("pong", NodeFrame::Pong(pong())),
        ("unsupported", NodeFrame::Unsupported(Unsupported { detail: "frame kind 99".to_owned() })),
        ("claimed", NodeFrame::Claimed(claimed())),
        ("welcome-encrypted", NodeFrame::Welcome(Welcome { key_packages: Some(LEFT), ..welcome() })),
        ("welcome-identity", NodeFrame::Welcome(Welcome { identity_key: Some([0x1d; 32]), ..welcome() })),
        ("pong-encrypted", NodeFrame::Pong(Pong { key_packages: Some(LEFT), ..pong() })),
        ("goodbye", NodeFrame::Goodbye(goodbye())),
        ("goodbye-copied", NodeFrame::Goodbye(Goodbye { reason: GoodbyeReason::Copied, ..goodbye() })),
    ];
    let text = ContentKind::Text("¿Qué tal, Bo? \u{1f999}".to_owned());
    let request = ContentKind::ResendRequest(vec![MESSAGE, MESSAGE]);
    let linking = |step| ContentKind::Linking(Linking { attempt: [7; 32], step });
    let content = [
        ("text", text),
        ("resend-request", request),
        ("linking-offer", linking(LinkingStep::Offer([8; 32]))),
        ("linking-reveal", linking(LinkingStep::Reveal([9; 32]))),
        ("linking-grant", linking(LinkingStep::Grant(Bytes::from_static(b"sealed")))),
        ("linking-refusal", linking(LinkingStep::Refusal)),
        ("history-request", ContentKind::HistoryRequest(HistoryRequest { cursor: Bytes::new(), attempt: 1 })),
        ("history-piece", ContentKind::HistoryPiece(history_piece())),
        ("history-piece-missing", ContentKind::HistoryPiece(history_piece_missing())),
        ("history-piece-changed", ContentKind::HistoryPiece(history_piece_changed())),
        ("history-piece-compared", ContentKind::HistoryPiece(history_piece_compared())),
        ("history-piece-last", ContentKind::HistoryPiece(history_piece_last())),
        (
            "comparison",
            ContentKind::Comparison(Comparison { user: ANA, identity_key: [6; 32], verified: true, at: NOON }),
        ),
    ];
    let says = |kind, previous| Content { message: MESSAGE, created_at: NOON, kind, previous };
    let after = Previous { message: ORIGINAL, group: [5; 16], epoch: 7 };
    let linked = ("text-after", says(ContentKind::Text("And another one.".to_owned()), vec![after]));
    let content = content.map(|(name, kind)| (name, says(kind, vec![]))).into_iter().chain([linked]);

    let client = client.into_iter().map(|(name, frame)| (format!("client-{name}"), Sample::Client(frame)));
    let node = node.into_iter().map(|(name, frame)| (format!("node-{name}"), Sample::Node(frame)));
    let content = content.map(|(name, content)| (format!("content-{name}"), Sample::Content(content)));
    let signals = [("typing", SignalKind::Typing), ("stopped", SignalKind::Stopped)];
    let signals = signals
        .into_iter()
        .map(|(name, kind)| (format!("signal-{name}"), Sample::Signal(SignalBody { at: NOON, kind })));
    client.chain(node).chain(content).chain(signals).collect()
}

fn seq(era: u32, number: u64) -> Seq {
    Seq::new(era, number).expect("in bounds")
}

fn ranges() -> SeqRanges {
    SeqRanges::of([1, 2, 3, 5, 8, 9].map(|number| seq(0, number)).into_iter().chain([seq(1, 1)]))
}

fn history_piece() -> HistoryPiece {
    let ana = archived_user();
    let conversation = ArchivedConversation {
        conversation: CHAT,
        kind: ConversationKind::Direct,
        protection: Protection::EndToEnd,
        peer: Some(ANA),
        read_up_to: Some(seq(0, 3)),
        is_request: false,
        hidden: false,
        activity: NOON,
    };
    let delivery = ArchivedDelivery { user: ANA, rank: 3, reason: 0, received_at: Some(NOON), read_at: Some(NOON) };
    let message = ArchivedMessage {
        conversation: CHAT,
        message: MESSAGE,
        seq: Some(seq(0, 3)),
        sender: ANA,
        sender_device: PHONE,
        created_at: NOON,
        accepted_at: Some(NOON),
        body: Bytes::from_static(b"body"),
        deliveries: vec![delivery],
    };
    let (users, conversations, messages) = (vec![ana], vec![conversation], vec![message]);
    piece(&ArchivePage { users, conversations, messages, ..ArchivePage::default() })
}

fn archived_user() -> ArchivedUser {
    ArchivedUser {
        user: ANA,
        name: Some("ana".to_owned()),
        identity_key: Some([6; 32]),
        deleted: false,
        trust: 1,
        identity_changed_at: None,
        compared_at: None,
    }
}

fn history_piece_changed() -> HistoryPiece {
    let users = vec![ArchivedUser { identity_changed_at: Some(NOON), ..archived_user() }];
    piece(&ArchivePage { users, ..ArchivePage::default() })
}

fn history_piece_compared() -> HistoryPiece {
    let users = vec![ArchivedUser { compared_at: Some(NOON), ..archived_user() }];
    piece(&ArchivePage { users, ..ArchivePage::default() })
}

fn history_piece_missing() -> HistoryPiece {
    let missing = |first, last, reason| {
        let range = SeqRange::new(seq(0, first), seq(0, last)).expect("upwards");
        ArchivedMissing { conversation: CHAT, range, reason, sender: ANA, at: NOON }
    };
    let missing = vec![missing(4, 4, None), missing(6, 9, Some(HoleReason::MailboxFull))];
    piece(&ArchivePage { missing, ..ArchivePage::default() })
}

fn history_piece_last() -> HistoryPiece {
    let comparisons = vec![Comparison { user: ANA, identity_key: [6; 32], verified: true, at: NOON }];
    piece(&ArchivePage { comparisons, ..ArchivePage::default() })
}

fn piece(page: &ArchivePage) -> HistoryPiece {
    HistoryPiece {
        cursor: Bytes::from_static(b"here"),
        number: 1,
        bytes: page.encode().into(),
        next: Some(HistoryNext { cursor: Bytes::from_static(b"there"), per_mille: 500 }),
        ends_answer: true,
    }
}

// ---- handshake

fn challenge() -> Challenge {
    Challenge { nonce: [0xc1; 32], realm: REALM, version_min: 1, version_max: 2 }
}

fn checkpoint() -> Checkpoint {
    Checkpoint { era: 3, revision: 12_345_678_901_234, opening: [0x0f; 8], seal: [0x5e; 32] }
}

fn hello() -> Hello {
    Hello {
        version: 1,
        realm: REALM,
        device: PHONE,
        signature: [0x51; 64],
        window_entries: 128,
        window_bytes: 500_000,
        checkpoint: Some(checkpoint()),
        agent: "chasqui/0.1 android".to_owned(),
        progress: Progress::default(),
    }
}

fn progress() -> Progress {
    Progress { connections: 301, stored_up_to: 70_001, sent: 4_003 }
}

fn welcome() -> Welcome {
    let era = |number, began_at_revision| Era { number, began_at_revision };
    Welcome {
        user: ANA,
        limits: Limits::DEFAULT,
        checkpoint: checkpoint(),
        eras: vec![era(1, 1_000), era(2, 70_000), era(3, 5_000_000_000)],
        time: NOON,
        http_token: "a bearer token".to_owned().into(),
        http_token_expires_at: NOON.plus_millis(900_000),
        key_packages: None,
        identity_key: None,
    }
}

fn goodbye() -> Goodbye {
    Goodbye { reason: GoodbyeReason::ShuttingDown, detail: "upgrade".to_owned(), retry_after_ms: 2_500 }
}

// ---- sending

fn send() -> Send {
    Send {
        message: MESSAGE,
        conversation: CHAT,
        kind: ConversationKind::Direct,
        protection: Protection::NodeReadable,
        peer: Some(BO),
        body: Bytes::from_static(b"opaque to the node"),
        storage: StorageClass::Durable,
        urgent: true,
        ttl_seconds: 86_400,
        restart: true,
        reclaim_seq: Some(seq(2, 77)),
        after_seq: None,
        resend_of: None,
        only_device: None,
        epoch: 0,
        commit: None,
        roster_checked: false,
    }
}

fn send_begins() -> Send {
    Send { commit: Some(Commit { begins: true, ..commit() }), roster_checked: true, ..send_commit() }
}

fn send_commit() -> Send {
    Send {
        kind: ConversationKind::Group,
        protection: Protection::EndToEnd,
        peer: None,
        urgent: false,
        ttl_seconds: 0,
        restart: false,
        reclaim_seq: None,
        after_seq: None,
        epoch: 41,
        commit: Some(commit()),
        ..send()
    }
}

fn send_resend() -> Send {
    let storage = StorageClass::Transient;
    Send { storage, resend_of: Some(ORIGINAL), only_device: Some(LAPTOP), epoch: 42, ..send() }
}

fn commit() -> Commit {
    Commit {
        hash: [0x4a; 32],
        added: vec![RosterEntry { user: BO, device: PHONE }, RosterEntry { user: BO, device: LAPTOP }],
        removed: vec![RosterEntry { user: ANA, device: LAPTOP }],
        begins: false,
        welcome: Bytes::from_static(b"an MLS Welcome"),
    }
}

fn accepted() -> Accepted {
    Accepted { message: MESSAGE, seq: Some(seq(3, 500)), at: NOON, revision: 12_345_678_901_234 }
}

fn rejected() -> Rejected {
    let detail = "an earlier send was refused".to_owned();
    Rejected { message: MESSAGE, code: ErrorCode::StreamStalled, detail, retry_after_ms: 1_000 }
}

pub(crate) fn read() -> Read {
    Read {
        id: MESSAGE,
        conversation: CHAT,
        up_to: seq(1, 1),
        ranges: ranges(),
        authors: vec![ANA, BO],
        at: NOON,
        signature: [0x52; 64],
    }
}

fn admit() -> Admit {
    let (protection, verdict) = (Protection::NodeReadable, Verdict::Decline);
    Admit { id: MESSAGE, peer: BO, protection, verdict, up_to: Some(seq(3, 500)) }
}

fn admission() -> Admission {
    Admission { conversation: CHAT, verdict: Verdict::Block, up_to: Some(seq(3, 500)), at: NOON }
}

// ---- encryption

const LEFT: KeyPackagesLeft = KeyPackagesLeft { one_time: 41, last_resort: true };

fn pong() -> Pong {
    Pong { nonce: 0x0102_0304_0506_0708, time: NOON, checkpoint: Some(checkpoint()), key_packages: None }
}

fn key_packages() -> KeyPackages {
    KeyPackages {
        id: MESSAGE,
        link: [0x11; 64],
        one_time: vec![Bytes::from_static(b"a key package"), Bytes::from_static(b"another")],
        last_resort: Some(Bytes::from_static(b"the last one")),
        replace: true,
    }
}

fn claim() -> Claim {
    Claim {
        id: MESSAGE,
        conversation: CHAT,
        kind: ConversationKind::Direct,
        protection: Protection::EndToEnd,
        peer: Some(BO),
        anew: true,
    }
}

fn claimed() -> Claimed {
    let (phone, laptop) = (RosterEntry { user: BO, device: PHONE }, RosterEntry { user: BO, device: LAPTOP });
    let package = KeyPackage { entry: laptop, body: Bytes::from_static(b"a key package") };
    Claimed { id: MESSAGE, epoch: 41, roster: vec![phone, laptop], gone: vec![phone], packages: vec![package] }
}

// ---- delivery

fn deliver(kind: EntryKind) -> NodeFrame {
    NodeFrame::Deliver(Deliver { entries: vec![Entry { number: 300, kind }] })
}

fn envelope() -> Envelope {
    Envelope {
        message: MESSAGE,
        conversation: CHAT,
        kind: ConversationKind::Direct,
        protection: Protection::NodeReadable,
        sender_user: ANA,
        sender_device: PHONE,
        peer: Some(BO),
        seq: seq(3, 500),
        accepted_at: NOON,
        body: Bytes::from_static(b"opaque to the node"),
        urgent: true,
        resend_of: Some(ORIGINAL),
        epoch: 0,
        commit: None,
        welcome: false,
        request: false,
    }
}

fn envelope_commit() -> Envelope {
    Envelope {
        kind: ConversationKind::Group,
        protection: Protection::EndToEnd,
        peer: None,
        urgent: false,
        resend_of: None,
        epoch: 41,
        commit: Some(commit()),
        welcome: true,
        ..envelope()
    }
}

fn receipt() -> Receipt {
    Receipt { conversation: CHAT, user: BO, kind: ReceiptKind::Received, ranges: ranges(), at: NOON }
}

fn read_notice() -> ReadNotice {
    ReadNotice { user: BO, device: PHONE, device_key: [0xd0; 32], read: read() }
}

fn gap() -> Gap {
    Gap {
        conversation: CHAT,
        seq: seq(3, 499),
        reason: GapReason::Expired,
        kind: ConversationKind::Channel,
        protection: Protection::NodeReadable,
        sender_user: ANA,
        peer: Some(BO),
        at: NOON,
    }
}

fn hole() -> Hole {
    Hole {
        conversation: CHAT,
        kind: ConversationKind::Direct,
        protection: Protection::NodeReadable,
        peer: Some(BO),
        range: SeqRange::new(seq(3, 400), seq(3, 500)).expect("one era"),
        reason: HoleReason::MailboxFull,
        since: NOON,
    }
}

fn ack() -> Ack {
    let item = |number, outcome| AckItem { number, outcome };
    vec![item(1, AckOutcome::Stored), item(2, AckOutcome::Unreadable), item(300, AckOutcome::Noted)].into()
}

fn signal() -> Signal {
    Signal { conversation: CHAT, sender: Some((ANA, PHONE)), body: Bytes::from_static(b"typing"), epoch: 41 }
}
