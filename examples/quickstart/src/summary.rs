//! The final counts, and whether everything holds. Pure: decided from the histories and what the relay's files hold.

use std::collections::{BTreeMap, BTreeSet};

use chasqui::{MessageId, MessageState, Seq};
use serde::Serialize;

use crate::audit::History;
use crate::script::{Person, Script};

/// Counts are per message, whatever the number of devices.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Summary {
    /// In the database of the device that wrote it.
    pub(crate) sent: u64,
    /// Of these: given a position by the relay.
    pub(crate) accepted: u64,
    /// Of these: known there as received, and found on every device of the other user.
    pub(crate) received: u64,
    /// Of these: known there as read by the other user.
    pub(crate) read: u64,
    /// Messages or positions that stand twice in a history, over all devices.
    pub(crate) duplicates: u64,
    /// Every device has the same positions, ids and texts in the same order.
    pub(crate) order_equal: bool,
    /// Bodies found in the relay's files while they waited; `null` when nobody could look or nothing was sent.
    pub(crate) positive_control: Option<u64>,
    /// Every conversation is end-to-end encrypted, and nothing that people wrote was found in the relay's files while it waited there.
    pub(crate) encrypted: bool,
    /// `null` for a running node, whose files nobody can look into from here.
    pub(crate) relay: Option<RelayHolds>,
}

/// What the relay's files hold after the run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct RelayHolds {
    pub(crate) mailbox_entries: u64,
    /// Known to the database.
    pub(crate) bodies: u64,
    /// Bytes of body segments that are not zero.
    pub(crate) body_bytes: u64,
    /// Bodies of which a piece is in a file.
    pub(crate) canary_hits: u64,
}

impl RelayHolds {
    pub(crate) const fn is_nothing(&self) -> bool {
        self.mailbox_entries == 0 && self.bodies == 0 && self.body_bytes == 0 && self.canary_hits == 0
    }
}

/// Something that has to hold.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Check {
    pub(crate) what: String,
    pub(crate) holds: bool,
}

impl Summary {
    /// `histories` are those of all devices of both users.
    pub(crate) fn of(
        histories: &[History],
        positive_control: Option<u64>,
        legible: Option<u64>,
        relay: Option<RelayHolds>,
    ) -> Self {
        let (mut sent, mut accepted, mut received, mut read) = (0, 0, 0, 0);
        let held: Vec<BTreeSet<MessageId>> =
            histories.iter().map(|history| history.messages.iter().map(|message| message.id).collect()).collect();
        for history in histories {
            let others = histories.iter().zip(&held).filter(|(other, _)| other.account.user != history.account.user);
            let others: Vec<_> = others.map(|(_, held)| held).collect();
            for message in history.messages.iter().filter(|message| message.is_from_here) {
                sent += 1;
                accepted += u64::from(message.seq.is_some());
                let is_there = others.iter().all(|held| held.contains(&message.id));
                let is_received = matches!(message.state, MessageState::Received | MessageState::Read);
                received += u64::from(is_received && is_there);
                read += u64::from(message.state == MessageState::Read && is_there);
            }
        }
        let order_equal = histories.windows(2).all(|pair| order(&pair[0]).eq(order(&pair[1])))
            && histories.iter().all(|history| history.gaps == 0);
        let duplicates = histories.iter().map(duplicates).sum();
        let encrypted = histories.iter().all(|history| history.is_encrypted) && legible.unwrap_or(0) == 0;
        Self { sent, accepted, received, read, duplicates, order_equal, positive_control, encrypted, relay }
    }

    /// All that was promised, held against what is there.
    pub(crate) fn checks(&self, script: &Script, histories: &[History], found_by_search: bool) -> Vec<Check> {
        let all = script.lines.len() as u64;
        let mut checks = Vec::new();
        let mut check = |what: String, holds| checks.push(Check { what, holds });
        check(format!("all {all} messages were sent"), self.sent == all);
        check("every message was accepted".into(), self.accepted == all);
        check("every message was received".into(), self.received == all);
        check("every message was read".into(), self.read == all);
        check("nothing arrived twice".into(), self.duplicates == 0);
        check("the order is the same on every device".into(), self.order_equal);
        let in_order = histories.iter().all(|history| has_order_of(history, script));
        check("each user's messages are in the order in which they were written".into(), in_order);
        check("nobody but the three devices could read anything".into(), self.encrypted);
        check("no device has anything unread".into(), histories.iter().all(|history| history.unread == 0));
        check("the search found what it looked for".into(), found_by_search);
        if let Some(relay) = &self.relay {
            if all > 0 {
                let control = self.positive_control.is_some_and(|found| found > 0);
                check("bodies were found in the relay's files while they waited".into(), control);
            }
            check("no mail waits at the relay".into(), relay.mailbox_entries == 0);
            check("the relay's database knows no body".into(), relay.bodies == 0);
            check("the relay's body segments are zeros".into(), relay.body_bytes == 0);
            check("no piece of any body is in any file of the relay".into(), relay.canary_hits == 0);
        }
        checks
    }
}

fn order(history: &History) -> impl Iterator<Item = (Option<Seq>, MessageId, &str)> {
    history.messages.iter().map(|message| (message.seq, message.id, message.text.as_str()))
}

fn duplicates(history: &History) -> u64 {
    let mut ids: BTreeMap<MessageId, u64> = BTreeMap::new();
    let mut positions: BTreeMap<Seq, u64> = BTreeMap::new();
    for message in &history.messages {
        *ids.entry(message.id).or_default() += 1;
        if let Some(seq) = message.seq {
            *positions.entry(seq).or_default() += 1;
        }
    }
    ids.values().chain(positions.values()).map(|times| times - 1).sum()
}

fn has_order_of(history: &History, script: &Script) -> bool {
    let is_ana = |is_own: bool| is_own == (history.who != crate::stage::BO);
    Person::BOTH.into_iter().all(|person| {
        let said = history.messages.iter().filter(|message| is_ana(message.is_own) == (person == Person::Ana));
        said.map(|message| message.text.as_str()).eq(script.texts_of(person))
    })
}
