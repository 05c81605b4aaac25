//! Key packages: what others need to put this device in a group.

use bytes::Bytes;
use chasqui_wire::KeyPackage as Claimed;
use openmls::prelude::{
    Capabilities, CredentialType, ExtensionType, KeyPackage, KeyPackageIn, Lifetime, ProtocolVersion,
};
use tls_codec::{DeserializeBytes as _, Serialize as _};

use super::crypto::CIPHERSUITES;
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

    /// What the node gave, if it is what it says.
    pub(super) fn claimed(&self, claimed: &Claimed) -> Result<(KeyPackage, Leaf), Fault> {
        let package = KeyPackageIn::tls_deserialize_exact_bytes(&claimed.body).map_err(|error| self.fault(error))?;
        let package =
            package.validate(&self.provider.crypto, ProtocolVersion::Mls10).map_err(|error| self.fault(error))?;
        let leaf = package.leaf_node();
        let leaf = self.own.verified(leaf.credential(), leaf.signature_key().as_slice())?;
        if leaf.entry() != claimed.entry {
            return Err(Fault::Untrusted(Distrust::Device, "a key package is another device's"));
        }
        Ok((package, leaf))
    }
}
