//! Reading the devices' databases after the devices have closed them.

use std::path::Path;

use chasqui::{Account, Message, MessageContent, MessageId, MessageState, Protection, Seq, Store, StoreError};

use crate::canary;

/// Lines of a timeline, and conversations, that are asked for at once.
const PAGE: u32 = 256;

/// One device's history, oldest first.
#[derive(Clone, Debug)]
pub(crate) struct History {
    pub(crate) who: &'static str,
    pub(crate) account: Account,
    pub(crate) unread: u32,
    /// Positions that stay empty.
    pub(crate) gaps: usize,
    pub(crate) messages: Vec<Kept>,
    /// Nobody but the members' devices can read any of its conversations.
    pub(crate) is_encrypted: bool,
}

/// A message as a device keeps it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Kept {
    pub(crate) id: MessageId,
    pub(crate) seq: Option<Seq>,
    pub(crate) is_own: bool,
    /// Written on this very device.
    pub(crate) is_from_here: bool,
    pub(crate) state: MessageState,
    pub(crate) text: String,
    /// As it went over the wire.
    pub(crate) body: Vec<u8>,
}

/// Why a history cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AuditError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("it belongs to nobody")]
    Nobody,
}

impl History {
    pub(crate) fn read(who: &'static str, folder: &Path) -> Result<Self, AuditError> {
        let store = Store::open(&folder.join("history.db"))?;
        let history = store.history();
        let account = history.account()?.ok_or(AuditError::Nobody)?;
        let (mut newest_first, mut gaps, mut is_encrypted) = (Vec::new(), 0, true);
        for conversation in history.conversations(PAGE)? {
            is_encrypted &= conversation.protection == Protection::EndToEnd;
            let mut before = None;
            loop {
                let page = history.timeline_before(conversation.id, before, PAGE)?;
                gaps += page.items.iter().filter(|item| item.message().is_none()).count();
                let messages = page.items.iter().rev().filter_map(|item| item.message());
                newest_first.extend(messages.map(|message| Kept::of(message, &account)));
                match page.older {
                    Some(older) => before = Some(older),
                    None => break,
                }
            }
        }
        newest_first.reverse();
        Ok(Self { who, unread: history.total_unread()?, account, gaps, messages: newest_first, is_encrypted })
    }
}

impl Kept {
    fn of(message: &Message, account: &Account) -> Self {
        let text = match &message.content {
            MessageContent::Text(text) => text.clone(),
            // Nobody sends anything but texts here: this differs from whatever was sent.
            _ => String::new(),
        };
        Self {
            id: message.id,
            seq: message.seq,
            is_own: message.is_own,
            is_from_here: message.sender_device == account.device,
            state: message.state,
            body: canary::body(message.id, message.created_at, &text),
            text,
        }
    }
}
