//! What cannot be read: nobody is shown it while there is somebody to ask.

use chasqui_wire::{ArchivePage, ArchivedMessage, Pong};
use rusqlite::OptionalExtension as _;

use super::encrypted::{claim, directory_names, writing};
use super::renewal::{bo as bos, together};
use super::*;
use crate::domain::TimelineItem;
use crate::e2ee::{GroupId, Mls};
use crate::engine::encrypted::header;
use crate::store::{AccountRow, Damage, salvage};

const HOUR_MS: u64 = 3_600_000;
const WEEK_HOURS: u64 = 7 * 24;

fn with_bo() -> ConversationId {
    direct_conversation(id(10), id(20), Protection::EndToEnd)
}

fn memory() -> Store {
    Store::with_connection(Connection::open_in_memory().unwrap()).unwrap()
}

/// Sent by Bo's phone.
fn mail(number: u128, at: u64, body: Bytes) -> Envelope {
    let EntryKind::Envelope(base) = envelope(number, at, body) else { unreachable!() };
    Envelope { protection: Protection::EndToEnd, conversation: with_bo(), epoch: 1, ..*base }
}

fn damaged(number: u128, at: u64) -> EntryKind {
    EntryKind::Envelope(Box::new(Envelope { urgent: true, ..mail(number, at, Bytes::from_static(b"damaged")) }))
}

/// Bo's phone says it again, under another name.
fn again(bo: &Mls<'_>, group: GroupId, of: u128, number: u128, at: u64) -> EntryKind {
    let content =
        Content { message: id(of), created_at: NOW, kind: ContentKind::Text(format!("text {of}")), previous: vec![] };
    let body = bo.seal(group, &header(id(number), with_bo()), &content.encode()).unwrap();
    EntryKind::Envelope(Box::new(Envelope { resend_of: Some(id(of)), ..mail(number, at, body) }))
}

/// A line of the timeline with Bo: what others said.
#[derive(Debug, PartialEq)]
struct Line(u64, MessageContent);

fn text(at: u64, of: u128) -> Line {
    Line(at, MessageContent::Text(format!("text {of}")))
}

impl Ana {
    fn unread(&self) -> u32 {
        self.store.history().total_unread().unwrap()
    }

    /// What Bo said, as people see it: in the timeline, and one by one.
    fn sees(&self) -> Vec<Line> {
        let history = self.store.history();
        let items = history.timeline_before(with_bo(), None, 100).unwrap().items.into_iter();
        let messages = items.filter_map(|item| match item {
            TimelineItem::Message(message) if !message.is_own => Some(message),
            TimelineItem::Message(_) => None,
            other => panic!("{other:?}"),
        });
        let lines = messages.map(|message| {
            assert_eq!(history.message(message.id).unwrap().as_ref(), Some(&*message));
            Line(message.seq.unwrap().raw(), message.content)
        });
        lines.collect()
    }

    /// The newest line in the list of conversations, if Bo is in it.
    fn newest(&self) -> Option<Option<MessageContent>> {
        let list = self.store.history().conversations(10).unwrap();
        let with_bo = list.into_iter().find(|summary| summary.id == with_bo())?;
        Some(with_bo.last_message.map(|message| message.content))
    }

    /// How often it was asked for. `None`: it is not asked for.
    fn asked(&self, message: u128) -> Option<u32> {
        let sql =
            "SELECT attempts FROM recovery JOIN message ON message.id = recovery.message WHERE message.message = ?";
        let key: MessageId = id(message);
        self.store.connection().query_row(sql, [key.as_bytes()], |row| row.get(0)).optional().unwrap()
    }

    fn hours(&mut self, hours: u64) {
        for _ in 0..hours {
            self.now = self.now.plus_millis(HOUR_MS);
            self.say(NodeFrame::Pong(Pong { nonce: 0, time: self.now, checkpoint: None, key_packages: None }));
        }
    }

    fn copy_to(&self, copy: &mut Connection) {
        rusqlite::backup::Backup::new(self.store.connection(), copy).unwrap().step(-1).unwrap();
    }

    /// What a notification would say of this mail, and how much would be unread.
    fn peeks(&self, mail: Vec<EntryKind>) -> (Vec<(u64, String)>, u32) {
        let account = AccountRow::load(self.store.connection()).unwrap().unwrap();
        let mail: Vec<Entry> = mail.into_iter().zip(1..).map(|(kind, number)| Entry { number, kind }).collect();
        // On a copy, whose keys are gone with it.
        let mut copy = Connection::open_in_memory().unwrap();
        self.copy_to(&mut copy);
        let copy = Store::with_connection(copy).unwrap();
        let peeked = super::super::peek::peek(copy.connection(), &account, &mail).unwrap();
        (peeked.messages.into_iter().map(|message| (message.seq.raw(), message.text)).collect(), peeked.unread)
    }
}

#[test]
fn what_is_asked_for_is_seen_when_it_comes_and_where_it_stood() {
    let (own, store) = (bos(), memory());
    let bo = Mls::new(&own, store.connection());
    let (mut ana, group) = together(&bo);
    let before = ana.newest();
    assert_eq!(ana.peeks(vec![damaged(800, 3)]), (vec![], 0));
    assert_eq!(ana.deliver(vec![damaged(800, 3)]), [(1, AckOutcome::Unreadable)]);
    assert_eq!((ana.sees(), ana.unread(), ana.newest()), (vec![], 0, before));
    assert_eq!(ana.asked(800), Some(1));
    let mail = again(&bo, group, 800, 900, 4);
    assert_eq!(ana.peeks(vec![mail.clone()]), (vec![(3, "text 800".into())], 1));
    assert_eq!(ana.deliver(vec![mail]), [(1, AckOutcome::Stored)]);
    assert_eq!((ana.sees(), ana.unread()), (vec![text(3, 800)], 1));
    assert_eq!((ana.newest(), ana.asked(800)), (Some(Some(text(3, 800).1)), None));
}

/// A notification is made of mail that the app has not taken.
#[test]
fn a_peek_sees_it_too_where_both_are_in_the_same_mail() {
    let (own, store) = (bos(), memory());
    let bo = Mls::new(&own, store.connection());
    let (mut ana, group) = together(&bo);
    let by_cleo = |entry| match entry {
        EntryKind::Envelope(envelope) => {
            let conversation = direct_conversation(id(10), id(30), Protection::EndToEnd);
            let (sender_user, sender_device) = (id(30), id(31));
            EntryKind::Envelope(Box::new(Envelope { conversation, sender_user, sender_device, ..*envelope }))
        }
        _ => unreachable!(),
    };
    let mail = vec![damaged(800, 3), by_cleo(damaged(800, 3)), again(&bo, group, 800, 900, 4), damaged(801, 5)];
    let peeked = ana.peeks(mail.clone());
    assert_eq!(peeked, (vec![(3, "text 800".into())], 1));
    ana.deliver(mail);
    assert_eq!((ana.sees(), ana.unread()), (vec![text(3, 800)], 1));
}

#[test]
fn a_placeholder_appears_when_it_was_asked_for_in_vain_and_still_gives_way() {
    let (own, store) = (bos(), memory());
    let (mut ana, _) = together(&Mls::new(&own, store.connection()));
    ana.deliver(vec![damaged(800, 3)]);
    ana.hours(3 * WEEK_HOURS - 2);
    assert_eq!((ana.sees(), ana.unread(), ana.asked(800)), (vec![], 0, Some(8)));
    ana.hours(2 * WEEK_HOURS);
    let placeholder = MessageContent::Unreadable;
    assert_eq!((ana.sees(), ana.unread(), ana.asked(800)), (vec![Line(3, placeholder.clone())], 1, None));
    assert_eq!(ana.newest(), Some(Some(placeholder)));
    // As another device of Ana's might still have it.
    let content =
        Content { message: id(800), created_at: NOW, kind: ContentKind::Text("text 800".into()), previous: vec![] };
    let archived = ArchivedMessage {
        conversation: with_bo(),
        message: id(800),
        seq: Some(seq(3)),
        sender: id(20),
        sender_device: id(21),
        created_at: NOW,
        accepted_at: Some(NOW),
        body: content.encode(),
        deliveries: vec![],
    };
    let page = ArchivePage { messages: vec![archived], ..ArchivePage::default() };
    ana.handle(vec![Input::Command(CommandId(9), Command::Merge(Box::new(page)))]);
    assert_eq!((ana.sees(), ana.unread()), (vec![text(3, 800)], 1));
}

#[test]
fn a_placeholder_appears_at_once_when_whoever_wrote_it_is_gone() {
    let (own, store) = (bos(), memory());
    for is_deleted in [true, false] {
        let (mut ana, _) = together(&Mls::new(&own, store.connection()));
        directory_names(&mut ana, 7);
        ana.deliver(vec![damaged(800, 3)]);
        assert_eq!((ana.sees(), ana.asked(800)), (vec![], Some(1)));
        if is_deleted {
            ana.handle(vec![Input::Deleted(id(20))]);
        } else {
            directory_names(&mut ana, 66);
        }
        ana.handle(vec![Input::Wake]);
        assert_eq!(ana.sees(), [Line(3, MessageContent::Unreadable)], "deleted: {is_deleted}");
        assert_eq!((ana.unread(), ana.asked(800)), (1, None));
    }
}

#[test]
fn a_conversation_that_begins_with_it_is_in_the_list_when_there_is_something_to_see() {
    let (mut ana, _) = writing();
    ana.store.connection().execute("DELETE FROM outbox", []).unwrap();
    ana.store.connection().execute("DELETE FROM message", []).unwrap();
    ana.store.connection().execute("DELETE FROM conversation", []).unwrap();
    ana.engine = Engine::load(&ana.store, 7).unwrap();
    ana.connect_in(Vec::new());
    ana.deliver(vec![damaged(800, 1)]);
    assert_eq!((ana.newest(), ana.asked(800)), (None, Some(1)));
    ana.handle(vec![Input::Command(CommandId(1), Command::MarkRead(with_bo(), None))]);
    assert_eq!(ana.store.history().conversation(with_bo()).unwrap().unwrap().read_up_to, None, "nothing is shown");
    ana.handle(vec![Input::Deleted(id(20))]);
    ana.handle(vec![Input::Wake]);
    assert_eq!(ana.newest(), Some(Some(MessageContent::Unreadable)));
}

/// A stranger is not told that anybody is there, and people decide about requests that they see.
#[test]
fn of_a_stranger_it_is_asked_for_once_they_are_accepted() {
    let (mut ana, _) = writing();
    claim(&mut ana);
    let stranger = |number, at| match damaged(number, at) {
        EntryKind::Envelope(envelope) => EntryKind::Envelope(Box::new(Envelope {
            conversation: direct_conversation(id(10), id(40), Protection::EndToEnd),
            sender_user: id(40),
            sender_device: id(41),
            request: true,
            ..*envelope
        })),
        _ => unreachable!(),
    };
    ana.deliver(vec![stranger(800, 1)]);
    ana.hours(2);
    let request = |ana: &Ana| {
        let list = ana.store.history().conversations(10).unwrap();
        let it = list.into_iter().find(|summary| summary.peer == Some(id(40))).expect("it is to be decided about");
        (it.is_request, it.last_message, it.unread)
    };
    assert_eq!(request(&ana), (true, None, 0));
    assert_eq!(ana.asked(800), Some(0));
    let conversation = direct_conversation(id(10), id(40), Protection::EndToEnd);
    ana.handle(vec![Input::Command(CommandId(1), Command::AcceptRequest(conversation))]);
    assert_eq!(request(&ana), (false, None, 0));
    assert_eq!(ana.asked(800), Some(1));
}

#[test]
fn what_is_saved_of_a_damaged_history_is_asked_for_all_the_same() {
    let (own, store) = (bos(), memory());
    let (mut ana, _) = together(&Mls::new(&own, store.connection()));
    ana.deliver(vec![damaged(800, 3)]);
    // What is lost here is the record of it.
    ana.store.connection().execute("DELETE FROM recovery", []).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let (file, fresh) = (folder.path().join("history.db"), folder.path().join("fresh.db"));
    let mut copy = Connection::open(&file).unwrap();
    ana.copy_to(&mut copy);
    copy.close().unwrap();
    let damage = Damage { cause: "a test".into(), is_log_missing: false };
    let report = salvage(Some(&file), &fresh, &damage, "damaged-1.db".into()).unwrap();
    assert_eq!((report.rows("message"), report.gaps), (2, 0));
    let store = Store::open(&fresh).unwrap();
    let saved = Ana { engine: Engine::load(&store, 7).unwrap(), store, ..ana };
    assert_eq!((saved.unread(), saved.asked(800)), (0, Some(0)));
}

/// The node writes something in clear where something sealed should be.
#[test]
fn what_nobody_has_sealed_nobody_has_said() {
    let (own, store) = (bos(), memory());
    let (mut ana, _) = together(&Mls::new(&own, store.connection()));
    let content =
        Content { message: id(800), created_at: NOW, kind: ContentKind::Text("pay to Eve".into()), previous: vec![] };
    let forged = Envelope { urgent: true, epoch: 7, ..mail(800, 3, content.encode()) };
    assert_eq!(ana.deliver(vec![EntryKind::Envelope(Box::new(forged))]), [(1, AckOutcome::Unreadable)]);
    // As devices kept it that are of an earlier version.
    let sql = "UPDATE message SET body = ? WHERE seq = 3";
    for body in [None, Some(content.encode())] {
        if let Some(body) = body {
            assert_eq!(ana.store.connection().execute(sql, [body.as_ref()]).unwrap(), 1);
        }
        ana.handle(vec![Input::Deleted(id(20))]);
        ana.handle(vec![Input::Wake]);
        assert_eq!(ana.sees(), [Line(3, MessageContent::Unreadable)]);
    }
    ana.store.connection().execute("DELETE FROM message_index", []).unwrap();
    crate::store::index_all(ana.store.connection()).unwrap();
    assert_eq!(ana.store.history().search("Eve", 10).unwrap(), []);
    assert_eq!(ana.store.history().search("hello", 10).unwrap().len(), 1);
}

#[test]
fn what_is_not_shown_is_not_read_with_the_rest() {
    let (own, store) = (bos(), memory());
    let bo = Mls::new(&own, store.connection());
    let (mut ana, group) = together(&bo);
    ana.deliver(vec![damaged(800, 3), damaged(801, 4)]);
    ana.deliver(vec![again(&bo, group, 800, 900, 3)]);
    ana.handle(vec![Input::Command(CommandId(1), Command::MarkRead(with_bo(), None))]);
    assert_eq!((ana.sees(), ana.unread()), (vec![text(3, 800)], 0));
    ana.deliver(vec![again(&bo, group, 801, 901, 4)]);
    assert_eq!((ana.sees(), ana.unread()), (vec![text(3, 800), text(4, 801)], 1));
    ana.handle(vec![Input::Command(CommandId(2), Command::MarkRead(with_bo(), None))]);
    assert_eq!(ana.unread(), 0);
}

/// Its acknowledgement was lost, and what it takes to read it came meanwhile.
#[test]
fn what_came_too_early_is_read_when_it_comes_again() {
    let (own, store) = (bos(), memory());
    let bo = Mls::new(&own, store.connection());
    let (mut ana, group) = together(&bo);
    let change = bo.change(group, &[], &[], |_| Ok(())).unwrap();
    bo.merge(group).unwrap();
    let content =
        Content { message: id(800), created_at: NOW, kind: ContentKind::Text("text 800".into()), previous: vec![] };
    let body = bo.seal(group, &header(id(800), with_bo()), &content.encode()).unwrap();
    let early = EntryKind::Envelope(Box::new(Envelope { urgent: true, epoch: 2, ..mail(800, 4, body) }));
    let commit = Envelope { commit: Some(change.declared), ..mail(700, 3, change.commit) };
    let commit = EntryKind::Envelope(Box::new(commit));
    assert_eq!(ana.deliver(vec![early.clone()]), [(1, AckOutcome::Unreadable)]);
    assert_eq!(ana.deliver(vec![early.clone()]), [(1, AckOutcome::Unreadable)], "nothing has changed");
    assert_eq!(ana.deliver(vec![commit]), [(1, AckOutcome::Stored)]);
    assert_eq!(ana.peeks(vec![early.clone()]), (vec![(4, "text 800".into())], 1));
    assert_eq!(ana.deliver(vec![early.clone()]), [(1, AckOutcome::Stored)]);
    assert_eq!((ana.sees(), ana.unread(), ana.asked(800)), (vec![text(4, 800)], 1, None));
    assert_eq!(ana.deliver(vec![early]), [(1, AckOutcome::Stored)]);
}

/// Bo says something that is nothing, and would say the same again.
#[test]
fn what_says_nothing_is_not_asked_for() {
    let (own, store) = (bos(), memory());
    let bo = Mls::new(&own, store.connection());
    let (mut ana, group) = together(&bo);
    let body = bo.seal(group, &header(id(800), with_bo()), b"\xff\xff nothing").unwrap();
    let nothing = EntryKind::Envelope(Box::new(Envelope { urgent: true, ..mail(800, 3, body) }));
    assert_eq!(ana.peeks(vec![nothing.clone()]), (vec![], 1));
    assert_eq!(ana.deliver(vec![nothing]), [(1, AckOutcome::Unreadable)]);
    assert_eq!((ana.sees(), ana.unread()), (vec![Line(3, MessageContent::Unreadable)], 1));
    assert_eq!(ana.asked(800), None);
}

/// Each time takes a key package of every device.
#[test]
fn what_cannot_be_read_has_a_group_begun_anew_once_an_hour() {
    let (own, store) = (bos(), memory());
    let (mut ana, _) = together(&Mls::new(&own, store.connection()));
    ana.deliver(vec![damaged(800, 3)]);
    let has_group =
        |ana: &Ana| crate::store::SecuredRow::get(ana.store.connection(), with_bo()).unwrap().group.is_some();
    let minute = |ana: &mut Ana| {
        ana.now = ana.now.plus_millis(61_000);
        ana.say(NodeFrame::Pong(Pong { nonce: 0, time: ana.now, checkpoint: None, key_packages: None }));
    };
    assert!(has_group(&ana));
    minute(&mut ana);
    assert!(!has_group(&ana), "nobody answered");
    let key = crate::store::ConversationRow::find(ana.store.connection(), with_bo()).unwrap().unwrap().key;
    for _ in 0..50 {
        minute(&mut ana);
        assert!(!ana.engine.recovery.may_begin_anew(key, ana.now));
    }
    ana.now = ana.now.plus_millis(HOUR_MS);
    assert!(ana.engine.recovery.may_begin_anew(key, ana.now));
}
