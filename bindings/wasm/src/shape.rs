//! How values look in TypeScript: `bindings/wasm/js/types.ts` says the same, with the documentation.

use chasqui::{
    Account, Blocked, Change, ConnectionState, ConversationKind, ConversationSummary, Delivery, DeviceInfo, Error,
    Failure, HistoryTransfer, HoleReason, Incomplete, Message, MessageContent, MessageState, PhoneChallenge,
    Protection, SafetyNumber, Salvage, SearchHit, SecurityEvent, SecurityEventKind, TimelineItem, TimelinePage, Trust,
    Typing, Undelivered, Update, UserInfo,
};
use serde_json::{Map, Value, json};

pub(crate) fn account(account: &Account) -> Value {
    let Account { user, name, device, node, is_linked } = account;
    json!({"user": user, "name": name, "device": device, "node": node, "isLinked": is_linked})
}

pub(crate) fn challenge(challenge: &PhoneChallenge) -> Value {
    let PhoneChallenge { id, expires_in_ms, resend_after_ms } = challenge;
    json!({"id": id, "expiresInMs": expires_in_ms, "resendAfterMs": resend_after_ms})
}

pub(crate) fn user(user: &UserInfo) -> Value {
    json!({"user": user.user, "name": user.name})
}

pub(crate) fn device(device: &DeviceInfo) -> Value {
    json!({
        "device": device.device, "name": device.name, "createdAt": device.created_at,
        "lastSeenAt": device.last_seen_at, "isThisDevice": device.is_this_device,
    })
}

pub(crate) fn conversation(line: &ConversationSummary) -> Value {
    let kind = match line.kind {
        ConversationKind::Direct => "direct",
        ConversationKind::Group => "group",
        ConversationKind::Channel => "channel",
    };
    let protection = match line.protection {
        Protection::NodeReadable => "nodeReadable",
        Protection::EndToEnd => "endToEnd",
    };
    json!({
        "id": line.id, "kind": kind, "protection": protection, "peer": line.peer, "peerName": line.peer_name,
        "peerTrust": trust(line.peer_trust), "peerDeleted": line.peer_deleted, "isRequest": line.is_request,
        "unread": line.unread, "readUpTo": line.read_up_to, "lastMessage": line.last_message.as_ref().map(message),
        "activity": line.activity,
    })
}

pub(crate) fn typing(list: &[Typing]) -> Value {
    list.iter().map(|Typing { conversation, user }| json!({"conversation": conversation, "user": user})).collect()
}

fn trust(trust: Trust) -> &'static str {
    match trust {
        Trust::Unverified => "unverified",
        Trust::Verified => "verified",
        Trust::Changed => "changed",
    }
}

pub(crate) fn safety_number(number: &SafetyNumber) -> Value {
    let SafetyNumber { digits, scannable, trust: known, changed_at } = number;
    json!({"digits": digits, "scannable": scannable, "trust": trust(*known), "changedAt": changed_at})
}

pub(crate) fn security_event(event: &SecurityEvent) -> Value {
    let SecurityEvent { number, at, kind, user, device, conversation } = event;
    let kind = match kind {
        SecurityEventKind::IdentityChanged => "identityChanged",
        SecurityEventKind::OwnIdentityReplaced => "ownIdentityReplaced",
        SecurityEventKind::UntrustedDevice => "untrustedDevice",
        SecurityEventKind::ForgedMessage => "forgedMessage",
        SecurityEventKind::ForgedChange => "forgedChange",
        SecurityEventKind::ForkedConversation => "forkedConversation",
        SecurityEventKind::MissingMessage => "missingMessage",
        SecurityEventKind::KeyPackagesExhausted => "keyPackagesExhausted",
        _ => "other",
    };
    json!({"number": number, "at": at, "kind": kind, "user": user, "device": device, "conversation": conversation})
}

pub(crate) fn transfer(transfer: Option<HistoryTransfer>) -> Value {
    transfer.map_or(
        Value::Null,
        |HistoryTransfer { messages, per_mille }| json!({"messages": messages, "perMille": per_mille}),
    )
}

pub(crate) fn message(message: &Message) -> Value {
    let content = match &message.content {
        MessageContent::Text(text) => json!({"kind": "text", "text": text}),
        MessageContent::Unreadable => json!({"kind": "unreadable"}),
        MessageContent::Unsupported | _ => json!({"kind": "unsupported"}),
    };
    json!({
        "id": message.id, "conversation": message.conversation, "seq": message.seq, "sender": message.sender,
        "senderDevice": message.sender_device, "isOwn": message.is_own, "content": content,
        "createdAt": message.created_at, "acceptedAt": message.accepted_at, "state": state(message.state),
        "deliveries": message.deliveries.iter().map(delivery).collect::<Value>(),
    })
}

fn state(state: MessageState) -> Value {
    match state {
        MessageState::Pending => json!({"kind": "pending"}),
        MessageState::Sent => json!({"kind": "sent"}),
        MessageState::Received => json!({"kind": "received"}),
        MessageState::Read => json!({"kind": "read"}),
        MessageState::Undelivered(reason) => json!({"kind": "undelivered", "reason": undelivered(reason)}),
        MessageState::Failed(Failure::Refused(code)) => {
            json!({"kind": "failed", "reason": "refused", "refusal": code.name()})
        }
        MessageState::Failed(Failure::TooOld | _) => json!({"kind": "failed", "reason": "tooOld"}),
    }
}

fn undelivered(reason: Undelivered) -> &'static str {
    match reason {
        Undelivered::Expired => "expired",
        Undelivered::Unreadable => "unreadable",
        Undelivered::DeviceGone => "deviceGone",
        Undelivered::Refused | _ => "refused",
    }
}

fn delivery(delivery: &Delivery) -> Value {
    json!({
        "user": delivery.user, "receivedAt": delivery.received_at, "readAt": delivery.read_at,
        "undelivered": delivery.undelivered.map(undelivered),
    })
}

pub(crate) fn item(item: &TimelineItem) -> Value {
    match item {
        TimelineItem::Message(shown) => json!({"kind": "message", "message": message(shown)}),
        TimelineItem::Gap { conversation, seq } => json!({"kind": "gap", "conversation": conversation, "seq": seq}),
        TimelineItem::Hole { conversation, first, last, reason } => {
            let reason = match reason {
                HoleReason::MailboxFull => "mailboxFull",
                HoleReason::Absent => "absent",
                HoleReason::Other | _ => "other",
            };
            json!({"kind": "hole", "conversation": conversation, "first": first, "last": last, "reason": reason})
        }
    }
}

pub(crate) fn page(page: &TimelinePage) -> Value {
    let cursor = |cursor: &Option<chasqui::Cursor>| cursor.map(|cursor| cursor.to_string());
    json!({
        "items": page.items.iter().map(item).collect::<Value>(),
        "older": cursor(&page.older), "newer": cursor(&page.newer),
    })
}

pub(crate) fn hit(hit: &SearchHit) -> Value {
    json!({"message": message(&hit.message), "cursor": hit.cursor.to_string()})
}

pub(crate) fn incomplete(incomplete: &Incomplete) -> Value {
    let Incomplete { since, absent_since, holes } = incomplete;
    json!({"since": since, "absentSince": absent_since, "holes": holes})
}

pub(crate) fn connection(state: ConnectionState) -> Value {
    match state {
        ConnectionState::Offline => json!({"kind": "offline"}),
        ConnectionState::Connecting => json!({"kind": "connecting"}),
        ConnectionState::CatchingUp => json!({"kind": "catchingUp"}),
        ConnectionState::Online => json!({"kind": "online"}),
        ConnectionState::Blocked(reason) => json!({"kind": "blocked", "reason": blocked(reason)}),
    }
}

fn blocked(reason: Blocked) -> &'static str {
    match reason {
        Blocked::NotEnrolled => "notEnrolled",
        Blocked::Suspended => "suspended",
        Blocked::Unauthorised => "unauthorised",
        Blocked::Revoked => "revoked",
        Blocked::StorageFull => "storageFull",
        Blocked::Copied => "copied",
        Blocked::KeysLost => "keysLost",
        Blocked::Incompatible | _ => "incompatible",
    }
}

pub(crate) fn salvage(salvage: &Salvage) -> Value {
    let table =
        |table: &chasqui::SavedTable| json!({"name": table.name, "rows": table.rows, "isWhole": table.is_whole});
    json!({
        "number": salvage.number, "cause": salvage.cause, "keptAs": salvage.kept_as,
        "isLogMissing": salvage.is_log_missing, "tables": salvage.tables.iter().map(table).collect::<Value>(),
        "unsent": salvage.unsent, "gaps": salvage.gaps, "keysLost": salvage.keys_lost,
        "isComplete": salvage.is_complete(),
    })
}

pub(crate) fn update<T>(update: &Update<T>, line: impl Fn(&T) -> Value) -> Value {
    match update {
        Update::Reset(lines) => json!({"kind": "reset", "items": lines.iter().map(line).collect::<Value>()}),
        Update::Changes(changes) => {
            let change = |change: &Change<T>| match change {
                Change::Insert { index, item } => json!({"kind": "insert", "index": index, "item": line(item)}),
                Change::Update { index, item } => json!({"kind": "update", "index": index, "item": line(item)}),
                Change::Remove { index } => json!({"kind": "remove", "index": index}),
            };
            json!({"kind": "changes", "changes": changes.iter().map(change).collect::<Value>()})
        }
    }
}

/// An error, with the data that it carries.
pub fn error(error: &Error) -> Value {
    let mut shape = Map::new();
    shape.insert("code".into(), error.code().into());
    shape.insert("message".into(), error.to_string().into());
    shape.insert("isRetryable".into(), error.is_retryable().into());
    match error {
        Error::RateLimited { retry_after_ms }
        | Error::AttemptsExhausted { retry_after_ms }
        | Error::WaitingPeriod { retry_after_ms } => {
            drop(shape.insert("retryAfterMs".into(), (*retry_after_ms).into()))
        }
        Error::TooLarge { size, limit } => {
            shape.insert("size".into(), (*size).into());
            shape.insert("limit".into(), (*limit).into());
        }
        Error::NotFound { what } => drop(shape.insert("what".into(), (*what).into())),
        Error::Offline { detail }
        | Error::WrongClock { detail }
        | Error::Forbidden { detail }
        | Error::Invalid { detail }
        | Error::InvalidToken { detail }
        | Error::Unavailable { detail }
        | Error::Incompatible { detail }
        | Error::Corrupt { detail }
        | Error::Internal { detail } => drop(shape.insert("detail".into(), detail.as_str().into())),
        _ => {}
    }
    Value::Object(shape)
}
