//! What signals say.
#![no_main]

#[path = "../../tests/fuzzed/memory.rs"]
mod memory;
#[path = "../../tests/fuzzed/signals.rs"]
mod target;

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    target::check(input);
});
