//! A relay that came back from an older copy of itself.

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
    let attach = |checkpoint| Op::Attach(Attach { device: ANA_PHONE, window_entries: 1, window_bytes: 1, checkpoint });
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
