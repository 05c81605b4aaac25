//! Swift: the package of `bindings/swift`, tested with a real compiler against a real node.
//!
//! `swift` on PATH is used where it is. On a Debian machine without it, the compiler of a later Debian is put into a folder
//! (`CHASQUI_SWIFT_TOOLCHAIN`, or `target/swift-toolchain`), once, and run in there.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::built::{self, Mode};
use crate::debian::{self, Tool};
use crate::steps::{Outcome, is_installed, run_command};
use crate::workspace;

/// The first Debian that has Swift.
const RELEASE: &str = "trixie";
const PACKAGES: [&str; 6] = ["swiftlang", "swiftlang-dev", "libstdc++-14-dev", "libc6-dev", "git", "ca-certificates"];
const TOOLS: [Tool; 2] =
    [Tool { program: "debootstrap", package: "debootstrap" }, Tool { program: "unshare", package: "util-linux" }];
/// How often a mirror is asked.
const TRIES: u32 = 3;
/// Stands in the folder once everything is in it.
const COMPLETE: &str = "complete";

/// With the workspace where it is outside, so that paths mean the same. The node that tests start runs in there, too.
const INSIDE: &str = r#"
    root=$1 workspace=$2; shift 2
    mkdir -p "$root$workspace"
    mount --bind "$workspace" "$root$workspace"
    mount -t proc proc "$root/proc"
    exec chroot "$root" env HOME=/root PATH=/usr/libexec/swift/bin:/usr/bin:/bin "$@"
"#;

/// Where a Swift compiler is.
pub(crate) enum Toolchain {
    OnPath,
    Folder(PathBuf),
}

impl Toolchain {
    /// Makes one if need be; says why there is none.
    pub(crate) fn find() -> Result<Self, String> {
        if is_installed("swift") {
            return Ok(Self::OnPath);
        }
        if !(debian::is_debian() && debian::is_root()) {
            return Err("swift is not installed".into());
        }
        let folder = std::env::var_os("CHASQUI_SWIFT_TOOLCHAIN").map(PathBuf::from);
        let folder = folder.unwrap_or_else(|| workspace().join("target/swift-toolchain"));
        if !folder.join(COMPLETE).exists() {
            debian::provide(&TOOLS)?;
            let first = make(&folder);
            (1..TRIES).fold(first, |made, _| made.or_else(|_| make(&folder)))?;
        }
        // A container may allow the one and not the other.
        if inside(&folder).arg("true").status().is_ok_and(|status| status.success()) {
            Ok(Self::Folder(folder))
        } else {
            Err("swift is not installed, and this machine lets nothing be mounted for one".into())
        }
    }

    /// `swift VERB` for a package of the workspace.
    pub(crate) fn swift(&self, verb: &str, package: &str) -> Command {
        let mut command = match self {
            Self::OnPath => {
                let mut command = Command::new("swift");
                command.arg(verb);
                command
            }
            Self::Folder(root) => {
                let mut command = inside(root);
                command.arg(format!("/usr/libexec/swift/bin/swift-{verb}"));
                command
            }
        };
        command.env("CHASQUI_NODE", built::program(Mode::Debug, "chasqui-node"));
        command.env("CHASQUI_LIBRARY", workspace().join("target/debug"));
        command.arg("--package-path").arg(workspace().join(package));
        command.arg("--scratch-path").arg(scratch(package));
        // It wants rights that a container may not have, and the packages run nothing of their own.
        if cfg!(target_os = "linux") {
            command.arg("--disable-sandbox");
        }
        command
    }

    /// A program that comes with the compiler.
    ///
    /// # Errors
    /// It does not.
    pub(crate) fn tool(&self, name: &str) -> Result<Command, String> {
        const TOOLS: &str = "usr/libexec/swift/bin";
        match self {
            Self::OnPath if cfg!(target_os = "macos") => {
                let mut command = Command::new("xcrun");
                command.arg(name);
                Ok(command)
            }
            Self::OnPath if is_installed(name) => Ok(Command::new(name)),
            Self::Folder(root) if root.join(TOOLS).join(name).exists() => {
                let mut command = inside(root);
                command.arg(format!("/{TOOLS}/{name}"));
                Ok(command)
            }
            Self::OnPath | Self::Folder(_) => Err(format!("{name} does not come with this Swift")),
        }
    }

    /// A program that Swift built. What it needs lies where the compiler does.
    pub(crate) fn program(&self, package: &str, name: &str) -> Command {
        let program = scratch(package).join("debug").join(name);
        match self {
            Self::OnPath => Command::new(program),
            Self::Folder(root) => {
                let mut command = inside(root);
                command.arg(program);
                command
            }
        }
    }
}

fn inside(root: &Path) -> Command {
    let mut command = Command::new("unshare");
    command.args(["--mount", "--pid", "--fork", "--kill-child", "sh", "-euc", INSIDE, "sh"]);
    command.args([root, &workspace()]);
    command
}

/// Where a package is built.
fn scratch(package: &str) -> PathBuf {
    workspace().join("target/swift").join(package.replace('/', "-"))
}

fn make(folder: &Path) -> Result<(), String> {
    let told = |error: std::io::Error| format!("{}: {error}", folder.display());
    if folder.exists() {
        std::fs::remove_dir_all(folder).map_err(told)?;
    }
    std::fs::create_dir_all(folder).map_err(told)?;
    let mut debootstrap = Command::new("debootstrap");
    run_command(debootstrap.args(["--variant=minbase", RELEASE]).arg(folder).args(mirror()))?;
    let mut install = Command::new("chroot");
    install.env("DEBIAN_FRONTEND", "noninteractive").arg(folder);
    install.args(["apt-get", "-o", "Acquire::Retries=5", "install", "-y", "--no-install-recommends"]);
    run_command(install.args(PACKAGES))?;
    // The archives are half a gigabyte, and there now.
    run_command(Command::new("chroot").arg(folder).args(["apt-get", "clean"]))?;
    std::fs::write(folder.join(COMPLETE), "").map_err(told)
}

/// Where this machine gets Debian from; without an answer, debootstrap knows a place.
fn mirror() -> Option<String> {
    let format = ["indextargets", "--format", "$(REPO_URI)", "Created-By: Packages"];
    let listed = Command::new("apt-get").args(format).output().ok()?;
    let listed = String::from_utf8(listed.stdout).ok()?;
    let is_debian = |line: &&str| line.trim_end_matches('/').ends_with("/debian");
    listed.lines().find(is_debian).map(str::to_owned)
}

/// The native library, the node, and what UniFFI makes of the library.
pub(crate) fn prepare() -> Result<(), String> {
    let root = workspace();
    built::bindings()?;
    let made = root.join("target/swift/generated");
    std::fs::create_dir_all(&made).map_err(|error| error.to_string())?;
    let mut generate = Command::new(built::program(Mode::Debug, "xtask-bindgen"));
    run_command(generate.arg("swift").arg(built::library()).arg(&made))?;
    let package = root.join("bindings/swift/Sources");
    bring(&made.join("Chasqui.swift"), &package.join("Chasqui/Generated/Chasqui.swift"))?;
    bring(&made.join("ChasquiFFI.h"), &package.join("ChasquiFFI/ChasquiFFI.h"))
}

/// What the compiler knows of everything public, in a folder.
pub(crate) fn symbol_graphs(toolchain: &Toolchain) -> Result<PathBuf, String> {
    const GRAPH: &str = "Chasqui.symbols.json";
    let mut dump = toolchain.swift("package", "bindings/swift");
    run_command(dump.args(["dump-symbol-graph", "--minimum-access-level", "public", "--skip-synthesized-members"]))?;
    // Below the name of the machine's kind; the tests' own are beside it.
    let kinds = std::fs::read_dir(scratch("bindings/swift")).map_err(|error| error.to_string())?;
    let graphs = kinds.flatten().map(|kind| kind.path().join("symbolgraph").join(GRAPH));
    let graph = graphs.filter(|graph| graph.exists()).last().ok_or("the compiler has written no symbols")?;
    let only = workspace().join("target/swift/symbols");
    bring(&graph, &only.join(GRAPH))?;
    Ok(only)
}

/// Copies what is new: what is not is not compiled again.
fn bring(from: &Path, to: &Path) -> Result<(), String> {
    let told = |error: std::io::Error| format!("{}: {error}", to.display());
    let made = std::fs::read(from).map_err(told)?;
    if std::fs::read(to).is_ok_and(|there| there == made) {
        return Ok(());
    }
    if let Some(folder) = to.parent() {
        std::fs::create_dir_all(folder).map_err(told)?;
    }
    std::fs::write(to, made).map_err(told)
}

/// `cargo xtask test swift`: the tests of the package, against the real node, and the sample.
pub(crate) fn test() -> Outcome {
    let toolchain = match Toolchain::find() {
        Ok(toolchain) => toolchain,
        Err(reason) => return Outcome::Skipped(reason),
    };
    let tested = prepare().and_then(|()| tests(&toolchain));
    let built = tested.and_then(|counted| {
        if counted.failed > 0 {
            return Ok(counted);
        }
        // As somebody's own program.
        run_command(&mut toolchain.swift("build", "examples/swift/chat")).map(|()| counted)
    });
    match built {
        Ok(Counted { passed, failed: 0 }) if passed > 0 => Outcome::Passed(passed),
        Ok(Counted { passed: 0, failed: 0 }) => Outcome::Failed("no test ran".to_owned()),
        Ok(Counted { passed, failed }) => Outcome::Failed(format!("{passed} passed, {failed} failed")),
        Err(problem) => Outcome::Failed(problem),
    }
}

#[derive(Default)]
struct Counted {
    passed: u32,
    failed: u32,
}

fn tests(toolchain: &Toolchain) -> Result<Counted, String> {
    let mut command = toolchain.swift("test", "bindings/swift");
    // One at a time: one of them counts threads and files.
    command.args(["--no-parallel", "--disable-xctest"]).stdout(Stdio::piped());
    eprintln!("\n> {command:?}");
    let mut child = command.spawn().map_err(|error| error.to_string())?;
    let output = child.stdout.take().ok_or("no output")?;
    let (mut counted, mut warnings) = (Counted::default(), 0);
    for line in BufReader::new(output).lines().map_while(Result::ok) {
        println!("{line}");
        warnings += u32::from(line.contains("warning: "));
        let is_test = line.contains(" Test ") && !line.contains(" Test run with ");
        counted.passed += u32::from(is_test && line.contains(" passed after "));
        counted.failed += u32::from(is_test && line.contains(" failed after "));
    }
    let status = child.wait().map_err(|error| error.to_string())?;
    match (status.success(), warnings) {
        (true, 0) => Ok(counted),
        (true, _) => Err(format!("the compiler warned {warnings} times")),
        (false, _) if counted.failed > 0 => Ok(counted),
        (false, _) => Err(format!("swift test ended with {status}")),
    }
}
