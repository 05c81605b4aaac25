//! The section `[jwt]` of the configuration.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::{Algorithm, Keys, Rules};
use crate::config::{ConfigError, SecretFrom};

/// Whose tokens enrol. Without an issuer, nobody's do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct JwtConfig {
    /// The claim `iss`, exactly.
    pub issuer: Option<String>,
    /// What the claim `aud` must name.
    pub audience: Option<String>,
    /// How tokens may be signed.
    pub algorithms: Vec<Algorithm>,
    /// Where the app publishes its keys.
    pub jwks_url: Option<String>,
    /// The same as a file.
    pub jwks_file: Option<PathBuf>,
    /// A file with the secret of HS256.
    pub secret_file: Option<PathBuf>,
    /// The environment variable with the secret of HS256.
    pub secret_env: Option<String>,
    /// The claim that names a new user.
    pub name_claim: Option<String>,
    /// Seconds by which clocks may differ.
    pub leeway_seconds: u32,
    /// Bytes of a token.
    pub token_bytes: u32,
    /// Seconds since a token was issued.
    pub age_seconds: u32,
    /// Seconds after which keys are fetched again.
    pub jwks_lifetime_seconds: u32,
}

impl Default for JwtConfig {
    fn default() -> Self {
        Self {
            issuer: None,
            audience: None,
            algorithms: vec![Algorithm::RS256, Algorithm::ES256, Algorithm::EdDSA],
            jwks_url: None,
            jwks_file: None,
            secret_file: None,
            secret_env: None,
            name_claim: None,
            leeway_seconds: 60,
            token_bytes: 8 * 1024,
            age_seconds: 24 * 60 * 60,
            jwks_lifetime_seconds: 10 * 60,
        }
    }
}

impl JwtConfig {
    /// Whether tokens enrol.
    pub fn is_on(&self) -> bool {
        self.issuer.is_some()
    }

    /// What contradicts itself.
    pub(crate) fn contradiction(&self) -> Option<&'static str> {
        let uses_secret = self.algorithms.contains(&Algorithm::HS256);
        let has_secret = self.secret_file.is_some() || self.secret_env.is_some();
        let has_keys = self.jwks_url.is_some() || self.jwks_file.is_some();
        if !self.is_on() {
            let is_untouched = *self == Self::default();
            return (!is_untouched).then_some("jwt.issuer is missing, so that nothing in [jwt] counts");
        }
        if self.audience.is_none() {
            Some("jwt.audience is missing: a token for something else would enrol here")
        } else if self.algorithms.is_empty() {
            Some("jwt.algorithms is empty")
        } else if uses_secret && (self.algorithms.len() > 1 || has_keys) {
            Some("jwt: HS256 stands alone, without other algorithms and without jwks_url or jwks_file")
        } else if uses_secret != has_secret {
            Some("jwt: HS256 needs secret_file or secret_env, and nothing else does")
        } else if has_secret && self.secret_file.is_some() == self.secret_env.is_some() {
            Some("jwt: secret_file or secret_env, not both")
        } else if !uses_secret && self.jwks_url.is_some() == self.jwks_file.is_some() {
            Some("jwt: one of jwks_url and jwks_file is needed")
        } else if !(256..=12 * 1024).contains(&self.token_bytes) {
            Some("jwt.token_bytes is not between 256 and 12288")
        } else if self.jwks_lifetime_seconds == 0 {
            Some("jwt.jwks_lifetime_seconds is 0")
        } else {
            None
        }
    }

    pub(super) fn rules(&self) -> Rules {
        let seconds = |seconds: u32| u64::from(seconds) * 1000;
        Rules {
            issuer: self.issuer.clone().unwrap_or_default(),
            audience: self.audience.clone().unwrap_or_default(),
            algorithms: self.algorithms.clone(),
            leeway_ms: seconds(self.leeway_seconds),
            age_ms: seconds(self.age_seconds),
            name_claim: self.name_claim.clone(),
        }
    }

    pub(super) fn secret(&self) -> Result<Keys, ConfigError> {
        let from = SecretFrom { section: "jwt", file: self.secret_file.as_deref(), env: self.secret_env.as_deref() };
        let secret = from.read()?;
        Keys::secret(secret.0.as_bytes())
            .ok_or(ConfigError::Contradiction("jwt: the secret of HS256 has at least 32 bytes"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_never_stands_beside_public_keys() {
        let keys = JwtConfig {
            issuer: Some("https://app.example".into()),
            audience: Some("chasqui".into()),
            jwks_url: Some("https://app.example/keys".into()),
            ..JwtConfig::default()
        };
        let secret = JwtConfig {
            algorithms: vec![Algorithm::HS256],
            jwks_url: None,
            secret_env: Some("APP_SECRET".into()),
            ..keys.clone()
        };
        for good in [&keys, &secret, &JwtConfig::default()] {
            assert_eq!(good.contradiction(), None);
        }
        let both = vec![Algorithm::HS256, Algorithm::RS256];
        let bad = [
            JwtConfig { algorithms: both, ..secret.clone() },
            JwtConfig { jwks_file: Some("keys.json".into()), ..secret.clone() },
            JwtConfig { secret_env: None, ..secret.clone() },
            JwtConfig { secret_file: Some("secret".into()), ..secret },
            JwtConfig { secret_file: Some("secret".into()), ..keys.clone() },
            JwtConfig { algorithms: vec![Algorithm::HS256], ..keys.clone() },
            JwtConfig { jwks_file: Some("keys.json".into()), ..keys.clone() },
            JwtConfig { jwks_url: None, ..keys.clone() },
            JwtConfig { audience: None, ..keys.clone() },
            JwtConfig { algorithms: vec![], ..keys.clone() },
            JwtConfig { token_bytes: 1 << 20, ..keys.clone() },
            JwtConfig { issuer: None, ..keys },
        ];
        for bad in bad {
            assert!(bad.contradiction().is_some(), "{bad:?}");
        }
    }
}
