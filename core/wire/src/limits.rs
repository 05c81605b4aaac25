//! The limits of protocol v1, announced in `welcome`.

use crate::{FrameError, proto::v1};

/// What a node accepts. Devices learn it from `welcome`; before that, [`Limits::DEFAULT`] holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of one envelope's body; larger content goes by attachment.
    pub body_bytes: u32,
    /// Bytes of one frame, either way.
    pub frame_bytes: u32,
    /// Sends and reads that may be unanswered at once.
    pub sends_in_flight: u32,
    /// Mail delivered and not yet acknowledged: entries.
    pub window_entries: u32,
    /// Mail delivered and not yet acknowledged: bytes of bodies.
    pub window_bytes: u32,
    /// Milliseconds of silence after which a socket is closed.
    pub silence_ms: u32,
    /// Entries that one mailbox may hold.
    pub mailbox_entries: u32,
    /// Bytes of bodies that may wait in one mailbox.
    pub mailbox_bytes: u64,
    /// Sends a minute and device.
    pub sends_per_minute: u32,
    /// The longest time-to-live, in seconds.
    pub ttl_seconds_max: u32,
}

impl Limits {
    /// The defaults of the reference node.
    pub const DEFAULT: Self = Self {
        body_bytes: 64 * 1024,
        frame_bytes: 256 * 1024,
        sends_in_flight: 64,
        window_entries: 256,
        window_bytes: 1024 * 1024,
        silence_ms: 75_000,
        mailbox_entries: 100_000,
        mailbox_bytes: 256 * 1024 * 1024,
        sends_per_minute: 60_000,
        ttl_seconds_max: 30 * 24 * 3600,
    };

    /// The least that a node may announce as `frame_bytes`: a full receipt must fit.
    pub const FRAME_BYTES_MIN: u32 = 64 * 1024;
    /// The most that a node may announce as `frame_bytes`: what devices are prepared to read.
    pub const FRAME_BYTES_MAX: u32 = 16 * 1024 * 1024;

    /// Entries in one `deliver`, and items in one `ack`.
    pub const ENTRIES_PER_FRAME: usize = 1024;

    pub(crate) fn parse(limits: v1::Limits) -> Result<Self, FrameError> {
        let usable = limits.body_bytes > 0 && limits.frame_bytes > limits.body_bytes && limits.silence_ms >= 1_000;
        let usable = usable && (Self::FRAME_BYTES_MIN..=Self::FRAME_BYTES_MAX).contains(&limits.frame_bytes);
        if !usable || limits.sends_in_flight == 0 || limits.window_entries == 0 {
            return Err(FrameError::Malformed("unusable limits"));
        }
        Ok(Self {
            body_bytes: limits.body_bytes,
            frame_bytes: limits.frame_bytes,
            sends_in_flight: limits.sends_in_flight,
            window_entries: limits.window_entries,
            window_bytes: limits.window_bytes,
            silence_ms: limits.silence_ms,
            mailbox_entries: limits.mailbox_entries,
            mailbox_bytes: limits.mailbox_bytes,
            sends_per_minute: limits.sends_per_minute,
            ttl_seconds_max: limits.ttl_seconds_max,
        })
    }

    pub(crate) fn wire(&self) -> v1::Limits {
        v1::Limits {
            body_bytes: self.body_bytes,
            frame_bytes: self.frame_bytes,
            sends_in_flight: self.sends_in_flight,
            window_entries: self.window_entries,
            window_bytes: self.window_bytes,
            silence_ms: self.silence_ms,
            mailbox_entries: self.mailbox_entries,
            mailbox_bytes: self.mailbox_bytes,
            sends_per_minute: self.sends_per_minute,
            ttl_seconds_max: self.ttl_seconds_max,
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self::DEFAULT
    }
}
