//! Requests: a stranger's first messages wait for the recipient's word. See docs/adr/0008-message-requests.md.
//!
//! Guarantees: who was not accepted, and was not written to, has at most `request_messages` messages accepted, and hears
//! nothing of what became of them but that they cannot be delivered. Whoever answers accepts. What was withheld is told then.

use chasqui_wire::{Accepted, Admission, Admit, EntryKind, ErrorCode, ReceiptKind, Seq, Verdict, direct_conversation};
use rusqlite::OptionalExtension as _;

use super::commit::rejected;
use super::notices::ReceiptKey;
use super::step::Step;
use super::{Event, RelayError, Who};
use crate::planted::{PlantedBug, planted};
use crate::store::{ConversationRow, UserRow};

/// What a member says to the other one's writing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    Welcome,
    /// Not answered yet; so many messages wait for it.
    Asked(u32),
    Blocked,
}

/// What becomes of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Gate {
    Open,
    /// It goes through, as a request.
    Request,
    Closed,
}

impl Step<'_> {
    /// Whether `peer` takes a message of `who`.
    pub(super) fn gate(
        &self,
        conversation: Option<ConversationRow>,
        who: UserRow,
        peer: UserRow,
    ) -> Result<Gate, RelayError> {
        let most = self.state.options.request_messages;
        if !self.state.has_requests || who == peer {
            return Ok(Gate::Open);
        }
        let standing = match conversation {
            Some(conversation) => self.standing(conversation, peer)?,
            None if most == 0 => Standing::Welcome,
            None => Standing::Asked(0),
        };
        Ok(match standing {
            Standing::Welcome => Gate::Open,
            Standing::Blocked => Gate::Closed,
            // Requests were switched off since.
            Standing::Asked(_) if most == 0 => Gate::Open,
            Standing::Asked(asked) if asked < most || planted(PlantedBug::RequestsUncounted) => Gate::Request,
            Standing::Asked(_) => Gate::Closed,
        })
    }

    /// Something of a stranger was accepted for delivery. Only a message counts as a request.
    pub(super) fn count_request(
        &self,
        conversation: ConversationRow,
        peer: UserRow,
        is_message: bool,
    ) -> Result<(), RelayError> {
        self.sql("UPDATE member SET standing = 1, asked = asked + ?3 WHERE conversation = ?1 AND user = ?2")?
            .execute((conversation, peer, is_message))?;
        Ok(())
    }

    /// Whoever answers accepts.
    pub(super) fn answering(&mut self, conversation: ConversationRow, user: UserRow) -> Result<(), RelayError> {
        if self.state.has_requests && matches!(self.standing(conversation, user)?, Standing::Asked(_)) {
            self.welcome(conversation, user)?;
        }
        Ok(())
    }

    /// A conversation begins, and its first sender has said nothing yet: the other one's writing is as unanswered as before.
    pub(super) fn leave_unanswered(
        &self,
        conversation: ConversationRow,
        user: UserRow,
        peer: UserRow,
    ) -> Result<(), RelayError> {
        if self.state.options.request_messages > 0 && user != peer {
            self.sql("UPDATE member SET standing = 1 WHERE conversation = ?1 AND user = ?2")?
                .execute((conversation, user))?;
        }
        Ok(())
    }

    /// Tells the sender what became of a message; that it was received, not before the recipient accepted.
    pub(super) fn tell(&mut self, key: ReceiptKey, seq: Seq) -> Result<(), RelayError> {
        if key.kind == ReceiptKind::Received && self.withholds(key.conversation, key.about)? {
            self.sql("INSERT OR IGNORE INTO withheld (conversation, user, seq) VALUES (?1, ?2, ?3)")?.execute((
                key.conversation,
                key.about,
                seq.raw(),
            ))?;
            return Ok(());
        }
        self.receipt(key, seq);
        Ok(())
    }

    /// Whether the user tells the other one nothing.
    pub(super) fn withholds(&self, conversation: ConversationRow, user: UserRow) -> Result<bool, RelayError> {
        let is_asked = self.state.has_requests && !planted(PlantedBug::RequestReceipted);
        Ok(is_asked && self.standing(conversation, user)? != Standing::Welcome)
    }

    pub(super) fn admit(&mut self, who: Who, admit: &Admit) -> Result<(), RelayError> {
        let refusal = match self.over_rate(who) {
            Some(retry_after_ms) => Some((ErrorCode::RateLimited, "more than limits.sends_per_minute", retry_after_ms)),
            None => self.apply_verdict(who, admit)?.map(|(code, detail)| (code, detail, 0)),
        };
        let answer = match refusal {
            Some((code, detail, retry_after_ms)) => rejected(admit.id, code, detail, retry_after_ms),
            None => {
                let revision = if self.pending.changed { self.revision() } else { self.state.revision };
                Event::Accepted(Accepted { message: admit.id, seq: None, at: self.now, revision })
            }
        };
        self.answer(who.session, answer);
        Ok(())
    }

    fn apply_verdict(&mut self, who: Who, admit: &Admit) -> Result<Option<(ErrorCode, &'static str)>, RelayError> {
        let Some(peer) = self.user_by_id(admit.peer)?.filter(|&peer| peer != who.user) else {
            return Ok(Some((ErrorCode::UnknownUser, "no such peer")));
        };
        let id = direct_conversation(who.user_id, admit.peer, admit.protection);
        // A restored node may have forgotten it; the word stands all the same.
        let (conversation, head) = match self.conversation_by_id(id)? {
            Some(known) => known,
            None => (self.create_direct(id, admit.protection, [who.user, peer])?, 0),
        };
        let standing = self.standing(conversation, who.user)?;
        let is_changed = match (admit.verdict, standing) {
            (Verdict::Accept, Standing::Welcome) | (Verdict::Block, Standing::Blocked) => return Ok(None),
            (Verdict::Accept, Standing::Asked(_) | Standing::Blocked) => {
                self.welcome(conversation, who.user)?;
                true
            }
            (Verdict::Block, Standing::Welcome | Standing::Asked(_)) => {
                self.state.has_requests = true;
                self.sql("UPDATE member SET standing = 2, asked = 0 WHERE conversation = ?1 AND user = ?2")?
                    .execute((conversation, who.user))?;
                self.forget_withheld(conversation, who.user, u64::MAX >> 1)?;
                true
            }
            (Verdict::Decline, Standing::Asked(_)) => {
                let up_to = admit.up_to.map_or(0, Seq::raw);
                self.forget_withheld(conversation, who.user, up_to)?;
                // What came since was not seen by whoever declined.
                if head <= up_to {
                    self.sql("UPDATE member SET asked = 0 WHERE conversation = ?1 AND user = ?2")?
                        .execute((conversation, who.user))?;
                }
                true
            }
            // Another device was faster.
            (Verdict::Decline, Standing::Welcome | Standing::Blocked) => false,
        };
        self.pending.changed = true;
        let verdict = match standing {
            _ if is_changed => admit.verdict,
            Standing::Blocked => Verdict::Block,
            Standing::Welcome | Standing::Asked(_) => Verdict::Accept,
        };
        let notice = EntryKind::Admission(Admission { conversation: id, verdict, up_to: admit.up_to, at: self.now });
        for device in self.active_devices(who.user)?.iter() {
            let is_told = is_changed != (device.row == who.device) && !device.is_absent;
            // Whoever says one thing and another all day fills no mailbox with it.
            if is_told && !planted(PlantedBug::AdmissionUntold) && self.takes(device.row, None, 0)? {
                self.add_notice(device.row, notice.clone())?;
            }
        }
        Ok(None)
    }

    /// The user takes what the other one writes, and the other one hears what became of it.
    fn welcome(&mut self, conversation: ConversationRow, user: UserRow) -> Result<(), RelayError> {
        self.sql("UPDATE member SET standing = 0, asked = 0 WHERE conversation = ?1 AND user = ?2")?
            .execute((conversation, user))?;
        self.pending.changed = true;
        let other: Option<UserRow> = self
            .sql("SELECT user FROM member WHERE conversation = ?1 AND user <> ?2")?
            .query_row((conversation, user), |row| row.get(0))
            .optional()?;
        let received: Vec<u64> = self
            .sql("DELETE FROM withheld WHERE conversation = ?1 AND user = ?2 RETURNING seq")?
            .query_map((conversation, user), |row| row.get(0))?
            .collect::<Result<_, _>>()?;
        let Some(to) = other else { return Ok(()) };
        for seq in received.into_iter().filter_map(Seq::from_raw) {
            self.receipt(ReceiptKey { to, conversation, about: user, kind: ReceiptKind::Received }, seq);
        }
        Ok(())
    }

    fn forget_withheld(&self, conversation: ConversationRow, user: UserRow, up_to: u64) -> Result<(), RelayError> {
        self.sql("DELETE FROM withheld WHERE conversation = ?1 AND user = ?2 AND seq <= ?3")?.execute((
            conversation,
            user,
            up_to,
        ))?;
        Ok(())
    }

    fn standing(&self, conversation: ConversationRow, user: UserRow) -> Result<Standing, RelayError> {
        let mut query = self.sql("SELECT standing, asked FROM member WHERE conversation = ?1 AND user = ?2")?;
        let found = query.query_row((conversation, user), |row| Ok((row.get::<_, u8>(0)?, row.get(1)?))).optional()?;
        match found {
            None | Some((0, _)) => Ok(Standing::Welcome),
            Some((1, asked)) => Ok(Standing::Asked(asked)),
            Some((2, _)) => Ok(Standing::Blocked),
            Some(_) => Err(RelayError::Damaged("a member's standing is out of bounds")),
        }
    }
}
