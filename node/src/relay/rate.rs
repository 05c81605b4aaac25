//! Rate: how often a device, and all devices of a user together, may send or read in a minute; how many key packages they
//! may offer and claim; and how much of one person's packages somebody else may use up.
//!
//! Counted by the node's clock in whole minutes (hours), whatever becomes of sockets: a new one brings no new allowance.

use std::collections::BTreeMap;

use chasqui_wire::Timestamp;

use super::Who;
use super::step::Step;
use crate::store::{DeviceRow, UserRow};

/// What was sent, read, offered and claimed within the running minute.
#[derive(Debug, Default)]
pub(super) struct Rates {
    began: Timestamp,
    devices: BTreeMap<DeviceRow, u32>,
    users: BTreeMap<UserRow, u32>,
    offers: BTreeMap<DeviceRow, u32>,
    claims: BTreeMap<UserRow, u32>,
    used_up: UsedUp,
}

const MINUTE: u64 = 60_000;
/// Frames with key packages a minute of one device, each with up to a hundred of them: more are a mistake of its app.
const OFFERS: u32 = 60;
/// Claims a minute of all devices of a user. One comes before the first message to a conversation after a device was linked:
/// nobody writes to so many people at once.
const CLAIMS: u32 = 600;

/// Claims that took one-time packages, by who asked and whose they were, within the running hour.
#[derive(Debug, Default)]
struct UsedUp {
    began: Timestamp,
    claims: BTreeMap<(UserRow, UserRow), u32>,
}

const HOUR: u64 = 60 * MINUTE;
/// Claims an hour by which a user takes one-time packages of one other user: two devices that each begin anew a few times.
/// A device has a hundred, and its next pong tells it to offer more.
const USED_UP: u32 = 10;
/// Pairs of users that are counted. Beyond, new ones get packages of last resort until the hour ends.
const PAIRS: usize = 100_000;

/// Whether that minute or hour is over. A clock that went back must not keep one going for ever.
fn is_over(began: Timestamp, lasts: u64, now: Timestamp) -> bool {
    now.millis_since(began) >= lasts || now < began
}

fn count(counter: &mut u32) -> u32 {
    *counter = counter.saturating_add(1);
    *counter
}

impl Rates {
    fn renew(&mut self, now: Timestamp) {
        if is_over(self.began, MINUTE, now) {
            *self = Self { began: now, used_up: std::mem::take(&mut self.used_up), ..Self::default() };
        }
    }

    fn left(&self, now: Timestamp) -> u32 {
        MINUTE.saturating_sub(now.millis_since(self.began)).max(1) as u32
    }
}

impl UsedUp {
    fn takes(&mut self, pair: (UserRow, UserRow), now: Timestamp) -> bool {
        if is_over(self.began, HOUR, now) {
            *self = Self { began: now, ..Self::default() };
        }
        let is_known = self.claims.contains_key(&pair);
        (is_known || self.claims.len() < PAIRS) && count(self.claims.entry(pair).or_default()) <= USED_UP
    }
}

// Counted at once, not after the commit: counting too much does no harm.
impl Step<'_> {
    /// Milliseconds until this device may send or read again, if it or its user did so too often within this minute.
    pub(super) fn over_rate(&mut self, who: Who) -> Option<u32> {
        let (options, rates) = (&self.state.options, &mut self.state.rates);
        rates.renew(self.now);
        let by_device = count(rates.devices.entry(who.device).or_default());
        let by_user = count(rates.users.entry(who.user).or_default());
        let is_over = by_device > options.limits.sends_per_minute || by_user > options.sends_per_minute_of_user;
        is_over.then(|| rates.left(self.now))
    }

    /// As [`Self::over_rate`], for key packages that a device offers.
    pub(super) fn over_rate_of_packages(&mut self, who: Who) -> Option<u32> {
        let rates = &mut self.state.rates;
        rates.renew(self.now);
        let is_over = count(rates.offers.entry(who.device).or_default()) > OFFERS;
        is_over.then(|| rates.left(self.now))
    }

    /// As [`Self::over_rate`], for claims.
    pub(super) fn over_rate_of_claims(&mut self, who: Who) -> Option<u32> {
        let rates = &mut self.state.rates;
        rates.renew(self.now);
        let is_over = count(rates.claims.entry(who.user).or_default()) > CLAIMS;
        is_over.then(|| rates.left(self.now))
    }

    /// Whether this claim may take one-time packages of another user.
    pub(super) fn may_use_up(&mut self, who: UserRow, of: UserRow) -> bool {
        self.state.rates.used_up.takes((who, of), self.now)
    }
}
