//! Whether the core and its UniFFI crate compile for the processors of telephones. Only checked: to link takes an NDK or Xcode.

use std::path::Path;
use std::process::Command;

use crate::built;
use crate::debian::{self, Tool};
use crate::steps::{Outcome, run_command};
use crate::workspace;

/// Debian's own Rust, whose standard library can be built for any target: rustup has no other targets everywhere.
const DEBIAN: [Tool; 1] = [Tool { program: "/usr/bin/cargo", package: "cargo-web" }];
const ANDROID: &str = "aarch64-linux-android";
pub(crate) const IOS: &str = "aarch64-apple-ios";

/// `cargo xtask test android-check`.
pub(crate) fn android() -> Outcome {
    check(ANDROID, "target/android")
}

/// With rustup's target where it was added to the toolchain in use, otherwise with Debian's Rust.
pub(crate) fn check(target: &str, folder: &str) -> Outcome {
    let mut command = match rustup(target).map_or_else(debians, Ok) {
        Ok(command) => command,
        Err(missing) => return Outcome::Skipped(format!("rustup has no target {target} here, and {missing}")),
    };
    command.args(["--quiet", "--package", "chasqui-ffi", "--target", target, "--target-dir"]);
    command.arg(workspace().join(folder));
    // Nothing is linked, so the C of SQLite and ring need not be compiled for it.
    for tool in ["CC", "AR"] {
        command.env(format!("{tool}_{}", target.replace('-', "_")), "/bin/true");
    }
    // Where Apple's headers would be.
    command.env("SDKROOT", workspace());
    match run_command(&mut command) {
        Ok(()) => Outcome::Passed(1),
        Err(problem) => Outcome::Failed(problem),
    }
}

fn rustup(target: &str) -> Option<Command> {
    let library = Command::new("rustc").args(["--print", "target-libdir", "--target", target]).output().ok()?;
    let has_target = Path::new(String::from_utf8_lossy(&library.stdout).trim()).exists();
    let mut command = built::cargo();
    command.arg("check");
    (library.status.success() && has_target).then_some(command)
}

fn debians() -> Result<Command, String> {
    let has_sources = || Path::new("/usr/lib/rustlib/src/rust/library/std").exists();
    if debian::is_debian() && debian::is_root() && !has_sources() {
        debian::install(&["rustc-web", "cargo-web", "rust-web-src"]);
    }
    debian::provide(&DEBIAN)?;
    if !has_sources() {
        return Err("Debian's rust-web-src is not installed".into());
    }
    let mut command = Command::new("/usr/bin/cargo");
    command.args(["check", "-Zbuild-std=std,panic_abort"]);
    // Debian's compiler is a stable one; building the standard library is not stable yet.
    command.env("RUSTC", "/usr/bin/rustc").env("RUSTC_BOOTSTRAP", "1");
    // What `cargo xtask` was started with points to another toolchain.
    command.env_remove("CARGO").env_remove("RUSTUP_TOOLCHAIN").env_remove("RUSTDOC");
    Ok(command)
}
