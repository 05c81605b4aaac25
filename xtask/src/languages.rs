//! Four languages, one chat: a client in each language that this machine can run, at one node (`tests/languages`).
//!
//! A language is an actor, a program that does as it is told on stdin. To add one: build it here, and name what is missing.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::built::{self, Mode};
use crate::steps::{Outcome, run_command};
use crate::{debian, kotlin, swift, web, workspace};

const SWIFT_ACTOR: &str = "tests/languages/swift-actor";

/// A language's actor, or why there is none.
type Actor = (&'static str, Result<Command, Without>);

/// Why a language has no actor.
enum Without {
    /// This machine lacks something.
    Lacking(String),
    /// It does not build.
    Broken(String),
}

/// `cargo xtask test four-languages`.
pub(crate) fn test() -> Outcome {
    if let Err(problem) = built::programs(Mode::Debug, &["four-languages", "rust-actor", "chasqui-node"]) {
        return Outcome::Failed(problem);
    }
    let actors: [Actor; 4] = [
        ("rust", Ok(Command::new(built::program(Mode::Debug, "rust-actor")))),
        ("kotlin", kotlin_actor()),
        ("swift", swift_actor()),
        ("web", web_actor()),
    ];
    let mut play = Command::new(built::program(Mode::Debug, "four-languages"));
    play.arg(built::program(Mode::Debug, "chasqui-node")).current_dir(workspace()).stdout(Stdio::piped());
    let mut count = 0;
    for (language, actor) in actors {
        match actor.and_then(|command| launcher(language, &command).map_err(Without::Broken)) {
            Ok(program) => {
                play.arg(format!("{language}={}", program.display()));
                count += 1;
            }
            Err(Without::Lacking(reason)) => println!("four-languages: skipped {language}: {reason}"),
            Err(Without::Broken(problem)) => return Outcome::Failed(format!("{language}: {problem}")),
        }
    }
    if count < 2 {
        return Outcome::Skipped("only one language can be run here".into());
    }
    eprintln!("\n> {play:?}");
    let played = match play.output() {
        Ok(played) => played,
        Err(error) => return Outcome::Failed(error.to_string()),
    };
    let said = String::from_utf8_lossy(&played.stdout);
    print!("{said}");
    eprint!("{}", String::from_utf8_lossy(&played.stderr));
    let passed = said.lines().last().and_then(|line| line.strip_suffix(" passed, 0 failed")?.parse().ok());
    match passed {
        Some(passed) if played.status.success() && passed > 0 => Outcome::Passed(passed),
        _ => Outcome::Failed("the histories differ, or somebody fell silent".into()),
    }
}

fn kotlin_actor() -> Result<Command, Without> {
    debian::provide(&kotlin::TOOLS).map_err(Without::Lacking)?;
    let build = || {
        kotlin::prepare(kotlin::Profile::Debug)?;
        kotlin::maven("bindings/kotlin", &["install", "-DskipTests"])?;
        kotlin::maven("tests/languages/kotlin-actor", &["package"])
    };
    build().map_err(Without::Broken)?;
    let mut java = Command::new("java");
    java.arg("-jar").arg(workspace().join("target/kotlin/actor/actor.jar"));
    Ok(java)
}

fn swift_actor() -> Result<Command, Without> {
    let toolchain = swift::Toolchain::find().map_err(Without::Lacking)?;
    let build = || swift::prepare().and_then(|()| run_command(&mut toolchain.swift("build", SWIFT_ACTOR)));
    build().map_err(Without::Broken)?;
    Ok(toolchain.program(SWIFT_ACTOR, "Actor"))
}

fn web_actor() -> Result<Command, Without> {
    web::installed().map_err(Without::Lacking)?;
    let build = || {
        let (app, tests) = web::stage()?;
        let actor = tests.join("actor.js");
        std::fs::copy(workspace().join("tests/languages/web-actor/actor.js"), &actor)
            .map_err(|error| error.to_string())?;
        let mut command = web::node(&actor)?;
        command.arg(app);
        Ok(command)
    };
    build().map_err(Without::Broken)
}

/// A program without arguments: how an actor is started is this room's business.
fn launcher(language: &str, command: &Command) -> Result<PathBuf, String> {
    let program = Path::new(command.get_program());
    if command.get_args().len() == 0 {
        return Ok(program.to_owned());
    }
    let quoted = |word: &std::ffi::OsStr| format!("'{}'", word.to_string_lossy().replace('\'', r"'\''"));
    let words: Vec<String> = [program.as_os_str()].into_iter().chain(command.get_args()).map(quoted).collect();
    let script = workspace().join("target/languages").join(format!("{language}.sh"));
    let write = || {
        std::fs::create_dir_all(workspace().join("target/languages"))?;
        std::fs::write(&script, format!("#!/bin/sh\nexec {}\n", words.join(" ")))?;
        make_executable(&script)
    };
    write().map_err(|error: std::io::Error| format!("{}: {error}", script.display()))?;
    Ok(script)
}

#[cfg(unix)]
fn make_executable(script: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::set_permissions(script, std::fs::Permissions::from_mode(0o755))
}

#[cfg(not(unix))]
fn make_executable(_: &Path) -> std::io::Result<()> {
    Ok(())
}
