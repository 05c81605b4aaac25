//! `cargo xtask`: the project's own commands.

mod proto;

use std::path::{Path, PathBuf};

fn main() -> Result<(), String> {
    proto::generate(&workspace())
}

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("xtask lies in the workspace").to_path_buf()
}
