//! Users, devices, tokens.

use super::*;

fn cleo(name: &str, device: DeviceId) -> NewUser {
    let user = UserId::from_bytes([0xC; 16]);
    NewUser { user, name: name.into(), password_hash: "-".into(), identity_key: [3; 32], device: enrolment(device) }
}

const CLEO_PHONE: DeviceId = DeviceId::from_bytes([0xC1; 16]);

#[test]
fn registering_again_is_harmless_and_names_are_compared_without_case() {
    let mut world = World::new();
    let now = world.now;
    let mut register = |new: &NewUser| world.relay.register(now, new).unwrap().map_err(|refusal| refusal.code);
    assert_eq!(register(&cleo("ANA", CLEO_PHONE)), Err(ErrorCode::NameTaken));
    assert_eq!(register(&cleo("cleo", ANA_PHONE)).unwrap_err(), ErrorCode::Invalid, "another's device id");
    assert_eq!(register(&cleo("cleo", CLEO_PHONE)).map(|known| known.name), Ok("cleo".into()));
    assert_eq!(register(&cleo("Cleo", CLEO_PHONE)).map(|known| known.name), Ok("cleo".into()));
    assert_eq!(register(&cleo("other", CLEO_PHONE)).unwrap_err(), ErrorCode::Invalid, "another name");
    world.relay.revoke(now, UserId::from_bytes([0xC; 16]), CLEO_PHONE).unwrap().0.unwrap();
    let again = world.relay.register(now, &cleo("cleo", CLEO_PHONE)).unwrap();
    assert_eq!(again.unwrap_err().code, ErrorCode::DeviceRevoked);
}

#[test]
fn a_user_has_at_most_eight_devices() {
    let mut world = World::new();
    for number in 1..8 {
        world.enrol(ANA, DeviceId::from_bytes([number; 16]));
    }
    let ninth = enrolment(DeviceId::from_bytes([9; 16]));
    let refusal = world.relay.enrol(world.now, ANA, &ninth).unwrap().unwrap_err();
    assert_eq!(refusal.code, ErrorCode::TooManyDevices);
    world.relay.revoke(world.now, ANA, DeviceId::from_bytes([1; 16])).unwrap().0.unwrap();
    world.relay.enrol(world.now, ANA, &ninth).unwrap().unwrap();
    let revoked = enrolment(DeviceId::from_bytes([1; 16]));
    let refusal = world.relay.enrol(world.now, ANA, &revoked).unwrap().unwrap_err();
    assert_eq!(refusal.code, ErrorCode::DeviceRevoked);
    let refusal = world.relay.revoke(world.now, ANA, BO_PHONE).unwrap().0.unwrap_err();
    assert_eq!(refusal.code, ErrorCode::NotFound, "another's device");
}

#[test]
fn tokens_end_and_cannot_be_made_up() {
    let world = World::new();
    let keys = world.relay.keys();
    let (token, expires_at) = keys.token(ANA_PHONE, world.now);
    assert_eq!(keys.token_holder(&token, world.now), Some(ANA_PHONE));
    assert_eq!(keys.token_holder(&token, expires_at), None);
    let (other, _) = keys.token(BO_PHONE, world.now);
    let forged = format!("{}.{}", other.split_once('.').unwrap().0, token.split_once('.').unwrap().1);
    assert_eq!(keys.token_holder(&forged, world.now), None);
    let nonce = keys.challenge([5; 16], world.now);
    assert!(keys.accepts_challenge(&nonce, world.now));
    assert!(!keys.accepts_challenge(&nonce, world.now.plus_millis(60_000)));
    assert_eq!(keys.token_holder(&nonce, world.now), None, "a challenge is no token");
}

#[test]
fn answered_ids_are_forgotten_after_thirty_days_whatever_time_they_name() {
    let mut world = World::new();
    world.now = Timestamp(1_800_000_000_000);
    let (ana, _) = world.attach(ANA_PHONE);
    let mut id = [1; 16];
    id[..6].copy_from_slice(&world.now.0.to_be_bytes()[2..]);
    world.publish(ana, Send { message: MessageId::from_bytes(id), ..send(ANA, BO, 0, "hello") });
    world.publish(ana, send(ANA, BO, 255, "by a clock that is wrong"));
    let day = 24 * 60 * 60 * 1000;
    world.tick_after(29 * day);
    assert_eq!(world.count("accepted"), 2);
    world.tick_after(2 * day);
    assert_eq!(world.count("accepted"), 0);
}
