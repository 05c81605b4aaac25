//! The Rust of docs/bindings.md, and whether the page shows what each language compiles.

#![expect(dead_code, reason = "compiled and compared, not run")]

use std::path::Path;

use chasqui::{AccountProof, Client, Config, ConversationId, Error, MessageId, TimelineItem, UserId};

/// Where the other languages compile theirs, and how many blocks the page has of each: thirteen tasks, of
/// which linking has three blocks, what people know of each other five and typing two, the keys, and the log.
const SOURCES: [(&str, &str, usize); 4] = [
    ("rust", "tests/tests/documented.rs", 22),
    ("kotlin", "bindings/kotlin/src/test/kotlin/im/chasqui/Documented.kt", 22),
    ("swift", "bindings/swift/Tests/ChasquiTests/Documented.swift", 22),
    ("typescript", "bindings/wasm/tests/documented.ts", 22),
];

fn render(_: &[TimelineItem]) {}

async fn open(folder: &Path) -> Result<Client, Error> {
    let client = Client::open(Config::new(folder, "https://relay.example.org")).await?;
    Ok(client)
}

async fn register(client: &Client) -> Result<(), Error> {
    if client.account().await?.is_none() {
        client.register("ana", "correct horse battery", "Ana's phone").await?;
    }
    Ok(())
}

async fn enrol_with_token(client: &Client, token: &str) -> Result<(), Error> {
    match client.enrol_with_token(token, "Ana's phone").await {
        Ok(account) => println!("welcome, {}", account.name),
        Err(Error::InvalidToken { .. }) => println!("ask the backend for another one"),
        Err(error) if error.is_retryable() => println!("later: {error}"),
        Err(error) => return Err(error),
    }
    Ok(())
}

async fn find_and_open_direct(client: &Client) -> Result<ConversationId, Error> {
    let bo = client.find_user("bo").await?;
    let chat = client.open_direct(bo.user).await?;
    Ok(chat)
}

async fn send(client: &Client, chat: ConversationId) -> Result<MessageId, Error> {
    let message = client.send_text(chat, "¡Hola, Bo!").await?;
    Ok(message)
}

async fn watch(client: &Client, chat: ConversationId) -> Result<(), Error> {
    let mut timeline = client.observe_timeline(chat, 50);
    loop {
        timeline.next().await?;
        render(timeline.window());
    }
}

async fn set_typing(client: &Client, chat: ConversationId, text: &str) -> Result<(), Error> {
    client.set_typing(chat, !text.is_empty()).await?;
    Ok(())
}

async fn watch_typing(client: &Client, chat: ConversationId) -> Result<(), Error> {
    let mut typing = client.observe_typing();
    loop {
        let list = typing.next().await?;
        let is_typing = list.iter().any(|typing| typing.conversation == chat);
        println!("{}", if is_typing { "typing…" } else { "" });
    }
}

async fn mark_read(client: &Client, chat: ConversationId) -> Result<u32, Error> {
    client.mark_read(chat, None).await?;
    let badge = client.total_unread().await?;
    Ok(badge)
}

async fn search(client: &Client) -> Result<(), Error> {
    for hit in client.search("noon", 20).await? {
        let around = client.timeline_after(hit.message.conversation, hit.cursor, 20).await?;
        render(&around.items);
    }
    Ok(())
}

async fn suspend_and_resume(client: &Client) -> Result<(), Error> {
    client.suspend().await?;
    client.resume().await?;
    Ok(())
}

async fn export_and_close(client: &Client) -> Result<(), Error> {
    let file = std::fs::File::create("export.jsonl").map_err(|error| Error::Invalid { detail: error.to_string() })?;
    client.export(file).await?;
    client.close().await?;
    Ok(())
}

fn show_code(_: &str) {}

/// What people say who look at both devices.
fn is_same(_: &str) -> bool {
    true
}

async fn be_linked(client: &Client) -> Result<(), Error> {
    show_code(&client.begin_linking().await?);
    if is_same(&client.linking_number().await?) {
        client.confirm_linking().await?;
    } else {
        client.cancel_linking().await?;
    }
    Ok(())
}

async fn link(client: &Client, code: &str) -> Result<(), Error> {
    if is_same(&client.link_device(code).await?) {
        client.confirm_linking().await?;
    } else {
        client.cancel_linking().await?;
    }
    Ok(())
}

async fn watch_history(client: &Client) -> Result<(), Error> {
    let mut transfer = client.observe_history_transfer();
    loop {
        if let Some(coming) = transfer.next().await? {
            println!("{} messages, {} % done", coming.messages, coming.per_mille / 10);
        }
    }
}

async fn compare(client: &Client, bo: UserId, scanned: &str) -> Result<(), Error> {
    let number = client.safety_number(bo).await?;
    show_code(&number.scannable);
    if !client.verify(bo, scanned).await? {
        println!("somebody may stand in between");
    }
    client.set_verified(bo, is_same(&number.digits)).await?;
    Ok(())
}

async fn watch_security(client: &Client, shown: u64) -> Result<(), Error> {
    let mut events = client.observe_security_events(shown);
    loop {
        let event = events.next().await?;
        println!("{}: {:?} {:?}", event.number, event.kind, event.user);
    }
}

async fn back_up(client: &Client) -> Result<String, Error> {
    let phrase = Client::new_recovery_phrase()?;
    let file = std::fs::File::create("ana.backup").map_err(|error| Error::Invalid { detail: error.to_string() })?;
    client.back_up(file, &phrase).await?;
    Ok(phrase)
}

async fn restore(client: &Client, password: &str, phrase: &str) -> Result<(), Error> {
    let file = std::fs::File::open("ana.backup").map_err(|error| Error::Invalid { detail: error.to_string() })?;
    client.restore(file, phrase).await?;
    client.login("ana", password, "Ana's new phone").await?;
    Ok(())
}

async fn begin_anew(client: &Client, password: &str) -> Result<(), Error> {
    client.login("ana", password, "Ana's new phone").await?;
    client.reset_identity(AccountProof::password(password)).await?;
    Ok(())
}

async fn bind(folder: &Path, secret: [u8; 32]) -> Result<Client, Error> {
    let client = Client::open(Config::new(folder, "https://relay.example.org").device_binding(secret)).await?;
    Ok(client)
}

fn log() {
    tracing_subscriber::fmt().with_max_level(tracing::Level::INFO).init();
}

#[test]
fn the_page_shows_what_is_compiled() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let lines = |text: &str| text.lines().map(|line| line.trim().to_owned()).collect::<Vec<_>>();
    let page = std::fs::read_to_string(root.join("docs/bindings.md")).unwrap();
    for (language, source, count) in SOURCES {
        let compiled = lines(&std::fs::read_to_string(root.join(source)).unwrap());
        let blocks: Vec<&str> = page.split(&format!("```{language}\n")).skip(1).collect();
        assert_eq!(blocks.len(), count, "blocks in {language}");
        for block in blocks {
            let block = lines(block.split("\n```").next().unwrap());
            let is_compiled = compiled.windows(block.len()).any(|window| window == block);
            assert!(is_compiled, "{source} does not compile this of docs/bindings.md:\n{}", block.join("\n"));
        }
    }
}
