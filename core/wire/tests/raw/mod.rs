//! Protobuf by hand: what no encoder of ours would write.

/// A length-delimited field.
pub(crate) fn field(tag: u32, payload: &[u8]) -> Vec<u8> {
    let mut bytes = varint(u64::from(tag) << 3 | 2);
    bytes.extend(varint(payload.len() as u64));
    bytes.extend_from_slice(payload);
    bytes
}

/// A varint field.
pub(crate) fn number(tag: u32, value: u64) -> Vec<u8> {
    let mut bytes = varint(u64::from(tag) << 3);
    bytes.extend(varint(value));
    bytes
}

pub(crate) fn varint(mut value: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while value >= 0x80 {
        bytes.push(value as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
    bytes
}
