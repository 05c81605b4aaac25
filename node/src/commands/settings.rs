//! Flags over environment over file over defaults: the same for every command.

use std::net::SocketAddr;
use std::path::PathBuf;

use chasqui_node::config::{Config, ConfigError, LogFormat};
use chasqui_wire::RealmId;
use clap::parser::ValueSource;
use clap::{ArgMatches, Args};

/// What can be set without a file. The ids of the arguments are the keys of the file.
#[derive(Args)]
pub(super) struct Settings {
    /// TOML file; see docs/configuration.md.
    #[arg(long, env = "CHASQUI_CONFIG")]
    config: Option<PathBuf>,
    /// Data folder.
    #[arg(long, env = "CHASQUI_DATA")]
    data: Option<PathBuf>,
    /// Address and port to listen on; port 0 picks a free one.
    #[arg(long, env = "CHASQUI_LISTEN")]
    listen: Option<SocketAddr>,
    /// Address and port for Prometheus and health; nowhere without it.
    #[arg(long, env = "CHASQUI_METRICS_LISTEN")]
    metrics_listen: Option<SocketAddr>,
    /// The app to serve.
    #[arg(long, env = "CHASQUI_REALM")]
    realm: Option<RealmId>,
    /// How logs look.
    #[arg(long, env = "CHASQUI_LOG_FORMAT")]
    log_format: Option<LogFormat>,
    /// What is logged.
    #[arg(long, env = "CHASQUI_LOG")]
    log: Option<String>,
    /// Seconds that connections have to leave when the node stops.
    #[arg(long, env = "CHASQUI_DRAIN_SECONDS")]
    drain_seconds: Option<u32>,
    /// Web pages that may use the node, as origins, separated by commas; `*` = any.
    #[arg(long, env = "CHASQUI_ALLOWED_ORIGINS", value_delimiter = ',')]
    allowed_origins: Option<Vec<String>>,
}

impl Settings {
    /// The configuration that they make.
    pub(super) fn resolve(self) -> Result<Config, ConfigError> {
        let mut config = self.config.map_or_else(|| Ok(Config::default()), |path| Config::read(&path))?;
        config.realm = self.realm.or(config.realm);
        config.metrics_listen = self.metrics_listen.or(config.metrics_listen);
        config.data = self.data.unwrap_or(config.data);
        config.listen = self.listen.unwrap_or(config.listen);
        config.log_format = self.log_format.unwrap_or(config.log_format);
        config.log = self.log.unwrap_or(config.log);
        config.allowed_origins = self.allowed_origins.unwrap_or(config.allowed_origins);
        config.drain_seconds = self.drain_seconds.unwrap_or(config.drain_seconds);
        config.check()?;
        Ok(config)
    }

    /// The file that is read, if one is.
    pub(super) fn file(&self) -> Option<&PathBuf> {
        self.config.as_ref()
    }
}

/// What a value was taken from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Source {
    Default,
    File,
    Environment,
    Flag,
}

impl Source {
    /// Of the key; `in_file` says whether the file has it.
    pub(super) fn of(key: &str, given: &ArgMatches, in_file: bool) -> Self {
        let is_argument = given.try_contains_id(key).is_ok();
        match is_argument.then(|| given.value_source(key)).flatten() {
            Some(ValueSource::CommandLine) => Self::Flag,
            Some(ValueSource::EnvVariable) => Self::Environment,
            _ if in_file => Self::File,
            _ => Self::Default,
        }
    }
}

impl std::fmt::Display for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Default => "default",
            Self::File => "file",
            Self::Environment => "environment",
            Self::Flag => "flag",
        })
    }
}
