//! When a device gives a group new keys, and what it makes of refusals.

use chasqui_wire::{Claimed, KeyPackage, Pong, RosterEntry, Send};

use super::encrypted::{claim, writing};
use super::*;
use crate::domain::SecurityEventKind;
use crate::e2ee::{GroupId, Mls, Own};
use crate::engine::encrypted::header;

const HOUR_MS: u64 = 3_600_000;

pub(super) fn bo() -> Own {
    Own::linked(id(1), id(20), id(21), &Secret::new([2; 32]), &Secret::new([3; 32])).unwrap()
}

/// Ana has begun a group with Bo, and written to it.
pub(super) fn together(bo: &Mls<'_>) -> (Ana, GroupId) {
    let (mut ana, written) = writing();
    let claim = claim(&mut ana);
    let entry = RosterEntry { user: id(20), device: id(21) };
    let packages = vec![KeyPackage { entry, body: bo.key_package(false).unwrap() }];
    let said = ana.say(NodeFrame::Claimed(Claimed { id: claim, epoch: 0, roster: vec![], gone: vec![], packages }));
    let [ClientFrame::Send(begins)] = said.as_slice() else { panic!("{said:?}") };
    let group = bo.join(&begins.commit.as_ref().unwrap().welcome, None, |_| Ok(())).unwrap().group;
    let accepted = |message, at| NodeFrame::Accepted(Accepted { message, seq: Some(seq(at)), at: NOW, revision: at });
    ana.say(accepted(begins.message, 1));
    ana.say(accepted(written, 2));
    (ana, group)
}

fn commits(said: Vec<ClientFrame>) -> Vec<Send> {
    let commit = |frame| match frame {
        ClientFrame::Send(send) if send.commit.is_some() => Some(*send),
        _ => None,
    };
    said.into_iter().filter_map(commit).collect()
}

impl Ana {
    /// What is offered within so many hours in which the device is online, and hears something each hour.
    fn offers(&mut self, hours: u64) -> Vec<Send> {
        let mut offers = Vec::new();
        for _ in 0..hours {
            self.now = self.now.plus_millis(HOUR_MS);
            let pong = Pong { nonce: 0, time: self.now, checkpoint: None, key_packages: None };
            let said = self.say(NodeFrame::Pong(pong));
            offers.extend(commits(said));
        }
        assert_eq!(self.engine.connection(), ConnectionState::Online);
        offers
    }

    /// Returns what it offers at once.
    fn refuse(&mut self, offer: &Send, code: ErrorCode) -> Vec<Send> {
        let message = offer.message;
        commits(self.say(NodeFrame::Rejected(Rejected { message, code, detail: String::new(), retry_after_ms: 0 })))
    }

    fn has_group(&self) -> bool {
        let conversation = direct_conversation(id(10), id(20), Protection::EndToEnd);
        crate::store::SecuredRow::get(self.store.connection(), conversation).unwrap().group.is_some()
    }
}

#[test]
fn who_has_written_makes_new_keys_after_a_month_and_no_more_before_writing_again() {
    let (own, store) = (bo(), Store::with_connection(Connection::open_in_memory().unwrap()).unwrap());
    let bo = Mls::new(&own, store.connection());
    let (mut ana, group) = together(&bo);
    assert_eq!(ana.offers(29 * 24), []);
    let offers = ana.offers(2 * 24);
    let [offer] = offers.as_slice() else { panic!("{offers:?}") };
    let commit = offer.commit.as_ref().unwrap();
    assert!(commit.added.is_empty() && commit.removed.is_empty() && !commit.begins);
    assert_eq!(offer.epoch, 1);
    bo.follow(group, &offer.body, commit, |_| Ok(())).unwrap();
    ana.say(NodeFrame::Accepted(Accepted { message: offer.message, seq: Some(seq(3)), at: NOW, revision: 3 }));
    assert_eq!(ana.offers(40 * 24), [], "nothing was said by the new ones");
    let (conversation, text) = (offer.conversation, "and on".to_owned());
    let step =
        ana.handle(vec![Input::Command(CommandId(1), Command::SendText { conversation, message: id(501), text })]);
    let said = ana.frames(&step);
    let [ClientFrame::Send(send)] = said.as_slice() else { panic!("{said:?}") };
    assert_eq!(send.epoch, 2);
    assert!(bo.open(group, &header(send.message, conversation), &send.body).is_ok());
}

#[test]
fn a_renewal_that_is_refused_for_good_is_not_tried_for_ever() {
    let (own, store) = (bo(), Store::with_connection(Connection::open_in_memory().unwrap()).unwrap());
    for code in [ErrorCode::AccountDeleted, ErrorCode::UnknownUser, ErrorCode::RequestPending] {
        let (mut ana, _) = together(&Mls::new(&own, store.connection()));
        let offer = ana.offers(31 * 24).pop().expect("an offer");
        assert_eq!(ana.refuse(&offer, code), []);
        assert_eq!(ana.offers(40 * 24), [], "{code}");
        assert!(ana.has_group(), "{code}: it still reads what comes");
    }
}

#[test]
fn who_is_behind_tries_once_more_and_gives_the_group_up() {
    let (own, store) = (bo(), Store::with_connection(Connection::open_in_memory().unwrap()).unwrap());
    let (mut ana, _) = together(&Mls::new(&own, store.connection()));
    let first = ana.offers(31 * 24).pop().expect("an offer");
    let second = ana.refuse(&first, ErrorCode::EpochConflict).pop().expect("another offer: an hour has passed");
    assert!(ana.has_group());
    assert_ne!(first.message, second.message);
    ana.refuse(&second, ErrorCode::EpochConflict);
    assert!(!ana.has_group(), "the next message begins another");
    assert_eq!(ana.offers(40 * 24), []);
}

/// A commit that found no room in a mailbox is lost, and no hole tells of it. Where the node took two, that is another thing.
#[test]
fn a_commit_that_was_lost_while_another_waits_is_no_fork() {
    for is_answered in [false, true] {
        let (own, store) = (bo(), Store::with_connection(Connection::open_in_memory().unwrap()).unwrap());
        let bo = Mls::new(&own, store.connection());
        let (mut ana, group) = together(&bo);
        let offer = ana.offers(31 * 24).pop().expect("an offer");
        if is_answered {
            ana.say(NodeFrame::Accepted(Accepted { message: offer.message, seq: Some(seq(3)), at: NOW, revision: 3 }));
        }
        // Bo's is of the same epoch, and does not arrive.
        bo.change(group, &[], &[], |_| Ok(())).unwrap();
        bo.merge(group).unwrap();
        let content =
            Content { message: id(900), created_at: NOW, kind: ContentKind::Text("hello".into()), previous: vec![] };
        let (conversation, protection) = (offer.conversation, Protection::EndToEnd);
        let body = bo.seal(group, &header(id(900), conversation), &content.encode()).unwrap();
        let EntryKind::Envelope(base) = envelope(900, 4, body) else { unreachable!() };
        let message = Envelope { protection, conversation, epoch: 2, ..*base };
        assert_eq!(ana.deliver(vec![EntryKind::Envelope(Box::new(message))]), [(1, AckOutcome::Unreadable)]);
        assert!(!ana.has_group(), "it is asked for in one that is begun anew");
        let told = ana.store.history().security_events(0, 10).unwrap();
        let told: Vec<_> = told.iter().map(|event| event.kind).collect();
        assert_eq!(told, if is_answered { vec![SecurityEventKind::ForkedConversation] } else { vec![] });
    }
}
