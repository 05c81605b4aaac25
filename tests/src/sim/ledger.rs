//! What the node may say once only, or at one epoch: held against it with each of its answers, before devices mend what
//! comes of a mistake.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use chasqui::MessageId;
use chasqui_node::relay::{Event, Op, SessionId, Work};
use chasqui_wire::{Claimed, ConversationId, DeviceId};
use ring::digest::{SHA256, digest};
use rusqlite::Connection;

/// What the node has said, as a copy of it remembers.
#[derive(Clone, Default)]
pub(super) struct Ledger {
    /// One-time key packages that were given away, of which devices.
    given: BTreeSet<(DeviceId, Bytes)>,
    /// The epoch up to which commits were taken.
    epochs: BTreeMap<ConversationId, u64>,
    accepted: BTreeSet<MessageId>,
}

/// A send that waits for its answer.
struct Asked {
    conversation: ConversationId,
    epoch: u64,
    is_commit: bool,
}

impl Ledger {
    /// Notes what the node answers to a batch, after which its database is as given. The error is what it should not have said.
    pub(super) fn note(
        &mut self,
        database: &Connection,
        sends: &Sends,
        events: &[(SessionId, Event)],
    ) -> Result<(), String> {
        for (session, event) in events {
            match event {
                Event::Claimed(claimed) => self.given(database, claimed)?,
                Event::Accepted(accepted) => {
                    if let Some(asked) = sends.0.get(&(*session, accepted.message)) {
                        self.accepted(accepted.message, asked)?;
                    }
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn given(&mut self, database: &Connection, claimed: &Claimed) -> Result<(), String> {
        let sql = "SELECT EXISTS (SELECT 1 FROM key_package JOIN device USING (device)
                   WHERE id = ? AND hash = ? AND NOT is_last_resort)";
        for package in &claimed.packages {
            let (device, hash) = (package.entry.device, digest(&SHA256, &package.body));
            let is_one_time = database.query_row(sql, (device.as_bytes(), hash.as_ref()), |row| row.get(0));
            if is_one_time.expect("the node can be queried") && !self.given.insert((device, package.body.clone())) {
                return Err(format!("the node gives a key package of {device} a second time"));
            }
        }
        Ok(())
    }

    /// A message or commit is of the epoch to which the commits before it have led. What is repeated is answered as the first time.
    fn accepted(&mut self, message: MessageId, asked: &Asked) -> Result<(), String> {
        let Asked { conversation, epoch, is_commit } = *asked;
        if !self.accepted.insert(message) {
            return Ok(());
        }
        let present = self.epochs.entry(conversation).or_default();
        if epoch != *present {
            let what = if is_commit { "commit" } else { "message" };
            return Err(format!("the node takes a {what} of epoch {epoch} of {conversation}, which is at {present}"));
        }
        *present += u64::from(is_commit);
        Ok(())
    }
}

/// What a batch asks the node to take.
pub(super) struct Sends(BTreeMap<(SessionId, MessageId), Asked>);

impl Sends {
    pub(super) fn of(batch: &[Work]) -> Self {
        let asked = |work: &Work| {
            let Work::Session(session, Op::Publish(send)) = work else { return None };
            let (conversation, epoch, is_commit) = (send.conversation, send.epoch, send.commit.is_some());
            Some(((*session, send.message), Asked { conversation, epoch, is_commit }))
        };
        Self(batch.iter().filter_map(asked).collect())
    }
}
