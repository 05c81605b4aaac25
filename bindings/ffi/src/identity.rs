//! Whether people are who they seem, and what was noticed that speaks against it.

use chasqui::{ConversationId, DeviceId, Timestamp, UserId};

use crate::scalar::{Count, signed};

/// What this device knows of somebody's identity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, uniffi::Enum)]
pub enum Trust {
    /// The first key that was heard of is taken for theirs, or a later one that nobody has compared.
    Unverified,
    /// People have compared it: `verify`, `setVerified`.
    Verified,
    /// It was verified, and is another one now: nothing encrypted is sent to them before somebody says what to make of it, by
    /// `verify` or `setVerified`.
    Changed,
}

impl From<chasqui::Trust> for Trust {
    fn from(trust: chasqui::Trust) -> Self {
        match trust {
            chasqui::Trust::Unverified => Self::Unverified,
            chasqui::Trust::Verified => Self::Verified,
            chasqui::Trust::Changed => Self::Changed,
        }
    }
}

/// What two people compare to know that nobody stands between them: the same on both sides, whichever of their devices they use.
#[derive(Clone, Debug, PartialEq, Eq, uniffi::Record)]
pub struct SafetyNumber {
    /// 60 digits, in twelve groups of five with spaces between.
    pub digits: String,
    /// The same for machines: about 150 letters of ASCII, to be shown as a QR code and read by `verify`.
    pub scannable: String,
    /// What this device knows.
    pub trust: Trust,
    /// When their identity became another one than the one that was known, here or where the history comes from, by the device's clock
    /// or the node's; nothing = never.
    pub changed_at: Option<Timestamp>,
}

impl From<chasqui::SafetyNumber> for SafetyNumber {
    fn from(number: chasqui::SafetyNumber) -> Self {
        let chasqui::SafetyNumber { digits, scannable, trust, changed_at } = number;
        Self { digits, scannable, trust: trust.into(), changed_at }
    }
}

/// Something that people may want to know of: an identity changed, or something was refused.
#[derive(Clone, Debug, PartialEq, Eq, uniffi::Record)]
pub struct SecurityEvent {
    /// Counts the events of this folder, from 1.
    pub number: i64,
    /// By this device's clock.
    pub at: Timestamp,
    /// What happened.
    pub kind: SecurityEventKind,
    /// Whose identity, or whose device.
    pub user: Option<UserId>,
    /// Which device, if it is about one.
    pub device: Option<DeviceId>,
    /// Where, if it was in a conversation.
    pub conversation: Option<ConversationId>,
}

impl From<chasqui::SecurityEvent> for SecurityEvent {
    fn from(event: chasqui::SecurityEvent) -> Self {
        let chasqui::SecurityEvent { number, at, kind, user, device, conversation } = event;
        Self { number: signed(number), at, kind: kind.into(), user, device, conversation }
    }
}

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, uniffi::Enum)]
pub enum SecurityEventKind {
    /// Somebody has a new identity: a new telephone without a backup, or somebody else in between. Compare safety numbers.
    IdentityChanged,
    /// The user's own identity was replaced on another device: this one is not linked any more.
    OwnIdentityReplaced,
    /// A device without a valid word of its user was to be put in a conversation, and was not.
    UntrustedDevice,
    /// A message was passed off as somebody else's, or as another one, and was not taken.
    ForgedMessage,
    /// A change of who is in a conversation was something else than was said, and was not followed.
    ForgedChange,
    /// A message is of another past of the conversation than the one that this device was shown, and cannot be read: the node shows
    /// people different things, or somebody tampered with the message. It is asked for again.
    ForkedConversation,
    /// A device has sent a message that never came here, as what it said next shows: the node kept it back, or lost it. It is asked for.
    MissingMessage,
    /// Others took all key packages that the node had of this device, and used few. Whoever does that has more conversations begun with the
    /// one that is given again and again. The node is given new ones.
    KeyPackagesExhausted,
    /// Something that this version has no name for. There is nothing of the kind yet.
    Other,
}

impl From<chasqui::SecurityEventKind> for SecurityEventKind {
    fn from(kind: chasqui::SecurityEventKind) -> Self {
        match kind {
            chasqui::SecurityEventKind::IdentityChanged => Self::IdentityChanged,
            chasqui::SecurityEventKind::OwnIdentityReplaced => Self::OwnIdentityReplaced,
            chasqui::SecurityEventKind::UntrustedDevice => Self::UntrustedDevice,
            chasqui::SecurityEventKind::ForgedMessage => Self::ForgedMessage,
            chasqui::SecurityEventKind::ForgedChange => Self::ForgedChange,
            chasqui::SecurityEventKind::ForkedConversation => Self::ForkedConversation,
            chasqui::SecurityEventKind::MissingMessage => Self::MissingMessage,
            chasqui::SecurityEventKind::KeyPackagesExhausted => Self::KeyPackagesExhausted,
            // A test fails when there is another.
            _ => Self::Other,
        }
    }
}

/// How far a newly linked device has come in getting the history from the one that linked it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, uniffi::Record)]
pub struct HistoryTransfer {
    /// That are here by now; the newest come first.
    pub messages: i64,
    /// How much is done, of 1,000.
    pub per_mille: Count,
}

impl From<chasqui::HistoryTransfer> for HistoryTransfer {
    fn from(transfer: chasqui::HistoryTransfer) -> Self {
        let chasqui::HistoryTransfer { messages, per_mille } = transfer;
        Self { messages: signed(messages), per_mille: per_mille.into() }
    }
}
