//! The bytes that devices sign (Ed25519, RFC 8032). Each begins with its own purpose and is unambiguous: every field
//! has a fixed size or is preceded by its length.

use crate::{DeviceId, Read, RealmId, UserId};

/// What a device signs to open a socket: proves that it holds the device key, to this realm, for this socket.
pub fn hello(realm: RealmId, nonce: &[u8; 32], device: DeviceId, version: u32) -> Vec<u8> {
    let mut bytes = b"chasqui/v1/hello".to_vec();
    bytes.extend_from_slice(realm.as_bytes());
    bytes.extend_from_slice(nonce);
    bytes.extend_from_slice(device.as_bytes());
    bytes.extend_from_slice(&version.to_be_bytes());
    bytes
}

/// What a device signs to be enrolled: proves that it holds the key that it asks to enrol.
pub fn enrol(realm: RealmId, device: DeviceId, device_key: &[u8; 32]) -> Vec<u8> {
    let mut bytes = b"chasqui/v1/enrol".to_vec();
    bytes.extend_from_slice(realm.as_bytes());
    bytes.extend_from_slice(device.as_bytes());
    bytes.extend_from_slice(device_key);
    bytes
}

/// What a user's identity key signs for a device of hers: others then let it take part in encrypted conversations.
pub fn link(realm: RealmId, user: UserId, device: DeviceId, device_key: &[u8; 32]) -> Vec<u8> {
    let mut bytes = b"chasqui/v1/link".to_vec();
    bytes.extend_from_slice(realm.as_bytes());
    bytes.extend_from_slice(user.as_bytes());
    bytes.extend_from_slice(device.as_bytes());
    bytes.extend_from_slice(device_key);
    bytes
}

/// What a device signs to mint a short-lived HTTP token from a nonce of `GET /v1/challenge`.
pub fn token(realm: RealmId, nonce: &[u8], device: DeviceId) -> Vec<u8> {
    let mut bytes = b"chasqui/v1/token".to_vec();
    bytes.extend_from_slice(realm.as_bytes());
    bytes.extend_from_slice(&(nonce.len() as u32).to_be_bytes());
    bytes.extend_from_slice(nonce);
    bytes.extend_from_slice(device.as_bytes());
    bytes
}

/// What the reader's device signs: who read what of which conversation, and when.
pub fn read(realm: RealmId, user: UserId, device: DeviceId, read: &Read) -> Vec<u8> {
    let mut bytes = b"chasqui/v1/read".to_vec();
    bytes.extend_from_slice(realm.as_bytes());
    bytes.extend_from_slice(user.as_bytes());
    bytes.extend_from_slice(device.as_bytes());
    bytes.extend_from_slice(read.conversation.as_bytes());
    bytes.extend_from_slice(&read.up_to.raw().to_be_bytes());
    bytes.extend_from_slice(&read.at.0.to_be_bytes());
    bytes.extend_from_slice(&(read.ranges.iter().count() as u32).to_be_bytes());
    for range in read.ranges.iter() {
        bytes.extend_from_slice(&range.first().raw().to_be_bytes());
        bytes.extend_from_slice(&range.last().raw().to_be_bytes());
    }
    bytes
}
