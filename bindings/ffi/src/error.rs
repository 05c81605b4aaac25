//! The error, as every language sees it, and the node's codes.

use crate::scalar::signed;

/// Why something did not happen. Nothing was changed, unless the variant says otherwise.
#[derive(Clone, Debug, PartialEq, Eq, uniffi::Error)]
#[uniffi::export(Display)]
pub enum ChasquiError {
    /// The node cannot be reached. Try again when the connection says so.
    Offline {
        /// English, for developers.
        detail: String,
    },
    /// The node's certificate is not valid at the time that this device's clock shows. Ask people to look at the clock.
    WrongClock {
        /// English, for developers.
        detail: String,
    },
    /// Wrong name, password or key.
    Unauthorised,
    /// The node does not allow it.
    Forbidden {
        /// English, for developers.
        detail: String,
    },
    /// No such user, conversation, message or device.
    NotFound {
        /// What was looked for.
        what: String,
    },
    /// The name is taken by somebody else.
    NameTaken,
    /// An argument cannot be used.
    Invalid {
        /// English, for developers.
        detail: String,
    },
    /// Above a limit.
    TooLarge {
        /// Bytes given.
        size: i64,
        /// Bytes allowed.
        limit: i64,
    },
    /// Too many requests.
    RateLimited {
        /// Milliseconds; 0 = unknown.
        retry_after_ms: i64,
    },
    /// The token of the app's backend is expired, forged or for somebody else: get a new one.
    InvalidToken {
        /// English, for developers.
        detail: String,
    },
    /// The code is wrong, or too old. Try again, or ask for another.
    InvalidCode,
    /// Too many wrong codes or PINs. Ask for another code, or wait.
    AttemptsExhausted {
        /// Milliseconds until another PIN is taken; 0 = ask for another code.
        retry_after_ms: i64,
    },
    /// The number's account is in use and has no PIN. It can be replaced after this time, or joined by a PIN that is
    /// set on one of its devices.
    WaitingPeriod {
        /// Milliseconds, if no device of the account is used meanwhile.
        retry_after_ms: i64,
    },
    /// The number's account has a PIN: ask for it, and repeat the call with it.
    PinNeeded,
    /// Not the account's PIN.
    WrongPin,
    /// The account was deleted, for good: the caller's own, or the one that was asked for.
    AccountDeleted,
    /// A proof that the account has is missing, or the password is wrong: ask for it, and repeat the call with it.
    ProofNeeded,
    /// Something that the node itself needs does not answer.
    Unavailable {
        /// English, for developers.
        detail: String,
    },
    /// The device's or the node's disk is full, or takes no writes. Nothing is lost: make room and try again.
    StorageFull,
    /// Register or log in first.
    NotEnrolled,
    /// This folder's device cannot go on: its keys were lost with damaged files, or the folder is a copy of another
    /// device's. Log in again, as a new device; the history and what was not sent stay.
    LogInAgain,
    /// No other device of the user has linked this one: it takes no part in encrypted conversations. See `begin_linking`.
    NotLinked,
    /// Nothing comes of linking a device: it was cancelled on one of the two, or somebody stood between them. Begin anew.
    LinkingFailed {
        /// English, for developers.
        detail: String,
    },
    /// This is no recovery phrase, or not the one that the backup was made with.
    WrongPhrase,
    /// The folder is bound to another device: see the device binding of `Config`.
    OtherDevice,
    /// The folder belongs to an account already.
    AlreadyEnrolled,
    /// Another client, maybe of another process, has the folder open.
    FolderInUse,
    /// The node or the folder is of a version that this one cannot work with.
    Incompatible {
        /// English, for developers.
        detail: String,
    },
    /// The client is suspended: call `resume`.
    Suspended,
    /// The client was closed.
    Closed,
    /// The local history is damaged.
    Corrupt {
        /// English, for developers.
        detail: String,
    },
    /// A defect, here or in the node.
    Internal {
        /// English, for developers.
        detail: String,
    },
}

#[uniffi::export]
impl ChasquiError {
    /// A stable name, the same in every language.
    pub fn code(&self) -> String {
        chasqui::Error::from(self).code().to_owned()
    }

    /// Whether the very same call may succeed later.
    pub fn is_retryable(&self) -> bool {
        chasqui::Error::from(self).is_retryable()
    }
}

impl std::fmt::Display for ChasquiError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let error = chasqui::Error::from(self);
        write!(f, "{}: {error}", error.code())
    }
}

impl std::error::Error for ChasquiError {}

impl From<chasqui::Error> for ChasquiError {
    fn from(error: chasqui::Error) -> Self {
        use chasqui::Error;
        match error {
            Error::Offline { detail } => Self::Offline { detail },
            Error::WrongClock { detail } => Self::WrongClock { detail },
            Error::Unauthorised => Self::Unauthorised,
            Error::Forbidden { detail } => Self::Forbidden { detail },
            Error::NotFound { what } => Self::NotFound { what: what.to_owned() },
            Error::NameTaken => Self::NameTaken,
            Error::Invalid { detail } => Self::Invalid { detail },
            Error::TooLarge { size, limit } => Self::TooLarge { size: signed(size), limit: signed(limit) },
            Error::RateLimited { retry_after_ms } => {
                Self::RateLimited { retry_after_ms: signed(retry_after_ms.into()) }
            }
            Error::InvalidToken { detail } => Self::InvalidToken { detail },
            Error::InvalidCode => Self::InvalidCode,
            Error::AttemptsExhausted { retry_after_ms } => {
                Self::AttemptsExhausted { retry_after_ms: signed(retry_after_ms.into()) }
            }
            Error::WaitingPeriod { retry_after_ms } => {
                Self::WaitingPeriod { retry_after_ms: signed(retry_after_ms.into()) }
            }
            Error::PinNeeded => Self::PinNeeded,
            Error::WrongPin => Self::WrongPin,
            Error::AccountDeleted => Self::AccountDeleted,
            Error::ProofNeeded => Self::ProofNeeded,
            Error::Unavailable { detail } => Self::Unavailable { detail },
            Error::StorageFull => Self::StorageFull,
            Error::NotEnrolled => Self::NotEnrolled,
            Error::LogInAgain => Self::LogInAgain,
            Error::NotLinked => Self::NotLinked,
            Error::LinkingFailed { detail } => Self::LinkingFailed { detail },
            Error::WrongPhrase => Self::WrongPhrase,
            Error::OtherDevice => Self::OtherDevice,
            Error::AlreadyEnrolled => Self::AlreadyEnrolled,
            Error::FolderInUse => Self::FolderInUse,
            Error::Incompatible { detail } => Self::Incompatible { detail },
            Error::Suspended => Self::Suspended,
            Error::Closed => Self::Closed,
            Error::Corrupt { detail } => Self::Corrupt { detail },
            Error::Internal { detail } => Self::Internal { detail },
            // There is no other; a test fails when there is.
            other => Self::Internal { detail: other.to_string() },
        }
    }
}

/// What the core says about an error is said in one place.
impl From<&ChasquiError> for chasqui::Error {
    fn from(error: &ChasquiError) -> Self {
        match error {
            ChasquiError::Offline { detail } => Self::Offline { detail: detail.clone() },
            ChasquiError::WrongClock { detail } => Self::WrongClock { detail: detail.clone() },
            ChasquiError::Unauthorised => Self::Unauthorised,
            ChasquiError::Forbidden { detail } => Self::Forbidden { detail: detail.clone() },
            ChasquiError::NotFound { what } => Self::NotFound { what: known(what) },
            ChasquiError::NameTaken => Self::NameTaken,
            ChasquiError::Invalid { detail } => Self::Invalid { detail: detail.clone() },
            ChasquiError::TooLarge { size, limit } => Self::TooLarge { size: narrowed(*size), limit: narrowed(*limit) },
            ChasquiError::RateLimited { retry_after_ms } => {
                Self::RateLimited { retry_after_ms: narrowed(*retry_after_ms) }
            }
            ChasquiError::InvalidToken { detail } => Self::InvalidToken { detail: detail.clone() },
            ChasquiError::InvalidCode => Self::InvalidCode,
            ChasquiError::AttemptsExhausted { retry_after_ms } => {
                Self::AttemptsExhausted { retry_after_ms: narrowed(*retry_after_ms) }
            }
            ChasquiError::WaitingPeriod { retry_after_ms } => {
                Self::WaitingPeriod { retry_after_ms: narrowed(*retry_after_ms) }
            }
            ChasquiError::PinNeeded => Self::PinNeeded,
            ChasquiError::WrongPin => Self::WrongPin,
            ChasquiError::AccountDeleted => Self::AccountDeleted,
            ChasquiError::ProofNeeded => Self::ProofNeeded,
            ChasquiError::Unavailable { detail } => Self::Unavailable { detail: detail.clone() },
            ChasquiError::StorageFull => Self::StorageFull,
            ChasquiError::NotEnrolled => Self::NotEnrolled,
            ChasquiError::LogInAgain => Self::LogInAgain,
            ChasquiError::NotLinked => Self::NotLinked,
            ChasquiError::LinkingFailed { detail } => Self::LinkingFailed { detail: detail.clone() },
            ChasquiError::WrongPhrase => Self::WrongPhrase,
            ChasquiError::OtherDevice => Self::OtherDevice,
            ChasquiError::AlreadyEnrolled => Self::AlreadyEnrolled,
            ChasquiError::FolderInUse => Self::FolderInUse,
            ChasquiError::Incompatible { detail } => Self::Incompatible { detail: detail.clone() },
            ChasquiError::Suspended => Self::Suspended,
            ChasquiError::Closed => Self::Closed,
            ChasquiError::Corrupt { detail } => Self::Corrupt { detail: detail.clone() },
            ChasquiError::Internal { detail } => Self::Internal { detail: detail.clone() },
        }
    }
}

/// What was widened before.
fn narrowed<T: TryFrom<i64> + Default>(number: i64) -> T {
    T::try_from(number).unwrap_or_default()
}

/// What is looked for: the words that [`chasqui::Error::NotFound`] uses.
fn known(what: &str) -> &'static str {
    const WORDS: [&str; 3] = ["user", "conversation", "message"];
    WORDS.into_iter().find(|&word| word == what).unwrap_or("thing")
}

/// A stable code for a refusal by the node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, uniffi::Enum)]
pub enum ErrorCode {
    /// A field is missing, too long or contradicts another.
    Invalid,
    /// The body is above `limits.body_bytes`, or more devices take part than fit into one frame.
    TooLarge,
    /// No user of that id or name.
    UnknownUser,
    /// The recipient has no device that could ever receive it.
    Unreachable,
    /// The conversation exists with another kind or protection, or this user is not in it.
    Forbidden,
    /// The message id was used for another message.
    MessageIdTaken,
    /// An earlier send of this stream was refused; begin again from there with `restart`.
    StreamStalled,
    /// Too many at once or a minute.
    RateLimited,
    /// The recipient's mailbox is full.
    MailboxFull,
    /// The node's disk is full.
    StorageFull,
    /// Something that this node does not do (yet).
    NotSupported,
    /// The conversation moved on to another epoch: catch up and encrypt again.
    EpochConflict,
    /// Missing, wrong or expired credentials.
    Unauthorised,
    /// The name is taken.
    NameTaken,
    /// The user has as many devices as are allowed.
    TooManyDevices,
    /// No such thing.
    NotFound,
    /// The node failed; nothing was done.
    Internal,
    /// The device was revoked.
    DeviceRevoked,
    /// The request speaks a protocol version or belongs to a realm that this node does not serve.
    Incompatible,
    /// The token of the app's backend is forged, expired or for somebody else: get a new one.
    InvalidToken,
    /// The code from a telephone is wrong, used or too old.
    InvalidCode,
    /// No guesses are left: ask for another code, or wait as told before another PIN.
    AttemptsExhausted,
    /// The number's account is in use and not to be taken over before a time.
    WaitingPeriod,
    /// The number's account has a PIN, which is needed beside the code.
    PinNeeded,
    /// Not the account's PIN.
    WrongPin,
    /// Something that the node itself needs does not answer.
    Unavailable,
    /// The account was deleted, for good.
    AccountDeleted,
    /// A proof that the account has (password, PIN, fresh token) is missing, or the password is wrong.
    ProofNeeded,
    /// The recipient has not accepted yet that this user writes, and as much as is allowed until then was written.
    RequestPending,
    /// Devices of members came or went: claim, commit, and send again.
    RosterStale,
    /// This device is not among the conversation's devices: begin its group anew, and send again.
    NotInRoster,
    /// Nobody of the user has linked this device: it takes no part in encrypted conversations.
    NotLinked,
    /// A code that this version does not know.
    Unknown {
        /// The number that travelled.
        number: i64,
    },
}

impl From<chasqui::ErrorCode> for ErrorCode {
    fn from(code: chasqui::ErrorCode) -> Self {
        use chasqui::ErrorCode;
        match code {
            ErrorCode::Invalid => Self::Invalid,
            ErrorCode::TooLarge => Self::TooLarge,
            ErrorCode::UnknownUser => Self::UnknownUser,
            ErrorCode::Unreachable => Self::Unreachable,
            ErrorCode::Forbidden => Self::Forbidden,
            ErrorCode::MessageIdTaken => Self::MessageIdTaken,
            ErrorCode::StreamStalled => Self::StreamStalled,
            ErrorCode::RateLimited => Self::RateLimited,
            ErrorCode::MailboxFull => Self::MailboxFull,
            ErrorCode::StorageFull => Self::StorageFull,
            ErrorCode::NotSupported => Self::NotSupported,
            ErrorCode::EpochConflict => Self::EpochConflict,
            ErrorCode::Unauthorised => Self::Unauthorised,
            ErrorCode::NameTaken => Self::NameTaken,
            ErrorCode::TooManyDevices => Self::TooManyDevices,
            ErrorCode::NotFound => Self::NotFound,
            ErrorCode::Internal => Self::Internal,
            ErrorCode::DeviceRevoked => Self::DeviceRevoked,
            ErrorCode::Incompatible => Self::Incompatible,
            ErrorCode::InvalidToken => Self::InvalidToken,
            ErrorCode::InvalidCode => Self::InvalidCode,
            ErrorCode::AttemptsExhausted => Self::AttemptsExhausted,
            ErrorCode::WaitingPeriod => Self::WaitingPeriod,
            ErrorCode::PinNeeded => Self::PinNeeded,
            ErrorCode::WrongPin => Self::WrongPin,
            ErrorCode::Unavailable => Self::Unavailable,
            ErrorCode::AccountDeleted => Self::AccountDeleted,
            ErrorCode::ProofNeeded => Self::ProofNeeded,
            ErrorCode::RequestPending => Self::RequestPending,
            ErrorCode::RosterStale => Self::RosterStale,
            ErrorCode::NotInRoster => Self::NotInRoster,
            ErrorCode::NotLinked => Self::NotLinked,
            // There is no other than `Unknown`; a test fails when there is.
            other => Self::Unknown { number: other.number().into() },
        }
    }
}

#[cfg(test)]
mod tests {
    use chasqui::Error;

    use super::*;

    #[test]
    fn what_is_told_of_an_error_is_what_the_core_tells() {
        let detail = || "why".to_owned();
        for error in [
            Error::Offline { detail: detail() },
            Error::WrongClock { detail: detail() },
            Error::Unauthorised,
            Error::NotFound { what: "message" },
            Error::TooLarge { size: 70_000, limit: 65_536 },
            Error::RateLimited { retry_after_ms: 1_500 },
            Error::WaitingPeriod { retry_after_ms: u32::MAX },
            Error::StorageFull,
            Error::WrongPhrase,
            Error::FolderInUse,
            Error::Closed,
        ] {
            let told = ChasquiError::from(error.clone());
            assert_eq!((told.code().as_str(), told.is_retryable()), (error.code(), error.is_retryable()), "{error:?}");
            assert_eq!(told.to_string(), format!("{}: {error}", error.code()));
            assert_eq!(Error::from(&told), error);
        }
    }

    #[test]
    fn every_code_of_the_node_has_a_name_of_its_own() {
        let mut named: Vec<String> = Vec::new();
        for &code in chasqui::ErrorCode::ALL {
            assert_eq!(format!("{:?}", ErrorCode::from(code)), format!("{code:?}"));
            named.push(format!("{code:?}"));
        }
        named.dedup();
        assert_eq!(named.len(), chasqui::ErrorCode::ALL.len());
        assert_eq!(ErrorCode::from(chasqui::ErrorCode::Unknown(9999)), ErrorCode::Unknown { number: 9999 });
    }
}
