//! A device's process: the SDK, as an app would embed it, taking orders on stdin and answering on stdout.
//!
//! Orders are carried out one after the other. It leaves when stdin ends, so that it never outlives its director.

use std::error::Error;
use std::future::poll_fn;
use std::io::Write as _;
use std::path::Path;
use std::pin::Pin;
use std::task::Poll;

use chasqui::{Client, Config, ConversationId, MessageContent, TimelineItem};
use tokio::io::{AsyncBufReadExt as _, BufReader};

use crate::orders::{Answer, Condition, Order, Shown};
use crate::progress::{Pages, Progress};

/// Hits that are asked for.
const HITS: u32 = 20;

pub(crate) async fn run(folder: &Path, node: &str) -> Result<(), Box<dyn Error>> {
    let mut orders = BufReader::new(tokio::io::stdin()).lines();
    let client = match Client::open(Config::new(folder, node)).await {
        Ok(client) => client,
        Err(error) => return Ok(say(&failed(&error))?),
    };
    say(&Answer::Done)?;
    let mut device = Device { client, open: None };
    while let Some(line) = orders.next_line().await? {
        let order = serde_json::from_str(&line)?;
        let is_last = matches!(order, Order::Close);
        say(&device.carry_out(order).await.unwrap_or_else(|error| failed(&error)))?;
        if is_last {
            return Ok(());
        }
    }
    device.client.close().await?;
    Ok(())
}

fn failed(error: &chasqui::Error) -> Answer {
    Answer::Failed { code: error.code().to_owned(), detail: error.to_string() }
}

fn say(answer: &Answer) -> std::io::Result<()> {
    let mut line = serde_json::to_vec(answer)?;
    line.push(b'\n');
    let mut out = std::io::stdout().lock();
    out.write_all(&line)?;
    out.flush()
}

struct Device {
    client: Client,
    open: Option<(ConversationId, Progress)>,
}

impl Device {
    async fn carry_out(&mut self, order: Order) -> Result<Answer, chasqui::Error> {
        match order {
            Order::Register { name, password, device } => {
                self.client.register(&name, &password, &device).await?;
            }
            Order::Login { name, password, device } => {
                self.client.login(&name, &password, &device).await?;
            }
            Order::BeginLinking => return Ok(Answer::Words { words: self.client.begin_linking().await? }),
            Order::Link { code } => return Ok(Answer::Words { words: self.client.link_device(&code).await? }),
            Order::LinkingNumber => return Ok(Answer::Words { words: self.client.linking_number().await? }),
            Order::ConfirmLinking => self.client.confirm_linking().await?,
            Order::Open { peer } => {
                let peer = self.client.find_user(&peer).await?;
                let conversation = self.client.open_direct(peer.user).await?;
                self.open = Some((conversation, Progress::default()));
            }
            Order::Send { texts } => self.send(texts).await?,
            Order::Wait { until: Condition::Online } => self.wait_for_connection().await?,
            Order::Wait { until } => {
                let client = self.client.clone();
                let (conversation, progress) = self.conversation()?;
                progress.wait(&client, *conversation, until).await?;
            }
            Order::MarkRead => {
                let (conversation, _) = self.conversation()?;
                let conversation = *conversation;
                self.client.mark_read(conversation, None).await?;
            }
            Order::Search { query } => {
                let hits = self.client.search(&query, HITS).await?;
                let texts = hits.into_iter().filter_map(|hit| match hit.message.content {
                    MessageContent::Text(text) => Some(text),
                    _ => None,
                });
                return Ok(Answer::Found { texts: texts.collect() });
            }
            Order::Show { after } => self.show(after).await?,
            Order::Close => self.client.close().await?,
        }
        Ok(Answer::Done)
    }

    fn conversation(&mut self) -> Result<&mut (ConversationId, Progress), chasqui::Error> {
        self.open.as_mut().ok_or(chasqui::Error::NotFound { what: "conversation" })
    }

    async fn wait_for_connection(&self) -> Result<(), chasqui::Error> {
        let mut states = self.client.observe_connection();
        while states.next().await? != chasqui::ConnectionState::Online {}
        Ok(())
    }

    /// All at once, so that they share transactions: what is polled first goes out first.
    async fn send(&mut self, texts: Vec<String>) -> Result<(), chasqui::Error> {
        let conversation = self.conversation()?.0;
        let send = |text| Some(Box::pin(self.client.send_text(conversation, text)));
        let mut sends: Vec<Option<Pin<Box<_>>>> = texts.into_iter().map(send).collect();
        poll_fn(|context| {
            let mut waiting = false;
            for slot in &mut sends {
                let Some(send) = slot else { continue };
                match send.as_mut().poll(context) {
                    Poll::Pending => waiting = true,
                    Poll::Ready(Ok(_)) => *slot = None,
                    Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                }
            }
            if waiting { Poll::Pending } else { Poll::Ready(Ok(())) }
        })
        .await
    }

    /// Pages from the newest backwards, then says them oldest first.
    async fn show(&mut self, after: u64) -> Result<(), chasqui::Error> {
        let conversation = self.conversation()?.0;
        let here = self.client.account().await?.ok_or(chasqui::Error::NotEnrolled)?.device;
        let mut newest_first = Vec::new();
        let mut pages = Pages::from_the_end();
        'pages: while let Some(items) = pages.next(&self.client, conversation).await? {
            for message in items.iter().rev().filter_map(TimelineItem::message) {
                if message.seq.is_some_and(|seq| seq.number() <= after) {
                    break 'pages;
                }
                newest_first.extend(Shown::of(message, here));
            }
        }
        for shown in newest_first.into_iter().rev() {
            say(&Answer::Line(shown)).map_err(|error| chasqui::Error::Internal { detail: error.to_string() })?;
        }
        Ok(())
    }
}
