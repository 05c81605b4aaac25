//! Opening the data: who this node is, what waits, and zeros over whatever a crash left behind.

use std::collections::{BTreeMap, BTreeSet};

use chasqui_wire::{Era, RealmId, Timestamp};
use ring::hmac;
use rusqlite::{Connection, OptionalExtension as _};

use super::coalesce::Notices;
use super::directory::Directory;
use super::era::Opening;
use super::rate::Rates;
use super::tick::COMPACT_EVERY;
use super::waiting::Mailboxes;
use super::{NodeKeys, Relay, RelayError, RelayOptions, State, Storage, Tally};
use crate::store::{self, Bodies, DeviceRow, EnvelopeRow};

impl Relay {
    /// Opens the data, making it at the first opening. `entropy` makes the keys of new data, and the name of this
    /// opening: a node must never use the same again.
    ///
    /// # Errors
    /// [`RelayError`]: the folder is in use or cannot be used, or the data is another app's or a newer node's.
    pub fn open(
        storage: Storage,
        options: RelayOptions,
        now: Timestamp,
        entropy: [u8; 32],
    ) -> Result<Self, RelayError> {
        if options.segment_bytes < options.limits.body_bytes {
            return Err(RelayError::Options("segment_bytes is below limits.body_bytes"));
        }
        let opened = storage.open()?;
        let db = opened.db;
        let identity = match read_identity(&db)? {
            Some(identity) => identity,
            None => create_identity(&db, options.realm, entropy)?,
        };
        if let Some(expected) = options.realm
            && expected != identity.realm
        {
            return Err(RelayError::OtherRealm { found: identity.realm, expected });
        }
        let mut openings = openings(&db)?;
        openings.push(Opening {
            id: opening_id(&entropy, identity.revision, openings.len()),
            at_revision: identity.revision,
            at: now,
        });
        let bodies = Bodies::open(opened.disk, options.segment_bytes, &store::claims(&db)?)?;
        let state = State {
            keys: NodeKeys::new(&identity.token_key, options.token_lifetime_ms),
            realm: identity.realm,
            bodies,
            directory: Directory::default(),
            online: BTreeMap::new(),
            seats: BTreeMap::new(),
            stalls: BTreeMap::new(),
            mailboxes: Mailboxes::default(),
            notices: Notices::default(),
            rates: Rates::default(),
            pressure: None,
            has_reserve: false,
            missed: missed(&db)?,
            next_entry: next_entry(&db)?,
            revision: identity.revision,
            era: identity.era,
            eras: eras(&db)?,
            openings,
            is_opening_written: false,
            next_expiry: db.query_row("SELECT min(expires_at) FROM envelope", [], |row| row.get(0)).map(millis)?,
            next_purge: now,
            next_compaction: (now.plus_millis(COMPACT_EVERY), EnvelopeRow(0)),
            next_absence: now,
            log_written_at: opened.lock.is_some().then_some(now),
            has_log: opened.lock.is_some(),
            tally: Tally::default(),
            has_requests: options.request_messages > 0 || is_anybody_unwelcome(&db)?,
            options,
        };
        let mut relay = Self { db, state, folder: opened.folder, _lock: opened.lock };
        relay.hold_reserve(now);
        Ok(relay)
    }
}

fn millis(at: Option<i64>) -> Option<Timestamp> {
    at.map(Timestamp)
}

struct Identity {
    realm: RealmId,
    token_key: [u8; 32],
    era: u32,
    revision: u64,
}

fn read_identity(db: &Connection) -> rusqlite::Result<Option<Identity>> {
    let sql = "SELECT realm, token_key, era, revision FROM node";
    let identity = db.query_row(sql, [], |row| {
        let realm = RealmId::from_bytes(row.get(0)?);
        Ok(Identity { realm, token_key: row.get(1)?, era: row.get(2)?, revision: row.get(3)? })
    });
    identity.optional()
}

fn create_identity(db: &Connection, realm: Option<RealmId>, entropy: [u8; 32]) -> rusqlite::Result<Identity> {
    let derive = |purpose: &[u8]| -> [u8; 32] {
        let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &entropy), purpose);
        tag.as_ref().try_into().expect("HMAC-SHA256 has 32 bytes")
    };
    let made_up = || {
        let [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p, ..] = derive(b"realm");
        let random = [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p];
        RealmId::from(uuid::Builder::from_random_bytes(random).into_uuid())
    };
    let realm = realm.unwrap_or_else(made_up);
    let token_key = derive(b"token key");
    let sql = "INSERT INTO node (only_row, realm, token_key, era, revision) VALUES (1, ?1, ?2, 0, 0)";
    db.execute(sql, (realm.as_bytes(), token_key))?;
    Ok(Identity { realm, token_key, era: 0, revision: 0 })
}

fn openings(db: &Connection) -> rusqlite::Result<Vec<Opening>> {
    let mut query = db.prepare("SELECT id, at_revision, at FROM opening ORDER BY number")?;
    let opening =
        |row: &rusqlite::Row<'_>| Ok(Opening { id: row.get(0)?, at_revision: row.get(1)?, at: Timestamp(row.get(2)?) });
    query.query_map([], opening)?.collect()
}

/// Differs from start to start even for a simulation that gives the same entropy to each.
fn opening_id(entropy: &[u8; 32], revision: u64, openings: usize) -> [u8; 8] {
    let name = format!("opening {openings} at {revision}");
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, entropy), name.as_bytes());
    *tag.as_ref().first_chunk().expect("HMAC-SHA256 has 32 bytes")
}

fn eras(db: &Connection) -> rusqlite::Result<Vec<Era>> {
    let mut query = db.prepare("SELECT number, began_at_revision FROM era ORDER BY number")?;
    query.query_map([], |row| Ok(Era { number: row.get(0)?, began_at_revision: row.get(1)? }))?.collect()
}

/// Above every entry, above those that are to be taken out of the mailbox of an absent device, and above those that were
/// acknowledged: devices tell by the numbers how far they have come.
fn next_entry(db: &Connection) -> rusqlite::Result<u64> {
    let sql = "SELECT max(coalesce((SELECT max(entry) + 1 FROM mailbox), 1),
                   coalesce((SELECT max(empty_below) FROM device WHERE empty_below IS NOT NULL), 1),
                   coalesce((SELECT max(stored_up_to) + 1 FROM device), 1))";
    db.query_row(sql, [], |row| row.get(0))
}

/// The devices that missed something and were not told of it.
fn missed(db: &Connection) -> rusqlite::Result<BTreeSet<DeviceRow>> {
    let mut query = db.prepare("SELECT DISTINCT device FROM missed")?;
    query.query_map([], |row| row.get(0))?.collect()
}

/// Whoever was blocked stays so when requests are switched off, and what was withheld is told in the end.
fn is_anybody_unwelcome(db: &Connection) -> rusqlite::Result<bool> {
    db.query_row("SELECT EXISTS (SELECT 1 FROM member WHERE standing <> 0)", [], |row| row.get(0))
}
