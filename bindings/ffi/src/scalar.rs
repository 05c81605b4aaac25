//! Ids, positions, times and counts: text and numbers on the way, a type of its own in each language (`uniffi.toml`).
//!
//! What comes in is parsed here: an id that is none is [`ChasquiError::Invalid`].

use std::str::FromStr;

use chasqui::{ConversationId, Cursor, DeviceId, MessageId, RealmId, Seq, Timestamp, UserId};

use crate::error::ChasquiError;

uniffi::custom_type!(
    /// The app that a node or cluster serves. A UUID.
    RealmId, String, { remote, lower: |id| id.to_string(), try_lift: |text| parsed(&text, "realm id") }
);
uniffi::custom_type!(
    /// A person's account. A UUID.
    UserId, String, { remote, lower: |id| id.to_string(), try_lift: |text| parsed(&text, "user id") }
);
uniffi::custom_type!(
    /// One installation of the app, with a mailbox and a signing key of its own. A UUID.
    DeviceId, String, { remote, lower: |id| id.to_string(), try_lift: |text| parsed(&text, "device id") }
);
uniffi::custom_type!(
    /// A direct conversation, a group or a channel. A UUID.
    ConversationId, String, { remote, lower: |id| id.to_string(), try_lift: |text| parsed(&text, "conversation id") }
);
uniffi::custom_type!(
    /// A message. A UUID, made by the device that sends it.
    MessageId, String, { remote, lower: |id| id.to_string(), try_lift: |text| parsed(&text, "message id") }
);
uniffi::custom_type!(
    /// A place in a timeline; stays valid while messages come and go. Opaque text.
    Cursor, String, { remote, lower: |cursor| cursor.to_string(), try_lift: |text| parsed(&text, "cursor") }
);
uniffi::custom_type!(
    /// A message's position in its conversation: the order of the history on every device. Below 2^53.
    Seq, u64, { remote, lower: |seq| seq.raw(), try_lift: |raw| seq(raw) }
);
uniffi::custom_type!(
    /// A point in time, exact to the millisecond. For display; never for order.
    Timestamp, i64, { remote, lower: |time| time.0, try_lift: |millis| Ok(Timestamp(millis)) }
);

/// How many, or which one. From 0 to 2^32 - 1; anything else is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Count(pub u32);

uniffi::custom_type!(
    /// How many, or which one.
    Count, i64, { lower: |count| count.0.into(), try_lift: |count| counted(count) }
);

impl From<u32> for Count {
    fn from(count: u32) -> Self {
        Self(count)
    }
}

impl From<usize> for Count {
    /// Lists that cross to another language are shorter than 2^32.
    fn from(count: usize) -> Self {
        Self(u32::try_from(count).unwrap_or(u32::MAX))
    }
}

/// For what no history reaches.
pub(crate) fn signed(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// Reads back [`signed`].
pub(crate) fn unsigned(count: i64, what: &str) -> Result<u64, ChasquiError> {
    u64::try_from(count).map_err(|_| invalid(format!("{what} {count} is below 0")))
}

fn parsed<T: FromStr>(text: &str, what: &str) -> uniffi::Result<T> {
    // The text is not repeated: it may be something that people wrote.
    text.parse().map_err(|_| invalid(format!("a text of {} bytes is no {what}", text.len())).into())
}

fn seq(raw: u64) -> uniffi::Result<Seq> {
    Seq::from_raw(raw).ok_or_else(|| invalid(format!("{raw} is no position")).into())
}

fn counted(count: i64) -> uniffi::Result<Count> {
    let within = u32::try_from(count).map(Count);
    within.map_err(|_| invalid(format!("{count} is not between 0 and {}", u32::MAX)).into())
}

fn invalid(detail: String) -> ChasquiError {
    ChasquiError::Invalid { detail }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused<T: std::fmt::Debug>(lifted: uniffi::Result<T>) {
        let error = lifted.expect_err("it is refused").downcast::<ChasquiError>();
        let error = error.expect("as the typed error, which the host is told as such");
        assert!(matches!(error, ChasquiError::Invalid { .. }), "{error:?}");
    }

    #[test]
    fn what_is_no_id_is_invalid_and_not_repeated() {
        let id = "0190f5f0-0000-7000-8000-000000000001";
        assert_eq!(parsed::<UserId>(id, "user id").unwrap().to_string(), id);
        for text in ["", "ana", "0190f5f0-0000-7000-8000-00000000000", "my secret"] {
            refused(parsed::<UserId>(text, "user id"));
            let told = parsed::<UserId>(text, "user id").unwrap_err().to_string();
            assert!(text.is_empty() || !told.contains(text), "{told}");
        }
    }

    #[test]
    fn positions_and_counts_have_bounds() {
        assert_eq!(seq(1).unwrap().raw(), 1);
        for raw in [0, 1 << 30, 1 << 53, u64::MAX] {
            refused(seq(raw));
        }
        assert_eq!(counted(4_294_967_295).unwrap(), Count(u32::MAX));
        for count in [-1, i64::MIN, 4_294_967_296] {
            refused(counted(count));
        }
        assert_eq!((signed(7), signed(u64::MAX)), (7, i64::MAX));
        assert!(unsigned(-1, "number").is_err());
    }
}
