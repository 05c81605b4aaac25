//! Commands run one after the other, and what became of each.

use std::process::{Command, ExitCode, Stdio};
use std::time::Instant;

use crate::built::{self, Mode, cargo as cargo_command};

/// One command, or a room of xtask that runs several.
#[derive(Clone, Debug)]
pub(crate) struct Step {
    pub(crate) name: &'static str,
    work: Work,
    /// A program that not everyone has; without it the step is named as skipped.
    needs: Option<&'static str>,
    /// Part of another step already: runs only when asked for by name.
    alone: bool,
}

#[derive(Clone, Debug)]
enum Work {
    Cargo { arguments: Vec<String>, environment: Vec<(&'static str, &'static str)> },
    Program { name: &'static str, mode: Mode, arguments: Vec<String> },
    Own(fn() -> Outcome),
}

/// What became of a step that counts for itself.
#[derive(Clone, Debug)]
pub(crate) enum Outcome {
    /// That many tests.
    Passed(u32),
    /// Why, for people.
    Failed(String),
    /// What this machine lacks. Never counted as passed.
    Skipped(String),
}

/// `cargo ARGUMENTS`.
pub(crate) fn cargo(name: &'static str, arguments: &[&str]) -> Step {
    let arguments = arguments.iter().map(|&argument| argument.to_owned()).collect();
    Step { name, work: Work::Cargo { arguments, environment: Vec::new() }, needs: None, alone: false }
}

/// A program of the workspace, optimised.
pub(crate) fn program(step: &'static str, name: &'static str, arguments: &[&str]) -> Step {
    let arguments = arguments.iter().map(|&argument| argument.to_owned()).collect();
    let work = Work::Program { name, mode: Mode::Optimised, arguments };
    Step { name: step, work, needs: None, alone: false }
}

/// A step with a room of its own.
pub(crate) fn own(name: &'static str, run: fn() -> Outcome) -> Step {
    Step { name, work: Work::Own(run), needs: None, alone: false }
}

impl Step {
    pub(crate) fn with(mut self, variable: &'static str, value: &'static str) -> Self {
        if let Work::Cargo { environment, .. } = &mut self.work {
            environment.push((variable, value));
        }
        self
    }

    pub(crate) fn needs(mut self, program: &'static str) -> Self {
        self.needs = Some(program);
        self
    }

    pub(crate) fn alone(mut self) -> Self {
        self.alone = true;
        self
    }

    pub(crate) fn is_alone(&self) -> bool {
        self.alone
    }

    /// Shares the build of the tests instead of asking for an optimised one.
    pub(crate) fn in_debug(mut self) -> Self {
        if let Work::Program { mode, .. } = &mut self.work {
            *mode = Mode::Debug;
        }
        self
    }
}

/// Runs the steps, all of them, and sums up.
#[expect(clippy::disallowed_methods, reason = "people want to know which step takes long")]
pub(crate) fn run_all(steps: &[Step]) -> ExitCode {
    let many = steps.len() > 1;
    let mut lines = Vec::new();
    let (mut failed, mut passed) = (0, 0);
    for step in steps.iter().filter(|step| !(many && step.alone)) {
        if let Some(program) = step.needs.filter(|program| !is_installed(program)) {
            lines.push(format!("{:>10}  skipped: {program} is not installed", step.name));
            continue;
        }
        let started = Instant::now();
        let said = match run(step) {
            Ok(()) => {
                passed += 1;
                "passed".to_owned()
            }
            Err(Trouble::Failed) => {
                failed += 1;
                "FAILED".to_owned()
            }
            Err(Trouble::Skipped(why)) => {
                lines.push(format!("{:>10}  skipped: {why}", step.name));
                continue;
            }
        };
        lines.push(format!("{:>10}  {said} in {} s", step.name, started.elapsed().as_secs()));
    }
    if many {
        println!("\n{}\nsteps: {passed} passed, {failed} failed", lines.join("\n"));
    }
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Why a step did not pass.
enum Trouble {
    Failed,
    Skipped(String),
}

fn run(step: &Step) -> Result<(), Trouble> {
    match &step.work {
        Work::Cargo { arguments, environment } => {
            let mut command = cargo_command();
            command.args(arguments).envs(environment.iter().copied());
            run_command(&mut command).map_err(|_| Trouble::Failed)
        }
        Work::Program { name, mode, arguments } => {
            let built = built::programs(*mode, &[name]);
            let ran = built.and_then(|()| run_command(Command::new(built::program(*mode, name)).args(arguments)));
            ran.map_err(|_| Trouble::Failed)
        }
        Work::Own(run) => match run() {
            Outcome::Passed(tests) => {
                println!("{}: {tests} passed, 0 failed", step.name);
                Ok(())
            }
            Outcome::Failed(why) => {
                println!("{}: FAILED: {why}", step.name);
                Err(Trouble::Failed)
            }
            Outcome::Skipped(why) => {
                println!("{}: skipped: {why}", step.name);
                Err(Trouble::Skipped(why))
            }
        },
    }
}

/// Runs a command in the workspace, unless it says where, and shows what it is.
///
/// # Errors
/// What it was and how it ended, if not well.
pub(crate) fn run_command(command: &mut Command) -> Result<(), String> {
    let shown = shown(command);
    eprintln!("\n> {shown}");
    if command.get_current_dir().is_none() {
        command.current_dir(crate::workspace());
    }
    match command.status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("`{shown}` ended with {status}")),
        Err(error) => Err(format!("cannot run `{shown}`: {error}")),
    }
}

/// To be run by hand in the workspace.
fn shown(command: &Command) -> String {
    let program = std::path::Path::new(command.get_program());
    let inside = program.strip_prefix(crate::workspace()).ok();
    let program = inside.or(program.file_name().map(std::path::Path::new)).unwrap_or(program);
    let root = format!("{}/", crate::workspace().display());
    let arguments = command.get_args().map(|argument| format!(" {}", argument.to_string_lossy().replace(&root, "")));
    format!("{}{}", program.display(), arguments.collect::<String>())
}

pub(crate) fn is_installed(program: &str) -> bool {
    let version = Command::new(program).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    version.is_ok_and(|status| status.success())
}
