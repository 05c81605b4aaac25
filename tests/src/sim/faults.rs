//! Which faults a seed suffers, how often, and what was really injected.
//!
//! Each seed has a climate of its own: most faults are off in most seeds, so that those which are on meet each other in
//! all combinations (swarm testing, Groce et al. 2012).

use std::collections::BTreeMap;

use super::rng::Rng;

/// How often each fault struck.
pub type Injected = BTreeMap<Fault, u32>;

/// What can go wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    SocketDropped,
    SocketHalfOpen,
    SocketRefused,
    FrameDuplicated,
    FrameDelayed,
    DeviceOffline,
    DeviceCrashBeforeCommit,
    DeviceCrashAfterCommit,
    DeviceSuspended,
    DeviceDiskFull,
    DeviceCloned,
    DeviceRevoked,
    RevocationForgotten,
    DevicesSlept,
    EntryFailed,
    NodeCrashBeforeCommit,
    NodeCrashAfterCommit,
    NodeCommitFailed,
    NodeDiskSlow,
    NodeRestoredFromCopy,
    ClockSkewed,
    ClockSet,
    TimeToLiveShort,
    MailboxesSmall,
    DevicesSoonAbsent,
    NodeDiskFull,
    SegmentsSmall,
    StrangersAsk,
    SignalRepeated,
}

/// Which worlds are played. Few drawn ones show what a planted bug breaks, and a bug must not be found by luck.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Weather {
    /// As the seed draws it.
    Any,
    /// As the seed draws it, and nobody types or compares who they are: for seeds that were found before people did.
    Silent,
    /// The operator restores copies, one after the other.
    Restores,
    /// Restores, while most answers are lost.
    Storm,
    /// Devices are away for long.
    Absences,
    /// Mailboxes overflow.
    SmallMailboxes,
    /// Strangers have to ask.
    Strangers,
    /// Data folders are copied, and both are used.
    Copies,
}

/// What sort of conversations people have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Profile {
    /// The node could read them.
    #[default]
    Readable,
    /// End-to-end encrypted.
    Encrypted,
}

impl Weather {
    /// All of them, under their names.
    pub const ALL: [(&str, Self); 8] = [
        ("any", Self::Any),
        ("silent", Self::Silent),
        ("restores", Self::Restores),
        ("storm", Self::Storm),
        ("absences", Self::Absences),
        ("small-mailboxes", Self::SmallMailboxes),
        ("strangers", Self::Strangers),
        ("copies", Self::Copies),
    ];
}

/// Per mille of the occasions on which a fault may strike.
#[derive(Clone, Debug)]
pub(super) struct Climate {
    pub(super) drop_socket: u64,
    pub(super) half_open: u64,
    pub(super) duplicate: u64,
    pub(super) delay: u64,
    pub(super) device_crash: u64,
    pub(super) entry_fails: u64,
    pub(super) node_crash: u64,
    pub(super) commit_fails: u64,
    pub(super) slow_disk: u64,
    /// Devices that go offline for long, of all.
    pub(super) offline: u64,
    pub(super) suspend: u64,
    /// Devices whose disk is full for a while, of all.
    pub(super) full_disk: u64,
    pub(super) skewed: bool,
    /// Devices whose clock is set while they run, of all.
    pub(super) clock_set: u64,
    pub(super) restores: u64,
    /// Devices whose folder is copied and used on both sides.
    pub(super) clones: u64,
    /// Seconds; `None` = the default of 30 days.
    pub(super) ttl: Option<u32>,
    pub(super) small_windows: bool,
    /// Entries of a mailbox; `None` = the default of 100,000.
    pub(super) mailbox: Option<u32>,
    /// Seconds after which a device is absent; `None` = the default of 30 days.
    pub(super) absent: Option<u32>,
    /// How often the node's disk is full for a while.
    pub(super) node_full: u64,
    /// So that they are often nearly dead, and compacted.
    pub(super) small_segments: bool,
    /// Messages that a stranger may write before the recipient accepts; `None` = any number.
    pub(super) requests: Option<u32>,
    /// Conversations are end-to-end encrypted.
    pub(super) encrypted: bool,
    /// Devices that are shut out, of those that may be.
    pub(super) revoked: u64,
    /// Nobody is seen typing, or compares.
    pub(super) silent: bool,
}

impl Climate {
    pub(super) fn draw(rng: &mut Rng) -> Self {
        let sometimes = |rng: &mut Rng, low, high| if rng.chance(450) { rng.between(low, high) } else { 0 };
        let mut climate = Self {
            drop_socket: sometimes(rng, 2, 40),
            half_open: sometimes(rng, 1, 15),
            duplicate: sometimes(rng, 5, 100),
            delay: sometimes(rng, 10, 200),
            device_crash: sometimes(rng, 2, 40),
            entry_fails: sometimes(rng, 20, 250),
            node_crash: sometimes(rng, 2, 30),
            commit_fails: sometimes(rng, 5, 80),
            slow_disk: sometimes(rng, 10, 200),
            offline: sometimes(rng, 100, 600),
            suspend: sometimes(rng, 20, 200),
            skewed: rng.chance(500),
            restores: if rng.chance(300) { rng.between(1, 3) } else { 0 },
            ttl: rng.chance(200).then(|| rng.between(60, 240) as u32),
            small_windows: rng.chance(500),
            full_disk: sometimes(rng, 100, 600),
            mailbox: rng.chance(300).then(|| rng.between(3, 40) as u32),
            absent: rng.chance(250).then(|| rng.between(20, 200) as u32),
            node_full: if rng.chance(250) { rng.between(1, 3) } else { 0 },
            small_segments: rng.chance(300),
            clock_set: sometimes(rng, 100, 600),
            clones: if rng.chance(200) { rng.between(1, 2) } else { 0 },
            requests: None,
            encrypted: false,
            revoked: 0,
            silent: false,
        };
        if climate.drop_socket + climate.device_crash + climate.node_crash == 0 {
            climate.drop_socket = 20;
        }
        if climate.ttl.is_some() {
            climate.offline = climate.offline.max(500);
            // What a restored node resurrects may expire the second time: both would be right, so not both at once.
            climate.restores = 0;
        }
        if climate.clones > 0 {
            // A node that crashed or was restored has forgotten what would show a copy; and what a copy did not get
            // expires, or is not kept, in a mailbox that nobody takes from.
            (climate.restores, climate.node_crash, climate.ttl) = (0, 0, None);
            (climate.mailbox, climate.absent) = (None, None);
        }
        if climate.mailbox.is_some() || climate.absent.is_some() {
            climate.offline = climate.offline.max(500);
        }
        climate
    }

    /// As drawn, but for what this weather needs.
    pub(super) fn in_weather(mut self, weather: Weather) -> Self {
        match weather {
            Weather::Any => return self,
            Weather::Silent => {
                self.silent = true;
                return self;
            }
            Weather::Restores => (self.restores, self.ttl, self.requests) = (3, None, None),
            Weather::Storm => {
                (self.drop_socket, self.half_open, self.delay) = (40, 15, 200);
                (self.restores, self.ttl, self.requests) = (3, None, None);
            }
            Weather::Absences => (self.absent, self.offline) = (Some(30), self.offline.max(500)),
            Weather::SmallMailboxes => (self.mailbox, self.offline) = (Some(8), self.offline.max(500)),
            Weather::Strangers => (self.requests, self.restores) = (Some(1), 0),
            Weather::Copies => {
                (self.clones, self.restores, self.node_crash) = (2, 0, 0);
                (self.ttl, self.mailbox, self.absent) = (None, None, None);
            }
        }
        if weather != Weather::Copies {
            self.clones = 0;
        }
        self
    }

    /// Groups are kept in step whatever the weather.
    pub(super) fn with_profile(mut self, profile: Profile) -> Self {
        self.encrypted = profile == Profile::Encrypted;
        self.revoked = if self.encrypted { 150 } else { 0 };
        self
    }

    /// Strangers ask before they write, in some worlds. Drawn apart, so that all others stay as they were.
    pub(super) fn with_requests(mut self, aside: &mut Rng) -> Self {
        self.requests = aside.chance(200).then(|| aside.between(1, 2) as u32);
        if self.requests.is_some() {
            // What a restored node is given back may have to wait for somebody who never accepts.
            self.restores = 0;
        }
        self
    }
}
