//! Everything that an operator can set: flags over environment over file over defaults. Listed in
//! docs/configuration.md, which a test compares with this file.

pub mod manual;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use chasqui_wire::http::Sensitive;
use chasqui_wire::{Limits, RealmId};
use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use crate::jwt::JwtConfig;
use crate::phone::PhoneConfig;
use crate::relay::RelayOptions;
use crate::serve::TlsFiles;
use crate::traces::TracesConfig;

/// A node's configuration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// The data folder.
    pub data: PathBuf,
    /// Where to listen.
    pub listen: SocketAddr,
    /// Where Prometheus and health are listened for, apart from people; nowhere without it.
    pub metrics_listen: Option<SocketAddr>,
    /// The app to serve; a new realm is made at the first start without it.
    pub realm: Option<RealmId>,
    /// How logs look.
    pub log_format: LogFormat,
    /// What is logged, e.g. `info` or `chasqui_node=debug`.
    pub log: String,
    /// Seconds that an HTTP token is valid.
    pub token_lifetime_seconds: u32,
    /// Passwords that are hashed at once; each takes 19 MiB and a core.
    pub password_hashers: u32,
    /// Whether people may register and log in with a name and a password.
    pub passwords: bool,
    /// Enrolments that one address may ask for a minute; with 0, addresses do not count at all.
    pub enrolments_per_minute: u32,
    /// Devices that one user may have.
    pub devices_per_user: u32,
    /// Bytes of the disk that are given up when it is full, so that mail can still be acknowledged.
    pub reserve_bytes: u32,
    /// Sends and reads a minute of all devices of a user together.
    pub sends_per_minute_of_user: u32,
    /// The most that mail of one sender may take of somebody else's mailbox, in per cent of its entries and of its bytes.
    pub mailbox_share_percent: u32,
    /// Days after which a device that was not seen keeps no mail waiting, if its user has another one.
    pub absent_days: u32,
    /// Messages that somebody may send to a person who has neither accepted nor answered; with 0, anybody writes to anybody.
    pub request_messages: u32,
    /// Seconds that connections have to leave when the node stops.
    pub drain_seconds: u32,
    /// Whose tokens enrol.
    pub jwt: JwtConfig,
    /// Connections in all; more are turned away.
    pub connections: u32,
    /// Connections of one address (of IPv6: one /64).
    pub connections_per_address: u32,
    /// Bytes of mail that may wait in memory for sockets that take it slowly.
    pub buffered_bytes: u64,
    /// Proxies whose `X-Forwarded-For` is believed, as addresses or networks.
    pub trusted_proxies: Vec<IpNet>,
    /// Web pages that may use the node beside those of its own host, as origins (`https://app.example.org`); `*` = any.
    pub allowed_origins: Vec<String>,
    /// How codes get to telephones.
    pub phone: PhoneConfig,
    /// What devices are told and held to.
    pub limits: LimitsConfig,
    /// With it the node speaks TLS itself.
    pub tls: TlsConfig,
    /// Where spans go.
    pub traces: TracesConfig,
}

/// Where the node's certificate lies: both or none. Read anew when a file changes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TlsConfig {
    /// The chain in PEM, the node's own certificate first.
    pub certificate: Option<PathBuf>,
    /// Its private key in PEM.
    pub key: Option<PathBuf>,
}

/// How logs look on stderr.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    Text,
    /// One object a line.
    #[default]
    Json,
}

/// [`Limits`], each of which an operator may change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[expect(missing_docs, reason = "documented at `Limits`")]
pub struct LimitsConfig {
    pub body_bytes: u32,
    pub frame_bytes: u32,
    pub sends_in_flight: u32,
    pub window_entries: u32,
    pub window_bytes: u32,
    pub silence_ms: u32,
    pub mailbox_entries: u32,
    pub mailbox_bytes: u64,
    pub sends_per_minute: u32,
    pub ttl_seconds_max: u32,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            data: PathBuf::from("chasqui-data"),
            listen: SocketAddr::from(([127, 0, 0, 1], 7400)),
            metrics_listen: None,
            realm: None,
            log_format: LogFormat::Json,
            log: "info".to_owned(),
            token_lifetime_seconds: 15 * 60,
            password_hashers: 2,
            passwords: true,
            enrolments_per_minute: 60,
            devices_per_user: 8,
            reserve_bytes: 16 * 1024 * 1024,
            sends_per_minute_of_user: 120_000,
            mailbox_share_percent: 25,
            absent_days: 30,
            request_messages: 0,
            drain_seconds: 10,
            jwt: JwtConfig::default(),
            connections: 50_000,
            connections_per_address: 1_000,
            buffered_bytes: 256 * 1024 * 1024,
            trusted_proxies: Vec::new(),
            allowed_origins: Vec::new(),
            phone: PhoneConfig::default(),
            limits: LimitsConfig::default(),
            tls: TlsConfig::default(),
            traces: TracesConfig::default(),
        }
    }
}

impl Default for LimitsConfig {
    fn default() -> Self {
        let Limits {
            body_bytes,
            frame_bytes,
            sends_in_flight,
            window_entries,
            window_bytes,
            silence_ms,
            mailbox_entries,
            mailbox_bytes,
            sends_per_minute,
            ttl_seconds_max,
        } = Limits::DEFAULT;
        Self {
            body_bytes,
            frame_bytes,
            sends_in_flight,
            window_entries,
            window_bytes,
            silence_ms,
            mailbox_entries,
            mailbox_bytes,
            sends_per_minute,
            ttl_seconds_max,
        }
    }
}

/// Why a configuration cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("the configuration file {} cannot be read: {source}", path.display())]
    Unreadable {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A key is unknown or a value does not fit.
    #[error("the configuration file {}: {problem}", path.display())]
    Wrong {
        /// Which.
        path: PathBuf,
        /// Where and why, on one line.
        problem: String,
    },
    /// Values contradict each other.
    #[error("the configuration contradicts itself: {0}")]
    Contradiction(&'static str),
    /// A secret is not where the configuration says.
    #[error("the secret of [{section}]: {problem}")]
    Secret {
        /// Whose.
        section: &'static str,
        /// Why.
        problem: String,
    },
}

/// Where a secret stands: in a file or in the environment, never in the configuration itself.
pub(crate) struct SecretFrom<'a> {
    pub(crate) section: &'static str,
    pub(crate) file: Option<&'a Path>,
    pub(crate) env: Option<&'a str>,
}

impl SecretFrom<'_> {
    /// The secret, without the line's end that editors leave in files.
    pub(crate) fn read(&self) -> Result<Sensitive, ConfigError> {
        let failed = |problem: String| ConfigError::Secret { section: self.section, problem };
        let text = match (self.file, self.env) {
            (Some(file), _) => {
                std::fs::read_to_string(file).map_err(|error| failed(format!("{}: {error}", file.display())))?
            }
            (None, Some(name)) => std::env::var(name).map_err(|error| failed(format!("{name}: {error}")))?,
            (None, None) => return Err(failed("neither secret_file nor secret_env is set".to_owned())),
        };
        Ok(Sensitive::from(text.trim_end_matches(['\r', '\n'])))
    }
}

impl Config {
    /// Reads a TOML file; what it leaves out is the default.
    ///
    /// # Errors
    /// [`ConfigError::Unreadable`] or [`ConfigError::Wrong`].
    pub fn read(path: &Path) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(path)
            .map_err(|source| ConfigError::Unreadable { path: path.to_owned(), source })?;
        Self::parse(&text, path)
    }

    /// Reads the text of the file at `path`.
    ///
    /// # Errors
    /// [`ConfigError::Wrong`].
    pub fn parse(text: &str, path: &Path) -> Result<Self, ConfigError> {
        toml::from_str(text).map_err(|error| {
            let line = error.span().map_or(1, |span| text[..span.start.min(text.len())].matches('\n').count() + 1);
            let problem = format!("line {line}: {}", error.message().replace('\n', " "));
            ConfigError::Wrong { path: path.to_owned(), problem }
        })
    }

    /// Whether the values fit together.
    ///
    /// # Errors
    /// [`ConfigError::Contradiction`].
    pub fn check(&self) -> Result<(), ConfigError> {
        let limits = &self.limits;
        let contradiction = if self.tls.certificate.is_some() != self.tls.key.is_some() {
            Some("tls.certificate and tls.key go together")
        } else if limits.body_bytes == 0 {
            Some("limits.body_bytes is 0")
        } else if u64::from(limits.frame_bytes) < u64::from(limits.body_bytes) + 4096 {
            Some("limits.frame_bytes must exceed limits.body_bytes by 4096, for the header")
        } else if !(Limits::FRAME_BYTES_MIN..=Limits::FRAME_BYTES_MAX).contains(&limits.frame_bytes) {
            Some("limits.frame_bytes is not between 65536 (64 KiB) and 16777216 (16 MiB)")
        } else if limits.body_bytes > self.relay_options().segment_bytes {
            Some("limits.body_bytes is above 8 MiB")
        } else if limits.silence_ms < 1_000 {
            Some("limits.silence_ms is below 1000")
        } else if limits.sends_in_flight == 0 || limits.window_entries == 0 {
            Some("limits.sends_in_flight and limits.window_entries must be above 0")
        } else if limits.mailbox_entries == 0 || limits.mailbox_bytes < limits.body_bytes.into() {
            Some("a mailbox must hold a message: limits.mailbox_entries, limits.mailbox_bytes")
        } else if !(1..=100).contains(&self.mailbox_share_percent) {
            Some("mailbox_share_percent is not between 1 and 100")
        } else if self.allowed_origins.iter().any(|origin| origin != "*" && !is_origin(origin)) {
            Some("allowed_origins has what is no origin: https://host, without a path, or *")
        } else if self.absent_days == 0 {
            Some("absent_days is 0")
        } else {
            self.jwt.contradiction().or_else(|| self.phone.contradiction()).or_else(|| self.traces.contradiction())
        };
        contradiction.map_or(Ok(()), |problem| Err(ConfigError::Contradiction(problem)))
    }

    /// With which files the node speaks TLS itself, if it does.
    pub fn tls_files(&self) -> Option<TlsFiles> {
        let TlsConfig { certificate, key } = self.tls.clone();
        Some(TlsFiles { certificate: certificate?, key: key? })
    }

    pub(crate) fn relay_options(&self) -> RelayOptions {
        RelayOptions {
            limits: self.limits.clone().into(),
            realm: self.realm,
            token_lifetime_ms: u64::from(self.token_lifetime_seconds) * 1000,
            devices_per_user: self.devices_per_user,
            reserve_bytes: self.reserve_bytes,
            sends_per_minute_of_user: self.sends_per_minute_of_user,
            mailbox_share_percent: self.mailbox_share_percent,
            absent_ms: u64::from(self.absent_days) * 24 * 60 * 60 * 1000,
            request_messages: self.request_messages,
            ..RelayOptions::default()
        }
    }
}

/// Whether a browser could say this of a page.
fn is_origin(text: &str) -> bool {
    let (scheme, host) = text.trim_end_matches('/').split_once("://").unwrap_or_default();
    !scheme.is_empty() && !host.is_empty() && !host.contains(['/', '?', '#', '@', '*', ' '])
}

impl From<LimitsConfig> for Limits {
    fn from(config: LimitsConfig) -> Self {
        Self {
            body_bytes: config.body_bytes,
            frame_bytes: config.frame_bytes,
            sends_in_flight: config.sends_in_flight,
            window_entries: config.window_entries,
            window_bytes: config.window_bytes,
            silence_ms: config.silence_ms,
            mailbox_entries: config.mailbox_entries,
            mailbox_bytes: config.mailbox_bytes,
            sends_per_minute: config.sends_per_minute,
            ttl_seconds_max: config.ttl_seconds_max,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::phone::SenderKind;

    fn keys(prefix: &str, table: &toml::Table, found: &mut Vec<String>) {
        for (key, value) in table {
            match value {
                toml::Value::Table(inner) => keys(&format!("{prefix}{key}."), inner, found),
                _ => found.push(format!("{prefix}{key}")),
            }
        }
    }

    #[test]
    fn every_key_is_documented_and_every_documented_key_exists() {
        let text = || Some("x".to_owned());
        let jwt = JwtConfig {
            issuer: text(),
            audience: text(),
            jwks_url: text(),
            jwks_file: text().map(PathBuf::from),
            secret_file: text().map(PathBuf::from),
            secret_env: text(),
            name_claim: text(),
            ..JwtConfig::default()
        };
        let metrics_listen = Some(SocketAddr::from(([127, 0, 0, 1], 1)));
        let tls = TlsConfig { certificate: Some("cert.pem".into()), key: Some("key.pem".into()) };
        let phone = PhoneConfig {
            sender: Some(SenderKind::Log),
            webhook_url: text(),
            secret_file: text().map(PathBuf::from),
            secret_env: text(),
            default_region: text(),
            ..PhoneConfig::default()
        };
        let realm = Some(RealmId::from_bytes([1; 16]));
        let headers_file = text().map(PathBuf::from);
        let traces = TracesConfig { endpoint: text(), headers_file, ..TracesConfig::default() };
        let config = Config { realm, metrics_listen, jwt, phone, tls, traces, ..Config::default() };
        let mut exist = Vec::new();
        keys("", &toml::Table::try_from(&config).unwrap(), &mut exist);
        exist.sort();
        let page = include_str!("../../docs/configuration.md");
        let key = |line: &str| Some(line.strip_prefix("| `")?.split_once('`')?.0.to_owned());
        let mut documented: Vec<String> = page.lines().filter_map(key).collect();
        documented.sort();
        assert_eq!(documented, exist);
    }

    #[test]
    fn an_unknown_key_is_named_with_its_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("node.toml");
        std::fs::write(&path, "log = \"info\"\n[limits]\nbody_byte = 5\n").unwrap();
        let error = Config::read(&path).unwrap_err().to_string();
        assert!(error.contains("line 3") && error.contains("body_byte"), "{error}");
        assert!(!error.contains('\n'));
    }

    #[test]
    fn values_that_contradict_each_other_are_refused() {
        let mut config = Config::default();
        config.check().unwrap();
        config.limits.frame_bytes = config.limits.body_bytes;
        assert!(config.check().is_err());
        config.limits.body_bytes = 1_024;
        config.limits.frame_bytes = 65_536;
        config.tls.key = Some("key.pem".into());
        assert!(config.check().is_err());
        config.tls.certificate = Some("cert.pem".into());
        let origins =
            ["https://a.example", "http://localhost:5173/", "*", "a.example", "https://*.a.example", "https://a/b"];
        for (origin, is_fine) in origins.into_iter().zip([true, true, true, false, false, false]) {
            let allowed_origins = vec![origin.to_owned()];
            assert_eq!(Config { allowed_origins, ..Config::default() }.check().is_ok(), is_fine, "{origin}");
        }
        for (frame_bytes, is_fine) in [(65_535, false), (65_536, true), (16 << 20, true), ((16 << 20) + 1, false)] {
            config.limits.frame_bytes = frame_bytes;
            assert_eq!(config.check().is_ok(), is_fine, "{frame_bytes}");
        }
    }
}
