//! What is said: the built-in conversation, or a JSON-Lines file.
//!
//! A script that exists can be sent: every line has a known sender and a text within the protocol's limits.

use std::path::{Path, PathBuf};

use chasqui::{MessageId, Timestamp};
use chasqui_wire::{Content, ContentKind, Limits};
use serde::Deserialize;

/// Who speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Person {
    Ana,
    Bo,
}

impl Person {
    pub(crate) const BOTH: [Self; 2] = [Self::Ana, Self::Bo];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Ana => "ana",
            Self::Bo => "bo",
        }
    }
}

/// One message to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Line {
    pub(crate) from: Person,
    pub(crate) text: String,
}

/// A conversation.
#[derive(Clone, Debug)]
pub(crate) struct Script {
    pub(crate) lines: Vec<Line>,
}

/// Why a file is no script.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ScriptError {
    #[error("{}: cannot be read: {source}", path.display())]
    Unreadable { path: PathBuf, source: std::io::Error },
    #[error("{}:{number}: {problem}", path.display())]
    Line { path: PathBuf, number: usize, problem: String },
}

#[derive(Deserialize)]
struct Entry {
    from: String,
    text: String,
}

impl Script {
    pub(crate) fn built_in() -> Self {
        use Person::{Ana, Bo};
        let lines = [
            (Ana, "¡Hola, Bo! Are you in Cusco already? 🏔️"),
            (Bo, "Since this morning. The air is thin and the coffee is strong."),
            (Ana, "Now from the laptop. The chasquis ran up there with a bag of messages!"),
            (Bo, "And I get out of breath on the stairs."),
            (Ana, "Each of them carried a message to the next tambo, and kept nothing."),
            (Bo, "Like a relay should. Boarding now, there is no network in the valley."),
            (Ana, "Then this waits for you: dinner at eight, Plaza de Armas."),
            (Ana, "Bring the quipu, I can't untie that knot alone. 🪢"),
            (Bo, "Written in a tunnel: the valley is beautiful!"),
            (Ana, "Kuska purisun — let us walk together."),
            (Ana, "明天我们去马丘比丘。"),
            (Bo, "Still no network. This goes out when there is one."),
            (Ana, "Tell me when you are back."),
            (Bo, "Back! My phone died twice on the way, and everything is here."),
            (Ana, "Nothing lost, nothing twice, one order. 🎉"),
            (Bo, "שלום and مرحبا from everybody on the train."),
            (Ana, "See you at eight."),
            (Bo, "👍🏽"),
        ];
        Self { lines: lines.into_iter().map(|(from, text)| Line { from, text: text.to_owned() }).collect() }
    }

    /// Reads a JSON-Lines file; blank lines do not count.
    pub(crate) fn read(path: &Path) -> Result<Self, ScriptError> {
        let unreadable = |source| ScriptError::Unreadable { path: path.to_owned(), source };
        let bytes = std::fs::read(path).map_err(unreadable)?;
        let bytes = bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(&bytes);
        let mut lines = Vec::new();
        for (index, line) in bytes.split(|&byte| byte == b'\n').enumerate() {
            if line.trim_ascii().is_empty() {
                continue;
            }
            let wrong = |problem| ScriptError::Line { path: path.to_owned(), number: index + 1, problem };
            lines.push(parse(line).map_err(wrong)?);
        }
        Ok(Self { lines })
    }

    /// What one person says, in order.
    pub(crate) fn texts_of(&self, person: Person) -> impl Iterator<Item = &str> {
        self.lines.iter().filter(move |line| line.from == person).map(|line| line.text.as_str())
    }

    /// A word that a search should find, and that is worth looking for: as long as possible, within reason.
    ///
    /// Only words between spaces and without marks, so that any search has to take them for words.
    pub(crate) fn search_word(&self) -> Option<&str> {
        let words = self.lines.iter().flat_map(|line| line.text.split_whitespace());
        let letters = words.filter(|word| word.chars().all(char::is_alphanumeric));
        let short = letters.map(|word| (word.chars().count(), word)).filter(|(length, _)| *length <= 24);
        short.max_by_key(|(length, _)| *length).map(|(_, word)| word)
    }
}

fn parse(line: &[u8]) -> Result<Line, String> {
    let entry: Entry = serde_json::from_slice(line).map_err(|error| {
        // The position within the line says more than serde's "line 1".
        let column = error.column();
        let text = error.to_string();
        let reason = text.split(" at line ").next().unwrap_or(&text);
        format!("not a line of a transcript: {reason} (column {column})")
    })?;
    let known = Person::BOTH.into_iter().find(|person| person.name() == entry.from);
    let from = known.ok_or_else(|| format!("unknown sender {:?}, expected \"ana\" or \"bo\"", entry.from))?;
    if entry.text.is_empty() {
        return Err("the text is empty".to_owned());
    }
    let (bytes, limit) = (body_bytes(&entry.text), Limits::DEFAULT.body_bytes as usize);
    if bytes > limit {
        return Err(format!("the text is too long: its message has {bytes} bytes, the limit is {limit}"));
    }
    Ok(Line { from, text: entry.text })
}

/// Bytes of the message that carries `text`: any id is as long as any other, and so is any time of our days.
fn body_bytes(text: &str) -> usize {
    let today = Timestamp(1 << 41);
    let kind = ContentKind::Text(text.to_owned());
    Content { message: MessageId::from_bytes([0; 16]), created_at: today, kind, previous: vec![] }.encode().len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(file: &[u8], expected: &str) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("talk.jsonl");
        std::fs::write(&path, file).unwrap();
        let shown = match Script::read(&path) {
            Ok(script) => format!("{} lines", script.lines.len()),
            Err(error) => error.to_string(),
        };
        assert!(!shown.contains('\n'), "one line: {shown}");
        let shown = shown.replace(&path.display().to_string(), "FILE");
        assert!(shown.starts_with(expected), "{shown}");
    }

    #[test]
    fn good_files() {
        check(b"", "0 lines");
        check(b"{\"from\":\"ana\",\"text\":\"a\"}\n\n  \r\n{\"text\":\"\\u0000\\n\",\"from\":\"bo\"}", "2 lines");
    }

    #[test]
    fn bad_files_are_named_with_the_line() {
        let good = "{\"from\":\"ana\",\"text\":\"a\"}\n";
        let after = |line: &str| [good, "\n", line, "\n"].concat().into_bytes();
        check(&after("{\"from\":\"ana\","), "FILE:3: not a line of a transcript: EOF");
        check(&after("{\"from\":\"eve\",\"text\":\"a\"}"), "FILE:3: unknown sender \"eve\"");
        check(&after("{\"from\":\"bo\",\"text\":\"\"}"), "FILE:3: the text is empty");
        check(&after("{\"from\":\"bo\"}"), "FILE:3: not a line of a transcript: missing field `text`");
        check(&after("{\"from\":\"bo\",\"text\":\"\\ud800\"}"), "FILE:3: not a line of a transcript");
        check(b"{\"from\":\"bo\",\"text\":\"\xff\"}", "FILE:1: not a line of a transcript");
    }

    #[test]
    fn the_longest_text_fits_and_one_byte_more_does_not() {
        let longest = Limits::DEFAULT.body_bytes as usize - body_bytes("") - 8;
        let longest = (longest..).take_while(|&n| body_bytes(&"x".repeat(n)) <= 65_536).last().unwrap();
        let line = |n| serde_json::json!({"from": "bo", "text": "x".repeat(n)}).to_string().into_bytes();
        check(&line(longest), "1 lines");
        check(&line(longest + 1), "FILE:1: the text is too long");
    }
}
