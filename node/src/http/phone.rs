//! `POST /v1/phone/codes` and `POST /v1/phone/enrol`: a code to a telephone, and what it is worth.

use axum::Json;
use axum::extract::State;
use chasqui_wire::ErrorCode;
use chasqui_wire::http::{CodeRequest, CodeSent, EnrolByCode, Enrolled};

use super::body::Body;
use super::client::ClientAddress;
use super::gate::{lock, too_many};
use super::jwt::newcomer;
use super::password;
use super::pin::check_pin;
use super::problem::Problem;
use super::register::{check_realm, enrolled};
use crate::admission::Wait;
use crate::phone::{Phones, challenge_text, new_code, normalise, parse_challenge, parse_code};
use crate::relay::{CodeShown, NewCode};
use crate::serve::{App, clock};

pub(super) async fn code(
    State(app): State<App>,
    client: ClientAddress,
    Body(request): Body<CodeRequest>,
) -> Result<Json<CodeSent>, Problem> {
    check_realm(&app, request.realm)?;
    let phones = phones(&app)?;
    app.gate.admit(client)?;
    let number = normalise(&request.phone.0, phones.region);
    let number = number.ok_or_else(|| Problem::invalid("not a telephone number that a code can be sent to"))?;
    if let Some(of_address) = &phones.of_address {
        lock(of_address).take(client, clock::now()).map_err(too_many)?;
    }
    let (challenge, code) = (clock::random(), new_code(clock::random()));
    let hashes = (app.keys.phone_number(number.as_str()), app.keys.phone_code(&challenge, code.as_str()));
    let (new, rules) = (NewCode { number: hashes.0, challenge, code: hashes.1 }, phones.rules);
    let resend_after_ms = app.relay.call(move |accounts| accounts.new_code(&new, &rules)).await??;
    let challenge_text = challenge_text(challenge);
    // Only now: a number that has to wait takes nothing from the others.
    let admitted = lock(&phones.of_all).take((), clock::now()).map_err(too_many);
    let sent = match admitted {
        Ok(()) => phones.sender.send(&number, &code, &challenge_text).await.map_err(|_| not_sent()),
        Err(problem) => Err(problem),
    };
    if let Err(problem) = sent {
        app.relay.call(move |accounts| accounts.code_was_not_sent(challenge)).await?;
        return Err(problem);
    }
    Ok(Json(CodeSent {
        challenge: challenge_text,
        expires_in_ms: u32::try_from(phones.rules.code_lifetime_ms).unwrap_or(u32::MAX),
        resend_after_ms: Wait(resend_after_ms).millis(),
    }))
}

pub(super) async fn enrol(
    State(app): State<App>,
    client: ClientAddress,
    Body(request): Body<EnrolByCode>,
) -> Result<Json<Enrolled>, Problem> {
    check_realm(&app, request.realm)?;
    let phones = phones(&app)?;
    app.gate.admit(client)?;
    let new = newcomer(&app, request.newcomer)?;
    let shown = parse_challenge(&request.challenge).zip(parse_code(&request.code.0));
    let (challenge, code) =
        shown.ok_or_else(|| Problem::new(ErrorCode::InvalidCode, "no challenge, or no code of 6 digits"))?;
    let pin = request.pin;
    pin.as_ref().map_or(Ok(()), check_pin)?;
    // Before the PIN is counted: who finds the queue full has not guessed.
    let place = if pin.is_some() { Some(app.gate.place(client, &request.challenge)?) } else { None };
    let code = app.keys.phone_code(&challenge, code.as_str());
    let shown = CodeShown { challenge, code, has_pin: pin.is_some(), fresh: request.fresh };
    let (asked, rules) = (new.clone(), phones.rules);
    let to_verify = app.relay.call(move |accounts| accounts.show_code(&shown, &asked, &rules)).await??;
    let mut verified = None;
    if let (Some(to_verify), Some(pin), Some(place)) = (to_verify, pin, place) {
        if !password::verify(&app.gate, place, pin, Some(to_verify.hash.clone())).await? {
            let wrong = Problem::new(ErrorCode::WrongPin, "the PIN is wrong");
            return Err(if to_verify.next_ms > 0 { wrong.after(Wait(to_verify.next_ms)) } else { wrong });
        }
        verified = Some(to_verify.hash);
    }
    let enrol = app.relay.call(move |accounts| accounts.enrol_by_code(&shown, verified.as_deref(), &new, &rules));
    Ok(Json(enrolled(enrol.await??)))
}

fn phones(app: &App) -> Result<&Phones, Problem> {
    app.phones.as_deref().ok_or_else(|| Problem::new(ErrorCode::NotSupported, "this node enrols no telephone numbers"))
}

fn not_sent() -> Problem {
    Problem::new(ErrorCode::Unavailable, "the code could not be sent")
}
