//! An account ends: what becomes of its mail, its name, and of whoever still writes to it.

use super::*;

fn delete(world: &mut World, user: UserId) -> Vec<(SessionId, Event)> {
    let (deleted, events) = world.relay.call(world.now, |accounts| accounts.delete(user)).unwrap();
    deleted.unwrap();
    events
}

#[test]
fn what_waits_for_it_is_dropped_and_told_and_its_devices_are_shut_out() {
    let mut world = World::new();
    world.enrol(BO, BO_LAPTOP);
    let (ana, _) = world.attach(ANA_PHONE);
    let (laptop, _) = world.attach(BO_LAPTOP);
    world.say(ana, 1, "canary");
    let events = delete(&mut world, BO);
    assert_eq!(kinds(&mail(ana, &events)), [(BO, ReceiptKind::DeviceGone)]);
    assert_eq!(of(laptop, events), [Event::Revoked]);
    assert_eq!((world.count("mailbox WHERE device <> 1"), world.count("envelope")), (0, 0));
    assert!(!world.disk.contains(b"canary"));
    for device in [BO_PHONE, BO_LAPTOP] {
        assert_eq!(world.attach(device).1, [Event::Revoked]);
        let caller = world.relay.call(world.now, |accounts| accounts.caller(device)).unwrap().0;
        assert_eq!(caller.unwrap_err().code, ErrorCode::AccountDeleted);
    }
    assert_eq!(answer(&world.say(ana, 2, "too late")), Err(ErrorCode::AccountDeleted));
}

#[test]
fn what_it_had_sent_is_still_delivered_and_can_be_read() {
    let mut world = World::new();
    let (ana, _) = world.attach(ANA_PHONE);
    world.say(ana, 1, "farewell");
    delete(&mut world, ANA);
    world.crash(true);
    let (bo, events) = world.attach(BO_PHONE);
    let entries = mail_of(&events);
    let farewell = envelope(&entries[0]);
    assert_eq!((farewell.body.as_ref(), farewell.sender_user), (b"farewell".as_slice(), ANA));
    assert!(mail(bo, &world.acknowledge(bo, entries[0].number, AckOutcome::Stored)).is_empty());
    assert_eq!((world.count("envelope"), world.count("mailbox")), (0, 0));
    assert!(!world.disk.contains(b"farewell"));
}

#[test]
fn its_name_is_free_and_its_id_is_nobodys() {
    let mut world = World::new();
    delete(&mut world, ANA);
    let again = world.relay.call(world.now, |accounts| accounts.delete(ANA)).unwrap().0;
    assert_eq!(again.unwrap_err().code, ErrorCode::AccountDeleted);
    let device = enrolment(DeviceId::from_bytes([0xC1; 16]));
    let new = |user| NewUser {
        user,
        name: "ana".into(),
        password_hash: "-".into(),
        identity_key: [3; 32],
        device: device.clone(),
    };
    let refused = world.relay.register(world.now, &new(ANA)).unwrap().unwrap_err();
    assert_eq!(refused.code, ErrorCode::Invalid, "the id is taken for ever");
    let known = world.relay.register(world.now, &new(UserId::from_bytes([0xC; 16]))).unwrap().unwrap();
    assert_eq!(known.name, "ana");
    let late = world.relay.enrol(world.now, ANA, &enrolment(ANA_LAPTOP)).unwrap().unwrap_err();
    assert_eq!(late.code, ErrorCode::AccountDeleted, "a login that was under way");
}

#[test]
fn nothing_of_it_is_kept_but_ids() {
    let mut world = World::new();
    let phone = "INSERT INTO phone (number, user) VALUES (zeroblob(32), 1);
                 INSERT INTO pin (user, hash, wrong, next_at) VALUES (1, '-', 0, 0);
                 INSERT INTO subject (issuer, subject, user) VALUES ('app', 'ana@app', 1);";
    world.relay.connection().execute_batch(phone).unwrap();
    delete(&mut world, ANA);
    for kept in ["phone", "pin", "subject", "password WHERE user = 1", "device WHERE user = 1 AND name <> ''"] {
        assert_eq!(world.count(kept), 0, "{kept}");
    }
    assert_eq!(world.count("user WHERE name = '' AND created_at = 0 AND identity_key = zeroblob(32)"), 1);
    let named = world.relay.call(world.now, |accounts| accounts.find_user_by_name(&format!(":{}", "0A".repeat(16))));
    assert_eq!(named.unwrap().0, None, "a tombstone has no name");
}
