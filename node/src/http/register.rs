//! `POST /v1/register`: a new user with a first device.

use axum::Json;
use axum::extract::State;
use chasqui_wire::http::{Enrolled, Key, NewDevice, Register};
use chasqui_wire::{ErrorCode, RealmId, signing};

use super::body::Body;
use super::client::ClientAddress;
use super::password;
use super::problem::Problem;
use crate::relay::{Enrolment, KnownUser, NewUser};
use crate::serve::App;
use crate::session::is_signed;

pub(super) async fn register(
    State(app): State<App>,
    client: ClientAddress,
    Body(new): Body<Register>,
) -> Result<Json<Enrolled>, Problem> {
    check_realm(&app, new.realm)?;
    check_passwords(&app)?;
    check_name(&new.name)?;
    password::check(&new.password)?;
    let device = enrolment(&app, new.device)?;
    app.gate.admit(client)?;
    let Register { user, name, password, identity_key, .. } = new;
    let new = NewUser { user, name: name.clone(), password_hash: String::new(), identity_key: identity_key.0, device };
    // What cannot be registered is not worth a hash.
    let asked = new.clone();
    let mut known = app.relay.call(move |accounts| accounts.registered(&asked)).await??;
    if known.is_none() {
        let place = app.gate.place(client, &name)?;
        let password_hash = password::hash(&app.gate, place, password.clone()).await?;
        let new = NewUser { password_hash: password_hash.clone(), ..new };
        let registered = app.relay.call(move |accounts| accounts.register(&new)).await??;
        if registered.password_hash.as_ref() == Some(&password_hash) {
            return Ok(Json(enrolled(registered)));
        }
        known = Some(registered);
    }
    // A repeat: it must be one in everything.
    let hash = known.as_ref().and_then(|known| known.password_hash.clone());
    let place = app.gate.place(client, &name)?;
    let guess = app.gate.guess(client, &name)?;
    let is_right = password::verify(&app.gate, place, password, hash).await?;
    let wrong = || Problem::new(ErrorCode::Unauthorised, "the user is registered with another password");
    let known = known.filter(|_| is_right).ok_or_else(wrong)?;
    guess.was_right();
    Ok(Json(enrolled(known)))
}

pub(super) fn enrolled(known: KnownUser) -> Enrolled {
    Enrolled { user: known.user, name: known.name, identity_key: Key(known.identity_key) }
}

pub(super) fn check_realm(app: &App, realm: RealmId) -> Result<(), Problem> {
    if realm == app.realm { Ok(()) } else { Err(Problem::new(ErrorCode::Incompatible, "this node serves another app")) }
}

/// Whether this node enrols by name and password at all.
pub(super) fn check_passwords(app: &App) -> Result<(), Problem> {
    let refused = || Problem::new(ErrorCode::NotSupported, "this node does not enrol by name and password");
    if app.passwords { Ok(()) } else { Err(refused()) }
}

fn check_name(name: &str) -> Result<(), Problem> {
    let wrong = || Problem::invalid("a name has 1 to 64 letters, digits, '.', '_' or '-'");
    if is_name(name) { Ok(()) } else { Err(wrong()) }
}

/// Whether that could be anybody's name.
pub(super) fn is_name(name: &str) -> bool {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    (1..=64).contains(&name.len()) && name.bytes().all(is_allowed)
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
