//! What is said in encrypted conversations: sealed when it is sent, read when it comes. Who is in them: `groups.rs`.
//!
//! Guarantees: what is encrypted is stored with the keys that it used up, before it leaves; what is read, with the keys that it took.

use bytes::Bytes;
use chasqui_wire::{AckOutcome, Commit, ConversationId, Envelope, MessageId, RosterEntry, UserId};

use super::chain::is_chained;
use super::groups::{check, settle};
use super::identity::Identity;
use super::recovery::name;
use super::{Engine, Turn};
use crate::e2ee::{Distrust, Fault, GroupId, Mls};
use crate::store::{self, ConversationRow, FlightRow, MessageRow, OutboxRow, SecuredRow, StoreError};

/// What became of an encrypted envelope.
pub(super) enum Read {
    /// A message says this.
    Content(Bytes),
    /// Nothing to show.
    Dealt(AckOutcome),
    /// Nobody can read it here.
    Unreadable,
    /// It is not known yet whether to believe it: it is left where it is, and comes again.
    Later,
}

/// What is bound to a message in clear, so that nobody passes it off as another.
pub(crate) fn header(message: MessageId, conversation: ConversationId) -> [u8; 32] {
    let mut header = [0; 32];
    header[..16].copy_from_slice(message.as_bytes());
    header[16..].copy_from_slice(conversation.as_bytes());
    header
}

/// UUIDv8 (RFC 9562, section 5.8) of a SHA-256: the same thing has the same name.
pub(super) fn id_of_hash(hash: &[u8]) -> MessageId {
    let mut bytes: [u8; 16] = hash[..16].try_into().expect("a hash has 32 bytes");
    bytes[6] = 0x80 | (bytes[6] & 0x0f);
    bytes[8] = 0x80 | (bytes[8] & 0x3f);
    MessageId::from_bytes(bytes)
}

impl Engine {
    /// The body of a message, encrypted: as it was before, if it is under way, and what goes with it.
    pub(super) fn sealed(
        &mut self,
        turn: &Turn<'_>,
        conversation: &ConversationRow,
        entry: &OutboxRow,
        message: &MessageRow,
    ) -> Result<Option<Sealed>, StoreError> {
        let Some(own) = self.account.as_ref().and_then(|account| account.own.as_ref()) else { return Ok(None) };
        let row = SecuredRow::get(turn.db, conversation.id)?;
        let Some(group) = row.group else { return Ok(None) };
        let (epoch, roster_checked) = (row.epoch, self.groups.insisting.contains(&conversation.id));
        if let Some(body) = FlightRow::body(turn.db, message.key, group, epoch)? {
            return Ok(Some(Sealed { body, epoch, roster_checked }));
        }
        let chained = if is_chained(entry, message) { self.chained(turn, conversation, message)? } else { None };
        let says = chained.as_ref().map_or(&message.body, |chained| &chained.body);
        let sealed = Mls::new(own, turn.db).seal(group, &header(message.id, conversation.id), says);
        match sealed {
            Ok(body) => {
                let was_sent = entry.first_sent_at.is_some();
                let first =
                    chained.map(|chained| self.was_chained(turn, conversation, message, &chained, group, was_sent));
                let first = first.transpose()?;
                FlightRow::put(turn.db, message.key, group, epoch, &body, first)?;
                self.keys_are_used(turn, conversation.id, row)?;
                Ok(Some(Sealed { body, epoch, roster_checked }))
            }
            Err(Fault::Store(error)) => Err(error),
            Err(fault) => {
                tracing::error!(%fault, "nothing can be said in a group");
                self.let_go(turn, conversation.id)?;
                Ok(None)
            }
        }
    }

    /// Reads an envelope of an encrypted conversation, whether it says something or changes who is there.
    pub(super) fn read_encrypted(
        &mut self,
        turn: &mut Turn<'_>,
        envelope: &Envelope,
        peer: Option<UserId>,
    ) -> Result<Read, StoreError> {
        if self.account.as_ref().is_none_or(|account| account.own.is_none()) {
            return Ok(Read::Unreadable);
        }
        match &envelope.commit {
            Some(declared) => Ok(self.read_commit(turn, envelope, declared, peer)?.map_or(Read::Later, Read::Dealt)),
            None => self.read_message(turn, envelope),
        }
    }

    fn read_message(&mut self, turn: &mut Turn<'_>, envelope: &Envelope) -> Result<Read, StoreError> {
        let Some(own) = self.account.as_ref().and_then(|account| account.own.as_ref()) else {
            return Ok(Read::Unreadable);
        };
        let is_guessed = self.learn_what_was_taken(turn, envelope)?;
        let row = SecuredRow::get(turn.db, envelope.conversation)?;
        let Some(group) = row.group.filter(|_| row.epoch == envelope.epoch) else {
            tracing::warn!("a message of another epoch");
            return Ok(Read::Unreadable);
        };
        let header = header(envelope.message, envelope.conversation);
        let author = RosterEntry { user: envelope.sender_user, device: envelope.sender_device };
        // What is passed off as something else must not use up the keys of what it is.
        let opened = in_part(turn, || {
            let opened = Mls::new(own, turn.db).open(group, &header, &envelope.body)?;
            let is_its_author = opened.sender.entry() == author;
            if is_its_author {
                Ok(opened)
            } else {
                Err(Fault::Untrusted(Distrust::Message, "passed off as another device's"))
            }
        });
        match opened {
            Ok(opened) => Ok(Read::Content(opened.content.into())),
            Err(Fault::Store(error)) => Err(error),
            // At the same epoch of the node, and of another one of MLS: of another group.
            Err(Fault::Forked | Fault::Epoch) => {
                tracing::warn!("a message of another past");
                if !is_guessed && self.shares_its_past(turn, envelope.conversation)? {
                    let by = Some((envelope.sender_user, envelope.sender_device));
                    self.report(turn, &Fault::Forked, envelope.conversation, by)?;
                }
                // Nothing vouches for the hash. But whoever could forge it could as well send a commit that nobody can follow, with
                // the same effect; and where it is true, nothing would be understood in this group.
                self.let_go(turn, envelope.conversation)?;
                Ok(Read::Unreadable)
            }
            Err(fault) => {
                tracing::warn!(%fault, "a message cannot be read");
                // Whoever sealed it has the same past, and the same keys. After a restore they may be used up.
                let fault = match matches!(fault, Fault::Unreadable(_)) && !self.was_restored() {
                    true => Fault::Untrusted(Distrust::Message, "damaged, or sealed by nobody"),
                    false => fault,
                };
                self.report(turn, &fault, envelope.conversation, Some((envelope.sender_user, envelope.sender_device)))?;
                Ok(Read::Unreadable)
            }
        }
    }

    pub(super) fn was_restored(&self) -> bool {
        self.account.as_ref().is_some_and(Identity::was_restored)
    }

    /// Whether everybody in the group should have the same past. A node that was restored has others, and says so; and what was lost,
    /// as a hole says, may have been the change that all others took over. Neither is to be told of.
    fn shares_its_past(&self, turn: &Turn<'_>, conversation: ConversationId) -> Result<bool, StoreError> {
        let known = ConversationRow::find(turn.db, conversation)?;
        Ok(!self.was_restored() && known.is_some_and(|conversation| !conversation.has_holes))
    }

    /// Takes over what somebody else's commit does, or joins by a Welcome.
    fn follow(
        &self,
        turn: &Turn<'_>,
        envelope: &Envelope,
        declared: &Commit,
        peer: Option<UserId>,
        row: &SecuredRow,
    ) -> Result<Result<GroupId, Fault>, StoreError> {
        let Some(own) = self.account.as_ref().and_then(|account| account.own.as_ref()) else {
            return Ok(Err(Fault::NoGroup));
        };
        let (mls, check) = (Mls::new(own, turn.db), check(turn, own, peer));
        let shares_its_past = self.shares_its_past(turn, envelope.conversation)?;
        let author = RosterEntry { user: envelope.sender_user, device: envelope.sender_device };
        if envelope.welcome {
            let joined = in_part(turn, || {
                let joined = mls.join(&envelope.body, row.group, check)?;
                joined.is(declared, author)?;
                // Where the keys of a package stay a Welcome could lead back to a group that is over, and to whoever was in it.
                let name = name(&[b"chasqui/v1/joined", &joined.group.0, &joined.past]);
                if store::is_dealt_with(turn.db, name)? {
                    // A restored node may have taken it once more. Where that is the group anyway, all is well.
                    let is_of_no_use = shares_its_past || row.group == Some(joined.group);
                    return Err(if is_of_no_use { Fault::Repeated } else { Fault::NoGroup });
                }
                store::note_dealt_with(turn.db, name)?;
                if joined.by_last_resort {
                    mls.last_resort_was_used(self.node_time(turn.now))?;
                }
                Ok(joined.group)
            });
            if let (Ok(joined), Some(old)) = (&joined, row.group)
                && *joined != old
            {
                settle(mls.forget(old))?;
            }
            return Ok(joined);
        }
        let Some(group) = row.group.filter(|_| row.epoch == envelope.epoch) else { return Ok(Err(Fault::NoGroup)) };
        Ok(in_part(turn, || {
            if mls.follow(group, &envelope.body, declared, check)? != author {
                return Err(Fault::Untrusted(Distrust::Change, "a commit is another device's than is said"));
            }
            mls.members(group).map(|_| group)
        }))
    }

    fn read_commit(
        &mut self,
        turn: &mut Turn<'_>,
        envelope: &Envelope,
        declared: &Commit,
        peer: Option<UserId>,
    ) -> Result<Option<AckOutcome>, StoreError> {
        let conversation = envelope.conversation;
        store::note_group_change(turn.db, conversation, envelope.seq)?;
        if let Some(row) = ConversationRow::find(turn.db, conversation)? {
            row.raise_head(turn.db, envelope.seq)?;
        }
        let before = SecuredRow::get(turn.db, conversation)?;
        if before.since >= Some(envelope.seq) {
            // It came again.
            return Ok(Some(AckOutcome::Stored));
        }
        let is_guessed = self.learn_what_was_taken(turn, envelope)?;
        let row = SecuredRow::get(turn.db, conversation)?;
        // Positions and epochs grow together. But a restored node goes back, and takes commits again whose answers it had lost.
        if row.group.is_some() && envelope.epoch < row.epoch && self.shares_its_past(turn, conversation)? {
            return self.commit_was_repeated(turn, envelope).map(Some);
        }
        // Somebody was faster.
        self.withdraw(turn, conversation)?;
        let mut row = SecuredRow::get(turn.db, conversation)?;
        let followed = self.follow(turn, envelope, declared, peer, &row)?;
        match followed {
            Ok(group) => {
                row.group = Some(group);
                row.epoch = envelope.epoch + 1;
                row.since = Some(envelope.seq);
                if envelope.welcome {
                    row.renew_at = Some(self.renew_within_a_day(turn.now));
                }
                row.put(turn.db, conversation)?;
                self.takes_part_in(turn, conversation, group, row.since)?;
                if let Some(conversation) = ConversationRow::find(turn.db, conversation)? {
                    self.outbox.end_hold(conversation.key);
                }
                Ok(Some(AckOutcome::Stored))
            }
            Err(Fault::Store(error)) => Err(error),
            Err(Fault::OtherIdentity(user)) if self.doubt(turn, user) => {
                self.groups.hold_up(Some(conversation));
                Ok(None)
            }
            Err(Fault::Repeated) => self.commit_was_repeated(turn, envelope).map(Some),
            Err(fault) => {
                tracing::warn!(%fault, "a change of a group cannot be followed");
                let is_made_up = matches!(fault, Fault::Unreadable(_) | Fault::Epoch) && !envelope.welcome;
                let fault = match is_made_up && !is_guessed && self.shares_its_past(turn, conversation)? {
                    true => Fault::Untrusted(Distrust::Change, "a commit that nobody can follow"),
                    false => fault,
                };
                self.report(turn, &fault, conversation, Some((envelope.sender_user, envelope.sender_device)))?;
                row.since = Some(envelope.seq);
                row.put(turn.db, conversation)?;
                self.let_go(turn, conversation)?;
                Ok(Some(AckOutcome::Unreadable))
            }
        }
    }

    /// The group stays what it is.
    fn commit_was_repeated(&self, turn: &mut Turn<'_>, envelope: &Envelope) -> Result<AckOutcome, StoreError> {
        tracing::warn!("a change of a group comes again");
        if self.shares_its_past(turn, envelope.conversation)? {
            let by = Some((envelope.sender_user, envelope.sender_device));
            self.report(turn, &Fault::Repeated, envelope.conversation, by)?;
        }
        Ok(AckOutcome::Unreadable)
    }
}

/// A message as it goes out.
pub(super) struct Sealed {
    pub(super) body: Bytes,
    pub(super) epoch: u64,
    pub(super) roster_checked: bool,
}

/// What fails leaves nothing behind.
fn in_part<T>(turn: &Turn<'_>, work: impl FnOnce() -> Result<T, Fault>) -> Result<T, Fault> {
    let sql = |sql: &str| turn.db.execute_batch(sql).map_err(|error| Fault::Store(error.into()));
    sql("SAVEPOINT mls")?;
    let outcome = work();
    match &outcome {
        // The whole step is given up.
        Err(Fault::Store(_)) => return outcome,
        Err(_) => sql("ROLLBACK TO mls")?,
        Ok(_) => {}
    }
    sql("RELEASE mls")?;
    outcome
}
