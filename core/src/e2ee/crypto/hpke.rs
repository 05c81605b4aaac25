//! Hybrid public key encryption (RFC 9180): base mode, DHKEM(X25519, HKDF-SHA256), HKDF-SHA256; by it MLS hands secrets to the
//! keys of its tree. Written here because what does it elsewhere brings primitives of its own, or another licence.
//!
//! Guarantees: a key that would agree on the same secret with everybody is refused (section 7.1.4). Never: seals twice in one
//! context, whose nonces would have to differ; draws a random number.

use openmls_traits::types::CryptoError;
use ring::hmac;
use x25519_dalek::{PublicKey, SharedSecret, StaticSecret, X25519_BASEPOINT_BYTES};

use super::aead::{Aead, NONCE};
use super::{HASH, expand};

pub(super) const PRIVATE_KEY: usize = 32;
const VERSION: &[u8] = b"HPKE-v1";
const MODE_BASE: u8 = 0;
/// "KEM" and DHKEM(X25519, HKDF-SHA256).
const KEM_SUITE: [u8; 5] = *b"KEM\x00\x20";

/// Of one message (section 5.1).
pub(super) struct Context {
    aead: Aead,
    key: Vec<u8>,
    nonce: Vec<u8>,
    exporter_secret: Vec<u8>,
}

/// `SetupBaseS`: what is sent to the receiver, and the context. `ephemeral` is 32 random bytes.
pub(super) fn sender(
    aead: Aead,
    ephemeral: &[u8; 32],
    receiver: &[u8],
    info: &[u8],
) -> Result<([u8; 32], Context), CryptoError> {
    let receiver = public_key(receiver)?;
    let (private, public) = derive_key_pair(ephemeral)?;
    let shared = shared_secret(&agree(&private, &receiver)?, &public, &receiver)?;
    Ok((public.to_bytes(), Context::new(aead, &shared, info)?))
}

/// `SetupBaseR`.
pub(super) fn receiver(aead: Aead, sent: &[u8], private: &[u8], info: &[u8]) -> Result<Context, CryptoError> {
    let private: [u8; PRIVATE_KEY] = private.try_into().map_err(|_| CryptoError::InvalidLength)?;
    let (sent, private) = (public_key(sent)?, StaticSecret::from(private));
    let shared = shared_secret(&agree(&private, &sent)?, &sent, &public_of(&private))?;
    Context::new(aead, &shared, info)
}

/// `DeriveKeyPair` (section 7.1.3).
pub(super) fn derive_key_pair(ikm: &[u8]) -> Result<(StaticSecret, PublicKey), CryptoError> {
    let prk = labeled_extract(&KEM_SUITE, &[], "dkp_prk", ikm);
    let private: [u8; PRIVATE_KEY] = labeled_expand(&KEM_SUITE, prk.as_ref(), "sk", &[], PRIVATE_KEY)?
        .try_into()
        .map_err(|_| CryptoError::InvalidLength)?;
    let private = StaticSecret::from(private);
    let public = public_of(&private);
    Ok((private, public))
}

impl Context {
    /// `KeySchedule` (section 5.1).
    fn new(aead: Aead, shared: &[u8], info: &[u8]) -> Result<Self, CryptoError> {
        let suite = suite(aead);
        let id = labeled_extract(&suite, &[], "psk_id_hash", &[]);
        let info = labeled_extract(&suite, &[], "info_hash", info);
        let context = [&[MODE_BASE], id.as_ref(), info.as_ref()];
        let secret = labeled_extract(&suite, shared, "secret", &[]);
        let derive = |label, len| labeled_expand(&suite, secret.as_ref(), label, &context, len);
        Ok(Self {
            aead,
            key: derive("key", aead.key_len())?,
            nonce: derive("base_nonce", NONCE)?,
            exporter_secret: derive("exp", HASH)?,
        })
    }

    /// `Seal`, once.
    pub(super) fn seal(self, aad: &[u8], plaintext: &[u8]) -> Result<Vec<u8>, CryptoError> {
        self.aead.seal(&self.key, &self.nonce, aad, plaintext)
    }

    /// `Open`, of the only message.
    pub(super) fn open(self, aad: &[u8], sealed: &[u8]) -> Result<Vec<u8>, CryptoError> {
        self.aead.open(&self.key, &self.nonce, aad, sealed)
    }

    /// `Export` (section 5.3).
    pub(super) fn export(&self, context: &[u8], len: usize) -> Result<Vec<u8>, CryptoError> {
        labeled_expand(&suite(self.aead), &self.exporter_secret, "sec", &[context], len)
            .map_err(|_| CryptoError::ExporterError)
    }
}

/// "HPKE", the KEM, the KDF and the AEAD.
fn suite(aead: Aead) -> [u8; 10] {
    let mut suite = *b"HPKE\x00\x20\x00\x01\x00\x00";
    suite[8..].copy_from_slice(&aead.id().to_be_bytes());
    suite
}

/// Whether something can be sealed to this key. One of small order agrees on nothing with any private key, because each is a multiple of
/// the cofactor (RFC 7748, section 5): that it does not with one tells.
pub(super) fn is_usable(key: &[u8]) -> bool {
    public_key(key).and_then(|key| agree(&StaticSecret::from([0; PRIVATE_KEY]), &key)).is_ok()
}

fn public_key(bytes: &[u8]) -> Result<PublicKey, CryptoError> {
    // Every 32 bytes are a coordinate (RFC 7748, section 5); whether it is a good one shows in the agreement.
    let bytes: [u8; 32] = bytes.try_into().map_err(|_| CryptoError::InvalidPublicKey)?;
    Ok(PublicKey::from(bytes))
}

/// By the ladder that agrees, too: the crate's own way is a second one, faster only with tables of 30 KiB.
fn public_of(private: &StaticSecret) -> PublicKey {
    PublicKey::from(private.diffie_hellman(&PublicKey::from(X25519_BASEPOINT_BYTES)).to_bytes())
}

fn agree(private: &StaticSecret, public: &PublicKey) -> Result<SharedSecret, CryptoError> {
    let shared = private.diffie_hellman(public);
    if shared.was_contributory() { Ok(shared) } else { Err(CryptoError::InvalidPublicKey) }
}

/// `ExtractAndExpand` (section 4.1).
fn shared_secret(agreed: &SharedSecret, sent: &PublicKey, receiver: &PublicKey) -> Result<Vec<u8>, CryptoError> {
    let prk = labeled_extract(&KEM_SUITE, &[], "eae_prk", agreed.as_bytes());
    let context = [sent.as_bytes().as_slice(), receiver.as_bytes()];
    labeled_expand(&KEM_SUITE, prk.as_ref(), "shared_secret", &context, HASH)
}

fn labeled_extract(suite: &[u8], salt: &[u8], label: &str, ikm: &[u8]) -> hmac::Tag {
    let mut extract = hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA256, salt));
    for part in [VERSION, suite, label.as_bytes(), ikm] {
        extract.update(part);
    }
    extract.sign()
}

fn labeled_expand(suite: &[u8], prk: &[u8], label: &str, info: &[&[u8]], len: usize) -> Result<Vec<u8>, CryptoError> {
    let written = u16::try_from(len).map_err(|_| CryptoError::HkdfOutputLengthInvalid)?.to_be_bytes();
    let mut labeled = vec![written.as_slice(), VERSION, suite, label.as_bytes()];
    labeled.extend(info);
    expand(prk, &labeled, len)
}

#[cfg(test)]
mod tests {
    use super::super::tests::hex;
    use super::*;

    /// RFC 9180, appendices A.1.1 and A.2.1.
    struct Vector {
        aead: Aead,
        ikm_e: &'static str,
        enc: &'static str,
        ikm_r: &'static str,
        sk_r: &'static str,
        pk_r: &'static str,
        key: &'static str,
        base_nonce: &'static str,
        exporter_secret: &'static str,
        /// With the additional data "Count-0".
        sealed: &'static str,
        /// For the contexts nothing, 00 and "TestContext".
        exported: [&'static str; 3],
    }

    const INFO: &[u8] = b"Ode on a Grecian Urn";
    const PLAINTEXT: &[u8] = b"Beauty is truth, truth beauty";
    const VECTORS: [Vector; 2] = [
        Vector {
            aead: Aead::Aes128Gcm,
            ikm_e: "7268600d403fce431561aef583ee1613527cff655c1343f29812e66706df3234",
            enc: "37fda3567bdbd628e88668c3c8d7e97d1d1253b6d4ea6d44c150f741f1bf4431",
            ikm_r: "6db9df30aa07dd42ee5e8181afdb977e538f5e1fec8a06223f33f7013e525037",
            sk_r: "4612c550263fc8ad58375df3f557aac531d26850903e55a9f23f21d8534e8ac8",
            pk_r: "3948cfe0ad1ddb695d780e59077195da6c56506b027329794ab02bca80815c4d",
            key: "4531685d41d65f03dc48f6b8302c05b0",
            base_nonce: "56d890e5accaaf011cff4b7d",
            exporter_secret: "45ff1c2e220db587171952c0592d5f5ebe103f1561a2614e38f2ffd47e99e3f8",
            sealed: "f938558b5d72f1a23810b4be2ab4f84331acc02fc97babc53a52ae8218a355a96d8770ac83d07bea87e13c512a",
            exported: [
                "3853fe2b4035195a573ffc53856e77058e15d9ea064de3e59f4961d0095250ee",
                "2e8f0b54673c7029649d4eb9d5e33bf1872cf76d623ff164ac185da9e88c21a5",
                "e9e43065102c3836401bed8c3c3c75ae46be1639869391d62c61f1ec7af54931",
            ],
        },
        Vector {
            aead: Aead::ChaCha20Poly1305,
            ikm_e: "909a9b35d3dc4713a5e72a4da274b55d3d3821a37e5d099e74a647db583a904b",
            enc: "1afa08d3dec047a643885163f1180476fa7ddb54c6a8029ea33f95796bf2ac4a",
            ikm_r: "1ac01f181fdf9f352797655161c58b75c656a6cc2716dcb66372da835542e1df",
            sk_r: "8057991eef8f1f1af18f4a9491d16a1ce333f695d4db8e38da75975c4478e0fb",
            pk_r: "4310ee97d88cc1f088a5576c77ab0cf5c3ac797f3d95139c6c84b5429c59662a",
            key: "ad2744de8e17f4ebba575b3f5f5a8fa1f69c2a07f6e7500bc60ca6e3e3ec1c91",
            base_nonce: "5c4d98150661b848853b547f",
            exporter_secret: "a3b010d4994890e2c6968a36f64470d3c824c8f5029942feb11e7a74b2921922",
            sealed: "1c5250d8034ec2b784ba2cfd69dbdb8af406cfe3ff938e131f0def8c8b60b4db21993c62ce81883d2dd1b51a28",
            exported: [
                "4bbd6243b8bb54cec311fac9df81841b6fd61f56538a775e7c80a9f40160606e",
                "8c1df14732580e5501b00f82b10a1647b40713191b7c1240ac80e2b68808ba69",
                "5acb09211139c43b3090489a9da433e8a30ee7188ba8b0a9a1ccf0c229283e53",
            ],
        },
    ];

    fn check(context: &Context, vector: &Vector) {
        assert_eq!(context.key, hex(vector.key));
        assert_eq!(context.nonce, hex(vector.base_nonce));
        assert_eq!(context.exporter_secret, hex(vector.exporter_secret));
        for (about, exported) in [b"".as_slice(), &[0], b"TestContext"].into_iter().zip(vector.exported) {
            assert_eq!(context.export(about, 32).unwrap(), hex(exported));
        }
    }

    #[test]
    fn it_gives_what_the_rfc_gives() {
        for vector in &VECTORS {
            let (private, public) = derive_key_pair(&hex(vector.ikm_r)).unwrap();
            assert_eq!(private.as_bytes().as_slice(), hex(vector.sk_r));
            assert_eq!(public.as_bytes().as_slice(), hex(vector.pk_r));

            let ephemeral = hex(vector.ikm_e).try_into().unwrap();
            let (sent, context) = sender(vector.aead, &ephemeral, &hex(vector.pk_r), INFO).unwrap();
            assert_eq!(sent.as_slice(), hex(vector.enc));
            check(&context, vector);
            assert_eq!(context.seal(b"Count-0", PLAINTEXT).unwrap(), hex(vector.sealed));

            let context = receiver(vector.aead, &hex(vector.enc), &hex(vector.sk_r), INFO).unwrap();
            check(&context, vector);
            assert_eq!(context.open(b"Count-0", &hex(vector.sealed)).unwrap(), PLAINTEXT);
        }
    }

    /// The coordinates of the points whose order divides eight, as RFC 7748 has them read: modulo p, without the highest bit.
    const SMALL: [&str; 7] = [
        "0000000000000000000000000000000000000000000000000000000000000000",
        "0100000000000000000000000000000000000000000000000000000000000000",
        "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
        "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    ];

    #[test]
    fn a_key_that_agrees_with_everybody_is_refused() {
        let aead = Aead::ChaCha20Poly1305;
        for small in SMALL {
            let mut key = hex(small);
            assert!(!is_usable(&key), "{small}");
            for _ in 0..2 {
                let sent = sender(aead, &[7; 32], &key, INFO).map(drop);
                assert_eq!(sent, Err(CryptoError::InvalidPublicKey), "to {small}");
                let received = receiver(aead, &key, &[7; 32], INFO).map(drop);
                assert_eq!(received, Err(CryptoError::InvalidPublicKey), "from {small}");
                key[31] |= 0x80;
            }
        }
    }

    #[test]
    fn any_other_coordinate_is_a_key() {
        // On the curve or on its twist, reduced or not: X25519 makes no difference.
        for first in 2..=40 {
            for rest in [0, 0x55, 0xff] {
                let mut key = [rest; 32];
                key[0] = first;
                sender(Aead::Aes128Gcm, &[7; 32], &key, INFO).unwrap();
            }
        }
    }

    #[test]
    fn keys_of_other_lengths_are_refused() {
        for len in [0, 31, 33, 64] {
            let key = vec![9; len];
            let refused = |outcome: Result<(), _>| outcome.unwrap_err();
            assert_eq!(refused(sender(Aead::Aes128Gcm, &[7; 32], &key, INFO).map(drop)), CryptoError::InvalidPublicKey);
            assert_eq!(
                refused(receiver(Aead::Aes128Gcm, &key, &[7; 32], INFO).map(drop)),
                CryptoError::InvalidPublicKey
            );
            assert_eq!(refused(receiver(Aead::Aes128Gcm, &[9; 32], &key, INFO).map(drop)), CryptoError::InvalidLength);
        }
    }

    #[test]
    fn an_export_has_the_length_that_was_asked_for_up_to_the_longest() {
        let (_, context) = sender(Aead::Aes128Gcm, &[7; 32], &[9; 32], INFO).unwrap();
        assert_eq!(context.export(b"", 0).unwrap(), b"");
        assert_eq!(context.export(b"", 255 * 32).unwrap().len(), 255 * 32);
        for len in [255 * 32 + 1, 65_535, 65_536, usize::MAX] {
            assert_eq!(context.export(b"", len), Err(CryptoError::ExporterError));
        }
    }
}
