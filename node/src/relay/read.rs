//! Read: a read mark goes to the authors of what was read, and to the reader's own other devices.

use std::collections::BTreeSet;

use chasqui_wire::{Accepted, ErrorCode, Read, ReadNotice, Seq, UserId};

use super::commit::rejected;
use super::step::Step;
use super::{Event, RelayError, Who};
use crate::store::{ConversationRow, UserRow};

impl Step<'_> {
    /// The session has verified the signature.
    pub(super) fn read(&mut self, who: Who, read: &Read) -> Result<(), RelayError> {
        if let Some(retry_after_ms) = self.over_rate(who) {
            let detail = "more than limits.sends_per_minute";
            self.answer(who.session, rejected(read.id, ErrorCode::RateLimited, detail, retry_after_ms));
            return Ok(());
        }
        let Some((conversation, head)) = self.conversation_by_id(read.conversation)? else {
            self.answer(who.session, rejected(read.id, ErrorCode::NotFound, "no such conversation", 0));
            return Ok(());
        };
        if !self.is_member(conversation, who.user)? {
            self.answer(who.session, rejected(read.id, ErrorCode::Forbidden, "not a member", 0));
            return Ok(());
        }
        if !self.may_have_given(head, read) {
            let detail = "the node has not given these positions";
            self.answer(who.session, rejected(read.id, ErrorCode::NotFound, detail, 0));
            return Ok(());
        }
        let (user, device, device_key) = (who.user_id, who.device_id, who.device_key);
        let notice = ReadNotice { user, device, device_key, read: read.clone() };
        let mut is_told = false;
        for device in self.active_devices(who.user)?.iter() {
            if device.row != who.device && !device.is_absent {
                is_told = true;
                self.add_read(device.row, conversation, (who.user, false), &notice)?;
            }
        }
        let tells_authors = !read.ranges.is_empty() && !self.withholds(conversation, who.user)?;
        let authors: BTreeSet<UserId> = read.authors.iter().copied().filter(|_| tells_authors).collect();
        for author in authors {
            let Some(author) = self.user_by_id(author)? else { continue };
            if author == who.user || !self.is_member(conversation, author)? {
                continue;
            }
            for device in self.active_devices(author)?.iter() {
                if !device.is_absent {
                    is_told = true;
                    self.add_read(device.row, conversation, (who.user, true), &notice)?;
                }
            }
        }
        let revision = if is_told { self.revision() } else { self.state.revision };
        self.answer(who.session, Event::Accepted(Accepted { message: read.id, seq: None, at: self.now, revision }));
        Ok(())
    }

    /// Whether every position that the mark names may be one that the node gave. Of its present era it knows them all;
    /// those of older eras may have been lost by a restore, and some come back late or never.
    fn may_have_given(&self, head: u64, read: &Read) -> bool {
        let first_unknown = Seq::after(Seq::from_raw(head), self.era());
        let highest = read.ranges.iter().map(|range| range.last()).chain([read.up_to]).max();
        highest.is_none_or(|highest| highest < first_unknown)
    }

    fn is_member(&self, conversation: ConversationRow, user: UserRow) -> Result<bool, RelayError> {
        let mut query = self.sql("SELECT EXISTS (SELECT 1 FROM member WHERE conversation = ?1 AND user = ?2)")?;
        Ok(query.query_row((conversation, user), |row| row.get(0))?)
    }
}
