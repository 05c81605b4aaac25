//! Receipts on their way to the devices of a message's sender: one notice a batch, conversation, recipient and kind.

use chasqui_wire::{Receipt, ReceiptKind, SeqRanges};

use super::RelayError;
use super::step::Step;
use crate::store::{ConversationRow, UserRow};

/// Receipts with the same key travel together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct ReceiptKey {
    /// The sender of the messages.
    pub(super) to: UserRow,
    pub(super) conversation: ConversationRow,
    /// The recipient.
    pub(super) about: UserRow,
    pub(super) kind: ReceiptKind,
}

impl Step<'_> {
    /// Puts the batch's receipts into mailboxes.
    pub(super) fn deliver_receipts(&mut self) -> Result<(), RelayError> {
        for (key, mut seqs) in std::mem::take(&mut self.pending.receipts) {
            let conversation = self.conversation_id(key.conversation)?;
            let user = self.user_id(key.about)?;
            let devices = self.active_devices(key.to)?;
            seqs.sort_unstable();
            // So many positions are at most as many runs, which is what one frame may carry.
            for seqs in seqs.chunks(SeqRanges::MAX) {
                let ranges = SeqRanges::of(seqs.iter().copied());
                let receipt = Receipt { conversation, user, kind: key.kind, ranges, at: self.now };
                for device in devices.iter().filter(|device| !device.is_absent) {
                    self.add_receipt(device.row, key.conversation, key.about, &receipt)?;
                }
            }
        }
        Ok(())
    }
}
