//! The engine against a node that the test plays by hand: what the simulation does not reach.

use chasqui_wire::{
    Accepted, AckOutcome, Challenge, Checkpoint, Content, ContentKind, ConversationKind, Deliver, Drained, Entry,
    EntryKind, Envelope, Era, ErrorCode, Goodbye, GoodbyeReason, Protection, Read, ReadNotice, Receipt, ReceiptKind,
    Rejected, SeqRange, SeqRanges, Welcome, direct_conversation, signing,
};
use rusqlite::Connection;

mod archive;
mod awaited;
mod bookkeeping;
mod chain;
mod clock;
mod damage;
mod encrypted;
mod forgery;
mod full_disk;
mod packages;
mod peek;
mod recovery;
mod renewal;
mod typing;

use super::*;
use crate::domain::{Failure, MessageContent, MessageState, Undelivered};

const NOW: Timestamp = Timestamp(1_767_225_600_000);
const DAY_MS: u64 = 24 * 3600 * 1000;

fn id<T: From<uuid::Uuid>>(number: u128) -> T {
    T::from(uuid::Uuid::from_u128(number))
}

/// Ana's phone, and the node as the test plays it.
struct Ana {
    engine: Engine,
    store: Store,
    now: Timestamp,
    socket: SocketId,
    /// The node's.
    limits: Limits,
}

impl Ana {
    fn new() -> Self {
        Self::with(Store::with_connection(Connection::open_in_memory().unwrap()).unwrap())
    }

    fn with(mut store: Store) -> Self {
        let mut engine = Engine::load(&store, 7).unwrap();
        let enrolment = Enrolment {
            node: "http://node".into(),
            realm: id(1),
            user: id(10),
            name: "ana".into(),
            device: id(11),
            device_seed: Secret::new([1; 32]),
            identity_seed: None,
        };
        let commands = [
            Command::BeginEnrolment(Box::new(enrolment)),
            Command::ConfirmEnrolment { user: id(10), name: "ana".into(), device: id(11) },
            Command::OpenDirect(id(20), Protection::NodeReadable),
        ];
        let commands = commands.into_iter().map(|command| Input::Command(CommandId(0), command)).collect();
        engine.handle(&mut store, NOW, commands).unwrap();
        Self { engine, store, now: NOW, socket: SocketId(1), limits: Limits::DEFAULT }
    }

    fn online() -> Self {
        let mut ana = Self::new();
        ana.connect();
        ana
    }

    fn handle(&mut self, inputs: Vec<Input>) -> Step {
        self.engine.handle(&mut self.store, self.now, inputs).unwrap()
    }

    fn connect(&mut self) {
        self.connect_in(Vec::new());
    }

    /// Returns what the device says after the welcome, and when its mail is in.
    fn connect_in(&mut self, eras: Vec<Era>) -> Vec<ClientFrame> {
        let challenge = Challenge { nonce: [0; 32], realm: id(1), version_min: 1, version_max: 1 };
        self.handle(vec![Input::Connected(self.socket)]);
        let said = self.say(NodeFrame::Challenge(challenge));
        assert!(matches!(said.as_slice(), [ClientFrame::Hello(_)]), "{said:?}");
        let mut said = self.say(NodeFrame::Welcome(Welcome {
            user: id(10),
            limits: self.limits.clone(),
            checkpoint: Checkpoint { era: eras.last().map_or(0, |era| era.number), ..checkpoint() },
            eras,
            time: self.now,
            http_token: String::new().into(),
            http_token_expires_at: self.now,
            key_packages: None,
            identity_key: None,
        }));
        said.extend(self.say(NodeFrame::Drained(Drained { checkpoint: checkpoint() })));
        assert_eq!(self.engine.connection(), ConnectionState::Online);
        said
    }

    /// The node comes back from a copy that was made before revision 50.
    fn node_is_restored(&mut self) -> Vec<ClientFrame> {
        let goodbye = Goodbye { reason: GoodbyeReason::NewEra, detail: String::new(), retry_after_ms: 0 };
        let step = self.handle(vec![Input::Frame(self.socket, NodeFrame::Goodbye(goodbye).encode())]);
        let socket = step.outputs.iter().find_map(|output| match output {
            Output::Connect(socket) => Some(*socket),
            _ => None,
        });
        self.socket = socket.expect("comes back at once");
        self.connect_in(vec![Era { number: 1, began_at_revision: 50 }])
    }

    fn accept(&mut self, number: u128, seq: Seq, revision: u64) -> Vec<ClientFrame> {
        self.say(NodeFrame::Accepted(Accepted { message: id(number), seq: Some(seq), at: NOW, revision }))
    }

    fn reject(&mut self, number: u128, code: ErrorCode) {
        let rejected = Rejected { message: id(number), code, detail: String::new(), retry_after_ms: 1_000 };
        self.say(NodeFrame::Rejected(rejected));
    }

    /// The node says something; what does the device answer?
    fn say(&mut self, frame: NodeFrame) -> Vec<ClientFrame> {
        let step = self.handle(vec![Input::Frame(self.socket, frame.encode())]);
        self.frames(&step)
    }

    fn frames(&self, step: &Step) -> Vec<ClientFrame> {
        let sent = step.outputs.iter().filter_map(|output| match output {
            Output::Transmit(socket, bytes) if *socket == self.socket => Some(bytes.clone()),
            _ => None,
        });
        sent.map(|bytes| ClientFrame::decode(bytes, &self.limits).unwrap()).collect()
    }

    fn deliver(&mut self, entries: Vec<EntryKind>) -> Vec<(u64, AckOutcome)> {
        let entries = entries.into_iter().zip(1..).map(|(kind, number)| Entry { number, kind }).collect();
        let said = self.say(NodeFrame::Deliver(Deliver { entries }));
        let acks = said.into_iter().filter_map(|frame| match frame {
            ClientFrame::Ack(ack) => Some(ack.items),
            _ => None,
        });
        acks.flatten().map(|item| (item.number, item.outcome)).collect()
    }

    /// Breaks off as the engine did, and comes back on a new socket.
    fn reconnect(&mut self) {
        self.now = self.now.plus_millis(70_000);
        let step = self.handle(vec![Input::Wake]);
        let Some(Output::Connect(socket)) = step.outputs.iter().find(|output| matches!(output, Output::Connect(_)))
        else {
            panic!("does not connect: {step:?}")
        };
        self.socket = *socket;
        self.connect();
    }

    fn texts(&self) -> Vec<MessageContent> {
        let page = self.store.history().timeline_before(chat(), None, 100).unwrap();
        page.items.iter().filter_map(|item| item.message()).map(|message| message.content.clone()).collect()
    }

    fn send(&mut self, number: u128, text: &str) -> Step {
        let command = Command::SendText { conversation: chat(), message: id(number), text: text.into() };
        self.handle(vec![Input::Command(CommandId(1), command)])
    }

    fn state_of(&self, number: u128) -> MessageState {
        self.store.history().message(id(number)).unwrap().unwrap().state
    }
}

fn checkpoint() -> Checkpoint {
    Checkpoint { era: 0, revision: 1, opening: [0; 8], seal: [0; 32] }
}

fn chat() -> ConversationId {
    direct_conversation(id(10), id(20), Protection::NodeReadable)
}

fn seq(number: u64) -> Seq {
    Seq::new(0, number).unwrap()
}

/// A message by Bo.
fn envelope(number: u128, at: u64, body: Bytes) -> EntryKind {
    EntryKind::Envelope(Box::new(Envelope {
        message: id(number),
        conversation: chat(),
        kind: ConversationKind::Direct,
        protection: Protection::NodeReadable,
        sender_user: id(20),
        sender_device: id(21),
        peer: Some(id(10)),
        seq: seq(at),
        accepted_at: NOW,
        body,
        urgent: false,
        resend_of: None,
        epoch: 0,
        commit: None,
        welcome: false,
        request: false,
    }))
}

fn text(number: u128, at: u64, text: &str) -> EntryKind {
    let content =
        Content { message: id(number), created_at: NOW, kind: ContentKind::Text(text.into()), previous: vec![] };
    envelope(number, at, content.encode())
}

#[test]
fn an_entry_that_always_fails_is_given_up_and_kept() {
    let mut ana = Ana::online();
    let trigger = "CREATE TEMP TRIGGER poison BEFORE INSERT ON main.message WHEN NEW.seq = 1
                   BEGIN SELECT RAISE(ABORT, 'poison'); END";
    ana.store.connection().execute_batch(trigger).unwrap();
    for _ in 0..2 {
        let acks = ana.deliver(vec![text(101, 1, "poison"), text(102, 2, "a neighbour")]);
        assert_eq!(acks, [(2, AckOutcome::Stored)], "the neighbour is stored, the entry comes again");
        assert_eq!(ana.engine.connection(), ConnectionState::Offline);
        ana.reconnect();
    }
    let acks = ana.deliver(vec![text(101, 1, "poison"), text(102, 2, "a neighbour")]);
    assert_eq!(acks, [(1, AckOutcome::Unreadable), (2, AckOutcome::Stored)]);
    assert_eq!(ana.engine.connection(), ConnectionState::Online);
    assert_eq!(ana.texts(), [MessageContent::Text("a neighbour".into())]);
    let kept = "SELECT count(*) FROM poison WHERE entry IS NOT NULL";
    assert_eq!(ana.store.connection().query_row(kept, [], |row| row.get::<_, i64>(0)), Ok(1));
}

#[test]
fn unknown_content_is_kept_and_damaged_content_is_said_to_be_so() {
    let mut ana = Ana::online();
    let later = Content { message: id(101), created_at: NOW, kind: ContentKind::Unknown, previous: vec![] }.encode();
    let foreign =
        Content { message: id(999), created_at: NOW, kind: ContentKind::Text("of another".into()), previous: vec![] }
            .encode();
    let acks = ana.deliver(vec![
        envelope(101, 1, later),
        envelope(102, 2, Bytes::from_static(b"\xff\xff garbage")),
        envelope(103, 3, foreign),
    ]);
    assert_eq!(acks, [(1, AckOutcome::Stored), (2, AckOutcome::Unreadable), (3, AckOutcome::Unreadable)]);
    let shown = [MessageContent::Unsupported, MessageContent::Unreadable, MessageContent::Unreadable];
    assert_eq!(ana.texts(), shown);
}

#[test]
fn a_header_that_contradicts_itself_is_not_believed() {
    let mut ana = Ana::online();
    let mut wrong_conversation = text(101, 1, "hello");
    let EntryKind::Envelope(envelope) = &mut wrong_conversation else { unreachable!() };
    envelope.conversation = id(12345);
    assert_eq!(ana.deliver(vec![wrong_conversation]), [(1, AckOutcome::Unreadable)]);

    ana.deliver(vec![text(102, 1, "by Bo's phone")]);
    let mut other_device = text(102, 2, "by somebody else");
    let EntryKind::Envelope(envelope) = &mut other_device else { unreachable!() };
    envelope.sender_device = id(99);
    assert_eq!(ana.deliver(vec![other_device]), [(1, AckOutcome::Unreadable)]);
    assert_eq!(ana.texts(), [MessageContent::Text("by Bo's phone".into())]);
}

fn read_notice(signer: [u8; 32], ranges: SeqRanges) -> EntryKind {
    let mut read = Read {
        id: id(7),
        conversation: chat(),
        up_to: seq(1),
        ranges,
        authors: vec![id(10)],
        at: NOW,
        signature: [0; 64],
    };
    read.signature = sign_with(&Secret::new(signer), &signing::read(id(1), id(20), id(21), &read));
    EntryKind::Read(Box::new(ReadNotice {
        user: id(20),
        device: id(21),
        device_key: public_key(&Secret::new([2; 32])),
        read,
    }))
}

#[test]
fn read_is_believed_only_with_the_readers_signature() {
    let mut ana = Ana::online();
    ana.send(1, "hello");
    ana.accept(1, seq(1), 2);
    assert_eq!(ana.state_of(1), MessageState::Sent);
    assert_eq!(ana.deliver(vec![read_notice([3; 32], SeqRanges::of([seq(1)]))]), [(1, AckOutcome::Unreadable)]);
    assert_eq!(ana.state_of(1), MessageState::Sent);
    assert_eq!(ana.deliver(vec![read_notice([2; 32], SeqRanges::of([seq(1)]))]), [(1, AckOutcome::Stored)]);
    assert_eq!(ana.state_of(1), MessageState::Read);
}

#[test]
fn a_receipt_over_an_absurd_range_costs_nothing() {
    let mut ana = Ana::online();
    ana.send(1, "hello");
    let ranges = SeqRanges::of_range(SeqRange::new(seq(1), seq(Seq::NUMBER_MAX)).unwrap());
    let receipt = Receipt { conversation: chat(), user: id(20), kind: ReceiptKind::Received, ranges, at: NOW };
    assert_eq!(ana.deliver(vec![EntryKind::Receipt(receipt)]), [(1, AckOutcome::Stored)]);
    // It came before the answer to the send, and counts once that is there.
    ana.accept(1, seq(5), 2);
    assert_eq!(ana.state_of(1), MessageState::Received);
}

#[test]
fn a_page_begins_where_its_line_stands_now() {
    let mut ana = Ana::online();
    (1..=5).for_each(|number| drop(ana.send(number, &number.to_string())));
    let history = |ana: &Ana, before| {
        let page = ana.store.history().timeline_before(chat(), before, 2).unwrap();
        let texts = page.items.iter().filter_map(|item| item.message()).map(|message| message.content.clone());
        (texts.collect::<Vec<_>>(), page.older)
    };
    let texts = |shown: [u32; 2]| shown.map(|text| MessageContent::Text(text.to_string())).to_vec();
    let (newest, older) = history(&ana, None);
    assert_eq!(newest, texts([4, 5]));
    // Nothing of the page is shown again because it was pending before.
    (1..=4).for_each(|number: u64| drop(ana.accept(number.into(), seq(number), number + 1)));
    assert_eq!(history(&ana, older).0, texts([2, 3]));
    ana.handle(vec![Input::Command(CommandId(2), Command::Delete(id(4)))]);
    assert_eq!(history(&ana, older).0, texts([2, 3]), "also where a line was that is deleted");
}

#[test]
fn goodbyes_decide_whether_to_come_back() {
    #[track_caller]
    fn check(reason: GoodbyeReason, state: ConnectionState) {
        let mut ana = Ana::online();
        let goodbye = Goodbye { reason, detail: String::new(), retry_after_ms: 0 };
        ana.say(NodeFrame::Goodbye(goodbye));
        assert_eq!(ana.engine.connection(), state, "{reason:?}");
    }
    check(GoodbyeReason::Revoked, ConnectionState::Blocked(Blocked::Revoked));
    check(GoodbyeReason::Unauthorised, ConnectionState::Blocked(Blocked::Unauthorised));
    check(GoodbyeReason::IncompatibleVersion, ConnectionState::Blocked(Blocked::Incompatible));
    check(GoodbyeReason::WrongRealm, ConnectionState::Blocked(Blocked::Incompatible));
    check(GoodbyeReason::Displaced, ConnectionState::Offline);
    check(GoodbyeReason::ShuttingDown, ConnectionState::Offline);
    check(GoodbyeReason::NodeFailure, ConnectionState::Offline);
    check(GoodbyeReason::NewEra, ConnectionState::Connecting);
}

#[test]
fn nobody_stays_away_for_weeks_because_a_node_says_so() {
    let mut ana = Ana::online();
    ana.send(1, "hello");
    let rejected =
        Rejected { message: id(1), code: ErrorCode::RateLimited, detail: String::new(), retry_after_ms: u32::MAX };
    let step = ana.handle(vec![Input::Frame(ana.socket, NodeFrame::Rejected(rejected).encode())]);
    assert!(step.wake_at.is_some_and(|at| at.millis_since(ana.now) <= 300_000), "{step:?}");
    let goodbye = Goodbye { reason: GoodbyeReason::ShuttingDown, detail: String::new(), retry_after_ms: u32::MAX };
    let step = ana.handle(vec![Input::Frame(ana.socket, NodeFrame::Goodbye(goodbye).encode())]);
    assert!(step.wake_at.is_some_and(|at| at.millis_since(ana.now) <= 7_200_000), "{step:?}");
}

#[test]
fn reconnection_waits_longer_and_longer_until_the_network_is_up() {
    let mut ana = Ana::new();
    let mut waits = Vec::new();
    for _ in 0..10 {
        let step = ana.handle(vec![Input::Disconnected(ana.socket)]);
        let at = step.wake_at.unwrap();
        waits.push(at.millis_since(ana.now));
        ana.now = at;
        let step = ana.handle(vec![Input::Wake]);
        let Some(Output::Connect(socket)) = step.outputs.first() else { panic!("does not connect: {step:?}") };
        ana.socket = *socket;
    }
    assert!(waits[0] <= 500 && waits[9] >= 30_000 && waits[9] <= 60_000, "{waits:?}");
    ana.handle(vec![Input::Disconnected(ana.socket)]);
    let step = ana.handle(vec![Input::NetworkUp]);
    assert!(matches!(step.outputs.first(), Some(Output::Connect(_))), "{step:?}");
}

#[test]
fn a_node_that_talks_nonsense_is_left() {
    let mut ana = Ana::online();
    let step = ana.handle(vec![Input::Frame(ana.socket, Bytes::from_static(b"\x0a\xff\xff"))]);
    assert!(matches!(step.outputs.first(), Some(Output::Disconnect(_))), "{step:?}");
    ana.reconnect();
    // A frame kind from the future is not nonsense.
    let step = ana.handle(vec![Input::Frame(ana.socket, Bytes::from_static(b"\xa2\x06\x00"))]);
    assert!(step.outputs.is_empty(), "{step:?}");
}

#[test]
fn a_pause_that_is_over_does_not_keep_the_engine_awake() {
    let mut ana = Ana::online();
    ana.send(1, "to a full mailbox");
    ana.reject(1, ErrorCode::MailboxFull);
    ana.handle(vec![Input::Command(CommandId(1), Command::OpenDirect(id(30), Protection::NodeReadable))]);
    let other = direct_conversation(id(10), id(30), Protection::NodeReadable);
    for number in 100..170 {
        let command = Command::SendText { conversation: other, message: id(number), text: "x".into() };
        ana.handle(vec![Input::Command(CommandId(1), command)]);
    }
    ana.now = ana.now.plus_millis(5_000);
    let step = ana.handle(vec![Input::Wake]);
    assert!(step.wake_at.is_some_and(|at| at > ana.now), "{:?} at {:?}", step.wake_at, ana.now);
}

#[test]
fn early_receipts_are_kept_only_while_something_waits_and_not_without_end() {
    let mut ana = Ana::online();
    let kept = |ana: &Ana| {
        let sql = "SELECT count(*) FROM early_receipt";
        ana.store.connection().query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap()
    };
    let many = SeqRanges::of((0..1024).map(|number| seq(1_000_000 + 2 * number)));
    ana.send(1, "refused");
    ana.reject(1, ErrorCode::Unreachable);
    ana.deliver(vec![read_notice([2; 32], many.clone())]);
    assert_eq!(kept(&ana), 0, "nothing waits");
    ana.send(2, "waits");
    for offset in 0..8 {
        let ranges = SeqRanges::of((0..1024).map(|number| seq(1_000_000 * (offset + 1) + 2 * number)));
        ana.deliver(vec![read_notice([2; 32], ranges)]);
    }
    assert_eq!(kept(&ana), 4096);
    ana.accept(2, seq(1), 1);
    assert_eq!(kept(&ana), 0);
}

#[test]
fn a_message_that_gets_another_position_keeps_its_state() {
    let mut ana = Ana::online();
    ana.send(1, "hello");
    ana.accept(1, seq(1), 60);
    ana.deliver(vec![read_notice([2; 32], SeqRanges::of([seq(1)]))]);
    assert_eq!(ana.state_of(1), MessageState::Read);
    let said = ana.node_is_restored();
    assert!(matches!(said.as_slice(), [ClientFrame::Send(send)] if send.reclaim_seq == Some(seq(1))), "{said:?}");
    ana.accept(1, Seq::new(1, 1).unwrap(), 61);
    assert_eq!(ana.state_of(1), MessageState::Read);
}

#[test]
fn an_answer_to_what_waits_to_be_sent_again_counts() {
    let mut ana = Ana::online();
    ana.send(1, "hello");
    ana.reject(1, ErrorCode::Internal);
    let said = ana.accept(1, seq(1), 1);
    assert_eq!((said, ana.state_of(1)), (Vec::new(), MessageState::Sent));
    ana.now = ana.now.plus_millis(3_600_000);
    let step = ana.handle(vec![Input::Wake]);
    let sends = ana.frames(&step).into_iter().filter(|frame| matches!(frame, ClientFrame::Send(_)));
    assert_eq!(sends.count(), 0, "it is not sent again");
}

#[test]
fn a_refused_message_that_another_device_sent_after_all_is_sent() {
    let mut ana = Ana::online();
    ana.send(1, "hello");
    ana.reject(1, ErrorCode::RequestPending);
    assert_eq!(ana.state_of(1), MessageState::Failed(Failure::Refused(ErrorCode::RequestPending)));
    let mut sent = text(1, 7, "hello");
    let EntryKind::Envelope(envelope) = &mut sent else { unreachable!() };
    (envelope.sender_user, envelope.sender_device, envelope.peer) = (id(10), id(99), Some(id(20)));
    assert_eq!(ana.deliver(vec![sent]), [(1, AckOutcome::Stored)]);
    assert_eq!(ana.state_of(1), MessageState::Sent);
    assert_eq!(ana.texts().len(), 1);
}

#[test]
fn what_a_restored_node_is_given_back_goes_before_what_nobody_answered() {
    let mut ana = Ana::online();
    ana.send(1, "heard of");
    ana.accept(1, seq(7), 60);
    ana.send(2, "unanswered");
    let said = ana.node_is_restored();
    let [ClientFrame::Send(first), ClientFrame::Send(second)] = said.as_slice() else { panic!("{said:?}") };
    assert_eq!((first.reclaim_seq, first.after_seq), (Some(seq(7)), None));
    assert_eq!((second.reclaim_seq, second.after_seq), (None, Some(seq(7))));
}

#[test]
fn what_a_restored_node_does_not_take_back_is_said_to_be_undelivered() {
    let mut ana = Ana::online();
    for (number, at) in [(1, 1), (2, 2)] {
        ana.send(number, "hello");
        ana.accept(number, seq(at), 60);
    }
    ana.deliver(vec![read_notice([2; 32], SeqRanges::of([seq(1)]))]);
    ana.node_is_restored();
    ana.reject(1, ErrorCode::Unreachable);
    ana.reject(2, ErrorCode::Unreachable);
    assert_eq!(ana.state_of(1), MessageState::Read, "it had arrived");
    assert_eq!(ana.state_of(2), MessageState::Undelivered(Undelivered::Refused));
    ana.deliver(vec![read_notice([2; 32], SeqRanges::of([seq(2)]))]);
    assert_eq!(ana.state_of(2), MessageState::Read, "better news may follow");
}

#[test]
fn what_is_being_given_back_cannot_be_deleted() {
    let mut ana = Ana::online();
    ana.send(1, "hello");
    ana.accept(1, seq(1), 60);
    ana.node_is_restored();
    ana.reject(1, ErrorCode::MailboxFull);
    let step = ana.handle(vec![Input::Command(CommandId(5), Command::Delete(id(1)))]);
    let refused = |output: &Output| matches!(output, Output::Reply(CommandId(5), Err(Error::Invalid { .. })));
    assert!(step.outputs.iter().any(refused), "{step:?}");
    ana.now = ana.now.plus_millis(3_000);
    let step = ana.handle(vec![Input::Wake]);
    let frames = ana.frames(&step);
    assert!(matches!(frames.as_slice(), [ClientFrame::Send(send)] if !send.body.is_empty()), "{frames:?}");
}

#[test]
fn authors_are_told_of_all_that_was_read_however_many_runs_it_makes() {
    const RUNS: u64 = 1_100;
    let mut ana = Ana::online();
    for number in 0..RUNS {
        // Both write in turn: every message of Bo's is a run of its own.
        ana.deliver(vec![text(5_000 + u128::from(number), 2 * number + 1, "x")]);
        ana.send(9_000 + u128::from(number), "y");
        ana.accept(9_000 + u128::from(number), seq(2 * number + 2), 3);
    }
    let step = ana.handle(vec![Input::Command(CommandId(9), Command::MarkRead(chat(), None))]);
    let mut said = ana.frames(&step);
    let mut told = 0;
    while let Some(ClientFrame::Read(read)) = said.pop() {
        told += read.ranges.iter().count();
        said = ana.say(NodeFrame::Accepted(Accepted { message: read.id, seq: None, at: NOW, revision: 9 }));
    }
    assert_eq!(told, RUNS as usize);
}

#[test]
fn a_command_that_fails_does_not_harm_its_neighbours() {
    let mut ana = Ana::online();
    let trigger = "CREATE TEMP TRIGGER poison BEFORE INSERT ON main.message WHEN length(NEW.body) > 100
                   BEGIN SELECT RAISE(ABORT, 'poison'); END";
    ana.store.connection().execute_batch(trigger).unwrap();
    let send = |number: u128, text: String| {
        let command = Command::SendText { conversation: chat(), message: id(number), text };
        Input::Command(CommandId(number as u64), command)
    };
    let step = ana.handle(vec![send(1, "short".into()), send(2, "long".repeat(50)), send(3, "short".into())]);
    let replies = step.outputs.iter().filter_map(|output| match output {
        Output::Reply(id, reply) => Some((id.0, reply.is_ok())),
        _ => None,
    });
    assert_eq!(replies.collect::<Vec<_>>(), [(1, true), (2, false), (3, true)]);
}
