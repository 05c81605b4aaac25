//! Configuration files.
#![no_main]

#[path = "../../tests/fuzzed/config.rs"]
mod target;

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    target::check(input);
});
