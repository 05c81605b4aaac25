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
const NAME: &str = concat!("chasqui-", env!("CARGO_PKG_VERSION"));
/// Beside the jar and its POM.
const BESIDE: [&str; 2] = ["sources", "javadoc"];

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
    let pom = folder.join(format!("{NAME}.pom"));
    std::fs::write(&pom, consumers_pom()?).map_err(|error| told(&pom, &error))?;
    pack_sources(&folder.join(format!("{NAME}-sources.jar")))?;
    check()?;
    consume()
}

/// The POM for those who depend on it: how it is built is none of their business, and names folders that they have not.
pub(super) fn consumers_pom() -> Result<String, String> {
    let path = workspace().join("bindings/kotlin/pom.xml");
    let pom = std::fs::read_to_string(&path).map_err(|error| told(&path, &error))?;
    without_building(&pom).ok_or_else(|| "bindings/kotlin/pom.xml is not as it was known".to_owned())
}

fn without_building(pom: &str) -> Option<String> {
    let version = concat!("<version>", env!("CARGO_PKG_VERSION"), "</version>");
    let (before_build, _) = pom.split_once("\n  <build>")?;
    let (declared, rest) = before_build.split_once("<!--")?;
    let (_, rest) = rest.split_once("-->\n")?;
    let properties = ["chasqui.build", "chasqui.node", "chasqui.docs", "java.version", "project.build.sourceEncoding"];
    let is_of_building = |line: &&str| {
        let line = line.trim_start();
        properties.iter().any(|property| line.starts_with(&format!("<{property}>"))) || line.starts_with("<!--")
    };
    let kept = rest.lines().filter(|line| !is_of_building(line));
    let pom: String = kept.flat_map(|line| [line, "\n"]).collect();
    let tests = pom.find("    <dependency>\n      <groupId>org.junit.jupiter")?;
    let after = tests + pom[tests..].find("</dependency>\n")? + "</dependency>\n".len();
    let pom = format!("{declared}{}{}\n</project>\n", &pom[..tests], pom[after..].trim_end());
    let pom: String = pom.lines().filter(|line| !line.contains("junit")).flat_map(|line| [line, "\n"]).collect();
    pom.contains(version).then_some(pom)
}

/// That nothing is missing, and that nothing says where it was made.
fn check() -> Result<(), String> {
    for suffix in BESIDE.map(|what| format!("-{what}")).iter().map(String::as_str).chain([""]) {
        paths::check(&unpack(&folder().join(format!("{NAME}{suffix}.jar")))?)?;
    }
    let pom = folder().join(format!("{NAME}.pom"));
    let pom = std::fs::read_to_string(&pom).map_err(|error| told(&pom, &error))?;
    for part in
        ["<name>", "<description>", "<url>", "<license>", "<developer>", "<scm>", "<artifactId>jna</artifactId>"]
    {
        if !pom.contains(part) {
            return Err(format!("{NAME}.pom has no {part}"));
        }
    }
    let documented = unpack(&folder().join(format!("{NAME}-javadoc.jar")))?;
    if !documented.join("im/chasqui/ChasquiClient.html").exists() {
        return Err(format!("{NAME}-javadoc.jar does not document ChasquiClient"));
    }
    Ok(())
}

/// Installs the packages, and runs an empty project that depends on them.
fn consume() -> Result<(), String> {
    const INSTALL: &str = "org.apache.maven.plugins:maven-install-plugin:3.1.4:install-file";
    let file = |name: &str| folder().join(format!("{NAME}{name}")).display().to_string();
    let mut goals = vec![INSTALL.to_owned(), format!("-Dfile={}", file(".jar")), format!("-DpomFile={}", file(".pom"))];
    goals.extend(BESIDE.map(|what| format!("-D{what}={}", file(&format!("-{what}.jar")))));
    kotlin::maven("bindings/kotlin/consumer", &goals.iter().map(String::as_str).collect::<Vec<_>>())?;
    kotlin::maven("bindings/kotlin/consumer", &["clean", "process-classes"])?;
    let built = workspace().join("target/kotlin/consumer");
    let mut run = Command::new("java");
    let classes =
        std::env::join_paths([built.join("classes"), built.join("lib/*")]).map_err(|error| error.to_string())?;
    run_command(run.arg("-cp").arg(classes).arg("ConsumerKt"))
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

#[cfg(test)]
mod tests {
    #[test]
    fn the_pom_says_what_a_consumer_needs_and_no_more() {
        let pom = super::consumers_pom().unwrap();
        for part in ["kotlin-stdlib", "kotlinx-coroutines-core", "<artifactId>jna</artifactId>", "<license>", "<scm>"] {
            assert!(pom.contains(part), "{part}\n{pom}");
        }
        for part in ["junit", "chasqui.build", "basedir", "<build>", "dokka"] {
            assert!(!pom.contains(part), "{part}\n{pom}");
        }
        assert!(pom.starts_with("<?xml") && pom.ends_with("</project>\n"));
    }
}
