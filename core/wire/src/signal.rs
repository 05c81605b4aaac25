//! What is of this moment only: routed or dropped, never stored.

use bytes::Bytes;
use prost::Message as _;

use crate::{
    ContentError, ConversationId, DeviceId, FrameError, Timestamp, UserId,
    proto::{content, v1},
};

/// Typing and presence: routed or dropped, never stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signal {
    /// Where.
    pub conversation: ConversationId,
    /// Filled in by the node.
    pub sender: Option<(UserId, DeviceId)>,
    /// A [`SignalBody`], sealed in encrypted conversations. Opaque to the node; at most [`Self::BODY_MAX`] bytes.
    pub body: Bytes,
    /// The node's epoch of the group whose exported key seals the body; 0 where there is none.
    pub epoch: u64,
}

impl Signal {
    /// Bytes of a body, at most. For ever: a frame with more is malformed.
    pub const BODY_MAX: usize = 1024;

    pub(crate) fn parse(frame: v1::Signal) -> Result<Self, FrameError> {
        if frame.body.len() > Self::BODY_MAX {
            return Err(FrameError::Malformed("signal.body is too long"));
        }
        let sender = if frame.sender_user.is_empty() && frame.sender_device.is_empty() {
            None
        } else {
            Some((UserId::from_slice(&frame.sender_user)?, DeviceId::from_slice(&frame.sender_device)?))
        };
        let conversation = ConversationId::from_slice(&frame.conversation)?;
        Ok(Self { conversation, sender, body: frame.body, epoch: frame.epoch })
    }

    pub(crate) fn wire(&self) -> v1::Signal {
        v1::Signal {
            conversation: self.conversation.wire(),
            sender_user: self.sender.map(|(user, _)| user.wire()).unwrap_or_default(),
            sender_device: self.sender.map(|(_, device)| device.wire()).unwrap_or_default(),
            body: self.body.clone(),
            epoch: self.epoch,
        }
    }
}

/// What a signal says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SignalBody {
    /// The node's clock, as the sender knows it.
    pub at: Timestamp,
    /// What it says.
    pub kind: SignalKind,
}

/// What a signal says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SignalKind {
    /// The sender is writing.
    Typing,
    /// The sender is not writing any more.
    Stopped,
    /// Of a later version.
    Unknown,
}

impl SignalBody {
    /// Reads what a signal says.
    ///
    /// # Errors
    /// [`ContentError`] when the bytes are no such thing.
    pub fn decode(bytes: &[u8]) -> Result<Self, ContentError> {
        let body = content::SignalBody::decode(bytes).map_err(|_| ContentError("not protobuf"))?;
        let kind = match body.kind {
            Some(content::signal_body::Kind::Typing(content::Typing { stopped: false })) => SignalKind::Typing,
            Some(content::signal_body::Kind::Typing(content::Typing { stopped: true })) => SignalKind::Stopped,
            None => SignalKind::Unknown,
        };
        Ok(Self { at: Timestamp(body.at), kind })
    }

    /// To be put into a signal, or sealed.
    pub fn encode(&self) -> Vec<u8> {
        let typing = |stopped| Some(content::signal_body::Kind::Typing(content::Typing { stopped }));
        let kind = match self.kind {
            SignalKind::Typing => typing(false),
            SignalKind::Stopped => typing(true),
            SignalKind::Unknown => None,
        };
        content::SignalBody { at: self.at.0, kind }.encode_to_vec()
    }
}
