//! Requests that the node itself makes, to the app's own services: TLS or this very machine, no redirects, a time limit,
//! and answers that are read only so far.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use reqwest::{Client, Response, Url};
use rustls_platform_verifier::BuilderVerifierExt as _;

const CONNECT_WITHIN: Duration = Duration::from_secs(5);

/// Why nothing can be asked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OutboundError {
    #[error("TLS cannot be set up: {0}")]
    Tls(String),
    #[error("{0:?} is no https:// address; http:// is for this machine only (127.0.0.1, [::1], localhost)")]
    Url(String),
}

/// Why there is no answer. Its text names no address and no content.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AnswerError {
    #[error("{0}")]
    Request(String),
    #[error("the answer has status {0}")]
    Status(u16),
    #[error("the answer is too long")]
    TooLong,
}

impl From<reqwest::Error> for AnswerError {
    fn from(error: reqwest::Error) -> Self {
        use std::error::Error as _;
        let error = error.without_url();
        let cause = error.source().map(|cause| format!(": {cause}")).unwrap_or_default();
        Self::Request(format!("{error}{cause}"))
    }
}

/// A client whose requests end after `within`, body and all.
pub(crate) fn client(within: Duration) -> Result<Client, OutboundError> {
    let failed = |error: &dyn std::fmt::Display| OutboundError::Tls(error.to_string());
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let tls = rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let tls = tls.map_err(|error| failed(&error))?.with_platform_verifier().map_err(|error| failed(&error))?;
    Client::builder()
        .tls_backend_preconfigured(tls.with_no_client_auth())
        .connect_timeout(CONNECT_WITHIN)
        .timeout(within)
        .redirect(reqwest::redirect::Policy::none())
        .build()
        .map_err(|error| failed(&error))
}

/// An address that may be asked.
pub(crate) fn url(text: &str) -> Result<Url, OutboundError> {
    let is_here = |url: &Url| {
        let host = url.host_str().unwrap_or_default();
        let address = host.trim_matches(['[', ']']).parse();
        host == "localhost" || address.is_ok_and(|address: IpAddr| address.is_loopback())
    };
    let may_be_asked = |url: &Url| url.scheme() == "https" || (url.scheme() == "http" && is_here(url));
    let url = Url::parse(text).ok().filter(may_be_asked);
    url.ok_or_else(|| OutboundError::Url(text.to_owned()))
}

/// The body of an answer with status 200.
pub(crate) async fn body(mut response: Response, most: usize) -> Result<Vec<u8>, AnswerError> {
    if response.status() != reqwest::StatusCode::OK {
        return Err(AnswerError::Status(response.status().as_u16()));
    }
    let mut body = Vec::new();
    while let Some(part) = response.chunk().await? {
        if body.len() + part.len() > most {
            return Err(AnswerError::TooLong);
        }
        body.extend_from_slice(&part);
    }
    Ok(body)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_tls_or_this_machine() {
        let good = ["https://a.example/keys", "http://127.0.0.1:1/", "http://[::1]:80/x", "http://localhost/"];
        let bad =
            ["http://a.example/", "http://10.0.0.1/", "http://localhost.example/", "ftp://a/", "a", "", "file:///a"];
        assert!(good.iter().all(|text| url(text).is_ok()));
        for text in bad {
            assert!(url(text).is_err(), "{text}");
        }
    }
}
