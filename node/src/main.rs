//! The binary: one command a room, see [`commands`].

mod commands;

use std::process::ExitCode;

fn main() -> ExitCode {
    commands::run()
}
