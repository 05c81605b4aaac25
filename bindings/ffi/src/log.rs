//! The core's log, for Logcat, `os.Logger` and their like. The host asks for it: it is never called.

use std::collections::HashMap;

use crate::error::ChasquiError;

/// How bad what is logged is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, uniffi::Enum)]
pub enum LogLevel {
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

impl From<LogLevel> for chasqui_log::Level {
    fn from(level: LogLevel) -> Self {
        match level {
            LogLevel::Error => Self::Error,
            LogLevel::Warn => Self::Warn,
            LogLevel::Info => Self::Info,
            LogLevel::Debug => Self::Debug,
            LogLevel::Trace => Self::Trace,
        }
    }
}

impl From<chasqui_log::Level> for LogLevel {
    fn from(level: chasqui_log::Level) -> Self {
        match level {
            chasqui_log::Level::Error => Self::Error,
            chasqui_log::Level::Warn => Self::Warn,
            chasqui_log::Level::Info => Self::Info,
            chasqui_log::Level::Debug => Self::Debug,
            chasqui_log::Level::Trace => Self::Trace,
        }
    }
}

/// One line of the log. Holds nothing that people wrote, no name, no token and no key.
#[derive(Clone, Debug, PartialEq, Eq, uniffi::Record)]
pub struct LogRecord {
    /// How bad it is.
    pub level: LogLevel,
    /// The room of the SDK that says it: `chasqui::engine::inbox`.
    pub target: String,
    /// English, the same at every time.
    pub message: String,
    /// What differs from time to time, by name.
    pub fields: HashMap<String, String>,
    /// Message and fields in one line: `a message (name: value, name: value)`.
    pub text: String,
}

impl From<chasqui_log::Record> for LogRecord {
    fn from(record: chasqui_log::Record) -> Self {
        let text = record.text();
        let chasqui_log::Record { level, target, message, fields } = record;
        let fields = fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        Self { level: level.into(), target, message, fields, text }
    }
}

/// Gets what is logged, in the place of whoever did before.
#[derive(uniffi::Object)]
pub struct NativeLog(chasqui_log::Listener);

#[uniffi::export]
impl NativeLog {
    /// See [`chasqui_log::Listener::start`].
    #[uniffi::constructor]
    pub fn new(level: LogLevel) -> Self {
        Self(chasqui_log::Listener::start(level.into()))
    }

    /// Waits for records, in order. Nothing once it was stopped or replaced, and everything was handed over.
    pub async fn next(&self) -> Result<Option<Vec<LogRecord>>, ChasquiError> {
        Ok(self.0.next().await.map(|records| records.into_iter().map(LogRecord::from).collect()))
    }

    /// Nothing is recorded any more, unless somebody else listens by now.
    pub fn stop(&self) {
        self.0.stop();
    }
}
