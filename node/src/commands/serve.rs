//! `chasqui-node serve`: starts the node, waits for a signal, lets everyone leave.

use std::io::Write as _;

use chasqui_node::config::{Config, LogFormat};
use chasqui_node::serve;
use chasqui_node::traces::Traces;
use clap::Args;
use tracing::Subscriber;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer};

use super::Failure;
use super::notify::{self, Stage};
use super::settings::Settings;

/// Flags win over the environment, which wins over the file, which wins over the defaults.
#[derive(Args)]
pub(super) struct Serve {
    #[command(flatten)]
    settings: Settings,
}

impl Serve {
    pub(super) fn run(self) -> Result<(), Failure> {
        let config = self.settings.resolve()?;
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
        runtime.block_on(async {
            let traces = Traces::start(&config.traces)?;
            log(&config, traces.as_ref())?;
            // Before anybody is told that the node listens, and may ask it to stop.
            let asked = asked_to_stop()?;
            let mut running = serve::start_with(config, traces.as_ref()).await?;
            let line = serde_json::json!({
                "event": "listening",
                "address": running.address().to_string(),
                "metrics": running.metrics_address().map(|address| address.to_string()),
                "realm": running.realm().to_string(),
                "version": env!("CARGO_PKG_VERSION"),
            });
            let mut stdout = std::io::stdout();
            writeln!(stdout, "{line}").and_then(|()| stdout.flush())?;
            notify::tell(Stage::Ready);
            let has_failed = tokio::select! {
                asked = asked => asked.map(|()| false)?,
                () = running.failed() => true,
            };
            notify::tell(Stage::Stopping);
            running.stop().await;
            if let Some(traces) = traces {
                traces.stop().await;
            }
            if has_failed { Err(Failure::Relay) } else { Ok(()) }
        })
    }
}

/// Spans are made for the log alone, unless they are exported too.
fn log(config: &Config, traces: Option<&Traces>) -> Result<(), Failure> {
    let filter = EnvFilter::try_new(&config.log)?;
    match traces {
        None => tracing_subscriber::registry().with(filter).with(lines(config.log_format)).init(),
        Some(traces) => {
            let lines = lines(config.log_format).with_filter(filter);
            tracing_subscriber::registry().with(lines).with(traces.layer()).init();
        }
    }
    Ok(())
}

fn lines<S: Subscriber + for<'a> LookupSpan<'a>>(format: LogFormat) -> Box<dyn Layer<S> + Send + Sync> {
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    match format {
        LogFormat::Text => lines.boxed(),
        LogFormat::Json => lines.json().boxed(),
    }
}

/// SIGTERM or SIGINT, from this call on.
#[cfg(unix)]
fn asked_to_stop() -> std::io::Result<impl Future<Output = std::io::Result<()>>> {
    use tokio::signal::unix::{SignalKind, signal};
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        Ok(())
    })
}

#[cfg(not(unix))]
fn asked_to_stop() -> std::io::Result<impl Future<Output = std::io::Result<()>>> {
    Ok(tokio::signal::ctrl_c())
}
