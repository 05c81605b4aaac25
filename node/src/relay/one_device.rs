//! One device: a message for it alone, and a message that is sent again for it alone, at the position that it had.
//!
//! A device that cannot read something asks its author's device like this, and is answered like this: no user says or
//! misses anything by it. So nobody else's device gets it or is passed over, no gap or hole stands for it, and it answers
//! no request. To a stranger it costs what any message does; of what is for another device of the same user nobody is asked.

use chasqui_wire::{DeviceId, ErrorCode, MessageId, Send, Seq, Timestamp};
use rusqlite::OptionalExtension as _;

use super::publish::No;
use super::roster::Group;
use super::step::Step;
use super::{RelayError, Who};
use crate::store::{ConversationRow, DeviceRow, UserRow};

/// Whom a message for one device is for.
#[derive(Clone, Copy, Debug)]
pub(super) struct OnlyDevice {
    pub(super) row: DeviceRow,
    pub(super) user: UserRow,
}

/// What a resend repeats.
#[derive(Clone, Copy, Debug)]
pub(super) struct Original {
    pub(super) seq: Seq,
    pub(super) at: Timestamp,
}

const NOT_ADDRESSED: No = No(ErrorCode::NotFound, "only_device is none that this message would reach", 0);
const NO_ORIGINAL: No = No(ErrorCode::NotFound, "resend_of is no message of this user in this conversation", 0);

/// Whether what a send says of one device agrees with the rest of it.
pub(super) fn check_only(send: &Send) -> Result<(), No> {
    let detail = match (send.only_device, send.resend_of) {
        (None, None) => return Ok(()),
        (None, Some(_)) => "a resend is for one device",
        (Some(_), _) if send.commit.is_some() => "a commit is not for one device",
        (Some(_), Some(_)) if send.reclaim_seq.is_some() || send.after_seq.is_some() => {
            "a resend has the position of what it repeats"
        }
        (Some(_), _) => return Ok(()),
    };
    Err(No(ErrorCode::Invalid, detail, 0))
}

/// Whether a user says it. What is for one device, and a commit, devices say by themselves.
pub(super) const fn is_said(send: &Send) -> bool {
    send.commit.is_none() && send.only_device.is_none()
}

impl Step<'_> {
    /// What the send repeats, if it does.
    pub(super) fn original(
        &self,
        who: Who,
        send: &Send,
        conversation: Option<ConversationRow>,
    ) -> Result<Result<Option<Original>, No>, RelayError> {
        let Some(message) = send.resend_of else { return Ok(Ok(None)) };
        // A resend is not repeated: what it repeats is.
        let mut query = self.sql(
            "SELECT accepted.seq, accepted.at FROM accepted JOIN device USING (device)
             WHERE message = ?1 AND conversation = ?2 AND user = ?3 AND NOT is_resend",
        )?;
        let found = query.query_row((message.as_bytes(), conversation, who.user), |row| Ok((row.get(0)?, row.get(1)?)));
        let Some((seq, at)) = found.optional()? else { return Ok(Err(NO_ORIGINAL)) };
        let seq = Seq::from_raw(seq).ok_or(RelayError::Damaged("a position out of bounds"))?;
        Ok(Ok(Some(Original { seq, at: Timestamp(at) })))
    }

    /// Whether it is for another device of the same user.
    pub(super) fn is_for_own_device(&mut self, who: Who, send: &Send) -> Result<bool, RelayError> {
        let Some(device) = send.only_device else { return Ok(false) };
        let Some(row) = self.device_row(device)? else { return Ok(false) };
        Ok(self.active_devices(who.user)?.iter().any(|active| active.row == row))
    }

    /// To one of the devices that a message would go to.
    pub(super) fn route_readable_to(
        &mut self,
        who: Who,
        peer: UserRow,
        send: &Send,
        device: DeviceId,
    ) -> Result<Result<OnlyDevice, No>, RelayError> {
        let Some(row) = self.device_row(device)? else { return Ok(Err(NOT_ADDRESSED)) };
        let mut found = None;
        for user in [peer, who.user] {
            if self.active_devices(user)?.iter().any(|active| active.row == row) {
                found = Some(OnlyDevice { row, user });
            }
        }
        self.route_to_one(who, send, found)
    }

    /// To one of the devices of the roster that a message would go to.
    pub(super) fn route_encrypted_to(
        &mut self,
        who: Who,
        peer: UserRow,
        send: &Send,
        device: DeviceId,
        group: &Group,
    ) -> Result<Result<OnlyDevice, No>, RelayError> {
        if let Err(no) = group.takes_message(who, peer, send) {
            return Ok(Err(no));
        }
        let found = group.find(device).filter(|device| device.takes_part());
        self.route_to_one(who, send, found.map(|device| OnlyDevice { row: device.row, user: device.user }))
    }

    /// Nobody takes it in its place, so it is neither passed over nor too long away.
    fn route_to_one(
        &mut self,
        who: Who,
        send: &Send,
        found: Option<OnlyDevice>,
    ) -> Result<Result<OnlyDevice, No>, RelayError> {
        let Some(only) = found.filter(|only| only.row != who.device) else { return Ok(Err(NOT_ADDRESSED)) };
        let sender = (only.user != who.user).then_some(who.user);
        let has_room = self.takes(only.row, sender, send.body.len() as u32)?;
        Ok(if has_room { Ok(only) } else { Err(No::NO_ROOM) })
    }

    /// The recipient has the message by a resend.
    pub(super) fn had_by_resend(&self, original: MessageId) -> Result<(), RelayError> {
        self.sql("UPDATE accepted SET is_had = 1 WHERE message = ?1")?.execute([original.as_bytes()])?;
        Ok(())
    }

    /// Whether the recipient has the message, though no device stored the envelope of it.
    pub(super) fn is_had_by_resend(&self, message: MessageId) -> Result<bool, RelayError> {
        let mut query = self.sql("SELECT 1 FROM accepted WHERE message = ?1 AND is_had")?;
        Ok(query.exists([message.as_bytes()])?)
    }
}
