//! HTTP by reqwest, TLS by rustls with the platform's certificates; on Android with Mozilla's (docs/adr/0011-roots-on-android.md).

use std::sync::Arc;
use std::time::Duration;

use reqwest::Response;
use rustls::client::WantsClientCert;
use rustls::{ClientConfig, ConfigBuilder, WantsVerifier};

use crate::Error;
use crate::driver::api::{ANSWER_BYTES, ANSWER_WITHIN_MS, Answer, Request};

/// Believes whom the platform believes.
#[cfg(not(target_os = "android"))]
fn trusting(
    tls: ConfigBuilder<ClientConfig, WantsVerifier>,
) -> Result<ConfigBuilder<ClientConfig, WantsClientCert>, rustls::Error> {
    rustls_platform_verifier::BuilderVerifierExt::with_platform_verifier(tls)
}

/// Believes whom Mozilla believes: the platform can only be asked through Java, with an object that the app would have to bring.
#[cfg(target_os = "android")]
fn trusting(
    tls: ConfigBuilder<ClientConfig, WantsVerifier>,
) -> Result<ConfigBuilder<ClientConfig, WantsClientCert>, rustls::Error> {
    let roots = webpki_roots::TLS_SERVER_ROOTS.iter().cloned().collect::<rustls::RootCertStore>();
    Ok(tls.with_root_certificates(roots))
}

#[derive(Debug)]
pub(in crate::driver) struct Http {
    client: reqwest::Client,
    is_secure: bool,
    tls: Arc<ClientConfig>,
}

impl Http {
    pub(in crate::driver) fn is_url(text: &str) -> bool {
        reqwest::Url::parse(text).is_ok()
    }

    pub(in crate::driver) fn new(is_secure: bool) -> Result<Self, Error> {
        let internal = |error: &dyn std::fmt::Display| Error::Internal { detail: error.to_string() };
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let tls = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let tls = tls.map_err(|error| internal(&error))?;
        // The platform's certificates are read only where they are needed.
        let tls = if is_secure {
            trusting(tls).map_err(|error| internal(&error))?.with_no_client_auth()
        } else {
            tls.with_root_certificates(rustls::RootCertStore::empty()).with_no_client_auth()
        };
        let client = reqwest::Client::builder()
            .tls_backend_preconfigured(tls.clone())
            .timeout(Duration::from_millis(ANSWER_WITHIN_MS.into()))
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .map_err(|error| internal(&error))?;
        Ok(Self { client, is_secure, tls: Arc::new(tls) })
    }

    pub(super) fn tls(&self) -> Option<Arc<ClientConfig>> {
        self.is_secure.then(|| Arc::clone(&self.tls))
    }

    pub(in crate::driver) async fn send(&self, request: Request) -> Result<Answer, Error> {
        let method = reqwest::Method::from_bytes(request.method.name().as_bytes()).expect("a method's name");
        let mut sending = self.client.request(method, request.url);
        if let Some(token) = request.bearer {
            sending = sending.bearer_auth(token);
        }
        if let Some(body) = request.body {
            sending = sending.header(reqwest::header::CONTENT_TYPE, "application/json").body(body);
        }
        let response = sending.send().await.map_err(|error| unreachable(&error))?;
        Ok(Answer { status: response.status().as_u16(), body: body(response).await? })
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
