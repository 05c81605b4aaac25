//! Traces: the spans of requests, connections and commits, exported to a collector over OTLP/HTTP if the operator
//! wants that.
//!
//! A collector that is slow, hangs or is not there costs spans, never time (`queue.rs`). Spans say what the node did
//! and for how long, never for whom.

mod config;
mod queue;

use std::collections::HashMap;
use std::path::PathBuf;
use std::time::Duration;

use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use opentelemetry::KeyValue;
use opentelemetry::propagation::TextMapPropagator as _;
use opentelemetry::trace::{Status, TracerProvider as _};
use opentelemetry_http::HeaderExtractor;
use opentelemetry_otlp::{SpanExporter, WithExportConfig as _, WithHttpConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::{Sampler, SdkTracerProvider, SpanExporter as _};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use tokio::task::JoinHandle;
use tracing::{Level, Span, Subscriber};
use tracing_opentelemetry::OpenTelemetrySpanExt as _;
use tracing_subscriber::Layer;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::registry::LookupSpan;

use crate::outbound;
pub use config::{Ratio, TracesConfig};
use queue::{EXPORT_WITHIN, Entrance};

/// For what waits when the node stops.
const FLUSH_WITHIN: Duration = Duration::from_secs(3);
/// W3C Trace Context.
const TRACEPARENT: &str = "traceparent";

/// Why spans cannot be exported.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TracesError {
    /// The file with headers cannot be read.
    #[error("the headers for the collector, {}: {source}", path.display())]
    Unreadable {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A line of it is no header.
    #[error("the headers for the collector, {}: line {line} is not `name: value`", path.display())]
    Header {
        /// Which.
        path: PathBuf,
        /// From 1.
        line: usize,
    },
    /// The libraries refuse.
    #[error("traces cannot be exported: {0}")]
    SetUp(String),
}

/// What became of spans.
#[derive(Clone, Debug, Default)]
pub(crate) struct Counts {
    pub(crate) exported: Counter,
    pub(crate) dropped: Family<[(&'static str, &'static str); 1], Counter>,
}

impl Counts {
    fn dropped(&self, reason: &'static str, count: u64) {
        self.dropped.get_or_create(&[("reason", reason)]).inc_by(count);
    }
}

/// Exports spans of this process, of those subscribers that have its [`Traces::layer`].
pub struct Traces {
    provider: SdkTracerProvider,
    entrance: Entrance,
    courier: JoinHandle<()>,
    counts: Counts,
}

impl Traces {
    /// Starts exporting, on the current Tokio runtime; `None` if the configuration names no collector.
    ///
    /// # Errors
    /// [`TracesError`]. Whether the collector is there is not asked.
    pub fn start(config: &TracesConfig) -> Result<Option<Self>, TracesError> {
        let Some(url) = config.url() else { return Ok(None) };
        let failed = |error: &dyn std::fmt::Display| TracesError::SetUp(error.to_string());
        let client = outbound::client(EXPORT_WITHIN).map_err(|error| failed(&error))?;
        let mut exporter = SpanExporter::builder()
            .with_http()
            .with_http_client(client)
            .with_endpoint(url)
            .with_timeout(EXPORT_WITHIN)
            .with_headers(headers(config)?)
            .build()
            .map_err(|error| failed(&error))?;
        let version = KeyValue::new("service.version", env!("CARGO_PKG_VERSION"));
        let resource =
            Resource::builder().with_service_name(config.service_name.clone()).with_attribute(version).build();
        exporter.set_resource(&resource);
        let counts = Counts::default();
        let (entrance, courier) = queue::queue(exporter, &counts);
        let ratio = || Sampler::TraceIdRatioBased(config.sample_ratio.get());
        // Who asks may say that nothing is to be sampled, but not that more is than the operator wants.
        let sampler = Sampler::parent_based(ratio()).with_remote_parent_sampled(ratio());
        let provider = SdkTracerProvider::builder()
            .with_resource(resource)
            .with_sampler(sampler)
            .with_span_processor(entrance.clone())
            .build();
        Ok(Some(Self { provider, entrance, courier: tokio::spawn(courier.run()), counts }))
    }

    /// Makes spans of this node's, with what is logged within them at `info` and above.
    pub fn layer<S: Subscriber + for<'a> LookupSpan<'a> + Send + Sync>(&self) -> impl Layer<S> + Send + Sync + use<S> {
        let is_ours = filter_fn(|metadata| {
            let most = if metadata.is_span() { Level::DEBUG } else { Level::INFO };
            *metadata.level() <= most && metadata.target().starts_with("chasqui_node")
        });
        tracing_opentelemetry::layer()
            .with_tracer(self.provider.tracer("chasqui-node"))
            .with_location(false)
            .with_threads(false)
            .with_tracked_inactivity(false)
            .with_context_activation(false)
            .with_filter(is_ours.with_max_level_hint(Level::DEBUG))
    }

    /// Exports what waits, as far as that takes no longer than 3 seconds. What ends later is dropped.
    pub async fn stop(self) {
        let Self { entrance, mut courier, .. } = self;
        let flushed = async {
            entrance.stop().await;
            (&mut courier).await
        };
        if tokio::time::timeout(FLUSH_WITHIN, flushed).await.is_err() {
            courier.abort();
            tracing::warn!("the collector did not take all spans in time");
        }
    }

    pub(crate) fn counts(&self) -> Counts {
        self.counts.clone()
    }
}

/// Continues the trace that the request belongs to, if it says so. Before the span is entered.
pub(crate) fn continue_trace(span: &Span, headers: &HeaderMap) {
    if headers.contains_key(TRACEPARENT) {
        let parent = TraceContextPropagator::new().extract(&HeaderExtractor(headers));
        // Refused where nothing is traced.
        drop(span.set_parent(parent));
    }
}

/// Notes in the request's span how it was answered.
pub(crate) fn answered(span: &Span, status: StatusCode) {
    span.set_attribute("http.response.status_code", i64::from(status.as_u16()));
    if status.is_server_error() {
        span.set_status(Status::error(""));
    }
}

fn headers(config: &TracesConfig) -> Result<HashMap<String, String>, TracesError> {
    let Some(path) = &config.headers_file else { return Ok(HashMap::new()) };
    let text =
        std::fs::read_to_string(path).map_err(|source| TracesError::Unreadable { path: path.clone(), source })?;
    let mut headers = HashMap::new();
    for (index, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let header = line.split_once(':').and_then(|(name, value)| {
            let (name, value) = (name.trim(), value.trim());
            let is_name = HeaderName::try_from(name).is_ok();
            let is_value = HeaderValue::try_from(value).is_ok();
            (is_name && is_value).then(|| (name.to_owned(), value.to_owned()))
        });
        let (name, value) = header.ok_or_else(|| TracesError::Header { path: path.clone(), line: index + 1 })?;
        headers.insert(name, value);
    }
    Ok(headers)
}
