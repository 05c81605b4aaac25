//! No byte of a body stays once its last device confirmed it, whatever crashes in between.

use super::*;

const CANARY: &[u8] = b"canary-in-the-body";

fn say_canary(world: &mut World) -> (SessionId, u64) {
    let (ana, _) = world.attach(ANA_PHONE);
    let (bo, _) = world.attach(BO_PHONE);
    let events = world.publish(ana, send(ANA, BO, 1, "canary-in-the-body"));
    assert!(world.disk.contains(CANARY));
    (bo, mail(bo, &events)[0].number)
}

#[test]
fn the_last_acknowledgement_erases_the_body_at_once() {
    let mut world = World::new();
    let (bo, entry) = say_canary(&mut world);
    world.acknowledge(bo, entry, AckOutcome::Stored);
    assert!(!world.disk.contains(CANARY));
}

#[test]
fn erased_stays_erased_after_the_next_sync() {
    let mut world = World::new();
    let (bo, entry) = say_canary(&mut world);
    world.acknowledge(bo, entry, AckOutcome::Stored);
    assert!(world.relay.wake_at().unwrap() <= world.now.plus_millis(2_000));
    world.tick_after(2_000);
    world.disk.crash(|| false);
    assert!(!world.disk.contains(CANARY));
}

#[test]
fn a_crash_between_commit_and_erasing_is_made_good_at_the_next_start() {
    let mut world = World::new();
    let (bo, entry) = say_canary(&mut world);
    world.acknowledge(bo, entry, AckOutcome::Stored);
    world.disk.crash(|| false);
    assert!(world.disk.contains(CANARY), "the zeros were lost");
    world.crash(false);
    assert!(!world.disk.contains(CANARY));
}

#[test]
fn other_mail_in_the_segment_stays() {
    let mut world = World::new();
    let (bo, entry) = say_canary(&mut world);
    let (ana, _) = world.attach(ANA_PHONE);
    world.say(ana, 2, "stays here");
    world.acknowledge(bo, entry, AckOutcome::Stored);
    world.crash(false);
    assert!(!world.disk.contains(CANARY));
    let (_, events) = world.attach(BO_PHONE);
    assert_eq!(envelope(&mail_of(&events)[0]).body, "stays here");
}

#[test]
fn empty_segments_are_deleted_and_the_current_one_is_used_again() {
    let mut world = World::new();
    let (ana, _) = world.attach(ANA_PHONE);
    let large = "x".repeat(60_000);
    for number in 1..=20 {
        assert!(answer(&world.say(ana, number, &large)).is_ok());
    }
    assert_eq!(world.disk.contents().len(), 5);
    let (bo, events) = world.attach_with(BO_PHONE, 100, 10_000_000);
    for entry in mail_of(&events) {
        world.acknowledge(bo, entry.number, AckOutcome::Stored);
    }
    world.tick_after(2_000);
    let left = world.disk.contents();
    assert_eq!(left.len(), 1);
    assert!(left[0].1.iter().all(|&byte| byte == 0));
    world.say(ana, 21, "small");
    assert_eq!(world.disk.contents().len(), 1);
}

#[test]
fn in_a_folder_neither_the_database_nor_its_log_ever_holds_a_body() {
    let folder = tempfile::tempdir().unwrap();
    let now = Timestamp(1_000_000);
    let open = || Relay::open(Storage::folder(folder.path()), RelayOptions::default(), now, [7; 32]);
    let mut world = World::new();
    world.relay = open().unwrap();
    for (user, name, device) in [(ANA, "ana", ANA_PHONE), (BO, "bo", BO_PHONE)] {
        let device = enrolment(device);
        let new = NewUser { user, name: name.into(), password_hash: "-".into(), identity_key: [1; 32], device };
        world.relay.register(now, &new).unwrap().unwrap();
    }
    assert!(matches!(open(), Err(RelayError::FolderInUse { .. })));
    let (ana, _) = world.attach(ANA_PHONE);
    let (bo, _) = world.attach(BO_PHONE);
    let events = world.publish(ana, send(ANA, BO, 1, "canary-in-the-body"));
    assert_eq!(files_with_canary(folder.path()), ["00000001.seg"]);
    world.acknowledge(bo, mail(bo, &events)[0].number, AckOutcome::Stored);
    assert!(files_with_canary(folder.path()).is_empty());
    world.tick_after(10_000);
    assert_eq!(std::fs::metadata(folder.path().join("relay.db-wal")).unwrap().len(), 0, "idle: the log is empty");
}

fn files_with_canary(folder: &std::path::Path) -> Vec<String> {
    let mut found = Vec::new();
    for file in std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().path()) {
        if file.is_dir() {
            found.extend(files_with_canary(&file));
        } else if std::fs::read(&file).unwrap().windows(CANARY.len()).any(|window| window == CANARY) {
            found.push(file.file_name().unwrap().to_str().unwrap().to_owned());
        }
    }
    found
}
