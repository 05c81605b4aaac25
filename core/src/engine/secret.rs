//! A private key that no log and no error message can show.

/// The seed of an Ed25519 key pair.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret([u8; 32]);

impl Secret {
    /// Of 32 random bytes.
    pub const fn new(seed: [u8; 32]) -> Self {
        Self(seed)
    }

    /// The seed itself, to sign or to store.
    pub const fn expose(&self) -> &[u8; 32] {
        &self.0
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(…)")
    }
}
