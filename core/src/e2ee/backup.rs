//! The file of a backup: sealed by a key that people keep on paper.
//!
//! ```text
//! magic "CHSQBK01" · salt, 16 bytes · chunks
//! chunk = length of what is sealed, u32 big-endian · ChaCha20-Poly1305 of it, with the tag
//! ```
//!
//! The key is HKDF-SHA256 (RFC 5869) of the phrase's 16 random bytes and the salt. Chunks are a STREAM (Hoang, Reyhanitabar, Rogaway,
//! Vizár, 2015): the nonce is the chunk's number, 11 bytes big-endian, and whether it is the last, so that none can be taken away, put
//! elsewhere, or cut off. The header is bound to the first by the key.

use chasqui_wire::{ArchivePage, BackupHead};
use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::digest::{Context, SHA256};
use ring::hkdf::{HKDF_SHA256, KeyType, Salt};

use crate::engine::Secret;

const MAGIC: &[u8; 8] = b"CHSQBK01";
const HEADER: usize = MAGIC.len() + 16;
const TAG: usize = 16;
/// More than any page.
const CHUNK_MAX: usize = 8 << 20;

/// 128 random bits as ten groups of five digits: eight of two bytes each, and two that tell a slip of the pen from another phrase.
#[derive(Clone)]
pub(crate) struct Phrase([u8; 16]);

impl Phrase {
    pub(crate) fn new(random: &Secret) -> Self {
        Self(random.expose()[..16].try_into().expect("16 of 32 bytes"))
    }

    pub(crate) fn digits(&self) -> String {
        let bytes = [self.0.as_slice(), &self.check()].concat();
        let groups = bytes.chunks(2).map(|pair| format!("{:05}", u16::from_be_bytes([pair[0], pair[1]])));
        groups.collect::<Vec<_>>().join(" ")
    }

    /// Reads it back; spaces and dashes do not count.
    pub(crate) fn read(digits: &str) -> Option<Self> {
        let digits: Vec<u8> = digits.bytes().filter(|byte| !b" \t\r\n-".contains(byte)).collect();
        if digits.len() != 50 || !digits.iter().all(u8::is_ascii_digit) {
            return None;
        }
        let pair = |group: &[u8]| {
            let number = group.iter().fold(0_u32, |number, digit| number * 10 + u32::from(digit - b'0'));
            u16::try_from(number).ok().map(u16::to_be_bytes)
        };
        let pairs = digits.chunks(5).map(pair).collect::<Option<Vec<[u8; 2]>>>()?;
        let bytes = pairs.concat();
        let (key, check) = bytes.split_first_chunk::<16>()?;
        let phrase = Self(*key);
        (phrase.check() == *check).then_some(phrase)
    }

    fn check(&self) -> [u8; 4] {
        let mut hash = Context::new(&SHA256);
        hash.update(b"chasqui/v1/recovery-phrase");
        hash.update(&self.0);
        hash.finish().as_ref()[..4].try_into().expect("4 of 32 bytes")
    }

    fn key(&self, salt: &[u8; 16]) -> Option<LessSafeKey> {
        struct Length;
        impl KeyType for Length {
            fn len(&self) -> usize {
                32
            }
        }
        let mut key = [0; 32];
        let secret = Salt::new(HKDF_SHA256, salt).extract(&self.0);
        secret.expand(&[b"chasqui/v1/backup"], Length).and_then(|okm| okm.fill(&mut key)).ok()?;
        UnboundKey::new(&CHACHA20_POLY1305, &key).ok().map(LessSafeKey::new)
    }
}

/// Counts chunks.
struct Stream {
    key: LessSafeKey,
    number: u64,
}

impl Stream {
    fn nonce(&mut self, is_last: bool) -> Nonce {
        let mut nonce = [0; NONCE_LEN];
        nonce[3..11].copy_from_slice(&self.number.to_be_bytes());
        nonce[11] = is_last.into();
        self.number += 1;
        Nonce::assume_unique_for_key(nonce)
    }
}

/// A backup that is written.
pub(crate) struct Sealer(Stream);

impl Sealer {
    /// With a salt of 16 random bytes; returns what the file begins with, too.
    pub(crate) fn new(phrase: &Phrase, salt: &[u8; 16]) -> Option<(Self, Vec<u8>)> {
        let stream = Stream { key: phrase.key(salt)?, number: 0 };
        Some((Self(stream), [MAGIC.as_slice(), salt].concat()))
    }

    /// The next chunk.
    pub(crate) fn seal(&mut self, plain: Vec<u8>, is_last: bool) -> Option<Vec<u8>> {
        let nonce = self.0.nonce(is_last);
        let mut sealed = plain;
        self.0.key.seal_in_place_append_tag(nonce, Aad::empty(), &mut sealed).ok()?;
        let length = u32::try_from(sealed.len()).ok()?;
        Some([length.to_be_bytes().as_slice(), &sealed].concat())
    }
}

/// What is in a backup, in order.
#[derive(Debug)]
pub(crate) enum Restored {
    Head(BackupHead),
    Page(ArchivePage),
    /// All of it was there.
    End,
}

/// Why a backup cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unreadable {
    /// It is no backup, or of a later version.
    Foreign,
    /// The phrase is another one's.
    Phrase,
    /// Damaged, or cut off.
    Damaged,
}

/// A backup that is read, in whatever pieces it comes.
pub(crate) struct Opener {
    phrase: Phrase,
    waiting: Vec<u8>,
    stream: Option<Stream>,
    is_over: bool,
}

impl Opener {
    pub(crate) fn new(phrase: Phrase) -> Self {
        Self { phrase, waiting: Vec::new(), stream: None, is_over: false }
    }

    /// The next bytes of the file.
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        self.waiting.extend_from_slice(bytes);
    }

    /// Whether the last chunk was read, and nothing follows.
    pub(crate) fn is_whole(&self) -> bool {
        self.is_over && self.waiting.is_empty()
    }

    /// What is whole of what came; `None`: more is needed.
    pub(crate) fn next(&mut self) -> Result<Option<Restored>, Unreadable> {
        if self.stream.is_none() {
            let Some((magic, rest)) = self.waiting.split_first_chunk::<8>() else { return Ok(None) };
            if magic != MAGIC {
                return Err(Unreadable::Foreign);
            }
            let Some((salt, _)) = rest.split_first_chunk::<16>() else { return Ok(None) };
            let key = self.phrase.key(salt).ok_or(Unreadable::Damaged)?;
            self.stream = Some(Stream { key, number: 0 });
            self.waiting.drain(..HEADER);
        }
        let Some(stream) = &mut self.stream else { return Ok(None) };
        let Some((length, _)) = self.waiting.split_first_chunk::<4>() else { return Ok(None) };
        let length = u32::from_be_bytes(*length) as usize;
        if self.is_over || !(TAG..=CHUNK_MAX).contains(&length) {
            return Err(Unreadable::Damaged);
        }
        if self.waiting.len() < 4 + length {
            return Ok(None);
        }
        let sealed: Vec<u8> = self.waiting.drain(..4 + length).skip(4).collect();
        let number = stream.number;
        let mut opened = None;
        for is_last in [false, true] {
            stream.number = number;
            let (nonce, mut sealed) = (stream.nonce(is_last), sealed.clone());
            if let Ok(plain) = stream.key.open_in_place(nonce, Aad::empty(), &mut sealed) {
                opened = Some((plain.to_vec(), is_last));
                break;
            }
        }
        let Some((plain, is_last)) = opened else {
            // The first one tells by its key; a damaged first chunk looks the same.
            return Err(if number == 0 { Unreadable::Phrase } else { Unreadable::Damaged });
        };
        self.is_over = is_last;
        let restored = match (number, is_last) {
            (0, false) => BackupHead::decode(&plain).map(Restored::Head),
            (0, true) => return Err(Unreadable::Damaged),
            (_, false) => ArchivePage::decode(plain.into()).map(Restored::Page),
            (_, true) => return Ok(Some(Restored::End)),
        };
        restored.map(Some).map_err(|_| Unreadable::Damaged)
    }
}

#[cfg(test)]
mod tests {
    use chasqui_wire::{Timestamp, UserId};

    use super::*;

    fn phrase(seed: u8) -> Phrase {
        Phrase::new(&Secret::new([seed; 32]))
    }

    fn file(pages: usize) -> Vec<u8> {
        let (mut sealer, mut file) = Sealer::new(&phrase(1), &[2; 16]).unwrap();
        let head = BackupHead {
            user: UserId::from_bytes([3; 16]),
            name: "ana".into(),
            identity_seed: Some([4; 32]),
            created_at: Timestamp(5),
        };
        file.extend(sealer.seal(head.encode(), false).unwrap());
        for _ in 0..pages {
            file.extend(sealer.seal(ArchivePage::default().encode(), false).unwrap());
        }
        file.extend(sealer.seal(Vec::new(), true).unwrap());
        file
    }

    /// Pages, once it was whole.
    fn read(phrase: Phrase, file: &[u8], piece: usize) -> Result<usize, Unreadable> {
        let (mut opener, mut pages) = (Opener::new(phrase), 0);
        for bytes in file.chunks(piece) {
            opener.push(bytes);
            while let Some(restored) = opener.next()? {
                pages += usize::from(matches!(restored, Restored::Page(_)));
            }
        }
        if opener.is_whole() { Ok(pages) } else { Err(Unreadable::Damaged) }
    }

    #[test]
    fn a_phrase_is_read_as_people_write_it() {
        let digits = phrase(9).digits();
        assert_eq!(digits.len(), 59);
        let written = [digits.clone(), digits.replace(' ', ""), digits.replace(' ', "-"), format!(" {digits}\n")];
        for written in written {
            assert_eq!(Phrase::read(&written).unwrap().digits(), digits);
        }
        // One digit is another, two stand in the wrong order, one is missing.
        for at in 0..digits.len() {
            let mut slip = digits.clone().into_bytes();
            if slip[at] != b' ' {
                slip[at] = b'0' + (slip[at] - b'0' + 1) % 10;
                assert!(Phrase::read(&String::from_utf8(slip).unwrap()).is_none(), "{at}");
            }
        }
        assert!(Phrase::read(&digits[1..]).is_none() && Phrase::read("").is_none() && Phrase::read("ñandú").is_none());
    }

    #[test]
    fn what_was_sealed_is_read_in_any_pieces() {
        let file = file(3);
        for piece in [1, 7, 64, file.len()] {
            assert_eq!(read(phrase(1), &file, piece), Ok(3));
        }
    }

    #[test]
    fn another_phrase_is_told_from_damage() {
        assert_eq!(read(phrase(2), &file(1), 64), Err(Unreadable::Phrase));
        assert_eq!(read(phrase(1), b"SQLite format 3\0", 64), Err(Unreadable::Foreign));
    }

    #[test]
    fn no_bit_can_be_another_and_nothing_missing() {
        let file = file(2);
        for at in 0..file.len() {
            let mut damaged = file.clone();
            damaged[at] ^= 1;
            assert!(read(phrase(1), &damaged, 64).is_err(), "byte {at}");
            assert!(read(phrase(1), &file[..at], 64).is_err(), "cut at {at}");
        }
        let mut longer = file.clone();
        longer.extend_from_slice(&file[HEADER..]);
        assert!(read(phrase(1), &longer, 64).is_err(), "something follows");
    }

    #[test]
    fn pages_keep_their_order() {
        let file = file(2);
        let chunk = |from: usize| 4 + u32::from_be_bytes(file[from..from + 4].try_into().unwrap()) as usize;
        let first = HEADER + chunk(HEADER);
        let second = first + chunk(first);
        let third = second + chunk(second);
        let swapped = [&file[..first], &file[second..third], &file[first..second], &file[third..]].concat();
        let left_out = [&file[..first], &file[second..]].concat();
        assert_eq!(read(phrase(1), &swapped, 64), Err(Unreadable::Damaged));
        assert_eq!(read(phrase(1), &left_out, 64), Err(Unreadable::Damaged));
    }
}
