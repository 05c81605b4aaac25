//! What the node seals with its own key and gets back from strangers: HTTP tokens, token challenges, checkpoints. What is
//! accepted is, byte for byte, what the key makes.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use chasqui_node::relay::NodeKeys;
use chasqui_wire::{Checkpoint, DeviceId, Timestamp};

const NOW: Timestamp = Timestamp(1_767_268_800_000);
const TOKEN_LIFETIME: u64 = 15 * 60 * 1000;
const CHALLENGE_LIFETIME: u64 = 60 * 1000;

/// Whether it is a token or a challenge of this node.
pub(crate) fn check(input: &[u8]) -> bool {
    let (keys, stranger) = (NodeKeys::new(&[7; 32], TOKEN_LIFETIME), NodeKeys::new(&[1; 32], TOKEN_LIFETIME));

    // Nobody comes upon a seal by chance: genuine ones, damaged as the input says.
    let (token, _) = keys.token(DeviceId::from_bytes([0xd0; 16]), NOW);
    if let Some(damaged) = damaged_text(&token, input) {
        assert_eq!(keys.token_holder(&damaged, NOW).is_some(), damaged == token, "{damaged}");
    }
    let challenge = keys.challenge([9; 16], NOW);
    if let Some(damaged) = damaged_text(&challenge, input) {
        assert_eq!(keys.accepts_challenge(&damaged, NOW), damaged == challenge, "{damaged}");
    }
    let checkpoint = bytes_of(&keys.checkpoint(3, 77, [5; 8]));
    let damaged = damaged(&checkpoint, input);
    assert_eq!(keys.made(&checkpoint_of(&damaged)), damaged == checkpoint, "{damaged:?}");

    // As it came.
    let Ok(text) = std::str::from_utf8(input) else { return false };
    let (holder, is_challenge) = (keys.token_holder(text, NOW), keys.accepts_challenge(text, NOW));
    assert!(stranger.token_holder(text, NOW).is_none() && !stranger.accepts_challenge(text, NOW));
    assert!(!(holder.is_some() && is_challenge), "one purpose passes for the other");
    if let Some(device) = holder {
        let (_, expires_at) = payload(text);
        assert!(NOW < expires_at);
        assert_eq!(keys.token(device, before(expires_at, TOKEN_LIFETIME)).0, text);
    }
    if is_challenge {
        let (random, expires_at) = payload(text);
        assert!(NOW < expires_at);
        assert_eq!(keys.challenge(random, before(expires_at, CHALLENGE_LIFETIME)), text);
    }
    holder.is_some() || is_challenge
}

/// `genuine` with other bytes where `input` says: pairs of a place and a byte.
fn damaged(genuine: &[u8], input: &[u8]) -> Vec<u8> {
    let mut bytes = genuine.to_vec();
    for pair in input.chunks_exact(2) {
        let place = usize::from(pair[0]) % bytes.len();
        bytes[place] = pair[1];
    }
    bytes
}

fn damaged_text(genuine: &str, input: &[u8]) -> Option<String> {
    String::from_utf8(damaged(genuine.as_bytes(), input)).ok()
}

/// What an accepted token or challenge says.
fn payload(text: &str) -> ([u8; 16], Timestamp) {
    let payload = BASE64.decode(text.split('.').next().expect("a first part")).expect("it was accepted");
    let (who, expires_at) = payload.split_at(16);
    (
        who.try_into().expect("of that length"),
        Timestamp(i64::from_be_bytes(expires_at.try_into().expect("of that length"))),
    )
}

fn before(time: Timestamp, millis: u64) -> Timestamp {
    Timestamp(time.0.saturating_sub_unsigned(millis))
}

fn bytes_of(checkpoint: &Checkpoint) -> Vec<u8> {
    let Checkpoint { era, revision, opening, seal } = checkpoint;
    [era.to_be_bytes().as_slice(), &revision.to_be_bytes(), opening, seal].concat()
}

fn checkpoint_of(bytes: &[u8]) -> Checkpoint {
    Checkpoint {
        era: u32::from_be_bytes(bytes[..4].try_into().expect("of that length")),
        revision: u64::from_be_bytes(bytes[4..12].try_into().expect("of that length")),
        opening: bytes[12..20].try_into().expect("of that length"),
        seal: bytes[20..].try_into().expect("of that length"),
    }
}
