//! What became of own messages, and who read what.

use chasqui_wire::{AckOutcome, ConversationId, Read, ReadNotice, Receipt, ReceiptKind, RosterEntry, Seq, signing};

use super::{Engine, Turn};
use crate::e2ee::{Fault, Leaf, Mls};
use crate::planted::{PlantedBug, planted};
use crate::store::{self, ConversationRow, Rank, ReadOutboxRow, ReceiptMark, SecuredRow, StoreError};

impl Engine {
    pub(super) fn receipt(&mut self, turn: &mut Turn<'_>, receipt: &Receipt) -> Result<AckOutcome, StoreError> {
        // Unknown here: the messages were sent before this device joined.
        let Some(conversation) = ConversationRow::find(turn.db, receipt.conversation)? else {
            return Ok(AckOutcome::Stored);
        };
        let mark = ReceiptMark::from_receipt(receipt.user, receipt.kind, receipt.at);
        self.apply(turn, &conversation, receipt.ranges.iter(), &mark)?;
        if receipt.kind == ReceiptKind::DeviceGone {
            // The whole account may be.
            self.ask_again(turn, receipt.user);
        }
        Ok(AckOutcome::Stored)
    }

    pub(super) fn read_notice(&mut self, turn: &mut Turn<'_>, notice: &ReadNotice) -> Result<AckOutcome, StoreError> {
        let Some(account) = &self.account else { return Ok(AckOutcome::Unreadable) };
        let message = signing::read(account.realm, notice.user, notice.device, &notice.read);
        if !self.is_key_of_its_device(turn, notice)?
            || !super::identity::verify(&notice.device_key, &message, &notice.read.signature)
        {
            tracing::warn!("a read mark is not signed by the device that it names");
            return Ok(AckOutcome::Unreadable);
        }
        let Some(conversation) = ConversationRow::find(turn.db, notice.read.conversation)? else {
            if notice.user == account.user {
                store::note_early_read(turn.db, notice.read.conversation, notice.read.up_to)?;
            }
            return Ok(AckOutcome::Stored);
        };
        if notice.user == account.user {
            if !planted(PlantedBug::SiblingReadIgnored) {
                self.read_elsewhere(turn, &conversation, &notice.read)?;
            }
        } else if conversation.peer == Some(notice.user) {
            let mark = ReceiptMark { user: notice.user, rank: Rank::Read, reason: None, at: notice.read.at };
            self.apply(turn, &conversation, notice.read.ranges.iter(), &mark)?;
        }
        Ok(AckOutcome::Stored)
    }

    /// Whether a read mark names the key that the device has in the conversation's group, on its user's word. Of who is not there the first
    /// key that the node named counts.
    fn is_key_of_its_device(&self, turn: &Turn<'_>, notice: &ReadNotice) -> Result<bool, StoreError> {
        let ReadNotice { user, device, device_key, ref read } = *notice;
        if let Some(leaf) = self.leaf(turn, read.conversation, RosterEntry { user, device })? {
            store::set_device_key(turn.db, device, user, &leaf.key)?;
        }
        store::pin_device_key(turn.db, device, user, &device_key)
    }

    /// Of a device, in the group of a conversation.
    pub(super) fn leaf(
        &self,
        turn: &Turn<'_>,
        conversation: ConversationId,
        entry: RosterEntry,
    ) -> Result<Option<Leaf>, StoreError> {
        let Some(own) = self.account.as_ref().and_then(|account| account.own.as_ref()) else { return Ok(None) };
        let Some(group) = SecuredRow::get(turn.db, conversation)?.group else { return Ok(None) };
        match Mls::new(own, turn.db).members(group) {
            Ok(members) => Ok(members.into_iter().find(|leaf| leaf.entry() == entry)),
            Err(Fault::Store(error)) => Err(error),
            Err(_) => Ok(None),
        }
    }

    fn apply(
        &mut self,
        turn: &mut Turn<'_>,
        conversation: &ConversationRow,
        ranges: impl Iterator<Item = chasqui_wire::SeqRange>,
        mark: &ReceiptMark,
    ) -> Result<(), StoreError> {
        // Only a message whose `accepted` was lost, or one that another device has yet to give, can be behind a position that
        // is unknown here.
        let may_be_early = self.outbox.holds(conversation.key) || self.transfer.is_under_way();
        let may_be_early = may_be_early && !planted(PlantedBug::EarlyNewsForgotten);
        let mut changed = 0;
        for range in ranges {
            changed += store::apply_receipt(turn.db, conversation.key, range, mark, may_be_early)?;
        }
        if changed > 0 {
            turn.changed(conversation.id);
        }
        Ok(())
    }

    /// Another device of this user read, and told the authors of what it holds itself. What only this device holds (the
    /// other one joined later, say) is for this one to tell.
    fn read_elsewhere(
        &mut self,
        turn: &mut Turn<'_>,
        conversation: &ConversationRow,
        read: &Read,
    ) -> Result<(), StoreError> {
        if conversation.raise_read(turn.db, read.up_to)? {
            turn.reread(conversation);
        }
        // None of the devices tells the author anything yet.
        if self.withholds_reading(turn, conversation)? {
            return Ok(());
        }
        let held = store::readable(turn.db, conversation.key, conversation.read_reported, read.up_to)?;
        if held.iter().all(|&(seq, _)| read.ranges.contains(seq)) {
            return conversation.skip_reported(turn.db, read.up_to);
        }
        ReadOutboxRow::put(turn.db, conversation.key, read.up_to, conversation.read_reported, turn.now)?;
        self.outbox.queue_read();
        Ok(())
    }

    /// The user read on this device.
    pub(super) fn read_here(
        &mut self,
        turn: &mut Turn<'_>,
        conversation: &ConversationRow,
        up_to: Seq,
    ) -> Result<(), StoreError> {
        if conversation.raise_read(turn.db, up_to)? {
            ReadOutboxRow::put(turn.db, conversation.key, up_to, conversation.read_reported, turn.now)?;
            self.outbox.queue_read();
            turn.reread(conversation);
        }
        Ok(())
    }
}
