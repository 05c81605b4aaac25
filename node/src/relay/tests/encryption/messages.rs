//! Messages of an encrypted conversation: at which epoch, of whom and for whom they are taken.

use super::*;

#[test]
fn a_message_is_taken_at_the_present_epoch_only() {
    let mut pair = Pair::met();
    for epoch in [0, 2, u64::MAX] {
        let early = again(encrypted(ANA, BO, 2, epoch, "x"));
        assert_eq!(pair.publish(pair.ana, early.clone()), Err(ErrorCode::EpochConflict));
        let checked = Send { roster_checked: true, ..early };
        assert_eq!(pair.publish(pair.ana, checked), Err(ErrorCode::EpochConflict));
    }
    assert_eq!(pair.publish(pair.ana, again(encrypted(ANA, BO, 2, 1, "x"))), Ok(Some(seq(2))));
    // Readable conversations have no epochs.
    let readable = Send { epoch: 1, ..send(ANA, BO, 3, "x") };
    assert_eq!(pair.publish(pair.ana, readable), Err(ErrorCode::NotSupported));
    let readable = Send { commit: commit((ANA, BO), 4, 0, &[], &[]).commit, ..send(ANA, BO, 4, "x") };
    assert_eq!(pair.publish(pair.ana, again(readable)), Err(ErrorCode::NotSupported));
    assert_eq!(pair.world.count("conversation WHERE protection = 1"), 0);
}

#[test]
fn a_device_that_was_linked_is_put_in_before_more_is_said() {
    let mut pair = Pair::met();
    let laptop = pair.linked_device(BO, BO_LAPTOP);
    let message = encrypted(ANA, BO, 2, 1, "x");
    assert_eq!(pair.publish(pair.ana, message.clone()), Err(ErrorCode::RosterStale));
    let claimed = pair.claim(pair.ana, claim(ANA, BO, false)).unwrap();
    assert_eq!((&claimed.roster, bodies(&claimed)), (&vec![ANAS_PHONE, BOS_PHONE], vec!["b2 first".to_owned()]));
    let events = pair.world.publish(pair.ana, again(commit((ANA, BO), 3, 1, &[BOS_LAPTOP], &[])));
    assert_eq!(answer(&events), Ok(Some(seq(2))));
    let (to_phone, to_laptop) = (mail(pair.bo, &events), mail(laptop, &events));
    let [of_phone, of_laptop] = [envelope(&to_phone[0]), envelope(&to_laptop[0])];
    assert_eq!((&of_phone.body[..], of_phone.welcome, of_phone.epoch), (&b"commit 3"[..], false, 1));
    assert_eq!((&of_laptop.body[..], of_laptop.welcome, of_laptop.epoch), (&b"welcome 3"[..], true, 1));
    assert_eq!((of_phone.seq, of_phone.message), (of_laptop.seq, of_laptop.message));
    assert_eq!(of_phone.commit.as_ref().unwrap().added, [BOS_LAPTOP]);
    let events = pair.world.publish(pair.ana, Send { epoch: 2, ..message });
    assert_eq!((mail(pair.bo, &events).len(), mail(laptop, &events).len()), (1, 1));
    assert_eq!(envelope(&mail(laptop, &events)[0]).epoch, 2);
}

#[test]
fn whoever_has_looked_may_go_on_without_a_device_but_not_without_a_peer() {
    let mut pair = Pair::met();
    let laptop = pair.linked_device(BO, BO_LAPTOP);
    let checked = Send { roster_checked: true, ..encrypted(ANA, BO, 2, 1, "x") };
    let events = pair.world.publish(pair.ana, checked.clone());
    assert_eq!((answer(&events), mail(laptop, &events).len(), mail(pair.bo, &events).len()), (Ok(Some(seq(2))), 0, 1));
    // The laptop is not in the group, and was not addressed: it misses nothing.
    assert_eq!(pair.world.count("missed"), 0);
    pair.world.relay.revoke(pair.world.now, BO, BO_PHONE).unwrap().0.unwrap();
    let nobody = pair.world.publish(pair.ana, Send { message: id(3), ..checked.clone() });
    assert_eq!(answer(&nobody), Err(ErrorCode::RosterStale), "nobody of Bo would get it");
    pair.world.relay.revoke(pair.world.now, BO, BO_LAPTOP).unwrap().0.unwrap();
    assert_eq!(pair.publish(pair.ana, again(checked)), Ok(Some(seq(2))), "a repeat is a repeat");
    assert_eq!(pair.publish(pair.ana, encrypted(ANA, BO, 3, 1, "x")), Err(ErrorCode::Unreachable));
    assert_eq!(pair.publish(pair.ana, again(commit((ANA, BO), 4, 1, &[], &[]))), Err(ErrorCode::Unreachable));
}

#[test]
fn a_peer_that_has_linked_no_device_is_waited_for() {
    let mut world = World::new();
    let (ana, _) = world.attach(ANA_PHONE);
    let (bo, _) = world.attach(BO_PHONE);
    let mut pair = Pair { world, ana, bo };
    assert_eq!(pair.publish(ana, begin((ANA, BO), 1, 0, &[])), Err(ErrorCode::NotLinked));
    assert_eq!(pair.publish(ana, again(encrypted(ANA, BO, 1, 0, "x"))), Err(ErrorCode::NotLinked));
    pair.offer(ana, ANA_PHONE);
    assert_eq!(pair.publish(ana, again(begin((ANA, BO), 1, 0, &[]))), Ok(Some(seq(1))));
    let message = Send { roster_checked: true, ..encrypted(ANA, BO, 2, 1, "x") };
    let events = pair.world.publish(ana, message.clone());
    let waits = |event: &Event| matches!(event, Event::Rejected(no) if no.retry_after_ms == 60_000);
    assert!(answer(&events) == Err(ErrorCode::RosterStale) && waits(&events[0].1), "{events:?}");
    assert_eq!(pair.claim(ana, claim(ANA, BO, false)).unwrap().packages, []);
    // Linked, but without a package nobody can put it anywhere: that is waited for, too.
    let bare = Op::KeyPackages(Box::new(packages(BO_PHONE, &[], None)));
    assert_eq!(answer(&pair.world.work(bo, bare)), Ok(None));
    assert!(waits(&pair.world.publish(ana, again(message.clone()))[0].1));
    pair.offer(bo, BO_PHONE);
    let events = pair.world.publish(ana, again(message));
    assert!(answer(&events) == Err(ErrorCode::RosterStale) && !waits(&events[0].1), "now there is something to do");
}

#[test]
fn a_revoked_device_is_out_before_the_next_word() {
    let mut pair = Pair::linked();
    let laptop = pair.linked_device(BO, BO_LAPTOP);
    pair.publish(pair.ana, begin((ANA, BO), 1, 0, &[BOS_PHONE, BOS_LAPTOP])).unwrap();
    assert_eq!(answer(&pair.world.publish(laptop, encrypted(BO, ANA, 2, 1, "x"))), Ok(Some(seq(2))));
    assert_eq!(pair.world.count("key_package"), 9);
    pair.world.relay.revoke(pair.world.now, BO, BO_LAPTOP).unwrap().0.unwrap();
    assert_eq!((pair.world.count("key_package"), pair.world.count("roster")), (6, 3));
    let message = encrypted(ANA, BO, 3, 1, "x");
    assert_eq!(pair.publish(pair.ana, message.clone()), Err(ErrorCode::RosterStale));
    pair.take_mail(pair.ana);
    let claimed = pair.claim(pair.ana, claim(ANA, BO, false)).unwrap();
    assert_eq!((claimed.gone, claimed.packages), (vec![BOS_LAPTOP], vec![]));
    assert_eq!(pair.publish(pair.ana, again(commit((ANA, BO), 4, 1, &[], &[BOS_LAPTOP]))), Ok(Some(seq(3))));
    assert_eq!(pair.publish(pair.ana, Send { epoch: 2, ..message }), Ok(Some(seq(4))));
    assert_eq!(pair.roster(), [ANAS_PHONE, BOS_PHONE]);
}

#[test]
fn notes_to_oneself_are_for_the_own_devices() {
    let mut pair = Pair::linked();
    let laptop = pair.linked_device(ANA, ANA_LAPTOP);
    assert_eq!(pair.publish(pair.ana, encrypted(ANA, ANA, 1, 0, "x")), Err(ErrorCode::NotInRoster));
    assert_eq!(bodies(&pair.claim(pair.ana, claim(ANA, ANA, true)).unwrap()), ["a2 first"]);
    let events = pair.world.publish(pair.ana, again(begin((ANA, ANA), 1, 0, &[ANAS_LAPTOP])));
    assert!(answer(&events).is_ok() && envelope(&mail(laptop, &events)[0]).welcome);
    let events = pair.world.publish(pair.ana, encrypted(ANA, ANA, 2, 1, "note"));
    assert_eq!((answer(&events), mail(laptop, &events).len()), (Ok(Some(seq(2))), 1));
}

#[test]
fn a_commit_is_no_request_and_says_nothing() {
    let mut pair = Pair::linked_with(RelayOptions { request_messages: 1, ..options() });
    assert_eq!(pair.publish(pair.ana, begin((ANA, BO), 1, 0, &[BOS_PHONE])), Ok(Some(seq(1))));
    assert_eq!(pair.publish(pair.ana, commit((ANA, BO), 2, 1, &[], &[])), Ok(Some(seq(2))));
    let events = pair.world.publish(pair.ana, encrypted(ANA, BO, 3, 2, "hello"));
    let hello = mail(pair.bo, &events);
    assert!(envelope(&hello[0]).request, "Bo has accepted nothing");
    assert!(mail(pair.ana, &pair.world.acknowledge(pair.bo, hello[0].number, AckOutcome::Stored)).is_empty());
    assert_eq!(pair.publish(pair.ana, encrypted(ANA, BO, 4, 2, "hello?")), Err(ErrorCode::RequestPending));
    assert_eq!(pair.publish(pair.ana, again(commit((ANA, BO), 4, 2, &[], &[]))), Err(ErrorCode::RequestPending));
    // Bo's device brings the group up to date, which is no answer.
    pair.take_mail(pair.bo);
    let events = pair.world.publish(pair.bo, commit((BO, ANA), 5, 2, &[], &[]));
    assert!(answer(&events).is_ok() && kinds(&mail(pair.ana, &events)).is_empty());
    assert_eq!(pair.publish(pair.ana, again(encrypted(ANA, BO, 6, 3, "?"))), Err(ErrorCode::RequestPending));
    let word = |verdict| {
        let (id, protection) = (id(77), Protection::EndToEnd);
        Op::Admit(Box::new(Admit { id, peer: ANA, protection, verdict, up_to: None }))
    };
    let events = pair.world.work(pair.bo, word(Verdict::Accept));
    assert_eq!((answer(&events), kinds(&mail(pair.ana, &events))), (Ok(None), vec![(BO, ReceiptKind::Received)]));
    assert!(pair.publish(pair.ana, again(encrypted(ANA, BO, 7, 3, "at last"))).is_ok());

    // Who is blocked cannot commit, and learns nothing from a claim, but uses nothing up either.
    assert_eq!(answer(&pair.world.work(pair.bo, word(Verdict::Block))), Ok(None));
    assert_eq!(pair.publish(pair.ana, commit((ANA, BO), 8, 3, &[], &[])), Err(ErrorCode::RequestPending));
    pair.take_mail(pair.ana);
    assert_eq!(bodies(&pair.claim(pair.ana, claim(ANA, BO, true)).unwrap()), ["b1 last"]);
}
