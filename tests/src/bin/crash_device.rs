//! A device that tests/tests/crash.rs kills: takes orders on stdin, a line each, answers on stdout in JSON, a line each.
//!
//! ```text
//! send TEXT    {"event":"sent","text":…}            once `send_text` has confirmed it
//! read         {"event":"read"}                     everything here is marked read
//! up           nothing                              there is a network: connect at once
//! settle       {"event":"settled","own":…}          once every own message was received; how many this device wrote
//! wait COUNT   {"event":"holds","count":…}          once so many messages are here
//! show         {"event":"line","seq":…,"text":…}…   oldest first, then {"event":"end"}
//! ```

use std::error::Error;

use chasqui::{
    Client, Config, ConversationId, Message, MessageContent, MessageState, Protection, TimelineItem, UserId,
};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, BufReader};

/// More than any run makes.
const ALL: u32 = 1_000_000;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(folder), Some(node), Some(peer)) = (arguments.next(), arguments.next(), arguments.next()) else {
        return Err("usage: crash_device FOLDER NODE PEER [readable]".into());
    };
    let protection = match arguments.next().as_deref() {
        Some("readable") => Protection::NodeReadable,
        _ => Protection::EndToEnd,
    };
    let peer: UserId = peer.parse()?;
    let client = match Client::open(Config::new(folder, node)).await {
        Ok(client) => client,
        Err(error) => {
            say(&json!({ "event": "failed", "code": error.code() }));
            return Ok(());
        }
    };
    let conversation = client.open_direct_as(peer, protection).await?;
    say(&json!({ "event": "ready" }));
    let mut orders = BufReader::new(tokio::io::stdin()).lines();
    while let Some(order) = orders.next_line().await? {
        carry_out(&client, conversation, &order).await?;
    }
    Ok(client.close().await?)
}

fn say(line: &Value) {
    println!("{line}");
}

async fn carry_out(client: &Client, conversation: ConversationId, order: &str) -> Result<(), Box<dyn Error>> {
    match order.split_once(' ').unwrap_or((order, "")) {
        ("send", text) => {
            client.send_text(conversation, text).await?;
            say(&json!({ "event": "sent", "text": text }));
        }
        ("read", _) => {
            client.mark_read(conversation, None).await?;
            say(&json!({ "event": "read" }));
        }
        ("up", _) => client.network_up(),
        ("settle", _) => {
            let received = |message: &&Message| matches!(message.state, MessageState::Received | MessageState::Read);
            let messages = until(client, conversation, |messages| {
                messages.iter().filter(|message| message.is_own).all(|message| received(&message))
            })
            .await?;
            let here = client.account().await?.ok_or("not enrolled")?.device;
            let own = messages.iter().filter(|message| message.sender_device == here).count();
            say(&json!({ "event": "settled", "own": own }));
        }
        ("wait", count) => {
            let count: usize = count.parse()?;
            until(client, conversation, |messages| messages.len() >= count).await?;
            say(&json!({ "event": "holds", "count": count }));
        }
        ("show", _) => {
            for message in until(client, conversation, |_| true).await? {
                let text = match message.content {
                    MessageContent::Text(text) => text,
                    other => format!("{other:?}"),
                };
                say(&json!({ "event": "line", "seq": message.seq.map(|seq| seq.raw()), "text": text }));
            }
            say(&json!({ "event": "end" }));
        }
        _ => return Err(format!("no such order: {order}").into()),
    }
    Ok(())
}

/// The messages, once they are as wanted.
async fn until(
    client: &Client,
    conversation: ConversationId,
    is_so: impl Fn(&[Message]) -> bool,
) -> Result<Vec<Message>, chasqui::Error> {
    let mut timeline = client.observe_timeline(conversation, ALL);
    loop {
        timeline.next().await?;
        let messages: Vec<Message> = timeline.window().iter().filter_map(TimelineItem::message).cloned().collect();
        if is_so(&messages) {
            return Ok(messages);
        }
    }
}
