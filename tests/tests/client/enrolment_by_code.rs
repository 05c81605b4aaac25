//! People whose name is a telephone number: a code gets a device in, a PIN a further one.

use chasqui::{Client, Config, Error};
use chasqui_node::phone::{PhoneConfig, SenderKind};

use crate::flaky::Flaky;
use crate::gateway::{Answer, App};
use crate::stage::{Device, Relay};

const NUMBER: &str = "+5491123456789";

struct Stage {
    relay: Relay,
    gateway: App,
    _secret: tempfile::TempDir,
}

impl Stage {
    async fn new() -> Self {
        let gateway = App::start(Answer::Status(200)).await;
        let folder = tempfile::tempdir().unwrap();
        let secret_file = folder.path().join("secret");
        std::fs::write(&secret_file, "between node and gateway").unwrap();
        let relay = Relay::configured(|config| {
            config.passwords = false;
            config.phone = PhoneConfig {
                sender: Some(SenderKind::Webhook),
                webhook_url: Some(gateway.url.clone()),
                secret_file: Some(secret_file),
                resend_seconds: 0,
                ..PhoneConfig::default()
            };
        });
        Self { relay: relay.await, gateway, _secret: folder }
    }

    /// The challenge, and what is on the telephone's display.
    async fn code(&self, client: &Client, number: &str) -> (String, String) {
        let challenge = client.request_code(number).await.unwrap();
        assert!(challenge.expires_in_ms > 0 && challenge.resend_after_ms > 0);
        let order: serde_json::Value = serde_json::from_str(&self.gateway.asked().last().unwrap().body).unwrap();
        (challenge.id, order["code"].as_str().unwrap().to_owned())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn people_with_telephones_talk_to_each_other() {
    let stage = Stage::new().await;
    let (ana, bo) = (Device::blank(&stage.relay.url()).await, Device::blank(&stage.relay.url()).await);
    assert!(matches!(ana.request_code("hello").await, Err(Error::Invalid { .. })));
    let (challenge, code) = stage.code(&ana, NUMBER).await;
    let other = format!("{:06}", (code.parse::<u32>().unwrap() + 1) % 1_000_000);
    assert_eq!(ana.enrol_with_code(&challenge, &other, None, "phone").await, Err(Error::InvalidCode));
    ana.enrol_with_code(&challenge, &code, None, "phone").await.unwrap();
    let (challenge, code) = stage.code(&bo, "+12015550123").await;
    let bo_account = bo.enrol_with_code(&challenge, &code, None, "phone").await.unwrap();
    let chat = ana.open_readable(bo_account.user).await.unwrap();
    ana.send_text(chat, "hello").await.unwrap();
    bo.gets(chat, "hello").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pin_lets_a_further_device_in() {
    let stage = Stage::new().await;
    let (phone, laptop) = (Device::blank(&stage.relay.url()).await, Device::blank(&stage.relay.url()).await);
    let (challenge, code) = stage.code(&phone, NUMBER).await;
    let account = phone.enrol_with_code(&challenge, &code, None, "phone").await.unwrap();
    let (challenge, code) = stage.code(&laptop, NUMBER).await;
    let waits = laptop.enrol_with_code(&challenge, &code, None, "laptop").await;
    assert!(matches!(waits, Err(Error::WaitingPeriod { retry_after_ms: 1.. })), "{waits:?}");
    let waits = laptop.replace_account_with_code(&challenge, &code, "laptop").await;
    assert!(matches!(waits, Err(Error::WaitingPeriod { .. })), "{waits:?}");
    assert_eq!(laptop.set_pin(Some("2468")).await, Err(Error::NotEnrolled));
    phone.set_pin(Some("2468")).await.unwrap();
    assert_eq!(laptop.enrol_with_code(&challenge, &code, None, "laptop").await, Err(Error::PinNeeded));
    assert_eq!(laptop.enrol_with_code(&challenge, &code, Some("1357"), "laptop").await, Err(Error::WrongPin));
    assert_eq!(laptop.account().await.unwrap(), None);
    let joined = laptop.enrol_with_code(&challenge, &code, Some("2468"), "laptop").await.unwrap();
    assert_eq!(joined.user, account.user);
    laptop.online().await;
    assert_eq!(laptop.devices().await.unwrap().len(), 2);
    laptop.set_pin(None).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_code_is_repeated_after_a_lost_answer() {
    let stage = Stage::new().await;
    let network = Flaky::before(stage.relay.address(), "POST /v1/phone/enrol").await;
    let device = Device::blank(&network.url).await;
    let (challenge, code) = stage.code(&device, NUMBER).await;
    network.lose_the_next_answer();
    let lost = device.enrol_with_code(&challenge, &code, None, "phone").await;
    assert!(matches!(lost, Err(Error::Offline { .. })) && network.has_lost(), "{lost:?}");
    // The app is closed, and the code mistyped: the node has the device, and it stays the same one.
    device.close().await.unwrap();
    let client = Client::open(Config::new(device.folder.path(), &network.url)).await.unwrap();
    assert_eq!(client.enrol_with_code(&challenge, "no code", None, "phone").await, Err(Error::InvalidCode));
    // The code is lost as well: another one does.
    let (challenge, code) = stage.code(&client, NUMBER).await;
    let account = client.enrol_with_code(&challenge, &code, None, "phone").await.unwrap();
    let devices = client.devices().await.unwrap();
    assert_eq!(devices.iter().map(|found| found.device).collect::<Vec<_>>(), [account.device], "enrolled once");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_logged_out_comes_back_by_the_number() {
    let stage = Stage::new().await;
    let device = Device::blank(&stage.relay.url()).await;
    let (challenge, code) = stage.code(&device, NUMBER).await;
    let account = device.enrol_with_code(&challenge, &code, None, "phone").await.unwrap();
    device.logout().await.unwrap();
    let (challenge, code) = stage.code(&device, "+12015550123").await;
    let other = device.enrol_with_code(&challenge, &code, None, "phone").await;
    assert!(matches!(other, Err(Error::Forbidden { .. })), "the folder is somebody's: {other:?}");
    let (challenge, code) = stage.code(&device, NUMBER).await;
    assert_eq!(device.enrol_with_code(&challenge, &code, None, "phone").await.unwrap().user, account.user);
    device.online().await;
}
