//! What people type when they enrol by telephone: a number, a code, and the challenge that their device names. What is
//! taken is in its one form, and means the same when it comes again.

use chasqui_node::phone::{challenge_text, normalise, parse_challenge, parse_code};

/// One with few rules, and those that rewrite numbers the most.
const REGIONS: [&str; 5] = ["AR", "DE", "IT", "MX", "US"];

/// Whether it is a number somewhere, a code or a challenge.
pub(crate) fn check(input: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(input) else { return false };
    let mut is_number = is_number_in(text, None);
    for region in REGIONS {
        is_number |= is_number_in(text, Some(region));
    }
    let code = parse_code(text);
    if let Some(code) = &code {
        assert!(code.as_str().len() == 6 && code.as_str().bytes().all(|byte| byte.is_ascii_digit()));
        assert_eq!(parse_code(code.as_str()).as_ref(), Some(code));
    }
    let challenge = parse_challenge(text);
    if let Some(challenge) = challenge {
        assert_eq!(challenge_text(challenge), text, "two texts for one challenge");
    }
    is_number || code.is_some() || challenge.is_some()
}

fn is_number_in(text: &str, region: Option<&str>) -> bool {
    let region = region.map(|region| region.parse().expect("a region"));
    let Some(number) = normalise(text, region) else { return false };
    let digits = number.as_str().strip_prefix('+').expect("E.164 begins with +");
    assert!((1..=15).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit()), "{digits}");
    // Whoever writes it out in full means the same, wherever that is.
    assert_eq!(normalise(number.as_str(), None).as_ref(), Some(&number), "{text:?}");
    assert_eq!(normalise(number.as_str(), region).as_ref(), Some(&number), "{text:?}");
    true
}
