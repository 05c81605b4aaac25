//! Tokens of the app's backend.
#![no_main]

#[path = "../../../core/wire/tests/fuzzed/memory.rs"]
mod memory;
#[path = "../../tests/fuzzed/jwt.rs"]
mod target;

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    target::check(input);
});
