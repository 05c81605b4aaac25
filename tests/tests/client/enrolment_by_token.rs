//! The app brings its own users: a token of its backend enrols devices.

use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use chasqui::{Client, Config, Error};
use chasqui_node::jwt::{Algorithm, JwtConfig};
use ring::hmac;
use serde_json::json;

use crate::flaky::Flaky;
use crate::stage::{Device, PASSWORD, Relay};

const SECRET: &str = "what the app's backend and the node share";

/// What an app's backend does: a few lines in any language.
fn token(subject: &str) -> String {
    #[expect(clippy::disallowed_methods, reason = "the backend's clock")]
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let claims = json!({"iss": "app", "aud": "chasqui", "sub": subject, "iat": now, "exp": now + 300});
    let signed = format!("{}.{}", BASE64.encode(r#"{"alg":"HS256"}"#), BASE64.encode(claims.to_string()));
    let key = hmac::Key::new(hmac::HMAC_SHA256, SECRET.as_bytes());
    format!("{signed}.{}", BASE64.encode(hmac::sign(&key, signed.as_bytes()).as_ref()))
}

/// A relay whose people are found by the app's own ids.
async fn relay() -> (Relay, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let secret_file = folder.path().join("secret");
    std::fs::write(&secret_file, SECRET).unwrap();
    let relay = Relay::configured(|config| {
        config.passwords = false;
        config.jwt = JwtConfig {
            issuer: Some("app".into()),
            audience: Some("chasqui".into()),
            algorithms: vec![Algorithm::HS256],
            secret_file: Some(secret_file),
            name_claim: Some("sub".into()),
            ..JwtConfig::default()
        };
    });
    (relay.await, folder)
}

#[tokio::test(flavor = "multi_thread")]
async fn people_of_the_app_talk_to_each_other() {
    let (relay, _secret) = relay().await;
    let (ana, bo) = (Device::blank(&relay.url()).await, Device::blank(&relay.url()).await);
    let laptop = Device::blank(&relay.url()).await;
    let account = ana.enrol_with_token(&token("user-1"), "phone").await.unwrap();
    assert_eq!(account.name, "user-1");
    bo.enrol_with_token(&token("user-2"), "phone").await.unwrap();
    assert_eq!(laptop.enrol_with_token(&token("user-2"), "laptop").await.unwrap().user, bo.user().await);
    assert_eq!(bo.devices().await.unwrap().len(), 2);

    let chat = ana.open_readable(ana.find_user("user-2").await.unwrap().user).await.unwrap();
    ana.send_text(chat, "hello").await.unwrap();
    bo.gets(chat, "hello").await;
    laptop.gets(chat, "hello").await;
    assert_eq!(ana.enrol_with_token(&token("user-1"), "phone").await, Err(Error::AlreadyEnrolled));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_is_repeated_after_a_lost_answer() {
    let (relay, _secret) = relay().await;
    let network = Flaky::before(relay.address(), "POST /v1/enrol/jwt").await;
    let device = Device::blank(&network.url).await;
    network.lose_the_next_answer();
    let lost = device.enrol_with_token(&token("user-1"), "phone").await;
    assert!(matches!(lost, Err(Error::Offline { .. })) && network.has_lost(), "{lost:?}");
    // A token that was refused in between says nothing about the device, which the node has.
    let refused = device.enrol_with_token("garbage", "phone").await;
    assert!(matches!(refused, Err(Error::InvalidToken { .. })), "{refused:?}");
    // Neither does a crash of the app.
    device.close().await.unwrap();
    let client = Client::open(Config::new(device.folder.path(), &network.url)).await.unwrap();
    let account = client.enrol_with_token(&token("user-1"), "phone").await.unwrap();
    let devices = client.devices().await.unwrap();
    assert_eq!(devices.iter().map(|found| found.device).collect::<Vec<_>>(), [account.device], "enrolled once");
}

#[tokio::test(flavor = "multi_thread")]
async fn somebody_else_may_come_after_a_lost_answer() {
    let (relay, _secret) = relay().await;
    let network = Flaky::before(relay.address(), "POST /v1/enrol/jwt").await;
    let device = Device::blank(&network.url).await;
    network.lose_the_next_answer();
    assert!(device.enrol_with_token(&token("user-1"), "phone").await.is_err());
    let account = device.enrol_with_token(&token("user-2"), "phone").await.unwrap();
    assert_eq!(account.name, "user-2");
    device.online().await;
    assert_eq!(device.devices().await.unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_stays_its_users() {
    let (relay, _secret) = relay().await;
    let device = Device::blank(&relay.url()).await;
    let ana = device.enrol_with_token(&token("user-1"), "phone").await.unwrap();
    device.logout().await.unwrap();
    let refused = device.enrol_with_token(&token("user-2"), "phone").await;
    assert!(matches!(refused, Err(Error::Forbidden { .. })), "{refused:?}");
    let again = device.enrol_with_token(&token("user-1"), "phone").await.unwrap();
    assert_eq!((again.user, again.device == ana.device), (ana.user, false));
    let other = Device::blank(&relay.url()).await;
    other.enrol_with_token(&token("user-2"), "phone").await.unwrap();
    assert_eq!(other.devices().await.unwrap().len(), 1, "the refusal had enrolled nothing");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_may_want_tokens_only_or_none() {
    let (relay, _secret) = relay().await;
    let device = Device::blank(&relay.url()).await;
    let refused = device.register("ana", PASSWORD, "phone").await;
    assert!(matches!(refused, Err(Error::Incompatible { .. })), "{refused:?}");
    let plain = Relay::start().await;
    let device = Device::blank(&plain.url()).await;
    let refused = device.enrol_with_token(&token("user-1"), "phone").await;
    assert!(matches!(refused, Err(Error::Incompatible { .. })), "{refused:?}");
}
