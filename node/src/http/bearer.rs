//! `Authorization: Bearer …`: whose request it is.

use axum::extract::FromRequestParts;
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;
use chasqui_wire::{DeviceId, ErrorCode, UserId};

use super::problem::Problem;
use crate::serve::{App, clock};

/// The user whose device holds the token, which was not revoked when the request came.
pub(super) struct Caller {
    pub(super) user: UserId,
    pub(super) device: DeviceId,
}

impl FromRequestParts<App> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Problem> {
        let header = parts.headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
        let token = header.and_then(|header| {
            let (scheme, token) = header.split_once(' ')?;
            scheme.eq_ignore_ascii_case("bearer").then_some(token.trim())
        });
        let holder = token.and_then(|token| app.keys.token_holder(token, clock::now()));
        let device = holder.ok_or_else(|| Problem::new(ErrorCode::Unauthorised, "a valid bearer token is needed"))?;
        let user = app.relay.call(move |accounts| accounts.caller(device)).await??;
        Ok(Self { user, device })
    }
}
