//! What people and programs see of the play: a timeline in colours, or one JSON object a line.

use std::io::{IsTerminal as _, Write as _};
use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};

use crate::audit::History;
use crate::orders::State;
use crate::stage::Line;
use crate::summary::{Check, Summary};

/// Lines of a scene that people see, at its beginning and its end.
const FIRST: usize = 20;
const LAST: usize = 4;
/// Characters of a text that people see.
const TEXT: usize = 72;

pub(crate) struct Report {
    json: bool,
    coloured: bool,
}

/// ANSI SGR codes.
#[derive(Clone, Copy)]
enum Ink {
    Bold = 1,
    Faint = 2,
    Red = 31,
    Green = 32,
    Yellow = 33,
    Cyan = 36,
}

impl Report {
    pub(crate) fn new(json: bool) -> Self {
        let coloured = std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
        Self { json, coloured }
    }

    pub(crate) fn opening(&self, node: &str, is_own: bool) {
        let relay = if is_own { "a relay with an embedded store" } else { "a running node" };
        let text =
            format!("{}: {relay} at {node}, three devices, a process each", self.ink(Ink::Bold, "Chasqui quickstart"));
        self.tell(json!({"opening": {"node": node, "own_relay": is_own}}), &text);
    }

    /// Something happens.
    pub(crate) fn note(&self, text: &str) {
        self.tell(json!({"note": text}), &format!("  {} {text}", self.ink(Ink::Yellow, "»")));
    }

    /// What was said in a part, with the states as of now.
    pub(crate) fn scene(&self, title: &str, lines: &[Line]) {
        self.tell(json!({"scene": title}), &format!("\n{}", self.ink(Ink::Bold, title)));
        let hidden = FIRST..lines.len().saturating_sub(LAST).max(FIRST);
        for (index, line) in lines.iter().enumerate() {
            let Line { seq, on, state, text } = line;
            let value = json!({"message": {"seq": seq, "on": on, "state": state, "text": text}});
            if self.json || !hidden.contains(&index) {
                self.tell(value, &self.line(line));
            } else if index == hidden.start {
                let more = format!("       … {} more", hidden.len());
                self.tell(Value::Null, &self.ink(Ink::Faint, &more));
            }
        }
        if lines.is_empty() {
            self.tell(Value::Null, &self.ink(Ink::Faint, "       nobody says anything"));
        }
    }

    fn line(&self, line: &Line) -> String {
        let seq = line.seq.map_or_else(|| "-".to_owned(), |seq| seq.to_string());
        let (ink, state) = match line.state {
            State::Lost => (Ink::Red, "✗  lost    "),
            State::Pending => (Ink::Yellow, "…  pending "),
            State::Sent => (Ink::Faint, "✓  sent    "),
            State::Received => (Ink::Green, "✓✓ received"),
            State::Read => (Ink::Cyan, "✓✓ read    "),
        };
        format!("{seq:>6}  {:<12}  {}  {}", line.on, self.ink(ink, state), printable(&line.text))
    }

    pub(crate) fn control(&self, waiting: usize, found: u64, legible: u64) {
        let value = json!({"positive_control": {"waiting": waiting, "found": found, "legible": legible}});
        let sign = self.ink(Ink::Yellow, "»");
        let text =
            format!("  {sign} the relay's files hold {found} of {waiting} bodies that wait, and can read {legible}");
        self.tell(value, &text);
    }

    pub(crate) fn search(&self, who: &str, query: &str, hits: &[String]) {
        let value = json!({"search": {"on": who, "query": query, "hits": hits}});
        let title = format!("{who} searches its history for {query:?}: {} found", hits.len());
        self.tell(value, &format!("\n{}", self.ink(Ink::Bold, &title)));
        for hit in hits.iter().take(LAST) {
            self.tell(Value::Null, &format!("        {}", printable(hit)));
        }
    }

    pub(crate) fn forgotten(&self, after: Duration) {
        let millis = u64::try_from(after.as_millis()).unwrap_or(u64::MAX);
        let text =
            format!("\n  {} no piece of any body is left in the running relay's files", self.ink(Ink::Yellow, "»"));
        self.tell(json!({"forgotten": {"after_ms": millis}}), &text);
    }

    pub(crate) fn kept(&self, folder: &Path) {
        self.tell_stderr(&format!("kept: {}", folder.display()));
    }

    /// What the databases and the files say, and whether everything holds. The summary is the last line of JSON.
    pub(crate) fn closing(&self, histories: &[History], summary: &Summary, checks: &[Check]) {
        self.say_if_text(&format!("\n{}", self.ink(Ink::Bold, "What the devices' databases say")));
        for history in histories {
            let own = history.messages.iter().filter(|message| message.is_from_here).count();
            let History { who, unread, messages, .. } = history;
            let all = messages.len();
            let value = json!({"device": {"name": who, "messages": all, "written_here": own, "unread": unread}});
            self.tell(value, &format!("  {who:<12}  {all:>6} messages  {own:>6} written here  {unread:>4} unread"));
        }
        let Summary { sent, accepted, received, read, duplicates, order_equal, .. } = summary;
        let order = if *order_equal { "the same order everywhere" } else { "the order DIFFERS" };
        self.say_if_text(&format!(
            "  {sent} sent, {accepted} accepted, {received} received, {read} read, {duplicates} duplicates, {order}"
        ));
        self.say_if_text(&format!("\n{}", self.ink(Ink::Bold, "What the relay's files still hold")));
        match &summary.relay {
            None => self.say_if_text("  unknown: nobody can look into that node's files from here"),
            Some(relay) if relay.is_nothing() => {
                let line = "  nothing: 0 mailbox entries, 0 bodies, 0 body bytes, 0 canaries";
                self.say_if_text(&self.ink(Ink::Green, line));
            }
            Some(relay) => self.say_if_text(&self.ink(
                Ink::Red,
                &format!(
                    "  {} mailbox entries, {} bodies, {} body bytes, {} canaries",
                    relay.mailbox_entries, relay.bodies, relay.body_bytes, relay.canary_hits
                ),
            )),
        }
        self.say_if_text("");
        for check in checks {
            let sign = if check.holds { self.ink(Ink::Green, "✓") } else { self.ink(Ink::Red, "✗") };
            self.tell(json!({"check": check}), &format!("  {sign} {}", check.what));
            if !check.holds {
                self.tell_stderr(&format!("does not hold: {}", check.what));
            }
        }
        if self.json {
            self.tell(json!({"summary": summary}), "");
        }
    }

    fn tell_stderr(&self, text: &str) {
        eprintln!("quickstart: {text}");
    }

    fn say_if_text(&self, text: &str) {
        self.tell(Value::Null, text);
    }

    /// `Null` is said to people only.
    fn tell(&self, value: Value, text: &str) {
        let line = match (self.json, value) {
            (true, Value::Null) => return,
            (true, value) => value.to_string(),
            (false, _) => text.to_owned(),
        };
        // Whoever stopped listening does not stop the play.
        let _ = writeln!(std::io::stdout(), "{line}");
    }

    fn ink(&self, ink: Ink, text: &str) -> String {
        if self.coloured { format!("\x1b[{}m{text}\x1b[0m", ink as u8) } else { text.to_owned() }
    }
}

/// The beginning of a text, on one line, that can do nothing to a terminal.
fn printable(text: &str) -> String {
    let shown = |character: char| match character {
        '\n' => '↵',
        // Control Pictures (Unicode block U+2400).
        '\0'..='\x1f' => char::from_u32(0x2400 + u32::from(character)).unwrap_or('␀'),
        '\x7f'..='\u{9f}' => '␡',
        // Explicit directions would reach beyond the text.
        '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => '⇄',
        other => other,
    };
    let mut line: String = text.chars().take(TEXT).map(shown).collect();
    let length = text.chars().count();
    if length > TEXT {
        line.push_str(&format!("… ({length} characters)"));
    }
    line
}
