//! What was measured, beside what was aimed at: a table for people, one object for programs.

use std::fmt;

use chasqui_wire::Limits;
use serde::Serialize;

use super::catch_up::CatchUp;
use super::groups::{Change, Group};
use crate::core::report::Machine;

/// Catch-up encrypted, by the processor time of the same unencrypted.
const CATCH_UP_AT_MOST: f64 = 2.0;

#[derive(Debug, Serialize)]
pub(super) struct Report {
    machine: Machine,
    figures: Vec<Figure>,
    groups: Vec<Group>,
    catch_up: CatchUp,
    libraries: Vec<Library>,
}

/// A library that was packed here, in bytes.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Library {
    name: String,
    bytes: u64,
    at_most: u64,
    met: bool,
}

impl Library {
    pub(super) fn parse(argument: &str) -> Result<Self, String> {
        let parts = argument.split_once('=').and_then(|(name, sizes)| Some((name, sizes.split_once('/')?)));
        let (name, (bytes, most)) = parts.ok_or("NAME=BYTES/BUDGET")?;
        let number = |digits: &str| digits.parse::<u64>().map_err(|error| error.to_string());
        let (bytes, at_most) = (number(bytes)?, number(most)?);
        Ok(Self { name: name.into(), bytes, at_most, met: bytes <= at_most })
    }
}

/// One line of the table.
#[derive(Debug, Serialize)]
struct Figure {
    name: &'static str,
    value: f64,
    unit: &'static str,
    at_most: Option<f64>,
    met: Option<bool>,
}

impl Figure {
    fn new(name: &'static str, value: f64, unit: &'static str, at_most: Option<f64>) -> Self {
        Self { name, value, unit, at_most, met: at_most.map(|most| value <= most) }
    }
}

impl Report {
    pub(super) fn new(groups: Vec<Group>, catch_up: CatchUp, libraries: Vec<Library>) -> Self {
        let (encrypted, unencrypted) = (&catch_up.encrypted, &catch_up.unencrypted);
        let figures = vec![
            Figure::new("catch-up by the same unencrypted, CPU", catch_up.cpu_ratio, "", Some(CATCH_UP_AT_MOST)),
            Figure::new("catch-up by the same unencrypted, wall", catch_up.wall_ratio, "", None),
            Figure::new("catch-up encrypted, CPU", encrypted.cpu_micros_per_message, "us a message", None),
            Figure::new("catch-up unencrypted, CPU", unencrypted.cpu_micros_per_message, "us a message", None),
            Figure::new("catch-up encrypted, frames", encrypted.bytes_per_message, "bytes a message", None),
            Figure::new("catch-up unencrypted, frames", unencrypted.bytes_per_message, "bytes a message", None),
        ];
        Self { machine: Machine::this(), figures, groups, catch_up, libraries }
    }

    fn row(&self, f: &mut fmt::Formatter<'_>, name: &str, digits: usize, value: impl Fn(&Group) -> f64) -> fmt::Result {
        write!(f, "{name:<48}")?;
        for group in &self.groups {
            write!(f, "{:>11.digits$}", value(group))?;
        }
        writeln!(f)
    }

    fn change(&self, f: &mut fmt::Formatter<'_>, name: &str, change: fn(&Group) -> &Change) -> fmt::Result {
        self.row(f, &format!("{name} one: commit, bytes"), 0, |group| change(group).commit_bytes as f64)?;
        self.row(f, "  CPU of who makes it, ms", 1, |group| change(group).maker_cpu_ms)?;
        self.row(f, "  CPU of who follows it, ms", 1, |group| change(group).follower_cpu_ms)?;
        self.row(f, "    of that: looking at who is there then", 1, |group| change(group).looking_cpu_ms)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}\n", self.machine)?;
        for Figure { name, value, unit, at_most, met } in &self.figures {
            let budget = at_most.map_or_else(String::new, |most| format!("at most {most}"));
            let verdict = match met {
                Some(true) => "met",
                Some(false) => "NOT MET",
                None => "",
            };
            writeln!(f, "{name:<48} {value:>10.2} {unit:<16} {budget:<13} {verdict}")?;
        }
        for Library { name, bytes, at_most, met } in &self.libraries {
            let (kib, budget) = (bytes.div_ceil(1024), format!("at most {}", at_most / 1024));
            let verdict = if *met { "met" } else { "NOT MET" };
            writeln!(f, "{name:<48} {kib:>10} {:<16} {budget:<13} {verdict}", "KiB")?;
        }
        if self.libraries.is_empty() {
            writeln!(f, "no library is packed here: cargo xtask package npm, and jar")?;
        }
        writeln!(f, "\ngroups in which one device has made all changes\n")?;
        self.row(f, "devices", 0, |group| group.devices as f64)?;
        self.row(f, "seal and store 1 KiB, CPU, us", 0, |group| group.seal.cpu_micros)?;
        self.row(f, "  the same unencrypted", 0, |group| group.seal.unencrypted_cpu_micros)?;
        self.row(f, "open and store it, CPU, us", 0, |group| group.open.cpu_micros)?;
        self.row(f, "  the same unencrypted", 0, |group| group.open.unencrypted_cpu_micros)?;
        self.row(f, "its frame, bytes", 0, |group| group.frame_bytes as f64)?;
        self.row(f, "  the same unencrypted", 0, |group| group.unencrypted_frame_bytes as f64)?;
        self.row(f, "begin the group, CPU, ms", 1, |group| group.begin_cpu_ms)?;
        self.row(f, "  its Welcome, bytes", 0, |group| group.begin_welcome_bytes as f64)?;
        self.change(f, "add", |group| &group.add)?;
        self.change(f, "remove", |group| &group.remove)?;
        self.row(f, "Welcome for one, bytes", 0, |group| group.welcome_bytes as f64)?;
        self.row(f, "join by it, CPU, ms", 1, |group| group.join_cpu_ms)?;
        let most = Limits::DEFAULT.frame_bytes as usize;
        let largest = |group: &Group| group.remove.commit_bytes.max(group.welcome_bytes).max(group.begin_welcome_bytes);
        for group in self.groups.iter().filter(|group| largest(group) > most) {
            writeln!(f, "{} devices: a commit or a Welcome is above the {most} bytes of a frame", group.devices)?;
        }
        Ok(())
    }
}
