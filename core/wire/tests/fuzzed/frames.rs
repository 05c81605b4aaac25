//! Frames of either side: what is understood is understood the same after encoding it again.

use bytes::Bytes;
use chasqui_wire::{ClientFrame, Limits, NodeFrame};

use crate::memory;

/// Whether anything was understood.
pub(crate) fn check(input: &[u8]) -> bool {
    let bytes = Bytes::copy_from_slice(input);
    let limits = Limits::DEFAULT;
    // Promised in `src/weigh.rs`.
    let most = 32 * input.len() + 1024 * 1024;

    let client = memory::within(most, || ClientFrame::decode(bytes.clone(), &limits)).ok();
    if let Some(frame) = &client {
        assert_eq!(ClientFrame::decode(frame.encode(), &limits).as_ref(), Ok(frame));
    }
    let node = memory::within(most, || NodeFrame::decode(bytes, &limits)).ok();
    if let Some(frame) = &node {
        assert_eq!(NodeFrame::decode(frame.encode(), &limits).as_ref(), Ok(frame));
    }
    client.is_some() || node.is_some()
}
