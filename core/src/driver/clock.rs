//! The only clock.

use std::time::Duration;

use chasqui_wire::Timestamp;
// The standard library's own, except in browsers, where that has no clock.
use web_time::{Instant, SystemTime, UNIX_EPOCH};

/// How far the wall clock may run ahead before it is believed, in milliseconds.
const ASLEEP_MS: u64 = 5_000;

/// The wall clock at the start, moved on by the monotonic clock: it never goes back while it is in use.
///
/// A machine that slept has a monotonic clock that stood still. The wall clock is far ahead then and is believed, so that
/// timers come due, and a socket that died meanwhile is found dead.
#[derive(Clone, Copy, Debug)]
pub(super) struct Clock {
    wall: Timestamp,
    started: Instant,
}

impl Clock {
    #[expect(clippy::disallowed_methods, reason = "the driver is where time comes from")]
    pub(super) fn start() -> Self {
        Self { wall: wall(), started: Instant::now() }
    }

    pub(super) fn now(&mut self) -> Timestamp {
        if wall().millis_since(self.counted()) > ASLEEP_MS {
            *self = Self::start();
        }
        self.counted()
    }

    fn counted(&self) -> Timestamp {
        self.wall.plus_millis(u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX))
    }

    /// How long from now until `at`.
    pub(super) fn until(&mut self, at: Timestamp) -> Duration {
        Duration::from_millis(at.millis_since(self.now()))
    }
}

#[expect(clippy::disallowed_methods, reason = "the driver is where time comes from")]
pub(crate) fn wall() -> Timestamp {
    let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp(i64::try_from(wall.as_millis()).unwrap_or(i64::MAX))
}
