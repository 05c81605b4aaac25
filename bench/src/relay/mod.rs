//! The node under load: generator and node are two processes, and the node's CPU is what the operating system says.
//!
//! The same messages can be passed through a peer (`--peer mosquitto`), in turns, so that the ratio survives a machine
//! that other work disturbs.

pub(crate) mod crash;
mod device;
mod idle;
mod mosquitto;
mod node;
mod offline;
mod pairs;
mod process;
mod report;
mod texts;
mod tls;

use std::error::Error;
use std::time::Duration;

use clap::ValueEnum;

use report::Report;

pub(crate) type Outcome<T = ()> = Result<T, Box<dyn Error + Send + Sync>>;

/// What to measure.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
    /// Only these workloads; all of them otherwise.
    #[arg(long, value_enum, value_delimiter = ',')]
    only: Vec<Workload>,
    /// Pass the same messages through this program too, which has to be installed.
    #[arg(long, value_enum)]
    peer: Option<Peer>,
    /// How often each workload is played; the median is reported.
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Everything a hundredth of its size: shows that the benchmark works, measures nothing.
    #[arg(long)]
    quick: bool,
    /// Leave the node's log (warnings) on stderr.
    #[arg(long)]
    verbose: bool,
}

/// What is played.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Workload {
    /// 200 pairs, 8 messages in flight.
    Pairs,
    /// 20 pairs, 1 message in flight.
    Light,
    /// 200 pairs, 8,200 messages a second in all.
    Paced,
    /// 50,000 messages for 500 devices that are away; then all come.
    Offline,
    /// 10,000 connections that do nothing.
    Idle,
    /// The same over TLS.
    IdleTls,
}

/// What is measured beside it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Peer {
    /// Eclipse mosquitto: MQTT, QoS 1, persistent sessions, a second publish as receipt.
    Mosquitto,
}

/// Sizes of the workloads.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scale {
    divide_by: usize,
}

impl Scale {
    pub(crate) fn of(self, full: usize) -> usize {
        (full / self.divide_by).max(2)
    }

    fn seconds(self, full: u64) -> Duration {
        Duration::from_millis(full * 1000 / self.divide_by as u64)
    }
}

pub(crate) fn run(arguments: &Arguments) -> Result<(), Box<dyn Error>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let report = runtime.block_on(measure(arguments));
    report.and_then(|report| report.print(arguments.json)).map_err(|problem| problem as Box<dyn Error>)
}

async fn measure(arguments: &Arguments) -> Outcome<Report> {
    let scale = Scale { divide_by: if arguments.quick { 100 } else { 1 } };
    let wants = |workload| arguments.only.is_empty() || arguments.only.contains(&workload);
    let mut report = Report::new();
    for _ in 0..arguments.rounds.max(1) {
        if wants(Workload::Pairs) {
            report.add(pairs::node("pairs", scale, pairs::BUSY, arguments.verbose).await?);
            if arguments.peer.is_some() {
                report.add(mosquitto::pairs("pairs", scale, pairs::BUSY).await?);
            }
        }
        if wants(Workload::Light) {
            report.add(pairs::node("light", scale, pairs::LIGHT, arguments.verbose).await?);
            if arguments.peer.is_some() {
                report.add(mosquitto::pairs("light", scale, pairs::LIGHT).await?);
            }
        }
        if wants(Workload::Paced) {
            report.add(pairs::node("paced", scale, pairs::PACED, arguments.verbose).await?);
        }
        if wants(Workload::Offline) {
            report.add(offline::node(scale, arguments.verbose).await?);
        }
        if wants(Workload::Idle) {
            report.add(idle::plain(scale, arguments.verbose).await?);
        }
        if wants(Workload::IdleTls) {
            report.add(idle::tls(scale, arguments.verbose).await?);
        }
    }
    Ok(report)
}
