//! A history as a device gives it to another one of its user, or puts it into a backup. Formats: `content.proto`.
//!
//! What comes here was sealed by a device of the user, so a page is refused as a whole when anything in it is malformed.

use bytes::Bytes;
use prost::Message as _;

use crate::proto::content as v1;
use crate::{
    Comparison, ContentError, ConversationId, ConversationKind, DeviceId, FrameError, HoleReason, MessageId,
    Protection, Seq, SeqRange, Timestamp, UserId,
};

/// A part of a history. What it names, pages before it, or its own lists above, have introduced.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ArchivePage {
    /// People.
    pub users: Vec<ArchivedUser>,
    /// Conversations.
    pub conversations: Vec<ArchivedConversation>,
    /// Messages, newest first.
    pub messages: Vec<ArchivedMessage>,
    /// What is not there.
    pub missing: Vec<ArchivedMissing>,
    /// On the last page: what people last made of others' identities.
    pub comparisons: Vec<Comparison>,
}

/// Somebody.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ArchivedUser {
    /// Who.
    pub user: UserId,
    /// If it is known.
    pub name: Option<String>,
    /// Ed25519, if it is known.
    pub identity_key: Option<[u8; 32]>,
    /// The account was deleted.
    pub deleted: bool,
    /// Whether people have compared the key: 0 no, 1 yes, 2 it was, and is another one now.
    pub trust: u32,
    /// When the key took the place of another one, as the device knows it.
    pub identity_changed_at: Option<Timestamp>,
    /// When people last said what they make of the key, by the node's clock.
    pub compared_at: Option<Timestamp>,
}

/// A conversation, without what is said in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ArchivedConversation {
    /// Which.
    pub conversation: ConversationId,
    /// Direct, group or channel.
    pub kind: ConversationKind,
    /// Who can read it.
    pub protection: Protection,
    /// Direct conversations: the other user.
    pub peer: Option<UserId>,
    /// Everything up to here is read.
    pub read_up_to: Option<Seq>,
    /// A stranger's, to be answered.
    pub is_request: bool,
    /// In no list.
    pub hidden: bool,
    /// Order of the list.
    pub activity: Timestamp,
}

/// A message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ArchivedMessage {
    /// Where.
    pub conversation: ConversationId,
    /// Which.
    pub message: MessageId,
    /// `None`: the node never took it.
    pub seq: Option<Seq>,
    /// Who.
    pub sender: UserId,
    /// By which device.
    pub sender_device: DeviceId,
    /// The author's clock.
    pub created_at: Timestamp,
    /// The node's clock.
    pub accepted_at: Option<Timestamp>,
    /// A [`crate::Content`], as it came; empty: it could not be read.
    pub body: Bytes,
    /// Own messages: what became of them.
    pub deliveries: Vec<ArchivedDelivery>,
}

/// Positions at which nothing is, although something was said there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ArchivedMissing {
    /// Where.
    pub conversation: ConversationId,
    /// Which.
    pub range: SeqRange,
    /// Why; `None`: a message that expired.
    pub reason: Option<HoleReason>,
    /// Whose it may have been.
    pub sender: UserId,
    /// When it expired, or since when that is so, by the node's clock.
    pub at: Timestamp,
}

/// What became of an own message with one recipient.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ArchivedDelivery {
    /// Who.
    pub user: UserId,
    /// 1 undelivered, 2 received, 3 read; others are of later versions.
    pub rank: u32,
    /// Why undelivered: the number of a receipt that says so; 0 = none.
    pub reason: i32,
    /// The node's clock.
    pub received_at: Option<Timestamp>,
    /// The reader's clock.
    pub read_at: Option<Timestamp>,
}

/// What a backup begins with. Never logged.
#[derive(Clone, PartialEq, Eq)]
pub struct BackupHead {
    /// Whose history it is.
    pub user: UserId,
    /// As registered.
    pub name: String,
    /// Ed25519; `None` of a device that was not linked.
    pub identity_seed: Option<[u8; 32]>,
    /// The device's clock.
    pub created_at: Timestamp,
}

impl std::fmt::Debug for BackupHead {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BackupHead").field("user", &self.user).finish_non_exhaustive()
    }
}

/// A device asks another one of its user for its history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HistoryRequest {
    /// Where to go on; empty = from the beginning.
    pub cursor: Bytes,
    /// The how manieth of this cursor.
    pub attempt: u32,
}

/// A piece of the answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HistoryPiece {
    /// That was asked for.
    pub cursor: Bytes,
    /// Counts the pieces of an answer, from 0.
    pub number: u32,
    /// Of an [`ArchivePage`].
    pub bytes: Bytes,
    /// Where to go on after the page that it ends; `None` = the page has more pieces.
    pub next: Option<HistoryNext>,
    /// Whether it is the last one of the answer.
    pub ends_answer: bool,
}

/// What comes after a page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HistoryNext {
    /// To be asked for; empty = nothing.
    pub cursor: Bytes,
    /// How much of the history was given so far, of 1,000.
    pub per_mille: u32,
}

impl ArchivePage {
    /// Reads a page.
    ///
    /// # Errors
    /// [`ContentError`] when the bytes are no page.
    pub fn decode(bytes: Bytes) -> Result<Self, ContentError> {
        Self::parse(v1::ArchivePage::decode(bytes).map_err(|_| ContentError("not protobuf"))?)
    }

    /// To be sealed.
    pub fn encode(&self) -> Vec<u8> {
        self.wire().encode_to_vec()
    }

    fn parse(page: v1::ArchivePage) -> Result<Self, ContentError> {
        let users = page.users.into_iter().map(ArchivedUser::parse);
        let conversations = page.conversations.into_iter().map(ArchivedConversation::parse);
        let messages = page.messages.into_iter().map(ArchivedMessage::parse);
        let missing = page.missing.into_iter().map(|it| ArchivedMissing::parse(&it));
        let comparisons = page.comparisons.iter().map(Comparison::parse);
        Ok(Self {
            users: users.collect::<Result<_, _>>()?,
            conversations: conversations.collect::<Result<_, _>>()?,
            messages: messages.collect::<Result<_, _>>()?,
            missing: missing.collect::<Result<_, _>>()?,
            comparisons: comparisons.collect::<Result<_, _>>()?,
        })
    }

    fn wire(&self) -> v1::ArchivePage {
        v1::ArchivePage {
            users: self.users.iter().map(ArchivedUser::wire).collect(),
            conversations: self.conversations.iter().map(ArchivedConversation::wire).collect(),
            messages: self.messages.iter().map(ArchivedMessage::wire).collect(),
            missing: self.missing.iter().map(ArchivedMissing::wire).collect(),
            comparisons: self.comparisons.iter().map(Comparison::wire).collect(),
        }
    }
}

impl ArchivedUser {
    fn parse(user: v1::ArchivedUser) -> Result<Self, ContentError> {
        Ok(Self {
            user: UserId::from_slice(&user.user).map_err(no_id)?,
            name: Some(user.name).filter(|name| !name.is_empty()),
            identity_key: key(&user.identity_key)?,
            deleted: user.deleted,
            trust: user.trust,
            identity_changed_at: time(user.identity_changed_at),
            compared_at: time(user.compared_at),
        })
    }

    fn wire(&self) -> v1::ArchivedUser {
        v1::ArchivedUser {
            user: self.user.wire(),
            name: self.name.clone().unwrap_or_default(),
            identity_key: self.identity_key.map(|key| Bytes::copy_from_slice(&key)).unwrap_or_default(),
            deleted: self.deleted,
            trust: self.trust,
            identity_changed_at: self.identity_changed_at.map_or(0, |at| at.0),
            compared_at: self.compared_at.map_or(0, |at| at.0),
        }
    }
}

impl ArchivedConversation {
    fn parse(it: v1::ArchivedConversation) -> Result<Self, ContentError> {
        let number = |number: u32| i32::try_from(number).ok();
        let kind = number(it.kind).and_then(ConversationKind::from_number);
        let protection = number(it.protection).and_then(Protection::from_number);
        let peer = (!it.peer.is_empty()).then(|| UserId::from_slice(&it.peer)).transpose();
        Ok(Self {
            conversation: ConversationId::from_slice(&it.conversation).map_err(no_id)?,
            kind: kind.ok_or(ContentError("no kind of conversation"))?,
            protection: protection.ok_or(ContentError("no kind of protection"))?,
            peer: peer.map_err(no_id)?,
            read_up_to: Seq::from_raw(it.read_up_to),
            is_request: it.is_request,
            hidden: it.hidden,
            activity: Timestamp(it.activity),
        })
    }

    fn wire(&self) -> v1::ArchivedConversation {
        v1::ArchivedConversation {
            conversation: self.conversation.wire(),
            kind: self.kind.number().into(),
            protection: self.protection.number().into(),
            peer: self.peer.map(UserId::wire).unwrap_or_default(),
            read_up_to: self.read_up_to.map_or(0, Seq::raw),
            is_request: self.is_request,
            hidden: self.hidden,
            activity: self.activity.0,
        }
    }
}

impl ArchivedMessage {
    fn parse(it: v1::ArchivedMessage) -> Result<Self, ContentError> {
        let delivery = |it: v1::ArchivedDelivery| {
            Ok(ArchivedDelivery {
                user: UserId::from_slice(&it.user).map_err(no_id)?,
                rank: it.rank,
                reason: it.reason,
                received_at: time(it.received_at),
                read_at: time(it.read_at),
            })
        };
        let seq = Seq::from_raw(it.seq);
        if it.seq != 0 && seq.is_none() {
            return Err(ContentError("no position"));
        }
        Ok(Self {
            conversation: ConversationId::from_slice(&it.conversation).map_err(no_id)?,
            message: MessageId::from_slice(&it.message).map_err(no_id)?,
            seq,
            sender: UserId::from_slice(&it.sender).map_err(no_id)?,
            sender_device: DeviceId::from_slice(&it.sender_device).map_err(no_id)?,
            created_at: Timestamp(it.created_at),
            accepted_at: time(it.accepted_at),
            body: it.body,
            deliveries: it.deliveries.into_iter().map(delivery).collect::<Result<_, ContentError>>()?,
        })
    }

    fn wire(&self) -> v1::ArchivedMessage {
        let delivery = |it: &ArchivedDelivery| v1::ArchivedDelivery {
            user: it.user.wire(),
            rank: it.rank,
            reason: it.reason,
            received_at: it.received_at.map_or(0, |at| at.0),
            read_at: it.read_at.map_or(0, |at| at.0),
        };
        v1::ArchivedMessage {
            conversation: self.conversation.wire(),
            message: self.message.wire(),
            seq: self.seq.map_or(0, Seq::raw),
            sender: self.sender.wire(),
            sender_device: self.sender_device.wire(),
            created_at: self.created_at.0,
            accepted_at: self.accepted_at.map_or(0, |at| at.0),
            body: self.body.clone(),
            deliveries: self.deliveries.iter().map(delivery).collect(),
        }
    }
}

impl ArchivedMissing {
    fn parse(it: &v1::ArchivedMissing) -> Result<Self, ContentError> {
        let ends = Seq::from_raw(it.first).zip(Seq::from_raw(it.last));
        Ok(Self {
            conversation: ConversationId::from_slice(&it.conversation).map_err(no_id)?,
            range: ends.and_then(|(first, last)| SeqRange::new(first, last)).ok_or(ContentError("no positions"))?,
            reason: it.reason.map(|number| HoleReason::from_number(i32::try_from(number).unwrap_or(0))),
            sender: UserId::from_slice(&it.sender).map_err(no_id)?,
            at: Timestamp(it.at),
        })
    }

    fn wire(&self) -> v1::ArchivedMissing {
        v1::ArchivedMissing {
            conversation: self.conversation.wire(),
            first: self.range.first().raw(),
            last: self.range.last().raw(),
            reason: self.reason.map(|reason| reason.number().into()),
            sender: self.sender.wire(),
            at: self.at.0,
        }
    }
}

impl BackupHead {
    /// Reads what was sealed.
    ///
    /// # Errors
    /// [`ContentError`] when the bytes are no head.
    pub fn decode(bytes: &[u8]) -> Result<Self, ContentError> {
        let head = v1::BackupHead::decode(bytes).map_err(|_| ContentError("not protobuf"))?;
        Ok(Self {
            user: UserId::from_slice(&head.user).map_err(no_id)?,
            name: head.name,
            identity_seed: key(&head.identity_seed)?,
            created_at: Timestamp(head.created_at),
        })
    }

    /// To be sealed.
    pub fn encode(&self) -> Vec<u8> {
        let head = v1::BackupHead {
            user: self.user.wire(),
            name: self.name.clone(),
            identity_seed: self.identity_seed.map(|seed| Bytes::copy_from_slice(&seed)).unwrap_or_default(),
            created_at: self.created_at.0,
        };
        head.encode_to_vec()
    }
}

impl HistoryRequest {
    pub(crate) fn parse(request: v1::HistoryRequest) -> Self {
        Self { cursor: request.cursor, attempt: request.attempt }
    }

    pub(crate) fn wire(&self) -> v1::HistoryRequest {
        v1::HistoryRequest { cursor: self.cursor.clone(), attempt: self.attempt }
    }
}

impl HistoryPiece {
    pub(crate) fn parse(piece: v1::HistoryPiece) -> Self {
        let next = |next: v1::HistoryNext| HistoryNext { cursor: next.cursor, per_mille: next.per_mille.min(1000) };
        Self {
            cursor: piece.cursor,
            number: piece.number,
            bytes: piece.bytes,
            next: piece.next.map(next),
            ends_answer: piece.ends_answer,
        }
    }

    pub(crate) fn wire(&self) -> v1::HistoryPiece {
        let next = |next: &HistoryNext| v1::HistoryNext { cursor: next.cursor.clone(), per_mille: next.per_mille };
        v1::HistoryPiece {
            cursor: self.cursor.clone(),
            number: self.number,
            bytes: self.bytes.clone(),
            next: self.next.as_ref().map(next),
            ends_answer: self.ends_answer,
        }
    }
}

fn no_id(_: FrameError) -> ContentError {
    ContentError("an id is not 16 bytes")
}

fn key(bytes: &[u8]) -> Result<Option<[u8; 32]>, ContentError> {
    if bytes.is_empty() {
        return Ok(None);
    }
    bytes.try_into().map(Some).map_err(|_| ContentError("a key is not 32 bytes"))
}

/// 0 stands for none.
fn time(at: i64) -> Option<Timestamp> {
    (at != 0).then_some(Timestamp(at))
}
