//! What becomes of commits and Welcomes that are confirmed, or cannot be delivered.

use super::*;

#[test]
fn commits_and_welcomes_are_forgotten_like_messages() {
    let mut pair = Pair::linked();
    let mut start = begin((ANA, BO), 1, 0, &[BOS_PHONE]);
    start.commit.as_mut().unwrap().welcome = bytes("canary in the welcome");
    let mut waiting = mail(pair.bo, &pair.world.publish(pair.ana, start));
    let mut change = commit((ANA, BO), 2, 1, &[], &[]);
    change.body = bytes("canary in the commit");
    change.commit.as_mut().unwrap().hash = digest(&SHA256, &change.body).as_ref().try_into().unwrap();
    waiting.extend(mail(pair.bo, &pair.world.publish(pair.ana, change)));
    for canary in [&b"canary in the welcome"[..], b"canary in the commit"] {
        assert!(pair.world.disk.contains(canary), "in a segment");
        let folder = tempfile::tempdir().unwrap();
        let copy = folder.path().join("copy.db");
        pair.world.relay.connection().execute("VACUUM INTO ?1", [copy.to_str().unwrap()]).unwrap();
        let rows = std::fs::read(copy).unwrap();
        assert!(!rows.windows(canary.len()).any(|window| window == canary), "and not in the database");
    }
    for entry in waiting {
        pair.world.acknowledge(pair.bo, entry.number, AckOutcome::Stored);
    }
    assert_eq!(pair.world.count("envelope"), 0);
    pair.world.tick_after(2_000);
    pair.world.disk.crash(|| false);
    assert!(!pair.world.disk.contains(b"canary"));
}

#[test]
fn nothing_stands_in_the_place_of_a_commit_that_expired() {
    let mut pair = Pair::met();
    pair.world.work(pair.bo, Op::Detach);
    pair.publish(pair.ana, Send { ttl_seconds: 5, ..commit((ANA, BO), 2, 1, &[], &[]) }).unwrap();
    pair.publish(pair.ana, Send { ttl_seconds: 5, ..encrypted(ANA, BO, 3, 2, "x") }).unwrap();
    let events = pair.world.tick_after(6_000);
    assert_eq!(kinds(&mail(pair.ana, &events)), [(BO, ReceiptKind::Expired)]);
    let (bo, events) = pair.world.attach(BO_PHONE);
    let waited = mail_of(&events);
    let [commit, gap] = waited.as_slice() else { panic!("{waited:?}") };
    assert_eq!(envelope(commit).body, "commit 2", "it waits for as long as anything may");
    assert!(matches!(&gap.kind, EntryKind::Gap(gap) if (gap.seq, gap.reason) == (seq(3), GapReason::Expired)));
    pair.world.acknowledge(bo, gap.number, AckOutcome::Noted);
    pair.world.work(bo, Op::Detach);
    let before = pair.world.relay.vitals().expired;
    // Its only device: it loses its mail by expiry alone.
    let events = pair.world.tick_after(30 * DAY);
    assert!(mail(pair.ana, &events).is_empty(), "nobody is told");
    assert_eq!((pair.world.count("mailbox WHERE device = 2"), pair.world.count("missed")), (0, 0));
    assert_eq!((pair.world.count("envelope"), pair.world.relay.vitals().expired), (0, before));
    assert_eq!(pair.world.relay.vitals().bodies, 0);
}

#[test]
fn a_welcome_is_kept_once_until_the_last_who_joins_has_it() {
    let mut pair = Pair::linked();
    let laptop = pair.linked_device(BO, BO_LAPTOP);
    let mut start = begin((ANA, BO), 1, 0, &[BOS_PHONE, BOS_LAPTOP]);
    start.commit.as_mut().unwrap().welcome = bytes("canary for both");
    let events = pair.world.publish(pair.ana, start);
    assert_eq!((pair.world.count("envelope"), pair.world.relay.vitals().bodies), (1, 1));
    for (session, left) in [(pair.bo, 1), (laptop, 0)] {
        let mail = mail(session, &events);
        assert_eq!((mail.len(), &envelope(&mail[0]).body[..]), (1, &b"canary for both"[..]));
        assert!(pair.world.disk.contains(b"canary for both"));
        pair.world.acknowledge(session, mail[0].number, AckOutcome::Stored);
        assert_eq!((pair.world.count("envelope"), pair.world.relay.vitals().bodies), (left, left as u64));
    }
    pair.world.tick_after(2_000);
    assert!(!pair.world.disk.contains(b"canary for both"));
}

#[test]
fn whoever_is_passed_over_misses_messages_and_no_commits() {
    // One sender's share of it is a single entry, which the laptop's Welcome takes.
    let mut pair = Pair::linked_with(small_limits(|limits| limits.mailbox_entries = 2));
    let laptop = pair.linked_device(BO, BO_LAPTOP);
    pair.world.work(laptop, Op::Detach);
    let say = |pair: &mut Pair, send: Send| {
        let events = pair.world.publish(pair.ana, send);
        for entry in mail(pair.bo, &events) {
            pair.world.acknowledge(pair.bo, entry.number, AckOutcome::Stored);
        }
        answer(&events)
    };
    assert_eq!(say(&mut pair, begin((ANA, BO), 1, 0, &[BOS_PHONE, BOS_LAPTOP])), Ok(Some(seq(1))));
    assert_eq!(say(&mut pair, commit((ANA, BO), 2, 1, &[], &[])), Ok(Some(seq(2))));
    assert_eq!(pair.world.count("missed"), 0, "a commit is nothing to miss");
    assert_eq!(say(&mut pair, encrypted(ANA, BO, 3, 2, "x")), Ok(Some(seq(3))));
    assert_eq!(say(&mut pair, commit((ANA, BO), 4, 2, &[], &[])), Ok(Some(seq(4))));
    let (_, events) = pair.world.attach(BO_LAPTOP);
    let told = mail_of(&events);
    let [welcome, hole] = told.as_slice() else { panic!("{told:?}") };
    assert!(envelope(welcome).welcome);
    let EntryKind::Hole(hole) = &hole.kind else { panic!("{hole:?}") };
    assert_eq!((hole.range.first(), hole.range.last(), hole.reason), (seq(3), seq(3), HoleReason::MailboxFull));
}

#[test]
fn a_commit_that_nobody_of_the_peer_could_take_is_refused() {
    let mut pair = Pair::linked_with(small_limits(|limits| limits.mailbox_entries = 2));
    pair.publish(pair.ana, begin((ANA, BO), 1, 0, &[BOS_PHONE])).unwrap();
    assert_eq!(pair.publish(pair.ana, commit((ANA, BO), 2, 1, &[], &[])), Err(ErrorCode::MailboxFull));
    assert_eq!(pair.publish(pair.ana, again(begin((ANA, BO), 2, 1, &[BOS_PHONE]))), Err(ErrorCode::MailboxFull));
    assert_eq!(pair.epoch(), 1, "later it may be taken");
}

#[test]
fn a_device_that_is_away_for_long_is_told_no_hole_for_commits() {
    let mut pair = Pair::linked();
    let laptop = pair.linked_device(BO, BO_LAPTOP);
    pair.publish(pair.ana, begin((ANA, BO), 1, 0, &[BOS_PHONE, BOS_LAPTOP])).unwrap();
    pair.world.work(laptop, Op::Detach);
    pair.world.tick_after(25 * DAY);
    pair.publish(pair.ana, commit((ANA, BO), 2, 1, &[], &[])).unwrap();
    pair.publish(pair.ana, encrypted(ANA, BO, 3, 2, "x")).unwrap();
    pair.world.tick_after(6 * DAY);
    pair.world.tick_after(0);
    // Absent: also what comes now is not kept for it. It counts as a device all the same.
    pair.publish(pair.ana, commit((ANA, BO), 4, 2, &[], &[])).unwrap();
    pair.publish(pair.ana, encrypted(ANA, BO, 5, 3, "x")).unwrap();
    let (_, events) = pair.world.attach(BO_LAPTOP);
    let told = mail_of(&events);
    let [absence, hole] = told.as_slice() else { panic!("{told:?}") };
    assert!(matches!(absence.kind, EntryKind::Absence(_)));
    let EntryKind::Hole(hole) = &hole.kind else { panic!("{hole:?}") };
    assert_eq!((hole.range.first(), hole.range.last(), hole.reason), (seq(3), seq(5), HoleReason::Absent));
}

#[test]
fn a_lost_body_of_a_commit_leaves_no_gap() {
    let mut pair = Pair::linked_with(RelayOptions { segment_bytes: 64 * 1024, ..options() });
    pair.world.work(pair.bo, Op::Detach);
    pair.publish(pair.ana, begin((ANA, BO), 1, 0, &[BOS_PHONE])).unwrap();
    let mut large = commit((ANA, BO), 2, 1, &[], &[]);
    large.body = vec![7; 65_535].into();
    large.commit.as_mut().unwrap().hash = digest(&SHA256, &large.body).as_ref().try_into().unwrap();
    pair.publish(pair.ana, large).unwrap();
    pair.publish(pair.ana, encrypted(ANA, BO, 3, 2, "too long for the rest of that segment")).unwrap();
    pair.world.disk.delete(2).unwrap();
    let (_, events) = pair.world.attach(BO_PHONE);
    let positions: Vec<_> = mail_of(&events).iter().map(|entry| envelope(entry).seq).collect();
    assert_eq!(positions, [seq(1), seq(3)]);
    assert!(matches!(events.last(), Some(Event::Drained(_))), "{events:?}");
}
