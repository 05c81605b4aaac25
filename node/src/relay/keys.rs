//! What the node authenticates with its own key: checkpoints, HTTP tokens and token challenges. Nothing is stored.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use chasqui_wire::{Checkpoint, DeviceId, Timestamp};
use ring::hmac;

/// The node's secret, ready to use. Cloneable, so that HTTP handlers need not ask the relay.
#[derive(Clone)]
pub struct NodeKeys {
    key: hmac::Key,
    token_lifetime_ms: u64,
}

impl NodeKeys {
    /// Milliseconds that a token challenge is valid.
    const CHALLENGE_LIFETIME: u64 = 60_000;
    const TOKEN: &[u8] = b"chasqui/v1/http-token";
    const CHALLENGE: &[u8] = b"chasqui/v1/token-challenge";
    const PHONE_NUMBER: &[u8] = b"chasqui/v1/phone-number";
    const PHONE_CODE: &[u8] = b"chasqui/v1/phone-code";

    /// The keys of a node whose secret this is.
    pub fn new(secret: &[u8; 32], token_lifetime_ms: u64) -> Self {
        Self { key: hmac::Key::new(hmac::HMAC_SHA256, secret), token_lifetime_ms }
    }

    /// A checkpoint that devices cannot make up.
    pub fn checkpoint(&self, era: u32, revision: u64, opening: [u8; 8]) -> Checkpoint {
        let tag = hmac::sign(&self.key, &Checkpoint::sealed_bytes(era, revision, &opening));
        let seal = tag.as_ref().try_into().expect("HMAC-SHA256 has 32 bytes");
        Checkpoint { era, revision, opening, seal }
    }

    /// Whether this node made it.
    pub fn made(&self, checkpoint: &Checkpoint) -> bool {
        let sealed = Checkpoint::sealed_bytes(checkpoint.era, checkpoint.revision, &checkpoint.opening);
        hmac::verify(&self.key, &sealed, &checkpoint.seal).is_ok()
    }

    /// A bearer token for this device, and when it ends.
    pub fn token(&self, device: DeviceId, now: Timestamp) -> (String, Timestamp) {
        let expires_at = now.plus_millis(self.token_lifetime_ms);
        let mut payload = device.as_bytes().to_vec();
        payload.extend_from_slice(&expires_at.0.to_be_bytes());
        (self.seal(Self::TOKEN, &payload), expires_at)
    }

    /// Whose token this is; `None` if it is forged or has ended. Whether the device was revoked is the relay's to say.
    pub fn token_holder(&self, token: &str, now: Timestamp) -> Option<DeviceId> {
        let payload: [u8; 24] = self.open(Self::TOKEN, token)?.try_into().ok()?;
        let (device, expires_at) = payload.split_at(16);
        let expires_at = Timestamp(i64::from_be_bytes(expires_at.try_into().ok()?));
        (now < expires_at).then(|| DeviceId::from_slice(device).ok()).flatten()
    }

    /// A nonce for `GET /v1/challenge`, from 16 unpredictable bytes.
    pub fn challenge(&self, random: [u8; 16], now: Timestamp) -> String {
        let mut payload = random.to_vec();
        payload.extend_from_slice(&now.plus_millis(Self::CHALLENGE_LIFETIME).0.to_be_bytes());
        self.seal(Self::CHALLENGE, &payload)
    }

    /// Whether this node made the nonce, within the last minute.
    pub fn accepts_challenge(&self, nonce: &str, now: Timestamp) -> bool {
        let payload: Option<[u8; 24]> = self.open(Self::CHALLENGE, nonce).and_then(|payload| payload.try_into().ok());
        payload.is_some_and(|payload| {
            let expires_at: [u8; 8] = payload[16..].try_into().expect("24 - 16 = 8");
            now < Timestamp(i64::from_be_bytes(expires_at))
        })
    }

    /// What a telephone number is known by.
    pub fn phone_number(&self, e164: &str) -> [u8; 32] {
        self.keyed(Self::PHONE_NUMBER, e164.as_bytes())
    }

    /// What the answer to a challenge is known by.
    pub fn phone_code(&self, challenge: &[u8; 16], code: &str) -> [u8; 32] {
        self.keyed(Self::PHONE_CODE, &[challenge, code.as_bytes()].concat())
    }

    fn keyed(&self, purpose: &[u8], bytes: &[u8]) -> [u8; 32] {
        let tag = hmac::sign(&self.key, &[purpose, bytes].concat());
        tag.as_ref().try_into().expect("HMAC-SHA256 has 32 bytes")
    }

    fn seal(&self, purpose: &[u8], payload: &[u8]) -> String {
        let tag = hmac::sign(&self.key, &[purpose, payload].concat());
        format!("{}.{}", BASE64.encode(payload), BASE64.encode(tag.as_ref()))
    }

    fn open(&self, purpose: &[u8], sealed: &str) -> Option<Vec<u8>> {
        let (payload, tag) = sealed.split_once('.')?;
        let (payload, tag) = (BASE64.decode(payload).ok()?, BASE64.decode(tag).ok()?);
        hmac::verify(&self.key, &[purpose, &payload].concat(), &tag).ok()?;
        Some(payload)
    }
}

impl std::fmt::Debug for NodeKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("NodeKeys")
    }
}
