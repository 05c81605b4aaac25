//! `cargo xtask package jar`: the Kotlin SDK for this machine's JVM, with its library, its sources and its documentation.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::{Size, bytes, paths, told};
use crate::debian;
use crate::kotlin::{self, Profile, TOOLS};
use crate::steps::run_command;
use crate::workspace;

/// Of a library, stripped, end-to-end encryption included: 5 MiB.
pub(super) const LIBRARY_BYTES: u64 = 5 * 1024 * 1024;
const NAME: &str = "chasqui-0.1.0";

pub(super) fn pack() -> Result<(), String> {
    debian::provide(&TOOLS)?;
    kotlin::prepare(Profile::Release)?;
    kotlin::maven("bindings/kotlin", &["package", "dokka:javadocJar", "-DskipTests"])?;
    let folder = folder();
    if folder.exists() {
        std::fs::remove_dir_all(&folder).map_err(|error| told(&folder, &error))?;
    }
    std::fs::create_dir_all(&folder).map_err(|error| told(&folder, &error))?;
    let maven = workspace().join("target/kotlin/maven");
    for suffix in [".jar", "-javadoc.jar"] {
        copy(&maven.join(format!("{NAME}{suffix}")), &folder.join(format!("{NAME}{suffix}")))?;
    }
    copy(&workspace().join("bindings/kotlin/pom.xml"), &folder.join(format!("{NAME}.pom")))?;
    pack_sources(&folder.join(format!("{NAME}-sources.jar")))?;
    let unpacked = unpack(&folder.join(format!("{NAME}.jar")))?;
    paths::check(&unpacked)?;
    sizes().map(drop)
}

/// Empty where nothing was packed.
pub(super) fn sizes() -> Result<Vec<Size>, String> {
    let jar = folder().join(format!("{NAME}.jar"));
    if !jar.exists() {
        return Ok(Vec::new());
    }
    let mut sizes = vec![Size { what: format!("jar: {NAME}.jar"), bytes: bytes(&jar)?, budget: None }];
    let unpacked = unpack(&jar)?;
    let mut libraries = Vec::new();
    find_libraries(&unpacked, &mut libraries)?;
    if libraries.is_empty() {
        return Err(format!("{NAME}.jar carries no library"));
    }
    for library in libraries {
        let what = format!("jar: {}", library.strip_prefix(&unpacked).unwrap_or(&library).display());
        sizes.push(Size { what, bytes: bytes(&library)?, budget: Some(LIBRARY_BYTES) });
    }
    Ok(sizes)
}

/// What was written by hand and what was generated: a debugger shows both.
pub(super) fn pack_sources(to: &Path) -> Result<(), String> {
    let mut command = Command::new("jar");
    command.arg("cfM").arg(to);
    for sources in ["bindings/kotlin/src/main/kotlin", "target/kotlin/generated"] {
        command.arg("-C").arg(workspace().join(sources)).arg(".");
    }
    run_command(&mut command)
}

/// Unpacks an archive anew.
pub(super) fn unpack(archive: &Path) -> Result<PathBuf, String> {
    let folder = workspace().join("target/packages/unpacked").join(archive.file_name().unwrap_or_default());
    if folder.exists() {
        std::fs::remove_dir_all(&folder).map_err(|error| told(&folder, &error))?;
    }
    std::fs::create_dir_all(&folder).map_err(|error| told(&folder, &error))?;
    let status = Command::new("jar").arg("xf").arg(archive).current_dir(&folder).status();
    if status.is_ok_and(|status| status.success()) {
        Ok(folder)
    } else {
        Err(format!("cannot unpack {}", archive.display()))
    }
}

pub(super) fn copy(from: &Path, to: &Path) -> Result<(), String> {
    std::fs::copy(from, to).map(drop).map_err(|error| told(from, &error))
}

/// Shared libraries, by what they begin with.
fn find_libraries(folder: &Path, found: &mut Vec<PathBuf>) -> Result<(), String> {
    for entry in std::fs::read_dir(folder).map_err(|error| told(folder, &error))? {
        let path = entry.map_err(|error| told(folder, &error))?.path();
        if path.is_dir() {
            find_libraries(&path, found)?;
        } else if path
            .extension()
            .is_some_and(|extension| ["so", "dylib", "dll"].map(Into::into).contains(&extension.to_owned()))
        {
            found.push(path);
        }
    }
    Ok(())
}

fn folder() -> PathBuf {
    workspace().join(super::FOLDER).join("jar")
}
