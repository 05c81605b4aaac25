//! The data folder: one account, one client at a time.

use std::fs::{File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use crate::Error;

/// An open, locked folder; dropping it releases the lock.
#[derive(Debug)]
pub(super) struct Folder {
    _lock: File,
}

impl Folder {
    pub(super) fn open(path: &Path) -> Result<Self, Error> {
        std::fs::create_dir_all(path).map_err(|error| unusable(path, &error))?;
        let lock = File::options().create(true).truncate(false).write(true).open(path.join("lock"));
        let lock = lock.map_err(|error| unusable(path, &error))?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { _lock: lock }),
            Err(TryLockError::WouldBlock) => Err(Error::FolderInUse),
            Err(TryLockError::Error(error)) => Err(unusable(path, &error)),
        }
    }
}

/// Where the history lies.
pub(super) fn history_file(folder: &Path) -> PathBuf {
    folder.join("history.db")
}

/// Removes everything that a client keeps in its folder, unless another client has it open.
pub(crate) fn wipe(folder: &Path) -> Result<(), Error> {
    let _held = Folder::open(folder)?;
    for name in ["history.db", "history.db-wal", "history.db-shm", "lock"] {
        match std::fs::remove_file(folder.join(name)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(unusable(folder, &error)),
            _ => {}
        }
    }
    Ok(())
}

fn unusable(path: &Path, error: &io::Error) -> Error {
    match error.kind() {
        io::ErrorKind::StorageFull => Error::StorageFull,
        _ => Error::Invalid { detail: format!("the folder {} cannot be used: {error}", path.display()) },
    }
}
