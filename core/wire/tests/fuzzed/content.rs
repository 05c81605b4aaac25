//! What people write to each other: it never counts for another message, and survives being encoded again.

use bytes::Bytes;
use chasqui_wire::{Content, MessageId};

use crate::memory;

/// Whether it is content of the message that it names.
pub(crate) fn check(input: &[u8]) -> bool {
    let bytes = Bytes::copy_from_slice(input);
    // Text is copied once; the rest has a fixed size.
    let most = 4 * input.len() + 4096;

    // Content begins with its message id (key and length, then 16 bytes), which the envelope must repeat.
    let named = input.get(2..18).and_then(|id| MessageId::from_slice(id).ok());
    let message = named.unwrap_or(MessageId::from_bytes([0; 16]));
    let Ok(content) = memory::within(most, || Content::decode(bytes.clone(), message)) else { return false };
    assert_eq!(Content::decode(content.encode(), message).as_ref(), Ok(&content));
    let mut other = *message.as_bytes();
    other[15] ^= 1;
    assert!(Content::decode(bytes, MessageId::from_bytes(other)).is_err());
    true
}
