//! `PUT /v1/pin` and `DELETE /v1/pin`: what guards the caller's account when its number is enrolled again.

use axum::extract::State;
use axum::http::StatusCode;
use chasqui_wire::http::{NewPin, Sensitive};

use super::bearer::Caller;
use super::body::Body;
use super::client::ClientAddress;
use super::password;
use super::problem::Problem;
use crate::serve::App;

pub(super) async fn set(
    State(app): State<App>,
    caller: Caller,
    client: ClientAddress,
    Body(new): Body<NewPin>,
) -> Result<StatusCode, Problem> {
    check_pin(&new.pin)?;
    app.gate.admit(client)?;
    let place = app.gate.place(client, &caller.user.to_string())?;
    let hash = password::hash(&app.gate, place, new.pin).await?;
    app.relay.call(move |accounts| accounts.set_pin(caller.user, Some(&hash))).await?;
    Ok(StatusCode::NO_CONTENT)
}

pub(super) async fn remove(State(app): State<App>, caller: Caller) -> Result<StatusCode, Problem> {
    app.relay.call(move |accounts| accounts.set_pin(caller.user, None)).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Checks the length of a PIN.
pub(super) fn check_pin(pin: &Sensitive) -> Result<(), Problem> {
    if (4..=64).contains(&pin.0.len()) { Ok(()) } else { Err(Problem::invalid("a PIN has 4 to 64 bytes")) }
}
