//! Whatever bytes arrive, decoding does not panic, and refuses what is out of bounds with the right error.
//! How much memory it takes is measured in allocation.rs.

mod raw;
mod strategies;

use bytes::Bytes;
use chasqui_wire::{
    ClientFrame, Commit, Content, ContentError, EntryKind, FrameError, Limits, MessageId, NodeFrame, SignalBody,
};
use proptest::collection::vec;
use proptest::prelude::*;
use raw::{field, number};

fn client(bytes: impl Into<Vec<u8>>) -> Result<ClientFrame, FrameError> {
    ClientFrame::decode(Bytes::from(bytes.into()), &Limits::DEFAULT)
}

fn node(bytes: impl Into<Vec<u8>>) -> Result<NodeFrame, FrameError> {
    NodeFrame::decode(Bytes::from(bytes.into()), &Limits::DEFAULT)
}

/// Decodes in every way; what is understood is understood the same after encoding it again.
fn decode_all(bytes: &[u8]) -> Result<(), TestCaseError> {
    if let Ok(frame) = client(bytes) {
        prop_assert_eq!(client(frame.encode()), Ok(frame));
    }
    if let Ok(frame) = node(bytes) {
        prop_assert_eq!(node(frame.encode()), Ok(frame));
    }
    if let Ok(kind) = EntryKind::decode(Bytes::copy_from_slice(bytes)) {
        prop_assert_eq!(EntryKind::decode(kind.encode()), Ok(kind));
    }
    if let Ok(commit) = Commit::decode(Bytes::copy_from_slice(bytes)) {
        prop_assert_eq!(Commit::decode(commit.encode()), Ok(commit));
    }
    let message = MessageId::from_bytes([0; 16]);
    if let Ok(content) = Content::decode(Bytes::copy_from_slice(bytes), message) {
        prop_assert_eq!(Content::decode(content.encode(), message), Ok(content));
    }
    if let Ok(body) = SignalBody::decode(bytes) {
        prop_assert_eq!(SignalBody::decode(&body.encode()), Ok(body));
    }
    Ok(())
}

fn flip(bytes: &mut [u8], flips: &[(prop::sample::Index, u8)]) {
    for (at, bit) in flips {
        if !bytes.is_empty() {
            bytes[at.index(bytes.len())] ^= 1 << bit;
        }
    }
}

proptest! {
    // A failure becomes a named test, not a file of seeds.
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn arbitrary_bytes_do_no_harm(bytes in vec(any::<u8>(), 0..600)) {
        decode_all(&bytes)?;
    }

    /// Bytes that look like a frame get deeper than noise does.
    #[test]
    fn arbitrary_bytes_in_a_known_kind_do_no_harm(tag in 1..12u32, inner in 1..16u32, bytes in vec(any::<u8>(), 0..80)) {
        decode_all(&field(tag, &bytes))?;
        decode_all(&field(tag, &field(inner, &bytes)))?;
        decode_all(&field(5, &field(1, &field(tag, &field(inner, &bytes)))))?;
    }

    #[test]
    fn damaged_client_frames_do_no_harm(
        frame in strategies::client_frame(),
        end in any::<prop::sample::Index>(),
        flips in vec((any::<prop::sample::Index>(), 0..8u8), 1..6),
    ) {
        let mut bytes = frame.encode().to_vec();
        decode_all(&bytes[..end.index(bytes.len() + 1)])?;
        flip(&mut bytes, &flips);
        decode_all(&bytes)?;
    }

    #[test]
    fn damaged_node_frames_do_no_harm(
        frame in strategies::node_frame(),
        end in any::<prop::sample::Index>(),
        flips in vec((any::<prop::sample::Index>(), 0..8u8), 1..6),
    ) {
        let mut bytes = frame.encode().to_vec();
        decode_all(&bytes[..end.index(bytes.len() + 1)])?;
        flip(&mut bytes, &flips);
        decode_all(&bytes)?;
    }

    #[test]
    fn damaged_content_does_no_harm(
        content in strategies::content(),
        end in any::<prop::sample::Index>(),
        flips in vec((any::<prop::sample::Index>(), 0..8u8), 1..6),
    ) {
        let mut bytes = content.encode().to_vec();
        let decode = |bytes: &[u8]| Content::decode(Bytes::copy_from_slice(bytes), content.message).ok();
        decode(&bytes[..end.index(bytes.len() + 1)]);
        flip(&mut bytes, &flips);
        if let Some(damaged) = decode(&bytes) {
            prop_assert_eq!(Content::decode(damaged.encode(), content.message), Ok(damaged));
        }
    }

    #[test]
    fn damaged_signals_do_no_harm(
        body in strategies::signal_body(),
        end in any::<prop::sample::Index>(),
        flips in vec((any::<prop::sample::Index>(), 0..8u8), 1..6),
    ) {
        let mut bytes = body.encode();
        decode_all(&bytes[..end.index(bytes.len() + 1)])?;
        flip(&mut bytes, &flips);
        decode_all(&bytes)?;
    }

    /// An old app keeps working when a newer one adds fields, of any wire type and anywhere.
    #[test]
    fn unknown_fields_are_ignored(
        frame in strategies::client_frame(),
        mail in strategies::node_frame(),
        tag in 100..1000u32,
        payload in vec(any::<u8>(), 0..20),
    ) {
        let group = [raw::varint(u64::from(tag) << 3 | 3), number(1, 5), raw::varint(u64::from(tag) << 3 | 4)].concat();
        let fixed = [raw::varint(u64::from(tag) << 3 | 5), vec![1, 2, 3, 4]].concat();
        let unknown = [field(tag, &payload), number(tag, 7), group, fixed].concat();
        prop_assert_eq!(client([&unknown, &*frame.encode(), &unknown].concat()), Ok(frame.clone()));
        prop_assert_eq!(node([&unknown, &*mail.encode(), &unknown].concat()), Ok(mail.clone()));
        prop_assert_eq!(client(within(&frame.encode(), &unknown)), Ok(frame));
        prop_assert_eq!(node(within(&mail.encode(), &unknown)), Ok(mail));
    }
}

/// Puts `more` at the end of the one field that `frame` consists of.
fn within(frame: &[u8], more: &[u8]) -> Vec<u8> {
    // All kinds have tags below 16, so the key is one byte.
    let length_bytes = frame[1..].iter().position(|&byte| byte < 0x80).expect("a length") + 1;
    field(u32::from(frame[0] >> 3), &[&frame[1 + length_bytes..], more].concat())
}

#[test]
fn unknown_kinds_are_told_apart_from_malformed_frames() {
    for unknown in [vec![], field(99, b"what a later version says"), number(15, 1)] {
        assert_eq!(client(unknown), Err(FrameError::UnknownKind));
    }
    for unknown in [vec![], field(99, b"what a later version says"), number(15, 1)] {
        assert_eq!(node(unknown), Err(FrameError::UnknownKind));
    }
    for malformed in [vec![0xff], field(99, b"x")[..2].to_vec(), vec![0x07], number(2, 1), vec![0xff; 64]] {
        assert_eq!(client(malformed.clone()), Err(FrameError::Malformed("not protobuf")), "{malformed:?}");
        assert_eq!(node(malformed.clone()), Err(FrameError::Malformed("not protobuf")), "{malformed:?}");
    }
}

#[test]
fn unknown_entries_and_unknown_content_are_kept_apart_from_malformed_ones() {
    let later = field(5, &field(1, &[number(1, 7), field(77, b"a later kind")].concat()));
    let NodeFrame::Deliver(deliver) = node(later).unwrap() else { panic!("not a deliver") };
    assert_eq!(deliver.entries, [chasqui_wire::Entry { number: 7, kind: EntryKind::Unknown }]);
    // So is a receipt of a later kind, whatever else it holds; its neighbours are read.
    let receipt = |kind| field(3, &[field(1, &ID), field(2, &ID), number(3, kind), field(77, b"later")].concat());
    let entries = [9, 0, 1].map(|kind| field(1, &[number(1, 7), receipt(kind)].concat()));
    let NodeFrame::Deliver(deliver) = node(field(5, &entries.concat())).unwrap() else { panic!("not a deliver") };
    let [EntryKind::Unknown, EntryKind::Unknown, EntryKind::Receipt(_)] =
        deliver.entries.iter().map(|entry| entry.kind.clone()).collect::<Vec<_>>()[..]
    else {
        panic!("{deliver:?}")
    };
    // And an envelope of a later kind of conversation or protection, and what is missing of one.
    let of = |at: u32, kind, protection| [number(at, kind), number(at + 1, protection), field(77, b"later")].concat();
    let later = |(entry, at)| {
        let kinds = [(9, 1), (1, 9), (0, 0)];
        kinds.map(|(kind, protection)| field(1, &field(entry, &of(at, kind, protection)))).concat()
    };
    let entries = [(2, 3), (5, 4), (6, 2)].map(later);
    let NodeFrame::Deliver(deliver) = node(field(5, &entries.concat())).unwrap() else { panic!("not a deliver") };
    assert_eq!(deliver.entries.len(), 9);
    assert!(deliver.entries.iter().all(|entry| entry.kind == EntryKind::Unknown), "{deliver:?}");

    let later = [number(1, 7), field(50, b"a later kind")].concat();
    assert_eq!(SignalBody::decode(&later).unwrap().kind, chasqui_wire::SignalKind::Unknown);

    let message = MessageId::from_bytes([1; 16]);
    let decode = |bytes: Vec<u8>, message| Content::decode(Bytes::from(bytes), message);
    let later = [field(1, message.as_bytes()), field(50, b"a later kind")].concat();
    assert_eq!(decode(later.clone(), message).unwrap().kind, chasqui_wire::ContentKind::Unknown);
    let refused: Result<Content, ContentError> = decode(later, MessageId::from_bytes([2; 16]));
    assert_eq!(refused.unwrap_err().to_string(), "unreadable content: made for another message");
    assert_eq!(decode(vec![0xff], message).unwrap_err().to_string(), "unreadable content: not protobuf");
}

#[test]
fn frames_above_the_limit_are_not_looked_at() {
    let limits = Limits { frame_bytes: 100, ..Limits::DEFAULT };
    let noise = |size| Bytes::from(vec![0xff; size]);
    let too_large = FrameError::TooLarge { size: 101, limit: 100 };
    assert_eq!(ClientFrame::decode(noise(101), &limits), Err(too_large));
    assert_eq!(NodeFrame::decode(noise(101), &limits), Err(too_large));
    assert_eq!(ClientFrame::decode(noise(100), &limits), Err(FrameError::Malformed("not protobuf")));
    assert_eq!(client(field(99, &vec![0; 256 * 1024])).unwrap_err().to_string().split(' ').next(), Some("frame"));
}

const ID: [u8; 16] = [7; 16];

/// The fields of a well-formed `Read`, in which one is replaced by `field`.
fn read_with(tag: u32, replaced: Vec<u8>) -> Vec<u8> {
    let fields = [
        (1, field(1, &ID)),
        (2, field(2, &ID)),
        (3, number(3, 9)),
        (4, range(1, 9)),
        (5, field(5, &ID)),
        (7, field(7, &[1; 64])),
    ];
    let kept = fields.into_iter().filter(|(known, _)| *known != tag).flat_map(|(_, bytes)| bytes);
    field(3, &kept.chain(replaced).collect::<Vec<_>>())
}

fn range(first: u64, last: u64) -> Vec<u8> {
    field(4, &[number(1, first), number(2, last)].concat())
}

fn ack(items: usize) -> Vec<u8> {
    field(4, &field(1, &[number(1, 1), number(2, 1)].concat()).repeat(items))
}

fn ranges(count: u64) -> Vec<u8> {
    (1..=count).flat_map(|number| range(2 * number, 2 * number)).collect()
}

/// A well-formed `Send`, with what comes after it.
fn send_with(more: Vec<u8>) -> Vec<u8> {
    let send = [field(1, &ID), field(2, &ID), number(3, 2), number(4, 2), more].concat();
    field(2, &send)
}

fn commit(parts: Vec<u8>) -> Vec<u8> {
    field(15, &[field(1, &[1; 32]), parts].concat())
}

#[track_caller]
fn check<T: std::fmt::Debug>(result: Result<T, FrameError>, refusal: Option<&str>) {
    match (result, refusal) {
        (Ok(_), None) => {}
        (Err(FrameError::Malformed(found)), Some(expected)) => assert_eq!(found, expected),
        (result, expected) => panic!("expected {expected:?}, found {result:?}"),
    }
}

#[test]
fn limits_hold_and_say_which() {
    // How many.
    check(client(ack(1024)), None);
    check(client(ack(1025)), Some("too many items in an ack"));
    check(client(read_with(4, ranges(1024))), None);
    check(client(read_with(4, ranges(1025))), Some("too many ranges"));
    check(client(read_with(5, field(5, &ID).repeat(1000))), None);
    check(client(read_with(5, field(5, &ID).repeat(1001))), Some("too many authors"));
    let entries = |count| field(5, &field(1, &number(1, 1)).repeat(count));
    check(node(entries(1024)), None);
    check(node(entries(1025)), Some("too many entries in a deliver"));
    check(node([entries(1024), entries(1)].concat()), Some("too many entries in a deliver"));
    check(node([entries(1025), field(5, &[])].concat()), Some("too many entries in a deliver"));
    check(node(entries(9000)), Some("too many parts for its size"));
    let welcome_with = |eras: usize, more: Vec<u8>| {
        let limits = [number(1, 10), number(2, 65_536), number(3, 1), number(4, 1), number(6, 1000)].concat();
        let checkpoint = [field(3, &[1; 32]), field(4, &[1; 8])].concat();
        let fields =
            [field(1, &ID), field(2, &limits), field(3, &checkpoint), field(4, &number(1, 1)).repeat(eras), more];
        field(2, &fields.concat())
    };
    check(node(welcome_with(8192, vec![])), None);
    check(node(welcome_with(8193, vec![])), Some("too many eras"));
    for length in [0, 32] {
        check(node(welcome_with(0, field(9, &vec![1; length]))), None);
    }
    for length in [1, 31, 33] {
        check(node(welcome_with(0, field(9, &vec![1; length]))), Some("welcome.identity_key is not 32 bytes"));
    }

    // Ids and keys.
    for length in [0, 1, 15, 17, 32] {
        check(client(read_with(1, field(1, &vec![1; length]))), Some("MessageId is not 16 bytes"));
        check(client(read_with(2, field(2, &vec![1; length]))), Some("ConversationId is not 16 bytes"));
        check(client(read_with(5, field(5, &vec![1; length]))), Some("UserId is not 16 bytes"));
    }
    for length in [0, 63, 65] {
        check(client(read_with(7, field(7, &vec![1; length]))), Some("read.signature is not 64 bytes"));
    }
    check(client(read_with(1, vec![])), Some("MessageId is not 16 bytes"));
    check(client(field(1, &[])), Some("RealmId is not 16 bytes"));
    check(node(field(1, &field(1, &[1; 31]))), Some("challenge.nonce is not 32 bytes"));

    // Positions.
    let last = (1u64 << 53) - 1;
    for (seq, refusal) in [
        (1, None),
        (last, None),
        (0, Some("seq out of bounds")),
        (1 << 30, Some("seq out of bounds")),
        (last + 1, Some("seq out of bounds")),
        (u64::MAX, Some("seq out of bounds")),
    ] {
        check(client(read_with(3, number(3, seq))), refusal);
        let accepted = field(3, &[field(1, &ID), number(2, seq)].concat());
        check(node(accepted), refusal.filter(|_| seq != 0));
    }
    let not_upwards = Some("a range does not run upwards within one era");
    let not_fewest = Some("ranges are not the fewest runs, in order");
    for (ranges, refusal) in [
        (vec![], None),
        (range(5, 5), None),
        (range(5, 4), not_upwards),
        (range(5, (1 << 30) | 5), not_upwards),
        (range(0, 5), Some("seq out of bounds")),
        ([range(1, 2), range(4, 5)].concat(), None),
        ([range(1, (1 << 30) - 1), range((1 << 30) | 1, (1 << 30) | 2)].concat(), None),
        ([range(1, 2), range(3, 4)].concat(), not_fewest),
        ([range(1, 4), range(4, 5)].concat(), not_fewest),
        ([range(4, 5), range(1, 2)].concat(), not_fewest),
    ] {
        check(client(read_with(4, ranges)), refusal);
    }

    // Kinds.
    check(client(field(4, &field(1, &number(2, 0)))), Some("unknown ack outcome"));
    check(client(field(4, &field(1, &number(2, 4)))), Some("unknown ack outcome"));
    check(client(field(2, &[field(1, &ID), field(2, &ID), number(3, 4)].concat())), Some("unknown conversation kind"));
    check(client(field(2, &[field(1, &ID), field(2, &ID), number(3, 1)].concat())), Some("unknown protection"));
    let receipt = [field(1, &ID), field(2, &ID), number(3, 9)].concat();
    check(node(field(5, &field(1, &field(3, &receipt)))), None);
    let gap = [field(1, &ID), number(2, 3), number(3, 9), number(4, 1), number(5, 1), field(6, &ID)].concat();
    check(node(field(5, &field(1, &field(5, &gap)))), None);
    let hole = |first, last| [field(1, &ID), number(2, 1), number(3, 1), number(5, first), number(6, last)].concat();
    check(node(field(5, &field(1, &field(6, &hole(3, 9))))), None);
    check(node(field(5, &field(1, &field(6, &hole(9, 3))))), Some("a hole does not run upwards within one era"));

    // Commits.
    let member = |tag| field(tag, &[field(1, &ID), field(2, &ID)].concat());
    check(client(send_with(vec![])), None);
    check(client(send_with(commit(vec![]))), None);
    check(client(send_with(field(15, &[]))), Some("commit.hash is not 32 bytes"));
    let too_many = Some("a commit changes more devices than a group may have");
    for part in [2, 3] {
        check(client(send_with(commit(member(part).repeat(1000)))), None);
        check(client(send_with(commit(member(part).repeat(1001)))), too_many);
        check(client(send_with(commit(field(part, &[])))), Some("UserId is not 16 bytes"));
    }
    // What earlier drafts of the protocol had there.
    for part in [4, 5] {
        check(client(send_with(commit(field(part, &[1; 32]).repeat(1001)))), None);
    }

    // Key packages.
    let packages = |more: Vec<u8>| client(field(8, &[field(1, &ID), field(2, &[1; 64]), more].concat()));
    check(packages(vec![]), None);
    check(packages(field(3, &[1; 500]).repeat(100)), None);
    check(packages(field(3, b"p").repeat(101)), Some("too many key packages"));
    check(packages(field(3, &[])), Some("a key package is empty or too long"));
    check(packages(field(3, &[1; 4096])), None);
    check(packages(field(4, &[1; 4097])), Some("a key package is empty or too long"));
    check(client(field(8, &[field(1, &ID), field(2, &[1; 63])].concat())), Some("key_packages.link is not 64 bytes"));
    check(client(field(9, &[field(1, &ID), field(2, &ID), number(3, 9)].concat())), Some("unknown conversation kind"));
    for part in [3, 4, 5] {
        let claimed = |count| node(field(11, &[field(1, &ID), member(part).repeat(count)].concat()));
        check(claimed(1000), None);
        check(claimed(1001), Some("more devices than a group may have"));
    }

    // Signals.
    for (length, refusal) in [(0, None), (1024, None), (1025, Some("signal.body is too long"))] {
        let signal = [field(1, &ID), field(4, &vec![1; length])].concat();
        check(client(field(5, &signal)), refusal);
        check(node(field(7, &signal)), refusal);
    }
    check(client(field(5, &[field(1, &ID), field(2, &ID)].concat())), Some("DeviceId is not 16 bytes"));

    // What must be there.
    check(node(field(6, &[])), Some("drained.checkpoint is missing"));
    check(node(field(2, &field(1, &ID))), Some("welcome.limits is missing"));
    check(node(field(2, &[field(1, &ID), field(2, &[])].concat())), Some("unusable limits"));
    for frame_bytes in [65_535, 16 * 1024 * 1024 + 1] {
        let limits = [number(1, 10), number(2, frame_bytes), number(3, 1), number(4, 1), number(6, 1000)].concat();
        check(node(field(2, &[field(1, &ID), field(2, &limits)].concat())), Some("unusable limits"));
    }
    let notice = [field(1, &ID), field(2, &ID), field(3, &[1; 32])].concat();
    check(node(field(5, &field(1, &field(4, &notice)))), Some("read is missing"));
}

#[test]
fn text_for_people_is_cut_at_a_character() {
    let detail = "\u{1f98a}".repeat(100);
    let NodeFrame::Goodbye(goodbye) = node(field(10, &field(2, detail.as_bytes()))).unwrap() else { panic!() };
    assert_eq!(goodbye.detail, "\u{1f98a}".repeat(64));
    let agent = "a\u{1f98a}".repeat(30);
    let hello = [field(2, &ID), field(3, &ID), field(4, &[1; 64]), field(8, agent.as_bytes())].concat();
    let ClientFrame::Hello(hello) = client(field(1, &hello)).unwrap() else { panic!() };
    assert_eq!(hello.agent, agent[..61]);
    check(node(field(10, &field(2, &[0xff, 0xfe]))), Some("not protobuf"));
}
