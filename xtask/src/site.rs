//! `cargo xtask docs`: the documentation of the API in every language, from the sources, with a page that leads to each.
//!
//! What a machine has no tool for is named there and here, and never counted as made.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use crate::kotlin::{self, Profile};
use crate::steps::run_command;
use crate::swift::{self, Toolchain};
use crate::{built, debian, package, web, workspace};

/// Reads declarations of TypeScript up to 6: it gets a compiler of its own.
const TYPEDOC: [&str; 2] = ["typedoc@0.28.20", "typescript@6.0.3"];

enum Trouble {
    /// What this machine lacks.
    Lacking(String),
    Failed(String),
}

type Made = Result<(), Trouble>;

/// A language, where its first page is, and what makes the pages.
struct Part {
    language: &'static str,
    page: &'static str,
    make: fn(&Path) -> Made,
}

const PARTS: [Part; 4] = [
    Part { language: "Rust", page: "rust/chasqui/index.html", make: rust },
    Part { language: "Kotlin", page: "kotlin/index.html", make: kotlin },
    Part { language: "TypeScript", page: "typescript/index.html", make: typescript },
    Part { language: "Swift", page: "swift/documentation/chasqui/index.html", make: swift },
];

/// Makes what this machine can, or one language, into `target/doc-site`.
pub(crate) fn make(only: Option<&str>) -> ExitCode {
    let wanted = |part: &&Part| only.is_none_or(|language| part.language.eq_ignore_ascii_case(language));
    if PARTS.iter().filter(wanted).count() == 0 {
        eprintln!("usage: cargo xtask docs [rust | kotlin | typescript | swift]");
        return ExitCode::from(2);
    }
    let (mut lines, mut failed) = (Vec::new(), 0);
    for part in PARTS.iter().filter(wanted) {
        let line = match (part.make)(&place()) {
            Ok(()) if place().join(part.page).exists() => format!("target/doc-site/{}", part.page),
            Ok(()) => {
                failed += 1;
                format!("FAILED: {} was not made", part.page)
            }
            Err(Trouble::Lacking(what)) => format!("skipped: {what}"),
            Err(Trouble::Failed(problem)) => {
                failed += 1;
                format!("FAILED: {problem}")
            }
        };
        lines.push(format!("{:>10}  {line}", part.language));
    }
    if let Err(problem) = index() {
        lines.push(problem);
        failed += 1;
    }
    println!(
        "\n{}\ntarget/doc-site/index.html leads to all; serve the folder: python3 -m http.server -d target/doc-site",
        lines.join("\n")
    );
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn place() -> PathBuf {
    workspace().join("target/doc-site")
}

fn rust(site: &Path) -> Made {
    let mut doc = built::cargo();
    doc.args(["doc", "--workspace", "--no-deps", "--quiet"]).env("RUSTDOCFLAGS", "-D warnings");
    run_command(&mut doc).map_err(Trouble::Failed)?;
    anew(&site.join("rust"))?;
    web::copy(&workspace().join("target/doc"), &site.join("rust")).map_err(Trouble::Failed)
}

fn kotlin(site: &Path) -> Made {
    debian::provide(&kotlin::TOOLS).map_err(Trouble::Lacking)?;
    anew(&site.join("kotlin"))?;
    let output = format!("-Dchasqui.docs={}", site.join("kotlin").display());
    let made = kotlin::prepare(Profile::Debug);
    made.and_then(|()| kotlin::maven("bindings/kotlin", &["compile", "dokka:dokka", &output])).map_err(Trouble::Failed)
}

/// Of the declarations that the package holds: what people's editors show.
fn typescript(site: &Path) -> Made {
    web::ready().map_err(Trouble::Lacking)?;
    let declarations = web::place().join("package/dist/index.d.ts");
    if declarations.exists() {
        let compiler = web::tool(&web::place().join("npm"), "tsc").and_then(|tsc| web::node(&tsc));
        let mut compile = compiler.map_err(Trouble::Failed)?;
        run_command(compile.arg("-p").arg(workspace().join("bindings/wasm"))).map_err(Trouble::Failed)?;
    } else {
        package::npm().map_err(Trouble::Failed)?;
    }
    let tools = web::place().join("typedoc");
    std::fs::create_dir_all(&tools).map_err(|error| Trouble::Failed(format!("{}: {error}", tools.display())))?;
    web::npm(&tools, &TYPEDOC.map(Into::into)).map_err(Trouble::Failed)?;
    anew(&site.join("typescript"))?;
    let settings = workspace().join("bindings/wasm/typedoc.json");
    let run = web::tool(&tools, "typedoc").and_then(|script| web::node(&script));
    let mut run = run.map_err(Trouble::Failed)?;
    run.arg("--options").arg(settings).arg("--entryPoints").arg(&declarations);
    run_command(run.arg("--out").arg(site.join("typescript"))).map_err(Trouble::Failed)
}

/// By DocC, from the symbols that the compiler names. On a Mac, Xcode's "Build Documentation" shows the same in its window.
fn swift(site: &Path) -> Made {
    let toolchain = Toolchain::find().map_err(Trouble::Lacking)?;
    swift::prepare().map_err(Trouble::Failed)?;
    anew(&site.join("swift"))?;
    let mut convert = toolchain.tool("docc").map_err(Trouble::Lacking)?;
    let graphs = swift::symbol_graphs(&toolchain).map_err(Trouble::Failed)?;
    convert.arg("convert").arg("--additional-symbol-graph-dir").arg(graphs);
    convert.args(["--fallback-display-name", "Chasqui", "--fallback-bundle-identifier", "im.chasqui"]);
    convert.args(["--transform-for-static-hosting", "--hosting-base-path", "swift", "--output-path"]);
    run_command(convert.arg(site.join("swift"))).map_err(Trouble::Failed)
}

/// Without what was there before.
fn anew(folder: &Path) -> Made {
    let told = |error: std::io::Error| Trouble::Failed(format!("{}: {error}", folder.display()));
    if folder.exists() {
        std::fs::remove_dir_all(folder).map_err(told)?;
    }
    std::fs::create_dir_all(folder).map_err(told)
}

fn index() -> Result<(), String> {
    let told = |error: std::io::Error| format!("target/doc-site: {error}");
    std::fs::create_dir_all(place()).map_err(told)?;
    let entry = |part: &Part| {
        if place().join(part.page).exists() {
            format!("<li><a href=\"{}\">{}</a></li>", part.page, part.language)
        } else {
            format!("<li>{}: not made here</li>", part.language)
        }
    };
    let list: String = PARTS.iter().map(entry).collect();
    let page = format!(
        "<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content='width=device-width'>\
         <title>Chasqui {version}</title><style>body{{font:18px/1.6 system-ui,sans-serif;max-width:40em;margin:4em auto;\
         padding:0 1em}}li{{margin:.5em 0}}</style><h1>Chasqui {version}</h1><p>One core, four languages: the same \
         operations under the same names.</p><ul>{list}</ul></html>\n",
        version = env!("CARGO_PKG_VERSION"),
    );
    std::fs::write(place().join("index.html"), page).map_err(told)
}
