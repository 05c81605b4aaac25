//! Messages for one device, and messages that are sent again for one: who gets them, and that nothing else comes of them.

use chasqui_wire::{Admit, Verdict};

use super::*;

const DAY: u64 = 24 * 60 * 60 * 1000;

fn id(number: u8) -> MessageId {
    MessageId::from_bytes([number; 16])
}

/// A send of Ana to Bo, for this device.
fn only(device: DeviceId, number: u8) -> Send {
    Send { only_device: Some(device), ..send(ANA, BO, number, "for one") }
}

/// The same, of what had been said under this number.
fn resend(device: DeviceId, number: u8, original: u8) -> Send {
    Send { resend_of: Some(id(original)), body: Bytes::from_static(b"once more"), ..only(device, number) }
}

/// As the device sends it after a refusal.
fn again(send: Send) -> Send {
    Send { restart: true, ..send }
}

/// Ana and Bo with a phone and a laptop each, all online.
struct Four {
    world: World,
    ana: SessionId,
    ana_laptop: SessionId,
    bo: SessionId,
    bo_laptop: SessionId,
}

impl Four {
    fn over(mut world: World) -> Self {
        world.enrol(ANA, ANA_LAPTOP);
        world.enrol(BO, BO_LAPTOP);
        let [ana, ana_laptop, bo, bo_laptop] =
            [ANA_PHONE, ANA_LAPTOP, BO_PHONE, BO_LAPTOP].map(|device| world.attach(device).0);
        Self { world, ana, ana_laptop, bo, bo_laptop }
    }

    fn new() -> Self {
        Self::over(World::new())
    }

    /// Who of the four gets how much mail.
    fn reached(&self, events: &[(SessionId, Event)]) -> [usize; 4] {
        [self.ana, self.ana_laptop, self.bo, self.bo_laptop].map(|session| mail(session, events).len())
    }

    /// Ana's phone says `text` under this number; nobody acknowledges it.
    fn say(&mut self, number: u8, text: &str) -> Vec<(SessionId, Event)> {
        let events = self.world.say(self.ana, number, text);
        assert!(answer(&events).is_ok(), "{events:?}");
        events
    }

    fn publish(&mut self, send: Send) -> Vec<(SessionId, Event)> {
        self.world.publish(self.ana, again(send))
    }

    /// A session acknowledges the first piece of its mail among these events; returns what Ana's phone is told.
    fn acknowledge(
        &mut self,
        session: SessionId,
        events: &[(SessionId, Event)],
        outcome: AckOutcome,
    ) -> Vec<(UserId, ReceiptKind)> {
        let number = mail(session, events)[0].number;
        kinds(&mail(self.ana, &self.world.acknowledge(session, number, outcome)))
    }

    fn head(&self) -> u64 {
        self.world.relay.connection().query_row("SELECT max(head) FROM conversation", [], |row| row.get(0)).unwrap()
    }
}

fn accepted(events: &[(SessionId, Event)]) -> chasqui_wire::Accepted {
    let accepted = events.iter().find_map(|(_, event)| match event {
        Event::Accepted(accepted) => Some(*accepted),
        _ => None,
    });
    accepted.expect("accepted")
}

#[test]
fn a_message_for_one_device_reaches_that_one_alone() {
    for (device, reached) in [(BO_PHONE, [0, 0, 1, 0]), (BO_LAPTOP, [0, 0, 0, 1]), (ANA_LAPTOP, [0, 1, 0, 0])] {
        let mut four = Four::new();
        let events = four.publish(only(device, 1));
        assert_eq!((answer(&events), four.reached(&events)), (Ok(Some(seq(1))), reached), "{device:?}");
        assert_eq!((four.world.count("mailbox"), four.world.count("missed")), (1, 0));
        let (session, events) = four.world.attach(device);
        let waits = mail_of(&events);
        let [entry] = waits.as_slice() else { panic!("{waits:?}") };
        let got = envelope(entry);
        assert_eq!((got.seq, &got.body[..], got.resend_of), (seq(1), &b"for one"[..], None));
        // It has a position like any message, and nobody is told that it arrived.
        assert!(four.world.acknowledge(session, entry.number, AckOutcome::Stored).is_empty());
        assert_eq!((four.world.count("envelope"), four.world.relay.vitals().bodies), (0, 0));
        assert_eq!(answer(&four.publish(send(ANA, BO, 2, "to all"))), Ok(Some(seq(2))));
    }
}

#[test]
fn in_a_conversation_with_oneself_it_is_for_another_own_device() {
    let mut four = Four::new();
    let note = |device| Send { only_device: Some(device), ..send(ANA, ANA, 1, "note") };
    for device in [ANA_PHONE, BO_PHONE] {
        assert_eq!(answer(&four.publish(note(device))), Err(ErrorCode::NotFound));
    }
    let events = four.publish(note(ANA_LAPTOP));
    assert_eq!((answer(&events), four.reached(&events)), (Ok(Some(seq(1))), [0, 1, 0, 0]));
    let repeated = Send { resend_of: Some(id(1)), message: id(2), ..note(ANA_LAPTOP) };
    let events = four.publish(repeated);
    assert_eq!((answer(&events), four.reached(&events)), (Ok(Some(seq(1))), [0, 1, 0, 0]));
    assert_eq!(four.world.count("envelope WHERE awaited IS NOT NULL"), 0);
}

#[test]
fn a_resend_has_the_position_and_the_time_of_what_it_repeats() {
    let mut four = Four::new();
    let first = accepted(&four.say(1, "hello"));
    four.say(2, "and more");
    four.world.now = four.world.now.plus_millis(5_000);
    let events = four.publish(resend(BO_LAPTOP, 3, 1));
    let answered = accepted(&events);
    assert_eq!((answered.seq, answered.at, answered.message), (first.seq, first.at, id(3)));
    assert!(answered.revision > first.revision, "what a restore loses of it is seen");
    assert_eq!((four.reached(&events), four.head()), ([0, 0, 0, 1], 2));
    let got = envelope(&mail(four.bo_laptop, &events)[0]).clone();
    assert_eq!((got.message, got.resend_of, &got.body[..]), (id(3), Some(id(1)), &b"once more"[..]));
    assert_eq!((Some(got.seq), got.accepted_at), (first.seq, first.at));
    // It is the same when it is read from the mailbox, after a start too.
    four.world.crash(false);
    let (_, events) = four.world.attach(BO_LAPTOP);
    let waits = mail_of(&events);
    assert_eq!(waits.iter().map(|entry| envelope(entry).seq).collect::<Vec<_>>(), [1, 2, 1].map(seq));
    assert_eq!(*envelope(&waits[2]), got);
    assert_eq!(four.head(), 2);
    let (ana, _) = four.world.attach(ANA_PHONE);
    assert_eq!(answer(&four.world.say(ana, 4, "next")), Ok(Some(seq(3))));
}

#[test]
fn another_device_of_the_author_may_send_it_again() {
    let mut four = Four::new();
    four.say(1, "hello");
    let events = four.world.publish(four.ana_laptop, resend(BO_PHONE, 2, 1));
    assert_eq!((answer(&events), four.reached(&events)), (Ok(Some(seq(1))), [0, 0, 1, 0]));
    let events = four.world.publish(four.ana_laptop, resend(ANA_PHONE, 3, 1));
    assert_eq!((answer(&events), four.reached(&events)), (Ok(Some(seq(1))), [1, 0, 0, 0]));
}

#[test]
fn a_repeat_is_answered_as_the_first_time() {
    let mut four = Four::new();
    four.say(1, "hello");
    for send in [only(BO_PHONE, 2), resend(BO_PHONE, 3, 1)] {
        four.world.now = four.world.now.plus_millis(1_000);
        let first = accepted(&four.publish(send.clone()));
        let (mailbox, revision) = (four.world.count("mailbox"), four.world.relay.era_and_revision());
        four.world.now = four.world.now.plus_millis(1_000);
        let events = four.publish(send.clone());
        assert_eq!((accepted(&events), events.len()), (first, 1));
        assert_eq!((four.world.count("mailbox"), four.world.relay.era_and_revision()), (mailbox, revision));
        four.world.crash(false);
        (four.ana, _) = four.world.attach(ANA_PHONE);
        // Even with what a resend must not have: it was answered.
        for after_seq in [None, Seq::new(0, 2)] {
            let events = four.publish(Send { after_seq, ..send.clone() });
            assert_eq!((accepted(&events), events.len()), (first, 1));
        }
        // And wherever it is to go now.
        let elsewhere = Send { only_device: Some(BO_LAPTOP), ..send.clone() };
        assert_eq!(accepted(&four.publish(elsewhere)), first);
        assert_eq!(four.world.count("mailbox"), mailbox);
    }
    assert_eq!(four.head(), 2);
}

#[test]
fn nothing_of_it_stays_if_the_transaction_fails() {
    let mut four = Four::new();
    four.say(1, "hello");
    for send in [only(BO_PHONE, 2), resend(BO_PHONE, 3, 1)] {
        let before = (four.world.count("mailbox"), four.world.count("accepted"), four.head());
        let mut work = [Work::Session(four.ana, Op::Publish(Box::new(send.clone())))];
        four.world.relay.connection_mut().commit_hook(Some(|| true)).unwrap();
        assert!(four.world.relay.try_commit(four.world.now, &mut work).is_err());
        four.world.relay.connection_mut().commit_hook(None::<fn() -> bool>).unwrap();
        assert_eq!((four.world.count("mailbox"), four.world.count("accepted"), four.head()), before);
        assert!(!four.world.disk.contains(&send.body));
        let events = four.world.relay.try_commit(four.world.now, &mut work).unwrap();
        assert_eq!(four.reached(&events), [0, 0, 1, 0]);
    }
}

#[test]
fn what_is_refused() {
    let mut four = Four::new();
    four.say(1, "hello");
    four.world.publish(four.bo, send(BO, ANA, 2, "Bo's"));
    four.publish(send(ANA, ANA, 3, "a note"));
    assert_eq!(answer(&four.publish(resend(BO_PHONE, 4, 1))), Ok(Some(seq(1))));
    four.world.enrol(BO, DeviceId::from_bytes([0xB3; 16]));
    four.world.relay.revoke(four.world.now, BO, DeviceId::from_bytes([0xB3; 16])).unwrap().0.unwrap();
    let before = (four.world.count("mailbox"), four.world.count("accepted"), four.head());
    let check = |four: &mut Four, send: Send, code, why: &str| {
        let events = four.publish(send);
        assert_eq!((answer(&events), events.len()), (Err(code), 1), "{why}");
    };
    use ErrorCode::{Invalid, NotFound, NotSupported};
    check(&mut four, only(ANA_PHONE, 9), NotFound, "the sending device");
    check(&mut four, only(DeviceId::from_bytes([9; 16]), 9), NotFound, "nobody's device");
    check(&mut four, only(DeviceId::from_bytes([0xB3; 16]), 9), NotFound, "a revoked device");
    let note = Send { only_device: Some(BO_PHONE), ..send(ANA, ANA, 9, "x") };
    check(&mut four, note, NotFound, "a device of no member");
    check(&mut four, Send { storage: StorageClass::Transient, ..only(BO_PHONE, 9) }, NotSupported, "not kept");
    check(&mut four, Send { only_device: None, ..resend(BO_PHONE, 9, 1) }, Invalid, "a resend to all");
    check(&mut four, resend(BO_PHONE, 9, 8), NotFound, "a resend of what is unknown");
    check(&mut four, resend(BO_PHONE, 9, 9), NotFound, "a resend of itself");
    check(&mut four, resend(BO_PHONE, 9, 2), NotFound, "a resend of what the peer said");
    check(&mut four, resend(BO_PHONE, 9, 3), NotFound, "a resend of what was said elsewhere");
    check(&mut four, resend(BO_PHONE, 9, 4), NotFound, "a resend of a resend");
    check(&mut four, Send { reclaim_seq: Some(seq(1)), ..resend(BO_PHONE, 9, 1) }, Invalid, "given back");
    check(&mut four, Send { after_seq: Some(seq(1)), ..resend(BO_PHONE, 9, 1) }, Invalid, "behind another");
    check(&mut four, resend(ANA_PHONE, 9, 1), NotFound, "a resend to the sending device");
    assert_eq!((four.world.count("mailbox"), four.world.count("accepted"), four.head()), before);
    assert!(answer(&four.publish(resend(BO_PHONE, 9, 1))).is_ok());
}

#[test]
fn a_resend_needs_no_position() {
    let mut four = Four::new();
    four.say(1, "hello");
    four.world.relay.connection().execute("UPDATE conversation SET head = ?1", [Seq::NUMBER_MAX]).unwrap();
    four.world.crash(true);
    (four.ana, _) = four.world.attach(ANA_PHONE);
    assert_eq!(answer(&four.publish(only(BO_PHONE, 2))), Err(ErrorCode::NotSupported));
    assert_eq!(answer(&four.publish(resend(BO_PHONE, 3, 1))), Ok(Some(seq(1))));
}

#[test]
fn a_full_mailbox_is_waited_for_whosever_it_is() {
    for (device, owner) in [(BO_LAPTOP, BO), (ANA_LAPTOP, ANA)] {
        let mut world = World::with(small_limits(|limits| limits.mailbox_entries = 2));
        world.enrol(owner, device);
        let (ana, _) = world.attach(ANA_PHONE);
        let (bo, _) = world.attach(BO_PHONE);
        let mut number = 0;
        while world.count("missed") == 0 {
            number += 1;
            let events = world.say(ana, number, "hello");
            let entry = mail(bo, &events)[0].number;
            world.acknowledge(bo, entry, AckOutcome::Stored);
        }
        let missed = world.count("missed");
        for send in [only(device, 50), resend(device, 51, 1)] {
            let events = world.publish(ana, again(send.clone()));
            assert_eq!(answer(&events), Err(ErrorCode::MailboxFull), "{device:?}");
            assert!(matches!(&events[0].1, Event::Rejected(no) if no.retry_after_ms > 0), "{events:?}");
            assert_eq!((world.count("missed"), world.count("accepted")), (missed, number.into()));
        }
        // As soon as it has room, it is taken: behind the hole that was told meanwhile.
        let (session, events) = world.attach(device);
        let mut waits = mail_of(&events);
        while !waits.is_empty() {
            let items: Vec<_> =
                waits.iter().map(|entry| AckItem { number: entry.number, outcome: AckOutcome::Stored }).collect();
            waits = mail(session, &world.work(session, Op::Acknowledge(items.into())));
        }
        let events = world.publish(ana, again(resend(device, 51, 1)));
        assert_eq!((answer(&events), mail(session, &events).len()), (Ok(Some(seq(1))), 1));
    }
}

#[test]
fn a_device_that_is_away_for_long_gets_it_all_the_same() {
    let mut four = Four::new();
    four.world.work(four.bo_laptop, Op::Detach);
    four.world.tick_after(31 * DAY);
    four.world.tick_after(0);
    assert_eq!(four.world.count("device WHERE absent_since IS NOT NULL"), 1);
    four.say(1, "hello");
    assert_eq!((four.world.count("mailbox WHERE device = 4"), four.world.count("missed")), (0, 1));
    assert!(answer(&four.publish(only(BO_LAPTOP, 2))).is_ok());
    assert!(answer(&four.publish(resend(BO_LAPTOP, 3, 1))).is_ok());
    let (_, events) = four.world.attach(BO_LAPTOP);
    let waits = mail_of(&events);
    let got = waits.iter().filter_map(|entry| match &entry.kind {
        EntryKind::Envelope(envelope) => Some((envelope.message, envelope.seq)),
        _ => None,
    });
    assert_eq!(got.collect::<Vec<_>>(), [(id(2), seq(2)), (id(3), seq(1))]);
}

#[test]
fn what_was_unreadable_is_received_once_it_was_sent_again() {
    let mut four = Four::new();
    let said = four.say(1, "hello");
    assert_eq!(four.acknowledge(four.bo_laptop, &said, AckOutcome::Unreadable), []);
    assert_eq!(four.acknowledge(four.bo, &said, AckOutcome::Unreadable), [(BO, ReceiptKind::Unreadable)]);
    four.say(2, "and more");
    let events = four.publish(resend(BO_PHONE, 3, 1));
    let number = mail(four.bo, &events)[0].number;
    let told = mail(four.ana, &four.world.acknowledge(four.bo, number, AckOutcome::Stored));
    assert_eq!(kinds(&told), [(BO, ReceiptKind::Received)]);
    assert_eq!(receipts(&told)[0].ranges.iter().collect::<Vec<_>>(), [chasqui_wire::SeqRange::one(seq(1))]);
    // What an own device gets again is told to nobody; nor what could not be read again.
    let events = four.publish(resend(ANA_LAPTOP, 4, 1));
    assert_eq!(four.world.count("envelope WHERE resend_of IS NOT NULL AND awaited IS NOT NULL"), 0);
    assert_eq!(four.acknowledge(four.ana_laptop, &events, AckOutcome::Stored), []);
    let events = four.publish(resend(BO_LAPTOP, 5, 1));
    assert_eq!(four.acknowledge(four.bo_laptop, &events, AckOutcome::Unreadable), []);
}

/// What becomes of a message at Bo's laptop; returns what Ana's phone is told.
type Outcome = fn(&mut Four, &[(SessionId, Event)]) -> Vec<(UserId, ReceiptKind)>;

#[test]
fn nothing_worse_is_told_of_what_was_received_by_a_resend() {
    let outcomes: [Outcome; 3] = [
        |four, said| four.acknowledge(four.bo_laptop, said, AckOutcome::Unreadable),
        |four, _| {
            four.world.work(four.bo_laptop, Op::Detach);
            kinds(&mail(four.ana, &four.world.tick_after(60_000)))
        },
        |four, _| kinds(&mail(four.ana, &four.world.relay.revoke(four.world.now, BO, BO_LAPTOP).unwrap().1)),
    ];
    for (number, outcome) in outcomes.into_iter().enumerate() {
        for is_sent_again in [false, true] {
            let mut four = Four::new();
            let said = four.publish(Send { ttl_seconds: 60, ..send(ANA, BO, 1, "hello") });
            assert_eq!(four.acknowledge(four.bo, &said, AckOutcome::Unreadable), []);
            if is_sent_again {
                let events = four.publish(resend(BO_PHONE, 2, 1));
                assert_eq!(four.acknowledge(four.bo, &events, AckOutcome::Stored), [(BO, ReceiptKind::Received)]);
            }
            assert_eq!(outcome(&mut four, &said).is_empty(), is_sent_again, "{number}");
        }
    }
}

/// Something for Bo's phone alone leaves its mailbox unread, and nothing comes of that.
fn lost(by: fn(&mut Four) -> Vec<(SessionId, Event)>) {
    for is_resend in [false, true] {
        let mut four = Four::over(World::with(RelayOptions { segment_bytes: 64 * 1024, ..options() }));
        let said = four.say(1, "hello");
        assert_eq!(four.acknowledge(four.bo, &said, AckOutcome::Unreadable), []);
        assert_eq!(four.acknowledge(four.bo_laptop, &said, AckOutcome::Stored), [(BO, ReceiptKind::Received)]);
        four.world.acknowledge(four.ana_laptop, mail(four.ana_laptop, &said)[0].number, AckOutcome::Stored);
        four.world.work(four.bo, Op::Detach);
        let send = if is_resend { resend(BO_PHONE, 2, 1) } else { only(BO_PHONE, 2) };
        let large = Send { ttl_seconds: 60, body: vec![7; 65_535].into(), ..send };
        assert!(answer(&four.publish(large)).is_ok());
        let expired = four.world.relay.vitals().expired;
        let told = by(&mut four);
        assert!(mail(four.ana, &told).is_empty() && mail(four.bo, &told).is_empty(), "{told:?}");
        assert_eq!((four.world.count("envelope"), four.world.count("missed")), (0, 0), "resend: {is_resend}");
        assert_eq!(four.world.count("mailbox WHERE device = 2"), 0, "nothing stands in its place");
        assert_eq!(four.world.relay.vitals().expired, expired);
    }
}

#[test]
fn nobody_hears_of_one_that_expired() {
    lost(|four| four.world.tick_after(60_000));
}

#[test]
fn nobody_hears_of_one_whose_body_is_lost() {
    lost(|four| {
        let segment = "SELECT segment FROM envelope";
        let segment = four.world.relay.connection().query_row(segment, [], |row| row.get(0)).unwrap();
        four.world.disk.delete(segment).unwrap();
        four.world.attach(BO_PHONE).1.into_iter().map(|event| (four.bo, event)).collect()
    });
}

#[test]
fn nobody_hears_of_one_whose_device_was_revoked() {
    lost(|four| four.world.relay.revoke(four.world.now, BO, BO_PHONE).unwrap().1);
}

#[test]
fn nobody_hears_of_one_whose_device_stayed_away() {
    lost(|four| {
        // The laptop is about, so his phone's mail is dropped: before it expires.
        four.world.relay.connection().execute("UPDATE envelope SET expires_at = expires_at + ?1", [90 * DAY]).unwrap();
        let mut told = four.world.tick_after(31 * DAY);
        told.extend(four.world.tick_after(0));
        told
    });
}

#[test]
fn it_counts_as_a_request() {
    let mut four = Four::over(World::with(RelayOptions { request_messages: 3, ..options() }));
    let events = four.publish(only(BO_PHONE, 1));
    assert!(envelope(&mail(four.bo, &events)[0]).request);
    four.publish(send(ANA, BO, 2, "hello"));
    let events = four.publish(resend(BO_PHONE, 3, 2));
    assert!(envelope(&mail(four.bo, &events)[0]).request);
    // Bo has not accepted yet that Ana hears what became of it.
    assert_eq!(four.acknowledge(four.bo, &events, AckOutcome::Stored), []);
    for refused in [only(BO_PHONE, 4), resend(BO_PHONE, 4, 2), send(ANA, BO, 4, "hello?")] {
        assert_eq!(answer(&four.publish(refused)), Err(ErrorCode::RequestPending));
    }
    let word = |verdict| {
        let (id, protection) = (id(77), Protection::NodeReadable);
        Op::Admit(Box::new(Admit { id, peer: ANA, protection, verdict, up_to: None }))
    };
    let events = four.world.work(four.bo, word(Verdict::Accept));
    assert_eq!(kinds(&mail(four.ana, &events)), [(BO, ReceiptKind::Received)]);
    assert!(answer(&four.publish(only(BO_PHONE, 4))).is_ok());
    four.world.work(four.bo, word(Verdict::Block));
    for refused in [only(BO_PHONE, 5), resend(BO_PHONE, 5, 2)] {
        assert_eq!(answer(&four.publish(refused)), Err(ErrorCode::RequestPending), "blocked");
    }
}

/// What Ana's laptop could not read of what her phone said, whatever Bo thinks of her.
#[test]
fn what_stays_with_the_user_is_no_request_and_is_taken_all_the_same() {
    let mut four = Four::over(World::with(RelayOptions { request_messages: 1, ..options() }));
    four.say(1, "hello");
    assert_eq!(answer(&four.publish(send(ANA, BO, 2, "hello?"))), Err(ErrorCode::RequestPending));
    let (id, protection) = (id(77), Protection::NodeReadable);
    let block = Op::Admit(Box::new(Admit { id, peer: ANA, protection, verdict: Verdict::Block, up_to: None }));
    for number in [3, 4] {
        let events = four.world.publish(four.ana_laptop, only(ANA_PHONE, number));
        assert_eq!((answer(&events).is_ok(), four.reached(&events)), (true, [1, 0, 0, 0]));
        let events = four.publish(again(resend(ANA_LAPTOP, number + 10, 1)));
        assert_eq!((answer(&events), four.reached(&events)), (Ok(Some(seq(1))), [0, 1, 0, 0]));
        four.world.work(four.bo, block.clone());
    }
}

#[test]
fn it_answers_no_request() {
    let mut four = Four::over(World::with(RelayOptions { request_messages: 1, ..options() }));
    four.say(1, "hello");
    let asks = Send { only_device: Some(ANA_PHONE), ..send(BO, ANA, 2, "I cannot read it") };
    let events = four.world.publish(four.bo, asks);
    assert_eq!((answer(&events), four.reached(&events)), (Ok(Some(seq(2))), [1, 0, 0, 0]));
    assert_eq!(answer(&four.publish(send(ANA, BO, 3, "hello?"))), Err(ErrorCode::RequestPending));
    assert!(answer(&four.world.publish(four.bo, send(BO, ANA, 4, "hello yourself"))).is_ok());
    assert!(answer(&four.publish(send(ANA, BO, 3, "how are you?"))).is_ok());
}

#[test]
fn a_conversation_that_begins_with_it_is_as_unanswered_as_none() {
    for said in [true, false] {
        let mut four = Four::over(World::with(RelayOptions { request_messages: 1, ..options() }));
        let only_device = (!said).then_some(ANA_PHONE);
        assert!(answer(&four.world.publish(four.bo, Send { only_device, ..send(BO, ANA, 1, "x") })).is_ok());
        let events = four.say(2, "hello");
        assert_eq!(envelope(&mail(four.bo, &events)[0]).request, !said);
    }
    let mut four = Four::new();
    assert!(
        answer(&four.world.publish(four.bo, Send { only_device: Some(ANA_PHONE), ..send(BO, ANA, 1, "x") })).is_ok()
    );
    assert!(!envelope(&mail(four.bo, &four.say(2, "hello"))[0]).request, "without requests there is nothing to answer");
}

#[test]
fn it_is_limited_like_any_message_and_stalls_its_stream() {
    let mut four = Four::over(World::with(small_limits(|limits| limits.sends_per_minute = 3)));
    four.say(1, "hello");
    assert_eq!(answer(&four.publish(only(ANA_PHONE, 2))), Err(ErrorCode::NotFound));
    assert_eq!(answer(&four.world.publish(four.ana, resend(BO_PHONE, 3, 1))), Err(ErrorCode::StreamStalled));
    assert_eq!(answer(&four.publish(resend(BO_PHONE, 3, 1))), Err(ErrorCode::RateLimited));
}

#[test]
fn a_message_for_one_device_is_none_that_is_counted() {
    let mut four = Four::new();
    four.say(1, "hello");
    four.publish(only(BO_PHONE, 2));
    four.publish(resend(BO_PHONE, 3, 1));
    let accepted: Vec<_> = four.world.relay.state.online().values().map(|online| online.accepted).collect();
    assert_eq!(accepted.iter().sum::<u64>(), 1);
}

#[test]
fn what_stands_at_a_moved_position_is_sent_again_there() {
    let mut four = Four::new();
    four.say(1, "hello");
    four.world.relay.begin_era_at(1, four.world.now).unwrap();
    four.world.relay.begin_era_at(2, four.world.now).unwrap();
    (four.ana, _) = four.world.attach(ANA_PHONE);
    (four.bo, _) = four.world.attach(BO_PHONE);
    let lost = Send { reclaim_seq: Seq::new(1, 7), ..send(ANA, BO, 1, "hello") };
    assert_eq!(answer(&four.publish(lost)), Ok(Seq::new(1, 7)));
    assert_eq!(answer(&four.publish(resend(BO_PHONE, 2, 1))), Ok(Seq::new(1, 7)));
    // A message for one device is given back like any other, and goes to that device.
    let events = four.publish(Send { reclaim_seq: Seq::new(1, 8), ..only(BO_PHONE, 3) });
    assert_eq!((answer(&events), mail(four.bo, &events).len()), (Ok(Seq::new(1, 8)), 1));
    assert_eq!(four.world.count("mailbox WHERE entry = (SELECT max(entry) FROM mailbox)"), 1);
}
