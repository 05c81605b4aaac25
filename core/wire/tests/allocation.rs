//! Decoding takes a bounded multiple of the frame's size, whatever the frame: one test in a binary of its own, because
//! the allocator counts the whole process.

mod raw;

use bytes::Bytes;
use chasqui_wire::{
    Accepted, AckItem, AckOutcome, ClientFrame, Commit, Deliver, Entry, EntryKind, Limits, MessageId, NodeFrame, Read,
    Seq, SeqRanges, Timestamp, UserId,
};
use peak_alloc::PeakAlloc;
use raw::{field, number};

#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

/// Bytes of memory for each byte of a frame; promised in `src/weigh.rs`.
const PER_BYTE: usize = 32;

/// Bytes of memory for any frame; promised in `src/weigh.rs`.
const FREE: usize = 1024 * 1024;

/// The largest frame that the default limits allow.
const LARGEST: usize = 256 * 1024;

/// Tags of frames.proto.
const HELLO: u32 = 1;
const SEND: u32 = 2;
const READ: u32 = 3;
const ACK: u32 = 4;
const WELCOME: u32 = 2;
const REJECTED: u32 = 4;
const DELIVER: u32 = 5;
const UNSUPPORTED: u32 = 9;
const ENTRIES: u32 = 1;

/// The most memory held at once while `decode` runs, its result included, above what was held before.
fn peak<T>(decode: impl FnOnce() -> T) -> usize {
    MEMORY.reset_peak_usage();
    let before = MEMORY.current_usage();
    let result = decode();
    let peak = MEMORY.peak_usage() - before;
    drop(result);
    peak
}

fn check(name: &str, frame: Vec<u8>) {
    assert!(frame.len() <= LARGEST, "{name}: {} bytes", frame.len());
    let size = frame.len();
    let frame = Bytes::from(frame);
    let client = peak(|| ClientFrame::decode(frame.clone(), &Limits::DEFAULT));
    let node = peak(|| NodeFrame::decode(frame.clone(), &Limits::DEFAULT));
    let kept = peak(|| EntryKind::decode(frame.clone()));
    let change = peak(|| Commit::decode(frame.clone()));
    let most = client.max(node).max(kept).max(change);
    println!("{name:<44} {size:>7} bytes take {most:>8}, {:>6.1} each", most as f64 / size as f64);
    assert!(most <= PER_BYTE * size + FREE, "{name}: {size} bytes take {most}");
    // In the largest frames the free part is not needed.
    assert!(size < LARGEST - 1024 || most <= PER_BYTE * size, "{name}: {size} bytes take {most}");
}

/// As many repetitions of `part` as `wrap` leaves room for in `size` bytes.
fn filled(part: &[u8], size: usize, wrap: impl Fn(&[u8]) -> Vec<u8>) -> Vec<u8> {
    wrap(&part.repeat((size - 64) / part.len()))
}

/// As many `part`s as are just not refused for their number: the decoder then does its worst.
fn check_at_every_size(name: &str, part: &[u8], wrap: impl Fn(&[u8]) -> Vec<u8>) {
    for size in [4 * 1024, 64 * 1024, LARGEST] {
        check(name, filled(part, size, &wrap));
    }
    // The most parts that pass the scales: padded to the largest frame by a field that nobody knows.
    for count in [500, 1000, 1024, 1025, 2049, 4097, 8193, 16385, 32769, 65537] {
        let parts = part.repeat(count);
        if parts.len() < LARGEST - 128 {
            let padding = vec![0; LARGEST - 128 - parts.len()];
            let padded = [wrap(&parts), field(99, &padding)].concat();
            check(&format!("{name} x {count}, padded"), padded);
        }
    }
}

#[test]
fn decoding_holds_at_most_32_times_the_frame_and_a_mebibyte() {
    let entry = |kind: &[u8]| field(ENTRIES, kind);
    let in_commit = |parts: &[u8]| field(SEND, &field(15, parts));
    let deliver = |entries: &[u8]| field(DELIVER, entries);
    let one_entry = |tag: u32| move |parts: &[u8]| field(DELIVER, &field(ENTRIES, &field(tag, parts)));

    // Empty elements of every list, reached in every way.
    check_at_every_size("ack.items", &field(1, &[]), |items| field(ACK, items));
    check_at_every_size("ack.held", &field(2, &[]), |held| field(ACK, held));
    check_at_every_size("read.ranges", &field(4, &[]), |ranges| field(READ, ranges));
    check_at_every_size("read.authors", &field(5, &[]), |authors| field(READ, authors));
    check_at_every_size("send.commit.added", &field(2, &[]), in_commit);
    check_at_every_size("send.commit.removed", &field(3, &[]), in_commit);
    check_at_every_size("welcome.eras", &field(4, &[]), |eras| field(WELCOME, eras));
    check_at_every_size("deliver.entries", &entry(&[]), deliver);
    check_at_every_size("deliver.entries, numbered", &entry(&number(1, 7)), deliver);
    check_at_every_size("deliver: receipt.ranges", &field(4, &[]), one_entry(3));
    check_at_every_size("deliver: read.authors", &field(5, &[]), |p: &[u8]| one_entry(4)(&field(4, p)));
    check_at_every_size("deliver: envelope.commit.added", &field(2, &[]), |p: &[u8]| one_entry(2)(&field(14, p)));

    // Many parents with few children: a list never holds less than four.
    let lists = [field(2, &[]), field(3, &[]), field(4, &[]), field(5, &[])].concat();
    check_at_every_size("deliver: envelopes", &entry(&field(2, &[])), deliver);
    check_at_every_size("deliver: envelopes with commits", &entry(&field(2, &field(14, &lists))), deliver);
    check_at_every_size("deliver: receipts with a range", &entry(&field(3, &field(4, &[]))), deliver);
    let read = [field(4, &[]), field(5, &[])].concat();
    check_at_every_size("deliver: reads", &entry(&field(4, &field(4, &read))), deliver);

    // One field in many pieces, which a decoder merges, and kinds that replace each other.
    check_at_every_size("deliver in pieces", &deliver(&entry(&[])), |frames| frames.to_vec());
    check_at_every_size("ack in pieces", &field(ACK, &field(1, &[])), |frames| frames.to_vec());
    check_at_every_size("commits in pieces", &in_commit(&field(2, &[])), |frames| frames.to_vec());
    let in_turn = [in_commit(&lists), field(READ, &read)].concat();
    check_at_every_size("kinds in turn", &in_turn, |frames| frames.to_vec());
    let kinds = entry(&[field(2, &field(14, &lists)), field(4, &field(4, &read))].concat());
    check_at_every_size("entries of kinds in turn", &kinds, deliver);

    // A last small piece, an unknown group, or an overlong part must not hide what is heavy.
    check_at_every_size("deliver, then an empty one", &entry(&[]), |entries| [deliver(entries), deliver(&[])].concat());
    check_at_every_size("a group, then deliver", &entry(&[]), |p| [&[0x7b, 0x7c], deliver(p).as_slice()].concat());
    check_at_every_size("deliver of a group and entries", &entry(&[]), |p| deliver(&[&[0x7b, 0x7c], p].concat()));
    check_at_every_size("roster beyond its deliver", &field(2, &[]), |roster| {
        // The frame says that deliver has 3 bytes; the entry in it claims all the rest.
        let commit = field(2, &field(14, roster));
        [&[0x2a, 3, 0x0a], raw::varint(commit.len() as u64).as_slice(), &commit].concat()
    });

    // As a node keeps it.
    check_at_every_size("kept: receipt.ranges", &field(4, &[]), |ranges| field(3, ranges));
    check_at_every_size("kept: envelope.commit.added", &field(2, &[]), |roster| field(2, &field(14, roster)));

    // Long text and long bodies: no more than a copy.
    let long = vec![b'a'; LARGEST - 64];
    check("hello.agent", field(HELLO, &field(8, &long)));
    check("rejected.detail", field(REJECTED, &field(3, &long)));
    check("unsupported.detail", field(UNSUPPORTED, &field(1, &long)));
    check("send.body", field(SEND, &field(6, &long)));

    // The densest frames that a peer may send are not refused, and are as cheap.
    for frame in well_formed() {
        let bytes = frame.encode();
        assert_eq!(NodeFrame::decode(bytes.clone(), &Limits::DEFAULT), Ok(frame));
        check("a well-formed deliver", bytes.to_vec());
    }
    let items: Vec<_> = (0..1024).map(|number| AckItem { number, outcome: AckOutcome::Noted }).collect();
    let read = Read {
        id: MessageId::from_bytes([1; 16]),
        conversation: chasqui_wire::ConversationId::from_bytes([2; 16]),
        up_to: Seq::new(0, 4096).unwrap(),
        ranges: SeqRanges::of((1..=1024).map(|number| Seq::new(0, 2 * number).unwrap())),
        authors: vec![UserId::from_bytes([3; 16]); Read::MAX_AUTHORS],
        at: Timestamp(0),
        signature: [4; 64],
    };
    for frame in [ClientFrame::Ack(items.into()), ClientFrame::Read(read)] {
        let bytes = frame.encode();
        assert_eq!(ClientFrame::decode(bytes.clone(), &Limits::DEFAULT), Ok(frame));
        check("a well-formed ack or read", bytes.to_vec());
    }
}

fn well_formed() -> Vec<NodeFrame> {
    let unknown = |number| Entry { number, kind: EntryKind::Unknown };
    let envelope = |number: u64| {
        let envelope = chasqui_wire::Envelope {
            message: MessageId::from_bytes([1; 16]),
            conversation: chasqui_wire::ConversationId::from_bytes([2; 16]),
            kind: chasqui_wire::ConversationKind::Group,
            protection: chasqui_wire::Protection::NodeReadable,
            sender_user: UserId::from_bytes([3; 16]),
            sender_device: chasqui_wire::DeviceId::from_bytes([4; 16]),
            peer: None,
            seq: Seq::new(0, 1).expect("in bounds"),
            accepted_at: Timestamp(0),
            body: Bytes::new(),
            urgent: false,
            resend_of: None,
            epoch: 0,
            commit: None,
            welcome: false,
            request: false,
        };
        Entry { number, kind: EntryKind::Envelope(Box::new(envelope)) }
    };
    let deliver =
        |entry: &dyn Fn(u64) -> Entry| NodeFrame::Deliver(Deliver { entries: (0..1024).map(entry).collect() });
    let accepted = Accepted { message: MessageId::from_bytes([1; 16]), seq: None, at: Timestamp(0), revision: 0 };
    vec![deliver(&unknown), deliver(&envelope), NodeFrame::Accepted(accepted)]
}
