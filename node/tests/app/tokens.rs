//! Tokens and key sets as an app's backend makes them.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use ring::hmac;
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _};
use serde_json::{Value, json};

/// A key of the app, with its id.
pub(crate) enum Key {
    Ed25519(&'static str, Ed25519KeyPair),
    P256(&'static str, EcdsaKeyPair),
}

impl Key {
    pub(crate) fn ed25519(id: &'static str, seed: u8) -> Self {
        Self::Ed25519(id, Ed25519KeyPair::from_seed_unchecked(&[seed; 32]).unwrap())
    }

    pub(crate) fn p256(id: &'static str) -> Self {
        let random = SystemRandom::new();
        let pkcs8 = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).unwrap();
        Self::P256(id, EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pkcs8.as_ref(), &random).unwrap())
    }

    /// As it is published.
    pub(crate) fn public(&self) -> Value {
        match self {
            Self::Ed25519(id, key) => {
                json!({"kty": "OKP", "crv": "Ed25519", "kid": id, "use": "sig", "x": BASE64.encode(key.public_key())})
            }
            Self::P256(id, key) => {
                let point = key.public_key().as_ref();
                let (x, y) = (BASE64.encode(&point[1..33]), BASE64.encode(&point[33..]));
                json!({"kty": "EC", "crv": "P-256", "kid": id, "alg": "ES256", "x": x, "y": y})
            }
        }
    }

    /// A token with these claims.
    pub(crate) fn sign(&self, claims: &Value) -> String {
        let (algorithm, id) = match self {
            Self::Ed25519(id, _) => ("EdDSA", id),
            Self::P256(id, _) => ("ES256", id),
        };
        self.sign_as(&json!({"alg": algorithm, "kid": id, "typ": "JWT"}), claims)
    }

    /// The same under a header of the caller's.
    pub(crate) fn sign_as(&self, header: &Value, claims: &Value) -> String {
        let signed = unsigned(header, claims);
        let signature = match self {
            Self::Ed25519(_, key) => key.sign(signed.as_bytes()).as_ref().to_vec(),
            Self::P256(_, key) => key.sign(&SystemRandom::new(), signed.as_bytes()).unwrap().as_ref().to_vec(),
        };
        format!("{signed}.{}", BASE64.encode(signature))
    }
}

/// The first two parts.
pub(crate) fn unsigned(header: &Value, claims: &Value) -> String {
    format!("{}.{}", BASE64.encode(header.to_string()), BASE64.encode(claims.to_string()))
}

/// A token under a shared secret.
pub(crate) fn hs256(secret: &[u8], claims: &Value) -> String {
    let signed = unsigned(&json!({"alg": "HS256", "typ": "JWT"}), claims);
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), signed.as_bytes());
    format!("{signed}.{}", BASE64.encode(tag.as_ref()))
}

pub(crate) fn set(keys: &[&Key]) -> String {
    json!({"keys": keys.iter().map(|key| key.public()).collect::<Vec<_>>()}).to_string()
}
