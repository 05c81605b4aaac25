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
    let again = Send { restart: true, ..send(ANA, BO, 2, "second") };
    assert_eq!(answer(&world.publish(ana, again)), Ok(Some(seq(2))));
    world.tick_after(1_500);
    let (_, events) = world.attach(BO_PHONE);
    let bodies: Vec<_> = mail_of(&events).iter().map(|entry| envelope(entry).body.clone()).collect();
    assert_eq!(bodies, ["first", "second"]);
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
    let attach = Attach { device: BO_PHONE, window_entries: 10, window_bytes: 1 << 20, checkpoint: None };
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
