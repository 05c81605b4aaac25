//! The cryptography under MLS: what openmls asks for, from `ring` and one ladder for X25519.
//!
//! Guarantees: exactly the [`CIPHERSUITES`], of which Curve25519 and SHA-256 are common; everything else, and every key, nonce or
//! ciphertext that cannot be one, is an error of its own kind. Never: panics, logs, or remembers a secret.

mod aead;
mod hpke;
#[cfg(test)]
mod interop;

use openmls_traits::crypto::OpenMlsCrypto;
use openmls_traits::random::OpenMlsRand;
use openmls_traits::types::{
    AeadType, Ciphersuite, CryptoError, ExporterSecret, HashType, HpkeAeadType, HpkeCiphertext, HpkeConfig,
    HpkeKdfType, HpkeKemType, HpkeKeyPair, KemOutput, SignatureScheme,
};
use ring::rand::{SecureRandom as _, SystemRandom};
use ring::signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};
use ring::{digest, hkdf, hmac};
use tls_codec::SecretVLBytes;

use self::aead::Aead;

/// What this device speaks, the one for new groups first.
pub(crate) const CIPHERSUITES: [Ciphersuite; 2] = [
    Ciphersuite::MLS_128_DHKEMX25519_CHACHA20POLY1305_SHA256_Ed25519,
    Ciphersuite::MLS_128_DHKEMX25519_AES128GCM_SHA256_Ed25519,
];

/// Of SHA-256, in bytes.
const HASH: usize = 32;
const ED25519_PUBLIC_KEY: usize = 32;

/// Whether something can be sealed to this HPKE key.
pub(crate) fn can_be_sealed_to(key: &[u8]) -> bool {
    hpke::is_usable(key)
}

/// Cryptography and randomness for openmls. Holds no secret, and costs nothing to make.
#[derive(Clone, Debug)]
pub(crate) struct Crypto {
    random: SystemRandom,
}

impl Crypto {
    pub(crate) fn new() -> Self {
        Self { random: SystemRandom::new() }
    }
}

impl OpenMlsRand for Crypto {
    type Error = CryptoError;

    fn random_array<const N: usize>(&self) -> Result<[u8; N], CryptoError> {
        let mut bytes = [0; N];
        self.random.fill(&mut bytes).map_err(|_| CryptoError::InsufficientRandomness)?;
        Ok(bytes)
    }

    fn random_vec(&self, len: usize) -> Result<Vec<u8>, CryptoError> {
        let mut bytes = vec![0; len];
        self.random.fill(&mut bytes).map_err(|_| CryptoError::InsufficientRandomness)?;
        Ok(bytes)
    }
}

impl OpenMlsCrypto for Crypto {
    fn supports(&self, ciphersuite: Ciphersuite) -> Result<(), CryptoError> {
        if CIPHERSUITES.contains(&ciphersuite) { Ok(()) } else { Err(CryptoError::UnsupportedCiphersuite) }
    }

    fn supported_ciphersuites(&self) -> Vec<Ciphersuite> {
        CIPHERSUITES.to_vec()
    }

    fn hkdf_extract(&self, hash: HashType, salt: &[u8], ikm: &[u8]) -> Result<SecretVLBytes, CryptoError> {
        // RFC 5869, section 2.2. `ring` keeps what its own gives to itself.
        self.hmac(hash, salt, ikm)
    }

    fn hmac(&self, hash: HashType, key: &[u8], message: &[u8]) -> Result<SecretVLBytes, CryptoError> {
        sha256(hash)?;
        Ok(hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), message).as_ref().into())
    }

    fn hkdf_expand(
        &self,
        hash: HashType,
        prk: &[u8],
        info: &[u8],
        okm_len: usize,
    ) -> Result<SecretVLBytes, CryptoError> {
        sha256(hash)?;
        if prk.len() < HASH {
            return Err(CryptoError::InvalidLength);
        }
        Ok(expand(prk, &[info], okm_len)?.into())
    }

    fn hash(&self, hash: HashType, data: &[u8]) -> Result<Vec<u8>, CryptoError> {
        sha256(hash)?;
        Ok(digest::digest(&digest::SHA256, data).as_ref().to_vec())
    }

    fn aead_encrypt(
        &self,
        alg: AeadType,
        key: &[u8],
        data: &[u8],
        nonce: &[u8],
        aad: &[u8],
    ) -> Result<Vec<u8>, CryptoError> {
        Aead::try_from(alg)?.seal(key, nonce, aad, data)
    }

    fn aead_decrypt(
        &self,
        alg: AeadType,
        key: &[u8],
        ct_tag: &[u8],
        nonce: &[u8],
        aad: &[u8],
    ) -> Result<Vec<u8>, CryptoError> {
        Aead::try_from(alg)?.open(key, nonce, aad, ct_tag)
    }

    /// The seed and the public key (RFC 8032), 32 bytes each.
    fn signature_key_gen(&self, alg: SignatureScheme) -> Result<(Vec<u8>, Vec<u8>), CryptoError> {
        ed25519(alg)?;
        let seed: [u8; 32] = self.random_array()?;
        let key = signing_key(&seed)?;
        Ok((seed.to_vec(), key.public_key().as_ref().to_vec()))
    }

    fn verify_signature(
        &self,
        alg: SignatureScheme,
        data: &[u8],
        pk: &[u8],
        signature: &[u8],
    ) -> Result<(), CryptoError> {
        ed25519(alg)?;
        if pk.len() != ED25519_PUBLIC_KEY {
            return Err(CryptoError::InvalidPublicKey);
        }
        UnparsedPublicKey::new(&ED25519, pk).verify(data, signature).map_err(|_| CryptoError::InvalidSignature)
    }

    fn sign(&self, alg: SignatureScheme, data: &[u8], key: &[u8]) -> Result<Vec<u8>, CryptoError> {
        ed25519(alg)?;
        Ok(signing_key(key)?.sign(data).as_ref().to_vec())
    }

    fn hpke_seal(
        &self,
        config: HpkeConfig,
        pk_r: &[u8],
        info: &[u8],
        aad: &[u8],
        ptxt: &[u8],
    ) -> Result<HpkeCiphertext, CryptoError> {
        let (kem_output, context) = hpke::sender(hpke_aead(&config)?, &self.random_array()?, pk_r, info)?;
        let ciphertext = context.seal(aad, ptxt)?;
        Ok(HpkeCiphertext { kem_output: kem_output.to_vec().into(), ciphertext: ciphertext.into() })
    }

    fn hpke_open(
        &self,
        config: HpkeConfig,
        input: &HpkeCiphertext,
        sk_r: &[u8],
        info: &[u8],
        aad: &[u8],
    ) -> Result<Vec<u8>, CryptoError> {
        let context = hpke::receiver(hpke_aead(&config)?, input.kem_output.as_slice(), sk_r, info)?;
        context.open(aad, input.ciphertext.as_slice()).map_err(|_| CryptoError::HpkeDecryptionError)
    }

    fn hpke_setup_sender_and_export(
        &self,
        config: HpkeConfig,
        pk_r: &[u8],
        info: &[u8],
        exporter_context: &[u8],
        exporter_length: usize,
    ) -> Result<(KemOutput, ExporterSecret), CryptoError> {
        let (kem_output, context) = hpke::sender(hpke_aead(&config)?, &self.random_array()?, pk_r, info)?;
        Ok((kem_output.to_vec(), context.export(exporter_context, exporter_length)?.into()))
    }

    fn hpke_setup_receiver_and_export(
        &self,
        config: HpkeConfig,
        enc: &[u8],
        sk_r: &[u8],
        info: &[u8],
        exporter_context: &[u8],
        exporter_length: usize,
    ) -> Result<ExporterSecret, CryptoError> {
        let context = hpke::receiver(hpke_aead(&config)?, enc, sk_r, info)?;
        Ok(context.export(exporter_context, exporter_length)?.into())
    }

    fn derive_hpke_keypair(&self, config: HpkeConfig, ikm: &[u8]) -> Result<HpkeKeyPair, CryptoError> {
        hpke_aead(&config)?;
        if ikm.len() < hpke::PRIVATE_KEY {
            return Err(CryptoError::InvalidLength);
        }
        let (private, public) = hpke::derive_key_pair(ikm)?;
        Ok(HpkeKeyPair { private: private.as_bytes().as_slice().into(), public: public.to_bytes().to_vec() })
    }
}

fn sha256(hash: HashType) -> Result<(), CryptoError> {
    match hash {
        HashType::Sha2_256 => Ok(()),
        HashType::Sha2_384 | HashType::Sha2_512 => Err(CryptoError::UnsupportedHashAlgorithm),
    }
}

fn ed25519(scheme: SignatureScheme) -> Result<(), CryptoError> {
    if scheme == SignatureScheme::ED25519 { Ok(()) } else { Err(CryptoError::UnsupportedSignatureScheme) }
}

/// What a configuration of HPKE leaves open. Its other parts have to be those of the [`CIPHERSUITES`].
fn hpke_aead(config: &HpkeConfig) -> Result<Aead, CryptoError> {
    let HpkeConfig(kem, kdf, aead) = config;
    if *kem != HpkeKemType::DhKem25519 {
        return Err(CryptoError::UnsupportedCiphersuite);
    }
    if *kdf != HpkeKdfType::HkdfSha256 {
        return Err(CryptoError::UnsupportedKdf);
    }
    match aead {
        HpkeAeadType::ChaCha20Poly1305 => Ok(Aead::ChaCha20Poly1305),
        HpkeAeadType::AesGcm128 => Ok(Aead::Aes128Gcm),
        HpkeAeadType::AesGcm256 | HpkeAeadType::Export => Err(CryptoError::UnsupportedAeadAlgorithm),
    }
}

fn signing_key(seed: &[u8]) -> Result<Ed25519KeyPair, CryptoError> {
    // Every 32 bytes are a seed, and nothing else is.
    Ed25519KeyPair::from_seed_unchecked(seed).map_err(|_| CryptoError::InvalidLength)
}

/// RFC 5869, section 2.3, with SHA-256.
fn expand(prk: &[u8], info: &[&[u8]], len: usize) -> Result<Vec<u8>, CryptoError> {
    struct Len(usize);

    impl hkdf::KeyType for Len {
        fn len(&self) -> usize {
            self.0
        }
    }

    let prk = hkdf::Prk::new_less_safe(hkdf::HKDF_SHA256, prk);
    let okm = prk.expand(info, Len(len)).map_err(|_| CryptoError::HkdfOutputLengthInvalid)?;
    let mut bytes = vec![0; len];
    okm.fill(&mut bytes).map_err(|_| CryptoError::HkdfOutputLengthInvalid)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(super) fn hex(text: &str) -> Vec<u8> {
        (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
    }

    const UNSUPPORTED_HASHES: [HashType; 2] = [HashType::Sha2_384, HashType::Sha2_512];
    const AEADS: [AeadType; 2] = [AeadType::Aes128Gcm, AeadType::ChaCha20Poly1305];

    fn config(aead: HpkeAeadType) -> HpkeConfig {
        HpkeConfig(HpkeKemType::DhKem25519, HpkeKdfType::HkdfSha256, aead)
    }

    #[test]
    fn two_ciphersuites_are_supported_and_no_other() {
        let crypto = Crypto::new();
        assert_eq!(crypto.supported_ciphersuites(), CIPHERSUITES);
        let supported = (1..=7).filter(|&number| crypto.supports(Ciphersuite::try_from(number).unwrap()).is_ok());
        assert_eq!(supported.collect::<Vec<u16>>(), [1, 3]);
        for suite in CIPHERSUITES {
            hpke_aead(&suite.hpke_config()).unwrap();
            sha256(suite.hash_algorithm()).unwrap();
            ed25519(suite.signature_algorithm()).unwrap();
            Aead::try_from(suite.aead_algorithm()).unwrap();
        }
    }

    /// RFC 5869, appendices A.1 to A.3.
    #[test]
    fn hkdf_gives_what_the_rfc_gives() {
        let check = |ikm: &[u8], salt: &[u8], info: &[u8], prk: &str, okm: &str| {
            let crypto = Crypto::new();
            let extracted = crypto.hkdf_extract(HashType::Sha2_256, salt, ikm).unwrap();
            assert_eq!(extracted.as_slice(), hex(prk));
            let okm = hex(okm);
            let expanded = crypto.hkdf_expand(HashType::Sha2_256, extracted.as_slice(), info, okm.len()).unwrap();
            assert_eq!(expanded.as_slice(), okm);
        };
        let run = |from: u8, to: u8| (from..=to).collect::<Vec<u8>>();
        check(
            &[0x0b; 22],
            &run(0x00, 0x0c),
            &run(0xf0, 0xf9),
            "077709362c2e32df0ddc3f0dc47bba6390b6c73bb50f9c3122ec844ad7c2b3e5",
            "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865",
        );
        check(
            &run(0x00, 0x4f),
            &run(0x60, 0xaf),
            &run(0xb0, 0xff),
            "06a6b88c5853361a06104c9ceb35b45cef760014904671014a193f40c15fc244",
            "b11e398dc80327a1c8e7f78c596a49344f012eda2d4efad8a050cc4c19afa97c59045a99cac7827271cb41c65e590e09\
             da3275600c2f09b8367793a9aca3db71cc30c58179ec3e87c14c01d5c1f3434f1d87",
        );
        check(
            &[0x0b; 22],
            &[],
            &[],
            "19ef24a32c717b167f33a91d6f648bdf96596776afdb6377ac434c1c293ccb04",
            "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8",
        );
    }

    #[test]
    fn hkdf_refuses_what_is_too_short_or_too_long() {
        let expand = |prk: &[u8], len| {
            let expanded = Crypto::new().hkdf_expand(HashType::Sha2_256, prk, b"", len);
            expanded.map(|bytes| bytes.as_slice().len())
        };
        assert_eq!(expand(&[1; 31], 32), Err(CryptoError::InvalidLength));
        assert_eq!(expand(&[1; 32], 0), Ok(0));
        assert_eq!(expand(&[1; 64], 255 * 32), Ok(255 * 32));
        assert_eq!(expand(&[1; 32], 255 * 32 + 1), Err(CryptoError::HkdfOutputLengthInvalid));
        assert_eq!(expand(&[1; 32], usize::MAX), Err(CryptoError::HkdfOutputLengthInvalid));
    }

    #[test]
    fn other_hashes_are_refused() {
        let crypto = Crypto::new();
        for hash in UNSUPPORTED_HASHES {
            let refused = CryptoError::UnsupportedHashAlgorithm;
            assert_eq!(crypto.hash(hash, b"").unwrap_err(), refused);
            assert_eq!(crypto.hmac(hash, b"", b"").unwrap_err(), refused);
            assert_eq!(crypto.hkdf_extract(hash, b"", b"").unwrap_err(), refused);
            assert_eq!(crypto.hkdf_expand(hash, &[0; 64], b"", 32).unwrap_err(), refused);
        }
    }

    #[test]
    fn what_was_sealed_is_opened_unless_it_was_changed() {
        let crypto = Crypto::new();
        for aead in AEADS {
            let (key, nonce) = (vec![1; aead.key_size()], [2; 12]);
            for plaintext in [b"".as_slice(), b"x", &[3; 1000]] {
                let sealed = crypto.aead_encrypt(aead, &key, plaintext, &nonce, b"about").unwrap();
                assert_eq!(sealed.len(), plaintext.len() + aead.tag_size());
                assert_eq!(crypto.aead_decrypt(aead, &key, &sealed, &nonce, b"about").unwrap(), plaintext);
                let refused = Err(CryptoError::AeadDecryptionError);
                for at in [0, sealed.len() - 1] {
                    let mut changed = sealed.clone();
                    changed[at] ^= 1;
                    assert_eq!(crypto.aead_decrypt(aead, &key, &changed, &nonce, b"about"), refused);
                }
                for len in [0, 15, sealed.len() - 1] {
                    assert_eq!(crypto.aead_decrypt(aead, &key, &sealed[..len], &nonce, b"about"), refused);
                }
                assert_eq!(crypto.aead_decrypt(aead, &key, &sealed, &nonce, b"other"), refused);
                assert_eq!(crypto.aead_decrypt(aead, &key, &sealed, &[4; 12], b"about"), refused);
            }
        }
    }

    #[test]
    fn keys_and_nonces_of_other_lengths_are_refused() {
        let crypto = Crypto::new();
        for aead in AEADS {
            let check = |key: &[u8], nonce: &[u8]| {
                let refused = Err(CryptoError::InvalidLength);
                assert_eq!(crypto.aead_encrypt(aead, key, b"x", nonce, b""), refused);
                assert_eq!(crypto.aead_decrypt(aead, key, &[0; 17], nonce, b""), refused);
            };
            let right = vec![1; aead.key_size()];
            for len in [0, right.len() - 1, right.len() + 1, 48 - right.len()] {
                check(&vec![1; len], &[2; 12]);
            }
            for len in [0, 11, 13, 24] {
                check(&right, &vec![2; len]);
            }
        }
        let refused = Err(CryptoError::UnsupportedAeadAlgorithm);
        assert_eq!(crypto.aead_encrypt(AeadType::Aes256Gcm, &[1; 32], b"x", &[2; 12], b""), refused);
        assert_eq!(crypto.aead_decrypt(AeadType::Aes256Gcm, &[1; 32], &[0; 17], &[2; 12], b""), refused);
    }

    /// RFC 8032, section 7.1, test 3: the secret key is the seed alone.
    #[test]
    fn signatures_are_those_of_the_rfc() {
        let crypto = Crypto::new();
        let seed = hex("c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7");
        let public = hex("fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025");
        let signature = crypto.sign(SignatureScheme::ED25519, &[0xaf, 0x82], &seed).unwrap();
        let expected = "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac\
                        18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a";
        assert_eq!(signature, hex(expected));
        let verify = |data: &[u8], key: &[u8], signature: &[u8]| {
            crypto.verify_signature(SignatureScheme::ED25519, data, key, signature)
        };
        verify(&[0xaf, 0x82], &public, &signature).unwrap();
        assert_eq!(verify(&[0xaf, 0x83], &public, &signature), Err(CryptoError::InvalidSignature));
        assert_eq!(verify(&[0xaf, 0x82], &seed, &signature), Err(CryptoError::InvalidSignature));
        assert_eq!(verify(&[0xaf, 0x82], &public[..31], &signature), Err(CryptoError::InvalidPublicKey));
        for len in [0, 63] {
            assert_eq!(verify(&[0xaf, 0x82], &public, &signature[..len]), Err(CryptoError::InvalidSignature));
        }
        for len in [0, 31, 33, 64] {
            let refused = Err(CryptoError::InvalidLength);
            assert_eq!(crypto.sign(SignatureScheme::ED25519, b"", &vec![1; len]), refused);
        }
    }

    #[test]
    fn every_key_is_new_and_signs() {
        let crypto = Crypto::new();
        let (seed, public) = crypto.signature_key_gen(SignatureScheme::ED25519).unwrap();
        assert_ne!(crypto.signature_key_gen(SignatureScheme::ED25519).unwrap().0, seed);
        let signature = crypto.sign(SignatureScheme::ED25519, b"x", &seed).unwrap();
        crypto.verify_signature(SignatureScheme::ED25519, b"x", &public, &signature).unwrap();
    }

    #[test]
    fn other_signatures_are_refused() {
        let crypto = Crypto::new();
        for scheme in [SignatureScheme::ECDSA_SECP256R1_SHA256, SignatureScheme::ED448] {
            let refused = CryptoError::UnsupportedSignatureScheme;
            assert_eq!(crypto.signature_key_gen(scheme).unwrap_err(), refused);
            assert_eq!(crypto.sign(scheme, b"", &[1; 32]).unwrap_err(), refused);
            assert_eq!(crypto.verify_signature(scheme, b"", &[1; 32], &[1; 64]).unwrap_err(), refused);
        }
    }

    #[test]
    fn what_was_sealed_to_a_key_is_opened_by_its_secret_alone() {
        let crypto = Crypto::new();
        for aead in [HpkeAeadType::ChaCha20Poly1305, HpkeAeadType::AesGcm128] {
            let bo = crypto.derive_hpke_keypair(config(aead), &[5; 32]).unwrap();
            let cy = crypto.derive_hpke_keypair(config(aead), &[6; 32]).unwrap();
            let sealed = crypto.hpke_seal(config(aead), &bo.public, b"info", b"about", b"hola").unwrap();
            let again = crypto.hpke_seal(config(aead), &bo.public, b"info", b"about", b"hola").unwrap();
            assert_ne!(sealed.kem_output, again.kem_output, "an ephemeral key is used once");

            let open = |sealed: &HpkeCiphertext, secret: &[u8], info: &[u8]| {
                crypto.hpke_open(config(aead), sealed, secret, info, b"about")
            };
            assert_eq!(open(&sealed, &bo.private, b"info").unwrap(), b"hola");
            assert_eq!(open(&sealed, &cy.private, b"info"), Err(CryptoError::HpkeDecryptionError));
            assert_eq!(open(&sealed, &bo.private, b"other"), Err(CryptoError::HpkeDecryptionError));
            let other = HpkeCiphertext { kem_output: again.kem_output, ciphertext: sealed.ciphertext.clone() };
            assert_eq!(open(&other, &bo.private, b"info"), Err(CryptoError::HpkeDecryptionError));
            let short = HpkeCiphertext { kem_output: sealed.kem_output.clone(), ciphertext: vec![0; 15].into() };
            assert_eq!(open(&short, &bo.private, b"info"), Err(CryptoError::HpkeDecryptionError));
            let garbage = HpkeCiphertext { kem_output: vec![0; 32].into(), ciphertext: sealed.ciphertext.clone() };
            assert_eq!(open(&garbage, &bo.private, b"info"), Err(CryptoError::InvalidPublicKey));
            assert_eq!(open(&sealed, &[], b"info"), Err(CryptoError::InvalidLength));
        }
    }

    #[test]
    fn both_sides_export_the_same() {
        let crypto = Crypto::new();
        let config = || config(HpkeAeadType::ChaCha20Poly1305);
        let bo = crypto.derive_hpke_keypair(config(), &[5; 32]).unwrap();
        let (sent, ours) = crypto.hpke_setup_sender_and_export(config(), &bo.public, b"info", b"about", 48).unwrap();
        let receive = |sent: &[u8], about: &[u8], len| {
            crypto.hpke_setup_receiver_and_export(config(), sent, &bo.private, b"info", about, len)
        };
        assert_eq!(ours.len(), 48);
        assert_eq!(*receive(&sent, b"about", 48).unwrap(), *ours);
        assert_ne!(*receive(&sent, b"other", 48).unwrap(), *ours);
        assert_eq!(receive(&[0; 32], b"about", 48).unwrap_err(), CryptoError::InvalidPublicKey);
        assert_eq!(receive(&sent, b"about", 9000).unwrap_err(), CryptoError::ExporterError);
    }

    #[test]
    fn other_configurations_of_hpke_are_refused() {
        let crypto = Crypto::new();
        let check = |kem, kdf, aead, refused| {
            let config = || HpkeConfig(kem, kdf, aead);
            let sealed = HpkeCiphertext { kem_output: vec![9; 32].into(), ciphertext: vec![0; 32].into() };
            assert_eq!(crypto.derive_hpke_keypair(config(), &[5; 32]).unwrap_err(), refused);
            assert_eq!(crypto.hpke_seal(config(), &[9; 32], b"", b"", b"").unwrap_err(), refused);
            assert_eq!(crypto.hpke_open(config(), &sealed, &[9; 32], b"", b"").unwrap_err(), refused);
            let sent = crypto.hpke_setup_sender_and_export(config(), &[9; 32], b"", b"", 32);
            assert_eq!(sent.unwrap_err(), refused);
            let received = crypto.hpke_setup_receiver_and_export(config(), &[9; 32], &[9; 32], b"", b"", 32);
            assert_eq!(received.unwrap_err(), refused);
        };
        use HpkeAeadType::{AesGcm128, AesGcm256, Export};
        use HpkeKdfType::{HkdfSha256, HkdfSha512};
        use HpkeKemType::{DhKem448, DhKem25519, DhKemP256};
        check(DhKemP256, HkdfSha256, AesGcm128, CryptoError::UnsupportedCiphersuite);
        check(DhKem448, HkdfSha512, AesGcm256, CryptoError::UnsupportedCiphersuite);
        check(DhKem25519, HkdfSha512, AesGcm128, CryptoError::UnsupportedKdf);
        check(DhKem25519, HkdfSha256, AesGcm256, CryptoError::UnsupportedAeadAlgorithm);
        check(DhKem25519, HkdfSha256, Export, CryptoError::UnsupportedAeadAlgorithm);
    }

    #[test]
    fn a_key_pair_is_derived_from_enough() {
        let derived = Crypto::new().derive_hpke_keypair(config(HpkeAeadType::AesGcm128), &[5; 31]);
        assert_eq!(derived.unwrap_err(), CryptoError::InvalidLength);
    }
}
