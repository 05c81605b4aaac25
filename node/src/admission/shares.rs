//! What is scarce has so many places, and nobody more than a share of them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

/// Places that are held by keys. Keys without a place take no memory.
pub(crate) struct Shares<K: Ord + Clone> {
    held: Arc<Mutex<BTreeMap<K, usize>>>,
    each: usize,
}

/// Gives its place back when it is dropped.
pub(crate) struct Share<K: Ord + Clone> {
    held: Arc<Mutex<BTreeMap<K, usize>>>,
    key: K,
}

impl<K: Ord + Clone> Shares<K> {
    /// At most `each` places a key.
    pub(crate) fn new(each: usize) -> Self {
        Self { held: Arc::default(), each }
    }

    /// A place, or `None` when the key has its share already.
    pub(crate) fn take(&self, key: K) -> Option<Share<K>> {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        let count = held.get(&key).copied().unwrap_or(0);
        if count >= self.each {
            return None;
        }
        held.insert(key.clone(), count + 1);
        Some(Share { held: Arc::clone(&self.held), key })
    }
}

impl<K: Ord + Clone> Drop for Share<K> {
    fn drop(&mut self) {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        match held.get_mut(&self.key) {
            Some(count) if *count > 1 => *count -= 1,
            Some(_) | None => drop(held.remove(&self.key)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_has_more_than_a_share() {
        let shares = Shares::new(2);
        let first = shares.take("ana");
        let second = shares.take("ana");
        assert!(first.is_some() && second.is_some() && shares.take("ana").is_none());
        assert!(shares.take("bo").is_some());
        drop(first);
        assert!(shares.take("ana").is_some());
        drop(second);
        assert_eq!(shares.held.lock().unwrap().len(), 0, "no place, no memory");
    }
}
