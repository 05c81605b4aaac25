//! What is of this moment only: routed or dropped, never stored.

use bytes::Bytes;

use crate::{ConversationId, DeviceId, FrameError, UserId, proto::v1};

/// Typing and presence: routed or dropped, never stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signal {
    /// Where.
    pub conversation: ConversationId,
    /// Filled in by the node.
    pub sender: Option<(UserId, DeviceId)>,
    /// Opaque to the node.
    pub body: Bytes,
    /// MLS epoch whose exported key seals the body.
    pub epoch: u64,
}

impl Signal {
    pub(crate) fn parse(frame: v1::Signal) -> Result<Self, FrameError> {
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
