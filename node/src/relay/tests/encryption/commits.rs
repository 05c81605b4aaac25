//! Commits: what they make of a group, and which are refused.

use super::*;

#[test]
fn a_group_begins_and_messages_reach_it() {
    let mut pair = Pair::linked();
    let events = pair.world.publish(pair.ana, begin((ANA, BO), 1, 0, &[BOS_PHONE]));
    assert_eq!((answer(&events), pair.epoch()), (Ok(Some(seq(1))), 1));
    let welcomes = mail(pair.bo, &events);
    let welcome = envelope(&welcomes[0]);
    assert_eq!((welcomes.len(), &welcome.body[..], welcome.welcome), (1, &b"welcome 1"[..], true));
    assert_eq!((welcome.message, welcome.seq, welcome.epoch), (id(1), seq(1), 0));
    let declared = welcome.commit.clone().unwrap();
    assert_eq!((declared.added, declared.begins, &declared.welcome[..]), (vec![BOS_PHONE], true, &b""[..]));
    assert!(mail(pair.ana, &events).is_empty(), "the commit that begins a group goes to nobody");
    let events = pair.world.acknowledge(pair.bo, welcomes[0].number, AckOutcome::Stored);
    assert!(mail(pair.ana, &events).is_empty(), "nobody is told what became of a commit");

    let events = pair.world.publish(pair.ana, encrypted(ANA, BO, 2, 1, "sealed"));
    assert_eq!(answer(&events), Ok(Some(seq(2))));
    let sealed = mail(pair.bo, &events);
    let message = envelope(&sealed[0]);
    assert_eq!((&message.body[..], message.epoch, message.welcome), (&b"sealed"[..], 1, false));
    assert_eq!((&message.commit, message.protection), (&None, Protection::EndToEnd));
    let events = pair.world.acknowledge(pair.bo, sealed[0].number, AckOutcome::Stored);
    assert_eq!(kinds(&mail(pair.ana, &events)), [(BO, ReceiptKind::Received)]);
    assert_eq!(pair.roster(), [ANAS_PHONE, BOS_PHONE]);
    assert_eq!(pair.world.relay.vitals().commits, 1);
}

#[test]
fn what_waits_is_delivered_as_what_is_pushed() {
    let mut pair = Pair::linked();
    pair.world.work(pair.bo, Op::Detach);
    pair.publish(pair.ana, begin((ANA, BO), 1, 0, &[BOS_PHONE])).unwrap();
    pair.publish(pair.ana, commit((ANA, BO), 2, 1, &[], &[])).unwrap();
    pair.publish(pair.ana, encrypted(ANA, BO, 3, 2, "sealed")).unwrap();
    pair.world.crash(false);
    let (_, events) = pair.world.attach(BO_PHONE);
    let waited = mail_of(&events);
    let seen: Vec<_> = waited.iter().map(envelope).map(|of| (of.seq, of.epoch, of.welcome)).collect();
    assert_eq!(seen, [(seq(1), 0, true), (seq(2), 1, false), (seq(3), 2, false)]);
    let hash: [u8; 32] = digest(&SHA256, b"commit 2").as_ref().try_into().unwrap();
    let declared = Commit { hash, added: vec![], removed: vec![], begins: false, welcome: Bytes::new() };
    assert_eq!(envelope(&waited[1]).commit, Some(declared));
}

#[test]
fn of_two_that_begin_one_wins_and_the_other_is_welcome() {
    let mut pair = Pair::linked();
    let batch = vec![
        Work::Session(pair.bo, Op::Publish(Box::new(begin((BO, ANA), 2, 0, &[ANAS_PHONE])))),
        Work::Session(pair.ana, Op::Publish(Box::new(begin((ANA, BO), 1, 0, &[BOS_PHONE])))),
    ];
    let events = pair.world.relay.commit(pair.world.now, batch);
    assert_eq!(answer(&events[1..]), Err(ErrorCode::EpochConflict));
    let welcomes = mail(pair.ana, &events);
    assert!(envelope(&welcomes[0]).welcome && envelope(&welcomes[0]).message == id(2));
    // The stream waits for its restart, as after any refusal.
    assert_eq!(pair.publish(pair.ana, encrypted(ANA, BO, 3, 1, "x")), Err(ErrorCode::StreamStalled));
    assert_eq!(pair.publish(pair.ana, again(encrypted(ANA, BO, 3, 1, "x"))), Ok(Some(seq(2))));
    pair.take_mail(pair.ana);
    assert_eq!((pair.epoch(), pair.roster().len()), (1, 2));
}

#[test]
fn who_has_mail_waiting_changes_no_group() {
    let mut pair = Pair::met();
    pair.publish(pair.bo, encrypted(BO, ANA, 2, 1, "sealed for the group as it is")).unwrap();
    assert_eq!(pair.claim(pair.ana, claim(ANA, BO, false)), Err(ErrorCode::EpochConflict));
    assert_eq!(pair.publish(pair.ana, commit((ANA, BO), 3, 1, &[], &[])), Err(ErrorCode::EpochConflict));
    pair.take_mail(pair.ana);
    assert!(pair.claim(pair.ana, claim(ANA, BO, false)).is_ok());
    assert_eq!(pair.publish(pair.ana, again(commit((ANA, BO), 3, 1, &[], &[]))), Ok(Some(seq(3))));
}

#[test]
fn a_repeated_commit_is_answered_as_before_and_changes_nothing() {
    let mut pair = Pair::met();
    let repeat = pair.world.publish(pair.ana, begin((ANA, BO), 1, 0, &[BOS_PHONE]));
    assert_eq!((answer(&repeat), repeat.len(), pair.epoch()), (Ok(Some(seq(1))), 1, 1));
    pair.publish(pair.bo, commit((BO, ANA), 2, 1, &[], &[])).unwrap();
    pair.world.crash(false);
    let (ana, _) = pair.world.attach(ANA_PHONE);
    assert_eq!(pair.publish(ana, begin((ANA, BO), 1, 0, &[BOS_PHONE])), Ok(Some(seq(1))), "whatever the epoch is now");
    assert_eq!((pair.epoch(), pair.world.count("envelope")), (2, 1));
    // A message as well, and one id is not two.
    let message = encrypted(ANA, BO, 3, 2, "x");
    assert_eq!(pair.publish(ana, message.clone()), Ok(Some(seq(3))));
    pair.take_mail(ana);
    pair.publish(ana, commit((ANA, BO), 4, 2, &[], &[])).unwrap();
    assert_eq!(pair.publish(ana, message), Ok(Some(seq(3))));
    let other = Send { message: id(1), ..send(ANA, BO, 1, "x") };
    assert_eq!(pair.publish(ana, other), Err(ErrorCode::MessageIdTaken));
}

#[test]
fn a_device_that_is_not_in_the_group_begins_it_anew() {
    let mut pair = Pair::met();
    let laptop = pair.linked_device(ANA, ANA_LAPTOP);
    assert_eq!(pair.publish(laptop, encrypted(ANA, BO, 2, 1, "x")), Err(ErrorCode::NotInRoster));
    assert_eq!(pair.publish(laptop, again(commit((ANA, BO), 2, 1, &[], &[]))), Err(ErrorCode::NotInRoster));
    let everybody = pair.claim(laptop, claim(ANA, BO, true)).unwrap();
    assert_eq!((everybody.epoch, bodies(&everybody)), (1, vec!["a1 first".to_owned(), "b1 first".to_owned()]));
    let events = pair.world.publish(laptop, again(begin((ANA, BO), 3, 1, &[ANAS_PHONE, BOS_PHONE])));
    assert_eq!((answer(&events), pair.epoch()), (Ok(Some(seq(2))), 2));
    for session in [pair.ana, pair.bo] {
        assert!(envelope(&mail(session, &events)[0]).welcome);
    }
    let events = pair.world.publish(laptop, encrypted(ANA, BO, 4, 2, "at once"));
    assert_eq!((mail(pair.ana, &events).len(), mail(pair.bo, &events).len()), (1, 1));
}

#[test]
fn own_devices_that_are_there_may_be_removed_and_the_peers_not() {
    let mut pair = Pair::linked();
    let laptop = pair.linked_device(ANA, ANA_LAPTOP);
    pair.publish(pair.ana, begin((ANA, BO), 1, 0, &[BOS_PHONE, ANAS_LAPTOP])).unwrap();
    pair.take_mail(pair.bo);
    assert_eq!(pair.publish(pair.bo, commit((BO, ANA), 2, 1, &[], &[ANAS_LAPTOP])), Err(ErrorCode::Forbidden));
    // Removed and put in again in one: how a sibling mends a device that lost its state.
    let events = pair.world.publish(pair.ana, commit((ANA, BO), 3, 1, &[ANAS_LAPTOP], &[ANAS_LAPTOP]));
    assert_eq!((answer(&events), mail(laptop, &events).len()), (Ok(Some(seq(2))), 1));
    assert!(envelope(&mail(laptop, &events)[0]).welcome && !envelope(&mail(pair.bo, &events)[0]).welcome);
    let events = pair.world.publish(pair.ana, commit((ANA, BO), 4, 2, &[], &[ANAS_LAPTOP]));
    assert!(answer(&events).is_ok() && mail(laptop, &events).is_empty());
    assert_eq!(pair.roster(), [ANAS_PHONE, BOS_PHONE]);
}

#[test]
fn commits_that_are_refused() {
    let mut pair = Pair::met();
    pair.linked_device(BO, BO_LAPTOP);
    pair.world.enrol(ANA, ANA_LAPTOP);
    let eve = NewUser {
        user: EVE,
        name: "eve".into(),
        password_hash: "-".into(),
        identity_key: [1; 32],
        device: enrolment(EVE_PHONE),
    };
    pair.world.relay.register(pair.world.now, &eve).unwrap().unwrap();
    let (eve, _) = pair.world.attach(EVE_PHONE);
    pair.offer(eve, EVE_PHONE);
    let ghost = entry(BO, DeviceId::from_bytes([0xB9; 16]));
    let joins = |added: &[RosterEntry]| commit((ANA, BO), 9, 1, added, &[]);
    let check = |pair: &mut Pair, send: Send, code: ErrorCode, why: &str| {
        let told = pair.world.publish(pair.ana, again(send));
        assert_eq!(answer(&told), Err(code), "{why}: {told:?}");
    };
    let change = |mut send: Send, change: fn(&mut Commit)| {
        change(send.commit.as_mut().unwrap());
        send
    };
    use ErrorCode::{EpochConflict, Invalid, NotSupported, RosterStale, TooLarge};
    check(&mut pair, change(joins(&[]), |commit| commit.hash[0] ^= 1), Invalid, "another hash");
    check(&mut pair, Send { epoch: 0, ..joins(&[]) }, EpochConflict, "an older epoch");
    check(&mut pair, Send { epoch: 2, ..joins(&[]) }, EpochConflict, "a later epoch");
    check(&mut pair, Send { reclaim_seq: Some(seq(1)), ..joins(&[]) }, Invalid, "given back");
    check(&mut pair, Send { only_device: Some(BO_PHONE), ..joins(&[]) }, Invalid, "for one");
    check(&mut pair, Send { resend_of: Some(id(1)), ..joins(&[]) }, Invalid, "a resend");
    check(&mut pair, joins(&[BOS_PHONE]), Invalid, "it is in the group");
    check(&mut pair, joins(&[ANAS_PHONE]), Invalid, "the sender");
    check(&mut pair, joins(&[BOS_LAPTOP, BOS_LAPTOP]), Invalid, "twice");
    check(&mut pair, joins(&[entry(ANA, BO_LAPTOP)]), Invalid, "whose it is not");
    check(&mut pair, joins(&[entry(EVE, EVE_PHONE)]), Invalid, "a stranger's");
    check(&mut pair, joins(&[entry(BO, EVE_PHONE)]), RosterStale, "a stranger's as a member's");
    check(&mut pair, joins(&[ghost]), RosterStale, "nobody's");
    check(&mut pair, joins(&[ANAS_LAPTOP]), RosterStale, "not linked");
    let check_welcome = |pair: &mut Pair, added: &[RosterEntry], welcome: fn(&mut Commit), code, why: &str| {
        check(pair, change(joins(added), welcome), code, why);
    };
    check_welcome(&mut pair, &[BOS_LAPTOP], |commit| commit.welcome.clear(), Invalid, "no welcome");
    check_welcome(&mut pair, &[], |commit| commit.welcome = bytes("a welcome"), Invalid, "a welcome for nobody");
    let large = |commit: &mut Commit| commit.welcome = vec![0; 262_144].into();
    check_welcome(&mut pair, &[BOS_LAPTOP], large, TooLarge, "a large welcome");
    let leaves = |removed: &[RosterEntry]| commit((ANA, BO), 9, 1, &[], removed);
    check(&mut pair, leaves(&[ANAS_PHONE]), Invalid, "the sender leaves");
    check(&mut pair, leaves(&[BOS_LAPTOP]), Invalid, "who is not in it leaves");
    check(&mut pair, leaves(&[entry(ANA, BO_PHONE)]), Invalid, "whose it is not leaves");
    check(&mut pair, leaves(&[BOS_PHONE]), ErrorCode::Forbidden, "the peer is put out");
    let begins = change(leaves(&[BOS_PHONE]), |commit| commit.begins = true);
    check(&mut pair, begins, Invalid, "removed from a new group");
    let send = begin((ANA, BO), 9, 1, &[BOS_PHONE]);
    check(&mut pair, Send { storage: StorageClass::Ephemeral, ..send }, NotSupported, "not kept");
    // A stranger in a conversation of others.
    let strange = Send { conversation: secret(), ..begin((EVE, BO), 9, 1, &[BOS_PHONE]) };
    assert_eq!(pair.publish(eve, strange), Err(Invalid));
    assert_eq!(
        (pair.epoch(), pair.world.count("accepted"), pair.world.count("mailbox")),
        (1, 1, 0),
        "nothing was done"
    );
    // And none of it was wrong with the group.
    assert_eq!(pair.publish(pair.ana, again(joins(&[BOS_LAPTOP]))), Ok(Some(seq(2))));
}

#[test]
fn a_commit_that_fits_no_frame_of_its_members_is_refused() {
    let limits = |limits: &mut Limits| (limits.frame_bytes, limits.body_bytes) = (65_536, 61_440);
    let mut pair = Pair::linked_with(small_limits(limits));
    let mut send = begin((ANA, BO), 1, 0, &[BOS_PHONE]);
    send.body = vec![0; 61_440].into();
    let fits = |send: &mut Send, removed: usize| {
        let commit = send.commit.as_mut().unwrap();
        commit.hash = digest(&SHA256, &send.body).as_ref().try_into().unwrap();
        commit.removed = vec![BOS_PHONE; removed];
    };
    fits(&mut send, 100);
    assert_eq!(pair.publish(pair.ana, send.clone()), Err(ErrorCode::TooLarge));
    fits(&mut send, 0);
    assert_eq!(pair.publish(pair.ana, again(send)), Ok(Some(seq(1))));
}

#[test]
fn a_commit_that_fails_changes_nothing_and_may_come_again() {
    let mut pair = Pair::met();
    pair.linked_device(BO, BO_LAPTOP);
    let change = commit((ANA, BO), 2, 1, &[BOS_LAPTOP], &[]);
    for (table, when) in [("accepted", ""), ("roster", "WHEN NEW.device = 3"), ("envelope", "WHEN NEW.is_welcome")] {
        let trigger =
            format!("CREATE TEMP TRIGGER bad BEFORE INSERT ON {table} {when} BEGIN SELECT raise(ABORT, 'bad'); END");
        pair.world.relay.connection().execute_batch(&trigger).unwrap();
        assert_eq!(pair.publish(pair.ana, again(change.clone())), Err(ErrorCode::Internal), "{table}");
        pair.world.relay.connection().execute_batch("DROP TRIGGER bad").unwrap();
        assert_eq!((pair.epoch(), pair.world.count("roster"), pair.world.count("envelope")), (1, 2, 0), "{table}");
        assert_eq!(pair.roster(), [ANAS_PHONE, BOS_PHONE], "what is remembered is as well as before");
    }
    let (given, events) = (pair.world.count("key_package WHERE given_at IS NOT NULL"), {
        pair.world.relay.connection_mut().commit_hook(Some(|| true)).unwrap();
        let mut work = [Work::Session(pair.ana, Op::Claim(Box::new(claim(ANA, BO, true))))];
        pair.world.relay.try_commit(pair.world.now, &mut work)
    });
    assert!(events.is_err(), "nobody was given anything");
    pair.world.relay.connection_mut().commit_hook(None::<fn() -> bool>).unwrap();
    assert_eq!(pair.world.count("key_package WHERE given_at IS NOT NULL"), given);
    pair.world.crash(false);
    let (ana, _) = pair.world.attach(ANA_PHONE);
    assert_eq!(pair.publish(ana, change.clone()), Ok(Some(seq(2))));
    // The answer is lost with the node.
    pair.world.crash(false);
    let (ana, _) = pair.world.attach(ANA_PHONE);
    assert_eq!((pair.publish(ana, change), pair.epoch()), (Ok(Some(seq(2))), 2));
    let (_, events) = pair.world.attach(BO_LAPTOP);
    assert!(envelope(&mail_of(&events)[0]).welcome);
}

#[test]
fn a_commit_is_not_counted_against_copies_of_a_device() {
    let mut pair = Pair::linked();
    pair.world.work(pair.ana, Op::Detach);
    let attach = |connections| Attach {
        device: ANA_PHONE,
        window_entries: 1,
        window_bytes: 1,
        checkpoint: None,
        progress: Progress { connections, stored_up_to: 0, sent: 0 },
    };
    let (first, second) = (SessionId(91), SessionId(92));
    pair.world.work(first, Op::Attach(attach(1)));
    pair.publish(first, begin((ANA, BO), 1, 0, &[BOS_PHONE])).unwrap();
    let events = pair.world.work(second, Op::Attach(attach(2)));
    assert!(matches!(of(second, events)[0], Event::Attached(_)), "a device counts messages");
}
