//! The offline workload with a node that is killed (`kill -9`) again and again, while messages are accepted and while they
//! are fetched. Whatever was accepted is delivered, at one position each, and then forgotten.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use chasqui_wire::{EntryKind, MessageId, Seq};
use tokio::task::JoinSet;

use super::device::{Device, News};
use super::node::{Node, Person, Place};
use super::offline::{FORGOTTEN_WITHIN, canaries_after};
use super::{Outcome, Scale, texts};

const MESSAGES: usize = 50_000;
const RECEIVERS: usize = 500;
const SENDERS: usize = 50;
const IN_FLIGHT: usize = 64;
/// Between two tries to reach a node that is not there.
const AGAIN: Duration = Duration::from_millis(20);

/// Messages and their positions.
type Received = BTreeMap<MessageId, Seq>;

/// How often the node is killed.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Kills, half of them while messages are accepted, half while they are fetched.
    #[arg(long, default_value_t = 10)]
    kills: usize,
    /// A tenth of the messages.
    #[arg(long)]
    quick: bool,
    /// Leave the node's log (warnings) on stderr.
    #[arg(long)]
    verbose: bool,
}

pub(crate) fn run(arguments: &Arguments) -> Result<(), Box<dyn std::error::Error>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(play(arguments)).map_err(|problem| problem as Box<dyn std::error::Error>)
}

async fn play(arguments: &Arguments) -> Outcome {
    let scale = Scale { divide_by: if arguments.quick { 10 } else { 1 } };
    let (receivers, senders) = (scale.of(RECEIVERS), SENDERS.min(scale.of(RECEIVERS)));
    let of_each = scale.of(MESSAGES) / senders;
    let total = of_each * senders;
    let mut node = Node::start(receivers + senders, arguments.verbose)?;
    let place = node.place;

    let progress = Arc::new(AtomicUsize::new(0));
    let mut sending = JoinSet::new();
    for number in 0..senders {
        let part: Vec<Person> = (number..receivers).step_by(senders).map(|receiver| Person(receiver as u32)).collect();
        let sender = Person(u32::try_from(receivers + number)?);
        sending.spawn(send(place, sender, part, of_each, Arc::clone(&progress)));
    }
    kill(&mut node, &progress, total, arguments.kills.div_ceil(2)).await?;
    let mut accepted = 0;
    while let Some(done) = sending.join_next().await {
        accepted += done??;
    }

    let progress = Arc::new(AtomicUsize::new(0));
    let mut fetching = JoinSet::new();
    for receiver in 0..receivers {
        let person = Person(u32::try_from(receiver)?);
        fetching.spawn(fetch(place, person, Received::default(), Arc::clone(&progress)));
    }
    kill(&mut node, &progress, total, arguments.kills / 2).await?;
    // Once more, because a kill may have come before an acknowledgement; and nobody hangs up before all is forgotten.
    let mut finishing = JoinSet::new();
    while let Some(done) = fetching.join_next().await {
        let (person, received, _) = done??;
        finishing.spawn(fetch(place, person, received, Arc::clone(&progress)));
    }
    let (mut delivered, mut listening) = (0, Vec::new());
    while let Some(done) = finishing.join_next().await {
        let (person, received, device) = done??;
        let expected = expected_by(person.0 as usize, receivers, senders, of_each);
        if received.len() != expected {
            return Err(format!("{} of {expected} were there for {}", received.len(), person.user()).into());
        }
        delivered += received.len();
        listening.push(device);
    }
    let canaries = canaries_after(&node.data(), FORGOTTEN_WITHIN).await?;
    drop(listening);
    println!("killed {}, accepted {accepted}, delivered {delivered}, bodies left {canaries}", arguments.kills);
    if accepted != total || delivered != total || canaries > 0 {
        return Err("not every accepted message was delivered once and forgotten".into());
    }
    Ok(())
}

/// How many messages the senders have for this receiver: each goes round its own part.
fn expected_by(receiver: usize, receivers: usize, senders: usize, of_each: usize) -> usize {
    let sender = receiver % senders;
    let part = (sender..receivers).step_by(senders).count();
    let place = receiver / senders;
    of_each / part + usize::from(place < of_each % part)
}

/// Kills the node each time that as much again was done.
async fn kill(node: &mut Node, progress: &AtomicUsize, total: usize, times: usize) -> Outcome {
    for time in 1..=times {
        while progress.load(Ordering::Relaxed) < total * time / (times + 1) {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        node.crash()?;
    }
    Ok(())
}

/// Sends until all is accepted; what is unanswered when a socket breaks is sent again under the same id.
async fn send(
    place: Place,
    person: Person,
    to: Vec<Person>,
    messages: usize,
    progress: Arc<AtomicUsize>,
) -> Outcome<usize> {
    let mut unanswered: BTreeMap<MessageId, (Person, Bytes)> = BTreeMap::new();
    let (mut sent, mut accepted) = (0, 0);
    while accepted < messages {
        let Some(mut device) = reach(place, person).await else { continue };
        let session = async {
            for (message, (to, body)) in &unanswered {
                device.send_as(*message, *to, body.clone()).await?;
            }
            device.flush().await?;
            while accepted < messages {
                while sent < messages && unanswered.len() < IN_FLIGHT {
                    let (message, to, body) = (person.message(sent as u64), to[sent % to.len()], texts::body());
                    sent += 1;
                    unanswered.insert(message, (to, body.clone()));
                    device.send_as(message, to, body).await?;
                }
                device.flush().await?;
                if let News::Accepted(message) = device.news().await?
                    && unanswered.remove(&message).is_some()
                {
                    accepted += 1;
                    progress.fetch_add(1, Ordering::Relaxed);
                }
            }
            Outcome::Ok(())
        };
        // Whatever ended the socket, the next one goes on where this one was.
        drop(session.await);
    }
    Ok(accepted)
}

/// Fetches what waits, on a socket that holds until then. What comes again was not acknowledged before a kill: it must
/// be the same, at its place.
async fn fetch(
    place: Place,
    person: Person,
    mut received: Received,
    progress: Arc<AtomicUsize>,
) -> Outcome<(Person, Received, Device)> {
    loop {
        let Some(mut device) = reach(place, person).await else { continue };
        while let Ok(news) = device.news().await {
            match news {
                News::Mail(entries) => {
                    for entry in &entries {
                        let EntryKind::Envelope(envelope) = &entry.kind else { continue };
                        match received.insert(envelope.message, envelope.seq) {
                            None => drop(progress.fetch_add(1, Ordering::Relaxed)),
                            Some(before) if before == envelope.seq => {}
                            Some(_) => return Err(format!("{} has two positions", envelope.message).into()),
                        }
                    }
                    if device.acknowledge(&entries).await.is_err() || device.flush().await.is_err() {
                        break;
                    }
                }
                News::Drained => return Ok((person, received, device)),
                News::Accepted(_) => {}
            }
        }
    }
}

async fn reach(place: Place, person: Person) -> Option<Device> {
    let device = Device::connect(place, person).await.ok();
    if device.is_none() {
        tokio::time::sleep(AGAIN).await;
    }
    device
}
