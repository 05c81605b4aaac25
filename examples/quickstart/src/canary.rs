//! Finding pieces of message bodies in files.
//!
//! A canary is a window of 24 bytes of a body as it went over the wire; every body has one at its beginning, one at its
//! end, and more in between at regular steps. A body counts as found if any of its canaries is, so a remnant of
//! `WINDOW + step - 1` bytes cannot hide. Windows of zeros and windows that stood in the files before anything was sent
//! prove nothing and are left out.

use std::collections::{BTreeSet, HashMap};
use std::io;
use std::path::Path;

use chasqui::{MessageId, Timestamp};
use chasqui_wire::{Content, ContentKind};

use crate::relay_files;

const WINDOW: usize = 24;
/// Canaries at most, so that a large transcript is looked for in bounded memory: 32 bytes each.
const MAX_CANARIES: usize = 2_000_000;

/// The bytes of a text message as they went over the wire.
pub(crate) fn body(message: MessageId, created_at: Timestamp, text: &str) -> Vec<u8> {
    Content { message, created_at, kind: ContentKind::Text(text.to_owned()), previous: vec![] }.encode().to_vec()
}

/// What to look for.
#[derive(Debug)]
pub(crate) struct Canaries {
    bodies: Vec<Vec<u8>>,
    /// Hash of a window to where it stands. Equal windows are looked for once.
    windows: HashMap<u64, (u32, u32)>,
    /// Bits of the hashes' upper ends, because most of what is looked at is not looked for.
    sieve: Vec<u64>,
}

impl Canaries {
    pub(crate) fn of(bodies: Vec<Vec<u8>>) -> Self {
        let all: usize = bodies.iter().map(Vec::len).sum();
        let step = all.div_ceil(MAX_CANARIES).max(1);
        let mut windows = HashMap::new();
        for (number, body) in (0u32..).zip(&bodies) {
            let last = body.len().saturating_sub(WINDOW);
            for start in (0..last).step_by(step).chain([last]) {
                let Some(window) = body.get(start..start + WINDOW) else { continue };
                if window.iter().any(|&byte| byte != 0) {
                    windows.entry(hash(window)).or_insert((number, start as u32));
                }
            }
        }
        Self { sieve: sieve(&windows), bodies, windows }
    }

    /// Leaves out what stands in `folder`, which nothing was sent through yet.
    pub(crate) fn except_those_in(mut self, folder: &Path) -> io::Result<Self> {
        for file in relay_files::list(folder)? {
            let mut known = BTreeSet::new();
            self.scan(&relay_files::read(&file)?, |hash, _| {
                known.insert(hash);
            });
            self.windows.retain(|hash, _| !known.contains(hash));
        }
        self.sieve = sieve(&self.windows);
        Ok(self)
    }

    /// How many bodies have a piece in a file, summed over all files of the folder.
    pub(crate) fn count_in(&self, folder: &Path) -> io::Result<u64> {
        let mut found = 0;
        for file in relay_files::list(folder)? {
            found += self.bodies_in(&relay_files::read(&file)?).len() as u64;
        }
        Ok(found)
    }

    fn bodies_in(&self, bytes: &[u8]) -> BTreeSet<u32> {
        let mut found = BTreeSet::new();
        self.scan(bytes, |_, body| {
            found.insert(body);
        });
        found
    }

    /// Rolls over every window of `bytes` (Rabin-Karp) and tells of those that are canaries.
    fn scan(&self, bytes: &[u8], mut tell: impl FnMut(u64, u32)) {
        if bytes.len() < WINDOW || self.windows.is_empty() {
            return;
        }
        let leaving = BASE.wrapping_pow(WINDOW as u32);
        let mut rolling = hash(&bytes[..WINDOW]);
        for end in WINDOW..=bytes.len() {
            if self.is_in_sieve(rolling)
                && let Some(&(body, start)) = self.windows.get(&rolling)
                && self.bodies[body as usize][start as usize..][..WINDOW] == bytes[end - WINDOW..end]
            {
                tell(rolling, body);
            }
            if let Some(&next) = bytes.get(end) {
                let first = bytes[end - WINDOW];
                rolling = push(rolling, next).wrapping_sub(symbol(first).wrapping_mul(leaving));
            }
        }
    }

    fn is_in_sieve(&self, hash: u64) -> bool {
        let bit = sieve_bit(hash);
        self.sieve[bit / 64] & (1 << (bit % 64)) != 0
    }
}

/// 2^24 bits: 2 MiB, in which 2 million hashes leave seven of eight bits clear.
const SIEVE_BITS: u32 = 24;

fn sieve(windows: &HashMap<u64, (u32, u32)>) -> Vec<u64> {
    let mut sieve = vec![0; 1 << (SIEVE_BITS - 6)];
    for &hash in windows.keys() {
        let bit = sieve_bit(hash);
        sieve[bit / 64] |= 1 << (bit % 64);
    }
    sieve
}

fn sieve_bit(hash: u64) -> usize {
    (hash >> (64 - SIEVE_BITS)) as usize
}

/// Odd and with bits all over (2^64 over the golden ratio), so that the upper bits of a hash are well mixed.
const BASE: u64 = 0x9E37_79B9_7F4A_7C15;

fn symbol(byte: u8) -> u64 {
    u64::from(byte) + 1
}

fn push(hash: u64, byte: u8) -> u64 {
    hash.wrapping_mul(BASE).wrapping_add(symbol(byte))
}

fn hash(window: &[u8]) -> u64 {
    window.iter().fold(0, |hash, &byte| push(hash, byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(number: u8, text: &str) -> Vec<u8> {
        body(MessageId::from_bytes([number; 16]), Timestamp(1_700_000_000_000 + i64::from(number)), text)
    }

    fn found(canaries: &Canaries, bytes: &[u8]) -> Vec<u32> {
        canaries.bodies_in(bytes).into_iter().collect()
    }

    #[test]
    fn every_remnant_of_24_bytes_is_found() {
        let bodies: Vec<_> =
            (1..5).map(|number| sample(number, "Nos vemos en la Plaza de Armas a las ocho.")).collect();
        let canaries = Canaries::of(bodies.clone());
        for (number, body) in bodies.iter().enumerate() {
            for start in 0..body.len() - WINDOW {
                let mut file = vec![0; 1000];
                file[start..start + WINDOW].copy_from_slice(&body[start..start + WINDOW]);
                let found = found(&canaries, &file);
                // Pieces of equal text cannot be told apart.
                assert!(found == [number as u32] || found == [0], "{number} from {start}: {found:?}");
            }
            assert_eq!(found(&canaries, body), if number == 0 { vec![0] } else { vec![0, number as u32] });
        }
        assert_eq!(found(&canaries, &[7; 5000]), [0u32; 0]);
        assert_eq!(found(&canaries, &bodies[0][..WINDOW - 1]), [0u32; 0]);
    }

    #[test]
    fn long_bodies_are_found_by_any_larger_piece() {
        let text: String = (0..60_000u64).map(|n| char::from(b'a' + (n * n / 7 % 26) as u8)).collect();
        let bodies: Vec<_> = (0..100).map(|number| sample(number, &text)).collect();
        let step = bodies.iter().map(Vec::len).sum::<usize>().div_ceil(MAX_CANARIES);
        assert!(step > 1);
        let canaries = Canaries::of(bodies.clone());
        let length = WINDOW + step - 1;
        for start in [0, 1, 2, 3, 30_000, 59_000, bodies[0].len() - length] {
            assert_eq!(found(&canaries, &bodies[9][start..start + length]).len(), 1, "from {start}");
        }
    }

    #[test]
    fn zeros_and_what_was_there_before_prove_nothing() {
        let canaries =
            Canaries::of(vec![sample(1, &"\0".repeat(100)), sample(2, "CREATE TABLE mailbox (device INTEGER)")]);
        assert_eq!(found(&canaries, &[0; 4096]), [0u32; 0]);
        let schema = b"-- CREATE TABLE mailbox (device INTEGER) STRICT";
        assert_eq!(found(&canaries, schema), [1]);
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("relay.db"), schema).unwrap();
        let canaries = canaries.except_those_in(folder.path()).unwrap();
        assert_eq!(found(&canaries, schema), [0u32; 0]);
        assert_eq!(found(&canaries, &sample(2, "CREATE TABLE mailbox (device INTEGER)")), [1]);
    }
}
