//! Secrets at rest: whoever has the files, and not the keystore, has none of them.

use chasqui::{Blocked, Client, Config, ConnectionState, Error};
use rusqlite::Connection;

use crate::stage::{Device, PASSWORD, Pair, link, within};

/// The seeds and group secrets of a closed folder as they lie there, and everything in its files.
fn at_rest(folder: &std::path::Path) -> (Vec<Vec<u8>>, Vec<u8>) {
    let files: Vec<u8> = std::fs::read_dir(folder)
        .unwrap()
        .filter(|entry| entry.as_ref().unwrap().file_type().unwrap().is_file())
        .flat_map(|entry| std::fs::read(entry.unwrap().path()).unwrap())
        .collect();
    let file = folder.join("history.db");
    let history = Connection::open(file).unwrap();
    let sql = "SELECT device_seed FROM account UNION ALL SELECT identity_seed FROM account
               UNION ALL SELECT value FROM mls WHERE label IN (9, 12, 14, 15, 16)";
    let mut statement = history.prepare(sql).unwrap();
    let secrets = statement.query_map([], |row| row.get(0)).unwrap().collect::<Result<_, _>>().unwrap();
    (secrets, files)
}

fn holds(files: &[u8], secret: &[u8]) -> bool {
    files.windows(secret.len()).any(|bytes| bytes == secret)
}

#[tokio::test]
async fn a_binding_seals_what_was_in_clear_and_what_comes() {
    let Pair { relay, mut ana, bo, chat } = Pair::in_secret().await;
    ana.send_text(chat, "before").await.unwrap();
    bo.gets(chat, "before").await;
    bo.send_text(chat, "too").await.unwrap();
    ana.gets(chat, "too").await;
    ana.client.close().await.unwrap();
    let (clear, files) = at_rest(ana.folder.path());
    assert!(clear.len() > 10 && clear.iter().all(|secret| holds(&files, secret)), "as it was without a keystore");

    for config in [
        Config::new(ana.folder.path(), relay.url()).device_binding([7; 32]),
        Config::new(ana.folder.path(), relay.url()).device_binding([7; 32]),
    ] {
        ana.client = Client::open(config).await.unwrap();
        ana.send_text(chat, "sealed").await.unwrap();
        bo.send_text(chat, "and read").await.unwrap();
        ana.gets(chat, "and read").await;
        ana.client.close().await.unwrap();
    }
    let (sealed, files) = at_rest(ana.folder.path());
    assert!(sealed.iter().all(|secret| secret.starts_with(b"\xc5CHSQ\x00v1")), "whatever came since, too");
    assert!(clear.iter().all(|secret| !holds(&files, secret)), "nothing of what was in clear is left");

    let other = Client::open(Config::new(ana.folder.path(), relay.url()).device_binding([8; 32])).await;
    assert_eq!(other.err(), Some(Error::OtherDevice));
    let without = Client::open(Config::new(ana.folder.path(), relay.url())).await;
    assert_eq!(without.err(), Some(Error::OtherDevice));
}

#[tokio::test]
async fn a_passphrase_does_where_there_is_no_keystore() {
    let Pair { relay, mut ana, bo, chat } = Pair::in_secret().await;
    ana.client.close().await.unwrap();
    let config = |passphrase| Config::new(ana.folder.path(), relay.url()).passphrase(passphrase);
    for _ in 0..2 {
        ana.client = Client::open(config("correct horse battery staple")).await.unwrap();
        ana.send_text(chat, "still me").await.unwrap();
        bo.gets(chat, "still me").await;
        // Whoever reads beside the writer has the key, too.
        assert!(ana.safety_number(bo.user().await).await.is_ok());
        ana.client.close().await.unwrap();
    }
    assert_eq!(Client::open(config("wrong")).await.err(), Some(Error::OtherDevice));
    let (sealed, _) = at_rest(ana.folder.path());
    assert!(sealed.iter().all(|secret| secret.starts_with(b"\xc5CHSQ\x00v1")));
}

#[tokio::test]
async fn a_copy_has_the_history_and_no_secrets() {
    let Pair { relay, mut ana, bo, chat } = Pair::in_secret().await;
    ana.client.close().await.unwrap();
    ana.client = Client::open(Config::new(ana.folder.path(), relay.url()).device_binding([7; 32])).await.unwrap();
    ana.send_text(chat, "at home").await.unwrap();
    bo.gets(chat, "at home").await;
    ana.client.close().await.unwrap();
    let copy = tempfile::tempdir().unwrap();
    std::fs::copy(ana.folder.path().join("history.db"), copy.path().join("history.db")).unwrap();
    let config = || Config::new(copy.path(), relay.url()).device_binding([8; 32]);
    assert_eq!(Client::open(config()).await.err(), Some(Error::OtherDevice));
    let client = Client::open(config().adopt_copy()).await.unwrap();
    let there = Device { client, folder: copy };
    there.is(ConnectionState::Blocked(Blocked::Copied)).await;
    assert_eq!(there.texts(chat).await, ["at home"]);
    let account = there.login("ana", PASSWORD, "elsewhere").await.unwrap();
    assert!(!account.is_linked, "the identity stayed behind");
    // The original goes on, and may link it.
    ana.client = Client::open(Config::new(ana.folder.path(), relay.url()).device_binding([7; 32])).await.unwrap();
    link(&ana, &there).await;
    bo.send_text(chat, "to both").await.unwrap();
    within("both", async { tokio::join!(ana.gets(chat, "to both"), there.gets(chat, "to both")) }).await;
}
