//! A step in progress. Nothing of it is said before its transaction committed.
//!
//! What follows from the messages as they stand in the end (a conversation's last message, what the full-text index
//! holds) is brought up to date once, when everything else is done: see [`Turn::settle`].

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};

use chasqui_wire::{Ack, AckItem, ClientFrame, ConversationId, Timestamp};
use rusqlite::Connection;

use super::{ChangeSet, Output, SocketId};
use crate::planted::{PlantedBug, planted};
use crate::store::{Ask as _, ConversationKey, ConversationRow, IndexChange, StoreError};

/// One step in progress: the open transaction, and what is to be said once it committed.
pub(super) struct Turn<'a> {
    pub(super) db: &'a Connection,
    pub(super) now: Timestamp,
    pub(super) outputs: Vec<Output>,
    pub(super) acks: Vec<AckItem>,
    /// Of holes in which something is held all the same.
    pub(super) hole_acks: Vec<Ack>,
    pub(super) changes: ChangeSet,
    /// In the order in which it happened. Kept aside, because FTS5 writes out what it has gathered at every savepoint: a
    /// segment for each message, and the merging of them, would cost several times what storing the message does.
    index: Vec<IndexChange>,
    /// Whose newest message may be another one now.
    arranged: BTreeSet<ConversationKey>,
    /// Whose messages may be read or unread now without having come or gone.
    reread: BTreeSet<ConversationKey>,
}

impl<'a> Turn<'a> {
    pub(super) fn new(db: &'a Connection, now: Timestamp) -> Self {
        Self {
            db,
            now,
            outputs: Vec::new(),
            acks: Vec::new(),
            hole_acks: Vec::new(),
            changes: ChangeSet::default(),
            index: Vec::new(),
            arranged: BTreeSet::new(),
            reread: BTreeSet::new(),
        }
    }

    pub(super) fn transmit(&mut self, socket: SocketId, frame: &ClientFrame) {
        self.outputs.push(Output::Transmit(socket, frame.encode()));
    }

    /// Something about this conversation is shown differently now.
    pub(super) fn changed(&mut self, conversation: ConversationId) {
        self.changes.conversations.insert(conversation);
    }

    /// A message came, went or moved: the newest may be another one.
    pub(super) fn arranged(&mut self, conversation: &ConversationRow) {
        self.arranged.insert(conversation.key);
        self.changed(conversation.id);
    }

    /// Messages became read, or unread, in another way than by arriving.
    pub(super) fn reread(&mut self, conversation: &ConversationRow) {
        self.reread.insert(conversation.key);
        self.changed(conversation.id);
    }

    /// What can be found by searching changes.
    pub(super) fn index(&mut self, change: IndexChange) {
        self.index.push(change);
    }

    /// Brings up to date what follows from the messages. The last thing before the commit.
    pub(super) fn settle(&mut self) -> Result<(), StoreError> {
        for key in std::mem::take(&mut self.reread) {
            key.recount_unread(self.db)?;
        }
        for key in std::mem::take(&mut self.arranged) {
            key.refresh_last_message(self.db)?;
        }
        for change in std::mem::take(&mut self.index) {
            change.apply(self.db)?;
        }
        Ok(())
    }

    /// Runs `work` so that its failure, even a panic, does not take its neighbours in the step with it.
    pub(super) fn in_savepoint<T>(
        &mut self,
        work: impl FnOnce(&mut Self) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        self.db.run("SAVEPOINT input", [])?;
        let indexed = self.index.len();
        let outcome = catch_unwind(AssertUnwindSafe(|| work(self))).unwrap_or(Err(StoreError::Panicked));
        if let Err(error) = &outcome {
            // The whole step is given up then. A full disk may have ended the transaction already, and what ran from here
            // on would be committed line by line.
            if error.is_systemic() && !planted(PlantedBug::FullDiskIsPoison) {
                return outcome;
            }
            if self.db.is_autocommit() {
                return Err(StoreError::RolledBack);
            }
            self.db.execute_batch("ROLLBACK TO input")?;
            // What else was noted is looked up again from what is there; this is not.
            self.index.truncate(indexed);
        }
        self.db.run("RELEASE input", [])?;
        outcome
    }
}
