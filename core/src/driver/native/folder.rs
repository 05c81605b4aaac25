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
        create_private(path).map_err(|error| unusable(path, &error))?;
        let lock = private_file(&path.join("lock")).map_err(|error| unusable(path, &error))?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { _lock: lock }),
            Err(TryLockError::WouldBlock) => Err(Error::FolderInUse),
            Err(TryLockError::Error(error)) => Err(unusable(path, &error)),
        }
    }
}

/// Keys and conversations are nobody else's business on a shared machine. A folder that was there keeps its mode.
fn create_private(path: &Path) -> io::Result<()> {
    let mut folders = std::fs::DirBuilder::new();
    folders.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut folders, 0o700);
    folders.create(path)?;
    // SQLite gives its log the permissions of the database.
    private_file(&history_file(path)).map(drop)
}

fn private_file(path: &Path) -> io::Result<File> {
    let mut options = File::options();
    options.create(true).truncate(false).write(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
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

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn mode(path: &Path) -> u32 {
        std::fs::metadata(path).unwrap().permissions().mode() & 0o777
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
