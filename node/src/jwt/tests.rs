//! Tokens that count and tokens that do not; key sets that change, and services that misbehave.

#[path = "../../tests/app/mod.rs"]
mod app;
#[path = "../../tests/app/tokens.rs"]
mod tokens;

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use chasqui_wire::Timestamp;
use serde_json::{Value, json};

use super::source::{FETCH_WITHIN, KeySource, Origin};
use super::*;
use app::{Answer, App};
use tokens::{Key, hs256, set, unsigned};

/// Seconds since 1970.
const NOW: i64 = 1_000_100;

fn rules(algorithms: &[Algorithm]) -> Rules {
    Rules {
        issuer: "https://app.example".into(),
        audience: "chasqui".into(),
        algorithms: algorithms.to_vec(),
        leeway_ms: 60_000,
        age_ms: 86_400_000,
        name_claim: Some("nick".into()),
    }
}

fn claims() -> Value {
    json!({"iss": "https://app.example", "aud": "chasqui", "sub": "user-7", "iat": NOW - 10, "exp": NOW + 600})
}

fn with(name: &str, value: Value) -> Value {
    let mut claims = claims();
    let fields = claims.as_object_mut().unwrap();
    if value.is_null() {
        drop(fields.remove(name))
    } else {
        drop(fields.insert(name.into(), value))
    }
    claims
}

fn published(keys: &[&Key]) -> Keys {
    Keys::Published(KeySet::parse(set(keys).as_bytes()).unwrap())
}

fn checked(token: &str, keys: &Keys, rules: &Rules) -> Result<String, TokenError> {
    read(token)?.check(keys, rules, Timestamp(NOW * 1000)).map(|claims| claims.subject)
}

#[test]
fn tokens_of_every_algorithm_count() {
    let (ed, p256) = (Key::ed25519("a", 1), Key::p256("b"));
    let (keys, both) = (published(&[&ed, &p256]), rules(&[Algorithm::EdDSA, Algorithm::ES256]));
    for key in [&ed, &p256] {
        assert_eq!(checked(&key.sign(&claims()), &keys, &both), Ok("user-7".into()));
    }
    let secret = [7; 32];
    let token = hs256(&secret, &claims());
    assert_eq!(checked(&token, &Keys::secret(&secret).unwrap(), &rules(&[Algorithm::HS256])), Ok("user-7".into()));
    assert!(Keys::secret(&[7; 31]).is_none());
}

/// Made by OpenSSL.
#[test]
fn a_token_signed_with_rsa_counts() {
    let rsa = include_str!("tests/rsa.json");
    let token = include_str!("tests/rsa.jwt").trim();
    let keys = Keys::Published(KeySet::parse(rsa.as_bytes()).unwrap());
    let rules = rules(&[Algorithm::RS256]);
    assert_eq!(checked(token, &keys, &rules), Ok("ana".into()));
    let (signed, signature) = token.rsplit_once('.').unwrap();
    let forged = format!("{signed}.{}{}", if signature.starts_with('A') { 'B' } else { 'A' }, &signature[1..]);
    assert_eq!(checked(&forged, &keys, &rules), Err(TokenError::Signature));
}

/// Serde takes a list of a struct's fields for the struct.
#[test]
fn a_header_is_an_object() {
    let key = Key::ed25519("a", 1);
    let token = key.sign_as(&json!(["EdDSA", "a", null, null]), &claims());
    let refused = Err(TokenError::Malformed("the header is not as JWTs have it"));
    assert_eq!(checked(&token, &published(&[&key]), &rules(&[Algorithm::EdDSA])), refused);
}

/// Fields that nobody reads are text like the others. Found by fuzzing.
#[test]
fn a_header_is_text() {
    let key = Key::ed25519("a", 1);
    let token = |header: &[u8]| {
        let signed = key.sign(&claims());
        let (_, rest) = signed.split_once('.').unwrap();
        format!("{}.{rest}", BASE64.encode(header))
    };
    for bad in [&b"{\"alg\":\"EdDSA\",\"other\":\"\xd3\"}"[..], b"{\"alg\":\"EdDSA\",\"other\":\"\\ud800\"}"] {
        assert!(matches!(read(&token(bad)), Err(TokenError::Malformed(_))), "{bad:?}");
    }
    assert!(read(&token(b"{\"alg\":\"EdDSA\",\"other\":\"x\"}")).is_ok());
}

#[test]
fn claims_that_do_not_count() {
    let key = Key::ed25519("a", 1);
    let (keys, rules) = (published(&[&key]), rules(&[Algorithm::EdDSA]));
    let check = |name: &str, value: Value, expected: Result<(), TokenError>| {
        let token = key.sign(&with(name, value.clone()));
        assert_eq!(checked(&token, &keys, &rules).map(drop), expected, "{name} {value}");
    };
    use TokenError as E;
    check("exp", json!(NOW - 61), Err(E::Expired));
    check("exp", json!(NOW - 60), Err(E::Expired));
    check("exp", json!(NOW - 59), Ok(()));
    check("exp", json!(NOW as f64 + 0.5), Ok(()));
    check("exp", json!(1e300), Ok(()));
    check("exp", json!(-1e300), Err(E::Expired));
    check("exp", Value::Null, Err(E::Malformed("exp is missing")));
    check("exp", json!("soon"), Err(E::Malformed("a time is not a number")));
    check("nbf", json!(NOW + 61), Err(E::NotYet));
    check("nbf", json!(NOW + 60), Ok(()));
    check("iat", json!(NOW + 61), Err(E::NotYet));
    check("iat", json!(NOW - 86_461), Err(E::TooOld));
    check("iat", Value::Null, Err(E::TooOld));
    check("iss", json!("https://app.example/"), Err(E::Issuer));
    check("iss", json!(["https://app.example"]), Err(E::Issuer));
    check("iss", Value::Null, Err(E::Issuer));
    check("aud", json!("other"), Err(E::Audience));
    check("aud", json!(["other", "chasqui"]), Ok(()));
    check("aud", json!([]), Err(E::Audience));
    check("aud", Value::Null, Err(E::Audience));
    check("sub", json!(""), Err(E::Subject));
    check("sub", json!(7), Err(E::Subject));
    check("sub", json!("a\nb"), Err(E::Subject));
    check("sub", json!("x".repeat(255)), Ok(()));
    check("sub", json!("x".repeat(256)), Err(E::Subject));
    check("sub", Value::Null, Err(E::Subject));
    check("nick", json!(7), Ok(()));
    let named = read(&key.sign(&with("nick", json!("ana")))).unwrap().check(&keys, &rules, Timestamp(NOW * 1000));
    assert_eq!(named.unwrap().name.as_deref(), Some("ana"));
    let ageless = Rules { age_ms: 0, ..rules.clone() };
    assert!(checked(&key.sign(&with("iat", Value::Null)), &keys, &ageless).is_ok());
}

#[test]
fn signatures_that_do_not_count() {
    let (key, other, p256) = (Key::ed25519("a", 1), Key::ed25519("a", 2), Key::p256("b"));
    let (keys, all) = (published(&[&key, &p256]), rules(&[Algorithm::EdDSA, Algorithm::ES256]));
    let check = |token: &str, expected: TokenError| assert_eq!(checked(token, &keys, &all), Err(expected), "{token}");
    check(&other.sign(&claims()), TokenError::Signature);
    check(&format!("{}.", unsigned(&json!({"alg": "none"}), &claims())), TokenError::Algorithm);
    check(&format!("{}.", unsigned(&json!({"alg": "EdDSA", "kid": "a"}), &claims())), TokenError::Signature);
    check(&key.sign_as(&json!({"alg": "NONE", "kid": "a"}), &claims()), TokenError::Algorithm);
    check(&key.sign_as(&json!({"alg": "EdDSA", "kid": "z"}), &claims()), TokenError::UnknownKey);
    check(&key.sign_as(&json!({"alg": "ES256", "kid": "a"}), &claims()), TokenError::UnknownKey);
    check(&key.sign_as(&json!({"alg": "ES256", "kid": "b"}), &claims()), TokenError::Signature);
    check(&key.sign_as(&json!({"alg": "RS256", "kid": "a"}), &claims()), TokenError::Algorithm);
    // The header's own key, or where to find one, is not looked at.
    let own = json!({"alg": "EdDSA", "kid": "a", "jwk": other.public(), "jku": "https://mallory.example"});
    check(&other.sign_as(&own, &claims()), TokenError::Signature);
    // A claim changed after signing.
    let (token, elsewhere) = (key.sign(&claims()), key.sign(&with("sub", json!("user-8"))));
    let (header, _) = token.split_once('.').unwrap();
    let (_, payload) = elsewhere.rsplit_once('.').unwrap().0.split_once('.').unwrap();
    let (_, signature) = token.rsplit_once('.').unwrap();
    check(&format!("{header}.{payload}.{signature}"), TokenError::Signature);
}

#[test]
fn no_public_key_is_taken_for_a_secret() {
    let key = Key::ed25519("a", 1);
    let keys = published(&[&key]);
    let public = key.public()["x"].as_str().unwrap().to_owned();
    for secret in [public.as_bytes(), set(&[&key]).as_bytes()] {
        let token = hs256(secret, &claims());
        assert_eq!(checked(&token, &keys, &rules(&[Algorithm::EdDSA])), Err(TokenError::Algorithm));
        // Even where the allow-list is wrong, which the configuration does not let happen.
        let both = rules(&[Algorithm::EdDSA, Algorithm::HS256]);
        assert_eq!(checked(&token, &keys, &both), Err(TokenError::UnknownKey));
    }
    let secret = Keys::secret(&[7; 32]).unwrap();
    assert_eq!(checked(&key.sign(&claims()), &secret, &rules(&[Algorithm::EdDSA])), Err(TokenError::Signature));
}

#[test]
fn what_is_no_token() {
    let key = Key::ed25519("a", 1);
    let token = key.sign(&claims());
    let (signed, _) = token.rsplit_once('.').unwrap();
    let with_header = |header: Value| key.sign_as(&header, &claims());
    let bad = [
        String::new(),
        ".".into(),
        "..".into(),
        "...".into(),
        "a.b.c".into(),
        signed.to_owned(),
        format!("{token}.{token}"),
        format!("{token}="),
        format!(" {token}"),
        with_header(json!([])),
        with_header(json!({"kid": "a"})),
        with_header(json!({"alg": 7})),
        with_header(json!({"alg": "EdDSA", "crit": ["b64"], "b64": false})),
        with_header(json!({"alg": "EdDSA", "typ": "logout+jwt"})),
        "\u{fe0f}.\u{fe0f}.\u{fe0f}".into(),
        ".".repeat(10_000),
    ];
    for token in bad {
        assert!(matches!(read(&token), Err(TokenError::Malformed(_))), "{token}");
    }
    let keys = published(&[&key]);
    let no_claims = key.sign(&json!([1]));
    let expected = Err(TokenError::Malformed("the payload is not an object"));
    assert_eq!(checked(&no_claims, &keys, &rules(&[Algorithm::EdDSA])), expected);
}

/// A source with a clock that stands until it is set.
fn source(url: &str) -> (Arc<KeySource>, Arc<AtomicI64>) {
    let clock = Arc::new(AtomicI64::new(NOW * 1000));
    let now = Arc::clone(&clock);
    let http = outbound::client(FETCH_WITHIN).unwrap();
    let origin = Origin::Url { http, url: outbound::url(url).unwrap() };
    let source = KeySource::new(origin, 600_000, Box::new(move || Timestamp(now.load(Ordering::Relaxed))));
    (Arc::new(source), clock)
}

fn pass(clock: &AtomicI64, time: Duration) {
    clock.fetch_add(i64::try_from(time.as_millis()).unwrap(), Ordering::Relaxed);
}

#[tokio::test]
async fn a_newer_key_is_fetched_when_a_token_names_it_and_not_too_often() {
    let (old, new) = (Key::ed25519("old", 1), Key::ed25519("new", 2));
    let app = App::start(Answer::Json(set(&[&old]))).await;
    let (source, clock) = source(&app.url);
    let keys = source.keys().await.unwrap();
    assert_eq!(app.asked().len(), 1);
    app.answers(Answer::Json(set(&[&old, &new])));
    assert!(source.newer_than(&keys).await.is_none(), "fetched just now");
    pass(&clock, Duration::from_secs(30));
    let newer = source.newer_than(&keys).await.unwrap();
    let token = new.sign(&claims());
    assert_eq!(checked(&token, &keys, &rules(&[Algorithm::EdDSA])), Err(TokenError::UnknownKey));
    assert!(checked(&token, &newer, &rules(&[Algorithm::EdDSA])).is_ok());
    for _ in 0..100 {
        assert!(source.newer_than(&newer).await.is_none());
    }
    assert!(source.newer_than(&keys).await.is_some(), "somebody else fetched it");
    assert_eq!(app.asked().len(), 2, "made-up key ids do not make the node ask");
}

#[tokio::test]
async fn the_last_good_set_survives_an_outage() {
    let key = Key::ed25519("a", 1);
    let app = App::start(Answer::Json(set(&[&key]))).await;
    let (source, clock) = source(&app.url);
    let keys = source.keys().await.unwrap();
    let bad = [
        Answer::Status(500),
        Answer::Status(404),
        Answer::Redirect(format!("{}elsewhere", app.url)),
        Answer::Json("<html>".into()),
        Answer::Json(r#"{"keys":[]}"#.into()),
        Answer::Endless,
    ];
    for (number, answer) in bad.into_iter().enumerate() {
        app.answers(answer.clone());
        pass(&clock, Duration::from_secs(3600));
        assert!(source.refresh().await.is_err(), "{answer:?}");
        assert!(Arc::ptr_eq(&source.keys().await.unwrap(), &keys), "{answer:?}");
        assert_eq!(app.asked().len(), number + 2, "a redirect is not followed");
    }
    assert!(*app.sent.lock().unwrap() < 64 << 20, "nobody reads a body without an end");
    // Aged keys are replaced behind the back of whoever asks.
    let other = Key::ed25519("b", 2);
    app.answers(Answer::Json(set(&[&other])));
    pass(&clock, Duration::from_secs(3600));
    assert!(Arc::ptr_eq(&source.keys().await.unwrap(), &keys), "nobody waits");
    while Arc::ptr_eq(&source.keys().await.unwrap(), &keys) {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_service_that_hangs_is_asked_once_by_all() {
    let key = Key::ed25519("a", 1);
    let app = App::start(Answer::Hang).await;
    let (source, _clock) = source(&app.url);
    let waiting: Vec<_> = (0..50)
        .map(|_| {
            let source = Arc::clone(&source);
            tokio::spawn(async move { source.keys().await.is_some() })
        })
        .collect();
    app.until_asked(1).await;
    app.answers(Answer::Json(set(&[&key])));
    for waiter in waiting {
        assert!(waiter.await.unwrap());
    }
    assert_eq!(app.asked().len(), 1);
}

#[tokio::test]
async fn without_any_keys_nobody_waits_twice() {
    let app = App::start(Answer::Status(503)).await;
    let (source, clock) = source(&app.url);
    assert!(source.keys().await.is_none() && source.keys().await.is_none());
    assert_eq!(app.asked().len(), 1);
    pass(&clock, Duration::from_secs(5));
    assert!(source.keys().await.is_none());
    assert_eq!(app.asked().len(), 2);
}

#[tokio::test]
async fn a_file_is_read_again() {
    let (old, new) = (Key::ed25519("old", 1), Key::ed25519("new", 2));
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("keys.json");
    std::fs::write(&path, set(&[&old])).unwrap();
    let clock = Arc::new(AtomicI64::new(0));
    let now = Arc::clone(&clock);
    let clock_of = Box::new(move || Timestamp(now.load(Ordering::Relaxed)));
    let source = Arc::new(KeySource::new(Origin::File(path.clone()), 600_000, clock_of));
    let keys = source.keys().await.unwrap();
    std::fs::write(&path, set(&[&new])).unwrap();
    pass(&clock, Duration::from_secs(60));
    assert!(source.newer_than(&keys).await.is_some());
    std::fs::write(&path, " ".repeat(1 << 20)).unwrap();
    assert!(source.refresh().await.is_err());
    std::fs::remove_file(&path).unwrap();
    assert!(source.refresh().await.is_err());
    assert!(source.keys().await.is_some());
}
