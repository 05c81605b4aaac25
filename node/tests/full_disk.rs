//! A disk that is really full: what was accepted can be fetched and acknowledged, and then there is room again.
//!
//! Needs to mount a small file system in memory; where that is not allowed the test says so and proves nothing.

#![cfg(target_os = "linux")]

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use bytes::Bytes;
use chasqui_node::relay::{Attach, Enrolment, Event, NewUser, Op, Relay, RelayOptions, SessionId, Storage, Work};
use chasqui_wire::{
    AckItem, AckOutcome, ConversationKind, DeviceId, ErrorCode, MessageId, Progress, Protection, Send, StorageClass,
    Timestamp, UserId, direct_conversation,
};

const ANA: UserId = UserId::from_bytes([0xA; 16]);
const BO: UserId = UserId::from_bytes([0xB; 16]);
const ANA_PHONE: DeviceId = DeviceId::from_bytes([0xA1; 16]);
const BO_PHONE: DeviceId = DeviceId::from_bytes([0xB1; 16]);
const MEGABYTE: u32 = 1024 * 1024;

/// A file system of some megabytes, unmounted when it is dropped.
struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    fn mount(megabytes: u32) -> Option<Self> {
        let folder = tempfile::tempdir().ok()?;
        let size = format!("size={megabytes}m");
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(folder.path()).stderr(Stdio::null());
        mount.status().is_ok_and(|status| status.success()).then_some(Self(folder))
    }

    fn path(&self) -> &Path {
        self.0.path()
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        drop(Command::new("umount").arg(self.path()).status());
    }
}

fn send(number: u32) -> Send {
    let mut id = [7; 16];
    id[..4].copy_from_slice(&number.to_be_bytes());
    Send {
        message: MessageId::from_bytes(id),
        conversation: direct_conversation(ANA, BO, Protection::NodeReadable),
        kind: ConversationKind::Direct,
        protection: Protection::NodeReadable,
        peer: Some(BO),
        body: Bytes::from(vec![b'x'; 20_000]),
        storage: StorageClass::Durable,
        urgent: false,
        ttl_seconds: 0,
        restart: true,
        reclaim_seq: None,
        after_seq: None,
        resend_of: None,
        only_device: None,
        epoch: 0,
        commit: None,
        roster_checked: false,
    }
}

fn attach(relay: &mut Relay, now: Timestamp, session: SessionId, device: DeviceId) -> Vec<(SessionId, Event)> {
    let progress = Progress::default();
    let attach = Attach { device, window_entries: 64, window_bytes: MEGABYTE, checkpoint: None, progress };
    relay.commit(now, vec![Work::Session(session, Op::Attach(attach))])
}

fn delivered(events: &[(SessionId, Event)]) -> Vec<u64> {
    let mail =
        events.iter().filter_map(|(_, event)| if let Event::Mail(entries) = event { Some(entries) } else { None });
    mail.flatten().map(|entry| entry.number).collect()
}

#[test]
fn a_full_disk_can_be_drained_and_then_takes_mail_again() {
    let Some(disk) = SmallDisk::mount(32) else {
        eprintln!("skipped: a tmpfs cannot be mounted here");
        return;
    };
    let mut now = Timestamp(1_000_000);
    let mut options =
        RelayOptions { segment_bytes: 2 * MEGABYTE, reserve_bytes: 8 * MEGABYTE, ..RelayOptions::default() };
    options.mailbox_share_percent = 100;
    let mut relay = Relay::open(Storage::folder(disk.path()), options, now, [7; 32]).unwrap();
    for (user, name, device) in [(ANA, "ana", ANA_PHONE), (BO, "bo", BO_PHONE)] {
        let device = Enrolment { device, key: [1; 32], name: "phone".into() };
        let new = NewUser { user, name: name.into(), password_hash: "-".into(), identity_key: [1; 32], device };
        relay.register(now, &new).unwrap().unwrap();
    }
    let (ana, bo) = (SessionId(1), SessionId(2));
    attach(&mut relay, now, ana, ANA_PHONE);
    let mut accepted = 0;
    for number in 0.. {
        assert!(number < 10_000, "the disk is never full");
        if number == 300 {
            // The node is idle, so that its log is empty, and somebody else fills the disk to the last byte.
            now = now.plus_millis(10_000);
            assert!(relay.tick(now).1.is_none());
            let mut ballast = std::fs::File::create(disk.path().join("ballast")).unwrap();
            while ballast.write_all(&[1; 4_096]).is_ok() {}
        }
        let events = relay.commit(now, vec![Work::Session(ana, Op::Publish(Box::new(send(number))))]);
        match &events[0].1 {
            Event::Accepted(_) => accepted += 1,
            Event::Rejected(rejected) => {
                assert_eq!(rejected.code, ErrorCode::StorageFull);
                break;
            }
            other => panic!("{other:?}"),
        }
    }
    assert!(accepted >= 300, "{accepted}");
    // Full: everything that was accepted is delivered and acknowledged.
    let mut mail = delivered(&attach(&mut relay, now, bo, BO_PHONE));
    let mut drained = 0;
    while !mail.is_empty() {
        drained += mail.len();
        let item = |number| AckItem { number, outcome: AckOutcome::Stored };
        let ack: Vec<AckItem> = mail.into_iter().map(item).collect();
        let events = relay.commit(now, vec![Work::Session(bo, Op::Acknowledge(ack.into()))]);
        assert!(!events.iter().any(|(_, event)| *event == Event::Failed), "{events:?}");
        let of_bo: Vec<_> = events.into_iter().filter(|(session, _)| *session == bo).collect();
        mail = delivered(&of_bo);
    }
    assert_eq!(drained, accepted);
    std::fs::remove_file(disk.path().join("ballast")).unwrap();
    // What was erased is given back to the disk, then the reserve is there again, and then mail is taken.
    for _ in 0..4 {
        now = now.plus_millis(30_000);
        let (_, error) = relay.tick(now);
        assert!(error.is_none(), "{error:?}");
    }
    let events = relay.commit(now, vec![Work::Session(ana, Op::Publish(Box::new(send(20_000))))]);
    assert!(matches!(events[0].1, Event::Accepted(_)), "{events:?}");
}
