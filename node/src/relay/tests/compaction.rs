//! Segments that are mostly dead go, and no body with them, whatever crashes in between.

use proptest::prelude::*;

use super::*;

/// Small segments, all of which may be compacted.
fn small_segments() -> RelayOptions {
    let options = small_limits(|limits| limits.body_bytes = 1_024);
    RelayOptions { segment_bytes: 1_024, segments_kept: 1, ..options }
}

/// What the bodies of all rows are, and nothing else is on the disk.
fn bodies_are(world: &World, expected: &BTreeMap<u8, String>) -> Result<(), String> {
    let mut query = world.relay.connection().prepare("SELECT message, segment, start, length FROM envelope").unwrap();
    let row = |row: &rusqlite::Row<'_>| Ok((row.get::<_, [u8; 16]>(0)?[0], row.get(1)?, row.get(2)?, row.get(3)?));
    let rows = query.query_map([], row).unwrap().collect::<Result<Vec<(u8, u32, usize, usize)>, _>>().unwrap();
    let mut disk: BTreeMap<u32, Vec<u8>> = world.disk.contents().into_iter().collect();
    let mut found = BTreeMap::new();
    for (number, segment, start, length) in rows {
        let segment = disk.get_mut(&segment).ok_or(format!("body {number} lies nowhere"))?;
        let range = &mut segment[start..start + length];
        found.insert(number, String::from_utf8_lossy(range).into_owned());
        range.fill(0);
    }
    if &found != expected {
        return Err(format!("{found:?} instead of {expected:?}"));
    }
    let left: usize = disk.values().flatten().filter(|&&byte| byte != 0).count();
    if left == 0 { Ok(()) } else { Err(format!("{left} bytes that nobody claims")) }
}

/// One small body in each of some segments.
fn sparse() -> (World, SessionId) {
    let mut world = World::with(small_segments());
    let (ana, _) = world.attach(ANA_PHONE);
    for number in 1..=6 {
        world.say(ana, number, "stays");
        world.publish(ana, Send { ttl_seconds: 5, ..send(ANA, BO, 100 + number, &"x".repeat(1_000)) });
    }
    world.tick_after(6_000);
    world.tick_after(2_000);
    (world, ana)
}

#[test]
fn what_lives_in_sparse_segments_moves_together_and_they_are_deleted() {
    let (mut world, _) = sparse();
    assert_eq!(world.disk.contents().len(), 6);
    for _ in 0..3 {
        world.tick_after(10_000);
        world.tick_after(2_000);
    }
    assert_eq!(world.disk.contents().len(), 1);
    let (_, events) = world.attach(BO_PHONE);
    let bodies = mail_of(&events).into_iter().filter_map(|entry| match entry.kind {
        EntryKind::Envelope(envelope) => Some(envelope.body),
        _ => None,
    });
    assert_eq!(bodies.collect::<Vec<_>>(), ["stays"; 6]);
}

#[test]
fn a_crash_before_or_after_the_commit_of_a_compaction_loses_nothing() {
    let expected: BTreeMap<u8, String> = (1..=6).map(|number| (number, "stays".to_owned())).collect();
    for (commits, survives) in [(false, false), (false, true), (true, false), (true, true)] {
        let (mut world, _) = sparse();
        world.relay.connection_mut().commit_hook(Some(move || !commits)).unwrap();
        world.now = world.now.plus_millis(10_000);
        let (_, error) = world.relay.tick(world.now);
        assert_eq!(error.is_none(), commits);
        world.relay.connection_mut().commit_hook(None::<fn() -> bool>).unwrap();
        world.crash_with(small_segments(), survives);
        bodies_are(&world, &expected).unwrap();
    }
}

#[test]
fn nothing_is_moved_while_the_disk_is_full() {
    let (mut world, ana) = sparse();
    let before = world.disk.contents().len();
    world.disk.set_full(true);
    let full = &"y".repeat(1_024);
    let accepted = (200..).find(|&number| answer(&world.say(ana, number, full)).is_err()).unwrap() - 200;
    world.tick_after(10_000);
    world.tick_after(2_000);
    assert_eq!(world.disk.contents().len(), before);
    world.disk.set_full(false);
    for _ in 0..8 {
        world.tick_after(10_000);
    }
    assert_eq!(world.disk.contents().len(), 1 + usize::from(accepted));
}

#[derive(Clone, Copy, Debug)]
enum Act {
    Say(usize),
    Expiring(usize),
    Acknowledge(usize),
    Tick(u64),
    Crash(bool),
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        4 => (0..1_024usize).prop_map(Act::Say),
        3 => (0..1_024usize).prop_map(Act::Expiring),
        3 => (0..20usize).prop_map(Act::Acknowledge),
        4 => (1_000..12_000u64).prop_map(Act::Tick),
        1 => any::<bool>().prop_map(Act::Crash),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn the_disk_holds_what_waits_and_nothing_else(acts in prop::collection::vec(act(), 1..80)) {
        let mut world = World::with(small_segments());
        // By number: the text, and when it expires.
        let mut model: BTreeMap<u8, (String, Option<Timestamp>)> = BTreeMap::new();
        let (mut ana, _) = world.attach(ANA_PHONE);
        let mut next = 1;
        for act in acts {
            match act {
                Act::Say(length) | Act::Expiring(length) if next < u8::MAX => {
                    let text = char::from(b'a' + next % 26).to_string().repeat(length);
                    let ttl_seconds = if matches!(act, Act::Expiring(_)) { 3 } else { 0 };
                    let events = world.publish(ana, Send { ttl_seconds, ..send(ANA, BO, next, &text) });
                    prop_assert!(answer(&events).is_ok());
                    let expires = (ttl_seconds > 0).then(|| world.now.plus_millis(3_000));
                    model.insert(next, (text, expires));
                    next += 1;
                }
                Act::Say(_) | Act::Expiring(_) => {}
                Act::Acknowledge(nth) => {
                    let (bo, events) = world.attach_with(BO_PHONE, 1_000, 1 << 30);
                    let entries = mail_of(&events);
                    if let Some(entry) = entries.get(nth) {
                        world.acknowledge(bo, entry.number, AckOutcome::Stored);
                        if let EntryKind::Envelope(envelope) = &entry.kind {
                            model.remove(&envelope.message.as_bytes()[0]);
                        }
                    }
                    world.work(bo, Op::Detach);
                }
                Act::Tick(millis) => {
                    world.tick_after(millis);
                }
                Act::Crash(survives) => {
                    world.crash_with(small_segments(), survives);
                    (ana, _) = world.attach(ANA_PHONE);
                }
            }
            world.tick_after(0);
            model.retain(|_, (_, expires)| expires.is_none_or(|at| at > world.now));
            let expected = model.iter().map(|(&number, (text, _))| (number, text.clone())).collect();
            prop_assert_eq!(bodies_are(&world, &expected), Ok(()));
        }
    }
}
