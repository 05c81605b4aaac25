//! Register, log in, list and revoke devices, log out, wipe.

use chasqui::{Blocked, Client, Config, ConnectionState, Error};

use crate::flaky::Flaky;
use crate::stage::{Device, PASSWORD, Pair, Relay};

#[tokio::test(flavor = "multi_thread")]
async fn a_blank_client_is_nobodys() {
    let relay = Relay::start().await;
    let device = Device::blank(&relay.url()).await;
    assert_eq!(device.account().await.unwrap(), None);
    assert_eq!(device.connection(), ConnectionState::Blocked(Blocked::NotEnrolled));
    let somebody = "0190f5f0-0000-7000-8000-000000000001".parse().unwrap();
    assert_eq!(device.open_readable(somebody).await, Err(Error::NotEnrolled));
    assert_eq!(device.devices().await, Err(Error::NotEnrolled));
    assert_eq!(device.find_user("ana").await, Err(Error::NotEnrolled));
    assert_eq!(device.logout().await, Err(Error::NotEnrolled));
    assert_eq!(device.conversations(10).await, Ok(vec![]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_registration_leaves_the_folder_free() {
    let relay = Relay::start().await;
    let ana = Device::registered(&relay, "ana").await;
    let bo = Device::blank(&relay.url()).await;
    assert_eq!(bo.register("ana", PASSWORD, "phone").await, Err(Error::NameTaken));
    assert_eq!(bo.register("ana", PASSWORD, "phone").await, Err(Error::NameTaken), "again");
    for (name, password) in [("bo", "short"), ("", PASSWORD), ("b o", PASSWORD)] {
        let refused = bo.register(name, password, "phone").await;
        assert!(matches!(refused, Err(Error::Invalid { .. })), "{name:?} {password:?}: {refused:?}");
    }
    assert_eq!(bo.account().await.unwrap(), None);
    let account = bo.register("bo", PASSWORD, "phone").await.unwrap();
    assert_eq!((account.name.as_str(), account.node.as_str()), ("bo", relay.url().as_str()));
    assert_eq!(bo.account().await.unwrap(), Some(account.clone()));
    bo.online().await;
    assert_eq!(ana.find_user("bo").await.unwrap().user, account.user);
    assert_eq!(ana.find_user("nobody").await, Err(Error::NotFound { what: "user" }));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_is_enrolled_once() {
    let relay = Relay::start().await;
    let ana = Device::registered(&relay, "ana").await;
    assert_eq!(ana.register("ana", PASSWORD, "phone").await, Err(Error::AlreadyEnrolled));
    assert_eq!(ana.register("bo", PASSWORD, "phone").await, Err(Error::AlreadyEnrolled));
    assert_eq!(ana.login("ana", PASSWORD, "phone").await, Err(Error::AlreadyEnrolled));
    assert_eq!(ana.devices().await.unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn log_in_with_the_right_password_only() {
    let relay = Relay::start().await;
    let phone = Device::registered(&relay, "ana").await;
    let laptop = Device::blank(&relay.url()).await;
    assert_eq!(laptop.login("ana", "wrong horse", "laptop").await, Err(Error::Unauthorised));
    assert_eq!(laptop.login("nobody", PASSWORD, "laptop").await, Err(Error::Unauthorised), "says nothing about names");
    let account = laptop.login("ana", PASSWORD, "laptop").await.unwrap();
    assert_eq!(account.user, phone.user().await);
    laptop.online().await;

    let mut devices = laptop.devices().await.unwrap();
    devices.sort_by_key(|device| device.is_this_device);
    let shown: Vec<_> = devices.iter().map(|device| (device.name.as_str(), device.is_this_device)).collect();
    assert_eq!(shown, [("phone", false), ("laptop", true)]);
    assert_eq!(devices[1].device, account.device);
    assert!(devices[1].last_seen_at.is_some(), "it is connected");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_has_so_many_devices() {
    let relay = Relay::configured(|config| config.devices_per_user = 2).await;
    let phone = Device::registered(&relay, "ana").await;
    let laptop = Device::logged_in(&relay, "ana").await;
    let tablet = Device::blank(&relay.url()).await;
    assert!(matches!(tablet.login("ana", PASSWORD, "tablet").await, Err(Error::Forbidden { .. })));
    laptop.logout().await.unwrap();
    tablet.login("ana", PASSWORD, "tablet").await.unwrap();
    assert_eq!(phone.devices().await.unwrap().len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn enrolment_is_repeated_after_a_lost_answer() {
    let relay = Relay::start().await;
    for (path, is_login) in [("POST /v1/register", false), ("POST /v1/login", true)] {
        let network = Flaky::before(relay.address(), path).await;
        let device = Device::blank(&network.url).await;
        network.lose_the_next_answer();
        let enrol = async |name| {
            if is_login {
                device.login(name, PASSWORD, "laptop").await
            } else {
                device.register(name, PASSWORD, "phone").await
            }
        };
        let lost = enrol("ana").await;
        assert!(matches!(lost, Err(Error::Offline { .. })), "{path}: {lost:?}");
        assert!(network.has_lost(), "{path}");
        assert_eq!(device.account().await.unwrap(), None, "{path}");
        let account = enrol("ana").await.unwrap_or_else(|error| panic!("{path}: {error}"));
        device.online().await;
        let devices = device.devices().await.unwrap();
        assert_eq!(devices.len(), if is_login { 2 } else { 1 }, "{path}: enrolled once");
        assert!(devices.iter().any(|found| found.device == account.device), "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn after_logout_the_history_stays_readable() {
    let Pair { relay, ana, bo, chat } = Pair::meet().await;
    ana.send_text(chat, "before").await.unwrap();
    bo.gets(chat, "before").await;
    let laptop = Device::logged_in(&relay, "bo").await;
    bo.logout().await.unwrap();
    assert_eq!(bo.connection(), ConnectionState::Blocked(Blocked::NotEnrolled));
    assert_eq!(bo.account().await.unwrap(), None);
    assert_eq!(bo.texts(chat).await, ["before"]);
    assert_eq!(bo.send_text(chat, "no").await, Err(Error::NotEnrolled));
    let devices = laptop.devices().await.unwrap();
    assert_eq!(devices.iter().map(|device| device.name.as_str()).collect::<Vec<_>>(), ["laptop"]);

    // It is not for anybody else, and logged in again it goes on where it stopped.
    let refused = bo.register("cleo", PASSWORD, "phone").await;
    assert!(matches!(refused, Err(Error::Invalid { .. })), "{refused:?}");
    bo.login("bo", PASSWORD, "phone again").await.unwrap();
    bo.online().await;
    ana.send_text(chat, "after").await.unwrap();
    bo.gets(chat, "after").await;
    assert_eq!(bo.texts(chat).await, ["before", "after"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn logout_needs_the_node() {
    let mut relay = Relay::start().await;
    let ana = Device::registered(&relay, "ana").await;
    ana.online().await;
    relay.stop().await;
    assert!(matches!(ana.logout().await, Err(Error::Offline { .. })));
    assert!(ana.account().await.unwrap().is_some(), "still enrolled");
    relay.start_again().await;
    ana.network_up();
    ana.logout().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wiped_folder_is_empty_and_free() {
    let Pair { relay, ana, bo, chat } = Pair::meet().await;
    ana.send_text(chat, "secret").await.unwrap();
    bo.gets(chat, "secret").await;
    let Device { client, folder } = bo;
    let other = client.clone();
    client.wipe().await.unwrap();
    assert_eq!(other.account().await, Err(Error::Closed));
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    let client = Client::open(Config::new(folder.path(), relay.url())).await.unwrap();
    assert_eq!(client.account().await.unwrap(), None);
    client.register("cleo", PASSWORD, "phone").await.unwrap();
    assert_eq!(client.conversations(10).await.unwrap(), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn wiping_does_not_take_a_folder_from_who_has_it_now() {
    let relay = Relay::start().await;
    let ana = Device::registered(&relay, "ana").await;
    ana.close().await.unwrap();
    let newer = Client::open(Config::new(ana.folder.path(), relay.url())).await.unwrap();
    assert_eq!(ana.client.clone().wipe().await, Err(Error::FolderInUse));
    assert!(newer.account().await.unwrap().is_some());
    newer.wipe().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_device_is_told_and_gets_nothing() {
    let Pair { relay, ana, mut bo, chat } = Pair::meet().await;
    let laptop = Device::logged_in(&relay, "bo").await;
    bo.online().await;
    let phone = bo.account().await.unwrap().expect("enrolled").device;
    laptop.revoke_device(phone).await.unwrap();
    bo.is(ConnectionState::Blocked(Blocked::Revoked)).await;
    assert_eq!(bo.devices().await, Err(Error::Unauthorised));
    ana.send_text(chat, "for the laptop").await.unwrap();
    laptop.gets(chat, "for the laptop").await;
    bo.reopen(&relay).await;
    bo.is(ConnectionState::Blocked(Blocked::Revoked)).await;
    assert_eq!(bo.texts(chat).await, [""; 0]);
    assert!(matches!(laptop.revoke_device(phone).await, Ok(()) | Err(Error::NotFound { .. })), "again");
    // It may leave all the same.
    bo.logout().await.unwrap();
    assert_eq!(bo.account().await.unwrap(), None);
}
