//! What crosses crates: the deterministic simulation of many devices and one relay.

pub mod sim;
