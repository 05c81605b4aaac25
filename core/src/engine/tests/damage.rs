//! A history that is damaged at many places: what can be read is saved, what was not sent is sent once, and the rest is
//! reported.

use std::collections::BTreeSet;
use std::path::Path;

use super::*;
use crate::domain::Salvage;
use crate::store::{Damage, salvage};

/// 150 were tried when this was written.
const SEEDS: u64 = 40;
/// Enough for some hundred pages.
const RECEIVED: u64 = 300;
const SENT: u64 = 150;
const PENDING: u64 = 100;

fn pending(number: u64) -> u128 {
    90_000 + u128::from(number)
}

fn received(number: u64) -> u128 {
    50_000 + u128::from(number)
}

/// A history with something of everything, closed, so that all of it lies in one file.
fn history(file: &Path) {
    let mut ana = Ana::with(Store::open(file).unwrap());
    ana.connect();
    for number in 0..RECEIVED {
        let padding = "x".repeat(if number % 20 == 0 { 9_000 } else { 200 });
        ana.deliver(vec![text(received(number), number + 1, &format!("mail {number} {padding}"))]);
    }
    for number in 0..SENT {
        ana.send(70_000 + u128::from(number), "sent");
        ana.accept(70_000 + u128::from(number), seq(RECEIVED + number + 1), 3);
    }
    ana.deliver(vec![read_notice([2; 32], SeqRanges::of([seq(RECEIVED + 1)]))]);
    ana.handle(vec![Input::Command(CommandId(1), Command::MarkRead(chat(), Some(seq(10))))]);
    ana.handle(vec![Input::Disconnected(ana.socket)]);
    for number in 0..PENDING {
        ana.send(pending(number), &format!("not sent yet {number} {}", "y".repeat(150)));
    }
    ana.store.into_connection().close().unwrap();
}

/// SplitMix64, as the simulation has it.
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) as usize % bound
    }
}

fn damaged(whole: &[u8], seed: u64) -> Vec<u8> {
    let mut dice = Dice(seed);
    let mut bytes = whole.to_vec();
    let pages = bytes.len() / 4096;
    for _ in 0..=dice.below(4) {
        // The first page says what the file is; it is hit on purpose now and then, or nothing else would be tested.
        let page = if dice.below(12) == 0 { 0 } else { 1 + dice.below(pages - 1) };
        let page = &mut bytes[page * 4096..][..4096];
        match dice.below(4) {
            0 => page.fill(0),
            1 => page.iter_mut().for_each(|byte| *byte = dice.below(256) as u8),
            2 => page[..100].fill(0xff),
            _ => {
                let at = dice.below(4096 - 64);
                page[at..at + 64].iter_mut().for_each(|byte| *byte = dice.below(256) as u8);
            }
        }
    }
    if dice.below(6) == 0 {
        let length = dice.below(bytes.len());
        bytes.truncate(length);
    }
    bytes
}

/// What SQLite itself still reads of the outbox, entry by entry.
fn readable_outbox(file: &Path) -> BTreeSet<MessageId> {
    let Ok(db) = Connection::open(file) else { return BTreeSet::new() };
    let ask = |number: u64| {
        let sql = "SELECT message.message, message.body FROM outbox NOT INDEXED
                   JOIN message NOT INDEXED ON message.id = outbox.message WHERE outbox.id = ?";
        let row = db
            .query_row(sql, [number.cast_signed()], |row| Ok((row.get::<_, [u8; 16]>(0)?, row.get::<_, Vec<u8>>(1)?)));
        let (message, body) = row.ok()?;
        Content::decode(body.into(), MessageId::from_bytes(message)).ok()?;
        Some(MessageId::from_bytes(message))
    };
    (1..=SENT + PENDING).filter_map(ask).collect()
}

/// Everything that the device sends when it is connected, in frames of the node's making.
fn sends_of(ana: &mut Ana) -> Vec<MessageId> {
    let mut said = ana.connect_in(Vec::new());
    let (mut sent, mut next) = (Vec::new(), RECEIVED + SENT + 1);
    while !said.is_empty() {
        let mut answers = Vec::new();
        for frame in said {
            let message = match frame {
                ClientFrame::Send(send) => {
                    sent.push(send.message);
                    send.message
                }
                ClientFrame::Read(read) => read.id,
                _ => continue,
            };
            let accepted = Accepted { message, seq: seq(next).into(), at: NOW, revision: 9 };
            next += 1;
            answers.push(Input::Frame(ana.socket, NodeFrame::Accepted(accepted).encode()));
        }
        if answers.is_empty() {
            break;
        }
        let step = ana.handle(answers);
        said = ana.frames(&step);
    }
    sent
}

struct Outcome {
    report: Salvage,
    sent: BTreeSet<MessageId>,
    kept: BTreeSet<MessageId>,
}

/// Damages, saves, connects and looks. Panics when a promise is broken.
fn survive(folder: &Path, whole: &[u8], seed: u64) -> Outcome {
    let (file, fresh) = (folder.join("history.db"), folder.join("fresh.db"));
    std::fs::write(&file, damaged(whole, seed)).unwrap();
    let _ = std::fs::remove_file(&fresh);
    let readable = readable_outbox(&file);
    let damage = Damage { cause: "a test".into(), is_log_missing: false };
    let report = salvage(Some(&file), &fresh, &damage, "damaged-1.db".into()).unwrap();

    let mut store = Store::open(&fresh).unwrap();
    let problems: String = store.connection().query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
    assert_eq!(problems, "ok");
    let broken = store.connection().prepare("PRAGMA foreign_key_check").unwrap().exists([]).unwrap();
    assert!(!broken, "references lead nowhere");
    store.history().timeline_before(chat(), None, 10_000).unwrap();
    store.history().conversations(100).unwrap();
    let mut engine = Engine::load(&store, 7).unwrap();
    assert_eq!(report.keys_lost, engine.account.is_none());
    if report.keys_lost {
        assert_eq!(engine.connection(), ConnectionState::Blocked(Blocked::KeysLost));
        let refused = engine.handle(
            &mut store,
            NOW,
            vec![Input::Command(CommandId(1), Command::OpenDirect(id(20), Protection::NodeReadable))],
        );
        let is_told = |output: &Output| matches!(output, Output::Reply(_, Err(Error::LogInAgain)));
        assert!(refused.unwrap().outputs.iter().any(is_told));
        let again = Enrolment {
            node: "http://node".into(),
            realm: id(1),
            user: id(999),
            name: "ana".into(),
            device: id(12),
            device_seed: Secret::new([3; 32]),
            identity_seed: None,
        };
        let commands = [
            Command::BeginEnrolment(Box::new(again)),
            Command::ConfirmEnrolment { user: id(10), name: "ana".into(), device: id(12) },
        ];
        let commands = commands.into_iter().map(|command| Input::Command(CommandId(0), command)).collect();
        engine.handle(&mut store, NOW, commands).unwrap();
    }
    let mut ana = Ana { engine, store, now: NOW, socket: SocketId(1), limits: Limits::DEFAULT };
    ana.handle(vec![Input::Wake]);
    let sent = sends_of(&mut ana);
    let once: BTreeSet<MessageId> = sent.iter().copied().collect();
    assert_eq!(once.len(), sent.len(), "sent twice");
    let unsent: Vec<&MessageId> = readable.difference(&once).collect();
    assert!(unsent.is_empty(), "{} readable ones were not sent: {report:?}", unsent.len());
    let kept = (0..RECEIVED).map(|number| id(received(number)));
    let kept = kept.filter(|&message| ana.store.history().message(message).unwrap().is_some()).collect();
    Outcome { report, sent: once, kept }
}

#[test]
fn whatever_is_damaged_something_is_saved_and_nothing_goes_silently() {
    let folder = tempfile::tempdir().unwrap();
    let origin = folder.path().join("origin.db");
    history(&origin);
    let whole = std::fs::read(&origin).unwrap();
    let (mut partly, mut keys_lost) = (0, 0);
    for seed in 0..SEEDS {
        let outcome = std::panic::catch_unwind(|| survive(folder.path(), &whole, seed));
        let Outcome { report, sent, kept } = outcome.unwrap_or_else(|_| panic!("seed {seed}"));
        let is_all = kept.len() as u64 == RECEIVED && sent.len() as u64 == PENDING;
        assert!(is_all || !report.is_complete(), "seed {seed}: {report:?}");
        partly += u32::from(!is_all && !kept.is_empty());
        keys_lost += u32::from(report.keys_lost);
    }
    assert!(partly > 5 && keys_lost > 1, "{partly} partly, {keys_lost} without keys: too easy");
}

#[test]
fn an_undamaged_history_is_saved_completely() {
    let folder = tempfile::tempdir().unwrap();
    let origin = folder.path().join("origin.db");
    history(&origin);
    let fresh = folder.path().join("fresh.db");
    let damage = Damage { cause: "a test".into(), is_log_missing: false };
    let report = salvage(Some(&origin), &fresh, &damage, "damaged-1.db".into()).unwrap();
    assert!(report.is_complete() && !report.keys_lost, "{report:?}");
    assert_eq!((report.unsent, report.rows("message")), (PENDING, RECEIVED + SENT + PENDING));
    let (before, after) = (Store::open(&origin).unwrap(), Store::open(&fresh).unwrap());
    let timeline = |store: &Store| store.history().timeline_before(chat(), None, 10_000).unwrap();
    assert_eq!(timeline(&after), timeline(&before));
    assert_eq!(after.history().conversations(10).unwrap(), before.history().conversations(10).unwrap());
    assert_eq!(after.history().search("mail 17", 10).unwrap(), before.history().search("mail 17", 10).unwrap());
}
