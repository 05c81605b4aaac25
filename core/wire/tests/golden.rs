//! The exact bytes of every frame kind, for whoever writes another implementation. Bytes that change here break every
//! device in the field: a golden file is added to, never edited.
//!
//! `CHASQUI_BLESS=1 cargo test -p chasqui-wire --test golden` writes files that are missing, and only those.

mod samples;

use std::path::PathBuf;

use bytes::Bytes;
use chasqui_wire::{ClientFrame, Content, Limits, NodeFrame, Protection, SignalBody, direct_conversation, signing};
use samples::Sample;
use serde_json::{Value, json};

fn golden(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name)
}

/// The golden file, which is made from `current` if it is missing and that was asked for.
fn read_or_bless(name: &str, current: impl FnOnce() -> String) -> String {
    let path = golden(name);
    if !path.exists() && std::env::var_os("CHASQUI_BLESS").is_some() {
        std::fs::write(&path, current()).expect("tests/golden can be written");
    }
    std::fs::read_to_string(&path).unwrap_or_else(|_| panic!("{name} is missing: run with CHASQUI_BLESS=1"))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &str) -> Bytes {
    let digits: String = text.lines().filter(|line| !line.starts_with('#')).collect();
    let byte = |at: usize| u8::from_str_radix(&digits[at..at + 2], 16).expect("hex digits");
    (0..digits.len()).step_by(2).map(byte).collect()
}

/// A comment, then 32 bytes a line.
fn file(comment: &str, bytes: &[u8]) -> String {
    let lines: Vec<String> = bytes.chunks(32).map(hex).collect();
    format!("# {comment}\n{}\n", lines.join("\n"))
}

#[test]
fn every_sample_has_its_golden_bytes() {
    for (name, sample) in samples::all() {
        let (comment, encoded) = match &sample {
            Sample::Client(frame) => ("ClientFrame", frame.encode()),
            Sample::Node(frame) => ("NodeFrame", frame.encode()),
            Sample::Content(content) => ("Content", content.encode()),
            Sample::Signal(body) => ("SignalBody", body.encode().into()),
        };
        let text = read_or_bless(&format!("{name}.hex"), || file(&format!("{comment}: {name}"), &encoded));
        let golden = unhex(&text);
        match sample {
            Sample::Client(frame) => {
                assert_eq!(ClientFrame::decode(golden.clone(), &Limits::DEFAULT), Ok(frame), "{name}");
            }
            Sample::Node(frame) => {
                assert_eq!(NodeFrame::decode(golden.clone(), &Limits::DEFAULT), Ok(frame), "{name}");
            }
            Sample::Content(content) => {
                assert_eq!(Content::decode(golden.clone(), content.message), Ok(content), "{name}");
            }
            Sample::Signal(body) => assert_eq!(SignalBody::decode(&golden), Ok(body), "{name}"),
        }
        assert_eq!(hex(&encoded), hex(&golden), "{name} is encoded otherwise than before");
    }
}

#[test]
fn every_golden_file_has_its_sample() {
    let mut known: Vec<String> = samples::all().into_iter().map(|(name, _)| format!("{name}.hex")).collect();
    known.push("vectors.json".to_owned());
    for file in std::fs::read_dir(golden("")).expect("tests/golden exists") {
        let name = file.expect("a readable entry").file_name().into_string().expect("UTF-8");
        assert!(known.contains(&name), "{name} is checked by nobody");
    }
}

#[test]
fn every_kind_has_a_sample() {
    // Exhaustive, so that a new kind does not compile without a thought for its golden file.
    let mut client = [0; 9];
    let mut node = [0; 11];
    for (_, sample) in samples::all() {
        match sample {
            Sample::Client(ClientFrame::Hello(_)) => client[0] += 1,
            Sample::Client(ClientFrame::Send(_)) => client[1] += 1,
            Sample::Client(ClientFrame::Read(_)) => client[2] += 1,
            Sample::Client(ClientFrame::Ack(_)) => client[3] += 1,
            Sample::Client(ClientFrame::Signal(_)) => client[4] += 1,
            Sample::Client(ClientFrame::Ping(_)) => client[5] += 1,
            Sample::Client(ClientFrame::Admit(_)) => client[6] += 1,
            Sample::Client(ClientFrame::KeyPackages(_)) => client[7] += 1,
            Sample::Client(ClientFrame::Claim(_)) => client[8] += 1,
            Sample::Node(NodeFrame::Challenge(_)) => node[0] += 1,
            Sample::Node(NodeFrame::Welcome(_)) => node[1] += 1,
            Sample::Node(NodeFrame::Accepted(_)) => node[2] += 1,
            Sample::Node(NodeFrame::Rejected(_)) => node[3] += 1,
            Sample::Node(NodeFrame::Deliver(_)) => node[4] += 1,
            Sample::Node(NodeFrame::Drained(_)) => node[5] += 1,
            Sample::Node(NodeFrame::Signal(_)) => node[6] += 1,
            Sample::Node(NodeFrame::Pong(_)) => node[7] += 1,
            Sample::Node(NodeFrame::Unsupported(_)) => node[8] += 1,
            Sample::Node(NodeFrame::Goodbye(_)) => node[9] += 1,
            Sample::Node(NodeFrame::Claimed(_)) => node[10] += 1,
            Sample::Content(_) | Sample::Signal(_) => {}
        }
    }
    assert!(client.iter().chain(&node).all(|&samples| samples > 0), "{client:?} {node:?}");
}

/// What is not a frame: plain values beside the bytes that follow from them.
fn vectors() -> Value {
    let (realm, ana, bo, phone) = (samples::REALM, samples::ANA, samples::BO, samples::PHONE);
    let (nonce, device_key) = ([0xc1; 32], [0xd0; 32]);
    let read = samples::read();
    let ranges: Vec<_> = read.ranges.iter().map(|run| json!([run.first().raw(), run.last().raw()])).collect();
    let direct = |one, other, protection: Protection| {
        json!({
            "users": [one, other],
            "protection": protection.number(),
            "conversation": direct_conversation(one, other, protection),
        })
    };
    json!({
        "about": "Ids are UUIDs, bytes are hex, times are milliseconds, positions are raw numbers.",
        "signing": {
            "hello": {
                "realm": realm, "nonce": hex(&nonce), "device": phone, "version": 1,
                "bytes": hex(&signing::hello(realm, &nonce, phone, 1)),
            },
            "enrol": {
                "realm": realm, "device": phone, "device_key": hex(&device_key),
                "bytes": hex(&signing::enrol(realm, phone, &device_key)),
            },
            "token": {
                "realm": realm, "nonce": "a nonce of the node", "device": phone,
                "bytes": hex(&signing::token(realm, b"a nonce of the node", phone)),
            },
            "link": {
                "realm": realm, "user": bo, "device": phone, "device_key": hex(&device_key),
                "bytes": hex(&signing::link(realm, bo, phone, &device_key)),
            },
            "read": {
                "realm": realm, "user": bo, "device": phone, "conversation": read.conversation,
                "up_to": read.up_to, "at": read.at, "ranges": ranges,
                "bytes": hex(&signing::read(realm, bo, phone, &read)),
            },
        },
        "checkpoint": {
            "era": 3, "revision": 12345678901234u64, "opening": "0f0f0f0f0f0f0f0f",
            "sealed_bytes": hex(&chasqui_wire::Checkpoint::sealed_bytes(3, 12_345_678_901_234, &[0x0f; 8])),
        },
        "direct_conversations": [
            direct(ana, bo, Protection::NodeReadable),
            direct(bo, ana, Protection::NodeReadable),
            direct(ana, bo, Protection::EndToEnd),
            direct(ana, ana, Protection::EndToEnd),
        ],
        "positions": [
            { "era": 0, "number": 1, "raw": 1 },
            { "era": 1, "number": 1, "raw": (1u64 << 30) + 1 },
            { "era": (1 << 23) - 1, "number": (1u64 << 30) - 1, "raw": (1u64 << 53) - 1 },
        ],
    })
}

#[test]
fn signed_bytes_and_derived_ids_are_as_published() {
    let pretty = || format!("{}\n", serde_json::to_string_pretty(&vectors()).expect("plain JSON"));
    let golden = read_or_bless("vectors.json", pretty);
    let golden: Value = serde_json::from_str(&golden).expect("vectors.json is JSON");
    assert_eq!(vectors(), golden);
    for position in golden["positions"].as_array().expect("a list") {
        let number = |field: &str| position[field].as_u64().expect("a number");
        let era = u32::try_from(number("era")).expect("small");
        let seq = chasqui_wire::Seq::new(era, number("number")).expect("in bounds");
        assert_eq!(seq.raw(), number("raw"));
    }
}

#[test]
fn no_log_shows_the_token_of_a_welcome() {
    for (_, sample) in samples::all() {
        if let Sample::Node(frame @ NodeFrame::Welcome(_)) = sample {
            let shown = format!("{frame:?}");
            assert!(shown.contains("http_token") && !shown.contains("bearer"), "{shown}");
        }
    }
}

/// The fuzzer starts from the golden frames: these bytes, and mail as it is kept.
#[test]
fn the_fuzz_corpora_hold_everything_golden() {
    for (name, sample) in samples::all() {
        let bytes = unhex(&std::fs::read_to_string(golden(&format!("{name}.hex"))).expect("blessed"));
        match sample {
            Sample::Client(_) => seed("frames", &name, &bytes),
            Sample::Node(frame) => {
                seed("frames", &name, &bytes);
                let entries = if let NodeFrame::Deliver(deliver) = frame { deliver.entries } else { Vec::new() };
                for entry in entries {
                    seed("kept", &name, &entry.kind.encode());
                }
            }
            Sample::Content(_) => seed("content", &name, &bytes),
            Sample::Signal(_) => seed("signals", &name, &bytes),
        }
    }
}

fn seed(target: &str, name: &str, bytes: &[u8]) {
    let corpus = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
    let seed = corpus.join(name);
    if !seed.exists() && std::env::var_os("CHASQUI_BLESS").is_some() {
        std::fs::create_dir_all(&corpus).expect("the corpus can be written");
        std::fs::write(&seed, bytes).expect("the corpus can be written");
    }
    let found = std::fs::read(&seed).unwrap_or_else(|_| panic!("{name} is no seed: run with CHASQUI_BLESS=1"));
    assert_eq!(hex(&found), hex(bytes), "{target}/{name}");
}
