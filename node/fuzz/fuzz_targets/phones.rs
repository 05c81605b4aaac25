//! Telephone numbers, codes and challenges.
#![no_main]

#[path = "../../tests/fuzzed/phones.rs"]
mod target;

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    target::check(input);
});
