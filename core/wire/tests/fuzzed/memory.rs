//! What parsing may take: counted by the allocator of the whole process, so the test that uses this stands alone.

use peak_alloc::PeakAlloc;

#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

/// The result of `parse`, which held at most `most` bytes at once, above what was held before.
pub(crate) fn within<T>(most: usize, parse: impl FnOnce() -> T) -> T {
    MEMORY.reset_peak_usage();
    let before = MEMORY.current_usage();
    let result = parse();
    let taken = MEMORY.peak_usage().saturating_sub(before);
    assert!(taken <= most, "{taken} bytes were taken where {most} are promised");
    result
}
