//! What the node seals with its own key.
#![no_main]

#[path = "../../tests/fuzzed/tokens.rs"]
mod target;

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    target::check(input);
});
