//! `GET /v1/users/{id}` and `GET /v1/users?name=`.

use axum::Json;
use axum::extract::{Path, Query, State};
use chasqui_wire::http::{Key, User};
use chasqui_wire::{ErrorCode, UserId};
use serde::Deserialize;

use super::bearer::Caller;
use super::problem::Problem;
use crate::relay::{Accounts, KnownUser};
use crate::serve::App;

#[derive(Deserialize)]
pub(super) struct ByName {
    name: Option<String>,
}

pub(super) async fn by_id(
    State(app): State<App>,
    _caller: Caller,
    Path(id): Path<String>,
) -> Result<Json<User>, Problem> {
    let id: UserId = id.parse().map_err(|_| Problem::invalid("a user id is a UUID"))?;
    let living = move |accounts: &mut Accounts<'_, '_>| match accounts.living(id)? {
        Ok(_) => accounts.find_user(id).map(Ok),
        Err(refusal) => Ok(Err(refusal)),
    };
    found(app.relay.call(living).await??)
}

pub(super) async fn by_name(
    State(app): State<App>,
    _caller: Caller,
    Query(query): Query<ByName>,
) -> Result<Json<User>, Problem> {
    let name = query.name.ok_or_else(|| Problem::invalid("name is missing"))?;
    found(app.relay.call(move |accounts| accounts.find_user_by_name(&name)).await?)
}

fn found(known: Option<KnownUser>) -> Result<Json<User>, Problem> {
    let known = known.ok_or_else(|| Problem::new(ErrorCode::UnknownUser, "no such user"))?;
    Ok(Json(User { user: known.user, name: known.name, identity_key: Key(known.identity_key) }))
}
