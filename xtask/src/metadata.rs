//! What UniFFI tells the makers of bindings about the API, documentation and all: 50 KiB of a library, which no host reads.
//!
//! It is exported item by item, and so the linker keeps it. An item that another object calls hidden is not exported, whoever says so.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::built;
use crate::steps::run_command;

const PREFIX: &[u8] = b"UNIFFI_META_";

/// Makes an object that hides it when it is linked with, for Linux. The library for the tests has to be there, which names the items.
pub(crate) fn hide(folder: &Path) -> Result<PathBuf, String> {
    let told = |path: &Path, error: std::io::Error| format!("{}: {error}", path.display());
    let library = built::library();
    let bytes = std::fs::read(&library).map_err(|error| told(&library, error))?;
    let names = names(&bytes);
    if names.is_empty() {
        return Err(format!("{} names no metadata of UniFFI", library.display()));
    }
    let (source, object) = (folder.join("hidden.s"), folder.join("hidden.o"));
    std::fs::create_dir_all(folder).map_err(|error| told(folder, error))?;
    std::fs::write(&source, assembly(&names)).map_err(|error| told(&source, error))?;
    run_command(Command::new("cc").arg("-c").arg(&source).arg("-o").arg(&object))?;
    Ok(object)
}

/// An object names only what it mentions, so it does, in a part that is left out of the library. Weak: an item that is not there is no
/// fault. Without the last line, the stack might be made executable.
fn assembly(names: &BTreeSet<&str>) -> String {
    let item = |name: &&str| format!(".weak {name}\n.hidden {name}\n.long {name}\n");
    let items: String = names.iter().map(item).collect();
    format!(".section .hidden,\"e\"\n{items}.section .note.GNU-stack,\"\",%progbits\n")
}

/// Names end with a zero byte in ELF's tables of them (System V ABI, chapter 4).
fn names(library: &[u8]) -> BTreeSet<&str> {
    let is_name = |bytes: &[u8]| bytes.iter().all(|&byte| byte.is_ascii_alphanumeric() || byte == b'_');
    let names = library.split(|&byte| byte == 0).filter(|name| name.starts_with(PREFIX) && is_name(name));
    names.filter_map(|name| str::from_utf8(name).ok()).collect()
}

#[cfg(test)]
mod tests {
    #[test]
    fn items_are_found_among_other_names() {
        let table = b"\0ffi_call\0UNIFFI_META_A_RECORD_B\0not_UNIFFI_META_C\0UNIFFI_META_A_FUNC_D\0";
        assert!(super::names(table).into_iter().eq(["UNIFFI_META_A_FUNC_D", "UNIFFI_META_A_RECORD_B"]));
    }
}
