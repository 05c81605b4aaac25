//! The node's HTTP API: accounts and the directory.

use std::sync::{Arc, Mutex, PoisonError};

use chasqui_wire::http::{
    CodeRequest, CodeSent, DeleteAccount, Device, Devices, EnrolByCode, EnrolByToken, Enrolled, ErrorBody, Key, Login,
    NewIdentity, NewPin, Realm, Register, Token, TokenChallenge, TokenRequest, User, WaitingMail,
};
use chasqui_wire::{DeviceId, Entry, Limits, NodeFrame, RealmId, Timestamp, UserId, signing};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::clock::Clock;
use super::platform::Http;
use super::shared::{HttpToken, Shared};
use crate::Error;
use crate::engine::{ResolvedUser, Secret, sign_with};

/// The longest answer is waiting mail, 350 KiB.
pub(super) const ANSWER_BYTES: usize = 1024 * 1024;
/// For a request and its answer, in milliseconds.
pub(super) const ANSWER_WITHIN_MS: u32 = 30_000;
/// How long a minted token is taken to be valid, whatever the clocks say: at least, at most, in milliseconds.
const MINTED_FOR_MS: (u64, u64) = (5 * 60_000, 15 * 60_000);
/// A token is renewed this long before its end, in milliseconds.
const RENEW_BEFORE_MS: u64 = 60_000;

/// Who asks for a token.
#[derive(Clone, Debug)]
pub(crate) struct Credentials {
    pub(crate) realm: RealmId,
    pub(crate) device: DeviceId,
    pub(crate) device_seed: Secret,
}

/// How a request is made.
#[derive(Clone, Copy, Debug)]
pub(super) enum Method {
    Get,
    Post,
    Put,
    Delete,
}

impl Method {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Delete => "DELETE",
        }
    }
}

/// A request as the platform sends it.
#[derive(Clone)]
pub(super) struct Request {
    pub(super) method: Method,
    pub(super) url: String,
    pub(super) bearer: Option<String>,
    /// JSON.
    pub(super) body: Option<Vec<u8>>,
}

/// What came back, whatever it says.
pub(super) struct Answer {
    pub(super) status: u16,
    /// At most [`ANSWER_BYTES`].
    pub(super) body: Vec<u8>,
}

#[derive(Debug)]
pub(crate) struct Api {
    pub(super) http: Http,
    base: String,
    shared: Arc<Shared>,
    credentials: Mutex<Option<Credentials>>,
}

impl Api {
    pub(super) fn new(node: &str, shared: Arc<Shared>) -> Result<Self, Error> {
        let base = node.trim_end_matches('/').to_owned();
        let is_secure = base.starts_with("https://");
        let is_usable = (is_secure || base.starts_with("http://")) && !base.contains(['?', '#']) && Http::is_url(&base);
        if !is_usable {
            let detail = format!("the node's address {node:?} is not of the form https://host or http://host");
            return Err(Error::Invalid { detail });
        }
        Ok(Self { http: Http::new(is_secure)?, base, shared, credentials: Mutex::default() })
    }

    pub(super) fn socket_url(&self) -> String {
        format!("ws{}/v1/connect", self.base.trim_start_matches("http"))
    }

    pub(super) fn set_token(&self, token: String, expires_at: Timestamp) {
        self.shared.set_token(Some(HttpToken { token, expires_at }));
    }

    pub(crate) fn set_credentials(&self, credentials: Option<Credentials>) {
        self.shared.set_token(None);
        *self.credentials.lock().unwrap_or_else(PoisonError::into_inner) = credentials;
    }

    pub(crate) async fn realm(&self) -> Result<Realm, Error> {
        self.json(Method::Get, "/v1/realm", None::<&()>).await
    }

    pub(crate) async fn register(&self, register: &Register) -> Result<Enrolled, Error> {
        self.json(Method::Post, "/v1/register", Some(register)).await
    }

    pub(crate) async fn login(&self, login: &Login) -> Result<Enrolled, Error> {
        self.json(Method::Post, "/v1/login", Some(login)).await
    }

    pub(crate) async fn enrol_by_token(&self, request: &EnrolByToken) -> Result<Enrolled, Error> {
        self.json(Method::Post, "/v1/enrol/jwt", Some(request)).await
    }

    pub(crate) async fn request_code(&self, request: &CodeRequest) -> Result<CodeSent, Error> {
        self.json(Method::Post, "/v1/phone/codes", Some(request)).await
    }

    pub(crate) async fn enrol_by_code(&self, request: &EnrolByCode) -> Result<Enrolled, Error> {
        self.json(Method::Post, "/v1/phone/enrol", Some(request)).await
    }

    pub(crate) async fn set_pin(&self, pin: &NewPin) -> Result<(), Error> {
        self.ask_with(Method::Put, "/v1/pin", Some(written(pin)?)).await.map(drop)
    }

    pub(crate) async fn remove_pin(&self) -> Result<(), Error> {
        self.ask(Method::Delete, "/v1/pin").await.map(drop)
    }

    pub(crate) async fn delete_account(&self, deletion: &DeleteAccount) -> Result<(), Error> {
        self.ask_with(Method::Delete, "/v1/account", Some(written(deletion)?)).await.map(drop)
    }

    pub(crate) async fn reset_identity(&self, body: &NewIdentity) -> Result<(), Error> {
        self.ask_with(Method::Put, "/v1/account/identity", Some(written(body)?)).await.map(drop)
    }

    pub(crate) async fn account_export(&self) -> Result<String, Error> {
        let held = self.ask(Method::Get, "/v1/account/export").await?;
        String::from_utf8(held).map_err(|_| Error::Incompatible { detail: "the node's answer is no text".into() })
    }

    pub(crate) async fn user(&self, user: UserId) -> Result<ResolvedUser, Error> {
        let found: User = parsed(&self.ask(Method::Get, &format!("/v1/users/{user}")).await?)?;
        Ok(ResolvedUser { name: found.name, identity_key: found.identity_key.0 })
    }

    pub(crate) async fn user_by_name(&self, name: &str) -> Result<User, Error> {
        parsed(&self.ask(Method::Get, &format!("/v1/users?name={}", percent_encoded(name))).await?)
    }

    pub(crate) async fn devices(&self) -> Result<Vec<Device>, Error> {
        let found: Devices = parsed(&self.ask(Method::Get, "/v1/devices").await?)?;
        Ok(found.devices)
    }

    /// The newest mail that waits for this device, oldest first, and whether there is more.
    pub(crate) async fn peek(&self) -> Result<(Vec<Entry>, bool), Error> {
        let waiting: WaitingMail = parsed(&self.ask(Method::Get, "/v1/mailbox?peek").await?)?;
        let limits = Limits { frame_bytes: Limits::FRAME_BYTES_MAX, ..Limits::DEFAULT };
        match NodeFrame::decode(waiting.deliver.0, &limits) {
            Ok(NodeFrame::Deliver(deliver)) => Ok((deliver.entries, waiting.has_more)),
            Ok(_) => Err(Error::Incompatible { detail: "the node's answer is no mail".into() }),
            Err(error) => Err(Error::Incompatible { detail: format!("the node's answer: {error}") }),
        }
    }

    pub(crate) async fn revoke(&self, device: DeviceId) -> Result<(), Error> {
        self.ask(Method::Delete, &format!("/v1/devices/{device}")).await.map(drop)
    }

    fn request(&self, method: Method, path: &str, body: Option<Vec<u8>>) -> Request {
        Request { method, url: format!("{}{path}", self.base), bearer: None, body }
    }

    async fn json<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Option<&impl Serialize>,
    ) -> Result<T, Error> {
        let body = body.map(written).transpose()?;
        parsed(&self.answered(self.request(method, path, body)).await?)
    }

    async fn ask(&self, method: Method, path: &str) -> Result<Vec<u8>, Error> {
        self.ask_with(method, path, None).await
    }

    /// With a token. One that the node does not take (clocks differ, a laptop slept) is replaced once.
    async fn ask_with(&self, method: Method, path: &str, body: Option<Vec<u8>>) -> Result<Vec<u8>, Error> {
        let request = self.request(method, path, body);
        match self.answered(Request { bearer: Some(self.token().await?), ..request.clone() }).await {
            Err(Error::Unauthorised) => {
                self.shared.set_token(None);
                self.answered(Request { bearer: Some(self.token().await?), ..request }).await
            }
            other => other,
        }
    }

    /// The body of the answer, or the error that it carries.
    async fn answered(&self, request: Request) -> Result<Vec<u8>, Error> {
        let Answer { status, body } = self.http.send(request).await?;
        if (200..300).contains(&status) {
            return Ok(body);
        }
        match serde_json::from_slice::<ErrorBody>(&body) {
            Ok(ErrorBody { error }) => Err(Error::refused(error.code, error.detail, error.retry_after_ms)),
            Err(_) if status >= 500 => Err(Error::Offline { detail: format!("the node answered {status}") }),
            Err(_) => Err(Error::Incompatible { detail: format!("the node answered {status}") }),
        }
    }

    /// The token that came with the socket, or one minted by signing a nonce.
    async fn token(&self) -> Result<String, Error> {
        if let Some(HttpToken { token, expires_at }) = self.shared.token()
            && Clock::start().now().plus_millis(RENEW_BEFORE_MS) < expires_at
        {
            return Ok(token);
        }
        let credentials = self.credentials.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let Credentials { realm, device, device_seed } = credentials.ok_or(Error::NotEnrolled)?;
        let challenge: TokenChallenge = self.json(Method::Get, "/v1/challenge", None::<&()>).await?;
        let signature = Key(sign_with(&device_seed, &signing::token(realm, challenge.nonce.as_bytes(), device)));
        let request = TokenRequest { device, nonce: challenge.nonce, signature };
        let minted: Token = self.json(Method::Post, "/v1/tokens", Some(&request)).await?;
        // By the node's clock, which may be years from this one. One that ends too early is replaced when it is refused.
        let (earliest, latest) = MINTED_FOR_MS;
        let now = Clock::start().now();
        let expires_at = minted.expires_at.clamp(now.plus_millis(earliest), now.plus_millis(latest));
        self.set_token(minted.token.0.clone(), expires_at);
        Ok(minted.token.0)
    }
}

fn written(body: &impl Serialize) -> Result<Vec<u8>, Error> {
    serde_json::to_vec(body).map_err(|error| Error::Internal { detail: error.to_string() })
}

fn parsed<T: DeserializeOwned>(body: &[u8]) -> Result<T, Error> {
    let unusable = |error: serde_json::Error| Error::Incompatible { detail: format!("the node's answer: {error}") };
    serde_json::from_slice(body).map_err(unusable)
}

/// RFC 3986, section 2.1: everything but unreserved characters.
pub(super) fn percent_encoded(text: &str) -> String {
    let encode = |byte: u8| match byte {
        b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => char::from(byte).to_string(),
        other => format!("%{other:02X}"),
    };
    text.bytes().map(encode).collect()
}
