//! Who a leaf of a group is: a device of a user, on the word of the user's identity key.

use std::cell::RefCell;
use std::collections::HashSet;

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

    /// Reads a credential and verifies its link: version, user, device, identity key, signature. What was verified before is known.
    pub(super) fn verified(
        realm: RealmId,
        credential: &Credential,
        key: &[u8],
        known: &KnownLinks,
    ) -> Result<Self, Fault> {
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
        let is_valid = || verify(identity_key, &signing::link(realm, user, device, &key), link);
        if *version != VERSION || !known.has_or(bytes, &key, is_valid) {
            return Err(Fault::Untrusted(Distrust::Device, "a device has no valid word of its user"));
        }
        Ok(Self { user, device, key, identity_key: *identity_key })
    }
}

/// Links that were verified: every message names its author's, and to verify one costs more than to store an unencrypted message
/// (docs/benchmarks.md).
#[derive(Default)]
pub(super) struct KnownLinks(RefCell<HashSet<Link>>);

/// A credential, and the key that it is for.
type Link = ([u8; LENGTH], [u8; 32]);

impl KnownLinks {
    /// Two thirds of a megabyte; when there are more, all are verified anew.
    const MAX: usize = 4096;

    fn has_or(&self, credential: &[u8; LENGTH], key: &[u8; 32], is_valid: impl FnOnce() -> bool) -> bool {
        let link = (*credential, *key);
        if self.0.borrow().contains(&link) {
            return true;
        }
        let is_valid = is_valid();
        if is_valid {
            let mut known = self.0.borrow_mut();
            if known.len() >= Self::MAX {
                known.clear();
            }
            known.insert(link);
        }
        is_valid
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
