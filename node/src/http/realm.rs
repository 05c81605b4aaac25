//! `GET /v1/realm`.

use axum::Json;
use axum::extract::State;
use chasqui_wire::VERSIONS;
use chasqui_wire::http::Realm;

use crate::serve::App;

/// Who this node is.
pub(super) async fn realm(State(app): State<App>) -> Json<Realm> {
    Json(Realm { realm: app.realm, version_min: *VERSIONS.start(), version_max: *VERSIONS.end() })
}
