//! Pairs of a sender and a receiver. A message is done when its receiver has it and its sender has the receipt.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use chasqui_wire::EntryKind;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use super::device::{Device, News, receipted};
use super::node::{Node, Person};
use super::report::{Latencies, Sample};
use super::{Outcome, Scale, texts};

/// How a pair behaves.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shape {
    pub(crate) pairs: usize,
    pub(crate) in_flight: usize,
    pub(crate) messages: usize,
    /// Messages a second, all pairs together; as fast as they go otherwise.
    pub(crate) rate: Option<u32>,
}

pub(crate) const BUSY: Shape = Shape { pairs: 200, in_flight: 8, messages: 100_000, rate: None };
pub(crate) const LIGHT: Shape = Shape { pairs: 20, in_flight: 1, messages: 10_000, rate: None };
pub(crate) const PACED: Shape = Shape { pairs: 200, in_flight: 64, messages: 82_000, rate: Some(8_200) };

impl Shape {
    /// Messages of one pair.
    pub(crate) fn each(self, scale: Scale) -> usize {
        (scale.of(self.messages) / self.pairs).max(1)
    }

    /// Between two messages of one pair.
    pub(crate) fn every(self) -> Option<Duration> {
        self.rate.map(|rate| Duration::from_secs_f64(self.pairs as f64 / f64::from(rate)))
    }
}

pub(crate) async fn node(name: &'static str, scale: Scale, shape: Shape, verbose: bool) -> Outcome<Sample> {
    let node = Node::start(2 * shape.pairs, verbose)?;
    let mut senders = Vec::new();
    let mut receivers = JoinSet::new();
    let latencies = Arc::new(Mutex::new(Latencies::default()));
    for pair in 0..u32::try_from(shape.pairs)? {
        let (from, to) = (Person(2 * pair), Person(2 * pair + 1));
        senders.push((Device::connect(node.place, from).await?, to));
        let receiver = Device::connect(node.place, to).await?;
        receivers.spawn(receive(receiver, shape.each(scale), Arc::clone(&latencies)));
    }
    let total = shape.each(scale) * shape.pairs;
    let cpu_before = node.process.cpu()?;
    let started = texts::now();
    let mut sending = JoinSet::new();
    for (number, (device, to)) in senders.into_iter().enumerate() {
        // Evenly spread over the first interval.
        let lead = shape.every().map(|every| every.mul_f64(number as f64 / shape.pairs as f64)).unwrap_or_default();
        let from = Instant::from_std(started) + lead;
        sending.spawn(send(device, to, shape.each(scale), shape, from));
    }
    while let Some(done) = sending.join_next().await {
        done??;
    }
    let took = started.elapsed();
    let cpu = node.process.cpu()? - cpu_before;
    while let Some(done) = receivers.join_next().await {
        done??;
    }
    let latencies = std::mem::take(&mut *latencies.lock().unwrap_or_else(PoisonError::into_inner));
    Ok(Sample::new(name, "chasqui").rate(total, took).cpu(total, cpu).latencies(latencies))
}

async fn send(mut device: Device, to: Person, messages: usize, shape: Shape, from: Instant) -> Outcome {
    let (mut sent, mut done) = (0, 0);
    while done < messages {
        let due = shape.every().map(|every| from + every.mul_f64(sent as f64));
        while sent < messages && sent - done < shape.in_flight && due.is_none_or(|due| due <= Instant::now()) {
            device.send(to, texts::body()).await?;
            sent += 1;
            if due.is_some() {
                break;
            }
        }
        device.flush().await?;
        let news = match due {
            Some(due) if sent < messages && sent - done < shape.in_flight => tokio::select! {
                news = device.news() => news?,
                () = sleep_until(due) => continue,
            },
            _ => device.news().await?,
        };
        if let News::Mail(entries) = news {
            done += receipted(&entries);
            device.acknowledge(&entries).await?;
        }
    }
    device.flush().await
}

/// Its socket stays open until the sender is done: closing it could cut off its last word.
async fn receive(mut device: Device, messages: usize, latencies: Arc<Mutex<Latencies>>) -> Outcome<Device> {
    let mut received = 0;
    while received < messages {
        if let News::Mail(entries) = device.news().await? {
            {
                let mut latencies = latencies.lock().unwrap_or_else(PoisonError::into_inner);
                for entry in &entries {
                    if let EntryKind::Envelope(envelope) = &entry.kind {
                        received += 1;
                        latencies.extend(texts::age(&envelope.body));
                    }
                }
            }
            device.acknowledge(&entries).await?;
            device.flush().await?;
        }
    }
    Ok(device)
}
