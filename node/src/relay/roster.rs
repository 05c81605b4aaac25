//! Roster: which devices the group of an encrypted conversation has, which it should have, and which of them are gone.
//!
//! The roster is what accepted commits declared, and says whom messages reach. Nothing here knows what MLS does.

use std::collections::BTreeMap;
use std::sync::Arc;

use chasqui_wire::{DeviceId, RosterEntry, UserId};

use super::RelayError;
use super::route::ActiveDevice;
use super::step::Step;
use crate::planted::{PlantedBug, planted};
use crate::store::{ConversationRow, DeviceRow, UserRow};

/// [`GroupDevice::is_outdated`].
pub(super) type IsOutdated = bool;

/// A conversation's group, and the devices that it might have.
#[derive(Debug)]
pub(super) struct Group {
    /// 0 = there is none.
    pub(super) epoch: u64,
    /// Those of its members that were not revoked, and revoked ones that the roster still has.
    pub(super) devices: Vec<GroupDevice>,
}

/// A device of a member.
#[derive(Clone, Copy, Debug)]
pub(super) struct GroupDevice {
    pub(super) row: DeviceRow,
    pub(super) user: UserRow,
    pub(super) entry: RosterEntry,
    /// Not revoked, and linked.
    pub(super) is_there: bool,
    is_absent: bool,
    /// Whether others can put it in a group.
    pub(super) has_package: bool,
    pub(super) is_in_roster: bool,
    /// In the roster by a link of an identity that its user has given up since.
    pub(super) is_outdated: bool,
}

impl GroupDevice {
    /// In the roster, and there.
    pub(super) fn takes_part(&self) -> bool {
        self.is_in_roster && self.is_there && !self.is_outdated
    }

    /// In the roster, and not to be reached by that any more.
    pub(super) fn is_gone(&self) -> bool {
        self.is_in_roster && !self.takes_part()
    }

    /// There, and not in the group, or only as what has to go.
    pub(super) fn is_lacking(&self) -> bool {
        self.is_there && !self.takes_part()
    }

    /// For routing.
    pub(super) fn as_active(&self) -> ActiveDevice {
        ActiveDevice { row: self.row, is_absent: self.is_absent }
    }
}

impl Group {
    pub(super) fn find(&self, device: DeviceId) -> Option<&GroupDevice> {
        self.devices.iter().find(|known| known.entry.device == device)
    }

    pub(super) fn roster(&self) -> impl Iterator<Item = &GroupDevice> {
        self.devices.iter().filter(|device| device.is_in_roster)
    }

    /// The devices of a member that the roster has and messages reach.
    pub(super) fn reached(&self, user: UserRow) -> impl Iterator<Item = &GroupDevice> {
        self.devices.iter().filter(move |device| device.user == user && device.takes_part())
    }

    /// Whether a device is there that could be in the group and is not.
    pub(super) fn lacks_any(&self) -> bool {
        self.devices.iter().any(|device| device.is_lacking() && device.has_package)
    }

    /// Whether somebody should bring it up to date before more is said.
    pub(super) fn is_stale(&self) -> bool {
        self.lacks_any() || self.devices.iter().any(GroupDevice::is_gone)
    }
}

impl Step<'_> {
    /// Whether mail of this conversation waits for the device. Who changes a group then could not read it any more.
    pub(super) fn is_behind(&self, device: DeviceRow, conversation: ConversationRow) -> Result<bool, RelayError> {
        let mut query = self.sql(
            "SELECT EXISTS (SELECT 1 FROM mailbox JOIN envelope ON envelope.envelope = mailbox.entry
             WHERE mailbox.device = ?1 AND mailbox.notice IS NULL AND envelope.conversation = ?2)",
        )?;
        Ok(query.query_row((device, conversation), |row| row.get(0))?)
    }

    /// The group of a conversation of these members; `None` = a conversation that does not exist yet.
    pub(super) fn group(
        &mut self,
        conversation: Option<ConversationRow>,
        members: [UserRow; 2],
    ) -> Result<Arc<Group>, RelayError> {
        if let Some(known) = conversation.and_then(|conversation| self.state.directory.group(conversation)) {
            return Ok(known);
        }
        let epoch = match conversation {
            Some(conversation) => self
                .sql("SELECT epoch FROM conversation WHERE conversation = ?1")?
                .query_row([conversation], |row| row.get(0))?,
            None => 0,
        };
        let mut query = self.sql(
            "SELECT device.device, device.user, user.id, device.id,
                 device.revoked_at IS NULL AND device.linked_at IS NOT NULL, device.absent_since IS NOT NULL,
                 EXISTS (SELECT 1 FROM key_package WHERE key_package.device = device.device AND given_at IS NULL),
                 roster.device IS NOT NULL, coalesce(roster.is_outdated, 0)
             FROM device
             JOIN user USING (user)
             LEFT JOIN roster ON roster.conversation = ?1 AND roster.device = device.device
             WHERE device.user IN (?2, ?3) AND (device.revoked_at IS NULL OR roster.device IS NOT NULL)
             ORDER BY device.device",
        )?;
        let device = |row: &rusqlite::Row<'_>| {
            Ok(GroupDevice {
                row: row.get(0)?,
                user: row.get(1)?,
                entry: RosterEntry { user: UserId::from_bytes(row.get(2)?), device: DeviceId::from_bytes(row.get(3)?) },
                is_there: row.get(4)?,
                is_absent: row.get(5)?,
                has_package: row.get(6)?,
                is_in_roster: row.get(7)?,
                is_outdated: row.get(8)?,
            })
        };
        let [one, other] = members;
        let devices = query.query_map((conversation, one, other), device)?.collect::<Result<_, _>>()?;
        drop(query);
        let group = Arc::new(Group { epoch, devices });
        if let Some(conversation) = conversation {
            self.state.directory.remember_group(conversation, Arc::clone(&group));
        }
        Ok(group)
    }

    /// A commit was taken at this epoch: the next one has these devices.
    pub(super) fn advance(
        &mut self,
        conversation: ConversationRow,
        epoch: u64,
        roster: &BTreeMap<DeviceRow, IsOutdated>,
    ) -> Result<(), RelayError> {
        let is_next = self
            .sql("UPDATE conversation SET epoch = epoch + 1 WHERE conversation = ?1 AND epoch = ?2")?
            .execute((conversation, epoch))?;
        // It was looked up in this very transaction.
        if is_next != 1 && !planted(PlantedBug::EpochUnchecked) {
            return Err(RelayError::Damaged("a conversation's epoch is not the one that it was"));
        }
        self.sql("DELETE FROM roster WHERE conversation = ?1")?.execute([conversation])?;
        for (device, is_outdated) in roster {
            self.sql("INSERT INTO roster (conversation, device, is_outdated) VALUES (?1, ?2, ?3)")?.execute((
                conversation,
                device,
                is_outdated,
            ))?;
        }
        self.state.directory.forget_group(conversation);
        self.pending.commits += 1;
        self.pending.changed = true;
        Ok(())
    }
}
