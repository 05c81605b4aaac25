//! Programs and the library of the bindings, for the steps that run them.
//!
//! Cargo chooses the features of a dependency by all that one command builds. Steps that each named their own packages compiled
//! the half of it anew, in turn; so all of them name the workspace, and find what the unit tests were built of.

use std::path::PathBuf;
use std::process::Command;

use crate::steps::run_command;
use crate::workspace;

/// How something is built.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// As the tests.
    Debug,
    Optimised,
}

/// Builds programs.
pub(crate) fn programs(mode: Mode, names: &[&str]) -> Result<(), String> {
    run_command(&mut building(mode, names))
}

/// Builds the library of the bindings, the node that they are tested with, and what makes their sources.
pub(crate) fn bindings() -> Result<(), String> {
    run_command(building(Mode::Debug, &["chasqui-node", "xtask-bindgen"]).arg("--lib"))
}

/// Where a program is.
pub(crate) fn program(mode: Mode, name: &str) -> PathBuf {
    folder(mode).join(format!("{name}{}", std::env::consts::EXE_SUFFIX))
}

/// Where the library of the bindings is.
pub(crate) fn library() -> PathBuf {
    let name = format!("{}chasqui_ffi{}", std::env::consts::DLL_PREFIX, std::env::consts::DLL_SUFFIX);
    folder(Mode::Debug).join(name)
}

pub(crate) fn cargo() -> Command {
    Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
}

fn building(mode: Mode, names: &[&str]) -> Command {
    let mut build = cargo();
    build.args(["build", "--quiet", "--workspace"]);
    build.args((mode == Mode::Optimised).then_some("--release"));
    build.args(names.iter().flat_map(|name| ["--bin", name]));
    // There are none. That they are asked for makes the features of tests count, as in `cargo test --workspace`.
    build.arg("--examples");
    build
}

fn folder(mode: Mode) -> PathBuf {
    workspace().join(match mode {
        Mode::Debug => "target/debug",
        Mode::Optimised => "target/release",
    })
}
