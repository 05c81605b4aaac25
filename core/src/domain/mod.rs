//! What apps see: conversations, messages and their states. Plain values, no behaviour that needs a store.

mod account;
mod conversation;
mod identity;
mod message;
mod peek;
mod salvage;
mod timeline;

pub use account::{Account, AccountProof, DeviceInfo, PhoneChallenge, UserInfo};
pub use conversation::{ConversationSummary, Typing};
pub use identity::{HistoryTransfer, SafetyNumber, SecurityEvent, SecurityEventKind, Trust};
pub use message::{Delivery, Failure, Message, MessageContent, MessageState, Undelivered};
pub use peek::{Peeked, PeekedMessage};
pub use salvage::{Salvage, SavedTable};
pub(crate) use timeline::TimelineKey;
pub use timeline::{Cursor, Incomplete, SearchHit, TimelineItem, TimelinePage};
