//! `POST /v1/login`: a further device of a user.

use axum::Json;
use axum::extract::State;
use chasqui_wire::ErrorCode;
use chasqui_wire::http::{Enrolled, Login};

use super::body::Body;
use super::client::ClientAddress;
use super::password;
use super::problem::Problem;
use super::register::{check_passwords, check_realm, enrolled, enrolment, is_name};
use crate::serve::App;

pub(super) async fn login(
    State(app): State<App>,
    client: ClientAddress,
    Body(login): Body<Login>,
) -> Result<Json<Enrolled>, Problem> {
    check_realm(&app, login.realm)?;
    check_passwords(&app)?;
    let device = enrolment(&app, login.device)?;
    // An unknown name and a wrong password look the same from outside.
    let wrong = || Problem::new(ErrorCode::Unauthorised, "wrong name or password");
    let name = login.name;
    if !is_name(&name) {
        return Err(wrong());
    }
    app.gate.admit(client)?;
    let place = app.gate.place(client, &name)?;
    let guess = app.gate.guess(client, &name)?;
    let known = app.relay.call(move |accounts| accounts.find_user_by_name(&name)).await?;
    let hash = known.as_ref().and_then(|known| known.password_hash.clone());
    let is_right = password::verify(&app.gate, place, login.password, hash).await?;
    let known = known.filter(|_| is_right).ok_or_else(wrong)?;
    guess.was_right();
    let user = known.user;
    app.relay.call(move |accounts| accounts.enrol(user, &device)).await??;
    Ok(Json(enrolled(known)))
}
