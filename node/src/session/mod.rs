//! One socket of one device, sans-I/O: frames and relay events in, frames and relay work out. No clock, no sockets.
//!
//! A session never answers for the relay: what it says about messages and mail is what the relay told it.

mod hello;
mod open;
#[cfg(test)]
mod tests;

use std::collections::{BTreeSet, VecDeque};

use bytes::Bytes;
use chasqui_wire::{
    Challenge, Checkpoint, ClientFrame, Deliver, DeviceId, Drained, FrameError, Goodbye, GoodbyeReason,
    KeyPackagesLeft, Limits, NodeFrame, RealmId, Timestamp, UserId, VERSIONS, Welcome,
};

use crate::relay::{Event, Op, SessionId};
pub(crate) use hello::is_signed;

/// What happens to a session.
#[derive(Clone, Debug)]
pub enum Input {
    /// One binary WebSocket message.
    Frame(Bytes),
    /// From the relay.
    Event(Event),
    /// [`Session::wake_at`] has come.
    Tick,
    /// The node stops; the device may come back after so many milliseconds.
    ShutDown {
        /// Spread by the caller, so that not everyone returns at once.
        retry_after_ms: u32,
    },
    /// The transport got something that cannot be a frame.
    Broken {
        /// What the device is told.
        reason: GoodbyeReason,
        /// English, for developers.
        detail: &'static str,
    },
    /// The socket is gone.
    Lost,
}

/// What a session wants done, in order.
#[derive(Clone, Debug)]
pub enum Output {
    /// Send one binary WebSocket message.
    Transmit(Bytes),
    /// Ask the relay.
    Submit(Op),
    /// Close the socket. Nothing but a [`Op::Detach`] follows.
    Close,
}

/// One socket of one device.
#[derive(Debug)]
pub struct Session {
    id: SessionId,
    realm: RealmId,
    limits: Limits,
    nonce: [u8; 32],
    stage: Stage,
    opened_at: Timestamp,
    heard_at: Timestamp,
    /// The bytes of each send, read and so on that the relay has not answered, in order, and their sum.
    unanswered: VecDeque<u32>,
    unanswered_bytes: u64,
    /// Entries that were delivered here and not acknowledged: at most a window full.
    delivered: BTreeSet<u64>,
    /// The latest that the relay gave; goes into every pong.
    checkpoint: Option<Checkpoint>,
    /// What others can still claim of the device, as the relay said last; goes into every pong, too.
    key_packages: Option<KeyPackagesLeft>,
    /// When it may say all [`SIGNALS`] at once again.
    signals_full_at: Timestamp,
    dropped_signals: u64,
    /// The reason of the goodbye that it said.
    said_goodbye: Option<GoodbyeReason>,
}

#[derive(Debug)]
enum Stage {
    /// The challenge is out.
    AwaitingHello,
    /// The directory is asked who that is.
    Identifying(Box<chasqui_wire::Hello>),
    /// The signature was right; the relay is asked for a seat.
    Attaching(Peer),
    /// Welcomed.
    Open(Peer),
    Closed,
}

/// The device at the other end.
#[derive(Clone, Copy, Debug)]
struct Peer {
    user: UserId,
    device: DeviceId,
    key: [u8; 32],
    /// The user's. When it changes, the socket ends.
    identity_key: [u8; 32],
}

/// Bytes of bodies under way to the relay from which on a session takes no more frames.
const UNANSWERED_BYTES: u64 = 1024 * 1024;
/// Signals that a device may say at once, and the milliseconds after which it has one more: people type in one conversation
/// at a time, and change their mind now and then.
const SIGNALS: u64 = 10;
const SIGNAL_EVERY: u64 = 1_000;
/// Milliseconds within which hello must arrive.
const HELLO_WITHIN: u64 = 10_000;

impl Session {
    /// A session for a socket that has just opened. The nonce must be unpredictable.
    pub fn new(id: SessionId, realm: RealmId, limits: Limits, nonce: [u8; 32], now: Timestamp) -> Self {
        Self {
            id,
            realm,
            limits,
            nonce,
            stage: Stage::AwaitingHello,
            opened_at: now,
            heard_at: now,
            unanswered: VecDeque::new(),
            unanswered_bytes: 0,
            delivered: BTreeSet::new(),
            checkpoint: None,
            key_packages: None,
            signals_full_at: now,
            dropped_signals: 0,
            said_goodbye: None,
        }
    }

    /// Under which the relay knows it.
    pub fn id(&self) -> SessionId {
        self.id
    }

    /// Whether it closed its socket.
    pub fn is_closed(&self) -> bool {
        matches!(self.stage, Stage::Closed)
    }

    /// Why it ended the socket, if it did and said so.
    pub fn said_goodbye(&self) -> Option<GoodbyeReason> {
        self.said_goodbye
    }

    /// How many signals were dropped since it was last asked, because the device says too many.
    pub fn take_dropped_signals(&mut self) -> u64 {
        std::mem::take(&mut self.dropped_signals)
    }

    /// The first output: the challenge.
    pub fn open(&self) -> Vec<Output> {
        let challenge = Challenge {
            nonce: self.nonce,
            realm: self.realm,
            version_min: *VERSIONS.start(),
            version_max: *VERSIONS.end(),
        };
        vec![transmit(&NodeFrame::Challenge(challenge))]
    }

    /// Whether the next frame may be read from the socket. As long as the relay owes many answers it may not: whoever sends
    /// faster than the relay works waits, and nobody else does. Answers arrive as events, which are always taken.
    pub fn wants_input(&self) -> bool {
        let unanswered = self.unanswered.len() < self.most_unanswered();
        unanswered && (self.unanswered_bytes < UNANSWERED_BYTES || self.unanswered.is_empty())
    }

    /// Twice the announced number is forgiven: a device may count answers that are still on their way.
    fn most_unanswered(&self) -> usize {
        self.limits.sends_in_flight.saturating_mul(2) as usize
    }

    /// When [`Input::Tick`] is due.
    pub fn wake_at(&self) -> Option<Timestamp> {
        match self.stage {
            Stage::AwaitingHello => Some(self.opened_at.plus_millis(HELLO_WITHIN)),
            Stage::Identifying(_) | Stage::Attaching(_) | Stage::Open(_) => {
                Some(self.heard_at.plus_millis(self.limits.silence_ms.into()))
            }
            Stage::Closed => None,
        }
    }

    /// Takes one input.
    pub fn handle(&mut self, now: Timestamp, input: Input) -> Vec<Output> {
        if self.is_closed() {
            return Vec::new();
        }
        match input {
            Input::Frame(bytes) => {
                self.heard_at = now;
                self.frame(now, bytes)
            }
            Input::Event(event) => self.event(now, event),
            // Nothing is heard from whom nobody listens to.
            Input::Tick if !self.wants_input() => {
                self.heard_at = now;
                Vec::new()
            }
            Input::Tick if self.wake_at().is_some_and(|at| at <= now) => {
                self.goodbye(GoodbyeReason::TimedOut, "nothing heard for too long")
            }
            Input::Tick => Vec::new(),
            Input::ShutDown { retry_after_ms } => self.close(Some(Goodbye {
                reason: GoodbyeReason::ShuttingDown,
                detail: "the node stops".to_owned(),
                retry_after_ms,
            })),
            Input::Broken { reason, detail } => self.goodbye(reason, detail),
            Input::Lost => self.close(None),
        }
    }

    fn frame(&mut self, now: Timestamp, bytes: Bytes) -> Vec<Output> {
        let frame = match ClientFrame::decode(bytes, &self.limits) {
            Ok(frame) => frame,
            Err(FrameError::UnknownKind) => return vec![unsupported("unknown frame kind")],
            Err(error @ FrameError::TooLarge { .. }) => {
                return self.goodbye(GoodbyeReason::FrameTooLarge, &error.to_string());
            }
            Err(error @ FrameError::Malformed(_)) => {
                return self.goodbye(GoodbyeReason::ProtocolError, &error.to_string());
            }
        };
        match (&self.stage, frame) {
            (Stage::AwaitingHello, ClientFrame::Hello(hello)) => self.hello(hello),
            (&Stage::Open(peer), frame) => self.open_frame(now, peer, frame),
            (Stage::AwaitingHello | Stage::Identifying(_) | Stage::Attaching(_) | Stage::Closed, _) => {
                self.goodbye(GoodbyeReason::ProtocolError, "a frame out of order before welcome")
            }
        }
    }

    fn event(&mut self, now: Timestamp, event: Event) -> Vec<Output> {
        match event {
            Event::Device(known) => self.identified(known),
            Event::Attached(attached) => {
                let Stage::Attaching(peer) = self.stage else { return Vec::new() };
                self.stage = Stage::Open(Peer { identity_key: attached.identity_key, ..peer });
                self.checkpoint = Some(attached.checkpoint.clone());
                self.key_packages = Some(attached.key_packages);
                vec![transmit(&NodeFrame::Welcome(Welcome {
                    user: attached.user,
                    limits: self.limits.clone(),
                    checkpoint: attached.checkpoint,
                    eras: attached.eras,
                    time: now,
                    http_token: attached.http_token,
                    http_token_expires_at: attached.http_token_expires_at,
                    key_packages: self.key_packages,
                    identity_key: Some(attached.identity_key),
                }))]
            }
            Event::Accepted(accepted) => {
                self.answered();
                vec![transmit(&NodeFrame::Accepted(accepted))]
            }
            Event::Rejected(rejected) => {
                self.answered();
                vec![transmit(&NodeFrame::Rejected(rejected))]
            }
            Event::Claimed(claimed) => {
                self.answered();
                vec![transmit(&NodeFrame::Claimed(*claimed))]
            }
            Event::KeyPackagesLeft(left) => {
                self.key_packages = Some(left);
                Vec::new()
            }
            Event::Mail(entries) => {
                self.delivered.extend(entries.iter().map(|entry| entry.number));
                vec![transmit(&NodeFrame::Deliver(Deliver { entries }))]
            }
            Event::Signal(signal) => vec![transmit(&NodeFrame::Signal(signal))],
            Event::Drained(checkpoint) => {
                self.checkpoint = Some(checkpoint.clone());
                vec![transmit(&NodeFrame::Drained(Drained { checkpoint }))]
            }
            Event::Displaced => self.goodbye(GoodbyeReason::Displaced, "a newer socket of this device took over"),
            Event::Revoked => self.goodbye(GoodbyeReason::Revoked, "the device was revoked"),
            Event::Copied => {
                self.goodbye(GoodbyeReason::Copied, "this is an older copy of the device's data: enrol as a new device")
            }
            Event::NewEra => self.goodbye(GoodbyeReason::NewEra, "the node came back from an older copy of itself"),
            // None of the reasons says more than that the device should come back.
            Event::NewIdentity => self.goodbye(GoodbyeReason::Unspecified, "the user has a new identity: come back"),
            Event::Overloaded => self.goodbye(GoodbyeReason::Overloaded, "too many refused streams"),
            Event::Failed => self.goodbye(GoodbyeReason::NodeFailure, "the node cannot work now; come back later"),
        }
    }

    /// The relay answers a session's sends, reads, words to requests, key packages and claims in their order.
    fn answered(&mut self) {
        self.unanswered_bytes -= u64::from(self.unanswered.pop_front().unwrap_or(0));
    }

    fn goodbye(&mut self, reason: GoodbyeReason, detail: &str) -> Vec<Output> {
        let is_overloaded = reason == GoodbyeReason::Overloaded;
        let retry_after_ms =
            if is_overloaded { 10_000 } else { u32::from(reason == GoodbyeReason::NodeFailure) * 1_000 };
        self.close(Some(Goodbye { reason, detail: detail.to_owned(), retry_after_ms }))
    }

    fn close(&mut self, goodbye: Option<Goodbye>) -> Vec<Output> {
        let has_seat = matches!(self.stage, Stage::Attaching(_) | Stage::Open(_));
        self.stage = Stage::Closed;
        self.said_goodbye = goodbye.as_ref().map(|goodbye| goodbye.reason);
        let mut outputs = Vec::new();
        outputs.extend(goodbye.map(|goodbye| transmit(&NodeFrame::Goodbye(goodbye))));
        outputs.push(Output::Close);
        if has_seat {
            outputs.push(Output::Submit(Op::Detach));
        }
        outputs
    }
}

fn transmit(frame: &NodeFrame) -> Output {
    Output::Transmit(frame.encode())
}

fn unsupported(detail: &str) -> Output {
    transmit(&NodeFrame::Unsupported(chasqui_wire::Unsupported { detail: detail.to_owned() }))
}
