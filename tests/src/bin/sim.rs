//! `cargo xtask sim`: runs seeds of the simulation and says which promise broke, if any.

use std::collections::BTreeMap;
use std::process::ExitCode;

use chasqui_tests::sim::{Mutant, Outcome, Profile, Weather, control, run, run_in};
use clap::Parser;

/// Runs the simulation.
#[derive(Debug, Parser)]
#[command(name = "sim")]
struct Arguments {
    /// How many seeds, from --from on.
    #[arg(long, default_value_t = 100)]
    seeds: u64,
    /// The first seed.
    #[arg(long, default_value_t = 1)]
    from: u64,
    /// Replay one seed and print every decision.
    #[arg(long)]
    seed: Option<u64>,
    /// Plant a bug: the run must fail.
    #[arg(long)]
    mutant: Option<String>,
    /// Play every seed in this weather, instead of what it draws or what the mutant needs: any | silent | restores | storm |
    /// absences | small-mailboxes | strangers | copies.
    #[arg(long, value_parser = weather)]
    weather: Option<Weather>,
    /// What sort of conversations people have: readable | e2ee.
    #[arg(long, value_parser = profile, default_value = "readable")]
    profile: Profile,
    /// List the bugs that can be planted.
    #[arg(long)]
    mutants: bool,
    /// Plant every bug in turn and say which are caught.
    #[arg(long)]
    all_mutants: bool,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    // A panic is a broken promise like others: it is reported with its seed.
    std::panic::set_hook(Box::new(|_| {}));
    if arguments.mutants {
        for mutant in Mutant::ALL {
            println!("{:22} {}", mutant.name, mutant.about);
        }
        return ExitCode::SUCCESS;
    }
    if arguments.all_mutants {
        return all_mutants(&arguments);
    }
    let mutant = match arguments.mutant.as_deref().map(|name| Mutant::named(name).ok_or(name)).transpose() {
        Ok(mutant) => mutant,
        Err(name) => {
            eprintln!("no mutant is called {name}; --mutants lists them");
            return ExitCode::from(2);
        }
    };
    let play = |seed, keep_lines| match arguments.weather {
        None if arguments.profile == Profile::Readable => run(seed, mutant, keep_lines),
        weather => run_in(weather.unwrap_or(Weather::Any), arguments.profile, seed, mutant, keep_lines),
    };
    match arguments.seed {
        Some(seed) => replay(seed, &play(seed, true)),
        None => many(&arguments, &play),
    }
}

fn weather(name: &str) -> Result<Weather, String> {
    let found = Weather::ALL.into_iter().find(|&(known, _)| known == name);
    found.map(|(_, weather)| weather).ok_or_else(|| "no such weather".to_owned())
}

fn profile(name: &str) -> Result<Profile, String> {
    match name {
        "readable" => Ok(Profile::Readable),
        "e2ee" => Ok(Profile::Encrypted),
        _ => Err("no such profile".to_owned()),
    }
}

fn replay(seed: u64, outcome: &Outcome) -> ExitCode {
    for line in &outcome.lines {
        println!("{line}");
    }
    println!("injected: {}", faults(&[outcome]));
    println!(
        "seed {seed}: {} messages, {} times typing was seen, {} s simulated, digest {}",
        outcome.messages,
        outcome.typing_seen,
        outcome.simulated_ms / 1000,
        outcome.digest
    );
    match &outcome.broken {
        None => {
            println!("1 passed, 0 failed");
            ExitCode::SUCCESS
        }
        Some(broken) => {
            println!("seed {seed} FAILED: {broken}\n0 passed, 1 failed");
            ExitCode::FAILURE
        }
    }
}

/// Runs a seed twice: the same seed must decide the same.
fn twice(seed: u64, play: &impl Fn(u64, bool) -> Outcome) -> Outcome {
    let mut outcome = play(seed, false);
    if outcome.broken.is_none() {
        let again = play(seed, false);
        let is_other = again.digest != outcome.digest && !outcome.is_left_to_chance;
        let differs = is_other.then(|| "the same seed decided differently the second time".to_owned());
        outcome.broken = again.broken.or(differs);
    }
    outcome
}

fn many(arguments: &Arguments, play: &(impl Fn(u64, bool) -> Outcome + Sync)) -> ExitCode {
    let seeds = arguments.from..arguments.from + arguments.seeds;
    let outcomes = in_parallel(seeds, |seed| twice(seed, play));
    let failed: Vec<&Outcome> = outcomes.iter().filter(|outcome| outcome.broken.is_some()).collect();
    for outcome in failed.iter().take(20) {
        println!("seed {} FAILED: {}", outcome.seed, outcome.broken.as_deref().unwrap_or_default());
    }
    let messages: usize = outcomes.iter().map(|outcome| outcome.messages).sum();
    let seen: usize = outcomes.iter().map(|outcome| outcome.typing_seen).sum();
    let simulated: u64 = outcomes.iter().map(|outcome| outcome.simulated_ms / 1000).sum();
    println!("injected: {}", faults(&outcomes.iter().collect::<Vec<_>>()));
    println!(
        "{messages} messages, {seen} times typing was seen, {simulated} s simulated, each seed twice with the same decisions"
    );
    println!("{} passed, {} failed", outcomes.len() - failed.len(), failed.len());
    if failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn all_mutants(arguments: &Arguments) -> ExitCode {
    let seeds = arguments.from..arguments.from + arguments.seeds;
    let first = |mutant: Mutant| {
        let mut seeds = seeds.clone().map(|seed| run(seed, Some(mutant), false));
        seeds.find_map(|outcome| outcome.broken.map(|broken| (outcome.seed, broken)))
    };
    let caught = in_parallel(0..Mutant::ALL.len() as u64, |index| first(Mutant::ALL[index as usize]));
    let mut missed = 0;
    for (mutant, caught) in Mutant::ALL.iter().zip(caught) {
        match caught {
            // What breaks without the bug too proves nothing.
            Some((seed, _)) if control(seed, *mutant).broken.is_some() => {
                missed += 1;
                println!("{:22} seed {seed} fails without it as well", mutant.name);
            }
            Some((seed, broken)) => println!("{:22} caught by seed {seed}: {broken}", mutant.name),
            None => {
                missed += 1;
                println!("{:22} NOT CAUGHT by {} seeds", mutant.name, arguments.seeds);
            }
        }
    }
    println!("{} passed, {missed} failed", Mutant::ALL.len() - missed);
    if missed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// On all cores; each seed stays on one thread, where its planted bug is.
fn in_parallel<T: Send>(items: std::ops::Range<u64>, work: impl Fn(u64) -> T + Sync) -> Vec<T> {
    let next = std::sync::atomic::AtomicU64::new(items.start);
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let one = || {
        let mut done = Vec::new();
        loop {
            let item = next.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            if item >= items.end {
                return done;
            }
            done.push((item, work(item)));
        }
    };
    let mut done: Vec<(u64, T)> = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(one)).collect();
        workers.into_iter().flat_map(|worker| worker.join().unwrap_or_default()).collect()
    });
    done.sort_by_key(|&(item, _)| item);
    done.into_iter().map(|(_, outcome)| outcome).collect()
}

fn faults(outcomes: &[&Outcome]) -> String {
    let mut total = BTreeMap::new();
    for (&fault, &count) in outcomes.iter().flat_map(|outcome| &outcome.injected) {
        *total.entry(fault).or_insert(0) += count;
    }
    total.iter().map(|(fault, count)| format!("{fault:?} {count}")).collect::<Vec<_>>().join(", ")
}
