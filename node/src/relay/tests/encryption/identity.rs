//! A new identity: whom it puts out of encrypted conversations, and how they come in again.

use super::*;

const NEW: [u8; 32] = [2; 32];

fn reset(world: &mut World, user: UserId, key: [u8; 32]) -> Vec<(SessionId, Event)> {
    let (done, events) = world.relay.call(world.now, |accounts| accounts.reset_identity(user, key)).unwrap();
    done.unwrap();
    events
}

fn identity_key(events: &[Event]) -> [u8; 32] {
    match &events[0] {
        Event::Attached(attached) => attached.identity_key,
        other => panic!("{other:?}"),
    }
}

/// As a device that looks first, and goes on without whom it cannot reach.
fn checked(number: u8, epoch: u64) -> Send {
    Send { roster_checked: true, ..again(encrypted(ANA, BO, number, epoch, "sealed")) }
}

impl Pair {
    /// With a group of both phones and Bo's laptop, at epoch 1, where nobody has mail.
    fn met_with_laptop() -> (Self, SessionId) {
        let mut pair = Self::linked();
        let laptop = pair.linked_device(BO, BO_LAPTOP);
        pair.publish(pair.ana, begin((ANA, BO), 1, 0, &[BOS_PHONE, BOS_LAPTOP])).unwrap();
        pair.take_mail(pair.bo);
        pair.take_mail(laptop);
        (pair, laptop)
    }

    /// The device comes back, and shows a link by the new identity.
    fn links_again(&mut self, device: DeviceId) -> SessionId {
        let (session, events) = self.world.attach(device);
        assert_eq!(identity_key(&events), NEW);
        self.offer(session, device);
        session
    }

    fn mail_waits_for(&self, device: DeviceId) -> u32 {
        let id: String = device.as_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
        self.world.count(&format!("mailbox JOIN device USING (device) WHERE id = x'{id}'"))
    }
}

#[test]
fn all_devices_are_unlinked_and_the_groups_stay_as_they_are() {
    let (mut pair, laptop) = Pair::met_with_laptop();
    let before = pair.roster();
    let events = reset(&mut pair.world, BO, NEW);
    assert_eq!(events, [(pair.bo, Event::NewIdentity), (laptop, Event::NewIdentity)]);
    for survives in [true, false] {
        assert_eq!((pair.world.count("key_package"), pair.world.count("key_package WHERE device = 1")), (3, 3));
        assert_eq!(pair.world.count("device WHERE linked_at IS NOT NULL"), 1, "Ana's");
        assert_eq!((pair.roster(), pair.epoch()), (before.clone(), 1));
        let claimed = pair.claim(pair.ana, claim(ANA, BO, false)).unwrap();
        assert_eq!((claimed.gone, claimed.packages), (vec![BOS_PHONE, BOS_LAPTOP], vec![]));
        pair.world.crash(survives);
        (pair.ana, _) = pair.world.attach(ANA_PHONE);
    }
    let (bo, events) = pair.world.attach(BO_PHONE);
    assert_eq!(identity_key(&events), NEW);
    assert_eq!(pair.claim(bo, claim(BO, ANA, true)), Err(ErrorCode::NotLinked));
    assert_eq!(pair.publish(bo, encrypted(BO, ANA, 2, 1, "x")), Err(ErrorCode::NotLinked));
}

#[test]
fn what_an_ended_session_had_under_way_links_nobody() {
    let mut pair = Pair::met();
    let offer = |name| Op::KeyPackages(Box::new(packages(BO_PHONE, &[name], None)));
    let (now, bo) = (pair.world.now, pair.bo);
    let in_one_batch = |accounts: &mut Accounts<'_, '_>| accounts.reset_identity(BO, NEW);
    let batch = vec![
        Work::Session(bo, offer("before")),
        Work::Call(Call::new(in_one_batch, |done| done.unwrap().unwrap())),
        Work::Session(bo, offer("behind")),
    ];
    let events = of(bo, pair.world.relay.commit(now, batch));
    assert!(matches!(events.as_slice(), [Event::Accepted(_), Event::NewIdentity]), "{events:?}");
    assert!(pair.world.work(bo, offer("late")).is_empty());
    assert_eq!(pair.world.count("key_package WHERE device = 2"), 0);
    assert_eq!(pair.world.count("device WHERE device = 2 AND linked_at IS NULL"), 1);
}

#[test]
fn the_same_key_again_changes_nothing() {
    let mut pair = Pair::met();
    assert_eq!(reset(&mut pair.world, BO, NEW).len(), 1);
    let bo = pair.links_again(BO_PHONE);
    let before = pair.world.relay.era_and_revision();
    assert_eq!(reset(&mut pair.world, BO, NEW), []);
    assert_eq!(pair.world.relay.era_and_revision(), before);
    assert_eq!(pair.claim(bo, claim(BO, ANA, true)).unwrap().packages.len(), 1, "still linked, still there");
    assert_eq!(pair.world.relay.vitals().identity_resets, 1);
    let refused = |world: &mut World, user| {
        let done = world.relay.call(world.now, |accounts| accounts.reset_identity(user, [3; 32])).unwrap().0;
        done.unwrap_err().code
    };
    assert_eq!(refused(&mut pair.world, EVE), ErrorCode::UnknownUser);
    pair.world.relay.call(pair.world.now, |accounts| accounts.delete(BO)).unwrap().0.unwrap();
    assert_eq!(refused(&mut pair.world, BO), ErrorCode::AccountDeleted);
}

#[test]
fn mail_reaches_who_was_linked_again_once_the_old_leaf_is_out() {
    let (mut pair, _) = Pair::met_with_laptop();
    assert!(pair.publish(pair.ana, encrypted(ANA, BO, 2, 1, "before")).is_ok());
    reset(&mut pair.world, BO, NEW);
    assert_eq!(pair.mail_waits_for(BO_LAPTOP), 1, "what waited waits on");
    assert_eq!(pair.publish(pair.ana, encrypted(ANA, BO, 3, 1, "x")), Err(ErrorCode::RosterStale));
    assert_eq!(pair.publish(pair.ana, checked(3, 1)), Err(ErrorCode::RosterStale), "nobody of the peer is there");

    let bo = pair.links_again(BO_PHONE);
    pair.take_mail(bo);
    let for_one = Send { only_device: Some(BO_PHONE), ..checked(3, 1) };
    for send in [checked(3, 1), for_one] {
        assert_eq!(pair.publish(pair.ana, send), Err(ErrorCode::RosterStale), "its leaf is of the old identity");
    }
    let claimed = pair.claim(pair.ana, claim(ANA, BO, false)).unwrap();
    assert_eq!((&claimed.gone, claimed.epoch), (&vec![BOS_PHONE, BOS_LAPTOP], 1));
    assert_eq!(bodies(&claimed), ["b1 first"], "in the roster, and to be put in all the same");
    let twice = again(commit((ANA, BO), 4, 1, &[BOS_PHONE], &[BOS_LAPTOP]));
    assert_eq!(pair.publish(pair.ana, twice), Err(ErrorCode::Invalid), "not beside the old leaf");
    let events = pair.world.publish(pair.ana, again(commit((ANA, BO), 4, 1, &[BOS_PHONE], &[BOS_PHONE, BOS_LAPTOP])));
    assert!(answer(&events).is_ok(), "{events:?}");
    assert!(envelope(&mail(bo, &events)[0]).welcome);
    pair.take_mail(bo);
    assert_eq!(mail(bo, &pair.world.publish(pair.ana, encrypted(ANA, BO, 5, 2, "after"))).len(), 1);
    assert_eq!((pair.mail_waits_for(BO_LAPTOP), pair.roster()), (1, vec![ANAS_PHONE, BOS_PHONE]));
    pair.take_mail(bo);

    let laptop = pair.links_again(BO_LAPTOP);
    pair.take_mail(laptop);
    assert_eq!(pair.publish(bo, encrypted(BO, ANA, 6, 2, "x")), Err(ErrorCode::RosterStale));
    assert!(pair.publish(bo, again(commit((BO, ANA), 7, 2, &[BOS_LAPTOP], &[]))).is_ok());
    pair.take_mail(laptop);
    assert_eq!(mail(laptop, &pair.world.publish(bo, encrypted(BO, ANA, 8, 3, "all of us"))).len(), 1);
}

#[test]
fn who_was_linked_again_begins_the_group_anew_to_write() {
    let (mut pair, _) = Pair::met_with_laptop();
    reset(&mut pair.world, BO, NEW);
    let bo = pair.links_again(BO_PHONE);
    assert_eq!(pair.publish(bo, encrypted(BO, ANA, 2, 1, "x")), Err(ErrorCode::NotInRoster));
    assert_eq!(pair.publish(bo, again(commit((BO, ANA), 3, 1, &[], &[BOS_LAPTOP]))), Err(ErrorCode::NotInRoster));
    assert_eq!(bodies(&pair.claim(bo, claim(BO, ANA, true)).unwrap()), ["a1 first"]);
    assert!(pair.publish(bo, again(begin((BO, ANA), 4, 1, &[ANAS_PHONE]))).is_ok());
    assert!(pair.publish(bo, encrypted(BO, ANA, 5, 2, "with a leaf of today")).is_ok());
    pair.take_mail(pair.ana);
    assert_eq!(pair.roster(), [ANAS_PHONE, BOS_PHONE]);
}

#[test]
fn an_old_leaf_that_a_commit_leaves_in_is_still_to_go() {
    let (mut pair, _) = Pair::met_with_laptop();
    reset(&mut pair.world, BO, NEW);
    let (bo, laptop) = (pair.links_again(BO_PHONE), pair.links_again(BO_LAPTOP));
    let events = pair.world.publish(pair.ana, commit((ANA, BO), 2, 1, &[BOS_PHONE], &[BOS_PHONE]));
    assert!(answer(&events).is_ok() && mail(laptop, &events).is_empty(), "{events:?}");
    pair.take_mail(bo);
    pair.world.crash(true);
    let (ana, _) = pair.world.attach(ANA_PHONE);
    let (laptop, _) = pair.world.attach(BO_LAPTOP);
    let claimed = pair.claim(ana, claim(ANA, BO, false)).unwrap();
    assert_eq!((&claimed.gone, bodies(&claimed)), (&vec![BOS_LAPTOP], vec!["b2 first".to_owned()]));
    let only_the_laptop = Send { only_device: Some(BO_LAPTOP), ..checked(3, 2) };
    assert_eq!(pair.publish(ana, only_the_laptop), Err(ErrorCode::NotFound));
    let events = pair.world.publish(ana, checked(3, 2));
    assert!(answer(&events).is_ok() && mail(laptop, &events).is_empty(), "{events:?}");
    assert!(pair.publish(ana, commit((ANA, BO), 4, 2, &[BOS_LAPTOP], &[BOS_LAPTOP])).is_ok());
    assert!(pair.claim(ana, claim(ANA, BO, false)).unwrap().gone.is_empty());
}
