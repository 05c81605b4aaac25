//! When a device gives the node other key packages, and how long it keeps the secrets of those that it had.

use chasqui_wire::{KeyPackage, KeyPackages, KeyPackagesLeft, Pong, RosterEntry};

use super::renewal::bo as bos;
use super::*;
use crate::e2ee::{GroupId, Mls, Own};

const HOUR_MS: u64 = 3_600_000;
const FULL: KeyPackagesLeft = KeyPackagesLeft { one_time: 50, last_resort: true };

/// Ana's phone is linked, and has given the node its first key packages.
fn linked() -> (Ana, KeyPackages) {
    let ana = Ana::new();
    ana.store.connection().execute("UPDATE account SET identity_seed = ?", [[5_u8; 32]]).unwrap();
    let mut ana = restarted(ana);
    ana.connect();
    let first = ana.gives(KeyPackagesLeft::default()).expect("the node has none");
    assert_eq!((first.one_time.len(), first.last_resort.is_some(), first.replace), (50, true, true));
    ana.has_taken(&first);
    (ana, first)
}

/// The app is started again.
fn restarted(ana: Ana) -> Ana {
    let mut ana = Ana { engine: Engine::load(&ana.store, 7).unwrap(), socket: SocketId(1), ..ana };
    ana.handle(vec![Input::Wake]);
    ana
}

impl Ana {
    /// The node says what it has; what is it given?
    fn gives(&mut self, left: KeyPackagesLeft) -> Option<KeyPackages> {
        self.gives_at(self.now, left)
    }

    /// The same, by another clock than the device's.
    fn gives_at(&mut self, time: Timestamp, left: KeyPackagesLeft) -> Option<KeyPackages> {
        let pong = Pong { nonce: 0, time, checkpoint: None, key_packages: Some(left) };
        let given = self.say(NodeFrame::Pong(pong)).into_iter().find_map(|frame| match frame {
            ClientFrame::KeyPackages(packages) => Some(packages),
            _ => None,
        });
        assert_eq!(self.engine.connection(), ConnectionState::Online);
        given
    }

    fn gives_after(&mut self, ms: u64) -> Option<KeyPackages> {
        self.now = self.now.plus_millis(ms);
        self.gives(FULL)
    }

    fn has_taken(&mut self, packages: &KeyPackages) {
        self.say(NodeFrame::Accepted(Accepted { message: packages.id, seq: None, at: self.now, revision: 1 }));
    }

    /// Of how many the secrets are here.
    fn secrets(&self) -> u32 {
        let sql = "SELECT count(*) FROM mls WHERE label = 16";
        self.store.connection().query_row(sql, [], |row| row.get(0)).unwrap()
    }

    /// Whether a Welcome by this one could be opened.
    fn can_be_added_by(&self, package: &Bytes) -> bool {
        let own = self.engine.account.as_ref().unwrap().own.as_ref().unwrap();
        let transaction = self.store.connection().unchecked_transaction().unwrap();
        Mls::new(own, &transaction).join(&invitation(own, package).0, None, |_| Ok(())).is_ok()
    }
}

/// Bo begins a group with Ana: the Welcome, and what he declares.
fn invitation(ana: &Own, package: &Bytes) -> (Bytes, chasqui_wire::Commit) {
    let (own, store) = (bos(), Store::with_connection(Connection::open_in_memory().unwrap()).unwrap());
    let packages = [KeyPackage { entry: ana.entry(), body: package.clone() }];
    let change = Mls::new(&own, store.connection()).begin(GroupId::random().unwrap(), &packages, |_| Ok(())).unwrap();
    assert_eq!(change.declared.added, [RosterEntry { user: id(10), device: id(11) }]);
    (change.declared.welcome.clone(), change.declared)
}

/// Bo's Welcome, as the node delivers it.
fn welcome(ana: &Ana, package: &Bytes, at: u64) -> EntryKind {
    let own = ana.engine.account.as_ref().unwrap().own.as_ref().unwrap();
    let (body, declared) = invitation(own, package);
    let EntryKind::Envelope(base) = envelope(900 + u128::from(at), at, body) else { unreachable!() };
    let (protection, conversation) = (Protection::EndToEnd, direct_conversation(id(10), id(20), Protection::EndToEnd));
    let commit = Some(chasqui_wire::Commit { welcome: Bytes::new(), ..declared });
    EntryKind::Envelope(Box::new(Envelope { protection, conversation, commit, welcome: true, ..*base }))
}

#[test]
fn the_last_resort_is_replaced_weekly_and_its_secrets_serve_a_month_longer() {
    let (mut ana, first) = linked();
    let old = first.last_resort.unwrap();
    assert_eq!((1..7).find_map(|_| ana.gives_after(DAY_MS)), None);
    let second = ana.gives_after(DAY_MS).expect("a week has passed");
    assert_eq!((second.one_time.len(), second.replace), (0, false));
    assert_eq!(ana.gives(FULL), None, "it is on its way");
    let new = second.last_resort.clone().unwrap();
    assert_eq!(ana.secrets(), 52, "stored with the step that sends it");
    ana.has_taken(&second);
    assert_eq!(ana.gives_after(DAY_MS * 6), None);
    let third = ana.gives_after(DAY_MS).expect("another week");
    ana.has_taken(&third);
    ana.now = ana.now.plus_millis(23 * DAY_MS - 1);
    ana.gives(FULL);
    assert!(ana.can_be_added_by(&old) && ana.can_be_added_by(&new));
    ana.now = ana.now.plus_millis(1);
    ana.gives(FULL);
    assert!(!ana.can_be_added_by(&old) && ana.can_be_added_by(&new), "a month after the answer, not before");
}

/// Whether the node has it nobody knows, so neither secret may go.
#[test]
fn what_perhaps_arrived_serves_until_another_surely_did() {
    let (mut ana, first) = linked();
    let lost = ana.gives_after(7 * DAY_MS).unwrap();
    let packages = [first, lost].map(|packages| packages.last_resort.unwrap());
    let both_serve = |ana: &Ana| packages.iter().all(|package| ana.can_be_added_by(package));
    let mut ana = restarted(ana);
    ana.connect();
    assert_eq!(ana.gives(FULL), None, "not with every socket");
    // The node says whatever it likes: forty days pass, and none of its answers comes.
    for _ in 0..40 {
        ana.gives_after(DAY_MS).expect("it is tried again");
        ana = restarted(ana);
        ana.connect();
        assert!(both_serve(&ana));
    }
    let taken = ana.gives_after(DAY_MS).unwrap();
    ana.has_taken(&taken);
    assert!(taken.replace, "those that are given once are as old by now");
    ana.gives_after(30 * DAY_MS - 1);
    assert!(both_serve(&ana));
    ana.gives_after(1);
    assert!(packages.iter().all(|package| !ana.can_be_added_by(package)));
    assert!(ana.can_be_added_by(&taken.last_resort.unwrap()));
}

#[test]
fn what_is_few_is_filled_up_once() {
    let (mut ana, first) = linked();
    let few = KeyPackagesLeft { one_time: 24, last_resort: true };
    let more = ana.gives(few).unwrap();
    assert_eq!((more.one_time.len(), &more.last_resort, more.replace), (26, &None, false));
    assert_eq!(ana.gives(few), None, "it is on its way");
    ana.has_taken(&more);
    assert_eq!(ana.gives(FULL), None);
    let lost = ana.gives(few).unwrap();
    let mut ana = restarted(ana);
    ana.connect();
    assert_eq!(ana.gives(FULL), None);
    // Nobody knows what is there, nor which secrets nobody needs.
    let all = ana.gives_after(HOUR_MS).unwrap();
    assert!(all.replace && ana.can_be_added_by(&lost.one_time[0]));
    ana.has_taken(&all);
    ana.gives_after(30 * DAY_MS);
    assert!([&first, &more, &lost].iter().all(|packages| !ana.can_be_added_by(&packages.one_time[0])));
}

#[test]
fn what_the_node_refused_is_forgotten_and_tried_again() {
    let (mut ana, first) = linked();
    let refused = ana.gives_after(7 * DAY_MS).unwrap();
    let code = ErrorCode::RateLimited;
    let rejected = Rejected { message: refused.id, code, detail: String::new(), retry_after_ms: 0 };
    ana.say(NodeFrame::Rejected(rejected));
    assert_eq!((ana.secrets(), ana.can_be_added_by(&refused.last_resort.unwrap())), (51, false));
    assert!(ana.can_be_added_by(&first.last_resort.unwrap()));
    assert_eq!(ana.gives_after(HOUR_MS - 1), None);
    assert!(ana.gives_after(1).is_some());
}

#[test]
fn packages_that_are_never_used_are_replaced_after_a_month_and_gone_after_two() {
    let (mut ana, first) = linked();
    for week in 1..=4 {
        let given = ana.gives_after(7 * DAY_MS).unwrap();
        ana.has_taken(&given);
        assert!(!given.replace, "week {week}");
    }
    let all = ana.gives_after(2 * DAY_MS).unwrap();
    assert_eq!((all.one_time.len(), all.last_resort.is_some(), all.replace), (50, true, true));
    ana.has_taken(&all);
    assert!(ana.can_be_added_by(&first.one_time[0]), "somebody may have claimed it");
    ana.gives_after(30 * DAY_MS);
    assert!(!ana.can_be_added_by(&first.one_time[0]) && ana.can_be_added_by(&all.one_time[0]));
    // What was on its way then is there besides.
    assert_eq!(ana.secrets(), 51 + 51);
}

#[test]
fn a_last_resort_that_was_used_is_replaced_within_the_hour() {
    let (mut ana, first) = linked();
    let [mut last, one_time] = [first.last_resort.unwrap(), first.one_time[0].clone()];
    assert_eq!(ana.deliver(vec![welcome(&ana, &one_time, 1)]), [(1, AckOutcome::Stored)]);
    assert_eq!(
        (ana.secrets(), ana.gives_after(2 * HOUR_MS)),
        (50, None),
        "one that is given once is gone, and that is all"
    );
    for at in 2..5 {
        assert_eq!(ana.deliver(vec![welcome(&ana, &last, at)]), [(1, AckOutcome::Stored)]);
        assert_eq!(ana.gives_after(HOUR_MS - 1), None, "not as often as somebody likes");
        let new = ana.gives_after(1).unwrap();
        assert_eq!((new.one_time.len(), new.replace), (0, false));
        ana.has_taken(&new);
        assert!(ana.can_be_added_by(&last));
        last = new.last_resort.unwrap();
    }
    assert_eq!(ana.gives_after(2 * HOUR_MS), None);
}

#[test]
fn a_restored_node_may_have_others_and_is_given_all_anew() {
    let (mut ana, first) = linked();
    let second = ana.gives_after(7 * DAY_MS).unwrap();
    ana.has_taken(&second);
    let said = ana.node_is_restored();
    assert!(!said.iter().any(|frame| matches!(frame, ClientFrame::KeyPackages(_))), "it has not said what it has");
    let anew = ana.gives(KeyPackagesLeft { one_time: 0, last_resort: true }).unwrap();
    assert_eq!((anew.one_time.len(), anew.last_resort.is_some(), anew.replace), (50, true, true));
    ana.has_taken(&anew);
    assert!(ana.can_be_added_by(&first.last_resort.unwrap()), "it may have been given away since");
}

/// A Welcome waits for longer than the secrets would be kept.
#[test]
fn nothing_is_forgotten_before_the_mail_is_in() {
    let (mut ana, first) = linked();
    let old = first.last_resort.unwrap();
    let second = ana.gives_after(7 * DAY_MS).unwrap();
    ana.has_taken(&second);
    let late = welcome(&ana, &old, 1);
    ana.now = ana.now.plus_millis(40 * DAY_MS);
    let mut ana = restarted(ana);
    ana.handle(vec![Input::Connected(ana.socket)]);
    ana.say(NodeFrame::Challenge(Challenge { nonce: [0; 32], realm: id(1), version_min: 1, version_max: 1 }));
    ana.say(NodeFrame::Welcome(Welcome {
        user: id(10),
        limits: ana.limits.clone(),
        checkpoint: checkpoint(),
        eras: Vec::new(),
        time: ana.now,
        http_token: String::new().into(),
        http_token_expires_at: ana.now,
        key_packages: Some(FULL),
        identity_key: None,
    }));
    assert_eq!(ana.deliver(vec![late]), [(1, AckOutcome::Stored)]);
    assert!(ana.can_be_added_by(&old));
    let said = ana.say(NodeFrame::Drained(Drained { checkpoint: checkpoint() }));
    let given = said.iter().any(|frame| matches!(frame, ClientFrame::KeyPackages(packages) if packages.replace));
    assert!(given && !ana.can_be_added_by(&old), "{said:?}");
}

#[test]
fn a_phone_whose_clock_is_wrong_forgets_nothing_and_replaces_nothing_for_that() {
    let (mut ana, first) = linked();
    let second = ana.gives_after(7 * DAY_MS).unwrap();
    ana.has_taken(&second);
    let right = ana.now;
    for now in [right.plus_millis(3650 * DAY_MS), Timestamp(right.0 - 3650 * 86_400_000)] {
        ana.now = now;
        assert_eq!(ana.gives_at(right, FULL), None);
        assert!(ana.can_be_added_by(first.last_resort.as_ref().unwrap()));
    }
}

/// A node that was ten years ahead for a while.
#[test]
fn a_wrong_clock_keeps_no_secrets_for_years_and_stops_no_renewal() {
    let (mut ana, first) = linked();
    let right = ana.now;
    let ahead = ana.gives_after(3650 * DAY_MS).unwrap();
    ana.has_taken(&ahead);
    ana.now = right.plus_millis(DAY_MS);
    let back = ana.gives(FULL).unwrap();
    ana.has_taken(&back);
    assert!(back.replace && ana.can_be_added_by(&first.last_resort.clone().unwrap()));
    ana.gives_after(30 * DAY_MS);
    assert!(!ana.can_be_added_by(&first.last_resort.unwrap()) && ana.can_be_added_by(&back.one_time[0]));
}

/// Nobody wrote down when they were made.
#[test]
fn packages_of_a_version_that_renewed_none_are_replaced_at_once() {
    let (mut ana, first) = linked();
    ana.store.connection().execute("UPDATE mls SET is_last_resort = 0, renew_at = 0", []).unwrap();
    let all = ana.gives(FULL).unwrap();
    assert_eq!((all.one_time.len(), all.last_resort.is_some(), all.replace), (50, true, true));
    ana.has_taken(&all);
    ana.gives_after(30 * DAY_MS - 1);
    assert!(ana.can_be_added_by(first.last_resort.as_ref().unwrap()));
    ana.gives_after(1);
    assert!(!ana.can_be_added_by(&first.last_resort.unwrap()));
}

/// Fifty devices of somebody who will never write.
#[test]
fn who_takes_all_and_uses_none_is_told_of() {
    const DRY: KeyPackagesLeft = KeyPackagesLeft { one_time: 0, last_resort: true };
    let told = |ana: &Ana| ana.store.history().security_events(0, 100).unwrap();
    let (mut ana, _) = linked();
    let others = ana.gives(DRY).expect("new ones");
    let events = told(&ana);
    let [event] = events.as_slice() else { panic!("{events:?}") };
    assert_eq!(event.kind, crate::domain::SecurityEventKind::KeyPackagesExhausted);
    // Not answered yet, so the node may not have them.
    ana.gives(DRY);
    ana.has_taken(&others);
    ana.gives(FULL);
    assert_eq!(told(&ana).len(), 1);
    ana.now = ana.now.plus_millis(DAY_MS);
    ana.gives(DRY);
    assert_eq!(told(&ana).len(), 2, "again on another day");
}

#[test]
fn many_who_begin_to_write_have_taken_none_in_vain() {
    let (mut ana, first) = linked();
    let used = first.one_time.iter().zip(1..).take(26);
    let welcomes: Vec<EntryKind> = used.map(|(package, at)| welcome(&ana, package, at)).collect();
    ana.deliver(welcomes);
    ana.gives(KeyPackagesLeft { one_time: 0, last_resort: true }).expect("new ones");
    // Those were offered, and the node has not said that it has them.
    let mut ana = restarted(ana);
    ana.connect();
    ana.gives(KeyPackagesLeft { one_time: 0, last_resort: true });
    assert_eq!(ana.store.history().security_events(0, 100).unwrap(), []);
}
