//! From spans that have ended to batches that a collector takes.
//!
//! Guarantees: whoever ends a span never waits and never fails; at most [`WAITING`] spans wait, and one batch is under way;
//! what does not fit, and what the collector does not take, is dropped and counted.

use std::time::Duration;

use opentelemetry::Context;
use opentelemetry::trace::SpanKind;
use opentelemetry_otlp::SpanExporter;
use opentelemetry_sdk::error::{OTelSdkError, OTelSdkResult};
use opentelemetry_sdk::trace::{Span, SpanData, SpanExporter as _, SpanProcessor};
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::mpsc::{Receiver, Sender, channel};

use super::Counts;

/// Spans that wait: some MiB at the most.
const WAITING: usize = 4096;
/// Spans of one request to the collector.
const BATCH: usize = 512;
/// How long a batch gathers.
const GATHER_FOR: Duration = Duration::from_secs(1);
/// For one batch, with all that is tried again. The node does not wait for it.
pub(super) const EXPORT_WITHIN: Duration = Duration::from_secs(10);

enum Item {
    Span(Box<SpanData>),
    /// All that was put in before it is still exported.
    Stop,
}

/// Takes ended spans.
#[derive(Clone, Debug)]
pub(super) struct Entrance {
    sender: Sender<Item>,
    counts: Counts,
}

/// Takes them to the collector.
pub(super) struct Courier {
    receiver: Receiver<Item>,
    exporter: SpanExporter,
    counts: Counts,
    /// Whether the collector took the last batch: a failure is logged once.
    is_taken: bool,
}

pub(super) fn queue(exporter: SpanExporter, counts: &Counts) -> (Entrance, Courier) {
    let (sender, receiver) = channel(WAITING);
    let entrance = Entrance { sender, counts: counts.clone() };
    (entrance, Courier { receiver, exporter, counts: counts.clone(), is_taken: true })
}

impl Entrance {
    /// Returns when there is room for it in the queue.
    pub(super) async fn stop(&self) {
        // An ended courier has stopped.
        drop(self.sender.send(Item::Stop).await);
    }
}

impl SpanProcessor for Entrance {
    fn on_start(&self, _span: &mut Span, _context: &Context) {}

    fn on_end(&self, mut span: SpanData) {
        if !span.span_context.is_sampled() {
            return;
        }
        name(&mut span);
        match self.sender.try_send(Item::Span(Box::new(span))) {
            Ok(()) => {}
            Err(TrySendError::Full(_)) => self.counts.dropped("queue_full", 1),
            Err(TrySendError::Closed(_)) => self.counts.dropped("stopped", 1),
        }
    }

    /// Nobody asks for it: [`Entrance::stop`] does, without blocking a thread.
    fn force_flush(&self) -> OTelSdkResult {
        Ok(())
    }

    fn shutdown_with_timeout(&self, _timeout: Duration) -> OTelSdkResult {
        Ok(())
    }

    /// The exporter has it from the start.
    fn set_resource(&mut self, _resource: &opentelemetry_sdk::Resource) {}
}

/// Methods that may stand in a trace as they came.
const METHODS: [&str; 9] = ["CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "TRACE"];

/// Names a span as OpenTelemetry's conventions have it: what a request asked for, and what comes from outside.
fn name(span: &mut SpanData) {
    match &*span.name {
        "request" => {
            let (mut method, mut route) = (String::new(), String::new());
            for attribute in &mut span.attributes {
                match attribute.key.as_str() {
                    "method" => {
                        attribute.key = "http.request.method".into();
                        if !METHODS.contains(&&*attribute.value.as_str()) {
                            attribute.value = "_OTHER".into();
                        }
                        method = attribute.value.to_string();
                    }
                    "route" => {
                        attribute.key = "http.route".into();
                        route = attribute.value.to_string();
                    }
                    _ => {}
                }
            }
            // What nobody serves has no route, and anybody's method.
            span.name = if route == "none" { "HTTP".into() } else { format!("{method} {route}").into() };
            span.span_kind = SpanKind::Server;
        }
        "connection" => span.span_kind = SpanKind::Server,
        _ => {}
    }
}

impl Courier {
    /// Until it is stopped and the queue is empty.
    pub(super) async fn run(mut self) {
        let mut goes_on = true;
        while goes_on {
            let mut batch = Vec::new();
            // What was taken in time stays in the batch.
            goes_on = tokio::time::timeout(GATHER_FOR, self.gather(&mut batch)).await.unwrap_or(true);
            if !batch.is_empty() {
                self.export(batch).await;
            }
        }
    }

    /// Returns with a full batch; or, when it is stopped, false.
    async fn gather(&mut self, batch: &mut Vec<SpanData>) -> bool {
        while batch.len() < BATCH {
            match self.receiver.recv().await {
                Some(Item::Span(span)) => batch.push(*span),
                Some(Item::Stop) | None => return false,
            }
        }
        true
    }

    async fn export(&mut self, batch: Vec<SpanData>) {
        let count = batch.len() as u64;
        let exported = tokio::time::timeout(EXPORT_WITHIN, self.exporter.export(batch)).await;
        match exported.unwrap_or(Err(OTelSdkError::Timeout(EXPORT_WITHIN))) {
            Ok(()) => {
                self.counts.exported.inc_by(count);
                if !self.is_taken {
                    tracing::info!("the collector takes spans again");
                }
                self.is_taken = true;
            }
            Err(error) => {
                self.counts.dropped("not_taken", count);
                if self.is_taken {
                    tracing::warn!(%error, "the collector takes no spans; they are dropped until it does");
                }
                self.is_taken = false;
            }
        }
    }
}
