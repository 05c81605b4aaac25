//! The HTTP API of a node that runs: what it does, and what it refuses.

mod client;

use chasqui_node::config::Config;
use chasqui_node::serve;
use chasqui_wire::http::{Key, Login};
use client::{Device, Node, config, node, request};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

#[tokio::test]
async fn an_account_from_registration_to_revocation() {
    let node = node().await;
    let ana = Device::registered(&node, 1, "Ana").await;
    assert_eq!(ana.post("/v1/register", &ana.register("ana")).await.status, 200, "repeating is harmless");
    let mut other = serde_json::to_value(ana.register("ana")).unwrap();
    other["password"] = "another password".into();
    let answer = ana.post("/v1/register", &other).await;
    assert_eq!(answer.status, 401, "repeating with another password is not repeating");
    let token = ana.token().await;

    let laptop = Device { user: ana.user, ..Device::new(&node, 1, 2) };
    let mut login =
        Login { realm: ana.realm, name: "ANA".into(), password: "correct horse".into(), device: laptop.new_device() };
    for _ in 0..2 {
        let answer = laptop.post("/v1/login", &login).await;
        assert_eq!((answer.status, answer.body["name"].as_str()), (200, Some("Ana")));
    }
    login.password = "wrong password".into();
    assert_eq!(laptop.post("/v1/login", &login).await.code(), "unauthorised");
    login.name = "nobody".into();
    assert_eq!(laptop.post("/v1/login", &login).await.code(), "unauthorised");

    let bo = Device::registered(&node, 3, "bo").await;
    let answer = ana.get("/v1/users?name=BO", &token).await;
    assert_eq!(answer.body["user"], json!(bo.user));
    let answer = ana.get(&format!("/v1/users/{}", bo.user), &token).await;
    assert_eq!(answer.body["name"], "bo");

    let devices = ana.get("/v1/devices", &token).await;
    assert_eq!(devices.body["devices"].as_array().map(Vec::len), Some(2));
    let laptop_token = laptop.token().await;
    let path = format!("/v1/devices/{}", laptop.device);
    assert_eq!(request(ana.node, "DELETE", &path, Some(&bo.token().await), "").await.code(), "not_found");
    for _ in 0..2 {
        assert_eq!(request(ana.node, "DELETE", &path, Some(&token), "").await.status, 204);
    }
    assert_eq!(ana.get("/v1/devices", &laptop_token).await.code(), "device_revoked");
    node.running.stop().await;
}

#[tokio::test]
async fn guesses_at_a_name_wait_and_its_devices_do_not() {
    let node = node().await;
    let ana = Device::registered(&node, 1, "ana").await;
    let bo = Device::registered(&node, 3, "bo").await;
    let mallory = Device { user: ana.user, ..Device::new(&node, 1, 2) };
    let mut login =
        Login { realm: ana.realm, name: "ana".into(), password: "wrong horse".into(), device: mallory.new_device() };
    let mut codes = Vec::new();
    for _ in 0..20 {
        codes.push(mallory.post("/v1/login", &login).await.code().to_owned());
    }
    assert_eq!(codes[0], "unauthorised");
    let waits = codes.iter().position(|code| code == "rate_limited").expect("somebody who guesses waits");
    assert!((5..10).contains(&waits), "{codes:?}");
    login.password = "correct horse".into();
    let answer = mallory.post("/v1/login", &login).await;
    assert_eq!((answer.status, answer.code()), (429, "rate_limited"), "right or wrong is not told while it waits");
    assert!(answer.body["error"]["retry_after_ms"].as_u64().unwrap() > 0);

    // Ana's device signs; Bo's name is another one.
    ana.token().await;
    ana.welcomed().await;
    let laptop = Device { user: bo.user, ..Device::new(&node, 3, 4) };
    let login = Login { name: "bo".into(), password: "correct horse".into(), device: laptop.new_device(), ..login };
    assert_eq!(laptop.post("/v1/login", &login).await.status, 200);
    node.running.stop().await;
}

#[tokio::test]
async fn one_address_enrols_only_so_fast() {
    let folder = tempfile::tempdir().unwrap();
    let running = serve::start(Config { enrolments_per_minute: 2, ..config(&folder) }).await.unwrap();
    let node = Node { running, folder };
    for (number, name) in [(1, "ana"), (2, "bo")] {
        Device::registered(&node, number, name).await;
    }
    let cleo = Device::new(&node, 5, 5);
    let answer = cleo.post("/v1/register", &cleo.register("cleo")).await;
    assert_eq!((answer.status, answer.code()), (429, "rate_limited"));
    node.running.stop().await;
}

#[tokio::test]
async fn a_node_may_do_without_passwords() {
    let folder = tempfile::tempdir().unwrap();
    let running = serve::start(Config { passwords: false, ..config(&folder) }).await.unwrap();
    let node = Node { running, folder };
    let ana = Device::new(&node, 1, 1);
    let answer = ana.post("/v1/register", &ana.register("ana")).await;
    assert_eq!((answer.status, answer.code()), (400, "not_supported"));
    let (realm, device) = (ana.realm, ana.new_device());
    let login = Login { realm, name: "ana".into(), password: "correct horse".into(), device };
    assert_eq!(ana.post("/v1/login", &login).await.code(), "not_supported");
    node.running.stop().await;
}

#[tokio::test]
async fn registrations_that_are_refused() {
    let node = node().await;
    let bo = Device::registered(&node, 3, "bo").await;
    let ana = Device::new(&node, 1, 1);
    let check = async |path: &[&str], value: Value, status: u16, code: &str| {
        let mut body = serde_json::to_value(ana.register("ana")).unwrap();
        let (last, parents) = path.split_last().unwrap();
        let parent = parents.iter().fold(&mut body, |body, key| &mut body[*key]);
        if value.is_null() {
            parent.as_object_mut().unwrap().remove(*last);
        } else {
            parent[*last] = value;
        }
        let answer = ana.post("/v1/register", &body).await;
        assert_eq!((answer.status, answer.code()), (status, code), "{path:?}");
    };
    check(&["realm"], json!("00000000-0000-4000-8000-000000000000"), 400, "incompatible").await;
    check(&["realm"], json!("no uuid"), 400, "invalid").await;
    check(&["realm"], Value::Null, 400, "invalid").await;
    check(&["user"], json!(7), 400, "invalid").await;
    check(&["user"], json!(bo.user), 400, "invalid").await;
    check(&["name"], json!("Bo"), 409, "name_taken").await;
    check(&["name"], json!(""), 400, "invalid").await;
    check(&["name"], json!("a b"), 400, "invalid").await;
    check(&["name"], json!("ñ"), 400, "invalid").await;
    check(&["name"], json!("x".repeat(65)), 400, "invalid").await;
    check(&["password"], json!("short"), 400, "invalid").await;
    check(&["password"], json!("x".repeat(1025)), 400, "invalid").await;
    check(&["password"], json!("x".repeat(20_000)), 413, "too_large").await;
    check(&["identity_key"], json!("AAAA"), 400, "invalid").await;
    check(&["device", "key"], json!(Key([9; 32])), 400, "invalid").await;
    check(&["device", "proof"], json!(Key([9; 64])), 400, "invalid").await;
    check(&["device", "name"], json!("x".repeat(65)), 400, "invalid").await;
    check(&["device", "device"], json!(bo.device), 400, "invalid").await;
    node.running.stop().await;
}

#[tokio::test]
async fn requests_that_are_refused() {
    let node = node().await;
    let ana = Device::registered(&node, 1, "ana").await;
    let token = ana.token().await;
    let nonce = request(ana.node, "GET", "/v1/challenge", None, "").await.body["nonce"].clone();
    let with_nonce =
        |nonce: &Value| json!({"device": ana.device, "nonce": nonce, "signature": Key([7; 64])}).to_string();
    let (forged, old) = (with_nonce(&nonce), with_nonce(&json!("AAAA.AAAA")));
    let cases = [
        ("GET", "/v1/nothing", None, "", 404, "not_found"),
        ("DELETE", "/v1/realm", None, "", 404, "not_found"),
        ("POST", "/v1/register", None, "", 400, "invalid"),
        ("POST", "/v1/register", None, "{", 400, "invalid"),
        ("POST", "/v1/login", None, "[]", 400, "invalid"),
        ("POST", "/v1/tokens", None, "{}", 400, "invalid"),
        ("POST", "/v1/tokens", None, &forged, 401, "unauthorised"),
        ("POST", "/v1/tokens", None, &old, 401, "unauthorised"),
        ("GET", "/v1/devices", None, "", 401, "unauthorised"),
        ("GET", "/v1/devices", Some("x"), "", 401, "unauthorised"),
        ("GET", "/v1/devices", Some("AAAA.AAAA"), "", 401, "unauthorised"),
        ("DELETE", "/v1/devices/00000000-0000-4000-8000-000000000000", None, "", 401, "unauthorised"),
        ("DELETE", "/v1/devices/00000000-0000-4000-8000-000000000000", Some(token.as_str()), "", 404, "not_found"),
        ("DELETE", "/v1/devices/7", Some(&token), "", 400, "invalid"),
        ("GET", "/v1/users?name=ana", None, "", 401, "unauthorised"),
        ("GET", "/v1/users", Some(&token), "", 400, "invalid"),
        ("GET", "/v1/users?name=nobody", Some(&token), "", 404, "unknown_user"),
        ("GET", "/v1/users/7", Some(&token), "", 400, "invalid"),
        ("GET", "/v1/users/00000000-0000-4000-8000-000000000000", Some(&token), "", 404, "unknown_user"),
        ("GET", "/v1/connect", None, "", 400, "invalid"),
    ];
    for (method, path, token, body, status, code) in cases {
        let answer = request(ana.node, method, path, token, body).await;
        assert_eq!((answer.status, answer.code()), (status, code), "{method} {path} {body}");
        assert!(answer.body["error"]["detail"].is_string());
    }
    assert_eq!(request(ana.node, "GET", "/healthz", None, "").await.status, 200);
    assert_eq!(request(ana.node, "GET", "/v1/realm", None, "").await.body["realm"], json!(ana.realm));
    node.running.stop().await;
}

/// What a browser asks before it lets a page ask, and what it looks for in the answers.
#[tokio::test]
async fn pages_of_allowed_origins_may_use_the_node() {
    let folder = tempfile::tempdir().unwrap();
    let allowed_origins = vec!["https://app.example.org".to_owned()];
    let running = serve::start(Config { allowed_origins, ..config(&folder) }).await.unwrap();
    let node = Node { running, folder };
    let to = node.running.address();
    let ask = async |method: &str, path: &str, headers: &str| {
        let mut stream = TcpStream::connect(to).await.unwrap();
        let head = format!("{method} {path} HTTP/1.1\r\nhost: node\r\nconnection: close\r\n{headers}\r\n");
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        drop(stream.read_to_end(&mut answer).await);
        String::from_utf8(answer).unwrap().to_ascii_lowercase()
    };
    let named = |origin: &str| format!("access-control-allow-origin: {origin}\r\n");
    let app = "origin: https://app.example.org\r\n";
    let asks = "access-control-request-method: POST\r\naccess-control-request-headers: authorization\r\n";
    let answer = ask("OPTIONS", "/v1/register", &format!("{app}{asks}")).await;
    assert!(answer.starts_with("http/1.1 204"), "{answer}");
    assert!(answer.contains(&named("https://app.example.org")) && answer.contains("authorization"), "{answer}");
    let answer = ask("GET", "/v1/realm", app).await;
    assert!(answer.starts_with("http/1.1 200") && answer.contains(&named("https://app.example.org")), "{answer}");
    let refused = ask("GET", "/v1/devices", app).await;
    assert!(refused.starts_with("http/1.1 401") && refused.contains(&named("https://app.example.org")), "{refused}");
    let own = ask("GET", "/v1/realm", "origin: http://node\r\n").await;
    assert!(own.contains(&named("http://node")), "{own}");

    let evil = "origin: https://evil.example\r\n";
    let upgrade = "connection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    for (method, path, headers) in [("OPTIONS", "/v1/register", asks), ("GET", "/v1/connect", upgrade)] {
        let answer = ask(method, path, &format!("{evil}{headers}")).await;
        assert!(answer.starts_with("http/1.1 403") && !answer.contains("access-control-allow"), "{answer}");
    }
    let unnamed = ask("GET", "/v1/realm", evil).await;
    assert!(unnamed.starts_with("http/1.1 200") && !unnamed.contains("access-control-allow"), "{unnamed}");
    let native = ask("GET", "/v1/realm", "").await;
    assert!(!native.contains("access-control") && !native.contains("vary"), "{native}");
}
