//! The Chasqui relay node: passes messages on and forgets them.
//!
//! [`relay`] decides and stores (synchronous), [`session`] speaks the protocol on one socket (sans-I/O). Neither reads
//! a clock or draws randomness. [`serve`] runs both behind a listener, as [`config`] says.
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use chasqui_node::{config::Config, serve};
//!
//! let running = serve::start(Config::default()).await?;
//! println!("listening on {}", running.address());
//! running.stop().await;
//! # Ok(())
//! # }
//! ```

#[cfg_attr(not(unix), expect(dead_code, reason = "there are no Unix sockets"))]
pub mod admin;
mod admission;
pub mod config;
mod http;
pub mod inspect;
#[doc(hidden)]
pub mod jwt;
mod metrics;
mod outbound;
#[doc(hidden)]
pub mod phone;
mod planted;
pub mod relay;
pub mod serve;
pub mod session;
mod store;
pub mod traces;

#[cfg(feature = "planted-bugs")]
pub use planted::{PlantedBug, plant};
