//! Guesses: a few are free, each further one has to wait longer than the one before.
//!
//! An attempt counts as wrong from the moment it is let in, so that many at once are not one.

use chasqui_wire::Timestamp;

use super::Wait;
use super::ledger::Ledger;

/// How the waiting grows with the wrong guesses.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Growth {
    /// Guesses that wait for nothing.
    pub(crate) free: u32,
    /// Milliseconds after the first that is not free; each further one doubles them.
    pub(crate) first_ms: u64,
    /// The most.
    pub(crate) most_ms: u64,
}

impl Growth {
    /// Milliseconds to wait after so many wrong guesses.
    pub(crate) fn after(self, wrong: u32) -> u64 {
        let Some(doublings) = wrong.checked_sub(self.free.saturating_add(1)) else { return 0 };
        let factor = 1_u64.checked_shl(doublings).unwrap_or(u64::MAX);
        self.first_ms.saturating_mul(factor).min(self.most_ms)
    }
}

/// The wrong guesses of each key.
pub(crate) struct Delays<K> {
    wrong: Ledger<K, Wrong>,
    growth: Growth,
    forget_ms: u64,
}

#[derive(Clone, Copy)]
struct Wrong {
    count: u32,
    next_at: Timestamp,
}

impl<K: Ord + Clone> Delays<K> {
    /// Wrong guesses are forgotten `forget_ms` after the last one's delay; at most `most` keys are remembered.
    pub(crate) fn new(growth: Growth, forget_ms: u64, most: usize) -> Self {
        Self { wrong: Ledger::new(most), growth, forget_ms }
    }

    /// Lets one guess in, as a wrong one until [`Self::was_right`]; or says when it may be tried.
    pub(crate) fn attempt(&mut self, key: K, now: Timestamp) -> Result<(), Wait> {
        let before = self.wrong.get(&key, now).map_or(Wrong { count: 0, next_at: now }, |(_, wrong)| *wrong);
        if before.next_at > now {
            return Err(Wait(before.next_at.millis_since(now)));
        }
        let count = before.count.saturating_add(1);
        let next_at = now.plus_millis(self.growth.after(count));
        self.wrong.set(key, next_at.plus_millis(self.forget_ms), Wrong { count, next_at });
        Ok(())
    }

    /// The guess was none: takes it back. What others guessed wrongly stays.
    pub(crate) fn was_right(&mut self, key: K, now: Timestamp) {
        let Some((end, &Wrong { count, .. })) = self.wrong.get(&key, now) else { return };
        if count > 1 {
            self.wrong.set(key, end, Wrong { count: count - 1, next_at: now });
        } else {
            self.wrong.remove(&key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GROWTH: Growth = Growth { free: 2, first_ms: 1_000, most_ms: 5_000 };

    #[test]
    fn the_waiting_doubles_up_to_a_bound() {
        let delays: Vec<u64> = (0..7).map(|wrong| GROWTH.after(wrong)).collect();
        assert_eq!(delays, [0, 0, 0, 1_000, 2_000, 4_000, 5_000]);
        assert_eq!(GROWTH.after(u32::MAX), 5_000);
    }

    #[test]
    fn wrong_guesses_wait_and_are_forgotten() {
        let mut delays = Delays::new(GROWTH, 60_000, 10);
        let mut attempt = |key, at| delays.attempt(key, Timestamp(at)).map_err(|Wait(millis)| millis);
        assert_eq!([0, 0, 0, 0].map(|at| attempt("ana", at)), [Ok(()), Ok(()), Ok(()), Err(1_000)]);
        assert_eq!(attempt("bo", 0), Ok(()));
        assert_eq!(attempt("ana", 1_000), Ok(()));
        assert_eq!(attempt("ana", 1_000), Err(2_000));
        assert_eq!([63_000; 3].map(|at| attempt("ana", at)), [Ok(()); 3], "forgotten");
    }

    #[test]
    fn a_right_one_takes_back_itself_and_no_other() {
        let mut delays = Delays::new(GROWTH, 60_000, 10);
        let now = Timestamp(0);
        for _ in 0..3 {
            delays.attempt("ana", now).unwrap();
        }
        delays.was_right("ana", now);
        delays.attempt("ana", now).unwrap();
        assert_eq!(delays.attempt("ana", now), Err(Wait(1_000)));
        delays.attempt("bo", now).unwrap();
        delays.was_right("bo", now);
        delays.was_right("nobody", now);
        assert_eq!([(); 4].map(|()| delays.attempt("bo", now).is_ok()), [true, true, true, false]);
    }
}
