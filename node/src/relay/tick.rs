//! What the relay does when nobody asks: expiry, forgetting answered message ids, syncing erased bodies, and keeping
//! the log short. The caller asks [`Relay::wake_at`] when.

use std::time::Duration;

use chasqui_wire::Timestamp;

use super::{Event, Relay, RelayError, SessionId};
use crate::store::EnvelopeRow;

/// Milliseconds between two purges of the idempotency memory.
const PURGE_EVERY: u64 = 60 * 60 * 1000;
/// Milliseconds for which an answered message id is remembered: the greatest age of an outbox entry.
const REMEMBERED: u64 = 30 * 24 * 60 * 60 * 1000;
/// Milliseconds between two looks for devices that were not seen for too long.
const LOOK_EVERY: u64 = 60 * 60 * 1000;
/// Milliseconds between two looks for segments that are mostly dead, and between two transactions that empty them.
pub(super) const COMPACT_EVERY: u64 = 10_000;
const COMPACT_AGAIN: u64 = 50;
/// Milliseconds for which codes to a number count.
const CODES_REMEMBERED: u64 = 24 * 60 * 60 * 1000;
/// Milliseconds without a commit after which the log is truncated.
const IDLE: u64 = 2_000;
/// How long a commit waits for whoever else has opened the database, which only an operator can: rusqlite's default.
const BUSY: Duration = Duration::from_secs(5);

impl Relay {
    /// When [`Self::tick`] is due.
    pub fn wake_at(&self) -> Option<Timestamp> {
        let idle = self.state.log_written_at.map(|at| at.plus_millis(IDLE));
        let state = &self.state;
        let due = [
            Some(state.next_purge),
            Some(state.next_absence),
            Some(state.next_compaction.0).filter(|_| state.bodies.segments() > state.options.segments_kept),
            state.next_expiry,
            state.bodies.wake_at(),
            state.reserve_due(),
            idle,
        ];
        due.into_iter().flatten().min()
    }

    /// Does what is due: each part for itself, so that one that fails keeps no other from being done. The error is the
    /// first of them; what was not done is still due. The events are to be handed out in any case: they are on disk.
    pub fn tick(&mut self, now: Timestamp) -> (Vec<(SessionId, Event)>, Option<RelayError>) {
        let mut events = Vec::new();
        let mut failed = Vec::new();
        if self.state.next_expiry.is_some_and(|due| due <= now) {
            failed.extend(self.expire(now, &mut events).err());
        }
        if self.state.next_absence <= now {
            failed.extend(self.look_for_absent(now, &mut events).err());
        }
        if self.state.next_purge <= now {
            failed.extend(self.purge(now).err());
        }
        if self.state.next_compaction.0 <= now {
            failed.extend(self.compact(now, &mut events).err());
        }
        if self.state.bodies.wake_at().is_some_and(|due| due <= now) {
            failed.extend(self.state.bodies.sync_erased(now).err().map(RelayError::from));
        }
        if self.state.log_written_at.is_some_and(|at| at.plus_millis(IDLE) <= now) {
            failed.extend(self.truncate_log(now).err());
        }
        let mut failed = failed.into_iter();
        let first = failed.next();
        match &first {
            // Other failures of housekeeping are no reason to accept nothing: one bad segment may be behind them.
            Some(error) if error.is_full() => self.press(now, error),
            _ if self.state.reserve_due().is_some_and(|due| due <= now) => self.hold_reserve(now),
            Some(_) | None => {}
        }
        for error in failed {
            tracing::error!(%error, "housekeeping failed in more than one way");
        }
        (events, first)
    }

    fn expire(&mut self, now: Timestamp, events: &mut Vec<(SessionId, Event)>) -> Result<(), RelayError> {
        let (has_more, expired) = self.transact(now, |step| step.expire())?;
        events.extend(expired);
        self.state.next_expiry = if has_more { Some(now) } else { self.next_expiry(now)? };
        Ok(())
    }

    fn look_for_absent(&mut self, now: Timestamp, events: &mut Vec<(SessionId, Event)>) -> Result<(), RelayError> {
        let absent_ms = self.state.options.absent_ms;
        let cutoff = Timestamp(now.0.saturating_sub_unsigned(absent_ms));
        let (has_more, told) = self.transact(now, |step| step.mark_absent(cutoff))?;
        events.extend(told);
        self.state.next_absence = if has_more { now } else { now.plus_millis(LOOK_EVERY.min(absent_ms / 2)) };
        Ok(())
    }

    fn compact(&mut self, now: Timestamp, events: &mut Vec<(SessionId, Event)>) -> Result<(), RelayError> {
        let after = self.state.next_compaction.1;
        self.state.next_compaction = (now.plus_millis(COMPACT_EVERY), EnvelopeRow(0));
        let segments = self.state.bodies.sparse(self.state.options.segments_kept);
        // Moving takes room before it gives any.
        if segments.is_empty() || !self.state.takes_growth(now) {
            return Ok(());
        }
        let (rest, told) = self.transact(now, |step| step.compact(&segments, after))?;
        events.extend(told);
        if let Some(rest) = rest {
            self.state.next_compaction = (now.plus_millis(COMPACT_AGAIN), rest);
        }
        Ok(())
    }

    /// Makes everything durable and the log empty, for a stop. The relay may go on afterwards.
    ///
    /// # Errors
    /// The disk failed. Nothing that was accepted is lost.
    pub fn settle_down(&mut self, now: Timestamp) -> Result<(), RelayError> {
        self.state.bodies.sync_erased(now)?;
        if self.state.has_log { self.truncate_log(now) } else { Ok(()) }
    }

    /// What is due already is in flight; the end of its session makes it due again.
    fn next_expiry(&self, now: Timestamp) -> Result<Option<Timestamp>, RelayError> {
        let sql = "SELECT min(expires_at) FROM envelope WHERE expires_at > ?1";
        let next: Option<i64> = self.db.prepare_cached(sql)?.query_row([now.0], |row| row.get(0))?;
        Ok(next.map(Timestamp))
    }

    /// Forgets message ids that were answered long ago, by the node's clock: their own time is the device's.
    fn purge(&mut self, now: Timestamp) -> Result<(), RelayError> {
        let until = now.0.saturating_sub_unsigned(REMEMBERED);
        self.db.prepare_cached("DELETE FROM accepted WHERE at < ?1")?.execute([until])?;
        let yesterday = now.0.saturating_sub_unsigned(CODES_REMEMBERED);
        let sql = "DELETE FROM phone_code WHERE since < ?1 AND expires_at < ?2";
        self.db.prepare_cached(sql)?.execute([yesterday, now.0])?;
        // A device says its key packages again for as long as it has no answer.
        self.db.prepare_cached("DELETE FROM key_package WHERE given_at < ?1")?.execute([until])?;
        self.state.next_purge = now.plus_millis(PURGE_EVERY);
        Ok(())
    }

    /// Somebody who reads (a backup, an operator's look) keeps the log as it is; the relay does not wait for them.
    fn truncate_log(&mut self, now: Timestamp) -> Result<(), RelayError> {
        self.db.busy_timeout(Duration::ZERO)?;
        let is_busy = self.db.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get::<_, bool>(0));
        self.db.busy_timeout(BUSY)?;
        self.state.log_written_at = is_busy?.then_some(now);
        Ok(())
    }
}
