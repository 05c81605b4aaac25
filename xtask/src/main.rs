//! `cargo xtask`: the project's own commands. Each prints what it runs, so that it can be run by hand.

mod built;
mod cross;
mod debian;
mod fuzz;
mod kotlin;
mod languages;
mod metadata;
mod package;
mod site;
mod steps;
mod swift;
mod web;
mod xcframework;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use steps::{Step, cargo, own, program, run_all, run_all_quietly};

const HELP: &str = "\
cargo xtask COMMAND

  test [NAME]      everything that must pass: format, lints, every test, a short simulation.
                   NAME = fmt | clippy | unit | docs | sim | sim-e2ee | mutants | crash | quickstart | kotlin | android-check |
                   swift | web | four-languages | ios-check | deny runs that step
                   only. What Debian's packages bring is installed, if we may; what is missing is named as skipped
  sim [ARGUMENTS]  the simulation: --seeds N [--from N], --seed N (replay), --mutant NAME, --mutants, --all-mutants,
                   --weather NAME, --profile e2ee
  bench WHAT [ARGUMENTS]  measures: relay | core | e2ee, see --help of each; figures are in docs/benchmarks.md
                   crash kills the node (`kill -9`) ten times in the middle of the offline workload
  ci               what a change must pass before it lands: test, the size of the libraries, and a long simulation. What each step says is in
                   target/ci/NAME.log; shown is the end of what failed
  fuzz [--seconds N [TARGET]]  every fuzz target, or one, for so long (needs cargo-fuzz; better with a nightly)
  web [--node URL] serves the sample page of the npm package, with a node for development if none is given
  package WHAT     packs what people install: npm | jar (the JVM, this machine) | aar (Android, needs its NDK) | xcframework
                   (Apple, needs a Mac); --check looks at all that was packed and prints sizes against the budgets.
                   Ends with 1 when something is wrong or above its budget, 3 when this machine lacks what it takes
  docs [LANGUAGE]  the documentation of the API: rust | kotlin | typescript | swift, or all, in target/doc-site
  proto            generates the Rust of the .proto files
  help             this
";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments.as_slice() {
        ["test"] => run_all(&tests()),
        ["test", name] => {
            let mut steps: Vec<Step> = tests().into_iter().filter(|step| step.name == *name).collect();
            steps.extend(long().into_iter().filter(|step| step.name == *name));
            if steps.is_empty() {
                return refuse(&format!("no step is called {name}"));
            }
            // One after the other, each as if it had been asked for.
            let all = steps.iter().map(|step| run_all(std::slice::from_ref(step)));
            all.fold(ExitCode::SUCCESS, |so_far, next| if so_far == ExitCode::SUCCESS { next } else { so_far })
        }
        ["ci"] => run_all_quietly(&ci()),
        ["sim", rest @ ..] => run_all(&[simulation("sim", rest)]),
        ["bench", rest @ ..] => bench(rest),
        ["fuzz", rest @ ..] => fuzz::run(rest),
        ["web"] => web::serve(None),
        ["web", "--node", url] => web::serve(Some(url)),
        ["package", "xcframework"] => xcframework::package(),
        ["package", rest @ ..] => package::run(rest),
        ["docs"] => site::make(None),
        ["docs", language] => site::make(Some(language)),
        ["proto"] => run_all(&[cargo("proto", &["run", "--quiet", "--package", "xtask-proto"])]),
        ["help" | "--help" | "-h"] | [] => {
            print!("{HELP}");
            ExitCode::SUCCESS
        }
        other => refuse(&format!("unknown command {}", other.join(" "))),
    }
}

fn tests() -> Vec<Step> {
    vec![
        cargo("fmt", &["fmt", "--all", "--check"]).needs("cargo-fmt"),
        cargo("clippy", &["clippy", "--workspace", "--all-targets", "--quiet", "--", "-D", "warnings"])
            .needs("cargo-clippy"),
        cargo("unit", &["test", "--workspace", "--quiet"]),
        cargo("docs", &["doc", "--workspace", "--no-deps", "--quiet"]).with("RUSTDOCFLAGS", "-D warnings"),
        simulation("sim", &["--seeds", "60"]).in_debug(),
        simulation("sim-e2ee", &["--profile", "e2ee", "--seeds", "60"]).in_debug(),
        simulation("mutants", &["--all-mutants", "--seeds", "200"]).in_debug(),
        cargo("crash", &["test", "--quiet", "--package", "chasqui-tests", "--test", "crash", "--", "--nocapture"])
            .alone(),
        cargo("crash", &["build", "--quiet", "--package", "chasqui-node"]).alone(),
        cargo("crash", &["run", "--quiet", "--package", "chasqui-bench", "--", "crash"]).alone(),
        cargo("full-disk", &["test", "--quiet", "--package", "chasqui-tests", "--", "full_disk", "--ignored"])
            .needs("mount")
            .alone(),
        cargo("quickstart", &["test", "--quiet", "--package", "quickstart"]).alone(),
        own("kotlin", kotlin::test),
        own("android-check", cross::android).leaving(&["android"]),
        own("swift", swift::test),
        own("web", web::test),
        own("four-languages", languages::test).leaving(&["swift-toolchain", "swift", "web", "languages"]),
        own("ios-check", xcframework::check).leaving(&["ios-check"]),
        cargo("deny", &["deny", "check", "licenses", "bans", "sources"]).needs("cargo-deny"),
    ]
}

fn ci() -> Vec<Step> {
    let mut steps = tests();
    steps.retain(|step| !step.is_alone());
    steps.extend(long());
    steps
}

/// What a change must pass beside the tests.
fn long() -> Vec<Step> {
    vec![
        own("jar", package::test_jar).leaving(&["package", "kotlin", "maven"]),
        simulation("sim-long", &["--seeds", "500"]),
        simulation("sim-storm", &["--weather", "storm", "--seeds", "200"]),
        simulation("sim-strangers", &["--weather", "strangers", "--seeds", "200"]),
        program("run", "quickstart", &["--json"]),
    ]
}

/// The node is built first, because it is measured as a process of its own.
fn bench(arguments: &[&str]) -> ExitCode {
    let built = run_all(&[cargo("build", &["build", "--quiet", "--release", "--package", "chasqui-node"])]);
    if built != ExitCode::SUCCESS {
        return built;
    }
    let mut run = vec!["run", "--quiet", "--release", "--package", "chasqui-bench", "--"];
    run.extend(arguments);
    // Only shown: a benchmark fails for no size, and not for what was not packed here.
    let libraries = if arguments.first() == Some(&"e2ee") { package::libraries() } else { Vec::new() };
    run.extend(libraries.iter().map(String::as_str));
    run_all(&[cargo("bench", &run)])
}

fn simulation(name: &'static str, arguments: &[&str]) -> Step {
    program(name, "sim", arguments)
}

fn refuse(problem: &str) -> ExitCode {
    eprintln!("{problem}\n\n{HELP}");
    ExitCode::from(2)
}

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("xtask lies in the workspace").to_path_buf()
}
