//! Signal: what is of this moment goes to whoever of the conversation is there, or nowhere.
//!
//! Guarantees: nothing of it is written, kept or logged, and nobody is answered. Who may not send a receipt sends no signal:
//! strangers, whoever was blocked, and in encrypted conversations devices that are not in the group as it is now. Mail comes
//! first: a device that has some to take gets no signals.

use chasqui_wire::{Protection, Signal, Timestamp};

use super::step::{Pending, Step};
use super::{Event, Relay, RelayError, SessionId, Who};
use crate::planted::{PlantedBug, planted};
use crate::store::{ConversationRow, DeviceRow, UserRow};

impl Relay {
    /// Passes a signal on at once, outside of any transaction. It is no harm if nothing comes of it.
    pub fn signal(&mut self, now: Timestamp, session: SessionId, signal: &Signal) -> Vec<(SessionId, Event)> {
        let mut step = Step { db: &self.db, state: &mut self.state, now, pending: Pending::default() };
        let Some(who) = step.who(session) else { return Vec::new() };
        match step.signal(who, signal) {
            Ok(()) => step.pending.events,
            Err(error) => {
                tracing::warn!(%error, "a signal was not passed on");
                Vec::new()
            }
        }
    }
}

impl Step<'_> {
    pub(super) fn signal(&mut self, who: Who, signal: &Signal) -> Result<(), RelayError> {
        let Some(addressed) = self.addressed(who, signal)? else {
            self.state.tally.signals_refused += 1;
            return Ok(());
        };
        for device in addressed {
            let Some(online) = self.online(device) else { continue };
            if !online.is_up_to_date() {
                self.state.tally.signals_behind += 1;
                continue;
            }
            let (session, sender) = (online.who.session, Some((who.user_id, who.device_id)));
            self.answer(session, Event::Signal(Signal { sender, ..signal.clone() }));
        }
        Ok(())
    }

    /// The devices of the others; `None` if it is not for this device to say anything there.
    fn addressed(&mut self, who: Who, signal: &Signal) -> Result<Option<Vec<DeviceRow>>, RelayError> {
        let Some((conversation, _)) = self.conversation_by_id(signal.conversation)? else { return Ok(None) };
        let Some(others) = self.others(conversation, who.user)? else { return Ok(None) };
        let is_encrypted = self.protection(conversation)? == Protection::EndToEnd;
        if !is_encrypted && signal.epoch != 0 {
            return Ok(None);
        }
        let mut addressed = Vec::new();
        for other in others {
            let withholds = self.withholds(conversation, who.user)? || self.withholds(conversation, other)?;
            if withholds && !planted(PlantedBug::StrangersSeeTyping) {
                return Ok(None);
            }
            if !is_encrypted {
                addressed.extend(self.active_devices(other)?.iter().map(|device| device.row));
                continue;
            }
            let group = self.group(Some(conversation), [who.user, other])?;
            let takes_part = group.find(who.device_id).is_some_and(|device| device.takes_part());
            if !takes_part || group.epoch != signal.epoch {
                return Ok(None);
            }
            addressed.extend(group.reached(other).map(|device| device.row));
        }
        Ok(Some(addressed))
    }

    /// The members beside this user; `None` if that is none.
    fn others(&self, conversation: ConversationRow, user: UserRow) -> Result<Option<Vec<UserRow>>, RelayError> {
        let mut query = self.sql("SELECT user FROM member WHERE conversation = ?1 ORDER BY user")?;
        let members = query.query_map([conversation], |row| row.get(0))?.collect::<Result<Vec<UserRow>, _>>()?;
        let is_member = members.contains(&user);
        Ok(is_member.then(|| members.into_iter().filter(|&member| member != user).collect()))
    }

    fn protection(&self, conversation: ConversationRow) -> Result<Protection, RelayError> {
        let mut query = self.sql("SELECT protection FROM conversation WHERE conversation = ?1")?;
        let number = query.query_row([conversation], |row| row.get(0))?;
        Protection::from_number(number).ok_or(RelayError::Damaged("a conversation's protection is out of bounds"))
    }
}
