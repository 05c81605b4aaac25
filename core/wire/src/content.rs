//! What people exchange: the plaintext in an envelope's body. The node never decodes it.

use bytes::Bytes;
use prost::Message as _;

use crate::{MessageId, Timestamp, proto::content as v1};

/// The plaintext of one message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Content {
    /// The envelope's message id again: a body cannot be passed off under another header.
    pub message: MessageId,
    /// The author's clock.
    pub created_at: Timestamp,
    /// What it says.
    pub kind: ContentKind,
}

/// What a message says.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ContentKind {
    /// Plain text, any Unicode.
    Text(String),
    /// A kind that this version does not know; the bytes are kept, a later version reads them.
    Unknown,
}

/// The bytes are not content, or belong to another message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unreadable content: {0}")]
pub struct ContentError(&'static str);

impl Content {
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
            None => ContentKind::Unknown,
        };
        Ok(Self { message, created_at: Timestamp(content.created_at), kind })
    }

    /// The body to put into an envelope.
    pub fn encode(&self) -> Bytes {
        let kind = match &self.kind {
            ContentKind::Text(text) => Some(v1::content::Kind::Text(v1::Text { text: text.clone() })),
            ContentKind::Unknown => None,
        };
        let content = v1::Content { message: self.message.wire(), created_at: self.created_at.0, kind };
        content.encode_to_vec().into()
    }
}
