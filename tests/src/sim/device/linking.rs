//! A device that only logged in, and is linked by another one of its user: two people in one room, who compare a number.

use chasqui::engine::LinkingState;

use super::*;

/// What people do who wait in vain.
const AGAIN_MS: u64 = 30_000;

/// How far the people are.
#[derive(Default)]
pub(super) struct Linking {
    /// That reads the code.
    by: Option<usize>,
    /// That this device shows.
    number: Option<String>,
    /// Linking is interrupted by whatever happens, and begun anew then.
    asked: BTreeSet<CommandId>,
}

impl Linking {
    /// Whether a refusal is no news.
    pub(super) fn may_be_refused(&mut self, id: CommandId) -> bool {
        self.asked.remove(&id)
    }
}

impl Device {
    /// Whether it takes no part in encrypted conversations yet.
    pub(in crate::sim) fn is_unlinked(&self) -> bool {
        self.enrolled && self.count("SELECT count(*) FROM account WHERE identity_seed IS NULL") > 0
    }

    /// Whether another device has yet to give it its history.
    pub(in crate::sim) fn lacks_history(&self) -> bool {
        self.count("SELECT count(*) FROM history_transfer") > 0
    }
}

impl World {
    /// The user takes this device and another one, until the one has linked the other.
    pub(in crate::sim) fn link(&mut self, index: usize) {
        // Enrolled, it has an account; a crash may have come before that.
        let is_done = self.devices[index].enrolled && !self.devices[index].is_unlinked();
        if is_done && self.devices[index].count("SELECT count(*) FROM account") > 0 {
            return;
        }
        self.after(AGAIN_MS, Happening::User(Action::Link(index)));
        let user = self.devices[index].user;
        let is_fit = |(other, device): (usize, &Device)| {
            let is_fit = other != index && device.user == user && device.can_be_used() && !device.is_unlinked();
            is_fit.then_some(other)
        };
        let by = self.devices.iter().enumerate().find_map(is_fit);
        if by.is_none() || !self.devices[index].can_be_used() {
            return;
        }
        self.devices[index].linking = Linking { by, ..Linking::default() };
        let seed = Secret::new(self.rng.bytes());
        self.linking_command(index, Command::BeginLinking(seed));
    }

    fn linking_command(&mut self, index: usize, command: Command) {
        self.command(index, command);
        let id = CommandId(self.devices[index].commands);
        self.devices[index].linking.asked.insert(id);
    }

    /// What a device shows, and what people do then.
    pub(super) fn heed_linking(&mut self, index: usize, state: LinkingState) {
        match state {
            LinkingState::Shown(code) => {
                let by = self.devices[index].linking.by.filter(|&by| self.devices[by].can_be_used());
                if let Some(by) = by {
                    self.note(format!("device {by} reads the code of device {index}"));
                    self.devices[by].linking = Linking::default();
                    let seed = Secret::new(self.rng.bytes());
                    self.linking_command(by, Command::LinkDevice(code, seed));
                }
            }
            LinkingState::Compare { number, .. } => {
                self.devices[index].linking.number = Some(number);
                self.compare(index);
            }
            LinkingState::Done => {
                self.note(format!("device {index} is done with linking"));
                self.devices[index].linking.by = None;
            }
            LinkingState::None | LinkingState::Asked { .. } | LinkingState::Failed(_) => {}
        }
    }

    /// When both show the same number, people say yes on both.
    fn compare(&mut self, index: usize) {
        let newcomer = match self.devices[index].linking.by {
            Some(_) => Some(index),
            None => self.devices.iter().position(|device| device.linking.by == Some(index)),
        };
        let Some((newcomer, by)) = newcomer.and_then(|it| Some((it, self.devices[it].linking.by?))) else { return };
        let (here, there) = (&self.devices[newcomer].linking.number, &self.devices[by].linking.number);
        if here.is_some() && here == there {
            self.note(format!("devices {newcomer} and {by} show the same number"));
            self.devices[newcomer].linking.by = None;
            self.linking_command(newcomer, Command::ConfirmLinking);
            self.linking_command(by, Command::ConfirmLinking);
        }
    }
}
