//! One line of the log: what was said, with its fields, as text of bounded length.

use std::fmt::{self, Write as _};

use tracing::Event;
use tracing::field::{Field, Visit};

/// Longest text of a message or a field, in bytes.
const MAX_BYTES: usize = 1_024;

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Something was lost, or does not go on by itself.
    Error,
    /// Something is not as it should be, and goes on.
    Warn,
    /// What an app's developer may want to know of a phone in the field.
    Info,
    /// For whoever looks for a defect.
    Debug,
    /// Everything.
    Trace,
}

/// One line of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// How bad it is.
    pub level: Level,
    /// The room of the SDK that says it: `chasqui::engine::inbox`.
    pub target: String,
    /// English, the same at every time.
    pub message: String,
    /// What differs from time to time, by name, in the order of the source.
    pub fields: Vec<(&'static str, String)>,
}

impl Record {
    /// Message and fields in one line: `a message (name: value, name: value)`.
    pub fn text(&self) -> String {
        let mut text = self.message.clone();
        for (index, (name, value)) in self.fields.iter().enumerate() {
            text.push_str(if index == 0 { " (" } else { ", " });
            text.push_str(name);
            text.push_str(": ");
            text.push_str(value);
        }
        if !self.fields.is_empty() {
            text.push(')');
        }
        text
    }

    pub(crate) fn of(event: &Event<'_>) -> Self {
        let metadata = event.metadata();
        let mut record = Self {
            level: metadata.level().into(),
            target: metadata.target().to_owned(),
            message: String::new(),
            fields: Vec::new(),
        };
        event.record(&mut record);
        record
    }

    /// So many could not be kept.
    pub(crate) fn of_dropped(count: u64) -> Self {
        Self { fields: vec![("count", count.to_string())], ..Self::own("records were dropped: the sink is too slow") }
    }

    /// There will be no other.
    pub(crate) fn elsewhere() -> Self {
        Self::own("this process has a tracing subscriber of its own: the log goes there")
    }

    fn own(message: &str) -> Self {
        let (target, message) = ("chasqui::log".to_owned(), message.to_owned());
        Self { level: Level::Warn, target, message, fields: Vec::new() }
    }
}

impl From<&tracing::Level> for Level {
    fn from(level: &tracing::Level) -> Self {
        match *level {
            tracing::Level::ERROR => Self::Error,
            tracing::Level::WARN => Self::Warn,
            tracing::Level::INFO => Self::Info,
            tracing::Level::DEBUG => Self::Debug,
            tracing::Level::TRACE => Self::Trace,
        }
    }
}

impl Visit for Record {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.record_debug(field, &format_args!("{value}"));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let mut text = Bounded(String::new());
        // Cut off where it is full.
        let _ = write!(text, "{value:?}");
        match field.name() {
            "message" => self.message = text.0,
            name => self.fields.push((name, text.0)),
        }
    }
}

/// Takes no more than [`MAX_BYTES`].
struct Bounded(String);

impl fmt::Write for Bounded {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let room = text.floor_char_boundary(MAX_BYTES - self.0.len());
        self.0.push_str(&text[..room]);
        if room < text.len() { Err(fmt::Error) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_cut_off_between_characters() {
        for (text, expected) in [("x".repeat(2_000), 1_024), ("ñ".repeat(1_000), 1_024), ("€".repeat(1_000), 1_023)]
        {
            let mut bounded = Bounded(String::new());
            assert!(write!(bounded, "{text}").is_err());
            assert_eq!(bounded.0.len(), expected);
            let _ = write!(bounded, "!");
            assert!(text.starts_with(bounded.0.trim_end_matches('!')));
        }
    }
}
