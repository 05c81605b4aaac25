//! Backup: a copy of everything as it is at one moment, made while the relay goes on; and what brings it back.
//!
//! The rows come from a snapshot of the database, the bodies as [`crate::store::BodyCopy`] says, and the manifest last: a
//! folder without it is no backup. A backup keeps bodies that the relay erases later; it is the operator's to guard.

use std::fs::File;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use chasqui_wire::{RealmId, Timestamp};
use rusqlite::{Connection, OpenFlags};
use serde::{Deserialize, Serialize};

use super::{Relay, RelayError, RelayOptions, Storage};
use crate::store::{self, BodyCopy, UNFINISHED};

/// What a backup says of itself, in `backup.json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// Of this file.
    pub format: u32,
    /// When it was begun, by the node's clock.
    pub at: Timestamp,
    /// The app.
    pub realm: RealmId,
    /// The node's incarnation.
    pub era: u32,
    /// The commits that are in it.
    pub revision: u64,
    /// Messages whose bodies are in it.
    pub messages: u64,
    /// The last era that a restore of this backup began: the next one begins a later one.
    pub last_era_begun: Option<u32>,
}

/// The only format so far.
const FORMAT: u32 = 1;
const MANIFEST: &str = "backup.json";

/// A backup that is being made. Dropping it leaves an unfinished folder, which is no backup.
pub struct Backup {
    target: PathBuf,
    /// A read transaction at the backup's moment.
    snapshot: Connection,
    bodies: BodyCopy,
    manifest: Manifest,
}

impl Relay {
    /// Begins a backup into `target`, which must be missing or empty. Quick: [`Backup::finish`] does the copying, on
    /// another thread.
    ///
    /// # Errors
    /// The target holds something or cannot be made, or the relay keeps no folder.
    pub fn begin_backup(&mut self, target: &Path, now: Timestamp) -> Result<Backup, RelayError> {
        let Some(folder) = &self.folder else { return Err(RelayError::Options("a relay in memory has no backup")) };
        if self.state.bodies.is_copied() {
            return Err(RelayError::BackupUnderWay);
        }
        make_empty(target)?;
        let snapshot = Connection::open_with_flags(folder.join("relay.db"), OpenFlags::SQLITE_OPEN_READ_ONLY)?;
        // The transaction begins with the first read.
        snapshot.execute_batch("BEGIN")?;
        let (era, revision) =
            snapshot.query_row("SELECT era, revision FROM node", [], |row| Ok((row.get(0)?, row.get(1)?)))?;
        let copy = BodyCopy::new(&folder.join("bodies"), &target.join("bodies")).map_err(unusable(target))?;
        self.state.bodies.begin_copy(&copy, now)?;
        let realm = self.state.realm;
        let manifest = Manifest { format: FORMAT, at: now, realm, era, revision, messages: 0, last_era_begun: None };
        Ok(Backup { target: target.to_owned(), snapshot, bodies: copy, manifest })
    }
}

impl Backup {
    /// Pages of the database that are copied at once.
    const PAGES: i32 = 1_024;

    /// Copies everything and makes it durable.
    ///
    /// # Errors
    /// Something cannot be read or written; the folder is no backup then.
    pub fn finish(mut self) -> Result<Manifest, RelayError> {
        let cannot = unusable(&self.target);
        let path = self.target.join("relay.db");
        store::create_for_owner(&path).map_err(&cannot)?;
        let mut db = Connection::open(&path)?;
        rusqlite::backup::Backup::new(&self.snapshot, &mut db)?.run_to_completion(Self::PAGES, Duration::ZERO, None)?;
        self.snapshot.execute_batch("ROLLBACK")?;
        // One file, which can be read on a medium that cannot be written.
        db.query_row("PRAGMA journal_mode = DELETE", [], |_| Ok(()))?;
        let mut lost = 0;
        for claim in store::claims(&db)? {
            match self.bodies.copy(claim).map_err(&cannot)? {
                true => self.manifest.messages += 1,
                false => lost += 1,
            }
        }
        if lost > 0 {
            tracing::error!(lost, "bodies are missing from the node's own disk, and so from the backup");
        }
        db.close().map_err(|(_, error)| error)?;
        let Self { target, bodies, manifest, .. } = self;
        bodies.finish().map_err(&cannot)?;
        File::open(&path).and_then(|db| db.sync_all()).map_err(&cannot)?;
        manifest.write(&target)?;
        Ok(manifest)
    }
}

impl Manifest {
    /// Of the backup in this folder.
    ///
    /// # Errors
    /// The folder is no backup, or one that did not end.
    pub fn read(folder: &Path) -> Result<Self, RelayError> {
        let unreadable = || RelayError::NoBackup { folder: folder.to_owned() };
        let text = std::fs::read_to_string(folder.join(MANIFEST)).map_err(|_| unreadable())?;
        let manifest: Self = serde_json::from_str(&text).map_err(|_| unreadable())?;
        if manifest.format == FORMAT { Ok(manifest) } else { Err(unreadable()) }
    }

    /// Replaces it, durably.
    fn write(&self, folder: &Path) -> Result<(), RelayError> {
        let text = serde_json::to_string_pretty(self).expect("a manifest is JSON") + "\n";
        let write = || {
            let new = folder.join("backup.json.new");
            let mut file = store::create_for_owner(&new)?;
            file.write_all(text.as_bytes())?;
            file.sync_all()?;
            std::fs::rename(new, folder.join(MANIFEST))?;
            store::sync_folder(folder)
        };
        write().map_err(unusable(folder))
    }
}

/// What a restore did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Restored {
    /// As it is now in the backup.
    pub manifest: Manifest,
    /// The era that the node has begun.
    pub era: u32,
    /// Whether the backup remembers that era. Without it, only the clock tells two restores of it apart.
    pub is_remembered: bool,
}

/// Brings a backup back into `folder`, which must be missing or empty, and begins a new era.
///
/// # Errors
/// It is no backup, the folder holds something, or a disk failed. What was begun must be removed by hand then: no node
/// starts on it.
pub fn restore(
    backup: &Path,
    folder: &Path,
    options: RelayOptions,
    now: Timestamp,
    entropy: [u8; 32],
) -> Result<Restored, RelayError> {
    let mut manifest = Manifest::read(backup)?;
    make_empty(folder)?;
    let cannot = unusable(folder);
    let marker = folder.join(UNFINISHED);
    store::create_for_owner(&marker).and_then(|file| file.sync_all()).map_err(&cannot)?;
    store::sync_folder(folder).map_err(&cannot)?;
    store::copy_segments(&backup.join("bodies"), &folder.join("bodies")).map_err(&cannot)?;
    store::copy_file(&backup.join("relay.db"), &folder.join("relay.db")).map_err(&cannot)?;
    let mut relay = Relay::open(Storage::unfinished(folder), options, now, entropy)?;
    let era = relay.next_era(now, manifest.last_era_begun);
    // Remembered before it begins: an era that nobody used is no loss.
    manifest.last_era_begun = Some(era);
    let is_remembered = manifest.write(backup).is_ok();
    relay.begin_era_at(era, now)?;
    relay.settle_down(now)?;
    drop(relay);
    std::fs::remove_file(marker).map_err(&cannot)?;
    store::sync_folder(folder).map_err(&cannot)?;
    Ok(Restored { manifest, era, is_remembered })
}

fn make_empty(folder: &Path) -> Result<(), RelayError> {
    store::make_folder(folder).map_err(unusable(folder))?;
    let mut entries = std::fs::read_dir(folder).map_err(unusable(folder))?;
    match entries.next() {
        None => Ok(()),
        Some(_) => Err(RelayError::NotEmpty { folder: folder.to_owned() }),
    }
}

fn unusable(folder: &Path) -> impl Fn(io::Error) -> RelayError + use<> {
    let folder = folder.to_owned();
    move |source| RelayError::Folder { folder: folder.clone(), source }
}
