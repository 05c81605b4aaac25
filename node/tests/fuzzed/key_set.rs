//! Key sets, as a server publishes them that may be anybody's by now: no set turns a public key into a secret, and no
//! key makes a signature of nothing count or takes the node long.

use chasqui_node::jwt::{Algorithm, KeySet, Keys};

use crate::memory;

/// Whether there is a key in it.
pub(crate) fn check(input: &[u8]) -> bool {
    // A tree of JSON: an object with one field takes about 640 bytes, and seven of text.
    let most = 192 * input.len() + 16 * 1024;
    let Some(set) = memory::within(most, || KeySet::parse(input)) else { return false };
    let keys = Keys::Published(set);
    for algorithm in [Algorithm::RS256, Algorithm::ES256, Algorithm::EdDSA, Algorithm::HS256] {
        for id in [None, Some("a")] {
            for signature in [[].as_slice(), &[0x5a; 63], &[0x5a; 64], &[0x5a; 256]] {
                assert!(keys.verify(algorithm, id, b"signed by nobody", signature).is_err(), "{algorithm:?}");
            }
        }
    }
    true
}
