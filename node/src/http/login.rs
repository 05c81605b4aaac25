//! `POST /v1/login`: a further device of a user.

use axum::Json;
use axum::extract::State;
use chasqui_wire::ErrorCode;
use chasqui_wire::http::{Enrolled, Login};

use super::body::Body;
use super::password;
use super::problem::Problem;
use super::register::{check_realm, enrolled, enrolment};
use crate::serve::App;

pub(super) async fn login(State(app): State<App>, Body(login): Body<Login>) -> Result<Json<Enrolled>, Problem> {
    check_realm(&app, login.realm)?;
    let device = enrolment(&app, login.device)?;
    let name = login.name;
    let known = app.relay.call(move |accounts| accounts.find_user_by_name(&name)).await?;
    let hash = known.as_ref().map(|known| known.password_hash.clone());
    let is_right = password::verify(&app, login.password, hash).await?;
    // An unknown name and a wrong password look the same from outside.
    let Some(known) = known.filter(|_| is_right) else {
        return Err(Problem::new(ErrorCode::Unauthorised, "wrong name or password"));
    };
    let user = known.user;
    app.relay.call(move |accounts| accounts.enrol(user, &device)).await??;
    Ok(Json(enrolled(known)))
}
