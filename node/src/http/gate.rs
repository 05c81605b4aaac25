//! Who may enrol now: the limits on requests that cost the node something, or that guess.
//!
//! A flood from one address, or of guesses at one name, makes that address and that name wait. Devices that are
//! enrolled do not pass there: they sign, and nobody can make them wait by guessing. What they ask for that costs something
//! is counted by device.

use std::sync::{Arc, Mutex, PoisonError};

use chasqui_wire::{DeviceId, ErrorCode};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::client::ClientAddress;
use super::problem::Problem;
use crate::admission::{Buckets, Delays, Growth, Share, Shares, Wait};
use crate::serve::clock;

/// Keys that one limit remembers: a few MiB when strangers fill it.
pub(crate) const REMEMBERED: usize = 16 * 1024;
/// Passwords that wait for their turn or have it; more are refused rather than kept waiting.
const QUEUE: usize = 64;
/// Of these, one address's.
const QUEUE_OF_ADDRESS: usize = 16;
/// Of these, one account's.
const QUEUE_OF_ACCOUNT: usize = 4;
/// A person who mistypes does not notice. Somebody who guesses has one guess a minute.
const OF_NAME: Growth = Growth { free: 5, first_ms: 1_000, most_ms: 60_000 };
/// Many people may share an address.
const OF_ADDRESS: Growth = Growth { free: 30, first_ms: 1_000, most_ms: 60_000 };
/// Looks into a mailbox: what many messages at once may make a device ask for, and then one every second.
const PEEKS: u32 = 60;
const PEEK_EVERY_MS: u64 = 1_000;
const FORGOTTEN_AFTER_MS: u64 = 60 * 60 * 1_000;

pub(crate) struct Gate {
    /// `None`: everyone comes from one address, so that it says nothing.
    by_address: Option<ByAddress>,
    names: Mutex<Delays<String>>,
    peeks: Mutex<Buckets<DeviceId>>,
    accounts_in_queue: Shares<String>,
    queue: Arc<Semaphore>,
    hashing: Arc<Semaphore>,
}

struct ByAddress {
    enrolments: Mutex<Buckets<ClientAddress>>,
    guesses: Mutex<Delays<ClientAddress>>,
    in_queue: Shares<ClientAddress>,
}

/// A guess that was let in.
pub(super) struct Guess<'a> {
    gate: &'a Gate,
    client: ClientAddress,
    name: String,
}

/// A place in the queue for hashing. Whoever gives it up is not hashed for.
pub(super) struct Place {
    _of_address: Option<Share<ClientAddress>>,
    _of_account: Share<String>,
    _of_all: OwnedSemaphorePermit,
}

impl Gate {
    /// `enrolments_per_minute` of one address, 0 = any number; `hashers` passwords at once.
    pub(crate) fn new(enrolments_per_minute: u32, hashers: u32) -> Self {
        let by_address = (enrolments_per_minute > 0).then(|| ByAddress {
            enrolments: Mutex::new(Buckets::new(
                enrolments_per_minute,
                60_000 / u64::from(enrolments_per_minute),
                REMEMBERED,
            )),
            guesses: Mutex::new(Delays::new(OF_ADDRESS, FORGOTTEN_AFTER_MS, REMEMBERED)),
            in_queue: Shares::new(QUEUE_OF_ADDRESS),
        });
        Self {
            by_address,
            names: Mutex::new(Delays::new(OF_NAME, FORGOTTEN_AFTER_MS, REMEMBERED)),
            peeks: Mutex::new(Buckets::new(PEEKS, PEEK_EVERY_MS, REMEMBERED)),
            accounts_in_queue: Shares::new(QUEUE_OF_ACCOUNT),
            queue: Arc::new(Semaphore::new(QUEUE)),
            hashing: Arc::new(Semaphore::new(hashers.max(1) as usize)),
        }
    }

    /// Passwords that are hashed or wait for it.
    pub(crate) fn hashing(&self) -> usize {
        QUEUE - self.queue.available_permits()
    }

    /// Lets one request for an enrolment in.
    pub(super) fn admit(&self, client: ClientAddress) -> Result<(), Problem> {
        let Some(by_address) = &self.by_address else { return Ok(()) };
        lock(&by_address.enrolments).take(client, clock::now()).map_err(too_many)
    }

    /// Lets one look into the mailbox of an enrolled device.
    pub(super) fn peek(&self, device: DeviceId) -> Result<(), Problem> {
        lock(&self.peeks).take(device, clock::now()).map_err(too_many)
    }

    /// Lets one guess at the password of `name` in.
    pub(super) fn guess(&self, client: ClientAddress, name: &str) -> Result<Guess<'_>, Problem> {
        let (name, now) = (name.to_ascii_lowercase(), clock::now());
        if let Some(by_address) = &self.by_address {
            lock(&by_address.guesses).attempt(client, now).map_err(too_many)?;
        }
        if let Err(wait) = lock(&self.names).attempt(name.clone(), now) {
            self.was_no_guess(client);
            return Err(too_many(wait));
        }
        Ok(Guess { gate: self, client, name })
    }

    fn was_no_guess(&self, client: ClientAddress) {
        if let Some(by_address) = &self.by_address {
            lock(&by_address.guesses).was_right(client, clock::now());
        }
    }

    /// A place in the queue. `account` is whom the password is said to belong to.
    pub(super) fn place(&self, client: ClientAddress, account: &str) -> Result<Place, Problem> {
        let full = || Problem::new(ErrorCode::RateLimited, "too many passwords at once");
        let of_address = match &self.by_address {
            Some(by_address) => Some(by_address.in_queue.take(client).ok_or_else(full)?),
            None => None,
        };
        let of_account = self.accounts_in_queue.take(account.to_ascii_lowercase()).ok_or_else(full)?;
        let of_all = Arc::clone(&self.queue).try_acquire_owned().map_err(|_| full())?;
        Ok(Place { _of_address: of_address, _of_account: of_account, _of_all: of_all })
    }

    /// Waits for the place's turn. The permit is held while the hashing lasts.
    pub(super) async fn turn(&self, _place: &Place) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.hashing).acquire_owned().await.ok()
    }
}

impl Guess<'_> {
    /// It was none.
    pub(super) fn was_right(self) {
        lock(&self.gate.names).was_right(self.name, clock::now());
        self.gate.was_no_guess(self.client);
    }
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

pub(super) fn too_many(wait: Wait) -> Problem {
    Problem::new(ErrorCode::RateLimited, "too many requests").after(wait)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(last: u8) -> ClientAddress {
        ClientAddress::of([192, 0, 2, last].into())
    }

    #[test]
    fn one_address_or_account_does_not_fill_the_queue() {
        let gate = Gate::new(60, 1);
        let flood: Vec<_> = (0..50).map(|number| gate.place(client(1), &format!("name{number}"))).collect();
        assert_eq!(flood.iter().flatten().count(), QUEUE_OF_ADDRESS);
        let at_ana: Vec<_> = (10..30).map(|last| gate.place(client(last), "ana")).collect();
        assert_eq!(at_ana.iter().flatten().count(), QUEUE_OF_ACCOUNT);
        assert!(gate.place(client(2), "Ana").is_err(), "names have no case");
        assert!(gate.place(client(2), "bo").is_ok());
        drop((flood, at_ana));
        assert!(gate.place(client(1), "ana").is_ok());
    }

    #[test]
    fn without_addresses_the_account_still_counts() {
        let gate = Gate::new(0, 1);
        for number in 0..1_000 {
            assert!(gate.admit(client(1)).is_ok());
            assert!(gate.guess(client(1), &format!("name{number}")).is_ok());
        }
        let guesses = (0..10).map(|_| gate.guess(client(1), "ana").is_ok());
        assert_eq!(guesses.filter(|&is_in| is_in).count(), 6, "the sixth makes the seventh wait");
    }
}
