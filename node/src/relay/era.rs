//! Eras: the node notices, or is told, that it came back from an older copy of itself.

use chasqui_wire::{Checkpoint, Era, Timestamp};

use super::step::Step;
use super::{Event, Relay, RelayError, SessionId};

impl Relay {
    /// The operator says that this data is an older copy. All sessions are told to come back and reconcile.
    ///
    /// # Errors
    /// The commit failed; the era is the old one.
    pub fn begin_era(&mut self, now: Timestamp) -> Result<Vec<(SessionId, Event)>, RelayError> {
        let ((), events) = self.transact(now, |step| step.begin_era(step.era() + 1))?;
        Ok(events)
    }
}

impl Step<'_> {
    /// A checkpoint that this node sealed and cannot have reached shows that its data is an older copy.
    pub(super) fn heed_checkpoint(&mut self, checkpoint: &Checkpoint) -> Result<(), RelayError> {
        let (era, revision) = (self.era(), self.state.revision);
        let is_ahead = (checkpoint.era, checkpoint.revision) > (era, revision);
        if self.pending.new_era.is_none() && is_ahead && self.state.keys.made(checkpoint) {
            self.begin_era(era.max(checkpoint.era) + 1)?;
        }
        Ok(())
    }

    fn begin_era(&mut self, number: u32) -> Result<(), RelayError> {
        // The restore lies before this process opened the data: from there on, older eras are forgotten.
        let era = Era { number, began_at_revision: self.state.opened_at_revision };
        self.sql("INSERT INTO era (number, began_at_revision) VALUES (?1, ?2)")?
            .execute((era.number, era.began_at_revision))?;
        self.sql("UPDATE node SET era = ?1")?.execute([era.number])?;
        self.pending.changed = true;
        self.pending.new_era = Some(era);
        let sessions: Vec<SessionId> = self.state.online().values().map(|online| online.who.session).collect();
        let joined: Vec<SessionId> = self.pending.joined.keys().copied().collect();
        for session in sessions.into_iter().chain(joined) {
            if self.pending.left.insert(session) {
                self.answer(session, Event::NewEra);
            }
        }
        Ok(())
    }
}
