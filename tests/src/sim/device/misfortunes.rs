//! What befalls a device: crashes, no network, no room, a wrong clock, a frozen app.

use super::*;

impl World {
    /// The process is gone; what it had committed stays.
    pub(super) fn device_crashes(&mut self, index: usize) {
        self.note(format!("device {index} crashes"));
        self.device_stops(index);
        let delay = self.rng.between(100, 20_000);
        self.after(delay, Happening::DeviceRestart(index));
    }

    pub(super) fn device_stops(&mut self, index: usize) {
        let device = &mut self.devices[index];
        if let Some((_, store)) = device.running.take() {
            device.parked = Some(store.into_connection());
        }
        device.inputs.clear();
        device.step_at = None;
        device.asked.clear();
        device.shown.clear();
        for wire in std::mem::take(&mut device.wires).into_values() {
            self.device_hangs_up(wire);
        }
    }

    pub(in crate::sim) fn device_restarts(&mut self, index: usize) {
        let Some(connection) = self.devices[index].parked.take() else { return };
        let entropy = self.rng.next();
        let store = Store::with_connection(connection).expect("the history opens again");
        let engine = Engine::load(&store, entropy).expect("the history can be read");
        self.devices[index].running = Some((engine, store));
        self.note(format!("device {index} starts"));
        self.heed_being_a_copy(index);
        if self.devices[index].suspended {
            self.devices[index].suspended = false;
        }
        self.step_device_at(index, self.now);
    }

    pub(in crate::sim) fn device_offline(&mut self, index: usize, length: u64) {
        if self.calm {
            return;
        }
        self.count(Fault::DeviceOffline);
        self.note(format!("device {index} has no network"));
        self.devices[index].offline = true;
        let wires: Vec<WireId> = self.devices[index].wires.values().copied().collect();
        for wire in wires {
            // The phone itself notices at once, or not at all until it times out.
            if self.rng.chance(500) { self.wire_dies(wire) } else { self.wire_breaks(wire) }
        }
        self.after(length, Happening::DeviceOnline(index));
    }

    pub(in crate::sim) fn device_online(&mut self, index: usize) {
        if std::mem::take(&mut self.devices[index].offline) {
            self.note(format!("device {index} has a network"));
            if self.rng.chance(500) {
                self.input(index, Input::NetworkUp);
            }
        }
    }

    pub(in crate::sim) fn device_suspends(&mut self, index: usize) {
        if self.calm || !self.devices[index].can_be_used() {
            return;
        }
        self.count(Fault::DeviceSuspended);
        self.input(index, Input::Suspend);
        self.devices[index].suspended = true;
        let length = self.rng.between(1_000, 60_000);
        self.after(length, Happening::DeviceResumes(index));
    }

    /// As when the app goes to the background, until it is woken.
    pub(in crate::sim) fn device_sleeps(&mut self, index: usize) {
        if self.devices[index].can_be_used() {
            self.input(index, Input::Suspend);
            self.devices[index].suspended = true;
        }
    }

    pub(in crate::sim) fn device_resumes(&mut self, index: usize) {
        if std::mem::take(&mut self.devices[index].suspended) {
            self.input(index, Input::Resume);
        }
    }

    pub(in crate::sim) fn device_disk_fills(&mut self, index: usize, length: u64) {
        if self.calm || !self.devices[index].can_be_used() {
            return;
        }
        self.note(format!("device {index} has a full disk"));
        let database = self.devices[index].database();
        let pages: u32 = database.pragma_query_value(None, "page_count", |row| row.get(0)).expect("a page count");
        limit_pages(database, pages);
        self.after(length, Happening::DeviceHasRoom(index));
    }

    pub(in crate::sim) fn device_has_room(&mut self, index: usize) {
        limit_pages(self.devices[index].database(), u32::MAX);
    }

    /// People, or the phone network, set the clock while everything runs.
    pub(in crate::sim) fn device_clock_is_set(&mut self, index: usize) {
        if self.calm {
            return;
        }
        self.count(Fault::ClockSet);
        let skew_ms = wrong_clock(&mut self.rng);
        self.note(format!("the clock of device {index} goes from {} to {skew_ms} ms off", self.devices[index].skew_ms));
        self.devices[index].skew_ms = skew_ms;
        self.devices[index].clock_was_set = true;
        if self.devices[index].running.is_some() {
            self.step_device_at(index, self.now);
        }
    }

    /// Nothing of the step happened: as the driver does, it lets go of its sockets and tries again after a pause.
    pub(super) fn device_gives_up_its_step(&mut self, index: usize) {
        self.count(Fault::DeviceDiskFull);
        self.note(format!("device {index} has no room for its step"));
        self.device_stops(index);
        let delay = self.rng.between(1_000, 60_000);
        self.after(delay, Happening::DeviceRestart(index));
    }

    pub(in crate::sim) fn device_calms_down(&mut self, index: usize) {
        self.devices[index].failing().per_mille = 0;
        self.device_has_room(index);
        self.device_online(index);
        self.device_resumes(index);
        if self.devices[index].enrolled {
            self.device_restarts(index);
        }
    }
}
