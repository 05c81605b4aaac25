//! The one error that apps see, chosen by what an app can do about it.

use chasqui_wire::ErrorCode;

use crate::store::StoreError;

/// Why something did not happen. Nothing was changed, unless the variant says otherwise.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The node cannot be reached. Try again when [`crate::Client::connection`] says so.
    #[error("the node cannot be reached: {detail}")]
    Offline {
        /// English, for developers.
        detail: String,
    },
    /// The node's certificate is not valid at the time that this device's clock shows. Ask people to look at the clock.
    #[error("the node's certificate is not valid now: is this device's clock right? {detail}")]
    WrongClock {
        /// English, for developers.
        detail: String,
    },
    /// Wrong name, password or key.
    #[error("name, password or device key is wrong")]
    Unauthorised,
    /// The node does not allow it.
    #[error("not allowed: {detail}")]
    Forbidden {
        /// English, for developers.
        detail: String,
    },
    /// No such user, conversation, message or device.
    #[error("no such {what}")]
    NotFound {
        /// What was looked for.
        what: &'static str,
    },
    /// The name is taken by somebody else.
    #[error("the name is taken")]
    NameTaken,
    /// An argument cannot be used.
    #[error("invalid: {detail}")]
    Invalid {
        /// English, for developers.
        detail: String,
    },
    /// Above a limit.
    #[error("{size} bytes are above the limit of {limit}")]
    TooLarge {
        /// Bytes given.
        size: u64,
        /// Bytes allowed.
        limit: u64,
    },
    /// Too many requests.
    #[error("too many requests; try again in {retry_after_ms} ms")]
    RateLimited {
        /// Milliseconds; 0 = unknown.
        retry_after_ms: u32,
    },
    /// The token of the app's backend is expired, forged or for somebody else: get a new one.
    #[error("the token was refused: {detail}")]
    InvalidToken {
        /// English, for developers.
        detail: String,
    },
    /// The code is wrong, or too old. Try again, or ask for another.
    #[error("the code is wrong or too old")]
    InvalidCode,
    /// Too many wrong codes or PINs. Ask for another code, or wait.
    #[error("too many wrong codes or PINs; try again in {retry_after_ms} ms")]
    AttemptsExhausted {
        /// Milliseconds until another PIN is taken; 0 = ask for another code.
        retry_after_ms: u32,
    },
    /// The number's account is in use and has no PIN. It can be replaced after this time, or joined by a PIN that is
    /// set on one of its devices.
    #[error("the number's account is in use; it can be replaced in {retry_after_ms} ms")]
    WaitingPeriod {
        /// Milliseconds, if no device of the account is used meanwhile.
        retry_after_ms: u32,
    },
    /// The number's account has a PIN: ask for it, and repeat the call with it.
    #[error("the account's PIN is needed")]
    PinNeeded,
    /// Not the account's PIN.
    #[error("the PIN is wrong")]
    WrongPin,
    /// The account was deleted, for good: the caller's own, or the one that was asked for.
    #[error("the account was deleted")]
    AccountDeleted,
    /// A proof that the account has is missing, or the password is wrong: ask for it, and repeat the call with it.
    #[error("the account's password, PIN or a fresh token is needed")]
    ProofNeeded,
    /// Something that the node itself needs does not answer.
    #[error("not available now: {detail}")]
    Unavailable {
        /// English, for developers.
        detail: String,
    },
    /// The device's or the node's disk is full, or takes no writes. Nothing is lost: make room and try again.
    #[error("no space left, or the disk takes no writes")]
    StorageFull,
    /// Register or log in first.
    #[error("this folder has no enrolled device: register or log in")]
    NotEnrolled,
    /// This folder's device cannot go on: its keys were lost with damaged files, or the folder is a copy of another
    /// device's. Log in again, as a new device; the history and what was not sent stay.
    #[error("this folder's device cannot go on: log in again as a new device")]
    LogInAgain,
    /// No other device of the user has linked this one: it takes no part in encrypted conversations. See
    /// [`crate::Client::begin_linking`].
    #[error("this device is not linked to the user's others")]
    NotLinked,
    /// Nothing comes of linking a device: it was cancelled on one of the two, or somebody stood between them. Begin anew.
    #[error("the device was not linked: {detail}")]
    LinkingFailed {
        /// English, for developers.
        detail: String,
    },
    /// This is no recovery phrase, or not the one that the backup was made with.
    #[error("this is not the backup's recovery phrase")]
    WrongPhrase,
    /// The folder is bound to another device: see [`crate::Config::device_binding`].
    #[error("the folder belongs to another device")]
    OtherDevice,
    /// The folder belongs to an account already.
    #[error("this folder has an enrolled device already")]
    AlreadyEnrolled,
    /// Another client, maybe of another process, has the folder open.
    #[error("the data folder is in use by another client")]
    FolderInUse,
    /// The node or the folder is of a version that this one cannot work with.
    #[error("incompatible: {detail}")]
    Incompatible {
        /// English, for developers.
        detail: String,
    },
    /// The client is suspended: call [`crate::Client::resume`].
    #[error("the client is suspended")]
    Suspended,
    /// The client was closed.
    #[error("the client is closed")]
    Closed,
    /// The local history is damaged.
    #[error("the local history is damaged: {detail}")]
    Corrupt {
        /// English, for developers.
        detail: String,
    },
    /// A defect, here or in the node.
    #[error("internal error: {detail}")]
    Internal {
        /// English, for developers.
        detail: String,
    },
}

impl Error {
    /// A stable name, the same in every language.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Offline { .. } => "offline",
            Self::WrongClock { .. } => "wrong_clock",
            Self::Unauthorised => "unauthorised",
            Self::Forbidden { .. } => "forbidden",
            Self::NotFound { .. } => "not_found",
            Self::NameTaken => "name_taken",
            Self::Invalid { .. } => "invalid",
            Self::TooLarge { .. } => "too_large",
            Self::RateLimited { .. } => "rate_limited",
            Self::InvalidToken { .. } => "invalid_token",
            Self::InvalidCode => "invalid_code",
            Self::AttemptsExhausted { .. } => "attempts_exhausted",
            Self::WaitingPeriod { .. } => "waiting_period",
            Self::PinNeeded => "pin_needed",
            Self::WrongPin => "wrong_pin",
            Self::AccountDeleted => "account_deleted",
            Self::ProofNeeded => "proof_needed",
            Self::Unavailable { .. } => "unavailable",
            Self::StorageFull => "storage_full",
            Self::NotEnrolled => "not_enrolled",
            Self::LogInAgain => "log_in_again",
            Self::NotLinked => "not_linked",
            Self::LinkingFailed { .. } => "linking_failed",
            Self::WrongPhrase => "wrong_phrase",
            Self::OtherDevice => "other_device",
            Self::AlreadyEnrolled => "already_enrolled",
            Self::FolderInUse => "folder_in_use",
            Self::Incompatible { .. } => "incompatible",
            Self::Suspended => "suspended",
            Self::Closed => "closed",
            Self::Corrupt { .. } => "corrupt",
            Self::Internal { .. } => "internal",
        }
    }

    /// Whether the very same call may succeed later.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Offline { .. } | Self::RateLimited { .. } | Self::StorageFull | Self::Suspended => true,
            Self::Internal { .. } | Self::FolderInUse | Self::Unavailable { .. } | Self::WrongClock { .. } => true,
            Self::Unauthorised
            | Self::Forbidden { .. }
            | Self::NotFound { .. }
            | Self::NameTaken
            | Self::Invalid { .. }
            | Self::TooLarge { .. }
            | Self::InvalidToken { .. }
            | Self::InvalidCode
            | Self::AttemptsExhausted { .. }
            | Self::WaitingPeriod { .. }
            | Self::PinNeeded
            | Self::WrongPin
            | Self::AccountDeleted
            | Self::ProofNeeded
            | Self::NotEnrolled
            | Self::LogInAgain
            | Self::NotLinked
            | Self::LinkingFailed { .. }
            | Self::WrongPhrase
            | Self::OtherDevice
            | Self::AlreadyEnrolled
            | Self::Incompatible { .. }
            | Self::Closed
            | Self::Corrupt { .. } => false,
        }
    }

    /// Whether keys that were to be enrolled are of no use any more. A word that is wrong or not enough says nothing about
    /// them: an earlier try may have enrolled them, and its answer was lost.
    pub(crate) fn refuses_keys(&self) -> bool {
        match self {
            Self::InvalidToken { .. }
            | Self::InvalidCode
            | Self::AttemptsExhausted { .. }
            | Self::WaitingPeriod { .. }
            | Self::PinNeeded
            | Self::WrongPin => false,
            other => !other.is_retryable(),
        }
    }

    /// The folder holds the history of another user.
    pub(crate) fn someone_elses_folder() -> Self {
        Self::Invalid { detail: "the folder holds the history of another user: wipe it, or use another folder".into() }
    }

    /// The node refused a request.
    pub(crate) fn refused(code: ErrorCode, detail: String, retry_after_ms: u32) -> Self {
        match code {
            ErrorCode::Unauthorised | ErrorCode::DeviceRevoked => Self::Unauthorised,
            ErrorCode::Forbidden | ErrorCode::TooManyDevices => Self::Forbidden { detail },
            ErrorCode::UnknownUser => Self::NotFound { what: "user" },
            ErrorCode::NotFound => Self::NotFound { what: "thing" },
            ErrorCode::NameTaken => Self::NameTaken,
            ErrorCode::RateLimited => Self::RateLimited { retry_after_ms },
            ErrorCode::InvalidToken => Self::InvalidToken { detail },
            ErrorCode::InvalidCode => Self::InvalidCode,
            ErrorCode::AttemptsExhausted => Self::AttemptsExhausted { retry_after_ms },
            ErrorCode::WaitingPeriod => Self::WaitingPeriod { retry_after_ms },
            ErrorCode::PinNeeded => Self::PinNeeded,
            ErrorCode::WrongPin => Self::WrongPin,
            ErrorCode::AccountDeleted => Self::AccountDeleted,
            ErrorCode::ProofNeeded => Self::ProofNeeded,
            ErrorCode::Unavailable => Self::Unavailable { detail },
            ErrorCode::StorageFull => Self::StorageFull,
            ErrorCode::Incompatible | ErrorCode::NotSupported => Self::Incompatible { detail },
            ErrorCode::Internal => Self::Internal { detail },
            _ => Self::Invalid { detail },
        }
    }
}

impl From<StoreError> for Error {
    fn from(error: StoreError) -> Self {
        Self::from(&error)
    }
}

impl From<&StoreError> for Error {
    fn from(error: &StoreError) -> Self {
        let detail = error.to_string();
        if error.is_storage_full() {
            return Self::StorageFull;
        }
        if error.is_damage() {
            return Self::Corrupt { detail };
        }
        match error {
            StoreError::TooNew { .. } => Self::Incompatible { detail },
            StoreError::Corrupt(_) | StoreError::Panicked | StoreError::RolledBack | StoreError::Sqlite(_) => {
                Self::Internal { detail }
            }
        }
    }
}
