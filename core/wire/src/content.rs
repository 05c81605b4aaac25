//! What people exchange: the plaintext in an envelope's body. The node never decodes it.

use bytes::Bytes;
use prost::Message as _;

use crate::{HistoryPiece, HistoryRequest, MessageId, Timestamp, UserId, proto::content as v1};

/// The plaintext of one message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Content {
    /// The envelope's message id again: a body cannot be passed off under another header.
    pub message: MessageId,
    /// The author's clock.
    pub created_at: Timestamp,
    /// What it says.
    pub kind: ContentKind,
    /// In encrypted conversations: what its device said there before, and has not named yet. Mostly one.
    pub previous: Vec<Previous>,
}

/// What a device said before, for people: whoever should have it and does not knows that it was kept back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Previous {
    /// Which message.
    pub message: MessageId,
    /// The MLS group that it was sealed for.
    pub group: [u8; 16],
    /// Its epoch then, MLS's. Who was in the group at that epoch should have the message.
    pub epoch: u64,
}

impl Previous {
    /// So many are named at once, at most: what a device names beyond it is not heard.
    pub const MAX: usize = 8;
    /// Bytes that a [`Content`] grows by when it names one, at most: three fields, and their length.
    pub const MAX_BYTES: usize = 49;

    fn parse(previous: &v1::Previous) -> Result<Self, ContentError> {
        let message =
            MessageId::from_slice(&previous.message).map_err(|_| ContentError("a message id is not 16 bytes"))?;
        let group = previous.group.as_ref().try_into().map_err(|_| ContentError("a group id is not 16 bytes"))?;
        Ok(Self { message, group, epoch: previous.epoch })
    }

    fn wire(&self) -> v1::Previous {
        v1::Previous { message: self.message.wire(), group: Bytes::copy_from_slice(&self.group), epoch: self.epoch }
    }
}

/// What a message says.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ContentKind {
    /// Plain text, any Unicode.
    Text(String),
    /// Not for people: these messages arrived here and could not be read. The devices of whoever wrote them send them again.
    ResendRequest(Vec<MessageId>),
    /// Not for people: a step of how a device of the user's gets the user's identity.
    Linking(Linking),
    /// Not for people: a device that was linked asks for the history.
    HistoryRequest(HistoryRequest),
    /// Not for people: it gets a piece of it.
    HistoryPiece(HistoryPiece),
    /// Not for people: what they made of somebody's identity on another device.
    Comparison(Comparison),
    /// A kind that this version does not know; the bytes are kept, a later version reads them.
    Unknown,
}

impl ContentKind {
    /// Whether devices say it to each other, and nobody is shown it.
    pub fn is_for_devices(&self) -> bool {
        match self {
            Self::ResendRequest(_)
            | Self::Linking(_)
            | Self::HistoryRequest(_)
            | Self::HistoryPiece(_)
            | Self::Comparison(_) => true,
            Self::Text(_) | Self::Unknown => false,
        }
    }
}

/// What people made of somebody's identity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Comparison {
    /// Whose.
    pub user: UserId,
    /// The Ed25519 key that was compared.
    pub identity_key: [u8; 32],
    /// Whether it was found to be the same, or that is taken back.
    pub verified: bool,
    /// By the node's clock, as the device knows it: the latest counts.
    pub at: Timestamp,
}

impl Comparison {
    pub(crate) fn parse(comparison: &v1::Comparison) -> Result<Self, ContentError> {
        let user = UserId::from_slice(&comparison.user).map_err(|_| ContentError("a user id is not 16 bytes"))?;
        let key = comparison.identity_key.as_ref().try_into();
        let identity_key = key.map_err(|_| ContentError("a key is not 32 bytes"))?;
        Ok(Self { user, identity_key, verified: comparison.verified, at: Timestamp(comparison.at) })
    }

    pub(crate) fn wire(&self) -> v1::Comparison {
        let identity_key = Bytes::copy_from_slice(&self.identity_key);
        v1::Comparison { user: self.user.wire(), identity_key, verified: self.verified, at: self.at.0 }
    }
}

/// Between two devices of one user, of which one is to be linked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Linking {
    /// What the device to be linked committed to, and showed: names the attempt.
    pub attempt: [u8; 32],
    /// What is said.
    pub step: LinkingStep,
}

/// What is said, in this order.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum LinkingStep {
    /// The X25519 key of the device that links.
    Offer([u8; 32]),
    /// The X25519 key of the device to be linked.
    Reveal([u8; 32]),
    /// What it gets, sealed.
    Grant(Bytes),
    /// Either: nothing comes of it.
    Refusal,
    /// Of a later version.
    Unknown,
}

impl Linking {
    fn parse(linking: v1::Linking) -> Result<Self, ContentError> {
        use v1::linking::Step;
        let key = |bytes: &[u8]| bytes.try_into().map_err(|_| ContentError("a key is not 32 bytes"));
        let step = match linking.step {
            Some(Step::Offer(bytes)) => LinkingStep::Offer(key(&bytes)?),
            Some(Step::Reveal(bytes)) => LinkingStep::Reveal(key(&bytes)?),
            Some(Step::Grant(sealed)) => LinkingStep::Grant(sealed),
            Some(Step::Refusal(_)) => LinkingStep::Refusal,
            None => LinkingStep::Unknown,
        };
        Ok(Self { attempt: key(&linking.attempt)?, step })
    }

    fn wire(&self) -> v1::Linking {
        use v1::linking::Step;
        let step = match &self.step {
            LinkingStep::Offer(key) => Some(Step::Offer(Bytes::copy_from_slice(key))),
            LinkingStep::Reveal(key) => Some(Step::Reveal(Bytes::copy_from_slice(key))),
            LinkingStep::Grant(sealed) => Some(Step::Grant(sealed.clone())),
            LinkingStep::Refusal => Some(Step::Refusal(v1::LinkingRefusal {})),
            LinkingStep::Unknown => None,
        };
        v1::Linking { attempt: Bytes::copy_from_slice(&self.attempt), step }
    }
}

/// The user's secrets, for a device that the user links. Never logged.
#[derive(Clone, PartialEq, Eq)]
pub struct LinkingGrant {
    /// Ed25519 seed of the identity key.
    pub identity_seed: [u8; 32],
}

impl std::fmt::Debug for LinkingGrant {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LinkingGrant").finish_non_exhaustive()
    }
}

impl LinkingGrant {
    /// Reads what was sealed.
    ///
    /// # Errors
    /// [`ContentError`] when the bytes are no grant.
    pub fn decode(bytes: &[u8]) -> Result<Self, ContentError> {
        let grant = v1::LinkingGrant::decode(bytes).map_err(|_| ContentError("not protobuf"))?;
        let identity_seed = grant.identity_seed.as_ref().try_into();
        Ok(Self { identity_seed: identity_seed.map_err(|_| ContentError("a seed is not 32 bytes"))? })
    }

    /// To be sealed.
    pub fn encode(&self) -> Vec<u8> {
        v1::LinkingGrant { identity_seed: Bytes::copy_from_slice(&self.identity_seed) }.encode_to_vec()
    }
}

/// The bytes are not content, or belong to another message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unreadable content: {0}")]
pub struct ContentError(pub(crate) &'static str);

impl Content {
    /// Messages that are asked for at once, at most: what a device writes beyond it is not heard.
    pub const RESENT_MAX: usize = 100;

    /// Parses the body of the envelope that carries `message`.
    ///
    /// # Errors
    /// [`ContentError`] when the bytes are no content, or were made for another message.
    pub fn decode(body: Bytes, message: MessageId) -> Result<Self, ContentError> {
        let content = v1::Content::decode(body).map_err(|_| ContentError("not protobuf"))?;
        if content.message.as_ref() != message.as_bytes() {
            return Err(ContentError("made for another message"));
        }
        let kind = match content.kind {
            Some(v1::content::Kind::Text(text)) => ContentKind::Text(text.text),
            Some(v1::content::Kind::ResendRequest(request)) => {
                let ids = request.messages.iter().take(Self::RESENT_MAX).map(|id| MessageId::from_slice(id));
                let ids = ids.collect::<Result<_, _>>().map_err(|_| ContentError("a message id is not 16 bytes"))?;
                ContentKind::ResendRequest(ids)
            }
            Some(v1::content::Kind::Linking(linking)) => ContentKind::Linking(Linking::parse(linking)?),
            Some(v1::content::Kind::HistoryRequest(request)) => {
                ContentKind::HistoryRequest(HistoryRequest::parse(request))
            }
            Some(v1::content::Kind::HistoryPiece(piece)) => ContentKind::HistoryPiece(HistoryPiece::parse(piece)),
            Some(v1::content::Kind::Comparison(comparison)) => ContentKind::Comparison(Comparison::parse(&comparison)?),
            None => ContentKind::Unknown,
        };
        let previous = content.previous.iter().take(Previous::MAX).map(Previous::parse).collect::<Result<_, _>>()?;
        Ok(Self { message, created_at: Timestamp(content.created_at), kind, previous })
    }

    /// The body to put into an envelope.
    pub fn encode(&self) -> Bytes {
        let kind = match &self.kind {
            ContentKind::Text(text) => Some(v1::content::Kind::Text(v1::Text { text: text.clone() })),
            ContentKind::ResendRequest(ids) => {
                let messages = ids.iter().map(|id| id.wire()).collect();
                Some(v1::content::Kind::ResendRequest(v1::ResendRequest { messages }))
            }
            ContentKind::Linking(linking) => Some(v1::content::Kind::Linking(linking.wire())),
            ContentKind::HistoryRequest(request) => Some(v1::content::Kind::HistoryRequest(request.wire())),
            ContentKind::HistoryPiece(piece) => Some(v1::content::Kind::HistoryPiece(piece.wire())),
            ContentKind::Comparison(comparison) => Some(v1::content::Kind::Comparison(comparison.wire())),
            ContentKind::Unknown => None,
        };
        let previous = self.previous.iter().map(Previous::wire).collect();
        let content = v1::Content { message: self.message.wire(), created_at: self.created_at.0, kind, previous };
        content.encode_to_vec().into()
    }
}
