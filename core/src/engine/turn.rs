//! A step in progress. Nothing of it is said before its transaction committed.

use std::panic::{AssertUnwindSafe, catch_unwind};

use chasqui_wire::{Ack, AckItem, ClientFrame, ConversationId, Timestamp};
use rusqlite::Connection;

use super::{ChangeSet, Output, SocketId};
use crate::planted::{PlantedBug, planted};
use crate::store::StoreError;

/// One step in progress: the open transaction, and what is to be said once it committed.
pub(super) struct Turn<'a> {
    pub(super) db: &'a Connection,
    pub(super) now: Timestamp,
    pub(super) outputs: Vec<Output>,
    pub(super) acks: Vec<AckItem>,
    /// Of holes in which something is held all the same.
    pub(super) hole_acks: Vec<Ack>,
    pub(super) changes: ChangeSet,
}

impl Turn<'_> {
    pub(super) fn transmit(&mut self, socket: SocketId, frame: &ClientFrame) {
        self.outputs.push(Output::Transmit(socket, frame.encode()));
    }

    pub(super) fn changed(&mut self, conversation: ConversationId) {
        self.changes.conversations.insert(conversation);
    }
}

/// Runs `work` so that its failure, even a panic, does not take its neighbours in the step with it.
pub(super) fn in_savepoint<T>(db: &Connection, work: impl FnOnce() -> Result<T, StoreError>) -> Result<T, StoreError> {
    db.prepare_cached("SAVEPOINT input")?.execute([])?;
    let outcome = catch_unwind(AssertUnwindSafe(work)).unwrap_or(Err(StoreError::Panicked));
    if let Err(error) = &outcome {
        // The whole step is given up then. A full disk may have ended the transaction already, and what ran from here on
        // would be committed line by line.
        if error.is_systemic() && !planted(PlantedBug::FullDiskIsPoison) {
            return outcome;
        }
        if db.is_autocommit() {
            return Err(StoreError::RolledBack);
        }
        db.execute_batch("ROLLBACK TO input")?;
    }
    db.prepare_cached("RELEASE input")?.execute([])?;
    outcome
}
