//! `cargo xtask proto`: the Rust that the published `.proto` files generate is checked in, so that users of the SDK need
//! no protobuf compiler and pay no build time for it. A test keeps it current.

use std::path::{Path, PathBuf};

const SOURCES: [&str; 2] = ["chasqui/v1/frames.proto", "chasqui/v1/content.proto"];

fn main() -> Result<(), String> {
    let workspace = workspace();
    generate_into(&workspace, &checked_in(&workspace))
}

fn workspace() -> PathBuf {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    manifest.ancestors().nth(2).expect("two folders below the workspace").to_path_buf()
}

fn checked_in(workspace: &Path) -> PathBuf {
    workspace.join("core/wire/src/proto")
}

fn generate_into(workspace: &Path, out: &Path) -> Result<(), String> {
    let root = workspace.join("core/wire/proto");
    std::fs::create_dir_all(out).map_err(|error| error.to_string())?;
    let descriptors = protox::compile(SOURCES, [&root]).map_err(|error| error.to_string())?;
    prost_build::Config::new()
        .bytes(["."])
        .boxed(".chasqui.v1.Entry.kind.envelope")
        .boxed(".chasqui.v1.Entry.kind.read")
        .boxed(".chasqui.v1.ClientFrame.kind.send")
        .out_dir(out)
        .compile_fds(descriptors)
        .map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_generated_code_is_current() {
        let workspace = workspace();
        let fresh = workspace.join("target/proto-check");
        generate_into(&workspace, &fresh).expect("the schemas compile");
        for file in ["chasqui.v1.rs", "chasqui.content.v1.rs"] {
            let expected = std::fs::read_to_string(fresh.join(file)).expect("generated");
            let found = std::fs::read_to_string(checked_in(&workspace).join(file)).expect("checked in");
            assert!(expected == found, "{file} is stale: run `cargo xtask proto`");
        }
    }
}
