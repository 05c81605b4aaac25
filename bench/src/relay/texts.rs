//! The bodies: 200 bytes that say when they were sent, and that can be found again in any file.

use std::sync::OnceLock;
use std::time::{Duration, Instant};

use bytes::Bytes;

/// Bytes of one body.
pub(crate) const BODY: usize = 200;
/// In every body, and nowhere else.
pub(crate) const CANARY: &[u8] = b"a canary that no file of the node may keep";

/// A body that is sent now.
pub(crate) fn body() -> Bytes {
    let mut body = Vec::with_capacity(BODY);
    body.extend_from_slice(&since_start().as_nanos().to_be_bytes());
    while body.len() < BODY {
        let missing = BODY - body.len();
        body.extend_from_slice(&CANARY[..CANARY.len().min(missing)]);
    }
    body.into()
}

/// How long ago this body was made.
pub(crate) fn age(body: &[u8]) -> Option<Duration> {
    let nanos = u128::from_be_bytes(*body.first_chunk()?);
    Some(since_start().saturating_sub(Duration::from_nanos(u64::try_from(nanos).ok()?)))
}

#[expect(clippy::disallowed_methods, reason = "a benchmark measures")]
pub(crate) fn now() -> Instant {
    Instant::now()
}

fn since_start() -> Duration {
    static START: OnceLock<Instant> = OnceLock::new();
    let start = *START.get_or_init(now);
    now().saturating_duration_since(start)
}
