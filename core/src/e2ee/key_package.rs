//! Key packages: what others need to put this device in a group.
//!
//! Guarantees: what is found good here can be put in a group, so that one device's bad package keeps nobody else out.

use std::collections::BTreeSet;

use bytes::Bytes;
use chasqui_wire::KeyPackage as Claimed;
use openmls::prelude::{
    Capabilities, Ciphersuite, CredentialType, ExtensionType, KeyPackage, KeyPackageIn, Lifetime, Member,
    ProtocolVersion,
};
use tls_codec::{DeserializeBytes as _, Serialize as _, VLByteVec};

use super::crypto::{CIPHERSUITES, can_be_sealed_to};
use super::{Distrust, Fault, Leaf, Mls, SUITE};
use crate::store::StoreError;

/// Always. MLS compares with this device's clock, and a wrong one would lock its owner out; how long a package is given away,
/// the device that made it says to the node.
fn lifetime() -> Lifetime {
    Lifetime::init(0, u64::MAX)
}

pub(super) fn capabilities() -> Capabilities {
    let extensions = [ExtensionType::LastResort];
    Capabilities::new(None, Some(&CIPHERSUITES), Some(&extensions), None, Some(&[CredentialType::Basic]))
}

impl Mls<'_> {
    /// Makes one, and remembers its secrets until it is used; those of a last resort for good.
    pub(crate) fn key_package(&self, is_last_resort: bool) -> Result<Bytes, Fault> {
        let mut builder = KeyPackage::builder().leaf_node_capabilities(capabilities()).key_package_lifetime(lifetime());
        if is_last_resort {
            builder = builder.mark_as_last_resort();
        }
        let made = builder.build(SUITE, &self.provider, &self.own.signer, self.own.credential.clone());
        let made = made.map_err(|error| self.fault(error))?;
        let bytes = made.key_package().tls_serialize_detached().map_err(|error| self.fault(error))?;
        Ok(bytes.into())
    }

    /// Whether others could still put this device in a group by one that was made.
    pub(crate) fn has_key_packages(&self) -> Result<bool, StoreError> {
        self.provider.storage.has_key_packages()
    }

    /// Forgets the secrets of all that were made: nobody can put this device in a group by them any more.
    pub(crate) fn forget_key_packages(&self) -> Result<(), Fault> {
        Ok(self.provider.storage.delete_key_packages()?)
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
