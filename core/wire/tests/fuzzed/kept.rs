//! Mail as a node keeps it and a device stores it: a damaged disk does no harm, and what is read back stays the same.

use bytes::Bytes;
use chasqui_wire::EntryKind;

use crate::memory;

/// Whether anything was understood.
pub(crate) fn check(input: &[u8]) -> bool {
    let bytes = Bytes::copy_from_slice(input);
    // Promised in `src/weigh.rs`.
    let most = 32 * input.len() + 1024 * 1024;

    let kind = memory::within(most, || EntryKind::decode(bytes)).ok();
    if let Some(kind) = &kind {
        assert_eq!(EntryKind::decode(kind.encode()).as_ref(), Ok(kind));
    }
    kind.is_some_and(|kind| kind != EntryKind::Unknown)
}
