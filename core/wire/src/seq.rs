//! Positions and times.

use serde::{Deserialize, Serialize};

use crate::{FrameError, proto::v1};

/// Milliseconds since the Unix epoch. For display and for timers; never for order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timestamp(pub i64);

impl Timestamp {
    /// This time and `millis` more.
    #[must_use]
    pub const fn plus_millis(self, millis: u64) -> Self {
        Self(self.0.saturating_add_unsigned(millis))
    }

    /// The milliseconds from `earlier` to here; 0 if that lies ahead.
    pub const fn millis_since(self, earlier: Self) -> u64 {
        let millis = self.0.saturating_sub(earlier.0);
        if millis < 0 { 0 } else { millis.unsigned_abs() }
    }
}

/// A message's position in its conversation: the order of the history on every device.
///
/// The upper 23 bits name the era (the node's incarnation) in which it was given, the lower 30 the number within it,
/// which starts at 1 and has no gaps. A node that came back from an older copy begins a new era, so it can never give
/// a position a second time. The value stays below 2^53, exact in a JavaScript number.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Seq(u64);

impl Seq {
    const NUMBER_BITS: u32 = 30;
    const MAX: u64 = (1 << 53) - 1;

    /// The greatest era that a position can name.
    pub const ERA_MAX: u32 = (1 << (53 - Self::NUMBER_BITS)) - 1;
    /// The greatest number within an era.
    pub const NUMBER_MAX: u64 = (1 << Self::NUMBER_BITS) - 1;

    /// The position `number` of `era`; `None` outside the bounds above.
    pub fn new(era: u32, number: u64) -> Option<Self> {
        let fits = number > 0 && number < 1 << Self::NUMBER_BITS;
        if fits { Self::from_raw(u64::from(era) << Self::NUMBER_BITS | number) } else { None }
    }

    /// Reads back [`Self::raw`].
    pub const fn from_raw(raw: u64) -> Option<Self> {
        if raw <= Self::MAX && raw & ((1 << Self::NUMBER_BITS) - 1) != 0 { Some(Self(raw)) } else { None }
    }

    /// The number that travels and is stored.
    pub const fn raw(self) -> u64 {
        self.0
    }

    /// The node's incarnation that gave it.
    pub const fn era(self) -> u32 {
        (self.0 >> Self::NUMBER_BITS) as u32
    }

    /// Counts from 1 within the era.
    pub const fn number(self) -> u64 {
        self.0 & ((1 << Self::NUMBER_BITS) - 1)
    }

    /// What the node gives next after `head` in `era`, which is never older than the head's.
    pub fn after(head: Option<Self>, era: u32) -> Self {
        match head {
            Some(head) if head.era() >= era => Self(head.0 + 1),
            _ => Self(u64::from(era) << Self::NUMBER_BITS | 1),
        }
    }

    /// The position before this one in its era, if there is one.
    pub const fn before(self) -> Option<Self> {
        Self::from_raw(self.0 - 1)
    }

    /// The position after this one in its era, if there is one.
    pub const fn next(self) -> Option<Self> {
        Self::from_raw(self.0 + 1)
    }

    /// Whether nothing can be missing between `self` and the later `next`.
    pub fn is_followed_by(self, next: Self) -> bool {
        next.0 == self.0 + 1 || (next.era() > self.era() && next.number() == 1)
    }

    pub(crate) fn parse(raw: u64) -> Result<Self, FrameError> {
        Self::from_raw(raw).ok_or(FrameError::Malformed("seq out of bounds"))
    }
}

impl std::fmt::Display for Seq {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.era() {
            0 => write!(f, "{}", self.number()),
            era => write!(f, "{era}:{}", self.number()),
        }
    }
}

impl std::fmt::Debug for Seq {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Seq({self})")
    }
}

/// The positions from `first` to `last`, both included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SeqRange {
    first: Seq,
    last: Seq,
}

impl SeqRange {
    /// `None` unless `first` to `last` is an upward run within one era.
    pub fn new(first: Seq, last: Seq) -> Option<Self> {
        (first <= last && first.era() == last.era()).then_some(Self { first, last })
    }

    /// A run of one.
    pub const fn one(seq: Seq) -> Self {
        Self { first: seq, last: seq }
    }

    /// The lowest position.
    pub const fn first(self) -> Seq {
        self.first
    }

    /// The highest position.
    pub const fn last(self) -> Seq {
        self.last
    }

    /// What lies in both.
    pub fn within(self, other: Self) -> Option<Self> {
        Self::new(self.first.max(other.first), self.last.min(other.last))
    }

    /// Its positions, lowest first.
    pub fn seqs(self) -> impl Iterator<Item = Seq> {
        (self.first.0..=self.last.0).filter_map(Seq::from_raw)
    }

    /// Whether `seq` lies in it.
    pub fn contains(self, seq: Seq) -> bool {
        self.first <= seq && seq <= self.last
    }
}

/// Positions as the fewest runs, in order: how receipts are coalesced.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SeqRanges(Vec<SeqRange>);

impl SeqRanges {
    /// The most runs that one frame may carry.
    pub const MAX: usize = 1024;

    /// The fewest runs that hold exactly these positions.
    pub fn of(seqs: impl IntoIterator<Item = Seq>) -> Self {
        Self::joined(seqs.into_iter().map(SeqRange::one).collect())
    }

    /// The fewest runs that hold exactly the positions of both.
    #[must_use]
    pub fn union(&self, other: &Self) -> Self {
        Self::joined(self.iter().chain(other.iter()).collect())
    }

    fn joined(mut all: Vec<SeqRange>) -> Self {
        all.sort_unstable();
        let mut runs: Vec<SeqRange> = Vec::with_capacity(all.len());
        for run in all {
            match runs.last_mut() {
                Some(last) if run.first.0 <= last.last.0 + 1 => last.last = last.last.max(run.last),
                _ => runs.push(run),
            }
        }
        Self(runs)
    }

    /// One run.
    pub fn of_range(range: SeqRange) -> Self {
        Self(vec![range])
    }

    /// The `count` lowest runs of these.
    #[must_use]
    pub fn oldest(mut self, count: usize) -> Self {
        self.0.truncate(count);
        self
    }

    /// The runs.
    pub fn iter(&self) -> impl Iterator<Item = SeqRange> + '_ {
        self.0.iter().copied()
    }

    /// Whether `seq` lies in one of the runs.
    pub fn contains(&self, seq: Seq) -> bool {
        let after = self.0.partition_point(|run| run.first <= seq);
        after > 0 && self.0[after - 1].contains(seq)
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn parse(ranges: Vec<v1::SeqRange>) -> Result<Self, FrameError> {
        if ranges.len() > Self::MAX {
            return Err(FrameError::Malformed("too many ranges"));
        }
        let parse = |range: v1::SeqRange| {
            let range = SeqRange::new(Seq::parse(range.first)?, Seq::parse(range.last)?);
            range.ok_or(FrameError::Malformed("a range does not run upwards within one era"))
        };
        let runs = ranges.into_iter().map(parse).collect::<Result<Vec<_>, _>>()?;
        let apart = |pair: &[SeqRange]| pair[0].last.0 + 1 < pair[1].first.0;
        if !runs.windows(2).all(apart) {
            return Err(FrameError::Malformed("ranges are not the fewest runs, in order"));
        }
        Ok(Self(runs))
    }

    pub(crate) fn wire(&self) -> Vec<v1::SeqRange> {
        self.iter().map(|range| v1::SeqRange { first: range.first.raw(), last: range.last.raw() }).collect()
    }
}
