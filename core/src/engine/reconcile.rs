//! The handshake, and what follows when the node turns out to have been restored from an older copy.

use chasqui_wire::{Challenge, ClientFrame, Era, Hello, Welcome};

use super::link::Blocked;
use super::{Engine, Output, SocketId, Turn};
use crate::e2ee::Mls;
use crate::planted::{PlantedBug, planted};
use crate::store::{self, AccountRow, AdmissionRow, ConversationRow, OutboxRow, ReadOutboxRow, StoreError};

/// For the operator's logs.
const AGENT: &str = concat!("chasqui/", env!("CARGO_PKG_VERSION"));

impl Engine {
    pub(super) fn challenged(
        &mut self,
        turn: &mut Turn<'_>,
        socket: SocketId,
        challenge: &Challenge,
    ) -> Result<(), StoreError> {
        let Some(account) = &self.account else { return Ok(()) };
        let version = challenge.common_version().filter(|_| challenge.realm == account.realm);
        let Some(version) = version else {
            self.link.block(Blocked::Incompatible);
            self.disconnect(turn);
            return Ok(());
        };
        let row = AccountRow::load(turn.db)?.ok_or(StoreError::Corrupt("no account behind its keys"))?;
        let hello = Hello {
            version,
            realm: account.realm,
            device: account.device,
            signature: account.sign_hello(challenge, version),
            window_entries: 0,
            window_bytes: 0,
            checkpoint: row.checkpoint,
            agent: AGENT.to_owned(),
            progress: row.progress,
        };
        turn.transmit(socket, &ClientFrame::Hello(hello));
        Ok(())
    }

    pub(super) fn welcomed(
        &mut self,
        turn: &mut Turn<'_>,
        socket: SocketId,
        welcome: Welcome,
    ) -> Result<(), StoreError> {
        self.node_told_time(welcome.time, turn.now);
        let lifetime = welcome.http_token_expires_at.millis_since(welcome.time);
        turn.outputs.push(Output::HttpToken(welcome.http_token.clone(), turn.now.plus_millis(lifetime)));
        self.reconcile(turn, &welcome)?;
        if !self.transfer.is_under_way() {
            store::drop_stale_early_receipts(turn.db)?;
        }
        AccountRow::set_checkpoint(turn.db, &welcome.checkpoint)?;
        self.groups.told(welcome.key_packages);
        self.heed_identity(turn, welcome.identity_key)?;
        self.link.welcomed(socket, welcome.limits, turn.now);
        self.names_wanted = true;
        self.resolving.clear();
        self.names_asked.clear();
        Ok(())
    }

    /// What a restored node has forgotten is given back to it: own messages under the positions that they had, and read
    /// marks. What it did not forget it recognises by its id.
    fn reconcile(&mut self, turn: &mut Turn<'_>, welcome: &Welcome) -> Result<(), StoreError> {
        let Some(account) = &mut self.account else { return Ok(()) };
        let known = store::eras(turn.db)?;
        let Some(parted_at) = parted_at(&known, &welcome.eras, account.era) else { return Ok(()) };
        account.era = welcome.checkpoint.era;
        AccountRow::set_era(turn.db, account.era)?;
        store::set_eras(turn.db, &welcome.eras)?;
        // What it has forgotten it did not keep back.
        store::note_lost(turn.db, None)?;
        if planted(PlantedBug::NoReconciliation) {
            return Ok(());
        }
        for message in store::accepted_after(turn.db, account.device, parted_at, account.era)? {
            let queued = OutboxRow::push(turn.db, message.conversation, message.key, turn.now, message.seq)?;
            if let Some(entry) = queued {
                self.outbox.queue(message.conversation, entry, message.seq);
            }
        }
        for conversation in ConversationRow::with_reads_after(turn.db, parted_at)? {
            if let Some(up_to) = conversation.read_up_to {
                ReadOutboxRow::put(turn.db, conversation.key, up_to, None, turn.now)?;
            }
        }
        self.outbox.queue_read();
        AdmissionRow::say_again_after(turn.db, parted_at)?;
        // What devices say to each other is not given back.
        self.catch_up(turn)?;
        self.outbox.admissions.wanted = true;
        if let Some(own) = self.account.as_ref().and_then(|account| account.own.as_ref()) {
            Mls::new(own, turn.db).replace_key_packages(self.node_time(turn.now))?;
        }
        // Of a device that was linked it has one of last resort, always.
        match welcome.key_packages {
            Some(left) if !left.last_resort => self.link_was_forgotten(turn),
            Some(_) | None => Ok(()),
        }
    }
}

/// The last revision that the node's past surely shares with the one that this device knows; `None` if they are the same.
///
/// Eras that only one of them has began where they part: those that the node has begun since, and those of a past that
/// the node came from and went back behind (an operator who restores one copy, and then a better one).
fn parted_at(known: &[Era], told: &[Era], reconciled_with: u32) -> Option<u64> {
    let is_new =
        |era: &&Era| !known.contains(era) && (era.number > reconciled_with || !planted(PlantedBug::OnePastOnly));
    let is_gone = |era: &&Era| !told.contains(era) && !planted(PlantedBug::OnePastOnly);
    let differing = told.iter().filter(is_new).chain(known.iter().filter(is_gone));
    differing.map(|era| era.began_at_revision).min()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pasts_part_where_the_first_era_began_that_only_one_of_them_has() {
        let era = |number, began_at_revision| Era { number, began_at_revision };
        let check = |known: &[Era], told: &[Era], expected| {
            assert_eq!(parted_at(known, told, known.last().map_or(0, |era| era.number)), expected);
        };
        check(&[], &[], None);
        check(&[], &[era(1, 100)], Some(100));
        check(&[era(1, 100)], &[era(1, 100)], None);
        check(&[era(1, 100)], &[era(1, 100), era(2, 300)], Some(300));
        // First a copy of revision 100 was restored, then one of 150 that knows nothing of it.
        check(&[era(1, 100)], &[era(2, 150)], Some(100));
        check(&[era(1, 100), era(4, 120)], &[era(1, 100), era(5, 300)], Some(120));
        check(&[era(1, 100)], &[era(1, 150)], Some(100));
    }
}
