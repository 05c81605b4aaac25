//! One number, however it is written. Numbering plans change: they come with `rlibphonenumber`, a port of Google's
//! libphonenumber.

use rlibphonenumber::{PHONE_NUMBER_UTIL, PhoneNumberFormat, PhoneNumberType, Region};

/// Bytes that are looked at. The longest that people write has half of it.
const WRITTEN_BYTES: usize = 64;

/// A telephone number as E.164 has it: `+` and at most 15 digits. No log shows it.
#[derive(Clone, PartialEq, Eq)]
pub struct E164(String);

impl E164 {
    /// The number, to be called.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for E164 {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("E164(…)")
    }
}

/// The number that somebody in `region` means; `None` if it is none, or one that no person has or that costs the caller
/// extra: codes to such numbers are how fraudsters earn.
pub fn normalise(written: &str, region: Option<Region>) -> Option<E164> {
    if written.len() > WRITTEN_BYTES {
        return None;
    }
    let number = PHONE_NUMBER_UTIL.parse(written, region).ok().filter(|number| number.is_valid())?;
    let may_be_a_persons = match number.get_type() {
        PhoneNumberType::FixedLine
        | PhoneNumberType::Mobile
        | PhoneNumberType::FixedLineOrMobile
        | PhoneNumberType::VoIP
        | PhoneNumberType::PersonalNumber => true,
        PhoneNumberType::TollFree
        | PhoneNumberType::PremiumRate
        | PhoneNumberType::SharedCost
        | PhoneNumberType::Pager
        | PhoneNumberType::UAN
        | PhoneNumberType::VoiceMail
        | PhoneNumberType::Unknown => false,
    };
    let text = number.format_as(PhoneNumberFormat::E164).into_owned();
    let is_e164 =
        text.len() <= 16 && text.strip_prefix('+').is_some_and(|rest| rest.bytes().all(|byte| byte.is_ascii_digit()));
    (may_be_a_persons && is_e164).then_some(E164(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(written: &str, region: Option<&str>, expected: Option<&str>) {
        let region = region.map(|region| region.parse().unwrap());
        assert_eq!(normalise(written, region).as_ref().map(E164::as_str), expected, "{written:?} {region:?}");
    }

    #[test]
    fn one_number_however_it_is_written() {
        for written in ["+54 9 11 2345-6789", "+5491123456789", "0054 9 11 2345 6789", "011 15-2345-6789"] {
            check(written, Some("AR"), Some("+5491123456789"));
        }
        check("tel:+54-9-11-2345-6789", None, Some("+5491123456789"));
        check("0170 1234567", Some("DE"), Some("+491701234567"));
        check("07400 123456", Some("GB"), Some("+447400123456"));
        check("(201) 555-0123", Some("US"), Some("+12015550123"));
        check("+39 312 345 6789", Some("US"), Some("+393123456789"));
        check("٠١٠٠١٢٣٤٥٦٧", Some("EG"), Some("+201001234567"));
    }

    #[test]
    fn what_is_no_persons_number() {
        let bad =
            ["", "+", "++", "0", "123", "+1", "+999123456789", "hello", "+1 201 555 01", "+54 9 11 2345-67890000"];
        for written in bad {
            check(written, Some("US"), None);
        }
        check("0170 1234567", None, None);
        check("+49 900 1 234567", None, None);
        check("+1 800 234 5678", None, None);
        check(&format!("+5491123456789{}", " ".repeat(64)), None, None);
        check(&"9".repeat(10_000), Some("AR"), None);
        check("\u{0}\u{fe0f}+\u{202e}", Some("AR"), None);
    }

    #[test]
    fn no_log_shows_a_number() {
        assert_eq!(format!("{:?}", normalise("+5491123456789", None)), "Some(E164(…))");
    }
}
