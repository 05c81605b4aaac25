//! Windows, backlog, redelivery, drained, displacement.

use super::*;

#[test]
fn an_empty_mailbox_is_drained_at_once() {
    let mut world = World::new();
    let (_, events) = world.attach(BO_PHONE);
    assert!(matches!(events.as_slice(), [Event::Attached(_), Event::Drained(_)]), "{events:?}");
}

#[test]
fn the_backlog_comes_as_the_window_allows_and_drained_comes_once() {
    let mut world = World::new();
    let (ana, _) = world.attach(ANA_PHONE);
    for number in 1..=5 {
        world.say(ana, number, "hello");
    }
    let (bo, events) = world.attach_with(BO_PHONE, 2, 1 << 20);
    let mut got = mail_of(&events);
    assert_eq!(got.len(), 2);
    let mut drained = 0;
    let mut acknowledged = 0;
    while acknowledged < got.len() {
        let events = world.acknowledge(bo, got[acknowledged].number, AckOutcome::Stored);
        acknowledged += 1;
        got.extend(mail(bo, &events));
        drained += of(bo, events).iter().filter(|event| matches!(event, Event::Drained(_))).count();
    }
    let seqs: Vec<u64> = got.iter().map(|entry| envelope(entry).seq.number()).collect();
    assert_eq!(seqs, [1, 2, 3, 4, 5]);
    assert_eq!(drained, 1);
    assert_eq!(world.count("envelope"), 0);
}

#[test]
fn new_mail_waits_behind_the_backlog() {
    let mut world = World::new();
    let (ana, _) = world.attach(ANA_PHONE);
    world.say(ana, 1, "one");
    world.say(ana, 2, "two");
    let (bo, events) = world.attach_with(BO_PHONE, 1, 1 << 20);
    let first = mail_of(&events);
    assert!(mail(bo, &world.say(ana, 3, "three")).is_empty());
    let second = mail(bo, &world.acknowledge(bo, first[0].number, AckOutcome::Stored));
    assert_eq!(envelope(&second[0]).body, "two");
    let third = mail(bo, &world.acknowledge(bo, second[0].number, AckOutcome::Stored));
    assert_eq!(envelope(&third[0]).body, "three");
}

#[test]
fn an_entry_larger_than_the_window_is_delivered_alone() {
    let mut world = World::new();
    let (ana, _) = world.attach(ANA_PHONE);
    world.say(ana, 1, "one");
    world.say(ana, 2, "much larger than the window");
    world.say(ana, 3, "three");
    let (bo, events) = world.attach_with(BO_PHONE, 10, 5);
    let first = mail_of(&events);
    assert_eq!(first.len(), 1);
    let second = mail(bo, &world.acknowledge(bo, first[0].number, AckOutcome::Stored));
    assert_eq!(second.len(), 1);
    let third = mail(bo, &world.acknowledge(bo, second[0].number, AckOutcome::Stored));
    assert_eq!(third.len(), 1);
}

#[test]
fn only_what_was_delivered_on_this_session_can_be_acknowledged() {
    let mut world = World::new();
    let (ana, _) = world.attach(ANA_PHONE);
    world.say(ana, 1, "one");
    world.say(ana, 2, "two");
    let (bo, events) = world.attach_with(BO_PHONE, 1, 1 << 20);
    let first = mail_of(&events)[0].number;
    world.acknowledge(bo, first + 1, AckOutcome::Stored);
    world.acknowledge(ana, first, AckOutcome::Stored);
    world.acknowledge(bo, u64::MAX, AckOutcome::Stored);
    assert_eq!(world.count("mailbox"), 2);
}

#[test]
fn a_newer_session_gets_again_what_was_not_acknowledged() {
    let mut world = World::new();
    let (ana, _) = world.attach(ANA_PHONE);
    let (older, _) = world.attach(BO_PHONE);
    let first = mail(older, &world.say(ana, 1, "one"));
    let (newer, events) = world.attach(BO_PHONE);
    assert_eq!(mail_of(&events), first);
    world.acknowledge(older, first[0].number, AckOutcome::Stored);
    assert_eq!(world.count("mailbox"), 1, "the older session has no say any more");
    world.acknowledge(newer, first[0].number, AckOutcome::Stored);
    assert_eq!(world.count("envelope"), 0);
}

#[test]
fn frames_respect_both_limits() {
    let mut world = World::new();
    let (ana, _) = world.attach(ANA_PHONE);
    for number in 1..=9 {
        world.say(ana, number, &"x".repeat(60_000));
    }
    let (_, events) = world.attach_with(BO_PHONE, 4096, 1 << 20);
    let frames: Vec<_> = events.into_iter().filter(|event| matches!(event, Event::Mail(_))).collect();
    assert_eq!(frames.len(), 3);
    for frame in frames {
        let Event::Mail(entries) = frame else { unreachable!() };
        let bytes = chasqui_wire::NodeFrame::Deliver(chasqui_wire::Deliver { entries }).encode();
        assert!(bytes.len() <= Limits::DEFAULT.frame_bytes as usize);
    }
}

#[test]
fn what_was_accepted_survives_a_crash() {
    for survives in [false, true] {
        let mut world = World::new();
        let (ana, _) = world.attach(ANA_PHONE);
        world.say(ana, 1, "one");
        world.crash(survives);
        let (_, events) = world.attach(BO_PHONE);
        assert_eq!(envelope(&mail_of(&events)[0]).body, "one");
    }
}

#[test]
fn no_envelope_takes_more_of_a_frame_than_it_is_reckoned_at() {
    let entry = chasqui_wire::RosterEntry { user: ANA, device: ANA_PHONE };
    let commit = chasqui_wire::Commit {
        hash: [1; 32],
        added: vec![entry; 9],
        removed: vec![entry],
        begins: true,
        welcome: bytes::Bytes::new(),
    };
    let largest = Envelope {
        message: MessageId::from_bytes([1; 16]),
        conversation: conversation(),
        kind: ConversationKind::Channel,
        protection: Protection::EndToEnd,
        sender_user: ANA,
        sender_device: ANA_PHONE,
        peer: Some(BO),
        seq: Seq::new(Seq::ERA_MAX, Seq::NUMBER_MAX).unwrap(),
        accepted_at: Timestamp(-1),
        body: vec![7; 65_536].into(),
        urgent: true,
        resend_of: Some(MessageId::from_bytes([2; 16])),
        epoch: u64::MAX,
        commit: Some(commit),
        welcome: true,
        request: true,
    };
    let kind = EntryKind::Envelope(Box::new(largest));
    let reckoned = deliver::size_of_entry(&kind);
    let entries = vec![Entry { number: u64::MAX, kind }];
    let bytes = chasqui_wire::NodeFrame::Deliver(chasqui_wire::Deliver { entries }).encode().len();
    assert!(bytes <= reckoned && reckoned <= bytes + 160, "{bytes} in a frame, reckoned at {reckoned}");
}
