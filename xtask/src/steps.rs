//! Commands run one after the other, and what became of each.

use std::process::{Command, ExitCode, Stdio};
use std::time::Instant;

/// One command.
#[derive(Clone, Debug)]
pub(crate) struct Step {
    pub(crate) name: &'static str,
    arguments: Vec<String>,
    environment: Vec<(&'static str, &'static str)>,
    /// A program that not everyone has; without it the step is named as skipped.
    needs: Option<&'static str>,
    /// Part of another step already: runs only when asked for by name.
    alone: bool,
}

/// `cargo ARGUMENTS`.
pub(crate) fn cargo(name: &'static str, arguments: &[&str]) -> Step {
    let arguments = arguments.iter().map(|&argument| argument.to_owned()).collect();
    Step { name, arguments, environment: Vec::new(), needs: None, alone: false }
}

impl Step {
    pub(crate) fn with(mut self, variable: &'static str, value: &'static str) -> Self {
        self.environment.push((variable, value));
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
        self.arguments.retain(|argument| argument != "--release");
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
        eprintln!("\n> cargo {}", step.arguments.join(" "));
        let started = Instant::now();
        let ok = run(step);
        let seconds = started.elapsed().as_secs();
        lines.push(format!("{:>10}  {} in {seconds} s", step.name, if ok { "passed" } else { "FAILED" }));
        if ok { passed += 1 } else { failed += 1 }
    }
    if many {
        println!("\n{}\nsteps: {passed} passed, {failed} failed", lines.join("\n"));
    }
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn run(step: &Step) -> bool {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(&step.arguments).envs(step.environment.iter().copied()).current_dir(crate::workspace());
    match command.status() {
        Ok(status) => status.success(),
        Err(error) => {
            eprintln!("cannot run cargo: {error}");
            false
        }
    }
}

pub(crate) fn is_installed(program: &str) -> bool {
    let version = Command::new(program).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    version.is_ok_and(|status| status.success())
}
