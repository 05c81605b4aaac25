//! `GET /healthz` and `GET /v1/realm`.

use axum::Json;
use axum::extract::State;
use chasqui_wire::VERSIONS;
use chasqui_wire::http::Realm;

use crate::serve::App;

/// 200 when the process serves.
pub(super) async fn health() -> &'static str {
    "ok\n"
}

/// Who this node is.
pub(super) async fn realm(State(app): State<App>) -> Json<Realm> {
    Json(Realm { realm: app.realm, version_min: *VERSIONS.start(), version_max: *VERSIONS.end() })
}
