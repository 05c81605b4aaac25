//! The core's log as the worker tells it to the tabs.

use chasqui::Error;
use chasqui_log::{Level, Record};
use serde_json::{Map, Value, json};

const LEVELS: [(&str, Level); 5] = [
    ("error", Level::Error),
    ("warn", Level::Warn),
    ("info", Level::Info),
    ("debug", Level::Debug),
    ("trace", Level::Trace),
];

/// Reads the name of a level.
///
/// # Errors
/// [`Error::Invalid`] for any other.
pub fn level(name: &str) -> Result<Level, Error> {
    let found = LEVELS.iter().find(|(known, _)| *known == name);
    found.map(|(_, level)| *level).ok_or_else(|| Error::Invalid { detail: format!("no level is called {name}") })
}

/// Shows records as a list.
pub fn records(records: &[Record]) -> Value {
    records.iter().map(record).collect()
}

fn record(record: &Record) -> Value {
    let level = LEVELS.iter().find(|(_, level)| *level == record.level).map_or("error", |(name, _)| name);
    let fields: Map<String, Value> =
        record.fields.iter().map(|(name, value)| ((*name).to_owned(), value.as_str().into())).collect();
    json!({
        "level": level,
        "target": record.target,
        "message": record.message,
        "fields": fields,
        "text": record.text(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_shown_with_its_fields_and_in_one_line() {
        let shown = records(&[Record {
            level: Level::Warn,
            target: "chasqui::engine".into(),
            message: "not connected".into(),
            fields: vec![("attempt", "2".into())],
        }]);
        let expected = json!([{
            "level": "warn",
            "target": "chasqui::engine",
            "message": "not connected",
            "fields": { "attempt": "2" },
            "text": "not connected (attempt: 2)",
        }]);
        assert_eq!(shown, expected);
    }

    #[test]
    fn a_level_is_one_of_five() {
        assert_eq!(level("trace").ok(), Some(Level::Trace));
        assert!(matches!(level("loud"), Err(Error::Invalid { .. })));
    }
}
