//! How much of everything there is.

use chasqui_wire::{DeviceId, RealmId, Timestamp, UserId};
use serde::Serialize;

use super::Inspection;
use crate::relay::RelayError;
use crate::store;

/// A node's data in numbers.
#[derive(Clone, Debug, Serialize)]
pub struct Stats {
    /// The app that it serves.
    pub realm: RealmId,
    /// Its incarnation.
    pub era: u32,
    /// Commits so far.
    pub revision: u64,
    /// Accounts.
    pub users: u64,
    /// Devices that may connect.
    pub devices: u64,
    /// Devices that were shut out.
    pub devices_revoked: u64,
    /// Messages that somebody still has to confirm.
    pub messages: u64,
    /// Entries in all mailboxes: messages, receipts, read marks and gaps.
    pub entries: u64,
    /// Encrypted conversations that have a group.
    pub groups: u64,
    /// Key packages that others can claim.
    pub key_packages: u64,
    /// Bytes of the bodies of those messages.
    pub body_bytes: u64,
    /// When the oldest of them was accepted, in milliseconds since 1970.
    pub oldest_at: Option<Timestamp>,
    /// When the next of them expires.
    pub next_expiry_at: Option<Timestamp>,
    /// Files that hold bodies.
    pub segments: u64,
    /// Their bytes, free room included.
    pub segment_bytes: u64,
    /// Bytes of the database and its log.
    pub database_bytes: u64,
    /// Bytes that the file system has left.
    pub free_bytes: Option<u64>,
    /// The fullest mailboxes, by bytes, then entries.
    pub fullest_mailboxes: Vec<MailboxReport>,
    /// Who wrote most of what waits.
    pub largest_senders: Vec<SenderReport>,
}

/// One device's mail.
#[derive(Clone, Debug, Serialize)]
pub struct MailboxReport {
    /// Whose.
    pub device: DeviceId,
    /// The device's user.
    pub user: UserId,
    /// Entries that wait.
    pub entries: u64,
    /// Bytes of their bodies.
    pub body_bytes: u64,
    /// When the device last opened or closed a socket.
    pub last_seen_at: Option<Timestamp>,
}

/// What one user wrote and nobody confirmed yet.
#[derive(Clone, Debug, Serialize)]
pub struct SenderReport {
    /// Who.
    pub user: UserId,
    /// Messages that wait.
    pub messages: u64,
    /// Bytes of their bodies.
    pub body_bytes: u64,
}

impl Inspection {
    /// The most mailboxes, and senders, that are named.
    const NAMED: u32 = 10;

    /// Counts everything, in one state of the data. Takes as long as reading the mailboxes does.
    ///
    /// # Errors
    /// The database or the folder cannot be read.
    pub fn stats(&self) -> Result<Stats, RelayError> {
        let db = self.db.unchecked_transaction()?;
        let number = |sql: &str| db.query_row(sql, [], |row| row.get::<_, u64>(0));
        let time = |sql: &str| db.query_row(sql, [], |row| row.get::<_, Option<i64>>(0)).map(|at| at.map(Timestamp));
        let node = db.query_row("SELECT realm, era, revision FROM node", [], |row| {
            Ok((RealmId::from_bytes(row.get(0)?), row.get(1)?, row.get(2)?))
        });
        let (realm, era, revision) = node?;
        let files = store::sizes(&self.folder).map_err(|source| self.unusable(source))?;
        Ok(Stats {
            realm,
            era,
            revision,
            users: number("SELECT count(*) FROM user WHERE deleted_at IS NULL")?,
            devices: number("SELECT count(*) FROM device WHERE revoked_at IS NULL")?,
            devices_revoked: number("SELECT count(*) FROM device WHERE revoked_at IS NOT NULL")?,
            messages: number("SELECT count(*) FROM envelope")?,
            entries: number("SELECT count(*) FROM mailbox")?,
            groups: number("SELECT count(*) FROM conversation WHERE epoch > 0")?,
            key_packages: number("SELECT count(*) FROM key_package WHERE given_at IS NULL")?,
            body_bytes: number("SELECT coalesce(sum(length), 0) FROM envelope")?,
            oldest_at: time("SELECT min(accepted_at) FROM envelope")?,
            next_expiry_at: time("SELECT min(expires_at) FROM envelope")?,
            segments: files.segments,
            segment_bytes: files.segment_bytes,
            database_bytes: files.database_bytes,
            free_bytes: store::free_bytes(&self.folder),
            fullest_mailboxes: self.fullest_mailboxes()?,
            largest_senders: self.largest_senders()?,
        })
    }

    /// Entries in all mailboxes.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn entries(&self) -> Result<u64, RelayError> {
        Ok(self.db.query_row("SELECT count(*) FROM mailbox", [], |row| row.get(0))?)
    }

    fn fullest_mailboxes(&self) -> Result<Vec<MailboxReport>, RelayError> {
        let mut query = self.db.prepare(
            "SELECT device.id, user.id, count(*), coalesce(sum(envelope.length), 0) AS bytes, device.last_seen_at
             FROM mailbox
             LEFT JOIN envelope ON envelope.envelope = mailbox.entry AND mailbox.notice IS NULL
             JOIN device ON device.device = mailbox.device
             JOIN user ON user.user = device.user
             GROUP BY mailbox.device ORDER BY bytes DESC, count(*) DESC, mailbox.device LIMIT ?1",
        )?;
        let report = |row: &rusqlite::Row<'_>| {
            Ok(MailboxReport {
                device: DeviceId::from_bytes(row.get(0)?),
                user: UserId::from_bytes(row.get(1)?),
                entries: row.get(2)?,
                body_bytes: row.get(3)?,
                last_seen_at: row.get::<_, Option<i64>>(4)?.map(Timestamp),
            })
        };
        let reports = query.query_map([Self::NAMED], report)?.collect::<Result<_, _>>()?;
        Ok(reports)
    }

    fn largest_senders(&self) -> Result<Vec<SenderReport>, RelayError> {
        let mut query = self.db.prepare(
            "SELECT user.id, count(*), sum(envelope.length) AS bytes
             FROM envelope JOIN user ON user.user = envelope.sender_user
             GROUP BY envelope.sender_user ORDER BY bytes DESC, count(*) DESC, envelope.sender_user LIMIT ?1",
        )?;
        let report = |row: &rusqlite::Row<'_>| {
            Ok(SenderReport { user: UserId::from_bytes(row.get(0)?), messages: row.get(1)?, body_bytes: row.get(2)? })
        };
        let reports = query.query_map([Self::NAMED], report)?.collect::<Result<_, _>>()?;
        Ok(reports)
    }
}
