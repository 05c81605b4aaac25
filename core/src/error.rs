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
            Self::Unauthorised => "unauthorised",
            Self::Forbidden { .. } => "forbidden",
            Self::NotFound { .. } => "not_found",
            Self::NameTaken => "name_taken",
            Self::Invalid { .. } => "invalid",
            Self::TooLarge { .. } => "too_large",
            Self::RateLimited { .. } => "rate_limited",
            Self::StorageFull => "storage_full",
            Self::NotEnrolled => "not_enrolled",
            Self::LogInAgain => "log_in_again",
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
            Self::Internal { .. } | Self::FolderInUse => true,
            Self::Unauthorised
            | Self::Forbidden { .. }
            | Self::NotFound { .. }
            | Self::NameTaken
            | Self::Invalid { .. }
            | Self::TooLarge { .. }
            | Self::NotEnrolled
            | Self::LogInAgain
            | Self::AlreadyEnrolled
            | Self::Incompatible { .. }
            | Self::Closed
            | Self::Corrupt { .. } => false,
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
