//! Known bugs on purpose: the simulation plants one at a time and must find it.
//!
//! Compiled only under the feature `planted-bugs`; without it [`planted`] is `false` at compile time.

/// A bug that the simulation must be able to find.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[cfg_attr(not(feature = "planted-bugs"), expect(unreachable_pub, reason = "public under the feature"))]
pub enum PlantedBug {
    /// A repeated message id is accepted anew.
    NoIdempotency,
    /// Answers leave although the commit failed.
    EmitBeforeCommit,
    /// A mailbox entry is deleted when it is delivered.
    DeleteBeforeAck,
    /// An acknowledgement that frees the window does not fetch the backlog.
    LostWakeUp,
    /// An acknowledgement deletes every entry up to the one it names.
    CumulativeAck,
    /// RECEIVED is made when the message is accepted.
    ReceiptBeforeStore,
    /// A confirmed body is not erased.
    KeepBody,
    /// Sends overtake a rejected one.
    NoStall,
    /// A body is not on disk when its row is.
    BodyUnsynced,
    /// A restored node gives positions a second time.
    ReuseSeq,
    /// A message that comes again stays where the node remembers it, though lost pasts had moved it or what was before it.
    StaysBehind,
    /// What a device missed is forgotten without telling it.
    MissedUntold,
    /// The only device of a user loses its mail for being away, as others do.
    SoleDeviceEmptied,
    /// The bodies of mail that leaves an absent device's mailbox stay.
    EmptiedUnerased,
    /// A body that was moved is still claimed where it lay.
    MovedUnclaimed,
    /// One sender may fill a whole mailbox.
    ShareIgnored,
    /// A copy that is restored again begins the same era again.
    EraTwice,
    /// An older copy of a device's data is taken for the device.
    CopiesWelcome,
    /// A stranger is told RECEIVED before the recipient accepted.
    RequestReceipted,
    /// A stranger may write any number of messages before the recipient accepted.
    RequestsUncounted,
    /// The user's other devices are not told that one accepted.
    AdmissionUntold,
    /// A commit is taken whatever the epoch is by now.
    EpochUnchecked,
    /// A message is taken that was sealed for an epoch that is over.
    PastMessages,
    /// Some messages are not given to one of the devices that they are for.
    KeptBack,
    /// Messages are taken although devices of members came or went.
    RosterUnchecked,
    /// A key package that is to be given once stays, and is given again.
    PackageGivenTwice,
    /// Who has yet to be accepted hears who is typing, and is seen typing.
    StrangersSeeTyping,
}

#[cfg(feature = "planted-bugs")]
mod switch {
    use super::PlantedBug;
    use std::cell::Cell;

    thread_local! {
        static PLANTED: Cell<Option<PlantedBug>> = const { Cell::new(None) };
    }

    /// Plants this bug, and no other, in every relay of this thread.
    pub fn plant(bug: Option<PlantedBug>) {
        PLANTED.set(bug);
    }

    pub(crate) fn planted(bug: PlantedBug) -> bool {
        PLANTED.get() == Some(bug)
    }
}
#[cfg(feature = "planted-bugs")]
pub use switch::plant;
#[cfg(feature = "planted-bugs")]
pub(crate) use switch::planted;

#[cfg(not(feature = "planted-bugs"))]
pub(crate) const fn planted(_: PlantedBug) -> bool {
    false
}
