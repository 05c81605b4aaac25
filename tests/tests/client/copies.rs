//! A data folder that was copied, or restored from an older copy: whoever comes later is told, and loses no word.

use std::path::Path;

use chasqui::{Blocked, Client, Config, ConnectionState, Error};
use tempfile::TempDir;

use crate::stage::{Device, PASSWORD, Pair, Relay};

/// Where no node is.
const NOWHERE: &str = "http://127.0.0.1:1";

fn copy_of(folder: &Path) -> TempDir {
    let copy = tempfile::tempdir().unwrap();
    for file in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
        std::fs::copy(file.path(), copy.path().join(file.file_name())).unwrap();
    }
    copy
}

async fn open(folder: TempDir, relay: &Relay) -> Device {
    let client = Client::open(Config::new(folder.path(), relay.url())).await.unwrap();
    Device { client, folder }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_older_copy_is_told_keeps_its_words_and_sends_them_as_a_new_device() {
    let Pair { mut relay, mut ana, bo, chat } = Pair::meet().await;
    ana.send_text(chat, "one").await.unwrap();
    bo.gets(chat, "one").await;
    ana.online().await;
    relay.stop().await;
    ana.send_text(chat, "on both sides").await.unwrap();
    ana.close().await.unwrap();
    let copy = copy_of(ana.folder.path());
    relay.start_again().await;
    ana.client = Client::open(Config::new(ana.folder.path(), relay.url())).await.unwrap();
    bo.network_up();
    bo.gets(chat, "on both sides").await;
    ana.online().await;

    let copy = open(copy, &relay).await;
    copy.is(ConnectionState::Blocked(Blocked::Copied)).await;
    copy.send_text(chat, "in the copy").await.unwrap();
    assert_eq!(copy.texts(chat).await, ["one", "on both sides", "in the copy"], "nothing is lost here");
    assert_eq!(copy.find_user("bo").await, Err(Error::NotEnrolled), "it does not act as the device over HTTP either");
    let copy = {
        copy.close().await.unwrap();
        open(copy.folder, &relay).await
    };
    assert_eq!(copy.connection(), ConnectionState::Blocked(Blocked::Copied), "still, after a restart");

    copy.login("ana", PASSWORD, "the copy").await.unwrap();
    bo.gets(chat, "in the copy").await;
    assert_eq!(bo.texts(chat).await, ["one", "on both sides", "in the copy"], "once each");
    ana.gets(chat, "in the copy").await;
    ana.send_text(chat, "the device goes on").await.unwrap();
    copy.gets(chat, "the device goes on").await;
    assert_eq!(ana.devices().await.unwrap().len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn logging_out_of_a_copy_leaves_the_device_alone() {
    let Pair { relay, ana, bo, chat } = Pair::meet().await;
    ana.online().await;
    let copy = open(copy_of(ana.folder.path()), &relay).await;
    // Which of the two is told depends on who was seen first.
    let told = loop {
        let told = |device: &Device| device.connection() == ConnectionState::Blocked(Blocked::Copied);
        if told(&copy) {
            break &copy;
        }
        if told(&ana) {
            break &ana;
        }
        ana.network_up();
        copy.network_up();
        tokio::task::yield_now().await;
    };
    let other = if std::ptr::eq(told, &copy) { &ana } else { &copy };
    told.logout().await.unwrap();
    other.network_up();
    other.online().await;
    other.send_text(chat, "not revoked").await.unwrap();
    bo.gets(chat, "not revoked").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bound_folder_opens_at_home_only() {
    let Pair { relay, ana, bo, chat } = Pair::meet().await;
    let at_home = |folder: &Path, node: &str| Config::new(folder, node).device_binding([1; 32]);
    ana.close().await.unwrap();
    let folder = &ana.folder;
    let home = Client::open(at_home(folder.path(), &relay.url())).await.unwrap();
    home.close().await.unwrap();
    for elsewhere in [Config::new(folder.path(), NOWHERE), Config::new(folder.path(), NOWHERE).device_binding([2; 32])]
    {
        let refused = Client::open(elsewhere).await.unwrap_err();
        assert_eq!((&refused, refused.is_retryable()), (&Error::OtherDevice, false));
    }
    let home = Client::open(at_home(folder.path(), &relay.url())).await.unwrap();
    home.send_text(chat, "at home").await.unwrap();
    bo.gets(chat, "at home").await;
    home.suspend().await.unwrap();
    home.resume().await.unwrap();
    home.close().await.unwrap();

    let adopted = Config::new(folder.path(), relay.url()).device_binding([2; 32]).adopt_copy();
    let adopted = Client::open(adopted).await.unwrap();
    assert_eq!(adopted.connection(), ConnectionState::Blocked(Blocked::Copied));
    adopted.login("ana", PASSWORD, "another phone").await.unwrap();
    adopted.send_text(chat, "adopted").await.unwrap();
    bo.gets(chat, "adopted").await;
    adopted.close().await.unwrap();
    assert_eq!(Client::open(at_home(folder.path(), NOWHERE)).await.unwrap_err(), Error::OtherDevice);
}
