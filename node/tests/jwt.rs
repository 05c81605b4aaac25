//! Enrolment by a token of the app's backend, over HTTP, with a key server that behaves and one that does not.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod app;
#[path = "app/tokens.rs"]
mod app_tokens;
mod client;

use app::{Answer, App};
use app_tokens::{Key, hs256, set, unsigned};
use chasqui_node::jwt::{Algorithm, JwtConfig};
use chasqui_node::serve;
use chasqui_wire::UserId;
use chasqui_wire::http::{EnrolByToken, Enrolled, Key as WireKey, Newcomer};
use client::{Device, Node, Response, config, request};
use serde_json::{Value, json};

const ISSUER: &str = "https://app.example";
/// Seconds since 1970: a year that none of these tests will see.
const FAR: i64 = 32_503_680_000;

fn settings(app: &App) -> JwtConfig {
    JwtConfig {
        issuer: Some(ISSUER.into()),
        audience: Some("chasqui".into()),
        jwks_url: Some(app.url.clone()),
        name_claim: Some("nick".into()),
        // So that the tests need no clock.
        age_seconds: 0,
        ..JwtConfig::default()
    }
}

async fn node_with(jwt: JwtConfig) -> Node {
    let folder = tempfile::tempdir().unwrap();
    let running = serve::start(chasqui_node::config::Config { jwt, ..config(&folder) }).await.unwrap();
    Node { running, folder }
}

fn claims(subject: &str) -> Value {
    json!({"iss": ISSUER, "aud": ["chasqui", "other"], "sub": subject, "exp": FAR})
}

fn ask(device: &Device, token: &str) -> EnrolByToken {
    let newcomer =
        Newcomer { user: device.user, identity_key: WireKey([1; 32]), only: None, device: device.new_device() };
    EnrolByToken { realm: device.realm, token: token.into(), newcomer }
}

async fn enrol(device: &Device, token: &str) -> Response {
    device.post("/v1/enrol/jwt", &ask(device, token)).await
}

fn user_of(response: &Response) -> UserId {
    assert_eq!(response.status, 200, "{}", response.body);
    serde_json::from_value::<Enrolled>(response.body.clone()).unwrap().user
}

#[tokio::test]
async fn a_subject_is_one_user_whatever_device_comes() {
    let key = Key::p256("a");
    let app = App::start(Answer::Json(set(&[&key]))).await;
    let node = node_with(settings(&app)).await;
    let (phone, laptop) = (Device::new(&node, 1, 1), Device::new(&node, 2, 2));
    let mut named = claims("7");
    named["nick"] = json!("ana");
    for _ in 0..2 {
        let answer = enrol(&phone, &key.sign(&named)).await;
        assert_eq!(answer.body["name"], "ana");
        assert_eq!(user_of(&answer), phone.user, "the first time makes the user; again changes nothing");
    }
    named["nick"] = json!("somebody-else");
    let answer = enrol(&laptop, &key.sign(&named)).await;
    assert_eq!((user_of(&answer), answer.body["name"].as_str()), (phone.user, Some("ana")), "a further device");
    let devices = phone.get("/v1/devices", &phone.token().await).await;
    assert_eq!(devices.body["devices"].as_array().map(Vec::len), Some(2));
    laptop.welcomed().await;

    // A name that is taken, or none, is no reason to keep somebody out.
    for (number, nick) in [(3, json!("ANA")), (4, json!("a b")), (5, Value::Null)] {
        let other = Device::new(&node, number, number);
        let mut claims = claims(&format!("subject {number}"));
        claims["nick"] = nick;
        let answer = enrol(&other, &key.sign(&claims)).await;
        assert_eq!(user_of(&answer), other.user);
        assert_eq!(answer.body["name"], other.user.to_string());
    }

    // Ids are somebody's already, or the device is.
    let thief = Device { user: phone.user, ..Device::new(&node, 1, 9) };
    assert_eq!(enrol(&thief, &key.sign(&claims("9"))).await.code(), "invalid");
    let thief = Device { user: UserId::from_bytes([9; 16]), ..Device::new(&node, 9, 1) };
    assert_eq!(enrol(&thief, &key.sign(&claims("9"))).await.code(), "invalid");
    let mut only = ask(&Device::new(&node, 9, 9), &key.sign(&claims("7")));
    only.newcomer.only = Some(UserId::from_bytes([8; 16]));
    assert_eq!(phone.post("/v1/enrol/jwt", &only).await.code(), "forbidden");
    only.token = key.sign(&claims("nobody yet")).into();
    assert_eq!(phone.post("/v1/enrol/jwt", &only).await.code(), "forbidden");
    only.newcomer.only = Some(phone.user);
    only.token = key.sign(&claims("7")).into();
    assert_eq!(phone.post("/v1/enrol/jwt", &only).await.status, 200);

    // A revoked device stays out.
    let path = format!("/v1/devices/{}", laptop.device);
    assert_eq!(request(phone.node, "DELETE", &path, Some(&phone.token().await), "").await.status, 204);
    assert_eq!(enrol(&laptop, &key.sign(&claims("7"))).await.code(), "device_revoked");

    // The users outlive the node; another issuer's subjects are other people.
    let Node { running, folder } = node;
    running.stop().await;
    let other_issuer = JwtConfig { issuer: Some("https://other.example".into()), ..settings(&app) };
    for (jwt, issuer, same) in [(settings(&app), ISSUER, true), (other_issuer, "https://other.example", false)] {
        let config = chasqui_node::config::Config { jwt, ..config(&folder) };
        let node = Node { running: serve::start(config).await.unwrap(), folder: tempfile::tempdir().unwrap() };
        let tablet = Device::new(&node, if same { 11 } else { 12 }, if same { 11 } else { 12 });
        let mut claims = claims("7");
        claims["iss"] = json!(issuer);
        assert_eq!(user_of(&enrol(&tablet, &key.sign(&claims)).await) == phone.user, same);
        node.running.stop().await;
    }
}

#[tokio::test]
async fn tokens_that_enrol_nobody() {
    let (key, other) = (Key::ed25519("a", 1), Key::ed25519("a", 2));
    let app = App::start(Answer::Json(set(&[&key]))).await;
    let node = node_with(settings(&app)).await;
    let ana = Device::new(&node, 1, 1);
    let with = |name: &str, value: Value| {
        let mut claims = claims("7");
        claims[name] = value;
        claims
    };
    let bad = [
        ("expired", key.sign(&with("exp", json!(1_000_000)))),
        ("not yet valid", key.sign(&with("nbf", json!(FAR)))),
        ("forged", other.sign(&claims("7"))),
        ("another audience", key.sign(&with("aud", json!("bank")))),
        ("another issuer", key.sign(&with("iss", json!("https://mallory.example")))),
        ("no algorithm", format!("{}.", unsigned(&json!({"alg": "none"}), &claims("7")))),
        ("the public key as a secret", hs256(key.public()["x"].as_str().unwrap().as_bytes(), &claims("7"))),
        ("an unknown key", key.sign_as(&json!({"alg": "EdDSA", "kid": "z"}), &claims("7"))),
        ("no token", "garbage".to_owned()),
        ("nothing", String::new()),
    ];
    for (what, token) in bad {
        let answer = enrol(&ana, &token).await;
        assert_eq!((answer.status, answer.code()), (401, "invalid_token"), "{what}");
    }
    let long = format!("{}.{}", key.sign(&claims("7")), "A".repeat(8 * 1024));
    assert_eq!(enrol(&ana, &long).await.code(), "too_large");
    assert_eq!(enrol(&ana, &"A".repeat(1 << 20)).await.code(), "too_large");
    let mut request = serde_json::to_value(ask(&ana, &key.sign(&claims("7")))).unwrap();
    request["device"]["proof"] = json!(WireKey([9; 64]));
    assert_eq!(ana.post("/v1/enrol/jwt", &request).await.code(), "invalid", "the device does not hold its key");
    request["realm"] = json!("00000000-0000-4000-8000-000000000000");
    assert_eq!(ana.post("/v1/enrol/jwt", &request).await.code(), "incompatible");
    assert_eq!(user_of(&enrol(&ana, &key.sign(&claims("7"))).await), ana.user, "and nothing of it did any harm");
    node.running.stop().await;
}

#[tokio::test]
async fn a_key_server_that_hangs_blocks_nobody_else() {
    let key = Key::ed25519("a", 1);
    let app = App::start(Answer::Hang).await;
    let node = node_with(settings(&app)).await;
    let (ana, token) = (Device::new(&node, 1, 1), key.sign(&claims("7")));
    let body = serde_json::to_string(&ask(&ana, &token)).unwrap();
    let address = ana.node;
    let waiting = tokio::spawn(async move { request(address, "POST", "/v1/enrol/jwt", None, &body).await.status });
    app.until_asked(1).await;
    // While it waits, everything else goes on.
    let bo = Device::registered(&node, 2, "bo").await;
    bo.welcomed().await;
    assert_eq!(request(bo.node, "GET", "/healthz", None, "").await.status, 200);
    assert!(!waiting.is_finished());
    app.answers(Answer::Json(set(&[&key])));
    assert_eq!(waiting.await.unwrap(), 200);
    node.running.stop().await;
}

#[tokio::test]
async fn a_key_server_that_is_no_use_is_said_so() {
    let bad = [
        Answer::Status(500),
        Answer::Redirect("http://127.0.0.1:1/".into()),
        Answer::Json("<html>".into()),
        Answer::Json(r#"{"keys":[{"kty":"oct","k":"AAAA"}]}"#.into()),
        Answer::Endless,
    ];
    for answer in bad {
        let app = App::start(answer.clone()).await;
        let node = node_with(settings(&app)).await;
        let ana = Device::new(&node, 1, 1);
        let refused = enrol(&ana, &Key::ed25519("a", 1).sign(&claims("7"))).await;
        assert_eq!((refused.status, refused.code()), (503, "unavailable"), "{answer:?}");
        Device::registered(&node, 2, "bo").await;
        node.running.stop().await;
    }
}

#[tokio::test]
async fn a_shared_secret_from_a_file() {
    let secret = "a secret of thirty-two bytes, or more";
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("secret");
    std::fs::write(&file, format!("{secret}\n")).unwrap();
    let jwt = JwtConfig {
        issuer: Some(ISSUER.into()),
        audience: Some("chasqui".into()),
        algorithms: vec![Algorithm::HS256],
        secret_file: Some(file.clone()),
        age_seconds: 0,
        ..JwtConfig::default()
    };
    let node = node_with(jwt.clone()).await;
    let ana = Device::new(&node, 1, 1);
    assert_eq!(
        enrol(&ana, &hs256(b"another secret of more than 32 bytes", &claims("7"))).await.code(),
        "invalid_token"
    );
    assert_eq!(enrol(&ana, &Key::ed25519("a", 1).sign(&claims("7"))).await.code(), "invalid_token");
    assert_eq!(user_of(&enrol(&ana, &hs256(secret.as_bytes(), &claims("7"))).await), ana.user);
    node.running.stop().await;

    // What cannot be used is said at the start.
    std::fs::write(&file, "short").unwrap();
    let no_file = JwtConfig { secret_file: Some(folder.path().join("nothing")), ..jwt.clone() };
    for jwt in [jwt, no_file] {
        let started = serve::start(chasqui_node::config::Config { jwt, ..config(&folder) }).await;
        let error = started.err().unwrap().to_string();
        assert!(error.contains("secret") && !error.contains('\n'), "{error}");
    }
}

#[tokio::test]
async fn without_an_issuer_there_are_no_tokens() {
    let node = node_with(JwtConfig::default()).await;
    let ana = Device::new(&node, 1, 1);
    assert_eq!(enrol(&ana, &Key::ed25519("a", 1).sign(&claims("7"))).await.code(), "not_supported");
    node.running.stop().await;
}

#[tokio::test]
async fn a_fresh_token_of_the_same_subject_deletes_the_account() {
    let key = Key::ed25519("a", 1);
    let app = App::start(Answer::Json(set(&[&key]))).await;
    let node = node_with(settings(&app)).await;
    let ana = Device::new(&node, 1, 1);
    user_of(&enrol(&ana, &key.sign(&claims("7"))).await);
    user_of(&enrol(&Device::new(&node, 2, 2), &key.sign(&claims("8"))).await);
    let bearer = ana.token().await;
    let delete = async |body: Value| request(ana.node, "DELETE", "/v1/account", Some(&bearer), &body.to_string()).await;
    assert_eq!(delete(json!({})).await.code(), "proof_needed");
    assert_eq!(delete(json!({"password": "correct horse"})).await.code(), "proof_needed", "it has none");
    let of_another = delete(json!({"token": key.sign(&claims("8"))})).await;
    assert_eq!((of_another.status, of_another.code()), (401, "invalid_token"));
    assert_eq!(delete(json!({"token": "forged"})).await.code(), "invalid_token");
    assert_eq!(delete(json!({"token": key.sign(&claims("7"))})).await.status, 204);
    let again = delete(json!({})).await;
    assert_eq!((again.status, again.code()), (410, "account_deleted"));
    // The subject is somebody new.
    let anew = Device::new(&node, 3, 3);
    assert_eq!(user_of(&enrol(&anew, &key.sign(&claims("7"))).await), anew.user);
    let found = anew.get(&format!("/v1/users/{}", ana.user), &anew.token().await).await;
    assert_eq!((found.status, found.code()), (410, "account_deleted"));
}
