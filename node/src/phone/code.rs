//! Six digits, and the challenge that they answer.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;

/// A one-time code. No log shows it but that of the sender for development.
#[derive(Clone, PartialEq, Eq)]
pub struct Code(String);

impl Code {
    /// The digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for Code {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Code(…)")
    }
}

/// A code of 8 unpredictable bytes: of 2^64 values, none is likelier by more than one in 10^13.
pub fn new_code(random: [u8; 8]) -> Code {
    Code(format!("{:06}", u64::from_be_bytes(random) % 1_000_000))
}

/// What somebody typed; spaces and hyphens do not count.
pub fn parse_code(typed: &str) -> Option<Code> {
    if typed.len() > 32 {
        return None;
    }
    let digits: String = typed.chars().filter(|char| !matches!(char, ' ' | '-' | '\u{a0}')).collect();
    (digits.len() == 6 && digits.bytes().all(|byte| byte.is_ascii_digit())).then_some(Code(digits))
}

/// A challenge as devices see it.
pub fn challenge_text(challenge: [u8; 16]) -> String {
    BASE64.encode(challenge)
}

/// A challenge that a device names.
pub fn parse_challenge(text: &str) -> Option<[u8; 16]> {
    // 16 bytes as base64: what is longer is not worth decoding.
    if text.len() == 22 { BASE64.decode(text).ok()?.try_into().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_have_six_digits() {
        assert_eq!(new_code([0; 8]).as_str(), "000000");
        assert_eq!(new_code([0xff; 8]).as_str(), "551615");
        for typed in ["012345", " 012 345 ", "012-345"] {
            assert_eq!(parse_code(typed), Some(Code("012345".into())), "{typed:?}");
        }
        for typed in ["", "12345", "1234567", "12345a", "１２３４５６", "+12345", &"1".repeat(1_000)] {
            assert_eq!(parse_code(typed), None, "{typed:?}");
        }
    }

    #[test]
    fn challenges_lead_back() {
        assert_eq!(parse_challenge(&challenge_text([7; 16])), Some([7; 16]));
        for text in ["", "AAAA", &"A".repeat(23), "!!!!!!!!!!!!!!!!!!!!!!", &"A".repeat(100_000)] {
            assert_eq!(parse_challenge(text), None);
        }
    }
}
