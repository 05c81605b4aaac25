//! What a node keeps back: missed when the next word of the same device comes, told, and asked for.

use chasqui_wire::{ArchivePage, ArchivedMessage, Gap, GapReason, Hole, HoleReason, Pong, Previous, Send};

use super::renewal::{bo as bos, together};
use super::*;
use crate::domain::SecurityEventKind;
use crate::e2ee::{GroupId, Mls};
use crate::engine::encrypted::header;
use crate::store::{Damage, salvage};

const HOUR_MS: u64 = 3_600_000;

fn with_bo() -> ConversationId {
    direct_conversation(id(10), id(20), Protection::EndToEnd)
}

fn memory() -> Store {
    Store::with_connection(Connection::open_in_memory().unwrap()).unwrap()
}

/// Bo's phone, at the epoch that the group has when it is written to for the first time.
struct Bo<'a> {
    mls: Mls<'a>,
    group: GroupId,
}

impl<'a> Bo<'a> {
    fn with_ana(mls: Mls<'a>) -> (Self, Ana) {
        let (ana, group) = together(&mls);
        (Self { mls, group }, ana)
    }

    fn body(&self, number: u128, under: u128, previous: Option<Previous>) -> Bytes {
        let kind = ContentKind::Text(format!("text {number}"));
        let content = Content { message: id(number), created_at: NOW, kind, previous };
        self.mls.seal(self.group, &header(id(under), with_bo()), &content.encode()).unwrap()
    }

    fn at(&self, epoch: u64, number: u128) -> Option<Previous> {
        Some(Previous { message: id(number), group: self.group.0, epoch })
    }

    /// Says it after another message, of the group's first epoch.
    fn says(&self, number: u128, at: u64, after: u128) -> EntryKind {
        self.says_after(number, at, self.at(1, after))
    }

    fn says_after(&self, number: u128, at: u64, previous: Option<Previous>) -> EntryKind {
        mail(number, at, self.body(number, number, previous))
    }

    /// Sends again what came to `at`.
    fn says_again(&self, number: u128, at: u64, after: Option<u128>) -> EntryKind {
        let under = number + 10_000;
        let body = self.body(number, under, after.and_then(|after| self.at(1, after)));
        match mail(under, at, body) {
            EntryKind::Envelope(it) => {
                EntryKind::Envelope(Box::new(Envelope { resend_of: Some(id(number)), urgent: false, ..*it }))
            }
            _ => unreachable!(),
        }
    }
}

fn mail(number: u128, at: u64, body: Bytes) -> EntryKind {
    let EntryKind::Envelope(base) = envelope(number, at, body) else { unreachable!() };
    let (protection, conversation) = (Protection::EndToEnd, with_bo());
    EntryKind::Envelope(Box::new(Envelope { protection, conversation, epoch: 1, urgent: true, ..*base }))
}

impl Ana {
    /// What Bo says, in the order of the timeline.
    fn reads(&self) -> Vec<String> {
        let page = self.store.history().timeline_before(with_bo(), None, 100).unwrap();
        let messages = page.items.iter().filter_map(|item| item.message()).filter(|message| !message.is_own);
        let text = |message: &crate::domain::Message| match &message.content {
            MessageContent::Text(text) => text.trim_start_matches("text ").to_owned(),
            other => format!("{other:?}"),
        };
        messages.map(text).collect()
    }

    fn unread_of_all(&self) -> u32 {
        self.store.history().total_unread().unwrap()
    }

    fn events(&self) -> Vec<(SecurityEventKind, Option<UserId>, Option<DeviceId>)> {
        let events = self.store.history().security_events(0, 100).unwrap();
        events.into_iter().map(|event| (event.kind, event.user, event.device)).collect()
    }

    /// Whether it is asked for, or was.
    fn misses(&self, number: u128) -> bool {
        crate::store::MessageRow::find(self.store.connection(), id(number)).unwrap().is_some()
    }

    /// What it asks Bo's phone for in what it sends now.
    fn asks_bo(&mut self, bo: &Bo<'_>, entries: Vec<EntryKind>) -> Vec<MessageId> {
        let entries = entries.into_iter().zip(1..).map(|(kind, number)| Entry { number, kind }).collect();
        let said = self.say(NodeFrame::Deliver(Deliver { entries }));
        let asked = said.into_iter().filter_map(|frame| match frame {
            ClientFrame::Send(send) if send.only_device == Some(id(21)) => Some(said_by(&send, bo).kind),
            _ => None,
        });
        let ids = asked.map(|kind| match kind {
            ContentKind::ResendRequest(ids) => ids,
            other => panic!("{other:?}"),
        });
        ids.flatten().collect()
    }

    fn writes_to_bo(&mut self, number: u128) -> Vec<Send> {
        let command =
            Command::SendText { conversation: with_bo(), message: id(number), text: format!("text {number}") };
        let step = self.handle(vec![Input::Command(CommandId(1), command)]);
        sends(self.frames(&step))
    }

    fn weeks(&mut self, weeks: u64) {
        for _ in 0..weeks * 7 * 24 {
            self.now = self.now.plus_millis(HOUR_MS);
            self.say(NodeFrame::Pong(Pong { nonce: 0, time: self.now, checkpoint: None, key_packages: None }));
        }
    }
}

fn said_by(send: &Send, bo: &Bo<'_>) -> Content {
    let opened = bo.mls.open(bo.group, &header(send.message, with_bo()), &send.body).unwrap();
    Content::decode(opened.content.into(), send.message).unwrap()
}

fn sends(frames: Vec<ClientFrame>) -> Vec<Send> {
    let send = |frame| match frame {
        ClientFrame::Send(send) => Some(*send),
        _ => None,
    };
    frames.into_iter().filter_map(send).collect()
}

const MISSING: SecurityEventKind = SecurityEventKind::MissingMessage;

fn of_bo() -> (SecurityEventKind, Option<UserId>, Option<DeviceId>) {
    (MISSING, Some(id(20)), Some(id(21)))
}

#[test]
fn what_is_kept_back_is_told_asked_for_and_put_where_it_belongs() {
    let (own, store) = (bos(), memory());
    let (bo, mut ana) = Bo::with_ana(Mls::new(&own, store.connection()));
    ana.deliver(vec![bo.says_after(800, 3, None)]);
    assert_eq!(ana.asks_bo(&bo, vec![bo.says(802, 5, 801)]), [id(801)]);
    assert_eq!((ana.reads(), ana.unread_of_all()), (vec!["800".into(), "802".into()], 2));
    assert_eq!(ana.events(), [of_bo()]);
    assert_eq!(ana.deliver(vec![bo.says_again(801, 4, Some(800))]), [(1, AckOutcome::Stored)]);
    assert_eq!((ana.reads(), ana.unread_of_all()), (vec!["800".into(), "801".into(), "802".into()], 3));
    let seq_of = |ana: &Ana| ana.store.history().message(id(801)).unwrap().unwrap().seq;
    assert_eq!(seq_of(&ana), Some(seq(4)));
    // Nobody goes on about it.
    ana.weeks(1);
    assert_eq!((ana.events(), ana.reads().len()), (vec![of_bo()], 3));
}

#[test]
fn what_names_another_one_is_followed_to_where_something_is_known() {
    let (own, store) = (bos(), memory());
    let (bo, mut ana) = Bo::with_ana(Mls::new(&own, store.connection()));
    ana.deliver(vec![bo.says_after(800, 3, None)]);
    assert_eq!(ana.asks_bo(&bo, vec![bo.says(803, 6, 802)]), [id(802)]);
    assert_eq!(ana.asks_bo(&bo, vec![bo.says_again(802, 5, Some(801))]), [id(801)]);
    assert_eq!(ana.asks_bo(&bo, vec![bo.says_again(801, 4, Some(800))]), []);
    assert_eq!(ana.reads(), ["800", "801", "802", "803"]);
    assert_eq!(ana.events(), [of_bo()], "the same is told once");
}

/// In one step: all mail is in when it is looked at.
#[test]
fn what_comes_in_another_order_is_not_missed() {
    let (own, store) = (bos(), memory());
    let (bo, mut ana) = Bo::with_ana(Mls::new(&own, store.connection()));
    let (first, second, third) = (bo.says_after(800, 3, None), bo.says(801, 4, 800), bo.says(802, 5, 801));
    assert_eq!(ana.asks_bo(&bo, vec![third, second, first]), []);
    assert_eq!((ana.reads(), ana.unread_of_all()), (vec!["800".into(), "801".into(), "802".into()], 3));
    assert_eq!(ana.events(), []);
}

#[test]
fn what_comes_late_is_in_its_place_and_was_told() {
    let (own, store) = (bos(), memory());
    let (bo, mut ana) = Bo::with_ana(Mls::new(&own, store.connection()));
    let (first, second) = (bo.says_after(800, 3, None), bo.says(801, 4, 800));
    assert_eq!(ana.asks_bo(&bo, vec![second]), [id(800)]);
    assert_eq!(ana.deliver(vec![first.clone()]), [(1, AckOutcome::Stored)]);
    assert_eq!((ana.reads(), ana.unread_of_all()), (vec!["800".into(), "801".into()], 2));
    assert_eq!(ana.deliver(vec![first]), [(1, AckOutcome::Stored)]);
    assert_eq!((ana.reads().len(), ana.events()), (2, vec![of_bo()]));
}

/// It comes late, and cannot be read either.
#[test]
fn what_comes_late_and_damaged_is_asked_for_on() {
    let (own, store) = (bos(), memory());
    let (bo, mut ana) = Bo::with_ana(Mls::new(&own, store.connection()));
    drop(bo.says_after(800, 3, None));
    ana.asks_bo(&bo, vec![bo.says(801, 4, 800)]);
    let damaged = mail(800, 3, Bytes::from_static(b"damaged"));
    assert_eq!(ana.deliver(vec![damaged]), [(1, AckOutcome::Unreadable)]);
    assert_eq!(ana.reads(), ["801"]);
    ana.deliver(vec![bo.says_again(800, 3, None)]);
    assert_eq!(ana.reads(), ["800", "801"]);
}

/// What wakes nobody is not asked for when it cannot be read, and the node says what wakes somebody.
#[test]
fn what_is_damaged_and_said_to_be_of_no_interest_is_missed_all_the_same() {
    let (own, store) = (bos(), memory());
    let (bo, mut ana) = Bo::with_ana(Mls::new(&own, store.connection()));
    let EntryKind::Envelope(damaged) = mail(800, 3, Bytes::from_static(b"damaged")) else { unreachable!() };
    ana.deliver(vec![EntryKind::Envelope(Box::new(Envelope { urgent: false, ..*damaged }))]);
    assert!(!ana.misses(800));
    drop(bo.says_after(800, 3, None));
    assert_eq!(ana.asks_bo(&bo, vec![bo.says(801, 4, 800)]), [id(800)]);
    assert_eq!(ana.events(), [of_bo()]);
    ana.deliver(vec![bo.says_again(800, 3, None)]);
    assert_eq!(ana.reads(), ["800", "801"]);
}

#[test]
fn what_never_comes_is_a_placeholder_in_front_of_what_named_it() {
    let (own, store) = (bos(), memory());
    let (bo, mut ana) = Bo::with_ana(Mls::new(&own, store.connection()));
    ana.deliver(vec![bo.says_after(800, 3, None), bo.says(802, 5, 801)]);
    ana.weeks(5);
    assert_eq!((ana.reads(), ana.unread_of_all()), (vec!["800".into(), "Unreadable".into(), "802".into()], 3));
    let read = Command::MarkRead(with_bo(), None);
    ana.handle(vec![Input::Command(CommandId(1), read)]);
    assert_eq!(ana.unread_of_all(), 0);
    // Another device of Ana's has it.
    let kind = ContentKind::Text("text 801".into());
    let archived = ArchivedMessage {
        conversation: with_bo(),
        message: id(801),
        seq: Some(seq(4)),
        sender: id(20),
        sender_device: id(21),
        created_at: NOW,
        accepted_at: Some(NOW),
        body: Content { message: id(801), created_at: NOW, kind, previous: None }.encode(),
        deliveries: vec![],
    };
    let page = ArchivePage { messages: vec![archived], ..ArchivePage::default() };
    ana.handle(vec![Input::Command(CommandId(9), Command::Merge(Box::new(page)))]);
    assert_eq!((ana.reads(), ana.unread_of_all()), (vec!["800".into(), "801".into(), "802".into()], 0));
    assert_eq!(ana.store.history().message(id(801)).unwrap().unwrap().seq, Some(seq(4)));
}

/// Before this device was in the group, or in another group.
#[test]
fn what_was_not_for_this_device_is_not_missed() {
    let (own, store) = (bos(), memory());
    let (bo, mut ana) = Bo::with_ana(Mls::new(&own, store.connection()));
    let elsewhere = Previous { message: id(700), group: [9; 16], epoch: 5 };
    let others = [bo.at(0, 700), Some(elsewhere), None];
    for (number, previous) in (800..).zip(others) {
        assert_eq!(ana.asks_bo(&bo, vec![bo.says_after(number, (number - 790) as u64, previous)]), []);
    }
    assert_eq!((ana.events(), ana.misses(700)), (vec![], false));
}

/// People see a gap, a hole, or that there was an absence; and when the group changes all begins anew.
#[test]
fn what_was_lost_is_not_missed_before_the_group_changes() {
    let (own, store) = (bos(), memory());
    let (kind, protection, peer) = (ConversationKind::Direct, Protection::EndToEnd, Some(id(20)));
    let conversation = with_bo();
    let gap = Gap {
        conversation,
        kind,
        protection,
        sender_user: id(20),
        peer: Some(id(10)),
        seq: seq(4),
        reason: GapReason::Expired,
        at: NOW,
    };
    let range = SeqRange::one(seq(4));
    let hole = Hole { conversation, kind, protection, peer, range, reason: HoleReason::MailboxFull, since: NOW };
    let lost = [EntryKind::Gap(gap), EntryKind::Hole(hole), EntryKind::Absence(chasqui_wire::Absence { since: NOW })];
    for (lost, comes_first) in lost.into_iter().flat_map(|lost| [(lost.clone(), true), (lost, false)]) {
        let (bo, mut ana) = Bo::with_ana(Mls::new(&own, store.connection()));
        ana.deliver(vec![bo.says_after(800, 3, None)]);
        drop(bo.says(801, 4, 800));
        let says = bo.says(802, 5, 801);
        let mail = if comes_first { vec![lost.clone(), says] } else { vec![says, lost.clone()] };
        assert_eq!(ana.asks_bo(&bo, mail), [], "{lost:?}");
        assert_eq!((ana.events(), ana.misses(801)), (vec![], false), "{lost:?}");
        let change = bo.mls.change(bo.group, &[], &[], |_| Ok(())).unwrap();
        bo.mls.merge(bo.group).unwrap();
        let EntryKind::Envelope(base) = mail_of_devices(900, 6, change.commit) else { unreachable!() };
        let commit = EntryKind::Envelope(Box::new(Envelope { commit: Some(change.declared), ..*base }));
        let EntryKind::Envelope(says) = bo.says_after(804, 8, bo.at(2, 803)) else { unreachable!() };
        let says = EntryKind::Envelope(Box::new(Envelope { epoch: 2, ..*says }));
        assert_eq!(ana.asks_bo(&bo, vec![commit, says]), [id(803)], "{lost:?}");
        assert_eq!(ana.events(), [of_bo()]);
    }
}

fn mail_of_devices(number: u128, at: u64, body: Bytes) -> EntryKind {
    let EntryKind::Envelope(it) = mail(number, at, body) else { unreachable!() };
    EntryKind::Envelope(Box::new(Envelope { urgent: false, ..*it }))
}

#[test]
fn a_restored_node_has_forgotten_some_and_is_not_blamed() {
    let (own, store) = (bos(), memory());
    let (bo, mut ana) = Bo::with_ana(Mls::new(&own, store.connection()));
    ana.node_is_restored();
    assert_eq!(ana.asks_bo(&bo, vec![bo.says(801, 4, 800)]), [id(800)]);
    assert_eq!(ana.events(), []);
}

/// The node and Cleo do it together: she says that Bo's message is one of hers.
#[test]
fn what_comes_under_the_name_of_another_is_no_excuse() {
    let (own, store) = (bos(), memory());
    let (bo, mut ana) = Bo::with_ana(Mls::new(&own, store.connection()));
    let sql = "INSERT INTO message (conversation, message, anchor, place, seq, sender, sender_device, incoming, kind, state,
                   created_at) SELECT conversation.id, ?1, 1, 0, 1, ?2, ?2, 1, 1, 1, 0 FROM conversation WHERE conversation = ?3";
    let (message, cleo): (MessageId, UserId) = (id(800), id(30));
    ana.store.connection().execute(sql, (message.as_bytes(), cleo.as_bytes(), chat().as_bytes())).unwrap();
    ana.deliver(vec![bo.says(801, 4, 800)]);
    assert_eq!((ana.reads(), ana.events()), (vec!["801".into()], vec![of_bo()]));
}

#[test]
fn each_message_names_the_one_before_and_none_that_failed() {
    let (own, store) = (bos(), memory());
    let (bo, mut ana) = Bo::with_ana(Mls::new(&own, store.connection()));
    let [first] = ana.writes_to_bo(501).try_into().unwrap();
    let [second] = ana.writes_to_bo(502).try_into().unwrap();
    // The first word of all was said with the group's beginning: `together`.
    assert_eq!(said_by(&first, &bo).previous, bo.at(1, 500));
    assert_eq!(said_by(&second, &bo).previous, bo.at(1, 501));
    ana.reject(501, ErrorCode::AccountDeleted);
    let (message, code) = (id(502), ErrorCode::StreamStalled);
    let stalled = Rejected { message, code, detail: String::new(), retry_after_ms: 0 };
    let [again] = sends(ana.say(NodeFrame::Rejected(stalled))).try_into().unwrap();
    assert_eq!((again.message, said_by(&again, &bo).previous), (id(502), bo.at(1, 500)));
    ana.accept(502, seq(3), 3);
    // Tried again it comes after what was said meanwhile.
    let step = ana.handle(vec![Input::Command(CommandId(3), Command::Retry(id(501)))]);
    let [retried] = sends(ana.frames(&step)).try_into().unwrap();
    let sent_twice = said_by(&retried, &bo).previous.unwrap();
    assert_eq!((retried.message, sent_twice.message), (id(501), id(502)));
    assert_eq!(sent_twice.group, [0; 16], "nobody knows at which epoch the node took it");
    let [next] = ana.writes_to_bo(503).try_into().unwrap();
    assert_eq!(said_by(&next, &bo).previous, bo.at(1, 501));
}

/// When it comes again it may have been taken the first time.
#[test]
fn what_is_encrypted_again_names_the_same_and_is_named_with_its_first_epoch() {
    let (own, store) = (bos(), memory());
    let (bo, mut ana) = Bo::with_ana(Mls::new(&own, store.connection()));
    let [first] = ana.writes_to_bo(501).try_into().unwrap();
    assert_eq!(said_by(&first, &bo).previous, bo.at(1, 500));
    let change = bo.mls.change(bo.group, &[], &[], |_| Ok(())).unwrap();
    bo.mls.merge(bo.group).unwrap();
    let EntryKind::Envelope(base) = mail_of_devices(900, 3, change.commit) else { unreachable!() };
    ana.deliver(vec![EntryKind::Envelope(Box::new(Envelope { commit: Some(change.declared), ..*base }))]);
    ana.handle(vec![Input::Disconnected(ana.socket)]);
    ana.reconnect();
    // It went out when the mail was in.
    let sql = "SELECT flight.body FROM flight JOIN message ON message.id = flight.message WHERE message.message = ?";
    let message: MessageId = id(501);
    let body = ana.store.connection().query_row(sql, [message.as_bytes()], |row| row.get::<_, Vec<u8>>(0));
    let again = Send { body: body.unwrap().into(), ..first.clone() };
    assert_ne!(again.body, first.body);
    assert_eq!(said_by(&again, &bo).previous, bo.at(1, 500));
    let [next] = ana.writes_to_bo(502).try_into().unwrap();
    assert_eq!(said_by(&next, &bo).previous, bo.at(1, 501), "whoever came with the change may not have it");
}

#[test]
fn what_is_saved_of_a_damaged_history_is_missed_on() {
    let (own, store) = (bos(), memory());
    let (bo, mut ana) = Bo::with_ana(Mls::new(&own, store.connection()));
    ana.deliver(vec![bo.says_after(800, 3, None), bo.says(802, 5, 801)]);
    let folder = tempfile::tempdir().unwrap();
    let (file, fresh) = (folder.path().join("history.db"), folder.path().join("fresh.db"));
    let mut copy = Connection::open(&file).unwrap();
    rusqlite::backup::Backup::new(ana.store.connection(), &mut copy).unwrap().step(-1).unwrap();
    copy.close().unwrap();
    let damage = Damage { cause: "a test".into(), is_log_missing: false };
    salvage(Some(&file), &fresh, &damage, "damaged-1.db".into()).unwrap();
    let store = Store::open(&fresh).unwrap();
    let saved = Ana { engine: Engine::load(&store, 7).unwrap(), store, ..ana };
    assert!(saved.misses(801));
    assert_eq!((saved.reads(), saved.unread_of_all()), (vec!["800".into(), "802".into()], 2));
}
