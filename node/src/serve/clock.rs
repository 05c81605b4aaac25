//! The one place that reads the clock and draws randomness.

use chasqui_wire::Timestamp;
use ring::rand::{SecureRandom as _, SystemRandom};

/// Now, in milliseconds since the Unix epoch.
#[expect(clippy::disallowed_methods, reason = "the driver's clock")]
pub(crate) fn now() -> Timestamp {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    Timestamp(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

/// Starts a stopwatch: seconds since then.
#[expect(clippy::disallowed_methods, reason = "the driver's clock")]
pub(crate) fn stopwatch() -> impl Fn() -> f64 {
    let since = std::time::Instant::now();
    move || since.elapsed().as_secs_f64()
}

/// `N` unpredictable bytes.
pub(crate) fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    SystemRandom::new().fill(&mut bytes).expect("the operating system gives randomness");
    bytes
}
