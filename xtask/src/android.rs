//! Whether the core and its UniFFI crate compile for Android. Only checked: linking needs the NDK (`cargo xtask package aar`).

use std::process::Command;

use crate::built;
use crate::debian::{self, Tool};
use crate::steps::{Outcome, run_command};
use crate::workspace;

const TARGET: &str = "aarch64-linux-android";
/// Debian's own Rust, whose standard library can be built for any target: rustup has no other targets everywhere.
const DEBIAN: [Tool; 1] = [Tool { program: "/usr/bin/cargo", package: "cargo-web" }];

pub(crate) fn check() -> Outcome {
    let mut command = match rustup() {
        Some(command) => command,
        None => match debians() {
            Ok(command) => command,
            Err(missing) => return Outcome::Skipped(missing),
        },
    };
    command.args(["--quiet", "--package", "chasqui-ffi", "--target", TARGET, "--target-dir"]);
    command.arg(workspace().join("target/android"));
    // Nothing is linked, so the C of SQLite and ring need not be compiled for it.
    command.env("CC_aarch64_linux_android", "/bin/true").env("AR_aarch64_linux_android", "/bin/true");
    match run_command(&mut command) {
        Ok(()) => Outcome::Passed(1),
        Err(problem) => Outcome::Failed(problem),
    }
}

/// Where the target was added to the toolchain in use.
fn rustup() -> Option<Command> {
    let installed = Command::new("rustup").args(["target", "list", "--installed"]).output().ok()?;
    let has_target = String::from_utf8_lossy(&installed.stdout).lines().any(|target| target == TARGET);
    let mut command = built::cargo();
    command.arg("check");
    has_target.then_some(command)
}

fn debians() -> Result<Command, String> {
    let has_sources = || std::path::Path::new("/usr/lib/rustlib/src/rust/library/std").exists();
    if debian::is_debian() && debian::is_root() && !has_sources() {
        debian::install(&["rustc-web", "cargo-web", "rust-web-src"]);
    }
    debian::provide(&DEBIAN)?;
    if !has_sources() {
        return Err(format!("neither rustup's target {TARGET} nor Debian's rust-web-src is installed"));
    }
    let mut command = Command::new("/usr/bin/cargo");
    command.args(["check", "-Zbuild-std=std,panic_abort"]);
    // Debian's compiler is a stable one; building the standard library is not stable yet.
    command.env("RUSTC", "/usr/bin/rustc").env("RUSTC_BOOTSTRAP", "1");
    // What `cargo xtask` was started with points to another toolchain.
    command.env_remove("CARGO").env_remove("RUSTUP_TOOLCHAIN").env_remove("RUSTDOC");
    Ok(command)
}
