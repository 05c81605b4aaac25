//! Telephone numbers: what people write becomes one number, and a code is sent to it.
//!
//! [`normalise`], [`parse_code`] and [`parse_challenge`] are pure. A number leaves this room for the sender of codes and
//! for nowhere else: the relay knows a keyed hash of it, and no log has either.

mod code;
mod config;
mod number;
mod sender;

use std::sync::Mutex;

pub use code::{Code, challenge_text, new_code, parse_challenge, parse_code};
pub use config::{PhoneConfig, SenderKind};
pub use number::{E164, normalise};
pub(crate) use sender::CodeSender;

use crate::admission::Buckets;
use crate::http::{ClientAddress, REMEMBERED};
use crate::metrics::Metrics;
use crate::relay::PhoneRules;

const HOUR_MS: u64 = 60 * 60 * 1000;

/// What the requests about numbers share.
pub(crate) struct Phones {
    pub(crate) sender: CodeSender,
    pub(crate) rules: PhoneRules,
    pub(crate) region: Option<rlibphonenumber::Region>,
    /// `None`: addresses do not count.
    pub(crate) of_address: Option<Mutex<Buckets<ClientAddress>>>,
    pub(crate) of_all: Mutex<Buckets<()>>,
}

impl Phones {
    /// Says so when codes go to the log.
    pub(crate) fn start(config: &PhoneConfig, do_addresses_count: bool, metrics: &Metrics) -> Result<Self, SetUpError> {
        let hourly = |count: u32| (count, HOUR_MS / u64::from(count.max(1)));
        let (of_address, of_all) = (hourly(config.codes_per_address), hourly(config.codes_per_hour));
        // Reads the numbering plans, so that the first request does not wait for it.
        drop(normalise("+1", None));
        Ok(Self {
            sender: CodeSender::start(config, metrics)?,
            rules: config.rules(),
            region: config.region(),
            of_address: do_addresses_count.then(|| Mutex::new(Buckets::new(of_address.0, of_address.1, REMEMBERED))),
            of_all: Mutex::new(Buckets::new(of_all.0, of_all.1, 1)),
        })
    }
}

/// Why codes cannot be sent at all.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SetUpError {
    #[error(transparent)]
    Config(#[from] crate::config::ConfigError),
    #[error(transparent)]
    Outbound(#[from] crate::outbound::OutboundError),
}
