//! This device's keys, and what it signs.

use chasqui_wire::{Challenge, DeviceId, RealmId, UserId, signing};
use ring::signature::{Ed25519KeyPair, KeyPair as _};

use super::secret::Secret;
use crate::e2ee::Own;
use crate::store::{AccountRow, StoreError};

/// The enrolled account, ready to sign.
pub(super) struct Identity {
    pub(super) user: UserId,
    pub(super) device: DeviceId,
    pub(super) realm: RealmId,
    pub(super) era: u32,
    /// As a leaf of groups, if the user has linked this device, if only under an identity that was replaced since: what was said
    /// to it before can still be read.
    pub(super) own: Option<Own>,
    is_replaced: bool,
    key: Ed25519KeyPair,
}

impl Identity {
    pub(super) fn new(row: AccountRow) -> Result<Self, StoreError> {
        let key = Ed25519KeyPair::from_seed_unchecked(row.device_seed.expose())
            .map_err(|_| StoreError::Corrupt("the device key is not an Ed25519 seed"))?;
        let linked = |seed| Own::linked(row.realm, row.user, row.device, &row.device_seed, seed);
        let own = row.identity_seed.as_ref().map(linked).transpose()?;
        let is_replaced = row.other_identity.is_some();
        Ok(Self { user: row.user, device: row.device, realm: row.realm, era: row.era, own, is_replaced, key })
    }

    /// As a leaf of groups, under the identity that the user has now.
    pub(super) fn linked(&self) -> Option<&Own> {
        self.own.as_ref().filter(|_| !self.is_replaced)
    }

    pub(super) fn is_linked(&self) -> bool {
        self.linked().is_some()
    }

    /// Whether the node was ever restored, as far as this device has heard.
    pub(super) fn was_restored(&self) -> bool {
        self.era > 0
    }

    pub(super) fn sign_hello(&self, challenge: &Challenge, version: u32) -> [u8; 64] {
        self.sign(&signing::hello(self.realm, &challenge.nonce, self.device, version))
    }

    pub(super) fn sign_read(&self, read: &chasqui_wire::Read) -> [u8; 64] {
        self.sign(&signing::read(self.realm, self.user, self.device, read))
    }

    fn sign(&self, message: &[u8]) -> [u8; 64] {
        sign(&self.key, message)
    }
}

/// Ed25519 (RFC 8032).
fn sign(key: &Ed25519KeyPair, message: &[u8]) -> [u8; 64] {
    key.sign(message).as_ref().try_into().expect("an Ed25519 signature has 64 bytes")
}

/// The public key of a seed.
///
/// # Panics
/// Never: every 32 bytes are a seed.
pub fn public_key(seed: &Secret) -> [u8; 32] {
    let key = Ed25519KeyPair::from_seed_unchecked(seed.expose()).expect("every 32 bytes are a seed");
    key.public_key().as_ref().try_into().expect("an Ed25519 public key has 32 bytes")
}

/// Signs with the key of a seed.
///
/// # Panics
/// Never: every 32 bytes are a seed.
pub fn sign_with(seed: &Secret, message: &[u8]) -> [u8; 64] {
    sign(&Ed25519KeyPair::from_seed_unchecked(seed.expose()).expect("every 32 bytes are a seed"), message)
}

/// Whether `signature` over `message` was made with the secret of `key`.
pub(crate) fn verify(key: &[u8; 32], message: &[u8], signature: &[u8; 64]) -> bool {
    ring::signature::UnparsedPublicKey::new(&ring::signature::ED25519, key).verify(message, signature).is_ok()
}
