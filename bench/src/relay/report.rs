//! Samples of several rounds, and what is told of them: medians.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Map, Value, json};

use super::Outcome;

/// What one round of one workload gave.
#[derive(Debug)]
pub(crate) struct Sample {
    workload: &'static str,
    system: &'static str,
    figures: Vec<(String, f64)>,
}

/// Times from send to receive.
#[derive(Debug, Default)]
pub(crate) struct Latencies(Vec<Duration>);

impl Extend<Duration> for Latencies {
    fn extend<I: IntoIterator<Item = Duration>>(&mut self, more: I) {
        self.0.extend(more);
    }
}

impl Latencies {
    fn percentile(&self, percent: usize) -> f64 {
        let index = (self.0.len().saturating_sub(1)) * percent / 100;
        self.0.get(index).map_or(f64::NAN, |latency| latency.as_secs_f64() * 1000.0)
    }
}

impl Sample {
    pub(crate) fn new(workload: &'static str, system: &'static str) -> Self {
        Self { workload, system, figures: Vec::new() }
    }

    pub(crate) fn figure(&mut self, name: &str, value: f64) {
        self.figures.push((name.to_owned(), value));
    }

    /// A part of the workload: its rate, and the node's CPU for each.
    pub(crate) fn part(&mut self, part: &str, count: usize, took: Duration, cpu: Duration) {
        self.figure(&format!("{part}_per_second"), count as f64 / took.as_secs_f64());
        self.figure(&format!("{part}_cpu_us"), cpu.as_secs_f64() * 1e6 / count as f64);
    }

    pub(crate) fn rate(mut self, messages: usize, took: Duration) -> Self {
        self.figure("messages_per_second", messages as f64 / took.as_secs_f64());
        self
    }

    pub(crate) fn cpu(mut self, messages: usize, cpu: Duration) -> Self {
        self.figure("cpu_us_per_message", cpu.as_secs_f64() * 1e6 / messages as f64);
        self
    }

    pub(crate) fn latencies(mut self, mut latencies: Latencies) -> Self {
        latencies.0.sort_unstable();
        self.figure("p50_ms", latencies.percentile(50));
        self.figure("p99_ms", latencies.percentile(99));
        self
    }
}

/// All rounds.
pub(crate) struct Report(Vec<Sample>);

/// By workload, figure and system: the values of all rounds.
type Table<'a> = BTreeMap<&'static str, BTreeMap<&'a str, BTreeMap<&'static str, Vec<f64>>>>;

const OURS: &str = "chasqui";

impl Report {
    pub(crate) fn new() -> Self {
        Self(Vec::new())
    }

    pub(crate) fn add(&mut self, sample: Sample) {
        let figures: Vec<String> = sample.figures.iter().map(|(name, value)| format!("{name} {value:.1}")).collect();
        eprintln!("{} {}: {}", sample.workload, sample.system, figures.join(", "));
        self.0.push(sample);
    }

    pub(crate) fn print(&self, json: bool) -> Outcome {
        let table = self.table();
        if json {
            println!("{}", serde_json::to_string_pretty(&as_json(&table))?);
            return Ok(());
        }
        for (workload, figures) in &table {
            println!("\n{workload}");
            for (figure, systems) in figures {
                let values = systems.iter().map(|(system, values)| format!("{system} {:.1}", median(values)));
                let mut line = values.collect::<Vec<_>>().join("   ");
                if let Some(ratio) = ratio(systems) {
                    line.push_str(&format!("   ratio {ratio:.2}"));
                }
                println!("  {figure:<24} {line}");
            }
        }
        Ok(())
    }

    fn table(&self) -> Table<'_> {
        let mut table = Table::new();
        for sample in &self.0 {
            for (name, value) in &sample.figures {
                let systems = table.entry(sample.workload).or_default().entry(name.as_str()).or_default();
                systems.entry(sample.system).or_default().push(*value);
            }
        }
        table
    }
}

fn as_json(table: &Table<'_>) -> Value {
    let mut workloads = Map::new();
    for (workload, figures) in table {
        let mut of_workload = Map::new();
        for (figure, systems) in figures {
            let mut values: Map<String, Value> =
                systems.iter().map(|(system, values)| ((*system).to_owned(), json!(median(values)))).collect();
            values.extend(ratio(systems).map(|ratio| ("ratio".to_owned(), json!(ratio))));
            of_workload.insert((*figure).to_owned(), values.into());
        }
        workloads.insert((*workload).to_owned(), of_workload.into());
    }
    json!({ "workloads": workloads })
}

/// Ours against the peer's: the median of the rounds' own ratios, because both were played in turns.
fn ratio(systems: &BTreeMap<&'static str, Vec<f64>>) -> Option<f64> {
    let ours = systems.get(OURS)?;
    let (_, theirs) = systems.iter().find(|(system, _)| **system != OURS)?;
    let ratios: Vec<f64> = ours.iter().zip(theirs).map(|(ours, theirs)| ours / theirs).collect();
    Some(median(&ratios))
}

fn median(values: &[f64]) -> f64 {
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
