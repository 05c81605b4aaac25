//! The play, from the empty folder to the verdict.
//!
//! Everybody is there; somebody is away, and Bo's process is killed twice before he has caught up; everybody is there
//! again and reads; the devices close; the relay's files are searched while it still runs, and again after it stopped.

use std::fmt::Display;
use std::path::PathBuf;
use std::time::Duration;

use tokio::time::Instant;

use crate::audit::History;
use crate::canary::Canaries;
use crate::child::{Deadline, Process, Trouble};
use crate::handset::Ending;
use crate::orders::State;
use crate::plan::{Plan, Seat};
use crate::relay::Event;
use crate::relay_files;
use crate::report::Report;
use crate::script::Script;
use crate::stage::{Line, Names, Stage};
use crate::summary::{RelayHolds, Summary};

/// From the last confirmation to the last byte: what the relay promises.
const FORGETS_WITHIN: Duration = Duration::from_secs(5);
/// Between two looks into the relay's files.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Plays; says whether everything held.
pub(crate) async fn play(
    script: &Script,
    node: Option<String>,
    keep: bool,
    report: &mut Report,
) -> Result<bool, Trouble> {
    let home = tempfile::Builder::new().prefix("chasqui-quickstart-").rand_bytes(24).tempdir();
    let mut home = home.map_err(|error| unusable("no temporary folder", &error))?;
    home.disable_cleanup(keep);
    let played =
        Director { home: home.path().to_owned(), script, deadline: Deadline::start(), report }.play(node).await;
    if keep {
        report.kept(home.path());
    }
    played
}

struct Director<'a> {
    home: PathBuf,
    script: &'a Script,
    deadline: Deadline,
    report: &'a mut Report,
}

/// The relay that this program started.
struct OwnRelay {
    process: Process,
    data: PathBuf,
    /// What was in its files before anything was sent.
    before: PathBuf,
}

/// What is asked once everybody has read everything.
struct Played {
    waited: Option<Waited>,
    found: bool,
}

/// What was found in the relay's files while bodies waited there.
struct Waited {
    /// The bodies, as the relay has them.
    sealed: Vec<Vec<u8>>,
    /// How many of these: what is looked for at the end can be found.
    found: u64,
    /// How many messages, as people wrote them.
    legible: u64,
}

impl Director<'_> {
    async fn play(mut self, node: Option<String>) -> Result<bool, Trouble> {
        let (mut relay, url, names) = match node {
            Some(url) => (None, url, self.fresh_names()),
            None => {
                let (relay, url) = self.start_relay().await?;
                let names = Names { ana: "ana".into(), bo: "bo".into(), password: self.secret() };
                (Some(relay), url, names)
            }
        };
        self.report.opening(&url, relay.is_some());
        let mut stage = Stage::set(&self.home, url, &names, self.deadline).await?;
        if let Some(relay) = &relay {
            relay_files::copy(&relay.data, &relay.before).map_err(|error| unusable("the relay's files", &error))?;
        }
        let played = self.talk(&mut stage, relay.as_ref()).await?;
        if let Some(relay) = &relay {
            self.wait_until_confirmed(relay).await?;
        }
        let Stage { phone, laptop, bo, .. } = &mut stage;
        tokio::try_join!(phone.close(), laptop.close(), bo.close())?;
        let mut histories = Vec::new();
        for device in [&stage.phone, &stage.laptop, &stage.bo] {
            let history = History::read(device.who, &device.folder);
            histories.push(history.map_err(|error| unusable(device.who, &error))?);
        }
        let holds = match relay.as_mut() {
            Some(relay) => Some(self.search_relay(relay, &histories, played.waited.as_ref()).await?),
            None => None,
        };
        let waited = played.waited.as_ref().filter(|_| !self.script.lines.is_empty());
        let (found, legible) = (waited.map(|waited| waited.found), waited.map(|waited| waited.legible));
        let summary = Summary::of(&histories, found, legible, holds);
        let checks = summary.checks(self.script, &histories, played.found);
        self.report.closing(&histories, &summary, &checks);
        Ok(checks.iter().all(|check| check.holds))
    }

    /// The three parts, the reading and the search.
    async fn talk(&mut self, stage: &mut Stage, relay: Option<&OwnRelay>) -> Result<Played, Trouble> {
        let plan = Plan::of(self.script);
        stage.play(&plan.before).await?;
        stage.everybody_reads().await?;
        let lines = stage.timeline(0).await?;
        self.report.scene("Everybody is there", &lines);

        let (before, heard) = (last_position(&lines), stage.said_by_ana());
        stage.leave(plan.away).await?;
        stage.play_apart(plan.away, &plan.ana_apart, &plan.bo_apart).await?;
        let title = if plan.away == Seat::Laptop { "Ana's laptop has no network" } else { "Bo has no network" };
        self.report.scene(title, &stage.timeline(before).await?);
        let waited = match relay {
            Some(relay) => {
                let bodies = stage.waiting_bodies(plan.away, before).await?;
                Some(self.control(relay, bodies)?)
            }
            None => None,
        };

        if plan.away == Seat::Laptop {
            stage.come_back(Seat::Laptop, Ending::Closed).await?;
        }
        self.report.note("Bo's process is killed (SIGKILL) and started again, with a network");
        stage.come_back(Seat::Bo, Ending::Killed).await?;
        stage.bo_catches_up(heard).await?;
        self.report.note("he is catching up: killed again, started again");
        stage.come_back(Seat::Bo, Ending::Killed).await?;
        stage.everybody_holds_all().await?;
        stage.everybody_knows(State::Received).await?;
        let lines = stage.timeline(before).await?;
        self.report.scene("Bo is back", &lines);

        let before = last_position(&lines).max(before);
        stage.play(&plan.after).await?;
        stage.everybody_reads().await?;
        self.report.scene("Everybody is there again, and reads", &stage.timeline(before).await?);

        let mut found = true;
        if let Some(word) = self.script.search_word() {
            let hits = stage.bo.search(word).await?;
            self.report.search(stage.bo.who, word, &hits);
            found = !hits.is_empty();
        }
        Ok(Played { waited, found })
    }

    async fn start_relay(&self) -> Result<(OwnRelay, String), Trouble> {
        let data = self.home.join("relay");
        let mut process = Process::start("the relay", self.deadline, "relay", &[("--data", data.as_os_str())])?;
        let Event::Listening { address } = process.hear("listen").await?;
        Ok((OwnRelay { process, data, before: self.home.join("relay-before") }, format!("http://{address}")))
    }

    /// The relay has what waits, and cannot read it: its files hold the bodies that its database names, and nothing of what people wrote.
    fn control(&mut self, relay: &OwnRelay, messages: Vec<Vec<u8>>) -> Result<Waited, Trouble> {
        let broken = |error: &dyn Display| unusable("the relay's files", error);
        let sealed = relay_files::bodies(&relay.data).map_err(|error| broken(&error))?;
        let count = |bodies| canaries(bodies, relay)?.count_in(&relay.data).map_err(|error| broken(&error));
        let waited = Waited { found: count(sealed.clone())?, legible: count(messages)?, sealed };
        self.report.control(waited.sealed.len(), waited.found, waited.legible);
        Ok(waited)
    }

    /// Devices confirm shortly after they have stored; closing them earlier would leave mail for their next visit.
    async fn wait_until_confirmed(&self, relay: &OwnRelay) -> Result<(), Trouble> {
        let patience = Instant::now() + FORGETS_WITHIN;
        loop {
            let waiting =
                relay_files::waiting(&relay.data).map_err(|error| unusable("the relay's database", &error))?;
            // What still waits after that is reported at the end.
            if waiting.is_nothing() || Instant::now() > patience {
                return Ok(());
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// Waits for the running relay to forget, stops it, and says what its files hold.
    async fn search_relay(
        &mut self,
        relay: &mut OwnRelay,
        histories: &[History],
        waited: Option<&Waited>,
    ) -> Result<RelayHolds, Trouble> {
        let broken = |error: &dyn Display| unusable("the relay's files", error);
        let written = histories.iter().flat_map(|history| &history.messages).filter(|message| message.is_from_here);
        let sealed = waited.iter().flat_map(|waited| waited.sealed.iter().cloned());
        let canaries = canaries(written.map(|message| message.body.clone()).chain(sealed).collect(), relay)?;
        let started = Instant::now();
        loop {
            let hits = canaries.count_in(&relay.data).map_err(|error| broken(&error))?;
            if hits == 0 {
                self.report.forgotten(started.elapsed());
                break;
            }
            if started.elapsed() > FORGETS_WITHIN {
                self.report.note(&format!("pieces of {hits} bodies are in the running relay's files after 5 s"));
                break;
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
        relay.process.end().await?;
        let canary_hits = canaries.count_in(&relay.data).map_err(|error| broken(&error))?;
        let body_bytes = relay_files::body_bytes(&relay.data).map_err(|error| broken(&error))?;
        let waiting = relay_files::waiting(&relay.data).map_err(|error| broken(&error))?;
        let relay_files::Waiting { mailbox_entries, envelopes: bodies } = waiting;
        Ok(RelayHolds { mailbox_entries, bodies, body_bytes, canary_hits })
    }

    /// Names that nobody else has at a node of strangers.
    fn fresh_names(&self) -> Names {
        let secret = self.secret();
        let suffix: String = secret.chars().take(8).collect::<String>().to_lowercase();
        Names { ana: format!("ana-{suffix}"), bo: format!("bo-{suffix}"), password: secret.chars().skip(8).collect() }
    }

    /// The random end of the temporary folder's name.
    fn secret(&self) -> String {
        let name = self.home.file_name().unwrap_or_default().to_string_lossy();
        name.chars().rev().take(24).collect()
    }
}

/// The highest position that is shown; 0 = none.
fn last_position(lines: &[Line]) -> u64 {
    lines.iter().filter_map(|line| line.seq).max().unwrap_or(0)
}

fn canaries(bodies: Vec<Vec<u8>>, relay: &OwnRelay) -> Result<Canaries, Trouble> {
    Canaries::of(bodies).except_those_in(&relay.before).map_err(|error| unusable("the relay's files", &error))
}

fn unusable(what: impl Display, error: &dyn Display) -> Trouble {
    Trouble::Unusable(format!("{what}: {error}"))
}
