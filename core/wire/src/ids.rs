//! Ids are UUIDs (RFC 9562) with a type each, so that the compiler catches swaps.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::FrameError;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(Uuid);

        impl $name {
            /// The id of these 16 bytes.
            pub const fn from_bytes(bytes: [u8; 16]) -> Self {
                Self(Uuid::from_bytes(bytes))
            }

            /// Parses exactly 16 bytes.
            pub fn from_slice(bytes: &[u8]) -> Result<Self, FrameError> {
                Uuid::from_slice(bytes).map(Self).map_err(|_| FrameError::Malformed(concat!(stringify!($name), " is not 16 bytes")))
            }

            /// The 16 bytes, in network order.
            pub const fn as_bytes(&self) -> &[u8; 16] {
                self.0.as_bytes()
            }

            /// The UUID behind it.
            pub const fn uuid(self) -> Uuid {
                self.0
            }

            pub(crate) fn wire(self) -> bytes::Bytes {
                bytes::Bytes::copy_from_slice(self.0.as_bytes())
            }
        }

        impl From<Uuid> for $name {
            fn from(uuid: Uuid) -> Self {
                Self(uuid)
            }
        }

        impl std::str::FromStr for $name {
            type Err = uuid::Error;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                text.parse().map(Self)
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                self.0.fmt(f)
            }
        }

        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self.0)
            }
        }
    };
}

id!(
    /// The app that a node or cluster serves.
    RealmId
);
id!(
    /// A person's account.
    UserId
);
id!(
    /// One installation of the app, with a mailbox and a signing key of its own.
    DeviceId
);
id!(
    /// A direct conversation, a group or a channel.
    ConversationId
);
id!(
    /// A message: UUIDv7 made by the sending device, the idempotency key from end to end.
    MessageId
);
