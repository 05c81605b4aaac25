//! Commands run one after the other, and what became of each.

use std::fmt;
use std::fs::File;
use std::path::Path;
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
    /// Folders of `target` that no later step needs.
    leaves: &'static [&'static str],
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
    Step { name, work: Work::Cargo { arguments, environment: Vec::new() }, needs: None, alone: false, leaves: &[] }
}

/// A program of the workspace, optimised.
pub(crate) fn program(step: &'static str, name: &'static str, arguments: &[&str]) -> Step {
    let arguments = arguments.iter().map(|&argument| argument.to_owned()).collect();
    let work = Work::Program { name, mode: Mode::Optimised, arguments };
    Step { name: step, work, needs: None, alone: false, leaves: &[] }
}

/// A step with a room of its own.
pub(crate) fn own(name: &'static str, run: fn() -> Outcome) -> Step {
    Step { name, work: Work::Own(run), needs: None, alone: false, leaves: &[] }
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

    /// On a machine that is thrown away, what is of no use any more makes room.
    pub(crate) fn leaving(mut self, folders: &'static [&'static str]) -> Self {
        self.leaves = folders;
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

/// What a step ends with that this machine cannot run.
const SKIPPED: u8 = 3;

/// Runs the steps, all of them, and sums up.
pub(crate) fn run_all(steps: &[Step]) -> ExitCode {
    let many = steps.len() > 1;
    let all = steps.iter().filter(|step| !(many && step.alone));
    let ended: Vec<Ended> = all.map(|step| Ended::after(step, || run(step))).collect();
    if many { sum_up(&ended) } else { ended.first().map_or(ExitCode::SUCCESS, Ended::code) }
}

/// As [`run_all`], each step a process whose output goes into a file of its own: shown is what failed, at the end, where whoever looks
/// after a machine that is gone looks first.
pub(crate) fn run_all_quietly(steps: &[Step]) -> ExitCode {
    let folder = crate::workspace().join("target/ci");
    let mut ended = Vec::new();
    for step in steps {
        ended.push(Ended::after(step, || run_apart(step, &folder)));
        let free = room();
        for left in step.leaves {
            // What cannot be removed costs room, and nothing else.
            let _ = std::fs::remove_dir_all(crate::workspace().join("target").join(left));
        }
        println!("{:>14}  {free} free", "");
    }
    for failed in ended.iter().filter(|step| matches!(step.outcome, Err(Trouble::Failed))) {
        println!("\n== the end of {} ==", failed.name);
        println!("{}", end_of(&folder.join(failed.name).with_extension("log")));
    }
    sum_up(&ended)
}

struct Ended {
    name: &'static str,
    outcome: Result<(), Trouble>,
    seconds: u64,
}

impl Ended {
    #[expect(clippy::disallowed_methods, reason = "people want to know which step takes long")]
    fn after(step: &Step, run: impl FnOnce() -> Result<(), Trouble>) -> Self {
        let started = Instant::now();
        let outcome = match step.needs.filter(|program| !is_installed(program)) {
            Some(program) => Err(Trouble::Skipped(format!("{program} is not installed"))),
            None => run(),
        };
        let ended = Self { name: step.name, outcome, seconds: started.elapsed().as_secs() };
        println!("{ended}");
        ended
    }

    fn code(&self) -> ExitCode {
        match self.outcome {
            Ok(()) => ExitCode::SUCCESS,
            Err(Trouble::Failed) => ExitCode::FAILURE,
            Err(Trouble::Skipped(_)) => ExitCode::from(SKIPPED),
        }
    }
}

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, outcome, seconds } = self;
        match outcome {
            Ok(()) => write!(f, "{name:>14}  passed in {seconds} s"),
            Err(Trouble::Failed) => write!(f, "{name:>14}  FAILED in {seconds} s"),
            Err(Trouble::Skipped(why)) => write!(f, "{name:>14}  skipped: {why}"),
        }
    }
}

fn sum_up(ended: &[Ended]) -> ExitCode {
    println!();
    for step in ended {
        println!("{step}");
    }
    let count = |wanted: fn(&Result<(), Trouble>) -> bool| ended.iter().filter(|step| wanted(&step.outcome)).count();
    let failed = count(|outcome| matches!(outcome, Err(Trouble::Failed)));
    println!("steps: {} passed, {failed} failed", count(Result::is_ok));
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// What the disk has left, as `df` says it: machines that are full fail in many ways.
fn room() -> String {
    let mut df = Command::new("df");
    df.args(["-h", "--output=avail"]).arg(crate::workspace());
    let said = df.output().map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
    said.lines().last().unwrap_or("unknown").trim().to_owned()
}

/// `cargo xtask test NAME`, as its own process.
fn run_apart(step: &Step, folder: &Path) -> Result<(), Trouble> {
    let told = |error: std::io::Error| {
        println!("{}: {error}", folder.display());
        Trouble::Failed
    };
    std::fs::create_dir_all(folder).map_err(told)?;
    let path = folder.join(step.name).with_extension("log");
    let log = File::create(&path).map_err(told)?;
    let own = std::env::current_exe().map_err(told)?;
    let mut command = Command::new(own);
    command.args(["test", step.name]).stdin(Stdio::null()).stderr(log.try_clone().map_err(told)?).stdout(log);
    let status = command.status().map_err(told)?;
    match status.code() {
        Some(0) => Ok(()),
        Some(code) if code == i32::from(SKIPPED) => {
            let said = end_of(&path);
            let why = said.lines().last().and_then(|line| line.split_once("skipped: "));
            Err(Trouble::Skipped(why.map_or(said.clone(), |(_, why)| why.to_owned())))
        }
        _ => Err(Trouble::Failed),
    }
}

/// The last lines of a log, none of them endless.
fn end_of(path: &Path) -> String {
    const LINES: usize = 80;
    const CHARACTERS: usize = 240;
    let said = std::fs::read(path).unwrap_or_default();
    let said = String::from_utf8_lossy(&said);
    let lines: Vec<&str> = said.trim_end().lines().collect();
    let last = &lines[lines.len().saturating_sub(LINES)..];
    last.iter().map(|line| line.chars().take(CHARACTERS).collect::<String>()).collect::<Vec<String>>().join("\n")
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
            Outcome::Skipped(why) => Err(Trouble::Skipped(why)),
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
    let program = Path::new(command.get_program());
    let inside = program.strip_prefix(crate::workspace()).ok();
    let program = inside.or(program.file_name().map(Path::new)).unwrap_or(program);
    let root = format!("{}/", crate::workspace().display());
    let arguments = command.get_args().map(|argument| format!(" {}", argument.to_string_lossy().replace(&root, "")));
    format!("{}{}", program.display(), arguments.collect::<String>())
}

pub(crate) fn is_installed(program: &str) -> bool {
    let version = Command::new(program).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    version.is_ok_and(|status| status.success())
}
