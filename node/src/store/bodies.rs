//! Bodies in segments: appended before their rows commit, overwritten with zeros once their rows are gone.
//!
//! A body never enters SQLite, whose pages and log would keep pieces of it. What no row claims is zeros, always.

use std::collections::{BTreeMap, BTreeSet};
use std::io;

use bytes::Bytes;
use chasqui_wire::Timestamp;
use rusqlite::Connection;

use super::{BodyCopy, Disk, Rescue};
use crate::planted::{PlantedBug, planted};

/// Where a body lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct BodyAt {
    pub(crate) segment: u32,
    pub(crate) start: u32,
    pub(crate) length: u32,
}

/// Every body that a row claims, ascending.
pub(crate) fn claims(db: &Connection) -> rusqlite::Result<Vec<BodyAt>> {
    let mut query = db.prepare("SELECT segment, start, length FROM envelope ORDER BY segment, start")?;
    let claim = |row: &rusqlite::Row<'_>| Ok(BodyAt { segment: row.get(0)?, start: row.get(1)?, length: row.get(2)? });
    query.query_map([], claim)?.collect()
}

/// How much is kept.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Held {
    pub(crate) bodies: u64,
    pub(crate) bytes: u64,
    pub(crate) segments: u64,
}

/// What lives in a segment.
#[derive(Clone, Copy, Debug, Default)]
struct Live {
    bodies: u32,
    bytes: u64,
    /// Of the segment as a whole.
    size: u32,
}

/// All bodies of a node.
pub(crate) struct Bodies {
    disk: Box<dyn Disk>,
    /// Bytes of one segment.
    size: u32,
    /// The segment that is written now, and where its free rest begins.
    current: Option<(u32, u32)>,
    /// Segments that exist, with what lives in each.
    live: BTreeMap<u32, Live>,
    /// Bodies of the running batch, and their bytes that are not written yet: contiguous, at the end of `current`.
    appended: Vec<BodyAt>,
    buffer: Vec<u8>,
    /// Segments written since their last sync, by the running batch and by erasing.
    unsynced: BTreeSet<u32>,
    erased_since: Option<Timestamp>,
    erased: BTreeSet<u32>,
    /// Ranges whose overwriting failed; tried again at the next sync.
    to_erase: Vec<BodyAt>,
    held: Held,
    /// Gets what is erased while a backup is made.
    rescue: Option<Rescue>,
}

impl Bodies {
    /// Milliseconds that an overwritten range may wait for its sync.
    const SYNC_WITHIN: u64 = 1_000;

    /// Opens what is on the disk; `claims` are the bodies that rows name, ascending. All else becomes zeros.
    pub(crate) fn open(mut disk: Box<dyn Disk>, size: u32, claims: &[BodyAt]) -> io::Result<Self> {
        let mut live = BTreeMap::new();
        let mut current = None;
        for (segment, length) in disk.list()? {
            let from = claims.partition_point(|claim| claim.segment < segment);
            let until = claims.partition_point(|claim| claim.segment <= segment);
            let claimed = &claims[from..until];
            if claimed.is_empty() {
                scrub(disk.as_mut(), segment, length, claimed)?;
                disk.delete(segment)?;
                continue;
            }
            scrub(disk.as_mut(), segment, length, claimed)?;
            let end = claimed.iter().map(|claim| claim.start + claim.length).max().unwrap_or(0);
            let bytes = claimed.iter().map(|claim| u64::from(claim.length)).sum();
            live.insert(segment, Live { bodies: claimed.len() as u32, bytes, size: length });
            // A segment of another size than configured is kept and read, but no longer written.
            current = (length == size).then_some((segment, end));
        }
        Ok(Self {
            disk,
            size,
            current,
            live,
            appended: Vec::new(),
            buffer: Vec::new(),
            unsynced: BTreeSet::new(),
            erased_since: None,
            erased: BTreeSet::new(),
            to_erase: Vec::new(),
            rescue: None,
            held: Held {
                bodies: claims.len() as u64,
                bytes: claims.iter().map(|claim| u64::from(claim.length)).sum(),
                segments: 0,
            },
        })
    }

    /// Between two batches: from now on the copy gets each body of this moment before it is erased, and no younger one
    /// comes to lie among them.
    pub(crate) fn begin_copy(&mut self, copy: &BodyCopy, now: Timestamp) -> io::Result<()> {
        let last = self.live.last_key_value().map_or(0, |(last, _)| *last);
        if last > 0 {
            self.disk.create(last + 1, self.size)?;
            self.live.insert(last + 1, Live { size: self.size, ..Live::default() });
            if let Some((sealed, _)) = self.current.replace((last + 1, 0)) {
                // If nothing is in it any more, the next sync deletes it.
                self.erased.insert(sealed);
                self.erased_since.get_or_insert(now);
            }
        }
        self.rescue = Some(copy.rescue(last));
        Ok(())
    }

    /// What waits for somebody.
    pub(crate) fn held(&self) -> Held {
        Held { segments: self.live.len() as u64, ..self.held }
    }

    /// Since when something overwritten waits for its sync.
    pub(crate) fn erasing_since(&self) -> Option<Timestamp> {
        self.erased_since
    }

    /// Whether a copy is under way.
    pub(crate) fn is_copied(&self) -> bool {
        self.rescue.as_ref().is_some_and(Rescue::is_wanted)
    }

    /// Adds a body to the running batch.
    pub(crate) fn append(&mut self, body: &[u8]) -> io::Result<BodyAt> {
        let length = u32::try_from(body.len()).map_err(io::Error::other)?;
        if length > self.size {
            return Err(io::Error::other("a body is larger than a segment"));
        }
        let (segment, start) = match self.current {
            Some((segment, end)) if end <= self.size - length => (segment, end),
            _ => {
                self.flush()?;
                let next = self.live.last_key_value().map_or(1, |(last, _)| last + 1);
                self.disk.create(next, self.size)?;
                self.live.insert(next, Live { size: self.size, ..Live::default() });
                (next, 0)
            }
        };
        self.current = Some((segment, start + length));
        self.buffer.extend_from_slice(body);
        let at = BodyAt { segment, start, length };
        self.appended.push(at);
        Ok(at)
    }

    /// Makes the running batch's bodies durable: called before its rows are committed.
    pub(crate) fn sync_appended(&mut self) -> io::Result<()> {
        self.flush()?;
        if !planted(PlantedBug::BodyUnsynced) {
            for segment in std::mem::take(&mut self.unsynced) {
                self.disk.sync(segment)?;
            }
        }
        Ok(())
    }

    /// The running batch was committed.
    pub(crate) fn keep_appended(&mut self) {
        for at in self.appended.drain(..) {
            let live = self.live.entry(at.segment).or_default();
            live.bodies += 1;
            live.bytes += u64::from(at.length);
            self.held.bodies += 1;
            self.held.bytes += u64::from(at.length);
        }
    }

    /// The running batch was rolled back: nothing of it stays.
    pub(crate) fn drop_appended(&mut self, now: Timestamp) {
        self.buffer.clear();
        let appended = std::mem::take(&mut self.appended);
        let first = appended.first().copied();
        self.overwrite(appended, now);
        if let (Some(first), Some((segment, _))) = (first, self.current)
            && !self.is_pending(segment)
        {
            // Bodies are appended in order, so the segment's free rest begins again where the batch found it.
            self.current = Some((segment, if first.segment == segment { first.start } else { 0 }));
        }
    }

    /// Takes so many bytes of the disk for nothing, to be given up when it is full.
    pub(crate) fn hold_reserve(&mut self, bytes: u32) -> io::Result<()> {
        self.disk.hold_reserve(bytes)
    }

    pub(crate) fn release_reserve(&mut self) -> io::Result<()> {
        self.disk.release_reserve()
    }

    /// The bytes of a committed body.
    pub(crate) fn read(&mut self, at: BodyAt) -> io::Result<Bytes> {
        let mut body = vec![0; at.length as usize];
        self.disk.read(at.segment, at.start, &mut body)?;
        Ok(body.into())
    }

    /// Whether the body is of the running batch, so that it cannot be read yet.
    pub(crate) fn is_appended(&self, at: BodyAt) -> bool {
        self.appended.contains(&at)
    }

    /// Overwrites bodies whose rows are gone: called right after the commit that deleted them.
    pub(crate) fn erase(&mut self, bodies: Vec<BodyAt>, now: Timestamp) {
        for at in &bodies {
            self.held.bodies = self.held.bodies.saturating_sub(1);
            self.held.bytes = self.held.bytes.saturating_sub(at.length.into());
            if let Some(live) = self.live.get_mut(&at.segment) {
                live.bodies = live.bodies.saturating_sub(1);
                live.bytes = live.bytes.saturating_sub(at.length.into());
            }
            // Overwriting does not look at what is empty; the segment may be all dead nevertheless.
            if at.length == 0 {
                self.erased_since.get_or_insert(now);
                self.erased.insert(at.segment);
            }
        }
        if planted(PlantedBug::KeepBody) {
            return;
        }
        self.rescue.take_if(|rescue| !rescue.is_wanted());
        if let Some(rescue) = &self.rescue {
            for &at in &bodies {
                rescue.save(self.disk.as_mut(), at);
            }
        }
        self.overwrite(bodies, now);
        if let Some((segment, _)) = self.current
            && self.is_dead(segment)
            && !self.is_pending(segment)
        {
            self.current = Some((segment, 0));
        }
    }

    /// When [`Self::sync_erased`] is due.
    pub(crate) fn wake_at(&self) -> Option<Timestamp> {
        self.erased_since.map(|since| since.plus_millis(Self::SYNC_WITHIN))
    }

    /// Makes overwritten ranges durable, and deletes segments in which nothing is left.
    pub(crate) fn sync_erased(&mut self, now: Timestamp) -> io::Result<()> {
        let again = std::mem::take(&mut self.to_erase);
        self.overwrite(again, now);
        let mut result = Ok(());
        for segment in std::mem::take(&mut self.erased) {
            if let Err(error) = self.sync_or_delete(segment) {
                self.erased.insert(segment);
                result = Err(error);
            }
        }
        self.erased.extend(self.to_erase.iter().map(|at| at.segment));
        self.erased_since = (!self.erased.is_empty()).then_some(now);
        result
    }

    fn sync_or_delete(&mut self, segment: u32) -> io::Result<()> {
        match self.disk.sync(segment) {
            // Somebody removed the file: nothing is left that could be erased.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                self.to_erase.retain(|at| at.segment != segment);
                self.current.take_if(|(current, _)| *current == segment);
                self.live.remove(&segment);
                return Ok(());
            }
            synced => synced?,
        }
        let is_current = self.current.is_some_and(|(current, _)| current == segment);
        if !is_current && !self.is_pending(segment) && self.is_dead(segment) {
            self.disk.delete(segment)?;
            self.live.remove(&segment);
        }
        Ok(())
    }

    fn is_dead(&self, segment: u32) -> bool {
        self.live.get(&segment).is_some_and(|live| live.bodies == 0)
    }

    /// How many there are.
    pub(crate) fn segments(&self) -> u32 {
        self.live.len() as u32
    }

    /// Segments of which so little lives that moving it is cheaper than keeping them: a quarter at most, and only where
    /// there are more than `most` segments in all.
    pub(crate) fn sparse(&self, most: u32) -> BTreeSet<u32> {
        // A backup copies segment by segment: nothing moves meanwhile.
        if self.rescue.is_some() || self.live.len() <= most as usize {
            return BTreeSet::new();
        }
        let current = self.current.map(|(segment, _)| segment);
        let is_sparse = |live: &Live| live.bodies > 0 && live.bytes * 4 <= u64::from(live.size);
        let segments = self.live.iter().filter(|(segment, live)| Some(**segment) != current && is_sparse(live));
        segments.map(|(&segment, _)| segment).collect()
    }

    /// Whether a range of the segment will still be overwritten: no body may come to lie there before.
    fn is_pending(&self, segment: u32) -> bool {
        self.to_erase.iter().any(|at| at.segment == segment)
    }

    fn flush(&mut self) -> io::Result<()> {
        if let (Some((segment, end)), false) = (self.current, self.buffer.is_empty()) {
            let start = end - self.buffer.len() as u32;
            self.unsynced.insert(segment);
            self.disk.write(segment, start, &self.buffer)?;
            self.buffer.clear();
        }
        Ok(())
    }

    /// Zeros in place, neighbours in one write. A range that cannot be written now is tried again.
    fn overwrite(&mut self, mut ranges: Vec<BodyAt>, now: Timestamp) {
        ranges.retain(|at| at.length > 0);
        ranges.sort_unstable();
        let mut runs: Vec<BodyAt> = Vec::with_capacity(ranges.len());
        for at in ranges {
            match runs.last_mut() {
                Some(run) if run.segment == at.segment && run.start + run.length == at.start => run.length += at.length,
                _ => runs.push(at),
            }
        }
        for run in runs {
            self.erased_since.get_or_insert(now);
            self.erased.insert(run.segment);
            if self.disk.write(run.segment, run.start, &vec![0; run.length as usize]).is_err() {
                self.to_erase.push(run);
            }
        }
    }
}

/// Turns what no row claims into zeros, durably.
fn scrub(disk: &mut dyn Disk, segment: u32, length: u32, claimed: &[BodyAt]) -> io::Result<()> {
    let mut bytes = vec![0; length as usize];
    disk.read(segment, 0, &mut bytes)?;
    let mut free = 0;
    let mut dirty = false;
    let end = BodyAt { segment, start: length, length: 0 };
    for claim in claimed.iter().chain([&end]) {
        let range = free as usize..(claim.start.max(free)) as usize;
        if bytes[range.clone()].iter().any(|&byte| byte != 0) {
            disk.write(segment, free, &vec![0; range.len()])?;
            dirty = true;
        }
        free = free.max(claim.start + claim.length);
    }
    if dirty { disk.sync(segment) } else { Ok(()) }
}
