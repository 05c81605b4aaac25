//! What must hold when everything has come to rest.

use std::collections::{BTreeMap, BTreeSet};

use chasqui::{
    ConnectionState, ConversationId, ErrorCode, Failure, Message, MessageContent, MessageId, MessageState, Seq,
    TimelineItem, Undelivered,
};

use super::device::Awaited;
use super::world::World;

/// More than any simulated conversation has.
const ALL: u32 = 100_000;
/// An hour, and a little.
const RENEWED_AGAIN_MS: u64 = 3_660_000;

/// One conversation on one device: what stands at each position.
type Timeline = BTreeMap<Seq, Option<Message>>;

impl World {
    pub(super) fn is_at_rest(&self) -> bool {
        self.restless().is_empty()
    }

    /// What still moves.
    pub(super) fn restless(&self) -> String {
        let mut restless = Vec::new();
        for (index, device) in self.devices.iter().enumerate().filter(|(_, device)| device.enrolled) {
            let state = device.connection_state();
            if state != Some(ConnectionState::Online) {
                restless.push(format!("device {index} is {state:?}"));
            } else if !self.is_reached(index) {
                restless.push(format!("device {index} has not noticed that its socket is dead"));
            }
            let waiting = device.count(
                "SELECT (SELECT count(*) FROM outbox) + (SELECT count(*) FROM admission WHERE revision IS NULL)",
            );
            // A restored node may not know a conversation any more, and nobody be left who gives it back.
            let is_known =
                |conversation: &ConversationId| self.climate.restores == 0 || self.node.head(*conversation) > 0;
            let waiting = waiting + device.unsaid_reads().iter().filter(|it| is_known(it)).count() as u64;
            if waiting > 0 {
                restless.push(format!("device {index} has {waiting} unsent"));
            }
            let is_missed = |it: &Awaited| !it.is_request && !self.is_gone_for_good(it.message);
            let missed = device.awaited().into_iter().filter(is_missed).count();
            if missed > 0 {
                restless.push(format!("device {index} asks for {missed} messages that it could not read"));
            }
            // One that is refused is put off by an hour: after a day of sleep it has to be taken.
            let by = if self.has_slept { RENEWED_AGAIN_MS } else { 0 };
            let overdue = device.overdue_keys(self.clock(device.skew_ms).plus_millis(by));
            if overdue > 0 {
                restless.push(format!("device {index} has yet to renew its keys in {overdue} conversations"));
            }
            if device.was_shut_out {
                restless.push(format!("device {index} has yet to be shut out again"));
            }
            if device.was_linked && device.is_unlinked() {
                restless.push(format!("device {index} is not linked"));
            }
            if device.lacks_history() {
                restless.push(format!("device {index} has not all of the history"));
            }
        }
        if !self.node.is_idle() {
            restless.push("the node is busy".to_owned());
        }
        let mail = self.node.count("mailbox");
        if mail > 0 {
            restless.push(format!("{mail} entries are in mailboxes"));
        }
        restless.join(", ")
    }

    pub(super) fn check(&mut self) -> Result<(), String> {
        let timelines = self.timelines()?;
        self.check_histories(&timelines)?;
        self.check_order_of_senders(&timelines)?;
        self.check_receipts(&timelines)?;
        self.check_reading()?;
        self.check_requests(&timelines)?;
        self.check_security()?;
        self.check_groups()?;
        self.check_packages()?;
        self.check_comparisons()?;
        self.check_revoked()?;
        self.check_relay()
    }

    /// Every device's histories, by conversation. Duplicates and broken rows are found here.
    fn timelines(&self) -> Result<BTreeMap<ConversationId, BTreeMap<usize, Timeline>>, String> {
        let mut all: BTreeMap<ConversationId, BTreeMap<usize, Timeline>> = BTreeMap::new();
        for (index, device) in self.devices.iter().enumerate().filter(|(_, device)| device.enrolled) {
            let history = device.store().ok_or("a device is down")?.history();
            let mut promised = device.promised.clone();
            for conversation in history.conversations(ALL).map_err(|error| error.to_string())? {
                let page = history.timeline_before(conversation.id, None, ALL).map_err(|error| error.to_string())?;
                let mut timeline = Timeline::new();
                for item in page.items {
                    let (seq, message) = match item {
                        TimelineItem::Gap { seq, .. } => (seq, None),
                        TimelineItem::Hole { first, last, .. } => {
                            self.check_hole(index, conversation.id, first, last)?;
                            let after = first.next().into_iter().flat_map(|next| next.raw()..=last.raw());
                            for seq in after.filter_map(Seq::from_raw) {
                                if timeline.insert(seq, None).is_some() {
                                    return Err(format!("device {index}: a hole where {seq} stands"));
                                }
                            }
                            (first, None)
                        }
                        TimelineItem::Message(message) => {
                            promised.remove(&message.id);
                            let state = message.state;
                            let has_to_wait = MessageState::Failed(Failure::Refused(ErrorCode::RequestPending));
                            if state == has_to_wait && self.climate.requests.is_some() {
                                continue;
                            }
                            let seq = message.seq.ok_or_else(|| format!("device {index}: {} is {state:?}", message.id));
                            (seq?, Some(*message))
                        }
                    };
                    let is_placeholder = |message: &Message| message.content == MessageContent::Unreadable;
                    if message.as_ref().is_some_and(|it| is_placeholder(it) && !self.is_gone_for_good(it.id)) {
                        return Err(format!("device {index}: {seq} of {} is unreadable", conversation.id));
                    }
                    if timeline.insert(seq, message).is_some() {
                        return Err(format!("device {index}: two messages at {seq}"));
                    }
                }
                all.entry(conversation.id).or_default().insert(index, timeline);
            }
            for Awaited { conversation, is_request, seq, message } in device.awaited() {
                // Of a stranger nothing is asked before being accepted.
                if !is_request && !self.is_gone_for_good(message) {
                    return Err(format!("device {index}: {seq} of {conversation} cannot be read"));
                }
                let timeline = all.entry(conversation).or_default().entry(index).or_default();
                if timeline.insert(seq, None).is_some() {
                    return Err(format!("device {index}: what is asked for, where {seq} stands"));
                }
            }
            if let Some(lost) = promised.first() {
                return Err(format!("device {index}: {lost} was confirmed to the app and is gone"));
            }
        }
        Ok(all)
    }

    /// Whether whoever could send a message again was shut out.
    fn is_gone_for_good(&self, message: MessageId) -> bool {
        !self.devices.iter().any(|device| device.enrolled && device.can_send_again(message))
            && self.devices.iter().any(|device| !device.enrolled && device.can_send_again(message))
    }

    /// A hole is there for a reason, and claims no more than was ever said.
    fn check_hole(&self, index: usize, conversation: ConversationId, first: Seq, last: Seq) -> Result<(), String> {
        if self.climate.mailbox.is_none() && self.climate.absent.is_none() {
            return Err(format!("device {index} has a hole from {first} to {last}, and nothing was ever full"));
        }
        if self.climate.restores == 0 && self.node.head(conversation) < last.raw() {
            return Err(format!("device {index} has a hole from {first} to {last}, where nothing was said"));
        }
        let history = self.devices[index].store().ok_or("a device is down")?.history();
        match history.incomplete().map_err(|error| error.to_string())? {
            Some(_) => Ok(()),
            None => Err(format!("device {index} has a hole and calls its history whole")),
        }
    }

    /// Exactly once, in one order, without unexplained gaps.
    fn check_histories(&self, all: &BTreeMap<ConversationId, BTreeMap<usize, Timeline>>) -> Result<(), String> {
        for (conversation, timelines) in all {
            let mut known: BTreeMap<Seq, &Message> = BTreeMap::new();
            let mut positions: BTreeMap<MessageId, Seq> = BTreeMap::new();
            let mut unsettled: BTreeSet<Seq> = BTreeSet::new();
            for (index, timeline) in timelines {
                for (&seq, message) in timeline {
                    let Some(message) = message else { continue };
                    let other = *known
                        .entry(seq)
                        .and_modify(|other| {
                            if other.content == MessageContent::Unreadable {
                                *other = message;
                            }
                        })
                        .or_insert(message);
                    let is_unreadable = |message: &Message| message.content == MessageContent::Unreadable;
                    let is_same = other.content == message.content || is_unreadable(other) || is_unreadable(message);
                    if other.id != message.id || !is_same || other.sender != message.sender {
                        return Err(format!("device {index}: {seq} of {conversation} differs between devices"));
                    }
                    let position = *positions.entry(message.id).or_insert(seq);
                    if position != seq {
                        if !self.is_edge(timelines, message) {
                            return Err(format!("device {index}: {} stands at two positions", message.id));
                        }
                        unsettled.extend([position, seq]);
                    }
                }
            }
            for (index, device) in self.devices.iter().enumerate().filter(|(_, device)| device.enrolled) {
                let members = self.members(*conversation);
                if !members.contains(&device.user) {
                    continue;
                }
                // What a restored node forgot only its author gives back.
                let is_given_back =
                    |seq: &&Seq| self.climate.restores == 0 || !self.was_said_by_one_shut_out(known[seq]);
                let Some(timeline) = timelines.get(&index).filter(|timeline| !timeline.is_empty()) else {
                    // Nothing was said since it joined, or it missed everything. What is missing of what devices say to each other
                    // nobody is shown.
                    let is_lossy = self.climate.mailbox.is_some() || self.climate.absent.is_some();
                    let may_be_hidden = members.len() == 1 && is_lossy;
                    let is_known = known.keys().any(|seq| is_given_back(&seq));
                    if self.was_there_from_the_start(index) && is_known && !may_be_hidden {
                        return Err(format!("device {index} has nothing of {conversation}"));
                    }
                    continue;
                };
                let first = *timeline.keys().next().expect("not empty");
                if self.devices[index].had_twin && self.climate.node_crash + self.climate.commit_fails > 0 {
                    // A node that started anew may have forgotten what the other one of the two had taken, and suspects nobody.
                    continue;
                }
                if self.was_there_from_the_start(index) && !self.is_explained(*conversation, None, first) {
                    return Err(format!("device {index}: {conversation} begins at {first}"));
                }
                let has_all = self.was_given_everything(index);
                if self.devices[index].was_linked && !has_all {
                    continue;
                }
                if self.devices[index].is_new_again {
                    // What its folder lacked when it was told that it is a copy was never addressed to it.
                    continue;
                }
                let mut last = first;
                for &seq in timeline.keys().skip(1) {
                    if !self.is_explained(*conversation, Some(last), seq) {
                        return Err(format!("device {index}: nothing between {last} and {seq} of {conversation}"));
                    }
                    last = seq;
                }
                let is_lacking =
                    |seq: &&Seq| (has_all || **seq >= first) && !timeline.contains_key(seq) && !unsettled.contains(seq);
                if let Some(missing) = known.keys().filter(is_given_back).find(is_lacking) {
                    return Err(format!("device {index} lacks {missing} of {conversation}"));
                }
            }
        }
        Ok(())
    }

    fn was_said_by_one_shut_out(&self, message: &Message) -> bool {
        let mut devices = self.devices.iter();
        devices.any(|device| device.id == message.sender_device && device.was_shut_out && !device.enrolled)
    }

    /// Whether another device gave it what was said before it came, and says where something is missing.
    fn was_given_everything(&self, index: usize) -> bool {
        // What a copy of a folder wrote, the other one lacks.
        let user = self.devices[index].user;
        let had_copies = self.devices.iter().any(|device| device.user == user && device.had_twin);
        self.devices[index].was_linked && !had_copies
    }

    /// Whether also nothing was lost on the way, receipts for it included.
    fn has_whole_history(&self, index: usize) -> bool {
        let is_lossy = self.climate.mailbox.is_some() || self.climate.absent.is_some() || self.climate.ttl.is_some();
        self.was_given_everything(index) && !is_lossy
    }

    /// Whether the message stands at two positions, and may (ADR 3, edge): its sender was not told one of them.
    fn is_edge(&self, timelines: &BTreeMap<usize, Timeline>, message: &Message) -> bool {
        let all = timelines.values().flat_map(|timeline| timeline.values().flatten());
        let positions: BTreeSet<Seq> =
            all.filter(|other| other.id == message.id).filter_map(|other| other.seq).collect();
        positions.len() > 1 && !positions.iter().all(|&seq| self.sender_heard(message, seq))
    }

    /// Whether the device that wrote a message was told this position of it, and had stored that before the node that
    /// told it was lost. If not, nobody can ask for the position again.
    fn sender_heard(&self, message: &Message, seq: Seq) -> bool {
        let sender = self.devices.iter().find(|device| device.id == message.sender_device);
        let now = || sender.is_some_and(|sender| sender.positions().any(|known| known == (message.id, seq)));
        self.heard.contains(&(message.id, seq)) || now()
    }

    /// Whether nothing is missing between two positions: they follow each other, or what lies between was given by a node
    /// that was then restored from an older copy, to a message whose sender had not heard of it.
    fn is_explained(&self, conversation: ConversationId, last: Option<Seq>, next: Seq) -> bool {
        if last.map_or(next.number() == 1, |last| last.is_followed_by(next)) {
            return true;
        }
        let lost = |raw: u64| {
            let forgotten = |heads: &super::node::Heads| raw > heads.get(&conversation).copied().unwrap_or(0);
            let era = Seq::from_raw(raw).map_or(0, Seq::era);
            // The restores that ended this era or a later one.
            self.node.restored_heads.iter().filter(|(began, _)| *began > era).any(|(_, heads)| forgotten(heads))
        };
        // Within one era every position between; across eras the rest of the older one cannot be counted.
        let era_begins = Seq::new(next.era(), 1).map_or(0, Seq::raw);
        let from = last.map_or(era_begins, |last| era_begins.max(last.raw() + 1));
        let is_unshown = |raw| self.is_group_change(conversation, raw) || self.node.was_for_devices(conversation, raw);
        (from..next.raw()).all(|raw| lost(raw) || is_unshown(raw))
    }

    /// Whether a group changed at this position, where nobody said anything then.
    fn is_group_change(&self, conversation: ConversationId, raw: u64) -> bool {
        let sql = "SELECT EXISTS (SELECT 1 FROM group_change WHERE conversation = ? AND seq = ?)";
        self.devices.iter().any(|device| {
            let parameters = (conversation.as_bytes(), raw.cast_signed());
            device.database().query_row(sql, parameters, |row| row.get(0)).expect("the history can be queried")
        })
    }

    /// What one device wrote stands in the order in which it wrote it: message ids of a device grow.
    fn check_order_of_senders(&self, all: &BTreeMap<ConversationId, BTreeMap<usize, Timeline>>) -> Result<(), String> {
        for timelines in all.values() {
            for (&index, timeline) in timelines {
                let own = timeline.values().flatten().filter(|message| message.sender_device == self.devices[index].id);
                let rows: Vec<(Seq, MessageId)> = own.filter_map(|message| Some((message.seq?, message.id))).collect();
                let mut written = rows.clone();
                written.sort_by_key(|&(_, id)| self.written_at(index, id));
                if let Some(((seq, message), (_, earlier))) =
                    rows.iter().zip(&written).find(|(one, other)| one != other)
                {
                    return Err(format!(
                        "device {index}: {message} stands at {seq}, before {earlier}, which it wrote before"
                    ));
                }
            }
        }
        Ok(())
    }

    fn written_at(&self, index: usize, id: MessageId) -> i64 {
        let sql = "SELECT id FROM message WHERE message = ?";
        let row = self.devices[index].database().query_row(sql, [id.as_bytes()], |row| row.get(0));
        row.expect("a message of this device")
    }

    /// Every receipt has converged, and none is untrue.
    fn check_receipts(&self, all: &BTreeMap<ConversationId, BTreeMap<usize, Timeline>>) -> Result<(), String> {
        for (conversation, timelines) in all {
            let read_up_to = self.read_up_to(*conversation)?;
            for (&index, timeline) in timelines {
                if self.devices[index].is_new_again
                    || (self.devices[index].was_linked && !self.has_whole_history(index))
                {
                    // Receipts went to the device that it was, wherever that lives.
                    continue;
                }
                let user = self.devices[index].user;
                let Some(&peer) = self.members(*conversation).iter().find(|&&member| member != user) else { continue };
                for message in timeline.values().flatten().filter(|message| message.is_own) {
                    let seq = message.seq.ok_or("no position")?;
                    let holders = || {
                        let mut devices = self.devices.iter().enumerate();
                        devices.any(|(other, device)| {
                            if device.user == peer && !device.enrolled && device.has_read(message.id) {
                                return true;
                            }
                            let there = timelines.get(&other).filter(|_| device.user == peer);
                            there.is_some_and(|there| {
                                let mut all = there.values().flatten();
                                there.get(&seq).is_some_and(Option::is_some)
                                    || all.any(|other| other.id == message.id && self.is_edge(timelines, message))
                            })
                        })
                    };
                    let may_be_read = read_up_to.get(&peer).is_some_and(|&mark| seq <= mark);
                    let right = match message.state {
                        MessageState::Received => holders(),
                        // One that moved to a later position may have been read at the earlier one.
                        MessageState::Read => {
                            let is_read = may_be_read || self.was_read_by_the_gone(peer, *conversation, seq);
                            holders() && (is_read || self.climate.restores > 0)
                        }
                        // Or what says that it came after all was not kept for this device.
                        MessageState::Undelivered(Undelivered::Expired) => !holders() || self.was_absent(index),
                        MessageState::Undelivered(Undelivered::DeviceGone) => {
                            let of_peer = self.devices.iter().filter(|device| device.user == peer);
                            let is_gone = self.climate.absent.is_some() && of_peer.count() > 1;
                            // Who was away does not hear that it came after all: its acknowledgement was late, or a restored node delivers
                            // what the lost past had given up.
                            let is_outdated = self.was_absent(index);
                            is_gone && (!holders() || is_outdated || self.is_edge(timelines, message))
                        }
                        // It was read at last, and what says so was not kept for this device; or nobody can give it any more,
                        // or it is not asked for, because it is a request.
                        MessageState::Undelivered(Undelivered::Unreadable) => {
                            let is_surely_welcome = self.is_surely_welcome(user, peer, *conversation);
                            self.was_absent(index) || self.is_gone_for_good(message.id) || !is_surely_welcome
                        }
                        // A receipt that was not kept for this device, because it was away for too long, or that is withheld, or that
                        // a restored node forgot, and the message with it; or the edge.
                        MessageState::Sent => {
                            self.was_absent(index)
                                || self.climate.restores > 0 && self.was_said_by_one_shut_out(message)
                                || self.is_edge(timelines, message)
                                || !self.is_surely_welcome(user, peer, *conversation)
                        }
                        _ => false,
                    };
                    if !right {
                        let state = message.state;
                        return Err(format!("device {index}: {seq} of {conversation} is {state:?} at rest"));
                    }
                    let is_told = self.climate.ttl.is_none() && self.climate.absent.is_none();
                    let is_told = is_told && self.is_surely_welcome(user, peer, *conversation);
                    // Who alone had it may have been shut out before it was read.
                    let may_be_gone = || {
                        let mut there = timelines.iter().filter(|&(&other, _)| self.devices[other].user == peer);
                        !there.any(|(_, there)| there.get(&seq).is_some_and(Option::is_some))
                    };
                    let must_be_read = self.climate.restores == 0 && is_told && may_be_read && !may_be_gone();
                    if must_be_read && message.state != MessageState::Read {
                        return Err(format!("device {index}: {seq} was read, and its author does not know"));
                    }
                }
            }
        }
        Ok(())
    }

    /// All devices of a user agree on what is read and what is not.
    fn check_reading(&self) -> Result<(), String> {
        for (index, device) in self.devices.iter().enumerate().filter(|(_, device)| device.enrolled) {
            let wrong = device.count(
                "SELECT count(*) FROM conversation WHERE unread <> (SELECT count(*) FROM message
                 WHERE message.conversation = conversation.id AND anchor > read_up_to AND incoming = 1
                 AND deleted = 0 AND message IS NOT NULL AND message.kind <> 5)",
            );
            if wrong > 0 {
                return Err(format!("device {index}: the count of unread messages is wrong"));
            }
        }
        Ok(())
    }

    /// Whether the peer may have accepted or written to the user.
    pub(super) fn is_welcome(&self, user: usize, peer: usize) -> bool {
        user == peer || self.welcome.contains(&(peer, user))
    }

    /// Whether the peer's devices know that they accepted, or wrote.
    pub(super) fn is_surely_welcome(&self, user: usize, peer: usize, conversation: ConversationId) -> bool {
        let sql = "SELECT count(*) FROM conversation WHERE conversation = ? AND (
                       EXISTS (SELECT 1 FROM admission WHERE admission.conversation = id AND verdict = 1) OR
                       EXISTS (SELECT 1 FROM message WHERE message.conversation = conversation.id AND incoming = 0
                           AND message.seq IS NOT NULL))";
        let said = |device: &super::device::Device| {
            let count = device.database().query_row(sql, [conversation.as_bytes()], |row| row.get::<_, i64>(0));
            count.expect("the history can be queried") > 0
        };
        let mut of_peer = self.devices.iter().filter(|device| device.enrolled && device.user == peer);
        user == peer || self.climate.requests.is_none() || of_peer.any(said)
    }

    /// No stranger wrote more than is allowed, and all devices of a user show the same requests.
    fn check_requests(&self, all: &BTreeMap<ConversationId, BTreeMap<usize, Timeline>>) -> Result<(), String> {
        let Some(most) = self.climate.requests else { return Ok(()) };
        for (conversation, timelines) in all {
            let mut written: BTreeMap<usize, BTreeSet<MessageId>> = BTreeMap::new();
            for (&index, timeline) in timelines {
                let own = timeline.values().flatten().filter(|message| message.is_own).map(|message| message.id);
                written.entry(self.devices[index].user).or_default().extend(own);
            }
            for (user, written) in written {
                let peer = self.members(*conversation).into_iter().find(|&member| member != user);
                let Some(peer) = peer.filter(|&peer| !self.is_welcome(user, peer)) else { continue };
                if written.len() > most as usize {
                    return Err(format!(
                        "user {user} wrote {} messages to user {peer}, who never accepted",
                        written.len()
                    ));
                }
            }
            let mut shown: BTreeMap<usize, (usize, u64)> = BTreeMap::new();
            let is_whole =
                self.climate.mailbox.is_none() && self.climate.absent.is_none() && self.climate.ttl.is_none();
            let there = timelines.keys().filter(|&&index| is_whole && self.was_there_from_the_start(index));
            for &index in there {
                let id = conversation.as_bytes().iter().map(|byte| format!("{byte:02x}")).collect::<String>();
                let sql = format!("SELECT coalesce(max(request), 0) FROM conversation WHERE conversation = x'{id}'");
                let request = self.devices[index].count(&sql);
                let (other, of_other) = *shown.entry(self.devices[index].user).or_insert((index, request));
                if request != of_other {
                    return Err(format!("devices {other} and {index} disagree on whether {conversation} is a request"));
                }
            }
        }
        Ok(())
    }

    /// Nobody cries wolf: nothing was forged here, and who has a restored past was told so. Two copies of a folder may take each other
    /// for forgers.
    fn check_security(&self) -> Result<(), String> {
        if self.devices.iter().any(|device| device.had_twin) {
            return Ok(());
        }
        for (index, device) in self.devices.iter().enumerate() {
            if device.count("SELECT count(*) FROM security_event") > 0 {
                let kind = device.count("SELECT kind FROM security_event LIMIT 1");
                return Err(format!("device {index} tells of a security event of kind {kind}"));
            }
        }
        Ok(())
    }

    fn read_up_to(&self, conversation: ConversationId) -> Result<BTreeMap<usize, Seq>, String> {
        // With oneself nothing is ever unread; what devices say to each other there not all of them hear.
        if self.members(conversation).len() == 1 {
            return Ok(BTreeMap::new());
        }
        let mut marks: BTreeMap<usize, (usize, Seq)> = BTreeMap::new();
        for (index, device) in self.devices.iter().enumerate().filter(|(_, device)| device.enrolled) {
            let history = device.store().ok_or("a device is down")?.history();
            let line = history.conversation(conversation).map_err(|error| error.to_string())?;
            let Some(mark) = line.and_then(|line| line.read_up_to) else { continue };
            let (other, highest) = marks.get(&device.user).copied().unwrap_or((index, mark));
            if highest != mark && self.heard_of_reading(index) && self.heard_of_reading(other) {
                return Err(format!("devices {other} and {index} disagree on what is read: {highest} and {mark}"));
            }
            marks.insert(device.user, (index, highest.max(mark)));
        }
        // A device that never heard of a mark disagrees as well.
        for (index, device) in self.devices.iter().enumerate().filter(|(_, device)| device.enrolled) {
            let Some(&(other, mark)) = marks.get(&device.user) else { continue };
            let history = device.store().ok_or("a device is down")?.history();
            let line = history.conversation(conversation).map_err(|error| error.to_string())?;
            let own = line.and_then(|line| line.read_up_to);
            // Where nothing up to the mark is here there was nothing to be read: the mark came before the conversation did.
            let page = history.timeline_before(conversation, None, ALL).map_err(|error| error.to_string())?;
            let mut items = page.items.iter();
            let is_marked = |message: &Message| message.seq.is_some_and(|seq| seq <= mark);
            if own.is_none() && !items.any(|item| matches!(item, TimelineItem::Message(it) if is_marked(it))) {
                continue;
            }
            if own != Some(mark) && self.heard_of_reading(index) {
                return Err(format!("devices {other} and {index} disagree on what is read: {mark} and {own:?}"));
            }
        }
        Ok(marks.into_iter().map(|(user, (_, mark))| (user, mark)).collect())
    }

    /// Whether a device that was shut out had read that far: it may have told authors, and none of its siblings have heard.
    fn was_read_by_the_gone(&self, user: usize, conversation: ConversationId, seq: Seq) -> bool {
        let mut gone = self.devices.iter().filter(|device| !device.enrolled && device.user == user);
        gone.any(|device| device.read_up_to(conversation) >= Some(seq))
    }

    /// The relay has forgotten everything.
    fn check_relay(&self) -> Result<(), String> {
        for table in ["mailbox", "envelope", "missed"] {
            let rows = self.node.count(table);
            if rows > 0 {
                return Err(format!("the relay still has {rows} rows in {table}"));
            }
        }
        for (segment, bytes) in self.node.disk.contents() {
            let left = bytes.iter().filter(|&&byte| byte != 0).count();
            if left > 0 {
                return Err(format!("the relay still has {left} bytes of bodies in segment {segment}"));
            }
        }
        Ok(())
    }

    fn members(&self, conversation: ConversationId) -> BTreeSet<usize> {
        let users = 0..self.users.len();
        let pairs = users.clone().flat_map(|one| users.clone().map(move |other| (one, other)));
        let mut of = pairs.filter(|&(one, other)| {
            let (one, other) = (self.users[one], self.users[other]);
            chasqui_wire::direct_conversation(one, other, self.protection) == conversation
        });
        of.next().map(|(one, other)| BTreeSet::from([one, other])).unwrap_or_default()
    }

    /// Whether it was there whenever somebody read.
    fn heard_of_reading(&self, index: usize) -> bool {
        // What a restored node forgot of it only the device gives back that said it.
        let user = self.devices[index].user;
        let may_be_forgotten =
            self.climate.restores > 0 && self.devices.iter().any(|device| device.user == user && device.was_shut_out);
        let device = &self.devices[index];
        self.was_there_from_the_start(index) && !self.was_absent(index) && !device.had_twin && !may_be_forgotten
    }

    /// Whether receipts and read marks were not kept for the device for a while.
    fn was_absent(&self, index: usize) -> bool {
        self.devices[index].count("SELECT count(*) FROM absence") > 0
    }

    fn was_there_from_the_start(&self, index: usize) -> bool {
        self.devices[index].from_the_start
    }
}
