//! Coverage-guided fuzzing with cargo-fuzz: every target of every folder, for so long. `cargo xtask test` replays the
//! same targets' seeds without it.

use std::path::Path;
use std::process::{Command, ExitCode};

use crate::steps::is_installed;

/// The folders with fuzz targets: each a workspace of its own.
const FOLDERS: [&str; 2] = ["core/wire/fuzz", "node/fuzz"];

pub(crate) fn run(arguments: &[&str]) -> ExitCode {
    let (seconds, wanted) = match arguments {
        [] => ("60", None),
        ["--seconds", seconds] if is_number(seconds) => (*seconds, None),
        ["--seconds", seconds, target] if is_number(seconds) => (*seconds, Some(*target)),
        _ => {
            eprintln!("usage: cargo xtask fuzz [--seconds N [TARGET]]");
            return ExitCode::from(2);
        }
    };
    let missing = missing();
    if !missing.is_empty() {
        eprintln!("{}", missing.join("\n"));
        return ExitCode::FAILURE;
    }
    let compiler = Compiler::find();
    let (mut quiet, mut found, mut broken) = (0, 0, 0);
    for folder in FOLDERS {
        let targets = targets(&crate::workspace().join(folder));
        for target in targets.iter().filter(|target| wanted.is_none_or(|wanted| wanted == *target)) {
            eprintln!("\n> {} (in {folder}, {seconds} s)", compiler.command_line(target));
            match compiler.fuzz(&crate::workspace().join(folder), target, seconds) {
                Ok(()) => {
                    quiet += 1;
                    println!("{target}: quiet");
                }
                Err(Failure::Finding(finding)) => {
                    found += 1;
                    println!("{finding}\n{target}: FOUND something; it becomes a named test");
                }
                Err(Failure::NotRun(why)) => {
                    broken += 1;
                    println!("{target}: did not run: {why}");
                }
            }
        }
    }
    println!("\n{quiet} quiet, {found} found something, {broken} did not run");
    if found == 0 && broken == 0 && quiet > 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// What has to be installed first, a line each.
fn missing() -> Vec<&'static str> {
    let mut missing = Vec::new();
    if !is_installed("cargo-fuzz") {
        missing.push("cargo-fuzz is not installed: `cargo install cargo-fuzz`");
    }
    if std::env::var_os("CXX").is_none() && !is_installed("c++") {
        missing.push("there is no C++ compiler, which libFuzzer is built with: install g++ or clang, or set CXX");
    }
    missing
}

/// Why a target is not quiet.
enum Failure {
    /// With all that was printed about it.
    Finding(String),
    NotRun(String),
}

fn is_number(text: &str) -> bool {
    text.parse::<u32>().is_ok()
}

/// What instruments the targets.
#[derive(Clone, Copy)]
enum Compiler {
    /// With the address sanitizer, for what the dependencies do unsafely.
    Nightly,
    /// Without a sanitizer: those are not stable. Coverage is.
    Stable,
}

impl Compiler {
    fn find() -> Self {
        let nightly = Command::new("cargo").args(["+nightly", "--version"]).output();
        if nightly.is_ok_and(|nightly| nightly.status.success()) { Self::Nightly } else { Self::Stable }
    }

    /// Ends at the first finding, with all that was printed about it.
    fn fuzz(self, folder: &Path, target: &str, seconds: &str) -> Result<(), Failure> {
        let built = self.command("build", folder, target).status();
        if !built.is_ok_and(|status| status.success()) {
            return Err(Failure::NotRun("it does not compile".to_owned()));
        }
        // What is new goes into the first corpus, and the second keeps to its seeds.
        let (new, seeds) = (folder.join("target/corpus").join(target), folder.join("corpus").join(target));
        std::fs::create_dir_all(&new).map_err(|error| Failure::NotRun(format!("{}: {error}", new.display())))?;
        let mut command = self.command("run", folder, target);
        command.args([&new, &seeds]).args(["--", &format!("-max_total_time={seconds}")]);
        let output = command.output().map_err(|error| Failure::NotRun(error.to_string()))?;
        let said = || Failure::Finding(String::from_utf8_lossy(&output.stderr).into_owned());
        if output.status.success() { Ok(()) } else { Err(said()) }
    }

    fn command(self, what: &str, folder: &Path, target: &str) -> Command {
        let mut command = Command::new("cargo");
        match self {
            Self::Nightly => command.args(["+nightly", "fuzz", what]),
            Self::Stable => command.args(["fuzz", what, "--sanitizer", "none"]).env("RUSTC_BOOTSTRAP", "1"),
        };
        command.arg("--fuzz-dir").arg(folder).arg(target).current_dir(folder);
        command
    }

    /// To be run by hand in the folder.
    fn command_line(self, target: &str) -> String {
        match self {
            Self::Nightly => format!("cargo +nightly fuzz run --fuzz-dir . {target}"),
            Self::Stable => format!("RUSTC_BOOTSTRAP=1 cargo fuzz run --fuzz-dir . --sanitizer none {target}"),
        }
    }
}

fn targets(folder: &Path) -> Vec<String> {
    let files = std::fs::read_dir(folder.join("fuzz_targets"));
    let names = files.into_iter().flatten().flatten().map(|file| file.path());
    let mut names: Vec<String> = names.filter_map(|path| Some(path.file_stem()?.to_str()?.to_owned())).collect();
    names.sort();
    names
}
