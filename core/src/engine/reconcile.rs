//! The handshake, and what follows when the node turns out to have been restored from an older copy.

use chasqui_wire::{Challenge, ClientFrame, Hello, Welcome};

use super::link::Blocked;
use super::{Engine, Output, SocketId, Turn};
use crate::planted::{PlantedBug, planted};
use crate::store::{self, AccountRow, ConversationRow, OutboxRow, ReadOutboxRow, StoreError};

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
        let checkpoint = AccountRow::load(turn.db)?.and_then(|row| row.checkpoint);
        let hello = Hello {
            version,
            realm: account.realm,
            device: account.device,
            signature: account.sign_hello(challenge, version),
            window_entries: 0,
            window_bytes: 0,
            checkpoint,
            agent: AGENT.to_owned(),
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
        turn.outputs.push(Output::HttpToken(welcome.http_token.clone(), welcome.http_token_expires_at));
        self.reconcile(turn, &welcome)?;
        store::drop_stale_early_receipts(turn.db)?;
        AccountRow::set_checkpoint(turn.db, &welcome.checkpoint)?;
        self.link.welcomed(socket, welcome.limits, turn.now);
        self.names_wanted = true;
        self.resolving.clear();
        Ok(())
    }

    /// What a restored node has forgotten is given back to it: own messages under the positions that they had, and read
    /// marks. What it did not forget it recognises by its id.
    fn reconcile(&mut self, turn: &mut Turn<'_>, welcome: &Welcome) -> Result<(), StoreError> {
        let Some(account) = &mut self.account else { return Ok(()) };
        let newer = welcome.eras.iter().filter(|era| era.number > account.era);
        let Some(began_at) = newer.map(|era| era.began_at_revision).min() else { return Ok(()) };
        account.era = welcome.checkpoint.era;
        AccountRow::set_era(turn.db, account.era)?;
        if planted(PlantedBug::NoReconciliation) {
            return Ok(());
        }
        for message in store::accepted_after(turn.db, account.device, began_at, account.era)? {
            let queued = OutboxRow::push(turn.db, message.conversation, message.key, turn.now, message.seq)?;
            if let Some(entry) = queued {
                self.outbox.queue(message.conversation, entry);
            }
        }
        for conversation in ConversationRow::with_reads_after(turn.db, began_at)? {
            if let Some(up_to) = conversation.read_up_to {
                ReadOutboxRow::put(turn.db, conversation.key, up_to, None, turn.now)?;
            }
        }
        self.outbox.queue_read();
        Ok(())
    }
}
