//! The planted bugs, of both sides, under the names that `--mutant` takes.

use chasqui::PlantedBug as Core;
use chasqui_node::PlantedBug as Node;

use super::faults::{Profile, Weather};

/// A bug that the simulation must catch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mutant {
    /// For the command line.
    pub name: &'static str,
    /// What it breaks.
    pub about: &'static str,
    place: Place,
    weather: Weather,
    profile: Profile,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Core(Core),
    Node(Node),
}

impl Mutant {
    /// All of them.
    pub const ALL: &[Self] = &[
        core("ack-before-commit", "the device acknowledges what its transaction did not store", Core::AckBeforeCommit),
        core("ack-failed-entry", "the device acknowledges an entry that it could not process", Core::AckFailedEntry),
        core("gap-ignored", "the device acknowledges gaps without noting them", Core::GapIgnored),
        core("states-go-back", "a lower state overwrites a higher one", Core::StatesGoBack),
        core("one-past-only", "a device takes the node's past for its own", Core::OnePastOnly)
            .within(Weather::Restores),
        core("no-reconciliation", "nothing is given back to a restored node", Core::NoReconciliation)
            .within(Weather::Restores),
        core("forget-in-flight", "what was unanswered is not sent again on a new socket", Core::ForgetInFlight),
        core("sibling-read-ignored", "read marks of the own other devices are ignored", Core::SiblingReadIgnored),
        core("full-disk-is-poison", "mail that found no room is given up like damaged mail", Core::FullDiskIsPoison),
        core("unreadable-for-good", "what could not be read is never asked for again", Core::UnreadableForGood)
            .within(Weather::SmallMailboxes)
            .encrypted(),
        core("unreadable-unnoted", "what could not be read is acknowledged, and not noted", Core::UnreadableUnnoted)
            .within(Weather::SmallMailboxes)
            .encrypted(),
        core("history-cut-short", "a linked device gets the beginning of the history", Core::HistoryCutShort)
            .encrypted(),
        core("early-news-forgotten", "receipts that come before their message are lost", Core::EarlyNewsForgotten)
            .encrypted(),
        core("commits-overtaken", "a device encrypts before it has its mail", Core::CommitsOvertaken).encrypted(),
        core("revoked-stay", "devices that were shut out stay in their groups", Core::RevokedStay).encrypted(),
        core("keys-forever", "nobody gives a group new keys", Core::KeysForever).encrypted(),
        core("keys-untold", "new keys are made, and the node is not told", Core::KeysUntold).encrypted(),
        core("never-caught-up", "what a device missed of what its siblings said is not asked for", Core::NeverCaughtUp)
            .within(Weather::SmallMailboxes)
            .encrypted(),
        core("typing-forever", "who was seen typing is shown so until a message comes", Core::TypingForever),
        core("typing-by-ratchet", "a signal takes a key of the message ratchet", Core::TypingByRatchet).encrypted(),
        core("signals-of-any-time", "what the node repeats of signals is believed", Core::SignalsOfAnyTime),
        core("secrets-too-soon", "secrets are forgotten before the node has other key packages", Core::SecretsTooSoon)
            .encrypted(),
        core("unsent-stays-named", "a message names one that failed as said before it", Core::UnsentStaysNamed)
            .within(Weather::Strangers)
            .encrypted(),
        core("misses-what-was-before", "what was said before a device joined is missed", Core::MissesWhatWasBefore)
            .encrypted(),
        node("no-idempotency", "a repeated message id is accepted anew", Node::NoIdempotency),
        node("emit-before-commit", "the node answers although its commit failed", Node::EmitBeforeCommit),
        node("delete-before-ack", "the node deletes what it delivered", Node::DeleteBeforeAck),
        node("lost-wake-up", "an acknowledgement that frees the window fetches nothing", Node::LostWakeUp),
        node("cumulative-ack", "an acknowledgement deletes everything before it", Node::CumulativeAck),
        node("receipt-before-store", "RECEIVED is said when the node accepts", Node::ReceiptBeforeStore),
        node("keep-body", "confirmed bodies stay on the node's disk", Node::KeepBody),
        node("no-stall", "a send may overtake a refused one", Node::NoStall).within(Weather::SmallMailboxes),
        node("body-unsynced", "a body is not on disk when its row is", Node::BodyUnsynced),
        core("hole-ignored", "the device acknowledges holes without noting them", Core::HoleIgnored)
            .within(Weather::SmallMailboxes),
        node("missed-untold", "what a device missed is forgotten without telling it", Node::MissedUntold)
            .within(Weather::SmallMailboxes),
        node("sole-device-emptied", "the only device of a user loses its mail for being away", Node::SoleDeviceEmptied)
            .within(Weather::Absences),
        node("emptied-unerased", "the bodies of an absent device's mail stay", Node::EmptiedUnerased)
            .within(Weather::Absences),
        node("moved-unclaimed", "a body that was moved is still claimed where it lay", Node::MovedUnclaimed),
        node("share-ignored", "one sender may fill a whole mailbox", Node::ShareIgnored)
            .within(Weather::SmallMailboxes),
        node("copies-welcome", "an older copy of a device's folder is taken for the device", Node::CopiesWelcome)
            .within(Weather::Copies),
        node("request-receipted", "strangers hear RECEIVED before they are accepted", Node::RequestReceipted)
            .within(Weather::Strangers),
        node("requests-uncounted", "strangers write any number of messages", Node::RequestsUncounted)
            .within(Weather::Strangers),
        node("admission-untold", "one device accepts a stranger, the others do not know", Node::AdmissionUntold)
            .within(Weather::Strangers),
        core("admission-ignored", "a device ignores that another one accepted a stranger", Core::AdmissionIgnored)
            .within(Weather::Strangers),
        node("strangers-see-typing", "strangers learn who is typing, and are seen", Node::StrangersSeeTyping)
            .within(Weather::Strangers),
        node("epoch-unchecked", "the node takes a commit of an epoch that is over", Node::EpochUnchecked)
            .within(Weather::Restores)
            .encrypted(),
        node("past-messages", "the node takes a message that was sealed for an epoch that is over", Node::PastMessages)
            .encrypted(),
        node("roster-unchecked", "the node takes messages while its roster is out of date", Node::RosterUnchecked)
            .encrypted(),
        node("kept-back", "the node keeps some messages from a device", Node::KeptBack).encrypted(),
        node("package-given-twice", "the node gives a one-time key package to two", Node::PackageGivenTwice)
            .encrypted(),
        node("reuse-seq", "a restored node gives positions twice", Node::ReuseSeq).within(Weather::Restores),
        node("stays-behind", "a message that comes again stays where a lost past had moved it from", Node::StaysBehind)
            .within(Weather::Storm),
        node("era-twice", "a copy that is restored again begins the same era again", Node::EraTwice)
            .within(Weather::Restores),
    ];

    /// The mutant of that name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|mutant| mutant.name == name)
    }
}

const fn core(name: &'static str, about: &'static str, bug: Core) -> Mutant {
    Mutant { name, about, place: Place::Core(bug), weather: Weather::Any, profile: Profile::Readable }
}

const fn node(name: &'static str, about: &'static str, bug: Node) -> Mutant {
    Mutant { name, about, place: Place::Node(bug), weather: Weather::Any, profile: Profile::Readable }
}

impl Mutant {
    const fn within(mut self, weather: Weather) -> Self {
        self.weather = weather;
        self
    }

    const fn encrypted(mut self) -> Self {
        self.profile = Profile::Encrypted;
        self
    }
}

/// Where it shows; any, if there is none.
pub(super) fn weather(mutant: Option<Mutant>) -> Weather {
    mutant.map_or(Weather::Any, |mutant| mutant.weather)
}

/// In which conversations.
pub(super) fn profile(mutant: Option<Mutant>) -> Profile {
    mutant.map_or(Profile::Readable, |mutant| mutant.profile)
}

pub(super) fn plant(mutant: Option<Mutant>) {
    let place = mutant.map(|mutant| mutant.place);
    chasqui::plant(match place {
        Some(Place::Core(bug)) => Some(bug),
        Some(Place::Node(_)) | None => None,
    });
    chasqui_node::plant(match place {
        Some(Place::Node(bug)) => Some(bug),
        Some(Place::Core(_)) | None => None,
    });
}
