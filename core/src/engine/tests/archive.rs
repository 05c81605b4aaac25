//! What another device of the user, or a backup, has and lacks, is here and is said to be missing here.

use chasqui_wire::{Gap, GapReason, Hole, HoleReason};

use super::*;
use crate::domain::TimelineItem;
use crate::store::ArchiveCursor;

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
