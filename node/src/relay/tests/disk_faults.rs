//! A disk that fails for a while: nothing accepted is lost by it, and nothing stays undone after it.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::*;

/// A disk whose writes or syncs fail on demand.
#[derive(Clone, Default)]
struct Flaky {
    disk: SimDisk,
    no_writes: Arc<AtomicBool>,
    no_syncs: Arc<AtomicBool>,
}

fn unless(fails: &AtomicBool) -> io::Result<()> {
    if fails.load(Ordering::Relaxed) { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
}

impl Disk for Flaky {
    fn list(&self) -> io::Result<Vec<(u32, u32)>> {
        self.disk.list()
    }

    fn create(&mut self, segment: u32, size: u32) -> io::Result<()> {
        self.disk.create(segment, size)
    }

    fn read(&mut self, segment: u32, start: u32, into: &mut [u8]) -> io::Result<()> {
        self.disk.read(segment, start, into)
    }

    fn write(&mut self, segment: u32, start: u32, bytes: &[u8]) -> io::Result<()> {
        unless(&self.no_writes)?;
        self.disk.write(segment, start, bytes)
    }

    fn sync(&mut self, segment: u32) -> io::Result<()> {
        unless(&self.no_syncs)?;
        self.disk.sync(segment)
    }

    fn delete(&mut self, segment: u32) -> io::Result<()> {
        self.disk.delete(segment)
    }

    fn hold_reserve(&mut self, bytes: u32) -> io::Result<()> {
        unless(&self.no_writes)?;
        self.disk.hold_reserve(bytes)
    }

    fn release_reserve(&mut self) -> io::Result<()> {
        self.disk.release_reserve()
    }
}

fn flaky() -> (World, Flaky) {
    let flaky = Flaky::default();
    let storage = Storage::memory(Connection::open_in_memory().unwrap(), flaky.clone());
    (World::over(storage, flaky.disk.clone(), options()), flaky)
}

#[test]
fn a_range_that_could_not_be_erased_takes_no_body_with_it_later() {
    let (mut world, flaky) = flaky();
    let (ana, _) = world.attach(ANA_PHONE);
    world.say(ana, 1, "first");
    flaky.no_writes.store(true, Ordering::Relaxed);
    assert_eq!(answer(&world.say(ana, 2, "second")), Err(ErrorCode::StorageFull));
    flaky.no_writes.store(false, Ordering::Relaxed);
    world.tick_after(1_500);
    let again = Send { restart: true, ..send(ANA, BO, 2, "second") };
    assert_eq!(answer(&world.publish(ana, again)), Ok(Some(seq(2))));
    world.tick_after(1_500);
    let (_, events) = world.attach(BO_PHONE);
    let bodies: Vec<_> = mail_of(&events).iter().map(|entry| envelope(entry).body.clone()).collect();
    assert_eq!(bodies, ["first", "second"]);
}

/// What the relay answers to what it cannot do now, and when it may be asked again.
fn refusals(events: &[(SessionId, Event)]) -> Vec<(ErrorCode, u32)> {
    let refusal = |(_, event): &(SessionId, Event)| match event {
        Event::Rejected(rejected) => Some((rejected.code, rejected.retry_after_ms)),
        _ => None,
    };
    events.iter().filter_map(refusal).collect()
}

#[test]
fn a_full_disk_refuses_all_at_once_and_mail_is_acknowledged_all_the_same() {
    let (mut world, flaky) = flaky();
    let (ana, _) = world.attach(ANA_PHONE);
    let (bo, _) = world.attach(BO_PHONE);
    let entry = mail(bo, &world.say(ana, 1, "canary"))[0].number;
    flaky.no_writes.store(true, Ordering::Relaxed);
    flaky.disk.set_full(true);
    let publish = |number| Work::Session(ana, Op::Publish(Box::new(send(ANA, BO, number, "x"))));
    let ack = vec![AckItem { number: entry, outcome: AckOutcome::Stored }].into();
    let batch = vec![publish(2), publish(3), Work::Session(bo, Op::Acknowledge(ack))];
    let before = world.relay.era_and_revision().1;
    let events = world.relay.commit(world.now, batch);
    assert_eq!(refusals(&events), [(ErrorCode::StorageFull, 1_000), (ErrorCode::StorageFull, 1_000)]);
    assert_eq!(kinds(&mail(ana, &events)), [(BO, ReceiptKind::Received)]);
    assert_eq!((world.relay.era_and_revision().1, world.count("envelope")), (before + 1, 0), "one commit did it");
    // Asked again at once it does not even try.
    flaky.no_writes.store(false, Ordering::Relaxed);
    let again = |number| Send { restart: true, ..send(ANA, BO, number, "x") };
    assert_eq!(refusals(&world.publish(ana, again(2))), [(ErrorCode::StorageFull, 1_000)]);
    // The reserve cannot be taken back: it stays with what frees space, and the pause grows.
    world.tick_after(1_000);
    assert_eq!(refusals(&world.publish(ana, again(2))), [(ErrorCode::StorageFull, 2_000)]);
    flaky.disk.set_full(false);
    world.tick_after(2_000);
    assert_eq!(answer(&world.publish(ana, again(2))), Ok(Some(seq(2))));
    assert_eq!(answer(&world.say(ana, 3, "x")), Ok(Some(seq(3))));
}

#[test]
fn a_full_database_refuses_all_at_once_too() {
    let mut world = World::new();
    let (ana, _) = world.attach(ANA_PHONE);
    let pages: u32 = world.relay.connection().query_row("PRAGMA page_count", [], |row| row.get(0)).unwrap();
    let limit = |world: &World, pages: u32| {
        let set = format!("PRAGMA max_page_count = {pages}");
        world.relay.connection().query_row(&set, [], |_| Ok(())).unwrap();
    };
    limit(&world, pages);
    let batch = |number: u8| {
        let publish = |number: u8| Work::Session(ana, Op::Publish(Box::new(send(ANA, BO, number, "x"))));
        (number..number + 200).map(publish).collect::<Vec<_>>()
    };
    let refused = refusals(&world.relay.commit(world.now, batch(1)));
    assert_eq!(refused, [(ErrorCode::StorageFull, 1_000); 200]);
    assert_eq!(world.count("envelope"), 0);
    limit(&world, 1 << 30);
    world.tick_after(1_000);
    world.work(ana, Op::Detach);
    let (ana, _) = world.attach(ANA_PHONE);
    assert!(answer(&world.say(ana, 1, "x")).is_ok());
}

#[test]
fn one_work_that_cannot_be_done_is_no_failure_of_the_disk() {
    let mut world = World::new();
    let (ana, _) = world.attach(ANA_PHONE);
    let trigger = "CREATE TEMP TRIGGER bad BEFORE INSERT ON accepted WHEN NEW.seq = 2
                   BEGIN SELECT raise(ABORT, 'bad'); END";
    world.relay.connection().execute_batch(trigger).unwrap();
    let publish = |number| Work::Session(ana, Op::Publish(Box::new(send(ANA, BO, number, "x"))));
    let (bo, _) = world.attach(BO_PHONE);
    let back = Work::Session(bo, Op::Publish(Box::new(send(BO, BO, 9, "to myself"))));
    let events = world.relay.commit(world.now, vec![publish(1), publish(2), back]);
    assert_eq!(refusals(&events), [(ErrorCode::Internal, 1_000)]);
    assert_eq!(events.iter().filter(|(_, event)| matches!(event, Event::Accepted(_))).count(), 2);
}

#[test]
fn a_sync_that_fails_keeps_no_mail_back() {
    let (mut world, flaky) = flaky();
    let (ana, _) = world.attach(ANA_PHONE);
    world.publish(ana, Send { ttl_seconds: 5, ..send(ANA, BO, 1, "one") });
    world.publish(ana, Send { ttl_seconds: 6, ..send(ANA, BO, 2, "two") });
    world.tick_after(5_000);
    flaky.no_syncs.store(true, Ordering::Relaxed);
    let (events, error) = world.relay.tick(world.now.plus_millis(1_000));
    assert!(matches!(error, Some(RelayError::Bodies(_))), "{error:?}");
    assert_eq!(kinds(&mail(ana, &events)), [(BO, ReceiptKind::Expired)]);
    flaky.no_syncs.store(false, Ordering::Relaxed);
    world.tick_after(2_000);
    flaky.disk.crash(|| false);
    assert!(!flaky.disk.contains(b"one") && !flaky.disk.contains(b"two"));
}

#[test]
fn a_damaged_envelope_keeps_no_other_from_expiring() {
    let mut world = World::new();
    let (ana, _) = world.attach(ANA_PHONE);
    for number in 1..=2 {
        world.publish(ana, Send { ttl_seconds: number.into(), ..send(ANA, BO, number, "x") });
    }
    world.relay.connection().execute("UPDATE envelope SET seq = 0 WHERE seq = 1", []).unwrap();
    assert_eq!(kinds(&mail(ana, &world.tick_after(3_000))), [(BO, ReceiptKind::Expired)]);
    assert!(world.relay.wake_at().unwrap() > world.now, "it does not spin");
}

/// Three messages of Ana in three segments, of which the second is lost.
fn with_a_lost_segment() -> (World, SessionId) {
    let mut world = World::with(RelayOptions { segment_bytes: 64 * 1024, ..options() });
    let (ana, _) = world.attach(ANA_PHONE);
    world.say(ana, 1, "one");
    world.say(ana, 2, &"x".repeat(65_535));
    world.say(ana, 3, "three, too long for the rest of that segment");
    world.disk.delete(2).unwrap();
    (world, ana)
}

#[test]
fn a_lost_body_becomes_a_gap_in_its_place_and_the_sender_is_told() {
    let (mut world, ana) = with_a_lost_segment();
    let session = SessionId(50);
    let attach = Attach {
        device: BO_PHONE,
        window_entries: 10,
        window_bytes: 1 << 20,
        checkpoint: None,
        progress: Progress::default(),
    };
    let events = world.work(session, Op::Attach(attach));
    let delivered = mail(session, &events);
    let [one, gap, three] = delivered.as_slice() else { panic!("{events:?}") };
    assert_eq!((envelope(one).seq, envelope(three).seq), (seq(1), seq(3)));
    let EntryKind::Gap(gap) = &gap.kind else { panic!("{gap:?}") };
    assert_eq!((gap.seq, gap.reason), (seq(2), chasqui_wire::GapReason::Other));
    assert!(matches!(of(session, events.clone()).last(), Some(Event::Drained(_))), "{events:?}");
    assert_eq!(kinds(&mail(ana, &events)), [(BO, ReceiptKind::Unreadable)]);
    assert_eq!(world.count("envelope"), 2);
    world.tick_after(2_000);
    assert!(world.relay.wake_at().unwrap() > world.now.plus_millis(2_000), "there is nothing left to erase");
}

#[test]
fn a_lost_body_that_cannot_be_noted_keeps_back_nothing_before_it() {
    let (mut world, _) = with_a_lost_segment();
    let trigger = "CREATE TEMP TRIGGER full BEFORE UPDATE ON mailbox BEGIN SELECT raise(FAIL, 'full'); END";
    world.relay.connection().execute_batch(trigger).unwrap();
    let (_, events) = world.attach(BO_PHONE);
    assert_eq!(mail_of(&events).len(), 1);
    assert_eq!(events.last(), Some(&Event::Failed));
    world.relay.connection().execute_batch("DROP TRIGGER full").unwrap();
    let (_, events) = world.attach(BO_PHONE);
    assert_eq!(mail_of(&events).len(), 3, "nothing is lost by it");
}
