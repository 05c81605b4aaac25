//! Tokens of the app's backend: what is accepted was signed by the app's key in the one way of that key, and its claims
//! are as the rules ask. Headers and payloads are also signed as they come, so that what lies behind a signature is tried.

use std::sync::LazyLock;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use chasqui_node::jwt::{Algorithm, Claims, KeySet, Keys, Rules, TokenError, read};
use chasqui_wire::Timestamp;
use ring::hmac;
use ring::signature::{Ed25519KeyPair, KeyPair as _};
use serde_json::{Value, json};

use crate::memory;

/// Seconds since 1970.
const NOW: i64 = 1_000_100;
/// Seconds.
const LEEWAY: i64 = 60;
/// The most that `jwt.token_bytes` may be.
const LARGEST: usize = 12 * 1024;
const SECRET: [u8; 32] = [7; 32];
/// Made by OpenSSL; the only token that is signed with this key.
const RSA_KEYS: &str = include_str!("../../src/jwt/tests/rsa.json");
const RSA_TOKEN: &str = include_str!("../../src/jwt/tests/rsa.jwt");

static ED25519: LazyLock<Ed25519KeyPair> =
    LazyLock::new(|| Ed25519KeyPair::from_seed_unchecked(&[1; 32]).expect("32 bytes"));

/// An app that shares a secret with the node.
static SHARED: LazyLock<(Keys, Rules)> =
    LazyLock::new(|| (Keys::secret(&SECRET).expect("32 bytes"), rules(&[Algorithm::HS256])));

/// An app that publishes its keys.
static PUBLISHED: LazyLock<(Keys, Rules)> = LazyLock::new(|| {
    let mut set: Value = serde_json::from_str(RSA_KEYS).expect("a key set");
    let x = BASE64.encode(ED25519.public_key());
    set["keys"].as_array_mut().expect("keys").push(json!({"kty": "OKP", "crv": "Ed25519", "kid": "ed", "x": x}));
    let keys = KeySet::parse(set.to_string().as_bytes()).expect("two keys");
    (Keys::Published(keys), rules(&[Algorithm::RS256, Algorithm::ES256, Algorithm::EdDSA]))
});

fn rules(algorithms: &[Algorithm]) -> Rules {
    Rules {
        issuer: "https://app.example".into(),
        audience: "chasqui".into(),
        algorithms: algorithms.to_vec(),
        leeway_ms: LEEWAY as u64 * 1000,
        age_ms: 0,
        name_claim: Some("nick".into()),
    }
}

/// Whether it is a token, or a header or a payload of one.
pub(crate) fn check(input: &[u8]) -> bool {
    if input.len() > LARGEST {
        return false;
    }
    let as_sent = std::str::from_utf8(input).is_ok_and(|text| is_accepted(text.trim_end_matches('\n')));

    // What the app signs, whatever it says.
    let (shared, published) = (json!({"alg": "HS256"}).to_string(), json!({"alg": "EdDSA", "kid": "ed"}).to_string());
    let payload_counts = is_accepted(&by_secret(&SECRET, shared.as_bytes(), input));
    assert_eq!(is_accepted(&by_key(published.as_bytes(), input)), payload_counts, "two apps, two meanings");
    let claims = claims().to_string();
    let header_counts =
        is_accepted(&by_secret(&SECRET, input, claims.as_bytes())) | is_accepted(&by_key(input, claims.as_bytes()));

    // A public key is nobody's secret, whatever the header says.
    assert!(!is_accepted(&by_secret(ED25519.public_key().as_ref(), input, claims.as_bytes())));

    // Genuine ones, damaged as the input says: pairs of a place and a byte.
    let genuine =
        [by_secret(&SECRET, shared.as_bytes(), claims.as_bytes()), by_key(published.as_bytes(), claims.as_bytes())];
    for genuine in genuine {
        let mut damaged = genuine.clone().into_bytes();
        for pair in input.chunks_exact(2) {
            let place = usize::from(u16::from_le_bytes([pair[0], pair[1]])) % damaged.len();
            damaged[place] = pair[1];
        }
        let Ok(damaged) = String::from_utf8(damaged) else { continue };
        assert_eq!(is_accepted(&damaged), damaged == genuine, "{damaged}");
    }
    as_sent || payload_counts || header_counts
}

/// Whether either app's node takes it; then it must be right in everything.
fn is_accepted(token: &str) -> bool {
    // A tree of JSON: an object with one field takes about 640 bytes, and seven of text.
    let most = 128 * token.len() + 16 * 1024;
    let (shared, published) = (&*SHARED, &*PUBLISHED);
    let of_shared = memory::within(most, || counts(token, shared));
    let of_published = memory::within(most, || counts(token, published));
    let (signed, signature) = token.rsplit_once('.').unwrap_or_default();
    if let Ok(claims) = &of_shared {
        assert_eq!(
            signature,
            BASE64.encode(hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &SECRET), signed.as_bytes()))
        );
        is_as_the_rules_ask(signed, claims, &["HS256"]);
    }
    if let Ok(claims) = &of_published {
        let is_ours = signature == BASE64.encode(ED25519.sign(signed.as_bytes()));
        assert!(is_ours || token == RSA_TOKEN.trim(), "nobody signed {token}");
        is_as_the_rules_ask(signed, claims, if is_ours { &["EdDSA", "Ed25519"] } else { &["RS256"] });
    }
    assert!(of_shared.is_err() || of_published.is_err(), "one key passes for the other");
    of_shared.is_ok() || of_published.is_ok()
}

fn counts(token: &str, (keys, rules): &(Keys, Rules)) -> Result<Claims, TokenError> {
    read(token)?.check(keys, rules, Timestamp(NOW * 1000))
}

/// Asks the same again, in another way.
fn is_as_the_rules_ask(signed: &str, claims: &Claims, algorithms: &[&str]) {
    let mut parts = signed.split('.').map(|part| BASE64.decode(part).expect("it was accepted"));
    let mut part = || serde_json::from_slice::<Value>(&parts.next().expect("two parts")).expect("it was accepted");
    let (header, payload) = (part(), part());
    assert!(algorithms.iter().any(|name| header["alg"] == *name) && header["crit"].is_null(), "{header}");
    assert_eq!(payload["iss"], "https://app.example");
    let audiences = payload["aud"].as_array().cloned().unwrap_or_else(|| vec![payload["aud"].clone()]);
    assert!(audiences.contains(&json!("chasqui")), "{payload}");
    assert!(payload["exp"].as_f64().is_some_and(|exp| exp > (NOW - LEEWAY) as f64), "{payload}");
    for begins in ["nbf", "iat"] {
        // To the millisecond.
        let latest = (NOW + LEEWAY) as f64 + 0.001;
        assert!(payload[begins].is_null() || payload[begins].as_f64().is_some_and(|at| at < latest), "{payload}");
    }
    assert_eq!(payload["sub"], claims.subject.as_str());
    assert!((1..=255).contains(&claims.subject.len()) && !claims.subject.contains(char::is_control), "{payload}");
    assert_eq!(payload["nick"].as_str(), claims.name.as_deref());
}

fn claims() -> Value {
    json!({"iss": "https://app.example", "aud": "chasqui", "sub": "user-7", "iat": NOW - 10, "exp": NOW + 600})
}

fn by_secret(secret: &[u8], header: &[u8], payload: &[u8]) -> String {
    let signed = format!("{}.{}", BASE64.encode(header), BASE64.encode(payload));
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), signed.as_bytes());
    format!("{signed}.{}", BASE64.encode(tag))
}

fn by_key(header: &[u8], payload: &[u8]) -> String {
    let signed = format!("{}.{}", BASE64.encode(header), BASE64.encode(payload));
    let signature = BASE64.encode(ED25519.sign(signed.as_bytes()));
    format!("{signed}.{signature}")
}
