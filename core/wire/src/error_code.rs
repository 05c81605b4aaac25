//! Why a node refused something: the same codes on the socket (`rejected`) and over HTTP (`error.code`).

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $number:literal, $text:literal, $retry:literal;)*) => {
        /// A stable code for a refusal. Numbers travel on the socket, names over HTTP; neither ever changes meaning.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[non_exhaustive]
        pub enum ErrorCode {
            $($(#[$doc])* $name,)*
            /// A code that this version does not know; carries the number, 0 for an unknown name.
            Unknown(u32),
        }

        impl ErrorCode {
            /// All codes that this version knows.
            pub const ALL: &[Self] = &[$(Self::$name),*];

            /// The number on the socket.
            pub const fn number(self) -> u32 {
                match self { $(Self::$name => $number,)* Self::Unknown(number) => number }
            }

            /// The code of that number.
            pub const fn from_number(number: u32) -> Self {
                match number { $($number => Self::$name,)* other => Self::Unknown(other) }
            }

            /// The name over HTTP.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$name => $text,)* Self::Unknown(_) => "unknown" }
            }

            /// The code of that name.
            pub fn from_name(name: &str) -> Self {
                match name { $($text => Self::$name,)* _ => Self::Unknown(0) }
            }

            /// Whether the very same request may succeed later.
            pub const fn is_retryable(self) -> bool {
                match self { $(Self::$name => $retry,)* Self::Unknown(_) => false }
            }
        }
    };
}

codes! {
    /// A field is missing, too long or contradicts another.
    Invalid = 1, "invalid", false;
    /// The body is above `limits.body_bytes`, or more devices take part than fit into one frame.
    TooLarge = 2, "too_large", false;
    /// No user of that id or name.
    UnknownUser = 3, "unknown_user", false;
    /// The recipient has no device that could ever receive it.
    Unreachable = 4, "unreachable", false;
    /// The conversation exists with another kind or protection, or this user is not in it.
    Forbidden = 5, "forbidden", false;
    /// The message id was used for another message.
    MessageIdTaken = 6, "message_id_taken", false;
    /// An earlier send of this stream was refused; begin again from there with `restart`.
    StreamStalled = 7, "stream_stalled", true;
    /// Too many at once or a minute.
    RateLimited = 8, "rate_limited", true;
    /// The recipient's mailbox is full.
    MailboxFull = 9, "mailbox_full", true;
    /// The node's disk is full.
    StorageFull = 10, "storage_full", true;
    /// Something that this node does not do (yet).
    NotSupported = 11, "not_supported", false;
    /// The conversation moved on to another epoch: catch up and encrypt again.
    EpochConflict = 12, "epoch_conflict", true;
    /// Missing, wrong or expired credentials.
    Unauthorised = 13, "unauthorised", false;
    /// The name is taken.
    NameTaken = 14, "name_taken", false;
    /// The user has as many devices as are allowed.
    TooManyDevices = 15, "too_many_devices", false;
    /// No such thing.
    NotFound = 16, "not_found", false;
    /// The node failed; nothing was done.
    Internal = 17, "internal", true;
    /// The device was revoked.
    DeviceRevoked = 18, "device_revoked", false;
    /// The request speaks a protocol version or belongs to a realm that this node does not serve.
    Incompatible = 19, "incompatible", false;
    /// The token of the app's backend is forged, expired or for somebody else: get a new one.
    InvalidToken = 20, "invalid_token", false;
    /// The code from a telephone is wrong, used or too old.
    InvalidCode = 21, "invalid_code", false;
    /// No guesses are left: ask for another code, or wait as told before another PIN.
    AttemptsExhausted = 22, "attempts_exhausted", false;
    /// The number's account is in use and not to be taken over before a time.
    WaitingPeriod = 23, "waiting_period", false;
    /// The number's account has a PIN, which is needed beside the code.
    PinNeeded = 24, "pin_needed", false;
    /// Not the account's PIN.
    WrongPin = 25, "wrong_pin", false;
    /// Something that the node itself needs does not answer.
    Unavailable = 26, "unavailable", true;
    /// The account was deleted, for good.
    AccountDeleted = 27, "account_deleted", false;
    /// A proof that the account has (password, PIN, fresh token) is missing, or the password is wrong.
    ProofNeeded = 28, "proof_needed", false;
    /// The recipient has not accepted yet that this user writes, and as much as is allowed until then was written.
    RequestPending = 29, "request_pending", false;
    /// Devices of members came or went: claim, commit, and send again.
    RosterStale = 30, "roster_stale", true;
    /// This device is not among the conversation's devices: begin its group anew, and send again.
    NotInRoster = 31, "not_in_roster", true;
    /// Nobody of the user has linked this device: it takes no part in encrypted conversations.
    NotLinked = 32, "not_linked", false;
}

impl std::fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_names_lead_back() {
        for &code in ErrorCode::ALL {
            assert_eq!(ErrorCode::from_number(code.number()), code);
            assert_eq!(ErrorCode::from_name(code.name()), code);
        }
        assert_eq!(ErrorCode::from_number(9999), ErrorCode::Unknown(9999));
    }
}
