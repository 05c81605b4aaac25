//! The binary: reads the configuration, starts the node, waits for a signal, lets everyone leave.

use std::io::Write as _;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use chasqui_node::config::{Config, ConfigError, LogFormat};
use chasqui_node::serve::{self, ServeError};
use chasqui_wire::RealmId;
use clap::{Args, Parser, Subcommand};
use tracing_subscriber::EnvFilter;

/// The Chasqui relay node: passes messages on and forgets them.
#[derive(Parser)]
#[command(name = "chasqui-node", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run the node until SIGTERM or SIGINT.
    Serve(Serve),
}

/// Flags win over the environment, which wins over the file, which wins over the defaults.
#[derive(Args)]
struct Serve {
    /// TOML file; see docs/configuration.md.
    #[arg(long, env = "CHASQUI_CONFIG")]
    config: Option<PathBuf>,
    /// Data folder.
    #[arg(long, env = "CHASQUI_DATA")]
    data: Option<PathBuf>,
    /// Address and port to listen on; port 0 picks a free one.
    #[arg(long, env = "CHASQUI_LISTEN")]
    listen: Option<SocketAddr>,
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
}

impl Serve {
    fn config(self) -> Result<Config, ConfigError> {
        let mut config = self.config.map_or_else(|| Ok(Config::default()), |path| Config::read(&path))?;
        config.realm = self.realm.or(config.realm);
        config.data = self.data.unwrap_or(config.data);
        config.listen = self.listen.unwrap_or(config.listen);
        config.log_format = self.log_format.unwrap_or(config.log_format);
        config.log = self.log.unwrap_or(config.log);
        config.drain_seconds = self.drain_seconds.unwrap_or(config.drain_seconds);
        config.check()?;
        Ok(config)
    }
}

#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error(transparent)]
    Serve(#[from] ServeError),
    #[error("the log filter is wrong: {0}")]
    Log(#[from] tracing_subscriber::filter::ParseError),
    #[error("the relay ended unexpectedly; nothing that was accepted is lost")]
    Relay,
    #[error("the node cannot run: {0}")]
    Io(#[from] std::io::Error),
}

fn main() -> ExitCode {
    let Command::Serve(serve) = Cli::parse().command;
    match serve.config().map_err(Failure::from).and_then(run) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("chasqui-node: {failure}");
            ExitCode::FAILURE
        }
    }
}

fn run(config: Config) -> Result<(), Failure> {
    let filter = EnvFilter::try_new(&config.log)?;
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    match config.log_format {
        LogFormat::Text => log.init(),
        LogFormat::Json => log.json().init(),
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut running = serve::start(config).await?;
        let line = serde_json::json!({
            "event": "listening",
            "address": running.address().to_string(),
            "realm": running.realm().to_string(),
            "version": env!("CARGO_PKG_VERSION"),
        });
        let mut stdout = std::io::stdout();
        writeln!(stdout, "{line}").and_then(|()| stdout.flush())?;
        let has_failed = tokio::select! {
            asked = asked_to_stop() => asked.map(|()| false)?,
            () = running.failed() => true,
        };
        running.stop().await;
        if has_failed { Err(Failure::Relay) } else { Ok(()) }
    })
}

/// SIGTERM or SIGINT.
#[cfg(unix)]
async fn asked_to_stop() -> std::io::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    Ok(())
}

#[cfg(not(unix))]
async fn asked_to_stop() -> std::io::Result<()> {
    tokio::signal::ctrl_c().await
}
