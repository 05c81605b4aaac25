//! Safety numbers: what two people compare, of both their identity keys.
//!
//! Made as Signal makes its numeric fingerprints (5,200 rounds of SHA-512 over key and name, 30 digits a person), of our keys and
//! ids, so that a number that looks alike takes as long to find.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use chasqui_wire::{RealmId, UserId};
use ring::digest::{Context, SHA512};

/// A code of this library; the number of its layout.
const CODE: &str = "chasqui-safety:1:";
const ROUNDS: usize = 5_200;

/// Somebody, as the number names them.
pub(crate) type Person = (UserId, [u8; 32]);

/// 60 digits; whoever comes first by their digits stands first.
pub(crate) fn digits(realm: RealmId, one: &Person, other: &Person) -> String {
    let mut halves = [fingerprint(realm, one), fingerprint(realm, other)];
    halves.sort();
    let digits = halves.concat();
    let groups: Vec<&str> = (0..12).map(|group| &digits[group * 5..group * 5 + 5]).collect();
    groups.join(" ")
}

fn fingerprint(realm: RealmId, (user, key): &Person) -> String {
    let digest = |parts: &[&[u8]]| {
        let mut hash = Context::new(&SHA512);
        parts.iter().for_each(|part| hash.update(part));
        hash.finish()
    };
    let mut hash = digest(&[b"chasqui/v1/safety", realm.as_bytes(), key, user.as_bytes()]);
    for _ in 1..ROUNDS {
        hash = digest(&[hash.as_ref(), key]);
    }
    let group = |bytes: &[u8]| {
        let number = bytes.iter().fold(0_u64, |number, &byte| number << 8 | u64::from(byte));
        format!("{:05}", number % 100_000)
    };
    hash.as_ref()[..30].chunks(5).map(group).collect()
}

/// What `own` shows to `other`.
pub(crate) fn scannable(own: &Person, other: &Person) -> String {
    let bytes: Vec<u8> =
        [own, other].into_iter().flat_map(|(user, key)| [user.as_bytes().as_slice(), key].concat()).collect();
    format!("{CODE}{}", BASE64.encode(bytes))
}

/// Whether what `other` shows is about these two, with these keys; `None` = it is nothing that anybody shows.
pub(crate) fn matches(scanned: &str, own: &Person, other: &Person) -> Option<bool> {
    let bytes = BASE64.decode(scanned.trim().strip_prefix(CODE)?).ok()?;
    (bytes.len() == 96).then(|| scanned.trim() == scannable(other, own))
}

#[cfg(test)]
mod tests {
    use super::*;

    const REALM: RealmId = RealmId::from_bytes([1; 16]);
    const ANA: Person = (UserId::from_bytes([2; 16]), [3; 32]);
    const BO: Person = (UserId::from_bytes([4; 16]), [5; 32]);

    #[test]
    fn both_see_the_same_sixty_digits() {
        let number = digits(REALM, &ANA, &BO);
        assert_eq!(number, digits(REALM, &BO, &ANA));
        assert_eq!(number.split(' ').map(str::len).collect::<Vec<_>>(), [5; 12]);
        assert!(number.bytes().all(|byte| byte == b' ' || byte.is_ascii_digit()));
    }

    /// Versions that count otherwise would not be able to compare.
    #[test]
    fn the_number_is_what_it_was() {
        let number = "36279 74740 44866 60152 26762 80795 96180 65574 84246 52622 77874 75842";
        assert_eq!(digits(REALM, &ANA, &BO), number);
    }

    #[test]
    fn another_key_person_or_app_is_another_number() {
        let number = digits(REALM, &ANA, &BO);
        assert_ne!(digits(REALM, &ANA, &(BO.0, [6; 32])), number);
        assert_ne!(digits(REALM, &ANA, &(UserId::from_bytes([6; 16]), BO.1)), number);
        assert_ne!(digits(RealmId::from_bytes([6; 16]), &ANA, &BO), number);
    }

    #[test]
    fn a_code_is_read_by_whom_it_is_for() {
        let shown = scannable(&ANA, &BO);
        assert_eq!(matches(&shown, &BO, &ANA), Some(true));
        // Somebody in between would have other keys; whoever scans their own code has not compared.
        assert_eq!(matches(&shown, &BO, &(ANA.0, [6; 32])), Some(false));
        assert_eq!(matches(&shown, &ANA, &BO), Some(false));
        assert_eq!(matches("chasqui-safety:1:AAAA", &BO, &ANA), None);
        assert_eq!(matches("https://example.org", &BO, &ANA), None);
    }
}
