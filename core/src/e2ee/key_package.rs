//! Key packages: what others need to put this device in a group.
//!
//! Guarantees: what is found good here can be put in a group, so that one device's bad package keeps nobody else out. Of packages of this
//! device that the node may have, the secrets are here; of those that it has others for, for as long as somebody may have claimed them before.

use std::collections::BTreeSet;

use bytes::Bytes;
use chasqui_wire::{KeyPackage as Claimed, Timestamp};
use openmls::prelude::{
    Capabilities, Ciphersuite, CredentialType, ExtensionType, KeyPackage, KeyPackageIn, Lifetime, Member,
    ProtocolVersion,
};
use tls_codec::{DeserializeBytes as _, Serialize as _, VLByteVec};

use super::crypto::{CIPHERSUITES, can_be_sealed_to};
use super::{Distrust, Fault, Leaf, Mls, SUITE};
use crate::planted::{PlantedBug, planted};
use crate::store::StoreError;

const HOUR_MS: u64 = 3_600_000;
const DAY_MS: u64 = 24 * HOUR_MS;
/// How long a package of last resort is given away: that long others' Welcomes are for one key.
const LAST_RESORT_MS: u64 = 7 * DAY_MS;
/// After that time those that are given once are replaced, so that the secrets of what was claimed and not used are not kept for ever.
const ONE_TIME_MS: u64 = 30 * DAY_MS;
/// How long secrets outlive the answer that the node has others: whoever claimed one before may take that long to send a Welcome.
const KEPT_MS: u64 = 30 * DAY_MS;
/// Between two tries, and between two packages of last resort that are replaced because they were used.
const PAUSE_MS: u64 = HOUR_MS;

/// Which of its packages a device replaces at the node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stale {
    Nothing,
    LastResort,
    All,
}

/// Packages on their way to the node.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Offering {
    /// Of the table `mls`.
    first: i64,
    replaced: Stale,
}

/// Always. MLS compares with the clock of whoever adds or follows, and a wrong one would lock people out. How long a package serves, the
/// device that made it decides: it replaces it at the node.
pub(super) fn lifetime() -> Lifetime {
    Lifetime::init(0, u64::MAX)
}

pub(super) fn capabilities() -> Capabilities {
    let extensions = [ExtensionType::LastResort];
    Capabilities::new(None, Some(&CIPHERSUITES), Some(&extensions), None, Some(&[CredentialType::Basic]))
}

// Times are by the node's clock.
impl Mls<'_> {
    /// Makes one, and remembers its secrets until it is used; those of a last resort until it was replaced.
    pub(crate) fn key_package(&self, is_last_resort: bool) -> Result<Bytes, Fault> {
        let mut builder = KeyPackage::builder().leaf_node_capabilities(capabilities()).key_package_lifetime(lifetime());
        if is_last_resort {
            builder = builder.mark_as_last_resort();
        }
        let made = builder.build(SUITE, &self.provider, &self.own.signer, self.own.credential.clone());
        let made = made.map_err(|error| self.fault(error))?;
        if is_last_resort {
            let reference = made.key_package().hash_ref(&self.provider.crypto).map_err(|error| self.fault(error))?;
            self.provider.storage.mark_as_last_resort(&reference)?;
        }
        let bytes = made.key_package().tls_serialize_detached().map_err(|error| self.fault(error))?;
        Ok(bytes.into())
    }

    /// What is to be replaced at the node. All, where it is of no use without its secrets.
    pub(crate) fn stale_key_packages(&self, now: Timestamp) -> Result<Stale, StoreError> {
        // What is due much later was put off by a clock that is set right now.
        let latest = now.plus_millis(ONE_TIME_MS);
        Ok(match self.provider.storage.due_key_packages(now.0, latest.0)? {
            (0, _) | (_, Some(false)) => Stale::All,
            (_, Some(true)) => Stale::LastResort,
            (_, None) => Stale::Nothing,
        })
    }

    /// How many of those that are given once the node has, or has given to somebody who did not use them: it said so of each.
    pub(crate) fn unused_key_packages(&self, now: Timestamp) -> Result<u32, StoreError> {
        self.provider.storage.confirmed_key_packages(now.plus_millis(PAUSE_MS).0)
    }

    /// Makes so many that are given once, and perhaps one of last resort, to be given to the node now; all in one transaction.
    pub(crate) fn offer_key_packages(
        &self,
        one_time: u32,
        last_resort: bool,
        replaced: Stale,
        now: Timestamp,
    ) -> Result<(Offering, Vec<Bytes>, Option<Bytes>), Fault> {
        let storage = &self.provider.storage;
        let first = storage.next_id()?;
        if planted(PlantedBug::SecretsTooSoon) {
            storage.delete_key_packages_from(0)?;
        }
        let one_time = (0..one_time).map(|_| self.key_package(false)).collect::<Result<_, _>>()?;
        let last_resort = last_resort.then(|| self.key_package(true)).transpose()?;
        storage.defer_key_packages(now.plus_millis(PAUSE_MS).0, now.plus_millis(ONE_TIME_MS).0)?;
        Ok((Offering { first, replaced }, one_time, last_resort))
    }

    /// The node has them.
    pub(crate) fn key_packages_taken(&self, offering: Offering, now: Timestamp) -> Result<(), StoreError> {
        let (storage, at) = (&self.provider.storage, |millis| now.plus_millis(millis).0);
        let Offering { first, replaced } = offering;
        storage.keep_key_packages(first, [at(ONE_TIME_MS), at(LAST_RESORT_MS)])?;
        match replaced {
            Stale::Nothing => Ok(()),
            Stale::LastResort | Stale::All => {
                storage.retire_key_packages(first, replaced == Stale::LastResort, at(KEPT_MS))
            }
        }
    }

    /// The node did not take them.
    pub(crate) fn key_packages_refused(&self, offering: Offering) -> Result<(), StoreError> {
        self.provider.storage.delete_key_packages_from(offering.first)
    }

    /// Somebody used the one of last resort: it is replaced soon, and not more often than whoever does that for fun would have it.
    pub(crate) fn last_resort_was_used(&self, now: Timestamp) -> Result<(), StoreError> {
        self.provider.storage.hasten_key_packages(true, now.plus_millis(PAUSE_MS).0)
    }

    /// The node may have others than this device believes: it is given new ones at once.
    pub(crate) fn replace_key_packages(&self, now: Timestamp) -> Result<(), StoreError> {
        self.provider.storage.hasten_key_packages(false, 0)?;
        self.provider.storage.keep_retired_key_packages(now.plus_millis(KEPT_MS).0)
    }

    /// Forgets the secrets of what was replaced long ago. All mail is in.
    pub(crate) fn forget_key_packages(&self, now: Timestamp) -> Result<(), StoreError> {
        self.provider.storage.delete_retired_key_packages(now.0, now.plus_millis(KEPT_MS).0)
    }

    /// What the node gave, if it is what it says, and of use in a group of this ciphersuite.
    pub(super) fn claimed(&self, claimed: &Claimed, suite: Ciphersuite) -> Result<(KeyPackage, Leaf), Fault> {
        let package = KeyPackageIn::tls_deserialize_exact_bytes(&claimed.body).map_err(|error| self.fault(error))?;
        let package =
            package.validate(&self.provider.crypto, ProtocolVersion::Mls10).map_err(|error| self.fault(error))?;
        let leaf = package.leaf_node();
        let leaf = self.own.verified(leaf.credential(), leaf.signature_key().as_slice())?;
        if leaf.entry() != claimed.entry {
            return Err(Fault::Untrusted(Distrust::Device, "a key package is another device's"));
        }
        if !fits(&package, suite) {
            return Err(Fault::Unreadable("a key package is for other groups".into()));
        }
        if !self.sealing_keys(&package)?.iter().all(|key| can_be_sealed_to(key)) {
            return Err(Fault::Unreadable("a key package has a key that nothing can be sealed to".into()));
        }
        Ok((package, leaf))
    }

    /// The package's own key, and the one of its leaf.
    fn sealing_keys(&self, package: &KeyPackage) -> Result<[Vec<u8>; 2], Fault> {
        // openmls gives the bytes of this one in no other way.
        let encoded = package.leaf_node().encryption_key().tls_serialize_detached();
        let encoded = encoded.map_err(|error| self.fault(error))?;
        let key = VLByteVec::tls_deserialize_exact_bytes(&encoded).map_err(|error| self.fault(error))?;
        Ok([package.hpke_init_key().as_slice().to_vec(), key.into()])
    }

    /// Has nobody added whose keys somebody else has.
    pub(super) fn take_keys(&self, taken: &mut Keys, package: &KeyPackage) -> Result<(), Fault> {
        let signing = package.leaf_node().signature_key().as_slice().to_vec();
        let sealing = self.sealing_keys(package)?;
        if taken.signing.contains(&signing) || sealing.iter().any(|key| taken.sealing.contains(key)) {
            return Err(Fault::Unreadable("a key package has the keys of another".into()));
        }
        taken.signing.insert(signing);
        taken.sealing.extend(sealing);
        Ok(())
    }
}

/// The public keys in a group, each of which is there once (RFC 9420, section 7.3).
#[derive(Default)]
pub(super) struct Keys {
    signing: BTreeSet<Vec<u8>>,
    sealing: BTreeSet<Vec<u8>>,
}

impl Keys {
    pub(super) fn of_member(&mut self, member: Member) {
        self.signing.insert(member.signature_key);
        self.sealing.insert(member.encryption_key);
    }
}

/// What openmls asks of each that is added, before it adds any (RFC 9420, sections 7.3 and 10.1).
fn fits(package: &KeyPackage, suite: Ciphersuite) -> bool {
    let can = package.leaf_node().capabilities();
    let is_known = |kind| kind == ExtensionType::ApplicationId || can.extensions().contains(&kind);
    package.ciphersuite() == suite
        && can.ciphersuites().contains(&suite.into())
        && can.versions().contains(&ProtocolVersion::Mls10)
        && can.credentials().contains(&CredentialType::Basic)
        && package.leaf_node().extensions().iter().all(|extension| is_known(extension.extension_type()))
}
