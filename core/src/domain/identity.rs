//! Whether people are who they seem, and what was noticed that speaks against it.

use chasqui_wire::{ConversationId, DeviceId, Timestamp, UserId};

/// What this device knows of somebody's identity.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Trust {
    /// The first key that was heard of is taken for theirs, or a later one that nobody has compared.
    #[default]
    Unverified,
    /// People have compared it: [`crate::Client::verify`], [`crate::Client::set_verified`].
    Verified,
    /// It was verified, and is another one now: nothing encrypted is sent to them before somebody says what to make of it, by
    /// [`crate::Client::verify`] or [`crate::Client::set_verified`].
    Changed,
}

/// What two people compare to know that nobody stands between them: the same on both sides, whichever of their devices they use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SafetyNumber {
    /// 60 digits, in twelve groups of five with spaces between.
    pub digits: String,
    /// The same for machines: about 150 letters of ASCII, to be shown as a QR code and read by [`crate::Client::verify`].
    pub scannable: String,
    /// What this device knows.
    pub trust: Trust,
    /// When their identity became another one than the one that was known, here or where the history comes from; `None` = never.
    /// By the device's clock, or the node's if that was ahead.
    pub changed_at: Option<Timestamp>,
}

/// Something that people may want to know of: an identity changed, or something was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecurityEvent {
    /// Counts the events of this folder, from 1.
    pub number: u64,
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

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
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
}

impl SecurityEventKind {
    const ALL: [Self; 8] = [
        Self::IdentityChanged,
        Self::OwnIdentityReplaced,
        Self::UntrustedDevice,
        Self::ForgedMessage,
        Self::ForgedChange,
        Self::ForkedConversation,
        Self::MissingMessage,
        Self::KeyPackagesExhausted,
    ];

    /// As it is stored.
    pub(crate) fn number(self) -> i64 {
        match self {
            Self::IdentityChanged => 1,
            Self::OwnIdentityReplaced => 2,
            Self::UntrustedDevice => 3,
            Self::ForgedMessage => 4,
            Self::ForgedChange => 5,
            Self::ForkedConversation => 6,
            Self::MissingMessage => 7,
            Self::KeyPackagesExhausted => 8,
        }
    }

    /// Reads back [`Self::number`].
    pub(crate) fn from_number(number: i64) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.number() == number)
    }
}

/// How far a newly linked device has come in getting the history from the one that linked it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HistoryTransfer {
    /// That are here by now; the newest come first.
    pub messages: u64,
    /// How much is done, of 1,000.
    pub per_mille: u32,
}
