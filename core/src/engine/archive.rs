//! Archive: another device of the user gives its history. How that takes its place here: `merge.rs`.
//!
//! Guarantees: a transfer goes on after a crash of either device where it stood, and what is lost on the way is asked for again.

use std::collections::BTreeSet;

use bytes::Bytes;
use chasqui_wire::{
    ArchivePage, Content, ContentKind, ConversationKind, DeviceId, Envelope, ErrorCode, HistoryNext, HistoryPiece,
    HistoryRequest, Limits, MessageId, Protection, RosterEntry, Timestamp, direct_conversation,
};

use super::identity::Identity;
use super::merge::Unsent;
use super::recovery::name;
use super::{Engine, Turn};
use crate::e2ee::{Fault, Mls, SEALED_BYTES};
use crate::planted::{PlantedBug, planted};
use crate::store::{self, ArchiveCursor, ConversationHead, ConversationRow, SecuredRow, StoreError, TransferRow};

/// Of history in an answer, and of a piece beside its bytes.
const ANSWER_PAGES: u32 = 4;
const PAGE: usize = 48 * 1024;
const BESIDE: usize = 256;
const MINUTE_MS: u64 = 60_000;
/// After each request that nothing came of: the other device may be off for days.
const PAUSES_MS: [u64; 5] = [MINUTE_MS, 10 * MINUTE_MS, 60 * MINUTE_MS, 12 * 60 * MINUTE_MS, 24 * 60 * MINUTE_MS];
/// About three weeks.
const ATTEMPTS: u32 = 24;
/// Of answers of one device that are of no use at the same place.
const USELESS: u32 = 3;

/// After so many other requests that nothing came of.
fn pause(attempts: u32) -> u64 {
    PAUSES_MS[(attempts as usize).min(PAUSES_MS.len() - 1)]
}

/// When the next part of a history is to be asked for.
#[derive(Debug, Default)]
pub(super) struct Transfer {
    at: Option<Timestamp>,
    /// How often in a row what came was of no use. In memory, as what follows: who starts anew tries once more.
    useless: u32,
    /// Who gave such things to the end.
    given_up: BTreeSet<DeviceId>,
}

impl Transfer {
    pub(super) fn load(db: &rusqlite::Connection) -> Result<Self, StoreError> {
        let mut transfer = Self { at: TransferRow::load(db)?.map(|row| row.ask_at), ..Self::default() };
        transfer.look();
        Ok(transfer)
    }

    /// It may be due: a clock was set.
    pub(super) fn look(&mut self) {
        self.at = self.at.map(|_| Timestamp(i64::MIN));
    }

    /// What was said before may still come, and what became of it before that.
    pub(super) fn is_under_way(&self) -> bool {
        self.at.is_some()
    }

    pub(super) fn wake_at(&self) -> Option<Timestamp> {
        self.at
    }
}

impl Engine {
    /// This device was linked by `device`, which has the history.
    pub(super) fn begin_transfer(&mut self, turn: &mut Turn<'_>, device: DeviceId) -> Result<(), StoreError> {
        self.begin_transfer_at(turn, device, Bytes::new())
    }

    /// What devices of the user say to each other may have missed this one, and none of them knows. They are asked for the end of
    /// their histories, with which they say it once more.
    pub(super) fn catch_up(&mut self, turn: &mut Turn<'_>) -> Result<(), StoreError> {
        // A history that is being given ends in the same way. What is asked for already may have been lost with the rest.
        self.catch_up_unless(turn, |row| !row.catches_up())
    }

    /// The same, of what cannot be read. That is no reason to ask once more and at once: two that do not understand each other would
    /// never stop asking.
    pub(super) fn catch_up_in_time(&mut self, turn: &mut Turn<'_>) -> Result<(), StoreError> {
        self.catch_up_unless(turn, |_| true)
    }

    fn catch_up_unless(
        &mut self,
        turn: &mut Turn<'_>,
        is_enough: impl Fn(&TransferRow) -> bool,
    ) -> Result<(), StoreError> {
        let Some(own) = self.account.as_ref().filter(|account| account.is_linked()).map(|account| account.device)
        else {
            return Ok(());
        };
        if TransferRow::load(turn.db)?.is_some_and(|row| is_enough(&row)) || planted(PlantedBug::NeverCaughtUp) {
            return Ok(());
        }
        self.begin_transfer_at(turn, own, ArchiveCursor::end(turn.now).encode())
    }

    fn begin_transfer_at(&mut self, turn: &mut Turn<'_>, device: DeviceId, next: Bytes) -> Result<(), StoreError> {
        let row = TransferRow {
            device,
            asked: Bytes::new(),
            next,
            pieces: 0,
            page: Vec::new(),
            messages: 0,
            per_mille: 0,
            attempts: 0,
            ask_at: turn.now,
        };
        row.put(turn.db)?;
        self.transfer.at = Some(turn.now);
        turn.changes.transfer = true;
        Ok(())
    }

    /// The node was restored to before it knew that this device takes part: what others said since, only the user's other devices got.
    pub(super) fn link_was_forgotten(&mut self, turn: &mut Turn<'_>) -> Result<(), StoreError> {
        let giver = match TransferRow::load(turn.db)?.filter(|row| !row.catches_up()) {
            Some(row) => Some(row.device),
            None => self.siblings(turn)?.first().copied(),
        };
        giver.map_or(Ok(()), |device| self.begin_transfer(turn, device))
    }

    /// Asks for what is due. Not before the mail is in, which may hold the answer.
    pub(super) fn request_history(&mut self, turn: &mut Turn<'_>) -> Result<(), StoreError> {
        let is_linked = self.account.as_ref().is_some_and(Identity::is_linked);
        if self.transfer.at.is_none_or(|at| at > turn.now) || !is_linked || !self.link.is_drained() {
            return Ok(());
        }
        // What is written once they are there comes by itself; the other device has what was written before when it is asked.
        if !self.groups.are_packages_there() {
            return Ok(());
        }
        let Some(row) = TransferRow::load(turn.db)? else {
            self.transfer.at = None;
            return Ok(());
        };
        // What is farther off than the pause is long a wrong clock wrote.
        if turn.now < row.ask_at && row.ask_at <= turn.now.plus_millis(pause(row.attempts.saturating_sub(1))) {
            self.transfer.at = Some(row.ask_at);
            return Ok(());
        }
        // The first request has brought the group up to date.
        let is_alone = row.catches_up() && row.attempts > 0 && self.is_alone(turn)?;
        if row.attempts >= ATTEMPTS || is_alone {
            tracing::warn!("no other device gives its history");
            return self.give_up_transfer(turn, &row);
        }
        let Some(conversation) = self.with_oneself(turn)? else { return Ok(()) };
        if row.attempts > 1 {
            // One of the two may have missed who is in the group by now, and what devices say is not asked for again: a group that
            // is begun anew has both. Not at once: what is on its way could not be read then.
            self.let_go(turn, conversation.id)?;
        }
        let request = HistoryRequest { cursor: row.next.clone(), attempt: row.attempts };
        let of = (!row.catches_up()).then_some(row.device);
        self.tell_devices(turn, &conversation, of, ContentKind::HistoryRequest(request))?;
        let ask_at = turn.now.plus_millis(pause(row.attempts));
        let attempts = row.attempts + 1;
        TransferRow { asked: row.next.clone(), pieces: 0, page: Vec::new(), attempts, ask_at, ..row }.put(turn.db)?;
        self.transfer.at = Some(ask_at);
        Ok(())
    }

    /// What did not come nobody gives.
    fn give_up_transfer(&mut self, turn: &mut Turn<'_>, row: &TransferRow) -> Result<(), StoreError> {
        if !row.catches_up() {
            self.tell_loss(turn)?;
        }
        self.end_transfer(turn)
    }

    fn tell_loss(&self, turn: &mut Turn<'_>) -> Result<(), StoreError> {
        store::note_loss(turn.db)?;
        turn.changes.incomplete = true;
        Ok(())
    }

    fn end_transfer(&mut self, turn: &mut Turn<'_>) -> Result<(), StoreError> {
        TransferRow::remove(turn.db)?;
        store::drop_stale_early_receipts(turn.db)?;
        store::date_oldest_loss(turn.db, turn.now)?;
        self.transfer = Transfer::default();
        turn.changes.transfer = true;
        Ok(())
    }

    /// Another device of the user wants this one's history.
    pub(super) fn answer_history_request(
        &mut self,
        turn: &mut Turn<'_>,
        conversation: &ConversationRow,
        envelope: &Envelope,
        request: &HistoryRequest,
    ) -> Result<(), StoreError> {
        // One that has not all itself is asked again later.
        // Not the one that gives it: it would wait for this one.
        let giver = TransferRow::load(turn.db)?.filter(|row| !row.catches_up()).map(|row| row.device);
        if !self.is_own_device(envelope) || giver.is_some_and(|giver| giver != envelope.sender_device) {
            return Ok(());
        }
        let known = ArchiveCursor::decode(&request.cursor);
        let mut at = Some(match known {
            Some(cursor) => cursor,
            None => ArchiveCursor::beginning(turn.db)?,
        });
        let limit = self.link.limits().unwrap_or(&Limits::DEFAULT).body_bytes as usize;
        let piece_bytes = limit.saturating_sub(SEALED_BYTES + BESIDE).max(1);
        let (mut number, asker) = (0, Some(envelope.sender_device));
        for pages in 1..=ANSWER_PAGES {
            let Some(cursor) = at else { break };
            let (page, next) = cursor.page(turn.db, PAGE.min(piece_bytes))?;
            let encoded = Bytes::from(page.encode());
            let ends_answer = pages == ANSWER_PAGES || next.is_none_or(ArchiveCursor::begins_messages);
            let per_mille = next.map_or(1000, ArchiveCursor::per_mille);
            let next_cursor = next.map(ArchiveCursor::encode).unwrap_or_default();
            let count = encoded.len().div_ceil(piece_bytes).max(1);
            for piece in 0..count {
                let is_last = piece + 1 == count;
                let bytes = encoded.slice(piece * piece_bytes..encoded.len().min((piece + 1) * piece_bytes));
                let piece = HistoryPiece {
                    cursor: request.cursor.clone(),
                    number,
                    bytes,
                    next: is_last.then(|| HistoryNext { cursor: next_cursor.clone(), per_mille }),
                    ends_answer: is_last && ends_answer,
                };
                self.tell_devices(turn, conversation, asker, ContentKind::HistoryPiece(piece))?;
                number += 1;
            }
            at = next.filter(|_| !ends_answer);
        }
        Ok(())
    }

    /// A piece of another device's history came.
    pub(super) fn hear_history(
        &mut self,
        turn: &mut Turn<'_>,
        envelope: &Envelope,
        piece: &HistoryPiece,
    ) -> Result<(), StoreError> {
        if !self.is_own_device(envelope) {
            return Ok(());
        }
        let is_end = ArchiveCursor::decode(&piece.cursor).is_some_and(ArchiveCursor::is_end);
        if is_end && piece.number == 0 && piece.next.is_some() {
            self.hear_end_of_history(turn, envelope.sender_device, piece)?;
        }
        let is_of = |row: &TransferRow| row.catches_up() || row.device == envelope.sender_device;
        let Some(mut row) = TransferRow::load(turn.db)?.filter(is_of) else { return Ok(()) };
        // An earlier answer to a question that was asked again, or one of which something is missing: it is asked for again.
        if row.asked != piece.cursor || row.pieces != piece.number {
            return Ok(());
        }
        row.pieces += 1;
        row.attempts = 0;
        row.ask_at = turn.now.plus_millis(PAUSES_MS[0]);
        row.page.extend_from_slice(&piece.bytes);
        turn.changes.transfer = true;
        if let Some(next) = &piece.next {
            match ArchivePage::decode(std::mem::take(&mut row.page).into()) {
                Ok(page) => {
                    row.messages += self.merge(turn, &page, Unsent::Left)?;
                    self.transfer.useless = 0;
                    if let Some(newest) = page.messages.first() {
                        store::date_loss(turn.db, newest.accepted_at.unwrap_or(newest.created_at))?;
                    }
                }
                Err(error) => {
                    tracing::warn!(%error, "a page of the history is of no use");
                    if self.asks_again_for_page(turn, &mut row)? {
                        return Ok(());
                    }
                }
            }
            (row.next, row.per_mille) = (next.cursor.clone(), next.per_mille);
            if next.cursor.is_empty() || planted(PlantedBug::HistoryCutShort) {
                return self.end_transfer(turn);
            }
            if piece.ends_answer {
                row.ask_at = turn.now;
            }
        }
        row.put(turn.db)?;
        self.transfer.at = Some(row.ask_at);
        Ok(())
    }

    /// Several devices were asked for it, and each may know what the others do not. What is news here may be news to them: one that was linked
    /// meanwhile may have its history from one that did not know it either. And who gave it may have missed what is known here.
    fn hear_end_of_history(
        &mut self,
        turn: &mut Turn<'_>,
        giver: DeviceId,
        piece: &HistoryPiece,
    ) -> Result<(), StoreError> {
        let Ok(page) = ArchivePage::decode(piece.bytes.clone()) else { return Ok(()) };
        let Some(conversation) = self.with_oneself(turn)? else { return Ok(()) };
        for comparison in &page.comparisons {
            if self.take_comparison(turn, comparison)? {
                self.tell_devices(turn, &conversation, None, ContentKind::Comparison(*comparison))?;
            }
        }
        for known in store::comparisons(turn.db)? {
            if !page.comparisons.iter().any(|said| said.user == known.user && said.at >= known.at) {
                self.tell_devices(turn, &conversation, Some(giver), ContentKind::Comparison(known))?;
            }
        }
        Ok(())
    }

    /// A page that is of no use here is asked for again: of the device that gave it, which may do better, then of each other one. Says
    /// whether it is; what nobody can give is passed over, and told.
    fn asks_again_for_page(&mut self, turn: &mut Turn<'_>, row: &mut TransferRow) -> Result<bool, StoreError> {
        if row.catches_up() {
            return Ok(false);
        }
        self.transfer.useless += 1;
        let useless = self.transfer.useless;
        if useless < USELESS {
            (row.attempts, row.ask_at) = (useless, turn.now.plus_millis(pause(useless - 1)));
            // The rest of this answer follows what could not be used.
            row.pieces = u32::MAX;
            row.put(turn.db)?;
            self.transfer.at = Some(row.ask_at);
            return Ok(true);
        }
        self.transfer.useless = 0;
        self.transfer.given_up.insert(row.device);
        let siblings = self.siblings(turn)?;
        if let Some(other) = siblings.into_iter().find(|device| !self.transfer.given_up.contains(device)) {
            self.begin_transfer(turn, other)?;
            return Ok(true);
        }
        tracing::error!("nobody can give a page of the history");
        self.tell_loss(turn)?;
        Ok(false)
    }

    /// What this device asked for reached nobody. The other one's mailbox may be full, or the node was restored: only who cannot be
    /// reached again and again is gone.
    pub(super) fn history_request_reached_nobody(
        &mut self,
        turn: &mut Turn<'_>,
        code: ErrorCode,
    ) -> Result<(), StoreError> {
        const GONE: u32 = 3;
        let Some(row) = TransferRow::load(turn.db)? else { return Ok(()) };
        if code == ErrorCode::MailboxFull || row.attempts < GONE {
            return Ok(());
        }
        tracing::warn!("the device that was to give its history is gone");
        match self.siblings(turn)?.into_iter().find(|&device| device != row.device) {
            Some(other) => self.begin_transfer(turn, other),
            None => self.give_up_transfer(turn, &row),
        }
    }

    /// The user's other devices: those in the group of all, or if this device has lost that, in any.
    fn siblings(&mut self, turn: &Turn<'_>) -> Result<Vec<DeviceId>, StoreError> {
        let Some(conversation) = self.with_oneself(turn)? else { return Ok(Vec::new()) };
        let Some(own) = self.account.as_ref().and_then(Identity::linked) else { return Ok(Vec::new()) };
        let RosterEntry { user, device } = own.entry();
        for group in SecuredRow::groups(turn.db, conversation.id)? {
            let members = match Mls::new(own, turn.db).members(group) {
                Ok(members) => members,
                Err(Fault::Store(error)) => return Err(error),
                Err(_) => continue,
            };
            let others = members.iter().filter(|leaf| leaf.user == user && leaf.device != device);
            let others: Vec<_> = others.map(|leaf| leaf.device).collect();
            if !others.is_empty() {
                return Ok(others);
            }
        }
        Ok(Vec::new())
    }

    /// Whether the group of all the user's devices has this one only. In other groups may be some that are gone.
    fn is_alone(&mut self, turn: &Turn<'_>) -> Result<bool, StoreError> {
        let Some(conversation) = self.with_oneself(turn)? else { return Ok(false) };
        let group = SecuredRow::get(turn.db, conversation.id)?.group;
        let Some((own, group)) = self.account.as_ref().and_then(Identity::linked).zip(group) else {
            return Ok(false);
        };
        match Mls::new(own, turn.db).members(group) {
            Ok(members) => Ok(members.len() == 1),
            Err(Fault::Store(error)) => Err(error),
            Err(_) => Ok(false),
        }
    }

    pub(super) fn is_own_device(&self, envelope: &Envelope) -> bool {
        let is_own = |user| envelope.sender_user == user && envelope.peer == Some(user);
        envelope.protection == Protection::EndToEnd && self.account.as_ref().is_some_and(|account| is_own(account.user))
    }

    /// The encrypted conversation of the user's devices.
    pub(super) fn with_oneself(&mut self, turn: &Turn<'_>) -> Result<Option<ConversationRow>, StoreError> {
        let Some(user) = self.account.as_ref().map(|account| account.user) else { return Ok(None) };
        let protection = Protection::EndToEnd;
        let id = direct_conversation(user, user, protection);
        let head = ConversationHead { id, kind: ConversationKind::Direct, protection, peer: Some(user) };
        self.conversation_of_devices(turn, &head).map(Some)
    }

    /// One of the user's other devices, or all.
    fn tell_devices(
        &mut self,
        turn: &Turn<'_>,
        conversation: &ConversationRow,
        device: Option<DeviceId>,
        kind: ContentKind,
    ) -> Result<(), StoreError> {
        let Some(own) = self.account.as_ref().map(|account| account.device) else { return Ok(()) };
        let mut content =
            Content { message: MessageId::from_bytes([0; 16]), created_at: turn.now, kind, previous: vec![] };
        let words = content.encode();
        let of = device.as_ref().map_or(&[][..], |device| device.as_bytes());
        content.message = name(&[b"chasqui/v1/history", own.as_bytes(), of, &words]);
        self.say_to_devices(turn, conversation, content.message, content.encode(), device, None)
    }
}
