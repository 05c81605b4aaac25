//! The Chasqui messaging SDK: one device of one user, offline first.
//!
//! [`Client`] is what an app holds. The [`engine`] behind it decides everything and does nothing by itself; drivers and
//! the simulation use it directly. The README has an example of twenty lines.

#![cfg_attr(
    target_arch = "wasm32",
    expect(
        dead_code,
        unused_imports,
        reason = "browsers have one connection to a history: nobody reads or peeks beside it"
    )
)]

mod backup;
#[cfg(feature = "bench")]
#[doc(hidden)]
pub mod bench;
mod client;
mod domain;
mod driver;
mod e2ee;
pub mod engine;
mod enrolment;
mod error;
mod export;
mod history;
mod identity;
mod linking;
mod observe;
mod observer;
mod ordered;
mod peek;
mod planted;
mod store;

pub use chasqui_wire::{
    ConversationId, ConversationKind, DeviceId, ErrorCode, HoleReason, MessageId, Protection, RealmId, Seq, Timestamp,
    UserId,
};

pub use backup::{BackupPages, Restore};
pub use client::{Client, Config};
pub use domain::*;
pub use engine::{Blocked, ConnectionState};
pub use error::Error;
pub use export::ExportPages;
pub use history::History;
pub use observe::{Change, Update};
pub use observer::{
    ConnectionObserver, ConversationsObserver, Observer, SalvageObserver, SecurityObserver, TimelineObserver,
    TransferObserver, TypingObserver,
};
pub use peek::peek;
#[cfg(feature = "planted-bugs")]
pub use planted::{PlantedBug, plant};
pub use store::{Store, StoreError};

/// The README's example compiles.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Readme;

/// The examples of docs/durability.md compile.
#[cfg(doctest)]
#[doc = include_str!("../../docs/durability.md")]
struct Durability;
