//! Catch-up: the same backlog, encrypted and not, into copies of the same history, in the batches in which a node's window
//! delivers it, each one durable.

use std::error::Error;
use std::path::Path;

use bytes::Bytes;
use chasqui::Store;
use chasqui::engine::Secret;
use chasqui_wire::{ClientFrame, Entry, KeyPackagesLeft, Limits};
use serde::Serialize;

use super::mail::{IDENTITY_SEED, Writers};
use crate::core::clock::{Took, percentile, timed};
use crate::core::device::Device;
use crate::core::mail::{Mail, deliver};

/// Medians over all rounds, in which the two take turns.
#[derive(Debug, Serialize)]
pub(super) struct CatchUp {
    pub(super) messages: usize,
    pub(super) conversations: usize,
    pub(super) devices_per_group: usize,
    pub(super) messages_per_transaction: usize,
    pub(super) rounds: usize,
    pub(super) encrypted: Speed,
    pub(super) unencrypted: Speed,
    /// What the encrypted takes by what the other takes: 1 = as much.
    pub(super) cpu_ratio: f64,
    pub(super) wall_ratio: f64,
}

#[derive(Debug, Serialize)]
pub(super) struct Speed {
    pub(super) messages_per_second: f64,
    pub(super) cpu_micros_per_message: f64,
    /// As the frames come.
    pub(super) bytes_per_message: f64,
}

impl Speed {
    fn of(rounds: &[Took], messages: usize, frames: &[Bytes]) -> Self {
        let mut walls: Vec<f64> = rounds.iter().map(|took| took.wall.as_secs_f64()).collect();
        let mut cpus: Vec<f64> = rounds.iter().map(|took| took.cpu.as_secs_f64()).collect();
        let bytes: usize = frames.iter().map(Bytes::len).sum();
        Self {
            messages_per_second: messages as f64 / percentile(&mut walls, 50),
            cpu_micros_per_message: percentile(&mut cpus, 50) * 1e6 / messages as f64,
            bytes_per_message: bytes as f64 / messages as f64,
        }
    }
}

pub(super) fn measure(
    folder: &Path,
    seed: u64,
    messages: usize,
    conversations: usize,
    rounds: usize,
) -> Result<CatchUp, Box<dyn Error>> {
    let window = Limits::DEFAULT.window_entries as usize;
    let mut mail = Mail::new(seed, conversations);
    let mut writers = Writers::new(seed, &mut mail)?;
    let joined = folder.join("joined.db");
    join(&joined, &mail, &writers)?;
    let plain: Vec<Entry> = (0..messages).map(|_| mail.message()).collect();
    let sealed = plain.iter().map(|entry| writers.seal(entry)).collect::<Result<Vec<Entry>, _>>()?;
    let frames =
        |entries: &[Entry]| -> Vec<Bytes> { entries.chunks(window).map(|entries| deliver(entries.to_vec())).collect() };
    let (plain, sealed) = (frames(&plain), frames(&sealed));
    let (mut unencrypted, mut encrypted) = (Vec::new(), Vec::new());
    for round in 0..rounds {
        for (name, frames, took) in [("plain.db", &plain, &mut unencrypted), ("sealed.db", &sealed, &mut encrypted)] {
            let file = folder.join(name);
            std::fs::copy(&joined, &file)?;
            let mut device = Device::resumed(Store::open(&file)?)?;
            device.connect(&mail, None)?;
            let (stored, elapsed) = timed(|| -> Result<usize, Box<dyn Error>> {
                let mut stored = 0;
                for frame in frames {
                    stored += device.take(mail.now(), vec![frame.clone()])?;
                }
                Ok(stored)
            });
            took.push(elapsed);
            if stored? != messages {
                return Err("the core did not store the whole backlog".into());
            }
        }
        if round == 0 {
            assert_same(&folder.join("plain.db"), &folder.join("sealed.db"), messages)?;
        }
        for name in ["plain.db", "sealed.db"] {
            std::fs::remove_file(folder.join(name))?;
        }
    }
    let encrypted = Speed::of(&encrypted, messages, &sealed);
    let unencrypted = Speed::of(&unencrypted, messages, &plain);
    Ok(CatchUp {
        messages,
        conversations,
        devices_per_group: 3,
        messages_per_transaction: window,
        rounds,
        cpu_ratio: encrypted.cpu_micros_per_message / unencrypted.cpu_micros_per_message,
        wall_ratio: unencrypted.messages_per_second / encrypted.messages_per_second,
        encrypted,
        unencrypted,
    })
}

/// Makes the history of a device that is in all groups, and in which nothing was said yet.
fn join(file: &Path, mail: &Mail, writers: &Writers) -> Result<(), Box<dyn Error>> {
    let mut device = Device::enrolled(Store::open(file)?, mail, Some(Secret::new(IDENTITY_SEED)))?;
    let said = device.connect(mail, Some(KeyPackagesLeft::default()))?;
    let last_resort = said.into_iter().find_map(|frame| match frame {
        ClientFrame::KeyPackages(packages) => packages.last_resort,
        _ => None,
    });
    let welcomes = writers.begin(mail, &last_resort.ok_or("the device made no key packages")?)?;
    for welcomes in welcomes.chunks(Limits::ENTRIES_PER_FRAME / 16) {
        device.take(mail.now(), vec![deliver(welcomes.to_vec())])?;
    }
    device.into_store().into_connection().close().map_err(|(_, error)| error)?;
    Ok(())
}

/// Fails unless both hold the same messages, and could read them. What is encrypted names besides what was said before.
fn assert_same(plain: &Path, sealed: &Path, messages: usize) -> Result<(), Box<dyn Error>> {
    let db = Store::open(plain)?.into_connection();
    db.execute("ATTACH ? AS sealed", [sealed.to_str().ok_or("a folder whose name is not text")?])?;
    let same: usize = db.query_row(
        "SELECT count(*) FROM main.message AS one JOIN sealed.message AS other USING (message)
         WHERE one.body = substr(other.body, 1, length(one.body)) AND one.kind = other.kind AND one.sender_device = other.sender_device",
        [],
        |row| row.get(0),
    )?;
    if same != messages {
        return Err(format!("{same} of {messages} messages are the same, encrypted and not").into());
    }
    Ok(())
}
