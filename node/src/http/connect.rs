//! `GET /v1/connect`: the WebSocket.

use axum::extract::State;
use axum::extract::ws::WebSocketUpgrade;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::response::Response;

use super::problem::Problem;
use crate::serve::{App, run_socket};

/// Bytes of the buffers of one socket. Thousands are idle at any time; the library's own choice is 128 KiB each.
const BUFFER: usize = 2 * 1024;

pub(super) async fn connect(
    State(app): State<App>,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Result<Response, Problem> {
    let upgrade = upgrade.map_err(|rejection| Problem::invalid(rejection.body_text()))?;
    // A little above the limit, so that the session sees most frames that are too large and can say so.
    let message_bytes = app.limits.frame_bytes as usize + 64 * 1024;
    let upgrade = upgrade
        .read_buffer_size(BUFFER)
        .write_buffer_size(BUFFER)
        .max_write_buffer_size(usize::MAX)
        .max_message_size(message_bytes)
        .max_frame_size(message_bytes);
    Ok(upgrade.on_upgrade(move |socket| run_socket(app, socket)))
}
