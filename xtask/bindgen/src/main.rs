//! The Kotlin and the Swift of `bindings/ffi`, made from its library: `xtask-bindgen kotlin|swift LIBRARY FOLDER`.
//!
//! They are made at every build and never checked in, so that they cannot be older than the Rust.

mod kotlin;

use std::path::Path;
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
    let is_kotlin = matches!(options.languages.as_slice(), [TargetLanguage::Kotlin]);
    let generated = generate(options).map_err(|error| format!("{error:#}"));
    match generated.and_then(|()| if is_kotlin { finish_kotlin(Path::new(folder)) } else { Ok(()) }) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn finish_kotlin(folder: &Path) -> Result<(), String> {
    let file = folder.join("im/chasqui/chasqui.kt");
    let told = |error: std::io::Error| format!("{}: {error}", file.display());
    let generated = std::fs::read_to_string(&file).map_err(told)?;
    std::fs::write(&file, kotlin::finished(&generated)?).map_err(told)
}
