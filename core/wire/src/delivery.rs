//! From node to device: mail, and its acknowledgement.

use bytes::Bytes;
use prost::Message as _;

use crate::parse::{optional, required};
use crate::{
    Absence, Admission, Checkpoint, Commit, ConversationId, ConversationKind, DeviceId, FrameError, Gap, Hole, Limits,
    MessageId, Protection, ReadNotice, Receipt, ReceiptKind, Seq, SeqRanges, Timestamp, UserId, proto::v1, weigh,
};

/// Mail, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deliver {
    /// At most [`Limits::ENTRIES_PER_FRAME`].
    pub entries: Vec<Entry>,
}

/// One piece of mail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Names it in the acknowledgement on this socket.
    pub number: u64,
    /// What it is.
    pub kind: EntryKind,
}

/// What a mailbox holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EntryKind {
    /// A message.
    Envelope(Box<Envelope>),
    /// What became of this user's messages.
    Receipt(Receipt),
    /// Somebody read this user's messages, or this user read on another device.
    Read(Box<ReadNotice>),
    /// Something that can no longer be delivered.
    Gap(Gap),
    /// Messages that were not kept for this device.
    Hole(Hole),
    /// The device was away for too long.
    Absence(Absence),
    /// Another device of this user has answered a message request.
    Admission(Admission),
    /// A kind that this version does not know, or a receipt of one: acknowledged as unreadable.
    Unknown,
}

impl EntryKind {
    /// The bytes under which a node keeps it: those of an entry without a number.
    pub fn encode(&self) -> Bytes {
        Entry { number: 0, kind: self.clone() }.wire().encode_to_vec().into()
    }

    /// Reads back [`Self::encode`].
    ///
    /// # Errors
    /// [`FrameError::Malformed`].
    pub fn decode(bytes: Bytes) -> Result<Self, FrameError> {
        weigh::check(&bytes, weigh::ENTRY)?;
        let entry = v1::Entry::decode(bytes).map_err(|_| FrameError::Malformed("not protobuf"))?;
        Entry::parse(entry).map(|entry| entry.kind)
    }
}

impl Deliver {
    pub(crate) fn parse(frame: v1::Deliver) -> Result<Self, FrameError> {
        if frame.entries.len() > Limits::ENTRIES_PER_FRAME {
            return Err(FrameError::Malformed("too many entries in a deliver"));
        }
        frame.entries.into_iter().map(Entry::parse).collect::<Result<_, _>>().map(|entries| Self { entries })
    }

    pub(crate) fn wire(&self) -> v1::Deliver {
        v1::Deliver { entries: self.entries.iter().map(Entry::wire).collect() }
    }
}

/// Whether this version knows such conversations.
fn is_known(kind: i32, protection: i32) -> bool {
    ConversationKind::from_number(kind).is_some() && Protection::from_number(protection).is_some()
}

impl Entry {
    fn parse(entry: v1::Entry) -> Result<Self, FrameError> {
        let kind = match entry.kind {
            // Of a later version. The rest of the frame is not to blame for it.
            Some(v1::entry::Kind::Envelope(of)) if !is_known(of.kind, of.protection) => EntryKind::Unknown,
            Some(v1::entry::Kind::Gap(of)) if !is_known(of.kind, of.protection) => EntryKind::Unknown,
            Some(v1::entry::Kind::Hole(of)) if !is_known(of.kind, of.protection) => EntryKind::Unknown,
            Some(v1::entry::Kind::Envelope(envelope)) => EntryKind::Envelope(Box::new(Envelope::parse(*envelope)?)),
            Some(v1::entry::Kind::Receipt(receipt)) => match ReceiptKind::from_number(receipt.kind) {
                Some(kind) => EntryKind::Receipt(Receipt::parse(receipt, kind)?),
                None => EntryKind::Unknown,
            },
            Some(v1::entry::Kind::Read(read)) => EntryKind::Read(Box::new(ReadNotice::parse(*read)?)),
            Some(v1::entry::Kind::Gap(gap)) => EntryKind::Gap(Gap::parse(gap)?),
            Some(v1::entry::Kind::Hole(hole)) => EntryKind::Hole(Hole::parse(hole)?),
            Some(v1::entry::Kind::Absence(absence)) => EntryKind::Absence(Absence::parse(&absence)),
            Some(v1::entry::Kind::Admission(admission)) => EntryKind::Admission(Admission::parse(admission)?),
            None => EntryKind::Unknown,
        };
        Ok(Self { number: entry.number, kind })
    }

    fn wire(&self) -> v1::Entry {
        let kind = match &self.kind {
            EntryKind::Envelope(envelope) => Some(v1::entry::Kind::Envelope(Box::new(envelope.wire()))),
            EntryKind::Receipt(receipt) => Some(v1::entry::Kind::Receipt(receipt.wire())),
            EntryKind::Read(read) => Some(v1::entry::Kind::Read(Box::new(read.wire()))),
            EntryKind::Gap(gap) => Some(v1::entry::Kind::Gap(gap.wire())),
            EntryKind::Hole(hole) => Some(v1::entry::Kind::Hole(hole.wire())),
            EntryKind::Absence(absence) => Some(v1::entry::Kind::Absence(absence.wire())),
            EntryKind::Admission(admission) => Some(v1::entry::Kind::Admission(admission.wire())),
            EntryKind::Unknown => None,
        };
        v1::Entry { number: self.number, kind }
    }
}

/// A message as the node carries it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Envelope {
    /// Made by the sending device.
    pub message: MessageId,
    /// Where it belongs.
    pub conversation: ConversationId,
    /// What that is.
    pub kind: ConversationKind,
    /// Who can read it.
    pub protection: Protection,
    /// Who wrote it.
    pub sender_user: UserId,
    /// On which device.
    pub sender_device: DeviceId,
    /// Direct conversations: the other member than the sender.
    pub peer: Option<UserId>,
    /// Where it stands.
    pub seq: Seq,
    /// The node's clock.
    pub accepted_at: Timestamp,
    /// Opaque to the node.
    pub body: Bytes,
    /// May wake a device by push.
    pub urgent: bool,
    /// The message that this one repeats for this device; [`Self::seq`] and [`Self::accepted_at`] are of that.
    pub resend_of: Option<MessageId>,
    /// MLS epoch.
    pub epoch: u64,
    /// A declared change of members.
    pub commit: Option<Commit>,
    /// The body is an MLS Welcome.
    pub welcome: bool,
    /// The addressed user has not accepted yet that the sender writes.
    pub request: bool,
}

impl Envelope {
    pub(crate) fn parse(frame: v1::Envelope) -> Result<Self, FrameError> {
        Ok(Self {
            message: MessageId::from_slice(&frame.message)?,
            conversation: ConversationId::from_slice(&frame.conversation)?,
            kind: ConversationKind::parse(frame.kind)?,
            protection: Protection::parse(frame.protection)?,
            sender_user: UserId::from_slice(&frame.sender_user)?,
            sender_device: DeviceId::from_slice(&frame.sender_device)?,
            peer: optional(&frame.peer, UserId::from_slice)?,
            seq: Seq::parse(frame.seq)?,
            accepted_at: Timestamp(frame.accepted_at),
            body: frame.body,
            urgent: frame.urgent,
            resend_of: optional(&frame.resend_of, MessageId::from_slice)?,
            epoch: frame.epoch,
            commit: frame.commit.map(Commit::parse).transpose()?,
            welcome: frame.welcome,
            request: frame.request,
        })
    }

    pub(crate) fn wire(&self) -> v1::Envelope {
        v1::Envelope {
            message: self.message.wire(),
            conversation: self.conversation.wire(),
            kind: self.kind.number().into(),
            protection: self.protection.number().into(),
            sender_user: self.sender_user.wire(),
            sender_device: self.sender_device.wire(),
            peer: self.peer.map(UserId::wire).unwrap_or_default(),
            seq: self.seq.raw(),
            accepted_at: self.accepted_at.0,
            body: self.body.clone(),
            urgent: self.urgent,
            resend_of: self.resend_of.map(MessageId::wire).unwrap_or_default(),
            epoch: self.epoch,
            commit: self.commit.as_ref().map(Commit::wire),
            welcome: self.welcome,
            request: self.request,
        }
    }
}

/// Names exactly what is dealt with, durably.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ack {
    /// At most [`Limits::ENTRIES_PER_FRAME`].
    pub items: Vec<AckItem>,
    /// Of a [`Hole`] that is the only item: what the device holds of it all the same, by others than its own user.
    pub held: SeqRanges,
}

impl From<Vec<AckItem>> for Ack {
    fn from(items: Vec<AckItem>) -> Self {
        Self { items, held: SeqRanges::default() }
    }
}

/// One entry's acknowledgement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AckItem {
    /// [`Entry::number`].
    pub number: u64,
    /// What the device did with it.
    pub outcome: AckOutcome,
}

/// What a device did with an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum AckOutcome {
    /// It is on the device's disk.
    Stored,
    /// It cannot be read here, and the device recorded that.
    Unreadable,
    /// A gap, hole or absence was noted in the history.
    Noted,
}

impl Ack {
    pub(crate) fn parse(frame: v1::Ack) -> Result<Self, FrameError> {
        if frame.items.len() > Limits::ENTRIES_PER_FRAME {
            return Err(FrameError::Malformed("too many items in an ack"));
        }
        let item = |item: v1::AckItem| {
            let outcome = match item.outcome() {
                v1::AckOutcome::Stored => AckOutcome::Stored,
                v1::AckOutcome::UnreadableHere => AckOutcome::Unreadable,
                v1::AckOutcome::Noted => AckOutcome::Noted,
                v1::AckOutcome::Unspecified => return Err(FrameError::Malformed("unknown ack outcome")),
            };
            Ok(AckItem { number: item.number, outcome })
        };
        let items = frame.items.into_iter().map(item).collect::<Result<_, _>>()?;
        Ok(Self { items, held: SeqRanges::parse(frame.held)? })
    }

    pub(crate) fn wire(&self) -> v1::Ack {
        let item = |item: &AckItem| {
            let outcome = match item.outcome {
                AckOutcome::Stored => v1::AckOutcome::Stored,
                AckOutcome::Unreadable => v1::AckOutcome::UnreadableHere,
                AckOutcome::Noted => v1::AckOutcome::Noted,
            };
            v1::AckItem { number: item.number, outcome: outcome.into() }
        };
        v1::Ack { items: self.items.iter().map(item).collect(), held: self.held.wire() }
    }
}

/// Everything that waited when the socket opened has been delivered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Drained {
    /// How far the node has come.
    pub checkpoint: Checkpoint,
}

impl Drained {
    pub(crate) fn parse(frame: v1::Drained) -> Result<Self, FrameError> {
        let checkpoint = Checkpoint::parse(required(frame.checkpoint, "drained.checkpoint is missing")?)?;
        Ok(Self { checkpoint })
    }

    pub(crate) fn wire(&self) -> v1::Drained {
        v1::Drained { checkpoint: Some(self.checkpoint.wire()) }
    }
}
