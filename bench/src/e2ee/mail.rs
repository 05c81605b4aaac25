//! The mail of [`crate::core::mail`], encrypted by those who wrote it: the peers, and another device of the user.
//!
//! A group each conversation, of three devices: the one under test, its sibling, the peer's.

use std::collections::BTreeMap;
use std::error::Error;

use bytes::Bytes;
use chasqui::Store;
use chasqui::bench::Member;
use chasqui::engine::{Secret, public_key};
use chasqui_wire::{
    Commit, Content, ConversationId, ConversationKind, DeviceId, Entry, EntryKind, Envelope, KeyPackage, MessageId,
    Previous, Protection, RosterEntry, Seq, direct_conversation,
};
use rusqlite::Connection;

use crate::core::device::REALM;
use crate::core::mail::Mail;
use crate::core::rng::Rng;

/// Of the user whose device is under test.
pub(super) const IDENTITY_SEED: [u8; 32] = [2; 32];

/// Everybody who writes. No two are in the same group as far as one history is concerned, so one each side is enough.
pub(super) struct Writers {
    sibling: Member,
    siblings_history: Store,
    peers: BTreeMap<DeviceId, Member>,
    peers_history: Store,
    /// By the conversation of the same two that is not encrypted.
    groups: BTreeMap<ConversationId, Group>,
    /// What a device said last there.
    said: BTreeMap<(ConversationId, DeviceId), MessageId>,
}

/// MLS's, of a group that nothing has changed since it was begun.
const EPOCH: u64 = 1;

#[derive(Clone, Copy)]
struct Group {
    id: [u8; 16],
    conversation: ConversationId,
}

impl Writers {
    /// Gives the peers of `mail` identities.
    pub(super) fn new(seed: u64, mail: &mut Mail) -> Result<Self, Box<dyn Error>> {
        let mut rng = Rng::new(!seed);
        let history =
            || -> Result<Store, Box<dyn Error>> { Ok(Store::with_connection(Connection::open_in_memory()?)?) };
        let own = Secret::new(IDENTITY_SEED);
        let sibling = Member::linked(REALM, mail.user, mail.sibling, &Secret::new(rng.bytes()), &own)?;
        let mut peers = BTreeMap::new();
        let mut groups = BTreeMap::new();
        for peer in &mut mail.peers {
            let identity = Secret::new(rng.bytes());
            peer.identity_key = public_key(&identity);
            let member = Member::linked(REALM, peer.user, peer.device, &Secret::new(rng.bytes()), &identity)?;
            peers.insert(peer.device, member);
            let conversation = direct_conversation(mail.user, peer.user, Protection::EndToEnd);
            groups.insert(peer.conversation, Group { id: rng.bytes(), conversation });
        }
        let said = BTreeMap::new();
        Ok(Self { sibling, siblings_history: history()?, peers, peers_history: history()?, groups, said })
    }

    /// Begins all groups; the Welcomes for the device of this last resort, as its mail.
    pub(super) fn begin(&self, mail: &Mail, last_resort: &Bytes) -> Result<Vec<Entry>, Box<dyn Error>> {
        let (ours, theirs) = (self.siblings_history.connection(), self.peers_history.connection());
        let tested = RosterEntry { user: mail.user, device: mail.device };
        let mut welcomes = Vec::new();
        for (peer, number) in mail.peers.iter().zip(1..) {
            let (member, group) = (&self.peers[&peer.device], self.groups[&peer.conversation]);
            let packages = [KeyPackage { entry: tested, body: last_resort.clone() }, member.key_package(theirs)?];
            let changed = self.sibling.begin(ours, group.id, &packages)?;
            self.sibling.merge(ours, group.id)?;
            if changed.declared.added.len() < packages.len() {
                return Err("a device was not put in its group".into());
            }
            let declared = Commit { welcome: Bytes::new(), ..changed.declared.clone() };
            member.join(theirs, &changed.declared.welcome)?;
            let envelope = Envelope {
                message: Rng::new(number).id(mail.now().0),
                conversation: group.conversation,
                kind: ConversationKind::Direct,
                protection: Protection::EndToEnd,
                sender_user: mail.user,
                sender_device: mail.sibling,
                peer: Some(peer.user),
                seq: Seq::after(None, 0),
                accepted_at: mail.now(),
                body: changed.declared.welcome,
                urgent: false,
                resend_of: None,
                epoch: 0,
                commit: Some(declared),
                welcome: true,
                request: false,
            };
            welcomes.push(Entry { number, kind: EntryKind::Envelope(Box::new(envelope)) });
        }
        Ok(welcomes)
    }

    /// The same message, encrypted, with the one before.
    pub(super) fn seal(&mut self, entry: &Entry) -> Result<Entry, Box<dyn Error>> {
        let EntryKind::Envelope(plain) = &entry.kind else { return Err("not a message".into()) };
        let Group { id, conversation } = self.groups[&plain.conversation];
        let (author, history) = match self.peers.get(&plain.sender_device) {
            Some(peer) => (peer, &self.peers_history),
            None => (&self.sibling, &self.siblings_history),
        };
        let previous = self.said.insert((conversation, plain.sender_device), plain.message);
        let previous = previous.map(|message| Previous { message, group: id, epoch: EPOCH }).into_iter().collect();
        let content = Content { previous, ..Content::decode(plain.body.clone(), plain.message)? };
        let envelope = Envelope {
            conversation,
            protection: Protection::EndToEnd,
            // Behind the Welcome.
            seq: Seq::after(Some(plain.seq), 0),
            epoch: 1,
            body: author.seal(history.connection(), id, plain.message, conversation, &content.encode())?,
            ..Envelope::clone(plain)
        };
        Ok(Entry { number: entry.number, kind: EntryKind::Envelope(Box::new(envelope)) })
    }
}
