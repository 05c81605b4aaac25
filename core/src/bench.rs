//! What the benchmarks measure below the public API: groups of any size, and the rows that a message leaves.
//!
//! Compiled only under the feature `bench`, which is never on in a release. Hands on what there is, and decides nothing. Each call
//! is part of whatever transaction is open on `db`.

use bytes::Bytes;
use chasqui_wire::{
    Commit, Content, ContentKind, ConversationId, ConversationKind, DeviceId, KeyPackage, MessageId, Protection,
    RealmId, RosterEntry, Seq, UserId, direct_conversation,
};
use rusqlite::Connection;

use crate::e2ee::{Change, Fault, GroupId, Leaf, Mls, Own};
use crate::engine::{Secret, header};
use crate::store::{
    self, ConversationHead, ConversationRow, FlightRow, IndexChange, MessageKey, MessageKind, MessageRow, NewMessage,
    OutboxRow, Place, StoreError,
};

/// A benchmark has nothing to do about it but to say it.
pub type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

/// A device that can be in groups.
pub struct Member(Own);

/// Not in force before it is merged.
pub struct Changed {
    /// To all who were in the group.
    pub commit: Bytes,
    /// As the node is told, with the Welcomes.
    pub declared: Commit,
}

/// Of groups of more than two users nobody has said yet who belongs there.
fn anybody(_: &Leaf) -> Result<(), Fault> {
    Ok(())
}

impl From<Change> for Changed {
    fn from(Change { commit, declared, refused: _ }: Change) -> Self {
        Self { commit, declared }
    }
}

impl Member {
    /// A device whose user has linked it.
    pub fn linked(
        realm: RealmId,
        user: UserId,
        device: DeviceId,
        device_seed: &Secret,
        identity_seed: &Secret,
    ) -> Outcome<Self> {
        Ok(Self(Own::linked(realm, user, device, device_seed, identity_seed)?))
    }

    /// As the node names it.
    pub fn entry(&self) -> RosterEntry {
        self.0.entry()
    }

    /// What others need to put it in a group, once.
    pub fn key_package(&self, db: &Connection) -> Outcome<KeyPackage> {
        Ok(KeyPackage { entry: self.entry(), body: Mls::new(&self.0, db).key_package(false)? })
    }

    /// Begins a group.
    pub fn begin(&self, db: &Connection, group: [u8; 16], packages: &[KeyPackage]) -> Outcome<Changed> {
        Ok(Mls::new(&self.0, db).begin(GroupId(group), packages, anybody)?.into())
    }

    /// Puts devices in, and takes others out.
    pub fn change(
        &self,
        db: &Connection,
        group: [u8; 16],
        packages: &[KeyPackage],
        removed: &[DeviceId],
    ) -> Outcome<Changed> {
        Ok(Mls::new(&self.0, db).change(GroupId(group), packages, removed, anybody)?.into())
    }

    /// What was changed here last is in force.
    pub fn merge(&self, db: &Connection, group: [u8; 16]) -> Outcome<()> {
        Ok(Mls::new(&self.0, db).merge(GroupId(group))?)
    }

    /// Takes over somebody else's change.
    pub fn follow(&self, db: &Connection, group: [u8; 16], changed: &Changed) -> Outcome<()> {
        Mls::new(&self.0, db).follow(GroupId(group), &changed.commit, &changed.declared, anybody)?;
        Ok(())
    }

    /// How many are in it, each of them verified: the engine does so after each change that it follows.
    pub fn members(&self, db: &Connection, group: [u8; 16]) -> Outcome<usize> {
        Ok(Mls::new(&self.0, db).members(GroupId(group))?.len())
    }

    /// Joins by a Welcome.
    pub fn join(&self, db: &Connection, welcome: &[u8]) -> Outcome<()> {
        Mls::new(&self.0, db).join(welcome, None, anybody)?;
        Ok(())
    }

    /// A message's body for all in the group.
    pub fn seal(
        &self,
        db: &Connection,
        group: [u8; 16],
        message: MessageId,
        conversation: ConversationId,
        body: &[u8],
    ) -> Outcome<Bytes> {
        Ok(Mls::new(&self.0, db).seal(GroupId(group), &header(message, conversation), body)?)
    }

    /// Reads it, once.
    pub fn open(
        &self,
        db: &Connection,
        group: [u8; 16],
        message: MessageId,
        conversation: ConversationId,
        body: &[u8],
    ) -> Outcome<Bytes> {
        Ok(Mls::new(&self.0, db).open(GroupId(group), &header(message, conversation), body)?.content.into())
    }
}

/// A conversation, and the rows in which its messages are kept.
pub struct Thread(ConversationRow);

impl Thread {
    /// The conversation of `own` with `peer`, whoever else is in the group.
    pub fn open(db: &Connection, own: UserId, peer: UserId, protection: Protection) -> Outcome<Self> {
        store::mention_user(db, peer)?;
        let id = direct_conversation(own, peer, protection);
        let head = ConversationHead { id, kind: ConversationKind::Direct, protection, peer: Some(peer) };
        Ok(Self(ConversationRow::ensure(db, &head, chasqui_wire::Timestamp(0))?))
    }

    /// Its id.
    pub fn id(&self) -> ConversationId {
        self.0.id
    }

    /// Keeps a message of this device in the outbox.
    pub fn put_sent(&self, db: &Connection, author: RosterEntry, content: &Content) -> Outcome<i64> {
        let key = self.put(db, author, content, Place::Pending)?;
        if let Some(entry) = OutboxRow::push(db, self.0.key, key, content.created_at, None)? {
            MessageRow::set_pending(db, key, entry)?;
        }
        self.0.key.refresh_last_message(db)?;
        Ok(key.0)
    }

    /// Keeps how a message goes out, in case that it has to go out again.
    pub fn put_flight(db: &Connection, message: i64, group: [u8; 16], body: &[u8]) -> Outcome<()> {
        Ok(FlightRow::put(db, MessageKey(message), GroupId(group), 1, body, None)?)
    }

    /// Keeps a message of somebody else.
    pub fn put_received(&self, db: &Connection, author: RosterEntry, content: &Content, seq: Seq) -> Outcome<()> {
        self.put(db, author, content, Place::At(seq))?;
        self.0.add(db, seq, true)?;
        self.0.key.refresh_last_message(db)?;
        Ok(())
    }

    fn put(&self, db: &Connection, author: RosterEntry, content: &Content, place: Place) -> Outcome<MessageKey> {
        let (incoming, accepted_at) = match place {
            Place::At(_) | Place::Before(_) => (true, Some(content.created_at)),
            Place::Pending => (false, None),
        };
        let new = NewMessage {
            id: content.message,
            place,
            sender: author.user,
            sender_device: author.device,
            incoming,
            kind: MessageKind::Content,
            created_at: content.created_at,
            accepted_at,
            body: content.encode(),
        };
        let key = MessageRow::insert(db, &self.0, &new)?.ok_or(StoreError::Corrupt("a message that was there"))?;
        if let ContentKind::Text(text) = &content.kind {
            IndexChange::add(key, text).apply(db)?;
        }
        Ok(key)
    }
}
