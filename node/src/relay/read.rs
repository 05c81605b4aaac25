//! Read: a read mark goes to the authors of what was read, and to the reader's own other devices.

use std::collections::BTreeSet;

use chasqui_wire::{Accepted, EntryKind, ErrorCode, Read, ReadNotice};

use super::commit::rejected;
use super::step::Step;
use super::{Event, RelayError, Who};
use crate::store::{ConversationRow, UserRow};

impl Step<'_> {
    /// The session has verified the signature.
    pub(super) fn read(&mut self, who: Who, read: &Read) -> Result<(), RelayError> {
        let Some((conversation, _)) = self.conversation_by_id(read.conversation)? else {
            self.answer(who.session, rejected(read.id, ErrorCode::NotFound, "no such conversation", 0));
            return Ok(());
        };
        if !self.is_member(conversation, who.user)? {
            self.answer(who.session, rejected(read.id, ErrorCode::Forbidden, "not a member", 0));
            return Ok(());
        }
        let mut devices: BTreeSet<_> = self.active_devices(who.user)?.into_iter().collect();
        devices.remove(&who.device);
        if !read.ranges.is_empty() {
            for &author in &read.authors {
                let Some(author) = self.user_by_id(author)? else { continue };
                if author != who.user && self.is_member(conversation, author)? {
                    devices.extend(self.active_devices(author)?);
                }
            }
        }
        let (user, device, device_key) = (who.user_id, who.device_id, who.device_key);
        let notice = ReadNotice { user, device, device_key, read: read.clone() };
        for &device in &devices {
            self.add_notice(device, EntryKind::Read(Box::new(notice.clone())))?;
        }
        let revision = if devices.is_empty() { self.state.revision } else { self.revision() };
        self.answer(who.session, Event::Accepted(Accepted { message: read.id, seq: None, at: self.now, revision }));
        Ok(())
    }

    fn is_member(&self, conversation: ConversationRow, user: UserRow) -> Result<bool, RelayError> {
        let mut query = self.sql("SELECT EXISTS (SELECT 1 FROM member WHERE conversation = ?1 AND user = ?2)")?;
        Ok(query.query_row((conversation, user), |row| row.get(0))?)
    }
}
