//! What the typed frames share on their way in: one error, and the reading of fixed-size fields.

use bytes::Bytes;

/// Why bytes are not a frame. The peer broke the protocol, or speaks a newer one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// Above the announced limit; it was not looked at.
    #[error("frame of {size} bytes is above the limit of {limit}")]
    TooLarge {
        /// Bytes received.
        size: usize,
        /// Bytes allowed.
        limit: usize,
    },
    /// Not protobuf, or a field is missing or out of bounds.
    #[error("malformed frame: {0}")]
    Malformed(&'static str),
    /// A frame kind that this version does not know: answer it, keep the connection.
    #[error("unknown frame kind")]
    UnknownKind,
}

pub(crate) fn required<T>(field: Option<T>, name: &'static str) -> Result<T, FrameError> {
    field.ok_or(FrameError::Malformed(name))
}

pub(crate) fn fixed<const N: usize>(bytes: &[u8], name: &'static str) -> Result<[u8; N], FrameError> {
    bytes.try_into().map_err(|_| FrameError::Malformed(name))
}

/// Text that is only logged or shown to developers: cut, never refused.
pub(crate) fn short(mut text: String, limit: usize) -> String {
    if text.len() > limit {
        let end = (0..=limit).rev().find(|&end| text.is_char_boundary(end)).unwrap_or(0);
        text.truncate(end);
    }
    text
}

pub(crate) fn wire<const N: usize>(bytes: &[u8; N]) -> Bytes {
    Bytes::copy_from_slice(bytes)
}

/// An empty field means none.
pub(crate) fn optional<T>(
    bytes: &[u8],
    parse: impl FnOnce(&[u8]) -> Result<T, FrameError>,
) -> Result<Option<T>, FrameError> {
    if bytes.is_empty() { Ok(None) } else { parse(bytes).map(Some) }
}
