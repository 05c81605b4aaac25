//! The SDK as Kotlin and Swift get it, by UniFFI: the one room that knows UniFFI.
//!
//! Guarantees: every operation of [`chasqui::Client`] is here under its own name (a test compares), with its types and
//! errors; it converts and delegates, and decides nothing. Records, enums and the error are public API of both languages as
//! they stand here; objects are called `Native…`, and idiomatic wrappers stand in front of them.
//!
//! No callback is ever made into the host, not even by the log: it awaits, on threads of its own.

mod account;
mod backup;
mod client;
mod config;
mod connection;
mod conversation;
mod error;
mod export;
mod identity;
mod log;
mod message;
mod observer;
mod peek;
mod planted;
mod salvage;
mod scalar;
mod timeline;
mod update;

pub use account::{Account, AccountProof, DeviceInfo, PhoneChallenge, UserInfo};
pub use backup::{NativeBackup, NativeRestore, native_new_recovery_phrase};
pub use client::NativeClient;
pub use config::Config;
pub use connection::{Blocked, ConnectionState};
pub use conversation::{ConversationKind, ConversationSummary, Protection, Typing};
pub use error::{ChasquiError, ErrorCode};
pub use export::NativeExport;
pub use identity::{HistoryTransfer, SafetyNumber, SecurityEvent, SecurityEventKind, Trust};
pub use log::{LogLevel, LogRecord, NativeLog};
pub use message::{Delivery, Failure, Message, MessageContent, MessageState, Undelivered};
pub use observer::{
    NativeConnectionObserver, NativeConversationsObserver, NativeSalvageObserver, NativeSecurityObserver,
    NativeTimelineObserver, NativeTransferObserver, NativeTypingObserver,
};
pub use peek::{Peeked, PeekedMessage, native_peek};
pub use salvage::{Salvage, SavedTable};
pub use scalar::Count;
pub use timeline::{HoleReason, Incomplete, SearchHit, TimelineItem, TimelinePage};
pub use update::{ConversationsChange, ConversationsUpdate, TimelineChange, TimelineUpdate};

uniffi::setup_scaffolding!("chasqui");
