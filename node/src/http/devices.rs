//! `GET /v1/devices` and `DELETE /v1/devices/{id}`: the caller's own.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use chasqui_wire::DeviceId;
use chasqui_wire::http::{Device, Devices};

use super::bearer::Caller;
use super::problem::Problem;
use crate::relay::DeviceEntry;
use crate::serve::App;

pub(super) async fn list(State(app): State<App>, caller: Caller) -> Result<Json<Devices>, Problem> {
    let entries = app.relay.call(move |accounts| accounts.devices(caller.user)).await?;
    let device = |entry: DeviceEntry| {
        let DeviceEntry { device, name, created_at, last_seen_at } = entry;
        Device { device, name, created_at, last_seen_at }
    };
    Ok(Json(Devices { devices: entries.into_iter().map(device).collect() }))
}

pub(super) async fn revoke(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<StatusCode, Problem> {
    let id: DeviceId = id.parse().map_err(|_| Problem::invalid("a device id is a UUID"))?;
    app.relay.call(move |accounts| accounts.revoke(caller.user, id)).await??;
    Ok(StatusCode::NO_CONTENT)
}
