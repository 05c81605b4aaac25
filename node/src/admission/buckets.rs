//! Token buckets: so many at once, and then one every so many milliseconds.

use chasqui_wire::Timestamp;

use super::Wait;
use super::ledger::Ledger;

/// A bucket a key. Of each only the time is kept at which it is full again.
pub(crate) struct Buckets<K> {
    full_at: Ledger<K, ()>,
    burst: u64,
    every_ms: u64,
}

impl<K: Ord + Clone> Buckets<K> {
    /// `burst` at once, then one every `every_ms`; at most `most` keys are remembered.
    pub(crate) fn new(burst: u32, every_ms: u64, most: usize) -> Self {
        Self { full_at: Ledger::new(most), burst: burst.max(1).into(), every_ms: every_ms.max(1) }
    }

    /// Takes one, or says when there is one again.
    pub(crate) fn take(&mut self, key: K, now: Timestamp) -> Result<(), Wait> {
        let lacking = self.full_at.get(&key, now).map_or(0, |(full_at, ())| full_at.millis_since(now));
        let then = lacking.saturating_add(self.every_ms);
        let most = self.burst.saturating_mul(self.every_ms);
        if then > most {
            return Err(Wait(then - most));
        }
        self.full_at.set(key, now.plus_millis(then), ());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_and_then_a_steady_rate() {
        let mut buckets = Buckets::new(3, 1_000, 10);
        let mut take = |key, at| buckets.take(key, Timestamp(at)).map_err(|Wait(millis)| millis);
        assert_eq!([0, 0, 0, 0].map(|at| take("ana", at)), [Ok(()), Ok(()), Ok(()), Err(1_000)]);
        assert_eq!(take("bo", 0), Ok(()), "another key is not harmed");
        assert_eq!(take("ana", 999), Err(1));
        assert_eq!(take("ana", 1_000), Ok(()));
        assert_eq!(take("ana", 1_000), Err(1_000), "a refusal costs nothing, and gives nothing");
        assert_eq!([100_000; 4].map(|at| take("ana", at)), [Ok(()), Ok(()), Ok(()), Err(1_000)]);
    }

    #[test]
    fn a_clock_that_goes_back_keeps_nobody_out_for_longer_than_it_went() {
        let mut buckets = Buckets::new(1, 1_000, 10);
        buckets.take("ana", Timestamp(50_000)).unwrap();
        assert_eq!(buckets.take("ana", Timestamp(40_000)), Err(Wait(11_000)));
        buckets.take("ana", Timestamp(51_000)).unwrap();
    }
}
