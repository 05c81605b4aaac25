//! The handshake and the order of frames, without sockets or a relay.

use chasqui_wire::{
    Accepted, Ack, AckItem, AckOutcome, Claim, Claimed, Commit, ConversationKind, Entry, EntryKind, ErrorCode, Hello,
    KeyPackages, MessageId, Ping, Protection, Read, Send, Seq, SeqRanges, Signal, StorageClass, signing,
};
use ring::signature::{Ed25519KeyPair, KeyPair as _};

use super::*;
use crate::relay::{Attached, KnownDevice};

const REALM: RealmId = RealmId::from_bytes([1; 16]);
const ANA: UserId = UserId::from_bytes([0xA; 16]);
const ANA_PHONE: DeviceId = DeviceId::from_bytes([0xA1; 16]);
const NONCE: [u8; 32] = [3; 32];
const START: Timestamp = Timestamp(1_000_000);

fn key() -> Ed25519KeyPair {
    Ed25519KeyPair::from_seed_unchecked(&[5; 32]).unwrap()
}

/// Ana's.
fn identity() -> Ed25519KeyPair {
    Ed25519KeyPair::from_seed_unchecked(&[6; 32]).unwrap()
}

fn known() -> KnownDevice {
    let public = |key: Ed25519KeyPair| key.public_key().as_ref().try_into().unwrap();
    KnownDevice { user: ANA, identity_key: public(identity()), key: public(key()), revoked: false }
}

fn session() -> Session {
    Session::new(SessionId(1), REALM, Limits::DEFAULT, NONCE, START)
}

fn signed(bytes: &[u8]) -> [u8; 64] {
    key().sign(bytes).as_ref().try_into().unwrap()
}

fn hello() -> Hello {
    Hello {
        version: 1,
        realm: REALM,
        device: ANA_PHONE,
        signature: signed(&signing::hello(REALM, &NONCE, ANA_PHONE, 1)),
        window_entries: 0,
        window_bytes: 0,
        checkpoint: None,
        agent: "test".into(),
        progress: chasqui_wire::Progress::default(),
    }
}

fn attached() -> Event {
    attached_with(known().identity_key)
}

fn attached_with(identity_key: [u8; 32]) -> Event {
    Event::Attached(Box::new(Attached {
        user: ANA,
        checkpoint: Checkpoint { era: 0, revision: 9, opening: [0; 8], seal: [0; 32] },
        eras: Vec::new(),
        http_token: "token".to_owned().into(),
        http_token_expires_at: START,
        key_packages: KeyPackagesLeft { one_time: 3, last_resort: true },
        identity_key,
    }))
}

fn frame(session: &mut Session, frame: ClientFrame) -> Vec<Output> {
    session.handle(START, Input::Frame(frame.encode()))
}

fn frames(outputs: &[Output]) -> Vec<NodeFrame> {
    let frame = |output: &Output| match output {
        Output::Transmit(bytes) => Some(NodeFrame::decode(bytes.clone(), &Limits::DEFAULT).unwrap()),
        Output::Submit(_) | Output::Close => None,
    };
    outputs.iter().filter_map(frame).collect()
}

/// The reason of a goodbye after which the socket is closed.
fn goodbye(outputs: &[Output]) -> Option<GoodbyeReason> {
    match (frames(outputs).as_slice(), outputs.get(1)) {
        ([NodeFrame::Goodbye(goodbye)], Some(Output::Close)) => Some(goodbye.reason),
        _ => None,
    }
}

fn welcomed() -> Session {
    let mut session = session();
    let asked = frame(&mut session, ClientFrame::Hello(hello()));
    assert!(matches!(asked.as_slice(), [Output::Submit(Op::Lookup(ANA_PHONE))]), "{asked:?}");
    let asked = session.handle(START, Input::Event(Event::Device(Some(known()))));
    let [Output::Submit(Op::Attach(attach))] = asked.as_slice() else { panic!("{asked:?}") };
    assert_eq!((attach.window_entries, attach.window_bytes), (256, 1024 * 1024), "0 = the node's default");
    let outputs = session.handle(START, Input::Event(attached()));
    assert!(matches!(frames(&outputs).as_slice(), [NodeFrame::Welcome(_)]));
    session
}

fn read() -> Read {
    let mut read = Read {
        id: MessageId::from_bytes([9; 16]),
        conversation: chasqui_wire::ConversationId::from_bytes([8; 16]),
        up_to: Seq::new(0, 1).unwrap(),
        ranges: SeqRanges::default(),
        authors: Vec::new(),
        at: START,
        signature: [0; 64],
    };
    read.signature = signed(&signing::read(REALM, ANA, ANA_PHONE, &read));
    read
}

#[test]
fn the_first_frame_is_the_challenge() {
    let NodeFrame::Challenge(challenge) = &frames(&session().open())[0] else { panic!() };
    assert_eq!((challenge.nonce, challenge.realm, challenge.common_version()), (NONCE, REALM, Some(1)));
}

#[test]
fn hellos_that_are_refused() {
    let check = |change: fn(&mut Hello, &mut Option<KnownDevice>), reason| {
        let (mut hello, mut known, mut session) = (hello(), Some(known()), session());
        change(&mut hello, &mut known);
        let mut outputs = frame(&mut session, ClientFrame::Hello(hello));
        if let [Output::Submit(Op::Lookup(_))] = outputs.as_slice() {
            outputs = session.handle(START, Input::Event(Event::Device(known)));
        }
        assert_eq!(goodbye(&outputs), Some(reason));
        assert!(session.is_closed() && session.wake_at().is_none());
    };
    check(|hello, _| hello.version = 2, GoodbyeReason::IncompatibleVersion);
    check(|hello, _| hello.version = 0, GoodbyeReason::IncompatibleVersion);
    check(|hello, _| hello.realm = RealmId::from_bytes([2; 16]), GoodbyeReason::WrongRealm);
    check(|hello, _| hello.signature[0] ^= 1, GoodbyeReason::Unauthorised);
    check(|hello, _| hello.device = DeviceId::from_bytes([2; 16]), GoodbyeReason::Unauthorised);
    check(|_, known| *known = None, GoodbyeReason::Unauthorised);
    check(|_, known| known.as_mut().unwrap().key[0] ^= 1, GoodbyeReason::Unauthorised);
    check(|_, known| known.as_mut().unwrap().revoked = true, GoodbyeReason::Revoked);
    // A signature for another socket's nonce.
    let replayed = |hello: &mut Hello, _: &mut Option<KnownDevice>| {
        hello.signature = signed(&signing::hello(REALM, &[4; 32], ANA_PHONE, 1));
    };
    check(replayed, GoodbyeReason::Unauthorised);
}

#[test]
fn frames_out_of_order_end_the_socket() {
    let early = [
        ClientFrame::Ping(Ping { nonce: 1 }),
        ClientFrame::Read(read()),
        ClientFrame::Ack(Ack::from(vec![])),
        ClientFrame::Signal(signal(0)),
    ];
    for early in early {
        assert_eq!(goodbye(&frame(&mut session(), early.clone())), Some(GoodbyeReason::ProtocolError));
        let mut attaching = session();
        frame(&mut attaching, ClientFrame::Hello(hello()));
        assert_eq!(goodbye(&frame(&mut attaching, early.clone())), Some(GoodbyeReason::ProtocolError));
        attaching = session();
        frame(&mut attaching, ClientFrame::Hello(hello()));
        attaching.handle(START, Input::Event(Event::Device(Some(known()))));
        let outputs = frame(&mut attaching, early);
        assert_eq!(goodbye(&outputs), Some(GoodbyeReason::ProtocolError));
        assert!(matches!(outputs.last(), Some(Output::Submit(Op::Detach))), "the seat may have been taken");
    }
    assert_eq!(goodbye(&frame(&mut welcomed(), ClientFrame::Hello(hello()))), Some(GoodbyeReason::ProtocolError));
}

#[test]
fn bytes_that_are_no_frame() {
    let mut session = welcomed();
    let outputs = session.handle(START, Input::Frame(Bytes::new()));
    assert!(matches!(frames(&outputs).as_slice(), [NodeFrame::Unsupported(_)]), "an unknown kind keeps the socket");
    let outputs = session.handle(START, Input::Frame(Bytes::from_static(&[0xff; 9])));
    assert_eq!(goodbye(&outputs), Some(GoodbyeReason::ProtocolError));
    let outputs = welcomed().handle(START, Input::Frame(vec![0; Limits::DEFAULT.frame_bytes as usize + 1].into()));
    assert_eq!(goodbye(&outputs), Some(GoodbyeReason::FrameTooLarge));
}

fn deliver(session: &mut Session, number: u64) {
    let entry = Entry { number, kind: EntryKind::Unknown };
    session.handle(START, Input::Event(Event::Mail(vec![entry])));
}

fn ack(numbers: &[u64]) -> ClientFrame {
    let item = |&number| AckItem { number, outcome: AckOutcome::Stored };
    ClientFrame::Ack(numbers.iter().map(item).collect::<Vec<_>>().into())
}

#[test]
fn acks_reach_the_relay_once_and_only_for_what_was_delivered_here() {
    let mut session = welcomed();
    (1..=3).for_each(|number| deliver(&mut session, number));
    let outputs = frame(&mut session, ack(&[1, 9, 3, 3]));
    let [Output::Submit(Op::Acknowledge(passed))] = outputs.as_slice() else { panic!("{outputs:?}") };
    assert_eq!(passed.items.iter().map(|item| item.number).collect::<Vec<_>>(), [1, 3]);
    for _ in 0..1_000 {
        assert!(frame(&mut session, ack(&[1, 3, 7])).is_empty(), "a flood of acks is nobody's work");
    }
    assert_eq!(frame(&mut session, ack(&[2])).len(), 1);
}

fn accepted() -> Input {
    Input::Event(Event::Accepted(Accepted { message: read().id, seq: None, at: START, revision: 1 }))
}

#[test]
fn a_session_takes_no_frames_while_many_answers_are_owed() {
    let mut session = welcomed();
    for _ in 0..Limits::DEFAULT.sends_in_flight * 2 {
        assert!(session.wants_input());
        frame(&mut session, ClientFrame::Read(read()));
    }
    assert!(!session.wants_input());
    let due = session.wake_at().unwrap();
    assert!(session.handle(due, Input::Tick).is_empty(), "it cannot be heard while nobody listens");
    assert!(session.wake_at().unwrap() > due);
    session.handle(due, accepted());
    assert!(session.wants_input());
}

#[test]
fn a_session_takes_no_frames_while_many_bytes_are_under_way() {
    let mut session = welcomed();
    let send = |length| ClientFrame::Send(Box::new(send(length)));
    for _ in 0..16 {
        assert!(session.wants_input());
        frame(&mut session, send(64 * 1024));
    }
    assert!(!session.wants_input());
    session.handle(START, accepted());
    assert!(session.wants_input());
    frame(&mut session, send(0));
    assert!(session.wants_input(), "fifteen large ones and a small one");
}

fn send(length: usize) -> Send {
    Send {
        message: MessageId::from_bytes([9; 16]),
        conversation: chasqui_wire::ConversationId::from_bytes([8; 16]),
        kind: ConversationKind::Direct,
        protection: Protection::NodeReadable,
        peer: Some(ANA),
        body: vec![0; length].into(),
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
    }
}

#[test]
fn what_an_open_session_passes_on() {
    let mut session = welcomed();
    deliver(&mut session, 5);
    let outputs = frame(&mut session, ack(&[5]));
    assert!(matches!(outputs.as_slice(), [Output::Submit(Op::Acknowledge(ack))] if ack.items.len() == 1));
    assert!(matches!(frame(&mut session, ClientFrame::Read(read())).as_slice(), [Output::Submit(Op::Read(_))]));
    let NodeFrame::Pong(pong) = &frames(&frame(&mut session, ClientFrame::Ping(Ping { nonce: 7 })))[0] else {
        panic!()
    };
    assert_eq!((pong.nonce, pong.checkpoint.as_ref().map(|checkpoint| checkpoint.revision)), (7, Some(9)));
}

#[test]
fn a_read_with_a_forged_signature_is_refused_without_asking_the_relay() {
    let mut forged = read();
    forged.up_to = Seq::new(0, 2).unwrap();
    let outputs = frame(&mut welcomed(), ClientFrame::Read(forged));
    let [NodeFrame::Rejected(rejected)] = &frames(&outputs)[..] else { panic!("{outputs:?}") };
    assert_eq!((rejected.code, outputs.len()), (ErrorCode::Invalid, 1));
}

#[test]
fn too_many_unanswered_sends_end_the_socket() {
    let mut session = welcomed();
    let twice = Limits::DEFAULT.sends_in_flight * 2;
    for _ in 0..twice {
        assert_eq!(frame(&mut session, ClientFrame::Read(read())).len(), 1);
    }
    session.handle(START, accepted());
    assert!(goodbye(&frame(&mut session, ClientFrame::Read(read()))).is_none(), "one was answered");
    assert_eq!(goodbye(&frame(&mut session, ClientFrame::Read(read()))), Some(GoodbyeReason::Overloaded));
}

#[test]
fn silence_ends_the_socket() {
    let mut session = session();
    assert!(session.handle(START.plus_millis(9_999), Input::Tick).is_empty());
    assert_eq!(goodbye(&session.handle(START.plus_millis(10_000), Input::Tick)), Some(GoodbyeReason::TimedOut));
    let mut session = welcomed();
    let late = session.wake_at().unwrap();
    assert_eq!(late, START.plus_millis(75_000));
    session.handle(late.plus_millis(0), Input::Frame(ClientFrame::Ping(Ping { nonce: 1 }).encode()));
    assert!(session.handle(late, Input::Tick).is_empty(), "something was heard");
}

#[test]
fn every_end_gives_the_seat_back() {
    let check = |input, reason| {
        let outputs = welcomed().handle(START, input);
        assert_eq!(goodbye(&outputs), reason);
        assert!(matches!(outputs.last(), Some(Output::Submit(Op::Detach))));
    };
    check(Input::Event(Event::Displaced), Some(GoodbyeReason::Displaced));
    check(Input::Event(Event::Revoked), Some(GoodbyeReason::Revoked));
    check(Input::Event(Event::NewEra), Some(GoodbyeReason::NewEra));
    check(Input::Event(Event::NewIdentity), Some(GoodbyeReason::Unspecified));
    check(Input::Event(Event::Failed), Some(GoodbyeReason::NodeFailure));
    check(Input::ShutDown { retry_after_ms: 5 }, Some(GoodbyeReason::ShuttingDown));
    check(Input::Lost, None);
}

fn signal(length: usize) -> Signal {
    let conversation = chasqui_wire::ConversationId::from_bytes([8; 16]);
    Signal { conversation, sender: None, body: vec![1; length].into(), epoch: 3 }
}

#[test]
fn signals_pass_unanswered_and_those_that_are_too_many_are_dropped() {
    let mut session = welcomed();
    let mut say = |at| {
        let outputs = session.handle(at, Input::Frame(ClientFrame::Signal(signal(9)).encode()));
        assert!(session.wants_input(), "nothing is owed for it");
        match outputs.as_slice() {
            [] => session.take_dropped_signals(),
            [Output::Submit(Op::Signal(passed))] if *passed == signal(9) => 0,
            other => panic!("{other:?}"),
        }
    };
    for _ in 0..10 {
        assert_eq!(say(START), 0);
    }
    assert_eq!(say(START), 1);
    assert_eq!(say(START.plus_millis(999)), 1);
    assert_eq!(say(START.plus_millis(1_000)), 0, "one a second");
    assert_eq!(say(START.plus_millis(1_000)), 1);
    let later = START.plus_millis(60_000);
    assert_eq!((0..11).map(|_| say(later)).sum::<u64>(), 1, "all at once again, and no more");
    assert_eq!((0..20).map(|_| say(START)).sum::<u64>(), 20, "a clock that went back");
    assert_eq!(say(START.plus_millis(11_000)), 1);
    assert_eq!(say(later.plus_millis(1_000)), 0);
}

#[test]
fn a_signal_that_is_too_long_ends_the_socket_and_those_of_others_are_handed_on() {
    let mut session = welcomed();
    assert_eq!(frame(&mut session, ClientFrame::Signal(signal(Signal::BODY_MAX))).len(), 1);
    let theirs = Signal { sender: Some((ANA, ANA_PHONE)), ..signal(9) };
    let outputs = session.handle(START, Input::Event(Event::Signal(theirs.clone())));
    assert_eq!(frames(&outputs), [NodeFrame::Signal(theirs)]);
    let outputs = frame(&mut session, ClientFrame::Signal(signal(Signal::BODY_MAX + 1)));
    assert_eq!(goodbye(&outputs), Some(GoodbyeReason::ProtocolError));
}

fn key_packages() -> KeyPackages {
    let link = identity().sign(&signing::link(REALM, ANA, ANA_PHONE, &known().key));
    KeyPackages {
        id: MessageId::from_bytes([7; 16]),
        link: link.as_ref().try_into().unwrap(),
        one_time: vec![vec![1; 500].into(); 3],
        last_resort: Some(vec![2; 500].into()),
        replace: false,
    }
}

#[test]
fn key_packages_reach_the_relay_with_a_link_of_the_users_identity_only() {
    let outputs = frame(&mut welcomed(), ClientFrame::KeyPackages(key_packages()));
    assert!(matches!(outputs.as_slice(), [Output::Submit(Op::KeyPackages(passed))] if **passed == key_packages()));
    let by_the_device = signed(&signing::link(REALM, ANA, ANA_PHONE, &known().key));
    let sign = |bytes: Vec<u8>| identity().sign(&bytes).as_ref().try_into().unwrap();
    let other = [9; 16];
    for (link, why) in [
        ([0; 64], "nobody's"),
        (by_the_device, "the device's own word"),
        (sign(signing::link(REALM, ANA, DeviceId::from_bytes(other), &known().key)), "another device's"),
        (sign(signing::link(REALM, ANA, ANA_PHONE, &[9; 32])), "another key's"),
        (sign(signing::link(REALM, UserId::from_bytes(other), ANA_PHONE, &known().key)), "another user's"),
        (sign(signing::link(RealmId::from_bytes(other), ANA, ANA_PHONE, &known().key)), "another app's"),
    ] {
        let outputs = frame(&mut welcomed(), ClientFrame::KeyPackages(KeyPackages { link, ..key_packages() }));
        let [NodeFrame::Rejected(rejected)] = &frames(&outputs)[..] else { panic!("{why}: {outputs:?}") };
        assert_eq!((rejected.code, rejected.message), (ErrorCode::NotLinked, key_packages().id), "{why}");
        assert_eq!(outputs.len(), 1, "the relay is not asked");
    }
}

fn claim() -> Claim {
    Claim {
        id: MessageId::from_bytes([8; 16]),
        conversation: chasqui_wire::ConversationId::from_bytes([8; 16]),
        kind: ConversationKind::Direct,
        protection: Protection::EndToEnd,
        peer: Some(ANA),
        anew: false,
    }
}

#[test]
fn an_identity_that_was_reset_during_the_handshake_links_nobody_any_more() {
    let mut session = session();
    frame(&mut session, ClientFrame::Hello(hello()));
    session.handle(START, Input::Event(Event::Device(Some(known()))));
    let outputs = session.handle(START, Input::Event(attached_with(known().key)));
    let [NodeFrame::Welcome(welcome)] = &frames(&outputs)[..] else { panic!("{outputs:?}") };
    assert_eq!(welcome.identity_key, Some(known().key));
    let outputs = frame(&mut session, ClientFrame::KeyPackages(key_packages()));
    let [NodeFrame::Rejected(rejected)] = &frames(&outputs)[..] else { panic!("{outputs:?}") };
    assert_eq!(rejected.code, ErrorCode::NotLinked);
    let link = signed(&signing::link(REALM, ANA, ANA_PHONE, &known().key));
    let outputs = frame(&mut session, ClientFrame::KeyPackages(KeyPackages { link, ..key_packages() }));
    assert!(matches!(outputs.as_slice(), [Output::Submit(Op::KeyPackages(_))]));
}

#[test]
fn claims_and_key_packages_are_answered_in_turn_like_sends() {
    let mut session = welcomed();
    let twice = Limits::DEFAULT.sends_in_flight * 2;
    for number in 0..twice {
        assert!(session.wants_input());
        let asked =
            if number % 2 == 0 { ClientFrame::Claim(claim()) } else { ClientFrame::KeyPackages(key_packages()) };
        assert_eq!(frame(&mut session, asked).len(), 1);
    }
    assert!(!session.wants_input());
    let claimed = Claimed { id: claim().id, epoch: 4, roster: vec![], gone: vec![], packages: vec![] };
    let outputs = session.handle(START, Input::Event(Event::Claimed(Box::new(claimed.clone()))));
    assert_eq!(frames(&outputs), [NodeFrame::Claimed(claimed)]);
    assert!(session.wants_input(), "it was the oldest that was answered");
    // The bytes of key packages and Welcomes count as those of bodies do.
    let mut session = welcomed();
    let welcome = vec![0; 240_000].into();
    let commit = Commit { hash: [0; 32], added: vec![], removed: vec![], begins: true, welcome };
    for _ in 0..5 {
        assert!(session.wants_input());
        frame(&mut session, ClientFrame::Send(Box::new(Send { commit: Some(commit.clone()), ..send(0) })));
    }
    assert!(!session.wants_input());
    let mut session = welcomed();
    let large = KeyPackages { one_time: vec![vec![0; 4_000].into(); 60], ..key_packages() };
    for _ in 0..5 {
        assert!(session.wants_input());
        frame(&mut session, ClientFrame::KeyPackages(large.clone()));
    }
    assert!(!session.wants_input());
}

#[test]
fn a_device_hears_in_its_welcome_and_each_pong_what_is_left_of_its_key_packages() {
    let mut session = session();
    frame(&mut session, ClientFrame::Hello(hello()));
    session.handle(START, Input::Event(Event::Device(Some(known()))));
    let outputs = session.handle(START, Input::Event(attached()));
    let NodeFrame::Welcome(welcome) = &frames(&outputs)[0] else { panic!("{outputs:?}") };
    assert_eq!(welcome.key_packages, Some(KeyPackagesLeft { one_time: 3, last_resort: true }));
    let ping = |session: &mut Session| match &frames(&frame(session, ClientFrame::Ping(Ping { nonce: 1 })))[0] {
        NodeFrame::Pong(pong) => pong.key_packages,
        other => panic!("{other:?}"),
    };
    assert_eq!(ping(&mut session), welcome.key_packages);
    let left = KeyPackagesLeft { one_time: 2, last_resort: false };
    assert!(session.handle(START, Input::Event(Event::KeyPackagesLeft(left))).is_empty(), "nobody asked");
    assert_eq!(ping(&mut session), Some(left));
}
