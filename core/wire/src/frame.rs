//! The two frame enums, and the only way in and out of bytes.

use bytes::Bytes;
use prost::Message as _;
use prost::encoding::decode_key;

use crate::{
    Accepted, Ack, Admit, Challenge, Checkpoint, Claim, Claimed, Deliver, Drained, FrameError, Goodbye, Hello,
    KeyPackages, KeyPackagesLeft, Limits, Read, Rejected, Send, Signal, Timestamp, Welcome, proto::v1, weigh,
};

/// From device to node.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "each is documented at its type")]
pub enum ClientFrame {
    Hello(Hello),
    Send(Box<Send>),
    Read(Read),
    Ack(Ack),
    Signal(Signal),
    Ping(Ping),
    Admit(Admit),
    KeyPackages(KeyPackages),
    Claim(Claim),
}

/// From node to device.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "each is documented at its type")]
pub enum NodeFrame {
    Challenge(Challenge),
    Welcome(Welcome),
    Accepted(Accepted),
    Rejected(Rejected),
    Deliver(Deliver),
    Drained(Drained),
    Signal(Signal),
    Pong(Pong),
    Unsupported(Unsupported),
    Goodbye(Goodbye),
    Claimed(Claimed),
}

impl ClientFrame {
    /// Parses one frame.
    ///
    /// # Errors
    /// [`FrameError`]; only `UnknownKind` leaves the connection usable.
    pub fn decode(bytes: Bytes, limits: &Limits) -> Result<Self, FrameError> {
        check_size(&bytes, limits)?;
        weigh::check(&bytes, weigh::CLIENT_FRAME)?;
        let frame = v1::ClientFrame::decode(bytes).map_err(|_| FrameError::Malformed("not protobuf"))?;
        use v1::client_frame::Kind;
        Ok(match frame.kind.ok_or(FrameError::UnknownKind)? {
            Kind::Hello(hello) => Self::Hello(Hello::parse(hello)?),
            Kind::Send(send) => Self::Send(Box::new(Send::parse(*send)?)),
            Kind::Read(read) => Self::Read(Read::parse(read)?),
            Kind::Ack(ack) => Self::Ack(Ack::parse(ack)?),
            Kind::Signal(signal) => Self::Signal(Signal::parse(signal)?),
            Kind::Ping(ping) => Self::Ping(Ping { nonce: ping.nonce }),
            Kind::Admit(admit) => Self::Admit(Admit::parse(admit)?),
            Kind::KeyPackages(packages) => Self::KeyPackages(KeyPackages::parse(packages)?),
            Kind::Claim(claim) => Self::Claim(Claim::parse(claim)?),
        })
    }

    /// The bytes of one binary WebSocket message.
    pub fn encode(&self) -> Bytes {
        use v1::client_frame::Kind;
        let kind = match self {
            Self::Hello(hello) => Kind::Hello(hello.wire()),
            Self::Send(send) => Kind::Send(Box::new(send.wire())),
            Self::Read(read) => Kind::Read(read.wire()),
            Self::Ack(ack) => Kind::Ack(ack.wire()),
            Self::Signal(signal) => Kind::Signal(signal.wire()),
            Self::Ping(ping) => Kind::Ping(v1::Ping { nonce: ping.nonce }),
            Self::Admit(admit) => Kind::Admit(admit.wire()),
            Self::KeyPackages(packages) => Kind::KeyPackages(packages.wire()),
            Self::Claim(claim) => Kind::Claim(claim.wire()),
        };
        v1::ClientFrame { kind: Some(kind) }.encode_to_vec().into()
    }
}

impl NodeFrame {
    /// Parses one frame.
    ///
    /// # Errors
    /// [`FrameError`]; only `UnknownKind` leaves the connection usable.
    pub fn decode(bytes: Bytes, limits: &Limits) -> Result<Self, FrameError> {
        check_size(&bytes, limits)?;
        weigh::check(&bytes, weigh::NODE_FRAME)?;
        let frame = v1::NodeFrame::decode(bytes).map_err(|_| FrameError::Malformed("not protobuf"))?;
        use v1::node_frame::Kind;
        Ok(match frame.kind.ok_or(FrameError::UnknownKind)? {
            Kind::Challenge(challenge) => Self::Challenge(Challenge::parse(challenge)?),
            Kind::Welcome(welcome) => Self::Welcome(Welcome::parse(welcome)?),
            Kind::Accepted(accepted) => Self::Accepted(Accepted::parse(accepted)?),
            Kind::Rejected(rejected) => Self::Rejected(Rejected::parse(rejected)?),
            Kind::Deliver(deliver) => Self::Deliver(Deliver::parse(deliver)?),
            Kind::Drained(drained) => Self::Drained(Drained::parse(drained)?),
            Kind::Signal(signal) => Self::Signal(Signal::parse(signal)?),
            Kind::Pong(pong) => Self::Pong(Pong::parse(pong)?),
            Kind::Unsupported(unsupported) => Self::Unsupported(Unsupported { detail: unsupported.detail }),
            Kind::Goodbye(goodbye) => Self::Goodbye(Goodbye::parse(goodbye)),
            Kind::Claimed(claimed) => Self::Claimed(Claimed::parse(claimed)?),
        })
    }

    /// The bytes of one binary WebSocket message.
    pub fn encode(&self) -> Bytes {
        use v1::node_frame::Kind;
        let kind = match self {
            Self::Challenge(challenge) => Kind::Challenge(challenge.wire()),
            Self::Welcome(welcome) => Kind::Welcome(welcome.wire()),
            Self::Accepted(accepted) => Kind::Accepted(accepted.wire()),
            Self::Rejected(rejected) => Kind::Rejected(rejected.wire()),
            Self::Deliver(deliver) => Kind::Deliver(deliver.wire()),
            Self::Drained(drained) => Kind::Drained(drained.wire()),
            Self::Signal(signal) => Kind::Signal(signal.wire()),
            Self::Pong(pong) => Kind::Pong(pong.wire()),
            Self::Unsupported(unsupported) => Kind::Unsupported(v1::Unsupported { detail: unsupported.detail.clone() }),
            Self::Goodbye(goodbye) => Kind::Goodbye(goodbye.wire()),
            Self::Claimed(claimed) => Kind::Claimed(claimed.wire()),
        };
        v1::NodeFrame { kind: Some(kind) }.encode_to_vec().into()
    }
}

impl Send {
    /// Of [`ClientFrame::Send`].
    const TAG: u32 = 2;

    /// Reads back a frame that this side made of it, without what it takes to read others.
    ///
    /// # Errors
    /// [`FrameError`] when it is another one.
    pub fn decode_frame(mut frame: Bytes) -> Result<Self, FrameError> {
        let malformed = |_| FrameError::Malformed("not protobuf");
        let (tag, _) = decode_key(&mut frame).map_err(malformed)?;
        if tag != Self::TAG {
            return Err(FrameError::UnknownKind);
        }
        Self::parse(v1::Send::decode_length_delimited(frame).map_err(malformed)?)
    }
}

fn check_size(bytes: &Bytes, limits: &Limits) -> Result<(), FrameError> {
    let limit = limits.frame_bytes as usize;
    if bytes.len() > limit { Err(FrameError::TooLarge { size: bytes.len(), limit }) } else { Ok(()) }
}

/// Are you there?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ping {
    /// Comes back in the pong.
    pub nonce: u64,
}

/// Here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pong {
    /// The ping's.
    pub nonce: u64,
    /// The node's clock.
    pub time: Timestamp,
    /// How far the node has come.
    pub checkpoint: Option<Checkpoint>,
    /// What others can still claim of this device.
    pub key_packages: Option<KeyPackagesLeft>,
}

impl Pong {
    fn parse(frame: v1::Pong) -> Result<Self, FrameError> {
        let checkpoint = frame.checkpoint.map(Checkpoint::parse).transpose()?;
        let key_packages = frame.key_packages.map(KeyPackagesLeft::parse);
        Ok(Self { nonce: frame.nonce, time: Timestamp(frame.time), checkpoint, key_packages })
    }

    fn wire(&self) -> v1::Pong {
        let checkpoint = self.checkpoint.as_ref().map(Checkpoint::wire);
        let key_packages = self.key_packages.as_ref().map(KeyPackagesLeft::wire);
        v1::Pong { nonce: self.nonce, time: self.time.0, checkpoint, key_packages }
    }
}

/// The answer to a frame kind that the node does not know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unsupported {
    /// English, for developers.
    pub detail: String,
}
