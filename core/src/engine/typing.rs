//! Typing: who is writing, told and heard while it happens.
//!
//! Guarantees: it lives in memory and on a socket that is there; nothing of it is stored, waits to be told, or is told to strangers.
//! What is heard ends by itself. It costs the message ratchet nothing.

use std::collections::BTreeMap;

use bytes::Bytes;
use chasqui_wire::{
    ClientFrame, ConversationId, DeviceId, Protection, Signal, SignalBody, SignalKind, Timestamp, UserId,
};

use super::{Engine, Reply, Turn};
use crate::domain::Typing;
use crate::e2ee::{Fault, Mls};
use crate::error::Error;
use crate::planted::{PlantedBug, planted};
use crate::store::{ConversationRow, Request, SecuredRow, StoreError};

/// How often others are told, while it goes on.
const AGAIN_MS: u64 = 4_000;
/// Who was not heard for so long is not typing any more: a signal may be lost, and come late.
const LASTS_MS: u64 = 6_000;
/// Between the sender's word for the node's time and this device's: what is further off is late, or said again by somebody.
const APART_MS: u64 = 10_000;
/// Who else is remembered, at most.
const MOST: usize = 256;

/// Who is writing now.
#[derive(Debug, Default)]
pub(super) struct Writers {
    /// Where others were told that this user is, and when last.
    own: BTreeMap<ConversationId, Timestamp>,
    /// Until when others are.
    others: BTreeMap<(ConversationId, UserId), Timestamp>,
}

impl Writers {
    /// Whoever was told, or told, is not there any more.
    pub(super) fn socket_gone(&mut self) {
        *self = Self::default();
    }

    /// The clock was set back by so much.
    pub(super) fn clock_went_back(&mut self, millis: u64) {
        for at in self.own.values_mut().chain(self.others.values_mut()) {
            at.0 = at.0.saturating_sub_unsigned(millis);
        }
    }

    pub(super) fn expire(&mut self, now: Timestamp) {
        self.own.retain(|_, at| now < at.plus_millis(LASTS_MS));
        self.others.retain(|_, until| now < *until || planted(PlantedBug::TypingForever));
    }

    pub(super) fn wake_at(&self) -> Option<Timestamp> {
        self.others.values().copied().min()
    }

    /// The message says that it is written.
    pub(super) fn sent(&mut self, conversation: ConversationId) {
        self.own.remove(&conversation);
    }

    /// The same of somebody else's.
    pub(super) fn wrote(&mut self, conversation: ConversationId, user: UserId) {
        self.others.remove(&(conversation, user));
    }

    fn heard(&mut self, conversation: ConversationId, user: UserId, now: Timestamp) {
        let key = (conversation, user);
        if self.others.len() < MOST || self.others.contains_key(&key) {
            self.others.insert(key, now.plus_millis(LASTS_MS));
        }
    }
}

impl Engine {
    /// Who else is writing, and where.
    pub fn typing(&self) -> Vec<Typing> {
        let typing = self.writers.others.keys();
        typing.map(|&(conversation, user)| Typing { conversation, user }).collect()
    }

    /// The user writes something here, or does not any more. Apps say so at every key.
    pub(super) fn set_typing(
        &mut self,
        turn: &mut Turn<'_>,
        id: ConversationId,
        typing: bool,
    ) -> Result<Result<Reply, Error>, StoreError> {
        if self.account.is_none() {
            return Ok(Err(self.not_enrolled()));
        }
        let Some(row) = ConversationRow::find(turn.db, id)? else {
            return Ok(Err(Error::NotFound { what: "conversation" }));
        };
        self.writers.expire(turn.now);
        let told = self.writers.own.get(&id).copied();
        if !typing {
            if told.is_some() {
                self.writers.own.remove(&id);
                self.signal(turn, &row, SignalKind::Stopped)?;
            }
        } else if told.is_none_or(|at| turn.now >= at.plus_millis(AGAIN_MS))
            && self.signal(turn, &row, SignalKind::Typing)?
        {
            self.writers.own.insert(id, turn.now);
        }
        Ok(Ok(Reply::Done))
    }

    /// Says it to whoever is there; says whether anybody could hear it.
    fn signal(&mut self, turn: &mut Turn<'_>, row: &ConversationRow, kind: SignalKind) -> Result<bool, StoreError> {
        let Some(socket) = self.link.live().filter(|_| self.link.is_drained()) else { return Ok(false) };
        let Some((user, device)) = self.account.as_ref().map(|account| (account.user, account.device)) else {
            return Ok(false);
        };
        // Strangers hear nothing, nor does who has another identity than the one that people compared.
        let is_nobodys = row.peer.is_none_or(|peer| peer == user);
        if is_nobodys || self.withholds_reading(turn, row)? || self.is_unconfirmed(turn, row)? {
            return Ok(false);
        }
        let said = SignalBody { at: self.node_time(turn.now), kind }.encode();
        let (epoch, body) = match row.protection {
            Protection::NodeReadable => (0, said.into()),
            Protection::EndToEnd => {
                let Some(sealed) = self.sealed_signal(turn, row.id, (user, device), &said)? else { return Ok(false) };
                sealed
            }
        };
        let signal = Signal { conversation: row.id, sender: None, body, epoch };
        turn.transmit(socket, &ClientFrame::Signal(signal));
        Ok(true)
    }

    /// With the epoch; `None` where there is no group.
    fn sealed_signal(
        &self,
        turn: &Turn<'_>,
        conversation: ConversationId,
        sender: (UserId, DeviceId),
        said: &[u8],
    ) -> Result<Option<(u64, Bytes)>, StoreError> {
        let SecuredRow { group, epoch, .. } = SecuredRow::get(turn.db, conversation)?;
        let own = self.account.as_ref().and_then(|account| account.own.as_ref());
        let (Some(group), Some(own)) = (group, own) else { return Ok(None) };
        let (mls, header) = (Mls::new(own, turn.db), header(conversation, sender, epoch));
        if planted(PlantedBug::TypingByRatchet) {
            readable(mls.seal(group, &header, said))?;
        }
        let sealed = mls.seal_signal(group, &header, said);
        Ok(readable(sealed)?.map(|sealed| (epoch, sealed)))
    }

    /// Somebody signals. What is of no use is nothing.
    pub(super) fn signalled(&mut self, turn: &Turn<'_>, signal: &Signal) -> Result<(), StoreError> {
        let Some((user, _)) = signal.sender else { return Ok(()) };
        let is_own = self.account.as_ref().is_none_or(|account| account.user == user);
        let row = ConversationRow::find(turn.db, signal.conversation)?;
        let is_member = row.as_ref().is_some_and(|row| row.peer == Some(user) && row.request == Request::No);
        let Some(row) = row.filter(|_| is_member && !is_own) else {
            tracing::debug!("a signal of somebody who has no say there");
            return Ok(());
        };
        let Some(body) = self.read_signal(turn, &row, signal)? else {
            tracing::debug!("a signal cannot be read");
            return Ok(());
        };
        let apart = self.node_time(turn.now).0.abs_diff(body.at.0);
        if apart > APART_MS && !planted(PlantedBug::SignalsOfAnyTime) {
            tracing::debug!("a signal of another time");
            return Ok(());
        }
        match body.kind {
            SignalKind::Typing => self.writers.heard(row.id, user, turn.now),
            SignalKind::Stopped => self.writers.wrote(row.id, user),
            // Of a later version.
            _ => {}
        }
        Ok(())
    }

    fn read_signal(
        &self,
        turn: &Turn<'_>,
        row: &ConversationRow,
        signal: &Signal,
    ) -> Result<Option<SignalBody>, StoreError> {
        if row.protection == Protection::NodeReadable {
            return Ok(SignalBody::decode(&signal.body).ok());
        }
        let secured = SecuredRow::get(turn.db, row.id)?;
        let own = self.account.as_ref().and_then(|account| account.own.as_ref());
        let (Some(group), Some(own), Some(sender)) = (secured.group, own, signal.sender) else { return Ok(None) };
        if secured.epoch != signal.epoch {
            return Ok(None);
        }
        let header = header(row.id, sender, signal.epoch);
        let said = readable(Mls::new(own, turn.db).open_signal(group, &header, &signal.body))?;
        Ok(said.and_then(|said| SignalBody::decode(&said).ok()))
    }
}

/// What goes along in clear.
pub(super) fn header(conversation: ConversationId, (user, device): (UserId, DeviceId), epoch: u64) -> [u8; 56] {
    let mut header = [0; 56];
    header[..16].copy_from_slice(conversation.as_bytes());
    header[16..32].copy_from_slice(user.as_bytes());
    header[32..48].copy_from_slice(device.as_bytes());
    header[48..].copy_from_slice(&epoch.to_be_bytes());
    header
}

/// Only what the history could not do is a failure.
fn readable<T>(outcome: Result<T, Fault>) -> Result<Option<T>, StoreError> {
    match outcome {
        Ok(said) => Ok(Some(said)),
        Err(Fault::Store(error)) => Err(error),
        Err(fault) => {
            tracing::debug!(%fault, "no signal");
            Ok(None)
        }
    }
}
