//! Positions, idempotency, refusals, stalled streams, limits.

use super::*;

#[test]
fn a_message_gets_the_next_position_and_reaches_the_peer_at_once() {
    let mut world = World::new();
    let (ana, _) = world.attach(ANA_PHONE);
    let (bo, _) = world.attach(BO_PHONE);
    let events = world.say(ana, 1, "hello");
    assert_eq!(answer(&events), Ok(Some(seq(1))));
    let mail = mail(bo, &events);
    assert_eq!(envelope(&mail[0]).body, "hello");
    assert_eq!(envelope(&mail[0]).seq, seq(1));
    assert_eq!(envelope(&mail[0]).sender_user, ANA);
    assert_eq!(answer(&world.say(ana, 2, "again")), Ok(Some(seq(2))));
}

#[test]
fn a_repeated_message_changes_nothing() {
    let mut world = World::new();
    let (ana, _) = world.attach(ANA_PHONE);
    let first = world.say(ana, 1, "hello");
    let (_, revision) = world.relay.era_and_revision();
    assert_eq!(world.say(ana, 1, "hello"), first);
    assert_eq!(world.relay.era_and_revision().1, revision);
    assert_eq!(world.count("mailbox"), 1);
}

#[test]
fn an_id_belongs_to_one_user_and_conversation() {
    let mut world = World::new();
    world.enrol(ANA, ANA_LAPTOP);
    let (phone, _) = world.attach(ANA_PHONE);
    let (laptop, _) = world.attach(ANA_LAPTOP);
    world.say(phone, 1, "hello");
    let again = answer(&world.say(laptop, 1, "hello"));
    assert!(again.is_ok(), "who logged in anew sends again what an earlier device may have sent: {again:?}");
    let (bo, _) = world.attach(BO_PHONE);
    assert_eq!(answer(&world.publish(bo, send(BO, ANA, 1, "mine"))), Err(ErrorCode::MessageIdTaken));
    assert_eq!(answer(&world.publish(phone, send(ANA, ANA, 1, "note"))), Err(ErrorCode::MessageIdTaken));
}

#[test]
fn refusals() {
    let check = |change: fn(&mut Send), code| {
        let mut world = World::new();
        let (ana, _) = world.attach(ANA_PHONE);
        let mut send = send(ANA, BO, 1, "hello");
        change(&mut send);
        assert_eq!(answer(&world.publish(ana, send)), Err(code));
        assert_eq!(world.count("accepted") + world.count("envelope") + world.count("mailbox"), 0);
    };
    check(|send| send.body = vec![0; 65_537].into(), ErrorCode::TooLarge);
    check(|send| send.kind = ConversationKind::Group, ErrorCode::NotSupported);
    check(|send| send.protection = Protection::EndToEnd, ErrorCode::Invalid);
    check(|send| send.epoch = 1, ErrorCode::NotSupported);
    check(|send| send.storage = StorageClass::Ephemeral, ErrorCode::NotSupported);
    check(|send| send.only_device = Some(ANA_PHONE), ErrorCode::NotFound);
    check(|send| send.resend_of = Some(MessageId::from_bytes([9; 16])), ErrorCode::Invalid);
    check(|send| send.ttl_seconds = u32::MAX, ErrorCode::Invalid);
    check(|send| send.peer = None, ErrorCode::Invalid);
    check(|send| send.peer = Some(ANA), ErrorCode::Invalid);
    let stranger = UserId::from_bytes([0xC; 16]);
    check(|send| *send = super::send(ANA, UserId::from_bytes([0xC; 16]), 1, "who?"), ErrorCode::UnknownUser);
    assert_ne!(stranger, BO);
}

#[test]
fn after_a_refusal_the_stream_waits_for_a_restart() {
    let mut world = World::new();
    let (ana, _) = world.attach(ANA_PHONE);
    assert_eq!(answer(&world.say(ana, 1, "one")), Ok(Some(seq(1))));
    assert_eq!(
        answer(&world.publish(ana, Send { ttl_seconds: u32::MAX, ..send(ANA, BO, 2, "two") })),
        Err(ErrorCode::Invalid)
    );
    assert_eq!(answer(&world.say(ana, 3, "three")), Err(ErrorCode::StreamStalled));
    assert_eq!(answer(&world.say(ana, 1, "one")), Err(ErrorCode::StreamStalled), "so does what comes again");
    assert_eq!(answer(&world.publish(ana, send(ANA, ANA, 4, "note"))), Ok(Some(seq(1))), "other streams go on");
    assert_eq!(answer(&world.publish(ana, Send { restart: true, ..send(ANA, BO, 2, "two") })), Ok(Some(seq(2))));
    assert_eq!(answer(&world.say(ana, 3, "three")), Ok(Some(seq(3))));
}

#[test]
fn a_new_socket_is_a_new_stream() {
    let mut world = World::new();
    let (ana, _) = world.attach(ANA_PHONE);
    world.publish(ana, Send { ttl_seconds: u32::MAX, ..send(ANA, BO, 2, "two") });
    let (ana, _) = world.attach(ANA_PHONE);
    assert_eq!(answer(&world.say(ana, 3, "three")), Ok(Some(seq(1))));
}

#[test]
fn what_a_displaced_session_still_sends_is_not_done() {
    let mut world = World::new();
    let (older, _) = world.attach(ANA_PHONE);
    let attach = Attach {
        device: ANA_PHONE,
        window_entries: 1,
        window_bytes: 1,
        checkpoint: None,
        progress: Progress::default(),
    };
    let batch = vec![
        Work::Session(SessionId(99), Op::Attach(attach)),
        Work::Session(older, Op::Publish(Box::new(send(ANA, BO, 1, "late")))),
    ];
    let events = world.relay.commit(world.now, batch);
    assert_eq!(of(older, events), [Event::Displaced]);
    assert_eq!(world.count("accepted"), 0);
}

#[test]
fn notes_to_oneself_reach_only_the_other_devices() {
    let mut world = World::new();
    let (phone, _) = world.attach(ANA_PHONE);
    assert_eq!(answer(&world.publish(phone, send(ANA, ANA, 1, "milk"))), Ok(Some(seq(1))));
    assert_eq!(world.count("envelope"), 0, "nobody to wait for");
    world.enrol(ANA, ANA_LAPTOP);
    let (laptop, _) = world.attach(ANA_LAPTOP);
    let events = world.publish(phone, send(ANA, ANA, 2, "bread"));
    assert_eq!(envelope(&mail(laptop, &events)[0]).body, "bread");
    let awaited = "SELECT count(*) FROM envelope WHERE awaited IS NOT NULL";
    let awaited: i64 = world.relay.connection().query_row(awaited, [], |row| row.get(0)).unwrap();
    assert_eq!(awaited, 0, "nobody is told about oneself");
}

#[test]
fn a_peer_without_devices_is_unreachable() {
    let mut world = World::new();
    let (ana, _) = world.attach(ANA_PHONE);
    let (revoked, _) = world.relay.revoke(world.now, BO, BO_PHONE).unwrap();
    revoked.unwrap();
    assert_eq!(answer(&world.say(ana, 1, "hello")), Err(ErrorCode::Unreachable));
}

#[test]
fn a_full_mailbox_refuses_until_it_is_emptied() {
    for options in [small_limits(|limits| limits.mailbox_entries = 1), small_limits(|limits| limits.mailbox_bytes = 5)]
    {
        let mut world = World::with(options);
        let (ana, _) = world.attach(ANA_PHONE);
        assert_eq!(answer(&world.say(ana, 1, "hello")), Ok(Some(seq(1))));
        assert_eq!(answer(&world.say(ana, 2, "hello")), Err(ErrorCode::MailboxFull));
        let (bo, events) = world.attach(BO_PHONE);
        world.acknowledge(bo, mail_of(&events)[0].number, AckOutcome::Stored);
        let again = Send { restart: true, ..send(ANA, BO, 2, "hello") };
        assert_eq!(answer(&world.publish(ana, again)), Ok(Some(seq(2))));
    }
}

#[test]
fn too_many_sends_a_minute_are_refused_until_the_minute_is_over() {
    let mut world = World::with(small_limits(|limits| limits.sends_per_minute = 1));
    let (ana, _) = world.attach(ANA_PHONE);
    assert_eq!(answer(&world.say(ana, 1, "one")), Ok(Some(seq(1))));
    assert_eq!(answer(&world.say(ana, 2, "two")), Err(ErrorCode::RateLimited));
    world.now = world.now.plus_millis(60_000);
    let again = Send { restart: true, ..send(ANA, BO, 2, "two") };
    assert_eq!(answer(&world.publish(ana, again)), Ok(Some(seq(2))));
}

#[test]
fn work_that_cannot_be_done_does_not_harm_its_neighbours() {
    let mut world = World::new();
    let (ana, _) = world.attach(ANA_PHONE);
    let trigger = "CREATE TEMP TRIGGER poison BEFORE INSERT ON accepted
        WHEN new.message = x'02020202020202020202020202020202' BEGIN SELECT raise(FAIL, 'poison'); END";
    world.relay.connection().execute_batch(trigger).unwrap();
    let work = |number| Work::Session(ana, Op::Publish(Box::new(send(ANA, BO, number, "x"))));
    let events = world.relay.commit(world.now, vec![work(1), work(2), work(3)]);
    let answers: Vec<_> = events.iter().map(|event| answer(std::slice::from_ref(event))).collect();
    assert_eq!(answers, [Ok(Some(seq(1))), Err(ErrorCode::Internal), Err(ErrorCode::StreamStalled)]);
}

#[test]
fn a_failed_commit_leaves_nothing() {
    let mut world = World::new();
    let (ana, _) = world.attach(ANA_PHONE);
    let mut work = [Work::Session(ana, Op::Publish(Box::new(send(ANA, BO, 1, "canary"))))];
    world.relay.connection_mut().commit_hook(Some(|| true)).unwrap();
    assert!(world.relay.try_commit(world.now, &mut work).is_err());
    assert_eq!(world.count("accepted") + world.count("mailbox"), 0);
    assert!(!world.disk.contains(b"canary"));
    world.relay.connection_mut().commit_hook(None::<fn() -> bool>).unwrap();
    let events = world.relay.try_commit(world.now, &mut work).unwrap();
    assert_eq!(answer(&events), Ok(Some(seq(1))));
}

#[test]
fn refusals_count_against_the_rate_and_are_bounded() {
    let mut world = World::with(small_limits(|limits| limits.sends_per_minute = 2));
    let (ana, _) = world.attach(ANA_PHONE);
    let wrong = |number| Send { conversation: ConversationId::from_bytes([number; 16]), ..send(ANA, BO, 1, "x") };
    assert_eq!(answer(&world.publish(ana, wrong(1))), Err(ErrorCode::Invalid));
    assert_eq!(answer(&world.publish(ana, wrong(2))), Err(ErrorCode::Invalid));
    assert_eq!(answer(&world.publish(ana, wrong(3))), Err(ErrorCode::RateLimited));
    let mut ended = None;
    for number in 4..2_000_u16 {
        let mut id = [0; 16];
        id[..2].copy_from_slice(&number.to_be_bytes());
        let events = world.publish(ana, Send { conversation: ConversationId::from_bytes(id), ..wrong(1) });
        if events.iter().any(|(_, event)| *event == Event::Overloaded) {
            ended = Some(number);
            break;
        }
    }
    assert_eq!(ended, Some(1_024));
    assert!(world.publish(ana, wrong(5)).is_empty(), "the session has ended");
    assert!(world.relay.state.stalls.is_empty());
    let (ana, _) = world.attach(ANA_PHONE);
    assert_eq!(answer(&world.say(ana, 1, "one")), Err(ErrorCode::RateLimited), "whatever the socket");
    world.now = world.now.plus_millis(60_000);
    let again = Send { restart: true, ..send(ANA, BO, 1, "one") };
    assert_eq!(answer(&world.publish(ana, again)), Ok(Some(seq(1))));
}

#[test]
fn a_batch_that_fails_stalls_nothing_and_restarts_nothing() {
    let mut world = World::new();
    let (ana, _) = world.attach(ANA_PHONE);
    let too_long = |number| Send { ttl_seconds: u32::MAX, ..send(ANA, BO, number, "x") };
    let restarted = Send { restart: true, ..send(ANA, ANA, 1, "x") };
    world.publish(ana, Send { ttl_seconds: u32::MAX, ..send(ANA, ANA, 1, "x") });
    let before = world.relay.state.stalls.clone();
    let work = |send: Send| Work::Session(ana, Op::Publish(Box::new(send)));
    world.relay.connection_mut().commit_hook(Some(|| true)).unwrap();
    let mut batch = [work(too_long(2)), work(restarted), work(send(ANA, ANA, 3, "x"))];
    assert!(world.relay.try_commit(world.now, &mut batch).is_err());
    assert_eq!(world.relay.state.stalls, before);
}
