//! A stranger writes: how much, what is said of it, and what the recipient's word changes.

use chasqui_wire::{Admission, Admit, Read, SeqRanges, Verdict};

use super::*;

fn requests() -> World {
    World::with(RelayOptions { request_messages: 1, ..options() })
}

fn admit(verdict: Verdict, up_to: u64) -> Op {
    let (id, protection) = (MessageId::from_bytes([77; 16]), Protection::NodeReadable);
    Op::Admit(Box::new(Admit { id, peer: ANA, protection, verdict, up_to: Seq::new(0, up_to) }))
}

fn admissions(entries: &[Entry]) -> Vec<Verdict> {
    let verdict = |entry: &Entry| match entry.kind {
        EntryKind::Admission(Admission { verdict, conversation: id, .. }) => {
            assert_eq!(id, conversation());
            Some(verdict)
        }
        _ => None,
    };
    entries.iter().filter_map(verdict).collect()
}

/// Bo stores whatever his session gets; returns what Ana's is told.
fn store(
    world: &mut World,
    ana: SessionId,
    bo: SessionId,
    events: &[(SessionId, Event)],
) -> Vec<(UserId, ReceiptKind)> {
    let mut told = Vec::new();
    for entry in mail(bo, events) {
        told.extend(kinds(&mail(ana, &world.acknowledge(bo, entry.number, AckOutcome::Stored))));
    }
    told
}

#[test]
fn a_stranger_has_one_message_and_hears_nothing_until_it_is_accepted() {
    let mut world = requests();
    world.enrol(BO, BO_LAPTOP);
    let (ana, _) = world.attach(ANA_PHONE);
    let (bo, _) = world.attach(BO_PHONE);
    let (laptop, _) = world.attach(BO_LAPTOP);
    let events = world.say(ana, 1, "hello");
    assert!(envelope(&mail(bo, &events)[0]).request);
    assert_eq!(store(&mut world, ana, bo, &events), []);
    let read = Read {
        id: MessageId::from_bytes([99; 16]),
        conversation: conversation(),
        up_to: seq(1),
        ranges: SeqRanges::of([seq(1)]),
        authors: vec![ANA],
        at: Timestamp(5),
        signature: [0; 64],
    };
    let events = world.work(bo, Op::Read(Box::new(read)));
    assert!(mail(ana, &events).is_empty() && mail(laptop, &events).len() == 1, "read is told to the own devices only");
    assert_eq!(answer(&world.say(ana, 2, "hello?")), Err(ErrorCode::RequestPending));
    let again = send(ANA, BO, 1, "hello");
    assert_eq!(answer(&world.publish(ana, Send { restart: true, ..again })), Ok(Some(seq(1))), "a repeat is a repeat");

    let events = world.work(bo, admit(Verdict::Accept, 1));
    assert_eq!(answer(&events), Ok(None));
    assert_eq!(kinds(&mail(ana, &events)), [(BO, ReceiptKind::Received)]);
    assert_eq!((admissions(&mail(laptop, &events)), mail(bo, &events).len()), (vec![Verdict::Accept], 0));
    let events = world.work(bo, admit(Verdict::Accept, 1));
    assert!(answer(&events).is_ok() && events.len() == 1, "again changes nothing");
    let events = world.publish(ana, Send { restart: true, ..send(ANA, BO, 3, "at last") });
    assert!(!envelope(&mail(bo, &events)[0]).request);
    assert_eq!(store(&mut world, ana, bo, &events), [(BO, ReceiptKind::Received)]);
}

#[test]
fn whoever_answers_accepts_and_that_survives_a_crash() {
    let mut world = requests();
    let (ana, _) = world.attach(ANA_PHONE);
    let (bo, _) = world.attach(BO_PHONE);
    let events = world.say(ana, 1, "hello");
    store(&mut world, ana, bo, &events);
    let events = world.publish(bo, send(BO, ANA, 2, "hello yourself"));
    assert_eq!(kinds(&mail(ana, &events)), [(BO, ReceiptKind::Received)]);
    assert!(!envelope(&mail(ana, &events)[0]).request, "Ana had written first");
    world.crash_with(RelayOptions { request_messages: 1, ..options() }, true);
    let (ana, _) = world.attach(ANA_PHONE);
    assert!(answer(&world.say(ana, 3, "how are you?")).is_ok());
    assert!(answer(&world.say(ana, 4, "and where?")).is_ok());
}

#[test]
fn what_cannot_be_delivered_is_told_of_a_request_too() {
    let mut world = requests();
    let (ana, _) = world.attach(ANA_PHONE);
    world.publish(ana, Send { ttl_seconds: 60, ..send(ANA, BO, 1, "hello") });
    assert_eq!(kinds(&mail(ana, &world.tick_after(60_000))), [(BO, ReceiptKind::Expired)]);
    // The acknowledgement had been lost: better news, once it is accepted.
    let (bo, events) = world.attach(BO_PHONE);
    let gap = mail_of(&events)[0].number;
    assert!(mail(ana, &world.acknowledge(bo, gap, AckOutcome::Stored)).is_empty());
    let events = world.work(bo, admit(Verdict::Accept, 1));
    assert_eq!(kinds(&mail(ana, &events)), [(BO, ReceiptKind::Received)]);
}

#[test]
fn who_is_declined_may_ask_again_and_who_is_blocked_may_not() {
    let mut world = requests();
    let (ana, _) = world.attach(ANA_PHONE);
    let (bo, _) = world.attach(BO_PHONE);
    let say = |world: &mut World, number| world.publish(ana, Send { restart: true, ..send(ANA, BO, number, "hello") });
    let events = say(&mut world, 1);
    store(&mut world, ana, bo, &events);
    assert_eq!(answer(&world.work(bo, admit(Verdict::Decline, 1))), Ok(None));
    assert!(envelope(&mail(bo, &say(&mut world, 2))[0]).request);
    assert_eq!(answer(&world.work(bo, admit(Verdict::Decline, 1))), Ok(None));
    assert_eq!(answer(&say(&mut world, 3)), Err(ErrorCode::RequestPending), "the second was not declined");
    assert_eq!(answer(&world.work(bo, admit(Verdict::Block, 2))), Ok(None));
    assert_eq!(answer(&say(&mut world, 3)), Err(ErrorCode::RequestPending), "as if nobody had answered");
    // Also after requests were switched off; and nothing is told of what was declined.
    world.crash(true);
    let (ana, _) = world.attach(ANA_PHONE);
    let (bo, _) = world.attach(BO_PHONE);
    assert_eq!(answer(&world.say(ana, 4, "hello")), Err(ErrorCode::RequestPending));
    let events = world.work(bo, admit(Verdict::Accept, 2));
    assert!(kinds(&mail(ana, &events)).is_empty());
    assert!(answer(&world.publish(ana, Send { restart: true, ..send(ANA, BO, 5, "hello") })).is_ok());
}

#[test]
fn a_device_that_declines_too_late_is_told() {
    let mut world = requests();
    world.enrol(BO, BO_LAPTOP);
    let (ana, _) = world.attach(ANA_PHONE);
    let (bo, _) = world.attach(BO_PHONE);
    let (laptop, _) = world.attach(BO_LAPTOP);
    world.say(ana, 1, "hello");
    world.work(bo, admit(Verdict::Accept, 1));
    let events = world.work(laptop, admit(Verdict::Decline, 1));
    assert_eq!((answer(&events), admissions(&mail(laptop, &events))), (Ok(None), vec![Verdict::Accept]));
    assert!(mail(bo, &events).is_empty());
    assert!(answer(&world.say(ana, 2, "hello")).is_ok());
}

#[test]
fn a_node_that_forgot_the_conversation_takes_the_word_all_the_same() {
    let mut world = requests();
    let (ana, _) = world.attach(ANA_PHONE);
    let (bo, _) = world.attach(BO_PHONE);
    assert_eq!(answer(&world.work(bo, admit(Verdict::Accept, 1))), Ok(None));
    for number in 1..=3 {
        assert!(answer(&world.say(ana, number, "hello")).is_ok());
    }
    let nobody = Op::Admit(Box::new(Admit {
        id: MessageId::from_bytes([1; 16]),
        peer: UserId::from_bytes([9; 16]),
        protection: Protection::NodeReadable,
        verdict: Verdict::Accept,
        up_to: None,
    }));
    assert_eq!(answer(&world.work(bo, nobody)), Err(ErrorCode::UnknownUser));
}

#[test]
fn without_requests_anybody_writes_to_anybody() {
    let mut world = World::new();
    let (ana, _) = world.attach(ANA_PHONE);
    let (bo, _) = world.attach(BO_PHONE);
    for number in 1..=3 {
        let events = world.say(ana, number, "hello");
        assert!(!envelope(&mail(bo, &events)[0]).request);
        assert_eq!(store(&mut world, ana, bo, &events), [(BO, ReceiptKind::Received)]);
    }
    // Who knew each other before requests were switched on goes on.
    world.crash_with(RelayOptions { request_messages: 1, ..options() }, true);
    let (ana, _) = world.attach(ANA_PHONE);
    assert!(answer(&world.say(ana, 4, "hello")).is_ok() && answer(&world.say(ana, 5, "hello")).is_ok());
}
