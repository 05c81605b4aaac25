//! Any well-formed value of the socket protocol, with every field.

use bytes::Bytes;
use chasqui_wire::{
    Absence, Accepted, Ack, AckItem, AckOutcome, Admission, Admit, ArchivePage, ArchivedConversation, ArchivedDelivery,
    ArchivedMessage, ArchivedMissing, ArchivedUser, Challenge, Checkpoint, Claim, Claimed, ClientFrame, Commit,
    Comparison, Content, ContentKind, ConversationId, ConversationKind, Deliver, DeviceId, Drained, Entry, EntryKind,
    Envelope, Era, ErrorCode, Gap, GapReason, Goodbye, GoodbyeReason, Hello, HistoryNext, HistoryPiece, HistoryRequest,
    Hole, HoleReason, KeyPackage, KeyPackages, KeyPackagesLeft, Limits, Linking, LinkingStep, MessageId, NodeFrame,
    Ping, Pong, Previous, Progress, Protection, Read, ReadNotice, RealmId, Receipt, ReceiptKind, Rejected, RosterEntry,
    Send, Seq, SeqRange, SeqRanges, Signal, SignalBody, SignalKind, StorageClass, Timestamp, Unsupported, UserId,
    Verdict, Welcome,
};
use proptest::array::{uniform16, uniform32};
use proptest::collection::vec;
use proptest::option::of as maybe;
use proptest::prelude::*;
use proptest::sample::select;

pub(crate) fn client_frame() -> impl Strategy<Value = ClientFrame> {
    prop_oneof![
        hello().prop_map(ClientFrame::Hello),
        send().prop_map(|send| ClientFrame::Send(Box::new(send))),
        read().prop_map(ClientFrame::Read),
        ack().prop_map(ClientFrame::Ack),
        signal().prop_map(ClientFrame::Signal),
        any::<u64>().prop_map(|nonce| ClientFrame::Ping(Ping { nonce })),
        admit().prop_map(ClientFrame::Admit),
        key_packages().prop_map(ClientFrame::KeyPackages),
        claim().prop_map(ClientFrame::Claim),
    ]
}

pub(crate) fn node_frame() -> impl Strategy<Value = NodeFrame> {
    prop_oneof![
        challenge().prop_map(NodeFrame::Challenge),
        welcome().prop_map(NodeFrame::Welcome),
        accepted().prop_map(NodeFrame::Accepted),
        rejected().prop_map(NodeFrame::Rejected),
        vec(entry(), 0..6).prop_map(|entries| NodeFrame::Deliver(Deliver { entries })),
        checkpoint().prop_map(|checkpoint| NodeFrame::Drained(Drained { checkpoint })),
        signal().prop_map(NodeFrame::Signal),
        pong().prop_map(NodeFrame::Pong),
        text().prop_map(|detail| NodeFrame::Unsupported(Unsupported { detail })),
        goodbye().prop_map(NodeFrame::Goodbye),
        claimed().prop_map(NodeFrame::Claimed),
    ]
}

pub(crate) fn content() -> impl Strategy<Value = Content> {
    let request = vec(message(), 0..=Content::RESENT_MAX).prop_map(ContentKind::ResendRequest);
    let step = prop_oneof![
        uniform32(any::<u8>()).prop_map(LinkingStep::Offer),
        uniform32(any::<u8>()).prop_map(LinkingStep::Reveal),
        vec(any::<u8>(), 0..100).prop_map(|sealed| LinkingStep::Grant(sealed.into())),
        Just(LinkingStep::Refusal),
        Just(LinkingStep::Unknown),
    ];
    let linking =
        (uniform32(any::<u8>()), step).prop_map(|(attempt, step)| ContentKind::Linking(Linking { attempt, step }));
    let text = ".{0,200}".prop_map(ContentKind::Text);
    let history = (vec(any::<u8>(), 0..20), any::<u32>());
    let history = history
        .prop_map(|(cursor, attempt)| ContentKind::HistoryRequest(HistoryRequest { cursor: cursor.into(), attempt }));
    let next = (vec(any::<u8>(), 0..20), 0..=1000u32);
    let next = maybe(next.prop_map(|(cursor, per_mille)| HistoryNext { cursor: cursor.into(), per_mille }));
    let piece = (vec(any::<u8>(), 0..20), any::<u32>(), archive_page(), next, any::<bool>());
    let piece = piece.prop_map(|(cursor, number, page, next, ends_answer)| {
        ContentKind::HistoryPiece(HistoryPiece {
            cursor: cursor.into(),
            number,
            bytes: page.encode().into(),
            next,
            ends_answer,
        })
    });
    let comparison = comparison().prop_map(ContentKind::Comparison);
    let kind = prop_oneof![text, request, linking, history, piece, comparison, Just(ContentKind::Unknown)];
    let previous = (message(), uniform16(any::<u8>()), any::<u64>());
    let previous = previous.prop_map(|(message, group, epoch)| Previous { message, group, epoch });
    let previous = vec(previous, 0..=Previous::MAX);
    let content = (message(), timestamp(), kind, previous);
    content.prop_map(|(message, created_at, kind, previous)| Content { message, created_at, kind, previous })
}

fn comparison() -> impl Strategy<Value = Comparison> {
    let comparison = (user(), key(), any::<bool>(), timestamp());
    comparison.prop_map(|(user, identity_key, verified, at)| Comparison { user, identity_key, verified, at })
}

pub(crate) fn archive_page() -> impl Strategy<Value = ArchivePage> {
    let time = || maybe((1..i64::MAX).prop_map(Timestamp));
    let archived = (user(), maybe(".{1,20}"), maybe(key()), any::<bool>(), any::<u32>(), time(), time());
    let archived = archived.prop_map(|(user, name, identity_key, deleted, trust, identity_changed_at, compared_at)| {
        ArchivedUser { user, name, identity_key, deleted, trust, identity_changed_at, compared_at }
    });
    let conversation = (conversation(), protection(), maybe(user()), maybe(seq()), any::<bool>(), timestamp());
    let conversation =
        conversation.prop_map(|(conversation, protection, peer, read_up_to, flag, activity)| ArchivedConversation {
            conversation,
            kind: ConversationKind::Direct,
            protection,
            peer,
            read_up_to,
            is_request: flag,
            hidden: !flag,
            activity,
        });
    let delivery = (user(), any::<u32>(), any::<i32>(), time(), time());
    let delivery = delivery.prop_map(|(user, rank, reason, received_at, read_at)| ArchivedDelivery {
        user,
        rank,
        reason,
        received_at,
        read_at,
    });
    let ids = (self::conversation(), message(), user(), device());
    let message = (ids, maybe(seq()), timestamp(), time(), body(), vec(delivery, 0..3));
    let message = message.prop_map(|(ids, seq, created_at, accepted_at, body, deliveries)| {
        let (conversation, message, sender, sender_device) = ids;
        ArchivedMessage { conversation, message, seq, sender, sender_device, created_at, accepted_at, body, deliveries }
    });
    let missing = (self::conversation(), range(), maybe(hole_reason()), user(), timestamp());
    let missing = missing.prop_map(|(conversation, range, reason, sender, at)| ArchivedMissing {
        conversation,
        range,
        reason,
        sender,
        at,
    });
    let parts = (vec(archived, 0..3), vec(conversation, 0..3), vec(message, 0..3), vec(missing, 0..3));
    (parts, vec(comparison(), 0..3)).prop_map(|((users, conversations, messages, missing), comparisons)| ArchivePage {
        users,
        conversations,
        messages,
        missing,
        comparisons,
    })
}

// ---- handshake

fn challenge() -> impl Strategy<Value = Challenge> {
    (key(), realm(), any::<u32>(), any::<u32>()).prop_map(|(nonce, realm, version_min, version_max)| Challenge {
        nonce,
        realm,
        version_min,
        version_max,
    })
}

fn hello() -> impl Strategy<Value = Hello> {
    let (windows, progress) = (any::<(u32, u32)>(), any::<(u64, u64, u64)>());
    (any::<u32>(), realm(), device(), signature(), windows, maybe(checkpoint()), agent(), progress).prop_map(
        |(version, realm, device, signature, windows, checkpoint, agent, (connections, stored_up_to, sent))| Hello {
            version,
            realm,
            device,
            signature,
            window_entries: windows.0,
            window_bytes: windows.1,
            checkpoint,
            agent,
            progress: Progress { connections, stored_up_to, sent },
        },
    )
}

fn checkpoint() -> impl Strategy<Value = Checkpoint> {
    (any::<u32>(), any::<u64>(), any::<[u8; 8]>(), key()).prop_map(|(era, revision, opening, seal)| Checkpoint {
        era,
        revision,
        opening,
        seal,
    })
}

fn limits() -> impl Strategy<Value = Limits> {
    let frame_bytes = Limits::FRAME_BYTES_MIN..=Limits::FRAME_BYTES_MAX;
    let sizes = frame_bytes.prop_flat_map(|frame_bytes| (1..frame_bytes, Just(frame_bytes)));
    let rest = (any::<u32>(), any::<u32>(), any::<u64>(), any::<u32>(), any::<u32>());
    (sizes, 1..=u32::MAX, 1..=u32::MAX, 1_000..=u32::MAX, rest).prop_map(
        |((body_bytes, frame_bytes), sends_in_flight, window_entries, silence_ms, rest)| Limits {
            body_bytes,
            frame_bytes,
            sends_in_flight,
            window_entries,
            window_bytes: rest.0,
            silence_ms,
            mailbox_entries: rest.1,
            mailbox_bytes: rest.2,
            sends_per_minute: rest.3,
            ttl_seconds_max: rest.4,
        },
    )
}

fn welcome() -> impl Strategy<Value = Welcome> {
    let era = any::<(u32, u64)>().prop_map(|(number, began_at_revision)| Era { number, began_at_revision });
    let token = (text(), timestamp());
    (user(), limits(), checkpoint(), vec(era, 0..5), timestamp(), token, maybe(left()), maybe(key())).prop_map(
        |(user, limits, checkpoint, eras, time, (http_token, http_token_expires_at), key_packages, identity_key)| {
            Welcome {
                user,
                limits,
                checkpoint,
                eras,
                time,
                http_token: http_token.into(),
                http_token_expires_at,
                key_packages,
                identity_key,
            }
        },
    )
}

fn goodbye() -> impl Strategy<Value = Goodbye> {
    use GoodbyeReason::*;
    const REASONS: &[GoodbyeReason] = &[
        Unspecified,
        ShuttingDown,
        Displaced,
        Unauthorised,
        Revoked,
        IncompatibleVersion,
        WrongRealm,
        ProtocolError,
        FrameTooLarge,
        TimedOut,
        Overloaded,
        NodeFailure,
        NewEra,
        Copied,
    ];
    (select(REASONS), text(), any::<u32>()).prop_map(|(reason, detail, retry_after_ms)| Goodbye {
        reason,
        detail,
        retry_after_ms,
    })
}

// ---- sending

fn send() -> impl Strategy<Value = Send> {
    let what = (message(), conversation(), kind(), protection(), maybe(user()), body());
    let storage = select([StorageClass::Durable, StorageClass::Transient, StorageClass::Ephemeral].as_slice());
    let how = (storage, any::<bool>(), any::<u32>(), any::<bool>());
    let repeats = (maybe(seq()), maybe(message()), maybe(device()), maybe(seq()));
    (what, how, repeats, any::<(u64, bool)>(), maybe(commit())).prop_map(|(what, how, repeats, roster, commit)| Send {
        message: what.0,
        conversation: what.1,
        kind: what.2,
        protection: what.3,
        peer: what.4,
        body: what.5,
        storage: how.0,
        urgent: how.1,
        ttl_seconds: how.2,
        restart: how.3,
        reclaim_seq: repeats.0,
        after_seq: repeats.3,
        resend_of: repeats.1,
        only_device: repeats.2,
        epoch: roster.0,
        commit,
        roster_checked: roster.1,
    })
}

pub(crate) fn commit() -> impl Strategy<Value = Commit> {
    (key(), roster(), roster(), any::<bool>(), body()).prop_map(|(hash, added, removed, begins, welcome)| Commit {
        hash,
        added,
        removed,
        begins,
        welcome,
    })
}

fn roster_entry() -> impl Strategy<Value = RosterEntry> {
    (user(), device()).prop_map(|(user, device)| RosterEntry { user, device })
}

fn roster() -> impl Strategy<Value = Vec<RosterEntry>> {
    vec(roster_entry(), 0..4)
}

// ---- encryption

fn left() -> impl Strategy<Value = KeyPackagesLeft> {
    any::<(u32, bool)>().prop_map(|(one_time, last_resort)| KeyPackagesLeft { one_time, last_resort })
}

fn package() -> impl Strategy<Value = Bytes> {
    vec(any::<u8>(), 1..300).prop_map(Bytes::from)
}

fn key_packages() -> impl Strategy<Value = KeyPackages> {
    (message(), signature(), vec(package(), 0..4), maybe(package()), any::<bool>())
        .prop_map(|(id, link, one_time, last_resort, replace)| KeyPackages { id, link, one_time, last_resort, replace })
}

fn claim() -> impl Strategy<Value = Claim> {
    (message(), conversation(), kind(), protection(), maybe(user()), any::<bool>()).prop_map(
        |(id, conversation, kind, protection, peer, anew)| Claim { id, conversation, kind, protection, peer, anew },
    )
}

fn claimed() -> impl Strategy<Value = Claimed> {
    let packages = vec((roster_entry(), body()).prop_map(|(entry, body)| KeyPackage { entry, body }), 0..4);
    (message(), any::<u64>(), roster(), roster(), packages).prop_map(|(id, epoch, roster, gone, packages)| Claimed {
        id,
        epoch,
        roster,
        gone,
        packages,
    })
}

fn pong() -> impl Strategy<Value = Pong> {
    (any::<u64>(), timestamp(), maybe(checkpoint()), maybe(left()))
        .prop_map(|(nonce, time, checkpoint, key_packages)| Pong { nonce, time, checkpoint, key_packages })
}

fn accepted() -> impl Strategy<Value = Accepted> {
    (message(), maybe(seq()), timestamp(), any::<u64>()).prop_map(|(message, seq, at, revision)| Accepted {
        message,
        seq,
        at,
        revision,
    })
}

fn rejected() -> impl Strategy<Value = Rejected> {
    let code = prop_oneof![select(ErrorCode::ALL), any::<u32>().prop_map(ErrorCode::from_number)];
    (message(), code, text(), any::<u32>()).prop_map(|(message, code, detail, retry_after_ms)| Rejected {
        message,
        code,
        detail,
        retry_after_ms,
    })
}

fn read() -> impl Strategy<Value = Read> {
    (message(), conversation(), seq(), ranges(), vec(user(), 0..4), timestamp(), signature()).prop_map(
        |(id, conversation, up_to, ranges, authors, at, signature)| Read {
            id,
            conversation,
            up_to,
            ranges,
            authors,
            at,
            signature,
        },
    )
}

fn verdict() -> impl Strategy<Value = Verdict> {
    select([Verdict::Accept, Verdict::Decline, Verdict::Block].as_slice())
}

fn admit() -> impl Strategy<Value = Admit> {
    (message(), user(), protection(), verdict(), maybe(seq()))
        .prop_map(|(id, peer, protection, verdict, up_to)| Admit { id, peer, protection, verdict, up_to })
}

// ---- delivery

pub(crate) fn entry() -> impl Strategy<Value = Entry> {
    let kind = prop_oneof![
        envelope().prop_map(|envelope| EntryKind::Envelope(Box::new(envelope))),
        receipt().prop_map(EntryKind::Receipt),
        (user(), device(), key(), read()).prop_map(|(user, device, device_key, read)| {
            EntryKind::Read(Box::new(ReadNotice { user, device, device_key, read }))
        }),
        gap().prop_map(EntryKind::Gap),
        hole().prop_map(EntryKind::Hole),
        timestamp().prop_map(|since| EntryKind::Absence(Absence { since })),
        (conversation(), verdict(), maybe(seq()), timestamp()).prop_map(|(conversation, verdict, up_to, at)| {
            EntryKind::Admission(Admission { conversation, verdict, up_to, at })
        }),
        Just(EntryKind::Unknown),
    ];
    (any::<u64>(), kind).prop_map(|(number, kind)| Entry { number, kind })
}

fn envelope() -> impl Strategy<Value = Envelope> {
    let what = (message(), conversation(), kind(), protection(), user(), device(), maybe(user()));
    let rest = (any::<bool>(), maybe(message()), any::<u64>(), maybe(commit()), any::<bool>(), any::<bool>());
    (what, seq(), timestamp(), body(), rest).prop_map(|(what, seq, accepted_at, body, rest)| Envelope {
        message: what.0,
        conversation: what.1,
        kind: what.2,
        protection: what.3,
        sender_user: what.4,
        sender_device: what.5,
        peer: what.6,
        seq,
        accepted_at,
        body,
        urgent: rest.0,
        resend_of: rest.1,
        epoch: rest.2,
        commit: rest.3,
        welcome: rest.4,
        request: rest.5,
    })
}

fn receipt() -> impl Strategy<Value = Receipt> {
    use ReceiptKind::*;
    let kind = select([Received, Expired, Unreadable, DeviceGone].as_slice());
    (conversation(), user(), kind, ranges(), timestamp()).prop_map(|(conversation, user, kind, ranges, at)| Receipt {
        conversation,
        user,
        kind,
        ranges,
        at,
    })
}

fn gap() -> impl Strategy<Value = Gap> {
    let reason = select([GapReason::Expired, GapReason::Other].as_slice());
    (conversation(), seq(), reason, kind(), protection(), user(), maybe(user()), timestamp()).prop_map(
        |(conversation, seq, reason, kind, protection, sender_user, peer, at)| Gap {
            conversation,
            seq,
            reason,
            kind,
            protection,
            sender_user,
            peer,
            at,
        },
    )
}

fn hole_reason() -> impl Strategy<Value = HoleReason> {
    select([HoleReason::MailboxFull, HoleReason::Absent, HoleReason::Other].as_slice())
}

fn range() -> impl Strategy<Value = SeqRange> {
    (0..3u32, 1..60u64, 0..5u64).prop_map(|(era, first, more)| {
        let seq = |number| Seq::new(era, number).expect("in bounds");
        SeqRange::new(seq(first), seq(first + more)).expect("upwards")
    })
}

fn hole() -> impl Strategy<Value = Hole> {
    (conversation(), kind(), protection(), maybe(user()), range(), hole_reason(), timestamp()).prop_map(
        |(conversation, kind, protection, peer, range, reason, since)| Hole {
            conversation,
            kind,
            protection,
            peer,
            range,
            reason,
            since,
        },
    )
}

fn ack() -> impl Strategy<Value = Ack> {
    use AckOutcome::*;
    let outcome = select([Stored, Unreadable, Noted].as_slice());
    let items = vec((any::<u64>(), outcome).prop_map(|(number, outcome)| AckItem { number, outcome }), 0..20);
    (items, ranges()).prop_map(|(items, held)| Ack { items, held })
}

fn signal() -> impl Strategy<Value = Signal> {
    let body = prop_oneof![body(), Just(Bytes::from(vec![7; Signal::BODY_MAX]))];
    (conversation(), maybe((user(), device())), body, any::<u64>())
        .prop_map(|(conversation, sender, body, epoch)| Signal { conversation, sender, body, epoch })
}

pub(crate) fn signal_body() -> impl Strategy<Value = SignalBody> {
    let kind = select([SignalKind::Typing, SignalKind::Stopped, SignalKind::Unknown].as_slice());
    (timestamp(), kind).prop_map(|(at, kind)| SignalBody { at, kind })
}

// ---- fields

pub(crate) fn realm() -> impl Strategy<Value = RealmId> {
    uniform16(any::<u8>()).prop_map(RealmId::from_bytes)
}

pub(crate) fn user() -> impl Strategy<Value = UserId> {
    uniform16(any::<u8>()).prop_map(UserId::from_bytes)
}

pub(crate) fn device() -> impl Strategy<Value = DeviceId> {
    uniform16(any::<u8>()).prop_map(DeviceId::from_bytes)
}

fn conversation() -> impl Strategy<Value = ConversationId> {
    uniform16(any::<u8>()).prop_map(ConversationId::from_bytes)
}

fn message() -> impl Strategy<Value = MessageId> {
    uniform16(any::<u8>()).prop_map(MessageId::from_bytes)
}

fn kind() -> impl Strategy<Value = ConversationKind> {
    select([ConversationKind::Direct, ConversationKind::Group, ConversationKind::Channel].as_slice())
}

fn protection() -> impl Strategy<Value = Protection> {
    select([Protection::NodeReadable, Protection::EndToEnd].as_slice())
}

pub(crate) fn seq() -> impl Strategy<Value = Seq> {
    let number = prop_oneof![1..100u64, 1..=Seq::NUMBER_MAX, Just(Seq::NUMBER_MAX)];
    (0..=Seq::ERA_MAX, number).prop_map(|(era, number)| Seq::new(era, number).expect("in bounds"))
}

/// Runs of different lengths, some of them adjacent or overlapping before they are coalesced.
pub(crate) fn ranges() -> impl Strategy<Value = SeqRanges> {
    vec((0..3u32, 1..60u64, 1..5u64), 0..12).prop_map(|runs| {
        let run = |(era, first, length)| (first..first + length).filter_map(move |number| Seq::new(era, number));
        SeqRanges::of(runs.into_iter().flat_map(run))
    })
}

pub(crate) fn timestamp() -> impl Strategy<Value = Timestamp> {
    any::<i64>().prop_map(Timestamp)
}

pub(crate) fn key() -> impl Strategy<Value = [u8; 32]> {
    uniform32(any::<u8>())
}

pub(crate) fn signature() -> impl Strategy<Value = [u8; 64]> {
    (key(), key()).prop_map(|(left, right)| {
        let mut both = [0; 64];
        both[..32].copy_from_slice(&left);
        both[32..].copy_from_slice(&right);
        both
    })
}

fn body() -> impl Strategy<Value = Bytes> {
    vec(any::<u8>(), 0..40).prop_map(Bytes::from)
}

/// At most 64 bytes: longer ones are cut.
fn agent() -> impl Strategy<Value = String> {
    "\\PC{0,16}"
}

/// At most 256 bytes: longer ones are cut.
pub(crate) fn text() -> impl Strategy<Value = String> {
    "\\PC{0,64}"
}
