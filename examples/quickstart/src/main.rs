//! The quickstart: a relay and three devices, each a process of its own, play a conversation over real WebSockets.
//!
//! The processes are this program again, with the hidden subcommands `relay` and `device`. What is reported at the end
//! is read from the devices' databases and the relay's files, never from this program's own bookkeeping.

mod audit;
mod canary;
mod child;
mod device;
mod handset;
mod orders;
mod plan;
mod play;
mod progress;
mod relay;
mod relay_files;
mod report;
mod script;
mod stage;
mod summary;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use crate::report::Report;
use crate::script::Script;

/// A relay and three devices on this machine play a conversation; then the relay's files are searched for what is left.
#[derive(Parser)]
#[command(name = "quickstart", version, args_conflicts_with_subcommands = true)]
struct Cli {
    #[command(flatten)]
    play: Play,
    #[command(subcommand)]
    role: Option<Role>,
}

#[derive(Args)]
struct Play {
    /// JSON Lines to play instead of the built-in conversation: {"from":"ana"|"bo","text":"…"}.
    #[arg(long, value_name = "FILE")]
    transcript: Option<PathBuf>,
    /// Print one JSON object a line, the summary last.
    #[arg(long)]
    json: bool,
    /// Use a running node instead of starting a relay. Nobody can look into its files then.
    #[arg(long, value_name = "URL")]
    node: Option<String>,
    /// Keep the folder with the devices' and the relay's data.
    #[arg(long)]
    keep: bool,
}

#[derive(Subcommand)]
enum Role {
    /// The relay's process.
    #[command(hide = true)]
    Relay {
        #[arg(long)]
        data: PathBuf,
    },
    /// A device's process.
    #[command(hide = true)]
    Device {
        #[arg(long)]
        folder: PathBuf,
        #[arg(long)]
        node: String,
    },
}

/// A wrong transcript; the same as clap's for wrong arguments.
const WRONG_INPUT: u8 = 2;

fn main() -> ExitCode {
    let Cli { play, role } = Cli::parse();
    let runtime = match tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return complain(&error),
    };
    let code = runtime.block_on(async {
        match role {
            None => direct(play).await,
            Some(Role::Relay { data }) => {
                relay::run(data).await.map_or_else(|error| complain(&*error), |()| ExitCode::SUCCESS)
            }
            Some(Role::Device { folder, node }) => {
                device::run(&folder, &node).await.map_or_else(|error| complain(&*error), |()| ExitCode::SUCCESS)
            }
        }
    });
    // A child waits for orders in a blocking read, which never ends by itself.
    runtime.shutdown_background();
    code
}

async fn direct(options: Play) -> ExitCode {
    let script = match options.transcript.as_deref().map_or_else(|| Ok(Script::built_in()), Script::read) {
        Ok(script) => script,
        Err(error) => {
            complain(&error);
            return ExitCode::from(WRONG_INPUT);
        }
    };
    let mut report = Report::new(options.json);
    let played = tokio::select! {
        played = play::play(&script, options.node, options.keep, &mut report) => played,
        _ = tokio::signal::ctrl_c() => return ExitCode::FAILURE,
    };
    match played {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(trouble) => complain(&trouble),
    }
}

fn complain(error: &(impl std::fmt::Display + ?Sized)) -> ExitCode {
    eprintln!("quickstart: {error}");
    ExitCode::FAILURE
}
