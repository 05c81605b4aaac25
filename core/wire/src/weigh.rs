//! Weighs a frame before it is decoded. An empty list element takes two bytes on the wire and up to 144 in memory; a
//! frame of nothing else would make the decoder allocate a hundred times its size.
//!
//! Guarantees: a frame that passes makes the decoder hold at most `32 × frame + 1 MiB`, whatever its bytes (a list
//! that grows holds up to three times its elements, and never less than four). No frame with all its required fields
//! is refused. Must never be laxer than the decoder: what it cannot read it refuses.

use std::mem::size_of;

use crate::{FrameError, proto::v1};

/// Bytes of memory for each byte of the frame. An envelope with all its ids takes seven.
const PER_BYTE: usize = 8;

/// Bytes of memory that any frame may take: what 1,024 entries of an unknown kind do.
const FREE: usize = 256 * 1024;

/// A length-delimited field that takes memory of its own, or in which such fields lie.
pub(crate) struct Part {
    tag: u32,
    /// Bytes of memory for each occurrence.
    weight: usize,
    parts: &'static [Part],
}

/// What has weight in a `ClientFrame`: the tags are those of frames.proto.
pub(crate) const CLIENT_FRAME: &[Part] =
    &[part(2, size_of::<v1::Send>(), SEND), part(3, 0, READ), part(4, 0, ACK), part(8, 0, KEY_PACKAGES)];

/// What has weight in a `NodeFrame`.
pub(crate) const NODE_FRAME: &[Part] = &[part(2, 0, WELCOME), part(5, 0, DELIVER), part(11, 0, CLAIMED)];

const WELCOME: &[Part] = &[part(4, size_of::<v1::Era>(), &[])];
const SEND: &[Part] = &[part(15, 0, COMMIT)];
/// What has weight in a `Commit`, as a node keeps it.
pub(crate) const COMMIT: &[Part] =
    &[part(2, size_of::<v1::RosterEntry>(), &[]), part(3, size_of::<v1::RosterEntry>(), &[])];
const KEY_PACKAGES: &[Part] = &[part(3, size_of::<bytes::Bytes>(), &[])];
const CLAIMED: &[Part] = &[
    part(3, size_of::<v1::RosterEntry>(), &[]),
    part(4, size_of::<v1::RosterEntry>(), &[]),
    part(5, size_of::<v1::KeyPackage>(), &[]),
];
const READ: &[Part] = &[part(4, size_of::<v1::SeqRange>(), &[]), part(5, size_of::<bytes::Bytes>(), &[])];
const DELIVER: &[Part] = &[part(1, size_of::<v1::Entry>(), ENTRY)];
/// What has weight in an `Entry`, as a node keeps it.
pub(crate) const ENTRY: &[Part] = &[
    part(2, size_of::<v1::Envelope>(), ENVELOPE),
    part(3, 0, RECEIPT),
    part(4, size_of::<v1::ReadNotice>(), READ_NOTICE),
];
const ENVELOPE: &[Part] = &[part(14, 0, COMMIT)];
const RECEIPT: &[Part] = &[part(4, size_of::<v1::SeqRange>(), &[])];
const READ_NOTICE: &[Part] = &[part(4, 0, READ)];
const ACK: &[Part] = &[part(1, size_of::<v1::AckItem>(), &[]), part(2, size_of::<v1::SeqRange>(), &[])];

const fn part(tag: u32, weight: usize, parts: &'static [Part]) -> Part {
    Part { tag, weight, parts }
}

/// Refuses a frame whose parts would take more memory than its size warrants, and one that is not protobuf.
pub(crate) fn check(frame: &[u8], parts: &[Part]) -> Result<(), FrameError> {
    if weigh(frame, parts)? > PER_BYTE * frame.len() + FREE {
        return Err(FrameError::Malformed("too many parts for its size"));
    }
    Ok(())
}

fn weigh(mut message: &[u8], parts: &[Part]) -> Result<usize, FrameError> {
    let mut weight = 0;
    // Groups (protobuf 2) are unknown fields to the decoder, with all that lies in them.
    let mut groups = 0usize;
    while !message.is_empty() {
        match next_field(&mut message)? {
            Field::Payload(tag, payload) if groups == 0 => {
                if let Some(part) = parts.iter().find(|part| part.tag == tag) {
                    weight += part.weight;
                    if !part.parts.is_empty() {
                        weight += weigh(payload, part.parts)?;
                    }
                }
            }
            Field::Payload(..) | Field::Number => {}
            Field::GroupStart => groups += 1,
            Field::GroupEnd => groups = groups.checked_sub(1).ok_or(NOT_PROTOBUF)?,
        }
    }
    Ok(weight)
}

enum Field<'a> {
    Number,
    Payload(u32, &'a [u8]),
    GroupStart,
    GroupEnd,
}

const NOT_PROTOBUF: FrameError = FrameError::Malformed("not protobuf");

fn next_field<'a>(rest: &mut &'a [u8]) -> Result<Field<'a>, FrameError> {
    let key = varint(rest)?;
    let tag = u32::try_from(key >> 3).map_err(|_| NOT_PROTOBUF)?;
    match key & 7 {
        0 => varint(rest).map(|_| Field::Number),
        1 => take(rest, 8).map(|_| Field::Number),
        2 => {
            let length = usize::try_from(varint(rest)?).map_err(|_| NOT_PROTOBUF)?;
            Ok(Field::Payload(tag, take(rest, length)?))
        }
        3 => Ok(Field::GroupStart),
        4 => Ok(Field::GroupEnd),
        5 => take(rest, 4).map(|_| Field::Number),
        _ => Err(NOT_PROTOBUF),
    }
}

fn varint(rest: &mut &[u8]) -> Result<u64, FrameError> {
    let mut value = 0u64;
    for shift in (0..64).step_by(7) {
        let (&byte, tail) = rest.split_first().ok_or(NOT_PROTOBUF)?;
        *rest = tail;
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Ok(value);
        }
    }
    Err(NOT_PROTOBUF)
}

fn take<'a>(rest: &mut &'a [u8], length: usize) -> Result<&'a [u8], FrameError> {
    let (head, tail) = rest.split_at_checked(length).ok_or(NOT_PROTOBUF)?;
    *rest = tail;
    Ok(head)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MESSAGES: [(&str, &[Part]); 14] = [
        ("ClientFrame", CLIENT_FRAME),
        ("NodeFrame", NODE_FRAME),
        ("Welcome", WELCOME),
        ("Send", SEND),
        ("Commit", COMMIT),
        ("KeyPackages", KEY_PACKAGES),
        ("Claimed", CLAIMED),
        ("Read", READ),
        ("Deliver", DELIVER),
        ("Entry", ENTRY),
        ("Envelope", ENVELOPE),
        ("Receipt", RECEIPT),
        ("ReadNotice", READ_NOTICE),
        ("Ack", ACK),
    ];

    /// A list that is not weighed could be used to exhaust memory.
    #[test]
    fn every_list_of_the_schema_and_every_way_to_it_is_weighed() {
        let mut message = "";
        for line in include_str!("../proto/chasqui/v1/frames.proto").lines() {
            let words: Vec<&str> = line.split_whitespace().collect();
            let (kind, tag, repeated) = match words[..] {
                ["message", name, "{"] => {
                    message = name;
                    continue;
                }
                [kind, _, "=", tag] => (kind, tag, false),
                ["repeated", kind, _, "=", tag] => (kind, tag, true),
                _ => continue,
            };
            let found = MESSAGES.iter().find(|(name, _)| *name == message).map_or(&[][..], |(_, parts)| parts);
            let Ok(tag) = tag.trim_end_matches(';').parse::<u32>() else { continue };
            let part = found.iter().find(|part| part.tag == tag);
            let below = MESSAGES.iter().find(|(name, _)| *name == kind).map_or(&[][..], |(_, parts)| parts);
            let tags = |parts: &[Part]| parts.iter().map(|part| part.tag).collect::<Vec<_>>();
            let expected = (repeated || !below.is_empty()).then(|| tags(below));
            assert_eq!(part.map(|part| tags(part.parts)), expected, "{message}: {line}");
            assert!(!repeated || part.is_some_and(|part| part.weight > 0), "{message}: {line}");
        }
        assert_eq!(message, "Goodbye", "all of the schema was read");
    }

    #[test]
    fn what_lies_in_a_group_has_no_weight_and_what_follows_it_has() {
        let entry = [0x0a, 0x00];
        let group = [0x7b, 0x0a, 0x00, 0x7c];
        let one = size_of::<v1::Entry>();
        assert_eq!(weigh(&entry, DELIVER), Ok(one));
        assert_eq!(weigh(&[group.as_slice(), &entry].concat(), DELIVER), Ok(one));
        assert_eq!(weigh(&[0x7c], DELIVER), Err(NOT_PROTOBUF));
    }

    #[test]
    fn a_part_that_ends_after_its_message_is_refused() {
        // Deliver of two bytes, in which an entry claims five more.
        assert_eq!(weigh(&[0x2a, 0x02, 0x0a, 0x05, 0, 0, 0, 0, 0], NODE_FRAME), Err(NOT_PROTOBUF));
    }
}
