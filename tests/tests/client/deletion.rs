//! An account is deleted: at the node, in its folder, and for everybody who knew it.

use chasqui::{
    AccountProof, Blocked, Client, Config, ConnectionState, Error, ErrorCode, Failure, MessageState, Undelivered,
};

use crate::flaky::Flaky;
use crate::stage::{Device, PASSWORD, Pair, Relay};

fn password() -> AccountProof {
    AccountProof::password(PASSWORD)
}

fn is_empty(device: &Device) -> bool {
    std::fs::read_dir(device.folder.path()).unwrap().next().is_none()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_sent_arrives_and_what_is_sent_afterwards_fails_clearly() {
    let Pair { relay, ana, mut bo, chat } = Pair::meet().await;
    ana.online().await;
    bo.suspend().await.unwrap();
    ana.send_text(chat, "farewell").await.unwrap();
    ana.until(chat, "sent", |messages| messages[0].state == MessageState::Sent).await;

    assert_eq!(ana.delete_account(AccountProof::none()).await, Err(Error::ProofNeeded));
    assert_eq!(ana.delete_account(AccountProof::password("wrong horse")).await, Err(Error::ProofNeeded));
    assert_eq!(ana.delete_account(AccountProof::pin("1234")).await, Err(Error::ProofNeeded), "there is none");
    assert!(ana.account().await.unwrap().is_some(), "nothing was deleted");
    ana.delete_account(password()).await.unwrap();
    assert!(is_empty(&ana));
    assert_eq!(ana.account().await, Err(Error::Closed));

    bo.resume().await.unwrap();
    bo.gets(chat, "farewell").await;
    bo.mark_read(chat, None).await.unwrap();
    bo.send_text(chat, "are you there?").await.unwrap();
    let refused = MessageState::Failed(Failure::Refused(ErrorCode::AccountDeleted));
    bo.until(chat, "a refusal", |messages| messages.last().unwrap().state == refused).await;
    bo.until_listed("the peer's end", |list| list[0].peer_deleted).await;

    // The name is free, and says nothing about who had it.
    let newcomer = Device::registered(&relay, "ana").await;
    let found = bo.find_user("ana").await.unwrap();
    assert_eq!(found.user, newcomer.user().await);
    let other = bo.open_readable(found.user).await.unwrap();
    assert_ne!(other, chat);
    bo.reopen(&relay).await;
    assert!(bo.conversation(chat).await.unwrap().unwrap().peer_deleted, "remembered");
    assert_eq!(bo.texts(chat).await, ["farewell", "are you there?"], "the history is Bo's own");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waited_for_the_account_is_told_to_be_undelivered() {
    let Pair { relay, ana, bo, chat } = Pair::meet().await;
    let laptop = Device::logged_in(&relay, "bo").await;
    bo.suspend().await.unwrap();
    laptop.suspend().await.unwrap();
    ana.send_text(chat, "too late").await.unwrap();
    ana.until(chat, "sent", |messages| messages[0].state == MessageState::Sent).await;
    let tablet = Device::logged_in(&relay, "bo").await;
    tablet.delete_account(password()).await.unwrap();
    let gone = MessageState::Undelivered(Undelivered::DeviceGone);
    ana.until(chat, "undelivered", |messages| messages[0].state == gone).await;
    ana.until_listed("the peer's end", |list| list[0].peer_deleted).await;

    // The other devices are told, and end as well, without any proof.
    laptop.resume().await.unwrap();
    laptop.is(ConnectionState::Blocked(Blocked::Revoked)).await;
    assert_eq!(laptop.devices().await, Err(Error::AccountDeleted));
    laptop.delete_account(AccountProof::none()).await.unwrap();
    assert!(is_empty(&laptop));
    bo.resume().await.unwrap();
    bo.logout().await.unwrap();
    assert_eq!(bo.account().await.unwrap(), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_answer_or_a_crash_ends_the_same() {
    let relay = Relay::start().await;
    let network = Flaky::before(relay.address(), "DELETE /v1/account").await;
    let mut ana = Device::blank(&network.url).await;
    ana.register("ana", PASSWORD, "phone").await.unwrap();
    ana.online().await;
    network.lose_the_next_answer();
    let lost = ana.delete_account(password()).await;
    assert!(matches!(lost, Err(Error::Offline { .. })) && network.has_lost(), "{lost:?}");
    // The app is closed, and the node's token forgotten with it.
    ana.close().await.unwrap();
    ana.client = Client::open(Config::new(ana.folder.path(), &network.url)).await.unwrap();
    assert!(ana.account().await.unwrap().is_some(), "the app sees that it has to ask again");
    ana.is(ConnectionState::Blocked(Blocked::Revoked)).await;
    ana.delete_account(password()).await.unwrap();
    assert!(is_empty(&ana));
    let client = Client::open(Config::new(ana.folder.path(), relay.url())).await.unwrap();
    client.register("ana", PASSWORD, "phone").await.unwrap();
    assert_eq!(client.conversations(10).await.unwrap(), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_node_nothing_is_deleted() {
    let mut relay = Relay::start().await;
    let ana = Device::registered(&relay, "ana").await;
    ana.online().await;
    relay.stop().await;
    assert!(matches!(ana.delete_account(password()).await, Err(Error::Offline { .. })));
    assert!(ana.account().await.unwrap().is_some());
    relay.start_again().await;
    ana.network_up();
    ana.delete_account(password()).await.unwrap();
    assert_eq!(Device::blank(&relay.url()).await.login("ana", PASSWORD, "phone").await, Err(Error::Unauthorised));
}
