//! Eras: the node notices, or is told, that it came back from an older copy of itself.

use chasqui_wire::{Checkpoint, Era, Seq, Timestamp};

use super::step::Step;
use super::{Event, Relay, RelayError, SessionId, State};
use crate::planted::{PlantedBug, planted};

impl Relay {
    /// The operator says that this data is an older copy. All sessions are told to come back and reconcile.
    ///
    /// # Errors
    /// The commit failed; the era is the old one.
    pub fn begin_era(&mut self, now: Timestamp) -> Result<Vec<(SessionId, Event)>, RelayError> {
        self.begin_era_at(self.next_era(now, None), now)
    }

    /// The era to begin now. `begun` is the last that a copy of this data is known to have begun.
    pub fn next_era(&self, now: Timestamp, begun: Option<u32>) -> u32 {
        if planted(PlantedBug::EraTwice) {
            return self.state.era + 1;
        }
        (self.state.era.max(begun.unwrap_or(0)) + 1).max(by_clock(now))
    }

    /// [`Self::begin_era`] with the number that [`Self::next_era`] gave.
    ///
    /// # Errors
    /// The commit failed; the era is the old one.
    pub fn begin_era_at(&mut self, number: u32, now: Timestamp) -> Result<Vec<(SessionId, Event)>, RelayError> {
        let ((), events) = self.transact(now, |step| {
            // The restore lies before this process opened the data: from there on, older eras are forgotten.
            let restored_at = step.state.opening().at_revision;
            step.begin_era(number, restored_at)
        })?;
        Ok(events)
    }
}

/// The number of an era that begins at that time, if no later one is known: it counts the intervals of 128 seconds since
/// 2026. So no two restores begin the same era, whatever copies they are of, unless they come within one interval; and
/// the numbers last until 2060.
fn by_clock(now: Timestamp) -> u32 {
    const SINCE: Timestamp = Timestamp(1_767_225_600_000);
    const INTERVAL: u64 = 128_000;
    /// What comes after the last interval, or of a clock that is wrong by decades, is counted in these.
    const SPARE: u32 = 1 << 16;
    let intervals = now.millis_since(SINCE) / INTERVAL;
    u32::try_from(intervals).unwrap_or(u32::MAX).min(Seq::ERA_MAX - SPARE)
}

/// One start of a process on this data.
#[derive(Clone, Copy, Debug)]
pub(super) struct Opening {
    pub(super) id: [u8; 8],
    /// The revision that it found.
    pub(super) at_revision: u64,
    /// By the node's clock.
    pub(super) at: Timestamp,
}

impl State {
    /// A checkpoint of this process.
    pub(super) fn checkpoint(&self, era: u32, revision: u64) -> Checkpoint {
        self.keys.checkpoint(era, revision, self.opening().id)
    }

    pub(super) fn opening(&self) -> Opening {
        *self.openings.last().expect("opening the data adds one")
    }

    /// The last revision that this data surely shares with the past of the checkpoint; `None` if all of that past is
    /// in this data, as far as the checkpoint can tell.
    fn parted_at(&self, checkpoint: &Checkpoint, era: u32) -> Option<u64> {
        let Some(index) = self.openings.iter().rposition(|opening| opening.id == checkpoint.opening) else {
            return Some(self.restored_at());
        };
        match self.openings.get(index + 1) {
            Some(next) if checkpoint.revision > next.at_revision => Some(next.at_revision),
            Some(_) => None,
            // Only entropy that was used twice makes the same name in two futures.
            None => ((checkpoint.era, checkpoint.revision) > (era, self.revision)).then(|| self.opening().at_revision),
        }
    }

    /// What the start found that may have been the first on an older copy. A restored node tends to be started more
    /// than once, so this goes back a day: to go back too far only lets devices send again what is known.
    fn restored_at(&self) -> u64 {
        let now = self.opening();
        let began = self.eras.last().map_or(0, |era| era.began_at_revision);
        let is_recent = |opening: &&Opening| {
            now.at.millis_since(opening.at) < Self::RESTORED_WITHIN && opening.at_revision >= began
        };
        let recent = self.openings.iter().rev().take_while(is_recent).last();
        recent.map_or(now.at_revision, |opening| opening.at_revision)
    }

    const RESTORED_WITHIN: u64 = 24 * 60 * 60 * 1000;
}

impl Step<'_> {
    /// A checkpoint that this node sealed in a past that is not in its data shows that the data is an older copy. Those
    /// of older eras say nothing new: their era was ended for it.
    pub(super) fn heed_checkpoint(&mut self, checkpoint: &Checkpoint) -> Result<(), RelayError> {
        let era = self.era();
        if self.pending.new_era.is_some() || checkpoint.era < era {
            return Ok(());
        }
        if let Some(parted_at) = self.state.parted_at(checkpoint, era)
            && self.state.keys.made(checkpoint)
        {
            self.begin_era((checkpoint.era + 1).max(by_clock(self.now)), parted_at)?;
        }
        Ok(())
    }

    pub(super) fn write_opening(&self) -> Result<(), RelayError> {
        let opening = self.state.opening();
        self.sql("INSERT INTO opening (id, at_revision, at) VALUES (?1, ?2, ?3)")?.execute((
            opening.id,
            opening.at_revision,
            opening.at.0,
        ))?;
        Ok(())
    }

    fn begin_era(&mut self, number: u32, began_at_revision: u64) -> Result<(), RelayError> {
        if number > Seq::ERA_MAX {
            return Err(RelayError::Damaged("there are no eras left"));
        }
        let era = Era { number, began_at_revision };
        self.sql("INSERT INTO era (number, began_at_revision) VALUES (?1, ?2)")?
            .execute((era.number, era.began_at_revision))?;
        self.sql("UPDATE node SET era = ?1")?.execute([era.number])?;
        // Which of them were given away since the copy was made, nobody knows any more, and none may be given twice.
        self.sql("DELETE FROM key_package WHERE NOT is_last_resort AND given_at IS NULL")?.execute([])?;
        self.state.directory.forget_groups();
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
