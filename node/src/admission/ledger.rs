//! A map that forgets: each entry is void after a time of its own, and there are never more than so many.

use std::collections::{BTreeMap, BTreeSet};

use chasqui_wire::Timestamp;

pub(super) struct Ledger<K, V> {
    entries: BTreeMap<K, (Timestamp, V)>,
    by_end: BTreeSet<(Timestamp, K)>,
    most: usize,
}

impl<K: Ord + Clone, V> Ledger<K, V> {
    pub(super) fn new(most: usize) -> Self {
        Self { entries: BTreeMap::new(), by_end: BTreeSet::new(), most: most.max(1) }
    }

    /// Until when the entry counts, and what it says; `None` if it is void.
    pub(super) fn get(&self, key: &K, now: Timestamp) -> Option<(Timestamp, &V)> {
        self.entries.get(key).filter(|(end, _)| *end > now).map(|(end, value)| (*end, value))
    }

    /// Replaces the entry. A new key in a full ledger takes the place of the entry that ends first.
    pub(super) fn set(&mut self, key: K, end: Timestamp, value: V) {
        self.remove(&key);
        if self.entries.len() >= self.most
            && let Some((_, first)) = self.by_end.pop_first()
        {
            self.entries.remove(&first);
        }
        self.by_end.insert((end, key.clone()));
        self.entries.insert(key, (end, value));
    }

    pub(super) fn remove(&mut self, key: &K) {
        if let Some((end, _)) = self.entries.remove(key) {
            self.by_end.remove(&(end, key.clone()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_ledger_forgets_what_would_end_first() {
        let mut ledger = Ledger::new(3);
        let now = Timestamp(0);
        for (key, end) in [("ana", 30), ("bo", 10), ("cleo", 20), ("ana", 40), ("dan", 5)] {
            ledger.set(key, Timestamp(end), ());
        }
        let held: Vec<_> = ["ana", "bo", "cleo", "dan"].map(|key| ledger.get(&key, now).map(|(end, ())| end.0)).into();
        assert_eq!(held, [Some(40), None, Some(20), Some(5)]);
        assert_eq!((ledger.entries.len(), ledger.by_end.len()), (3, 3));
        assert_eq!(ledger.get(&"dan", Timestamp(5)), None, "void");
    }
}
