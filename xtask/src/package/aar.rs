//! `cargo xtask package aar`: the Kotlin SDK for Android. Needs the NDK and cargo-ndk, which it does not install.
//!
//! The assembling is apart from the building, so that what goes where is tested on machines without an NDK.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::jar::{LIBRARY_BYTES, consumers_pom, copy, pack_sources, unpack};
use super::{Size, bytes, elf, paths, told};
use crate::kotlin::{self, Profile, TOOLS};
use crate::steps::{is_installed, run_command};
use crate::{debian, workspace};

const NAME: &str = concat!("chasqui-android-", env!("CARGO_PKG_VERSION"));
const ABIS: [&str; 3] = ["arm64-v8a", "armeabi-v7a", "x86_64"];
/// Android 7.0.
const API: &str = "24";
const LIBRARY: &str = "libchasqui_ffi.so";
/// Pages of 16 KiB, and relocations as Android has read them packed since API 23: 140 KiB less.
const LINKER: [&str; 2] = ["-z,max-page-size=16384", "--pack-dyn-relocs=android"];
/// What an AAR holds beside the libraries.
const FILES: [&str; 6] = [
    "AndroidManifest.xml",
    "classes.jar",
    "proguard.txt",
    "R.txt",
    "res/xml/chasqui_backup_rules.xml",
    "res/xml/chasqui_data_extraction_rules.xml",
];

pub(super) fn pack() -> Result<(), String> {
    debian::provide(&TOOLS)?;
    build_libraries(&workspace().join("target/aar/jni"))?;
    // The Kotlin is the same for every target.
    kotlin::prepare(Profile::Release)?;
    kotlin::maven("bindings/kotlin", &["package", "dokka:javadocJar", "-DskipTests"])?;
    let maven = workspace().join("target/kotlin/maven");
    let classes = workspace().join("target/aar/classes.jar");
    let im = maven.join("classes/im");
    if !im.is_dir() {
        return Err("Maven has made no classes".to_owned());
    }
    let mut command = Command::new("jar");
    command.arg("cfM").arg(&classes).arg("-C").arg(maven.join("classes")).arg("im");
    command.arg("-C").arg(maven.join("classes")).arg("META-INF");
    run_command(&mut command)?;

    let assembled = workspace().join("target/aar/assembled");
    assemble(&assembled, &classes, &workspace().join("target/aar/jni"))?;
    let folder = folder();
    std::fs::create_dir_all(&folder).map_err(|error| told(&folder, &error))?;
    let mut command = Command::new("jar");
    run_command(command.arg("cfM").arg(folder.join(format!("{NAME}.aar"))).arg("-C").arg(&assembled).arg("."))?;
    pack_sources(&folder.join(format!("{NAME}-sources.jar")))?;
    let javadoc = maven.join(concat!("chasqui-", env!("CARGO_PKG_VERSION"), "-javadoc.jar"));
    copy(&javadoc, &folder.join(format!("{NAME}-javadoc.jar")))?;
    let pom = pom()?;
    let to = folder.join(format!("{NAME}.pom"));
    std::fs::write(&to, pom).map_err(|error| told(&to, &error))?;
    sizes().map(drop)
}

/// What has to be there first, a line each.
pub(super) fn missing() -> Vec<&'static str> {
    let mut missing = Vec::new();
    if std::env::var_os("ANDROID_NDK_HOME").is_none_or(|ndk| !Path::new(&ndk).is_dir()) {
        missing.push("- ANDROID_NDK_HOME is not set to a folder with an NDK (r28 or later)");
    }
    if !is_installed("cargo-ndk") {
        missing.push("- cargo-ndk is not installed: cargo install cargo-ndk");
        missing.push("  (and: rustup target add aarch64-linux-android armv7-linux-androideabi x86_64-linux-android)");
    }
    missing
}

fn build_libraries(to: &Path) -> Result<(), String> {
    let mut command = Command::new("cargo");
    command.arg("ndk").args(ABIS.iter().flat_map(|abi| ["-t", abi])).args(["--platform", API, "-o"]).arg(to);
    command.arg("rustc").args(kotlin::SHARED);
    kotlin::small(&mut command);
    let mut flags = paths::flags();
    flags.extend(LINKER.map(|argument| format!("-Clink-arg=-Wl,{argument}")));
    paths::give(&flags, &mut command);
    run_command(&mut command)
}

/// Puts the files of an AAR into a new folder, and checks them.
fn assemble(folder: &Path, classes: &Path, libraries: &Path) -> Result<(), String> {
    if folder.exists() {
        std::fs::remove_dir_all(folder).map_err(|error| told(folder, &error))?;
    }
    let make = |path: &Path| std::fs::create_dir_all(path).map_err(|error| told(path, &error));
    make(&folder.join("res/xml"))?;
    let ours = workspace().join("bindings/kotlin/src/android");
    for file in FILES {
        let from = if file == "classes.jar" { classes.to_owned() } else { ours.join(file) };
        copy(&from, &folder.join(file))?;
    }
    for abi in ABIS {
        let place = folder.join("jni").join(abi);
        make(&place)?;
        copy(&libraries.join(abi).join(LIBRARY), &place.join(LIBRARY))?;
    }
    check(folder)
}

/// That an AAR, unpacked, is one that apps can use.
fn check(folder: &Path) -> Result<(), String> {
    let read = |file: &str| std::fs::read(folder.join(file)).map_err(|error| format!("the AAR's {file}: {error}"));
    for file in FILES {
        if read(file)?.is_empty() {
            return Err(format!("the AAR's {file} is empty"));
        }
    }
    let says = |file: &str, wanted: &str| -> Result<(), String> {
        let text = String::from_utf8_lossy(&read(file)?).into_owned();
        if text.contains(wanted) { Ok(()) } else { Err(format!("the AAR's {file} does not say {wanted}")) }
    };
    says("AndroidManifest.xml", &format!("android:minSdkVersion=\"{API}\""))?;
    says("AndroidManifest.xml", "@xml/chasqui_data_extraction_rules")?;
    says("AndroidManifest.xml", "@xml/chasqui_backup_rules")?;
    says("proguard.txt", "-keep class com.sun.jna.** { *; }")?;
    says("proguard.txt", "-keep class im.chasqui.** { *; }")?;
    for rules in ["res/xml/chasqui_backup_rules.xml", "res/xml/chasqui_data_extraction_rules.xml"] {
        says(rules, "<exclude domain=\"file\" path=\"chasqui\" />")?;
    }
    for abi in ABIS {
        let library = format!("jni/{abi}/{LIBRARY}");
        elf::check_alignment(&read(&library)?).map_err(|problem| format!("the AAR's {library}: {problem}"))?;
    }
    paths::check(folder)
}

/// Empty where nothing was packed.
pub(super) fn sizes() -> Result<Vec<Size>, String> {
    let aar = folder().join(format!("{NAME}.aar"));
    if !aar.exists() {
        return Ok(Vec::new());
    }
    let unpacked = unpack(&aar)?;
    check(&unpacked)?;
    let mut sizes = vec![Size { what: format!("aar: {NAME}.aar"), bytes: bytes(&aar)?, budget: None }];
    for abi in ABIS {
        let bytes = bytes(&unpacked.join("jni").join(abi).join(LIBRARY))?;
        sizes.push(Size { what: format!("aar: {abi}/{LIBRARY}"), bytes, budget: Some(LIBRARY_BYTES) });
    }
    Ok(sizes)
}

/// That of the jar, for another package: JNA's AAR has its library for Android.
fn pom() -> Result<String, String> {
    android_pom(&consumers_pom()?).ok_or_else(|| "bindings/kotlin/pom.xml is not as it was known".to_owned())
}

fn android_pom(jar: &str) -> Option<String> {
    const JNA: &str = "<version>${jna.version}</version>";
    let known = ["<artifactId>chasqui</artifactId>", "<packaging>jar</packaging>", JNA];
    if known.iter().any(|part| !jar.contains(part)) {
        return None;
    }
    let pom = jar
        .replacen(known[0], "<artifactId>chasqui-android</artifactId>", 1)
        .replacen(known[1], "<packaging>aar</packaging>", 1)
        .replacen(JNA, &format!("{JNA}\n      <type>aar</type>"), 1);
    Some(pom)
}

fn folder() -> PathBuf {
    workspace().join(super::FOLDER).join("aar")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Libraries of every ABI as the NDK would have made them, and classes.
    struct Made(PathBuf);

    impl Made {
        fn new(name: &str) -> Self {
            let folder = std::env::temp_dir().join(format!("chasqui-aar-{name}-{}", std::process::id()));
            for abi in ABIS {
                let place = folder.join("libraries").join(abi);
                std::fs::create_dir_all(&place).unwrap();
                let library = elf::tests::library(abi != "armeabi-v7a", 0x4000, 0);
                std::fs::write(place.join(LIBRARY), library).unwrap();
            }
            std::fs::write(folder.join("classes.jar"), "PK").unwrap();
            Self(folder)
        }

        fn assemble(&self) -> Result<(), String> {
            assemble(&self.0.join("aar"), &self.0.join("classes.jar"), &self.0.join("libraries"))
        }

        fn aar(&self, file: &str) -> PathBuf {
            self.0.join("aar").join(file)
        }
    }

    impl Drop for Made {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn an_aar_has_everything_where_it_belongs() {
        let made = Made::new("whole");
        assert_eq!(made.assemble(), Ok(()));
        for file in FILES {
            assert!(made.aar(file).is_file(), "{file}");
        }
        for abi in ABIS {
            assert!(made.aar("jni").join(abi).join(LIBRARY).is_file(), "{abi}");
        }
        assert_eq!(made.assemble(), Ok(()), "again");
    }

    #[test]
    fn an_aar_that_apps_cannot_use_is_refused() {
        let check_refused = |name: &str, change: &dyn Fn(&Made), expected: &str| {
            let made = Made::new(name);
            made.assemble().unwrap();
            change(&made);
            let refused = check(&made.0.join("aar")).unwrap_err();
            assert!(refused.contains(expected), "{refused}");
        };
        let unaligned = |made: &Made| {
            std::fs::write(made.aar("jni/x86_64").join(LIBRARY), elf::tests::library(true, 0x1000, 0)).unwrap();
        };
        check_refused("unaligned", &unaligned, "aligned to 4096 bytes instead of 16384");
        check_refused("abi", &|made| std::fs::remove_dir_all(made.aar("jni/armeabi-v7a")).unwrap(), "jni/armeabi-v7a");
        check_refused("rules", &|made| std::fs::write(made.aar("proguard.txt"), "").unwrap(), "proguard.txt is empty");
        check_refused(
            "kept",
            &|made| std::fs::write(made.aar("proguard.txt"), "-keep class com.sun.jna.** { *; }").unwrap(),
            "does not say -keep class im.chasqui",
        );
        check_refused(
            "backup",
            &|made| std::fs::write(made.aar("res/xml/chasqui_backup_rules.xml"), "<full-backup-content/>").unwrap(),
            "does not say <exclude",
        );
        let place = |made: &Made| {
            std::fs::write(made.aar("classes.jar"), format!("{}/core/src", workspace().display())).unwrap();
        };
        check_refused("place", &place, "names a folder of this machine");
    }

    #[test]
    fn a_library_that_was_not_built_is_missed() {
        let made = Made::new("missing");
        std::fs::remove_file(made.0.join("libraries/arm64-v8a").join(LIBRARY)).unwrap();
        assert!(made.assemble().is_err());
    }

    #[test]
    fn the_pom_is_of_an_aar_with_jna_s_own() {
        let pom = pom().unwrap();
        assert!(pom.contains("<artifactId>chasqui-android</artifactId>") && pom.contains("<packaging>aar</packaging>"));
        assert_eq!(pom.matches("<type>aar</type>").count(), 1);
        assert!(!pom.contains("<build>") && pom.ends_with("</project>\n"));
    }
}
