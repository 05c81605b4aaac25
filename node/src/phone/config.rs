//! The section `[phone]` of the configuration.

use std::path::PathBuf;

use rlibphonenumber::Region;
use serde::{Deserialize, Serialize};

use crate::config::{ConfigError, SecretFrom};
use crate::relay::PhoneRules;
use chasqui_wire::http::Sensitive;

/// How codes get to telephones. Without a sender, numbers enrol nobody.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PhoneConfig {
    /// Who sends codes.
    pub sender: Option<SenderKind>,
    /// The app's gateway.
    pub webhook_url: Option<String>,
    /// A file with the gateway's bearer secret.
    pub secret_file: Option<PathBuf>,
    /// The environment variable with the gateway's bearer secret.
    pub secret_env: Option<String>,
    /// Where numbers without a country are (ISO 3166).
    pub default_region: Option<String>,
    /// Codes to one number a day.
    pub codes_per_number: u32,
    /// Codes asked for from one address an hour.
    pub codes_per_address: u32,
    /// Codes an hour in all.
    pub codes_per_hour: u32,
    /// Seconds for which a code is taken.
    pub code_lifetime_seconds: u32,
    /// Wrong codes for one challenge.
    pub guesses: u32,
    /// Seconds before a second code; doubles with each.
    pub resend_seconds: u32,
    /// Seconds of disuse after which an account loses its number to who has it now.
    pub waiting_seconds: u32,
}

/// Who sends codes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SenderKind {
    /// A gateway of the app's, over HTTP.
    Webhook,
    /// Nobody: codes are in the log, for development.
    Log,
}

impl Default for PhoneConfig {
    fn default() -> Self {
        Self {
            sender: None,
            webhook_url: None,
            secret_file: None,
            secret_env: None,
            default_region: None,
            codes_per_number: 5,
            codes_per_address: 10,
            codes_per_hour: 1_000,
            code_lifetime_seconds: 10 * 60,
            guesses: 5,
            resend_seconds: 30,
            waiting_seconds: 7 * 24 * 60 * 60,
        }
    }
}

impl PhoneConfig {
    /// What contradicts itself.
    pub(crate) fn contradiction(&self) -> Option<&'static str> {
        let has_secret = self.secret_file.is_some() || self.secret_env.is_some();
        let is_webhook = self.sender == Some(SenderKind::Webhook);
        let counts = [
            self.codes_per_number,
            self.codes_per_address,
            self.codes_per_hour,
            self.code_lifetime_seconds,
            self.guesses,
        ];
        if self.sender.is_none() {
            let is_untouched = *self == Self::default();
            return (!is_untouched).then_some("phone.sender is missing, so that nothing in [phone] counts");
        }
        if is_webhook != self.webhook_url.is_some() || is_webhook != has_secret {
            Some("phone: the sender webhook needs webhook_url and secret_file or secret_env; log needs neither")
        } else if is_webhook && self.secret_file.is_some() == self.secret_env.is_some() {
            Some("phone: secret_file or secret_env, not both")
        } else if self.default_region.is_some() && self.region().is_none() {
            Some("phone.default_region is no region of ISO 3166, such as AR")
        } else if counts.contains(&0) {
            Some("phone: the codes, guesses and code_lifetime_seconds must be above 0")
        } else if self.guesses > 10 || self.code_lifetime_seconds > 3_600 {
            Some("phone: guesses above 10 or code_lifetime_seconds above 3600 make codes easy to guess")
        } else if self.waiting_seconds > 40 * 24 * 60 * 60 {
            Some("phone.waiting_seconds is above 40 days")
        } else {
            None
        }
    }

    pub(super) fn region(&self) -> Option<Region> {
        self.default_region.as_ref()?.to_ascii_uppercase().parse().ok()
    }

    pub(super) fn secret(&self) -> Result<Sensitive, ConfigError> {
        SecretFrom { section: "phone", file: self.secret_file.as_deref(), env: self.secret_env.as_deref() }.read()
    }

    pub(super) fn rules(&self) -> PhoneRules {
        let millis = |seconds: u32| u64::from(seconds) * 1000;
        PhoneRules {
            codes_a_day: self.codes_per_number,
            code_lifetime_ms: millis(self.code_lifetime_seconds),
            guesses: self.guesses,
            resend_ms: millis(self.resend_seconds),
            waiting_ms: millis(self.waiting_seconds),
        }
    }
}
