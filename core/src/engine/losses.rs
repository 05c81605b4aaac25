//! What the node says is missing: one message, a run of them, or all that came while the device was away. People see it.

use chasqui_wire::{Absence, AckOutcome, Gap, Hole, Protection, SeqRanges};

use super::inbox::{Dealt, direct_head};
use super::{Engine, Turn};
use crate::planted::{PlantedBug, planted};
use crate::store::{self, ConversationRow, NewHole, StoreError};

impl Engine {
    /// The device was away for too long.
    pub(super) fn absence(&mut self, turn: &mut Turn<'_>, absence: &Absence) -> Result<AckOutcome, StoreError> {
        if store::note_absence(turn.db, absence.since)? {
            store::note_lost(turn.db, None)?;
        }
        turn.changes.incomplete = true;
        self.catch_up(turn)?;
        Ok(AckOutcome::Noted)
    }

    pub(super) fn gap(&mut self, turn: &mut Turn<'_>, gap: &Gap) -> Result<AckOutcome, StoreError> {
        let Some(own_user) = self.account.as_ref().map(|account| account.user) else {
            return Ok(AckOutcome::Noted);
        };
        if planted(PlantedBug::GapIgnored) {
            return Ok(AckOutcome::Noted);
        }
        let Some(head) = direct_head(own_user, gap.conversation, gap.kind, gap.protection, gap.sender_user, gap.peer)
        else {
            return Ok(AckOutcome::Unreadable);
        };
        let conversation = self.conversation(turn, &head)?;
        if store::holds(turn.db, &conversation, gap.seq)? {
            // It had arrived, only the acknowledgement was lost: better news for the sender.
            return Ok(AckOutcome::Stored);
        }
        // What people do not see is no reason for anything to be missing.
        if store::note_gap(turn.db, &conversation, gap.seq, gap.sender_user, gap.at)? {
            store::note_lost(turn.db, Some(conversation.id))?;
        }
        conversation.raise_head(turn.db, gap.seq)?;
        turn.changed(conversation.id);
        self.missed_in(turn, &conversation)?;
        Ok(AckOutcome::Noted)
    }

    /// With oneself, what is missing may be what another device said.
    fn missed_in(&mut self, turn: &mut Turn<'_>, conversation: &ConversationRow) -> Result<(), StoreError> {
        let is_own = self.account.as_ref().is_some_and(|account| conversation.peer == Some(account.user));
        if is_own && conversation.protection == Protection::EndToEnd {
            self.catch_up(turn)?;
        }
        Ok(())
    }

    /// What is not held of a run of positions is missing for good, as far as the node is concerned.
    pub(super) fn hole(&mut self, turn: &mut Turn<'_>, hole: &Hole) -> Result<Dealt, StoreError> {
        let Some(own_user) = self.account.as_ref().map(|account| account.user) else {
            return Ok(AckOutcome::Noted.into());
        };
        if planted(PlantedBug::HoleIgnored) {
            return Ok(AckOutcome::Noted.into());
        }
        // The peer stands in for the sender: either way the conversation is the one between the two.
        let Some(peer) = hole.peer else { return Ok(AckOutcome::Unreadable.into()) };
        let Some(head) = direct_head(own_user, hole.conversation, hole.kind, hole.protection, own_user, Some(peer))
        else {
            return Ok(AckOutcome::Unreadable.into());
        };
        let conversation = self.conversation(turn, &head)?;
        let Hole { range, reason, since, .. } = *hole;
        if store::note_hole(turn.db, &conversation, &NewHole { range, reason, since, sender: peer })? {
            turn.changes.incomplete = true;
            store::note_lost(turn.db, Some(conversation.id))?;
        }
        conversation.raise_head(turn.db, range.last())?;
        turn.changed(conversation.id);
        self.missed_in(turn, &conversation)?;
        // What had arrived, and only the acknowledgement was lost: better news for the senders.
        let held = store::held_from_others(turn.db, &conversation, range)?.oldest(SeqRanges::MAX);
        Ok(Dealt { outcome: AckOutcome::Noted, held })
    }
}
