//! Signals: who gets them, who may say them, and that nothing is left of them.

use chasqui_wire::{Admit, Signal, Verdict};

use super::*;

fn signal_in(conversation: ConversationId, epoch: u64) -> Signal {
    // Whoever signals says to be somebody else.
    Signal { conversation, sender: Some((BO, BO_LAPTOP)), body: Bytes::from_static(b"typing"), epoch }
}

/// Who is given a signal, and whose it is said to be.
fn passed_on(world: &mut World, from: SessionId, signal: &Signal) -> Vec<(SessionId, Option<(UserId, DeviceId)>)> {
    let changes = world.relay.connection().total_changes();
    let events = world.relay.signal(world.now, from, signal);
    assert_eq!(world.relay.connection().total_changes(), changes, "nothing is written");
    let as_given = |(to, event)| match event {
        Event::Signal(given) => {
            assert_eq!(given, Signal { sender: given.sender, ..signal.clone() });
            (to, given.sender)
        }
        other => panic!("{other:?}"),
    };
    events.into_iter().map(as_given).collect()
}

fn signal(world: &mut World, from: SessionId) -> Vec<(SessionId, Option<(UserId, DeviceId)>)> {
    passed_on(world, from, &signal_in(conversation(), 0))
}

/// Bo's session acknowledges what Ana says.
fn talk(world: &mut World, ana: SessionId, bo: SessionId) {
    let events = world.say(ana, 1, "hello");
    for entry in mail(bo, &events) {
        world.acknowledge(bo, entry.number, AckOutcome::Stored);
    }
}

#[test]
fn a_signal_goes_to_the_others_who_are_there_under_its_senders_name() {
    let mut world = World::new();
    world.enrol(ANA, ANA_LAPTOP);
    world.enrol(BO, BO_LAPTOP);
    let (ana, _) = world.attach(ANA_PHONE);
    let (_anas_laptop, _) = world.attach(ANA_LAPTOP);
    let (bo, _) = world.attach(BO_PHONE);
    assert_eq!(signal(&mut world, ana), [], "nothing was said there yet");
    talk(&mut world, ana, bo);
    assert_eq!(signal(&mut world, ana), [(bo, Some((ANA, ANA_PHONE)))]);
    let (laptop, events) = world.attach(BO_LAPTOP);
    for entry in mail_of(&events) {
        world.acknowledge(laptop, entry.number, AckOutcome::Stored);
    }
    let both = [(bo, Some((ANA, ANA_PHONE))), (laptop, Some((ANA, ANA_PHONE)))];
    assert_eq!(signal(&mut world, ana), both);
    let batch = world.work(ana, Op::Signal(signal_in(conversation(), 0)));
    assert_eq!(batch.len(), 2, "in a batch as well: {batch:?}");
    world.work(bo, Op::Detach);
    assert_eq!(signal(&mut world, ana), both[1..]);
    assert_eq!(signal(&mut world, bo), [], "it has no seat any more");
    assert_eq!(world.relay.vitals().signals_refused, 1);
}

#[test]
fn nobody_signals_where_nobody_knows_them() {
    let mut world = World::new();
    let eve = UserId::from_bytes([0xE; 16]);
    let device = enrolment(DeviceId::from_bytes([0xE1; 16]));
    let new = NewUser { user: eve, name: "eve".into(), password_hash: "-".into(), identity_key: [1; 32], device };
    world.relay.register(world.now, &new).unwrap().unwrap();
    let (ana, _) = world.attach(ANA_PHONE);
    let (bo, _) = world.attach(BO_PHONE);
    let (eve, _) = world.attach(DeviceId::from_bytes([0xE1; 16]));
    talk(&mut world, ana, bo);
    assert_eq!(signal(&mut world, eve), [], "not hers");
    assert_eq!(passed_on(&mut world, ana, &signal_in(conversation(), 1)), [], "it has no epochs");
    assert_eq!(passed_on(&mut world, ana, &signal_in(ConversationId::from_bytes([9; 16]), 0)), [], "no such thing");
    assert_eq!(world.relay.vitals().signals_refused, 3);
    world.publish(ana, send(ANA, ANA, 5, "a note"));
    let notes = direct_conversation(ANA, ANA, Protection::NodeReadable);
    assert_eq!(passed_on(&mut world, ana, &signal_in(notes, 0)), [], "nobody else is there");
    assert_eq!(world.relay.vitals().signals_refused, 3);
    world.relay.call(world.now, |accounts| accounts.delete(BO)).unwrap().0.unwrap();
    assert_eq!(signal(&mut world, ana), []);
    assert_eq!(signal(&mut world, bo), []);
}

#[test]
fn strangers_and_blocked_people_do_not_signal_nor_are_they_signalled_to() {
    let mut world = World::with(RelayOptions { request_messages: 1, ..options() });
    let (ana, _) = world.attach(ANA_PHONE);
    let (bo, _) = world.attach(BO_PHONE);
    let said = |verdict| {
        let (id, protection) = (MessageId::from_bytes([77; 16]), Protection::NodeReadable);
        Op::Admit(Box::new(Admit { id, peer: ANA, protection, verdict, up_to: Seq::new(0, 1) }))
    };
    talk(&mut world, ana, bo);
    assert_eq!((signal(&mut world, ana), signal(&mut world, bo)), (vec![], vec![]), "Bo has not answered");
    world.work(bo, said(Verdict::Accept));
    assert_eq!(signal(&mut world, ana), [(bo, Some((ANA, ANA_PHONE)))]);
    assert_eq!(signal(&mut world, bo), [(ana, Some((BO, BO_PHONE)))]);
    world.work(bo, said(Verdict::Block));
    assert_eq!((signal(&mut world, ana), signal(&mut world, bo)), (vec![], vec![]), "blocked");
}

#[test]
fn a_device_with_mail_to_take_gets_no_signals() {
    let mut world = World::new();
    let (ana, _) = world.attach(ANA_PHONE);
    let (bo, _) = world.attach_with(BO_PHONE, 1, 1 << 20);
    let first = world.say(ana, 1, "one");
    assert_eq!(signal(&mut world, ana).len(), 1, "what was delivered is not in the way");
    world.say(ana, 2, "two");
    assert_eq!(signal(&mut world, ana), [], "the window is full");
    assert_eq!(world.relay.vitals().signals_behind, 1);
    let second = world.acknowledge(bo, mail(bo, &first)[0].number, AckOutcome::Stored);
    world.acknowledge(bo, mail(bo, &second)[0].number, AckOutcome::Stored);
    assert_eq!(signal(&mut world, ana).len(), 1);
}
