//! Who may know whom (docs/architecture.md): reads `cargo metadata` and fails when an arrow is broken.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::collections::{BTreeMap, BTreeSet};

use cargo_metadata::{DependencyKind, Metadata, MetadataCommand};

const WIRE: &str = "chasqui-wire";
const CORE: &str = "chasqui";
const NODE: &str = "chasqui-node";
/// The only rooms that see core and node together.
const BOTH: [&str; 3] = ["chasqui-tests", "chasqui-bench", "quickstart"];
/// The Kotlin and Swift bindings' Rust: the only room that knows UniFFI.
const FFI: &str = "chasqui-ffi";
/// The core's log, for both of them; knows nobody.
const LOG: &str = "chasqui-log";
/// The npm package's Rust.
const WASM: &str = "chasqui-wasm";
/// What does I/O, waits, or stores: nothing for the wire.
const NOT_IN_WIRE: [&str; 8] =
    ["tokio", "rusqlite", "libsqlite3-sys", "mio", "reqwest", "hyper", "socket2", "tokio-tungstenite"];

/// What could read what is encrypted: nothing for the node.
const NOT_IN_NODE: [&str; 3] = ["openmls", "openmls_traits", "tls_codec"];

/// Package names; an edge is a dependency.
#[derive(Clone, Debug, Default)]
struct Graph {
    members: BTreeSet<String>,
    /// Of any kind, as the manifests say.
    declared: BTreeMap<String, BTreeSet<String>>,
    /// What is built into whom: all but dev-dependencies.
    built: BTreeMap<String, BTreeSet<String>>,
}

impl Graph {
    fn of(metadata: &Metadata) -> Self {
        let mut graph = Self::default();
        for package in metadata.workspace_packages() {
            graph.members.insert(package.name.to_string());
            let declared = package.dependencies.iter().map(|dependency| dependency.name.clone());
            graph.declared.insert(package.name.to_string(), declared.collect());
        }
        let name = |id| metadata[id].name.to_string();
        for node in &metadata.resolve.as_ref().expect("resolved").nodes {
            let is_built = |kind: &cargo_metadata::DepKindInfo| kind.kind != DependencyKind::Development;
            let built = node.deps.iter().filter(|dep| dep.dep_kinds.iter().any(is_built)).map(|dep| name(&dep.pkg));
            // Two versions of a package are one name here.
            graph.built.entry(name(&node.id)).or_default().extend(built);
        }
        graph
    }

    /// Members of the workspace that `package` names in its manifest, for whatever purpose.
    fn known_members(&self, package: &str) -> BTreeSet<&str> {
        let declared = self.declared.get(package).into_iter().flatten();
        declared.map(String::as_str).filter(|&name| self.members.contains(name) && name != package).collect()
    }

    /// Everything that is built into `package`, at whatever distance.
    fn all_built_into(&self, package: &str) -> BTreeSet<&str> {
        let mut found = BTreeSet::new();
        let mut open: Vec<&str> = vec![package];
        while let Some(next) = open.pop() {
            for dependency in self.built.get(next).into_iter().flatten() {
                if found.insert(dependency.as_str()) {
                    open.push(dependency);
                }
            }
        }
        found
    }

    /// A line an arrow that is broken.
    fn broken(&self) -> Vec<String> {
        let mut broken = Vec::new();
        for (package, allowed) in [
            (WIRE, &[][..]),
            (CORE, &[WIRE][..]),
            (NODE, &[WIRE][..]),
            (LOG, &[][..]),
            (FFI, &[CORE, LOG][..]),
            (WASM, &[CORE, LOG][..]),
        ] {
            assert!(self.members.contains(package), "{package} is not in the workspace");
            for known in self.known_members(package) {
                if !allowed.contains(&known) {
                    broken.push(format!("{package} knows {known}"));
                }
            }
        }
        for member in self.members.iter().map(String::as_str).filter(|name| !BOTH.contains(name)) {
            let mut sees = self.all_built_into(member);
            sees.extend(self.known_members(member));
            sees.insert(member);
            if sees.contains(CORE) && sees.contains(NODE) {
                broken.push(format!("{member} sees core and node together"));
            }
        }
        let forbid = |package: &str, others: &[&str], broken: &mut Vec<String>| {
            let built = self.all_built_into(package);
            let found = others.iter().filter(|&other| built.contains(other));
            broken.extend(found.map(|other| format!("{package} is built with {other}")));
        };
        forbid(WIRE, &NOT_IN_WIRE, &mut broken);
        forbid(CORE, &["uniffi", "uniffi_core"], &mut broken);
        forbid(NODE, &NOT_IN_NODE, &mut broken);
        for member in self.members.iter().map(String::as_str).filter(|&member| member != FFI) {
            if self.declared.get(member).is_some_and(|declared| declared.contains("uniffi")) {
                broken.push(format!("{member} knows uniffi"));
            }
        }
        broken
    }
}

fn workspace() -> Graph {
    let mut command = MetadataCommand::new();
    // For this machine: what only other targets build may be missing here.
    let target = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
    command.manifest_path(concat!(env!("CARGO_MANIFEST_DIR"), "/../Cargo.toml"));
    command.other_options(["--offline".to_owned(), "--filter-platform".to_owned(), target]);
    Graph::of(&command.exec().unwrap())
}

#[test]
fn no_arrow_is_broken() {
    assert_eq!(workspace().broken(), [""; 0]);
}

#[test]
fn every_broken_arrow_is_seen() {
    let graph = workspace();
    let check = |from: &str, to: &str, is_only_declared: bool, expected: &str| {
        let mut graph = graph.clone();
        graph.declared.entry(from.into()).or_default().insert(to.into());
        if !is_only_declared {
            graph.built.entry(from.into()).or_default().insert(to.into());
        }
        let broken = graph.broken();
        assert!(broken.iter().any(|line| line == expected), "{from} -> {to}: {broken:?}");
    };
    check(CORE, NODE, false, "chasqui knows chasqui-node");
    check(CORE, NODE, true, "chasqui knows chasqui-node");
    check(NODE, CORE, true, "chasqui-node knows chasqui");
    check(WIRE, CORE, true, "chasqui-wire knows chasqui");
    check("xtask", "quickstart", false, "xtask sees core and node together");
    check(FFI, WIRE, true, "chasqui-ffi knows chasqui-wire");
    check(LOG, CORE, true, "chasqui-log knows chasqui");
    check(WASM, NODE, true, "chasqui-wasm knows chasqui-node");
    check("quickstart", "uniffi", true, "quickstart knows uniffi");
    check(WIRE, "tokio", false, "chasqui-wire is built with tokio");
    check("bytes", "rusqlite", false, "chasqui-wire is built with rusqlite");
    check("rusqlite", "uniffi", false, "chasqui is built with uniffi");
    check("axum", "openmls", false, "chasqui-node is built with openmls");
}
