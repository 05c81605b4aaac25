//! A Welcome for one: MLS makes one message for all who join, with a secret for each; each needs only its own.

use openmls::prelude::Welcome;
use tls_codec::{DeserializeBytes as _, Serialize as _, TlsDeserializeBytes, TlsSerialize, TlsSize, VLBytes};

/// `struct Welcome` of RFC 9420, section 12.4.3.1.
#[derive(Debug, TlsSize, TlsSerialize, TlsDeserializeBytes)]
struct Parts {
    cipher_suite: u16,
    secrets: Vec<Secrets>,
    encrypted_group_info: VLBytes,
}

/// `struct EncryptedGroupSecrets`, with its `HPKECiphertext`.
#[derive(Clone, Debug, TlsSize, TlsSerialize, TlsDeserializeBytes)]
struct Secrets {
    new_member: VLBytes,
    kem_output: VLBytes,
    ciphertext: VLBytes,
}

/// The Welcome with nothing but the secret for the key package of this reference.
pub(super) fn for_one(welcome: &Welcome, key_package: &[u8]) -> Result<Vec<u8>, tls_codec::Error> {
    let mut parts = Parts::tls_deserialize_exact_bytes(&welcome.tls_serialize_detached()?)?;
    parts.secrets.retain(|secrets| secrets.new_member.as_slice() == key_package);
    parts.tls_serialize_detached()
}
