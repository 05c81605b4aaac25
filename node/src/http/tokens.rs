//! `GET /v1/challenge` and `POST /v1/tokens`: a signed nonce for a bearer token.

use axum::Json;
use axum::extract::State;
use chasqui_wire::http::{Token, TokenChallenge, TokenRequest};
use chasqui_wire::{ErrorCode, signing};

use super::body::Body;
use super::problem::Problem;
use crate::serve::{App, clock};
use crate::session::is_signed;

pub(super) async fn challenge(State(app): State<App>) -> Json<TokenChallenge> {
    Json(TokenChallenge { nonce: app.keys.challenge(clock::random(), clock::now()) })
}

pub(super) async fn token(State(app): State<App>, Body(request): Body<TokenRequest>) -> Result<Json<Token>, Problem> {
    let now = clock::now();
    let refused = || Problem::new(ErrorCode::Unauthorised, "an old nonce, an unknown device or a wrong signature");
    if !app.keys.accepts_challenge(&request.nonce, now) {
        return Err(refused());
    }
    let device = request.device;
    let key = app.relay.call(move |accounts| accounts.device_key(device)).await?.ok_or_else(refused)?;
    if !is_signed(&key, &signing::token(app.realm, request.nonce.as_bytes(), device), &request.signature.0) {
        return Err(refused());
    }
    app.relay.call(move |accounts| accounts.caller(device)).await??;
    let (token, expires_at) = app.keys.token(device, now);
    Ok(Json(Token { token: token.into(), expires_at }))
}
