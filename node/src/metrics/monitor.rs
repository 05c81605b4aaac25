//! Whether the node is well: `/healthz`, `/readyz` and `/metrics`, on a listener of their own if the operator wants one.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::{Method, StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use axum::{Json, Router};
use serde::Serialize;
use tokio::sync::watch;

use super::{Asked, Metrics};
use crate::http::{Gate, Resources};
use crate::inspect::Inspection;
use crate::serve::{RelayHandle, Tls, clock};
use crate::store;

/// How long the relay's thread may take to answer: a commit on a slow disk is under way.
const ANSWER_WITHIN: Duration = Duration::from_secs(2);
/// Bytes that must be free: two segments.
const FREE_BYTES: u64 = 16 * 1024 * 1024;

/// What is asked when somebody wants to know how the node is.
#[derive(Clone)]
pub(crate) struct Monitor {
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) relay: RelayHandle,
    pub(crate) gate: Arc<Gate>,
    pub(crate) stopping: watch::Receiver<bool>,
    pub(crate) data: PathBuf,
    pub(crate) tls: Option<Arc<Tls>>,
}

/// Why nobody should be sent here now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Reason {
    /// The node stops.
    Draining,
    /// The relay's thread has not answered within two seconds, or has ended.
    RelaySilent,
    /// The last transaction failed.
    CommitsFail,
    /// Less than 16 MiB are free.
    DiskFull,
}

#[derive(Serialize)]
struct Readiness {
    ready: bool,
    reasons: Vec<Reason>,
}

/// `/healthz` and `/readyz`, for the listener that people use too.
pub(crate) fn health(monitor: Monitor) -> Router {
    health_resources().router().with_state(monitor)
}

pub(crate) fn health_resources() -> Resources<Monitor> {
    Resources::new().on(Method::GET, "/healthz", healthz).on(Method::GET, "/readyz", readyz)
}

/// Everything, for the listener that only the operator reaches.
pub(crate) fn router(monitor: Monitor) -> Router {
    health(monitor.clone()).merge(Router::new().route("/metrics", get(metrics)).with_state(monitor))
}

/// The process serves. Whether it can work is for `/readyz` to say: to restart it would not give a full disk room.
async fn healthz() -> &'static str {
    "ok\n"
}

async fn readyz(State(monitor): State<Monitor>) -> impl IntoResponse {
    let reasons = monitor.reasons().await;
    let ready = reasons.is_empty();
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(Readiness { ready, reasons }))
}

async fn metrics(State(monitor): State<Monitor>) -> impl IntoResponse {
    let vitals = tokio::time::timeout(ANSWER_WITHIN, monitor.relay.with(|relay| relay.vitals())).await;
    let erasing_since = vitals.ok().and_then(Result::ok).and_then(|vitals| vitals.erasing_since);
    let asked = Asked {
        now: clock::now(),
        hashing: monitor.gate.hashing(),
        entries: monitor.entries().await,
        free_bytes: store::free_bytes(&monitor.data),
        erasing_since,
        certificate_ends_at: monitor.tls.as_ref().map(|tls| tls.ends_at()),
    };
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    ([(header::CONTENT_TYPE, kind)], monitor.metrics.page(&asked))
}

impl Monitor {
    /// Counted beside the relay, which does not wait for it.
    async fn entries(&self) -> Option<u64> {
        let data = self.data.clone();
        let count = move || Inspection::open(&data).and_then(|inspection| inspection.entries());
        tokio::task::spawn_blocking(count).await.ok()?.ok()
    }

    async fn reasons(&self) -> Vec<Reason> {
        let mut reasons = Vec::new();
        if *self.stopping.borrow() {
            reasons.push(Reason::Draining);
        }
        match tokio::time::timeout(ANSWER_WITHIN, self.relay.with(|relay| relay.vitals())).await {
            Ok(Ok(vitals)) if vitals.is_failing => reasons.push(Reason::CommitsFail),
            Ok(Ok(_)) => {}
            Ok(Err(_)) | Err(_) => reasons.push(Reason::RelaySilent),
        }
        if store::free_bytes(&self.data).is_some_and(|free| free < FREE_BYTES) {
            reasons.push(Reason::DiskFull);
        }
        reasons
    }
}
