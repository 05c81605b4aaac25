//! `cargo xtask package`: what people install, and how large it is.

mod aar;
mod elf;
mod jar;
mod npm;
pub(crate) mod paths;

pub(crate) use npm::npm;

use std::path::Path;
use std::process::ExitCode;

use crate::workspace;

/// Where packages are put.
const FOLDER: &str = "target/packages";

/// A file that people download, or a part of it, and how large it may be.
pub(crate) struct Size {
    pub(crate) what: String,
    pub(crate) bytes: u64,
    /// Bytes; see the table of budgets in docs/benchmarks.md.
    pub(crate) budget: Option<u64>,
}

pub(crate) fn run(arguments: &[&str]) -> ExitCode {
    let done = match arguments {
        ["npm"] => return ended(npm::pack()),
        ["jar"] => jar::pack(),
        ["aar"] => aar::pack(),
        ["--check"] => {
            let native = check();
            let npm = ended(npm::pack());
            return if native == ExitCode::SUCCESS { npm } else { native };
        }
        _ => {
            eprintln!("usage: cargo xtask package npm | jar | aar | xcframework | --check");
            return ExitCode::from(2);
        }
    };
    match done {
        Ok(()) => check(),
        failed @ Err(_) => ended(failed),
    }
}

fn ended(done: Result<(), String>) -> ExitCode {
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            eprintln!("{problem}");
            ExitCode::FAILURE
        }
    }
}

/// Prints the sizes of what was packed against the budgets.
fn check() -> ExitCode {
    let mut is_within = true;
    for (name, sizes) in [("jar", jar::sizes()), ("aar", aar::sizes())] {
        match sizes {
            Ok(sizes) if sizes.is_empty() => println!("{name}: not packed here: cargo xtask package {name}"),
            Ok(sizes) => {
                for size in sizes {
                    is_within &= size.budget.is_none_or(|budget| size.bytes <= budget);
                    println!("{}", line(&size));
                }
            }
            Err(problem) => {
                is_within = false;
                println!("{name}: {problem}");
            }
        }
    }
    if is_within { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn line(size: &Size) -> String {
    let kib = |bytes: u64| bytes.div_ceil(1024);
    let judged = match size.budget {
        Some(budget) if size.bytes <= budget => format!("of {} KiB", kib(budget)),
        Some(budget) => format!("ABOVE {} KiB", kib(budget)),
        None => String::new(),
    };
    format!("{:<52} {:>7} KiB {judged}", size.what, kib(size.bytes))
}

/// The size of a file.
fn bytes(path: &Path) -> Result<u64, String> {
    std::fs::metadata(path).map(|file| file.len()).map_err(|error| told(path, &error))
}

fn told(path: &Path, error: &std::io::Error) -> String {
    let shown = path.strip_prefix(workspace()).unwrap_or(path);
    format!("{}: {error}", shown.display())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_is_judged_by_its_budget() {
        let size = |bytes, budget| line(&Size { what: "a library".into(), bytes, budget });
        assert!(size(5 * 1024, Some(5 * 1024)).ends_with("5 KiB of 5 KiB"));
        assert!(size(5 * 1024 + 1, Some(5 * 1024)).ends_with("6 KiB ABOVE 5 KiB"));
        assert!(size(1, None).trim_end().ends_with("1 KiB"));
    }
}
