//! People who type: what is shown of it was said there, and just now; it is kept nowhere, costs no message, and tells strangers nothing.

use chasqui::Typing;
use chasqui_node::relay::{Event, SessionId};
use chasqui_wire::{ClientFrame, NodeFrame, Signal, direct_conversation};

use super::*;

/// For so long after the last word of it somebody may be shown typing: 6 s after that was heard, which is at most 10 s old by the clock
/// of the node as the device knows it, and what told that clock was under way for 8 s at most; and a moment.
const SHOWN_MS: u64 = 25_000;
/// A clock that is set is right again when the node has told the time. Until then a device may believe what the node repeats.
const SHOWN_AFTER_CLOCK_SET_MS: u64 = SHOWN_MS + REPEATED_WITHIN_MS;
/// What the node repeats comes again within.
const REPEATED_WITHIN_MS: u64 = 60_000;
/// Of the signals that are passed on while faults strike.
const REPEATED_PER_MILLE: u64 = 150;
/// When everybody is there, a word is heard within.
const HEARD_MS: u64 = 1_000;
/// Who says no more of it is not shown any more after this.
const OVER_MS: u64 = 8_000;

/// Who typed, and who saw it.
pub(in crate::sim) struct Typists {
    /// Apart, so that what people write stays as it was.
    rng: Rng,
    /// When each user last hit a key there, on any device.
    said: BTreeMap<(ConversationId, UserId), u64>,
    /// How often a device began to show that somebody types.
    pub(in crate::sim) seen: usize,
}

impl Typists {
    pub(in crate::sim) fn new(seed: u64) -> Self {
        Self { rng: Rng::new(seed ^ 0x7479_7069_6e67), said: BTreeMap::new(), seen: 0 }
    }
}

impl World {
    /// Some begin to type: they stop, or send it, or put the telephone away.
    pub(in crate::sim) fn plan_typing(&mut self, span: u64) {
        if self.climate.silent {
            return;
        }
        let base = self.now;
        for number in 0..self.typists.rng.between(3, 10) {
            let rng = &mut self.typists.rng;
            let (device, peer) = (rng.below(self.devices.len()), rng.below(self.users.len()));
            let mut at = base + rng.between(span / 8, span + 20_000);
            let mut actions = Vec::new();
            for _ in 0..rng.between(1, 8) {
                actions.push((at, Action::Type { device, peer, typing: true }));
                at += rng.between(200, 5_000);
            }
            match rng.below(3) {
                0 => actions.push((at, Action::Type { device, peer, typing: false })),
                1 => {
                    let text = format!("what was typed, number {number}");
                    actions.push((at, Action::Send { device, peer, text }));
                }
                _ => {}
            }
            for (at, action) in actions {
                self.at(at, Happening::User(action));
            }
        }
    }

    pub(in crate::sim) fn types(&mut self, index: usize, peer: usize, typing: bool) {
        let device = &self.devices[index];
        let is_blocked = matches!(device.connection_state(), Some(ConnectionState::Blocked(_)) | None);
        if !device.can_be_used() || is_blocked {
            return;
        }
        let (conversation, user) = (self.conversation(index, peer), self.users[device.user]);
        self.note(format!("device {index} {} to user {peer}", if typing { "types" } else { "stops typing" }));
        if typing {
            self.typists.said.insert((conversation, user), self.now);
        }
        self.command(index, Command::SetTyping(conversation, typing));
    }

    /// As the relay's thread does, between two batches.
    pub(in crate::sim) fn pass_on(&mut self, from: SessionId, signal: &Signal) {
        let clock = self.clock(self.node.skew_ms);
        let relay = self.node.relay_mut();
        let changes = relay.connection().total_changes();
        let events = relay.signal(clock, from, signal);
        if relay.connection().total_changes() != changes {
            self.breaks("the relay stores something of a signal");
        }
        for (to, event) in &events {
            if let Event::Signal(passed) = event {
                self.check_passed_on(from, *to, passed);
                self.repeat(*to, passed);
            }
        }
        self.dispatch(events);
    }

    /// It goes from where it came from to the other user of the conversation, and to nobody who was shut out or has yet to be accepted.
    fn check_passed_on(&mut self, from: SessionId, to: SessionId, signal: &Signal) {
        let device_of = |session| self.node.wire_of(session).and_then(|wire| Some(self.wires.get(&wire)?.device));
        let (Some(from), Some(to)) = (device_of(from), device_of(to)) else { return };
        let (sender, reader) = (&self.devices[from], &self.devices[to]);
        let what = format!("a signal of device {from} goes to device {to}");
        if !reader.enrolled || !sender.enrolled {
            self.breaks(format!("{what}, one of which was shut out"));
        } else if signal.sender != Some((self.users[sender.user], sender.id)) {
            self.breaks(format!("{what} under another name"));
        } else if signal.conversation != self.conversation(from, reader.user) || reader.user == sender.user {
            self.breaks(format!("{what}, which is not the other one there"));
        } else if self.are_strangers(sender.user, reader.user) {
            self.breaks(format!("{what}, and one of them never accepted the other"));
        }
    }

    fn are_strangers(&self, user: usize, peer: usize) -> bool {
        self.climate.requests.is_some() && !(self.is_welcome(user, peer) && self.is_welcome(peer, user))
    }

    /// A node that wants people to believe that somebody still types.
    fn repeat(&mut self, to: SessionId, signal: &Signal) {
        if self.calm || !self.typists.rng.chance(REPEATED_PER_MILLE) {
            return;
        }
        let Some(wire) = self.node.wire_of(to) else { return };
        self.count(Fault::SignalRepeated);
        let again = NodeFrame::Signal(signal.clone()).encode();
        let delay = self.typists.rng.between(1_000, REPEATED_WITHIN_MS);
        self.after(delay, Happening::ToDevice(wire, Arrival::Frame(again)));
    }

    /// Whoever is shown typing said so a moment ago, there, and to somebody who is no stranger.
    pub(super) fn watch_typing(&mut self, index: usize) {
        let Some((engine, _)) = &self.devices[index].running else { return };
        let shown = engine.typing().into_iter().map(|typing| (typing.conversation, typing.user)).collect();
        let before = std::mem::replace(&mut self.devices[index].shown, shown);
        self.typists.seen += self.devices[index].shown.difference(&before).count();
        for (conversation, writer) in self.devices[index].shown.clone() {
            let (reader, said) = (self.devices[index].user, self.typists.said.get(&(conversation, writer)).copied());
            let Some(user) = self.users.iter().position(|&user| user == writer) else {
                return self.breaks(format!("device {index} shows that nobody types"));
            };
            let between = direct_conversation(self.users[reader], writer, self.protection);
            let Some(said) = said.filter(|_| conversation == between && reader != user) else {
                return self.breaks(format!("device {index} shows that user {user} types where nobody said so"));
            };
            let was_set = |device: &Device| device.clock_was_set;
            let was_set = was_set(&self.devices[index])
                || self.devices.iter().any(|device| device.user == user && was_set(device));
            let most = if was_set { SHOWN_AFTER_CLOCK_SET_MS } else { SHOWN_MS };
            if self.now > said + most {
                let late = self.now - said;
                return self
                    .breaks(format!("device {index} shows that user {user} types, {late} ms after the last key"));
            }
            if self.are_strangers(user, reader) {
                return self.breaks(format!("device {index} shows that user {user} types, and they are strangers"));
            }
        }
    }

    /// When everybody is there and has all mail, the other one's devices see it at once, and its end as well.
    pub(in crate::sim) fn type_at_rest(&mut self) -> Result<(), String> {
        // A copy of a folder has no say, and what is passed over for a full mailbox may be a commit.
        let is_sure = !self.climate.silent && self.climate.clones == 0 && self.climate.mailbox.is_none();
        let rng = &mut self.typists.rng;
        let (device, peer, ending) = (rng.below(self.devices.len()), rng.below(self.users.len()), rng.below(3));
        let (user, conversation) = (self.devices[device].user, self.conversation(device, peer));
        // Strangers are told nothing; and what one of them writes now, their own other devices could not ask for.
        let knows = |one, other| self.is_surely_welcome(one, other, conversation);
        let is_sure = is_sure && user != peer && knows(user, peer) && knows(peer, user);
        if !is_sure || !self.devices[device].can_be_used() {
            return Ok(());
        }
        let send = |text: &str| Action::Send { device, peer, text: text.to_owned() };
        let types = |typing| Action::Type { device, peer, typing };
        // Brings the group up to date.
        self.act(send("before it is typed"));
        self.run_for(HEARD_MS)?;
        self.come_to_rest()?;
        self.act(types(true));
        let heard = self.now + HEARD_MS;
        self.at(heard, Happening::User(Action::SeeTyping { device, peer, typing: true }));
        let over = match ending {
            0 => OVER_MS,
            1 => {
                self.at(heard, Happening::User(types(false)));
                2 * HEARD_MS
            }
            _ => {
                self.at(heard, Happening::User(send("what was typed")));
                4 * HEARD_MS
            }
        };
        let over = self.now + over;
        self.at(over, Happening::User(Action::SeeTyping { device, peer, typing: false }));
        self.run_for(over + 1 - self.now)?;
        self.come_to_rest()
    }

    pub(in crate::sim) fn see_typing(&mut self, index: usize, peer: usize, typing: bool) {
        let (conversation, user) = (self.conversation(index, peer), self.devices[index].user);
        let wanted = Typing { conversation, user: self.users[user] };
        let wrong = |(reader, device): (usize, &Device)| {
            let (engine, _) = device.running.as_ref().filter(|_| device.enrolled && device.user == peer)?;
            (engine.typing().contains(&wanted) != typing).then_some(reader)
        };
        if let Some(reader) = self.devices.iter().enumerate().find_map(wrong) {
            let not = if typing { "does not show" } else { "still shows" };
            self.breaks(format!("device {reader} {not} that user {user} types, whose device {index} is there"));
        }
    }
}

/// Whether it has to do with nothing but typing.
pub(super) fn is_of_typing(input: &Input) -> bool {
    match input {
        Input::Command(_, command) => matches!(command, Command::SetTyping(..)),
        Input::Frame(_, bytes) => {
            matches!(NodeFrame::decode(bytes.clone(), &Limits::DEFAULT), Ok(NodeFrame::Signal(_)))
        }
        _ => false,
    }
}

/// Whether nothing is said or done but that.
pub(super) fn says_nothing_else(outputs: &[Output]) -> bool {
    outputs.iter().all(|output| match output {
        Output::Transmit(_, bytes) => {
            matches!(ClientFrame::decode(bytes.clone(), &Limits::DEFAULT), Ok(ClientFrame::Signal(_)))
        }
        Output::Reply(_, result) => result.is_ok(),
        _ => false,
    })
}
