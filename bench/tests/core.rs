//! The benchmark of the core still works. Times are not looked at: a busy machine must not fail a test.

use std::process::Command;

use serde_json::Value;

#[test]
fn a_quick_run_measures_everything() {
    let run = Command::new(env!("CARGO_BIN_EXE_chasqui-bench")).args(["core", "--quick", "--json"]).output().unwrap();
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    let report: Value = serde_json::from_slice(&run.stdout).unwrap();
    assert!(report["machine"]["cores"].as_u64().is_some_and(|cores| cores > 0), "{report}");
    assert_eq!(report["catch_up"]["messages"], 300);
    assert_eq!(report["reading"]["messages"], 600);
    for figure in report["figures"].as_array().unwrap() {
        assert!(figure["value"].as_f64().is_some_and(|value| value > 0.0), "{figure}");
    }
    let questions = report["reading"]["questions"].as_array().unwrap();
    let found = |name: &str| {
        let question = questions.iter().find(|question| question["question"] == name);
        question.unwrap_or_else(|| panic!("nobody asked {name}: {questions:#?}"))["found"].as_u64().unwrap()
    };
    assert_eq!(found("conversation list, first 50"), 20);
    assert_eq!(found("timeline, page of 50"), 50);
    assert!(found("search: the commonest words") > 0);
    assert_eq!(found("search: nothing that is there"), 0);
}
