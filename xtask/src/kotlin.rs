//! The Kotlin SDK on the JVM: its library and its Kotlin are made, then Maven compiles, tests and packs.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::built::{self, Mode};
use crate::debian::{self, Tool};
use crate::metadata;
use crate::package::paths;
use crate::steps::{Outcome, run_command};
use crate::workspace;

pub(crate) const TOOLS: [Tool; 2] =
    [Tool { program: "java", package: "openjdk-17-jdk-headless" }, Tool { program: "mvn", package: "maven" }];

/// `cargo xtask test kotlin`: the tests of the SDK, against the real node, and the sample.
pub(crate) fn test() -> Outcome {
    if let Err(missing) = debian::provide(&TOOLS) {
        return Outcome::Skipped(missing);
    }
    let made = prepare(Profile::Debug).and_then(|()| maven("bindings/kotlin", &["install"]));
    // As somebody's own program, which knows the packed library only.
    let made = made.and_then(|()| maven("examples/kotlin", &["package"]));
    // Maven fails when a test does: what it counted is told all the same.
    let counted = count(&workspace().join("target/kotlin/maven/surefire-reports"));
    match (made, counted) {
        (Ok(()), Some(Counted { passed, failed: 0 })) if passed > 0 => Outcome::Passed(passed),
        (_, Some(Counted { passed, failed })) if failed > 0 => {
            Outcome::Failed(format!("{passed} passed, {failed} failed"))
        }
        (Err(problem), _) => Outcome::Failed(problem),
        (Ok(()), _) => Outcome::Failed("no test ran".to_owned()),
    }
}

/// How the library is built.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Profile {
    Debug,
    /// As people get it: small, stripped, and without a word about this machine.
    Release,
}

/// Puts the library of this machine and its Kotlin where the Maven build takes them.
pub(crate) fn prepare(profile: Profile) -> Result<(), String> {
    // What UniFFI reads is stripped from a small library; what it makes is the same from any.
    built::bindings()?;
    let library = match profile {
        Profile::Debug => built::library(),
        Profile::Release => release_library()?,
    };
    let name = library.file_name().unwrap_or_default();
    let native = workspace().join("target/kotlin/native");
    let told = |error: std::io::Error| format!("{}: {error}", native.display());
    // Of another profile or machine there may be one from before.
    for stale in [&native, &workspace().join("target/kotlin/generated"), &workspace().join("target/kotlin/maven")] {
        if stale.exists() {
            std::fs::remove_dir_all(stale).map_err(told)?;
        }
    }
    let place = native.join(jna_platform());
    std::fs::create_dir_all(&place).map_err(told)?;
    std::fs::copy(&library, place.join(name)).map_err(told)?;

    let mut generate = Command::new(built::program(Mode::Debug, "xtask-bindgen"));
    run_command(generate.arg("kotlin").arg(built::library()).arg(workspace().join("target/kotlin/generated")))
}

fn release_library() -> Result<PathBuf, String> {
    // Apart from other builds, which have other flags.
    let folder = workspace().join("target/package");
    let mut build = built::cargo();
    build.arg("rustc").args(SHARED).arg("--quiet").arg("--target-dir").arg(&folder);
    small(&mut build);
    paths::give(&paths::flags(), &mut build);
    if cfg!(target_os = "linux") {
        build.arg("--").arg(format!("-Clink-arg={}", metadata::hide(&folder)?.display()));
    }
    run_command(&mut build)?;
    Ok(folder.join("release").join(built::library().file_name().unwrap_or_default()))
}

/// What `cargo rustc` makes the shared library of, and nothing beside it: while a Rust library is made too, cargo does not
/// optimise across crates, which costs 1.2 MB.
pub(crate) const SHARED: [&str; 6] = ["--release", "--package", "chasqui-ffi", "--lib", "--crate-type", "cdylib"];

/// Has a library built that is as small as it gets. Unwinding stays: by it a panic becomes an exception. But not through C: no panic
/// gets there, because `rusqlite` catches those of what SQLite calls.
pub(crate) fn small(build: &mut Command) {
    let mut flags = std::env::var_os("CFLAGS").unwrap_or_default();
    flags.push(" -fno-asynchronous-unwind-tables -fno-unwind-tables");
    build.env("CFLAGS", flags);
    for (setting, value) in [("OPT_LEVEL", "z"), ("LTO", "fat"), ("CODEGEN_UNITS", "1"), ("STRIP", "symbols")] {
        build.env(format!("CARGO_PROFILE_RELEASE_{setting}"), value);
    }
}

/// Runs Maven in a folder of the workspace, with what it downloads in `target/`.
pub(crate) fn maven(folder: &str, goals: &[&str]) -> Result<(), String> {
    let mut command = Command::new("mvn");
    command.args(["--quiet", "--batch-mode", "--file"]).arg(workspace().join(folder));
    command.arg(property("maven.repo.local", &workspace().join("target/maven")));
    // One for each of the two transports that Maven has had.
    command.args(["-Daether.connector.http.retryHandler.count=5", "-Dmaven.wagon.http.retryHandler.count=5"]);
    run_command(command.args(goals))
}

fn property(name: &str, path: &Path) -> OsString {
    let mut property = OsString::from(format!("-D{name}="));
    property.push(path);
    property
}

/// The folder of a jar in which JNA looks for this machine's libraries.
fn jna_platform() -> String {
    let system = match std::env::consts::OS {
        "macos" => "darwin",
        "windows" => "win32",
        other => other,
    };
    let architecture = match std::env::consts::ARCH {
        "x86_64" => "x86-64",
        other => other,
    };
    format!("{system}-{architecture}")
}

struct Counted {
    passed: u32,
    failed: u32,
}

/// Sums up the reports; `None` where there is none.
fn count(reports: &Path) -> Option<Counted> {
    let files = std::fs::read_dir(reports).ok()?.flatten().map(|file| file.path());
    let reports: Vec<PathBuf> =
        files.filter(|path| path.extension().is_some_and(|extension| extension == "xml")).collect();
    let mut counted = Counted { passed: 0, failed: 0 };
    for report in &reports {
        let report = std::fs::read_to_string(report).ok()?;
        let suite = report.split_once("<testsuite ")?.1.split_once('>')?.0;
        let attribute = |name: &str| suite.split_once(&format!(" {name}=\""))?.1.split_once('"')?.0.parse::<u32>().ok();
        let failed = attribute("failures")? + attribute("errors")?;
        counted.failed += failed;
        counted.passed += attribute("tests")? - failed - attribute("skipped")?;
    }
    if reports.is_empty() { None } else { Some(counted) }
}
