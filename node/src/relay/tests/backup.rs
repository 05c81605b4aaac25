//! A backup is what was there at its moment, whatever the relay does while it is made.

use super::*;
use crate::inspect::Inspection;

struct Place {
    world: World,
    folder: tempfile::TempDir,
    target: tempfile::TempDir,
}

/// A relay on real files, with messages of Ana that Bo's phone has been given.
fn place(messages: u8) -> (Place, SessionId, SessionId, Vec<Entry>) {
    let (folder, target) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let mut world = World::over(Storage::folder(folder.path()), SimDisk::new(), options());
    let ((ana, _), (bo, _)) = (world.attach(ANA_PHONE), world.attach(BO_PHONE));
    let said: Vec<_> = (1..=messages).flat_map(|number| world.say(ana, number, &format!("text {number}"))).collect();
    let entries = mail(bo, &said);
    (Place { world, folder, target }, ana, bo, entries)
}

impl Place {
    fn check(&self) {
        let verdict = Inspection::open_stopped(self.target.path()).unwrap().check(None).unwrap();
        assert_eq!(verdict.problems(), 0, "{verdict:?}");
    }

    /// What Bo's phone gets of a relay that is opened on the copy.
    fn texts(&self) -> Vec<String> {
        let storage = Storage::folder(self.target.path());
        let mut relay = Relay::open(storage, options(), self.world.now, [3; 32]).unwrap();
        let attach = Attach {
            device: BO_PHONE,
            window_entries: 256,
            window_bytes: 1 << 20,
            checkpoint: None,
            progress: Progress::default(),
        };
        let events = relay.commit(self.world.now, vec![Work::Session(SessionId(1), Op::Attach(attach))]);
        let text = |entry: &Entry| String::from_utf8(envelope(entry).body.to_vec()).unwrap();
        mail(SessionId(1), &events).iter().map(text).collect()
    }

    fn holds(&self, text: &str) -> bool {
        let files = std::fs::read_dir(self.folder.path().join("bodies")).unwrap();
        let contents = files.map(|file| std::fs::read(file.unwrap().path()).unwrap());
        contents.into_iter().any(|bytes| bytes.windows(text.len()).any(|window| window == text.as_bytes()))
    }
}

#[test]
fn what_is_erased_meanwhile_is_in_the_backup_and_not_in_the_relay() {
    let (mut place, ana, bo, entries) = place(3);
    let backup = place.world.relay.begin_backup(place.target.path(), place.world.now).unwrap();
    for entry in &entries[..2] {
        place.world.acknowledge(bo, entry.number, AckOutcome::Stored);
    }
    let younger = place.world.say(ana, 4, "younger");
    place.world.acknowledge(bo, mail(bo, &younger)[0].number, AckOutcome::Stored);
    assert!(!place.holds("text 1") && !place.holds("text 2") && !place.holds("younger"), "erased at once");
    assert!(place.holds("text 3"));
    let manifest = backup.finish().unwrap();
    assert_eq!(manifest.messages, 3);
    place.check();
    assert_eq!(place.texts(), ["text 1", "text 2", "text 3"]);
}

#[test]
fn the_segment_of_a_backup_goes_when_its_last_body_does() {
    let (mut place, ana, bo, entries) = place(1);
    let backup = place.world.relay.begin_backup(place.target.path(), place.world.now).unwrap();
    place.world.acknowledge(bo, entries[0].number, AckOutcome::Stored);
    place.world.tick_after(2_000);
    assert!(!place.folder.path().join("bodies/00000001.seg").exists(), "sealed and empty");
    place.world.say(ana, 2, "another");
    assert_eq!(backup.finish().unwrap().messages, 1);
    place.check();
    assert_eq!(place.texts(), ["text 1"]);
    assert!(place.holds("another"));
}

#[test]
fn one_backup_at_a_time_and_none_that_was_given_up_stands_in_the_way() {
    let (mut place, _, bo, entries) = place(2);
    let backup = place.world.relay.begin_backup(place.target.path(), place.world.now).unwrap();
    let other = tempfile::tempdir().unwrap();
    let second = place.world.relay.begin_backup(other.path(), place.world.now);
    assert!(matches!(second.err(), Some(RelayError::BackupUnderWay)));
    drop(backup);
    assert!(Manifest::read(place.target.path()).is_err());
    place.world.acknowledge(bo, entries[0].number, AckOutcome::Stored);
    let backup = place.world.relay.begin_backup(other.path(), place.world.now).unwrap();
    assert_eq!(backup.finish().unwrap().messages, 1);
}

#[test]
fn a_target_that_takes_nothing_fails_the_backup_and_not_the_relay() {
    let (mut place, _, bo, entries) = place(2);
    let backup = place.world.relay.begin_backup(place.target.path(), place.world.now).unwrap();
    std::fs::remove_dir_all(place.target.path().join("bodies")).unwrap();
    place.world.acknowledge(bo, entries[0].number, AckOutcome::Stored);
    assert!(!place.holds("text 1"), "forgetting does not wait for a backup");
    assert!(backup.finish().is_err());
    assert!(Manifest::read(place.target.path()).is_err());
}

#[test]
fn the_log_is_kept_while_a_backup_reads_and_emptied_after_it() {
    let (mut place, ana, ..) = place(1);
    let log = place.folder.path().join("relay.db-wal");
    let size = || std::fs::metadata(&log).unwrap().len();
    let backup = place.world.relay.begin_backup(place.target.path(), place.world.now).unwrap();
    place.world.say(ana, 2, "more");
    place.world.tick_after(3_000);
    assert!(size() > 0, "the snapshot needs it");
    backup.finish().unwrap();
    place.world.tick_after(3_000);
    assert_eq!(size(), 0);
}
