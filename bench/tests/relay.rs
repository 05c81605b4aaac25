//! The benchmark of the relay still works, and so does its test by force. Times are not looked at.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

/// `None` where the node was not built beside the benchmark.
fn bench(arguments: &[&str]) -> Option<Output> {
    let program = Path::new(env!("CARGO_BIN_EXE_chasqui-bench"));
    if !program.with_file_name("chasqui-node").exists() {
        eprintln!("skipped: chasqui-node is not built; `cargo build -p chasqui-node` does it");
        return None;
    }
    Some(Command::new(program).args(arguments).output().unwrap())
}

#[test]
fn a_quick_run_measures_every_workload() {
    let Some(run) = bench(&["relay", "--quick", "--rounds", "1", "--json"]) else { return };
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    let report: Value = serde_json::from_slice(&run.stdout).unwrap();
    let figure = |workload: &str, figure: &str| {
        report["workloads"][workload][figure]["chasqui"]
            .as_f64()
            .unwrap_or_else(|| panic!("{workload} {figure}: {report}"))
    };
    for workload in ["pairs", "light", "paced"] {
        assert!(figure(workload, "messages_per_second") > 0.0);
        assert!(figure(workload, "p99_ms") > 0.0);
    }
    assert!(figure("offline", "accept_per_second") > 0.0);
    assert_eq!(figure("offline", "canaries_after"), 0.0);
    for workload in ["idle", "idle-tls"] {
        assert!(figure(workload, "connect_per_second") > 0.0);
        assert!(figure(workload, "bytes_per_connection") > 0.0);
    }
}

#[test]
fn every_accepted_message_is_delivered_once_however_often_the_node_is_killed() {
    let Some(run) = bench(&["crash", "--kills", "4", "--quick"]) else { return };
    let (said, complaint) = (String::from_utf8_lossy(&run.stdout), String::from_utf8_lossy(&run.stderr));
    assert!(run.status.success(), "{said}{complaint}");
    assert!(said.contains("accepted 5000, delivered 5000, bodies left 0"), "{said}");
}
