//! One HTTP request: its id, its span, its count.

use std::sync::Arc;

use axum::extract::{MatchedPath, Request, State};
use axum::http::HeaderValue;
use axum::middleware::Next;
use axum::response::Response;
use tracing::Instrument as _;

use super::Metrics;
use crate::serve::clock;
use crate::traces;

/// Names the request in the answer and in every line that is logged about it.
const REQUEST_ID: &str = "x-request-id";

/// Around every request. Only the route is counted and logged, never the path, which holds ids.
pub(crate) async fn observe(State(metrics): State<Arc<Metrics>>, request: Request, next: Next) -> Response {
    let route = request.extensions().get::<MatchedPath>().map_or("none", MatchedPath::as_str).to_owned();
    let id = given_id(&request).unwrap_or_else(new_id);
    let span = tracing::info_span!("request", id = %id.to_str().unwrap_or_default(), method = %request.method(), route);
    traces::continue_trace(&span, request.headers());
    let answering = async {
        let mut response = next.run(request).await;
        if response.status().is_server_error() {
            tracing::warn!(status = response.status().as_u16(), "a request failed");
        }
        response.headers_mut().insert(REQUEST_ID, id);
        response
    };
    let response = answering.instrument(span.clone()).await;
    traces::answered(&span, response.status());
    metrics.requests.get_or_create(&[("route", route), ("status", response.status().as_str().to_owned())]).inc();
    response
}

/// What a proxy has named it, if that can stand in a log.
fn given_id(request: &Request) -> Option<HeaderValue> {
    let id = request.headers().get(REQUEST_ID)?;
    let is_plain = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    ((1..=64).contains(&id.len()) && id.as_bytes().iter().all(is_plain)).then(|| id.clone())
}

fn new_id() -> HeaderValue {
    let id = u64::from_be_bytes(clock::random());
    HeaderValue::from_str(&format!("{id:016x}")).expect("hexadecimal digits are a header")
}
