//! `GET /v1/account/export`: what the node holds about the caller. `DELETE /v1/account`: the caller's account ends.
//!
//! Who holds an unlocked telephone is not yet its owner: whatever the account can be proved by is asked for.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use chasqui_wire::http::{AccountProof, DeleteAccount, Sensitive};
use chasqui_wire::{ErrorCode, UserId};

use super::bearer::Caller;
use super::body::Body;
use super::client::ClientAddress;
use super::password;
use super::pin::check_pin;
use super::problem::Problem;
use crate::admission::Wait;
use crate::relay::{AccountReport, Proofs};
use crate::serve::App;

pub(super) async fn export(State(app): State<App>, caller: Caller) -> Result<Json<AccountReport>, Problem> {
    Ok(Json(app.relay.call(move |accounts| accounts.report(caller.user)).await??))
}

pub(super) async fn delete(
    State(app): State<App>,
    caller: Caller,
    client: ClientAddress,
    Body(DeleteAccount { proof }): Body<DeleteAccount>,
) -> Result<StatusCode, Problem> {
    app.gate.admit(client)?;
    let user = caller.user;
    prove(&app, client, user, proof).await?;
    app.relay.call(move |accounts| accounts.delete(user)).await??;
    Ok(StatusCode::NO_CONTENT)
}

/// One of the proofs that the account has is enough; an account that has none needs none.
pub(super) async fn prove(app: &App, client: ClientAddress, user: UserId, shown: AccountProof) -> Result<(), Problem> {
    let proofs = app.relay.call(move |accounts| accounts.proofs(user)).await??;
    let has_token = proofs.has_subject && app.jwt.is_some();
    let is_proved = match shown {
        AccountProof { password: Some(password), .. } if proofs.password_hash.is_some() => {
            prove_by_password(app, client, proofs, password).await?
        }
        AccountProof { pin: Some(pin), .. } if proofs.has_pin => prove_by_pin(app, client, user, pin).await?,
        AccountProof { token: Some(token), .. } if has_token => prove_by_token(app, user, &token).await?,
        AccountProof { .. } => proofs.password_hash.is_none() && !proofs.has_pin && !has_token,
    };
    let needed = || Problem::new(ErrorCode::ProofNeeded, "the account's password, PIN or a fresh token is needed");
    if is_proved { Ok(()) } else { Err(needed()) }
}

async fn prove_by_password(
    app: &App,
    client: ClientAddress,
    Proofs { name, password_hash, .. }: Proofs,
    password: Sensitive,
) -> Result<bool, Problem> {
    let place = app.gate.place(client, &name)?;
    let guess = app.gate.guess(client, &name)?;
    let is_right = password::verify(&app.gate, place, password, password_hash).await?;
    if is_right {
        guess.was_right();
    }
    Ok(is_right)
}

async fn prove_by_pin(app: &App, client: ClientAddress, user: UserId, pin: Sensitive) -> Result<bool, Problem> {
    check_pin(&pin)?;
    // Before the PIN is counted: who finds the queue full has not guessed.
    let place = app.gate.place(client, &user.to_string())?;
    let Some(to_verify) = app.relay.call(move |accounts| accounts.guess_pin(user)).await?? else { return Ok(false) };
    if password::verify(&app.gate, place, pin, Some(to_verify.hash)).await? {
        return Ok(true);
    }
    let wrong = Problem::new(ErrorCode::WrongPin, "the PIN is wrong");
    Err(if to_verify.next_ms > 0 { wrong.after(Wait(to_verify.next_ms)) } else { wrong })
}

async fn prove_by_token(app: &App, user: UserId, token: &Sensitive) -> Result<bool, Problem> {
    let Some(verifier) = &app.jwt else { return Ok(false) };
    let (claims, issuer) = (verifier.check(&token.0).await?, verifier.rules.issuer.clone());
    let is_theirs = app.relay.call(move |accounts| accounts.is_called(user, &issuer, &claims.subject)).await?;
    let of_another = || Problem::new(ErrorCode::InvalidToken, "the token is for somebody else");
    if is_theirs { Ok(true) } else { Err(of_another()) }
}
