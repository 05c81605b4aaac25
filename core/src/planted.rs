//! Bugs that can be planted on purpose, to prove that the simulation would catch them.
//!
//! Without the feature `planted-bugs` every question here is a constant `false` and nothing can be planted.

/// A deliberate mistake.
#[cfg_attr(not(feature = "planted-bugs"), expect(unreachable_pub, reason = "exported for the simulation only"))]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PlantedBug {
    /// What a step wants to say leaves the device although its transaction did not commit.
    AckBeforeCommit,
    /// Gap markers are acknowledged, not noted.
    GapIgnored,
    /// A lower state overwrites a higher one.
    StatesGoBack,
    /// Only later eras than the last known count as news of the node's past.
    OnePastOnly,
    /// After the node was restored nothing is sent again.
    NoReconciliation,
    /// A new socket does not send again what was unanswered on the old one.
    ForgetInFlight,
    /// Read marks of the own other devices are ignored.
    SiblingReadIgnored,
    /// Holes are acknowledged, not noted.
    HoleIgnored,
    /// A failed entry is acknowledged like its neighbours.
    AckFailedEntry,
    /// What another device said to a message request is ignored.
    AdmissionIgnored,
    /// A full disk is taken for the failure of one entry, which is counted and given up.
    FullDiskIsPoison,
    /// What could not be read is never asked for again.
    UnreadableForGood,
    /// What could not be read is acknowledged, and not noted.
    UnreadableUnnoted,
    /// A linked device does not ask for the rest of the history.
    HistoryCutShort,
    /// What became of a message is forgotten when the message has yet to come.
    EarlyNewsForgotten,
    /// Messages are encrypted for a group that a commit in the mailbox has changed.
    CommitsOvertaken,
    /// Devices that were shut out stay in their groups.
    RevokedStay,
    /// Nobody gives a group new keys.
    KeysForever,
    /// New keys are made, and the node is not told.
    KeysUntold,
    /// What devices of a user said to each other and one missed is never asked for.
    NeverCaughtUp,
    /// Typing does not end by itself.
    TypingForever,
    /// A signal takes a key of the message ratchet.
    TypingByRatchet,
    /// Signals of another time count.
    SignalsOfAnyTime,
    /// A message names one that failed.
    UnsentStaysNamed,
    /// What was said in a group before this device was in it is missed.
    MissesWhatWasBefore,
    /// Secrets of key packages are forgotten when the node is offered others.
    SecretsTooSoon,
}

#[cfg(feature = "planted-bugs")]
thread_local! {
    static PLANTED: std::cell::Cell<Option<PlantedBug>> = const { std::cell::Cell::new(None) };
}

/// Plants a bug in everything that this thread runs from here on.
#[cfg(feature = "planted-bugs")]
pub fn plant(bug: Option<PlantedBug>) {
    PLANTED.set(bug);
}

#[cfg(feature = "planted-bugs")]
pub(crate) fn planted(bug: PlantedBug) -> bool {
    PLANTED.get() == Some(bug)
}

#[cfg(not(feature = "planted-bugs"))]
pub(crate) const fn planted(_: PlantedBug) -> bool {
    false
}
