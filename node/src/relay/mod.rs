//! The relay: passes messages on and forgets them. Synchronous, single owner; no clock, no threads, no async.
//!
//! [`Relay::commit`] does all waiting work in one SQLite transaction. Nothing is answered, delivered or erased before
//! it committed, and nothing in memory changes before that either (except stalls, which are put back).

mod absence;
mod account_calls;
mod accounts;
mod acknowledge;
mod attach;
mod backup;
mod claim;
mod coalesce;
mod commit;
mod compact;
mod delete;
mod deliver;
mod directory;
mod enrolment;
mod epoch;
mod era;
mod error;
mod expire;
mod fan_out;
mod group_mail;
mod identity;
mod key_packages;
mod keys;
mod missed;
mod notices;
mod one_device;
mod open;
mod peek;
mod phone;
mod pressure;
mod publish;
mod rate;
mod read;
mod report;
mod requests;
mod revoke;
mod roster;
mod route;
mod signal;
mod step;
#[cfg(test)]
mod tests;
mod tick;
mod vitals;
mod waiting;
mod work;

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::path::PathBuf;

use chasqui_wire::{ConversationId, DeviceId, Era, Limits, RealmId, Timestamp, UserId};
use rusqlite::Connection;

use crate::store::{Bodies, DeviceRow, EnvelopeRow, UserRow};
pub use crate::store::{Disk, DiskImage, SimDisk, Storage};
pub use accounts::{Accounts, DeviceEntry, Enrolment, KnownUser, NewUser, Refusal};
pub use backup::{Backup, Manifest, Restored, restore};
use coalesce::Notices;
pub use delete::Proofs;
use deliver::Online;
use directory::Directory;
pub use enrolment::Newcomer;
use era::Opening;
pub use error::RelayError;
pub use keys::NodeKeys;
pub use peek::Peeked;
pub use phone::{CodeShown, NewCode, PhoneRules, PinToVerify};
use pressure::Pressure;
use rate::Rates;
pub(crate) use report::report as account_report;
pub use report::{AccountReport, DeviceHeld, Subject};
use vitals::Tally;
pub use vitals::Vitals;
use waiting::Mailboxes;
pub use work::{Attach, Attached, Call, Event, KnownDevice, Op, SessionId, Work};

/// How a relay behaves.
#[derive(Clone, Debug)]
pub struct RelayOptions {
    /// What it accepts, as announced to devices.
    pub limits: Limits,
    /// The app that it serves. `None` = whatever the data says, a new one at the first opening.
    pub realm: Option<RealmId>,
    /// Milliseconds that an HTTP token is valid.
    pub token_lifetime_ms: u64,
    /// Bytes of the disk that are given up when it is full, so that mail can still be acknowledged.
    pub reserve_bytes: u32,
    /// Bytes of one body segment; at least `limits.body_bytes`.
    pub segment_bytes: u32,
    /// Segments up to which none is compacted, however little lives in it.
    pub segments_kept: u32,
    /// Devices that one user may have.
    pub devices_per_user: u32,
    /// Sends and reads a minute of all devices of a user together.
    pub sends_per_minute_of_user: u32,
    /// The most that mail of one sender may take of somebody else's mailbox, of its entries and of its bytes.
    pub mailbox_share_percent: u32,
    /// Milliseconds after which a device that was not seen keeps no mail waiting, if its user has another one.
    pub absent_ms: u64,
    /// Messages that somebody may send to a person who has neither accepted nor answered; 0 = anybody writes to anybody.
    pub request_messages: u32,
}

impl Default for RelayOptions {
    fn default() -> Self {
        Self {
            limits: Limits::DEFAULT,
            realm: None,
            token_lifetime_ms: 15 * 60 * 1000,
            reserve_bytes: 16 * 1024 * 1024,
            segment_bytes: 8 * 1024 * 1024,
            segments_kept: 4,
            devices_per_user: 8,
            sends_per_minute_of_user: 120_000,
            mailbox_share_percent: 25,
            absent_ms: 30 * 24 * 60 * 60 * 1000,
            request_messages: 0,
        }
    }
}

/// One node's messages, mailboxes and accounts.
pub struct Relay {
    db: Connection,
    state: State,
    /// `None` in memory.
    folder: Option<PathBuf>,
    /// Held so that no other process opens the folder.
    _lock: Option<File>,
}

/// What the relay knows without asking SQLite. Changed only after a commit, as [`step::Step`] says.
struct State {
    options: RelayOptions,
    realm: RealmId,
    keys: NodeKeys,
    bodies: Bodies,
    directory: Directory,
    online: BTreeMap<DeviceRow, Online>,
    seats: BTreeMap<SessionId, DeviceRow>,
    /// Streams that wait for their restart.
    stalls: BTreeMap<SessionId, BTreeSet<ConversationId>>,
    mailboxes: Mailboxes,
    rates: Rates,
    pressure: Option<Pressure>,
    /// Whether the disk holds the reserve.
    has_reserve: bool,
    notices: Notices,
    /// The devices that missed something and were not told of it.
    missed: BTreeSet<DeviceRow>,
    next_entry: u64,
    revision: u64,
    era: u32,
    eras: Vec<Era>,
    /// Every opening on record, oldest first, and this one.
    openings: Vec<Opening>,
    /// Whether this opening is on record: from the first commit on.
    is_opening_written: bool,
    next_expiry: Option<Timestamp>,
    next_purge: Timestamp,
    /// When segments are looked for that are mostly dead, and behind which envelope.
    next_compaction: (Timestamp, EnvelopeRow),
    /// When devices are looked for that were not seen for too long.
    next_absence: Timestamp,
    /// When the log was last written, if it was since it was last truncated.
    log_written_at: Option<Timestamp>,
    has_log: bool,
    tally: Tally,
    /// Whether anybody may be unwelcome to somebody; if not, nobody is looked up.
    has_requests: bool,
}

/// The device behind a session.
#[derive(Clone, Copy, Debug)]
struct Who {
    session: SessionId,
    device: DeviceRow,
    device_id: DeviceId,
    device_key: [u8; 32],
    user: UserRow,
    user_id: UserId,
}

impl Relay {
    /// The app that this relay serves.
    pub fn realm(&self) -> RealmId {
        self.state.realm
    }

    /// What it accepts.
    pub fn limits(&self) -> &Limits {
        &self.state.options.limits
    }

    /// Its keys, for HTTP tokens.
    pub fn keys(&self) -> NodeKeys {
        self.state.keys.clone()
    }

    /// The incarnation, and the commits made so far.
    pub fn era_and_revision(&self) -> (u32, u64) {
        (self.state.era, self.state.revision)
    }

    /// The database, for a simulation that looks into it.
    pub fn connection(&self) -> &Connection {
        &self.db
    }

    /// The database, for a simulation that makes commits fail (`Connection::commit_hook`).
    pub fn connection_mut(&mut self) -> &mut Connection {
        &mut self.db
    }

    /// Ends the relay without any last work, as a crash does, and hands the database back to open it again.
    pub fn into_connection(self) -> Connection {
        self.db
    }
}
