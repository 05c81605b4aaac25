//! Messages for one device of a group, which could not read something and asks for it again.

use super::*;

fn only(device: DeviceId, number: u8, epoch: u64) -> Send {
    Send { only_device: Some(device), ..encrypted(ANA, BO, number, epoch, "for one") }
}

/// Bo's laptop is in the group, Ana's laptop is linked and not in it; epoch 1.
fn three_of_four() -> (Pair, SessionId, SessionId) {
    let mut pair = Pair::linked();
    let laptop = pair.linked_device(BO, BO_LAPTOP);
    pair.publish(pair.ana, begin((ANA, BO), 1, 0, &[BOS_PHONE, BOS_LAPTOP])).unwrap();
    pair.take_mail(pair.bo);
    pair.take_mail(laptop);
    let late = pair.linked_device(ANA, ANA_LAPTOP);
    (pair, laptop, late)
}

#[test]
fn it_reaches_one_device_of_the_roster() {
    let (mut pair, laptop, late) = three_of_four();
    let checked = |send: Send| Send { roster_checked: true, ..again(send) };
    let events = pair.world.publish(pair.ana, checked(only(BO_LAPTOP, 2, 1)));
    let reached = [pair.ana, pair.bo, laptop, late].map(|session| mail(session, &events).len());
    assert_eq!((answer(&events), reached), (Ok(Some(seq(2))), [0, 0, 1, 0]));
    assert_eq!(pair.world.count("missed"), 0);
    let got = envelope(&mail(laptop, &events)[0]).clone();
    assert_eq!((got.epoch, got.seq, got.resend_of), (1, seq(2), None));
    for device in [ANA_LAPTOP, ANA_PHONE, EVE_PHONE] {
        assert_eq!(pair.publish(pair.ana, checked(only(device, 3, 1))), Err(ErrorCode::NotFound), "{device:?}");
    }
    assert_eq!(pair.publish(late, only(BO_PHONE, 3, 1)), Err(ErrorCode::NotInRoster));
    pair.world.relay.revoke(pair.world.now, BO, BO_LAPTOP).unwrap().0.unwrap();
    assert_eq!(pair.publish(pair.ana, checked(only(BO_LAPTOP, 3, 1))), Err(ErrorCode::NotFound), "revoked");
    assert_eq!(pair.publish(pair.ana, checked(only(BO_PHONE, 3, 1))), Ok(Some(seq(3))));
}

#[test]
fn epoch_and_roster_are_as_for_any_message() {
    let (mut pair, ..) = three_of_four();
    let resend = |epoch| Send { resend_of: Some(id(2)), ..only(BO_PHONE, 3, epoch) };
    pair.publish(pair.ana, Send { roster_checked: true, ..encrypted(ANA, BO, 2, 1, "x") }).unwrap();
    for send in [only(BO_PHONE, 3, 0), only(BO_PHONE, 3, 2), resend(0), resend(2)] {
        assert_eq!(pair.publish(pair.ana, again(send)), Err(ErrorCode::EpochConflict));
    }
    for send in [only(BO_PHONE, 3, 1), resend(1)] {
        assert_eq!(pair.publish(pair.ana, again(send)), Err(ErrorCode::RosterStale));
    }
    assert_eq!(pair.publish(pair.ana, again(commit((ANA, BO), 4, 1, &[ANAS_LAPTOP], &[]))), Ok(Some(seq(3))));
    assert_eq!(pair.publish(pair.ana, resend(2)), Ok(Some(seq(2))));
}

#[test]
fn what_was_sealed_for_others_is_asked_for_and_sent_again() {
    let (mut pair, laptop, _) = three_of_four();
    pair.publish(pair.ana, commit((ANA, BO), 2, 1, &[ANAS_LAPTOP], &[])).unwrap();
    pair.take_mail(pair.bo);
    pair.take_mail(laptop);
    let events = pair.world.publish(pair.ana, encrypted(ANA, BO, 3, 2, "hello"));
    pair.world.acknowledge(laptop, mail(laptop, &events)[0].number, AckOutcome::Unreadable);
    let told = pair.world.acknowledge(pair.bo, mail(pair.bo, &events)[0].number, AckOutcome::Unreadable);
    assert_eq!(kinds(&mail(pair.ana, &told)), [(BO, ReceiptKind::Unreadable)]);
    let asks = Send { only_device: Some(ANA_PHONE), ..encrypted(BO, ANA, 4, 2, "3, please") };
    let events = pair.world.publish(laptop, asks);
    let asked = mail(pair.ana, &events);
    assert_eq!((answer(&events), envelope(&asked[0]).sender_device), (Ok(Some(seq(4))), BO_LAPTOP));
    pair.world.acknowledge(pair.ana, asked[0].number, AckOutcome::Stored);
    // While it waits, its device must not change the group under which it was sealed.
    let send = Send { resend_of: Some(id(3)), ..only(BO_LAPTOP, 5, 2) };
    let events = pair.world.publish(pair.ana, send);
    assert_eq!((answer(&events), mail(pair.bo, &events).len()), (Ok(Some(seq(3))), 0));
    assert_eq!(pair.publish(laptop, commit((BO, ANA), 6, 2, &[], &[])), Err(ErrorCode::EpochConflict));
    let got = mail(laptop, &events);
    assert_eq!((envelope(&got[0]).seq, envelope(&got[0]).resend_of), (seq(3), Some(id(3))));
    let told = pair.world.acknowledge(laptop, got[0].number, AckOutcome::Stored);
    let told = mail(pair.ana, &told);
    assert_eq!(kinds(&told), [(BO, ReceiptKind::Received)]);
    assert_eq!(receipts(&told)[0].ranges.iter().collect::<Vec<_>>(), [chasqui_wire::SeqRange::one(seq(3))]);
    assert_eq!(pair.publish(laptop, again(commit((BO, ANA), 6, 2, &[], &[]))), Ok(Some(seq(5))));
}
