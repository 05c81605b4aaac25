//! The device's history: catch-up beside bare SQLite, then lists, timelines and search on a large one.
//!
//! Everything is made from a seed in a temporary folder, and removed with it.

mod bare;
mod catch_up;
pub(crate) mod clock;
pub(crate) mod device;
pub(crate) mod mail;
mod reading;
pub(crate) mod report;
pub(crate) mod rng;
pub(crate) mod texts;

use std::error::Error;

use self::reading::Calls;
use self::report::Report;

/// What to measure.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
    /// Messages in the large history.
    #[arg(long, default_value_t = 1_000_000)]
    messages: usize,
    /// Conversations in the large history, and in the backlog.
    #[arg(long, default_value_t = 5_000)]
    conversations: usize,
    /// Messages in the backlog.
    #[arg(long, default_value_t = 100_000)]
    backlog: usize,
    /// How often the backlog is caught up with, by the core and by bare SQLite in turn.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Decides every text, id and query.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// A few hundred messages: shows that the benchmark works, and measures nothing.
    #[arg(long)]
    quick: bool,
}

pub(crate) fn run(arguments: &Arguments) -> Result<(), Box<dyn Error>> {
    let Arguments { mut messages, mut conversations, mut backlog, mut rounds, .. } = *arguments;
    let mut calls = Calls { cold: 11, warm: 200 };
    if arguments.quick {
        (messages, conversations, backlog, rounds) = (600, 20, 300, 1);
        calls = Calls { cold: 1, warm: 2 };
    }
    if messages == 0 || conversations == 0 || backlog == 0 || rounds == 0 {
        return Err("there must be at least one message, conversation and round".into());
    }
    let folder = tempfile::tempdir()?;
    eprintln!("catching up with {backlog} messages, {rounds} times, beside bare SQLite ...");
    let catch_up = catch_up::measure(folder.path(), arguments.seed, backlog, conversations, rounds)?;
    eprintln!("making a history of {messages} messages in {conversations} conversations, and reading it ...");
    let reading = reading::measure(folder.path(), arguments.seed, messages, conversations, calls)?;
    let report = Report::new(catch_up, reading);
    if arguments.json {
        println!("{}", serde_json::to_string_pretty(&report)?);
    } else {
        print!("{report}");
    }
    Ok(())
}
