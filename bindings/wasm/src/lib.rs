//! The SDK as the worker of the npm package `chasqui` sees it: requests and answers as JSON, because they travel between tabs.
//!
//! Converts and delegates, nothing else. What is asked is read in `request`, done in `answer`, and shown in `shape`;
//! what may be repeated, because a tab that asked cannot know how far it got, is decided in `again`. Those know nothing of
//! JavaScript and are tested on every platform; `exports` alone knows it.

mod again;
mod answer;
#[cfg(target_arch = "wasm32")]
mod exports;
mod log;
mod request;
mod shape;
mod watch;

pub use answer::{Answer, Pages, answer};
pub use log::{level as log_level, records as log_records};
pub use request::{Open, Request, open, request};
pub use shape::error as error_shape;
pub use watch::{Observer, Topic};
