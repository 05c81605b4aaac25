//! The fuzz targets without a fuzzer: their seeds and mutations of them. One test in a binary of its own, because the
//! allocator counts the whole process.

#[path = "fuzzed/config.rs"]
mod config;
#[path = "fuzzed/jwt.rs"]
mod jwt;
#[path = "fuzzed/key_set.rs"]
mod key_set;
#[path = "../../core/wire/tests/fuzzed/memory.rs"]
mod memory;
#[path = "fuzzed/phones.rs"]
mod phones;
#[path = "../../core/wire/tests/fuzzed/replay.rs"]
mod replay;
#[path = "fuzzed/tokens.rs"]
mod tokens;

use std::path::Path;

#[test]
fn seeds_and_their_mutations_do_no_harm() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus");
    replay::replay(&corpus.join("config"), 3_000, config::check);
    replay::replay(&corpus.join("jwt"), 2_000, jwt::check);
    replay::replay(&corpus.join("key_set"), 3_000, key_set::check);
    replay::replay(&corpus.join("phones"), 1_000, phones::check);
    replay::replay(&corpus.join("tokens"), 5_000, tokens::check);
}
