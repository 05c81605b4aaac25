//! What a step keeps by counting on equals what a look at all messages gives, however the step was put together.

use chasqui_wire::{Gap, GapReason};
use proptest::prelude::*;

use super::*;

/// What may happen within one step. Numbers name messages, positions are few: redeliveries, stragglers and messages that
/// move are common.
#[derive(Clone, Debug)]
enum Happening {
    Mail(Vec<Piece>),
    Read(u64),
    Delete(u128),
    Send(u128),
    Accepted(u128, u64),
}

#[derive(Clone, Debug)]
enum Piece {
    Message { number: u128, at: u64, own: bool },
    Gap(u64),
    ReadElsewhere(u64),
}

/// What raises the head to this position always fails, when the message itself is stored already.
const POISON: u64 = 13;

fn piece() -> impl Strategy<Value = Piece> {
    prop_oneof![
        8 => (0..24_u128, 1..24_u64, any::<bool>()).prop_map(|(number, at, own)| Piece::Message { number, at, own }),
        2 => (1..24_u64).prop_map(Piece::Gap),
        1 => (1..24_u64).prop_map(Piece::ReadElsewhere),
    ]
}

fn happening() -> impl Strategy<Value = Happening> {
    prop_oneof![
        6 => prop::collection::vec(piece(), 1..8).prop_map(Happening::Mail),
        1 => (1..24_u64).prop_map(Happening::Read),
        2 => (0..30_u128).prop_map(Happening::Delete),
        1 => (24..30_u128).prop_map(Happening::Send),
        1 => (24..30_u128, 24..40_u64).prop_map(|(number, at)| Happening::Accepted(number, at)),
    ]
}

fn entry(piece: &Piece) -> EntryKind {
    match *piece {
        Piece::Message { number, at, own } => {
            let mut entry = text(number, at, &format!("word{number}"));
            let EntryKind::Envelope(envelope) = &mut entry else { unreachable!() };
            envelope.accepted_at = NOW.plus_millis(at);
            if own {
                (envelope.sender_user, envelope.sender_device, envelope.peer) = (id(10), id(12), Some(id(20)));
            }
            entry
        }
        Piece::Gap(at) => EntryKind::Gap(Gap {
            conversation: chat(),
            seq: seq(at),
            reason: GapReason::Expired,
            kind: ConversationKind::Direct,
            protection: Protection::NodeReadable,
            sender_user: id(20),
            peer: Some(id(10)),
            at: NOW,
        }),
        Piece::ReadElsewhere(at) => {
            let mut read = Read {
                id: id(7),
                conversation: chat(),
                up_to: seq(at),
                ranges: SeqRanges::default(),
                authors: Vec::new(),
                at: NOW,
                signature: [0; 64],
            };
            read.signature = sign_with(&Secret::new([2; 32]), &signing::read(id(1), id(10), id(12), &read));
            let device_key = public_key(&Secret::new([2; 32]));
            EntryKind::Read(Box::new(ReadNotice { user: id(10), device: id(12), device_key, read }))
        }
    }
}

impl Ana {
    fn input(&self, happening: &Happening) -> Input {
        let frame = |frame: NodeFrame| Input::Frame(self.socket, frame.encode());
        let command = |command| Input::Command(CommandId(1), command);
        match happening {
            Happening::Mail(pieces) => {
                let entries = pieces.iter().zip(1..).map(|(piece, number)| Entry { number, kind: entry(piece) });
                frame(NodeFrame::Deliver(Deliver { entries: entries.collect() }))
            }
            Happening::Read(at) => command(Command::MarkRead(chat(), Some(seq(*at)))),
            Happening::Delete(number) => command(Command::Delete(id(*number))),
            Happening::Send(number) => {
                let text = format!("word{number}");
                command(Command::SendText { conversation: chat(), message: id(*number), text })
            }
            Happening::Accepted(number, at) => {
                let (message, seq) = (id(*number), Some(seq(*at)));
                frame(NodeFrame::Accepted(Accepted { message, seq, at: NOW, revision: 2 }))
            }
        }
    }

    fn ask(&self, sql: &str) -> i64 {
        self.store.connection().query_row(sql, [], |row| row.get::<_, Option<i64>>(0)).unwrap().unwrap_or(-1)
    }

    /// Each pair: what is kept, and what the messages say.
    fn kept_and_recounted(&self) -> Vec<(&'static str, i64, i64)> {
        let newest = "FROM message WHERE deleted = 0 AND message IS NOT NULL ORDER BY anchor DESC, place DESC, id DESC";
        let activity = self.ask("SELECT activity FROM conversation");
        let accepted = self.ask(&format!("SELECT (SELECT coalesce(accepted_at, created_at) {newest} LIMIT 1)"));
        let unread = "SELECT count(*) FROM message, conversation WHERE incoming = 1 AND deleted = 0
                      AND message IS NOT NULL AND anchor > read_up_to";
        vec![
            ("unread", self.ask("SELECT unread FROM conversation"), self.ask(unread)),
            (
                "last message",
                self.ask("SELECT last_message FROM conversation"),
                self.ask(&format!("SELECT (SELECT id {newest} LIMIT 1)")),
            ),
            // What has no message left stays in its place.
            ("activity", activity, if accepted < 0 { activity } else { accepted }),
            ("head", self.ask("SELECT head FROM conversation"), self.ask("SELECT coalesce(max(seq), 0) FROM message")),
            (
                "gaps where a message stands",
                self.ask(
                    "SELECT count(*) FROM message AS gap JOIN message USING (conversation, anchor, place)
                          WHERE gap.message IS NULL AND message.message IS NOT NULL",
                ),
                0,
            ),
            (
                "indexed messages",
                self.ask("SELECT count(*) FROM message_index_docsize"),
                self.ask("SELECT count(*) FROM message WHERE deleted = 0 AND message IS NOT NULL"),
            ),
        ]
    }

    /// What a search for a message finds is that message, unless it is deleted or not here.
    fn assert_searchable(&self) {
        for number in 0..30_u128 {
            let shown = self.store.history().message(id(number)).unwrap();
            let found = self.store.history().search(&format!("word{number}"), 30).unwrap();
            let exact = found.into_iter().map(|hit| hit.message).find(|message| message.id == id(number));
            assert_eq!(exact, shown, "word{number}");
        }
    }
}

proptest! {
    #[test]
    fn what_is_kept_is_what_the_messages_say(
        steps in prop::collection::vec(prop::collection::vec(happening(), 1..6), 1..8),
    ) {
        let mut ana = Ana::online();
        let trigger = format!(
            "CREATE TEMP TRIGGER poison BEFORE UPDATE ON main.conversation WHEN NEW.head = {POISON}
             BEGIN SELECT RAISE(ABORT, 'poison'); END"
        );
        ana.store.connection().execute_batch(&trigger).unwrap();
        for step in &steps {
            let inputs = step.iter().map(|happening| ana.input(happening)).collect();
            ana.handle(inputs);
            for (what, kept, recounted) in ana.kept_and_recounted() {
                prop_assert_eq!(kept, recounted, "{} after {:?}", what, step);
            }
            if ana.engine.connection() != ConnectionState::Online {
                ana.reconnect();
            }
        }
        ana.assert_searchable();
    }
}

/// The node takes a device for a copy that knows less than it acknowledged.
#[test]
fn what_is_acknowledged_is_counted() {
    let mut ana = Ana::online();
    let counted = |ana: &Ana| crate::store::AccountRow::load(ana.store.connection()).unwrap().unwrap().progress;
    ana.deliver(vec![text(101, 1, "one"), text(102, 2, "two")]);
    assert_eq!(counted(&ana).stored_up_to, 2, "all together");
    let trigger = "CREATE TEMP TRIGGER poison BEFORE INSERT ON main.message WHEN NEW.seq = 6
                   BEGIN SELECT RAISE(ABORT, 'poison'); END";
    ana.store.connection().execute_batch(trigger).unwrap();
    let entries = vec![text(103, 3, "three"), text(104, 4, "four"), text(105, 5, "five"), text(106, 6, "poison")];
    ana.deliver(entries);
    assert_eq!(counted(&ana).stored_up_to, 3, "one by one, and not what failed");
}

#[test]
fn names_that_nobody_knows_do_not_stand_in_the_way_of_others() {
    let mut ana = Ana::new();
    for number in 100..150 {
        ana.handle(vec![Input::Command(CommandId(1), Command::OpenDirect(id(number), Protection::NodeReadable))]);
    }
    ana.connect();
    let mut waiting: Vec<UserId> = ana.engine.resolving.iter().copied().collect();
    assert_eq!(waiting.len(), 16);
    let mut asked = BTreeSet::new();
    while let Some(user) = waiting.pop() {
        assert!(asked.insert(user), "asked twice on one socket");
        let step = ana.handle(vec![Input::Resolved(user, None)]);
        waiting.extend(step.outputs.iter().filter_map(|output| match output {
            Output::Resolve(user) => Some(*user),
            _ => None,
        }));
    }
    assert_eq!(asked.len(), 51);
}

/// A restored node that nobody gives the conversation back to.
#[test]
fn a_read_mark_that_the_node_cannot_place_is_said_less_and_less_often() {
    let mut ana = Ana::online();
    ana.deliver(vec![text(101, 1, "hello")]);
    let read = |frames: Vec<ClientFrame>| {
        frames.into_iter().find_map(|frame| if let ClientFrame::Read(read) = frame { Some(read.id) } else { None })
    };
    let step = ana.handle(vec![Input::Command(CommandId(1), Command::MarkRead(chat(), None))]);
    let mut said = read(ana.frames(&step));
    let mut pauses = Vec::new();
    for _ in 0..8 {
        let (message, code) = (said.expect("said"), ErrorCode::NotFound);
        let refused = Rejected { message, code, detail: String::new(), retry_after_ms: 0 };
        assert_eq!(read(ana.say(NodeFrame::Rejected(refused))), None);
        said = None;
        let mut minutes = 0;
        while said.is_none() {
            minutes += 1;
            ana.now = ana.now.plus_millis(60_000);
            let pong = chasqui_wire::Pong { nonce: 0, time: ana.now, checkpoint: None, key_packages: None };
            said = read(ana.say(NodeFrame::Pong(pong)));
        }
        pauses.push(minutes);
    }
    assert_eq!(pauses, [1, 2, 4, 8, 16, 32, 60, 60]);
    let accepted = Accepted { message: said.unwrap(), seq: None, at: NOW, revision: 9 };
    assert_eq!(read(ana.say(NodeFrame::Accepted(accepted))), None);
    ana.deliver(vec![text(102, 2, "and on")]);
    let step = ana.handle(vec![Input::Command(CommandId(2), Command::MarkRead(chat(), None))]);
    let message = read(ana.frames(&step)).expect("said");
    let refused = Rejected { message, code: ErrorCode::NotFound, detail: String::new(), retry_after_ms: 0 };
    ana.say(NodeFrame::Rejected(refused));
    ana.now = ana.now.plus_millis(60_000);
    let step = ana.handle(vec![Input::Wake]);
    assert!(read(ana.frames(&step)).is_some(), "from the beginning");
}
