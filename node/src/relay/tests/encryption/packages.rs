//! Key packages and claims: what is kept, what is given to whom, and how often.

use super::*;

#[test]
fn a_package_is_given_once_and_the_last_resort_to_whoever_comes_too_late() {
    let mut pair = Pair::linked();
    let (events, take) = (pair.world.work(pair.ana, Op::Claim(Box::new(claim(ANA, BO, false)))), claim(ANA, BO, true));
    let first = claimed(&events).unwrap();
    assert_eq!((first.epoch, &first.roster, &first.gone), (0, &vec![], &vec![]));
    assert_eq!((first.packages[0].entry, bodies(&first)), (BOS_PHONE, vec!["b1 first".to_owned()]));
    assert_eq!(told_left(pair.bo, &events), Some(left(1, true)), "his next pong says it");
    assert_eq!(bodies(&pair.claim(pair.ana, take).unwrap()), ["b1 second"]);
    for _ in 0..2 {
        assert_eq!(bodies(&pair.claim(pair.ana, take).unwrap()), ["b1 last"]);
    }
    // Said again, because the answer was lost: what was given away does not come back.
    let all = Op::KeyPackages(Box::new(packages(BO_PHONE, &["first", "second", "third"], Some("last"))));
    let events = pair.world.work(pair.bo, all.clone());
    assert_eq!((answer(&events), told_left(pair.bo, &events)), (Ok(None), Some(left(1, true))));
    let events = pair.world.work(pair.bo, all);
    assert_eq!((answer(&events), events.len()), (Ok(None), 1), "again changes nothing");
    assert_eq!(bodies(&pair.claim(pair.ana, take).unwrap()), ["b1 third"]);
    let vitals = pair.world.relay.vitals();
    assert_eq!((vitals.packages_given, vitals.last_resorts_given), (3, 2));
}

#[test]
fn a_device_is_told_at_its_welcome_what_is_left_of_its_packages() {
    let mut pair = Pair::linked();
    let told = |events: &[Event]| match &events[0] {
        Event::Attached(attached) => attached.key_packages,
        other => panic!("{other:?}"),
    };
    assert_eq!(told(&pair.world.attach(BO_PHONE).1), left(2, true));
    pair.world.enrol(BO, BO_LAPTOP);
    let (laptop, events) = pair.world.attach(BO_LAPTOP);
    assert_eq!(told(&events), left(0, false));
    pair.offer(laptop, BO_LAPTOP);
    pair.world.crash(false);
    let (laptop, events) = pair.world.attach(BO_LAPTOP);
    assert_eq!(told(&events), left(2, true));
    let anew = KeyPackages { replace: true, ..packages(BO_LAPTOP, &["anew"], None) };
    let events = pair.world.work(laptop, Op::KeyPackages(Box::new(anew)));
    assert_eq!(told_left(laptop, &events), Some(left(1, false)), "in place of all that was there");
    // Claimed and attached within one batch.
    let attach = Attach {
        device: BO_LAPTOP,
        window_entries: 1,
        window_bytes: 1,
        checkpoint: None,
        progress: Progress::default(),
    };
    let (ana, _) = pair.world.attach(ANA_PHONE);
    let batch = vec![
        Work::Session(SessionId(90), Op::Attach(attach)),
        Work::Session(ana, Op::Claim(Box::new(claim(ANA, BO, false)))),
    ];
    let events = pair.world.relay.commit(pair.world.now, batch);
    assert_eq!(told_left(SessionId(90), &events), Some(left(0, false)));
}

/// Who claimed before has the old one; nobody else gets it any more.
#[test]
fn what_a_device_replaced_is_given_to_nobody() {
    let mut pair = Pair::linked();
    let offer = |names: &[&str], replace| {
        let (last, one_time) = names.split_first().unwrap();
        Op::KeyPackages(Box::new(KeyPackages { replace, ..packages(BO_PHONE, one_time, Some(last)) }))
    };
    let events = pair.world.work(pair.bo, offer(&["newer"], false));
    assert_eq!((answer(&events), told_left(pair.bo, &events)), (Ok(None), Some(left(2, true))));
    let mut given = || bodies(&pair.claim(pair.ana, claim(ANA, BO, true)).unwrap()).remove(0);
    assert_eq!([given(), given(), given()], ["b1 first", "b1 second", "b1 newer"]);
    let mut pair = Pair::linked();
    // Its answer was lost, and it comes again; what is there is not out of reach meanwhile.
    for _ in 0..2 {
        let events = pair.world.work(pair.bo, offer(&["newest", "third"], true));
        assert_eq!(answer(&events), Ok(None));
    }
    pair.world.crash(false);
    let (ana, _) = pair.world.attach(ANA_PHONE);
    let mut given = || bodies(&pair.claim(ana, claim(ANA, BO, true)).unwrap()).remove(0);
    assert_eq!([given(), given(), given()], ["b1 third", "b1 newest", "b1 newest"]);
}

#[test]
fn a_node_keeps_a_hundred_packages_of_a_device_the_newest() {
    let mut pair = Pair::linked();
    let names: Vec<String> = (0..KeyPackages::ONE_TIME_MAX).map(|number| format!("{number:03}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let offer = |names: &[&str]| Op::KeyPackages(Box::new(packages(BO_PHONE, names, None)));
    let events = pair.world.work(pair.bo, offer(&names));
    assert_eq!(told_left(pair.bo, &events), Some(left(100, true)));
    let events = pair.world.work(pair.bo, offer(&["newest"]));
    assert_eq!((answer(&events), pair.world.count("key_package")), (Ok(None), 101 + 3));
    assert_eq!(
        bodies(&pair.claim(pair.ana, claim(ANA, BO, false)).unwrap()),
        ["b1 001"],
        "two of old and 000 are gone"
    );
}

#[test]
fn claims_that_are_refused() {
    let mut pair = Pair::linked();
    pair.world.enrol(ANA, ANA_LAPTOP);
    let (laptop, _) = pair.world.attach(ANA_LAPTOP);
    assert_eq!(pair.claim(laptop, claim(ANA, BO, false)), Err(ErrorCode::NotLinked));
    let check = |pair: &mut Pair, change: fn(&mut Claim), code| {
        let mut claim = claim(ANA, BO, false);
        change(&mut claim);
        assert_eq!(pair.claim(pair.ana, claim), Err(code), "{claim:?}");
    };
    check(&mut pair, |claim| claim.conversation = conversation(), ErrorCode::Invalid);
    check(
        &mut pair,
        |claim| claim.conversation = direct_conversation(BO, EVE, Protection::EndToEnd),
        ErrorCode::Invalid,
    );
    check(&mut pair, |claim| claim.protection = Protection::NodeReadable, ErrorCode::Invalid);
    check(&mut pair, |claim| claim.peer = None, ErrorCode::Invalid);
    check(&mut pair, |claim| claim.kind = ConversationKind::Group, ErrorCode::NotSupported);
    let nobody = UserId::from_bytes([9; 16]);
    assert_eq!(pair.claim(pair.ana, claim(ANA, nobody, false)), Err(ErrorCode::UnknownUser));
    pair.world.relay.call(pair.world.now, |accounts| accounts.delete(BO)).unwrap().0.unwrap();
    check(&mut pair, |_| {}, ErrorCode::AccountDeleted);
    assert_eq!(pair.world.count("key_package"), 3, "his are deleted");
}

#[test]
fn what_does_not_fit_into_a_claimed_is_left_for_the_next() {
    let limits = |limits: &mut Limits| limits.frame_bytes = 65_536 + 4_096;
    let mut pair = Pair::linked_with(RelayOptions { devices_per_user: 30, ..small_limits(limits) });
    for number in 0..20 {
        let device = DeviceId::from_bytes([number; 16]);
        pair.world.enrol(BO, device);
        let (session, _) = pair.world.attach(device);
        let one_time = vec![vec![number; KeyPackages::LENGTH_MAX].into()];
        let large = KeyPackages { one_time, ..packages(device, &[], None) };
        pair.world.work(session, Op::KeyPackages(Box::new(large)));
    }
    let claimed = pair.claim(pair.ana, claim(ANA, BO, true)).unwrap();
    let frame = chasqui_wire::NodeFrame::Claimed(claimed.clone()).encode();
    assert!(frame.len() <= 69_632 && claimed.packages.len() > 15, "{} in {}", claimed.packages.len(), frame.len());
    let rest = 21 + 1 - claimed.packages.len() as u32;
    assert_eq!(
        pair.world.count("key_package WHERE given_at IS NULL AND NOT is_last_resort AND length(body) = 4096"),
        rest - 1
    );
}

#[test]
fn nobody_uses_up_what_others_need() {
    let mut pair = Pair::linked();
    let names: Vec<String> = (0..50).map(|number| number.to_string()).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    pair.world.work(pair.bo, Op::KeyPackages(Box::new(packages(BO_PHONE, &names, None))));
    let laptop = pair.linked_device(ANA, ANA_LAPTOP);
    let take = claim(ANA, BO, true);
    let is_last = |claimed: &Claimed| bodies(claimed).contains(&"b1 last".to_owned());
    let taken = (0..30).filter(|number| {
        let session = if number % 2 == 0 { pair.ana } else { laptop };
        !is_last(&pair.claim(session, take).unwrap())
    });
    assert_eq!(taken.count(), 10, "by all devices of Ana together");
    assert!(!is_last(&pair.claim(pair.bo, claim(BO, ANA, true)).unwrap()), "Bo is not concerned");
    pair.world.tick_after(60 * 60 * 1000);
    assert!(!is_last(&pair.claim(pair.ana, take).unwrap()), "an hour later");
    let refused = (0..700).filter(|_| pair.claim(pair.ana, take) == Err(ErrorCode::RateLimited));
    assert_eq!(refused.count(), 101);
    let offer = Op::KeyPackages(Box::new(packages(BO_PHONE, &[], None)));
    let refused = (0..70).filter(|_| answer(&pair.world.work(pair.bo, offer.clone())).is_err());
    assert_eq!(refused.count(), 10);
    pair.world.tick_after(60_000);
    assert!(pair.claim(pair.ana, take).is_ok());
}

#[test]
fn what_was_given_away_is_forgotten_with_the_answers() {
    let mut pair = Pair::linked();
    pair.claim(pair.ana, claim(ANA, BO, false)).unwrap();
    assert_eq!(pair.world.count("key_package WHERE given_at IS NOT NULL AND body IS NULL"), 1);
    pair.world.tick_after(31 * DAY);
    assert_eq!(pair.world.count("key_package WHERE given_at IS NOT NULL"), 0);
}

#[test]
fn what_was_given_in_a_lost_past_is_not_given_again() {
    let mut pair = Pair::linked();
    let now = pair.world.now;
    pair.world.relay.begin_era(now).unwrap();
    let (ana, _) = pair.world.attach(ANA_PHONE);
    assert_eq!(
        bodies(&pair.claim(ana, claim(ANA, BO, true)).unwrap()),
        ["b1 last"],
        "nobody knows which one-time ones were"
    );
}
