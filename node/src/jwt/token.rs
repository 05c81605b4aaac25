//! One token: read into parts, then checked against keys and rules. Pure; time is passed in.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use chasqui_wire::Timestamp;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::{Map, Value};

use super::keys::{Algorithm, KeyError, Keys};

/// Bytes of a subject: what an app names its users by.
const SUBJECT_BYTES: usize = 255;

/// What a token must say to count here.
#[derive(Clone, Debug)]
pub struct Rules {
    /// `iss`, exactly.
    pub issuer: String,
    /// In `aud`.
    pub audience: String,
    /// How it may be signed.
    pub algorithms: Vec<Algorithm>,
    /// Milliseconds by which clocks may differ.
    pub leeway_ms: u64,
    /// Milliseconds since `iat`; 0 = any age before `exp`.
    pub age_ms: u64,
    /// The claim that gives a new user's name.
    pub name_claim: Option<String>,
}

/// What a token that counts says.
#[derive(Clone, PartialEq, Eq)]
pub struct Claims {
    /// Who, in the app's own terms.
    pub subject: String,
    /// From the name claim, whatever it holds.
    pub name: Option<String>,
}

/// Why a token does not count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// Not a signed JWT in compact form.
    #[error("the token is malformed: {0}")]
    Malformed(&'static str),
    /// `alg` is not allowed here.
    #[error("the token's algorithm is not allowed here")]
    Algorithm,
    /// No key of that id and algorithm.
    #[error("the token's key is unknown")]
    UnknownKey,
    /// Forged, or damaged on the way.
    #[error("the token's signature is wrong")]
    Signature,
    /// Another issuer.
    #[error("the token's issuer is another one")]
    Issuer,
    /// For somebody else.
    #[error("the token is for another audience")]
    Audience,
    /// `exp` has come.
    #[error("the token has expired")]
    Expired,
    /// `nbf` or `iat` lies ahead.
    #[error("the token is not valid yet")]
    NotYet,
    /// `iat` is missing or too long ago.
    #[error("the token is too old, or does not say when it was issued")]
    TooOld,
    /// `sub` is missing, empty or too long.
    #[error("the token's subject is missing, empty, above 255 bytes or no plain text")]
    Subject,
}

/// A token that was read. Nothing in it counts yet.
pub struct Unchecked<'a> {
    signed: &'a str,
    algorithm: Algorithm,
    key_id: Option<String>,
    payload: Vec<u8>,
    signature: Vec<u8>,
}

/// Unknown fields of a header are ignored, except when it says itself that they must not be.
#[derive(Deserialize)]
struct Header {
    alg: String,
    kid: Option<String>,
    typ: Option<String>,
    crit: Option<IgnoredAny>,
}

/// Reads a token's parts. Its length is the caller's to bound.
///
/// # Errors
/// [`TokenError::Malformed`] or [`TokenError::Algorithm`].
pub fn read(token: &str) -> Result<Unchecked<'_>, TokenError> {
    let malformed = TokenError::Malformed;
    let (signed, signature) = token.rsplit_once('.').ok_or(malformed("it has no three parts"))?;
    let (header, payload) = signed.split_once('.').ok_or(malformed("it has no three parts"))?;
    let decode = |part: &str| BASE64.decode(part).map_err(|_| malformed("a part is not base64url"));
    let header = decode(header)?;
    // Serde takes a list of a struct's fields for the struct, and does not look at the text of fields that it passes over.
    let is_object = serde_json::from_slice::<Map<String, Value>>(&header).is_ok();
    let header: Option<Header> = serde_json::from_slice(&header).ok().filter(|_| is_object);
    let header = header.ok_or(malformed("the header is not as JWTs have it"))?;
    if header.crit.is_some() {
        return Err(malformed("the header names extensions that must be understood"));
    }
    // Other kinds of token are signed with the same keys: none may be taken for one that says who somebody is.
    let is_jwt = |typ: &str| typ.eq_ignore_ascii_case("jwt") || typ.eq_ignore_ascii_case("at+jwt");
    if !header.typ.as_deref().is_none_or(is_jwt) {
        return Err(malformed("it is a token of another type"));
    }
    let algorithm = Algorithm::from_name(&header.alg).ok_or(TokenError::Algorithm)?;
    let (payload, signature) = (decode(payload)?, decode(signature)?);
    Ok(Unchecked { signed, algorithm, key_id: header.kid, payload, signature })
}

impl Unchecked<'_> {
    /// Whether it is signed as it may be.
    ///
    /// # Errors
    /// [`TokenError::Algorithm`].
    pub fn check_algorithm(&self, rules: &Rules) -> Result<(), TokenError> {
        if rules.algorithms.contains(&self.algorithm) { Ok(()) } else { Err(TokenError::Algorithm) }
    }

    /// Whom the token names, if everything about it is right.
    ///
    /// # Errors
    /// [`TokenError`]; of what the claims say nothing is told before the signature was right.
    pub fn check(&self, keys: &Keys, rules: &Rules, now: Timestamp) -> Result<Claims, TokenError> {
        self.check_algorithm(rules)?;
        let verified = keys.verify(self.algorithm, self.key_id.as_deref(), self.signed.as_bytes(), &self.signature);
        verified.map_err(|error| match error {
            KeyError::Unknown => TokenError::UnknownKey,
            KeyError::Wrong => TokenError::Signature,
        })?;
        let claims: Map<String, Value> =
            serde_json::from_slice(&self.payload).map_err(|_| TokenError::Malformed("the payload is not an object"))?;
        if claims.get("iss").and_then(Value::as_str) != Some(rules.issuer.as_str()) {
            return Err(TokenError::Issuer);
        }
        if !names_audience(claims.get("aud"), &rules.audience) {
            return Err(TokenError::Audience);
        }
        check_times(&claims, rules, now)?;
        let subject = claims.get("sub").and_then(Value::as_str).ok_or(TokenError::Subject)?;
        if subject.is_empty() || subject.len() > SUBJECT_BYTES || subject.chars().any(char::is_control) {
            return Err(TokenError::Subject);
        }
        let name = rules.name_claim.as_ref().and_then(|claim| claims.get(claim)?.as_str());
        Ok(Claims { subject: subject.to_owned(), name: name.map(str::to_owned) })
    }
}

fn names_audience(claim: Option<&Value>, audience: &str) -> bool {
    match claim {
        Some(Value::String(one)) => one == audience,
        Some(Value::Array(several)) => several.iter().any(|one| one.as_str() == Some(audience)),
        _ => false,
    }
}

fn check_times(claims: &Map<String, Value>, rules: &Rules, now: Timestamp) -> Result<(), TokenError> {
    let expires_at = time(claims, "exp")?.ok_or(TokenError::Malformed("exp is missing"))?;
    let (begins_at, issued_at) = (time(claims, "nbf")?, time(claims, "iat")?);
    if expires_at.plus_millis(rules.leeway_ms) <= now {
        return Err(TokenError::Expired);
    }
    let latest = now.plus_millis(rules.leeway_ms);
    if begins_at.is_some_and(|at| at > latest) || issued_at.is_some_and(|at| at > latest) {
        return Err(TokenError::NotYet);
    }
    if rules.age_ms > 0 {
        let issued_at = issued_at.ok_or(TokenError::TooOld)?;
        if issued_at.plus_millis(rules.age_ms).plus_millis(rules.leeway_ms) <= now {
            return Err(TokenError::TooOld);
        }
    }
    Ok(())
}

/// A `NumericDate`: seconds since 1970, maybe with a fraction. What lies outside of all time is cut to its end.
fn time(claims: &Map<String, Value>, name: &str) -> Result<Option<Timestamp>, TokenError> {
    let Some(value) = claims.get(name).filter(|value| !value.is_null()) else { return Ok(None) };
    let seconds = value.as_f64().ok_or(TokenError::Malformed("a time is not a number"))?;
    #[expect(clippy::cast_possible_truncation, reason = "the cast saturates, which is what is wanted")]
    let millis = (seconds * 1000.0) as i64;
    Ok(Some(Timestamp(millis)))
}
