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

/// How often length-delimited field `wanted` occurs at the top level of `message`, without decoding anything.
/// Lets a limit on entries hold before the entries are allocated. Malformed input counts what was readable.
pub(crate) fn occurrences(mut message: &[u8], wanted: u32) -> usize {
    let mut count = 0;
    while let Some((field, payload)) = next_field(&mut message) {
        count += usize::from(field == wanted && payload.is_some());
    }
    count
}

/// The payload of the last occurrence of length-delimited field `wanted` at the top level.
pub(crate) fn payload(mut message: &[u8], wanted: u32) -> Option<&[u8]> {
    let mut found = None;
    while let Some((field, payload)) = next_field(&mut message) {
        if field == wanted && payload.is_some() {
            found = payload;
        }
    }
    found
}

fn next_field<'a>(rest: &mut &'a [u8]) -> Option<(u32, Option<&'a [u8]>)> {
    let key = varint(rest)?;
    let payload = match key & 7 {
        0 => varint(rest).map(|_| None)?,
        1 => take(rest, 8).map(|_| None)?,
        2 => {
            let length = varint(rest)?;
            Some(take(rest, usize::try_from(length).ok()?)?)
        }
        5 => take(rest, 4).map(|_| None)?,
        _ => return None,
    };
    Some((u32::try_from(key >> 3).ok()?, payload))
}

fn varint(rest: &mut &[u8]) -> Option<u64> {
    let mut value = 0u64;
    for shift in (0..64).step_by(7) {
        let (&byte, tail) = rest.split_first()?;
        *rest = tail;
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Some(value);
        }
    }
    None
}

fn take<'a>(rest: &mut &'a [u8], length: usize) -> Option<&'a [u8]> {
    let (head, tail) = rest.split_at_checked(length)?;
    *rest = tail;
    Some(head)
}
