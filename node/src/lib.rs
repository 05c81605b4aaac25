//! The Chasqui relay node: passes messages on and forgets them.
//!
//! [`relay`] decides and stores (synchronous), [`session`] speaks the protocol on one socket (sans-I/O). Neither reads
//! a clock or draws randomness.

mod planted;
pub mod relay;
pub mod session;
mod store;

#[cfg(feature = "planted-bugs")]
pub use planted::{PlantedBug, plant};
