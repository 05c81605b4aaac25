//! Watching lists: a `Reset` first, then the changes from one window to the next.
//!
//! Guarantees: applying each update in turn to the list so far gives exactly what a query would give. A watcher that
//! falls behind gets a `Reset`, never silence.

use crate::domain::{ConversationSummary, TimelineItem};
use crate::ordered;

/// News of a watched list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Update<T> {
    /// The list is now this.
    Reset(Vec<T>),
    /// Apply in order.
    Changes(Vec<Change<T>>),
}

/// One step from a list to the next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change<T> {
    /// Put `item` at `index`; what stood there and behind moves back.
    Insert {
        /// 0 to the length.
        index: usize,
        /// The new line.
        item: T,
    },
    /// Replace the line at `index`.
    Update {
        /// Below the length.
        index: usize,
        /// The line as it is now.
        item: T,
    },
    /// Take away the line at `index`; what stood behind moves up.
    Remove {
        /// Below the length.
        index: usize,
    },
}

impl<T> Update<T> {
    /// Carries the update out on a list.
    pub fn apply(self, list: &mut Vec<T>) {
        match self {
            Self::Reset(items) => *list = items,
            Self::Changes(changes) => {
                for change in changes {
                    match change {
                        Change::Insert { index, item } => list.insert(index, item),
                        Change::Update { index, item } => list[index] = item,
                        Change::Remove { index } => drop(list.remove(index)),
                    }
                }
            }
        }
    }
}

/// A line that can be recognised when it changed or moved.
pub(crate) trait Line: Clone + PartialEq {
    type Key: Ord;
    fn key(&self) -> Self::Key;
}

impl Line for TimelineItem {
    type Key = crate::domain::TimelineKey;
    fn key(&self) -> Self::Key {
        TimelineItem::key(self)
    }
}

impl Line for ConversationSummary {
    type Key = chasqui_wire::ConversationId;
    fn key(&self) -> Self::Key {
        self.id
    }
}

/// The changes that lead from `old` to `new`. Keys are unique within a list.
///
/// Walks the new list once. Windows hold some hundreds of lines at most, and usually one or two differ.
pub(crate) fn difference<T: Line>(old: &[T], new: &[T]) -> Vec<Change<T>> {
    let wanted = ordered::set(new.iter().map(Line::key));
    let mut changes = Vec::new();
    let mut list: Vec<&T> = Vec::with_capacity(old.len().max(new.len()));
    for item in old {
        if wanted.contains(&item.key()) {
            list.push(item);
        } else {
            changes.push(Change::Remove { index: list.len() });
        }
    }
    for (index, item) in new.iter().enumerate() {
        if list.get(index).is_some_and(|found| found.key() == item.key()) {
            if *list[index] != *item {
                changes.push(Change::Update { index, item: item.clone() });
            }
            continue;
        }
        // A line that stands further back moved up; anything else is new here.
        if let Some(from) = (index..list.len()).find(|&from| list[from].key() == item.key()) {
            list.remove(from);
            changes.push(Change::Remove { index: from });
        }
        list.insert(index, item);
        changes.push(Change::Insert { index, item: item.clone() });
    }
    changes
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[derive(Clone, Debug, PartialEq)]
    struct Row(u8, u8);

    impl Line for Row {
        type Key = u8;
        fn key(&self) -> u8 {
            self.0
        }
    }

    fn list() -> impl Strategy<Value = Vec<Row>> {
        let keys = prop::collection::btree_set(0u8..20, 0..12);
        let shuffled = keys.prop_map(|keys| keys.into_iter().collect::<Vec<_>>()).prop_shuffle();
        (shuffled, prop::collection::vec(0u8..3, 20))
            .prop_map(|(keys, values)| keys.into_iter().map(|key| Row(key, values[usize::from(key)])).collect())
    }

    proptest! {
        #[test]
        fn applying_the_difference_gives_the_query(old in list(), new in list()) {
            let mut applied = old.clone();
            Update::Changes(difference(&old, &new)).apply(&mut applied);
            prop_assert_eq!(applied, new);
        }
    }

    #[test]
    fn an_appended_line_is_one_change() {
        let old = [Row(1, 0), Row(2, 0)];
        let new = [Row(1, 0), Row(2, 0), Row(3, 0)];
        assert_eq!(difference(&old, &new), [Change::Insert { index: 2, item: Row(3, 0) }]);
    }
}
