//! Publish: a message gets its position, its mailbox entries and its body on disk, or is refused.
//!
//! A message id is accepted once. After a refusal nothing of that stream is accepted until it restarts.

use chasqui_wire::{
    Accepted, ConversationId, ConversationKind, ErrorCode, Protection, ReceiptKind, Send, Seq, SeqRange, StorageClass,
    Timestamp, direct_conversation,
};
use rusqlite::OptionalExtension as _;

use super::commit::rejected;
use super::fan_out::{Cargo, Post};
use super::group_mail::CommitRoute;
use super::notices::ReceiptKey;
use super::one_device::{OnlyDevice, Original, check_only, is_said};
use super::requests::Gate;
use super::route::Route;
use super::step::Step;
use super::{Event, RelayError, Who};
use crate::planted::{PlantedBug, planted};
use crate::store::{ConversationRow, UserRow};

/// Why a send is refused, and after how many milliseconds it may make sense again.
#[derive(Clone, Copy, Debug)]
pub(super) struct No(pub(super) ErrorCode, pub(super) &'static str, pub(super) u32);

impl No {
    pub(super) const NO_ROOM: Self =
        Self(ErrorCode::MailboxFull, "no mailbox that it is for has room for more of this sender", 10_000);
    /// Mail that was sealed for the group as it was could not be read once the device has changed it.
    pub(super) const BEHIND: Self =
        Self(ErrorCode::EpochConflict, "mail of this conversation waits for this device: take that first", 500);
}

/// What was answered to a message id.
struct Prior {
    /// Whose it was: somebody who logs in anew sends again what an earlier device of theirs may have sent.
    user: UserRow,
    conversation: ConversationRow,
    accepted: Accepted,
}

/// A send that is in order, and what it needs.
struct Plan {
    peer: UserRow,
    conversation: Option<(ConversationRow, u64)>,
    mail: PlannedMail,
    /// What it repeats, if it does.
    original: Option<Original>,
    ttl_ms: u64,
    is_request: bool,
}

/// Who gets what.
enum PlannedMail {
    Message(Route),
    ForOne(OnlyDevice),
    Commit(CommitRoute),
}

impl Step<'_> {
    pub(super) fn publish(&mut self, who: Who, send: &Send) -> Result<(), RelayError> {
        if send.restart {
            self.stall(who.session, send.conversation, false);
        }
        let stalled = self.state.is_stalled(who.session, send.conversation);
        let conversation = self.conversation_by_id(send.conversation)?;
        let prior = self.prior(send)?;
        let mut moves = false;
        if let (false, Some(prior), Some((row, head))) = (stalled, &prior, conversation)
            && prior.user == who.user
            && prior.conversation == row
        {
            // What a commit led to is replaced after a restore, and not given back. A resend has the position of another.
            moves = send.commit.is_none() && send.resend_of.is_none() && self.moves(row, head, prior, send)?;
            if !moves {
                self.answer(who.session, Event::Accepted(prior.accepted));
                return Ok(());
            }
        }
        // What is refused counts as well, or refusals would be free.
        let over_rate = self.over_rate(who);
        let refusal = if stalled {
            // What comes again waits too: a sender that heard of a later message and not of an earlier one would have them
            // in the wrong order after a restore.
            Some(No(ErrorCode::StreamStalled, "an earlier send of this stream was refused", 0))
        } else if let Some(retry_after_ms) = over_rate {
            Some(No(ErrorCode::RateLimited, "more than limits.sends_per_minute", retry_after_ms))
        } else if prior.is_some() && !moves {
            Some(No(ErrorCode::MessageIdTaken, "this message id was used for another message", 0))
        } else {
            match self.plan(who, send, conversation)? {
                Ok(plan) => {
                    let accepted = self.accept(who, send, plan)?;
                    if prior.is_none() && is_said(send) {
                        // As the device counts: what it says by itself, and a message that moves, is none more.
                        *self.pending.accepted.entry(who.session).or_default() += 1;
                    }
                    self.answer(who.session, Event::Accepted(accepted));
                    None
                }
                Err(refusal) => Some(refusal),
            }
        };
        if let Some(No(code, detail, retry_after_ms)) = refusal {
            self.stall(who.session, send.conversation, true);
            self.answer(who.session, rejected(send.message, code, detail, retry_after_ms));
            self.end_if_overloaded(who.session);
        }
        Ok(())
    }

    fn prior(&mut self, send: &Send) -> Result<Option<Prior>, RelayError> {
        if planted(PlantedBug::NoIdempotency) {
            self.sql("DELETE FROM accepted WHERE message = ?1")?.execute([send.message.as_bytes()])?;
        }
        let mut query = self.sql(
            "SELECT device.user, accepted.conversation, accepted.seq, accepted.at, accepted.revision
             FROM accepted JOIN device USING (device) WHERE accepted.message = ?1",
        )?;
        let prior = query.query_row([send.message.as_bytes()], |row| {
            let accepted = Accepted {
                message: send.message,
                seq: Seq::from_raw(row.get(2)?),
                at: Timestamp(row.get(3)?),
                revision: row.get(4)?,
            };
            Ok(Prior { user: row.get(0)?, conversation: row.get(1)?, accepted })
        });
        Ok(prior.optional()?)
    }

    /// Everything that can be refused, before anything is written.
    fn plan(
        &mut self,
        who: Who,
        send: &Send,
        conversation: Option<(ConversationRow, u64)>,
    ) -> Result<Result<Plan, No>, RelayError> {
        let limits = &self.state.options.limits;
        let ttl_max = limits.ttl_seconds_max;
        if send.commit.is_none() && send.body.len() > limits.body_bytes as usize {
            return Ok(Err(No(ErrorCode::TooLarge, "the body is above limits.body_bytes", 0)));
        }
        let is_supported = send.kind == ConversationKind::Direct && send.storage == StorageClass::Durable;
        if !is_supported {
            let detail = "this node takes durable messages in direct conversations";
            return Ok(Err(No(ErrorCode::NotSupported, detail, 0)));
        }
        if send.protection == Protection::NodeReadable && (send.epoch != 0 || send.commit.is_some()) {
            return Ok(Err(No(ErrorCode::NotSupported, "a node-readable conversation has no epochs", 0)));
        }
        if let Err(no) = check_only(send) {
            return Ok(Err(no));
        }
        if send.ttl_seconds > ttl_max {
            return Ok(Err(No(ErrorCode::Invalid, "ttl_seconds is above limits.ttl_seconds_max", 0)));
        }
        let Some(peer_id) = send.peer else {
            return Ok(Err(No(ErrorCode::Invalid, "a direct conversation needs a peer", 0)));
        };
        if send.conversation != direct_conversation(who.user_id, peer_id, send.protection) {
            return Ok(Err(No(ErrorCode::Invalid, "the conversation is not the one with this peer", 0)));
        }
        let Some(peer) = self.user_by_id(peer_id)? else {
            return Ok(Err(No(ErrorCode::UnknownUser, "no such peer", 0)));
        };
        let head = conversation.and_then(|(_, head)| Seq::from_raw(head));
        let takes_position = send.resend_of.is_none();
        if takes_position && head.is_some_and(|head| head.number() == Seq::NUMBER_MAX && head.era() >= self.era()) {
            return Ok(Err(No(ErrorCode::NotSupported, "the conversation has no positions left", 0)));
        }
        // Of what a device says to another one of its user the peer gets nothing.
        let stays_home = self.is_for_own_device(who, send)?;
        let gate = match stays_home {
            true => Gate::Open,
            false => self.gate(conversation.map(|(row, _)| row), who.user, peer)?,
        };
        if peer != who.user && !stays_home {
            if self.active_devices(peer)?.is_empty() {
                return Ok(Err(if self.is_deleted(peer)? {
                    No(ErrorCode::AccountDeleted, "the peer deleted the account", 0)
                } else {
                    No(ErrorCode::Unreachable, "the peer has no device", 0)
                }));
            }
            // Said alike to whom the peer has not answered, and whom the peer does not want to hear from.
            if gate == Gate::Closed {
                let detail = "the peer has not accepted yet that this user writes";
                return Ok(Err(No(ErrorCode::RequestPending, detail, 0)));
            }
        }
        let original = match self.original(who, send, conversation.map(|(row, _)| row))? {
            Ok(original) => original,
            Err(no) => return Ok(Err(no)),
        };
        let mail = match send.protection {
            Protection::NodeReadable => match send.only_device {
                Some(device) => self.route_readable_to(who, peer, send, device)?.map(PlannedMail::ForOne),
                None => self.route_readable(who, peer, send)?.map(PlannedMail::Message),
            },
            Protection::EndToEnd => {
                let row = conversation.map(|(row, _)| row);
                let group = self.group(row, [who.user, peer])?;
                match (&send.commit, send.only_device) {
                    (Some(_), _) if row.map_or(Ok(false), |row| self.is_behind(who.device, row))? => Err(No::BEHIND),
                    (Some(commit), _) => self.route_commit(who, peer, send, commit, &group)?.map(PlannedMail::Commit),
                    (None, Some(device)) => {
                        self.route_encrypted_to(who, peer, send, device, &group)?.map(PlannedMail::ForOne)
                    }
                    (None, None) => self.route_encrypted(who, peer, send, &group)?.map(PlannedMail::Message),
                }
            }
        };
        let is_brief = send.ttl_seconds != 0 && send.commit.is_none();
        // What comes after a commit cannot be read without it, so it waits for as long as anything may.
        let ttl_seconds = if is_brief { send.ttl_seconds } else { ttl_max };
        let (ttl_ms, is_request) = (u64::from(ttl_seconds) * 1000, gate == Gate::Request);
        Ok(mail.map(|mail| Plan { peer, conversation, mail, original, ttl_ms, is_request }))
    }

    /// To every device of both, but the sending one.
    fn route_readable(&mut self, who: Who, peer: UserRow, send: &Send) -> Result<Result<Route, No>, RelayError> {
        let bytes = send.body.len() as u32;
        let mut route = Route::default();
        if peer != who.user {
            let devices = self.active_devices(peer)?;
            match self.route_to_peer(who, &devices, bytes)? {
                Some(to_peer) => route = to_peer,
                None => return Ok(Err(No::NO_ROOM)),
            }
        }
        let own = self.active_devices(who.user)?;
        self.route_to_siblings(who, &own, bytes, &mut route)?;
        Ok(Ok(route))
    }

    fn accept(&mut self, who: Who, send: &Send, plan: Plan) -> Result<Accepted, RelayError> {
        let (conversation, head) = match plan.conversation {
            Some(found) => {
                if is_said(send) {
                    self.answering(found.0, who.user)?;
                }
                found
            }
            None => {
                let created = self.create_direct(send.conversation, send.protection, [who.user, plan.peer])?;
                if send.only_device.is_some() {
                    self.leave_unanswered(created, who.user, plan.peer)?;
                }
                (created, 0)
            }
        };
        if plan.is_request {
            self.count_request(conversation, plan.peer, send.commit.is_none())?;
        }
        let (seq, at) = match plan.original {
            Some(original) => (original.seq, original.at),
            None => (self.position(conversation, head, send)?, self.now),
        };
        let (revision, is_resend) = (self.revision(), plan.original.is_some());
        self.sql(
            "INSERT INTO accepted (message, device, conversation, seq, at, revision, is_resend)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
             ON CONFLICT (message) DO UPDATE SET seq = ?4, at = ?5, revision = ?6, is_had = 0",
        )?
        .execute((send.message.as_bytes(), who.device, conversation, seq.raw(), at.0, revision, is_resend))?;
        self.pending.changed = true;
        let post = Post {
            who,
            send,
            conversation,
            peer: plan.peer,
            seq,
            accepted_at: at,
            expires_at: self.now.plus_millis(plan.ttl_ms),
            is_request: plan.is_request,
        };
        match plan.mail {
            PlannedMail::Message(mut route) => {
                if planted(PlantedBug::KeptBack) && send.message.as_bytes()[15].is_multiple_of(8) {
                    route.takers.pop();
                }
                for &(device, reason) in &route.passed_over {
                    self.miss(device, conversation, SeqRange::one(seq), reason)?;
                }
                self.fan_out(&post, Cargo::Message(&send.body), &route.takers)?;
                if planted(PlantedBug::ReceiptBeforeStore) && !route.takers.is_empty() {
                    let key = ReceiptKey { to: who.user, conversation, about: plan.peer, kind: ReceiptKind::Received };
                    self.receipt(key, seq);
                }
            }
            PlannedMail::ForOne(only) => self.fan_out(&post, Cargo::ForOne(&send.body, only.user), &[only.row])?,
            PlannedMail::Commit(route) => self.take_commit(&post, route)?,
        }
        Ok(Accepted { message: send.message, seq: Some(seq), at, revision })
    }

    pub(super) fn create_direct(
        &mut self,
        id: ConversationId,
        protection: Protection,
        members: [UserRow; 2],
    ) -> Result<ConversationRow, RelayError> {
        self.sql("INSERT INTO conversation (id, kind, protection, head) VALUES (?1, ?2, ?3, 0)")?.execute((
            id.as_bytes(),
            ConversationKind::Direct.number(),
            protection.number(),
        ))?;
        let conversation = ConversationRow(self.db.last_insert_rowid());
        for user in members {
            self.sql("INSERT OR IGNORE INTO member (conversation, user) VALUES (?1, ?2)")?
                .execute((conversation, user))?;
        }
        self.pending.changed = true;
        Ok(conversation)
    }

    /// The next position, or the one that an earlier era had given to this message if a restore lost it.
    fn position(&mut self, conversation: ConversationRow, head: u64, send: &Send) -> Result<Seq, RelayError> {
        if let Some(seq) = self.reclaimable(conversation, head, send)? {
            let mut take = self.sql("INSERT INTO reclaimed (conversation, seq) VALUES (?1, ?2)")?;
            take.execute((conversation, seq.raw()))?;
            return Ok(seq);
        }
        let seq = self.next_position(head);
        if let Some(head) = Seq::from_raw(head)
            && head.era() < seq.era()
        {
            self.sql("INSERT INTO era_head (conversation, era, head) VALUES (?1, ?2, ?3)")?.execute((
                conversation,
                head.era(),
                head.number(),
            ))?;
        }
        self.set_head(send.conversation, conversation, seq.raw());
        Ok(seq)
    }

    fn next_position(&self, head: u64) -> Seq {
        let era = if planted(PlantedBug::ReuseSeq) { 0 } else { self.era() };
        Seq::after(Seq::from_raw(head), era)
    }

    /// Whether a message that came again gets another position than the node remembers, for all. Two pasts that were lost are
    /// reasons: one that had given it a later position, where devices have it; and one that had given a later position
    /// to what its sender wrote before it. Positions only ever move to later eras.
    fn moves(&self, conversation: ConversationRow, head: u64, prior: &Prior, send: &Send) -> Result<bool, RelayError> {
        if planted(PlantedBug::StaysBehind) {
            return Ok(false);
        }
        let is_too_early = |seq: Seq| prior.accepted.seq < Some(seq);
        let would_stand_behind = |seq: Seq| seq < self.next_position(head);
        if send.after_seq.is_some_and(|seq| is_too_early(seq) && would_stand_behind(seq)) {
            return Ok(true);
        }
        Ok(self.reclaimable(conversation, head, send)?.is_some_and(is_too_early))
    }

    /// The position that the message had, if a restore lost it, nobody took it meanwhile, and it is behind what its sender
    /// wrote before.
    fn reclaimable(&self, conversation: ConversationRow, head: u64, send: &Send) -> Result<Option<Seq>, RelayError> {
        let Some(seq) = send.reclaim_seq.filter(|&seq| send.after_seq < Some(seq)) else { return Ok(None) };
        if !self.is_lost(conversation, head, seq)? {
            return Ok(None);
        }
        let mut taken = self.sql("SELECT 1 FROM reclaimed WHERE conversation = ?1 AND seq = ?2")?;
        Ok((!taken.exists((conversation, seq.raw()))?).then_some(seq))
    }

    /// Whether `seq` lies above what the node remembers of its era.
    fn is_lost(&self, conversation: ConversationRow, head: u64, seq: Seq) -> Result<bool, RelayError> {
        if seq.era() >= self.era() {
            return Ok(false);
        }
        let head = match Seq::from_raw(head) {
            Some(head) if head.era() == seq.era() => head.number(),
            _ => {
                let mut query = self.sql("SELECT head FROM era_head WHERE conversation = ?1 AND era = ?2")?;
                query.query_row((conversation, seq.era()), |row| row.get(0)).optional()?.unwrap_or(0)
            }
        };
        Ok(seq.number() > head)
    }
}
