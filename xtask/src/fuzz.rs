//! Coverage-guided fuzzing with cargo-fuzz: every target, for so long.

use std::process::{Command, ExitCode};

use crate::steps::is_installed;

/// The folders with fuzz targets.
const FOLDERS: [&str; 1] = ["core/wire/fuzz"];

pub(crate) fn run(arguments: &[&str]) -> ExitCode {
    let seconds = match arguments {
        [] => "60",
        ["--seconds", seconds] if seconds.parse::<u32>().is_ok() => seconds,
        _ => {
            eprintln!("usage: cargo xtask fuzz [--seconds N]");
            return ExitCode::from(2);
        }
    };
    if !is_installed("cargo-fuzz") {
        eprintln!("cargo-fuzz is not installed: `cargo install cargo-fuzz`, and `rustup toolchain install nightly`");
        return ExitCode::FAILURE;
    }
    let (mut passed, mut failed) = (0, 0);
    for folder in FOLDERS {
        for target in targets(folder) {
            eprintln!("\n> cargo +nightly fuzz run {target} (in {folder}, {seconds} s)");
            let mut command = Command::new("cargo");
            command.args(["+nightly", "fuzz", "run", &target, "--", &format!("-max_total_time={seconds}")]);
            let quiet = command.current_dir(crate::workspace().join(folder)).status();
            if quiet.is_ok_and(|status| status.success()) { passed += 1 } else { failed += 1 }
        }
    }
    println!("{passed} passed, {failed} failed");
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn targets(folder: &str) -> Vec<String> {
    let files = std::fs::read_dir(crate::workspace().join(folder).join("fuzz_targets"));
    let names = files.into_iter().flatten().flatten().map(|file| file.path());
    let mut names: Vec<String> = names.filter_map(|path| Some(path.file_stem()?.to_str()?.to_owned())).collect();
    names.sort();
    names
}
