//! Each planted bug really breaks something: otherwise the simulation could not find it.

use super::*;
use crate::planted::{PlantedBug, plant};

/// Whether the relay keeps its word, on each of the points that a bug breaks.
fn check(bug: PlantedBug, keeps_its_word: fn() -> bool) {
    assert!(keeps_its_word(), "without {bug:?}");
    plant(Some(bug));
    let kept = keeps_its_word();
    plant(None);
    assert!(!kept, "with {bug:?}");
}

fn canary_to_bo() -> (World, SessionId, SessionId, u64) {
    let mut world = World::new();
    let (ana, _) = world.attach(ANA_PHONE);
    let (bo, _) = world.attach(BO_PHONE);
    let events = world.say(ana, 1, "canary");
    let number = mail(bo, &events)[0].number;
    (world, ana, bo, number)
}

/// Something was said to Bo while one of his devices was away for a month, perhaps his only one.
fn away(has_another: bool) -> (World, SessionId) {
    const DAY: u64 = 24 * 60 * 60 * 1000;
    let mut world = World::new();
    world.tick_after(20 * DAY);
    let (ana, _) = world.attach(ANA_PHONE);
    world.say(ana, 1, "canary");
    if has_another {
        world.enrol(BO, BO_LAPTOP);
        world.attach(BO_LAPTOP);
    }
    world.tick_after(11 * DAY);
    world.tick_after(0);
    (world, ana)
}

#[test]
fn every_planted_bug_has_an_effect() {
    check(PlantedBug::NoIdempotency, || {
        let (mut world, ana, ..) = canary_to_bo();
        answer(&world.say(ana, 1, "canary")) == Ok(Some(seq(1)))
    });
    check(PlantedBug::EmitBeforeCommit, || {
        let (mut world, ana, ..) = canary_to_bo();
        world.relay.connection_mut().commit_hook(Some(|| true)).unwrap();
        let mut work = [Work::Session(ana, Op::Publish(Box::new(send(ANA, BO, 2, "x"))))];
        world.relay.try_commit(world.now, &mut work).is_err()
    });
    check(PlantedBug::DeleteBeforeAck, || canary_to_bo().0.count("mailbox") == 1);
    check(PlantedBug::LostWakeUp, || {
        let mut world = World::new();
        let (ana, _) = world.attach(ANA_PHONE);
        let (bo, _) = world.attach_with(BO_PHONE, 1, 1 << 20);
        let first = mail(bo, &world.say(ana, 1, "one"))[0].number;
        world.say(ana, 2, "two");
        !mail(bo, &world.acknowledge(bo, first, AckOutcome::Stored)).is_empty()
    });
    check(PlantedBug::CumulativeAck, || {
        let (mut world, ana, bo, _) = canary_to_bo();
        let second = mail(bo, &world.say(ana, 2, "two"))[0].number;
        world.acknowledge(bo, second, AckOutcome::Stored);
        world.count("envelope") == 1
    });
    check(PlantedBug::ReceiptBeforeStore, || canary_to_bo().0.count("mailbox WHERE notice IS NOT NULL") == 0);
    check(PlantedBug::KeepBody, || {
        let (mut world, _, bo, number) = canary_to_bo();
        world.acknowledge(bo, number, AckOutcome::Stored);
        !world.disk.contains(b"canary")
    });
    check(PlantedBug::NoStall, || {
        let (mut world, ana, ..) = canary_to_bo();
        world.publish(ana, Send { ttl_seconds: u32::MAX, ..send(ANA, BO, 2, "x") });
        answer(&world.say(ana, 3, "x")) == Err(ErrorCode::StreamStalled)
    });
    check(PlantedBug::BodyUnsynced, || {
        let (mut world, ..) = canary_to_bo();
        world.crash(false);
        world.disk.contains(b"canary")
    });
    check(PlantedBug::MissedUntold, || {
        let mut world = World::with(small_limits(|limits| limits.mailbox_entries = 1));
        world.enrol(ANA, ANA_LAPTOP);
        let (ana, _) = world.attach(ANA_PHONE);
        let (bo, _) = world.attach(BO_PHONE);
        for number in 1..=2 {
            let entry = mail(bo, &world.say(ana, number, "x"))[0].number;
            world.acknowledge(bo, entry, AckOutcome::Stored);
        }
        let (laptop, events) = world.attach(ANA_LAPTOP);
        let item = |entry: &Entry| AckItem { number: entry.number, outcome: AckOutcome::Stored };
        let items: Vec<_> = mail_of(&events).iter().map(item).collect();
        !mail(laptop, &world.work(laptop, Op::Acknowledge(items.into()))).is_empty()
    });
    check(PlantedBug::SoleDeviceEmptied, || {
        let (world, _) = away(false);
        world.count("envelope") == 1
    });
    check(PlantedBug::EmptiedUnerased, || {
        let (world, _) = away(true);
        !world.disk.contains(b"canary")
    });
    check(PlantedBug::ShareIgnored, || {
        let mut world = World::with(small_limits(|limits| limits.mailbox_entries = 4));
        let (ana, _) = world.attach(ANA_PHONE);
        world.say(ana, 1, "x");
        answer(&world.say(ana, 2, "x")) == Err(ErrorCode::MailboxFull)
    });
    check(PlantedBug::MovedUnclaimed, || {
        let limits = |limits: &mut Limits| limits.body_bytes = 1_024;
        let mut world = World::with(RelayOptions { segment_bytes: 1_024, segments_kept: 1, ..small_limits(limits) });
        let (ana, _) = world.attach(ANA_PHONE);
        world.say(ana, 1, "canary");
        world.publish(ana, Send { ttl_seconds: 5, ..send(ANA, BO, 2, &"x".repeat(1_000)) });
        world.say(ana, 3, &"y".repeat(1_000));
        world.tick_after(6_000);
        world.tick_after(10_000);
        let (_, events) = world.attach(BO_PHONE);
        matches!(&mail_of(&events)[0].kind, EntryKind::Envelope(envelope) if envelope.body == "canary")
    });
    check(PlantedBug::ReuseSeq, || {
        let (mut world, ..) = canary_to_bo();
        world.relay.begin_era(world.now).unwrap();
        let (ana, _) = world.attach(ANA_PHONE);
        answer(&world.say(ana, 2, "x")) == Ok(Seq::new(1, 1))
    });
}
