//! Lists, timelines and search on a large history, through the client that an app holds.

use std::error::Error;
use std::path::Path;

use chasqui::engine::Command;
use chasqui::{Client, Config, ConversationId};
use chasqui_wire::Limits;
use serde::Serialize;
use tokio::runtime::Runtime;

use super::clock::{millis, percentile, thread_cpu, timed};
use super::device::{Device, NOWHERE, unsynced};
use super::mail::{Mail, deliver};
use super::rng::Rng;
use super::texts::LANGUAGES;

/// Lines that a screen and some scrolling show.
const LIST: u32 = 50;
const PAGE: u32 = 50;
const HITS: u32 = 50;
/// The client's thread that answers questions.
const READER: &str = "chasqui-reader";
/// Every so many messages the recipients of own messages have them.
const RECEIPTS_EVERY: usize = 32;
/// Of 100 conversations, so many are read to the end.
const READ: usize = 85;

/// How long one question takes, in milliseconds.
#[derive(Debug, Serialize)]
pub(super) struct Latency {
    pub(super) question: String,
    /// In milliseconds, for every column.
    pub(super) budget: Option<f64>,
    pub(super) verdict: Verdict,
    pub(super) calls: usize,
    /// Of one call each on a client that was just opened.
    pub(super) cold_p50: f64,
    pub(super) cold_p99: f64,
    pub(super) warm_p50: f64,
    pub(super) warm_p99: f64,
    /// Processor time of the client's reading thread for a warm call, on the average: what a busy machine does not
    /// stretch. `None` where the system does not tell.
    pub(super) warm_cpu: Option<f64>,
    /// The most that a call found.
    pub(super) found: usize,
}

/// Whether a budget is kept.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Verdict {
    NoBudget,
    Met,
    /// The medians keep it; one call in a hundred does not.
    MetByMedians,
    NotMet,
}

impl Verdict {
    fn of(budget: Option<f64>, medians: [f64; 2], slowest: [f64; 2]) -> Self {
        let Some(budget) = budget else { return Self::NoBudget };
        let keep = |values: [f64; 2]| values.iter().all(|&value| value <= budget);
        match (keep(medians), keep(slowest)) {
            (true, true) => Self::Met,
            (true, false) => Self::MetByMedians,
            (false, _) => Self::NotMet,
        }
    }
}

#[derive(Debug, Serialize)]
pub(super) struct Reading {
    pub(super) messages: usize,
    pub(super) conversations: usize,
    pub(super) made_in_seconds: f64,
    pub(super) bytes_per_message: f64,
    /// From nothing to the first list, in milliseconds.
    pub(super) open_to_list_p50: f64,
    pub(super) questions: Vec<Latency>,
}

/// How often each question is asked.
#[derive(Clone, Copy, Debug)]
pub(super) struct Calls {
    pub(super) cold: usize,
    pub(super) warm: usize,
}

pub(super) fn measure(
    folder: &Path,
    seed: u64,
    messages: usize,
    conversations: usize,
    calls: Calls,
) -> Result<Reading, Box<dyn Error>> {
    let folder = folder.join("history");
    std::fs::create_dir_all(&folder)?;
    let file = folder.join("history.db");
    let mut mail = Mail::new(seed, conversations);
    let (made, took) = timed(|| make(&file, &mut mail, messages));
    made?;
    let bytes = std::fs::metadata(&file)?.len();
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    let mut asker = Asker { runtime, folder: &folder, calls, rng: Rng::new(seed), opened: Vec::new() };
    let ids: Vec<ConversationId> = mail.peers.iter().map(|peer| peer.conversation).collect();
    let mut questions = vec![
        asker.ask("conversation list, first 50", Some(5.0), |client, _| async move {
            client.conversations(LIST).await.map(|lines| lines.len())
        })?,
        asker.ask("conversation list, all of it", None, |client, _| async move {
            client.conversations(u32::MAX).await.map(|lines| lines.len())
        })?,
        asker.ask("timeline, page of 50", Some(1.0), |client, draw| {
            let id = ids[draw % ids.len()];
            async move { client.timeline(id, None, PAGE).await.map(|page| page.items.len()) }
        })?,
    ];
    for (name, queries) in queries() {
        questions.push(asker.ask(&format!("search: {name}"), Some(20.0), |client, draw| {
            let query = queries[draw % queries.len()].clone();
            async move { client.search(&query, HITS).await.map(|hits| hits.len()) }
        })?);
    }
    Ok(Reading {
        messages,
        conversations,
        made_in_seconds: took.wall.as_secs_f64(),
        bytes_per_message: bytes as f64 / messages as f64,
        open_to_list_p50: percentile(&mut asker.opened, 50),
        questions,
    })
}

/// A history as the core itself writes it, in large steps and without waiting for the disk.
fn make(file: &Path, mail: &mut Mail, messages: usize) -> Result<(), Box<dyn Error>> {
    let mut device = Device::connected(unsynced(file)?, mail)?;
    let mut left = messages;
    // Everybody has said something.
    let mut first: Vec<usize> = (0..mail.peers.len().min(messages)).collect();
    while left > 0 {
        let count = left.min(Limits::ENTRIES_PER_FRAME / 2);
        left -= count;
        let mut entries = Vec::with_capacity(count + count / RECEIPTS_EVERY + 1);
        for number in 0..count {
            entries.push(match first.pop() {
                Some(index) => mail.message_of(index),
                None => mail.message(),
            });
            if number % RECEIPTS_EVERY == 0 {
                entries.extend(mail.receipt());
            }
        }
        let expected = entries.len();
        if device.take(mail.now(), vec![deliver(entries)])? != expected {
            return Err("the history could not be made".into());
        }
    }
    let read = mail.peers.iter().enumerate().filter(|(index, _)| index % 100 < READ);
    let read: Vec<ConversationId> = read.map(|(_, peer)| peer.conversation).collect();
    for conversation in read {
        device.command(mail.now(), Command::MarkRead(conversation, None))?;
    }
    Ok(())
}

/// Kinds of questions, each with some examples. What they cost differs by orders of magnitude.
fn queries() -> Vec<(&'static str, Vec<String>)> {
    let [spanish, english, _, _, _, russian, arabic, ..] = &LANGUAGES;
    let words = |ranks: &[usize]| -> Vec<String> {
        let languages = [spanish, english, russian, arabic];
        languages.iter().flat_map(|language| ranks.iter().map(|&rank| language.word(rank))).collect()
    };
    let texts = |texts: &[&str]| texts.iter().map(|&text| text.to_owned()).collect();
    vec![
        ("a rare word", words(&[3_000, 9_000, 15_000])),
        ("a common word", texts(&["mañana", "gracias", "tomorrow", "thanks", "завтра", "شكرا"])),
        ("the commonest words", texts(&["que", "no", "the", "to", "не"])),
        ("beginning of a word, 3 letters", texts(&["gra", "tom", "cas", "mee", "зав"])),
        ("beginning of a word, 2 letters", texts(&["gr", "to", "ca", "th", "за"])),
        ("one letter", texts(&["a", "q", "t", "н"])),
        ("two common words", texts(&["que no", "the you", "mañana gracias", "tomorrow late"])),
        ("three words, the last begun", texts(&["hoy en cas", "see you tom", "para la mañ"])),
        ("a phrase without spaces", texts(&["我们明天", "明天吃饭", "東京タワー", "พรุ่งนี้"])),
        ("a single character", texts(&["我", "京", "で", "네"])),
        ("nothing that is there", texts(&["xylophonqq", "zzzzzz que", "龘龘"])),
    ]
}

struct Asker<'a> {
    runtime: Runtime,
    folder: &'a Path,
    calls: Calls,
    rng: Rng,
    /// From opening the folder to the first list, in milliseconds.
    opened: Vec<f64>,
}

impl Asker<'_> {
    fn open(&self) -> Result<Client, chasqui::Error> {
        self.runtime.block_on(Client::open(Config::new(self.folder, NOWHERE)))
    }

    fn ask<F>(
        &mut self,
        question: &str,
        budget: Option<f64>,
        ask: impl Fn(Client, usize) -> F,
    ) -> Result<Latency, Box<dyn Error>>
    where
        F: Future<Output = Result<usize, chasqui::Error>>,
    {
        let (mut cold, mut warm, mut found) = (Vec::new(), Vec::new(), 0);
        for _ in 0..self.calls.cold {
            let draw = self.rng.next() as usize;
            let client = self.open()?;
            let (answer, took) = timed(|| self.runtime.block_on(ask(client.clone(), draw)));
            found = found.max(answer?);
            cold.push(millis(took.wall));
            self.runtime.block_on(client.close())?;
        }
        let (client, took) = timed(|| {
            let client = self.open()?;
            self.runtime.block_on(client.conversations(LIST))?;
            Ok::<_, chasqui::Error>(client)
        });
        let client = client?;
        self.opened.push(millis(took.wall));
        let cpu = thread_cpu(READER);
        for _ in 0..self.calls.warm {
            let draw = self.rng.next() as usize;
            let (answer, took) = timed(|| self.runtime.block_on(ask(client.clone(), draw)));
            found = found.max(answer?);
            warm.push(millis(took.wall));
        }
        let cpu = cpu.and_then(|before| Some(millis(thread_cpu(READER)?.saturating_sub(before)) / warm.len() as f64));
        self.runtime.block_on(client.close())?;
        let [cold_p50, cold_p99] = [50, 99].map(|percent| percentile(&mut cold, percent));
        let [warm_p50, warm_p99] = [50, 99].map(|percent| percentile(&mut warm, percent));
        Ok(Latency {
            question: question.to_owned(),
            budget,
            verdict: Verdict::of(budget, [cold_p50, warm_p50], [cold_p99, warm_p99]),
            calls: warm.len(),
            cold_p50,
            cold_p99,
            warm_p50,
            warm_p99,
            warm_cpu: cpu,
            found,
        })
    }
}
