//! Fuzzing without a fuzzer: the corpus, then mutations of it, the same ones in every run.
//!
//! It follows no coverage and finds little that is new; it shows in seconds that what was found once stays fixed.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::Path;

/// Bytes of a mutated seed; longer ones only take longer.
const LONGEST: usize = 8 * 1024;

/// Gives `check` every seed in `corpus`, then as many mutations of them.
///
/// `check` says whether it understood anything. It must for every seed, save those called `bad-…`: a corpus that a
/// later version takes for noise would prove nothing.
pub(crate) fn replay(corpus: &Path, mutations: usize, check: impl Fn(&[u8]) -> bool) {
    let seeds = seeds(corpus);
    assert!(!seeds.is_empty(), "{} is empty", corpus.display());
    for (name, seed) in &seeds {
        let understood = attempt(name, seed, &check);
        assert_eq!(understood, !name.starts_with("bad-"), "{}: {name}", corpus.display());
    }
    let mut random =
        Random(seeds.iter().flat_map(|(_, seed)| seed).fold(7, |sum, &byte| sum * 31 % 65_521 + u64::from(byte)));
    let (mut understood, mut refused) = (0, 0);
    for number in 0..mutations {
        let (name, seed) = &seeds[random.below(seeds.len())];
        let mut input = seed.clone();
        for _ in 0..=random.below(4) {
            mutate(&mut input, &seeds, &mut random);
        }
        input.truncate(LONGEST);
        let counts = if attempt(&format!("mutation {number}, of {name}"), &input, &check) {
            &mut understood
        } else {
            &mut refused
        };
        *counts += 1;
    }
    // Both ways through the code were taken.
    assert!(refused > 0, "{}: no mutation of {mutations} was refused", corpus.display());
    println!("{}: {} seeds, {understood} mutations understood, {refused} refused", corpus.display(), seeds.len());
}

/// In the order of their names.
fn seeds(corpus: &Path) -> Vec<(String, Vec<u8>)> {
    let files = std::fs::read_dir(corpus).unwrap_or_else(|error| panic!("{}: {error}", corpus.display()));
    let mut seeds: Vec<_> = files
        .map(|file| file.expect("a corpus can be listed"))
        // What a fuzzer leaves is named by 40 hex digits, and may be anything.
        .filter(|file| file.file_name().len() < 40)
        .map(|file| {
            let name = file.file_name().into_string().expect("seeds have plain names");
            (name, std::fs::read(file.path()).expect("a seed can be read"))
        })
        .collect();
    seeds.sort();
    seeds
}

/// A panic shows which input it was.
fn attempt(name: &str, input: &[u8], check: &impl Fn(&[u8]) -> bool) -> bool {
    catch_unwind(AssertUnwindSafe(|| check(input))).unwrap_or_else(|panic| {
        eprintln!("{name}: b\"{}\"", input.escape_ascii());
        resume_unwind(panic)
    })
}

/// What bounds and signs are made of.
const TELLING: [u8; 12] = [0, 1, 0x7f, 0x80, 0xff, b'0', b'9', b'"', b'{', b'[', b'.', b'-'];

fn mutate(input: &mut Vec<u8>, seeds: &[(String, Vec<u8>)], random: &mut Random) {
    let at = random.below(input.len() + 1);
    let end = at + random.below(input.len() - at + 1).min(64);
    match random.below(7) {
        0 => {
            if let Some(byte) = input.get_mut(at) {
                *byte ^= 1 << random.below(8);
            }
        }
        1 => {
            if let Some(byte) = input.get_mut(at) {
                *byte = TELLING[random.below(TELLING.len())];
            }
        }
        2 => input.truncate(at),
        3 => drop(input.drain(at..end)),
        4 => input.insert(at, TELLING[random.below(TELLING.len())]),
        5 => {
            let repeated = input[at..end].repeat(1 + random.below(8));
            input.splice(at..at, repeated);
        }
        _ => {
            let (_, other) = &seeds[random.below(seeds.len())];
            input.truncate(at);
            input.extend_from_slice(&other[random.below(other.len() + 1)..]);
        }
    }
}

/// SplitMix64: a few lines, and the same on every machine.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((mixed ^ (mixed >> 31)) % bound as u64).expect("below a usize")
    }
}
