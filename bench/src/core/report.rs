//! What was measured, beside what was promised: a table for people, one object for programs.

use std::fmt;

use serde::Serialize;

use super::catch_up::CatchUp;
use super::reading::{Reading, Verdict};

#[derive(Debug, Serialize)]
pub(super) struct Report {
    machine: Machine,
    figures: Vec<Figure>,
    catch_up: CatchUp,
    reading: Reading,
}

#[derive(Debug, Serialize)]
pub(crate) struct Machine {
    cores: usize,
    cpu: String,
    /// Figures of a build without optimisation say nothing.
    optimised: bool,
}

impl Machine {
    pub(crate) fn this() -> Self {
        let cpus = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let model = cpus.lines().find_map(|line| line.strip_prefix("model name")?.split_once(':'));
        Self {
            cores: std::thread::available_parallelism().map_or(0, usize::from),
            cpu: model.map_or_else(|| "unknown".to_owned(), |(_, model)| model.trim().to_owned()),
            optimised: !cfg!(debug_assertions),
        }
    }
}

/// One line of the table.
#[derive(Debug, Serialize)]
struct Figure {
    name: &'static str,
    value: f64,
    unit: &'static str,
    at_least: Option<f64>,
    met: Option<bool>,
}

impl Figure {
    fn new(name: &'static str, value: f64, unit: &'static str, at_least: Option<f64>) -> Self {
        Self { name, value, unit, at_least, met: at_least.map(|least| value >= least) }
    }
}

impl Report {
    pub(super) fn new(catch_up: CatchUp, reading: Reading) -> Self {
        let figures = vec![
            Figure::new("catch-up, speed by bare SQLite's, wall", catch_up.speed_by_wall, "", Some(0.5)),
            Figure::new("catch-up, speed by bare SQLite's, CPU", catch_up.speed_by_cpu, "", Some(0.5)),
            Figure::new("catch-up, wall", catch_up.core.messages_per_second, "messages/s", None),
            Figure::new("catch-up, CPU", catch_up.core.cpu_micros_per_message, "us a message", None),
            Figure::new("from opening the client to its first list, p50", reading.open_to_list_p50, "ms", None),
            Figure::new("history on disk", reading.bytes_per_message, "bytes a message", None),
        ];
        Self { machine: Machine::this(), figures, catch_up, reading }
    }
}

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { cores, cpu, optimised } = self;
        let build = if *optimised { "" } else { ", NOT OPTIMISED" };
        write!(f, "{cpu}, {cores} cores{build}")
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoBudget => "",
            Self::Met => "met",
            Self::MetByMedians => "met by medians",
            Self::NotMet => "NOT MET",
        })
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}\n", self.machine)?;
        for Figure { name, value, unit, at_least, met } in &self.figures {
            let budget = at_least.map_or_else(String::new, |least| format!("at least {least}"));
            let verdict = match met {
                Some(true) => Verdict::Met,
                Some(false) => Verdict::NotMet,
                None => Verdict::NoBudget,
            };
            writeln!(f, "{name:<48} {value:>10.2} {unit:<16} {budget:<13} {verdict}")?;
        }
        let Reading { messages, conversations, .. } = self.reading;
        writeln!(f, "\n{messages} messages in {conversations} conversations, ms")?;
        writeln!(f, "{:<40} budget  cold p50      p99  warm p50      p99      CPU", "")?;
        for question in &self.reading.questions {
            let budget = question.budget.map_or_else(String::new, |most| most.to_string());
            write!(f, "{:<40} {budget:>6} ", question.question)?;
            for value in [question.cold_p50, question.cold_p99, question.warm_p50, question.warm_p99] {
                write!(f, "{value:>9.2}")?;
            }
            writeln!(f, "{:>9.2} {}", question.warm_cpu.unwrap_or(f64::NAN), question.verdict)?;
        }
        Ok(())
    }
}
