//! `POST /v1/enrol/jwt`: a device of the user whom a token of the app's backend names.

use axum::Json;
use axum::extract::State;
use chasqui_wire::ErrorCode;
use chasqui_wire::http::{EnrolByToken, Enrolled, Newcomer as NewcomerBody};

use super::body::Body;
use super::client::ClientAddress;
use super::problem::Problem;
use super::register::{check_realm, enrolled, enrolment, is_name};
use crate::jwt::Refused;
use crate::relay::Newcomer;
use crate::serve::App;

pub(super) async fn enrol(
    State(app): State<App>,
    client: ClientAddress,
    Body(request): Body<EnrolByToken>,
) -> Result<Json<Enrolled>, Problem> {
    check_realm(&app, request.realm)?;
    let not_here = || Problem::new(ErrorCode::NotSupported, "this node takes no tokens");
    let verifier = app.jwt.as_ref().ok_or_else(not_here)?;
    app.gate.admit(client)?;
    let mut new = newcomer(&app, request.newcomer)?;
    let claims = verifier.check(&request.token.0).await?;
    new.name = claims.name.filter(|name| is_name(name));
    let (issuer, subject) = (verifier.rules.issuer.clone(), claims.subject);
    let known = app.relay.call(move |accounts| accounts.enrol_subject(&issuer, &subject, &new)).await??;
    Ok(Json(enrolled(known)))
}

/// A device that proved to hold its key, of whomever it turns out to be.
pub(super) fn newcomer(app: &App, new: NewcomerBody) -> Result<Newcomer, Problem> {
    let NewcomerBody { user, identity_key, only, device } = new;
    Ok(Newcomer { user, name: None, identity_key: identity_key.0, only, device: enrolment(app, device)? })
}

impl From<Refused> for Problem {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::Token(error) => Self::new(ErrorCode::InvalidToken, error.to_string()),
            Refused::TooLong => Self::new(ErrorCode::TooLarge, "the token is above jwt.token_bytes"),
            Refused::NoKeys => {
                Self::new(ErrorCode::Unavailable, "the keys of the app cannot be had; try again in a few seconds")
            }
        }
    }
}
