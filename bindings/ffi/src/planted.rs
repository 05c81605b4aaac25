//! Panics on demand: by them the tests of Kotlin and Swift learn what a defect in Rust looks like to an app.
//!
//! Only a library that is built for debugging has them. They have no export of their own: the Kotlin and the Swift that are made
//! from such a library run with any other. So numbers of lines that nobody shows ask for them.

use crate::scalar::Count;

/// Asked for this many lines, a call panics.
const AT_ONCE: Count = Count(2_000_000_001);
/// An observer that shall show this many panics while its news are awaited.
const WHEN_AWAITED: Count = Count(2_000_000_002);

/// In front of a call.
pub(crate) fn at_once(limit: Count) {
    if cfg!(debug_assertions) {
        assert!(limit != AT_ONCE, "a planted panic");
    }
}

/// Where an observer waits.
pub(crate) fn when_awaited(limit: u32) {
    if cfg!(debug_assertions) {
        assert!(Count(limit) != WHEN_AWAITED, "a planted panic");
    }
}
