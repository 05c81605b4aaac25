//! Carries out what the engine decides. The only rooms that know sockets, clocks, threads and randomness; one a
//! platform.

mod native;

pub(crate) use native::{Credentials, Driver, Topic, fresh_id, fresh_seed, wipe};
