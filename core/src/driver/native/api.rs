//! The node's HTTP API: accounts and the directory.

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use chasqui_wire::http::{
    CodeRequest, CodeSent, DeleteAccount, Device, Devices, EnrolByCode, EnrolByToken, Enrolled, ErrorBody, Key, Login,
    NewPin, Realm, Register, Token, TokenChallenge, TokenRequest, User,
};
use chasqui_wire::{DeviceId, RealmId, Timestamp, UserId, signing};
use reqwest::{Method, RequestBuilder, Response};
use rustls_platform_verifier::BuilderVerifierExt as _;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::clock::Clock;
use super::{HttpToken, Shared};
use crate::Error;
use crate::engine::{ResolvedUser, Secret, sign_with};

const ANSWER_WITHIN: Duration = Duration::from_secs(30);
/// The longest answer is a list of devices, a few KiB.
const ANSWER_BYTES: usize = 1024 * 1024;
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

#[derive(Debug)]
pub(crate) struct Api {
    http: reqwest::Client,
    base: String,
    secure: bool,
    tls: Arc<rustls::ClientConfig>,
    shared: Arc<Shared>,
    credentials: std::sync::Mutex<Option<Credentials>>,
}

impl Api {
    pub(super) fn new(node: &str, shared: Arc<Shared>) -> Result<Self, Error> {
        let base = node.trim_end_matches('/').to_owned();
        let secure = base.starts_with("https://");
        let is_usable = (secure || base.starts_with("http://"))
            && reqwest::Url::parse(&base).is_ok_and(|url| url.query().or(url.fragment()).is_none());
        if !is_usable {
            let detail = format!("the node's address {node:?} is not of the form https://host or http://host");
            return Err(Error::Invalid { detail });
        }
        let internal = |error: &dyn std::fmt::Display| Error::Internal { detail: error.to_string() };
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let tls = rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let tls = tls.map_err(|error| internal(&error))?;
        // The platform's certificates are read only where they are needed.
        let tls = if secure {
            tls.with_platform_verifier().map_err(|error| internal(&error))?.with_no_client_auth()
        } else {
            tls.with_root_certificates(rustls::RootCertStore::empty()).with_no_client_auth()
        };
        let http = reqwest::Client::builder()
            .tls_backend_preconfigured(tls.clone())
            .timeout(ANSWER_WITHIN)
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .map_err(|error| internal(&error))?;
        let credentials = std::sync::Mutex::default();
        Ok(Self { http, base, secure, tls: Arc::new(tls), shared, credentials })
    }

    pub(super) fn socket_url(&self) -> String {
        format!("ws{}/v1/connect", self.base.trim_start_matches("http"))
    }

    pub(super) fn tls(&self) -> Option<Arc<rustls::ClientConfig>> {
        self.secure.then(|| Arc::clone(&self.tls))
    }

    pub(super) fn set_token(&self, token: String, expires_at: Timestamp) {
        *self.shared.token.lock().unwrap_or_else(PoisonError::into_inner) = Some(HttpToken { token, expires_at });
    }

    pub(crate) fn set_credentials(&self, credentials: Option<Credentials>) {
        *self.shared.token.lock().unwrap_or_else(PoisonError::into_inner) = None;
        *self.credentials.lock().unwrap_or_else(PoisonError::into_inner) = credentials;
    }

    pub(crate) async fn realm(&self) -> Result<Realm, Error> {
        json(self.request(Method::GET, "/v1/realm")).await
    }

    pub(crate) async fn register(&self, register: &Register) -> Result<Enrolled, Error> {
        json(self.request(Method::POST, "/v1/register").json(register)).await
    }

    pub(crate) async fn login(&self, login: &Login) -> Result<Enrolled, Error> {
        json(self.request(Method::POST, "/v1/login").json(login)).await
    }

    pub(crate) async fn enrol_by_token(&self, request: &EnrolByToken) -> Result<Enrolled, Error> {
        json(self.request(Method::POST, "/v1/enrol/jwt").json(request)).await
    }

    pub(crate) async fn request_code(&self, request: &CodeRequest) -> Result<CodeSent, Error> {
        json(self.request(Method::POST, "/v1/phone/codes").json(request)).await
    }

    pub(crate) async fn enrol_by_code(&self, request: &EnrolByCode) -> Result<Enrolled, Error> {
        json(self.request(Method::POST, "/v1/phone/enrol").json(request)).await
    }

    pub(crate) async fn set_pin(&self, pin: &NewPin) -> Result<(), Error> {
        self.ask_with(Method::PUT, "/v1/pin", Some(pin)).await.map(drop)
    }

    pub(crate) async fn remove_pin(&self) -> Result<(), Error> {
        self.ask(Method::DELETE, "/v1/pin").await.map(drop)
    }

    pub(crate) async fn delete_account(&self, proof: &DeleteAccount) -> Result<(), Error> {
        self.ask_with(Method::DELETE, "/v1/account", Some(proof)).await.map(drop)
    }

    pub(crate) async fn account_export(&self) -> Result<String, Error> {
        let held = self.ask(Method::GET, "/v1/account/export").await?;
        String::from_utf8(held).map_err(|_| Error::Incompatible { detail: "the node's answer is no text".into() })
    }

    pub(crate) async fn user(&self, user: UserId) -> Result<ResolvedUser, Error> {
        let found: User = parsed(&self.ask(Method::GET, &format!("/v1/users/{user}")).await?)?;
        Ok(ResolvedUser { name: found.name, identity_key: found.identity_key.0 })
    }

    pub(crate) async fn user_by_name(&self, name: &str) -> Result<User, Error> {
        parsed(&self.ask(Method::GET, &format!("/v1/users?name={}", percent_encoded(name))).await?)
    }

    pub(crate) async fn devices(&self) -> Result<Vec<Device>, Error> {
        let found: Devices = parsed(&self.ask(Method::GET, "/v1/devices").await?)?;
        Ok(found.devices)
    }

    pub(crate) async fn revoke(&self, device: DeviceId) -> Result<(), Error> {
        self.ask(Method::DELETE, &format!("/v1/devices/{device}")).await.map(drop)
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, format!("{}{path}", self.base))
    }

    async fn ask(&self, method: Method, path: &str) -> Result<Vec<u8>, Error> {
        self.ask_with(method, path, None::<&()>).await
    }

    /// With a token. One that the node does not take (clocks differ, a laptop slept) is replaced once.
    async fn ask_with(&self, method: Method, path: &str, body: Option<&impl Serialize>) -> Result<Vec<u8>, Error> {
        let request = || {
            let request = self.request(method.clone(), path);
            match body {
                Some(body) => request.json(body),
                None => request,
            }
        };
        match answered(request().bearer_auth(self.token().await?)).await {
            Err(Error::Unauthorised) => {
                *self.shared.token.lock().unwrap_or_else(PoisonError::into_inner) = None;
                answered(request().bearer_auth(self.token().await?)).await
            }
            other => other,
        }
    }

    /// The token that came with the socket, or one minted by signing a nonce.
    async fn token(&self) -> Result<String, Error> {
        let held = self.shared.token.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(HttpToken { token, expires_at }) = held
            && Clock::start().now().plus_millis(RENEW_BEFORE_MS) < expires_at
        {
            return Ok(token);
        }
        let credentials = self.credentials.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let Credentials { realm, device, device_seed } = credentials.ok_or(Error::NotEnrolled)?;
        let challenge: TokenChallenge = json(self.request(Method::GET, "/v1/challenge")).await?;
        let signature = Key(sign_with(&device_seed, &signing::token(realm, challenge.nonce.as_bytes(), device)));
        let request = TokenRequest { device, nonce: challenge.nonce, signature };
        let minted: Token = json(self.request(Method::POST, "/v1/tokens").json(&request)).await?;
        // By the node's clock, which may be years from this one. One that ends too early is replaced when it is refused.
        let (earliest, latest) = MINTED_FOR_MS;
        let now = Clock::start().now();
        let expires_at = minted.expires_at.clamp(now.plus_millis(earliest), now.plus_millis(latest));
        self.set_token(minted.token.0.clone(), expires_at);
        Ok(minted.token.0)
    }
}

async fn json<T: DeserializeOwned>(request: RequestBuilder) -> Result<T, Error> {
    parsed(&answered(request).await?)
}

fn parsed<T: DeserializeOwned>(body: &[u8]) -> Result<T, Error> {
    let unusable = |error: serde_json::Error| Error::Incompatible { detail: format!("the node's answer: {error}") };
    serde_json::from_slice(body).map_err(unusable)
}

/// The body of the answer, or the error that it carries.
async fn answered(request: RequestBuilder) -> Result<Vec<u8>, Error> {
    let response = request.send().await.map_err(|error| unreachable(&error))?;
    let status = response.status();
    let body = body(response).await?;
    if status.is_success() {
        return Ok(body);
    }
    match serde_json::from_slice::<ErrorBody>(&body) {
        Ok(ErrorBody { error }) => Err(Error::refused(error.code, error.detail, error.retry_after_ms)),
        Err(_) if status.is_server_error() => Err(Error::Offline { detail: format!("the node answered {status}") }),
        Err(_) => Err(Error::Incompatible { detail: format!("the node answered {status}") }),
    }
}

/// What the answer holds. One that breaks off is no answer.
async fn body(mut response: Response) -> Result<Vec<u8>, Error> {
    let mut body = Vec::new();
    while let Some(part) = response.chunk().await.map_err(|error| unreachable(&error))? {
        body.extend_from_slice(&part);
        if body.len() > ANSWER_BYTES {
            return Err(Error::Incompatible { detail: "the node's answer is too long".into() });
        }
    }
    Ok(body)
}

fn unreachable(error: &reqwest::Error) -> Error {
    let detail = error.to_string();
    if is_about_time(error) { Error::WrongClock { detail } } else { Error::Offline { detail } }
}

/// Whether a certificate was refused because of when it is valid: more often the device's clock is wrong.
fn is_about_time(error: &(dyn std::error::Error + 'static)) -> bool {
    use rustls::CertificateError as No;
    let mut next = Some(error);
    while let Some(error) = next {
        // An I/O error hides what it wraps from its own list of causes.
        let wrapped = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
        let reason = match wrapped {
            Some(wrapped) => wrapped.downcast_ref::<rustls::Error>(),
            None => error.downcast_ref::<rustls::Error>(),
        };
        if let Some(rustls::Error::InvalidCertificate(reason)) = reason {
            return matches!(
                reason,
                No::Expired | No::NotValidYet | No::ExpiredContext { .. } | No::NotValidYetContext { .. }
            );
        }
        next = wrapped.map(|wrapped| wrapped as _).or_else(|| error.source());
    }
    false
}

/// RFC 3986, section 2.1: everything but unreserved characters.
fn percent_encoded(text: &str) -> String {
    let encode = |byte: u8| match byte {
        b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => char::from(byte).to_string(),
        other => format!("%{other:02X}"),
    };
    text.bytes().map(encode).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_of_another_time_points_at_the_clock() {
        #[track_caller]
        fn check(reason: rustls::CertificateError, is_about_the_clock: bool) {
            let refused = rustls::Error::InvalidCertificate(reason);
            let wrapped = std::io::Error::other(std::io::Error::other(refused));
            assert_eq!(is_about_time(&wrapped), is_about_the_clock);
        }
        check(rustls::CertificateError::Expired, true);
        check(rustls::CertificateError::NotValidYet, true);
        check(rustls::CertificateError::UnknownIssuer, false);
        assert!(!is_about_time(&std::io::Error::other("connection refused")));
    }
}
