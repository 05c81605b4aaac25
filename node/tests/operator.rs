//! What an operator does to a node: looks, checks, backs up, restores, shuts out. With real files and the real binary.

#![cfg(unix)]
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod client;

use std::fs::OpenOptions;
use std::io::{Seek as _, SeekFrom, Write as _};
use std::path::Path;
use std::process::{Command, Output};

use bytes::Bytes;
use chasqui_node::inspect::{Finding, Inspection};
use chasqui_node::relay::RelayError;
use chasqui_node::serve;
use chasqui_wire::{
    ClientFrame, ConversationKind, EntryKind, GoodbyeReason, MessageId, NodeFrame, Protection, Send, StorageClass,
    UserId, direct_conversation,
};
use client::{Device, Node, Socket, config, node};
use serde_json::Value;
use tempfile::TempDir;

fn send(from: &Device, to: &Device, number: u8, text: &str) -> ClientFrame {
    ClientFrame::Send(Box::new(Send {
        message: MessageId::from_bytes([number; 16]),
        conversation: direct_conversation(from.user, to.user, Protection::NodeReadable),
        kind: ConversationKind::Direct,
        protection: Protection::NodeReadable,
        peer: Some(to.user),
        body: Bytes::copy_from_slice(text.as_bytes()),
        storage: StorageClass::Durable,
        urgent: false,
        ttl_seconds: 0,
        restart: false,
        reclaim_seq: None,
        after_seq: None,
        resend_of: None,
        only_device: None,
        epoch: 0,
        commit: None,
        roster_checked: false,
    }))
}

/// Ana, whose messages wait for Bo, who is not there.
async fn with_mail(node: &Node, messages: u8) -> (Device, Device, Socket) {
    let (ana, bo) = (Device::registered(node, 1, "ana").await, Device::registered(node, 2, "bo").await);
    let (mut socket, _) = ana.welcomed().await;
    assert!(matches!(socket.frame().await, NodeFrame::Drained(_)));
    for number in 1..=messages {
        socket.send(send(&ana, &bo, number, &format!("message {number}"))).await;
        assert!(matches!(socket.frame().await, NodeFrame::Accepted(_)));
    }
    (ana, bo, socket)
}

/// A certificate that ends in so many days, and its key.
fn certify(folder: &Path, days: i64) -> [String; 2] {
    let mut parameters = rcgen::CertificateParams::new(["chat.example.org".to_owned()]).unwrap();
    // Begins long ago, whatever the test's clock says.
    parameters.not_before = rcgen::date_time_ymd(2020, 1, 1);
    let now = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap();
    parameters.not_after = parameters.not_before - std::time::Duration::from_secs(1_577_836_800) + now;
    parameters.not_after += std::time::Duration::from_secs(3600);
    if let Ok(days) = u64::try_from(days) {
        parameters.not_after += std::time::Duration::from_secs(days * 24 * 3600);
    } else {
        parameters.not_after -= std::time::Duration::from_secs(days.unsigned_abs() * 24 * 3600);
    }
    let key = rcgen::KeyPair::generate().unwrap();
    let files = [folder.join("cert.pem"), folder.join("key.pem")];
    std::fs::write(&files[0], parameters.self_signed(&key).unwrap().pem()).unwrap();
    std::fs::write(&files[1], key.serialize_pem()).unwrap();
    files.map(|file| file.to_str().unwrap().to_owned())
}

/// `chasqui-node ARGUMENTS --data FOLDER`, beside whatever runs in this process.
async fn run(arguments: &[&str], data: &Path) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_chasqui-node"));
    command.env_clear().args(arguments).arg("--data").arg(data);
    tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap()
}

fn said(output: &Output) -> String {
    let (printed, complaint) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{printed}{complaint}");
    String::from_utf8(output.stdout.clone()).unwrap()
}

/// What it printed, and the one line with which it gave up.
fn refused(output: &Output) -> (String, String) {
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let complaint = String::from_utf8(output.stderr.clone()).unwrap();
    assert_eq!(complaint.lines().count(), 1, "{complaint}");
    (String::from_utf8(output.stdout.clone()).unwrap(), complaint)
}

/// Returns when nobody holds the folder: a child that another test has just forked does so until its exec.
async fn stop(node: Node) -> TempDir {
    node.running.stop().await;
    while matches!(Inspection::open_stopped(node.folder.path()), Err(RelayError::FolderInUse { .. })) {
        tokio::task::yield_now().await;
    }
    node.folder
}

async fn start(folder: TempDir) -> Node {
    let running = serve::start(config(&folder)).await.unwrap();
    Node { running, folder }
}

async fn looks_right(folder: &Path, ana: &Device, bo: &Device) {
    let stats: Value = serde_json::from_str(&said(&run(&["stats", "--json"], folder).await)).unwrap();
    assert_eq!((&stats["users"], &stats["devices"], &stats["messages"]), (&2.into(), &2.into(), &3.into()));
    assert_eq!(stats["body_bytes"], 3 * "message 1".len());
    assert_eq!(stats["fullest_mailboxes"][0]["device"], bo.device.to_string());
    assert_eq!(stats["largest_senders"][0]["user"], ana.user.to_string());
    let text = said(&run(&["stats"], folder).await);
    assert!(text.contains("3 messages, 27 B of bodies"), "{text}");
    assert!(!text.contains("message 1"), "nothing of what people wrote");
    let listed = said(&run(&["user", "list"], folder).await);
    assert_eq!(listed.lines().count(), 2, "{listed}");
    assert_eq!(said(&run(&["user", "list", "--prefix", "A"], folder).await).lines().count(), 1);
    assert_eq!(said(&run(&["user", "list", "--after", "ana"], folder).await).lines().count(), 1);
    let shown = said(&run(&["user", "show", "BO"], folder).await);
    assert!(shown.contains(&bo.user.to_string()) && shown.contains(&bo.device.to_string()), "{shown}");
    assert!(refused(&run(&["user", "show", "nobody"], folder).await).1.contains("no user nobody"));
}

#[tokio::test(flavor = "multi_thread")]
async fn numbers_and_names_beside_a_node_that_runs_and_after_it_stopped() {
    let node = node().await;
    let (ana, bo, _socket) = with_mail(&node, 3).await;
    looks_right(node.folder.path(), &ana, &bo).await;
    assert!(refused(&run(&["check"], node.folder.path()).await).1.contains("in use by another node"));
    let folder = stop(node).await;
    looks_right(folder.path(), &ana, &bo).await;
    let whole = said(&run(&["check"], folder.path()).await);
    assert!(whole.contains("is whole") && whole.contains("3 messages in 1 segments"), "{whole}");
    let empty = tempfile::tempdir().unwrap();
    assert!(refused(&run(&["stats"], empty.path()).await).1.contains("holds no node's data"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_check_names_what_is_wrong() {
    let node = node().await;
    with_mail(&node, 3).await;
    let folder = stop(node).await;
    let problems = || {
        let verdict = Inspection::open_stopped(folder.path()).unwrap().check(None).unwrap();
        let line = |finding: &Finding| match finding {
            Finding::Problem(line) => Some(line.clone()),
            Finding::Note(_) => None,
        };
        verdict.findings.iter().filter_map(line).collect::<Vec<_>>()
    };
    assert_eq!(problems(), Vec::<String>::new());
    let db = || {
        let db = rusqlite::Connection::open(folder.path().join("relay.db")).unwrap();
        db.execute_batch("PRAGMA foreign_keys = OFF").unwrap();
        db
    };
    let check = |breaking: &str, mending: &str, expected: &str| {
        db().execute_batch(breaking).unwrap();
        let found = problems();
        assert!(found.len() == 1 && found[0].contains(expected), "{breaking}: {found:?}");
        db().execute_batch(mending).unwrap();
        assert_eq!(problems(), Vec::<String>::new(), "mended");
    };
    let count = "messages do not wait in as many mailboxes";
    check("UPDATE envelope SET waiting = 2 WHERE envelope = 1", "UPDATE envelope SET waiting = 1", count);
    let longer = "UPDATE envelope SET length = length + 1 WHERE envelope = 1";
    check(longer, "UPDATE envelope SET length = length - 1 WHERE envelope = 1", "overlap");
    let moved = "UPDATE envelope SET segment = 9 WHERE envelope = 3";
    // The body is missing where it should be, and belongs to nobody where it is.
    db().execute_batch(moved).unwrap();
    let found = problems();
    assert!(
        found.len() == 2 && found[0].contains("segment 9") && found[1].contains("belong to no message"),
        "{found:?}"
    );
    db().execute_batch("UPDATE envelope SET segment = 1 WHERE envelope = 3").unwrap();
    let head: i64 = db().query_row("SELECT head FROM conversation", [], |row| row.get(0)).unwrap();
    db().execute_batch("UPDATE conversation SET head = 1").unwrap();
    let found = problems();
    assert!(found.len() == 2 && found.iter().all(|line| line.contains("has not given")), "{found:?}");
    db().execute("UPDATE conversation SET head = ?1", [head]).unwrap();
    let group = "UPDATE conversation SET protection = 2, epoch = 1";
    check(group, "UPDATE conversation SET protection = 1, epoch = 0", "an epoch without devices");
    let sealed = "UPDATE envelope SET epoch = 1 WHERE envelope = 1";
    check(sealed, "UPDATE envelope SET epoch = 0", "an epoch that there cannot be");
    let for_several = "UPDATE envelope SET resend_of = zeroblob(16) WHERE envelope = 1";
    check(for_several, "UPDATE envelope SET resend_of = NULL", "messages for one device");
    let twice =
        "INSERT INTO accepted SELECT zeroblob(16), device, conversation, seq, at, revision, 0, 0 FROM accepted LIMIT 1";
    check(twice, "UPDATE accepted SET is_resend = 1 WHERE message = zeroblob(16)", "positions were given twice");
    let package = "INSERT INTO key_package (device, hash, is_last_resort, body) VALUES (1, zeroblob(32), 0, x'01')";
    check(package, "DELETE FROM key_package", "devices that were revoked or not linked");
    let strays = "INSERT INTO roster (conversation, device) VALUES (1, 1); UPDATE conversation SET protection = 2, epoch = 1;
                  UPDATE member SET user = 3 WHERE user = 1; INSERT INTO user (user, id, name, folded_name, identity_key,
                      created_at) VALUES (3, zeroblob(16), 'x', 'x', zeroblob(32), 0)";
    let mended = "DELETE FROM roster; UPDATE conversation SET protection = 1, epoch = 0; UPDATE member SET user = 1
                  WHERE user = 3; DELETE FROM user WHERE user = 3";
    check(strays, mended, "a conversation that their user is not in");
    check("UPDATE node SET era = 5", "UPDATE node SET era = 0", "another era");
    check("CREATE TABLE more (x INTEGER) STRICT", "DROP TABLE more", "not those of this version");
    let stranger = "INSERT INTO member (conversation, user) VALUES (1, 77)";
    check(stranger, "DELETE FROM member WHERE user = 77", "name a row of user that does not exist");
    let segment = folder.path().join("bodies/00000001.seg");
    let mut file = OpenOptions::new().write(true).open(&segment).unwrap();
    file.seek(SeekFrom::Start(1_000)).unwrap();
    file.write_all(b"leftover").unwrap();
    let (printed, complaint) = refused(&run(&["check"], folder.path()).await);
    assert!(printed.contains("problem: 8 bytes in the segments belong to no message"), "{printed}");
    assert!(complaint.contains("problems found: 1"), "{complaint}");
    std::fs::remove_file(segment).unwrap();
    assert_eq!(problems().len(), 3, "each body is named");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stolen_device_is_shut_out_whether_the_node_runs_or_not() {
    let node = node().await;
    let (ana, bo, mut socket) = with_mail(&node, 1).await;
    let revoke =
        async |device: &Device, folder: &Path| run(&["device", "revoke", &device.device.to_string()], folder).await;
    let folder = node.folder.path();
    assert!(said(&revoke(&ana, folder).await).contains(&ana.user.to_string()));
    let NodeFrame::Goodbye(goodbye) = socket.frame().await else { panic!("goodbye") };
    assert_eq!(goodbye.reason, GoodbyeReason::Revoked);
    assert!(said(&revoke(&ana, folder).await).contains("revoked"), "again is no error");
    let nobody = Device::new(&node, 9, 9);
    assert!(refused(&revoke(&nobody, folder).await).1.contains("there is no such device"));
    let folder = stop(node).await;
    assert!(!folder.path().join("admin.sock").exists());
    said(&revoke(&bo, folder.path()).await);
    let devices = said(&run(&["device", "list", "bo"], folder.path()).await);
    assert!(devices.contains(" revoked "), "{devices}");
    assert!(said(&run(&["check"], folder.path()).await).contains("0 messages"), "its mail is dropped");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_is_deleted_whether_the_node_runs_or_not() {
    let node = node().await;
    let (_, bo, mut socket) = with_mail(&node, 1).await;
    let folder = node.folder.path();
    assert!(refused(&run(&["user", "delete", "nobody"], folder).await).1.contains("there is no such user"));
    assert!(said(&run(&["user", "delete", "ANA"], folder).await).starts_with("deleted "));
    let NodeFrame::Goodbye(goodbye) = socket.frame().await else { panic!("goodbye") };
    assert_eq!(goodbye.reason, GoodbyeReason::Revoked);
    let again = run(&["user", "delete", &UserId::from_bytes([1; 16]).to_string()], folder).await;
    assert!(refused(&again).1.contains("the account was deleted"));
    let listed = said(&run(&["user", "list"], folder).await);
    assert!(listed.lines().count() == 1 && listed.contains("bo"), "{listed}");
    let held: Value = serde_json::from_str(&said(&run(&["user", "export", "BO"], folder).await)).unwrap();
    assert_eq!((&held["name"], &held["has_password"]), (&"bo".into(), &true.into()));
    assert_eq!(
        (&held["devices"][0]["waiting"], &held["devices"][0]["device"]),
        (&1.into(), &bo.device.to_string().into())
    );
    let deleted = said(&run(&["user", "list", "--deleted"], folder).await);
    assert_eq!(deleted.trim(), UserId::from_bytes([1; 16]).to_string());
    let folder = stop(node).await;
    let whole = said(&run(&["check"], folder.path()).await);
    assert!(whole.contains("1 messages"), "what ana sent still waits: {whole}");
    said(&run(&["user", "delete", &bo.user.to_string()], folder.path()).await);
    assert!(said(&run(&["check"], folder.path()).await).contains("0 messages"));
    assert_eq!(said(&run(&["user", "list"], folder.path()).await), "");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_of_a_node_that_runs_comes_back_in_an_era_of_its_own_each_time() {
    let node = node().await;
    let (ana, bo, mut socket) = with_mail(&node, 3).await;
    let place = tempfile::tempdir().unwrap();
    let backup = place.path().join("backup");
    let target = backup.to_str().unwrap();
    assert!(said(&run(&["backup", target], node.folder.path()).await).contains("3 messages, era 0"));
    assert!(refused(&run(&["backup", target], node.folder.path()).await).1.contains("is not empty"));
    assert!(said(&run(&["check", "--backup", target], node.folder.path()).await).contains("3 messages"));
    // The node goes on, and what it says now is lost.
    socket.send(send(&ana, &bo, 4, "message 4")).await;
    let NodeFrame::Accepted(lost) = socket.frame().await else { panic!("accepted") };
    assert!(refused(&run(&["restore", target], node.folder.path()).await).1.contains("is not empty"));
    drop(stop(node).await);

    let mut eras = Vec::new();
    for _ in 0..3 {
        let folder = tempfile::tempdir().unwrap();
        let restored = said(&run(&["restore", target], folder.path()).await);
        assert!(restored.contains("holds the backup, in era "), "{restored}");
        said(&run(&["check"], folder.path()).await);
        let node = start(folder).await;
        let ana = Device { node: node.running.address(), ..Device::new(&node, 1, 1) };
        let (mut socket, welcome) = ana.welcomed().await;
        assert_eq!((welcome.eras.len(), welcome.eras[0].number), (1, welcome.checkpoint.era));
        assert!(welcome.eras[0].began_at_revision < lost.revision, "ana gives back what was lost");
        assert!(matches!(socket.frame().await, NodeFrame::Drained(_)));
        eras.push(welcome.checkpoint.era);
        let bo = Device { node: node.running.address(), ..Device::new(&node, 2, 2) };
        let (mut socket, _) = bo.welcomed().await;
        let mut texts = Vec::new();
        while let NodeFrame::Deliver(deliver) = socket.frame().await {
            for entry in deliver.entries {
                let EntryKind::Envelope(envelope) = entry.kind else { panic!("an envelope") };
                texts.push(String::from_utf8(envelope.body.to_vec()).unwrap());
            }
        }
        assert_eq!(texts, ["message 1", "message 2", "message 3"]);
        drop(stop(node).await);
    }
    assert!(eras.is_sorted_by(|earlier, later| earlier < later), "{eras:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_did_not_end_is_no_backup_and_no_data() {
    let node = node().await;
    with_mail(&node, 2).await;
    let place = tempfile::tempdir().unwrap();
    let backup = place.path().join("backup");
    let target = backup.to_str().unwrap();
    said(&run(&["backup", target], node.folder.path()).await);
    // A restore that was interrupted.
    let half = tempfile::tempdir().unwrap();
    std::fs::write(half.path().join("restoring"), "").unwrap();
    let error = serve::start(config(&half)).await.err().unwrap();
    assert!(error.to_string().contains("did not end"), "{error}");
    // A damaged backup.
    std::fs::remove_dir_all(backup.join("bodies")).unwrap();
    let (printed, _) = refused(&run(&["check", "--backup", target], node.folder.path()).await);
    assert_eq!(printed.lines().count(), 2, "each body is named: {printed}");
    let folder = tempfile::tempdir().unwrap();
    assert!(refused(&run(&["restore", target], folder.path()).await).1.contains("problems found: 2"));
    said(&run(&["restore", "--despite-problems", target], folder.path()).await);
    // One that did not end.
    std::fs::remove_file(backup.join("backup.json")).unwrap();
    let other = tempfile::tempdir().unwrap();
    assert!(refused(&run(&["restore", target], other.path()).await).1.contains("holds no backup"));
    node.running.stop().await;
}

#[tokio::test]
async fn a_certificate_is_looked_at_before_anybody_is_turned_away() {
    let folder = tempfile::tempdir().unwrap();
    let [certificate, key] = certify(folder.path(), 60);
    let file = folder.path().join("node.toml");
    std::fs::write(&file, format!("[tls]\ncertificate = {certificate:?}\nkey = {key:?}\n")).unwrap();
    let file = file.to_str().unwrap();
    let check = async || run(&["config", "--check", "--config", file], folder.path()).await;
    let printed = said(&check().await);
    assert!(
        printed.contains("is for chat.example.org\ncertificate: the certificate is valid for 60 days"),
        "{printed}"
    );

    certify(folder.path(), 13);
    let printed = said(&check().await);
    assert!(printed.contains("note: the certificate ends in 13 days: renew it"), "{printed}");

    certify(folder.path(), -2);
    let (printed, _) = refused(&check().await);
    assert!(printed.contains("problem: the certificate has ended"), "{printed}");

    let old_key = std::fs::read(&key).unwrap();
    certify(folder.path(), 60);
    std::fs::write(&key, old_key).unwrap();
    let (printed, _) = refused(&check().await);
    assert!(printed.contains("problem: the key in "), "{printed}");

    // With the data, once a node has made it.
    let node = node().await;
    let data = stop(node).await;
    let (printed, complaint) = refused(&run(&["check", "--config", file], data.path()).await);
    assert!(printed.contains("is whole") && complaint.contains("certificate"), "{printed}{complaint}");
}
