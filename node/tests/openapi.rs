//! docs/openapi.json against a node that runs: every operation is tried, in ways that succeed and that do not, and what
//! is asked and answered is as described, to the last field.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod app;
#[path = "app/tokens.rs"]
#[expect(dead_code, reason = "each test file uses its part")]
mod app_tokens;
mod client;

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

use app::{Answer, App};
use chasqui_node::config::Config;
use chasqui_node::jwt::JwtConfig;
use chasqui_node::phone::{PhoneConfig, SenderKind};
use chasqui_node::serve;
use chasqui_wire::http::Key;
use client::{Device, Node, config, raw_request};
use jsonschema::Validator;
use ring::signature::KeyPair as _;
use serde_json::{Map, Value, json};

/// The page, and what of it was seen.
struct Api {
    page: Value,
    node: SocketAddr,
    /// By operation: the statuses.
    seen: BTreeMap<(String, String), BTreeSet<u16>>,
}

impl Api {
    fn new(node: SocketAddr) -> Self {
        let mut page: Value = serde_json::from_str(include_str!("../../docs/openapi.json")).unwrap();
        // Others ignore what they do not know; here it would be missing in the page.
        close(&mut page["components"]["schemas"]);
        Self { page, node, seen: BTreeMap::new() }
    }

    /// A schema of the page, with all that it refers to.
    fn validator(&self, schema: &Value) -> Validator {
        let root = json!({"$ref": "#/here", "here": schema, "components": self.page["components"]});
        jsonschema::draft202012::options().should_validate_formats(true).build(&root).unwrap()
    }

    fn check(&self, schema: &Value, value: &Value, about: &str) {
        let problems: Vec<String> = self.validator(schema).iter_errors(value).map(|error| error.to_string()).collect();
        assert!(problems.is_empty(), "{about}: {problems:#?}\n{value:#}");
    }

    fn resolve<'a>(&'a self, value: &'a Value) -> &'a Value {
        match value["$ref"].as_str() {
            Some(refers) => self.page.pointer(&refers[1..]).unwrap(),
            None => value,
        }
    }

    /// Asks, and compares the answer with its description. A request that is to succeed is as described too.
    async fn ask(
        &mut self,
        request: &str,
        id: &str,
        token: Option<&str>,
        body: &Value,
        expected: (u16, &str),
    ) -> Value {
        let (method, template) = request.split_once(' ').unwrap();
        let about = format!("{request} -> {expected:?}");
        let (template, query) = template.split_once('?').map_or((template, None), |(path, query)| (path, Some(query)));
        let operation = self.page["paths"][template][method.to_lowercase()].clone();
        assert!(operation.is_object(), "{about}: not described");
        let mut path = template.replace("{id}", id);
        if let Some(query) = query {
            path = format!("{path}?{query}");
        }
        let body_schema = &operation["requestBody"]["content"]["application/json"]["schema"];
        assert_eq!(body_schema.is_null(), body.is_null(), "{about}: a body or none");
        if expected.0 < 300 {
            assert_eq!(operation["security"].is_array(), token.is_some(), "{about}: a token where one is needed");
            if !body.is_null() {
                self.check(body_schema, body, &about);
            }
        }
        let token = token.map(|token| format!("Bearer {token}"));
        let header = token.as_deref().map(|token| ("authorization", token));
        let sent = if body.is_null() { String::new() } else { body.to_string() };
        let answer = raw_request(self.node, method, &path, header, &sent).await;
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        let status: u16 = head.split(' ').nth(1).unwrap().parse().unwrap();
        assert_eq!(status, expected.0, "{about}: {answer}");
        assert!(head.contains("\r\nx-request-id: "), "{about}: {head}");

        let described = &operation["responses"][status.to_string()];
        assert!(described.is_object(), "{about}: the status is not described");
        let described = self.resolve(described);
        let content_type = head.lines().find_map(|line| line.strip_prefix("content-type: "));
        let answered = match &described["content"] {
            Value::Null => {
                assert!(content_type.is_none() && body.is_empty(), "{about}: {answer}");
                Value::Null
            }
            content => {
                let kind = content_type.unwrap().split(';').next().unwrap();
                let value = if kind == "text/plain" { json!(body) } else { serde_json::from_str(body).unwrap() };
                assert!(content[kind].is_object(), "{about}: {kind}");
                self.check(&content[kind]["schema"], &value, &about);
                value
            }
        };
        if status >= 400 && template.starts_with("/v1") {
            assert_eq!(answered["error"]["code"], expected.1, "{about}");
            let has_wait = answered["error"]["retry_after_ms"] != 0;
            assert_eq!(head.contains("\r\nretry-after: "), has_wait, "{about}: {head}");
        }
        self.seen.entry((method.to_owned(), template.to_owned())).or_default().insert(status);
        answered
    }

    /// All operations succeeded, and all that can be refused were.
    fn was_tried(&self) {
        for (path, item) in self.page["paths"].as_object().unwrap() {
            for (method, operation) in item.as_object().unwrap() {
                let seen = self.seen.get(&(method.to_uppercase(), path.clone())).cloned().unwrap_or_default();
                let described: Vec<u16> =
                    operation["responses"].as_object().unwrap().keys().map(|status| status.parse().unwrap()).collect();
                assert!(seen.iter().any(|&status| status < 300), "{method} {path} did not succeed");
                let can_be_refused = described.iter().any(|&status| (400..500).contains(&status));
                let was_refused = seen.iter().any(|&status| status >= 400);
                assert!(was_refused || !can_be_refused, "{method} {path} was not refused");
            }
        }
    }
}

/// No object has a field that is not named.
fn close(schema: &mut Value) {
    match schema {
        Value::Object(fields) => {
            if fields.get("type") == Some(&json!("object")) {
                fields.insert("additionalProperties".to_owned(), false.into());
            }
            fields.values_mut().for_each(close);
        }
        Value::Array(items) => items.iter_mut().for_each(close),
        _ => {}
    }
}

struct Stage {
    node: Node,
    api: Api,
    issuer: app_tokens::Key,
    gateway: App,
}

async fn stage() -> Stage {
    let issuer = app_tokens::Key::p256("a");
    let backend = App::start(Answer::Json(app_tokens::set(&[&issuer]))).await;
    let gateway = App::start(Answer::Status(204)).await;
    let folder = tempfile::tempdir().unwrap();
    let secret = folder.path().join("gateway-secret");
    std::fs::write(&secret, "between node and gateway\n").unwrap();
    let jwt = JwtConfig {
        issuer: Some("https://app.example".into()),
        audience: Some("chasqui".into()),
        jwks_url: Some(backend.url.clone()),
        age_seconds: 0,
        ..JwtConfig::default()
    };
    let phone = PhoneConfig {
        sender: Some(SenderKind::Webhook),
        webhook_url: Some(gateway.url.clone()),
        secret_file: Some(secret),
        ..PhoneConfig::default()
    };
    let devices_per_user = 2;
    let running = serve::start(Config { jwt, phone, devices_per_user, ..config(&folder) }).await.unwrap();
    let api = Api::new(running.address());
    Stage { node: Node { running, folder }, api, issuer, gateway }
}

fn with(value: &impl serde::Serialize, changes: Value) -> Value {
    let mut value = serde_json::to_value(value).unwrap();
    for (key, change) in changes.as_object().unwrap_or(&Map::new()) {
        value[key] = change.clone();
    }
    value
}

const NONE: Value = Value::Null;
const NOBODY: &str = "00000000-0000-4000-8000-000000000000";

#[tokio::test]
async fn everything_is_as_described() {
    let Stage { node, mut api, issuer, gateway } = stage().await;
    let ok = (200, "");

    for path in ["GET /healthz", "GET /readyz", "GET /v1/realm"] {
        api.ask(path, "", None, &NONE, ok).await;
    }

    // By password.
    let (ana, bo, laptop) = (Device::new(&node, 1, 1), Device::new(&node, 2, 2), Device::new(&node, 1, 3));
    api.ask("POST /v1/register", "", None, &with(&ana.register("ana"), json!({})), ok).await;
    let refused = [
        (json!({"realm": NOBODY}), 400, "incompatible"),
        (json!({"name": "a b"}), 400, "invalid"),
        (json!({"password": "another password"}), 401, "unauthorised"),
        (json!({"password": "x".repeat(20_000)}), 413, "too_large"),
    ];
    for (change, status, code) in refused {
        api.ask("POST /v1/register", "", None, &with(&ana.register("ana"), change), (status, code)).await;
    }
    api.ask("POST /v1/register", "", None, &with(&bo.register("ana"), json!({})), (409, "name_taken")).await;
    let login = json!({"realm": ana.realm, "name": "ana", "password": "correct horse", "device": laptop.new_device()});
    api.ask("POST /v1/login", "", None, &login, ok).await;
    let third = json!({"device": Device::new(&node, 1, 4).new_device()});
    api.ask("POST /v1/login", "", None, &with(&login, third), (409, "too_many_devices")).await;
    let guess = with(&login, json!({"password": "x"}));
    api.ask("POST /v1/login", "", None, &guess, (401, "unauthorised")).await;
    while laptop.post("/v1/login", &guess).await.status != 429 {}
    api.ask("POST /v1/login", "", None, &login, (429, "rate_limited")).await;

    // A list in the order of the fields is not an object.
    let list: Vec<Value> = login.as_object().unwrap().values().cloned().collect();
    api.ask("POST /v1/login", "", None, &json!(list), (400, "invalid")).await;
    let device: Vec<Value> = ["device", "key", "proof", "name"].map(|key| login["device"][key].clone()).into();
    let nested = with(&login, json!({"device": device}));
    let answer = api.ask("POST /v1/login", "", None, &nested, (400, "invalid")).await;
    assert!(answer["error"]["detail"].as_str().unwrap().contains("sequence"), "{answer}");

    // Tokens.
    let nonce = api.ask("GET /v1/challenge", "", None, &NONE, ok).await["nonce"].as_str().unwrap().to_owned();
    let signed = ana.sign(&chasqui_wire::signing::token(ana.realm, nonce.as_bytes(), ana.device));
    let asked = json!({"device": ana.device, "nonce": nonce, "signature": Key(signed)});
    let token = api.ask("POST /v1/tokens", "", None, &asked, ok).await["token"].as_str().unwrap().to_owned();
    let token = Some(token.as_str());
    api.ask("POST /v1/tokens", "", None, &with(&asked, json!({"nonce": "AAAA.AAAA"})), (401, "unauthorised")).await;

    // Who, and whose.
    api.ask("GET /v1/users?name=Ana", "", token, &NONE, ok).await;
    api.ask("GET /v1/users?name=nobody", "", token, &NONE, (404, "unknown_user")).await;
    api.ask("GET /v1/users", "", token, &NONE, (400, "invalid")).await;
    api.ask("GET /v1/users/{id}", &ana.user.to_string(), token, &NONE, ok).await;
    api.ask("GET /v1/users/{id}", NOBODY, token, &NONE, (404, "unknown_user")).await;
    drop(ana.welcomed().await);
    api.ask("GET /v1/devices", "", token, &NONE, ok).await;
    api.ask("GET /v1/mailbox?peek", "", token, &NONE, ok).await;
    api.ask("GET /v1/mailbox", "", token, &NONE, (400, "invalid")).await;
    let laptops = laptop.token().await;
    api.ask("DELETE /v1/devices/{id}", &laptop.device.to_string(), token, &NONE, (204, "")).await;
    api.ask("DELETE /v1/devices/{id}", NOBODY, token, &NONE, (404, "not_found")).await;
    api.ask("GET /v1/devices", "", Some(&laptops), &NONE, (401, "device_revoked")).await;

    // The word of the app's backend.
    let newcomer = |device: &Device| {
        json!({"realm": device.realm, "user": device.user, "identity_key": Key([1; 32]),
        "only": null, "device": device.new_device()})
    };
    let claims = json!({"iss": "https://app.example", "aud": "chasqui", "sub": "7", "exp": 32_503_680_000_i64});
    let cleo = Device::new(&node, 5, 5);
    let by_token = with(&newcomer(&cleo), json!({"token": issuer.sign(&claims)}));
    api.ask("POST /v1/enrol/jwt", "", None, &by_token, ok).await;
    api.ask("POST /v1/enrol/jwt", "", None, &with(&by_token, json!({"token": "a.b.c"})), (401, "invalid_token")).await;
    api.ask("POST /v1/enrol/jwt", "", None, &with(&by_token, json!({"only": NOBODY})), (403, "forbidden")).await;

    // A telephone.
    let dora = Device::new(&node, 6, 6);
    let number = json!({"realm": dora.realm, "phone": "+5491123456789"});
    let sent = api.ask("POST /v1/phone/codes", "", None, &number, ok).await;
    api.ask("POST /v1/phone/codes", "", None, &number, (429, "rate_limited")).await;
    api.ask("POST /v1/phone/codes", "", None, &with(&number, json!({"phone": "x"})), (400, "invalid")).await;
    let order: Value = serde_json::from_str(&gateway.asked()[0].body).unwrap();
    let by_code = json!({"challenge": sent["challenge"], "code": order["code"], "pin": null, "fresh": false});
    let by_code = with(&newcomer(&dora), by_code);
    let other = if order["code"] == "000000" { "000001" } else { "000000" };
    api.ask("POST /v1/phone/enrol", "", None, &with(&by_code, json!({"code": other})), (403, "invalid_code")).await;
    api.ask("POST /v1/phone/enrol", "", None, &by_code, ok).await;
    gateway.answers(Answer::Status(500));
    let other = with(&number, json!({"phone": "+5491123456780"}));
    api.ask("POST /v1/phone/codes", "", None, &other, (503, "unavailable")).await;
    let doras = dora.token().await;
    api.ask("PUT /v1/pin", "", Some(&doras), &json!({"pin": "4711"}), (204, "")).await;
    api.ask("PUT /v1/pin", "", Some(&doras), &json!({"pin": "1"}), (400, "invalid")).await;
    api.ask("DELETE /v1/pin", "", Some(&doras), &NONE, (204, "")).await;

    api.ask("GET /v1/account/export", "", Some(&doras), &NONE, ok).await;

    // A new identity, for whom the key of it is at hand.
    let deleted = cleo.token().await;
    let reset = "PUT /v1/account/identity";
    let public: [u8; 32] = cleo.key.public_key().as_ref().try_into().unwrap();
    let link = cleo.sign(&chasqui_wire::signing::link(cleo.realm, cleo.user, cleo.device, &public));
    let identity = json!({"identity_key": Key(public), "link": Key(link)});
    api.ask(reset, "", Some(&deleted), &identity, (403, "proof_needed")).await;
    let proved = with(&identity, json!({"token": issuer.sign(&claims)}));
    api.ask(reset, "", Some(&deleted), &with(&proved, json!({"link": Key([0; 64])})), (400, "invalid")).await;
    api.ask(reset, "", Some(&deleted), &proved, (204, "")).await;

    // An end.
    let delete = "DELETE /v1/account";
    api.ask(delete, "", Some(&deleted), &json!({}), (403, "proof_needed")).await;
    api.ask(delete, "", Some(&deleted), &json!({"token": issuer.sign(&claims)}), (204, "")).await;
    api.ask(delete, "", Some(&deleted), &json!({}), (410, "account_deleted")).await;
    api.ask(reset, "", Some(&deleted), &proved, (410, "account_deleted")).await;
    api.ask("GET /v1/users/{id}", &cleo.user.to_string(), token, &NONE, (410, "account_deleted")).await;

    // Whatever needs a token is refused without one.
    let operations: Vec<(String, String, Value)> = api.page["paths"]
        .as_object()
        .unwrap()
        .iter()
        .flat_map(|(path, item)| {
            let operations = item.as_object().unwrap().iter();
            operations.map(move |(method, operation)| (method.to_uppercase(), path.clone(), operation.clone()))
        })
        .collect();
    for (method, path, operation) in operations.into_iter().filter(|(_, _, operation)| operation["security"].is_array())
    {
        let body = if operation["requestBody"].is_null() { NONE } else { json!({"pin": "4711"}) };
        api.ask(&format!("{method} {path}"), NOBODY, None, &body, (401, "unauthorised")).await;
    }

    api.ask("GET /v1/connect", "", None, &NONE, (400, "invalid")).await;
    // Its success has no body to compare, and is tried wherever a socket is opened.
    api.seen.get_mut(&("GET".to_owned(), "/v1/connect".to_owned())).unwrap().insert(101);
    api.was_tried();
    node.running.stop().await;
}

#[test]
fn the_page_is_one_of_openapi() {
    let page: Value = serde_json::from_str(include_str!("../../docs/openapi.json")).unwrap();
    assert!(page["openapi"].as_str().unwrap().starts_with("3.1."));
    let api = Api::new(SocketAddr::from(([127, 0, 0, 1], 1)));
    for (name, schema) in page["components"]["schemas"].as_object().unwrap() {
        jsonschema::meta::validate(schema).unwrap_or_else(|error| panic!("{name}: {error}"));
        api.validator(schema);
    }
    let mut ids = BTreeSet::new();
    let mut refers = Vec::new();
    for item in page["paths"].as_object().unwrap().values() {
        for operation in item.as_object().unwrap().values() {
            assert!(ids.insert(operation["operationId"].as_str().unwrap()), "{} twice", operation["operationId"]);
        }
    }
    references(&page, &mut refers);
    assert!(refers.iter().all(|to| page.pointer(&to[1..]).is_some()), "{refers:?}");
    for kind in ["schemas", "responses"] {
        for name in page["components"][kind].as_object().unwrap().keys() {
            assert!(refers.contains(&format!("#/components/{kind}/{name}")), "{name} is of no use");
        }
    }
}

fn references(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            found.extend(fields.get("$ref").and_then(Value::as_str).map(str::to_owned));
            fields.values().for_each(|field| references(field, found));
        }
        Value::Array(items) => items.iter().for_each(|item| references(item, found)),
        _ => {}
    }
}
