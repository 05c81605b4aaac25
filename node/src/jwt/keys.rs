//! The keys that sign tokens: a shared secret, or a set of public keys as the app publishes it (JWKS, RFC 7517).
//!
//! Each public key verifies one algorithm, the one of its own type, whatever a token says. A secret in a key set is
//! never taken.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use ring::signature::{ECDSA_P256_SHA256_FIXED, ED25519, RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey};
use ring::{hmac, signature};
use serde::{Deserialize, Serialize};

/// Keys of a set that are looked at.
const KEYS: usize = 64;

/// How a token is signed (RFC 7518, section 3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Algorithm {
    /// RSA PKCS #1 v1.5 with SHA-256, 2048 to 8192 bits.
    RS256,
    /// ECDSA on P-256 with SHA-256.
    ES256,
    /// Ed25519.
    EdDSA,
    /// HMAC with SHA-256, under a secret that the app's backend and the node share.
    HS256,
}

impl Algorithm {
    pub(super) fn from_name(name: &str) -> Option<Self> {
        match name {
            "RS256" => Some(Self::RS256),
            "ES256" => Some(Self::ES256),
            "EdDSA" | "Ed25519" => Some(Self::EdDSA),
            "HS256" => Some(Self::HS256),
            _ => None,
        }
    }
}

/// What tokens are verified with: one secret, or public keys, never both.
#[derive(Clone)]
pub enum Keys {
    /// For HS256.
    Secret(hmac::Key),
    /// For everything else.
    Published(KeySet),
}

/// Why a signature does not count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyError {
    /// No key of that id and algorithm.
    Unknown,
    /// The signature is wrong.
    Wrong,
}

impl Keys {
    /// The shared secret. `None` below 32 bytes: RFC 7518 asks for as many as the hash has.
    pub fn secret(secret: &[u8]) -> Option<Self> {
        (secret.len() >= 32).then(|| Self::Secret(hmac::Key::new(hmac::HMAC_SHA256, secret)))
    }

    /// Verifies a signature over `signed`.
    ///
    /// # Errors
    /// [`KeyError`].
    pub fn verify(
        &self,
        algorithm: Algorithm,
        id: Option<&str>,
        signed: &[u8],
        signature: &[u8],
    ) -> Result<(), KeyError> {
        match self {
            Self::Secret(key) => {
                let is_right = algorithm == Algorithm::HS256 && hmac::verify(key, signed, signature).is_ok();
                if is_right { Ok(()) } else { Err(KeyError::Wrong) }
            }
            Self::Published(set) => set.find(algorithm, id).ok_or(KeyError::Unknown)?.verify(signed, signature),
        }
    }
}

/// Public keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeySet(Vec<PublicKey>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct PublicKey {
    id: Option<String>,
    material: Material,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Material {
    Rsa {
        n: Vec<u8>,
        e: Vec<u8>,
    },
    /// Uncompressed point.
    P256([u8; 65]),
    Ed25519([u8; 32]),
}

#[derive(Deserialize)]
struct SetOnWire {
    keys: Vec<serde_json::Value>,
}

#[derive(Deserialize)]
struct KeyOnWire {
    kty: String,
    kid: Option<String>,
    alg: Option<String>,
    #[serde(rename = "use")]
    usage: Option<String>,
    key_ops: Option<Vec<String>>,
    crv: Option<String>,
    n: Option<String>,
    e: Option<String>,
    x: Option<String>,
    y: Option<String>,
}

impl KeySet {
    /// Reads a set. Keys of other kinds and for other purposes are left out; `None` when no key is left.
    pub fn parse(json: &[u8]) -> Option<Self> {
        let set: SetOnWire = serde_json::from_slice(json).ok()?;
        let keys: Vec<_> = set.keys.into_iter().take(KEYS).filter_map(PublicKey::parse).collect();
        (!keys.is_empty()).then_some(Self(keys))
    }

    /// A token without a key id is taken when there is just one key that it can mean.
    fn find(&self, algorithm: Algorithm, id: Option<&str>) -> Option<&PublicKey> {
        let mut fitting = self.0.iter().filter(|key| key.material.algorithm() == algorithm);
        match id {
            Some(id) => fitting.find(|key| key.id.as_deref() == Some(id)),
            None => fitting.next().filter(|_| fitting.next().is_none()),
        }
    }
}

impl PublicKey {
    fn parse(key: serde_json::Value) -> Option<Self> {
        let key: KeyOnWire = serde_json::from_value(key).ok()?;
        let is_for_signatures = key.usage.as_deref().is_none_or(|usage| usage == "sig")
            && key.key_ops.as_ref().is_none_or(|ops| ops.iter().any(|op| op == "verify"));
        let bytes = |field: &Option<String>| BASE64.decode(field.as_ref()?).ok();
        let material = match (key.kty.as_str(), key.crv.as_deref()) {
            ("RSA", _) => Material::rsa(bytes(&key.n)?, bytes(&key.e)?)?,
            ("EC", Some("P-256")) => {
                let (x, y): ([u8; 32], [u8; 32]) = (bytes(&key.x)?.try_into().ok()?, bytes(&key.y)?.try_into().ok()?);
                let mut point = [4; 65];
                point[1..33].copy_from_slice(&x);
                point[33..].copy_from_slice(&y);
                Material::P256(point)
            }
            ("OKP", Some("Ed25519")) => Material::Ed25519(bytes(&key.x)?.try_into().ok()?),
            _ => return None,
        };
        let is_named_so = key.alg.is_none_or(|name| Algorithm::from_name(&name) == Some(material.algorithm()));
        (is_for_signatures && is_named_so).then_some(Self { id: key.kid, material })
    }

    fn verify(&self, signed: &[u8], signature: &[u8]) -> Result<(), KeyError> {
        let verified = match &self.material {
            Material::Rsa { n, e } => {
                signature::RsaPublicKeyComponents { n, e }.verify(&RSA_PKCS1_2048_8192_SHA256, signed, signature)
            }
            Material::P256(point) => UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point).verify(signed, signature),
            Material::Ed25519(key) => UnparsedPublicKey::new(&ED25519, key).verify(signed, signature),
        };
        verified.map_err(|_| KeyError::Wrong)
    }
}

impl Material {
    fn rsa(n: Vec<u8>, e: Vec<u8>) -> Option<Self> {
        let trimmed = |mut number: Vec<u8>| {
            let zeros = number.iter().take_while(|&&byte| byte == 0).count();
            number.drain(..zeros);
            number
        };
        let (n, e) = (trimmed(n), trimmed(e));
        // Shorter ones are broken, longer ones are a way to keep the node busy.
        ((2048 / 8..=8192 / 8).contains(&n.len()) && (1..=4).contains(&e.len())).then_some(Self::Rsa { n, e })
    }

    fn algorithm(&self) -> Algorithm {
        match self {
            Self::Rsa { .. } => Algorithm::RS256,
            Self::P256(_) => Algorithm::ES256,
            Self::Ed25519(_) => Algorithm::EdDSA,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(key: serde_json::Value, is_taken: bool) {
        let set = serde_json::json!({"keys": [key]}).to_string();
        assert_eq!(KeySet::parse(set.as_bytes()).is_some(), is_taken, "{set}");
    }

    #[test]
    fn only_keys_for_signatures_are_taken() {
        let x = BASE64.encode([7; 32]);
        let with = |extra: serde_json::Value| {
            let mut key = serde_json::json!({"kty": "OKP", "crv": "Ed25519", "x": x, "kid": "a"});
            key.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
            key
        };
        check(with(serde_json::json!({})), true);
        check(with(serde_json::json!({"use": "sig", "alg": "EdDSA", "key_ops": ["verify"]})), true);
        check(with(serde_json::json!({"use": "enc"})), false);
        check(with(serde_json::json!({"key_ops": ["sign"]})), false);
        check(with(serde_json::json!({"alg": "RS256"})), false);
        check(with(serde_json::json!({"alg": "none"})), false);
        check(with(serde_json::json!({"crv": "X25519"})), false);
        check(with(serde_json::json!({"x": "AAAA"})), false);
        check(with(serde_json::json!({"kty": "oct", "k": x})), false);
        let (short, long) = (BASE64.encode([9; 128]), BASE64.encode([9; 256]));
        check(serde_json::json!({"kty": "RSA", "n": short, "e": "AQAB"}), false);
        check(serde_json::json!({"kty": "RSA", "n": long, "e": "AQAB"}), true);
        check(serde_json::json!({"kty": "EC", "crv": "P-256", "x": x, "y": x}), true);
        check(serde_json::json!({"kty": "EC", "crv": "P-256", "x": x}), false);
        check(serde_json::json!(7), false);
    }

    #[test]
    fn what_is_no_set_is_none() {
        for text in ["", "{", "[]", "{}", r#"{"keys":[]}"#, r#"{"keys":7}"#, "<html>"] {
            assert_eq!(KeySet::parse(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn a_token_without_a_key_id_means_the_only_key() {
        let key = |id: &str, byte: u8| serde_json::json!({"kty": "OKP", "crv": "Ed25519", "x": BASE64.encode([byte; 32]), "kid": id});
        let set = |keys: &[serde_json::Value]| {
            KeySet::parse(serde_json::json!({ "keys": keys }).to_string().as_bytes()).unwrap()
        };
        let one = set(&[key("a", 1)]);
        assert!(one.find(Algorithm::EdDSA, None).is_some() && one.find(Algorithm::EdDSA, Some("a")).is_some());
        assert!(one.find(Algorithm::EdDSA, Some("b")).is_none() && one.find(Algorithm::RS256, None).is_none());
        let two = set(&[key("a", 1), key("b", 2)]);
        assert!(two.find(Algorithm::EdDSA, None).is_none());
        assert_eq!(two.find(Algorithm::EdDSA, Some("b")).map(|key| key.id.as_deref()), Some(Some("b")));
    }
}
