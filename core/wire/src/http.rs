//! The HTTP API's JSON bodies. Paths and rules: docs/protocol.md.
//!
//! Keys and signatures are base64url without padding, ids are UUID text, times are milliseconds since the Unix epoch.

use serde::{Deserialize, Serialize};

use crate::{DeviceId, ErrorCode, RealmId, Timestamp, UserId};

/// `GET /v1/realm`: who this node is. Needs no token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Realm {
    /// The app that the node serves.
    pub realm: RealmId,
    /// The lowest protocol version that it speaks.
    pub version_min: u32,
    /// The highest protocol version that it speaks.
    pub version_max: u32,
}

/// A device that asks to be enrolled.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewDevice {
    /// Made by the device (UUIDv7). The same id with the same key again is the same enrolment.
    pub device: DeviceId,
    /// Ed25519 public key.
    pub key: Key<32>,
    /// Ed25519 over [`crate::signing::enrol`]: the device holds the key.
    pub proof: Key<64>,
    /// For people, e.g. "Ana's phone"; at most 64 bytes.
    pub name: String,
}

/// `POST /v1/register`: a new user with a first device. Repeating it is harmless.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Register {
    /// The realm that the device expects.
    pub realm: RealmId,
    /// Made by the device.
    pub user: UserId,
    /// 1 to 64 bytes; letters, digits, `.`, `_`, `-`; compared without case.
    pub name: String,
    /// 8 to 1024 bytes.
    pub password: Sensitive,
    /// The user's identity key (Ed25519), whose secret stays on the user's devices.
    pub identity_key: Key<32>,
    /// The first device.
    pub device: NewDevice,
}

/// `POST /v1/login`: a further device of a user. Repeating it is harmless.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Login {
    /// The realm that the device expects.
    pub realm: RealmId,
    /// As registered.
    pub name: String,
    /// As registered.
    pub password: Sensitive,
    /// The further device.
    pub device: NewDevice,
}

/// `POST /v1/enrol/jwt`: a device of the user whom a token of the app's own backend names; a new user, the first time.
/// Repeating it, with the same token or a newer one, is harmless.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EnrolByToken {
    /// The realm that the device expects.
    pub realm: RealmId,
    /// A JWT in compact form.
    pub token: Sensitive,
    /// Who.
    #[serde(flatten)]
    pub newcomer: Newcomer,
}

/// Whom a device is enrolled for when a token or a telephone number says who that is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Newcomer {
    /// Made by the device, for a user who is new; the answer says who it is.
    pub user: UserId,
    /// The user's identity key (Ed25519), for a user who is new.
    pub identity_key: Key<32>,
    /// The device holds the history of this user already: nobody else is enrolled.
    #[serde(default)]
    pub only: Option<UserId>,
    /// The device.
    pub device: NewDevice,
}

/// `POST /v1/phone/codes`: a code to a telephone. The answer is the same whether the number is known or not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CodeRequest {
    /// The realm that the device expects.
    pub realm: RealmId,
    /// As people write it; the node makes E.164 of it.
    pub phone: Sensitive,
}

/// The answer to [`CodeRequest`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CodeSent {
    /// What the code answers. Opaque.
    pub challenge: String,
    /// Milliseconds for which the code is taken.
    pub expires_in_ms: u32,
    /// Milliseconds after which another code may be asked for. It replaces this one.
    pub resend_after_ms: u32,
}

/// `POST /v1/phone/enrol`: a device of the user whom the challenge's number belongs to; a new user, the first time.
/// Repeating it is harmless.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EnrolByCode {
    /// The realm that the device expects.
    pub realm: RealmId,
    /// From [`CodeSent`].
    pub challenge: String,
    /// 6 digits.
    pub code: Sensitive,
    /// The account's PIN, where it has one.
    #[serde(default)]
    pub pin: Option<Sensitive>,
    /// The number's earlier account is somebody else's, or its PIN is lost: after the waiting period, begin a new one.
    #[serde(default)]
    pub fresh: bool,
    /// Who.
    #[serde(flatten)]
    pub newcomer: Newcomer,
}

/// `PUT /v1/pin`: sets or changes the PIN that protects the caller's account when its number is enrolled again.
/// `DELETE /v1/pin` removes it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewPin {
    /// 4 to 64 bytes.
    pub pin: Sensitive,
}

/// That it is the account's owner who asks, and not whoever holds the device: one proof that the account has, if it has any.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccountProof {
    /// As registered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password: Option<Sensitive>,
    /// The account's PIN.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pin: Option<Sensitive>,
    /// A token (JWT) of the app's backend that names this user.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<Sensitive>,
}

/// `DELETE /v1/account`: deletes the caller's account. Repeating it is harmless: `account_deleted`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeleteAccount {
    /// The owner wants it.
    #[serde(flatten)]
    pub proof: AccountProof,
}

/// `PUT /v1/account/identity`: a new identity for a user who has lost the one before, with all devices that held it. Repeating
/// it is harmless.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewIdentity {
    /// Ed25519 public key, whose secret stays on the user's devices.
    pub identity_key: Key<32>,
    /// Ed25519 by it over [`crate::signing::link`], for the calling device: whoever asks holds the key.
    pub link: Key<64>,
    /// The owner wants it.
    #[serde(flatten)]
    pub proof: AccountProof,
}

/// The answer to every enrolment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Enrolled {
    /// Whose device it is.
    pub user: UserId,
    /// The name as registered.
    pub name: String,
    /// The user's identity key.
    pub identity_key: Key<32>,
}

/// `GET /v1/challenge`: a nonce to sign. Needs no token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenChallenge {
    /// Opaque, valid for a minute.
    pub nonce: String,
}

/// `POST /v1/tokens`: a signed nonce for a bearer token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenRequest {
    /// Who asks.
    pub device: DeviceId,
    /// From [`TokenChallenge`].
    pub nonce: String,
    /// Ed25519 over [`crate::signing::token`].
    pub signature: Key<64>,
}

/// A bearer token: `Authorization: Bearer …` on every request below.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Token {
    /// Opaque.
    pub token: Sensitive,
    /// By the node's clock.
    pub expires_at: Timestamp,
}

/// `GET /v1/users/{id}` and `GET /v1/users?name=…`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct User {
    /// Who.
    pub user: UserId,
    /// The name as registered.
    pub name: String,
    /// The user's identity key.
    pub identity_key: Key<32>,
}

/// `GET /v1/devices`: the caller's own devices. `DELETE /v1/devices/{id}` revokes one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Devices {
    /// Oldest first; revoked ones are left out.
    pub devices: Vec<Device>,
}

/// One of the caller's devices.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Device {
    /// Which.
    pub device: DeviceId,
    /// For people.
    pub name: String,
    /// By the node's clock.
    pub created_at: Timestamp,
    /// When it last opened or closed a socket; `null` if never.
    pub last_seen_at: Option<Timestamp>,
}

/// `GET /v1/mailbox?peek`: the newest mail that waits for the calling device, as it is. Nothing of it counts as delivered, no
/// socket is disturbed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WaitingMail {
    /// One frame, a [`Deliver`](crate::Deliver), of at most 128 entries and 256 KiB, oldest first.
    pub deliver: Binary,
    /// Whether mail waits that is not in it.
    pub has_more: bool,
}

/// The body of every answer above 399.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorBody {
    /// What went wrong.
    pub error: Problem,
}

/// What went wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// Stable, for programs.
    #[serde(with = "code_name")]
    pub code: ErrorCode,
    /// English, for developers.
    pub detail: String,
    /// Milliseconds after which a retry may help; 0 = the caller decides.
    #[serde(default)]
    pub retry_after_ms: u32,
}

/// Text that no log shows: a password, a code, a token, a telephone number. In JSON it is text like any other.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Sensitive(pub String);

impl std::fmt::Debug for Sensitive {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Sensitive(…)")
    }
}

impl From<String> for Sensitive {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl From<&str> for Sensitive {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

/// `N` bytes, base64url without padding in JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Key<const N: usize>(pub [u8; N]);

impl<const N: usize> Serialize for Key<N> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use base64::Engine as _;
        serializer.serialize_str(&base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(self.0))
    }
}

impl<'de, const N: usize> Deserialize<'de> for Key<N> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        use base64::Engine as _;
        let text = String::deserialize(deserializer)?;
        let bytes = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(text).ok();
        let fixed = bytes.and_then(|bytes| bytes.try_into().ok());
        fixed.map(Self).ok_or_else(|| serde::de::Error::custom(format_args!("expected {N} bytes as base64url")))
    }
}

/// Bytes, base64url without padding in JSON. No log shows them.
#[derive(Clone, PartialEq, Eq)]
pub struct Binary(pub bytes::Bytes);

impl std::fmt::Debug for Binary {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Binary({} bytes)", self.0.len())
    }
}

impl Serialize for Binary {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use base64::Engine as _;
        serializer.serialize_str(&base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(&self.0))
    }
}

impl<'de> Deserialize<'de> for Binary {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        use base64::Engine as _;
        let text = String::deserialize(deserializer)?;
        let bytes = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(text);
        bytes.map(|bytes| Self(bytes.into())).map_err(|_| serde::de::Error::custom("expected bytes as base64url"))
    }
}

mod code_name {
    use crate::ErrorCode;
    use serde::{Deserialize as _, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(code: &ErrorCode, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(code.name())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<ErrorCode, D::Error> {
        String::deserialize(deserializer).map(|name| ErrorCode::from_name(&name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_log_shows_what_proves_somebody() {
        let secret = || Sensitive::from("correct horse");
        let (realm, id) = (RealmId::from_bytes([1; 16]), [2; 16]);
        let device =
            NewDevice { device: DeviceId::from_bytes(id), key: Key([3; 32]), proof: Key([4; 64]), name: "".into() };
        let (user, identity_key, name) = (UserId::from_bytes(id), Key([5; 32]), || "ana".to_owned());
        let newcomer = Newcomer { user, identity_key, only: None, device: device.clone() };
        let (code, pin, newcomer_too) = (secret(), Some(secret()), newcomer.clone());
        let proof = || AccountProof { password: Some(secret()), ..AccountProof::default() };
        let by_code = EnrolByCode { realm, challenge: "".into(), code, pin, fresh: false, newcomer: newcomer_too };
        let shown = [
            format!("{:?}", Login { realm, name: name(), password: secret(), device: device.clone() }),
            format!("{:?}", Register { realm, user, name: name(), password: secret(), identity_key, device }),
            format!("{:?}", Token { token: secret(), expires_at: Timestamp(0) }),
            format!("{:?}", EnrolByToken { realm, token: secret(), newcomer: newcomer.clone() }),
            format!("{by_code:?}"),
            format!("{:?}", CodeRequest { realm, phone: secret() }),
            format!("{:?}", NewPin { pin: secret() }),
            format!("{:?}", DeleteAccount { proof: proof() }),
            format!("{:?}", NewIdentity { identity_key, link: Key([6; 64]), proof: proof() }),
        ];
        for shown in shown {
            assert!(shown.contains("Sensitive(…)") && !shown.contains("horse"), "{shown}");
        }
    }
}
