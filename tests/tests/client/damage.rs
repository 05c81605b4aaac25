//! Files that were damaged: set aside, what can be read is saved, and the app is told.

use std::path::Path;

use chasqui::{Blocked, Client, Config, ConnectionState, Error, Salvage};

use crate::stage::{ALL, Device, PASSWORD, Pair, Relay, text, within};

/// Where no node is.
const NOWHERE: &str = "http://127.0.0.1:1";

fn config(folder: &Path, relay: &Relay) -> Config {
    Config::new(folder, relay.url())
}

async fn report(client: &Client) -> Salvage {
    within("a report", client.observe_salvages(0).next()).await.unwrap()
}

/// Ana's folder, closed, with so many messages that they fill many pages.
async fn closed() -> Pair {
    let pair = Pair::meet().await;
    for number in 0..100 {
        pair.ana.send_text(pair.chat, format!("{number} {}", "x".repeat(500))).await.unwrap();
    }
    pair.bo.until(pair.chat, "all messages", |messages| messages.len() == 100).await;
    pair.ana.online().await;
    pair.ana.close().await.unwrap();
    pair
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_without_its_keys_logs_in_again_and_loses_no_word() {
    let Pair { relay, ana, bo, chat } = closed().await;
    let file = ana.folder.path().join("history.db");
    let whole = std::fs::read(&file).unwrap();
    let damage: [(&str, Vec<u8>); 5] = [
        ("no database at all", b"this is not a database, but long enough to look like one".repeat(100)),
        ("the header", [vec![0xAA; 100], whole[100..].to_vec()].concat()),
        ("the schema page", [whole[..100].to_vec(), vec![0xAA; 3996], whole[4096..].to_vec()].concat()),
        ("the end is missing", whole[..4096].to_vec()),
        ("nothing is left", Vec::new()),
    ];
    for (number, (what, bytes)) in damage.into_iter().enumerate() {
        std::fs::write(&file, &bytes).unwrap();
        let client = Client::open(config(ana.folder.path(), &relay)).await.unwrap();
        let report = report(&client).await;
        assert!(report.keys_lost && !report.is_complete(), "{what}: {report:?}");
        assert_eq!(std::fs::read(ana.folder.path().join(&report.kept_as)).unwrap(), bytes, "{what}: kept as it was");
        assert_eq!(report.kept_as, format!("damaged-{}.db", number + 1));
        assert_eq!(client.connection(), ConnectionState::Blocked(Blocked::KeysLost), "{what}");
        assert_eq!(client.open_direct(bo.user().await).await, Err(Error::LogInAgain), "{what}");
        client.close().await.unwrap();
    }
    let client = Client::open(config(ana.folder.path(), &relay)).await.unwrap();
    client.login("ana", PASSWORD, "phone, again").await.unwrap();
    let again = Device { client, folder: ana.folder };
    again.online().await;
    again.open_readable(bo.user().await).await.unwrap();
    again.send_text(chat, "I am back").await.unwrap();
    bo.gets(chat, "I am back").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn damage_that_a_query_meets_is_mended_while_the_client_runs() {
    let Pair { relay, ana, bo, chat } = closed().await;
    let file = ana.folder.path().join("history.db");
    // Pages that hold nothing but messages: what is read last, and by nobody at the start.
    let mut bytes = std::fs::read(&file).unwrap();
    let is_full_of_text = |page: &&mut [u8]| page[0] == 0x0D && page.windows(100).any(|part| part == [b'x'; 100]);
    let texts = bytes.chunks_mut(4096).filter(is_full_of_text);
    texts.skip(1).take(3).for_each(|page| page.fill(0));
    std::fs::write(&file, bytes).unwrap();

    let client = Client::open(config(ana.folder.path(), &relay)).await.unwrap();
    let ana = Device { client, folder: ana.folder };
    let error = ana.timeline(chat, None, ALL).await.unwrap_err();
    assert!(matches!(error, Error::Corrupt { .. }), "{error}");
    let report = report(&ana).await;
    assert!(!report.keys_lost && report.gaps > 0, "{report:?}");
    ana.online().await;
    ana.until(chat, "what was saved", |messages| messages.len() as u64 == 100 - report.gaps).await;
    let page = ana.timeline(chat, None, ALL).await.unwrap();
    assert_eq!(page.items.len(), 100, "what is missing is shown as gaps");
    ana.send_text(chat, "still the same device").await.unwrap();
    bo.gets(chat, "still the same device").await;
    assert_eq!(bo.texts(chat).await.len(), 101, "nothing was sent twice");
    assert_eq!(ana.salvages().await.unwrap(), [report]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_is_gone_is_missed() {
    let Pair { relay: _relay, ana, bo: _bo, chat } = Pair::meet().await;
    ana.online().await;
    ana.send_text(chat, "in the log only").await.unwrap();
    // As a crash leaves the folder, and somebody who removes what looks like rubbish.
    let folder = tempfile::tempdir().unwrap();
    for name in ["history.db", "history.db-wal", "lock"] {
        std::fs::copy(ana.folder.path().join(name), folder.path().join(name)).unwrap();
    }
    let crashed = Client::open(Config::new(folder.path(), NOWHERE)).await.unwrap();
    assert_eq!(crashed.salvages().await.unwrap(), [], "a crash is no damage");
    assert_eq!(text(&crashed.message(ana.messages(chat).await[0].id).await.unwrap().unwrap()), "in the log only");
    crashed.close().await.unwrap();

    for name in ["history.db", "lock"] {
        std::fs::copy(ana.folder.path().join(name), folder.path().join(name)).unwrap();
    }
    let client = Client::open(Config::new(folder.path(), NOWHERE)).await.unwrap();
    let report = report(&client).await;
    assert!(report.is_log_missing && !report.is_complete(), "{report:?}");
    client.close().await.unwrap();
    let client = Client::open(Config::new(folder.path(), NOWHERE)).await.unwrap();
    assert_eq!(client.salvages().await.unwrap().len(), 1, "said once");
    client.clone().wipe().await.unwrap();
    let left: Vec<_> = std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(left.is_empty(), "{left:?}");
}
