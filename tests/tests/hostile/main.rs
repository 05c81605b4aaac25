//! Peers that do not keep to the protocol. Beside a hostile device a well-behaved pair stays unharmed; against a hostile
//! node a client stays usable and loses nothing.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod crooked_node;
mod device;
mod fake_node;
mod intruder;
mod mail;
mod node;
#[expect(dead_code, reason = "other tests use more of the stage")]
#[path = "../stage/mod.rs"]
mod stage;
