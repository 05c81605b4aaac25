//! A data folder that is copied, and used on both sides.

use super::super::node;
use super::*;

impl World {
    /// Somebody copies the folder, or restores a backup of it elsewhere, and uses both.
    pub(in crate::sim) fn clone_device(&mut self, index: usize) {
        let original = &self.devices[index];
        if self.calm || !original.can_be_used() || original.commands <= 2 {
            return;
        }
        self.count(Fault::DeviceCloned);
        let clone = self.devices.len();
        self.note(format!("device {clone} is a copy of device {index}"));
        let mut twin = Device::new(&mut self.rng, self.devices[index].user, &self.climate);
        let original = &self.devices[index];
        (twin.id, twin.seed) = (original.id, original.seed.clone());
        (twin.enrolled, twin.from_the_start) = (true, original.from_the_start);
        (twin.has_twin, twin.had_twin, twin.is_new_again) = (true, true, original.is_new_again);
        (twin.promised, twin.ranks) = (original.on_disk(), original.ranks.clone());
        // Past the enrolment, which the copy has behind it.
        twin.commands = original.commands;
        twin.parked = Some(database(&twin.failing, node::copy_of(original.database())));
        (self.devices[index].has_twin, self.devices[index].had_twin) = (true, true);
        self.devices.push(twin);
        let delay = self.rng.between(0, 20_000);
        self.after(delay, Happening::DeviceRestart(clone));
        for number in 0..self.rng.between(0, 4) {
            let (at, peer) = (self.rng.between(0, 60_000), self.rng.below(self.users.len()));
            let device = if self.rng.chance(500) { clone } else { index };
            let text = format!("message {number} of device {device}, which is one of two");
            self.after(at, Happening::User(Action::Send { device, peer, text }));
        }
    }

    pub(super) fn heed_being_a_copy(&mut self, index: usize) {
        let is_told = self.devices[index].connection_state() == Some(ConnectionState::Blocked(Blocked::Copied));
        // A crash may have come before it stored that it is a new device.
        if is_told && !self.devices[index].has_twin && !self.devices[index].logs_in {
            self.breaks(format!("device {index} is told that it is a copy, and there is no other"));
        }
        if is_told || self.devices[index].logs_in {
            let delay = self.rng.between(500, 30_000);
            self.after(delay, Happening::LogInAgain(index));
        }
    }

    /// What people do who are told that their folder is a copy. Repeated, with the same keys, until it is done.
    pub(in crate::sim) fn log_in_again(&mut self, index: usize) {
        let state = self.devices[index].connection_state();
        if !self.devices[index].enrolled {
            return;
        }
        let is_wanted = state == Some(ConnectionState::Blocked(Blocked::Copied));
        let is_half_done = self.devices[index].logs_in && state == Some(ConnectionState::Blocked(Blocked::NotEnrolled));
        if !is_wanted && !is_half_done {
            // Done, if it runs and has got so far.
            self.devices[index].logs_in &= state.is_none();
            return;
        }
        if !self.node.is_up() || !self.devices[index].can_be_used() {
            return self.after(2_000, Happening::LogInAgain(index));
        }
        if !std::mem::replace(&mut self.devices[index].logs_in, true) {
            self.devices[index].id = self.rng.id(0);
            self.devices[index].seed = Secret::new(self.rng.bytes());
            (self.devices[index].has_twin, self.devices[index].is_new_again) = (false, true);
            self.devices[index].from_the_start = false;
        }
        let (clock, device) = (self.clock(self.node.skew_ms), &self.devices[index]);
        let (user, id, seed) = (self.users[device.user], device.id, device.seed.clone());
        let name = format!("user{}", device.user);
        let enrolment = relay::Enrolment { device: id, key: public_key(&seed), name: format!("device {index}") };
        let node = self.node.relay_mut();
        let realm = node.realm();
        node.enrol(clock, user, &enrolment).expect("the node's database works").expect("the node enrols");
        self.note(format!("device {index} logs in as a new device"));
        let enrolment = Enrolment {
            node: "sim:".to_owned(),
            realm,
            user,
            name: name.clone(),
            device: id,
            device_seed: seed,
            identity_seed: Some(self.identities[self.devices[index].user].clone()),
        };
        self.command(index, Command::BeginEnrolment(Box::new(enrolment)));
        self.command(index, Command::ConfirmEnrolment { user, name, device: id });
        // A crash may take the commands with it.
        self.after(5_000, Happening::LogInAgain(index));
    }
}
