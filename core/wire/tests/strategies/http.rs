//! Any well-formed body of the HTTP API.

use chasqui_wire::ErrorCode;
use chasqui_wire::http::*;
use proptest::collection::vec;
use proptest::option::of as maybe;
use proptest::prelude::*;
use proptest::sample::select;

use crate::strategies::{device, key, realm, signature, text, timestamp, user};

pub(crate) fn realm_body() -> impl Strategy<Value = Realm> {
    (realm(), any::<u32>(), any::<u32>()).prop_map(|(realm, version_min, version_max)| Realm {
        realm,
        version_min,
        version_max,
    })
}

pub(crate) fn register() -> impl Strategy<Value = Register> {
    (realm(), user(), text(), text(), key(), new_device()).prop_map(
        |(realm, user, name, password, identity_key, device)| Register {
            realm,
            user,
            name,
            password: password.into(),
            identity_key: Key(identity_key),
            device,
        },
    )
}

pub(crate) fn login() -> impl Strategy<Value = Login> {
    (realm(), text(), text(), new_device()).prop_map(|(realm, name, password, device)| Login {
        realm,
        name,
        password: password.into(),
        device,
    })
}

pub(crate) fn enrol_by_token() -> impl Strategy<Value = EnrolByToken> {
    (realm(), text(), newcomer()).prop_map(|(realm, token, newcomer)| EnrolByToken {
        realm,
        token: token.into(),
        newcomer,
    })
}

pub(crate) fn code_request() -> impl Strategy<Value = CodeRequest> {
    (realm(), text()).prop_map(|(realm, phone)| CodeRequest { realm, phone: phone.into() })
}

pub(crate) fn code_sent() -> impl Strategy<Value = CodeSent> {
    (text(), any::<u32>(), any::<u32>()).prop_map(|(challenge, expires_in_ms, resend_after_ms)| CodeSent {
        challenge,
        expires_in_ms,
        resend_after_ms,
    })
}

pub(crate) fn enrol_by_code() -> impl Strategy<Value = EnrolByCode> {
    (realm(), text(), text(), maybe(text()), any::<bool>(), newcomer()).prop_map(
        |(realm, challenge, code, pin, fresh, newcomer)| EnrolByCode {
            realm,
            challenge,
            code: code.into(),
            pin: pin.map(Sensitive::from),
            fresh,
            newcomer,
        },
    )
}

pub(crate) fn new_pin() -> impl Strategy<Value = NewPin> {
    text().prop_map(|pin| NewPin { pin: pin.into() })
}

pub(crate) fn delete_account() -> impl Strategy<Value = DeleteAccount> {
    account_proof().prop_map(|proof| DeleteAccount { proof })
}

pub(crate) fn new_identity() -> impl Strategy<Value = NewIdentity> {
    (key(), signature(), account_proof()).prop_map(|(identity_key, link, proof)| NewIdentity {
        identity_key: Key(identity_key),
        link: Key(link),
        proof,
    })
}

fn account_proof() -> impl Strategy<Value = AccountProof> {
    let proof = || maybe(text().prop_map(Sensitive::from));
    (proof(), proof(), proof()).prop_map(|(password, pin, token)| AccountProof { password, pin, token })
}

fn newcomer() -> impl Strategy<Value = Newcomer> {
    (user(), key(), maybe(user()), new_device()).prop_map(|(user, identity_key, only, device)| Newcomer {
        user,
        identity_key: Key(identity_key),
        only,
        device,
    })
}

fn new_device() -> impl Strategy<Value = NewDevice> {
    (device(), key(), signature(), text()).prop_map(|(device, public, proof, name)| NewDevice {
        device,
        key: Key(public),
        proof: Key(proof),
        name,
    })
}

pub(crate) fn enrolled() -> impl Strategy<Value = Enrolled> {
    (user(), text(), key()).prop_map(|(user, name, key)| Enrolled { user, name, identity_key: Key(key) })
}

pub(crate) fn user_body() -> impl Strategy<Value = User> {
    (user(), text(), key()).prop_map(|(user, name, key)| User { user, name, identity_key: Key(key) })
}

pub(crate) fn token_challenge() -> impl Strategy<Value = TokenChallenge> {
    text().prop_map(|nonce| TokenChallenge { nonce })
}

pub(crate) fn token_request() -> impl Strategy<Value = TokenRequest> {
    (device(), text(), signature()).prop_map(|(device, nonce, signature)| TokenRequest {
        device,
        nonce,
        signature: Key(signature),
    })
}

pub(crate) fn token() -> impl Strategy<Value = Token> {
    (text(), timestamp()).prop_map(|(token, expires_at)| Token { token: token.into(), expires_at })
}

pub(crate) fn devices() -> impl Strategy<Value = Devices> {
    let device = (device(), text(), timestamp(), maybe(timestamp()))
        .prop_map(|(device, name, created_at, last_seen_at)| Device { device, name, created_at, last_seen_at });
    vec(device, 0..4).prop_map(|devices| Devices { devices })
}

pub(crate) fn error_body() -> impl Strategy<Value = ErrorBody> {
    let code = prop_oneof![select(ErrorCode::ALL), Just(ErrorCode::Unknown(0))];
    (code, text(), any::<u32>())
        .prop_map(|(code, detail, retry_after_ms)| ErrorBody { error: Problem { code, detail, retry_after_ms } })
}
