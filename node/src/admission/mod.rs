//! Who may ask for something costly now, and who has to wait: buckets for a steady rate, delays for guesses, shares of
//! what is scarce.
//!
//! Guarantees: the memory that each takes is bounded, whatever keys strangers make up; when it is full, the key is
//! forgotten that would be the next to be free anyway. Time is passed in; nothing here survives a restart.

mod buckets;
mod delays;
mod ledger;
mod shares;

pub(crate) use buckets::Buckets;
pub(crate) use delays::{Delays, Growth};
pub(crate) use shares::{Share, Shares};

/// To be tried again after so many milliseconds, and not before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Wait(pub(crate) u64);

impl Wait {
    /// As problems carry it; about 49 days at most, and never 0, which would leave it to the caller.
    pub(crate) fn millis(self) -> u32 {
        u32::try_from(self.0.max(1)).unwrap_or(u32::MAX)
    }
}
