//! Received, unreadable, expired, device gone, read.

use chasqui_wire::{Gap, GapReason, Read, SeqRange, SeqRanges};

use super::*;

#[test]
fn the_first_device_that_stores_makes_received() {
    let mut world = World::new();
    world.enrol(BO, BO_LAPTOP);
    world.enrol(ANA, ANA_LAPTOP);
    let (ana, _) = world.attach(ANA_PHONE);
    let (laptop, _) = world.attach(ANA_LAPTOP);
    let (bo, _) = world.attach(BO_PHONE);
    let (bo_laptop, _) = world.attach(BO_LAPTOP);
    let events = world.say(ana, 1, "hello");
    let own = mail(laptop, &events)[0].number;
    assert!(kinds(&mail(ana, &world.acknowledge(laptop, own, AckOutcome::Stored))).is_empty(), "not about oneself");
    let told = world.acknowledge(bo, mail(bo, &events)[0].number, AckOutcome::Stored);
    assert_eq!(kinds(&mail(ana, &told)), [(BO, ReceiptKind::Received)]);
    assert_eq!(kinds(&mail(laptop, &told)), [(BO, ReceiptKind::Received)], "all devices of the sender are told");
    let told = world.acknowledge(bo_laptop, mail(bo_laptop, &events)[0].number, AckOutcome::Stored);
    assert!(told.is_empty(), "once");
    assert_eq!(world.count("envelope"), 0);
}

#[test]
fn receipts_of_a_batch_travel_together() {
    let mut world = World::new();
    let (ana, _) = world.attach(ANA_PHONE);
    let (bo, _) = world.attach(BO_PHONE);
    let mut items = Vec::new();
    for number in 1..=5 {
        let events = world.say(ana, number, "hello");
        items.push(AckItem { number: mail(bo, &events)[0].number, outcome: AckOutcome::Stored });
    }
    items.remove(3);
    let told = mail(ana, &world.work(bo, Op::Acknowledge(items.into())));
    let [receipt] = receipts(&told)[..] else { panic!("one receipt: {told:?}") };
    let runs: Vec<SeqRange> = receipt.ranges.iter().collect();
    assert_eq!(runs, [SeqRange::new(seq(1), seq(3)).unwrap(), SeqRange::one(seq(5))]);
}

#[test]
fn unreadable_is_told_when_no_device_of_the_user_is_left() {
    let mut world = World::new();
    world.enrol(BO, BO_LAPTOP);
    let (ana, _) = world.attach(ANA_PHONE);
    let (bo, _) = world.attach(BO_PHONE);
    let (laptop, _) = world.attach(BO_LAPTOP);
    let events = world.say(ana, 1, "hello");
    assert!(world.acknowledge(bo, mail(bo, &events)[0].number, AckOutcome::Unreadable).is_empty());
    let told = world.acknowledge(laptop, mail(laptop, &events)[0].number, AckOutcome::Unreadable);
    assert_eq!(kinds(&mail(ana, &told)), [(BO, ReceiptKind::Unreadable)]);
    assert_eq!(world.count("envelope"), 0);
}

fn expiring(number: u8) -> Send {
    Send { ttl_seconds: 60, ..send(ANA, BO, number, "canary") }
}

#[test]
fn expired_mail_becomes_a_gap_and_the_sender_is_told() {
    let mut world = World::new();
    let (ana, _) = world.attach(ANA_PHONE);
    world.publish(ana, expiring(1));
    assert!(world.tick_after(59_999).is_empty());
    assert_eq!(kinds(&mail(ana, &world.tick_after(1))), [(BO, ReceiptKind::Expired)]);
    assert!(!world.disk.contains(b"canary"));
    assert_eq!(world.count("envelope"), 0);
    let (bo, events) = world.attach(BO_PHONE);
    let gap = &mail_of(&events)[0];
    let EntryKind::Gap(Gap { seq: at, reason, sender_user, .. }) = &gap.kind else { panic!("{gap:?}") };
    assert_eq!((*at, *reason, *sender_user), (seq(1), GapReason::Expired, ANA));
    assert!(world.acknowledge(bo, gap.number, AckOutcome::Noted).is_empty());
    assert_eq!(world.count("mailbox WHERE device = 2"), 0);
}

#[test]
fn a_gap_that_is_stored_after_all_makes_received() {
    let mut world = World::new();
    let (ana, _) = world.attach(ANA_PHONE);
    world.publish(ana, expiring(1));
    world.tick_after(60_000);
    let (bo, events) = world.attach(BO_PHONE);
    let told = world.acknowledge(bo, mail_of(&events)[0].number, AckOutcome::Stored);
    assert_eq!(kinds(&mail(ana, &told)), [(BO, ReceiptKind::Received)]);
}

#[test]
fn mail_in_flight_expires_only_when_its_socket_has_ended() {
    let mut world = World::new();
    let (ana, _) = world.attach(ANA_PHONE);
    let (bo, _) = world.attach(BO_PHONE);
    let events = world.publish(ana, expiring(1));
    let first = mail(bo, &events)[0].number;
    world.publish(ana, expiring(2));
    assert!(world.tick_after(60_000).is_empty());
    assert!(world.relay.wake_at().unwrap() > world.now, "it does not spin");
    let told = world.acknowledge(bo, first, AckOutcome::Stored);
    assert_eq!(kinds(&mail(ana, &told)), [(BO, ReceiptKind::Received)]);
    world.work(bo, Op::Detach);
    assert_eq!(kinds(&mail(ana, &world.tick_after(0))), [(BO, ReceiptKind::Expired)]);
}

#[test]
fn expired_backlog_of_an_online_device_arrives_as_a_gap_in_its_place() {
    let mut world = World::new();
    let (ana, _) = world.attach(ANA_PHONE);
    let (bo, _) = world.attach_with(BO_PHONE, 1, 1 << 20);
    let first = mail(bo, &world.say(ana, 1, "one"))[0].number;
    world.publish(ana, expiring(2));
    world.say(ana, 3, "three");
    world.tick_after(60_000);
    let second = mail(bo, &world.acknowledge(bo, first, AckOutcome::Stored));
    assert!(matches!(second[0].kind, EntryKind::Gap(_)));
    let third = mail(bo, &world.acknowledge(bo, second[0].number, AckOutcome::Noted));
    assert_eq!(envelope(&third[0]).body, "three");
}

#[test]
fn with_one_device_holding_and_one_away_the_holder_decides() {
    let mut world = World::new();
    world.enrol(BO, BO_LAPTOP);
    let (ana, _) = world.attach(ANA_PHONE);
    let (bo, _) = world.attach(BO_PHONE);
    let events = world.publish(ana, expiring(1));
    assert!(world.tick_after(60_000).is_empty(), "the phone may have it");
    let told = world.acknowledge(bo, mail(bo, &events)[0].number, AckOutcome::Stored);
    assert_eq!(kinds(&mail(ana, &told)), [(BO, ReceiptKind::Received)]);
    let (_, events) = world.attach(BO_LAPTOP);
    assert!(matches!(mail_of(&events)[0].kind, EntryKind::Gap(_)));
}

#[test]
fn revoking_the_last_waiting_device_is_told() {
    let mut world = World::new();
    world.enrol(BO, BO_LAPTOP);
    let (ana, _) = world.attach(ANA_PHONE);
    let (laptop, _) = world.attach(BO_LAPTOP);
    world.say(ana, 1, "canary");
    let (_, events) = world.relay.revoke(world.now, BO, BO_PHONE).unwrap();
    assert!(mail(ana, &events).is_empty(), "the laptop may still store it");
    let (_, events) = world.relay.revoke(world.now, BO, BO_LAPTOP).unwrap();
    assert_eq!(kinds(&mail(ana, &events)), [(BO, ReceiptKind::DeviceGone)]);
    assert_eq!(of(laptop, events), [Event::Revoked]);
    assert_eq!(world.count("envelope"), 0);
    assert!(!world.disk.contains(b"canary"));
    let (_, events) = world.attach(BO_LAPTOP);
    assert_eq!(events, [Event::Revoked]);
}

fn read(ranges: SeqRanges, authors: Vec<UserId>) -> Op {
    Op::Read(Box::new(Read {
        id: MessageId::from_bytes([99; 16]),
        conversation: conversation(),
        up_to: seq(1),
        ranges,
        authors,
        at: Timestamp(5),
        signature: [0; 64],
    }))
}

#[test]
fn a_read_mark_goes_to_the_authors_and_the_readers_own_devices() {
    let mut world = World::new();
    world.enrol(BO, BO_LAPTOP);
    let (ana, _) = world.attach(ANA_PHONE);
    let (bo, _) = world.attach(BO_PHONE);
    let (laptop, _) = world.attach(BO_LAPTOP);
    assert_eq!(answer(&world.work(bo, read(SeqRanges::default(), vec![]))), Err(ErrorCode::NotFound));
    world.say(ana, 1, "hello");
    let events = world.work(bo, read(SeqRanges::of([seq(1)]), vec![ANA, BO]));
    assert_eq!(answer(&events), Ok(None));
    assert!(mail(bo, &events).is_empty());
    for told in [ana, laptop] {
        let mail = mail(told, &events);
        let [Entry { kind: EntryKind::Read(notice), .. }] = mail.as_slice() else { panic!("{mail:?}") };
        assert_eq!((notice.user, notice.device, notice.device_key), (BO, BO_PHONE, [0xB1; 32]));
    }
    let events = world.work(bo, read(SeqRanges::default(), vec![ANA]));
    assert!(mail(ana, &events).is_empty(), "read receipts are off");
    assert_eq!(mail(laptop, &events).len(), 1);
}

fn mark(up_to: u64) -> Op {
    let Op::Read(read) = read(SeqRanges::of([seq(1)]), vec![ANA]) else { unreachable!() };
    Op::Read(Box::new(Read { up_to: seq(up_to), ..*read }))
}

#[test]
fn a_read_mark_above_what_the_node_gave_is_refused_for_now() {
    let mut world = World::new();
    let (ana, _) = world.attach(ANA_PHONE);
    let (bo, _) = world.attach(BO_PHONE);
    world.say(ana, 1, "one");
    assert_eq!(answer(&world.work(bo, mark(2))), Err(ErrorCode::NotFound));
    let far = SeqRanges::of([seq(1), seq(9)]);
    assert_eq!(answer(&world.work(bo, read(far, vec![ANA]))), Err(ErrorCode::NotFound));
    world.say(ana, 2, "two");
    assert_eq!(answer(&world.work(bo, mark(2))), Ok(None));
    world.relay.begin_era(world.now).unwrap();
    let (bo, _) = world.attach(BO_PHONE);
    assert_eq!(answer(&world.work(bo, mark(9))), Ok(None), "a restore may have lost it");
}

#[test]
fn a_new_socket_brings_no_new_allowance_and_a_second_device_little() {
    let mut options = small_limits(|limits| limits.sends_per_minute = 2);
    options.sends_per_minute_of_user = 3;
    let mut world = World::with(options);
    world.enrol(ANA, ANA_LAPTOP);
    let say = |world: &mut World, device, number| {
        let (session, _) = world.attach(device);
        answer(&world.say(session, number, "hello"))
    };
    assert!(say(&mut world, ANA_PHONE, 1).is_ok());
    assert!(say(&mut world, ANA_PHONE, 2).is_ok());
    assert_eq!(say(&mut world, ANA_PHONE, 3), Err(ErrorCode::RateLimited));
    assert_eq!(say(&mut world, ANA_LAPTOP, 4), Err(ErrorCode::RateLimited), "the user's third was refused too");
    world.tick_after(60_000);
    assert!(say(&mut world, ANA_LAPTOP, 4).is_ok());
    assert!(say(&mut world, ANA_PHONE, 3).is_ok());
}

#[test]
fn read_marks_are_limited_like_sends() {
    let mut world = World::with(small_limits(|limits| limits.sends_per_minute = 2));
    let (ana, _) = world.attach(ANA_PHONE);
    let (bo, _) = world.attach(BO_PHONE);
    world.say(ana, 1, "one");
    assert_eq!(answer(&world.work(bo, mark(1))), Ok(None));
    assert_eq!(answer(&world.work(bo, mark(2))), Err(ErrorCode::NotFound), "a refusal counts");
    assert_eq!(answer(&world.work(bo, mark(1))), Err(ErrorCode::RateLimited));
}

/// Ana is away, Bo has read `marks`, each a position up to which and what of it.
fn read_while_ana_is_away(marks: &[(u64, &[u64])]) -> Vec<SeqRanges> {
    let mut world = World::new();
    let (ana, _) = world.attach(ANA_PHONE);
    for number in 1..=9 {
        world.say(ana, number, "hello");
    }
    world.work(ana, Op::Detach);
    let (bo, _) = world.attach(BO_PHONE);
    for &(up_to, ranges) in marks {
        let Op::Read(read) = read(SeqRanges::of(ranges.iter().map(|&number| seq(number))), vec![ANA]) else { panic!() };
        let read = Read { up_to: seq(up_to), ..*read };
        assert_eq!(answer(&world.work(bo, Op::Read(Box::new(read)))), Ok(None));
    }
    let (_, events) = world.attach(ANA_PHONE);
    let told = mail_of(&events).into_iter().filter_map(|entry| match entry.kind {
        EntryKind::Read(notice) => Some(notice.read.ranges),
        _ => None,
    });
    told.collect()
}

#[test]
fn a_read_mark_takes_the_place_of_one_that_it_covers() {
    let ranges = |numbers: &[u64]| SeqRanges::of(numbers.iter().map(|&number| seq(number)));
    assert_eq!(read_while_ana_is_away(&[(1, &[1]), (1, &[1]), (2, &[1, 2])]), [ranges(&[1, 2])]);
    // What the later one does not tell is told by the earlier one.
    assert_eq!(read_while_ana_is_away(&[(1, &[1]), (2, &[2])]), [ranges(&[1]), ranges(&[2])]);
    assert_eq!(read_while_ana_is_away(&[(2, &[1, 2]), (1, &[1])]), [ranges(&[1, 2]), ranges(&[1])]);
}

#[test]
fn the_readers_own_devices_need_only_the_latest_read_mark() {
    let mut world = World::new();
    world.enrol(BO, BO_LAPTOP);
    let (ana, _) = world.attach(ANA_PHONE);
    let (bo, _) = world.attach(BO_PHONE);
    for number in 1..=3 {
        world.say(ana, number, "hello");
        assert_eq!(answer(&world.work(bo, mark(number.into()))), Ok(None));
    }
    let (_, events) = world.attach(BO_LAPTOP);
    let marks = mail_of(&events).into_iter().filter_map(|entry| match entry.kind {
        EntryKind::Read(notice) => Some(notice.read.up_to),
        _ => None,
    });
    assert_eq!(marks.collect::<Vec<_>>(), [seq(3)]);
}

/// In the place of the older one it would speak of messages that the device is only given afterwards.
#[test]
fn what_stands_for_several_receipts_comes_after_their_messages() {
    let mut world = World::new();
    world.enrol(ANA, ANA_LAPTOP);
    let (laptop, _) = world.attach(ANA_LAPTOP);
    let (bo, _) = world.attach(BO_PHONE);
    for number in 1..=3 {
        let entry = mail(bo, &world.say(laptop, number, "hello"))[0].number;
        world.acknowledge(bo, entry, AckOutcome::Stored);
    }
    let (_, events) = world.attach(ANA_PHONE);
    let entries = mail_of(&events);
    let [one, two, three, receipt] = &entries[..] else { panic!("{entries:?}") };
    assert_eq!([one, two, three].map(|entry| envelope(entry).seq), [1, 2, 3].map(seq));
    assert_eq!(receipts(std::slice::from_ref(receipt))[0].ranges, SeqRanges::of((1..=3).map(seq)));
}

#[test]
fn receipts_that_wait_become_one() {
    let mut world = World::new();
    let (ana, _) = world.attach(ANA_PHONE);
    let (bo, _) = world.attach(BO_PHONE);
    let numbers: Vec<u64> = (1..=5).map(|number| mail(bo, &world.say(ana, number, "hello"))[0].number).collect();
    world.work(ana, Op::Detach);
    for number in numbers {
        world.acknowledge(bo, number, AckOutcome::Stored);
    }
    assert_eq!(world.count("mailbox"), 1);
    let (ana, events) = world.attach(ANA_PHONE);
    let entries = mail_of(&events);
    let [receipt] = receipts(&entries)[..] else { panic!("{entries:?}") };
    assert_eq!(receipt.ranges, SeqRanges::of((1..=5).map(seq)));
    // What was delivered must not change any more: the device may have dealt with it.
    let six = mail(bo, &world.say(ana, 6, "hello"))[0].number;
    let events = world.acknowledge(bo, six, AckOutcome::Stored);
    let entries = mail(ana, &events);
    assert_eq!(receipts(&entries)[0].ranges, SeqRanges::of([seq(6)]));
}
