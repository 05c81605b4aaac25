//! Where body segments live: a handful of fixed-size files, written in place.
//!
//! A segment is all zeros when it is created. A write may be lost by a crash until its segment is synced.

use std::collections::BTreeMap;
use std::fs::{DirBuilder, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

/// Segment files. Creation and deletion are durable when they return, writes only after [`Disk::sync`].
pub trait Disk: Send {
    /// The segments that exist, in ascending order, with their sizes in bytes.
    fn list(&self) -> io::Result<Vec<(u32, u32)>>;
    /// Makes a segment of `size` zeros.
    fn create(&mut self, segment: u32, size: u32) -> io::Result<()>;
    /// Fills `into` from `start` on.
    fn read(&mut self, segment: u32, start: u32, into: &mut [u8]) -> io::Result<()>;
    /// Overwrites from `start` on; never beyond the segment's size.
    fn write(&mut self, segment: u32, start: u32, bytes: &[u8]) -> io::Result<()>;
    /// Makes all earlier writes to the segment durable.
    fn sync(&mut self, segment: u32) -> io::Result<()>;
    /// Removes the segment.
    fn delete(&mut self, segment: u32) -> io::Result<()>;
    /// Takes so many bytes of the medium for nothing, unless they are taken already.
    fn hold_reserve(&mut self, bytes: u32) -> io::Result<()>;
    /// Gives them up.
    fn release_reserve(&mut self) -> io::Result<()>;
}

/// The file beside the segments that is given up when the disk is full.
const RESERVE: &str = "reserve";

/// `NNNNNNNN.seg` files in a folder.
#[derive(Debug)]
pub(crate) struct FileDisk {
    folder: PathBuf,
    open: BTreeMap<u32, File>,
}

impl FileDisk {
    /// Uses `folder`, making it if it is missing.
    pub(crate) fn open(folder: &Path) -> io::Result<Self> {
        make_folder(folder)?;
        Ok(Self::beside(folder))
    }

    /// Looks at a folder that somebody else uses.
    pub(super) fn beside(folder: &Path) -> Self {
        Self { folder: folder.to_owned(), open: BTreeMap::new() }
    }

    /// Whether the segment exists.
    pub(super) fn has(&self, segment: u32) -> bool {
        self.open.contains_key(&segment) || self.path(segment).exists()
    }

    fn path(&self, segment: u32) -> PathBuf {
        segment_path(&self.folder, segment)
    }

    fn file(&mut self, segment: u32) -> io::Result<&File> {
        let path = self.path(segment);
        match self.open.entry(segment) {
            std::collections::btree_map::Entry::Occupied(file) => Ok(file.into_mut()),
            std::collections::btree_map::Entry::Vacant(vacant) => {
                Ok(vacant.insert(OpenOptions::new().read(true).write(true).open(path)?))
            }
        }
    }

    fn create_filled(&mut self, segment: u32, fill: impl FnOnce(&File) -> io::Result<()>) -> io::Result<()> {
        let path = self.path(segment);
        let file = for_owner().read(true).create_new(true).open(&path)?;
        if let Err(error) = fill(&file).and_then(|()| self.sync_folder()) {
            // What a full disk left of it would stand in the way of the next attempt.
            drop(file);
            std::fs::remove_file(path)?;
            return Err(error);
        }
        self.open.insert(segment, file);
        Ok(())
    }

    fn sync_folder(&self) -> io::Result<()> {
        sync_folder(&self.folder)
    }
}

/// Where a segment lies in the folder of the bodies.
pub(super) fn segment_path(folder: &Path, segment: u32) -> PathBuf {
    folder.join(format!("{segment:08}.seg"))
}

/// Makes creations, renames and deletions in the folder durable. Windows has no such call and does not need it.
pub(crate) fn sync_folder(folder: &Path) -> io::Result<()> {
    #[cfg(unix)]
    File::open(folder)?.sync_all()?;
    #[cfg(not(unix))]
    let _ = folder;
    Ok(())
}

/// The segments in a folder of bodies, which may be missing.
pub(super) fn list(folder: &Path) -> io::Result<Vec<(u32, u32)>> {
    match FileDisk::beside(folder).list() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        listed => listed,
    }
}

/// Copies every segment of one folder of bodies to another, which is made, durably.
pub(crate) fn copy_segments(from: &Path, to: &Path) -> io::Result<()> {
    make_folder(to)?;
    for (segment, _) in list(from)? {
        copy_file(&segment_path(from, segment), &segment_path(to, segment))?;
    }
    sync_folder(to)
}

/// Copies a file to one that only its owner may read, durably.
pub(crate) fn copy_file(from: &Path, to: &Path) -> io::Result<()> {
    let mut copy = create_for_owner(to)?;
    io::copy(&mut File::open(from)?, &mut copy)?;
    copy.sync_all()
}

/// A new file that only its owner may read; one that exists is emptied.
pub(crate) fn create_for_owner(path: &Path) -> io::Result<File> {
    for_owner().create(true).truncate(true).open(path)
}

impl Disk for FileDisk {
    fn list(&self) -> io::Result<Vec<(u32, u32)>> {
        let mut segments = Vec::new();
        for file in std::fs::read_dir(&self.folder)? {
            let file = file?;
            let name = file.file_name();
            let number = name.to_str().and_then(|name| name.strip_suffix(".seg")).and_then(|stem| stem.parse().ok());
            if let Some(number) = number {
                segments.push((number, u32::try_from(file.metadata()?.len()).map_err(io::Error::other)?));
            }
        }
        segments.sort_unstable();
        Ok(segments)
    }

    fn create(&mut self, segment: u32, size: u32) -> io::Result<()> {
        self.create_filled(segment, |file| fill(file, size))
    }

    fn read(&mut self, segment: u32, start: u32, into: &mut [u8]) -> io::Result<()> {
        read_at(self.file(segment)?, start, into)
    }

    fn write(&mut self, segment: u32, start: u32, bytes: &[u8]) -> io::Result<()> {
        write_at(self.file(segment)?, start, bytes)
    }

    fn sync(&mut self, segment: u32) -> io::Result<()> {
        self.file(segment)?.sync_data()
    }

    fn delete(&mut self, segment: u32) -> io::Result<()> {
        self.open.remove(&segment);
        std::fs::remove_file(self.path(segment))?;
        self.sync_folder()
    }

    fn hold_reserve(&mut self, bytes: u32) -> io::Result<()> {
        let path = self.folder.join(RESERVE);
        if path.metadata().is_ok_and(|file| file.len() == u64::from(bytes)) {
            return Ok(());
        }
        let filled = for_owner().create(true).truncate(true).open(&path).and_then(|file| fill(&file, bytes));
        if filled.is_err() {
            std::fs::remove_file(path)?;
        }
        filled
    }

    fn release_reserve(&mut self) -> io::Result<()> {
        match std::fs::remove_file(self.folder.join(RESERVE)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            removed => removed,
        }
    }
}

#[cfg(unix)]
fn read_at(file: &File, start: u32, into: &mut [u8]) -> io::Result<()> {
    std::os::unix::fs::FileExt::read_exact_at(file, into, start.into())
}

#[cfg(unix)]
fn write_at(file: &File, start: u32, bytes: &[u8]) -> io::Result<()> {
    std::os::unix::fs::FileExt::write_all_at(file, bytes, start.into())
}

#[cfg(not(unix))]
fn read_at(mut file: &File, start: u32, into: &mut [u8]) -> io::Result<()> {
    use std::io::{Read as _, Seek as _};
    file.seek(io::SeekFrom::Start(start.into()))?;
    file.read_exact(into)
}

#[cfg(not(unix))]
fn write_at(mut file: &File, start: u32, bytes: &[u8]) -> io::Result<()> {
    use std::io::{Seek as _, Write as _};
    file.seek(io::SeekFrom::Start(start.into()))?;
    file.write_all(bytes)
}

/// Makes a folder that only its owner may enter. One that exists stays as its owner made it.
pub(crate) fn make_folder(folder: &Path) -> io::Result<()> {
    let mut builder = DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.recursive(true).create(folder)
}

/// Options to write a file that only its owner may read if this makes it.
pub(super) fn for_owner() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.write(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

/// Whether what could not be read will not come back by trying again: the file or this part of it is gone, or the
/// medium is bad. Anything else (too many open files, say) passes.
pub(crate) fn is_lost(error: &io::Error) -> bool {
    // EIO on every Unix; on Windows ERROR_CRC and ERROR_SECTOR_NOT_FOUND (winerror.h).
    let bad_medium: &[i32] = if cfg!(windows) { &[23, 27] } else { &[5] };
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::UnexpectedEof)
        || error.raw_os_error().is_some_and(|code| bad_medium.contains(&code))
}

/// Real zeros, not a hole: later writes then change no metadata, which makes their sync cheaper.
fn fill(mut file: &File, size: u32) -> io::Result<()> {
    use std::io::Write as _;
    let zeros = vec![0; 256 * 1024];
    let mut left = size as usize;
    while left > 0 {
        let chunk = left.min(zeros.len());
        file.write_all(&zeros[..chunk])?;
        left -= chunk;
    }
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_segment_that_could_not_be_made_does_not_stay() {
        let folder = tempfile::tempdir().unwrap();
        let mut disk = FileDisk::open(folder.path()).unwrap();
        let full_half_way = |file: &File| fill(file, 512).and(Err(io::ErrorKind::StorageFull.into()));
        assert!(disk.create_filled(1, full_half_way).is_err());
        disk.create(1, 1024).unwrap();
        assert_eq!(disk.list().unwrap(), [(1, 1024)]);
    }
}
