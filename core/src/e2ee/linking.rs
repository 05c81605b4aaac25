//! How two devices of one user, of which one has the user's identity, come to a key that nobody between them has, if people see that
//! both show the same number.
//!
//! X25519 (RFC 7748), HKDF-SHA256 (RFC 5869), ChaCha20-Poly1305 (RFC 8439). The device to be linked commits to its key before it
//! knows the other's, so that whoever stands between has one guess in a million, and no time to search (as ZRTP, RFC 6189,
//! section 4.4.1.1, and for the same reason).

use chasqui_wire::{DeviceId, RealmId, UserId};
use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::digest::{Context, SHA256};
use ring::hkdf::{HKDF_SHA256, KeyType, Salt};
use x25519_dalek::{PublicKey, StaticSecret, X25519_BASEPOINT_BYTES};

use super::{Distrust, Fault};
use crate::engine::Secret;

/// Who is to be linked by whom.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Parties {
    pub(crate) realm: RealmId,
    pub(crate) user: UserId,
    /// To be linked.
    pub(crate) newcomer: DeviceId,
}

impl Parties {
    fn hash(self, purpose: &[u8]) -> Context {
        let mut hash = Context::new(&SHA256);
        for part in [purpose, self.realm.as_bytes(), self.user.as_bytes(), self.newcomer.as_bytes()] {
            hash.update(part);
        }
        hash
    }

    /// What the device to be linked shows of its key before it shows the key.
    pub(crate) fn commitment(self, key: &[u8; 32]) -> [u8; 32] {
        let mut hash = self.hash(b"chasqui/v1/linking/commitment");
        hash.update(key);
        hash.finish().as_ref().try_into().expect("SHA-256 has 32 bytes")
    }
}

/// A key of one device, for one attempt.
pub(crate) struct Exchange {
    private: StaticSecret,
    public: [u8; 32],
}

impl Exchange {
    /// Of 32 random bytes.
    pub(crate) fn new(seed: &Secret) -> Self {
        let private = StaticSecret::from(*seed.expose());
        let public = private.diffie_hellman(&PublicKey::from(X25519_BASEPOINT_BYTES)).to_bytes();
        Self { private, public }
    }

    pub(crate) fn public(&self) -> [u8; 32] {
        self.public
    }

    /// With the other's key. `approver` is the device that links; `newcomer_key` and `approver_key` are both keys.
    pub(crate) fn agree(
        &self,
        parties: Parties,
        approver: DeviceId,
        newcomer_key: &[u8; 32],
        approver_key: &[u8; 32],
    ) -> Result<Agreed, Fault> {
        let other = if self.public == *newcomer_key { approver_key } else { newcomer_key };
        let shared = self.private.diffie_hellman(&PublicKey::from(*other));
        if !shared.was_contributory() {
            return Err(Fault::Untrusted(Distrust::Message, "a key that agrees with everybody on the same"));
        }
        let mut transcript = parties.hash(b"chasqui/v1/linking/transcript");
        for part in [approver.as_bytes().as_slice(), newcomer_key, approver_key] {
            transcript.update(part);
        }
        let transcript = transcript.finish();
        let secret = Salt::new(HKDF_SHA256, transcript.as_ref()).extract(shared.as_bytes());
        let derive = |purpose: &[u8]| -> Result<[u8; 32], Fault> {
            let mut derived = [0; 32];
            let info = [purpose];
            let expanded = secret.expand(&info, Bytes32).and_then(|okm| okm.fill(&mut derived));
            expanded.map_err(|_| Fault::Untrusted(Distrust::Message, "no key can be derived"))?;
            Ok(derived)
        };
        let number = u64::from_be_bytes(derive(b"number")?[..8].try_into().expect("8 of 32 bytes")) % 1_000_000;
        Ok(Agreed { number: format!("{number:06}"), key: Secret::new(derive(b"grant")?) })
    }
}

struct Bytes32;

impl KeyType for Bytes32 {
    fn len(&self) -> usize {
        32
    }
}

/// What both have.
pub(crate) struct Agreed {
    /// Six digits, for people to compare.
    pub(crate) number: String,
    key: Secret,
}

impl Agreed {
    /// Once: the key is of this attempt, and what it seals is one thing.
    pub(crate) fn seal(&self, grant: Vec<u8>) -> Result<Vec<u8>, Fault> {
        let mut sealed = grant;
        let done = self.key()?.seal_in_place_append_tag(nonce(), Aad::empty(), &mut sealed);
        done.map_err(|_| Fault::Untrusted(Distrust::Message, "cannot be sealed"))?;
        Ok(sealed)
    }

    pub(crate) fn open(&self, sealed: &[u8]) -> Result<Vec<u8>, Fault> {
        let mut grant = sealed.to_vec();
        let opened = self.key()?.open_in_place(nonce(), Aad::empty(), &mut grant);
        let length = opened.map_err(|_| Fault::Untrusted(Distrust::Message, "sealed by somebody else"))?.len();
        grant.truncate(length);
        Ok(grant)
    }

    fn key(&self) -> Result<LessSafeKey, Fault> {
        let key = UnboundKey::new(&CHACHA20_POLY1305, self.key.expose());
        key.map(LessSafeKey::new).map_err(|_| Fault::Untrusted(Distrust::Message, "a key of a wrong length"))
    }
}

fn nonce() -> Nonce {
    Nonce::assume_unique_for_key([0; NONCE_LEN])
}

#[cfg(test)]
mod tests {
    use super::*;

    const PARTIES: Parties = Parties {
        realm: RealmId::from_bytes([1; 16]),
        user: UserId::from_bytes([2; 16]),
        newcomer: DeviceId::from_bytes([3; 16]),
    };
    const APPROVER: DeviceId = DeviceId::from_bytes([4; 16]);

    fn exchange(seed: u8) -> Exchange {
        Exchange::new(&Secret::new([seed; 32]))
    }

    #[test]
    fn both_come_to_the_same_and_nobody_between_them_does() {
        let (newcomer, approver, between) = (exchange(5), exchange(6), exchange(7));
        let (n, a, b) = (newcomer.public(), approver.public(), between.public());
        let here = newcomer.agree(PARTIES, APPROVER, &n, &a).unwrap();
        let there = approver.agree(PARTIES, APPROVER, &n, &a).unwrap();
        assert_eq!(here.number, there.number);
        assert!(here.number.len() == 6 && here.number.bytes().all(|digit| digit.is_ascii_digit()));
        assert_eq!(here.open(&there.seal(b"seed".to_vec()).unwrap()).unwrap(), b"seed");
        // Who stands between agrees with each of them, on something else.
        let fooled = newcomer.agree(PARTIES, APPROVER, &n, &b).unwrap();
        assert_ne!(fooled.number, there.number);
        assert!(fooled.open(&there.seal(b"seed".to_vec()).unwrap()).is_err());
    }

    #[test]
    fn another_device_or_attempt_is_another_number() {
        let (newcomer, approver) = (exchange(5), exchange(6));
        let (n, a) = (newcomer.public(), approver.public());
        let number = |parties, by| newcomer.agree(parties, by, &n, &a).unwrap().number;
        let same = number(PARTIES, APPROVER);
        assert_ne!(number(Parties { newcomer: APPROVER, ..PARTIES }, APPROVER), same);
        assert_ne!(number(PARTIES, PARTIES.newcomer), same);
        assert_ne!(PARTIES.commitment(&n), PARTIES.commitment(&a));
        assert_ne!(PARTIES.commitment(&n), Parties { newcomer: APPROVER, ..PARTIES }.commitment(&n));
    }

    #[test]
    fn a_key_that_agrees_with_everybody_is_refused() {
        let newcomer = exchange(5);
        let agreed = newcomer.agree(PARTIES, APPROVER, &newcomer.public(), &[0; 32]);
        assert!(matches!(agreed, Err(Fault::Untrusted(..))));
    }

    #[test]
    fn what_was_changed_on_the_way_is_not_opened() {
        let (newcomer, approver) = (exchange(5), exchange(6));
        let agreed = newcomer.agree(PARTIES, APPROVER, &newcomer.public(), &approver.public()).unwrap();
        let mut sealed = agreed.seal(b"seed".to_vec()).unwrap();
        sealed[0] ^= 1;
        assert!(agreed.open(&sealed).is_err() && agreed.open(&[]).is_err());
    }
}
