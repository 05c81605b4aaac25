//! Rate: how often a device, and all devices of a user together, may send or read in a minute.
//!
//! Counted by the node's clock in whole minutes, whatever becomes of sockets: a new one brings no new allowance.

use std::collections::BTreeMap;

use chasqui_wire::Timestamp;

use super::Who;
use super::step::Step;
use crate::store::{DeviceRow, UserRow};

/// What was sent and read within the running minute.
#[derive(Debug, Default)]
pub(super) struct Rates {
    began: Timestamp,
    devices: BTreeMap<DeviceRow, u32>,
    users: BTreeMap<UserRow, u32>,
}

const MINUTE: u64 = 60_000;

impl Rates {
    fn count(&mut self, who: Who, now: Timestamp) -> (u32, u32) {
        // A clock that went back must not keep a minute going for ever.
        if now.millis_since(self.began) >= MINUTE || now < self.began {
            *self = Self { began: now, ..Self::default() };
        }
        let count = |sent: &mut u32| {
            *sent = sent.saturating_add(1);
            *sent
        };
        (count(self.devices.entry(who.device).or_default()), count(self.users.entry(who.user).or_default()))
    }
}

impl Step<'_> {
    /// Milliseconds until this device may send or read again, if it or its user did so too often within this minute.
    pub(super) fn over_rate(&mut self, who: Who) -> Option<u32> {
        // Counted at once, not after the commit: counting too much does no harm.
        let (by_device, by_user) = self.state.rates.count(who, self.now);
        let options = &self.state.options;
        let is_over = by_device > options.limits.sends_per_minute || by_user > options.sends_per_minute_of_user;
        let left = MINUTE.saturating_sub(self.now.millis_since(self.state.rates.began)).max(1);
        is_over.then_some(left as u32)
    }
}
