//! How many connections there are, in all and from one address. More are turned away at the door, where they cost least.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use crate::http::ClientAddress;

/// Everyone who is connected.
#[derive(Debug)]
pub(crate) struct Guests {
    in_all: usize,
    of_one_address: usize,
    present: Mutex<Present>,
}

#[derive(Debug, Default)]
struct Present {
    in_all: usize,
    by_address: BTreeMap<ClientAddress, usize>,
}

/// Why somebody is turned away.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Full {
    #[error("the node has as many connections as it takes")]
    InAll,
    #[error("this address has as many connections as one may have")]
    OfOneAddress,
}

impl Full {
    /// As the metrics call it.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::InAll => "connections",
            Self::OfOneAddress => "connections_per_address",
        }
    }
}

/// A connection's place; given back when it is dropped.
#[derive(Debug)]
pub(crate) struct Seat {
    guests: Arc<Guests>,
    /// `None` = a proxy's connection, which counts for nobody but the node.
    address: Option<ClientAddress>,
    counts_in_all: bool,
}

impl Guests {
    pub(crate) fn new(in_all: usize, of_one_address: usize) -> Arc<Self> {
        Arc::new(Self { in_all, of_one_address, present: Mutex::default() })
    }

    /// A connection that was just accepted; `None` = from a proxy.
    pub(crate) fn admit(self: &Arc<Self>, address: Option<ClientAddress>) -> Result<Seat, Full> {
        self.seat(address, true)
    }

    /// A socket whose connection is a proxy's: counts for the address that the proxy names.
    pub(crate) fn admit_behind_proxy(self: &Arc<Self>, address: ClientAddress) -> Result<Seat, Full> {
        self.seat(Some(address), false)
    }

    fn seat(self: &Arc<Self>, address: Option<ClientAddress>, counts_in_all: bool) -> Result<Seat, Full> {
        let mut present = self.present.lock().unwrap_or_else(PoisonError::into_inner);
        if counts_in_all && present.in_all >= self.in_all {
            return Err(Full::InAll);
        }
        if let Some(address) = address {
            let count = present.by_address.get(&address).copied().unwrap_or(0);
            if count >= self.of_one_address {
                return Err(Full::OfOneAddress);
            }
            present.by_address.insert(address, count + 1);
        }
        present.in_all += usize::from(counts_in_all);
        Ok(Seat { guests: Arc::clone(self), address, counts_in_all })
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut present = self.guests.present.lock().unwrap_or_else(PoisonError::into_inner);
        present.in_all -= usize::from(self.counts_in_all);
        if let Some(address) = self.address
            && let Some(count) = present.by_address.get_mut(&address)
        {
            *count -= 1;
            if *count == 0 {
                present.by_address.remove(&address);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> ClientAddress {
        ClientAddress::of(text.parse().unwrap())
    }

    #[test]
    fn one_address_does_not_fill_the_house() {
        let guests = Guests::new(3, 2);
        let (one, other) = (address("192.0.2.1"), address("192.0.2.2"));
        let first = guests.admit(Some(one)).unwrap();
        let _second = guests.admit(Some(one)).unwrap();
        assert_eq!(guests.admit(Some(one)).unwrap_err(), Full::OfOneAddress);
        let _third = guests.admit(Some(other)).unwrap();
        assert_eq!(guests.admit(Some(other)).unwrap_err(), Full::InAll);
        drop(first);
        let _again = guests.admit(Some(one)).unwrap();
    }

    #[test]
    fn a_proxy_is_counted_once_and_its_clients_by_their_addresses() {
        let guests = Guests::new(2, 1);
        let _proxy = (guests.admit(None).unwrap(), guests.admit(None).unwrap());
        assert_eq!(guests.admit(None).unwrap_err(), Full::InAll);
        let client = guests.admit_behind_proxy(address("192.0.2.1")).unwrap();
        assert_eq!(guests.admit_behind_proxy(address("192.0.2.1")).unwrap_err(), Full::OfOneAddress);
        drop(client);
        drop(guests.admit_behind_proxy(address("192.0.2.1")).unwrap());
        let present = guests.present.lock().unwrap();
        assert!(present.by_address.is_empty(), "nobody is remembered who is gone");
    }
}
