//! The only clock.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use chasqui_wire::Timestamp;

/// The wall clock at the start, moved on by the monotonic clock: it never jumps while it is in use.
#[derive(Clone, Copy, Debug)]
pub(super) struct Clock {
    wall: Timestamp,
    started: Instant,
}

impl Clock {
    #[expect(clippy::disallowed_methods, reason = "the driver is where time comes from")]
    pub(super) fn start() -> Self {
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let wall = Timestamp(i64::try_from(wall.as_millis()).unwrap_or(i64::MAX));
        Self { wall, started: Instant::now() }
    }

    pub(super) fn now(&self) -> Timestamp {
        self.wall.plus_millis(u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX))
    }

    /// How long from now until `at`.
    pub(super) fn until(&self, at: Timestamp) -> std::time::Duration {
        std::time::Duration::from_millis(at.millis_since(self.now()))
    }
}
