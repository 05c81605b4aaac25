//! Mail as a node delivers it: real envelopes of many direct conversations, a few of them busy, most of them small.

use bytes::Bytes;
use chasqui_wire::{
    Content, ContentKind, ConversationId, ConversationKind, Deliver, DeviceId, Entry, EntryKind, Envelope, NodeFrame,
    Protection, Receipt, ReceiptKind, Seq, SeqRange, SeqRanges, Timestamp, UserId, direct_conversation,
};

use super::rng::Rng;
use super::texts::{Language, language};

/// The first message; 2026-01-01.
const BEGIN: Timestamp = Timestamp(1_767_225_600_000);
/// Of 100 messages, so many are by this user, written on another of her devices.
const OWN: usize = 35;
/// From one message to the next, in milliseconds.
const PACE_MS: u64 = 20_000;

/// Somebody to talk with.
#[derive(Debug)]
pub(crate) struct Peer {
    pub(crate) user: UserId,
    pub(crate) name: String,
    /// Nobody asks for it where nothing is encrypted.
    pub(crate) identity_key: [u8; 32],
    pub(crate) device: DeviceId,
    pub(crate) conversation: ConversationId,
    language: &'static Language,
    head: Option<Seq>,
    /// Up to here it was told that the peer has it.
    received: Option<Seq>,
}

/// Endless mail for one device; the same from the same seed.
#[derive(Debug)]
pub(crate) struct Mail {
    rng: Rng,
    pub(crate) user: UserId,
    pub(crate) device: DeviceId,
    /// Another device of hers.
    pub(crate) sibling: DeviceId,
    pub(crate) peers: Vec<Peer>,
    /// Who writes next: shuffled, so that a busy chat is not an old one.
    order: Vec<usize>,
    now: Timestamp,
    number: u64,
    /// Whose conversation the latest message belongs to.
    latest: Option<usize>,
}

impl Mail {
    pub(crate) fn new(seed: u64, conversations: usize) -> Self {
        let mut rng = Rng::new(seed);
        let user: UserId = rng.id(BEGIN.0);
        let peer = |number: usize, rng: &mut Rng| {
            let peer: UserId = rng.id(BEGIN.0);
            Peer {
                user: peer,
                name: format!("peer {number}"),
                identity_key: [0; 32],
                device: rng.id(BEGIN.0),
                conversation: direct_conversation(user, peer, Protection::NodeReadable),
                language: language(rng),
                head: None,
                received: None,
            }
        };
        let peers: Vec<Peer> = (0..conversations).map(|number| peer(number, &mut rng)).collect();
        let mut order: Vec<usize> = (0..peers.len()).collect();
        for place in (1..order.len()).rev() {
            order.swap(place, rng.below(place + 1));
        }
        let (device, sibling) = (rng.id(BEGIN.0), rng.id(BEGIN.0));
        Self { rng, user, device, sibling, peers, order, now: BEGIN, number: 0, latest: None }
    }

    /// The node's clock.
    pub(crate) fn now(&self) -> Timestamp {
        self.now
    }

    fn entry(&mut self, kind: EntryKind) -> Entry {
        self.number += 1;
        Entry { number: self.number, kind }
    }

    /// The next message of some conversation.
    pub(crate) fn message(&mut self) -> Entry {
        let drawn = self.rng.zipf(self.peers.len());
        self.message_of(self.order[drawn])
    }

    /// The next message of the conversation with that peer.
    pub(crate) fn message_of(&mut self, index: usize) -> Entry {
        self.latest = Some(index);
        self.now = self.now.plus_millis(PACE_MS);
        let (rng, peer) = (&mut self.rng, &mut self.peers[index]);
        let is_own = rng.below(100) < OWN;
        let (sender, sender_device) = if is_own { (self.user, self.sibling) } else { (peer.user, peer.device) };
        let message = rng.id(self.now.0);
        let content = Content {
            message,
            created_at: self.now,
            kind: ContentKind::Text(peer.language.text(rng)),
            previous: vec![],
        };
        let seq = Seq::after(peer.head, 0);
        peer.head = Some(seq);
        let envelope = Envelope {
            message,
            conversation: peer.conversation,
            kind: ConversationKind::Direct,
            protection: Protection::NodeReadable,
            sender_user: sender,
            sender_device,
            peer: Some(if is_own { peer.user } else { self.user }),
            seq,
            accepted_at: self.now,
            body: content.encode(),
            urgent: true,
            resend_of: None,
            epoch: 0,
            commit: None,
            welcome: false,
            request: false,
        };
        self.entry(EntryKind::Envelope(Box::new(envelope)))
    }

    /// The peer of the latest message has what was said there lately; `None` when nothing was.
    pub(crate) fn receipt(&mut self) -> Option<Entry> {
        let peer = &mut self.peers[self.latest?];
        let range = SeqRange::new(Seq::after(peer.received, 0), peer.head?)?;
        peer.received = peer.head;
        let receipt = Receipt {
            conversation: peer.conversation,
            user: peer.user,
            kind: ReceiptKind::Received,
            ranges: SeqRanges::of_range(range),
            at: self.now,
        };
        Some(self.entry(EntryKind::Receipt(receipt)))
    }

    /// The next `count` messages as the frames of a node whose device takes `window` of them at a time.
    pub(crate) fn frames(&mut self, count: usize, window: usize) -> Vec<Bytes> {
        let mut rest = count;
        let mut frames = Vec::with_capacity(count.div_ceil(window));
        while rest > 0 {
            let entries = (0..rest.min(window)).map(|_| self.message()).collect::<Vec<_>>();
            rest -= entries.len();
            frames.push(deliver(entries));
        }
        frames
    }
}

pub(crate) fn deliver(entries: Vec<Entry>) -> Bytes {
    NodeFrame::Deliver(Deliver { entries }).encode()
}
