//! The fuzz targets without a fuzzer: their seeds and mutations of them. One test in a binary of its own, because the
//! allocator counts the whole process.

#[path = "fuzzed/content.rs"]
mod content;
#[path = "fuzzed/frames.rs"]
mod frames;
#[path = "fuzzed/http.rs"]
mod http;
#[path = "fuzzed/kept.rs"]
mod kept;
#[path = "fuzzed/memory.rs"]
mod memory;
#[path = "fuzzed/replay.rs"]
mod replay;
#[path = "fuzzed/signals.rs"]
mod signals;

use std::path::Path;

#[test]
fn seeds_and_their_mutations_do_no_harm() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus");
    replay::replay(&corpus.join("frames"), 10_000, frames::check);
    replay::replay(&corpus.join("kept"), 5_000, kept::check);
    replay::replay(&corpus.join("content"), 5_000, content::check);
    replay::replay(&corpus.join("signals"), 5_000, signals::check);
    replay::replay(&corpus.join("http"), 5_000, http::check);
}
