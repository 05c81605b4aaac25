//! Data folders of older versions: they open, keep their mail, and can be gone back from.

#![cfg(unix)]
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod client;

use std::os::unix::fs::FileExt as _;
use std::path::Path;

use chasqui_node::inspect::Inspection;
use chasqui_node::relay::RelayError;
use chasqui_node::serve::{self, ServeError};
use chasqui_wire::{EntryKind, NodeFrame};
use client::{Device, Node, config};
use rusqlite::Connection;
use tempfile::TempDir;

/// What a node of schema 1 left: Ana and Bo, and two messages that wait for Bo.
const DUMP: &str = include_str!("upgrade/0001.sql");
const TEXTS: [&str; 2] = ["¡Hola, Bo!", "from version 1"];

fn folder_of_version_1() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    database(folder.path()).execute_batch(DUMP).unwrap();
    std::fs::create_dir(folder.path().join("bodies")).unwrap();
    let segment = std::fs::File::create(folder.path().join("bodies/00000001.seg")).unwrap();
    segment.set_len(8 << 20).unwrap();
    segment.write_all_at(TEXTS.concat().as_bytes(), 0).unwrap();
    folder
}

fn database(folder: &Path) -> Connection {
    Connection::open(folder.join("relay.db")).unwrap()
}

fn version(db: &Connection) -> u32 {
    db.query_row("PRAGMA user_version", [], |row| row.get(0)).unwrap()
}

#[tokio::test]
async fn version_1_opens_and_its_mail_arrives() {
    let folder = folder_of_version_1();
    assert_eq!(version(&database(folder.path())), 1);
    let running = serve::start(config(&folder)).await.unwrap();
    let node = Node { running, folder };
    let bo = Device::new(&node, 2, 2);
    let (mut socket, _) = bo.welcomed().await;
    let mut texts = Vec::new();
    while let NodeFrame::Deliver(deliver) = socket.frame().await {
        for entry in deliver.entries {
            let EntryKind::Envelope(envelope) = entry.kind else { panic!("an envelope") };
            texts.push(String::from_utf8(envelope.body.to_vec()).unwrap());
        }
    }
    assert_eq!(texts, TEXTS);
    let Node { running, folder } = node;
    running.stop().await;
    // Also compares the tables with those of a new database.
    let verdict = Inspection::open(folder.path()).unwrap().check(None).unwrap();
    assert_eq!(verdict.problems(), 0, "{verdict:?}");
}

#[tokio::test]
async fn a_newer_folder_is_refused_and_left_alone() {
    let folder = folder_of_version_1();
    database(folder.path()).execute_batch("PRAGMA user_version = 99").unwrap();
    let before = std::fs::read(folder.path().join("relay.db")).unwrap();
    let error = serve::start(config(&folder)).await.err().unwrap();
    assert!(matches!(error, ServeError::Relay(RelayError::NewerSchema { found: 99, .. })), "{error}");
    assert!(error.to_string().contains("use a newer node"), "{error}");
    let files = std::fs::read_dir(folder.path()).unwrap().map(|file| file.unwrap().file_name()).collect::<Vec<_>>();
    assert!(files.iter().all(|name| !name.to_string_lossy().contains("relay.db.v")), "{files:?}");
    let after = database(folder.path());
    assert_eq!(version(&after), 99);
    drop(after);
    assert_eq!(std::fs::read(folder.path().join("relay.db")).unwrap().len(), before.len());
}
