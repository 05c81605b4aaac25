//! The Kotlin and the Swift of `bindings/ffi`, made from its library: `xtask-bindgen kotlin|swift LIBRARY FOLDER`.
//!
//! They are made at every build and never checked in, so that they cannot be older than the Rust.

mod aliases;
mod kotlin;
mod swift;

use std::path::Path;
use std::process::ExitCode;

use uniffi_bindgen::bindings::{GenerateOptions, TargetLanguage, generate};

/// What is generated, as it is compiled.
type Finished = fn(&str) -> Result<String, String>;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let (language, library, folder) = match arguments.as_slice() {
        ["kotlin", library, folder] => (TargetLanguage::Kotlin, *library, *folder),
        ["swift", library, folder] => (TargetLanguage::Swift, *library, *folder),
        _ => {
            eprintln!("usage: xtask-bindgen kotlin|swift LIBRARY FOLDER");
            return ExitCode::from(2);
        }
    };
    let options = GenerateOptions {
        languages: vec![language.clone()],
        source: library.into(),
        out_dir: folder.into(),
        config_override: None,
        format: false,
        crate_filter: None,
        metadata_no_deps: false,
    };
    let (file, finished): (_, Finished) = match language {
        TargetLanguage::Swift => ("Chasqui.swift", swift::finished),
        _ => ("im/chasqui/chasqui.kt", kotlin::finished),
    };
    let generated = generate(options).map_err(|error| format!("{error:#}"));
    match generated.and_then(|()| finish(&Path::new(folder).join(file), finished)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn finish(file: &Path, finished: Finished) -> Result<(), String> {
    let told = |error: std::io::Error| format!("{}: {error}", file.display());
    let generated = std::fs::read_to_string(file).map_err(told)?;
    std::fs::write(file, finished(&generated)?).map_err(told)
}
