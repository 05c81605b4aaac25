//! Pressure: the disk as a whole cannot be written, because it is full or broken.
//!
//! Whatever would make the data grow is then refused at once, and after a pause tried again; reading, delivering and
//! acknowledging go on, because they free space. A reserve on the disk is given up for them when the disk is full, and
//! nothing grows until it is there again, so that the next time finds it as well.

use chasqui_wire::Timestamp;

use super::{Event, Op, Relay, RelayError, SessionId, State, Work};

/// Since a failure of the disk.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pressure {
    /// Nothing that grows is tried before.
    pub(super) until: Timestamp,
    failures: u32,
    is_full: bool,
}

const FIRST_PAUSE: u64 = 1_000;
const LAST_PAUSE: u64 = 30_000;

impl Work {
    /// Whether it makes the data grow. What does not may free some of it.
    fn grows(&self) -> bool {
        match self {
            Self::Session(_, Op::Publish(_) | Op::Read(_) | Op::Admit(_) | Op::KeyPackages(_) | Op::Claim(_))
            | Self::Call(_) => true,
            Self::Session(_, Op::Lookup(_) | Op::Attach(_) | Op::Detach | Op::Acknowledge(_) | Op::Signal(_)) => false,
        }
    }
}

impl State {
    /// Whether what makes the data grow may be tried.
    pub(super) fn takes_growth(&self, now: Timestamp) -> bool {
        self.pressure.is_none_or(|pressure| pressure.until <= now && self.has_reserve)
    }

    /// What is answered to what is not tried.
    fn refusal(&self) -> RelayError {
        RelayError::Pressed { is_full: self.pressure.is_some_and(|pressure| pressure.is_full) }
    }

    /// Milliseconds until trying again makes sense.
    pub(super) fn retry_after_ms(&self, now: Timestamp) -> u32 {
        let left = self.pressure.map_or(0, |pressure| pressure.until.millis_since(now));
        u32::try_from(left.max(FIRST_PAUSE)).unwrap_or(u32::MAX)
    }

    /// When the reserve is to be held again.
    pub(super) fn reserve_due(&self) -> Option<Timestamp> {
        self.pressure.filter(|_| !self.has_reserve).map(|pressure| pressure.until)
    }
}

impl Relay {
    /// The disk failed as a whole.
    pub(super) fn press(&mut self, now: Timestamp, error: &RelayError) {
        let is_full = error.is_full();
        let failures = self.state.pressure.map_or(0, |pressure| pressure.failures);
        let pause = FIRST_PAUSE.saturating_mul(1 << failures.min(16)).min(LAST_PAUSE);
        tracing::error!(%error, pause_ms = pause, "the disk cannot be written: nothing new is accepted for a while");
        let failures = failures.saturating_add(1);
        self.state.pressure = Some(Pressure { until: now.plus_millis(pause), failures, is_full });
        if is_full
            && std::mem::take(&mut self.state.has_reserve)
            && let Err(error) = self.state.bodies.release_reserve()
        {
            tracing::error!(%error, "the reserve cannot be given up");
        }
    }

    /// Takes the reserve back, if there is room for it.
    pub(super) fn hold_reserve(&mut self, now: Timestamp) {
        match self.state.bodies.hold_reserve(self.state.options.reserve_bytes) {
            Ok(()) => self.state.has_reserve = true,
            Err(error) => self.press(now, &error.into()),
        }
    }

    /// Takes out of the batch what may not be tried now, and answers it.
    pub(super) fn refuse_growth(&mut self, now: Timestamp, batch: &mut Vec<Work>) -> Vec<(SessionId, Event)> {
        if self.state.takes_growth(now) {
            return Vec::new();
        }
        let (mut refused, rest): (Vec<Work>, Vec<Work>) = std::mem::take(batch).into_iter().partition(Work::grows);
        *batch = rest;
        let error = self.state.refusal();
        let mut events = Vec::new();
        for work in &mut refused {
            events.extend(self.answer_failure(now, work, &error));
        }
        events
    }

    /// The batch is on disk: if some of it made the data grow, there is no pressure.
    pub(super) fn ease(&mut self, batch: &[Work]) {
        if self.state.pressure.is_some() && batch.iter().any(Work::grows) {
            self.state.pressure = None;
            tracing::info!("the disk can be written again");
        }
    }
}
