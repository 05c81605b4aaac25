//! `POST /v1/register`: a new user with a first device.

use axum::Json;
use axum::extract::State;
use chasqui_wire::http::{Enrolled, Key, NewDevice, Register};
use chasqui_wire::{ErrorCode, RealmId, signing};

use super::body::Body;
use super::password;
use super::problem::Problem;
use crate::relay::{Enrolment, KnownUser, NewUser};
use crate::serve::App;
use crate::session::is_signed;

pub(super) async fn register(State(app): State<App>, Body(new): Body<Register>) -> Result<Json<Enrolled>, Problem> {
    check_realm(&app, new.realm)?;
    check_name(&new.name)?;
    password::check(&new.password)?;
    let device = enrolment(&app, new.device)?;
    let password_hash = password::hash(&app, new.password.clone()).await?;
    let (hashed_now, given) = (password_hash.clone(), new.password);
    let new = NewUser { user: new.user, name: new.name, password_hash, identity_key: new.identity_key.0, device };
    let known = app.relay.call(move |accounts| accounts.register(&new)).await??;
    // A repeat: it must be one in everything.
    if known.password_hash != hashed_now && !password::verify(&app, given, Some(known.password_hash.clone())).await? {
        return Err(Problem::new(ErrorCode::Unauthorised, "the user is registered with another password"));
    }
    Ok(Json(enrolled(known)))
}

pub(super) fn enrolled(known: KnownUser) -> Enrolled {
    Enrolled { user: known.user, name: known.name, identity_key: Key(known.identity_key) }
}

pub(super) fn check_realm(app: &App, realm: RealmId) -> Result<(), Problem> {
    if realm == app.realm { Ok(()) } else { Err(Problem::new(ErrorCode::Incompatible, "this node serves another app")) }
}

fn check_name(name: &str) -> Result<(), Problem> {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    if (1..=64).contains(&name.len()) && name.bytes().all(is_allowed) {
        Ok(())
    } else {
        Err(Problem::invalid("a name has 1 to 64 letters, digits, '.', '_' or '-'"))
    }
}

/// A device that proved to hold the key that it asks to enrol.
pub(super) fn enrolment(app: &App, new: NewDevice) -> Result<Enrolment, Problem> {
    if new.name.len() > 64 {
        return Err(Problem::invalid("a device's name has at most 64 bytes"));
    }
    if !is_signed(&new.key.0, &signing::enrol(app.realm, new.device, &new.key.0), &new.proof.0) {
        return Err(Problem::invalid("the device's proof is wrong"));
    }
    Ok(Enrolment { device: new.device, key: new.key.0, name: new.name })
}
