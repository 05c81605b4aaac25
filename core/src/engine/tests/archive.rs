//! What another device of the user, or a backup, has and lacks, is here and is said to be missing here.

use std::collections::VecDeque;

use chasqui_wire::{
    Claimed, Comparison, Gap, GapReason, HistoryNext, HistoryPiece, HistoryRequest, Hole, HoleReason, KeyPackage, Pong,
    RosterEntry,
};

use super::encrypted::{own_mail, writing};
use super::*;
use crate::domain::TimelineItem;
use crate::e2ee::{Mls, Own};
use crate::store::{ArchiveCursor, SecuredRow, TransferRow};

fn gap(at: u64) -> EntryKind {
    EntryKind::Gap(Gap {
        conversation: chat(),
        seq: seq(at),
        reason: GapReason::Expired,
        kind: ConversationKind::Direct,
        protection: Protection::NodeReadable,
        sender_user: id(20),
        peer: Some(id(10)),
        at: NOW,
    })
}

fn hole(first: u64, last: u64) -> EntryKind {
    EntryKind::Hole(Hole {
        conversation: chat(),
        kind: ConversationKind::Direct,
        protection: Protection::NodeReadable,
        peer: Some(id(20)),
        range: SeqRange::new(seq(first), seq(last)).unwrap(),
        reason: HoleReason::Absent,
        since: NOW,
    })
}

/// All pages of a history, small ones, as they travel.
fn encoded(of: &Ana) -> Vec<Bytes> {
    let db = of.store.connection();
    let mut next = Some(ArchiveCursor::beginning(db).unwrap());
    let mut pages = Vec::new();
    while let Some(cursor) = next {
        let (page, after) = cursor.page(db, 300).unwrap();
        pages.push(page.encode().into());
        next = after;
    }
    pages
}

fn pages(of: &Ana) -> Vec<Input> {
    let merge = |page| Command::Merge(Box::new(ArchivePage::decode(page).unwrap()));
    encoded(of).into_iter().map(|page| Input::Command(CommandId(9), merge(page))).collect()
}

fn shown(ana: &Ana) -> Vec<TimelineItem> {
    ana.store.history().timeline_before(chat(), None, 100).unwrap().items
}

#[test]
fn what_is_missing_there_is_missing_here() {
    let mut phone = Ana::online();
    phone.deliver(vec![
        text(101, 1, "one"),
        gap(2),
        envelope(103, 3, Bytes::from_static(b"\xff\xff damaged")),
        hole(4, 6),
        text(107, 7, "seven"),
    ]);
    let mut laptop = Ana::new();
    laptop.handle(pages(&phone));
    let (here, there) = (shown(&laptop), shown(&phone));
    assert_eq!(here.len(), 5);
    for (here, there) in here.iter().zip(&there) {
        match (here, there) {
            (TimelineItem::Message(here), TimelineItem::Message(there)) => {
                assert_eq!((here.id, here.seq, &here.content), (there.id, there.seq, &there.content));
            }
            _ => assert_eq!(here, there),
        }
    }
    assert_eq!(laptop.store.history().incomplete().unwrap(), phone.store.history().incomplete().unwrap());
    // Once more changes nothing.
    laptop.handle(pages(&phone));
    assert_eq!(shown(&laptop), here);
}

#[test]
fn what_is_here_is_not_said_to_be_missing() {
    let mut phone = Ana::online();
    phone.deliver(vec![text(101, 1, "one"), gap(2), hole(3, 5)]);
    let mut laptop = Ana::online();
    laptop.deliver(vec![text(102, 2, "two"), text(104, 4, "four")]);
    laptop.handle(pages(&phone));
    let kinds: Vec<_> = shown(&laptop)
        .iter()
        .map(|item| match item {
            TimelineItem::Message(message) => (message.seq, None),
            TimelineItem::Gap { seq, .. } => (Some(*seq), Some(*seq)),
            TimelineItem::Hole { first, last, .. } => (Some(*first), Some(*last)),
        })
        .collect();
    let message = |at| (Some(seq(at)), None);
    let missing = |at| (Some(seq(at)), Some(seq(at)));
    assert_eq!(kinds, [message(1), message(2), missing(3), message(4), missing(5)]);
}

/// What the device has to say to its user's other ones, and to which.
fn said_to_devices(ana: &Ana) -> Vec<(Option<DeviceId>, ContentKind)> {
    let sql = "SELECT message.message, message.body, outbox.only_device FROM outbox JOIN message ON message.id = outbox.message
               WHERE message.deleted = 1 ORDER BY outbox.id";
    let mut statement = ana.store.connection().prepare(sql).unwrap();
    let said = statement.query_map([], |row| Ok((row.get(0)?, row.get::<_, Vec<u8>>(1)?, row.get(2)?)));
    let read = |(message, body, of): ([u8; 16], Vec<u8>, Option<[u8; 16]>)| {
        let content = Content::decode(body.into(), MessageId::from_bytes(message)).unwrap();
        (of.map(DeviceId::from_bytes), content.kind)
    };
    said.unwrap().map(|said| read(said.unwrap())).collect()
}

/// In one transaction of the engine.
fn hear(ana: &mut Ana, hear: impl FnOnce(&mut Engine, &mut Turn<'_>)) {
    let transaction = ana.store.connection().unchecked_transaction().unwrap();
    let mut turn = Turn::new(&transaction, ana.now);
    hear(&mut ana.engine, &mut turn);
    transaction.commit().unwrap();
}

fn end_of_history() -> HistoryRequest {
    HistoryRequest { cursor: ArchiveCursor::end(NOW).encode(), attempt: 0 }
}

#[test]
fn who_missed_what_devices_said_asks_all_of_them_until_one_answers() {
    let (mut ana, _) = writing();
    let EntryKind::Hole(with_bo) = hole(4, 6) else { unreachable!() };
    let missed = Hole { conversation: with_oneself(), protection: Protection::EndToEnd, peer: Some(id(10)), ..with_bo };
    ana.connect_in(Vec::new());
    ana.deliver(vec![hole(4, 6)]);
    assert_eq!(TransferRow::load(ana.store.connection()).unwrap(), None, "that Bo said something devices do not know");
    ana.deliver(vec![EntryKind::Hole(missed)]);
    ana.handle(vec![Input::Wake]);
    assert_eq!(said_to_devices(&ana), [(None, ContentKind::HistoryRequest(end_of_history()))]);
    assert_eq!(ana.store.history().transfer().unwrap(), None, "no history comes");
    let piece = HistoryPiece {
        cursor: ArchiveCursor::end(NOW).encode(),
        number: 0,
        bytes: ArchivePage::default().encode().into(),
        next: Some(HistoryNext { cursor: Bytes::new(), per_mille: 1000 }),
        ends_answer: true,
    };
    let heard = |ana: &mut Ana, piece: &HistoryPiece| {
        hear(ana, |engine, turn| engine.hear_history(turn, &own_mail(id(700), Bytes::new()), piece).unwrap());
        TransferRow::load(ana.store.connection()).unwrap()
    };
    let earlier = HistoryPiece { cursor: ArchiveCursor::end(NOW.plus_millis(1)).encode(), ..piece.clone() };
    assert!(heard(&mut ana, &earlier).is_some(), "that was wanted at another time");
    assert_eq!(heard(&mut ana, &piece), None, "it was answered");
}

#[test]
fn the_end_of_a_history_says_who_was_compared() {
    let (mut ana, _) = writing();
    let said = Comparison { user: id(20), identity_key: [7; 32], verified: true, at: NOW };
    hear(&mut ana, |engine, turn| {
        let laptop = own_mail(id(700), Bytes::new());
        engine.hear_comparison(turn, &laptop, &said).unwrap();
        let with_oneself = engine.with_oneself(turn).unwrap().unwrap();
        engine.answer_history_request(turn, &with_oneself, &laptop, &end_of_history()).unwrap();
    });
    let said_to = said_to_devices(&ana);
    let [(Some(piece_to), ContentKind::HistoryPiece(piece))] = said_to.as_slice() else { panic!("{said_to:?}") };
    assert_eq!(*piece_to, id(12));
    assert!(piece.next.as_ref().is_some_and(|next| next.cursor.is_empty()), "nothing of the history itself");
    let page = ArchivePage::decode(piece.bytes.clone()).unwrap();
    assert_eq!(page, ArchivePage { comparisons: vec![said], ..ArchivePage::default() });

    let known = |ana: &Ana| ArchiveCursor::end(NOW).page(ana.store.connection(), 1).unwrap().0.comparisons;
    // A device that was answered by another one before takes it, too: each may know what the others missed.
    let (mut other, _) = writing();
    hear(&mut other, |engine, turn| engine.hear_history(turn, &own_mail(id(700), Bytes::new()), piece).unwrap());
    assert_eq!(known(&other), [said]);
    // And whoever gave less than is known here is told.
    let nothing = HistoryPiece { bytes: ArchivePage::default().encode().into(), ..piece.clone() };
    hear(&mut other, |engine, turn| engine.hear_history(turn, &own_mail(id(701), Bytes::new()), &nothing).unwrap());
    let told = [None, Some(id(12))].map(|device| (device, ContentKind::Comparison(said)));
    assert_eq!(said_to_devices(&other), told, "all of what is news, and one of what it lacks");
    // Not of anybody else.
    let (mut other, _) = writing();
    let by_bo = Envelope { sender_user: id(20), sender_device: id(21), ..own_mail(id(700), Bytes::new()) };
    hear(&mut other, |engine, turn| engine.hear_history(turn, &by_bo, piece).unwrap());
    assert_eq!(known(&other), []);
}

/// Of another device of Ana's.
fn package(device: u128) -> KeyPackage {
    let (store, seed) = (Ana::new().store, Secret::new([device as u8; 32]));
    let own = Own::linked(id(1), id(10), id(device), &seed, &Secret::new([5; 32])).unwrap();
    let body = Mls::new(&own, store.connection()).key_package(false).unwrap();
    KeyPackage { entry: RosterEntry { user: id(10), device: id(device) }, body }
}

fn with_oneself() -> ConversationId {
    direct_conversation(id(10), id(10), Protection::EndToEnd)
}

/// Ana's phone, which her laptop (12) has linked; she has a tablet (13) as well. It has asked the laptop for the history.
fn newcomer() -> Ana {
    let ana = Ana::new();
    ana.store.connection().execute("UPDATE account SET identity_seed = ?", [[5_u8; 32]]).unwrap();
    let engine = Engine::load(&ana.store, 7).unwrap();
    let mut ana = Ana { engine, ..ana };
    ana.handle(vec![Input::Wake]);
    hear(&mut ana, |engine, turn| engine.begin_transfer(turn, id(12)).unwrap());
    let said = ana.connect_in(Vec::new());
    ana.is_answered(said);
    ana
}

impl Ana {
    /// The node takes what it is given, and has key packages of both others.
    fn is_answered(&mut self, said: Vec<ClientFrame>) {
        let mut said = VecDeque::from(said);
        while let Some(frame) = said.pop_front() {
            let answer = match frame {
                ClientFrame::Claim(claim) => {
                    let epoch = SecuredRow::get(self.store.connection(), with_oneself()).unwrap().epoch;
                    let packages = vec![package(12), package(13)];
                    NodeFrame::Claimed(Claimed { id: claim.id, epoch, roster: vec![], gone: vec![], packages })
                }
                ClientFrame::Send(send) => {
                    let sql = "SELECT coalesce(max(revision), 0) + 10 FROM message";
                    let revision =
                        self.store.connection().query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap() as u64;
                    let at = seq(revision);
                    NodeFrame::Accepted(Accepted { message: send.message, seq: Some(at), at: NOW, revision })
                }
                _ => continue,
            };
            said.extend(self.say(answer));
        }
    }

    fn transfer(&self) -> Option<TransferRow> {
        TransferRow::load(self.store.connection()).unwrap()
    }

    /// Waits until it asks; whom, and from where on.
    fn asks(&mut self) -> (DeviceId, Bytes) {
        let row = self.transfer().expect("a history is under way");
        self.now = self.now.max(row.ask_at);
        let said = self.say(NodeFrame::Pong(Pong { nonce: 0, time: self.now, checkpoint: None, key_packages: None }));
        self.is_answered(said);
        let asked = self.transfer().unwrap();
        assert_eq!((asked.pieces, &asked.asked), (0, &asked.next), "it asks");
        (asked.device, asked.asked)
    }

    /// One of its pages, and where the next one begins, from whoever was asked.
    fn is_given(&mut self, number: u32, page: Bytes, next: &[u8]) {
        let row = self.transfer().unwrap();
        let next = Some(HistoryNext { cursor: Bytes::copy_from_slice(next), per_mille: 500 });
        let piece = HistoryPiece { cursor: row.asked, number, bytes: page, next, ends_answer: true };
        let mail = Envelope { sender_device: row.device, ..own_mail(id(700), Bytes::new()) };
        hear(self, |engine, turn| engine.hear_history(turn, &mail, &piece).unwrap());
    }
}

/// The pages that say something: people, conversations, the same once more, messages.
fn told(of: &Ana) -> [Bytes; 4] {
    encoded(of).into_iter().filter(|page| !page.is_empty()).collect::<Vec<_>>().try_into().unwrap()
}

const GARBAGE: Bytes = Bytes::from_static(b"\xff\xff of a later version");

#[test]
fn a_page_that_was_of_no_use_once_is_asked_for_again() {
    let mut phone = Ana::online();
    phone.deliver(vec![text(101, 1, "one")]);
    let mut ana = newcomer();
    let [users, conversations, again, messages] = told(&phone);
    ana.is_given(0, users, b"conversations");
    assert_eq!(ana.asks(), (id(12), Bytes::from_static(b"conversations")));
    ana.is_given(0, GARBAGE, b"again");
    // What comes after it in the same answer is of no use before it.
    ana.is_given(1, messages.clone(), b"");
    assert_eq!(ana.asks(), (id(12), Bytes::from_static(b"conversations")));
    ana.is_given(0, conversations, b"again");
    ana.is_given(1, again, b"messages");
    ana.is_given(2, messages, b"");
    assert_eq!(ana.transfer(), None);
    assert_eq!(shown(&ana).len(), 1);
    assert_eq!(ana.store.history().incomplete().unwrap(), None);
}

#[test]
fn a_page_that_nobody_can_give_is_asked_of_everybody_passed_over_and_told() {
    let mut phone = Ana::online();
    phone.deliver(vec![text(101, 1, "one")]);
    let pages = told(&phone);
    let mut ana = newcomer();
    let mut asked = Vec::new();
    for giver in [12, 13] {
        // The first page is of use, the second never is.
        ana.is_given(0, pages[0].clone(), b"conversations");
        for _ in 0..3 {
            asked.push(ana.asks().0);
            assert_eq!(asked.last(), Some(&id(giver)));
            assert_eq!(ana.store.history().incomplete().unwrap(), None, "it may yet come");
            ana.is_given(0, GARBAGE, b"again");
        }
        if giver == 12 {
            assert_eq!(ana.asks(), (id(13), Bytes::new()), "the tablet gives its history from the beginning");
        }
    }
    let row = ana.transfer().expect("it goes on");
    assert_eq!((row.device, row.next), (id(13), Bytes::from_static(b"again")));
    assert!(ana.store.history().incomplete().unwrap().is_some());
    ana.asks();
    ana.is_given(0, pages[1].clone(), b"messages");
    ana.is_given(1, pages[3].clone(), b"");
    assert_eq!(ana.transfer(), None);
    // What is missing is newer than what came after it.
    assert_eq!(ana.store.history().incomplete().unwrap().unwrap().absent_since, Some(NOW));
    assert_eq!(shown(&ana).len(), 1);
}
