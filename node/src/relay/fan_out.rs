//! Mailboxes: what is put into them, and how rows are found.

use bytes::Bytes;
use chasqui_wire::{Commit, DeviceId, EntryKind, Envelope, MessageId, Send, Seq, Timestamp};
use rusqlite::OptionalExtension as _;

use super::step::{NewMail, Step};
use super::{RelayError, Who};
use crate::store::{ConversationRow, DeviceRow, EnvelopeRow, UserRow};

/// What an accepted send has become: the part that all its envelopes share.
pub(super) struct Post<'a> {
    pub(super) who: Who,
    pub(super) send: &'a Send,
    pub(super) conversation: ConversationRow,
    pub(super) peer: UserRow,
    pub(super) seq: Seq,
    pub(super) accepted_at: Timestamp,
    pub(super) expires_at: Timestamp,
    pub(super) is_request: bool,
}

/// What one envelope of it carries.
#[derive(Clone, Copy)]
pub(super) enum Cargo<'a> {
    Message(&'a Bytes),
    /// For one device, of this user.
    ForOne(&'a Bytes, UserRow),
    /// With the declared change.
    Commit(&'a Bytes, &'a Commit),
    /// Of the commit that declares this change.
    Welcome(&'a Bytes, &'a Commit),
}

impl Step<'_> {
    /// Puts an envelope into these mailboxes.
    pub(super) fn fan_out(
        &mut self,
        post: &Post<'_>,
        cargo: Cargo<'_>,
        takers: &[DeviceRow],
    ) -> Result<(), RelayError> {
        if takers.is_empty() {
            return Ok(());
        }
        // Holes come before whatever is newer than they are.
        for &device in takers {
            self.tell_missed(device)?;
        }
        let (who, send) = (post.who, post.send);
        let peer = Some(post.peer).filter(|&peer| peer != who.user);
        // Nobody waits to hear what becomes of what no user said. A resend may still bring a message to its recipient.
        let (body, awaited, change, is_welcome) = match cargo {
            Cargo::Message(body) => (body, peer, None, false),
            Cargo::ForOne(body, user) => (body, send.resend_of.and(peer).filter(|&peer| peer == user), None, false),
            Cargo::Commit(body, change) => (body, None, Some(change), false),
            Cargo::Welcome(body, change) => (body, None, Some(change), true),
        };
        let envelope = EnvelopeRow::of_entry(self.next_entry());
        let at = self.state.bodies.append(body)?;
        self.sql(
            "INSERT INTO envelope (envelope, message, conversation, sender_user, sender_device, peer, seq, accepted_at,
                 expires_at, urgent, segment, start, length, waiting, awaited, is_request, epoch, change, is_welcome,
                 is_for_one, resend_of)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21)",
        )?
        .execute(rusqlite::params![
            envelope,
            send.message.as_bytes(),
            post.conversation,
            who.user,
            who.device,
            post.peer,
            post.seq.raw(),
            post.accepted_at.0,
            post.expires_at.0,
            send.urgent,
            at.segment,
            at.start,
            at.length,
            takers.len(),
            awaited,
            post.is_request,
            send.epoch,
            change.map(Commit::encode).as_deref(),
            is_welcome,
            matches!(cargo, Cargo::ForOne(..)),
            send.resend_of.as_ref().map(MessageId::as_bytes),
        ])?;
        let kind = EntryKind::Envelope(Box::new(Envelope {
            message: send.message,
            conversation: send.conversation,
            kind: send.kind,
            protection: send.protection,
            sender_user: who.user_id,
            sender_device: who.device_id,
            peer: send.peer,
            seq: post.seq,
            accepted_at: post.accepted_at,
            body: body.clone(),
            urgent: send.urgent,
            resend_of: send.resend_of,
            epoch: send.epoch,
            commit: change.cloned(),
            welcome: is_welcome,
            request: post.is_request,
        }));
        for &device in takers {
            self.add_mail(device, (envelope, who.user), kind.clone(), at.length)?;
        }
        let expires_at = post.expires_at;
        self.pending.expiry = Some(self.pending.expiry.map_or(expires_at, |first| first.min(expires_at)));
        Ok(())
    }

    /// Adds a notice to a mailbox. Notices are never refused: they are small, and nobody else could repeat them.
    pub(super) fn add_notice(&mut self, device: DeviceRow, kind: EntryKind) -> Result<u64, RelayError> {
        let entry = self.next_entry();
        let notice = kind.encode();
        self.sql("INSERT INTO mailbox (device, entry, notice) VALUES (?1, ?2, ?3)")?.execute((
            device,
            entry,
            notice.as_ref(),
        ))?;
        self.count_mail(device, None, 1, 0);
        self.pending.mail.entry(device).or_default().push(NewMail { entry, kind, body_bytes: 0 });
        self.pending.changed = true;
        Ok(entry)
    }

    /// Adds an envelope to a mailbox, under its own number.
    pub(super) fn add_mail(
        &mut self,
        device: DeviceRow,
        (envelope, sender): (EnvelopeRow, UserRow),
        kind: EntryKind,
        body_bytes: u32,
    ) -> Result<(), RelayError> {
        let entry = envelope.entry();
        self.sql("INSERT INTO mailbox (device, entry) VALUES (?1, ?2)")?.execute((device, entry))?;
        self.count_mail(device, Some(sender), 1, body_bytes.into());
        self.pending.mail.entry(device).or_default().push(NewMail { entry, kind, body_bytes });
        Ok(())
    }

    /// Entry numbers only grow while the process lives. A batch that fails leaves a hole, which nobody minds.
    pub(super) fn next_entry(&mut self) -> u64 {
        let entry = self.state.next_entry;
        self.state.next_entry += 1;
        entry
    }

    pub(super) fn device_row(&self, device: DeviceId) -> Result<Option<DeviceRow>, RelayError> {
        let mut query = self.sql("SELECT device FROM device WHERE id = ?1")?;
        Ok(query.query_row([device.as_bytes()], |row| row.get(0)).optional()?)
    }
}
