//! Who a leaf of a group is: a device of a user, on the word of the user's identity key.

use chasqui_wire::{DeviceId, RealmId, RosterEntry, UserId, signing};
use openmls::prelude::{BasicCredential, Credential};

use super::{Distrust, Fault};
use crate::engine::verify;

/// Of the layout below.
const VERSION: u8 = 1;
const LENGTH: usize = 1 + 16 + 16 + 32 + 64;

/// A leaf whose link was verified. Whether the identity key is the user's, whoever knows the user has to say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Leaf {
    pub(crate) user: UserId,
    pub(crate) device: DeviceId,
    /// The device's (Ed25519).
    pub(crate) key: [u8; 32],
    /// The user's (Ed25519).
    pub(crate) identity_key: [u8; 32],
}

impl Leaf {
    pub(crate) fn entry(&self) -> RosterEntry {
        RosterEntry { user: self.user, device: self.device }
    }

    /// Reads a credential and verifies its link: version, user, device, identity key, signature.
    pub(super) fn verified(realm: RealmId, credential: &Credential, key: &[u8]) -> Result<Self, Fault> {
        let untrusted = || Fault::Untrusted(Distrust::Device, "a credential is no device's of this app");
        let basic = BasicCredential::try_from(credential.clone()).map_err(|_| untrusted())?;
        let bytes: &[u8; LENGTH] = basic.identity().try_into().map_err(|_| untrusted())?;
        let key: [u8; 32] = key.try_into().map_err(|_| untrusted())?;
        let (version, rest) = bytes.split_first().ok_or_else(untrusted)?;
        let (user, rest) = rest.split_first_chunk::<16>().ok_or_else(untrusted)?;
        let (device, rest) = rest.split_first_chunk::<16>().ok_or_else(untrusted)?;
        let (identity_key, link) = rest.split_first_chunk::<32>().ok_or_else(untrusted)?;
        let link: &[u8; 64] = link.try_into().map_err(|_| untrusted())?;
        let (user, device) = (UserId::from_bytes(*user), DeviceId::from_bytes(*device));
        if *version != VERSION || !verify(identity_key, &signing::link(realm, user, device, &key), link) {
            return Err(Fault::Untrusted(Distrust::Device, "a device has no valid word of its user"));
        }
        Ok(Self { user, device, key, identity_key: *identity_key })
    }
}

/// The credential of a device that its user has linked.
pub(super) fn credential(leaf: &Leaf, link: &[u8; 64]) -> Credential {
    let mut bytes = Vec::with_capacity(LENGTH);
    bytes.push(VERSION);
    bytes.extend_from_slice(leaf.user.as_bytes());
    bytes.extend_from_slice(leaf.device.as_bytes());
    bytes.extend_from_slice(&leaf.identity_key);
    bytes.extend_from_slice(link);
    BasicCredential::new(bytes).into()
}
