//! The binary: starts, says why it cannot, and leaves without losing anybody.

#![cfg(unix)]
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod client;

use std::io::{BufRead as _, BufReader, Read as _};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use chasqui_node::serve::{self, ServeError};
use chasqui_wire::{GoodbyeReason, NodeFrame};
use client::{Device, Node, config, node};
use serde_json::Value;

fn command(data: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_chasqui-node"));
    command.env_clear().arg("serve").arg("--data").arg(data).args(["--listen", "127.0.0.1:0"]);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// A started node and its `listening` line.
fn started(command: &mut Command) -> (Child, Value) {
    let mut child = command.spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
    (child, serde_json::from_str(&line).unwrap())
}

/// The one line with which it gave up.
fn complaint(output: Output) -> String {
    assert_eq!(output.status.code(), Some(1));
    let text = String::from_utf8(output.stderr).unwrap();
    let complaint: Vec<&str> = text.lines().filter(|line| line.starts_with("chasqui-node: ")).collect();
    assert_eq!(complaint.len(), 1, "{text}");
    complaint[0].to_owned()
}

fn terminate(child: &Child) {
    assert!(Command::new("kill").arg("-TERM").arg(child.id().to_string()).status().unwrap().success());
}

#[tokio::test]
async fn sigterm_says_goodbye_and_exits_cleanly() {
    let folder = tempfile::tempdir().unwrap();
    let (mut child, listening) = started(&mut command(folder.path()));
    assert_eq!(listening["event"], "listening");
    let mut ana = Device::new(&node().await, 1, 1);
    ana.node = listening["address"].as_str().unwrap().parse().unwrap();
    ana.realm = listening["realm"].as_str().unwrap().parse().unwrap();
    assert_eq!(ana.post("/v1/register", &ana.register("ana")).await.status, 200);
    let (mut socket, _) = ana.welcomed().await;
    assert!(matches!(socket.frame().await, NodeFrame::Drained(_)));
    terminate(&child);
    let NodeFrame::Goodbye(goodbye) = socket.frame().await else { panic!("goodbye") };
    assert_eq!(goodbye.reason, GoodbyeReason::ShuttingDown);
    assert!(goodbye.retry_after_ms >= 500);
    assert_eq!(socket.maybe_frame().await, None);
    let status = tokio::task::spawn_blocking(move || {
        let mut log = String::new();
        child.stderr.take().unwrap().read_to_string(&mut log).unwrap();
        assert!(!log.contains("ana"), "no user data: {log}");
        child.wait().unwrap()
    });
    assert_eq!(status.await.unwrap().code(), Some(0));
    let log = folder.path().join("relay.db-wal");
    assert!(std::fs::metadata(log).map_or(0, |log| log.len()) == 0, "the log was emptied");
}

#[tokio::test]
async fn one_node_a_folder_and_one_a_port() {
    let node = node().await;
    let Node { folder, .. } = &node;
    let in_use = serve::start(config(folder)).await.err().unwrap();
    assert!(in_use.to_string().contains("is in use by another node"), "{in_use}");
    let other = tempfile::tempdir().unwrap();
    let mut taken = config(&other);
    taken.listen = node.running.address();
    assert!(matches!(serve::start(taken).await.err(), Some(ServeError::AddressInUse { .. })));
    let output = command(folder.path()).output().unwrap();
    assert!(complaint(output).contains("is in use by another node"));
    node.running.stop().await;
}

#[test]
fn what_cannot_start_says_why_in_one_line() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, "").unwrap();
    let check = |command: &mut Command, expected: &str| {
        let complaint = complaint(command.output().unwrap());
        assert!(complaint.contains(expected), "{complaint}");
    };
    check(&mut command(&file), "cannot be used");
    let port = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = port.local_addr().unwrap().to_string();
    let data = folder.path().join("data");
    let mut taken = Command::new(env!("CARGO_BIN_EXE_chasqui-node"));
    taken.env_clear().args(["serve", "--listen", &address, "--data"]).arg(&data);
    check(&mut taken, "already in use");
    let toml = folder.path().join("node.toml");
    std::fs::write(&toml, "datta = \"x\"\n").unwrap();
    check(command(&data).arg("--config").arg(&toml), "unknown field `datta`");
    check(command(&data).arg("--config").arg(folder.path().join("none")), "cannot be read");
    let (mut child, _) = started(&mut command(&data));
    terminate(&child);
    assert_eq!(child.wait().unwrap().code(), Some(0));
    check(command(&data).args(["--realm", "00000000-0000-4000-8000-000000000000"]), "belongs to realm");
}

#[test]
fn flags_win_over_the_environment_which_wins_over_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let toml = folder.path().join("node.toml");
    let realm = |digit: char| format!("00000000-0000-4000-8000-00000000000{digit}");
    std::fs::write(&toml, format!("realm = \"{}\"\n", realm('1'))).unwrap();
    let check = |name: &str, flag: Option<char>, environment: Option<char>, expected: char| {
        let mut command = command(&folder.path().join(name));
        command.arg("--config").arg(&toml);
        if let Some(flag) = flag {
            command.args(["--realm", &realm(flag)]);
        }
        if let Some(environment) = environment {
            command.env("CHASQUI_REALM", realm(environment));
        }
        let (mut child, listening) = started(&mut command);
        terminate(&child);
        child.wait().unwrap();
        assert_eq!(listening["realm"], realm(expected));
    };
    check("file", None, None, '1');
    check("environment", None, Some('2'), '2');
    check("flag", Some('3'), Some('2'), '3');
}
