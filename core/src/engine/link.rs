//! The life of the one socket: when to open it, whether it still lives, when to come back.
//!
//! Pure bookkeeping: it never touches the store.

use chasqui_wire::{Goodbye, GoodbyeReason, Limits, Ping, Timestamp};

use super::SocketId;

/// How the connection is, for people.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConnectionState {
    /// Not connected; will try again by itself.
    Offline,
    /// On the way.
    Connecting,
    /// Connected, and what waited is arriving.
    CatchingUp,
    /// Connected and up to date.
    Online,
    /// Not connected, and trying again would not help.
    Blocked(Blocked),
}

/// Why trying again would not help.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Blocked {
    /// The folder has no enrolled device: register or log in.
    NotEnrolled,
    /// The app suspended the client.
    Suspended,
    /// The node does not know this device or its key.
    Unauthorised,
    /// The device was revoked, or the account deleted: [`crate::Client::devices`] fails with
    /// [`crate::Error::AccountDeleted`] then.
    Revoked,
    /// The node speaks no protocol version that this version speaks, or serves another app.
    Incompatible,
    /// The device's disk is full or takes no writes. Mail waits at the node, queries are answered, and everything goes on
    /// by itself when there is room.
    StorageFull,
    /// This folder is a copy, or was restored from an older one, and its device went on elsewhere: log in again, as a new
    /// device. The history stays, and what was not sent goes out then.
    Copied,
    /// The history was damaged and the device's keys could not be saved: log in again, as a new device.
    KeysLost,
}

/// Opening, challenge and welcome must each arrive within this, in milliseconds.
const HANDSHAKE_MS: u64 = 15_000;
/// Reconnection: doubles from the first to the last, half of it random.
const FIRST_PAUSE_MS: u64 = 500;
const LAST_PAUSE_MS: u64 = 60_000;
/// However long the node asks to stay away.
const LONGEST_ASKED_MS: u64 = 3_600_000;
/// A displaced device waits at least this long, so that two of them do not fight.
const DISPLACED_MS: u64 = 30_000;

#[derive(Clone, Debug)]
enum Phase {
    Blocked(Blocked),
    Waiting { until: Timestamp },
    Opening { socket: SocketId, since: Timestamp },
    Live { socket: SocketId, limits: Limits, heard_at: Timestamp, pinged_at: Option<Timestamp>, drained: bool },
}

/// What is due.
#[derive(Debug, PartialEq)]
pub(super) enum Tick {
    Nothing,
    Dial(SocketId),
    Ping(SocketId, Ping),
    Dead,
}

#[derive(Debug)]
pub(super) struct Link {
    phase: Phase,
    /// A socket that the phase has let go of and that is still to be closed.
    leaving: Option<SocketId>,
    failures: u32,
    sockets: u64,
    jitter: u64,
}

impl Link {
    pub(super) fn new(entropy: u64) -> Self {
        // Xorshift needs a seed that is not zero.
        Self {
            phase: Phase::Blocked(Blocked::NotEnrolled),
            leaving: None,
            failures: 0,
            sockets: 0,
            jitter: entropy | 1,
        }
    }

    pub(super) fn name_sockets_after(&mut self, last: SocketId) {
        self.sockets = self.sockets.max(last.0);
    }

    pub(super) fn hold_off(&mut self, now: Timestamp) {
        if matches!(self.phase, Phase::Waiting { .. }) {
            self.failures = 1;
            self.pause(now);
        }
    }

    pub(super) fn state(&self) -> ConnectionState {
        match self.phase {
            Phase::Blocked(reason) => ConnectionState::Blocked(reason),
            Phase::Waiting { .. } => ConnectionState::Offline,
            Phase::Opening { .. } => ConnectionState::Connecting,
            Phase::Live { drained: false, .. } => ConnectionState::CatchingUp,
            Phase::Live { drained: true, .. } => ConnectionState::Online,
        }
    }

    /// The socket on which frames other than the handshake's may be sent.
    pub(super) fn live(&self) -> Option<SocketId> {
        if let Phase::Live { socket, .. } = self.phase { Some(socket) } else { None }
    }

    /// Whether what waited has arrived.
    pub(super) fn is_drained(&self) -> bool {
        matches!(self.phase, Phase::Live { drained: true, .. })
    }

    pub(super) fn limits(&self) -> Option<&Limits> {
        if let Phase::Live { limits, .. } = &self.phase { Some(limits) } else { None }
    }

    fn socket(&self) -> Option<SocketId> {
        match self.phase {
            Phase::Blocked(_) | Phase::Waiting { .. } => None,
            Phase::Opening { socket, .. } | Phase::Live { socket, .. } => Some(socket),
        }
    }

    /// There is an enrolled device: connect as soon as possible.
    pub(super) fn want(&mut self) {
        self.failures = 0;
        self.wait(Timestamp(i64::MIN));
    }

    /// Stands aside for good; the caller closes [`Self::take_socket`].
    pub(super) fn block(&mut self, reason: Blocked) {
        self.leaving = self.socket().or(self.leaving);
        self.phase = Phase::Blocked(reason);
    }

    /// Stands aside; the caller closes [`Self::take_socket`].
    pub(super) fn suspend(&mut self) {
        if !matches!(self.phase, Phase::Blocked(_)) {
            self.block(Blocked::Suspended);
        }
    }

    /// Also a fresh chance for a device that was refused.
    pub(super) fn resume(&mut self, now: Timestamp) {
        match self.phase {
            Phase::Blocked(Blocked::NotEnrolled | Blocked::KeysLost | Blocked::Copied | Blocked::Revoked) => {}
            Phase::Blocked(_) => self.want(),
            _ => self.network_up(now),
        }
    }

    /// A socket that should be alive is asked at once; one that is down is opened at once.
    pub(super) fn network_up(&mut self, now: Timestamp) {
        self.failures = 0;
        match &mut self.phase {
            Phase::Waiting { until } => *until = now,
            Phase::Live { limits, heard_at, pinged_at, .. } => {
                // As if nothing had been heard for as long as asks for a ping, with little time left to answer.
                let silence = u64::from(limits.silence_ms);
                let quiet = silence.saturating_sub(HANDSHAKE_MS).max(silence / 3 + 1);
                *heard_at = (*heard_at).min(Timestamp(now.0.saturating_sub_unsigned(quiet)));
                *pinged_at = None;
            }
            Phase::Blocked(_) | Phase::Opening { .. } => {}
        }
    }

    pub(super) fn opened(&mut self, opened: SocketId, now: Timestamp) {
        if let Phase::Opening { socket, since } = &mut self.phase
            && *socket == opened
        {
            *since = now;
        }
    }

    /// Says whether it was the current one.
    pub(super) fn closed(&mut self, closed: SocketId, now: Timestamp) -> bool {
        let current = self.socket() == Some(closed);
        if current {
            self.pause(now);
            self.leaving = None;
        }
        current
    }

    /// The clock was set back by so much: what was to happen in a while still does.
    pub(super) fn clock_went_back(&mut self, millis: u64) {
        let shift = |at: &mut Timestamp| at.0 = at.0.saturating_sub_unsigned(millis);
        match &mut self.phase {
            Phase::Blocked(_) => {}
            Phase::Waiting { until } => shift(until),
            Phase::Opening { since, .. } => shift(since),
            Phase::Live { heard_at, pinged_at, .. } => {
                shift(heard_at);
                pinged_at.iter_mut().for_each(shift);
            }
        }
    }

    /// Says whether it is the current one.
    pub(super) fn heard(&mut self, from: SocketId, now: Timestamp) -> bool {
        let current = self.socket() == Some(from);
        if let Phase::Live { heard_at, pinged_at, .. } = &mut self.phase
            && current
        {
            *heard_at = now;
            *pinged_at = None;
        }
        current
    }

    pub(super) fn welcomed(&mut self, socket: SocketId, limits: Limits, now: Timestamp) {
        self.phase = Phase::Live { socket, limits, heard_at: now, pinged_at: None, drained: false };
    }

    pub(super) fn drained(&mut self) {
        if let Phase::Live { drained, .. } = &mut self.phase {
            *drained = true;
            self.failures = 0;
        }
    }

    /// The node sent us away; the caller closes [`Self::take_socket`].
    pub(super) fn dismissed(&mut self, goodbye: &Goodbye, now: Timestamp) {
        let wait = match goodbye.reason {
            GoodbyeReason::Unauthorised => return self.block(Blocked::Unauthorised),
            GoodbyeReason::Revoked => return self.block(Blocked::Revoked),
            GoodbyeReason::IncompatibleVersion | GoodbyeReason::WrongRealm => {
                return self.block(Blocked::Incompatible);
            }
            GoodbyeReason::Copied => return self.block(Blocked::Copied),
            GoodbyeReason::NewEra => 0,
            GoodbyeReason::Displaced => DISPLACED_MS + self.random(DISPLACED_MS),
            GoodbyeReason::ShuttingDown => {
                let floor = u64::from(goodbye.retry_after_ms).min(LONGEST_ASKED_MS);
                floor + self.random(floor.max(FIRST_PAUSE_MS))
            }
            _ => {
                let pause = self.next_pause();
                pause.max(u64::from(goodbye.retry_after_ms).min(LONGEST_ASKED_MS))
            }
        };
        self.wait(now.plus_millis(wait));
    }

    /// Comes back after a pause; the caller closes [`Self::take_socket`].
    pub(super) fn pause(&mut self, now: Timestamp) {
        let pause = self.next_pause();
        self.wait(now.plus_millis(pause));
    }

    fn wait(&mut self, until: Timestamp) {
        self.leaving = self.socket().or(self.leaving);
        self.phase = Phase::Waiting { until };
    }

    /// The socket to close, once.
    pub(super) fn take_socket(&mut self) -> Option<SocketId> {
        self.leaving.take()
    }

    pub(super) fn tick(&mut self, now: Timestamp) -> Tick {
        let opening = SocketId(self.sockets + 1);
        match &mut self.phase {
            Phase::Waiting { until } if *until <= now => {
                self.sockets += 1;
                self.phase = Phase::Opening { socket: opening, since: now };
                Tick::Dial(opening)
            }
            Phase::Opening { since, .. } if now.millis_since(*since) >= HANDSHAKE_MS => Tick::Dead,
            Phase::Live { socket, limits, heard_at, pinged_at, .. } => {
                let silence = u64::from(limits.silence_ms);
                let quiet = now.millis_since(*heard_at);
                if quiet >= silence {
                    Tick::Dead
                } else if quiet >= silence / 3 && pinged_at.is_none() {
                    *pinged_at = Some(now);
                    Tick::Ping(*socket, Ping { nonce: now.0.cast_unsigned() })
                } else {
                    Tick::Nothing
                }
            }
            Phase::Blocked(_) | Phase::Waiting { .. } | Phase::Opening { .. } => Tick::Nothing,
        }
    }

    pub(super) fn wake_at(&self) -> Option<Timestamp> {
        match &self.phase {
            Phase::Blocked(_) => None,
            Phase::Waiting { until } => Some(*until),
            Phase::Opening { since, .. } => Some(since.plus_millis(HANDSHAKE_MS)),
            Phase::Live { limits, heard_at, pinged_at, .. } => {
                let silence = u64::from(limits.silence_ms);
                Some(heard_at.plus_millis(if pinged_at.is_some() { silence } else { silence / 3 }))
            }
        }
    }

    fn next_pause(&mut self) -> u64 {
        let full = FIRST_PAUSE_MS.saturating_mul(1 << self.failures.min(10)).min(LAST_PAUSE_MS);
        self.failures = self.failures.saturating_add(1);
        full / 2 + self.random(full / 2)
    }

    /// Below `bound`; xorshift64 (Marsaglia 2003) is plenty for spreading reconnections.
    pub(super) fn random(&mut self, bound: u64) -> u64 {
        self.jitter ^= self.jitter << 13;
        self.jitter ^= self.jitter >> 7;
        self.jitter ^= self.jitter << 17;
        if bound == 0 { 0 } else { self.jitter % bound }
    }
}
