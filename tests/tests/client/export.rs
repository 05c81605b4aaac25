//! An export is read back and compared with the history; and what the node holds.

use std::io::{self, Write};

use chasqui::{ConversationId, Error, MessageState};
use serde_json::{Value, json};

use crate::stage::{Device, Pair, Relay, text};

async fn exported(device: &Device) -> Vec<Value> {
    let written = device.export(Vec::new()).await.unwrap();
    let (mut pages, mut taken) = (device.export_pages(), Vec::new());
    while let Some(page) = pages.next().await.unwrap() {
        assert!(page.ends_with(b"\n"), "whole lines");
        taken.extend(page);
    }
    assert_eq!(taken, written, "page by page it is the same");
    let written = String::from_utf8(written).unwrap();
    written.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn of_kind<'a>(lines: &'a [Value], kind: &str) -> Vec<&'a Value> {
    lines.iter().filter(|line| line["kind"] == kind).collect()
}

/// The exported messages of a conversation are those of its timeline, one by one.
async fn is_the_timeline(device: &Device, lines: &[Value], chat: ConversationId) {
    let exported = of_kind(lines, "message").into_iter().filter(|line| line["conversation"] == json!(chat.to_string()));
    let exported: Vec<Value> = exported
        .map(|line| json!([line["message"], line["seq"], line["sender"], line["text"], line["state"]]))
        .collect();
    let held = device.messages(chat).await.into_iter().map(|message| {
        let state = match message.state {
            MessageState::Pending => "pending",
            MessageState::Sent => "sent",
            MessageState::Received => "received",
            MessageState::Read => "read",
            MessageState::Undelivered(_) => "undelivered",
            MessageState::Failed(_) => "failed",
        };
        let seq = message.seq.map(chasqui::Seq::raw);
        json!([message.id.to_string(), seq, message.sender.to_string(), text(&message), state])
    });
    assert_eq!(exported, held.collect::<Vec<Value>>());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_exported_is_the_history() {
    let Pair { mut relay, ana, bo, chat } = Pair::meet().await;
    for number in 0..600 {
        ana.send_text(chat, format!("\"{number}\"\n¿qué tal?")).await.unwrap();
    }
    bo.gets(chat, "\"599\"\n¿qué tal?").await;
    bo.mark_read(chat, None).await.unwrap();
    let to_self = bo.open_readable(bo.user().await).await.unwrap();
    bo.send_text(to_self, "a note").await.unwrap();
    bo.send_text(chat, "an answer").await.unwrap();
    ana.gets(chat, "an answer").await;
    ana.until(chat, "read", |messages| messages.iter().take(600).all(|one| one.state == MessageState::Read)).await;
    relay.stop().await;
    ana.send_text(chat, "not sent yet").await.unwrap();

    for device in [&ana, &bo] {
        let lines = exported(device).await;
        assert_eq!((&lines[0]["kind"], &lines[0]["format"]), (&json!("export"), &json!(1)));
        assert_eq!(lines[1]["user"], device.user().await.to_string());
        assert_eq!(*lines.last().unwrap(), json!({"kind": "end", "lines": lines.len() - 1}));
        for conversation in device.conversations(10).await.unwrap() {
            let line = of_kind(&lines, "conversation")
                .into_iter()
                .find(|line| line["conversation"] == conversation.id.to_string());
            assert_eq!(line.unwrap()["unread"], conversation.unread);
            is_the_timeline(device, &lines, conversation.id).await;
        }
        let messages = of_kind(&lines, "message");
        assert_eq!(messages.len(), 602);
        let own = messages.into_iter().filter(|line| line["is_own"] == true);
        assert!(own.clone().all(|line| line["deliveries"].is_array()));
        let path = device.folder.path().join("history.db");
        let history = rusqlite::Connection::open(path).unwrap();
        let seeds: (Vec<u8>, Vec<u8>) = history
            .query_row("SELECT device_seed, identity_seed FROM account", [], |row| Ok((row.get(0)?, row.get(1)?)))
            .unwrap();
        let written = device.export(Vec::new()).await.unwrap();
        for seed in [seeds.0, seeds.1] {
            let key = chasqui_wire::http::Key(<[u8; 32]>::try_from(seed).unwrap());
            let key = serde_json::to_string(&key).unwrap();
            assert!(!String::from_utf8_lossy(&written).contains(key.trim_matches('"')), "a secret key");
        }
    }
    assert_eq!(of_kind(&exported(&ana).await, "user").len(), 1, "bo");
}

/// Takes so many bytes.
struct Full(usize);

impl Write for Full {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 = self.0.checked_sub(bytes.len()).ok_or_else(|| io::Error::from(io::ErrorKind::StorageFull))?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_is_full_harms_nothing_else() {
    let Pair { relay: _relay, ana, bo, chat } = Pair::meet().await;
    ana.send_text(chat, "hello").await.unwrap();
    bo.gets(chat, "hello").await;
    let whole = bo.export(Vec::new()).await.unwrap().len();
    // What is known of people and receipts may still grow meanwhile.
    for room in [0, 100, whole / 2] {
        assert_eq!(bo.export(Full(room)).await.map(drop), Err(Error::StorageFull), "{room} of {whole} bytes");
    }
    assert!(bo.export(Full(2 * whole)).await.is_ok());
    bo.suspend().await.unwrap();
    assert_eq!(bo.export(Vec::new()).await, Err(Error::Suspended));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_node_says_what_it_holds() {
    let relay = Relay::start().await;
    let ana = Device::registered(&relay, "ana").await;
    let held: Value = serde_json::from_str(&ana.export_from_node().await.unwrap()).unwrap();
    let account = ana.account().await.unwrap().unwrap();
    assert_eq!((&held["user"], &held["name"]), (&json!(account.user.to_string()), &json!("ana")));
    assert_eq!(
        (&held["has_password"], &held["has_pin"], &held["has_phone"]),
        (&json!(true), &json!(false), &json!(false))
    );
    assert_eq!(held["devices"][0]["device"], account.device.to_string());
    assert_eq!(held["devices"][0]["waiting"], 0);
    let text = held.to_string();
    assert!(!text.contains("argon2") && !text.contains("hash"), "{text}");
}
