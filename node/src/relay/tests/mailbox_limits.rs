//! Full mailboxes and absent devices harm nobody else, and whoever missed something is told exactly what.

use chasqui_wire::{HoleReason, Read, SeqRanges};

use super::*;

const CLEO: UserId = UserId::from_bytes([0xC; 16]);
const CLEO_PHONE: DeviceId = DeviceId::from_bytes([0xC1; 16]);
const DAY: u64 = 24 * 60 * 60 * 1000;

/// The runs of positions that a device is told to have missed.
fn holes(entries: &[Entry]) -> Vec<(u64, u64, HoleReason)> {
    let hole = |entry: &Entry| match &entry.kind {
        EntryKind::Hole(hole) => Some((hole.range.first().number(), hole.range.last().number(), hole.reason)),
        _ => None,
    };
    entries.iter().filter_map(hole).collect()
}

fn numbers(entries: &[Entry]) -> Vec<u64> {
    entries.iter().map(|entry| entry.number).collect()
}

fn absences(entries: &[Entry]) -> Vec<Timestamp> {
    let since = |entry: &Entry| if let EntryKind::Absence(absence) = entry.kind { Some(absence.since) } else { None };
    entries.iter().filter_map(since).collect()
}

impl World {
    fn acknowledge_all(&mut self, session: SessionId, entries: &[Entry]) -> Vec<Entry> {
        let item = |number| AckItem { number, outcome: AckOutcome::Stored };
        let items: Vec<_> = numbers(entries).into_iter().map(item).collect();
        let events = self.work(session, Op::Acknowledge(items.into()));
        mail(session, &events)
    }

    /// Ana says something that Bo's phone takes at once.
    fn chat(&mut self, ana: SessionId, bo: SessionId, number: u8) {
        let events = self.say(ana, number, "hello");
        assert!(answer(&events).is_ok(), "{events:?}");
        let entries = mail(bo, &events);
        self.acknowledge_all(bo, &entries);
    }
}

/// Ana and Bo chat while a further device of one of them is away.
fn chat_beside(lost: DeviceId, owner: UserId) -> World {
    let options = RelayOptions { mailbox_share_percent: 100, ..small_limits(|limits| limits.mailbox_entries = 3) };
    let mut world = World::with(options);
    world.enrol(owner, lost);
    let (ana, _) = world.attach(ANA_PHONE);
    let (bo, _) = world.attach(BO_PHONE);
    for number in 1..=6 {
        world.chat(ana, bo, number);
    }
    world
}

#[test]
fn a_lost_device_with_a_full_mailbox_stops_nobody_and_is_told_what_it_missed() {
    for (lost, owner) in [(ANA_LAPTOP, ANA), (BO_LAPTOP, BO)] {
        let mut world = chat_beside(lost, owner);
        let (session, events) = world.attach(lost);
        let waited = mail_of(&events);
        let envelopes = waited.iter().filter(|entry| matches!(entry.kind, EntryKind::Envelope(_))).count();
        assert!(waited.len() == 3 && holes(&waited).is_empty(), "{waited:?}");
        let told = world.acknowledge_all(session, &waited);
        assert_eq!(holes(&told), [(envelopes as u64 + 1, 6, HoleReason::MailboxFull)]);
        let EntryKind::Hole(hole) = &told[0].kind else { panic!("{told:?}") };
        assert_eq!((hole.conversation, hole.peer), (conversation(), Some(if owner == ANA { BO } else { ANA })));
        // It is told again until it acknowledges, and after that never again.
        world.crash(false);
        let (session, events) = world.attach(lost);
        assert_eq!(holes(&mail_of(&events)), [(envelopes as u64 + 1, 6, HoleReason::MailboxFull)]);
        world.acknowledge_all(session, &mail_of(&events));
        let (_, events) = world.attach(lost);
        assert!(mail_of(&events).is_empty());
        assert_eq!((world.count("missed"), world.count("envelope")), (0, 0));
    }
}

#[test]
fn what_was_missed_stands_before_anything_newer() {
    let mut world = chat_beside(BO_LAPTOP, BO);
    let (laptop, events) = world.attach_with(BO_LAPTOP, 1, 1 << 20);
    let second = world.acknowledge_all(laptop, &mail_of(&events));
    // Its mailbox has room again: the hole was put there, and what comes now stands behind it.
    let (ana, _) = world.attach(ANA_PHONE);
    world.say(ana, 7, "hello");
    let third = world.acknowledge_all(laptop, &second);
    let hole = world.acknowledge_all(laptop, &third);
    assert_eq!(holes(&hole), [(4, 6, HoleReason::MailboxFull)]);
}

#[test]
fn nobody_is_passed_over_where_nobody_else_takes_it() {
    let mut world = World::with(small_limits(|limits| limits.mailbox_entries = 1));
    let (ana, _) = world.attach(ANA_PHONE);
    assert!(answer(&world.say(ana, 1, "one")).is_ok());
    assert_eq!(answer(&world.say(ana, 2, "two")), Err(ErrorCode::MailboxFull));
    assert_eq!(world.count("missed"), 0);
    let (bo, events) = world.attach(BO_PHONE);
    assert!(world.acknowledge_all(bo, &mail_of(&events)).is_empty());
    let again = Send { restart: true, ..send(ANA, BO, 2, "two") };
    assert_eq!(answer(&world.publish(ana, again)), Ok(Some(seq(2))));
}

#[test]
fn one_sender_has_a_share_of_a_mailbox_and_leaves_the_rest_to_others() {
    let mut options = small_limits(|limits| limits.mailbox_entries = 8);
    options.mailbox_share_percent = 25;
    let mut world = World::with(options);
    let device = enrolment(CLEO_PHONE);
    let new = NewUser { user: CLEO, name: "cleo".into(), password_hash: "-".into(), identity_key: [1; 32], device };
    world.relay.register(world.now, &new).unwrap().unwrap();
    let (ana, _) = world.attach(ANA_PHONE);
    let (cleo, _) = world.attach(CLEO_PHONE);
    assert!(answer(&world.say(ana, 1, "one")).is_ok());
    assert!(answer(&world.say(ana, 2, "two")).is_ok());
    assert_eq!(answer(&world.say(ana, 3, "three")), Err(ErrorCode::MailboxFull));
    assert!(answer(&world.publish(cleo, send(CLEO, BO, 4, "one"))).is_ok());
    // A rollback must not leave wrong counts behind.
    world.relay.connection_mut().commit_hook(Some(|| true)).unwrap();
    assert!(answer(&world.publish(cleo, send(CLEO, BO, 5, "two"))).is_err());
    world.relay.connection_mut().commit_hook(None::<fn() -> bool>).unwrap();
    let again = Send { restart: true, ..send(CLEO, BO, 5, "two") };
    assert!(answer(&world.publish(cleo, again)).is_ok());
    assert_eq!(answer(&world.publish(cleo, send(CLEO, BO, 6, "three"))), Err(ErrorCode::MailboxFull));
    let (bo, events) = world.attach_with(BO_PHONE, 1, 1 << 20);
    world.acknowledge_all(bo, &mail_of(&events));
    let again = Send { restart: true, ..send(ANA, BO, 3, "three") };
    assert!(answer(&world.publish(ana, again)).is_ok());
}

#[test]
fn a_share_is_of_bytes_too_and_never_less_than_a_message() {
    let mut options = small_limits(|limits| limits.mailbox_bytes = 100);
    options.mailbox_share_percent = 10;
    let mut world = World::with(options);
    let (ana, _) = world.attach(ANA_PHONE);
    assert!(answer(&world.say(ana, 1, &"x".repeat(80))).is_ok());
    assert_eq!(answer(&world.say(ana, 2, "x")), Err(ErrorCode::MailboxFull));
}

/// Bo's laptop was away for a month, his phone was not.
fn laptop_was_away() -> (World, SessionId, SessionId) {
    let mut world = World::new();
    world.enrol(BO, BO_LAPTOP);
    let (laptop, _) = world.attach(BO_LAPTOP);
    world.work(laptop, Op::Detach);
    world.tick_after(20 * DAY);
    let (ana, _) = world.attach(ANA_PHONE);
    let (bo, _) = world.attach(BO_PHONE);
    for number in 1..=3 {
        world.chat(ana, bo, number);
    }
    assert!(world.disk.contains(b"hello"));
    world.tick_after(10 * DAY + 1);
    for _ in 0..3 {
        world.tick_after(0);
    }
    (world, ana, bo)
}

#[test]
fn an_absent_device_keeps_nothing_waiting_and_is_told_so() {
    let (mut world, ana, bo) = laptop_was_away();
    assert!(!world.disk.contains(b"hello"));
    assert_eq!((world.count("mailbox WHERE device = 3"), world.count("envelope")), (0, 0));
    world.chat(ana, bo, 4);
    world.work(bo, mark(4));
    assert_eq!(world.count("mailbox WHERE device = 3"), 0);
    world.crash(false);
    let (laptop, events) = world.attach(BO_LAPTOP);
    let told = mail_of(&events);
    assert_eq!(absences(&told), [Timestamp(1_000_000)]);
    assert_eq!(holes(&told), [(1, 4, HoleReason::Absent)]);
    let (ana, _) = world.attach(ANA_PHONE);
    let newer = mail(laptop, &world.say(ana, 5, "hello"));
    assert_eq!(envelope(&newer[0]).seq, seq(5));
}

#[test]
fn a_device_that_is_away_again_before_it_heard_is_told_of_both_times() {
    let (mut world, ana, bo) = laptop_was_away();
    let (laptop, events) = world.attach(BO_LAPTOP);
    assert_eq!(mail_of(&events).len(), 2);
    world.work(laptop, Op::Detach);
    world.chat(ana, bo, 4);
    world.tick_after(31 * DAY);
    world.tick_after(0);
    let (_, events) = world.attach(BO_LAPTOP);
    assert_eq!(absences(&mail_of(&events)), [Timestamp(1_000_000)]);
    assert_eq!(holes(&mail_of(&events)), [(1, 4, HoleReason::Absent)]);
}

#[test]
fn the_only_device_of_a_user_keeps_its_mail_and_loses_its_notices() {
    let mut world = World::new();
    let (ana, _) = world.attach(ANA_PHONE);
    let (bo, _) = world.attach(BO_PHONE);
    let events = world.say(ana, 1, "to Bo");
    world.work(ana, Op::Detach);
    world.acknowledge_all(bo, &mail(bo, &events));
    assert_eq!(world.count("mailbox"), 1, "a receipt for Ana");
    world.tick_after(25 * DAY);
    world.publish(bo, send(BO, ANA, 2, "hello"));
    world.tick_after(6 * DAY);
    world.tick_after(0);
    world.publish(bo, send(BO, ANA, 3, "hello again"));
    world.work(bo, mark(1));
    let (_, events) = world.attach(ANA_PHONE);
    let entries = mail_of(&events);
    let [first, second, absence] = entries.as_slice() else { panic!("{entries:?}") };
    assert_eq!((envelope(first).seq, envelope(second).seq), (seq(2), seq(3)));
    assert_eq!(absences(std::slice::from_ref(absence)), [Timestamp(1_000_000)]);
}

#[test]
fn what_expires_for_an_absent_device_is_a_hole_too_and_its_gaps_end() {
    let mut world = World::new();
    let (bo, _) = world.attach(BO_PHONE);
    for (number, ttl_days) in [(1, 10), (2, 30)] {
        world.publish(bo, Send { ttl_seconds: ttl_days * 24 * 3600, ..send(BO, ANA, number, "hello") });
        world.tick_after(DAY);
    }
    world.tick_after(9 * DAY);
    assert_eq!(world.count("mailbox WHERE notice IS NOT NULL AND device = 1"), 1, "a gap");
    world.tick_after(20 * DAY);
    world.tick_after(DAY);
    world.tick_after(0);
    assert_eq!((world.count("mailbox WHERE device = 1"), world.count("envelope")), (0, 0));
    let (_, events) = world.attach(ANA_PHONE);
    assert_eq!(holes(&mail_of(&events)), [(1, 2, HoleReason::Absent)]);
}

#[test]
fn an_absent_device_that_is_the_only_one_left_takes_mail_again() {
    let (mut world, ana, _) = laptop_was_away();
    let (_, events) = world.relay.revoke(world.now, BO, BO_PHONE).unwrap();
    drop(events);
    assert!(answer(&world.say(ana, 9, "hello")).is_ok());
    world.tick_after(DAY);
    let (_, events) = world.attach(BO_LAPTOP);
    let entries = mail_of(&events);
    assert_eq!(holes(&entries), [(1, 3, HoleReason::Absent)]);
    assert_eq!(entries.iter().filter(|entry| matches!(entry.kind, EntryKind::Envelope(_))).count(), 1);
}

#[test]
fn a_large_mailbox_is_emptied_step_by_step_and_coming_back_stops_it() {
    let mut world = World::new();
    world.enrol(BO, BO_LAPTOP);
    let (ana, _) = world.attach(ANA_PHONE);
    world.tick_after(5 * DAY);
    let (bo, _) = world.attach(BO_PHONE);
    for number in 0..1_100_u32 {
        let mut send = send(ANA, BO, 1, "hello");
        let mut id = [7; 16];
        id[..4].copy_from_slice(&number.to_be_bytes());
        send.message = MessageId::from_bytes(id);
        let events = world.publish(ana, send);
        world.acknowledge_all(bo, &mail(bo, &events));
    }
    world.tick_after(26 * DAY);
    assert_eq!(world.count("mailbox WHERE device = 3"), 600);
    let (_, events) = world.attach(BO_LAPTOP);
    world.tick_after(DAY);
    assert_eq!(world.count("mailbox WHERE device = 3 AND notice IS NULL"), 600);
    assert_eq!(absences(&mail_of(&events)).len(), 0, "its turn has not come: the window is full");
    assert_eq!(world.count("mailbox WHERE device = 3 AND notice IS NOT NULL"), 2);
}

#[test]
fn a_device_that_was_online_all_the_time_is_not_absent() {
    let mut world = World::new();
    world.enrol(BO, BO_LAPTOP);
    let (laptop, _) = world.attach(BO_LAPTOP);
    let (ana, _) = world.attach(ANA_PHONE);
    world.attach(BO_PHONE);
    world.tick_after(40 * DAY);
    let events = world.say(ana, 1, "hello");
    assert_eq!(mail(laptop, &events).len(), 1);
    world.work(laptop, Op::Detach);
    world.tick_after(DAY);
    assert_eq!(world.count("device WHERE absent_since IS NOT NULL"), 0);
}

fn mark(up_to: u64) -> Op {
    Op::Read(Box::new(Read {
        id: MessageId::from_bytes([99; 16]),
        conversation: conversation(),
        up_to: seq(up_to),
        ranges: SeqRanges::of([seq(up_to)]),
        authors: vec![ANA],
        at: Timestamp(5),
        signature: [0; 64],
    }))
}
