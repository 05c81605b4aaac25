//! `cargo xtask package npm`: the npm package.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::{Size, bytes, within_budgets};
use crate::built;
use crate::steps::run_command;
use crate::web::{self, in_folder, node, place, said};
use crate::workspace;

/// `wasm-bindgen` of the same version as the library makes the JavaScript.
const BINDGEN: &str = "0.2.130";
/// Of the core, compressed by brotli: 900 KiB.
const WASM_BUDGET: u64 = 900 * 1024;
/// What belongs into the package.
const FILES: [&str; 10] = [
    "package.json",
    "README.md",
    "LICENSE-APACHE",
    "LICENSE-MIT",
    "dist/index.js",
    "dist/index.d.ts",
    "dist/worker.js",
    "dist/core.js",
    "dist/core_bg.wasm",
    "dist/types.d.ts",
];

pub(super) fn pack() -> Result<(), String> {
    web::ready().and_then(|()| npm()).map(drop)
}

/// Makes the npm package and looks at it; where the tarball is.
pub(crate) fn npm() -> Result<PathBuf, String> {
    let (sources, package) = (workspace().join("bindings/wasm"), place().join("package"));
    let dist = package.join("dist");
    if package.exists() {
        std::fs::remove_dir_all(&package).map_err(|error| format!("{}: {error}", package.display()))?;
    }
    std::fs::create_dir_all(&dist).map_err(|error| format!("{}: {error}", dist.display()))?;
    let core = web::compile()?;
    let mut bindgen = Command::new(bindgen()?);
    bindgen.args(["--target", "web", "--out-name", "core", "--out-dir"]).arg(&dist).arg(&core);
    run_command(&mut bindgen)?;

    // The tools stay where they are from one time to the next.
    let tools = place().join("npm");
    std::fs::create_dir_all(&tools).map_err(|error| format!("{}: {error}", tools.display()))?;
    take(&sources.join("package.json"), &tools.join("package.json"))?;
    web::npm(&tools, &[])?;
    optimise(&dist.join("core_bg.wasm"), &web::tool(&tools, "wasm-opt")?)?;
    std::fs::remove_file(dist.join("core_bg.wasm.d.ts")).map_err(|error| error.to_string())?;
    for file in ["package.json", "README.md"] {
        take(&sources.join(file), &package.join(file))?;
    }
    for file in ["LICENSE-APACHE", "LICENSE-MIT"] {
        take(&workspace().join(file), &package.join(file))?;
    }
    run_command(node(&web::tool(&tools, "tsc")?)?.arg("-p").arg(&sources))?;
    check(&package)?;

    let packed = workspace().join("target/package");
    std::fs::create_dir_all(&packed).map_err(|error| format!("{}: {error}", packed.display()))?;
    let mut pack = Command::new("npm");
    pack.args(["pack", "--silent", "--pack-destination"]).arg(&packed);
    let name = said(in_folder(&mut pack, &package))?;
    // Here, because every test of the package comes by.
    within_budgets(&sizes()?)?;
    Ok(packed.join(name.lines().last().unwrap_or_default()))
}

/// Empty where nothing was packed.
pub(super) fn sizes() -> Result<Vec<Size>, String> {
    let name = concat!("chasqui-", env!("CARGO_PKG_VERSION"), ".tgz");
    let (tarball, package) = (workspace().join("target/package").join(name), place().join("package"));
    if !tarball.exists() {
        return Ok(Vec::new());
    }
    check(&package)?;
    let wasm = package.join("dist/core_bg.wasm");
    let compressed = Command::new("brotli").args(["--stdout", "--quality=11"]).arg(&wasm).output();
    let compressed = compressed.map_err(|error| format!("brotli: {error}"))?;
    if !compressed.status.success() {
        return Err(format!("brotli ended with {}", compressed.status));
    }
    let compressed = compressed.stdout.len() as u64;
    let size = |what: &str, bytes, budget| Size { what: what.to_owned(), bytes, budget };
    Ok(vec![
        size(&format!("npm: {name}"), bytes(&tarball)?, None),
        size("npm: core_bg.wasm", bytes(&wasm)?, None),
        size("npm: core_bg.wasm, by brotli", compressed, Some(WASM_BUDGET)),
    ])
}

/// Optimising takes a minute: a core that did not change is not optimised again.
fn optimise(wasm: &Path, tool: &Path) -> Result<(), String> {
    let (before, after) = (place().join("core.before.wasm"), place().join("core.after.wasm"));
    let read = |path: &Path| std::fs::read(path).ok();
    if read(&before).is_none() || read(&before) != read(wasm) || !after.exists() {
        let mut optimise = node(tool)?;
        // A function that is called in one place becomes a part of its caller only if it is small: in a large one, every variable
        // takes more bytes to name. And functions are in an order that compresses better.
        optimise.args(["-Oz", "--one-caller-inline-max-function-size=40", "--reorder-functions"]);
        optimise.args(["--strip-debug", "--strip-producers"]);
        optimise.arg(wasm).arg("-o").arg(&after);
        run_command(&mut optimise)?;
        take(wasm, &before)?;
    }
    take(&after, wasm)
}

/// Contents, and that nothing says where it was made.
fn check(package: &Path) -> Result<(), String> {
    let missing: Vec<&str> = FILES.into_iter().filter(|file| !package.join(file).exists()).collect();
    if !missing.is_empty() {
        return Err(format!("the package lacks {}", missing.join(", ")));
    }
    let manifest = std::fs::read_to_string(package.join("package.json")).map_err(|error| error.to_string())?;
    if !manifest.contains(concat!("\"version\": \"", env!("CARGO_PKG_VERSION"), "\"")) {
        return Err(format!("bindings/wasm/package.json is not of version {}", env!("CARGO_PKG_VERSION")));
    }
    let home = std::env::var("HOME").unwrap_or_default();
    let places = [workspace().display().to_string(), home, "/usr/src/".to_owned(), "/usr/lib/rustlib".to_owned()];
    for file in files(&package.join("dist"))? {
        let bytes = std::fs::read(&file).map_err(|error| format!("{}: {error}", file.display()))?;
        let found = places.iter().filter(|place| place.len() > 1).find(|place| holds(&bytes, place.as_bytes()));
        if let Some(found) = found {
            return Err(format!("{} says where it was made: {found}", shown(&file)));
        }
    }
    Ok(())
}

fn holds(bytes: &[u8], wanted: &[u8]) -> bool {
    bytes.windows(wanted.len()).any(|window| window == wanted)
}

fn files(folder: &Path) -> Result<Vec<PathBuf>, String> {
    let entries = std::fs::read_dir(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    Ok(entries.flatten().map(|entry| entry.path()).filter(|path| path.is_file()).collect())
}

/// The tool that makes JavaScript, installed if it is not there or of another version.
fn bindgen() -> Result<PathBuf, String> {
    let root = place().join("tools");
    let program = root.join("bin/wasm-bindgen");
    let is_current = program.exists() && said(Command::new(&program).arg("--version"))?.ends_with(BINDGEN);
    if !is_current {
        // Not with its own lock file: that may name what a registry does not have any more, or not yet.
        let mut install = built::cargo();
        install.args(["install", "--quiet", "--force", "--debug", "--version", BINDGEN, "wasm-bindgen-cli", "--root"]);
        install.arg(&root).env("CARGO_TARGET_DIR", root.join("build")).env("CARGO_INCREMENTAL", "0");
        run_command(&mut install)?;
        // Most of a gigabyte, and nobody builds it twice.
        std::fs::remove_dir_all(root.join("build")).map_err(|error| format!("{}: {error}", root.display()))?;
    }
    Ok(program)
}

fn take(from: &Path, to: &Path) -> Result<(), String> {
    std::fs::copy(from, to).map(drop).map_err(|error| format!("{}: {error}", from.display()))
}

fn shown(path: &Path) -> String {
    path.strip_prefix(workspace()).unwrap_or(path).display().to_string()
}
