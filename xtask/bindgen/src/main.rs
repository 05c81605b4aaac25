//! The Kotlin and the Swift of `bindings/ffi`, made from its library: `xtask-bindgen kotlin|swift LIBRARY FOLDER`.
//!
//! They are made at every build and never checked in, so that they cannot be older than the Rust.

use std::process::ExitCode;

use uniffi_bindgen::bindings::{GenerateOptions, TargetLanguage, generate};

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
        languages: vec![language],
        source: library.into(),
        out_dir: folder.into(),
        config_override: None,
        format: false,
        crate_filter: None,
        metadata_no_deps: false,
    };
    match generate(options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::FAILURE
        }
    }
}
