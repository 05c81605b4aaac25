//! Real engines and the real relay in one deterministic process: no threads, no clock, no sockets.
//!
//! A seed decides everything: who writes what when, and which faults strike. Faults stop at some point, everything comes
//! to rest, and then every promise is checked: `check.rs` looks at every history and at what the relay still holds. Some promises are watched all
//! along: states never go back, and nobody says RECEIVED of a message that no device of the recipient has on disk.

mod agreement;
mod check;
mod device;
mod faults;
mod ledger;
mod mutants;
mod network;
mod node;
mod rng;
mod trace;
mod world;

use std::panic::{AssertUnwindSafe, catch_unwind};

pub use faults::{Injected, Profile, Weather};
pub use mutants::Mutant;
use world::World;

/// How one seed ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// The seed.
    pub seed: u64,
    /// SHA-256 over every decision, in hex: equal for equal seeds, unless that is left to chance.
    pub digest: String,
    /// The keys of groups are random, and with them the order of rows: where a disk is full, it may be so a page earlier or later.
    pub is_left_to_chance: bool,
    /// What struck, and how often.
    pub injected: Injected,
    /// Messages written.
    pub messages: usize,
    /// How often a device began to show that somebody types.
    pub typing_seen: usize,
    /// Milliseconds of simulated time.
    pub simulated_ms: u64,
    /// The first promise that was broken.
    pub broken: Option<String>,
    /// Every decision, if it was asked for.
    pub lines: Vec<String>,
}

/// Runs one seed, with a bug planted if one is given, in the weather in which that shows.
pub fn run(seed: u64, mutant: Option<Mutant>, keep_lines: bool) -> Outcome {
    run_in(mutants::weather(mutant), mutants::profile(mutant), seed, mutant, keep_lines)
}

/// Runs the world in which a bug is to show, without the bug.
pub fn control(seed: u64, mutant: Mutant) -> Outcome {
    run_in(mutants::weather(Some(mutant)), mutants::profile(Some(mutant)), seed, None, false)
}

/// Runs one seed in a weather.
pub fn run_in(weather: Weather, profile: Profile, seed: u64, mutant: Option<Mutant>, keep_lines: bool) -> Outcome {
    mutants::plant(mutant);
    let mut world = World::new(seed, weather, profile, keep_lines);
    let ended = catch_unwind(AssertUnwindSafe(|| world.run()));
    mutants::plant(None);
    let broken = match ended {
        Ok(Ok(())) if world.injected().is_empty() => Some("no fault was injected".to_owned()),
        Ok(Ok(())) => None,
        Ok(Err(broken)) => Some(broken),
        Err(panic) => Some(format!("panicked: {}", panic_text(&panic))),
    };
    world.into_outcome(seed, broken)
}

fn panic_text(panic: &Box<dyn std::any::Any + Send>) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "without a text".to_owned())
}
