//! Who is typing: what others are told of it, and what is believed of what they tell.

use chasqui_wire::{Claimed, KeyPackage, RosterEntry, Signal, SignalBody, SignalKind, Unsupported};

use super::encrypted::{claim, writing};
use super::*;
use crate::domain::Typing;
use crate::e2ee::{Mls, Own};
use crate::engine::typing::header;

impl Ana {
    fn command(&mut self, command: Command) -> (Result<Reply, Error>, Vec<ClientFrame>) {
        let mut step = self.handle(vec![Input::Command(CommandId(9), command)]);
        let frames = self.frames(&step);
        let reply = step.outputs.drain(..).find_map(|output| match output {
            Output::Reply(CommandId(9), reply) => Some(reply),
            _ => None,
        });
        (reply.expect("answered"), frames)
    }

    /// The app says that Ana writes, or does not; what are others told?
    fn typing_in(&mut self, conversation: ConversationId, typing: bool) -> Vec<SignalKind> {
        let (reply, frames) = self.command(Command::SetTyping(conversation, typing));
        assert_eq!(reply, Ok(Reply::Done));
        let now = self.now;
        let kind = |frame| match frame {
            ClientFrame::Signal(signal) => {
                assert_eq!((signal.conversation, signal.sender, signal.epoch), (conversation, None, 0));
                let body = SignalBody::decode(&signal.body).unwrap();
                assert_eq!(body.at, now);
                body.kind
            }
            other => panic!("{other:?}"),
        };
        frames.into_iter().map(kind).collect()
    }

    fn types(&mut self, typing: bool) -> Vec<SignalKind> {
        self.typing_in(chat(), typing)
    }

    fn after(&mut self, millis: u64) {
        self.now = self.now.plus_millis(millis);
    }

    /// Bo signals.
    fn hears(&mut self, kind: SignalKind) {
        self.hears_signal(self.bos(kind));
    }

    fn bos(&self, kind: SignalKind) -> Signal {
        let body = SignalBody { at: self.now, kind }.encode().into();
        Signal { conversation: chat(), sender: Some((id(20), id(21))), body, epoch: 0 }
    }

    fn hears_signal(&mut self, signal: Signal) {
        assert!(self.say(NodeFrame::Signal(signal)).is_empty(), "nobody answers");
        assert_eq!(self.engine.connection(), ConnectionState::Online);
    }

    fn sees_bo(&self) -> bool {
        let seen = self.engine.typing();
        assert!(seen.is_empty() || seen == [Typing { conversation: chat(), user: id(20) }], "{seen:?}");
        !seen.is_empty()
    }
}

#[test]
fn others_are_told_every_four_seconds_and_once_that_it_ended() {
    use SignalKind::{Stopped, Typing};
    let mut ana = Ana::online();
    assert_eq!(ana.types(false), [], "nobody thought so");
    assert_eq!(ana.types(true), [Typing]);
    for _ in 0..3 {
        ana.after(1_333);
        assert_eq!(ana.types(true), []);
    }
    ana.after(1);
    assert_eq!(ana.types(true), [Typing]);
    assert_eq!((ana.types(false), ana.types(false)), (vec![Stopped], vec![]));
    assert_eq!(ana.types(true), [Typing], "and begins again");
    ana.after(6_000);
    assert_eq!(ana.types(false), [], "they know by now");
    assert_eq!(ana.types(true), [Typing]);
    let step = ana.send(1, "hello");
    assert!(matches!(ana.frames(&step).as_slice(), [ClientFrame::Send(_)]), "the message says it");
    assert_eq!(ana.types(false), []);
    assert_eq!(ana.types(true), [Typing]);
    ana.handle(vec![Input::Disconnected(ana.socket)]);
    assert_eq!(ana.types(false), [], "nobody is there");
}

#[test]
fn nothing_is_told_to_nobody_and_nothing_waits() {
    let mut ana = Ana::new();
    assert_eq!(ana.types(true), [], "offline");
    let said = ana.connect_in(Vec::new());
    assert!(!said.iter().any(|frame| matches!(frame, ClientFrame::Signal(_))), "{said:?}");
    assert_eq!(ana.types(true), [SignalKind::Typing]);
    for (peer, protection, why) in
        [(id(10), Protection::NodeReadable, "oneself"), (id(20), Protection::EndToEnd, "there is no group yet")]
    {
        let (opened, _) = ana.command(Command::OpenDirect(peer, protection));
        let Ok(Reply::Conversation(conversation)) = opened else { panic!("{opened:?}") };
        assert_eq!(ana.typing_in(conversation, true), [], "{why}");
    }
    let (unknown, frames) = ana.command(Command::SetTyping(id(77), true));
    assert_eq!((unknown, frames), (Err(Error::NotFound { what: "conversation" }), vec![]));
    assert_eq!(ana.command(Command::ForgetEnrolment).0, Ok(Reply::Done));
    assert_eq!(ana.command(Command::SetTyping(chat(), true)).0, Err(Error::NotEnrolled));
}

#[test]
fn before_the_mail_is_in_nothing_is_told() {
    let mut ana = Ana::new();
    let challenge = Challenge { nonce: [0; 32], realm: id(1), version_min: 1, version_max: 1 };
    ana.handle(vec![Input::Connected(ana.socket)]);
    ana.say(NodeFrame::Challenge(challenge));
    ana.say(NodeFrame::Welcome(Welcome {
        user: id(10),
        limits: Limits::DEFAULT,
        checkpoint: checkpoint(),
        eras: Vec::new(),
        time: NOW,
        http_token: String::new().into(),
        http_token_expires_at: NOW,
        key_packages: None,
        identity_key: None,
    }));
    assert_eq!(ana.engine.connection(), ConnectionState::CatchingUp);
    assert_eq!(ana.types(true), []);
    ana.say(NodeFrame::Drained(Drained { checkpoint: checkpoint() }));
    assert_eq!(ana.types(true), [SignalKind::Typing]);
}

#[test]
fn a_stranger_neither_hears_nor_is_heard() {
    let mut ana = Ana::online();
    let mut request = text(101, 1, "buy this");
    let EntryKind::Envelope(envelope) = &mut request else { unreachable!() };
    envelope.request = true;
    ana.deliver(vec![request]);
    assert_eq!(ana.types(true), []);
    ana.hears(SignalKind::Typing);
    assert!(!ana.sees_bo());
    let (_, frames) = ana.command(Command::AcceptRequest(chat()));
    let [ClientFrame::Admit(admit)] = frames.as_slice() else { panic!("{frames:?}") };
    let message = admit.id;
    assert_eq!(ana.types(true), [], "the node does not know it yet");
    ana.say(NodeFrame::Accepted(Accepted { message, seq: None, at: NOW, revision: 2 }));
    assert_eq!(ana.types(true), [SignalKind::Typing]);
    ana.hears(SignalKind::Typing);
    assert!(ana.sees_bo());
}

#[test]
fn somebody_types_until_it_is_said_or_six_seconds_passed() {
    let mut ana = Ana::online();
    ana.hears(SignalKind::Typing);
    assert!(ana.sees_bo());
    ana.hears(SignalKind::Stopped);
    assert!(!ana.sees_bo());

    ana.hears(SignalKind::Typing);
    ana.after(4_000);
    ana.hears(SignalKind::Typing);
    ana.after(5_999);
    let step = ana.handle(vec![Input::Wake]);
    assert!(ana.sees_bo());
    assert_eq!(step.wake_at, Some(ana.now.plus_millis(1)));
    ana.after(1);
    let step = ana.handle(vec![Input::Wake]);
    assert!(!ana.sees_bo());
    assert!(step.wake_at > Some(ana.now.plus_millis(1_000)));

    ana.hears(SignalKind::Typing);
    ana.deliver(vec![text(101, 1, "what Bo wrote")]);
    assert!(!ana.sees_bo(), "here it is");

    ana.hears(SignalKind::Typing);
    ana.handle(vec![Input::Disconnected(ana.socket)]);
    assert!(!ana.sees_bo(), "nobody says that it ended");
}

#[test]
fn what_is_late_forged_or_not_understood_is_nothing() {
    let mut ana = Ana::online();
    let bos = ana.bos(SignalKind::Typing);
    let body = |at: i64, kind| Bytes::from(SignalBody { at: Timestamp(NOW.0 + at), kind }.encode());
    for (signal, why) in [
        (Signal { sender: None, ..bos.clone() }, "nobody's"),
        (Signal { sender: Some((id(10), id(12))), ..bos.clone() }, "another device of Ana's"),
        (Signal { sender: Some((id(30), id(31))), ..bos.clone() }, "no member"),
        (Signal { conversation: id(77), ..bos.clone() }, "nowhere"),
        (Signal { body: body(-10_001, SignalKind::Typing), ..bos.clone() }, "late, or repeated"),
        (Signal { body: body(10_001, SignalKind::Typing), ..bos.clone() }, "to be repeated for long"),
        (Signal { body: body(0, SignalKind::Unknown), ..bos.clone() }, "of a later version"),
        (Signal { body: Bytes::from_static(b"\xff\xff"), ..bos.clone() }, "garbage"),
    ] {
        ana.hears_signal(signal);
        assert!(!ana.sees_bo(), "{why}");
    }
    for at in [-10_000, 10_000] {
        ana.hears_signal(Signal { body: body(at, SignalKind::Typing), ..bos.clone() });
        assert!(ana.sees_bo(), "{at}");
        ana.hears_signal(Signal { body: body(at, SignalKind::Stopped), ..bos.clone() });
    }
    // What cannot be read in an encrypted conversation is nothing as well.
    let (opened, _) = ana.command(Command::OpenDirect(id(20), Protection::EndToEnd));
    let Ok(Reply::Conversation(conversation)) = opened else { panic!("{opened:?}") };
    ana.hears_signal(Signal { conversation, epoch: 1, ..bos });
    assert!(!ana.sees_bo());
}

#[test]
fn in_an_encrypted_conversation_only_the_group_reads_it_and_it_keeps_its_senders_name() {
    let bo = Own::linked(id(1), id(20), id(21), &Secret::new([2; 32]), &Secret::new([3; 32])).unwrap();
    let bos_store = Store::with_connection(Connection::open_in_memory().unwrap()).unwrap();
    let bo = Mls::new(&bo, bos_store.connection());
    let (mut ana, _) = writing();
    let conversation = direct_conversation(id(10), id(20), Protection::EndToEnd);
    let claim = claim(&mut ana);
    let entry = RosterEntry { user: id(20), device: id(21) };
    let packages = vec![KeyPackage { entry, body: bo.key_package(false).unwrap() }];
    let claimed = Claimed { id: claim, epoch: 0, roster: vec![], gone: vec![], packages };
    let said = ana.say(NodeFrame::Claimed(claimed));
    let [ClientFrame::Send(begins)] = said.as_slice() else { panic!("{said:?}") };
    let (message, commit) = (begins.message, begins.commit.as_ref().unwrap());
    let group = bo.join(&commit.welcome, None, |_| Ok(())).unwrap().group;
    ana.say(NodeFrame::Accepted(Accepted { message, seq: Some(seq(1)), at: NOW, revision: 2 }));

    let (_, frames) = ana.command(Command::SetTyping(conversation, true));
    let [ClientFrame::Signal(signal)] = frames.as_slice() else { panic!("{frames:?}") };
    assert_eq!((signal.epoch, signal.sender, signal.body.len()), (1, None, 92));
    let anas = header(conversation, (id(10), id(11)), 1);
    let opened = bo.open_signal(group, &anas, &signal.body).unwrap();
    assert_eq!(SignalBody::decode(&opened), Ok(SignalBody { at: NOW, kind: SignalKind::Typing }));

    let said = SignalBody { at: NOW, kind: SignalKind::Typing }.encode();
    let sealed = |header: &[u8]| bo.seal_signal(group, header, &said).unwrap();
    let sender = (id(20), id(21));
    let body = sealed(&header(conversation, sender, 1));
    let bos = Signal { conversation, sender: Some(sender), body, epoch: 1 };
    for (signal, why) in [
        (Signal { sender: Some((id(20), id(22))), ..bos.clone() }, "another device"),
        (Signal { body: sealed(&header(conversation, (id(10), id(21)), 1)), ..bos.clone() }, "another user's"),
        (Signal { body: sealed(&header(chat(), sender, 1)), ..bos.clone() }, "of another conversation"),
        (Signal { body: sealed(&header(conversation, sender, 2)), ..bos.clone() }, "of another epoch"),
        (Signal { epoch: 2, ..bos.clone() }, "said to be of another epoch"),
        (Signal { body: said.clone().into(), ..bos.clone() }, "in clear"),
    ] {
        ana.hears_signal(signal);
        assert_eq!(ana.engine.typing(), [], "{why}");
    }
    ana.hears_signal(bos);
    assert_eq!(ana.engine.typing(), [Typing { conversation, user: id(20) }]);
}

#[test]
fn a_node_that_passes_nothing_on_is_no_harm() {
    let mut ana = Ana::online();
    assert_eq!(ana.types(true), [SignalKind::Typing]);
    let said = ana.say(NodeFrame::Unsupported(Unsupported { detail: "this node does not pass signals on".into() }));
    assert!(said.is_empty(), "{said:?}");
    assert_eq!(ana.engine.connection(), ConnectionState::Online);
    let step = ana.send(1, "hello");
    assert!(matches!(ana.frames(&step).as_slice(), [ClientFrame::Send(_)]));
}

#[test]
fn a_clock_that_is_set_back_lets_nobody_type_for_years() {
    let mut ana = Ana::online();
    ana.types(true);
    ana.hears(SignalKind::Typing);
    ana.now = Timestamp(ana.now.0 - 365 * DAY_MS.cast_signed());
    ana.handle(vec![Input::Wake]);
    assert!(ana.sees_bo());
    ana.after(6_000);
    ana.handle(vec![Input::Wake]);
    assert!(!ana.sees_bo());
    let (_, frames) = ana.command(Command::SetTyping(chat(), true));
    assert!(frames.iter().any(|frame| matches!(frame, ClientFrame::Signal(_))), "{frames:?}");
}

#[test]
fn only_so_many_are_remembered() {
    let mut ana = Ana::online();
    for peer in 1_000..1_300 {
        let (opened, _) = ana.command(Command::OpenDirect(id(peer), Protection::NodeReadable));
        let Ok(Reply::Conversation(conversation)) = opened else { panic!("{opened:?}") };
        let signal = Signal { conversation, sender: Some((id(peer), id(peer))), ..ana.bos(SignalKind::Typing) };
        ana.hears_signal(signal);
    }
    assert_eq!(ana.engine.typing().len(), 256);
}
