//! End-to-end encryption: what a message and a change cost in groups of several sizes, and catch-up beside the same mail unencrypted.
//!
//! All runs on a pool of one thread, as the client's engine does: openmls works by rayon, and what other threads did would not be
//! counted.

mod catch_up;
mod groups;
mod mail;
mod report;

use std::error::Error;

use self::groups::Times;
use self::report::{Library, Report};

/// What to measure.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
    /// Sizes of groups.
    #[arg(long, value_delimiter = ',', default_values_t = [2, 10, 100, 1_000])]
    devices: Vec<usize>,
    /// Messages in the backlog.
    #[arg(long, default_value_t = 10_000)]
    backlog: usize,
    /// Conversations in the backlog.
    #[arg(long, default_value_t = 100)]
    conversations: usize,
    /// How often the backlog is caught up with, encrypted and not, in turn.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Decides every text and id. Keys of groups are random all the same.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// How large a packed library is, and may be: NAME=BYTES/BUDGET. It is reported beside the rest.
    #[arg(long, value_parser = Library::parse)]
    library: Vec<Library>,
    /// A few messages: shows that the benchmark works, and measures nothing.
    #[arg(long)]
    quick: bool,
}

pub(crate) fn run(arguments: &Arguments) -> Result<(), Box<dyn Error>> {
    let Arguments { mut backlog, mut conversations, mut rounds, seed, quick, .. } = *arguments;
    let mut sizes = arguments.devices.clone();
    if quick {
        (sizes, backlog, conversations, rounds) = (vec![2, 5], 300, 5, 1);
    }
    if backlog == 0 || conversations == 0 || rounds == 0 || sizes.iter().any(|&devices| devices < 2) {
        return Err("there must be at least one message, conversation and round, and two devices".into());
    }
    let measure = || -> Result<Report, Box<dyn Error>> {
        let folder = tempfile::tempdir()?;
        let mut groups = Vec::new();
        for &devices in &sizes {
            eprintln!("a group of {devices} devices ...");
            let times = if quick { Times::QUICK } else { Times::of(devices) };
            groups.push(groups::measure(folder.path(), seed, devices, times)?);
        }
        eprintln!("catching up with {backlog} messages, {rounds} times, encrypted and not ...");
        let catch_up = catch_up::measure(folder.path(), seed, backlog, conversations, rounds)?;
        Ok(Report::new(groups, catch_up, arguments.library.clone()))
    };
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build()?;
    let report = pool.install(|| measure().map_err(|error| error.to_string()))?;
    if arguments.json {
        println!("{}", serde_json::to_string_pretty(&report)?);
    } else {
        print!("{report}");
    }
    Ok(())
}
