//! Every body of the HTTP API, from either side: what is understood survives being written again.

use std::fmt::Debug;

use chasqui_wire::http as body;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::memory;

/// A node reads no larger ones.
const LARGEST: usize = 16 * 1024;

/// Whether it is any body at all.
pub(crate) fn check(input: &[u8]) -> bool {
    if input.len() > LARGEST {
        return false;
    }
    // No `any`: each must be tried.
    let understood = [
        of::<body::Realm>(input),
        of::<body::Register>(input),
        of::<body::Login>(input),
        of::<body::EnrolByToken>(input),
        of::<body::CodeRequest>(input),
        of::<body::CodeSent>(input),
        of::<body::EnrolByCode>(input),
        of::<body::NewPin>(input),
        of::<body::NewIdentity>(input),
        of::<body::Enrolled>(input),
        of::<body::TokenChallenge>(input),
        of::<body::TokenRequest>(input),
        of::<body::Token>(input),
        of::<body::User>(input),
        of::<body::Devices>(input),
        of::<body::ErrorBody>(input),
    ];
    understood.contains(&true)
}

fn of<T: Serialize + DeserializeOwned + PartialEq + Debug>(input: &[u8]) -> bool {
    // Bodies with flattened parts are held as a tree first: of `[[0],[0]` each four bytes become a list of its own.
    let most = 96 * input.len() + 16 * 1024;
    let Ok(body) = memory::within(most, || serde_json::from_slice::<T>(input)) else { return false };
    let again = serde_json::to_vec(&body).expect("bodies are plain JSON");
    assert_eq!(serde_json::from_slice::<T>(&again).expect("own text parses"), body);
    true
}
