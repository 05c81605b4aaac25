//! Opening and closing a socket: challenge, hello, welcome, goodbye.

use bytes::Bytes;

use crate::http::Sensitive;
use crate::parse::{fixed, optional, required, short, wire};
use crate::{DeviceId, FrameError, KeyPackagesLeft, Limits, RealmId, Timestamp, UserId, proto::v1};

/// The node's first frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Challenge {
    /// Unpredictable, valid for this socket only.
    pub nonce: [u8; 32],
    /// The app that the node serves.
    pub realm: RealmId,
    /// The lowest protocol version that the node speaks.
    pub version_min: u32,
    /// The highest protocol version that the node speaks.
    pub version_max: u32,
}

impl Challenge {
    /// The highest version that both sides speak.
    pub fn common_version(&self) -> Option<u32> {
        let highest = self.version_max.min(*crate::VERSIONS.end());
        (highest >= self.version_min && highest >= *crate::VERSIONS.start()).then_some(highest)
    }

    pub(crate) fn parse(frame: v1::Challenge) -> Result<Self, FrameError> {
        Ok(Self {
            nonce: fixed(&frame.nonce, "challenge.nonce is not 32 bytes")?,
            realm: RealmId::from_slice(&frame.realm)?,
            version_min: frame.version_min,
            version_max: frame.version_max,
        })
    }

    pub(crate) fn wire(&self) -> v1::Challenge {
        v1::Challenge {
            nonce: wire(&self.nonce),
            realm: self.realm.wire(),
            version_min: self.version_min,
            version_max: self.version_max,
        }
    }
}

/// The device's first frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hello {
    /// One of the versions in the challenge.
    pub version: u32,
    /// The realm that the device enrolled in.
    pub realm: RealmId,
    /// Who connects.
    pub device: DeviceId,
    /// Ed25519 over [`crate::signing::hello`].
    pub signature: [u8; 64],
    /// How many entries the device takes without acknowledging; 0 = the node's default.
    pub window_entries: u32,
    /// How many bytes of bodies the device takes without acknowledging; 0 = the node's default.
    pub window_bytes: u32,
    /// The last checkpoint that the device was given.
    pub checkpoint: Option<Checkpoint>,
    /// SDK and version, for the operator's logs.
    pub agent: String,
    /// How far the device has come.
    pub progress: Progress,
}

/// How far a device has come, as it counts itself: tells its data from an older copy of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Attempts to connect, this one included; 0 = the device does not count.
    pub connections: u64,
    /// The highest mailbox entry that it has dealt with.
    pub stored_up_to: u64,
    /// Messages that it sent and that were not finally refused: at least those that were accepted.
    pub sent: u64,
}

impl Hello {
    pub(crate) fn parse(frame: v1::Hello) -> Result<Self, FrameError> {
        Ok(Self {
            version: frame.version,
            realm: RealmId::from_slice(&frame.realm)?,
            device: DeviceId::from_slice(&frame.device)?,
            signature: fixed(&frame.signature, "hello.signature is not 64 bytes")?,
            window_entries: frame.window_entries,
            window_bytes: frame.window_bytes,
            checkpoint: frame.checkpoint.map(Checkpoint::parse).transpose()?,
            agent: short(frame.agent, 64),
            progress: Progress { connections: frame.connections, stored_up_to: frame.stored_up_to, sent: frame.sent },
        })
    }

    pub(crate) fn wire(&self) -> v1::Hello {
        v1::Hello {
            version: self.version,
            realm: self.realm.wire(),
            device: self.device.wire(),
            signature: wire(&self.signature),
            window_entries: self.window_entries,
            window_bytes: self.window_bytes,
            checkpoint: self.checkpoint.as_ref().map(Checkpoint::wire),
            agent: self.agent.clone(),
            connections: self.progress.connections,
            stored_up_to: self.progress.stored_up_to,
            sent: self.progress.sent,
        }
    }
}

/// How far the node had come, sealed by the node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// The node's incarnation.
    pub era: u32,
    /// Commits made, over all eras.
    pub revision: u64,
    /// Names the start of the node's process that made it.
    pub opening: [u8; 8],
    /// HMAC-SHA256 by the node over all of these.
    pub seal: [u8; 32],
}

impl Checkpoint {
    pub(crate) fn parse(frame: v1::Checkpoint) -> Result<Self, FrameError> {
        let seal = fixed(&frame.seal, "checkpoint.seal is not 32 bytes")?;
        let opening = fixed(&frame.opening, "checkpoint.opening is not 8 bytes")?;
        Ok(Self { era: frame.era, revision: frame.revision, opening, seal })
    }

    pub(crate) fn wire(&self) -> v1::Checkpoint {
        let (opening, seal) = (wire(&self.opening), wire(&self.seal));
        v1::Checkpoint { era: self.era, revision: self.revision, seal, opening }
    }
}

/// The device is authenticated; mail follows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Welcome {
    /// Whose device this is.
    pub user: UserId,
    /// What the node accepts.
    pub limits: Limits,
    /// How far the node has come.
    pub checkpoint: Checkpoint,
    /// Every era but the first, oldest first.
    pub eras: Vec<Era>,
    /// The node's clock.
    pub time: Timestamp,
    /// A bearer token for the HTTP API.
    pub http_token: Sensitive,
    /// When that token ends, by the node's clock.
    pub http_token_expires_at: Timestamp,
    /// What others can still claim of this device; `None` = the node has no encrypted conversations.
    pub key_packages: Option<KeyPackagesLeft>,
    /// The identity key that the node has for the user; `None` = an older node, which does not say.
    pub identity_key: Option<[u8; 32]>,
}

/// When a node began anew from an older copy of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Era {
    /// Above 0, and higher than those before; the first era, 0, needs no entry.
    pub number: u32,
    /// What earlier eras accepted at a higher revision is unknown to the node.
    pub began_at_revision: u64,
}

impl Welcome {
    const MAX_ERAS: usize = 8192;

    pub(crate) fn parse(frame: v1::Welcome) -> Result<Self, FrameError> {
        if frame.eras.len() > Self::MAX_ERAS {
            return Err(FrameError::Malformed("too many eras"));
        }
        let era = |era: v1::Era| Era { number: era.number, began_at_revision: era.began_at_revision };
        Ok(Self {
            user: UserId::from_slice(&frame.user)?,
            limits: Limits::parse(required(frame.limits, "welcome.limits is missing")?)?,
            checkpoint: Checkpoint::parse(required(frame.checkpoint, "welcome.checkpoint is missing")?)?,
            eras: frame.eras.into_iter().map(era).collect(),
            time: Timestamp(frame.time),
            http_token: Sensitive(frame.http_token),
            http_token_expires_at: Timestamp(frame.http_token_expires_at),
            key_packages: frame.key_packages.map(KeyPackagesLeft::parse),
            identity_key: optional(&frame.identity_key, |key| fixed(key, "welcome.identity_key is not 32 bytes"))?,
        })
    }

    pub(crate) fn wire(&self) -> v1::Welcome {
        let era = |era: &Era| v1::Era { number: era.number, began_at_revision: era.began_at_revision };
        v1::Welcome {
            user: self.user.wire(),
            limits: Some(self.limits.wire()),
            checkpoint: Some(self.checkpoint.wire()),
            eras: self.eras.iter().map(era).collect(),
            time: self.time.0,
            http_token: self.http_token.0.clone(),
            http_token_expires_at: self.http_token_expires_at.0,
            key_packages: self.key_packages.as_ref().map(KeyPackagesLeft::wire),
            identity_key: self.identity_key.as_ref().map(wire).unwrap_or_default(),
        }
    }
}

/// The node's last frame on a socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Goodbye {
    /// Why, and so what to do next.
    pub reason: GoodbyeReason,
    /// English, for developers.
    pub detail: String,
    /// Milliseconds after which to come back at the earliest; 0 = the device decides.
    pub retry_after_ms: u32,
}

/// Why the node closes a socket; documented in frames.proto.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[expect(missing_docs, reason = "documented in frames.proto")]
#[non_exhaustive]
pub enum GoodbyeReason {
    Unspecified,
    ShuttingDown,
    Displaced,
    Unauthorised,
    Revoked,
    IncompatibleVersion,
    WrongRealm,
    ProtocolError,
    FrameTooLarge,
    TimedOut,
    Overloaded,
    NodeFailure,
    NewEra,
    Copied,
}

impl Goodbye {
    pub(crate) fn parse(frame: v1::Goodbye) -> Self {
        use v1::GoodbyeReason as R;
        let reason = match frame.reason() {
            R::Unspecified => GoodbyeReason::Unspecified,
            R::ShuttingDown => GoodbyeReason::ShuttingDown,
            R::Displaced => GoodbyeReason::Displaced,
            R::Unauthorised => GoodbyeReason::Unauthorised,
            R::Revoked => GoodbyeReason::Revoked,
            R::IncompatibleVersion => GoodbyeReason::IncompatibleVersion,
            R::WrongRealm => GoodbyeReason::WrongRealm,
            R::ProtocolError => GoodbyeReason::ProtocolError,
            R::FrameTooLarge => GoodbyeReason::FrameTooLarge,
            R::TimedOut => GoodbyeReason::TimedOut,
            R::Overloaded => GoodbyeReason::Overloaded,
            R::NodeFailure => GoodbyeReason::NodeFailure,
            R::NewEra => GoodbyeReason::NewEra,
            R::Copied => GoodbyeReason::Copied,
        };
        Self { reason, detail: short(frame.detail, 256), retry_after_ms: frame.retry_after_ms }
    }

    pub(crate) fn wire(&self) -> v1::Goodbye {
        use v1::GoodbyeReason as R;
        let reason = match self.reason {
            GoodbyeReason::Unspecified => R::Unspecified,
            GoodbyeReason::ShuttingDown => R::ShuttingDown,
            GoodbyeReason::Displaced => R::Displaced,
            GoodbyeReason::Unauthorised => R::Unauthorised,
            GoodbyeReason::Revoked => R::Revoked,
            GoodbyeReason::IncompatibleVersion => R::IncompatibleVersion,
            GoodbyeReason::WrongRealm => R::WrongRealm,
            GoodbyeReason::ProtocolError => R::ProtocolError,
            GoodbyeReason::FrameTooLarge => R::FrameTooLarge,
            GoodbyeReason::TimedOut => R::TimedOut,
            GoodbyeReason::Overloaded => R::Overloaded,
            GoodbyeReason::NodeFailure => R::NodeFailure,
            GoodbyeReason::NewEra => R::NewEra,
            GoodbyeReason::Copied => R::Copied,
        };
        v1::Goodbye { reason: reason.into(), detail: self.detail.clone(), retry_after_ms: self.retry_after_ms }
    }
}

/// The bytes that the node seals in a [`Checkpoint`].
impl Checkpoint {
    /// What `seal` authenticates.
    pub fn sealed_bytes(era: u32, revision: u64, opening: &[u8; 8]) -> Bytes {
        let mut bytes = b"chasqui/v1/checkpoint".to_vec();
        bytes.extend_from_slice(&era.to_be_bytes());
        bytes.extend_from_slice(&revision.to_be_bytes());
        bytes.extend_from_slice(opening);
        bytes.into()
    }
}
