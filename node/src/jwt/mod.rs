//! Tokens of the app's own backend (JWT, RFC 7519): the app signs who somebody is, the node checks it and enrols.
//!
//! [`read`] and [`Unchecked::check`] are pure. What a key may verify is part of the key, and a secret never stands
//! beside public keys, so that no token can have one taken for the other. Nothing here logs a token or a claim.

mod config;
mod keys;
mod source;
#[cfg(test)]
mod tests;
mod token;

use std::sync::Arc;

pub use config::JwtConfig;
pub use keys::{Algorithm, KeyError, KeySet, Keys};
pub use token::{Claims, Rules, TokenError, Unchecked, read};

use crate::config::ConfigError;
use crate::outbound::{self, OutboundError};
use crate::serve::clock;
use source::{KeySource, Origin};

/// Checks tokens, and keeps the keys for it.
pub(crate) struct Verifier {
    pub(crate) rules: Rules,
    token_bytes: usize,
    keys: Held,
}

enum Held {
    /// HS256 and nothing else.
    Secret(Keys),
    /// Anything but HS256.
    Published(Arc<KeySource>),
}

/// Why a token enrols nobody.
#[derive(Debug)]
pub(crate) enum Refused {
    Token(TokenError),
    /// Longer than a token may be here; it was not looked at.
    TooLong,
    /// There is no key set yet, and none is to be had.
    NoKeys,
}

/// Why tokens cannot be checked at all.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SetUpError {
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error(transparent)]
    Outbound(#[from] OutboundError),
    #[error("the key set in jwt.jwks_file: {0}")]
    File(source::FetchError),
}

impl Verifier {
    /// Reads the secret or the file. Of a URL the keys are fetched in the background, so that a node starts without it.
    pub(crate) async fn start(config: &JwtConfig) -> Result<Self, SetUpError> {
        let (rules, token_bytes) = (config.rules(), config.token_bytes as usize);
        let origin = match (&config.jwks_url, &config.jwks_file) {
            (Some(url), _) => Origin::Url { http: outbound::client(source::FETCH_WITHIN)?, url: outbound::url(url)? },
            (None, Some(file)) => Origin::File(file.clone()),
            (None, None) => return Ok(Self { rules, token_bytes, keys: Held::Secret(config.secret()?) }),
        };
        let is_file = matches!(origin, Origin::File(_));
        let lifetime_ms = u64::from(config.jwks_lifetime_seconds) * 1000;
        let source = Arc::new(KeySource::new(origin, lifetime_ms, Box::new(clock::now)));
        if is_file {
            source.refresh().await.map_err(SetUpError::File)?;
        } else {
            let early = Arc::clone(&source);
            // What goes wrong is logged there, and tried again when a token comes.
            tokio::spawn(async move { drop(early.refresh().await) });
        }
        Ok(Self { rules, token_bytes, keys: Held::Published(source) })
    }

    /// Whom the token names.
    pub(crate) async fn check(&self, token: &str) -> Result<Claims, Refused> {
        if token.len() > self.token_bytes {
            return Err(Refused::TooLong);
        }
        let token = read(token).map_err(Refused::Token)?;
        let source = match &self.keys {
            Held::Secret(keys) => return token.check(keys, &self.rules, clock::now()).map_err(Refused::Token),
            Held::Published(source) => source,
        };
        // Before anything is fetched for it.
        token.check_algorithm(&self.rules).map_err(Refused::Token)?;
        let keys = source.keys().await.ok_or(Refused::NoKeys)?;
        match token.check(&keys, &self.rules, clock::now()) {
            Err(TokenError::UnknownKey) => {}
            checked => return checked.map_err(Refused::Token),
        }
        // The app may have begun to sign with a newer key.
        let Some(newer) = source.newer_than(&keys).await else { return Err(Refused::Token(TokenError::UnknownKey)) };
        token.check(&newer, &self.rules, clock::now()).map_err(Refused::Token)
    }
}
