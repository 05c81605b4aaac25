//! Group commit: one transaction for all that waits, and only then its consequences.

use std::collections::{BTreeMap, BTreeSet};

use chasqui_wire::{ConversationId, ErrorCode, MessageId, Rejected, Timestamp};

use super::directory::Directory;
use super::step::{NewMail, Pending, Step};
use super::{Event, Op, Relay, RelayError, SessionId, State, Work};
use crate::planted::{PlantedBug, planted};
use crate::store::DeviceRow;

/// What a batch that is on disk gives to hand out.
pub(super) struct Settled {
    pub(super) events: Vec<(SessionId, Event)>,
    pub(super) mail: BTreeMap<DeviceRow, Vec<NewMail>>,
    /// The devices that may now take more of their backlog.
    pub(super) woken: BTreeSet<DeviceRow>,
}

impl Relay {
    /// Does all of the batch in one transaction, and answers when it is on disk.
    ///
    /// If one piece of work makes that fail, each is tried in a transaction of its own, so that it does not harm its
    /// neighbours; what fails alone is answered as failed. If the disk makes it fail, see `relay/pressure.rs`.
    pub fn commit(&mut self, now: Timestamp, mut batch: Vec<Work>) -> Vec<(SessionId, Event)> {
        let mut events = self.refuse_growth(now, &mut batch);
        if batch.is_empty() {
            return events;
        }
        let mut error = match self.try_commit(now, &mut batch) {
            Ok(answers) => {
                self.ease(&batch);
                events.extend(answers);
                return events;
            }
            Err(error) => error,
        };
        tracing::warn!(works = batch.len(), %error, "a batch failed");
        if error.is_systemic() {
            self.press(now, &error);
            events.extend(self.refuse_growth(now, &mut batch));
            error = match self.try_commit(now, &mut batch) {
                Ok(answers) => {
                    events.extend(answers);
                    return events;
                }
                Err(error) => error,
            };
        }
        if error.is_systemic() || batch.len() == 1 {
            for work in &mut batch {
                events.extend(self.answer_failure(now, work, &error));
            }
            return events;
        }
        for work in &mut batch {
            match self.try_commit(now, std::slice::from_mut(work)) {
                Ok(answers) => events.extend(answers),
                Err(error) => events.extend(self.answer_failure(now, work, &error)),
            }
        }
        events
    }

    /// Does all of the batch in one transaction, or none of it.
    ///
    /// # Errors
    /// The transaction failed: nothing was done, nothing is answered.
    pub fn try_commit(&mut self, now: Timestamp, batch: &mut [Work]) -> Result<Vec<(SessionId, Event)>, RelayError> {
        let ((), events) = self.transact(now, |step| batch.iter_mut().try_for_each(|work| step.apply(work)))?;
        Ok(events)
    }

    /// Runs `work` in one transaction, then applies what it noted.
    pub(super) fn transact<T>(
        &mut self,
        now: Timestamp,
        work: impl FnOnce(&mut Step<'_>) -> Result<T, RelayError>,
    ) -> Result<(T, Vec<(SessionId, Event)>), RelayError> {
        let (value, Settled { mut events, mail, woken }) = self.transact_undelivered(now, work)?;
        self.deliver(now, mail, woken, &mut events);
        Ok((value, events))
    }

    /// As [`Self::transact`], with the delivery left to the caller.
    pub(super) fn transact_undelivered<T>(
        &mut self,
        now: Timestamp,
        work: impl FnOnce(&mut Step<'_>) -> Result<T, RelayError>,
    ) -> Result<(T, Settled), RelayError> {
        self.db.prepare_cached("BEGIN IMMEDIATE")?.execute([])?;
        let mut step = Step { db: &self.db, state: &mut self.state, now, pending: Pending::default() };
        let done = work(&mut step).and_then(|value| {
            step.finish()?;
            step.state.bodies.sync_appended()?;
            Ok(value)
        });
        let pending = step.pending;
        let committed = done.and_then(|value| match self.db.prepare_cached("COMMIT")?.execute([]) {
            Ok(_) => Ok(value),
            Err(_) if planted(PlantedBug::EmitBeforeCommit) => Ok(value),
            Err(error) => Err(error.into()),
        });
        match committed {
            Ok(value) => Ok((value, self.settle(now, pending))),
            Err(error) => {
                self.state.tally.failures += 1;
                self.state.tally.is_failing = true;
                self.roll_back(now);
                for device in pending.counted {
                    self.state.mailboxes.forget(device);
                }
                for (session, conversation, before) in pending.stalls_before.into_iter().rev() {
                    self.state.set_stall(session, conversation, before);
                }
                Err(error)
            }
        }
    }

    fn roll_back(&mut self, now: Timestamp) {
        // SQLite has rolled back by itself after some errors, and says so.
        if !self.db.is_autocommit()
            && let Err(error) = self.db.execute_batch("ROLLBACK")
        {
            tracing::error!(%error, "a rollback failed");
        }
        self.state.bodies.drop_appended(now);
        self.state.directory = Directory::default();
    }

    /// The batch is on disk: memory follows, bodies are erased, answers and mail may leave.
    fn settle(&mut self, now: Timestamp, mut pending: Pending) -> Settled {
        let state = &mut self.state;
        state.tally.is_failing = false;
        state.tally.expired += pending.expired;
        state.tally.commits += pending.commits;
        state.tally.packages_given += pending.packages_given;
        state.tally.last_resorts_given += pending.last_resorts_given;
        state.tally.identity_resets += pending.identity_resets;
        state.bodies.keep_appended();
        state.bodies.erase(std::mem::take(&mut pending.erased), now);
        if pending.changed {
            state.revision += 1;
            state.is_opening_written = true;
            state.log_written_at = state.has_log.then_some(now);
        }
        if let Some(era) = pending.new_era {
            state.era = era.number;
            state.eras.push(era);
        }
        state.next_expiry = [state.next_expiry, pending.expiry].into_iter().flatten().min();
        state.settle_missed(&pending);
        for release in std::mem::take(&mut pending.releases) {
            release();
        }
        let events = std::mem::take(&mut pending.events);
        let woken = state.settle_seats(&mut pending, now);
        Settled { events, mail: pending.mail, woken }
    }

    /// What a session is told about work that failed alone.
    pub(super) fn answer_failure(
        &mut self,
        now: Timestamp,
        work: &mut Work,
        error: &RelayError,
    ) -> Option<(SessionId, Event)> {
        let retry_after_ms = self.state.retry_after_ms(now);
        let rejected = |message: MessageId| {
            let (code, detail) = (error.code(), "the node could not write; nothing was done".to_owned());
            Event::Rejected(Rejected { message, code, detail, retry_after_ms })
        };
        match work {
            Work::Call(call) => {
                call.fail(error.brief());
                None
            }
            Work::Session(session, Op::Publish(send)) => {
                self.state.set_stall(*session, send.conversation, true);
                Some((*session, rejected(send.message)))
            }
            Work::Session(session, Op::Read(read)) => Some((*session, rejected(read.id))),
            Work::Session(session, Op::Admit(admit)) => Some((*session, rejected(admit.id))),
            Work::Session(session, Op::KeyPackages(packages)) => Some((*session, rejected(packages.id))),
            Work::Session(session, Op::Claim(claim)) => Some((*session, rejected(claim.id))),
            Work::Session(_, Op::Signal(_)) => None,
            // Only when it was seen and how far it came is lost; the seat is not.
            Work::Session(session, Op::Detach) => {
                self.state.leave(*session);
                None
            }
            Work::Session(session, Op::Lookup(_) | Op::Attach(_) | Op::Acknowledge(_)) => {
                Some((*session, Event::Failed))
            }
        }
    }
}

impl State {
    /// Whether the answer code lets the stream go on.
    pub(super) fn is_stalled(&self, session: SessionId, conversation: ConversationId) -> bool {
        let stalled = self.stalls.get(&session).is_some_and(|stalled| stalled.contains(&conversation));
        stalled && !planted(PlantedBug::NoStall)
    }

    /// Returns what it was before.
    fn set_stall(&mut self, session: SessionId, conversation: ConversationId, stalled: bool) -> bool {
        if stalled {
            return !self.stalls.entry(session).or_default().insert(conversation);
        }
        let Some(streams) = self.stalls.get_mut(&session) else { return false };
        let before = streams.remove(&conversation);
        if streams.is_empty() {
            self.stalls.remove(&session);
        }
        before
    }
}

impl Step<'_> {
    /// The most streams of one session that may wait for their restart: no app has so many at once.
    pub(super) const STALLS: usize = 1_024;

    pub(super) fn stall(&mut self, session: SessionId, conversation: ConversationId, stalled: bool) {
        let before = self.state.set_stall(session, conversation, stalled);
        if before != stalled {
            self.pending.stalls_before.push((session, conversation, before));
        }
    }

    /// Ends a session that let too many streams stall.
    pub(super) fn end_if_overloaded(&mut self, session: SessionId) {
        let stalls = self.state.stalls.get(&session).map_or(0, BTreeSet::len);
        if stalls >= Self::STALLS && self.pending.left.insert(session) {
            self.answer(session, Event::Overloaded);
        }
    }
}

/// A refusal of a send or read.
pub(super) fn rejected(message: MessageId, code: ErrorCode, detail: &str, retry_after_ms: u32) -> Event {
    Event::Rejected(Rejected { message, code, detail: detail.to_owned(), retry_after_ms })
}
