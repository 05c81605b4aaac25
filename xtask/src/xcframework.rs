//! `cargo xtask package xcframework`: the native library for Apple's platforms, as Swift packages take it. Made on a Mac with
//! Xcode; elsewhere what can be checked is checked, and the rest is said.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use crate::built;
use crate::package::{LACKING, paths};
use crate::steps::{Outcome, is_installed, run_command};
use crate::{cross, kotlin, swift, workspace};

/// What goes into one library: of a kind of device, all processors.
const SLICES: [(&str, &[&str]); 3] = [
    ("ios", &["aarch64-apple-ios"]),
    ("ios-simulator", &["aarch64-apple-ios-sim", "x86_64-apple-ios"]),
    ("macos", &["aarch64-apple-darwin", "x86_64-apple-darwin"]),
];
/// The lowest versions, as in bindings/swift/Package.swift.
const LOWEST: [(&str, &str); 2] = [("IPHONEOS_DEPLOYMENT_TARGET", "16.0"), ("MACOSX_DEPLOYMENT_TARGET", "13.0")];
const LIBRARY: &str = "libchasqui_ffi.a";

pub(crate) fn package() -> ExitCode {
    if !cfg!(target_os = "macos") {
        return check_without_a_mac();
    }
    let made = make();
    match made {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            eprintln!("{problem}");
            ExitCode::FAILURE
        }
    }
}

/// The framework, a zip of it with its checksum, and the package with all that is generated, in `target/package/swift`.
fn make() -> Result<(), String> {
    if !is_installed("xcodebuild") && Command::new("xcodebuild").arg("-version").output().is_err() {
        return Err("xcodebuild is missing: install Xcode".into());
    }
    swift::prepare()?;
    let target = workspace().join("target/package/swift");
    let framework = target.join("ChasquiFFI.xcframework");
    empty(&target)?;
    let headers = target.join("headers");
    let package = workspace().join("bindings/swift");
    copy(&package.join("Sources/ChasquiFFI/ChasquiFFI.h"), &headers.join("ChasquiFFI.h"))?;
    // Without `link`: the framework names its library itself.
    let module = "module ChasquiFFI {\n    header \"ChasquiFFI.h\"\n    export *\n}\n";
    std::fs::write(headers.join("module.modulemap"), module).map_err(|error| error.to_string())?;
    let mut create = Command::new("xcodebuild");
    create.arg("-create-xcframework");
    for (slice, processors) in SLICES {
        let library = target.join(slice).join(LIBRARY);
        build(processors, &library)?;
        create.arg("-library").arg(library).arg("-headers").arg(&headers);
    }
    run_command(create.arg("-output").arg(&framework))?;
    for (slice, _) in SLICES {
        empty(&target.join(slice))?;
    }
    for name in ["Package.swift", "README.md", "Sources"] {
        run_command(Command::new("cp").arg("-R").arg(package.join(name)).arg(&target))?;
    }
    let zip = target.join("ChasquiFFI.xcframework.zip");
    run_command(Command::new("ditto").args(["-c", "-k", "--keepParent"]).arg(&framework).arg(&zip))?;
    println!("the checksum for a binary target:");
    run_command(Command::new("swift").args(["package", "compute-checksum"]).arg(&zip))
}

fn build(processors: &[&str], into: &Path) -> Result<(), String> {
    let mut built: Vec<PathBuf> = Vec::new();
    for target in processors {
        let mut cargo = built::cargo();
        cargo.args(["rustc", "--release", "--package", "chasqui-ffi", "--lib", "--crate-type", "staticlib"]);
        let problem = |error| format!("{error}; the targets come by `rustup target add {}`", processors.join(" "));
        kotlin::small(&mut cargo);
        paths::give(&paths::flags(), &mut cargo);
        run_command(cargo.args(["--target", target]).envs(LOWEST)).map_err(problem)?;
        built.push(workspace().join("target").join(target).join("release").join(LIBRARY));
    }
    if let Some(folder) = into.parent() {
        std::fs::create_dir_all(folder).map_err(|error| error.to_string())?;
    }
    run_command(Command::new("lipo").arg("-create").args(built).arg("-output").arg(into))
}

fn empty(folder: &Path) -> Result<(), String> {
    match std::fs::remove_dir_all(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(format!("{}: {error}", folder.display())),
        _ => Ok(()),
    }
}

fn copy(from: &Path, to: &Path) -> Result<(), String> {
    let told = |error: std::io::Error| format!("{}: {error}", to.display());
    if let Some(folder) = to.parent() {
        std::fs::create_dir_all(folder).map_err(told)?;
    }
    std::fs::copy(from, to).map(drop).map_err(told)
}

fn check_without_a_mac() -> ExitCode {
    match check() {
        Outcome::Passed(_) => println!("checked: the package is whole, and its Rust compiles for {}", cross::IOS),
        Outcome::Skipped(reason) => println!("skipped: {reason}"),
        Outcome::Failed(problem) => {
            eprintln!("{problem}");
            return ExitCode::FAILURE;
        }
    }
    println!(
        "The framework itself is made on a Mac: cargo xtask package xcframework, with Xcode and these targets of rustup:"
    );
    println!("{}", SLICES.map(|(_, processors)| processors.join(" ")).join(" "));
    println!("no framework was made: this is no Mac");
    ExitCode::from(LACKING)
}

/// `cargo xtask test ios-check`: what the Swift package is made of is whole, and the Rust of it compiles for an iPhone.
pub(crate) fn check() -> Outcome {
    if let Err(problem) = swift::prepare().and_then(|()| check_package()) {
        return Outcome::Failed(problem);
    }
    match cross::check(cross::IOS, "target/ios-check") {
        Outcome::Passed(tests) => Outcome::Passed(tests + 1),
        other => other,
    }
}

/// The header says what the generated Swift calls, and what the store asks of an SDK is there.
fn check_package() -> Result<(), String> {
    let package = workspace().join("bindings/swift");
    let read = |name: &str| {
        std::fs::read_to_string(package.join(name)).map_err(|error| format!("bindings/swift/{name}: {error}"))
    };
    let (header, swift) = (read("Sources/ChasquiFFI/ChasquiFFI.h")?, read("Sources/Chasqui/Generated/Chasqui.swift")?);
    let calls = swift.split(|letter: char| !(letter.is_alphanumeric() || letter == '_'));
    let calls = calls.filter(|word| word.starts_with("uniffi_chasqui_ffi_") || word.starts_with("ffi_chasqui_ffi_"));
    let missing: Vec<&str> = calls.filter(|name| !header.contains(&format!("{name}("))).collect();
    if !missing.is_empty() {
        return Err(format!("not in the header: {}", missing.join(", ")));
    }
    let manifest = read("Package.swift")?;
    let privacy = read("Sources/Chasqui/PrivacyInfo.xcprivacy")?;
    for (text, part) in [
        (&manifest, ".binaryTarget(name: \"ChasquiFFI\""),
        (&manifest, "PrivacyInfo.xcprivacy"),
        (&privacy, "NSPrivacyAccessedAPICategoryFileTimestamp"),
        (&privacy, "<key>NSPrivacyTracking</key>\n\t<false/>"),
        (&read("Sources/ChasquiFFI/module.modulemap")?, "header \"ChasquiFFI.h\""),
    ] {
        if !text.contains(part) {
            return Err(format!("{part} is missing"));
        }
    }
    Ok(())
}
