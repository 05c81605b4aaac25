//! Looking at mail for a notification: it is shown, and everything goes on as if nobody had looked.

use std::path::Path;
use std::time::Duration;

use chasqui::{Blocked, Client, Config, ConnectionState, Error, Message, MessageState, Peeked};

use crate::stage::{DEADLINE, Device, PASSWORD, Pair, Relay};

/// Where no node is.
const NOWHERE: &str = "http://127.0.0.1:1";

async fn peek(folder: &Path, relay: &Relay) -> Result<Peeked, Error> {
    chasqui::peek(&Config::new(folder, relay.url()), DEADLINE).await
}

fn texts(peeked: &Peeked) -> Vec<&str> {
    peeked.messages.iter().map(|message| message.text.as_str()).collect()
}

/// Everything in the folder but SQLite's own side files, which come and go with who reads.
fn content(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let files = std::fs::read_dir(folder).unwrap().map(Result::unwrap);
    let named = files.map(|file| (file.file_name().into_string().unwrap(), file.path()));
    let own = named.filter(|(name, _)| !name.ends_with("-wal") && !name.ends_with("-shm"));
    let mut content: Vec<_> = own.map(|(name, path)| (name, std::fs::read(path).unwrap())).collect();
    content.sort();
    content
}

#[tokio::test(flavor = "multi_thread")]
async fn mail_for_a_closed_client_is_shown_and_still_delivered() {
    let Pair { relay, ana, mut bo, chat } = Pair::meet().await;
    ana.send_text(chat, "before").await.unwrap();
    bo.gets(chat, "before").await;
    bo.close().await.unwrap();
    let untouched = content(bo.folder.path());
    for text in ["one", "two"] {
        ana.send_text(chat, text).await.unwrap();
    }
    ana.until(chat, "sent", |messages| messages[2].state == MessageState::Sent).await;

    let peeked = peek(bo.folder.path(), &relay).await.unwrap();
    assert_eq!((texts(&peeked), peeked.unread, peeked.has_more), (vec!["one", "two"], 3, false));
    let sent = ana.messages(chat).await;
    for (shown, sent) in peeked.messages.iter().zip(&sent[1..]) {
        assert_eq!((shown.id, shown.conversation, Some(shown.seq)), (sent.id, chat, sent.seq));
        assert_eq!((shown.sender, shown.sender_name.as_deref()), (ana.user().await, Some("ana")));
        assert_eq!((shown.created_at, Some(shown.accepted_at)), (sent.created_at, sent.accepted_at));
        assert!(!shown.is_request);
    }
    assert_eq!(peek(bo.folder.path(), &relay).await.unwrap(), peeked, "it is still there");
    assert_eq!(content(bo.folder.path()), untouched);
    assert_eq!(sent[2].state, MessageState::Sent, "nobody has it yet");

    bo.client = Client::open(Config::new(bo.folder.path(), relay.url())).await.unwrap();
    bo.gets(chat, "two").await;
    assert_eq!(bo.texts(chat).await, ["before", "one", "two"], "once each");
    assert_eq!(bo.total_unread().await.unwrap(), peeked.unread);
    assert_eq!(bo.salvages().await.unwrap(), []);
    ana.until(chat, "received", |messages| messages[2].state == MessageState::Received).await;
    assert_eq!(peek(bo.folder.path(), &relay).await.unwrap(), Peeked { unread: 3, ..Peeked::default() });
}

#[tokio::test(flavor = "multi_thread")]
async fn mail_for_a_suspended_client_is_shown_and_comes_when_it_is_back() {
    let Pair { relay, ana, bo, chat } = Pair::meet().await;
    bo.online().await;
    for number in 0..3 {
        bo.suspend().await.unwrap();
        let text = format!("message {number}");
        ana.send_text(chat, &*text).await.unwrap();
        ana.until(chat, "sent", |messages| messages.last().unwrap().state == MessageState::Sent).await;
        let peeked = peek(bo.folder.path(), &relay).await.unwrap();
        assert_eq!((texts(&peeked), peeked.unread), (vec![text.as_str()], number + 1));
        bo.resume().await.unwrap();
        bo.gets(chat, &text).await;
        assert_eq!(bo.total_unread().await.unwrap(), number + 1);
    }
}

/// The app runs and has the folder, but no network: the notification came another way.
#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_is_open_is_not_in_the_way() {
    let Pair { relay, ana, mut bo, chat } = Pair::meet().await;
    bo.close().await.unwrap();
    bo.client = Client::open(Config::new(bo.folder.path(), NOWHERE)).await.unwrap();
    ana.send_text(chat, "hello").await.unwrap();
    ana.until(chat, "sent", |messages| messages[0].state == MessageState::Sent).await;
    assert_eq!(bo.open_readable(ana.user().await).await, Ok(chat));
    let own = bo.send_text(chat, "written meanwhile").await.unwrap();
    let peeked = peek(bo.folder.path(), &relay).await.unwrap();
    assert_eq!((texts(&peeked), peeked.unread), (vec!["hello"], 1));
    assert_eq!(bo.message(own).await.unwrap().unwrap().state, MessageState::Pending);
    bo.reopen(&relay).await;
    ana.gets(chat, "written meanwhile").await;
    bo.gets(chat, "hello").await;

    // While it is connected, its socket stays.
    bo.online().await;
    let mut states = bo.observe_connection();
    assert_eq!(states.next().await.unwrap(), ConnectionState::Online);
    for _ in 0..3 {
        assert_eq!(peek(bo.folder.path(), &relay).await.unwrap().messages, []);
    }
    ana.send_text(chat, "still there?").await.unwrap();
    bo.gets(chat, "still there?").await;
    let next = tokio::time::timeout(Duration::ZERO, states.next()).await;
    assert!(next.is_err(), "the connection never changed: {next:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_read_or_written_on_another_device_is_not_shown() {
    let Pair { relay, ana, bo, chat } = Pair::meet().await;
    let laptop = Device::logged_in(&relay, "bo").await;
    laptop.online().await;
    bo.suspend().await.unwrap();
    for text in ["one", "two"] {
        ana.send_text(chat, text).await.unwrap();
        laptop.gets(chat, text).await;
    }
    laptop.mark_read(chat, None).await.unwrap();
    ana.until(chat, "read", |messages| messages[1].state == MessageState::Read).await;
    laptop.send_text(chat, "an answer").await.unwrap();
    ana.gets(chat, "an answer").await;
    let peeked = peek(bo.folder.path(), &relay).await.unwrap();
    assert_eq!(peeked, Peeked::default());
    ana.send_text(chat, "three").await.unwrap();
    laptop.gets(chat, "three").await;
    let peeked = peek(bo.folder.path(), &relay).await.unwrap();
    assert_eq!((texts(&peeked), peeked.unread), (vec!["three"], 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stranger_is_shown_as_one_by_name_and_not_counted() {
    let relay = Relay::configured(|config| config.request_messages = 1).await;
    let Pair { relay, ana, bo, chat } = Pair::at(relay).await;
    let laptop = Device::logged_in(&relay, "bo").await;
    laptop.online().await;
    bo.suspend().await.unwrap();
    ana.send_text(chat, "buy this").await.unwrap();
    laptop.gets(chat, "buy this").await;
    let peeked = peek(bo.folder.path(), &relay).await.unwrap();
    let [shown] = peeked.messages.as_slice() else { panic!("one message: {peeked:?}") };
    assert_eq!((shown.is_request, shown.sender_name.as_deref(), peeked.unread), (true, Some("ana"), 0));

    laptop.decline_request(chat, true).await.unwrap();
    let declined = async { while peek(bo.folder.path(), &relay).await.unwrap() != Peeked::default() {} };
    crate::stage::within("the word to be there", declined).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_cannot_peek_is_told_why() {
    let nobody = tempfile::tempdir().unwrap();
    let missing = nobody.path().join("missing");
    let Pair { mut relay, ana, bo, chat } = Pair::meet().await;
    ana.send_text(chat, "hello").await.unwrap();
    bo.gets(chat, "hello").await;
    assert_eq!(peek(&missing, &relay).await, Err(Error::NotEnrolled));
    assert!(!missing.exists(), "nothing is made");
    let blank = Device::blank(&relay.url()).await;
    assert_eq!(peek(blank.folder.path(), &relay).await, Err(Error::NotEnrolled));
    assert!(matches!(
        chasqui::peek(&Config::new(bo.folder.path(), "ftp://node"), DEADLINE).await,
        Err(Error::Invalid { .. })
    ));
    let nowhere = chasqui::peek(&Config::new(bo.folder.path(), NOWHERE), DEADLINE).await;
    assert!(matches!(nowhere, Err(Error::Offline { .. })), "{nowhere:?}");
    let at_once = chasqui::peek(&Config::new(bo.folder.path(), relay.url()), Duration::ZERO).await;
    assert!(matches!(at_once, Err(Error::Offline { .. })), "{at_once:?}");

    // Of another version, and damaged: only the app may do something about it.
    bo.close().await.unwrap();
    let history = bo.folder.path().join("history.db");
    let version = |version: u32| {
        rusqlite::Connection::open(&history).unwrap().pragma_update(None, "user_version", version).unwrap();
    };
    let known: u32 = rusqlite::Connection::open(&history)
        .unwrap()
        .pragma_query_value(None, "user_version", |row| row.get(0))
        .unwrap();
    for other in [known - 1, known + 1] {
        version(other);
        assert!(matches!(peek(bo.folder.path(), &relay).await, Err(Error::Incompatible { .. })), "schema {other}");
    }
    version(known);
    assert_eq!(peek(bo.folder.path(), &relay).await.unwrap().messages, []);
    let whole = std::fs::read(&history).unwrap();
    std::fs::write(&history, [&whole[..100], &[0xAA; 3996], &whole[4096..]].concat()).unwrap();
    let damaged = peek(bo.folder.path(), &relay).await;
    assert!(matches!(damaged, Err(Error::Corrupt { .. })), "{damaged:?}");
    assert_eq!(
        std::fs::read_dir(bo.folder.path())
            .unwrap()
            .filter(|file| { file.as_ref().unwrap().file_name().to_string_lossy().starts_with("damaged") })
            .count(),
        0,
        "nothing is repaired either"
    );

    ana.logout().await.unwrap();
    assert_eq!(peek(ana.folder.path(), &relay).await, Err(Error::NotEnrolled));
    ana.login("ana", PASSWORD, "phone").await.unwrap();
    let other = Device::logged_in(&relay, "ana").await;
    other.revoke_device(ana.account().await.unwrap().unwrap().device).await.unwrap();
    assert_eq!(peek(ana.folder.path(), &relay).await, Err(Error::Unauthorised));
    relay.stop().await;
}

/// SQLite would begin an empty log, and the app would no longer miss the one that is gone.
#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_is_gone_is_still_missed_after_a_peek() {
    let Pair { relay, ana, bo, chat } = Pair::meet().await;
    ana.send_text(chat, "hello").await.unwrap();
    bo.gets(chat, "hello").await;
    // As a crash leaves the folder.
    let crashed = tempfile::tempdir().unwrap();
    for name in ["history.db", "history.db-wal", "lock"] {
        std::fs::copy(bo.folder.path().join(name), crashed.path().join(name)).unwrap();
    }
    assert_eq!(peek(crashed.path(), &relay).await.unwrap().messages, [], "with its log it can be read");
    for name in ["history.db-wal", "history.db-shm"] {
        drop(std::fs::remove_file(crashed.path().join(name)));
    }
    let missed = peek(crashed.path(), &relay).await;
    assert!(matches!(missed, Err(Error::Corrupt { .. })), "{missed:?}");
    let client = Client::open(Config::new(crashed.path(), NOWHERE)).await.unwrap();
    assert_eq!(client.salvages().await.unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bound_folder_is_peeked_into_with_its_secret_only_and_none_is_bound_by_it() {
    let Pair { relay, ana, bo, chat } = Pair::meet().await;
    let config = || Config::new(bo.folder.path(), relay.url());
    bo.close().await.unwrap();
    ana.send_text(chat, "hello").await.unwrap();
    ana.until(chat, "sent", |messages| messages[0].state == MessageState::Sent).await;
    let peek =
        |config: Config| async move { chasqui::peek(&config, DEADLINE).await.map(|peeked| peeked.messages.len()) };
    assert_eq!(peek(config().device_binding([9; 32])).await, Ok(1));
    let client = Client::open(config().device_binding([1; 32])).await.expect("the peek has bound nothing");
    client.close().await.unwrap();
    assert_eq!(peek(config()).await, Err(Error::OtherDevice));
    assert_eq!(peek(config().device_binding([2; 32])).await, Err(Error::OtherDevice));
    assert_eq!(
        peek(config().device_binding([2; 32]).adopt_copy()).await,
        Err(Error::OtherDevice),
        "adopting is the app's"
    );
    assert!(peek(config().device_binding([1; 32])).await.is_ok());

    let copy = Client::open(config().device_binding([2; 32]).adopt_copy()).await.unwrap();
    assert_eq!(copy.connection(), ConnectionState::Blocked(Blocked::Copied));
    assert_eq!(peek(config().device_binding([2; 32])).await, Err(Error::NotEnrolled), "a copy gets nobody's mail");
}

/// A notification says what an encrypted message says, and takes nothing of what the app needs to read it.
#[tokio::test(flavor = "multi_thread")]
async fn encrypted_mail_is_shown_as_often_as_wanted_and_still_read_afterwards() {
    let Pair { relay, ana, mut bo, chat } = Pair::in_secret().await;
    ana.send_text(chat, "the first").await.unwrap();
    bo.gets(chat, "the first").await;
    let to_bo = bo.user().await;
    bo.close().await.unwrap();
    // Also what comes after the group has changed meanwhile.
    let laptop = Device::logged_in(&relay, "ana").await;
    crate::stage::link(&ana, &laptop).await;
    assert_eq!(laptop.open_direct(to_bo).await, Ok(chat));
    ana.send_text(chat, "closed").await.unwrap();
    laptop.send_text(chat, "from the laptop").await.unwrap();
    let sent = |messages: &[&Message]| messages.iter().all(|message| message.state != MessageState::Pending);
    ana.until(chat, "sent", sent).await;
    laptop.until(chat, "sent, and the history", |messages| messages.len() == 3 && sent(messages)).await;
    for _ in 0..3 {
        let peeked = peek(bo.folder.path(), &relay).await.unwrap();
        let mut shown = texts(&peeked);
        shown.sort_unstable();
        assert_eq!((shown, peeked.unread), (vec!["closed", "from the laptop"], 3));
    }
    bo.reopen(&relay).await;
    bo.gets(chat, "closed").await;
    bo.gets(chat, "from the laptop").await;
    assert_eq!(bo.total_unread().await.unwrap(), 3);
    assert_eq!(peek(bo.folder.path(), &relay).await.unwrap(), Peeked { unread: 3, ..Peeked::default() });
}

/// Who puts this device in a group while nobody looks has it join when it is opened, and hides nothing meanwhile.
#[tokio::test(flavor = "multi_thread")]
async fn what_begins_a_conversation_is_shown() {
    let relay = Relay::start().await;
    let (ana, mut bo) = (Device::registered(&relay, "ana").await, Device::registered(&relay, "bo").await);
    bo.online().await;
    let to_bo = bo.user().await;
    bo.close().await.unwrap();
    ana.online().await;
    let chat = ana.open_direct(to_bo).await.unwrap();
    ana.send_text(chat, "we have not met").await.unwrap();
    ana.until(chat, "sent", |messages| messages[0].state == MessageState::Sent).await;
    for _ in 0..2 {
        let peeked = peek(bo.folder.path(), &relay).await.unwrap();
        assert_eq!((texts(&peeked), peeked.unread), (vec!["we have not met"], 1));
    }
    bo.reopen(&relay).await;
    bo.gets(chat, "we have not met").await;
}
