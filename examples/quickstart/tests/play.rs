//! The built program, played as a user would: what it prints, and how it ends.
#![expect(clippy::unwrap_used, reason = "a test, helpers included")]

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Command, Output, Stdio};

use serde_json::{Value, json};

fn quickstart(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_quickstart")).args(arguments).output().unwrap()
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

/// Plays a transcript with `--json`; returns every object.
#[track_caller]
fn play(lines: &[(&str, &str)], more: &[&str]) -> Vec<Value> {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    for (from, text) in lines {
        writeln!(file, "{}", json!({"from": from, "text": text})).unwrap();
    }
    let path = file.path().to_str().unwrap();
    let output = quickstart(&[&["--json", "--transcript", path], more].concat());
    let objects: Vec<Value> = stdout(&output).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(output.status.success(), "{}\n{:?}", String::from_utf8_lossy(&output.stderr), objects.last());
    objects
}

/// Plays, and expects that all counts are `lines` and that nothing is left.
#[track_caller]
fn check(lines: &[(&str, &str)]) -> Vec<Value> {
    let objects = play(lines, &[]);
    let mut summary = objects.last().unwrap()["summary"].clone();
    let control = summary["positive_control"].take();
    assert_eq!(control.as_u64().is_some_and(|found| found > 0), !lines.is_empty(), "positive control: {control}");
    let all = lines.len();
    let nothing = json!({"mailbox_entries": 0, "bodies": 0, "body_bytes": 0, "canary_hits": 0});
    let expected = json!({"sent": all, "accepted": all, "received": all, "read": all, "duplicates": 0,
                          "order_equal": true, "positive_control": null, "encrypted": true, "relay": nothing});
    assert_eq!(summary, expected);
    objects
}

/// The texts that a scene shows, with who shows them in which state.
fn scene(objects: &[Value], title: &str) -> Vec<(String, String, String)> {
    let after = objects.iter().skip_while(|object| object["scene"] != title).skip(1);
    let lines = after.map_while(|object| object.get("message"));
    let field = |line: &Value, name: &str| line[name].as_str().unwrap().to_owned();
    lines.map(|line| (field(line, "on"), field(line, "state"), field(line, "text"))).collect()
}

#[test]
fn the_built_in_conversation_for_people() {
    let output = quickstart(&[]);
    let shown = stdout(&output);
    assert!(output.status.success(), "{shown}\n{}", String::from_utf8_lossy(&output.stderr));
    for expected in ["✓✓ read", "✓  sent", "…  pending", "✓✓ received", "nothing: 0 mailbox entries", "SIGKILL"]
    {
        assert!(shown.contains(expected), "{expected:?} is missing in {shown}");
    }
    assert!(!shown.contains('✗') && !shown.contains('\x1b'), "{shown}");
}

#[test]
fn nothing_one_two_and_one_sided() {
    check(&[]);
    check(&[("ana", "a")]);
    check(&[("bo", "b")]);
    check(&[("bo", "b"), ("ana", "b")]);
    check(&[("bo", "only I speak"); 7]);
}

#[test]
fn nasty_texts() {
    let long = "Ωmega ".repeat(8_700);
    assert!(long.len() > 60_000);
    let texts = [
        "👩‍👩‍👧‍👦🏳️‍🌈👍🏽🇵🇪",
        "\u{202e}שלום עולם\u{202c} مرحبا بالعالم",
        "e\u{301}\u{327}\u{308} Z̷̢a̴͜l̸g̵o̷ \u{200d}\u{feff}",
        long.as_str(),
        "same",
        "same",
        "same",
        "x",
        "\0",
        "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0",
        "line\nline\r\n\n{\"do\":\"close\"}\n",
        "CREATE TABLE mailbox (\n    device INTEGER NOT NULL REFERENCES device,\n    entry INTEGER NOT NULL,",
        " ",
        "\u{7f}\u{9b}31m\x1b[31m",
        "明日は東京タワーで会いましょう",
        "\u{10ffff}\u{fffd}\u{e000}",
        "' OR 1=1; -- % _ \\ \" NEAR(",
    ];
    let lines: Vec<(&str, &str)> =
        texts.iter().enumerate().map(|(index, &text)| (if index % 3 == 1 { "bo" } else { "ana" }, text)).collect();
    let objects = check(&lines);
    let mut shown = Vec::new();
    for title in ["Everybody is there", "Bo is back", "Everybody is there again, and reads"] {
        shown.extend(scene(&objects, title).into_iter().map(|(_, _, text)| text));
    }
    shown.sort();
    let mut sent: Vec<String> = texts.iter().map(|&text| text.to_owned()).collect();
    sent.sort();
    assert_eq!(shown, sent);
}

#[test]
fn states_and_devices_as_they_were_at_the_time() {
    let objects = check(&[
        ("ana", "one"),
        ("bo", "two"),
        ("ana", "three"),
        ("ana", "four"),
        ("bo", "five"),
        ("ana", "six"),
        ("ana", "seven"),
        ("ana", "eight"),
        ("bo", "nine"),
    ]);
    let show = |title: &str| {
        let lines = scene(&objects, title);
        lines.into_iter().map(|(on, state, text)| format!("{on}: {text} ({state})")).collect::<Vec<_>>()
    };
    let [one, two, three] = ["Ana's phone: one (read)", "Bo's phone: two (read)", "Ana's laptop: three (read)"];
    assert_eq!(show("Everybody is there"), [one, two, three]);
    let [four, six] = ["Ana's phone: four (sent)", "Ana's phone: six (sent)"];
    assert_eq!(show("Bo has no network"), [four, six, "Bo's phone: five (pending)"]);
    let [four, six] = ["Ana's phone: four (received)", "Ana's phone: six (received)"];
    assert_eq!(show("Bo is back"), [four, six, "Bo's phone: five (received)"]);
}

#[test]
fn a_long_dialogue() {
    let lines: Vec<(&str, &str)> = ["ana", "bo"].into_iter().cycle().take(900).map(|from| (from, "again")).collect();
    check(&lines);
}

#[test]
fn a_running_node_keeps_its_files_to_itself() {
    let data = tempfile::tempdir().unwrap();
    let mut node = Command::new(env!("CARGO_BIN_EXE_quickstart"))
        .args(["relay", "--data", data.path().to_str().unwrap()])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(node.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let listening: Value = serde_json::from_str(&line).unwrap();
    let url = format!("http://{}", listening["address"].as_str().unwrap());
    // Twice: the second play finds the first one's users there.
    for _ in 0..2 {
        let objects = play(&[("ana", "one"), ("bo", "two"), ("ana", "three")], &["--node", &url]);
        let summary = &objects.last().unwrap()["summary"];
        assert_eq!(
            (&summary["read"], &summary["relay"], &summary["positive_control"]),
            (&json!(3), &json!(null), &json!(null))
        );
    }
    drop(node.stdin.take());
    assert!(node.wait().unwrap().success());
}

#[test]
fn bad_transcripts_are_refused_with_one_line() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("talk.jsonl");
    let good = json!({"from": "ana", "text": "good"});
    let refuse = |path: &str, expected: &str| {
        let output = quickstart(&["--transcript", path]);
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!((output.status.code(), output.stdout.len(), said.lines().count()), (Some(2), 0, 1), "{said}");
        assert!(said.contains(path) && said.contains(expected), "{said}");
    };
    let path = path.to_str().unwrap();
    refuse(path, "cannot be read");
    for (bad, expected) in [
        ("{\"from\":\"ana\"", ":2: not a line of a transcript"),
        ("[]", ":2: not a line of a transcript"),
        ("{\"from\":\"eve\",\"text\":\"a\"}", ":2: unknown sender \"eve\""),
        ("{\"from\":\"bo\",\"text\":\"\"}", ":2: the text is empty"),
    ] {
        std::fs::write(path, format!("{good}\n{bad}\n{good}\n")).unwrap();
        refuse(path, expected);
    }
    std::fs::write(path, format!("{good}\n{}\n", json!({"from": "bo", "text": "x".repeat(65_536)}))).unwrap();
    refuse(path, ":2: the text is too long");
}

#[test]
fn a_node_that_is_not_there_is_named() {
    let output = quickstart(&["--node", "http://127.0.0.1:9"]);
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!((output.status.code(), said.lines().count()), (Some(1), 1), "{said}");
    assert!(said.contains("could not register") && said.contains("(offline)"), "{said}");
}
