//! Export: everything that this device holds, as lines of JSON that any program can read. Shapes: docs/export.md.
//!
//! Guarantees: a page at a time, so that memory is bounded and queries are answered in between; no secrets; a file whose last
//! line is missing did not end.

use std::io::{self, Write};

use base64::Engine as _;
use chasqui_wire::{ConversationId, ConversationKind, DeviceId, ErrorCode, HoleReason, Protection, UserId};
use serde_json::{Value, json};

use crate::client::Client;
use crate::domain::{
    ConversationSummary, Cursor, Delivery, Failure, Message, MessageContent, MessageState, TimelineItem, Undelivered,
};
use crate::error::Error;
use crate::history::History;
use crate::store::StoreError;

/// Of the file.
const FORMAT: u32 = 1;
/// Lines that are read and written at once.
const PAGE: u32 = 256;

impl Client {
    /// Writes everything that this device holds of the account, and returns what it was written into, flushed. What arrives
    /// meanwhile may be in it or not.
    ///
    /// # Errors
    /// [`Error::StorageFull`] and [`Error::Invalid`] when it cannot be written; [`Error::Suspended`]. What was written so far
    /// has no last line then.
    pub async fn export<W: Write + Send + 'static>(&self, into: W) -> Result<W, Error> {
        let mut export = Export { into, lines: 0, next: Some(Part::Account) };
        while export.next.is_some() {
            let page = move |history: History<'_>| {
                let written = export.page(history)?;
                Ok((export, written))
            };
            let written;
            (export, written) = self.driver.query(page).await?;
            written.map_err(unwritable)?;
        }
        export.into.flush().map_err(unwritable)?;
        Ok(export.into)
    }

    /// As [`Self::export`], for whoever keeps files elsewhere: the same bytes, a page at a time.
    pub fn export_pages(&self) -> ExportPages {
        ExportPages { client: self.clone(), lines: 0, next: Some(Part::Account) }
    }

    /// What the node holds about the user, in its words (JSON): docs/export.md.
    ///
    /// # Errors
    /// [`Error::NotEnrolled`], [`Error::Offline`].
    pub async fn export_from_node(&self) -> Result<String, Error> {
        let api = std::sync::Arc::clone(&self.driver.api);
        self.driver.on_network(async move { api.account_export().await }).await
    }
}

/// An export that is taken a page at a time.
#[derive(Debug)]
pub struct ExportPages {
    client: Client,
    lines: u64,
    next: Option<Part>,
}

impl ExportPages {
    /// The next whole lines, or `None` after the last. After an error the same page may be asked for again; dropping the
    /// future loses nothing.
    ///
    /// # Errors
    /// [`Error::Suspended`], [`Error::Closed`].
    pub async fn next(&mut self) -> Result<Option<Vec<u8>>, Error> {
        while self.next.is_some() {
            let mut export = Export { into: Vec::new(), lines: self.lines, next: self.next };
            let page = move |history: History<'_>| {
                let written = export.page(history)?;
                Ok((export, written))
            };
            let (export, written) = self.client.driver.query(page).await?;
            written.map_err(unwritable)?;
            (self.lines, self.next) = (export.lines, export.next);
            // A part may be empty, where nothing of its kind is here.
            if !export.into.is_empty() {
                return Ok(Some(export.into));
            }
        }
        Ok(None)
    }
}

pub(crate) fn unwritable(error: io::Error) -> Error {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Error::StorageFull,
        _ => Error::Invalid { detail: format!("the file cannot be written: {error}") },
    }
}

/// An export that is being written.
struct Export<W> {
    into: W,
    lines: u64,
    /// `None` = it ended.
    next: Option<Part>,
}

/// What the next page holds.
#[derive(Clone, Copy, Debug)]
enum Part {
    Account,
    Users(Option<UserId>),
    Devices(Option<DeviceId>),
    /// The conversation after this row.
    Conversation(i64),
    Timeline(i64, ConversationId, Cursor),
    End,
}

impl<W: Write> Export<W> {
    fn page(&mut self, history: History<'_>) -> Result<io::Result<()>, StoreError> {
        let Some(part) = self.next.take() else { return Ok(Ok(())) };
        let (lines, next) = match part {
            Part::Account => {
                let mut lines = vec![json!({"kind": "export", "format": FORMAT, "sdk": env!("CARGO_PKG_VERSION")})];
                lines.extend(history.account()?.map(|account| {
                    let (user, name, device, node) = (account.user, account.name, account.device, account.node);
                    json!({"kind": "account", "user": user, "name": name, "device": device, "node": node})
                }));
                (lines, Part::Users(None))
            }
            Part::Users(after) => {
                let users = history.users_after(after, PAGE)?;
                let next = users.last().map_or(Part::Devices(None), |user| Part::Users(Some(user.user)));
                let line = |user: &KnownUser| {
                    let key = user.identity_key.map(base64);
                    json!({"kind": "user", "user": user.user, "name": user.name, "identity_key": key, "deleted": user.deleted})
                };
                (users.iter().map(line).collect(), next)
            }
            Part::Devices(after) => {
                let devices = history.devices_after(after, PAGE)?;
                let next = devices.last().map_or(Part::Conversation(0), |device| Part::Devices(Some(device.device)));
                let line = |device: &KnownDevice| {
                    let (id, user) = (device.device, device.user);
                    json!({"kind": "device", "device": id, "user": user, "key": base64(device.key)})
                };
                (devices.iter().map(line).collect(), next)
            }
            Part::Conversation(after) => match history.conversation_after(after)? {
                Some((row, summary)) => {
                    (vec![conversation(&summary)], Part::Timeline(row, summary.id, Cursor::BEGINNING))
                }
                None => (Vec::new(), Part::End),
            },
            Part::Timeline(row, id, after) => {
                let page = history.timeline_after(id, after, PAGE)?;
                let lines = page.items.iter().map(|item| line(&history, item)).collect::<Result<_, _>>()?;
                (lines, page.newer.map_or(Part::Conversation(row), |newer| Part::Timeline(row, id, newer)))
            }
            Part::End => {
                let last = json!({"kind": "end", "lines": self.lines});
                return Ok(self.write(&last));
            }
        };
        self.next = Some(next);
        Ok(lines.iter().try_for_each(|line| self.write(line)))
    }

    fn write(&mut self, line: &Value) -> io::Result<()> {
        self.lines += 1;
        self.into.write_all(format!("{line}\n").as_bytes())
    }
}

/// Somebody who is known here.
#[derive(Clone, Debug)]
pub(crate) struct KnownUser {
    pub(crate) user: UserId,
    pub(crate) name: Option<String>,
    pub(crate) identity_key: Option<[u8; 32]>,
    pub(crate) deleted: bool,
}

/// A device whose key is known here.
#[derive(Clone, Debug)]
pub(crate) struct KnownDevice {
    pub(crate) device: DeviceId,
    pub(crate) user: UserId,
    pub(crate) key: [u8; 32],
}

fn base64(bytes: impl AsRef<[u8]>) -> String {
    base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(bytes)
}

fn conversation(summary: &ConversationSummary) -> Value {
    let sort = match summary.kind {
        ConversationKind::Direct => "direct",
        ConversationKind::Group => "group",
        ConversationKind::Channel => "channel",
    };
    let protection = match summary.protection {
        Protection::NodeReadable => "node_readable",
        Protection::EndToEnd => "end_to_end",
    };
    json!({
        "kind": "conversation", "conversation": summary.id, "sort": sort, "protection": protection,
        "peer": summary.peer, "unread": summary.unread, "read_up_to": summary.read_up_to,
        "is_request": summary.is_request, "activity": summary.activity,
    })
}

fn line(history: &History<'_>, item: &TimelineItem) -> Result<Value, StoreError> {
    Ok(match item {
        TimelineItem::Message(shown) => message(shown, &history.body(shown.id)?),
        TimelineItem::Gap { conversation, seq } => json!({"kind": "gap", "conversation": conversation, "seq": seq}),
        TimelineItem::Hole { conversation, first, last, reason } => {
            let reason = match reason {
                HoleReason::MailboxFull => "mailbox_full",
                HoleReason::Absent => "absent",
                _ => "other",
            };
            json!({"kind": "hole", "conversation": conversation, "first": first, "last": last, "reason": reason})
        }
    })
}

fn message(message: &Message, body: &[u8]) -> Value {
    let mut line = json!({
        "kind": "message", "message": message.id, "conversation": message.conversation, "seq": message.seq,
        "sender": message.sender, "sender_device": message.sender_device, "is_own": message.is_own,
        "created_at": message.created_at, "accepted_at": message.accepted_at,
        "state": state(message.state),
    });
    let fields = line.as_object_mut().expect("an object was just made");
    match message.state {
        MessageState::Failed(Failure::Refused(code)) => drop(fields.insert("reason".into(), refusal(code))),
        MessageState::Failed(Failure::TooOld) => drop(fields.insert("reason".into(), "too_old".into())),
        MessageState::Undelivered(reason) => drop(fields.insert("reason".into(), undelivered(reason).into())),
        MessageState::Pending | MessageState::Sent | MessageState::Received | MessageState::Read => {}
    }
    match &message.content {
        MessageContent::Text(text) => drop(fields.insert("text".into(), text.clone().into())),
        // Whatever this version cannot show another program may.
        MessageContent::Unsupported | MessageContent::Unreadable => {
            fields.insert("body".into(), base64(body).into());
        }
    }
    if message.is_own {
        fields.insert("deliveries".into(), message.deliveries.iter().map(delivery).collect());
    }
    line
}

fn state(state: MessageState) -> &'static str {
    match state {
        MessageState::Pending => "pending",
        MessageState::Sent => "sent",
        MessageState::Received => "received",
        MessageState::Read => "read",
        MessageState::Undelivered(_) => "undelivered",
        MessageState::Failed(_) => "failed",
    }
}

fn refusal(code: ErrorCode) -> Value {
    code.name().into()
}

fn undelivered(reason: Undelivered) -> &'static str {
    match reason {
        Undelivered::Expired => "expired",
        Undelivered::Unreadable => "unreadable",
        Undelivered::DeviceGone => "device_gone",
        Undelivered::Refused => "refused",
    }
}

fn delivery(delivery: &Delivery) -> Value {
    json!({
        "user": delivery.user, "received_at": delivery.received_at, "read_at": delivery.read_at,
        "undelivered": delivery.undelivered.map(undelivered),
    })
}
