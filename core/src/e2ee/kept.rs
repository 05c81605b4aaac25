//! Groups that were read, for what is said in them next: to read one from its rows costs more than what else there is to do for a
//! message, but for the signature.
//!
//! Guarantees: one is used again only while its message secrets are those in the database, so that what was rolled back is not
//! remembered here. They are others after each message, and hold the group's context, and with it the hash of its tree: so all is
//! the same that an epoch is made of. What else an epoch sees, a change that is under way, they do not tell: whoever changes a group
//! has it read anew.

use std::cell::RefCell;

use openmls::prelude::MlsGroup;

use super::GroupId;

/// A group as it was when these were its message secrets.
pub(super) struct Kept {
    pub(super) id: GroupId,
    pub(super) group: MlsGroup,
    pub(super) members: usize,
    pub(super) secrets: Vec<u8>,
}

#[derive(Default)]
pub(super) struct Groups(RefCell<Vec<Kept>>);

impl Groups {
    /// Of members in all groups: a few megabytes. When there are more, all are read anew.
    const MAX: usize = 2048;

    /// It is not kept any more.
    pub(super) fn take(&self, id: GroupId) -> Option<Kept> {
        let mut kept = self.0.borrow_mut();
        let at = kept.iter().position(|kept| kept.id == id)?;
        Some(kept.swap_remove(at))
    }

    pub(super) fn keep(&self, one: Kept) {
        let mut kept = self.0.borrow_mut();
        if kept.iter().map(|kept| kept.members).sum::<usize>() + one.members > Self::MAX {
            kept.clear();
        }
        kept.push(one);
    }
}
