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

    fn body(&self, number: u128, under: u128, previous: Vec<Previous>) -> Bytes {
        let kind = ContentKind::Text(format!("text {number}"));
        let content = Content { message: id(number), created_at: NOW, kind, previous };
        self.mls.seal(self.group, &header(id(under), with_bo()), &content.encode()).unwrap()
    }

    fn at(&self, epoch: u64, number: u128) -> Vec<Previous> {
        vec![Previous { message: id(number), group: self.group.0, epoch }]
    }

    /// Says it after another message, of the group's first epoch.
    fn says(&self, number: u128, at: u64, after: u128) -> EntryKind {
        self.says_after(number, at, self.at(1, after))
    }

    fn says_after(&self, number: u128, at: u64, previous: Vec<Previous>) -> EntryKind {
        mail(number, at, self.body(number, number, previous))
    }

    /// Gives the group new keys: its second epoch, from there on.
    fn renews(&self, at: u64) -> EntryKind {
        let change = self.mls.change(self.group, &[], &[], |_| Ok(())).unwrap();
        self.mls.merge(self.group).unwrap();
        let EntryKind::Envelope(base) = mail_of_devices(900, at, change.commit) else { unreachable!() };
        EntryKind::Envelope(Box::new(Envelope { commit: Some(change.declared), ..*base }))
    }

    /// Sends again what came to `at`.
    fn says_again(&self, number: u128, at: u64, after: Option<u128>) -> EntryKind {
        let under = number + 10_000;
        let body = self.body(number, under, after.map(|after| self.at(1, after)).unwrap_or_default());
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
    ana.deliver(vec![bo.says_after(800, 3, vec![])]);
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
    ana.deliver(vec![bo.says_after(800, 3, vec![])]);
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
    let (first, second, third) = (bo.says_after(800, 3, vec![]), bo.says(801, 4, 800), bo.says(802, 5, 801));
    assert_eq!(ana.asks_bo(&bo, vec![third, second, first]), []);
    assert_eq!((ana.reads(), ana.unread_of_all()), (vec!["800".into(), "801".into(), "802".into()], 3));
    assert_eq!(ana.events(), []);
}

#[test]
fn what_comes_late_is_in_its_place_and_was_told() {
    let (own, store) = (bos(), memory());
    let (bo, mut ana) = Bo::with_ana(Mls::new(&own, store.connection()));
    let (first, second) = (bo.says_after(800, 3, vec![]), bo.says(801, 4, 800));
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
    drop(bo.says_after(800, 3, vec![]));
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
    drop(bo.says_after(800, 3, vec![]));
    assert_eq!(ana.asks_bo(&bo, vec![bo.says(801, 4, 800)]), [id(800)]);
    let forged = (SecurityEventKind::ForgedMessage, Some(id(20)), Some(id(21)));
    assert_eq!(ana.events(), [forged, of_bo()]);
    ana.deliver(vec![bo.says_again(800, 3, None)]);
    assert_eq!(ana.reads(), ["800", "801"]);
}

#[test]
fn what_never_comes_is_a_placeholder_in_front_of_what_named_it() {
    let (own, store) = (bos(), memory());
    let (bo, mut ana) = Bo::with_ana(Mls::new(&own, store.connection()));
    ana.deliver(vec![bo.says_after(800, 3, vec![]), bo.says(802, 5, 801)]);
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
        body: Content { message: id(801), created_at: NOW, kind, previous: vec![] }.encode(),
        deliveries: vec![],
    };
    let page = ArchivePage { messages: vec![archived], ..ArchivePage::default() };
    ana.handle(vec![Input::Command(CommandId(9), Command::Merge(Box::new(page)))]);
    assert_eq!((ana.reads(), ana.unread_of_all()), (vec!["800".into(), "801".into(), "802".into()], 0));
    assert_eq!(ana.store.history().message(id(801)).unwrap().unwrap().seq, Some(seq(4)));
}

#[test]
fn what_was_said_before_this_device_was_there_is_not_missed() {
    let (own, store) = (bos(), memory());
    let (bo, mut ana) = Bo::with_ana(Mls::new(&own, store.connection()));
    for (number, previous) in [(800, bo.at(0, 700)), (801, vec![])] {
        assert_eq!(ana.asks_bo(&bo, vec![bo.says_after(number, (number - 790) as u64, previous)]), []);
    }
    assert_eq!((ana.events(), ana.misses(700)), (vec![], false));
}

/// The node may have kept all of the group back; or it was before this device was there. Nobody is told, or shown anything.
#[test]
fn what_was_said_in_a_group_that_is_not_known_is_asked_for_and_no_more() {
    let (own, store) = (bos(), memory());
    let elsewhere = |number| vec![Previous { message: id(number), group: [9; 16], epoch: 5 }];
    let (bo, mut ana) = Bo::with_ana(Mls::new(&own, store.connection()));
    assert_eq!(ana.asks_bo(&bo, vec![bo.says_after(800, 10, elsewhere(700))]), [id(700)]);
    ana.weeks(1);
    assert_eq!((ana.reads(), ana.events(), ana.misses(700)), (vec!["800".into()], vec![], false));
    // It comes, from below where this device came in, and is not followed further.
    let (bo, mut ana) = Bo::with_ana(Mls::new(&own, store.connection()));
    ana.store.connection().execute("UPDATE member_since SET seq = 7", []).unwrap();
    assert_eq!(ana.asks_bo(&bo, vec![bo.says_after(800, 10, elsewhere(700))]), [id(700)]);
    let body = bo.body(700, 10_700, elsewhere(699));
    let EntryKind::Envelope(resent) = mail(10_700, 3, body) else { unreachable!() };
    let resent = EntryKind::Envelope(Box::new(Envelope { resend_of: Some(id(700)), urgent: false, ..*resent }));
    assert_eq!(ana.asks_bo(&bo, vec![resent]), []);
    assert_eq!((ana.reads(), ana.misses(699)), (vec!["700".into(), "800".into()], false));
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
        ana.deliver(vec![bo.says_after(800, 3, vec![])]);
        drop(bo.says(801, 4, 800));
        let says = bo.says(802, 5, 801);
        let mail = if comes_first { vec![lost.clone(), says] } else { vec![says, lost.clone()] };
        assert_eq!(ana.asks_bo(&bo, mail), [], "{lost:?}");
        assert_eq!((ana.events(), ana.misses(801)), (vec![], false), "{lost:?}");
        let commit = bo.renews(6);
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
    assert_eq!(ana.asks_bo(&bo, vec![bo.says(801, 4, 800)]), []);
    assert_eq!(ana.events(), []);
    let commit = bo.renews(6);
    let EntryKind::Envelope(says) = bo.says_after(804, 8, bo.at(2, 803)) else { unreachable!() };
    let says = EntryKind::Envelope(Box::new(Envelope { epoch: 2, ..*says }));
    assert_eq!(ana.asks_bo(&bo, vec![commit, says]), [id(803)]);
    assert_eq!(ana.events(), [of_bo()], "it has not forgotten what came since");
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
    assert_eq!((retried.message, said_by(&retried, &bo).previous), (id(501), bo.at(1, 502)));
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
    ana.deliver(vec![bo.renews(3)]);
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
    ana.deliver(vec![bo.says_after(800, 3, vec![]), bo.says(802, 5, 801)]);
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

impl Ana {
    fn is_told_or_asks(&self, number: u128) -> bool {
        self.events().contains(&of_bo()) || self.misses(number)
    }

    fn refuse_as(&mut self, number: u128, code: ErrorCode) -> Vec<ClientFrame> {
        let rejected = Rejected { message: id(number), code, detail: String::new(), retry_after_ms: 0 };
        self.say(NodeFrame::Rejected(rejected))
    }

    /// The node has Ana begin another group: what she sends in it, and where Bo is then, if he is told.
    fn is_made_to_begin_anew(&mut self, said: &[ClientFrame], epoch: u64, bo: &Mls<'_>) -> (GroupId, Vec<Send>) {
        let claim = said.iter().find_map(|frame| match frame {
            ClientFrame::Claim(claim) => Some(claim),
            _ => None,
        });
        let claim = claim.unwrap_or_else(|| panic!("{said:?}"));
        assert!(claim.anew);
        let entry = chasqui_wire::RosterEntry { user: id(20), device: id(21) };
        let packages = vec![chasqui_wire::KeyPackage { entry, body: bo.key_package(false).unwrap() }];
        let roster = vec![chasqui_wire::RosterEntry { user: id(10), device: id(11) }, entry];
        let claimed = chasqui_wire::Claimed { id: claim.id, epoch, roster, gone: vec![], packages };
        let said = self.say(NodeFrame::Claimed(claimed));
        let [ClientFrame::Send(begins)] = said.as_slice() else { panic!("{said:?}") };
        let group = bo.join(&begins.commit.as_ref().unwrap().welcome, None, |_| Ok(())).unwrap().group;
        let accepted =
            Accepted { message: begins.message, seq: Some(seq(100 + epoch)), at: NOW, revision: 100 + epoch };
        let said = self.say(NodeFrame::Accepted(accepted));
        (group, sends(said))
    }
}

/// Nothing is missing in it that is not held, so people see nothing of it.
#[test]
fn a_hole_in_which_all_is_held_is_no_excuse() {
    let (own, store) = (bos(), memory());
    let (bo, mut ana) = Bo::with_ana(Mls::new(&own, store.connection()));
    ana.deliver(vec![bo.says_after(800, 3, vec![])]);
    let (kind, protection, peer) = (ConversationKind::Direct, Protection::EndToEnd, Some(id(20)));
    let (conversation, range) = (with_bo(), SeqRange::one(seq(3)));
    let hole = Hole { conversation, kind, protection, peer, range, reason: HoleReason::MailboxFull, since: NOW };
    ana.deliver(vec![EntryKind::Hole(hole)]);
    let items = ana.store.history().timeline_before(with_bo(), None, 100).unwrap().items;
    assert!(items.iter().all(|item| item.message().is_some()), "no hole is shown");
    assert_eq!(ana.store.history().incomplete().unwrap(), None);
    ana.deliver(vec![bo.says(802, 5, 801)]);
    assert_eq!(ana.reads(), ["800", "802"]);
    assert!(ana.is_told_or_asks(801));
}

/// It was told once, and the group changed since.
#[test]
fn a_gap_that_is_told_again_is_no_excuse() {
    let (own, store) = (bos(), memory());
    let (bo, mut ana) = Bo::with_ana(Mls::new(&own, store.connection()));
    let (kind, protection, conversation) = (ConversationKind::Direct, Protection::EndToEnd, with_bo());
    let gap = Gap {
        conversation,
        kind,
        protection,
        sender_user: id(20),
        peer: Some(id(10)),
        seq: seq(3),
        reason: GapReason::Expired,
        at: NOW,
    };
    ana.deliver(vec![EntryKind::Gap(gap.clone())]);
    ana.deliver(vec![bo.renews(4)]);
    ana.deliver(vec![EntryKind::Gap(gap)]);
    let EntryKind::Envelope(says) = bo.says_after(802, 6, bo.at(2, 801)) else { unreachable!() };
    ana.deliver(vec![EntryKind::Envelope(Box::new(Envelope { epoch: 2, ..*says }))]);
    assert_eq!(ana.reads(), ["802"]);
    assert!(ana.is_told_or_asks(801));
}

/// In one step. The sender sees it sent, and what is said next names what came before it.
#[test]
fn what_is_refused_and_taken_after_all_is_named() {
    let (own, store) = (bos(), memory());
    let (bo, mut ana) = Bo::with_ana(Mls::new(&own, store.connection()));
    ana.writes_to_bo(501);
    let rejected =
        Rejected { message: id(501), code: ErrorCode::RequestPending, detail: String::new(), retry_after_ms: 0 };
    let accepted = Accepted { message: id(501), seq: Some(seq(3)), at: NOW, revision: 3 };
    let frames = [NodeFrame::Rejected(rejected).encode(), NodeFrame::Accepted(accepted).encode()];
    ana.handle(frames.into_iter().map(|frame| Input::Frame(ana.socket, frame)).collect());
    assert_eq!(ana.state_of(501), MessageState::Sent);
    let [next] = ana.writes_to_bo(502).try_into().unwrap();
    assert_eq!(said_by(&next, &bo).previous, [bo.at(1, 500), bo.at(1, 501)].concat());
}

/// The node takes (and drops) the second, and only then refuses the first, and takes it after all.
#[test]
fn a_refusal_does_not_unname_what_was_taken_behind_it() {
    let (own, store) = (bos(), memory());
    let (bo, mut ana) = Bo::with_ana(Mls::new(&own, store.connection()));
    ana.writes_to_bo(501);
    ana.writes_to_bo(502);
    ana.accept(502, seq(4), 4);
    ana.refuse_as(501, ErrorCode::RequestPending);
    assert_eq!(ana.state_of(502), MessageState::Sent);
    let [next] = ana.writes_to_bo(503).try_into().unwrap();
    assert_eq!(said_by(&next, &bo).previous, bo.at(1, 502));
}

/// The node has not answered the first yet, and refuses the second.
#[test]
fn what_is_not_answered_yet_is_named_all_the_same() {
    let (own, store) = (bos(), memory());
    let (bo, mut ana) = Bo::with_ana(Mls::new(&own, store.connection()));
    ana.writes_to_bo(501);
    ana.writes_to_bo(502);
    ana.refuse_as(502, ErrorCode::RequestPending);
    ana.accept(501, seq(3), 3);
    let [next] = ana.writes_to_bo(503).try_into().unwrap();
    assert_eq!(said_by(&next, &bo).previous, bo.at(1, 501));
}

/// What waits behind a refused one is named with no group, so the node may drop it; and the first one is taken after all.
#[test]
fn what_waits_behind_a_refused_one_is_missed() {
    let (own, store) = (bos(), memory());
    let (bo, mut ana) = Bo::with_ana(Mls::new(&own, store.connection()));
    ana.writes_to_bo(501);
    ana.writes_to_bo(502);
    ana.refuse_as(501, ErrorCode::RequestPending);
    ana.refuse_as(502, ErrorCode::StreamStalled);
    ana.accept(501, seq(3), 3);
    ana.accept(502, seq(4), 4);
    assert_eq!([ana.state_of(501), ana.state_of(502)], [MessageState::Sent, MessageState::Sent]);
    let [next] = ana.writes_to_bo(503).try_into().unwrap();
    assert_eq!(said_by(&next, &bo).previous, [bo.at(1, 502), bo.at(1, 501)].concat());
}

/// The node keeps the group's beginning back, has what is sealed for it sealed for another, and drops it.
#[test]
fn what_is_sealed_first_for_a_group_that_nobody_knows_is_missed() {
    let (own, store) = (bos(), memory());
    let (bo, mut ana) = Bo::with_ana(Mls::new(&own, store.connection()));
    ana.writes_to_bo(501);
    let said = ana.refuse_as(501, ErrorCode::NotInRoster);
    // Bo is not told of it: his MLS only makes the key package here.
    let elsewhere = memory();
    let (dead, again) = ana.is_made_to_begin_anew(&said, 1, &Mls::new(&own, elsewhere.connection()));
    assert_eq!(again.len(), 1);
    ana.writes_to_bo(502);
    let mut said = ana.refuse_as(501, ErrorCode::NotInRoster);
    said.extend(ana.refuse_as(502, ErrorCode::StreamStalled));
    let (group, again) = ana.is_made_to_begin_anew(&said, 2, &bo.mls);
    let bo = Bo { mls: bo.mls, group };
    assert_eq!(again.iter().map(|send| send.message).collect::<Vec<_>>(), [id(501), id(502)]);
    ana.accept(501, seq(201), 201);
    // This one Bo never gets.
    ana.accept(502, seq(202), 202);
    let [next] = ana.writes_to_bo(503).try_into().unwrap();
    let previous = said_by(&next, &bo).previous;
    assert_ne!(group, dead, "in which nobody but Ana ever was");
    assert_eq!(previous, bo.at(1, 502));
}

/// The node has groups begun anew until the one is forgotten in which something was kept back.
#[test]
fn the_ninth_group_is_no_excuse() {
    let (own, store) = (bos(), memory());
    let (bo, mut ana) = Bo::with_ana(Mls::new(&own, store.connection()));
    let kept_back = bo.at(1, 801);
    drop(bo.says_after(801, 3, vec![]));
    let mut group = bo.group;
    for number in 0..8 {
        ana.writes_to_bo(600 + u128::from(number));
        let said = ana.refuse_as(600 + u128::from(number), ErrorCode::NotInRoster);
        (group, _) = ana.is_made_to_begin_anew(&said, 1 + number, &bo.mls);
        ana.accept(600 + u128::from(number), seq(300 + number), 300 + number);
    }
    let bo = Bo { mls: bo.mls, group };
    let EntryKind::Envelope(says) = bo.says_after(802, 400, kept_back) else { unreachable!() };
    ana.deliver(vec![EntryKind::Envelope(Box::new(Envelope { epoch: 9, ..*says }))]);
    assert_eq!(ana.reads(), ["802"]);
    assert!(ana.is_told_or_asks(801));
}

/// The node gives it where nothing is, and says that another device of Ana's has declined what is there.
#[test]
fn what_the_node_deletes_is_not_here() {
    let (own, store) = (bos(), memory());
    let (bo, mut ana) = Bo::with_ana(Mls::new(&own, store.connection()));
    ana.deliver(vec![bo.says_after(800, 3, vec![])]);
    let declined = chasqui_wire::Admission {
        conversation: with_bo(),
        verdict: chasqui_wire::Verdict::Decline,
        up_to: Some(seq(1)),
        at: NOW,
    };
    ana.deliver(vec![bo.says(801, 1, 800), EntryKind::Admission(declined)]);
    ana.deliver(vec![bo.says(802, 5, 801)]);
    let is_read = ana.reads() == ["801", "800", "802"];
    assert!(is_read || ana.events().contains(&of_bo()), "{:?}", ana.reads());
}

/// A year after the first one was told.
#[test]
fn what_is_kept_back_later_is_told_too() {
    let (own, store) = (bos(), memory());
    let (bo, mut ana) = Bo::with_ana(Mls::new(&own, store.connection()));
    ana.deliver(vec![bo.says_after(800, 3, vec![]), bo.says(802, 5, 801)]);
    ana.deliver(vec![bo.says_again(801, 4, Some(800))]);
    assert_eq!(ana.events(), [of_bo()]);
    ana.now = ana.now.plus_millis(365 * DAY_MS);
    ana.say(NodeFrame::Pong(Pong { nonce: 0, time: ana.now, checkpoint: None, key_packages: None }));
    assert_eq!(ana.asks_bo(&bo, vec![bo.says(804, 7, 803)]), [id(803)]);
    assert_eq!(ana.events(), [of_bo(), of_bo()]);
}

/// It says when the node took it.
#[test]
fn what_came_after_all_was_taken_when_it_was() {
    let (own, store) = (bos(), memory());
    let (bo, mut ana) = Bo::with_ana(Mls::new(&own, store.connection()));
    let EntryKind::Envelope(says) = bo.says(802, 5, 801) else { unreachable!() };
    let tomorrow = NOW.plus_millis(DAY_MS);
    ana.deliver(vec![EntryKind::Envelope(Box::new(Envelope { accepted_at: tomorrow, ..*says }))]);
    ana.deliver(vec![bo.says_again(801, 4, None)]);
    assert_eq!(ana.store.history().message(id(801)).unwrap().unwrap().accepted_at, Some(NOW));
}

/// Bo and the node together: his message names the one that Cleo says next, which the node has and holds back until his is here.
#[test]
fn what_somebody_names_as_his_comes_all_the_same() {
    let (own, store) = (bos(), memory());
    let (bo, mut ana) = Bo::with_ana(Mls::new(&own, store.connection()));
    ana.deliver(vec![bo.says(801, 4, 900)]);
    // In clear, which is shorter to test; what is sealed is lost on the same way.
    let EntryKind::Envelope(of_cleo) = text(900, 1, "from Cleo") else { unreachable!() };
    let conversation = direct_conversation(id(10), id(30), Protection::NodeReadable);
    let of_cleo = Envelope { conversation, sender_user: id(30), sender_device: id(31), ..*of_cleo };
    let outcome = ana.deliver(vec![EntryKind::Envelope(Box::new(of_cleo))]);
    let page = ana.store.history().timeline_before(conversation, None, 10);
    assert_eq!((outcome, page.map_or(0, |page| page.items.len())), (vec![(1, AckOutcome::Stored)], 1));
}

/// The node has Bo begin another group, and gives Ana neither its Welcome nor the first message: the second cannot be read, and comes again.
#[test]
fn what_is_kept_back_with_the_beginning_of_its_group_is_missed() {
    let (own, store) = (bos(), memory());
    let (bo, mut ana) = Bo::with_ana(Mls::new(&own, store.connection()));
    ana.deliver(vec![bo.says_after(800, 3, vec![])]);
    let owned = crate::e2ee::Own::linked(id(1), id(10), id(11), &Secret::new([1; 32]), &Secret::new([5; 32])).unwrap();
    let body = Mls::new(&owned, ana.store.connection()).key_package(false).unwrap();
    let entry = chasqui_wire::RosterEntry { user: id(10), device: id(11) };
    let group = GroupId::random().unwrap();
    bo.mls.begin(group, &[chasqui_wire::KeyPackage { entry, body }], |_| Ok(())).unwrap();
    bo.mls.merge(group).unwrap();
    let bo = Bo { mls: bo.mls, group };
    drop(bo.says_after(801, 5, vec![]));
    let previous = bo.at(bo.mls.epoch(group).unwrap(), 801);
    let EntryKind::Envelope(second) = bo.says_after(802, 6, previous.clone()) else { unreachable!() };
    let entries = vec![Entry { number: 1, kind: EntryKind::Envelope(Box::new(Envelope { epoch: 2, ..*second })) }];
    let asks = sends(ana.say(NodeFrame::Deliver(Deliver { entries })));
    let [asks] = asks.try_into().unwrap();
    let refused =
        Rejected { message: asks.message, code: ErrorCode::NotInRoster, detail: String::new(), retry_after_ms: 0 };
    let said = ana.say(NodeFrame::Rejected(refused));
    let (group, again) = ana.is_made_to_begin_anew(&said, 2, &bo.mls);
    assert_eq!(again[0].only_device, Some(id(21)));
    let bo = Bo { mls: bo.mls, group };
    let body = bo.body(802, 10_802, previous);
    let EntryKind::Envelope(resent) = mail(10_802, 6, body) else { unreachable!() };
    let resent = Envelope { resend_of: Some(id(802)), urgent: false, epoch: 3, ..*resent };
    assert_eq!(ana.deliver(vec![EntryKind::Envelope(Box::new(resent))]), [(1, AckOutcome::Stored)]);
    assert_eq!(ana.reads(), ["800", "802"]);
    assert!(ana.misses(801));
    let EntryKind::Envelope(resent) = bo.says_again(801, 5, None) else { unreachable!() };
    let resent = EntryKind::Envelope(Box::new(Envelope { epoch: 3, ..*resent }));
    assert_eq!(ana.deliver(vec![resent]), [(1, AckOutcome::Stored)]);
    assert_eq!((ana.reads(), ana.events()), (vec!["800".into(), "801".into(), "802".into()], vec![]));
}

/// Nobody is crooked: the answer to the beginning of a group is lost, its members speak while Ana is away for too long, and when she is back
/// the node tells her of a hole, and then answers. Simulation: `--profile e2ee --weather absences --seed 500029`.
#[test]
fn what_was_lost_before_the_answer_to_a_commit_is_not_missed() {
    let (own, store) = (bos(), memory());
    let bo = Mls::new(&own, store.connection());
    let (mut ana, _) = super::encrypted::writing();
    let claim = super::encrypted::claim(&mut ana);
    let entry = chasqui_wire::RosterEntry { user: id(20), device: id(21) };
    let packages = vec![chasqui_wire::KeyPackage { entry, body: bo.key_package(false).unwrap() }];
    let claimed = chasqui_wire::Claimed { id: claim, epoch: 0, roster: vec![], gone: vec![], packages };
    let said = ana.say(NodeFrame::Claimed(claimed));
    let [ClientFrame::Send(begins)] = said.as_slice() else { panic!("{said:?}") };
    let group = bo.join(&begins.commit.as_ref().unwrap().welcome, None, |_| Ok(())).unwrap().group;
    let bo = Bo { mls: bo, group };
    ana.handle(vec![Input::Disconnected(ana.socket)]);
    ana.reconnect();
    let (kind, protection, peer) = (ConversationKind::Direct, Protection::EndToEnd, Some(id(20)));
    let (conversation, range) = (with_bo(), SeqRange::one(seq(2)));
    let hole = Hole { conversation, kind, protection, peer, range, reason: HoleReason::Absent, since: NOW };
    ana.deliver(vec![EntryKind::Absence(chasqui_wire::Absence { since: NOW }), EntryKind::Hole(hole)]);
    ana.say(NodeFrame::Accepted(Accepted { message: begins.message, seq: Some(seq(1)), at: NOW, revision: 1 }));
    drop(bo.says_after(801, 2, vec![]));
    assert_eq!(ana.asks_bo(&bo, vec![bo.says(802, 3, 801)]), []);
    assert_eq!(ana.events(), []);
}

/// A byte is another one. Where it stands is the node's to say.
#[test]
fn what_is_damaged_on_the_way_is_told() {
    let (own, store) = (bos(), memory());
    let (bo, mut ana) = Bo::with_ana(Mls::new(&own, store.connection()));
    let mut body = bo.body(801, 801, vec![]).to_vec();
    *body.last_mut().unwrap() ^= 1;
    ana.deliver(vec![mail(801, 1, body.into())]);
    assert_eq!(ana.events(), [(SecurityEventKind::ForgedMessage, Some(id(20)), Some(id(21)))]);
}
