//! The Chasqui messaging SDK.

mod domain;
pub mod engine;
mod error;
mod history;
mod observe;
mod planted;
mod store;

pub use domain::*;
pub use error::Error;
pub use history::History;
pub use observe::{Change, Update};
#[cfg(feature = "planted-bugs")]
pub use planted::{PlantedBug, plant};
pub use store::{Store, StoreError};
