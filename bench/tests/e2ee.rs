//! The benchmark of encryption still works. Times are not looked at: a busy machine must not fail a test.

use std::process::Command;

use serde_json::Value;

#[test]
fn a_quick_run_measures_everything() {
    let libraries = ["--library=npm: core=700/900", "--library=jar: core=901/900"];
    let mut bench = Command::new(env!("CARGO_BIN_EXE_chasqui-bench"));
    let run = bench.args(["e2ee", "--quick", "--json"]).args(libraries).output().unwrap();
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    let report: Value = serde_json::from_slice(&run.stdout).unwrap();
    assert!(report["machine"]["cores"].as_u64().is_some_and(|cores| cores > 0), "{report}");
    assert_eq!(report["catch_up"]["messages"], 300);
    let library = |name, bytes: u64, met| serde_json::json!({"name": name, "bytes": bytes, "at_most": 900, "met": met});
    assert_eq!(
        report["libraries"],
        serde_json::json!([library("npm: core", 700, true), library("jar: core", 901, false)])
    );
    for figure in report["figures"].as_array().unwrap() {
        assert!(figure["value"].as_f64().is_some_and(|value| value > 0.0), "{figure}");
    }
    let groups = report["groups"].as_array().unwrap();
    let sizes: Vec<u64> = groups.iter().filter_map(|group| group["devices"].as_u64()).collect();
    assert_eq!(sizes, [2, 5]);
    for group in groups {
        let bytes = |name: &str| group[name].as_u64().unwrap_or_else(|| panic!("no {name}: {group}"));
        // As the core's `SEALED_BYTES` promises, and some for what says that it is encrypted.
        let grown = bytes("frame_bytes") - bytes("unencrypted_frame_bytes");
        assert!((100..=340).contains(&grown), "{group}");
        assert!(bytes("welcome_bytes") > 0);
        for change in ["add", "remove"] {
            assert!(group[change]["commit_bytes"].as_u64().is_some_and(|bytes| bytes > 0), "{group}");
        }
    }
}
