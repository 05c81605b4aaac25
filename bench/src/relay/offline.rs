//! Messages for devices that are away; then all of them come at once. Afterwards nothing may be left.

use std::path::Path;
use std::time::Duration;

use tokio::task::JoinSet;

use super::device::{Device, News, envelopes, receipted};
use super::node::{Node, Person};
use super::report::Sample;
use super::{Outcome, Scale, texts};

const MESSAGES: usize = 50_000;
const RECEIVERS: usize = 500;
const SENDERS: usize = 50;
/// What the node allows to be unanswered.
const IN_FLIGHT: usize = 64;
/// The node's own promise for bodies.
pub(super) const FORGOTTEN_WITHIN: Duration = Duration::from_secs(5);

pub(crate) async fn node(scale: Scale, verbose: bool) -> Outcome<Sample> {
    let (receivers, senders) = (scale.of(RECEIVERS), SENDERS.min(scale.of(RECEIVERS)));
    let of_each = scale.of(MESSAGES) / senders;
    let total = of_each * senders;
    let node = Node::start(receivers + senders, verbose)?;
    let mut devices = Vec::new();
    for number in 0..senders {
        devices.push(Device::connect(node.place, Person(u32::try_from(receivers + number)?)).await?);
    }

    let cpu_before = node.process.cpu()?;
    let started = texts::now();
    let mut sending = JoinSet::new();
    for (number, device) in devices.into_iter().enumerate() {
        // Each sender has its own part of the receivers.
        let part: Vec<Person> = (number..receivers).step_by(senders).map(|receiver| Person(receiver as u32)).collect();
        sending.spawn(send(device, part, of_each));
    }
    let mut senders = Vec::new();
    while let Some(done) = sending.join_next().await {
        senders.push(done??);
    }
    let (accepted_in, accept_cpu) = (started.elapsed(), node.process.cpu()? - cpu_before);
    let bytes_waiting = bytes_in(&node.data())?;

    let cpu_before = node.process.cpu()?;
    let started = texts::now();
    let mut draining = JoinSet::new();
    for receiver in 0..receivers {
        let device = Device::connect(node.place, Person(receiver as u32)).await?;
        draining.spawn(drain(device));
    }
    for device in senders {
        draining.spawn(until_receipted(device, of_each));
    }
    let mut drained = 0;
    while let Some(done) = draining.join_next().await {
        drained += done??;
    }
    let (drained_in, drain_cpu) = (started.elapsed(), node.process.cpu()? - cpu_before);
    if drained != total {
        return Err(format!("{total} were accepted, {drained} delivered").into());
    }
    let canaries_left = canaries_after(&node.data(), FORGOTTEN_WITHIN).await?;
    let mut sample = Sample::new("offline", "chasqui");
    sample.part("accept", total, accepted_in, accept_cpu);
    sample.part("drain", total, drained_in, drain_cpu);
    sample.figure("bytes_on_disk_waiting", bytes_waiting as f64);
    sample.figure("bytes_on_disk_after", bytes_in(&node.data())? as f64);
    sample.figure("canaries_after", canaries_left as f64);
    Ok(sample)
}

async fn send(mut device: Device, to: Vec<Person>, messages: usize) -> Outcome<Device> {
    let (mut sent, mut accepted) = (0, 0);
    while accepted < messages {
        while sent < messages && sent - accepted < IN_FLIGHT {
            device.send(to[sent % to.len()], texts::body()).await?;
            sent += 1;
        }
        device.flush().await?;
        if let News::Accepted(_) = device.news().await? {
            accepted += 1;
        }
    }
    Ok(device)
}

/// How many messages waited.
async fn drain(mut device: Device) -> Outcome<usize> {
    let (mut received, mut is_drained) = (0, false);
    while !is_drained {
        match device.news().await? {
            News::Mail(entries) => {
                received += envelopes(&entries);
                device.acknowledge(&entries).await?;
                device.flush().await?;
            }
            News::Drained => is_drained = true,
            News::Accepted(_) => {}
        }
    }
    Ok(received)
}

async fn until_receipted(mut device: Device, messages: usize) -> Outcome<usize> {
    let mut receipts = 0;
    while receipts < messages {
        if let News::Mail(entries) = device.news().await? {
            receipts += receipted(&entries);
            device.acknowledge(&entries).await?;
            device.flush().await?;
        }
    }
    Ok(0)
}

/// Copies of bodies in the folder's files, after as long as they may take to go.
pub(super) async fn canaries_after(folder: &Path, within: Duration) -> Outcome<usize> {
    let until = texts::now() + within;
    loop {
        let found = canaries(folder)?;
        if found == 0 || texts::now() >= until {
            return Ok(found);
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

fn canaries(folder: &Path) -> Outcome<usize> {
    let mut found = 0;
    for file in files(folder)? {
        let bytes = std::fs::read(file)?;
        let (first, length) = (super::texts::CANARY[0], super::texts::CANARY.len());
        let is_canary = |&at: &usize| bytes[at] == first && bytes[at..].starts_with(super::texts::CANARY);
        found += (0..bytes.len().saturating_sub(length - 1)).filter(is_canary).count();
    }
    Ok(found)
}

/// Bytes that the files take on the disk.
fn bytes_in(folder: &Path) -> Outcome<u64> {
    use std::os::unix::fs::MetadataExt as _;
    files(folder)?.iter().map(|file| Ok(file.metadata()?.blocks() * 512)).sum()
}

fn files(folder: &Path) -> Outcome<Vec<std::path::PathBuf>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            found.extend(files(&path)?);
        } else if path.is_file() {
            found.push(path);
        }
    }
    Ok(found)
}
