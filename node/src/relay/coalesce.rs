//! Notices that wait are coalesced, so that no mailbox can be filled by them: receipts of the same sort become one, and a
//! read mark takes the place of one that it covers.
//!
//! Only what no session was given yet may be replaced. Where the last notice lies is remembered in memory alone: what was
//! forgotten costs an entry more, and nothing else.

use std::collections::BTreeMap;

use chasqui_wire::{EntryKind, ReadNotice, Receipt, ReceiptKind, SeqRanges};
use rusqlite::OptionalExtension as _;

use super::RelayError;
use super::step::Step;
use crate::store::{ConversationRow, DeviceRow, UserRow};

/// Notices of the same sort.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Sort {
    device: DeviceRow,
    conversation: ConversationRow,
    /// The recipient that a receipt is about, or the reader.
    user: UserRow,
    /// `None` = a read mark.
    kind: Option<ReceiptKind>,
}

/// The last notice of a sort, and how many there are.
#[derive(Clone, Copy, Debug)]
struct Last {
    entry: u64,
    count: u32,
}

/// Where notices lie that may still be replaced.
#[derive(Debug, Default)]
pub(super) struct Notices(BTreeMap<Sort, Last>);

impl Notices {
    /// The most that are remembered: beyond, all are forgotten.
    const MOST: usize = 100_000;
    /// Read marks of one reader in one conversation that may wait in one mailbox. Beyond, a new one takes the place of the
    /// last, whatever that told: no reader has so many to tell that are true.
    const MARKS: u32 = 1_024;

    fn remember(&mut self, sort: Sort, last: Last) {
        if self.0.len() >= Self::MOST {
            self.0.clear();
        }
        self.0.insert(sort, last);
    }
}

impl Step<'_> {
    /// Adds a receipt to what waits.
    pub(super) fn add_receipt(
        &mut self,
        device: DeviceRow,
        conversation: ConversationRow,
        about: UserRow,
        receipt: &Receipt,
    ) -> Result<(), RelayError> {
        let sort = Sort { device, conversation, user: about, kind: Some(receipt.kind) };
        if let Some((last, EntryKind::Receipt(mut waiting))) = self.replaceable(sort)? {
            let all = waiting.ranges.union(&receipt.ranges);
            if all.iter().count() <= SeqRanges::MAX {
                (waiting.ranges, waiting.at) = (all, receipt.at);
                return self.replace(sort, last, EntryKind::Receipt(waiting));
            }
        }
        self.add_last(sort, 1, EntryKind::Receipt(receipt.clone()))
    }

    /// Adds a read mark to what waits. An author needs all that was read of what she wrote, the reader's own devices need
    /// only how far it goes.
    pub(super) fn add_read(
        &mut self,
        device: DeviceRow,
        conversation: ConversationRow,
        (reader, is_author): (UserRow, bool),
        notice: &ReadNotice,
    ) -> Result<(), RelayError> {
        let sort = Sort { device, conversation, user: reader, kind: None };
        let kind = || EntryKind::Read(Box::new(notice.clone()));
        let Some((last, EntryKind::Read(waiting))) = self.replaceable(sort)? else {
            return self.add_last(sort, 1, kind());
        };
        let (old, new) = (&waiting.read, &notice.read);
        let is_further = old.up_to <= new.up_to;
        let is_covered = !is_author || old.ranges.union(&new.ranges) == new.ranges;
        if is_further && (is_covered || last.count >= Notices::MARKS) {
            return self.replace(sort, last, kind());
        }
        self.add_last(sort, last.count + 1, kind())
    }

    fn add_last(&mut self, sort: Sort, count: u32, kind: EntryKind) -> Result<(), RelayError> {
        let entry = self.add_notice(sort.device, kind)?;
        if self.waits(sort.device, entry) {
            self.state.notices.remember(sort, Last { entry, count });
        }
        Ok(())
    }

    /// What stands for both comes last: in the older one's place it would be told before messages that it speaks of.
    fn replace(&mut self, sort: Sort, last: Last, kind: EntryKind) -> Result<(), RelayError> {
        self.sql("DELETE FROM mailbox WHERE device = ?1 AND entry = ?2")?.execute((sort.device, last.entry))?;
        self.count_mail(sort.device, None, -1, 0);
        self.add_last(sort, last.count, kind)
    }

    /// The last notice of that sort, if it is still there and no session was given it.
    fn replaceable(&mut self, sort: Sort) -> Result<Option<(Last, EntryKind)>, RelayError> {
        let Some(&last) = self.state.notices.0.get(&sort) else { return Ok(None) };
        let mut query =
            self.sql("SELECT notice FROM mailbox WHERE device = ?1 AND entry = ?2 AND notice IS NOT NULL")?;
        let notice: Option<Vec<u8>> = query.query_row((sort.device, last.entry), |row| row.get(0)).optional()?;
        drop(query);
        let kind = notice.filter(|_| self.waits(sort.device, last.entry));
        let kind = kind.and_then(|notice| EntryKind::decode(notice.into()).ok());
        if kind.is_none() {
            self.state.notices.0.remove(&sort);
        }
        Ok(kind.map(|kind| (last, kind)))
    }

    /// Whether an entry will be read from the mailbox: nobody was given it, and nobody is about to be.
    fn waits(&self, device: DeviceRow, entry: u64) -> bool {
        match self.session_of(device) {
            None => true,
            Some(session) => self.state.online().get(&device).is_some_and(|online| online.leaves(session, entry)),
        }
    }
}
