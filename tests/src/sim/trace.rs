//! What was decided, in order: hashed always, kept when somebody wants to read it.

use ring::digest::{Context, SHA256};

pub(super) struct Trace {
    hash: Context,
    lines: Option<Vec<String>>,
}

impl Trace {
    pub(super) fn new(keep: bool) -> Self {
        Self { hash: Context::new(&SHA256), lines: keep.then(Vec::new) }
    }

    pub(super) fn note(&mut self, at: u64, line: &str) {
        let line = format!("{:>9.3}s {line}", at as f64 / 1000.0);
        self.hash.update(line.as_bytes());
        if let Some(lines) = &mut self.lines {
            lines.push(line);
        }
    }

    /// More than a decision says, for whoever replays a seed.
    pub(super) fn detail(&mut self, at: u64, line: impl FnOnce() -> String) {
        if let Some(lines) = &mut self.lines {
            lines.push(format!("{:>9.3}s     {}", at as f64 / 1000.0, line()));
        }
    }

    pub(super) fn finish(self) -> (String, Vec<String>) {
        let digest = self.hash.finish();
        let hex = digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
        (hex, self.lines.unwrap_or_default())
    }
}
