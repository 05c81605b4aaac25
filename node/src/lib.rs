//! The Chasqui relay node: passes messages on and forgets them.
//!
//! [`relay`] decides and stores (synchronous), [`session`] speaks the protocol on one socket (sans-I/O). Neither reads
//! a clock or draws randomness. [`serve`] runs both behind a listener, as [`config`] says.

pub mod config;
mod http;
mod planted;
pub mod relay;
pub mod serve;
pub mod session;
mod store;

#[cfg(feature = "planted-bugs")]
pub use planted::{PlantedBug, plant};
