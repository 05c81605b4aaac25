//! `PUT /v1/account/identity`: a new identity, for whom no device is left that has the old one.
//!
//! Whoever gets it may speak for the user in encrypted conversations, so it takes what it takes to end the account.

use axum::extract::State;
use axum::http::StatusCode;
use chasqui_wire::http::{Key, NewIdentity};
use chasqui_wire::{ErrorCode, signing};

use super::account::prove;
use super::bearer::Caller;
use super::body::Body;
use super::client::ClientAddress;
use super::problem::Problem;
use crate::serve::App;
use crate::session::is_signed;

pub(super) async fn reset(
    State(app): State<App>,
    Caller { user, device }: Caller,
    client: ClientAddress,
    Body(new): Body<NewIdentity>,
) -> Result<StatusCode, Problem> {
    let NewIdentity { identity_key: Key(identity_key), link: Key(link), proof } = new;
    app.gate.admit(client)?;
    let device_key = app.relay.call(move |accounts| accounts.device_key(device)).await?;
    let device_key = device_key.ok_or_else(|| Problem::new(ErrorCode::Unauthorised, "no such device"))?;
    if !is_signed(&identity_key, &signing::link(app.realm, user, device, &device_key), &link) {
        return Err(Problem::invalid("the link is not by the new identity key"));
    }
    prove(&app, client, user, proof).await?;
    app.relay.call(move |accounts| accounts.reset_identity(user, identity_key)).await??;
    Ok(StatusCode::NO_CONTENT)
}
