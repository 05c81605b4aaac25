//! The benchmarks. Figures are ratios within one run, or CPU per message: what a busy machine disturbs least.

mod core;
mod e2ee;
mod relay;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(name = "bench")]
struct Cli {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// The node as a process of its own, under the workloads by which its peers were measured.
    Relay(relay::Arguments),
    /// The offline workload with a node that is killed again and again.
    Crash(relay::crash::Arguments),
    /// The device's history: catch-up, lists, timelines, search.
    Core(core::Arguments),
    /// End-to-end encryption: groups of several sizes, and catch-up.
    E2ee(e2ee::Arguments),
}

fn main() -> ExitCode {
    let done = match Cli::parse().what {
        What::Relay(arguments) => relay::run(&arguments),
        What::Crash(arguments) => relay::crash::run(&arguments),
        What::Core(arguments) => core::run(&arguments),
        What::E2ee(arguments) => e2ee::run(&arguments),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            eprintln!("bench: {problem}");
            ExitCode::FAILURE
        }
    }
}
