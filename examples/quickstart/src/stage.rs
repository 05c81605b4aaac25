//! The three devices and the node that they use: everybody enrols, speaks, listens.
//!
//! Waits for conditions, never for time. How much was said so far is counted only to know what to wait for.

use std::path::Path;

use crate::canary;
use crate::child::{Deadline, Trouble};
use crate::handset::{Device, Ending};
use crate::orders::{Condition, Shown, State};
use crate::plan::{Part, Seat, Turn};

pub(crate) const PHONE: &str = "Ana's phone";
pub(crate) const LAPTOP: &str = "Ana's laptop";
pub(crate) const BO: &str = "Bo's phone";

/// Nobody listens on this port (discard, RFC 863): the network is gone as far as a device can tell.
const NO_NETWORK: &str = "http://127.0.0.1:9";

/// Who they are at the node.
#[derive(Debug)]
pub(crate) struct Names {
    pub(crate) ana: String,
    pub(crate) bo: String,
    pub(crate) password: String,
}

pub(crate) struct Stage {
    node: String,
    pub(crate) phone: Device,
    pub(crate) laptop: Device,
    pub(crate) bo: Device,
    said: Said,
}

/// Messages so far.
#[derive(Clone, Copy, Debug, Default)]
struct Said {
    ana: u64,
    bo: u64,
}

impl Said {
    const fn seen_by_ana(self) -> Condition {
        Condition::Holds { own: self.ana, others: self.bo }
    }

    const fn seen_by_bo(self) -> Condition {
        Condition::Holds { own: self.bo, others: self.ana }
    }
}

/// A message with the state that its author's devices show.
#[derive(Clone, Debug)]
pub(crate) struct Line {
    pub(crate) seq: Option<u64>,
    pub(crate) on: &'static str,
    pub(crate) state: State,
    pub(crate) text: String,
}

impl Stage {
    /// Starts the three processes, and makes everybody ready to talk.
    pub(crate) async fn set(home: &Path, node: String, names: &Names, deadline: Deadline) -> Result<Self, Trouble> {
        let start = |who, folder: &str| Device::start(who, deadline, home.join(folder), &node);
        let (phone, laptop, bo) =
            tokio::try_join!(start(PHONE, "ana-phone"), start(LAPTOP, "ana-laptop"), start(BO, "bo-phone"))?;
        let mut stage = Self { node, phone, laptop, bo, said: Said::default() };
        let Names { ana, bo, password } = names;
        tokio::try_join!(stage.phone.register(ana, password), stage.bo.register(bo, password))?;
        stage.laptop.login(ana, password).await?;
        stage.laptop.be_linked_by(&mut stage.phone).await?;
        tokio::try_join!(stage.phone.open(bo.clone()), stage.laptop.open(bo.clone()), stage.bo.open(ana.clone()))?;
        stage.all_wait(Condition::Online, Condition::Online).await?;
        Ok(stage)
    }

    /// Plays a part with everybody there; afterwards everybody holds all of it.
    pub(crate) async fn play(&mut self, part: &Part<'_>) -> Result<(), Trouble> {
        match part {
            Part::InTurn(turns) => {
                for Turn { seat, texts } in turns {
                    let said = self.said;
                    let (device, heard) = match seat {
                        Seat::Phone => (&mut self.phone, said.seen_by_ana()),
                        Seat::Laptop => (&mut self.laptop, said.seen_by_ana()),
                        Seat::Bo => (&mut self.bo, said.seen_by_bo()),
                    };
                    device.wait(heard).await?;
                    device.send(texts).await?;
                    *(if *seat == Seat::Bo { &mut self.said.bo } else { &mut self.said.ana }) += texts.len() as u64;
                }
            }
            Part::AtOnce { ana, bo } => self.speak_at_once(ana, bo).await?,
        }
        self.everybody_holds_all().await
    }

    /// Somebody is away. When this returns, everything that could reach the relay has, and nobody else waits for it.
    pub(crate) async fn play_apart(&mut self, away: Seat, ana: &[Turn<'_>], bo: &[&str]) -> Result<(), Trouble> {
        let bo_before = self.said.bo;
        self.speak_at_once(ana, bo).await?;
        if away == Seat::Laptop {
            tokio::try_join!(self.phone.wait(self.said.seen_by_ana()), self.bo.wait(self.said.seen_by_bo()))?;
        } else {
            // What Bo wrote stays with him.
            let heard = Condition::Holds { own: self.said.ana, others: bo_before };
            tokio::try_join!(self.phone.wait(heard), self.laptop.wait(heard))?;
        }
        Ok(())
    }

    /// Ana changes the device only when the other one has heard her; Bo does not wait for her.
    async fn speak_at_once(&mut self, ana: &[Turn<'_>], bo: &[&str]) -> Result<(), Trouble> {
        let Self { phone, laptop, bo: bo_phone, said, .. } = self;
        let ana_speaks = async {
            for Turn { seat, texts } in ana {
                let device = if *seat == Seat::Laptop { &mut *laptop } else { &mut *phone };
                device.wait(Condition::Holds { own: said.ana, others: 0 }).await?;
                device.send(texts).await?;
                said.ana += texts.len() as u64;
            }
            Ok(())
        };
        tokio::try_join!(ana_speaks, bo_phone.send(bo))?;
        said.bo += bo.len() as u64;
        Ok(())
    }

    /// That device's app goes on without a network.
    pub(crate) async fn leave(&mut self, away: Seat) -> Result<(), Trouble> {
        self.device(away).restart(Ending::Closed, NO_NETWORK).await
    }

    /// It has a network again.
    pub(crate) async fn come_back(&mut self, away: Seat, ending: Ending) -> Result<(), Trouble> {
        let node = self.node.clone();
        self.device(away).restart(ending, &node).await
    }

    /// Waits until Bo's catching up has begun, if there is anything to catch up with.
    pub(crate) async fn bo_catches_up(&mut self, heard_before: u64) -> Result<(), Trouble> {
        let others = self.said.ana.min(heard_before + 1);
        self.bo.wait(Condition::Holds { own: 0, others }).await
    }

    pub(crate) const fn said_by_ana(&self) -> u64 {
        self.said.ana
    }

    pub(crate) async fn everybody_holds_all(&mut self) -> Result<(), Trouble> {
        self.all_wait(self.said.seen_by_ana(), self.said.seen_by_bo()).await
    }

    /// Ana reads on her phone, Bo on his; everybody knows when this returns.
    pub(crate) async fn everybody_reads(&mut self) -> Result<(), Trouble> {
        tokio::try_join!(self.phone.mark_read(), self.bo.mark_read())?;
        self.all_wait(Condition::AllRead, Condition::AllRead).await?;
        self.everybody_knows(State::Read).await
    }

    /// The authors' devices know that their messages got so far.
    pub(crate) async fn everybody_knows(&mut self, at_least: State) -> Result<(), Trouble> {
        self.all_wait(Condition::OwnAre { at_least }, Condition::OwnAre { at_least }).await
    }

    async fn all_wait(&mut self, ana: Condition, bo: Condition) -> Result<(), Trouble> {
        tokio::try_join!(self.phone.wait(ana), self.laptop.wait(ana), self.bo.wait(bo)).map(drop)
    }

    fn device(&mut self, seat: Seat) -> &mut Device {
        match seat {
            Seat::Phone => &mut self.phone,
            Seat::Laptop => &mut self.laptop,
            Seat::Bo => &mut self.bo,
        }
    }

    /// What stands above a position: Ana's messages as her phone shows them, Bo's as his does.
    pub(crate) async fn timeline(&mut self, after: u64) -> Result<Vec<Line>, Trouble> {
        let (ana, bo) = tokio::try_join!(self.phone.show(after), self.bo.show(after))?;
        let mut lines: Vec<Line> = Vec::new();
        let mut add = |shown: Vec<Shown>, here, elsewhere| {
            let own = shown.into_iter().filter(|shown| shown.is_own);
            lines.extend(own.map(|Shown { seq, is_from_here, state, text, .. }| Line {
                seq,
                on: if is_from_here { here } else { elsewhere },
                state,
                text,
            }));
        };
        add(ana, PHONE, LAPTOP);
        add(bo, BO, BO);
        // Pending ones stand behind everything, in the order in which they were written.
        lines.sort_by_key(|line| line.seq.unwrap_or(u64::MAX));
        Ok(lines)
    }

    /// The accepted messages above a position for which somebody who is away is needed, as they are before they are encrypted.
    pub(crate) async fn waiting_bodies(&mut self, away: Seat, after: u64) -> Result<Vec<Vec<u8>>, Trouble> {
        let author = if away == Seat::Laptop { &mut self.bo } else { &mut self.phone };
        let shown = author.show(after).await?;
        let waiting = shown.iter().filter(|shown| shown.is_own && shown.seq.is_some());
        Ok(waiting.map(|shown| canary::body(shown.id, shown.created_at, &shown.text)).collect())
    }
}
