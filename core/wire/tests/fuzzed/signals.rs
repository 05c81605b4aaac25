//! What signals say, which members of a conversation make up freely.

use chasqui_wire::SignalBody;

use crate::memory;

/// Whether it says anything.
pub(crate) fn check(input: &[u8]) -> bool {
    let Ok(body) = memory::within(4096, || SignalBody::decode(input)) else { return false };
    assert_eq!(SignalBody::decode(&body.encode()).as_ref(), Ok(&body));
    true
}
