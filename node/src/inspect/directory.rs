//! Who is known: users and their devices, as an operator needs them to find the right one.

use chasqui_wire::{DeviceId, Timestamp, UserId};
use rusqlite::OptionalExtension as _;
use serde::Serialize;

use super::Inspection;
use crate::relay::{AccountReport, RelayError, account_report};

/// One account.
#[derive(Clone, Debug, Serialize)]
pub struct UserReport {
    /// Who.
    pub user: UserId,
    /// As registered.
    pub name: String,
    /// When, by the node's clock.
    pub created_at: Timestamp,
    /// Devices that may connect.
    pub devices: u64,
    /// When the last of them opened or closed a socket.
    pub last_seen_at: Option<Timestamp>,
    /// Entries in the mailboxes of all of them.
    pub entries: u64,
}

/// One device.
#[derive(Clone, Debug, Serialize)]
pub struct DeviceReport {
    /// Which.
    pub device: DeviceId,
    /// Whose.
    pub user: UserId,
    /// For people.
    pub name: String,
    /// When it was enrolled.
    pub created_at: Timestamp,
    /// When it last opened or closed a socket.
    pub last_seen_at: Option<Timestamp>,
    /// When it was shut out, if it was.
    pub revoked_at: Option<Timestamp>,
    /// Entries in its mailbox.
    pub entries: u64,
}

impl Inspection {
    /// Users in the order of their names, from `after` on; `prefix` narrows them down.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn users(&self, prefix: &str, after: &str, at_most: u32) -> Result<Vec<UserReport>, RelayError> {
        let mut query = self.db.prepare(&format!(
            "{USER} WHERE deleted_at IS NULL AND user.folded_name > ?2 AND substr(user.folded_name, 1, length(?1)) = ?1
             ORDER BY user.folded_name LIMIT ?3"
        ))?;
        let (prefix, after) = (prefix.to_ascii_lowercase(), after.to_ascii_lowercase());
        let users = query.query_map((prefix, after, at_most), user)?.collect::<Result<_, _>>()?;
        Ok(users)
    }

    /// Accounts that were deleted, in the order in which they were.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn deleted(&self) -> Result<Vec<UserId>, RelayError> {
        let mut query =
            self.db.prepare("SELECT id FROM user WHERE deleted_at IS NOT NULL ORDER BY deleted_at, user")?;
        let deleted = query.query_map([], |row| row.get(0).map(UserId::from_bytes))?.collect::<Result<_, _>>()?;
        Ok(deleted)
    }

    /// The user of that id or name.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn user(&self, id_or_name: &str) -> Result<Option<UserReport>, RelayError> {
        let found = match id_or_name.parse::<UserId>() {
            Ok(id) => {
                self.db.query_row(&format!("{USER} WHERE deleted_at IS NULL AND user.id = ?1"), [id.as_bytes()], user)
            }
            Err(_) => {
                let name = id_or_name.to_ascii_lowercase();
                self.db.query_row(&format!("{USER} WHERE deleted_at IS NULL AND user.folded_name = ?1"), [name], user)
            }
        };
        Ok(found.optional()?)
    }

    /// What is held about a user, for that user.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn report(&self, of: UserId) -> Result<Option<AccountReport>, RelayError> {
        Ok(account_report(&self.db, of)?)
    }

    /// A user's devices, oldest first, revoked ones too.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn devices(&self, of: UserId) -> Result<Vec<DeviceReport>, RelayError> {
        let mut query = self.db.prepare(&format!("{DEVICE} WHERE user.id = ?1 ORDER BY device.created_at, device"))?;
        let devices = query.query_map([of.as_bytes()], device)?.collect::<Result<_, _>>()?;
        Ok(devices)
    }

    /// The device of that id.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn device(&self, id: DeviceId) -> Result<Option<DeviceReport>, RelayError> {
        Ok(self.db.query_row(&format!("{DEVICE} WHERE device.id = ?1"), [id.as_bytes()], device).optional()?)
    }
}

const USER: &str = "SELECT user.id, user.name, user.created_at,
        (SELECT count(*) FROM device WHERE device.user = user.user AND revoked_at IS NULL),
        (SELECT max(last_seen_at) FROM device WHERE device.user = user.user),
        (SELECT count(*) FROM mailbox JOIN device USING (device) WHERE device.user = user.user)
    FROM user";

fn user(row: &rusqlite::Row<'_>) -> rusqlite::Result<UserReport> {
    Ok(UserReport {
        user: UserId::from_bytes(row.get(0)?),
        name: row.get(1)?,
        created_at: Timestamp(row.get(2)?),
        devices: row.get(3)?,
        last_seen_at: row.get::<_, Option<i64>>(4)?.map(Timestamp),
        entries: row.get(5)?,
    })
}

const DEVICE: &str =
    "SELECT device.id, user.id, device.name, device.created_at, device.last_seen_at, device.revoked_at,
        (SELECT count(*) FROM mailbox WHERE mailbox.device = device.device)
    FROM device JOIN user ON user.user = device.user";

fn device(row: &rusqlite::Row<'_>) -> rusqlite::Result<DeviceReport> {
    Ok(DeviceReport {
        device: DeviceId::from_bytes(row.get(0)?),
        user: UserId::from_bytes(row.get(1)?),
        name: row.get(2)?,
        created_at: Timestamp(row.get(3)?),
        last_seen_at: row.get::<_, Option<i64>>(4)?.map(Timestamp),
        revoked_at: row.get::<_, Option<i64>>(5)?.map(Timestamp),
        entries: row.get(6)?,
    })
}
