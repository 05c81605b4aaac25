//! What a machine has to have beside Rust: installed if this is Debian and we may, named if not.

use std::path::Path;
use std::process::{Command, Stdio};

use crate::steps::is_installed;

/// A program, and the package of Debian that brings it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tool {
    pub(crate) program: &'static str,
    pub(crate) package: &'static str,
}

/// Makes sure of the tools.
///
/// # Errors
/// What is missing, for people.
pub(crate) fn provide(tools: &[Tool]) -> Result<(), String> {
    let missing = || tools.iter().filter(|tool| !is_installed(tool.program));
    let packages: Vec<&str> = missing().map(|tool| tool.package).collect();
    if !packages.is_empty() && is_debian() && is_root() {
        install(&packages);
    }
    let names: Vec<&str> = missing().map(|tool| tool.program).collect();
    if names.is_empty() { Ok(()) } else { Err(format!("{} is not installed", names.join(", "))) }
}

/// Installs packages as the machine's own apt finds them. What failed shows in what is missing afterwards.
pub(crate) fn install(packages: &[&str]) {
    let apt = |arguments: &[&str]| {
        let mut command = Command::new("apt-get");
        command
            .args(["-o", "Acquire::Retries=5", "-qq", "-y"])
            .args(arguments)
            .env("DEBIAN_FRONTEND", "noninteractive");
        eprintln!("> apt-get {}", arguments.join(" "));
        command.stdout(Stdio::null()).status().is_ok_and(|status| status.success())
    };
    let mut wanted = vec!["install", "--no-install-recommends"];
    wanted.extend(packages);
    // The lists may never have been fetched, or be of packages that are gone.
    if !apt(&wanted) && apt(&["update"]) {
        apt(&wanted);
    }
}

pub(crate) fn is_debian() -> bool {
    Path::new("/etc/debian_version").exists()
}

pub(crate) fn is_root() -> bool {
    let user = Command::new("id").arg("-u").output();
    user.is_ok_and(|user| user.stdout.trim_ascii() == b"0")
}
