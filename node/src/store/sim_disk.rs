//! Segments in memory that a crash can hurt: what was not synced may or may not survive it.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::Disk;

/// A disk for the simulation. Clones are handles to the same disk, so one outlives a crashed relay.
#[derive(Clone, Debug, Default)]
pub struct SimDisk(Arc<Mutex<Platter>>);

#[derive(Debug, Default)]
struct Platter {
    /// What survives any crash.
    durable: BTreeMap<u32, Vec<u8>>,
    /// What a reader sees now.
    current: BTreeMap<u32, Vec<u8>>,
    /// Writes since the last sync of their segment, in order.
    unsynced: Vec<(u32, usize, Vec<u8>)>,
    /// Nothing new can be made.
    is_full: bool,
}

/// All segments of a [`SimDisk`] at one time: an operator's copy.
#[derive(Clone, Debug)]
pub struct DiskImage(BTreeMap<u32, Vec<u8>>);

impl SimDisk {
    /// An empty disk.
    pub fn new() -> Self {
        Self::default()
    }

    /// Loses power: `survives` says of each write that was not synced whether it reached the disk.
    pub fn crash(&self, mut survives: impl FnMut() -> bool) {
        let mut platter = self.lock();
        for (segment, start, bytes) in std::mem::take(&mut platter.unsynced) {
            if survives()
                && let Some(data) = platter.durable.get_mut(&segment)
            {
                data[start..start + bytes.len()].copy_from_slice(&bytes);
            }
        }
        platter.current = platter.durable.clone();
    }

    /// Every segment's bytes as a reader of the files sees them now.
    pub fn contents(&self) -> Vec<(u32, Vec<u8>)> {
        self.lock().current.iter().map(|(&segment, bytes)| (segment, bytes.clone())).collect()
    }

    /// Whether `needle` is in any segment now.
    pub fn contains(&self, needle: &[u8]) -> bool {
        self.lock().current.values().any(|bytes| bytes.windows(needle.len()).any(|window| window == needle))
    }

    /// From now on nothing new can be made, or it can again.
    pub fn set_full(&self, is_full: bool) {
        self.lock().is_full = is_full;
    }

    /// Copies all segments.
    pub fn snapshot(&self) -> DiskImage {
        DiskImage(self.lock().current.clone())
    }

    /// Puts a copy back.
    pub fn restore(&self, image: &DiskImage) {
        let mut platter = self.lock();
        platter.durable = image.0.clone();
        platter.current = image.0.clone();
        platter.unsynced.clear();
    }

    fn lock(&self) -> MutexGuard<'_, Platter> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn missing() -> io::Error {
    io::ErrorKind::NotFound.into()
}

impl Disk for SimDisk {
    fn list(&self) -> io::Result<Vec<(u32, u32)>> {
        Ok(self.lock().current.iter().map(|(&segment, bytes)| (segment, bytes.len() as u32)).collect())
    }

    fn create(&mut self, segment: u32, size: u32) -> io::Result<()> {
        let mut platter = self.lock();
        if platter.is_full {
            return Err(io::ErrorKind::StorageFull.into());
        }
        platter.durable.insert(segment, vec![0; size as usize]);
        platter.current.insert(segment, vec![0; size as usize]);
        Ok(())
    }

    fn read(&mut self, segment: u32, start: u32, into: &mut [u8]) -> io::Result<()> {
        let platter = self.lock();
        let start = start as usize;
        let bytes = platter.current.get(&segment).and_then(|bytes| bytes.get(start..start + into.len()));
        into.copy_from_slice(bytes.ok_or_else(missing)?);
        Ok(())
    }

    fn write(&mut self, segment: u32, start: u32, bytes: &[u8]) -> io::Result<()> {
        let mut platter = self.lock();
        let start = start as usize;
        let room = platter.current.get_mut(&segment).and_then(|data| data.get_mut(start..start + bytes.len()));
        room.ok_or_else(missing)?.copy_from_slice(bytes);
        platter.unsynced.push((segment, start, bytes.to_vec()));
        Ok(())
    }

    fn sync(&mut self, segment: u32) -> io::Result<()> {
        let mut platter = self.lock();
        let current = platter.current.get(&segment).cloned().ok_or_else(missing)?;
        platter.durable.insert(segment, current);
        platter.unsynced.retain(|(other, ..)| *other != segment);
        Ok(())
    }

    fn delete(&mut self, segment: u32) -> io::Result<()> {
        let mut platter = self.lock();
        platter.durable.remove(&segment);
        platter.current.remove(&segment).ok_or_else(missing)?;
        platter.unsynced.retain(|(other, ..)| *other != segment);
        Ok(())
    }

    fn hold_reserve(&mut self, _: u32) -> io::Result<()> {
        if self.lock().is_full { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
    }

    fn release_reserve(&mut self) -> io::Result<()> {
        Ok(())
    }
}
