//! Authenticated encryption: what a nonce and a key may do once.

use openmls_traits::types::{AeadType, CryptoError};
use ring::aead::{AES_128_GCM, Aad, Algorithm, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey};

/// Those of the ciphersuites. Both have nonces of 12 bytes and tags of 16.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Aead {
    Aes128Gcm,
    ChaCha20Poly1305,
}

pub(super) const NONCE: usize = 12;

impl TryFrom<AeadType> for Aead {
    type Error = CryptoError;

    fn try_from(from: AeadType) -> Result<Self, CryptoError> {
        match from {
            AeadType::Aes128Gcm => Ok(Self::Aes128Gcm),
            AeadType::ChaCha20Poly1305 => Ok(Self::ChaCha20Poly1305),
            AeadType::Aes256Gcm => Err(CryptoError::UnsupportedAeadAlgorithm),
        }
    }
}

impl Aead {
    /// In the registry of HPKE (RFC 9180, section 7.3).
    pub(super) const fn id(self) -> u16 {
        match self {
            Self::Aes128Gcm => 1,
            Self::ChaCha20Poly1305 => 3,
        }
    }

    /// Of a key, in bytes.
    pub(super) fn key_len(self) -> usize {
        self.algorithm().key_len()
    }

    /// The ciphertext with the tag behind it.
    pub(super) fn seal(self, key: &[u8], nonce: &[u8], aad: &[u8], plaintext: &[u8]) -> Result<Vec<u8>, CryptoError> {
        let algorithm = self.algorithm();
        let (key, nonce) = (self.key(key)?, read_nonce(nonce)?);
        let mut bytes = Vec::with_capacity(plaintext.len() + algorithm.tag_len());
        bytes.extend_from_slice(plaintext);
        key.seal_in_place_append_tag(nonce, Aad::from(aad), &mut bytes).map_err(|_| CryptoError::TooMuchData)?;
        Ok(bytes)
    }

    /// What was sealed, if nobody changed it.
    pub(super) fn open(self, key: &[u8], nonce: &[u8], aad: &[u8], sealed: &[u8]) -> Result<Vec<u8>, CryptoError> {
        let (key, nonce) = (self.key(key)?, read_nonce(nonce)?);
        let mut bytes = sealed.to_vec();
        let opened = key.open_in_place(nonce, Aad::from(aad), &mut bytes);
        let len = opened.map_err(|_| CryptoError::AeadDecryptionError)?.len();
        bytes.truncate(len);
        Ok(bytes)
    }

    fn key(self, bytes: &[u8]) -> Result<LessSafeKey, CryptoError> {
        UnboundKey::new(self.algorithm(), bytes).map(LessSafeKey::new).map_err(|_| CryptoError::InvalidLength)
    }

    fn algorithm(self) -> &'static Algorithm {
        match self {
            Self::Aes128Gcm => &AES_128_GCM,
            Self::ChaCha20Poly1305 => &CHACHA20_POLY1305,
        }
    }
}

fn read_nonce(bytes: &[u8]) -> Result<Nonce, CryptoError> {
    Nonce::try_assume_unique_for_key(bytes).map_err(|_| CryptoError::InvalidLength)
}
