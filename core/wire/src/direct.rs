//! The id of a direct conversation follows from who is in it, so both sides may start it at once, offline.

use uuid::{Uuid, uuid};

use crate::{ConversationId, Protection, UserId};

/// The namespace of direct conversation ids (a UUIDv4 drawn once for Chasqui).
const NAMESPACE: Uuid = uuid!("5b1f6a0e-6c1c-4a53-9d0f-3b7c0f1c2a77");

/// UUIDv5 (RFC 9562, section 5.5) over the lower user id, the higher user id, and one byte of protection.
///
/// The two ids may be the same: notes to oneself.
pub fn direct_conversation(one: UserId, other: UserId, protection: Protection) -> ConversationId {
    let (low, high) = if one <= other { (one, other) } else { (other, one) };
    let mut name = [0; 33];
    name[..16].copy_from_slice(low.as_bytes());
    name[16..32].copy_from_slice(high.as_bytes());
    name[32] = protection.number();
    ConversationId::from(Uuid::new_v5(&NAMESPACE, &name))
}
