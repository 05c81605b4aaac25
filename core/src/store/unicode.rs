//! Unicode's normal forms, for the search. The tables of the browser make them there: our own are a twentieth of what it would
//! have to download.
//!
//! They may be of different versions. What a character that has a meaning becomes is the same in all of them.

pub(super) use unicode_normalization::char::is_combining_mark;

#[cfg(target_arch = "wasm32")]
pub(super) use self::browser::{compose, decompose};
#[cfg(not(target_arch = "wasm32"))]
pub(super) use self::native::{compose, decompose};

#[cfg(not(target_arch = "wasm32"))]
mod native {
    use unicode_normalization::UnicodeNormalization as _;

    /// Gives every character of a text's NFKD, which folds width and separates accents.
    pub(in crate::store) fn decompose(text: &str, mut take: impl FnMut(char)) {
        // ASCII is its own decomposition, and nothing is reordered across it.
        for part in text.as_bytes().chunk_by(|one, next| one.is_ascii() == next.is_ascii()) {
            // Cut between an ASCII character and another one.
            let part = str::from_utf8(part).unwrap_or_default();
            if part.is_ascii() {
                part.chars().for_each(&mut take);
            } else {
                part.nfkd().for_each(&mut take);
            }
        }
    }

    /// NFC, which puts together the syllables that NFKD took apart. By way of a text, as above: for another kind of iterator all of it
    /// would be compiled again.
    pub(in crate::store) fn compose(characters: impl Iterator<Item = char>) -> Vec<char> {
        characters.collect::<String>().nfc().collect()
    }
}

#[cfg(target_arch = "wasm32")]
mod browser {
    use js_sys::JsString;

    /// As where it is native.
    pub(in crate::store) fn decompose(text: &str, take: impl FnMut(char)) {
        if text.is_ascii() {
            text.chars().for_each(take);
        } else {
            normal(text, "NFKD").chars().for_each(take);
        }
    }

    /// As where it is native.
    pub(in crate::store) fn compose(characters: impl Iterator<Item = char>) -> Vec<char> {
        normal(&characters.collect::<String>(), "NFC").chars().collect()
    }

    fn normal(text: &str, form: &str) -> String {
        JsString::from(text).normalize(form).into()
    }
}
