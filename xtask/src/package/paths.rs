//! That a package says nothing about the machine that made it.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::told;
use crate::workspace;

/// Compiler flags under which a library names its own sources, and those of its dependencies, by no place of this machine, nor by
/// the registry that they came from.
pub(crate) fn flags() -> Vec<String> {
    // The last that fits counts.
    let mut named = vec![(cargo_home(), "cargo"), (workspace(), "chasqui")];
    let registries = std::fs::read_dir(cargo_home().join("registry/src"));
    named.extend(registries.into_iter().flatten().flatten().map(|registry| (registry.path(), "crates")));
    named.iter().map(|(path, name)| format!("--remap-path-prefix={}={name}", path.display())).collect()
}

/// Gives flags to every compiler that a cargo starts, blanks in them or not.
pub(crate) fn give(flags: &[String], cargo: &mut Command) {
    cargo.env("CARGO_ENCODED_RUSTFLAGS", flags.join("\u{1f}"));
}

/// Looks for folders of this machine in every file of a folder.
///
/// # Errors
/// The first one that was found, and where.
pub(crate) fn check(folder: &Path) -> Result<(), String> {
    let mut places = vec![workspace(), cargo_home()];
    places.extend(std::env::var_os("HOME").map(PathBuf::from).filter(|home| home.components().count() > 2));
    let places: Vec<Vec<u8>> = places.iter().map(|place| place.as_os_str().as_encoded_bytes().to_vec()).collect();
    check_for(folder, &places)
}

fn check_for(folder: &Path, places: &[Vec<u8>]) -> Result<(), String> {
    for entry in std::fs::read_dir(folder).map_err(|error| told(folder, &error))? {
        let path = entry.map_err(|error| told(folder, &error))?.path();
        if path.is_dir() {
            check_for(&path, places)?;
            continue;
        }
        let file = std::fs::read(&path).map_err(|error| told(&path, &error))?;
        if let Some(place) = places.iter().find(|place| file.windows(place.len()).any(|window| window == **place)) {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            return Err(format!("{name} names a folder of this machine: {}", String::from_utf8_lossy(place)));
        }
    }
    Ok(())
}

fn cargo_home() -> PathBuf {
    let home = || std::env::var_os("HOME").map(|home| Path::new(&home).join(".cargo"));
    std::env::var_os("CARGO_HOME").map(PathBuf::from).or_else(home).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_of_this_machine_is_found() {
        let folder = std::env::temp_dir().join(format!("chasqui-paths-{}", std::process::id()));
        std::fs::create_dir_all(folder.join("inside")).unwrap();
        let file = folder.join("inside/library");
        std::fs::write(&file, "panicked at tokio-1.0/src/lib.rs").unwrap();
        assert_eq!(check(&folder), Ok(()));
        std::fs::write(&file, format!("panicked at {}/core/src/lib.rs", workspace().display())).unwrap();
        assert!(check(&folder).is_err());
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
