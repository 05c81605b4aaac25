//! Catch-up: a backlog into an empty history, in the batches in which a node's window delivers it, each one durable.

use std::error::Error;
use std::path::Path;

use chasqui::Store;
use chasqui_wire::Limits;
use serde::Serialize;

use super::bare::{self, Rows};
use super::clock::{Took, percentile, timed};
use super::device::Device;
use super::mail::Mail;

/// Medians over all rounds, in which the two take turns.
#[derive(Debug, Serialize)]
pub(super) struct CatchUp {
    pub(super) messages: usize,
    /// A node's default window: what is unacknowledged at once is what one transaction can hold.
    pub(super) messages_per_transaction: usize,
    pub(super) rounds: usize,
    pub(super) core: Speed,
    pub(super) bare_sqlite: Speed,
    /// The speed of the core by that of bare SQLite: 1 = as fast.
    pub(super) speed_by_wall: f64,
    pub(super) speed_by_cpu: f64,
    pub(super) bytes_per_message: f64,
}

#[derive(Debug, Serialize)]
pub(super) struct Speed {
    pub(super) messages_per_second: f64,
    pub(super) cpu_micros_per_message: f64,
}

impl Speed {
    fn of(rounds: &[Took], messages: usize) -> Self {
        let mut walls: Vec<f64> = rounds.iter().map(|took| took.wall.as_secs_f64()).collect();
        let mut cpus: Vec<f64> = rounds.iter().map(|took| took.cpu.as_secs_f64()).collect();
        Self {
            messages_per_second: messages as f64 / percentile(&mut walls, 50),
            cpu_micros_per_message: percentile(&mut cpus, 50) * 1e6 / messages as f64,
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
    let fresh = Mail::new(seed, conversations);
    let mut mail = Mail::new(seed, conversations);
    let frames = mail.frames(messages, window);
    let rows = Rows::record(&fresh, &frames)?;
    let (mut core, mut bare) = (Vec::new(), Vec::new());
    let mut bytes = 0;
    for round in 0..rounds {
        let (core_file, bare_file) = (folder.join("core.db"), folder.join("bare.db"));
        let mut device = Device::connected(Store::open(&core_file)?, &fresh)?;
        let (stored, took) = timed(|| -> Result<usize, Box<dyn Error>> {
            let mut stored = 0;
            for frame in &frames {
                stored += device.take(mail.now(), vec![frame.clone()])?;
            }
            Ok(stored)
        });
        core.push(took);
        if stored? != messages || rows.count() != messages {
            return Err("the core did not store the whole backlog".into());
        }

        let db = rows.prepare(&bare_file)?;
        let (written, took) = timed(|| rows.write(&db, window));
        written?;
        bare.push(took);
        drop(db);

        let db = device.into_store().into_connection();
        if round == 0 {
            bare::assert_same(&db, &bare_file)?;
        }
        drop(db);
        bytes = std::fs::metadata(&core_file)?.len();
        for name in ["core.db", "bare.db"] {
            std::fs::remove_file(folder.join(name))?;
        }
    }
    let (core, bare_sqlite) = (Speed::of(&core, messages), Speed::of(&bare, messages));
    Ok(CatchUp {
        messages,
        messages_per_transaction: window,
        rounds,
        speed_by_wall: core.messages_per_second / bare_sqlite.messages_per_second,
        speed_by_cpu: bare_sqlite.cpu_micros_per_message / core.cpu_micros_per_message,
        bytes_per_message: bytes as f64 / messages as f64,
        core,
        bare_sqlite,
    })
}
