//! How the relay is, in numbers that cost nothing to keep.

use chasqui_wire::Timestamp;

use super::Relay;

/// What whoever watches the relay wants to know.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Vitals {
    /// Devices that have a session.
    pub online: u64,
    /// Messages whose bodies wait.
    pub bodies: u64,
    /// Bytes of these bodies.
    pub body_bytes: u64,
    /// Files that hold them.
    pub segments: u64,
    /// The incarnation.
    pub era: u32,
    /// Messages that expired for somebody, since the process began.
    pub expired: u64,
    /// Commits of encrypted conversations that were taken, since the process began.
    pub commits: u64,
    /// One-time key packages that were given away, since the process began.
    pub packages_given: u64,
    /// Times that a key package of last resort was, since the process began.
    pub last_resorts_given: u64,
    /// Identities of users that were reset, since the process began.
    pub identity_resets: u64,
    /// Signals of devices that may not signal there, since the process began.
    pub signals_refused: u64,
    /// Signals that were not given to devices that have mail to take, since the process began.
    pub signals_behind: u64,
    /// Transactions that failed, since the process began.
    pub failures: u64,
    /// Whether the last one did.
    pub is_failing: bool,
    /// Since when the oldest erasure waits to be on disk.
    pub erasing_since: Option<Timestamp>,
}

/// The part that nothing else in the relay counts.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Tally {
    pub(super) expired: u64,
    pub(super) commits: u64,
    pub(super) packages_given: u64,
    pub(super) last_resorts_given: u64,
    pub(super) identity_resets: u64,
    pub(super) signals_refused: u64,
    pub(super) signals_behind: u64,
    pub(super) failures: u64,
    pub(super) is_failing: bool,
}

impl Relay {
    /// How it is now.
    pub fn vitals(&self) -> Vitals {
        let (state, tally) = (&self.state, self.state.tally);
        let held = state.bodies.held();
        Vitals {
            online: state.online.len() as u64,
            bodies: held.bodies,
            body_bytes: held.bytes,
            segments: held.segments,
            era: state.era,
            expired: tally.expired,
            commits: tally.commits,
            packages_given: tally.packages_given,
            last_resorts_given: tally.last_resorts_given,
            identity_resets: tally.identity_resets,
            signals_refused: tally.signals_refused,
            signals_behind: tally.signals_behind,
            failures: tally.failures,
            is_failing: tally.is_failing,
            erasing_since: state.bodies.erasing_since(),
        }
    }
}
