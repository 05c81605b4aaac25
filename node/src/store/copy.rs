//! Copying bodies to another folder while the relay goes on erasing.
//!
//! What the rows of one moment claim is copied in order. A body that is to be erased before its turn is copied first,
//! by whoever erases it: so no body has to stay longer than promised, and none is missing from the copy.

use std::collections::BTreeSet;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use super::disk::FileDisk;
use super::{BodyAt, Disk, is_lost};

/// The copying side. Dropping it ends the rescue.
pub(crate) struct BodyCopy {
    shared: Arc<Mutex<Shared>>,
    from: FileDisk,
}

/// The erasing side.
pub(crate) struct Rescue {
    shared: Weak<Mutex<Shared>>,
    /// Bodies in later segments are younger than the copy.
    last_segment: u32,
}

struct Shared {
    to: FileDisk,
    /// Everything up to here was copied.
    copied_until: Option<BodyAt>,
    /// Copied before their turn.
    rescued: BTreeSet<BodyAt>,
    /// Why the copy cannot be whole.
    failed: Option<io::Error>,
}

impl BodyCopy {
    /// From the segments in one folder to another, which is made.
    pub(crate) fn new(from: &Path, to: &Path) -> io::Result<Self> {
        let shared = Shared { to: FileDisk::open(to)?, copied_until: None, rescued: BTreeSet::new(), failed: None };
        Ok(Self { shared: Arc::new(Mutex::new(shared)), from: FileDisk::beside(from) })
    }

    /// For the bodies that lie in segments up to this one.
    pub(crate) fn rescue(&self, last_segment: u32) -> Rescue {
        Rescue { shared: Arc::downgrade(&self.shared), last_segment }
    }

    /// Copies what is claimed, ascending. Whether it was there.
    pub(crate) fn copy(&mut self, at: BodyAt) -> io::Result<bool> {
        let mut shared = lock(&self.shared);
        if let Some(error) = shared.failed.take() {
            return Err(error);
        }
        let is_there = if shared.rescued.remove(&at) {
            true
        } else {
            let mut body = vec![0; at.length as usize];
            match self.from.read(at.segment, at.start, &mut body) {
                Ok(()) => {
                    shared.write(&mut self.from, at, &body)?;
                    true
                }
                Err(error) if is_lost(&error) => false,
                Err(error) => return Err(error),
            }
        };
        shared.copied_until = Some(at);
        Ok(is_there)
    }

    /// Everything was copied: makes it durable.
    pub(crate) fn finish(self) -> io::Result<()> {
        let mut shared = lock(&self.shared);
        if let Some(error) = shared.failed.take() {
            return Err(error);
        }
        for (segment, _) in shared.to.list()? {
            shared.to.sync(segment)?;
        }
        Ok(())
    }
}

impl Rescue {
    /// Whether the copy is still under way.
    pub(crate) fn is_wanted(&self) -> bool {
        self.shared.strong_count() > 0
    }

    /// Copies a body that is about to be erased from `disk`, if the copy has not come to it yet.
    pub(crate) fn save(&self, disk: &mut dyn Disk, at: BodyAt) {
        let Some(shared) = self.shared.upgrade() else { return };
        let mut shared = lock(&shared);
        let is_copied = shared.copied_until.is_some_and(|until| at <= until);
        if at.segment > self.last_segment || at.length == 0 || is_copied || shared.failed.is_some() {
            return;
        }
        let mut body = vec![0; at.length as usize];
        let saved = match disk.read(at.segment, at.start, &mut body) {
            Ok(()) => shared.write(disk, at, &body),
            // It is missing here as well: the copy will say so.
            Err(error) if is_lost(&error) => return,
            Err(error) => Err(error),
        };
        match saved {
            Ok(()) => drop(shared.rescued.insert(at)),
            Err(error) => shared.failed = Some(error),
        }
    }
}

impl Shared {
    /// Into the segment of the same number, made as large as the original.
    fn write(&mut self, from: &mut dyn Disk, at: BodyAt, body: &[u8]) -> io::Result<()> {
        if !self.to.has(at.segment) {
            let sizes = from.list()?;
            let size = sizes.iter().find(|(segment, _)| *segment == at.segment).map_or(at.start + at.length, |s| s.1);
            self.to.create(at.segment, size)?;
        }
        self.to.write(at.segment, at.start, body)
    }
}

fn lock(shared: &Mutex<Shared>) -> MutexGuard<'_, Shared> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}
