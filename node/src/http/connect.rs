//! `GET /v1/connect`: the WebSocket (RFC 6455, section 4.2).

use std::net::SocketAddr;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{ConnectInfo, Extension, Request, State};
use axum::http::header::{CONNECTION, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_VERSION, UPGRADE};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::Response;
use chasqui_wire::ErrorCode;
use hyper::upgrade::{OnUpgrade, Parts};
use hyper_util::rt::TokioIo;
use tungstenite::handshake::derive_accept_key;

use super::client::ClientAddress;
use super::problem::Problem;
use crate::serve::{App, Connection, Full, Transport, run_socket};

/// The only version that there is.
const VERSION: HeaderValue = HeaderValue::from_static("13");

pub(super) async fn connect(
    State(app): State<App>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    Extension(connection): Extension<Connection>,
    client: ClientAddress,
    mut request: Request,
) -> Result<Response, Problem> {
    let key = handshake(request.headers())?;
    let upgrade = request.extensions_mut().remove::<OnUpgrade>();
    let upgrade = upgrade.ok_or_else(|| Problem::invalid("this connection cannot be upgraded"))?;
    let seat = if app.proxies.include(peer.ip()) {
        Arc::new(app.guests.admit_behind_proxy(client).map_err(|full| busy(&app, full))?)
    } else {
        connection.seat
    };
    let accept = derive_accept_key(key.as_bytes());
    tokio::spawn(async move {
        let upgraded = match upgrade.await {
            Ok(upgraded) => upgraded,
            Err(error) => return tracing::debug!(%error, "a handshake was not finished"),
        };
        // Below HTTP again: what HTTP needed beside the stream is given back, its read buffer (8 KiB) before all.
        let Ok(Parts { io, read_buf, .. }) = upgraded.downcast::<TokioIo<Transport>>() else {
            return tracing::error!("a connection is of an unknown kind");
        };
        let already_read = read_buf.to_vec();
        drop(read_buf);
        run_socket(app, io.into_inner(), already_read, seat).await;
    });
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(SEC_WEBSOCKET_ACCEPT, HeaderValue::from_str(&accept).expect("base64 is a header value"));
    Ok(response)
}

/// The client's key, if it asks for what the node speaks.
fn handshake(headers: &HeaderMap) -> Result<String, Problem> {
    let has = |name: HeaderName, token: &str| {
        let values = headers.get_all(name);
        let mut tokens = values.iter().flat_map(|value| value.to_str().unwrap_or_default().split(','));
        tokens.any(|found| found.trim().eq_ignore_ascii_case(token))
    };
    if !has(CONNECTION, "upgrade") || !has(UPGRADE, "websocket") {
        return Err(Problem::invalid("this resource is a WebSocket: it needs the upgrade headers"));
    }
    if headers.get(SEC_WEBSOCKET_VERSION) != Some(&VERSION) {
        return Err(Problem::invalid("sec-websocket-version is not 13"));
    }
    let key = headers.get(SEC_WEBSOCKET_KEY).and_then(|key| key.to_str().ok());
    key.map(str::to_owned).ok_or_else(|| Problem::invalid("sec-websocket-key is missing"))
}

fn busy(app: &App, full: Full) -> Problem {
    app.metrics.refused(full.name());
    Problem::new(ErrorCode::RateLimited, full.to_string())
}
