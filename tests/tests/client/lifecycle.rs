//! Suspend, resume, close; one client a folder; folders that cannot be used.

use std::path::Path;
use std::process::{Command, Stdio};

use chasqui::{Blocked, Client, Config, ConnectionState, Error};

use crate::stage::{Device, Pair, Relay, within};

/// Files of the folder that this process has open.
fn open_files(folder: &Path) -> Vec<String> {
    let links = std::fs::read_dir("/proc/self/fd").unwrap();
    let targets = links.filter_map(|link| std::fs::read_link(link.unwrap().path()).ok());
    targets.filter(|target| target.starts_with(folder)).map(|target| target.display().to_string()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_suspended_client_holds_no_file() {
    let Pair { relay: _relay, ana, bo, chat } = Pair::meet().await;
    ana.send_text(chat, "before").await.unwrap();
    bo.gets(chat, "before").await;
    let folder = bo.folder.path();
    assert!(!open_files(folder).is_empty());
    for _ in 0..2 {
        bo.suspend().await.unwrap();
        assert_eq!(open_files(folder), [""; 0]);
        assert_eq!(bo.connection(), ConnectionState::Blocked(Blocked::Suspended));
        assert_eq!(bo.account().await, Err(Error::Suspended));
        assert_eq!(bo.conversations(10).await, Err(Error::Suspended));
        assert_eq!(bo.timeline(chat, None, 10).await, Err(Error::Suspended));
        assert_eq!(bo.send_text(chat, "no").await, Err(Error::Suspended));
        assert_eq!(bo.mark_read(chat, None).await, Err(Error::Suspended));
        assert_eq!(bo.devices().await, Err(Error::Suspended));
        bo.network_up();
        assert_eq!(bo.suspend().await, Ok(()), "twice");
        assert_eq!(open_files(folder), [""; 0]);
        // Somebody else may look meanwhile: a notification extension.
        let relay_is_not_asked = "http://127.0.0.1:1";
        let guest = Client::open(Config::new(folder, relay_is_not_asked)).await.unwrap();
        assert_eq!(bo.resume().await, Err(Error::FolderInUse));
        assert_eq!(bo.account().await, Err(Error::Suspended), "still");
        guest.close().await.unwrap();

        ana.send_text(chat, "meanwhile").await.unwrap();
        bo.resume().await.unwrap();
        assert_eq!(bo.resume().await, Ok(()), "twice");
        bo.online().await;
        bo.gets(chat, "meanwhile").await;
    }
    assert_eq!(bo.texts(chat).await, ["before", "meanwhile", "meanwhile"]);
    bo.send_text(chat, "awake").await.unwrap();
    ana.gets(chat, "awake").await;
}

/// A node that takes connections and never says a word.
#[tokio::test(flavor = "multi_thread")]
async fn closing_ends_what_waits_for_an_answer() {
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let device = Device::blank(&format!("http://{}", silent.local_addr().unwrap())).await;
    let client = device.client.clone();
    let asking = tokio::spawn(async move { client.login("ana", "correct horse", "phone").await });
    let _connection = silent.accept().await.unwrap();
    device.close().await.unwrap();
    assert_eq!(within("the call to end", asking).await.unwrap().map(drop), Err(Error::Closed));
    assert_eq!(device.find_user("bo").await, Err(Error::Closed));
    assert_eq!(device.close().await, Ok(()), "twice");
}

/// Somebody else's lock stands for everything that keeps a step from committing: a full disk, say.
#[tokio::test(flavor = "multi_thread")]
async fn a_step_that_cannot_commit_loses_nothing() {
    let Pair { relay: _relay, ana, bo, chat } = Pair::meet().await;
    ana.send_text(chat, "before").await.unwrap();
    bo.gets(chat, "before").await;

    let lock = rusqlite::Connection::open(bo.folder.path().join("history.db")).unwrap();
    lock.execute_batch("BEGIN IMMEDIATE").unwrap();
    ana.send_text(chat, "while Bo cannot write").await.unwrap();
    let refused = bo.send_text(chat, "refused").await.unwrap_err();
    assert!(refused.is_retryable(), "{refused}");
    lock.execute_batch("ROLLBACK").unwrap();

    bo.gets(chat, "while Bo cannot write").await;
    bo.send_text(chat, "accepted").await.unwrap();
    ana.gets(chat, "accepted").await;
    assert_eq!(ana.texts(chat).await, ["before", "while Bo cannot write", "accepted"]);
    assert_eq!(bo.texts(chat).await, ana.texts(chat).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_has_one_client() {
    let relay = Relay::start().await;
    let ana = Device::registered(&relay, "ana").await;
    let second = Client::open(Config::new(ana.folder.path(), relay.url())).await;
    assert_eq!(second.map(drop), Err(Error::FolderInUse));

    // Nor has another process.
    let user = ana.user().await.to_string();
    let other = |folder: &Path| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_crash_device"));
        let output = command.arg(folder).arg(relay.url()).arg(&user).stdin(Stdio::null()).output().unwrap();
        serde_json::from_slice::<serde_json::Value>(output.stdout.split(|&byte| byte == b'\n').next().unwrap()).unwrap()
    };
    let said = other(ana.folder.path());
    assert_eq!((&said["event"], &said["code"]), (&"failed".into(), &"folder_in_use".into()), "{said}");
    ana.online().await;
    ana.close().await.unwrap();
    assert_eq!(other(ana.folder.path())["event"], "ready");
    let client = Client::open(Config::new(ana.folder.path(), relay.url())).await.unwrap();
    assert!(client.account().await.unwrap().is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_closed_client_answers_closed() {
    let Pair { relay, bo: _bo, ana, chat } = Pair::meet().await;
    ana.online().await;
    let clone = ana.client.clone();
    ana.close().await.unwrap();
    assert_eq!(open_files(ana.folder.path()), [""; 0]);
    for client in [&ana.client, &clone] {
        assert_eq!(client.account().await, Err(Error::Closed));
        assert_eq!(client.conversations(10).await, Err(Error::Closed));
        assert_eq!(client.total_unread().await, Err(Error::Closed));
        assert_eq!(client.search("x", 10).await, Err(Error::Closed));
        assert_eq!(
            client.open_direct("0190f5f0-0000-7000-8000-000000000001".parse().unwrap()).await,
            Err(Error::Closed)
        );
        assert_eq!(client.send_text(chat, "no").await, Err(Error::Closed));
        assert_eq!(client.register("x", "correct horse", "phone").await, Err(Error::Closed));
        assert_eq!(client.devices().await, Err(Error::Closed));
        assert_eq!(client.find_user("bo").await.map(drop), Err(Error::Closed));
        assert_eq!(client.logout().await, Err(Error::Closed));
        assert_eq!(client.suspend().await, Err(Error::Closed));
        assert_eq!(client.resume().await, Err(Error::Closed));
        assert_eq!(client.close().await, Ok(()), "twice");
        client.network_up();
        assert_eq!(client.connection(), ConnectionState::Offline);
    }
    drop(relay);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_confirmed_survives_an_abrupt_end() {
    let Pair { mut relay, mut ana, bo, chat } = Pair::meet().await;
    relay.stop().await;
    ana.send_text(chat, "confirmed").await.unwrap();
    // Dropped without a close, as when a process just ends.
    let blank = Device::blank(&relay.url()).await;
    ana.client = blank.client.clone();
    relay.start_again().await;
    // The old client's threads let go of the folder on their own time.
    let reopened = async {
        loop {
            match Client::open(Config::new(ana.folder.path(), relay.url())).await {
                Err(Error::FolderInUse) => tokio::task::yield_now().await,
                opened => return opened.unwrap(),
            }
        }
    };
    ana.client = crate::stage::within("the folder to be free", reopened).await;
    bo.network_up();
    bo.gets(chat, "confirmed").await;
}

async fn open_error(folder: &Path, node: &str) -> Error {
    match Client::open(Config::new(folder, node)).await {
        Ok(_) => panic!("it opened"),
        Err(error) => error,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_history_of_a_newer_version_is_refused_untouched() {
    let relay = Relay::start().await;
    let ana = Device::registered(&relay, "ana").await;
    ana.close().await.unwrap();
    let file = ana.folder.path().join("history.db");
    rusqlite::Connection::open(&file).unwrap().pragma_update(None, "user_version", 999).unwrap();
    let before = std::fs::read(&file).unwrap();
    let error = open_error(ana.folder.path(), &relay.url()).await;
    assert!(matches!(error, Error::Incompatible { .. }), "{error:?}");
    assert!(!error.is_retryable());
    assert_eq!(std::fs::read(&file).unwrap(), before);
    assert_eq!(open_files(ana.folder.path()), [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_that_cannot_be_one() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, b"").unwrap();
    let error = open_error(&file.join("inside"), "http://127.0.0.1:1").await;
    assert!(matches!(error, Error::Invalid { .. }), "{error:?}");
    // Missing ones are made.
    let made = folder.path().join("a/b/c");
    Client::open(Config::new(&made, "http://127.0.0.1:1")).await.unwrap().close().await.unwrap();
    assert!(made.join("history.db").exists());
    std::fs::create_dir(folder.path().join("history.db")).unwrap();
    let error = open_error(folder.path(), "http://127.0.0.1:1").await;
    assert!(!matches!(error, Error::Closed), "{error:?}");
}
