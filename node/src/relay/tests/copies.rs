//! A device's folder that was copied, or restored from an older copy: it must not pass for the device.

use super::*;

impl World {
    fn attach_counted(&mut self, device: DeviceId, connections: u64, stored_up_to: u64) -> (SessionId, bool) {
        self.sessions += 1;
        let session = SessionId(self.sessions);
        let progress = Progress { connections, stored_up_to, sent: u64::MAX };
        let attach = Attach { device, window_entries: 10, window_bytes: 1 << 20, checkpoint: None, progress };
        let events = of(session, self.work(session, Op::Attach(attach)));
        (session, !matches!(events.as_slice(), [Event::Copied]))
    }

    fn is_welcome(&mut self, connections: u64, stored_up_to: u64) -> bool {
        self.attach_counted(BO_PHONE, connections, stored_up_to).1
    }
}

#[test]
fn a_count_that_was_seen_is_refused_and_a_gap_in_it_is_not() {
    let mut world = World::new();
    assert!(world.is_welcome(1, 0));
    assert!(!world.is_welcome(1, 0), "the same again");
    assert!(world.is_welcome(7, 0), "attempts that never arrived");
    assert!(!world.is_welcome(6, 0), "one that arrives late");
    assert!(world.is_welcome(0, 0), "a device that does not count");
    assert!(!world.is_welcome(7, 0));
    assert!(world.is_welcome(u64::MAX, u64::MAX), "beyond any count");
}

#[test]
fn a_late_attempt_of_the_same_device_leaves_the_newer_one_alone() {
    let mut world = World::new();
    let (newer, _) = world.attach_counted(BO_PHONE, 2, 0);
    let (older, is_welcome) = world.attach_counted(BO_PHONE, 1, 0);
    assert!(!is_welcome);
    world.work(older, Op::Detach);
    let (ana, _) = world.attach(ANA_PHONE);
    let events = world.say(ana, 1, "still there?");
    assert!(events.iter().any(|(session, event)| *session == newer && matches!(event, Event::Mail(_))), "{events:?}");
}

#[test]
fn whoever_lacks_what_was_acknowledged_is_a_copy_whatever_it_counts() {
    let mut world = World::new();
    let (bo, _) = world.attach_counted(BO_PHONE, 1, 0);
    let (ana, _) = world.attach(ANA_PHONE);
    let mail = |events: &[(SessionId, Event)]| {
        events.iter().find_map(|(_, event)| match event {
            Event::Mail(entries) => entries.first().map(|entry| entry.number),
            _ => None,
        })
    };
    let events = world.say(ana, 1, "one");
    let one = mail(&events).unwrap();
    world.acknowledge(bo, one, AckOutcome::Stored);
    assert!(!world.is_welcome(2, one - 1), "while the device is connected");
    assert!(world.is_welcome(3, one), "an acknowledged entry is known to the device");

    // The number is kept over a restart of the node, with nothing in any mailbox.
    world.crash(true);
    assert!(!world.is_welcome(4, one - 1));
    assert!(world.is_welcome(5, one));
    let (ana, _) = world.attach(ANA_PHONE);
    let two = mail(&world.say(ana, 2, "two")).unwrap();
    assert!(two > one, "entries are never numbered twice");
}

#[test]
fn whoever_does_not_know_what_it_sent_is_a_copy() {
    let mut world = World::new();
    let attach = |world: &mut World, connections, sent| {
        world.sessions += 1;
        let session = SessionId(world.sessions);
        let progress = Progress { connections, stored_up_to: u64::MAX, sent };
        let attach = Attach { device: ANA_PHONE, window_entries: 10, window_bytes: 1, checkpoint: None, progress };
        let events = of(session, world.work(session, Op::Attach(attach)));
        (session, !matches!(events.as_slice(), [Event::Copied]))
    };
    let (ana, _) = attach(&mut world, 1, 0);
    world.say(ana, 1, "one");
    world.say(ana, 1, "one");
    world.say(ana, 2, "two");
    assert!(!attach(&mut world, 2, 1).1, "while the device is connected");
    assert!(attach(&mut world, 3, 2).1, "a repeat does not count");
    let (ana, _) = attach(&mut world, 4, 9);
    world.say(ana, 3, "three");
    world.work(ana, Op::Detach);
    assert!(!attach(&mut world, 5, 2).1, "afterwards");
    let (ana, is_welcome) = attach(&mut world, 6, 3);
    assert!(is_welcome);
    world.publish(ana, send(ANA, BO, 4, "four"));
    let moved = Send { after_seq: Some(seq(4)), ..send(ANA, BO, 1, "one") };
    assert_eq!(answer(&world.publish(ana, moved)), Ok(Some(seq(5))));
    assert!(attach(&mut world, 7, 4).1, "a message that moves is none more");
}

/// Versions before 0007_sent.sql counted nothing; an upgrade is no copy.
#[test]
fn what_a_device_did_before_it_counted_is_not_held_against_it() {
    let mut world = World::new();
    let (bo, _) = world.attach_counted(BO_PHONE, 0, 0);
    let (ana, _) = world.attach(ANA_PHONE);
    let events = world.say(ana, 1, "one");
    let number = mail(bo, &events)[0].number;
    world.acknowledge(bo, number, AckOutcome::Stored);
    world.publish(bo, send(BO, ANA, 2, "two"));
    let progress = Progress { connections: 1, stored_up_to: 0, sent: 0 };
    let attach = Attach { device: BO_PHONE, window_entries: 10, window_bytes: 1 << 20, checkpoint: None, progress };
    let upgraded = SessionId(50);
    let events = of(upgraded, world.work(upgraded, Op::Attach(attach)));
    assert!(matches!(events.first(), Some(Event::Attached(_))), "{events:?}");
    world.publish(upgraded, send(BO, ANA, 3, "three"));
    world.work(upgraded, Op::Detach);
    assert!(!world.is_welcome(1, 0), "from then on it is counted");
    let sent = world.relay.connection().query_row("SELECT max(sent) FROM device", [], |row| row.get::<_, u64>(0));
    assert_eq!(sent, Ok(1));
}

#[test]
fn a_restored_node_knows_less_and_suspects_nobody() {
    let mut world = World::new();
    assert!(world.is_welcome(5, 100));
    world.relay.connection().execute_batch("UPDATE device SET connections = 2, stored_up_to = 50").unwrap();
    assert!(world.is_welcome(6, 100));
}

#[test]
fn a_message_is_sent_once_even_by_a_user_who_logged_in_anew() {
    let mut world = World::new();
    let (phone, _) = world.attach(ANA_PHONE);
    let first = world.say(phone, 1, "once");
    world.enrol(ANA, ANA_LAPTOP);
    let (laptop, _) = world.attach(ANA_LAPTOP);
    let again = of(laptop, world.say(laptop, 1, "once"));
    let [Event::Accepted(again)] = again.as_slice() else { panic!("{again:?}") };
    assert!(first.iter().any(|(_, event)| matches!(event, Event::Accepted(first) if first == again)), "{first:?}");
    let (bo, _) = world.attach(BO_PHONE);
    let stolen = of(bo, world.publish(bo, send(BO, ANA, 1, "not Ana's")));
    assert!(matches!(stolen.as_slice(), [Event::Rejected(no)] if no.code == ErrorCode::MessageIdTaken), "{stolen:?}");
}
