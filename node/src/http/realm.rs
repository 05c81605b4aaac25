//! `GET /healthz` and `GET /v1/realm`.

use axum::Json;
use axum::extract::State;
use chasqui_wire::VERSIONS;
use chasqui_wire::http::Realm;

use super::problem::Problem;
use crate::serve::App;

/// 200 when the relay answers.
pub(super) async fn health(State(app): State<App>) -> Result<&'static str, Problem> {
    app.relay.call(|_| Ok(())).await?;
    Ok("ok\n")
}

/// Who this node is.
pub(super) async fn realm(State(app): State<App>) -> Json<Realm> {
    Json(Realm { realm: app.realm, version_min: *VERSIONS.start(), version_max: *VERSIONS.end() })
}
