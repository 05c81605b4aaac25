//! What an operator types: `serve`, and what looks after a node beside it. One command a file.
//!
//! A command says what it did on stdout, and why it could not in one line on stderr, with exit code 1.

mod backup;
mod certificate;
mod check;
mod config;
mod notify;
mod print;
mod serve;
mod settings;
mod stats;
mod user;

use std::path::PathBuf;
use std::process::ExitCode;

use chasqui_node::admin::AdminError;
use chasqui_node::config::ConfigError;
use chasqui_node::relay::RelayError;
use chasqui_node::serve::ServeError;
use chasqui_node::traces::TracesError;
use clap::{CommandFactory as _, FromArgMatches as _, Parser, Subcommand};

/// The Chasqui relay node: passes messages on and forgets them.
#[derive(Parser)]
#[command(name = "chasqui-node", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run the node until SIGTERM or SIGINT.
    Serve(serve::Serve),
    /// Show the configuration that `serve` would use, and where each value comes from.
    Config(config::ShowConfig),
    /// Look whether a stopped node's data, or a backup, is whole.
    Check(check::Check),
    /// Show how much of everything there is, and whose mail fills the disk.
    Stats(stats::ShowStats),
    /// Look at users, or delete an account.
    User(user::User),
    /// Look at devices, or shut one out.
    Device(user::Device),
    /// Copy everything into a folder, while the node runs or not.
    Backup(backup::Backup),
    /// Bring a backup back into an empty data folder.
    Restore(backup::Restore),
}

/// Why a command did not do what it was asked.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error(transparent)]
    Serve(#[from] ServeError),
    #[error(transparent)]
    Traces(#[from] TracesError),
    #[error("the log filter is wrong: {0}")]
    Log(#[from] tracing_subscriber::filter::ParseError),
    #[error("the relay ended unexpectedly; nothing that was accepted is lost")]
    Relay,
    #[error("the node cannot run: {0}")]
    Io(#[from] std::io::Error),
    #[error(transparent)]
    Data(#[from] RelayError),
    #[error(transparent)]
    Admin(#[from] AdminError),
    #[error("{} is not whole; problems found: {problems}", folder.display())]
    Problems { problems: usize, folder: PathBuf },
    #[error("nobody can connect with the certificate as it is")]
    Certificate,
    #[error("there is no user {0}")]
    NoUser(String),
}

/// For a command that asks a node and waits.
fn block_on<T>(asking: impl Future<Output = T>) -> Result<T, Failure> {
    Ok(tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(asking))
}

/// Does what the command line says.
pub(crate) fn run() -> ExitCode {
    let matches = Cli::command().get_matches();
    let Cli { command } = Cli::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
    // Where a value was taken from is only in the matches of the subcommand.
    let given = matches.subcommand().map(|(_, given)| given).expect("a subcommand is required");
    let done = match command {
        Command::Serve(serve) => serve.run(),
        Command::Config(show) => show.run(given),
        Command::Check(check) => check.run(),
        Command::Stats(show) => show.run(),
        Command::User(user) => user.run(),
        Command::Device(device) => device.run(),
        Command::Backup(backup) => backup.run(),
        Command::Restore(restore) => restore.run(),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("chasqui-node: {failure}");
            ExitCode::FAILURE
        }
    }
}
