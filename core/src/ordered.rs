//! Sets that are made item by item. `collect` sorts the items first, which is 4 KiB of code for each type of item.

use std::collections::BTreeSet;

pub(crate) fn set<T: Ord>(items: impl IntoIterator<Item = T>) -> BTreeSet<T> {
    let mut set = BTreeSet::new();
    set.extend(items);
    set
}
