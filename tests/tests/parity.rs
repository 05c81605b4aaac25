//! One core: what an app can do in Rust, it can do in every language.
//!
//! Reads the sources. Fails when a public operation of [`chasqui::Client`] is missing in a binding without a stated reason, when
//! a reason is stated for what is there, and when an enum that may grow has grown in the core alone.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// What stands in a language for the core's `Client`.
struct Binding {
    name: &'static str,
    /// A file, or a folder with files.
    source: &'static str,
    language: Language,
    /// Operations that it does not have, and why.
    without: &'static [(&'static str, &'static str)],
}

/// How a declaration looks.
#[derive(Clone, Copy)]
enum Language {
    /// Methods of this type, under the core's names.
    Rust { of: &'static str },
    /// In camel case.
    Kotlin,
    /// In camel case.
    Swift,
    /// In camel case; methods of the one class of the file.
    TypeScript,
}

const BINDINGS: [Binding; 4] = [
    Binding {
        name: "bindings/ffi",
        source: "bindings/ffi/src",
        language: Language::Rust { of: "NativeClient" },
        without: &[
            ("export", "made of `export_pages` in each language: files are the platform's"),
            ("back_up", "made of `backup_pages`"),
            ("restore", "made of `begin_restore`"),
            ("new_recovery_phrase", "a function of its own: UniFFI's objects have no static ones"),
            ("is_persistent", "files are, on phones and on desktops"),
        ],
    },
    Binding {
        name: "bindings/kotlin",
        source: "bindings/kotlin/src/main/kotlin/im/chasqui/ChasquiClient.kt",
        language: Language::Kotlin,
        without: &[
            ("export_pages", "`export` writes into any stream"),
            ("backup_pages", "as does `backUp`"),
            ("begin_restore", "`restore` reads from any stream"),
            ("is_persistent", "as in bindings/ffi"),
        ],
    },
    Binding {
        name: "bindings/swift",
        source: "bindings/swift/Sources/Chasqui",
        language: Language::Swift,
        without: &[("begin_restore", "`restore` takes any sequence of bytes"), ("is_persistent", "as in bindings/ffi")],
    },
    Binding {
        name: "bindings/wasm",
        source: "bindings/wasm/js/client.ts",
        language: Language::TypeScript,
        without: &[
            ("export_pages", "`export` makes a file that the browser holds"),
            ("backup_pages", "as does `backUp`"),
            ("begin_restore", "`restore` takes such a file"),
            ("is_persistent", "`storage` says it, and whether the browser may evict the history"),
        ],
    },
];

/// Enums that may grow: in the core, and in the binding's Rust.
const ENUMS: [(&str, &str); 9] = [
    ("Error", "ChasquiError"),
    ("MessageContent", "MessageContent"),
    ("Failure", "Failure"),
    ("Undelivered", "Undelivered"),
    ("Blocked", "Blocked"),
    ("HoleReason", "HoleReason"),
    ("ConnectionState", "ConnectionState"),
    ("Trust", "Trust"),
    ("SecurityEventKind", "SecurityEventKind"),
];
/// What a binding has beside them, for what only a later core could say.
const OTHER: [(&str, &str); 1] = [("SecurityEventKind", "Other")];

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// The Rust files of a folder, at whatever depth; without those that protobuf generated, which have other names for the same.
fn files(folder: &Path) -> Vec<syn::File> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            if path.ends_with("proto") {
                continue;
            }
            found.extend(files(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(syn::parse_file(&std::fs::read_to_string(&path).unwrap()).unwrap());
        }
    }
    found
}

/// The public functions in all inherent `impl` blocks of a type.
fn methods(files: &[syn::File], of: &str) -> BTreeSet<String> {
    let blocks = files.iter().flat_map(|file| &file.items).filter_map(|item| match item {
        syn::Item::Impl(block) if block.trait_.is_none() && is_path_to(&block.self_ty, of) => Some(block),
        _ => None,
    });
    let public = blocks.flat_map(|block| &block.items).filter_map(|item| match item {
        syn::ImplItem::Fn(function) if matches!(function.vis, syn::Visibility::Public(_)) => Some(&function.sig.ident),
        _ => None,
    });
    public.map(ToString::to_string).collect()
}

fn is_path_to(target: &syn::Type, name: &str) -> bool {
    matches!(target, syn::Type::Path(path) if path.path.is_ident(name))
}

/// The variants of the public enum of that name.
fn variants(files: &[syn::File], name: &str) -> BTreeSet<String> {
    let mut enums = files.iter().flat_map(|file| &file.items).filter_map(|item| match item {
        syn::Item::Enum(item) if item.ident == name && matches!(item.vis, syn::Visibility::Public(_)) => Some(item),
        _ => None,
    });
    let found = enums.next().unwrap_or_else(|| panic!("there is no enum {name}"));
    found.variants.iter().map(|variant| variant.ident.to_string()).collect()
}

fn camel_case(name: &str) -> String {
    let mut parts = name.split('_');
    let first = parts.next().unwrap().to_owned();
    parts.fold(first, |so_far, part| so_far + &part[..1].to_uppercase() + &part[1..])
}

/// A line for each operation that is missing without a reason, and each reason that is none.
fn differences(operations: &BTreeSet<String>, has: &dyn Fn(&str) -> bool, without: &[(&str, &str)]) -> Vec<String> {
    let mut lines = Vec::new();
    for operation in operations {
        let is_excepted = without.iter().any(|(name, _)| name == operation);
        match (has(operation), is_excepted) {
            (false, false) => lines.push(format!("{operation} is missing")),
            (true, true) => lines.push(format!("{operation} is there, and a reason is given why it is not")),
            (true, false) | (false, true) => {}
        }
    }
    let unknown = without.iter().filter(|(name, _)| !operations.contains(*name));
    lines.extend(unknown.map(|(name, _)| format!("{name} is no operation of the client")));
    lines
}

fn compare(operations: &BTreeSet<String>, binding: &Binding) -> Vec<String> {
    let source = workspace().join(binding.source);
    match binding.language {
        Language::Rust { of } => {
            let methods = methods(&files(&source), of);
            differences(operations, &|name| methods.contains(name), binding.without)
        }
        Language::Swift => {
            // Not what UniFFI generates: it lies in a folder of its own.
            let names = ["ChasquiClient.swift", "Export.swift", "Backup.swift"];
            let text: String = names.map(|name| std::fs::read_to_string(source.join(name)).unwrap()).concat();
            let has = |name: &str| {
                let name = camel_case(name);
                text.contains(&format!(" func {name}(")) || text.contains(&format!(" var {name}:"))
            };
            differences(operations, &has, binding.without)
        }
        Language::Kotlin => {
            let text = std::fs::read_to_string(&source).unwrap();
            let has = |name: &str| {
                let name = camel_case(name);
                text.contains(&format!(" fun {name}(")) || text.contains(&format!(" val {name}:"))
            };
            differences(operations, &has, binding.without)
        }
        Language::TypeScript => {
            let text = std::fs::read_to_string(&source).unwrap();
            let has = |name: &str| {
                let name = camel_case(name);
                ["", "async ", "static async "].iter().any(|kind| text.contains(&format!("\n  {kind}{name}(")))
            };
            differences(operations, &has, binding.without)
        }
    }
}

fn operations() -> BTreeSet<String> {
    methods(&files(&workspace().join("core/src")), "Client")
}

#[test]
fn every_binding_has_every_operation() {
    let operations = operations();
    // Whatever the parser made of the sources, it found these.
    for known in ["open", "register", "send_text", "observe_timeline", "export", "close"] {
        assert!(operations.contains(known), "{known} was not found: {operations:?}");
    }
    for binding in &BINDINGS {
        assert_eq!(compare(&operations, binding), [""; 0], "{}", binding.name);
    }
}

#[test]
fn what_is_missing_is_seen() {
    let mut operations = operations();
    assert!(operations.insert("dance".to_owned()));
    for binding in &BINDINGS {
        assert_eq!(compare(&operations, binding), ["dance is missing"], "{}", binding.name);
        let without: Vec<_> = [binding.without, &[("open", "it is there"), ("sing", "nobody can")]].concat();
        let generous = Binding { without: Box::leak(without.into_boxed_slice()), ..*binding };
        let expected = [
            "dance is missing",
            "open is there, and a reason is given why it is not",
            "sing is no operation of the client",
        ];
        assert_eq!(compare(&operations, &generous), expected, "{}", binding.name);
    }
}

#[test]
fn no_enum_has_grown_in_the_core_alone() {
    let mut core = files(&workspace().join("core/src"));
    core.extend(files(&workspace().join("core/wire/src")));
    let ffi = files(&workspace().join("bindings/ffi/src"));
    for (ours, theirs) in ENUMS {
        let mut known = variants(&ffi, theirs);
        known.retain(|variant| !OTHER.contains(&(theirs, variant)));
        assert_eq!(variants(&core, ours), known, "{ours}");
    }
}
