//! Whatever bytes arrive: no panic, no more memory than promised, and what is understood is understood the same after
//! encoding it again.
#![no_main]

use bytes::Bytes;
use chasqui_wire::{ClientFrame, Content, EntryKind, Limits, MessageId, NodeFrame};
use libfuzzer_sys::fuzz_target;
use peak_alloc::PeakAlloc;

#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

/// Promised in `src/weigh.rs`.
fn promised(size: usize) -> usize {
    32 * size + 1024 * 1024
}

fuzz_target!(|input: &[u8]| {
    let bytes = Bytes::copy_from_slice(input);
    let limits = Limits::DEFAULT;

    if let Ok(frame) = within_promise(input.len(), || ClientFrame::decode(bytes.clone(), &limits)) {
        assert_eq!(ClientFrame::decode(frame.encode(), &limits), Ok(frame));
    }
    if let Ok(frame) = within_promise(input.len(), || NodeFrame::decode(bytes.clone(), &limits)) {
        assert_eq!(NodeFrame::decode(frame.encode(), &limits), Ok(frame));
    }
    if let Ok(kind) = within_promise(input.len(), || EntryKind::decode(bytes.clone())) {
        assert_eq!(EntryKind::decode(kind.encode()), Ok(kind));
    }
    // Content begins with its message id (key and length, then 16 bytes), which the envelope must repeat.
    let message = input.get(2..18).and_then(|id| MessageId::from_slice(id).ok());
    let message = message.unwrap_or(MessageId::from_bytes([0; 16]));
    if let Ok(content) = within_promise(input.len(), || Content::decode(bytes.clone(), message)) {
        assert_eq!(Content::decode(content.encode(), message), Ok(content));
    }
});

fn within_promise<T>(size: usize, decode: impl FnOnce() -> T) -> T {
    MEMORY.reset_peak_usage();
    let before = MEMORY.current_usage();
    let result = decode();
    let most = MEMORY.peak_usage().saturating_sub(before);
    assert!(most <= promised(size), "{size} bytes take {most}");
    result
}
