//! The data folder: one account, one client at a time; and what becomes of it when its files are damaged.
//!
//! Guarantees: damaged files are moved aside, never changed or removed, and only once a complete new history stands ready.
//! A crash anywhere in between leaves either the damaged history or the new one, never neither.

use std::fs::{File, TryLockError};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::path::{Path, PathBuf};

use crate::Error;
use crate::domain::Salvage;
use crate::store::{Damage, SCHEMA_VERSION, Store, salvage};

/// Being written; removed when a crash left it behind.
const FRESH: &str = "history.fresh.db";
/// Complete: from here on it is the history.
const SALVAGED: &str = "history.salvaged.db";

/// Stands there while everything is being removed; what a crash interrupted goes on at the next opening.
const WIPING: &str = "wiping";

/// In the file `lock`: whether the history is in use. Empty before the first time.
const IN_USE: &[u8] = b"in use\n";
const CLOSED: &[u8] = b"closed\n";

/// An open, locked folder; dropping it releases the lock.
#[derive(Debug)]
pub(in crate::driver) struct Folder {
    path: PathBuf,
    lock: File,
    /// What the last client left behind looks damaged.
    suspicion: Option<Damage>,
}

impl Folder {
    pub(in crate::driver) fn open(path: &Path) -> Result<Self, Error> {
        let unusable = |error: io::Error| unusable(path, &error);
        create_private(path).map_err(unusable)?;
        let mut lock = private_file(&path.join("lock")).map_err(unusable)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(Error::FolderInUse),
            Err(TryLockError::Error(error)) => return Err(unusable(error)),
        }
        if path.join(WIPING).exists() {
            erase(path).and_then(|()| lock.set_len(0)).map_err(unusable)?;
            remove(&path.join(WIPING)).map_err(unusable)?;
        }
        remove(&path.join(FRESH)).map_err(unusable)?;
        finish_exchange(path).map_err(unusable)?;
        let mut last_use = Vec::new();
        lock.read_to_end(&mut last_use).map_err(unusable)?;
        let suspicion = suspicion(path, &last_use);
        // SQLite gives its log the permissions of the database.
        private_file(&history_file(path)).map_err(unusable)?;
        Ok(Self { path: path.to_owned(), lock, suspicion })
    }

    /// The history's file.
    pub(in crate::driver) fn history(&self) -> PathBuf {
        history_file(&self.path)
    }

    /// What looks damaged from outside, once.
    pub(in crate::driver) fn take_suspicion(&mut self) -> Option<Damage> {
        self.suspicion.take()
    }

    /// From here on a log that is gone is missed, even after power was lost.
    pub(in crate::driver) fn mark_in_use(&mut self) -> Result<(), Error> {
        self.mark(IN_USE).map_err(|error| unusable(&self.path, &error))
    }

    /// Nothing will be committed any more: the log may go.
    pub(in crate::driver) fn mark_closed(&mut self) {
        // If this cannot be written, the log that SQLite merges now will be missed once: said too much, not too little.
        if let Err(error) = self.mark(CLOSED) {
            tracing::warn!(%error, "the folder could not be marked as closed");
        }
    }

    fn mark(&mut self, mark: &[u8]) -> io::Result<()> {
        // Of equal length, so that there is no moment in between.
        self.lock.rewind()?;
        self.lock.write_all(mark)?;
        self.lock.sync_data()
    }

    /// Saves what can be read of the history into a new one, which takes its place. Nobody may have it open.
    pub(in crate::driver) fn salvage(&self, damage: &Damage) -> Result<Salvage, Error> {
        tracing::error!(cause = damage.cause, "the history is damaged: what can be read is saved into a new one");
        let path = &self.path;
        let (fresh, damaged) = (path.join(FRESH), history_file(path));
        remove(&fresh).and_then(|()| private_file(&fresh)).map_err(|error| unusable(path, &error))?;
        let saved = salvage(damaged.exists().then_some(&damaged), &fresh, damage, kept_as(path));
        let report = saved.inspect_err(|_| drop(remove(&fresh)))?;
        let synced = File::open(&fresh).and_then(|file| file.sync_all());
        let complete = synced.and_then(|()| std::fs::rename(&fresh, path.join(SALVAGED)));
        complete.and_then(|()| finish_exchange(path)).map_err(|error| unusable(path, &error))?;
        tracing::warn!(?report, "a new history is in place");
        Ok(report)
    }
}

/// A salvaged history that is complete takes its place. What a crash interrupted goes on where it stopped.
fn finish_exchange(path: &Path) -> io::Result<()> {
    let salvaged = path.join(SALVAGED);
    if !salvaged.exists() {
        return Ok(());
    }
    let (history, kept) = (history_file(path), path.join(kept_as(path)));
    // The log first: it must never stand beside another database than its own.
    rename(&with_suffix(&history, "-wal"), &with_suffix(&kept, "-wal"))?;
    remove(&with_suffix(&history, "-shm"))?;
    rename(&history, &kept)?;
    std::fs::rename(&salvaged, &history)?;
    sync_folder(path)
}

#[cfg(unix)]
fn sync_folder(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

/// Elsewhere a folder cannot be opened as a file.
#[cfg(not(unix))]
fn sync_folder(_: &Path) -> io::Result<()> {
    Ok(())
}

/// The first name of that kind that is free.
fn kept_as(path: &Path) -> String {
    let name = |number: u32| format!("damaged-{number}.db");
    (1..u32::MAX).map(name).find(|name| !path.join(name).exists()).unwrap_or_else(|| name(0))
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

/// What SQLite would take for a history that is merely empty, or merely older.
fn suspicion(path: &Path, last_use: &[u8]) -> Option<Damage> {
    let history = history_file(path);
    let is_empty = std::fs::metadata(&history).map_or(0, |found| found.len()) == 0;
    let has_log = with_suffix(&history, "-wal").exists();
    let damage = |cause: &str, is_log_missing| Some(Damage { cause: cause.to_owned(), is_log_missing });
    match last_use {
        [] => None,
        _ if is_empty => damage("the database is gone", true),
        // A log exists from the first use until whoever closes last has merged it.
        IN_USE if !has_log => damage("the log of what was committed last is gone", true),
        _ => None,
    }
}

/// Keys and conversations are nobody else's business on a shared machine. A folder that was there keeps its mode.
fn create_private(path: &Path) -> io::Result<()> {
    let mut folders = std::fs::DirBuilder::new();
    folders.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut folders, 0o700);
    folders.create(path)
}

fn private_file(path: &Path) -> io::Result<File> {
    let mut options = File::options();
    options.create(true).truncate(false).read(true).write(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

/// Where the history lies.
pub(super) fn history_file(folder: &Path) -> PathBuf {
    folder.join("history.db")
}

/// Opens the history of a folder for reading, whoever has it open, without its lock and without any of the repairs that come
/// with that: where one is needed, the folder is [`Error::Corrupt`] until a client opens it. `None`: nothing is there.
pub(super) fn open_beside(path: &Path) -> Result<Option<rusqlite::Connection>, Error> {
    let history = history_file(path);
    let is_empty = std::fs::metadata(&history).map_or(0, |found| found.len()) == 0;
    if is_empty || path.join(WIPING).exists() {
        return Ok(None);
    }
    // SQLite would begin an empty log in the place of the one that is missed, and nobody would miss it any more.
    let last_use = std::fs::read(path.join("lock")).unwrap_or_default();
    if let Some(damage) = suspicion(path, &last_use) {
        return Err(Error::Corrupt { detail: damage.cause });
    }
    let (connection, found) = Store::open_reader_of_any_version(&history)?;
    match found {
        0 => Ok(None),
        SCHEMA_VERSION => Ok(Some(connection)),
        _ => Err(Error::Incompatible {
            detail: format!("the history has schema {found}, this version {SCHEMA_VERSION}"),
        }),
    }
}

/// Removes everything that a client keeps in its folder, unless another client has it open. Once begun it will end: at the
/// next opening, if not now.
pub(crate) async fn wipe(folder: &Path) -> Result<(), Error> {
    erase_all(folder)
}

fn erase_all(folder: &Path) -> Result<(), Error> {
    let _held = Folder::open(folder)?;
    let wipe = || {
        private_file(&folder.join(WIPING)).and_then(|_| sync_folder(folder))?;
        erase(folder)?;
        remove(&folder.join("lock"))?;
        remove(&folder.join(WIPING))?;
        sync_folder(folder)
    };
    wipe().map_err(|error| unusable(folder, &error))
}

/// Removes every file but the lock.
fn erase(folder: &Path) -> io::Result<()> {
    let is_kept = |name: &str| name.starts_with("damaged-") && (name.ends_with(".db") || name.ends_with(".db-wal"));
    let names = std::fs::read_dir(folder)?.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let kept: Vec<String> = names.filter(|name| is_kept(name)).collect();
    let own = ["history.db", "history.db-wal", "history.db-shm", FRESH, SALVAGED].map(str::to_owned);
    own.into_iter().chain(kept).try_for_each(|name| remove(&folder.join(name)))
}

/// What is not there is removed already.
fn remove(file: &Path) -> io::Result<()> {
    match std::fs::remove_file(file) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// What is not there was moved already.
fn rename(from: &Path, to: &Path) -> io::Result<()> {
    match std::fs::rename(from, to) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn unusable(path: &Path, error: &io::Error) -> Error {
    match error.kind() {
        io::ErrorKind::StorageFull => Error::StorageFull,
        _ => Error::Invalid { detail: format!("the folder {} cannot be used: {error}", path.display()) },
    }
}

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn mode(path: &Path) -> u32 {
        std::fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    /// As a crash leaves it behind, wherever in the exchange it struck: the new history is there, the old one kept.
    #[test]
    fn a_wipe_that_a_crash_interrupted_ends_at_the_next_opening() {
        let place = tempfile::tempdir().unwrap();
        let names = || {
            let mut names: Vec<_> =
                std::fs::read_dir(place.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
            names.sort();
            names
        };
        let mut folder = Folder::open(place.path()).unwrap();
        folder.mark_in_use().unwrap();
        drop(folder);
        // The database is gone already, the rest is not.
        std::fs::remove_file(history_file(place.path())).unwrap();
        for left in ["history.db-wal", "damaged-1.db", WIPING] {
            std::fs::write(place.path().join(left), "left").unwrap();
        }
        let mut folder = Folder::open(place.path()).unwrap();
        assert!(folder.take_suspicion().is_none(), "nothing is missed");
        drop(folder);
        assert_eq!(names(), ["history.db", "lock"], "as in a new folder");
        erase_all(place.path()).unwrap();
        assert!(names().is_empty());
    }

    #[test]
    fn an_exchange_that_a_crash_interrupted_is_finished() {
        for done in 0..4 {
            let folder = tempfile::tempdir().unwrap();
            let at = |name: &str| folder.path().join(name);
            std::fs::write(at("damaged-1.db"), "of an earlier time").unwrap();
            std::fs::write(at(SALVAGED), "new").unwrap();
            let old = ["history.db-wal", "history.db-shm", "history.db"];
            let gone = ["damaged-2.db-wal", "", "damaged-2.db"];
            for (step, (name, kept)) in old.into_iter().zip(gone).enumerate() {
                let place = if step >= done { name } else { kept };
                if !place.is_empty() {
                    std::fs::write(at(place), format!("old {name}")).unwrap();
                }
            }
            if done == 3 {
                std::fs::rename(at(SALVAGED), at("history.db")).unwrap();
            }
            let _folder = Folder::open(folder.path()).unwrap();
            let read = |name: &str| std::fs::read_to_string(at(name)).unwrap();
            assert_eq!(read("history.db"), "new", "{done} done");
            assert_eq!(read("damaged-2.db"), "old history.db", "{done} done");
            assert_eq!(read("damaged-2.db-wal"), "old history.db-wal", "{done} done");
            assert!(!at("history.db-wal").exists() && !at("history.db-shm").exists(), "{done} done");
        }
    }

    #[test]
    fn what_is_made_here_is_the_owners_and_what_was_there_keeps_its_mode() {
        let root = tempfile::tempdir().unwrap();
        let (made, found) = (root.path().join("made"), root.path().join("found"));
        std::fs::create_dir(&found).unwrap();
        std::fs::set_permissions(&found, std::fs::Permissions::from_mode(0o755)).unwrap();
        for folder in [&made, &found] {
            let _folder = Folder::open(folder).unwrap();
            assert_eq!((mode(&history_file(folder)), mode(&folder.join("lock"))), (0o600, 0o600));
            assert!(matches!(Folder::open(folder), Err(Error::FolderInUse)));
        }
        assert_eq!((mode(&made), mode(&found)), (0o700, 0o755));
    }
}
