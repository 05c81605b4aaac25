//! End-to-end encryption: groups of devices by MLS (RFC 9420), docs/adr/0012-encryption.md.
//!
//! Guarantees: all state lies in the history's database, so that a message and the keys that it used up are stored together or
//! not at all. No leaf is in a group whose credential was not verified. Nothing here knows the network, or what a
//! conversation is: a group is named by its id.

pub(crate) mod backup;
mod credential;
mod crypto;
mod group;
mod kept;
mod key_package;
mod linking;
pub(crate) mod safety_number;
mod signal;
mod storage;
#[cfg(test)]
mod tests;

use chasqui_wire::{DeviceId, RealmId, RosterEntry, UserId, signing};
use openmls::prelude::{Ciphersuite, Credential, CredentialWithKey, OpenMlsProvider, SignatureScheme};
use openmls_traits::signatures::{Signer, SignerError};
use ring::signature::Ed25519KeyPair;
use rusqlite::Connection;

pub(crate) use self::credential::Leaf;
use self::crypto::Crypto;
pub(crate) use self::group::{Change, GroupId, SEALED_BYTES};
pub(crate) use self::key_package::{Offering, Stale};
pub(crate) use self::linking::{Agreed, Exchange, Parties};
use self::storage::Storage;
use crate::engine::{Secret, public_key, sign_with};
use crate::store::StoreError;

/// Of groups that are begun here.
const SUITE: Ciphersuite = crypto::CIPHERSUITES[0];

/// Why something could not be done with a group.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Fault {
    /// The history failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// This device is not in the group, or not any more.
    #[error("no such group here")]
    NoGroup,
    /// Was taken before, and comes again as something else.
    #[error("what was taken before comes again")]
    Repeated,
    /// Of an epoch that the group is not at.
    #[error("of another epoch")]
    Epoch,
    /// Damaged, forged, repeated, or of a version that this one does not know.
    #[error("unreadable: {0}")]
    Unreadable(String),
    /// Whoever this is, it is not who it says.
    #[error("untrusted: {1}")]
    Untrusted(Distrust, &'static str),
    /// Of another past than the one that this device was shown.
    #[error("of a group that has another past")]
    Forked,
    /// A device of this user has another identity than the one that is known.
    #[error("another identity than the one that is known")]
    OtherIdentity(UserId),
}

/// What is not what it says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Distrust {
    /// A device, or the word of its user.
    Device,
    /// A message, or another secret thing.
    Message,
    /// A change of who is in a group.
    Change,
}

/// This device as a leaf.
pub(crate) struct Own {
    leaf: Leaf,
    link: [u8; 64],
    realm: RealmId,
    credential: CredentialWithKey,
    signer: DeviceSigner,
    known: credential::KnownLinks,
    groups: kept::Groups,
}

struct DeviceSigner(Ed25519KeyPair);

impl Signer for DeviceSigner {
    fn sign(&self, payload: &[u8]) -> Result<Vec<u8>, SignerError> {
        Ok(self.0.sign(payload).as_ref().to_vec())
    }

    fn signature_scheme(&self) -> SignatureScheme {
        SignatureScheme::ED25519
    }
}

impl Own {
    /// A device that its user links by the identity key.
    pub(crate) fn linked(
        realm: RealmId,
        user: UserId,
        device: DeviceId,
        device_seed: &Secret,
        identity_seed: &Secret,
    ) -> Result<Self, StoreError> {
        let key = public_key(device_seed);
        let link = sign_with(identity_seed, &signing::link(realm, user, device, &key));
        let leaf = Leaf { user, device, key, identity_key: public_key(identity_seed) };
        let signer = Ed25519KeyPair::from_seed_unchecked(device_seed.expose())
            .map_err(|_| StoreError::Corrupt("the device key is not an Ed25519 seed"))?;
        let credential = credential::credential(&leaf, &link);
        let credential = CredentialWithKey { credential, signature_key: key.as_slice().into() };
        let known = credential::KnownLinks::default();
        Ok(Self { leaf, link, realm, credential, signer: DeviceSigner(signer), known, groups: kept::Groups::default() })
    }

    /// Who a leaf is, if its user's word is good.
    fn verified(&self, credential: &Credential, key: &[u8]) -> Result<Leaf, Fault> {
        Leaf::verified(self.realm, credential, key, &self.known)
    }

    pub(crate) fn user(&self) -> UserId {
        self.leaf.user
    }

    pub(crate) fn identity_key(&self) -> [u8; 32] {
        self.leaf.identity_key
    }

    pub(crate) fn entry(&self) -> RosterEntry {
        self.leaf.entry()
    }

    /// The user's word for this device.
    pub(crate) fn link(&self) -> &[u8; 64] {
        &self.link
    }
}

/// MLS in one transaction, as one device.
pub(crate) struct Mls<'a> {
    own: &'a Own,
    provider: Provider<'a>,
}

impl<'a> Mls<'a> {
    pub(crate) fn new(own: &'a Own, db: &'a Connection) -> Self {
        Self { own, provider: Provider { crypto: Crypto::new(), storage: Storage::new(db) } }
    }

    /// What MLS says that went wrong: the history, if that is what failed.
    fn fault(&self, error: impl std::fmt::Display) -> Fault {
        match self.provider.storage.failure() {
            Some(error) => Fault::Store(error),
            None => Fault::Unreadable(error.to_string()),
        }
    }
}

struct Provider<'a> {
    crypto: Crypto,
    storage: Storage<'a>,
}

impl<'a> OpenMlsProvider for Provider<'a> {
    type CryptoProvider = Crypto;
    type RandProvider = Crypto;
    type StorageProvider = Storage<'a>;

    fn storage(&self) -> &Self::StorageProvider {
        &self.storage
    }

    fn crypto(&self) -> &Self::CryptoProvider {
        &self.crypto
    }

    fn rand(&self) -> &Self::RandProvider {
        &self.crypto
    }
}
