//! The event loop: one queue, ordered by time and then by when it was put in.

use std::collections::{BTreeMap, BTreeSet};

use chasqui::engine::{Command, Input, ResolvedUser, Secret, SocketId, public_key};
use chasqui::{ConversationId, MessageId, Protection, Seq, UserId};
use chasqui_node::relay::SessionId;
use chasqui_wire::direct_conversation;

use super::Outcome;
use super::device::{Device, Revoked, Typists};
use super::faults::{Climate, Fault, Injected, Profile, Weather};
use super::network::{Arrival, Wire, WireId};
use super::node::{BETWEEN_RESTORES, NodeProcess};
use super::rng::Rng;
use super::trace::Trace;

/// A simulated morning: 2026-01-02, in milliseconds. A node whose clock shows an earlier year numbers its eras by counting
/// alone, so that two copies of it can begin the same one.
const EPOCH_MS: i64 = 1_767_312_000_000;
/// Everything must be at rest this long after the last fault, in simulated milliseconds.
const REST_WITHIN_MS: u64 = 2 * 3600 * 1000;

const DAY_MS: u64 = 24 * 3600 * 1000;

/// The first word is said so long after devices begin to connect.
const LINKED_WITHIN_MS: u64 = 20_000;

/// What is due at some time.
#[derive(Debug)]
pub(super) enum Happening {
    ToNode(WireId, Arrival),
    ToDevice(WireId, Arrival),
    /// A socket that could not be opened.
    Refused(usize, SocketId),
    DeviceStep(usize),
    DeviceRestart(usize),
    DeviceResumes(usize),
    DeviceOnline(usize),
    DeviceHasRoom(usize),
    LogInAgain(usize),
    Named(usize, UserId),
    NodeCommit,
    NodeTick,
    NodeRestart,
    NodeDiskFills(bool),
    SessionTick(SessionId),
    TakeCopy,
    /// The copy of that number, or any.
    RestoreCopy(Option<usize>),
    User(Action),
}

/// What somebody does.
#[derive(Clone, Debug)]
pub(super) enum Action {
    Send {
        device: usize,
        peer: usize,
        text: String,
    },
    Read {
        device: usize,
        peer: usize,
    },
    /// Accepts what somebody wrote, if it is a request.
    Accept {
        device: usize,
        peer: usize,
    },
    Suspend(usize),
    FillDisk(usize, u64),
    SetClock(usize),
    GoOffline(usize, u64),
    /// Its folder is copied, and both are used.
    Clone(usize),
    /// A further device of a user who has been there from the start.
    Enrol(usize),
    /// Another device of its user links it.
    Link(usize),
    /// Another device of its user shuts it out.
    Revoke(usize),
    /// Has compared who somebody is, or takes it back.
    Compare {
        device: usize,
        peer: usize,
        verified: bool,
    },
    /// Hits a key, or lets it be.
    Type {
        device: usize,
        peer: usize,
        typing: bool,
    },
    /// Everybody who can be told has to see now whether the user of this device types.
    SeeTyping {
        device: usize,
        peer: usize,
        typing: bool,
    },
}

pub(super) struct World {
    pub(super) rng: Rng,
    pub(super) now: u64,
    queue: BTreeMap<(u64, u64), Happening>,
    ticket: u64,
    pub(super) trace: Trace,
    pub(super) climate: Climate,
    injected: Injected,
    /// Faults strike until then.
    pub(super) calm: bool,
    pub(super) users: Vec<UserId>,
    /// Of each user. All devices of a user have it, as if they had been linked.
    pub(super) identities: Vec<Secret>,
    pub(super) protection: Protection,
    pub(super) devices: Vec<Device>,
    pub(super) node: NodeProcess,
    pub(super) wires: BTreeMap<WireId, Wire>,
    pub(super) next_wire: WireId,
    /// The first promise that was seen broken while things ran.
    pub(super) broken: Option<String>,
    pub(super) messages: usize,
    /// Own messages and their positions as each device had stored them when the node was restored.
    pub(super) heard: BTreeSet<(MessageId, Seq)>,
    /// Who may ever have accepted or written to whom, by number of the user.
    pub(super) welcome: BTreeSet<(usize, usize)>,
    pub(super) revoked: Vec<Revoked>,
    pub(super) has_slept: bool,
    pub(super) typists: Typists,
    pub(super) aside: Rng,
    storm_ends_at: u64,
}

impl World {
    pub(super) fn new(seed: u64, weather: Weather, profile: Profile, keep_lines: bool) -> Self {
        let mut rng = Rng::new(seed);
        let mut aside = Rng::new(seed ^ 0x6173_6964_6500);
        let climate = Climate::draw(&mut rng).with_requests(&mut aside).in_weather(weather).with_profile(profile);
        let mut trace = Trace::new(keep_lines);
        trace.note(0, &format!("seed {seed}: {climate:?}"));
        let node = NodeProcess::new(&mut rng, &climate);
        let mut world = Self {
            rng,
            now: 0,
            queue: BTreeMap::new(),
            ticket: 0,
            trace,
            climate,
            injected: Injected::new(),
            calm: false,
            users: Vec::new(),
            identities: Vec::new(),
            protection: match profile {
                Profile::Readable => Protection::NodeReadable,
                Profile::Encrypted => Protection::EndToEnd,
            },
            devices: Vec::new(),
            node,
            wires: BTreeMap::new(),
            next_wire: 0,
            broken: None,
            messages: 0,
            heard: BTreeSet::new(),
            welcome: BTreeSet::new(),
            revoked: Vec::new(),
            has_slept: false,
            typists: Typists::new(seed),
            aside,
            storm_ends_at: 0,
        };
        // Now and then a crowd, of which everybody may write to everybody.
        let most = if profile == Profile::Encrypted && seed % 8 == 5 { 6 } else { 4 };
        world.people(most);
        world
    }

    pub(super) fn at(&mut self, at: u64, happening: Happening) {
        self.ticket += 1;
        self.queue.insert((at.max(self.now), self.ticket), happening);
    }

    pub(super) fn after(&mut self, delay: u64, happening: Happening) {
        self.at(self.now + delay, happening);
    }

    pub(super) fn note(&mut self, line: impl AsRef<str>) {
        self.trace.note(self.now, line.as_ref());
    }

    /// Whether a fault strikes now; counted if it does.
    pub(super) fn strikes(&mut self, per_mille: u64, fault: Fault) -> bool {
        let strikes = !self.calm && self.rng.chance(per_mille);
        if strikes {
            self.count(fault);
        }
        strikes
    }

    pub(super) fn count(&mut self, fault: Fault) {
        *self.injected.entry(fault).or_default() += 1;
    }

    pub(super) fn injected(&self) -> &Injected {
        &self.injected
    }

    pub(super) fn breaks(&mut self, promise: impl Into<String>) {
        if self.broken.is_none() {
            let promise = promise.into();
            self.note(format!("BROKEN: {promise}"));
            self.broken = Some(promise);
        }
    }

    /// The wall clock of somebody whose clock is wrong by `skew_ms`.
    pub(super) fn clock(&self, skew_ms: i64) -> chasqui::Timestamp {
        chasqui::Timestamp(EPOCH_MS + skew_ms + i64::try_from(self.now).expect("less than an aeon"))
    }

    /// The simulated time at which that clock shows `at`.
    pub(super) fn when(&self, at: chasqui::Timestamp, skew_ms: i64) -> u64 {
        u64::try_from(at.0.saturating_sub(EPOCH_MS).saturating_sub(skew_ms)).unwrap_or(0).max(self.now)
    }

    pub(super) fn conversation(&self, device: usize, peer: usize) -> ConversationId {
        direct_conversation(self.users[self.devices[device].user], self.users[peer], self.protection)
    }

    /// Two people and more with one to three devices each, and what they will do.
    fn people(&mut self, most: u64) {
        for user in 0..self.rng.between(2, most) as usize {
            let id = self.rng.id(EPOCH_MS);
            self.users.push(id);
            let both = [*id.as_bytes(), *id.as_bytes()].concat();
            self.identities.push(Secret::new(both.try_into().expect("32 bytes")));
            for nth in 0..self.rng.between(1, 3) {
                let device = self.devices.len();
                let fresh = Device::new(&mut self.rng, user, &self.climate);
                self.devices.push(fresh);
                // Now and then one of them is added only later; a restore could forget an enrolment, so not then.
                if nth > 0 && self.climate.restores == 0 && self.rng.chance(250) {
                    let at = self.rng.between(10_000, 200_000);
                    self.at(at, Happening::User(Action::Enrol(device)));
                } else {
                    self.enrol(device);
                }
            }
        }
        if self.climate.ttl.is_some() {
            self.count(Fault::TimeToLiveShort);
        }
        if self.climate.mailbox.is_some() {
            self.count(Fault::MailboxesSmall);
        }
        if self.climate.small_segments {
            self.count(Fault::SegmentsSmall);
        }
        if self.climate.absent.is_some() {
            self.count(Fault::DevicesSoonAbsent);
        }
        if self.devices.iter().any(|device| device.skew_ms != 0) || self.node.skew_ms != 0 {
            self.count(Fault::ClockSkewed);
        }
        if self.protection == Protection::NodeReadable {
            self.plans();
        }
    }

    fn plans(&mut self) {
        let base = self.now;
        let span = self.rng.between(60_000, 600_000);
        let bursts = self.rng.between(4, 16);
        let mut text = 0;
        for _ in 0..bursts {
            let device = self.rng.below(self.devices.len());
            // Sometimes to oneself.
            let peer = self.rng.below(self.users.len());
            let mut at = self.rng.between(0, span);
            let longest = if self.rng.chance(500) { 3 } else { 12 };
            for _ in 0..self.rng.between(1, longest) {
                text += 1;
                let (chance, most) = if self.climate.small_segments { (400, 1_800) } else { (50, 20_000) };
                let padding = if self.rng.chance(chance) { self.rng.between(500, most) } else { 0 };
                let text = format!("message {text} of many {}", "x".repeat(padding as usize));
                self.at(base + at, Happening::User(Action::Send { device, peer, text }));
                at += self.rng.between(0, 200);
            }
        }
        for _ in 0..self.rng.between(2, 10) {
            let (device, peer) = (self.rng.below(self.devices.len()), self.rng.below(self.users.len()));
            let at = self.rng.between(span / 4, span + 20_000);
            self.at(base + at, Happening::User(Action::Read { device, peer }));
        }
        if self.climate.requests.is_some() {
            self.count(Fault::StrangersAsk);
            for _ in 0..self.aside.between(4, 16) {
                let (device, peer) = (self.aside.below(self.devices.len()), self.aside.below(self.users.len()));
                let at = self.aside.between(span / 4, span + 20_000);
                self.at(base + at, Happening::User(Action::Accept { device, peer }));
            }
        }
        for device in 0..self.devices.len() {
            if self.rng.chance(self.climate.offline) {
                let (from, length) = (self.rng.between(0, span), self.rng.between(5_000, span));
                self.at(base + from, Happening::User(Action::GoOffline(device, length)));
            }
            if self.rng.chance(self.climate.full_disk) {
                let (from, length) = (self.rng.between(0, span), self.rng.between(5_000, span));
                self.at(base + from, Happening::User(Action::FillDisk(device, length)));
            }
            if self.rng.chance(self.climate.clock_set) {
                for _ in 0..self.rng.between(1, 3) {
                    let at = self.rng.between(0, span);
                    self.at(base + at, Happening::User(Action::SetClock(device)));
                }
            }
            if self.rng.chance(self.climate.suspend) {
                let from = self.rng.between(0, span);
                self.at(base + from, Happening::User(Action::Suspend(device)));
            }
        }
        for _ in 0..self.climate.node_full {
            let at = self.rng.between(1_000, span);
            self.at(base + at, Happening::NodeDiskFills(true));
        }
        for _ in 0..self.climate.clones {
            let (device, at) = (self.rng.below(self.devices.len()), self.rng.between(span / 8, span));
            self.at(base + at, Happening::User(Action::Clone(device)));
        }
        self.plan_revocations(span);
        self.plan_typing(span);
        self.plan_comparisons(span);
        self.storm_ends_at = base + span + self.rng.between(20_000, 60_000);
        if self.climate.restores > 1 && self.rng.chance(500) {
            self.plan_wrong_copy_first(span);
            return;
        }
        for _ in 0..self.climate.restores {
            let copied = self.rng.between(1_000, span);
            let restored = copied + self.rng.between(1_000, 60_000);
            self.at(base + copied, Happening::TakeCopy);
            self.at(base + restored, Happening::RestoreCopy(None));
            // Whoever has restored one copy may want another, or the same once more.
            for _ in 0..self.rng.between(0, 2) {
                let again = self.rng.between(restored, restored.max(self.storm_ends_at - base));
                self.at(base + again, Happening::RestoreCopy(None));
            }
        }
    }

    /// An operator restores an older copy, notices, and restores the newer one.
    fn plan_wrong_copy_first(&mut self, span: u64) {
        let base = self.now;
        let older = self.rng.between(1_000, span / 3);
        let newer = older + self.rng.between(10_000, 120_000);
        let wrong = newer + self.rng.between(1_000, 30_000);
        let right = wrong + BETWEEN_RESTORES + self.rng.between(0, 60_000);
        self.at(base + older, Happening::TakeCopy);
        self.at(base + newer, Happening::TakeCopy);
        self.at(base + wrong, Happening::RestoreCopy(Some(0)));
        self.at(base + right, Happening::RestoreCopy(Some(1)));
        self.storm_ends_at = self.storm_ends_at.max(base + right + 20_000);
    }

    pub(super) fn run(&mut self) -> Result<(), String> {
        if self.protection == Protection::EndToEnd {
            // A device takes part from when it gave the node its key packages.
            while self.now < LINKED_WITHIN_MS {
                self.next_happening()?;
            }
            for index in 0..self.devices.len() {
                self.devices[index].from_the_start &= self.node.is_linked(self.devices[index].id);
            }
            self.plans();
        }
        while self.now < self.storm_ends_at {
            self.next_happening()?;
        }
        self.calm_down();
        self.come_to_rest()?;
        self.type_at_rest()?;
        // Nobody who sleeps for a day may be given up, and keys are renewed within one.
        if self.protection == Protection::EndToEnd && self.climate.absent.is_none() && self.aside.chance(250) {
            self.sleep_for_a_day()?;
            self.come_to_rest()?;
        }
        // The relay has five seconds to forget.
        self.run_for(5_000)?;
        self.note("at rest");
        self.check()
    }

    pub(super) fn run_for(&mut self, length: u64) -> Result<(), String> {
        let until = self.now + length;
        while self.now < until {
            self.next_happening()?;
        }
        Ok(())
    }

    pub(super) fn come_to_rest(&mut self) -> Result<(), String> {
        // Renewals that collide are tried again an hour later.
        let deadline = self.now + if self.has_slept { 4 * REST_WITHIN_MS } else { REST_WITHIN_MS };
        while !self.is_at_rest() {
            if self.now > deadline {
                return Err(format!("nothing comes to rest: {}", self.restless()));
            }
            self.run_for(1_000)?;
        }
        Ok(())
    }

    /// Night, and a day on which nobody takes a telephone in hand; then some do.
    fn sleep_for_a_day(&mut self) -> Result<(), String> {
        self.count(Fault::DevicesSlept);
        self.has_slept = true;
        self.note("all devices sleep");
        for device in 0..self.devices.len() {
            self.device_sleeps(device);
        }
        self.run_for(DAY_MS + 3_600_000)?;
        self.note("all devices wake up");
        for device in 0..self.devices.len() {
            self.device_resumes(device);
        }
        for number in 0..self.aside.between(0, 6) {
            let (device, peer) = (self.aside.below(self.devices.len()), self.aside.below(self.users.len()));
            let at = self.aside.between(0, 20_000);
            let text = format!("message {number} of the day after");
            self.after(at, Happening::User(Action::Send { device, peer, text }));
        }
        self.run_for(20_000)
    }

    fn next_happening(&mut self) -> Result<(), String> {
        let Some(((at, _), happening)) = self.queue.pop_first() else {
            self.now += 1_000;
            return Ok(());
        };
        self.now = at;
        match happening {
            Happening::ToNode(wire, arrival) => self.arrives_at_node(wire, arrival),
            Happening::ToDevice(wire, arrival) => self.arrives_at_device(wire, arrival),
            Happening::Refused(device, socket) => self.input(device, Input::Disconnected(socket)),
            Happening::DeviceStep(device) => self.device_step(device),
            Happening::DeviceRestart(device) => self.device_restarts(device),
            Happening::DeviceResumes(device) => self.device_resumes(device),
            Happening::DeviceOnline(device) => self.device_online(device),
            Happening::DeviceHasRoom(device) => self.device_has_room(device),
            Happening::LogInAgain(device) => self.log_in_again(device),
            Happening::Named(device, user) => {
                let known = self.users.iter().position(|&known| known == user);
                let identity_key = known.map_or([0; 32], |known| public_key(&self.identities[known]));
                let answer = ResolvedUser { name: format!("user {user}"), identity_key };
                self.input(device, Input::Resolved(user, Some(answer)));
            }
            Happening::NodeCommit => self.node_commit(),
            Happening::NodeTick => self.node_tick(),
            Happening::NodeRestart => self.node_restarts(),
            Happening::NodeDiskFills(is_full) => self.node_disk_fills(is_full),
            Happening::SessionTick(session) => self.session_tick(session),
            Happening::TakeCopy => self.take_copy(),
            Happening::RestoreCopy(copy) => self.restore_copy(copy),
            Happening::User(action) => self.act(action),
        }
        self.broken.clone().map_or(Ok(()), Err)
    }

    pub(super) fn act(&mut self, action: Action) {
        match action {
            Action::Enrol(device) => {
                if self.node.is_up() && !self.node.is_full {
                    self.enrol(device);
                } else {
                    self.after(1_000, Happening::User(Action::Enrol(device)));
                }
            }
            Action::Link(device) => self.link(device),
            Action::Revoke(device) => self.revoke(device),
            Action::Compare { device, peer, verified } => self.compares(device, peer, verified),
            Action::Type { device, peer, typing } => self.types(device, peer, typing),
            Action::SeeTyping { device, peer, typing } => self.see_typing(device, peer, typing),
            Action::SetClock(device) => self.device_clock_is_set(device),
            Action::Clone(device) => self.clone_device(device),
            Action::GoOffline(device, length) => self.device_offline(device, length),
            Action::Suspend(device) => self.device_suspends(device),
            Action::FillDisk(device, length) => self.device_disk_fills(device, length),
            Action::Send { device, peer, text } => {
                if !self.devices[device].can_be_used() || self.cannot_write(device) {
                    // People wait until their app runs.
                    if !self.calm {
                        self.after(1_500, Happening::User(Action::Send { device, peer, text }));
                    }
                    return;
                }
                self.messages += 1;
                self.welcome.insert((self.devices[device].user, peer));
                self.note(format!("device {device} writes {:?} to user {peer}", &text[..text.len().min(20)]));
                let conversation = self.conversation(device, peer);
                let millis = self.clock(0).0;
                let message = self.rng.id(millis);
                self.command(device, Command::OpenDirect(self.users[peer], self.protection));
                self.command(device, Command::SendText { conversation, message, text });
            }
            Action::Accept { device, peer } => {
                if self.devices[device].can_be_used() {
                    self.note(format!("device {device} accepts user {peer}"));
                    self.welcome.insert((self.devices[device].user, peer));
                    let conversation = self.conversation(device, peer);
                    self.command(device, Command::AcceptRequest(conversation));
                }
            }
            Action::Read { device, peer } => {
                if self.devices[device].can_be_used() {
                    self.note(format!("device {device} reads user {peer}"));
                    let conversation = self.conversation(device, peer);
                    self.command(device, Command::MarkRead(conversation, None::<Seq>));
                }
            }
        }
    }

    /// Whether the device was not linked yet.
    fn cannot_write(&self, device: usize) -> bool {
        self.protection == Protection::EndToEnd && self.devices[device].is_unlinked()
    }

    /// No more faults: whoever is down comes back.
    fn calm_down(&mut self) {
        self.note("the storm is over");
        self.calm = true;
        self.node_disk_fills(false);
        if !self.node.is_up() {
            self.after(0, Happening::NodeRestart);
        }
        for device in 0..self.devices.len() {
            self.device_calms_down(device);
        }
    }

    pub(super) fn into_outcome(self, seed: u64, broken: Option<String>) -> Outcome {
        let (digest, lines) = self.trace.finish();
        let (injected, messages, typing_seen) = (self.injected, self.messages, self.typists.seen);
        let is_left_to_chance = self.protection == Protection::EndToEnd && self.climate.full_disk > 0;
        Outcome {
            seed,
            digest,
            is_left_to_chance,
            injected,
            messages,
            typing_seen,
            simulated_ms: self.now,
            broken,
            lines,
        }
    }
}
