//! A relay that came back from an older copy of itself.

use chasqui_wire::Checkpoint;

use super::*;

fn copy(connection: &Connection) -> Connection {
    let mut copy = Connection::open_in_memory().unwrap();
    rusqlite::backup::Backup::new(connection, &mut copy)
        .unwrap()
        .run_to_completion(100, std::time::Duration::ZERO, None)
        .unwrap();
    copy
}

/// Ana says one message, a copy is made, she says two more, the copy is put back.
fn restored() -> World {
    let mut world = World::new();
    let (ana, _) = world.attach(ANA_PHONE);
    world.say(ana, 1, "one");
    let (db, image) = (copy(world.relay.connection()), world.disk.snapshot());
    world.say(ana, 2, "two");
    world.say(ana, 3, "three");
    world.disk.restore(&image);
    world.relay = Relay::open(Storage::memory(db, world.disk.clone()), options(), world.now, [0; 32]).unwrap();
    world
}

#[test]
fn lost_positions_are_given_back_and_new_ones_are_never_old_ones() {
    let mut world = restored();
    world.relay.begin_era(world.now).unwrap();
    let (ana, events) = world.attach(ANA_PHONE);
    let Event::Attached(attached) = &events[0] else { panic!("{events:?}") };
    assert_eq!(attached.eras.len(), 1);
    let again = |number, position| Send { reclaim_seq: Seq::new(0, position), ..send(ANA, BO, number, "again") };
    assert_eq!(answer(&world.say(ana, 4, "new")), Ok(Seq::new(1, 1)));
    assert_eq!(answer(&world.publish(ana, again(3, 3))), Ok(Some(seq(3))));
    assert_eq!(answer(&world.publish(ana, again(2, 2))), Ok(Some(seq(2))));
    assert_eq!(answer(&world.publish(ana, again(5, 2))), Ok(Seq::new(1, 2)), "taken");
    assert_eq!(answer(&world.publish(ana, again(6, 1))), Ok(Seq::new(1, 3)), "never lost");
    assert_eq!(answer(&world.publish(ana, again(1, 1))), Ok(Some(seq(1))), "known");
    assert_eq!(answer(&world.say(ana, 7, "new")), Ok(Seq::new(1, 4)));
}

#[test]
fn a_checkpoint_from_the_future_begins_an_era() {
    let mut world = World::new();
    let (ana, events) = world.attach(ANA_PHONE);
    let Event::Attached(attached) = events[0].clone() else { panic!("{events:?}") };
    let mut restored = restored();
    let (bo, _) = restored.attach(BO_PHONE);
    let mut ahead = attached.checkpoint;
    // Both worlds have the same key. A checkpoint of this node's own future:
    for number in 1..=20 {
        world.say(ana, number, "x");
    }
    let (_, events) = world.attach(ANA_PHONE);
    if let Event::Attached(attached) = &events[0] {
        ahead = attached.checkpoint.clone();
    }
    let attach = |checkpoint| {
        Op::Attach(Attach {
            device: ANA_PHONE,
            window_entries: 1,
            window_bytes: 1,
            checkpoint,
            progress: Progress::default(),
        })
    };
    let mut forged = ahead.clone();
    forged.revision += 1;
    restored.work(SessionId(50), attach(Some(forged)));
    assert_eq!(restored.relay.era_and_revision().0, 0, "a forged one proves nothing");
    let events = restored.work(SessionId(51), attach(Some(ahead)));
    assert_eq!(of(bo, events.clone()), [Event::NewEra]);
    let own = of(SessionId(51), events);
    let Event::Attached(attached) = &own[0] else { panic!("{own:?}") };
    assert_eq!((attached.checkpoint.era, attached.eras.len()), (1, 1));
    assert_eq!(restored.relay.era_and_revision().0, 1);
}

fn attach_with(world: &mut World, session: u64, checkpoint: Checkpoint) -> Attached {
    let checkpoint = Some(checkpoint);
    let attach = Attach {
        device: ANA_PHONE,
        window_entries: 10,
        window_bytes: 1 << 20,
        checkpoint,
        progress: Progress::default(),
    };
    let events = of(SessionId(session), world.work(SessionId(session), Op::Attach(attach)));
    let Event::Attached(attached) = events[0].clone() else { panic!("{events:?}") };
    *attached
}

fn checkpoint(events: &[Event]) -> Checkpoint {
    let Event::Attached(attached) = &events[0] else { panic!("{events:?}") };
    attached.checkpoint.clone()
}

/// Opens the data again, as a start of the process does.
fn reopen(world: &mut World, entropy: u8) {
    let spare = Storage::memory(Connection::open_in_memory().unwrap(), SimDisk::new());
    let spare = Relay::open(spare, options(), world.now, [0; 32]).unwrap();
    let db = std::mem::replace(&mut world.relay, spare).into_connection();
    world.relay = Relay::open(Storage::memory(db, world.disk.clone()), options(), world.now, [entropy; 32]).unwrap();
}

/// A copy is put back by hand, after Ana's phone saw what is lost; `restarts` is how often the node started between
/// the copy and that.
fn restored_by_hand(restarts: u8) -> (World, Checkpoint, u64) {
    let mut world = World::new();
    let (ana, _) = world.attach(ANA_PHONE);
    world.say(ana, 1, "one");
    let (db, image) = (copy(world.relay.connection()), world.disk.snapshot());
    let copied_at = world.relay.era_and_revision().1;
    for start in 0..restarts {
        let (ana, _) = world.attach(ANA_PHONE);
        world.say(ana, 100 + start, "also lost");
        reopen(&mut world, 50 + start);
    }
    let (ana, _) = world.attach(ANA_PHONE);
    assert_eq!(answer(&world.say(ana, 2, "two")).map(|at| at.is_some()), Ok(true));
    let (_, events) = world.attach(ANA_PHONE);
    world.disk.restore(&image);
    world.now = world.now.plus_millis(2 * 24 * 60 * 60 * 1000);
    world.relay = Relay::open(Storage::memory(db, world.disk.clone()), options(), world.now, [1; 32]).unwrap();
    (world, checkpoint(&events), copied_at)
}

#[test]
fn a_copy_put_back_by_hand_is_noticed_however_far_the_node_has_gone_on() {
    for (restarts_before, restarts_after) in [(0, 0), (1, 0), (0, 2), (2, 2)] {
        let (mut world, lost, copied_at) = restored_by_hand(restarts_before);
        for round in 0..=restarts_after {
            let (bo, _) = world.attach(BO_PHONE);
            for number in 1..=10 {
                world.publish(bo, send(BO, ANA, 10 * round + number + 50, "x"));
            }
            if round < restarts_after {
                reopen(&mut world, 80 + round);
            }
        }
        let (era, revision) = world.relay.era_and_revision();
        assert!(era == 0 && revision > lost.revision, "the node has passed what was lost");
        let attached = attach_with(&mut world, 90, lost.clone());
        let eras = [chasqui_wire::Era { number: 1, began_at_revision: copied_at }];
        assert_eq!(attached.eras, eras, "{restarts_before} restarts before, {restarts_after} after");
        assert_eq!(attached.checkpoint.era, 1);
        // Others from the same lost past say nothing new.
        assert_eq!(attach_with(&mut world, 91, lost).eras.len(), 1);
    }
}

#[test]
fn starts_without_a_restore_begin_no_era() {
    let mut world = World::new();
    let mut kept = Vec::new();
    for start in 0..4 {
        let (ana, events) = world.attach(ANA_PHONE);
        kept.push(checkpoint(&events));
        let said = world.say(ana, start + 1, "x");
        assert!(answer(&said).is_ok());
        let (_, events) = world.attach(ANA_PHONE);
        kept.push(checkpoint(&events));
        reopen(&mut world, 20 + start);
        // A start that commits nothing leaves nothing.
        reopen(&mut world, 40 + start);
    }
    assert_eq!(world.count("opening"), 4);
    for (session, checkpoint) in (100..).zip(kept) {
        assert_eq!(attach_with(&mut world, session, checkpoint).eras, []);
    }
}

#[test]
fn eras_are_numbered_by_the_clock_so_that_no_two_restores_begin_the_same() {
    let mut world = World::new();
    let day = |days: u64| Timestamp(1_767_225_600_000).plus_millis(days * 24 * 60 * 60 * 1000);
    assert_eq!(world.relay.next_era(Timestamp(0), None), 1, "a clock that is wrong");
    assert_eq!(world.relay.next_era(day(1), None), 675);
    assert_eq!(world.relay.next_era(day(1).plus_millis(128_000), None), 676);
    assert_eq!(world.relay.next_era(day(1), Some(675)), 676, "the same copy once more");
    assert!(world.relay.next_era(day(1_000_000), None) < Seq::ERA_MAX - 1_000, "some are kept");
    world.relay.begin_era_at(900, day(1)).unwrap();
    assert_eq!(world.relay.next_era(day(1), None), 901, "later than the last in any case");
    assert!(world.relay.begin_era_at(Seq::ERA_MAX + 1, day(1)).is_err());
    assert_eq!(world.relay.era_and_revision().0, 900);
}

#[test]
fn a_conversation_without_positions_left_refuses_and_runs_into_no_other_era() {
    let mut world = World::new();
    let (ana, _) = world.attach(ANA_PHONE);
    world.say(ana, 1, "one");
    world.relay.connection().execute("UPDATE conversation SET head = ?1", [Seq::NUMBER_MAX - 1]).unwrap();
    // What the relay remembers is older than that.
    world.crash(true);
    let (ana, _) = world.attach(ANA_PHONE);
    assert_eq!(answer(&world.say(ana, 2, "last")), Ok(Seq::new(0, Seq::NUMBER_MAX)));
    assert_eq!(answer(&world.say(ana, 3, "none left")), Err(ErrorCode::NotSupported));
    world.relay.begin_era(world.now).unwrap();
    let (ana, _) = world.attach(ANA_PHONE);
    assert_eq!(answer(&world.say(ana, 4, "a new era")), Ok(Seq::new(1, 1)));
}

#[test]
fn a_message_of_which_its_sender_heard_nothing_stands_behind_what_it_sent_before() {
    let mut world = restored();
    let (ana, _) = world.attach(ANA_PHONE);
    assert_eq!(answer(&world.say(ana, 2, "two")), Ok(Some(seq(2))));
    // A past that knew neither of them gave the first one 1:1, and the sender did not hear of the second.
    world.relay.begin_era_at(1, world.now).unwrap();
    world.relay.begin_era_at(2, world.now).unwrap();
    let (ana, _) = world.attach(ANA_PHONE);
    let first = Send { reclaim_seq: Seq::new(1, 1), ..send(ANA, BO, 1, "one") };
    assert_eq!(answer(&world.publish(ana, first)), Ok(Seq::new(1, 1)));
    let second = |after_seq| Send { after_seq, ..send(ANA, BO, 2, "two") };
    assert_eq!(answer(&world.publish(ana, second(Seq::new(1, 1)))), Ok(Seq::new(2, 1)));
    assert_eq!(answer(&world.publish(ana, second(Seq::new(1, 1)))), Ok(Seq::new(2, 1)), "once");
    assert_eq!(answer(&world.publish(ana, second(None))), Ok(Seq::new(2, 1)), "it stays there");
    // Nothing can stand behind what no node has given yet.
    assert_eq!(answer(&world.publish(ana, second(Seq::new(9, 9)))), Ok(Seq::new(2, 1)), "invented");
    // A lost position before it is not given back.
    let torn = Send { reclaim_seq: Seq::new(1, 7), after_seq: Seq::new(1, 8), ..send(ANA, BO, 3, "three") };
    assert_eq!(answer(&world.publish(ana, torn)), Ok(Seq::new(2, 2)));
}

#[test]
fn a_message_that_a_lost_past_had_moved_is_moved_again() {
    let mut world = restored();
    // In a past that is lost too, the first message, whose sender had not heard of it, was given a later position.
    world.relay.begin_era_at(1, world.now).unwrap();
    world.relay.begin_era_at(2, world.now).unwrap();
    let (ana, _) = world.attach(ANA_PHONE);
    let moved = Send { reclaim_seq: Seq::new(1, 7), ..send(ANA, BO, 1, "one") };
    assert_eq!(answer(&world.publish(ana, moved.clone())), Ok(Seq::new(1, 7)));
    assert_eq!(answer(&world.publish(ana, moved)), Ok(Seq::new(1, 7)), "once");
    assert_eq!(answer(&world.publish(ana, send(ANA, BO, 1, "one"))), Ok(Seq::new(1, 7)), "it stays there");
    let taken = Send { reclaim_seq: Seq::new(1, 7), ..send(ANA, BO, 2, "two") };
    assert_eq!(answer(&world.publish(ana, taken)), Ok(Seq::new(2, 1)));
    let (_, events) = world.attach(BO_PHONE);
    let seqs: Vec<Seq> = mail_of(&events).iter().map(|entry| envelope(entry).seq).collect();
    assert_eq!(seqs, [seq(1), Seq::new(1, 7).unwrap(), Seq::new(2, 1).unwrap()]);
}
