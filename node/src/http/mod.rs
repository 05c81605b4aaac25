//! The HTTP API: one resource a file. Rules: docs/protocol.md.
//!
//! Handlers check what a request proves; what may stand beside what is decided in [`crate::relay`].

mod account;
mod bearer;
mod body;
mod client;
mod connect;
mod devices;
mod gate;
mod jwt;
mod login;
mod password;
mod phone;
mod pin;
mod problem;
mod realm;
mod register;
mod tokens;
mod users;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use axum::routing::{delete, get, post, put};
use chasqui_wire::ErrorCode;

use crate::metrics::{self, Monitor};
use crate::serve::App;
pub(crate) use client::ClientAddress;
pub(crate) use gate::{Gate, REMEMBERED};
use problem::Problem;

/// Bytes of one request body: the largest is a registration with a password of 1,024 bytes.
const BODY_BYTES: usize = 16 * 1024;

/// For a request's body and its answer.
const REQUEST_WITHIN: Duration = Duration::from_secs(30);

pub(crate) fn router(app: App, monitor: Monitor) -> Router {
    let metrics = Arc::clone(&monitor.metrics);
    let nothing = || async { Problem::new(ErrorCode::NotFound, "no such resource or method") };
    Router::new()
        .route("/v1/realm", get(realm::realm))
        .route("/v1/register", post(register::register))
        .route("/v1/login", post(login::login))
        .route("/v1/enrol/jwt", post(jwt::enrol))
        .route("/v1/phone/codes", post(phone::code))
        .route("/v1/phone/enrol", post(phone::enrol))
        .route("/v1/account", delete(account::delete))
        .route("/v1/pin", put(pin::set).delete(pin::remove))
        .route("/v1/challenge", get(tokens::challenge))
        .route("/v1/tokens", post(tokens::token))
        .route("/v1/users", get(users::by_name))
        .route("/v1/users/{id}", get(users::by_id))
        .route("/v1/devices", get(devices::list))
        .route("/v1/devices/{id}", delete(devices::revoke))
        .route("/v1/connect", get(connect::connect))
        .fallback(nothing)
        .method_not_allowed_fallback(nothing)
        .layer(DefaultBodyLimit::max(BODY_BYTES))
        .layer(axum::middleware::from_fn(in_time))
        .with_state(app)
        .merge(metrics::health(monitor))
        .layer(axum::middleware::from_fn_with_state(metrics, metrics::observe))
}

/// A request that trickles in holds its connection no longer than any other.
async fn in_time(request: Request, next: Next) -> Response {
    let late = |_| Problem::new(ErrorCode::Internal, "the request took too long").into_response();
    tokio::time::timeout(REQUEST_WITHIN, next.run(request)).await.unwrap_or_else(late)
}
