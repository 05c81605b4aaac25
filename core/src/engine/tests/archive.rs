//! What another device of the user, or a backup, has and lacks, is here and is said to be missing here.

use chasqui_wire::{Comparison, Gap, GapReason, HistoryPiece, HistoryRequest, Hole, HoleReason};

use super::encrypted::{own_mail, writing};
use super::*;
use crate::domain::TimelineItem;
use crate::store::{ArchiveCursor, TransferRow};

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

/// All pages of a history, in small ones.
fn pages(of: &Ana) -> Vec<Input> {
    let db = of.store.connection();
    let mut next = Some(ArchiveCursor::beginning(db).unwrap());
    let mut pages = Vec::new();
    while let Some(cursor) = next {
        let (page, after) = cursor.page(db, 300).unwrap();
        // As it travels.
        let page = ArchivePage::decode(page.encode().into()).unwrap();
        pages.push(Input::Command(CommandId(9), Command::Merge(Box::new(page))));
        next = after;
    }
    pages
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
    HistoryRequest { cursor: ArchiveCursor::END.encode(), attempt: 0 }
}

#[test]
fn who_missed_what_devices_said_asks_all_of_them_until_one_answers() {
    let (mut ana, _) = writing();
    let with_oneself = direct_conversation(id(10), id(10), Protection::EndToEnd);
    let EntryKind::Hole(with_bo) = hole(4, 6) else { unreachable!() };
    let missed = Hole { conversation: with_oneself, protection: Protection::EndToEnd, peer: Some(id(10)), ..with_bo };
    ana.connect_in(Vec::new());
    ana.deliver(vec![hole(4, 6)]);
    assert_eq!(TransferRow::load(ana.store.connection()).unwrap(), None, "that Bo said something devices do not know");
    ana.deliver(vec![EntryKind::Hole(missed)]);
    ana.handle(vec![Input::Wake]);
    assert_eq!(said_to_devices(&ana), [(None, ContentKind::HistoryRequest(end_of_history()))]);
    assert_eq!(ana.store.history().transfer().unwrap(), None, "no history comes");
    let piece = HistoryPiece {
        cursor: ArchiveCursor::END.encode(),
        number: 0,
        bytes: ArchivePage::default().encode().into(),
        next: Some(chasqui_wire::HistoryNext { cursor: Bytes::new(), per_mille: 1000 }),
        ends_answer: true,
    };
    hear(&mut ana, |engine, turn| engine.hear_history(turn, &own_mail(id(700), Bytes::new()), &piece).unwrap());
    assert_eq!(TransferRow::load(ana.store.connection()).unwrap(), None, "it was answered");
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
    let [(Some(piece_to), ContentKind::HistoryPiece(piece)), (Some(told), ContentKind::Comparison(again))] =
        said_to.as_slice()
    else {
        panic!("{said_to:?}")
    };
    assert_eq!((*piece_to, *told, *again), (id(12), id(12), said));
    assert!(piece.next.as_ref().is_some_and(|next| next.cursor.is_empty()), "nothing of the history itself");
    assert_eq!(ArchivePage::decode(piece.bytes.clone()).unwrap(), ArchivePage::default());
}
