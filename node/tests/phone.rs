//! Enrolment by a code to a telephone, over HTTP, with a gateway that behaves and one that does not.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod app;
mod client;

use std::sync::{Arc, Mutex};

use app::{Answer, App};
use chasqui_node::config::Config;
use chasqui_node::phone::{PhoneConfig, SenderKind};
use chasqui_node::serve;
use chasqui_wire::UserId;
use chasqui_wire::http::{CodeRequest, CodeSent, EnrolByCode, Enrolled, Key, NewPin, Newcomer};
use client::{Device, Node, Response, config, raw_request, request};
use serde_json::{Value, json};

const NUMBER: &str = "+5491123456789";

struct Stage {
    node: Node,
    gateway: App,
}

impl Stage {
    async fn new(change: impl FnOnce(&mut PhoneConfig)) -> Self {
        let gateway = App::start(Answer::Status(204)).await;
        let folder = tempfile::tempdir().unwrap();
        let secret_file = folder.path().join("gateway-secret");
        std::fs::write(&secret_file, "between node and gateway\n").unwrap();
        let mut phone = PhoneConfig {
            sender: Some(SenderKind::Webhook),
            webhook_url: Some(gateway.url.clone()),
            secret_file: Some(secret_file),
            default_region: Some("AR".into()),
            ..PhoneConfig::default()
        };
        change(&mut phone);
        let metrics_listen = Some(([127, 0, 0, 1], 0).into());
        let running = serve::start(Config { phone, metrics_listen, ..config(&folder) }).await.unwrap();
        Self { node: Node { running, folder }, gateway }
    }

    fn device(&self, byte: u8) -> Device {
        Device::new(&self.node, byte, byte)
    }

    async fn ask(&self, phone: &str) -> Response {
        let device = self.device(1);
        device.post("/v1/phone/codes", &CodeRequest { realm: device.realm, phone: phone.into() }).await
    }

    /// The challenge, and the code that the gateway was told.
    async fn code(&self, phone: &str) -> (String, String) {
        let answer = self.ask(phone).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        let sent: CodeSent = serde_json::from_value(answer.body).unwrap();
        let order: Value = serde_json::from_str(&self.gateway.asked().last().unwrap().body).unwrap();
        (sent.challenge, order["code"].as_str().unwrap().to_owned())
    }

    async fn enrol(&self, byte: u8, (challenge, code): &(String, String), pin: Option<&str>) -> Response {
        let device = self.device(byte);
        device.post("/v1/phone/enrol", &proof(&device, challenge, code, pin)).await
    }
}

fn proof(device: &Device, challenge: &str, code: &str, pin: Option<&str>) -> EnrolByCode {
    let newcomer = Newcomer { user: device.user, identity_key: Key([1; 32]), only: None, device: device.new_device() };
    let (challenge, code, pin) = (challenge.to_owned(), code.into(), pin.map(Into::into));
    EnrolByCode { realm: device.realm, challenge, code, pin, fresh: false, newcomer }
}

fn user_of(response: &Response) -> UserId {
    assert_eq!(response.status, 200, "{}", response.body);
    serde_json::from_value::<Enrolled>(response.body.clone()).unwrap().user
}

/// Another code than this one.
fn wrong(code: &str) -> String {
    format!("{:06}", (code.parse::<u32>().unwrap() + 1) % 1_000_000)
}

#[tokio::test]
async fn from_a_number_to_a_device() {
    let stage = Stage::new(|_| {}).await;
    let shown = stage.code("011 15-2345-6789").await;
    let order = &stage.gateway.asked()[0];
    assert!(order.head.contains("authorization: bearer between node and gateway\r\n"), "{}", order.head);
    assert_eq!(serde_json::from_str::<Value>(&order.body).unwrap(), json!({"phone": NUMBER, "code": shown.1}));

    let wrong_code = (shown.0.clone(), wrong(&shown.1));
    assert_eq!(stage.enrol(1, &wrong_code, None).await.code(), "invalid_code");
    for _ in 0..2 {
        assert_eq!(user_of(&stage.enrol(1, &shown, None).await), stage.device(1).user, "repeating is harmless");
    }
    assert_eq!(stage.enrol(2, &shown, None).await.code(), "invalid_code", "used");
    stage.device(1).welcomed().await;

    // The same number again, at once: not before its time, and the answer is like that for a new one.
    let again = stage.ask(NUMBER).await;
    assert_eq!((again.status, again.code()), (429, "rate_limited"));
    assert!(again.body["error"]["retry_after_ms"].as_u64().unwrap() <= 30_000);

    // Neither number nor code is in the data.
    let Stage { node: Node { running, folder }, .. } = stage;
    running.stop().await;
    for file in ["relay.db", "relay.db-wal"] {
        let bytes = std::fs::read(folder.path().join(file)).unwrap_or_default();
        for secret in [&NUMBER[1..], "91123456789", &shown.1] {
            assert!(!bytes.windows(secret.len()).any(|window| window == secret.as_bytes()), "{file} has {secret}");
        }
    }
}

#[tokio::test]
async fn a_known_number_is_answered_like_any_other() {
    let stage = Stage::new(|phone| phone.resend_seconds = 0).await;
    let shown = stage.code(NUMBER).await;
    user_of(&stage.enrol(1, &shown, None).await);
    let other = stage.ask("+12015550123").await.body;
    let known = stage.ask(NUMBER).await.body;
    let shape = |body: &Value| {
        (body["expires_in_ms"].clone(), body["challenge"].as_str().unwrap().len(), body.as_object().unwrap().len())
    };
    assert_eq!(shape(&known), shape(&other));
    stage.node.running.stop().await;
}

#[tokio::test]
async fn a_pin_guards_the_account() {
    let stage = Stage::new(|phone| phone.resend_seconds = 0).await;
    let shown = stage.code(NUMBER).await;
    let ana = user_of(&stage.enrol(1, &shown, None).await);
    let shown = stage.code(NUMBER).await;
    let waits = stage.enrol(2, &shown, None).await;
    assert_eq!((waits.status, waits.code()), (403, "waiting_period"));
    assert!(waits.body["error"]["retry_after_ms"].as_u64().unwrap() > 6 * 24 * 3600 * 1000);

    // The older device approves by setting a PIN.
    let phone = stage.device(1);
    let token = phone.token().await;
    let put = async |pin: &str, token: Option<&str>| {
        let body = serde_json::to_string(&NewPin { pin: pin.into() }).unwrap();
        request(phone.node, "PUT", "/v1/pin", token, &body).await
    };
    assert_eq!(put("2468", None).await.code(), "unauthorised");
    assert_eq!(put("123", Some(&token)).await.code(), "invalid");
    assert_eq!(put("2468", Some(&token)).await.status, 204);
    assert_eq!(stage.enrol(2, &shown, None).await.code(), "pin_needed");
    assert_eq!(stage.enrol(2, &shown, Some("x")).await.code(), "invalid", "no guess");
    for number in 0..4 {
        let answer = stage.enrol(2, &shown, Some("1357")).await;
        assert_eq!((answer.status, answer.code()), (403, "wrong_pin"));
        let wait = answer.body["error"]["retry_after_ms"].as_u64().unwrap();
        assert_eq!(wait > 0, number == 3, "three are free");
    }
    let locked = stage.enrol(2, &shown, Some("2468")).await;
    assert_eq!((locked.status, locked.code()), (429, "attempts_exhausted"));
    assert!(locked.body["error"]["retry_after_ms"].as_u64().unwrap() > 0);
    // A PIN that is set anew begins anew.
    assert_eq!(put("8642", Some(&token)).await.status, 204);
    assert_eq!(user_of(&stage.enrol(2, &shown, Some("8642")).await), ana);
    let devices = phone.get("/v1/devices", &token).await;
    assert_eq!(devices.body["devices"].as_array().map(Vec::len), Some(2), "the older one stays");
    assert_eq!(request(phone.node, "DELETE", "/v1/pin", Some(&token), "").await.status, 204);
    stage.node.running.stop().await;
}

#[tokio::test]
async fn requests_that_are_refused() {
    let stage = Stage::new(|_| {}).await;
    for phone in ["", "hello", "123", "+1 900 555 0100", &"9".repeat(5_000)] {
        assert_eq!(stage.ask(phone).await.code(), "invalid", "{phone}");
    }
    assert_eq!(stage.gateway.asked().len(), 0);
    let shown = stage.code(NUMBER).await;
    let with = |challenge: &str, code: &str| (challenge.to_owned(), code.to_owned());
    let bad = [
        with("", &shown.1),
        with("AAAAAAAAAAAAAAAAAAAAAA", &shown.1),
        with("garbage", &shown.1),
        with(&shown.0, ""),
        with(&shown.0, "12345"),
        with(&shown.0, "abcdef"),
        with(&shown.0, &"1".repeat(1_000)),
    ];
    for shown in &bad {
        assert_eq!(stage.enrol(1, shown, None).await.code(), "invalid_code", "{shown:?}");
    }
    let wrong = with(&shown.0, &wrong(&shown.1));
    let mut codes = Vec::new();
    for _ in 0..6 {
        codes.push(stage.enrol(1, &wrong, None).await.code().to_owned());
    }
    let expected = ["invalid_code"; 4].into_iter().chain(["attempts_exhausted"; 2]);
    assert!(codes.iter().map(String::as_str).eq(expected), "{codes:?}");
    assert_eq!(stage.enrol(1, &shown, None).await.code(), "attempts_exhausted", "right, and too late");
    let mut request = serde_json::to_value(proof(&stage.device(1), &shown.0, &shown.1, None)).unwrap();
    request["device"]["proof"] = json!(Key([9; 64]));
    assert_eq!(stage.device(1).post("/v1/phone/enrol", &request).await.code(), "invalid");
    stage.node.running.stop().await;

    let stage = Stage::new(|phone| *phone = PhoneConfig::default()).await;
    assert_eq!(stage.ask(NUMBER).await.code(), "not_supported");
    stage.node.running.stop().await;
}

#[tokio::test]
async fn guesses_at_once_are_counted_like_guesses_in_turn() {
    let stage = Arc::new(Stage::new(|_| {}).await);
    let shown = stage.code(NUMBER).await;
    let wrong = (shown.0.clone(), wrong(&shown.1));
    let guesses: Vec<_> = (0..20)
        .map(|_| {
            let (stage, wrong) = (Arc::clone(&stage), wrong.clone());
            tokio::spawn(async move { stage.enrol(1, &wrong, None).await.code().to_owned() })
        })
        .collect();
    let mut invalid = 0;
    for guess in guesses {
        invalid += u32::from(guess.await.unwrap() == "invalid_code");
    }
    assert_eq!(invalid, 4, "and the fifth was the last");
}

#[tokio::test]
async fn floods_are_bounded() {
    let stage = Stage::new(|phone| phone.codes_per_address = 3).await;
    for last in 0..3 {
        stage.code(&format!("+549112345678{last}")).await;
    }
    let refused = stage.ask("+5491123456783").await;
    assert_eq!((refused.status, refused.code()), (429, "rate_limited"));
    stage.node.running.stop().await;

    let stage = Stage::new(|phone| phone.codes_per_hour = 2).await;
    for last in 0..2 {
        stage.code(&format!("+549112345678{last}")).await;
    }
    for _ in 0..2 {
        assert_eq!(stage.ask("+5491123456783").await.code(), "rate_limited");
    }
    assert_eq!(stage.gateway.asked().len(), 2, "nobody pays for more");
    stage.node.running.stop().await;
}

#[tokio::test]
async fn a_gateway_that_fails_is_said_so_and_costs_no_code() {
    let stage = Stage::new(|phone| phone.codes_per_number = 1).await;
    for answer in [Answer::Status(500), Answer::Status(401), Answer::Redirect(stage.gateway.url.clone())] {
        stage.gateway.answers(answer.clone());
        let refused = stage.ask(NUMBER).await;
        assert_eq!((refused.status, refused.code()), (503, "unavailable"), "{answer:?}");
    }
    assert_eq!(stage.gateway.asked().len(), 3, "a redirect is not followed");
    // One that hangs keeps nobody else.
    stage.gateway.answers(Answer::Hang);
    let (address, realm) = (stage.device(1).node, stage.device(1).realm);
    let body = serde_json::to_string(&CodeRequest { realm, phone: NUMBER.into() }).unwrap();
    let waiting = tokio::spawn(async move { request(address, "POST", "/v1/phone/codes", None, &body).await.status });
    stage.gateway.until_asked(4).await;
    Device::registered(&stage.node, 9, "bo").await;
    assert!(!waiting.is_finished());
    stage.gateway.answers(Answer::Status(200));
    assert_eq!(waiting.await.unwrap(), 200);
    let page = raw_request(stage.node.running.metrics_address().unwrap(), "GET", "/metrics", None, "").await;
    for counted in ["chasqui_codes_sent_total 1", "chasqui_codes_failed_total 3"] {
        assert!(page.lines().any(|line| line == counted), "{page}");
    }
    stage.node.running.stop().await;
}

/// What a node logs while somebody enrols.
#[tokio::test]
async fn no_log_has_a_number() {
    #[derive(Clone, Default)]
    struct Log(Arc<Mutex<Vec<u8>>>);
    impl std::io::Write for Log {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let log = Log::default();
    let writer = log.clone();
    let subscriber =
        tracing_subscriber::fmt().with_max_level(tracing::Level::TRACE).with_writer(move || writer.clone());
    drop(tracing::subscriber::set_global_default(subscriber.finish()));
    let stage = Stage::new(|_| {}).await;
    stage.gateway.answers(Answer::Status(500));
    stage.ask(NUMBER).await;
    stage.gateway.answers(Answer::Status(200));
    let shown = stage.code(NUMBER).await;
    user_of(&stage.enrol(1, &shown, None).await);
    stage.node.running.stop().await;
    let log = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    assert!(log.contains("a code could not be sent"), "{log}");
    assert!(!log.contains("23456789") && !log.contains(&shown.1), "{log}");
}

#[tokio::test]
async fn a_pin_guards_the_account_from_being_deleted() {
    let stage = Stage::new(|phone| phone.resend_seconds = 0).await;
    user_of(&stage.enrol(1, &stage.code(NUMBER).await, None).await);
    let device = stage.device(1);
    let bearer = device.token().await;
    let ask = async |method: &str, path: &str, body: Value| {
        request(device.node, method, path, Some(&bearer), &body.to_string()).await
    };
    let pin = serde_json::to_value(NewPin { pin: "2468".into() }).unwrap();
    assert_eq!(ask("PUT", "/v1/pin", pin.clone()).await.status, 204);
    let code = stage.code(NUMBER).await;
    assert_eq!(ask("DELETE", "/v1/account", json!({})).await.code(), "proof_needed");
    for _ in 0..4 {
        assert_eq!(ask("DELETE", "/v1/account", json!({"pin": "1357"})).await.code(), "wrong_pin");
    }
    assert_eq!(ask("DELETE", "/v1/account", pin.clone()).await.code(), "attempts_exhausted", "right or not");
    assert_eq!(ask("PUT", "/v1/pin", pin.clone()).await.status, 204);
    assert_eq!(ask("DELETE", "/v1/account", pin).await.status, 204);
    // A code that was on its way is worth nothing any more; another makes a new account, without a waiting period.
    assert_eq!(stage.enrol(2, &code, None).await.code(), "attempts_exhausted");
    let anew = stage.device(2).user;
    assert_eq!(user_of(&stage.enrol(2, &stage.code(NUMBER).await, None).await), anew);

    // Without a PIN there is nothing to prove.
    let device = stage.device(2);
    let answer = request(device.node, "DELETE", "/v1/account", Some(&device.token().await), "{}").await;
    assert_eq!(answer.status, 204);
}
