//! The actor in Rust.

use std::error::Error;
use std::io::Write as _;

use chasqui::{Client, Config, ConversationId, Message, MessageContent, MessageState, TimelineItem};
use chasqui_languages::{Answer, Line, Order};

/// More lines than any conversation here has.
const ALL: u32 = 10_000;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut actor = None;
    // The client has threads of its own: this one may block.
    for line in std::io::stdin().lines() {
        let answer = obey(&mut actor, serde_json::from_str(&line?)?).await;
        let failed = |error: chasqui::Error| Answer::Failed { code: error.code().into(), detail: error.to_string() };
        let mut line = serde_json::to_vec(&answer.unwrap_or_else(failed))?;
        line.push(b'\n');
        std::io::stdout().write_all(&line)?;
        std::io::stdout().flush()?;
    }
    if let Some(Actor { client, .. }) = actor {
        client.close().await?;
    }
    Ok(())
}

struct Actor {
    client: Client,
    name: String,
}

async fn obey(actor: &mut Option<Actor>, order: Order) -> Result<Answer, chasqui::Error> {
    match order {
        Order::Register { folder, node, name, password } => {
            let client = Client::open(Config::new(folder, node)).await?;
            client.register(&name, &password, "rust").await?;
            *actor = Some(Actor { client, name });
            Ok(Answer::Done)
        }
        Order::Write { to, count } => {
            let Actor { client, name } = actor.as_ref().ok_or(chasqui::Error::NotEnrolled)?;
            let chat = chat_with(client, &to).await?;
            for number in 1..=count {
                client.send_text(chat, format!("{name} to {to} {number}")).await?;
            }
            Ok(Answer::Done)
        }
        Order::Settle { with, messages } => {
            let client = &actor.as_ref().ok_or(chasqui::Error::NotEnrolled)?.client;
            let chat = chat_with(client, &with).await?;
            let mut timeline = client.observe_timeline(chat, ALL);
            loop {
                timeline.next().await?;
                client.mark_read(chat, None).await?;
                let here: Vec<&Message> = timeline.window().iter().filter_map(TimelineItem::message).collect();
                let is_read = |message: &&Message| !message.is_own || message.state == MessageState::Read;
                if here.len() >= messages as usize && here.iter().all(is_read) {
                    return Ok(Answer::History { lines: here.into_iter().map(line).collect() });
                }
            }
        }
    }
}

async fn chat_with(client: &Client, name: &str) -> Result<ConversationId, chasqui::Error> {
    let peer = client.find_user(name).await?;
    client.open_direct(peer.user).await
}

fn line(message: &Message) -> Line {
    let text = match &message.content {
        MessageContent::Text(text) => text.clone(),
        other => format!("{other:?}"),
    };
    Line { id: message.id.to_string(), seq: message.seq.map_or(0, |seq| seq.raw()), text }
}
