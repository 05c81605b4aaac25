//! How commands show sizes, times and JSON.

use std::time::{SystemTime, UNIX_EPOCH};

use chasqui_wire::Timestamp;
use serde::Serialize;

/// One line of JSON on stdout.
pub(super) fn json(value: &impl Serialize) {
    println!("{}", serde_json::to_string(value).expect("a report is JSON"));
}

/// `1.5 MiB`
pub(super) fn bytes(bytes: u64) -> String {
    let mut size = bytes as f64;
    for unit in ["B", "KiB", "MiB", "GiB"] {
        if size < 1024.0 {
            return if unit == "B" { format!("{bytes} B") } else { format!("{size:.1} {unit}") };
        }
        size /= 1024.0;
    }
    format!("{size:.1} TiB")
}

/// `3 h ago`
pub(super) fn since(at: Option<Timestamp>) -> String {
    #[expect(clippy::disallowed_methods, reason = "people want to know how long ago it was")]
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let Some(at) = at else { return "never".to_owned() };
    let seconds = i64::try_from(now.as_secs()).unwrap_or(i64::MAX).saturating_sub(at.0 / 1000).max(0);
    match seconds {
        0..120 => format!("{seconds} s ago"),
        120..7_200 => format!("{} min ago", seconds / 60),
        7_200..172_800 => format!("{} h ago", seconds / 3_600),
        _ => format!("{} days ago", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_for_people() {
        for (size, text) in
            [(0, "0 B"), (1023, "1023 B"), (1024, "1.0 KiB"), (1 << 20, "1.0 MiB"), (1 << 41, "2.0 TiB")]
        {
            assert_eq!(bytes(size), text);
        }
    }
}
