//! Key sets, as the app's backend publishes them.
#![no_main]

#[path = "../../../core/wire/tests/fuzzed/memory.rs"]
mod memory;
#[path = "../../tests/fuzzed/key_set.rs"]
mod target;

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    target::check(input);
});
