//! `cargo xtask package`: what people install, and how large it is.

mod aar;
mod elf;
mod jar;
mod npm;
pub(crate) mod paths;

pub(crate) use npm::npm;

use std::path::Path;
use std::process::ExitCode;

use crate::kotlin::TOOLS;
use crate::steps::Outcome;
use crate::{debian, workspace};

/// Where packages are put.
const FOLDER: &str = "target/packages";

/// A file that people download, or a part of it, and how large it may be.
pub(crate) struct Size {
    pub(crate) what: String,
    pub(crate) bytes: u64,
    /// Bytes; see the table of budgets in docs/benchmarks.md.
    pub(crate) budget: Option<u64>,
}

impl Size {
    fn is_within_budget(&self) -> bool {
        self.budget.is_none_or(|budget| self.bytes <= budget)
    }
}

/// How a command ends that this machine lacks something for: nothing is wrong, and nothing was made.
pub(crate) const LACKING: u8 = 3;

pub(crate) fn run(arguments: &[&str]) -> ExitCode {
    let done = match arguments {
        ["npm"] => npm::pack(),
        ["jar"] => jar::pack(),
        ["aar"] => {
            let missing = aar::missing();
            if !missing.is_empty() {
                eprintln!("no AAR was made. It needs what is not here:\n{}", missing.join("\n"));
                eprintln!(
                    "Without these, `cargo xtask test android-check` compiles the core for Android, and the tests of xtask"
                );
                eprintln!("(`cargo test --package xtask`) assemble an AAR of made-up libraries and look at it.");
                return ExitCode::from(LACKING);
            }
            aar::pack()
        }
        ["--check"] => return check(),
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

/// `cargo xtask test jar`: that the jar can be made and used, and that its library is as small as it has to be.
pub(crate) fn test_jar() -> Outcome {
    if let Err(missing) = debian::provide(&TOOLS) {
        return Outcome::Skipped(missing);
    }
    let made = jar::pack().and_then(|()| {
        let sizes = jar::sizes()?;
        sizes.iter().for_each(|size| println!("{}", line(size)));
        within_budgets(&sizes)
    });
    made.map_or_else(Outcome::Failed, |()| Outcome::Passed(1))
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

/// What was packed and has a budget, as the benchmark of encryption takes it.
pub(crate) fn libraries() -> Vec<String> {
    let told = |sizes: Result<Vec<Size>, String>| sizes.map_err(|problem| eprintln!("{problem}")).unwrap_or_default();
    let sizes = [npm::sizes(), jar::sizes(), aar::sizes()].into_iter().flat_map(told);
    let library = |size: Size| Some(format!("--library={}={}/{}", size.what, size.bytes, size.budget?));
    sizes.filter_map(library).collect()
}

/// Prints the sizes of what was packed against the budgets.
fn check() -> ExitCode {
    let (mut is_within, mut is_empty) = (true, true);
    println!("\n{:<52} {:>11} budget", "what", "size");
    for (name, sizes) in [("npm", npm::sizes()), ("jar", jar::sizes()), ("aar", aar::sizes())] {
        match sizes {
            Ok(sizes) if sizes.is_empty() => println!("{name}: not packed here: cargo xtask package {name}"),
            Ok(sizes) => {
                is_empty = false;
                for size in sizes {
                    is_within &= size.is_within_budget();
                    println!("{}", line(&size));
                }
            }
            Err(problem) => {
                is_within = false;
                println!("{name}: {problem}");
            }
        }
    }
    match (is_within, is_empty) {
        (false, _) => ExitCode::FAILURE,
        (true, true) => ExitCode::from(LACKING),
        (true, false) => ExitCode::SUCCESS,
    }
}

fn within_budgets(sizes: &[Size]) -> Result<(), String> {
    match sizes.iter().find(|size| !size.is_within_budget()) {
        Some(above) => Err(format!("{} is above its budget: {} bytes", above.what, above.bytes)),
        None => Ok(()),
    }
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

    #[test]
    fn one_byte_above_a_budget_is_refused() {
        let check = |bytes| within_budgets(&[Size { what: "a library".into(), bytes, budget: Some(5) }]);
        assert_eq!(check(5), Ok(()));
        assert_eq!(check(6), Err("a library is above its budget: 6 bytes".into()));
    }
}
