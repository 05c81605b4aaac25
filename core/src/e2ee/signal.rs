//! Signals of this moment, sealed for whoever is in a group now.
//!
//! Not messages: many of them are lost, and the message ratchet would keep a key for each (RFC 9420, section 8.5, gives the exporter
//! for such things). So every member has the same key for an epoch, and who of them sealed something is the node's word.
//!
//! ```text
//! nonce, 12 random bytes · ChaCha20-Poly1305 of what is said, padded
//! ```

use bytes::Bytes;
use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::rand::SecureRandom as _;

use super::{Fault, GroupId, Mls};
use crate::store::StoreError;

const LABEL: &str = "chasqui signal";
const KEY: usize = 32;
/// What is said is padded to a multiple of this, so that its length does not tell what it is.
const PADDING: usize = 64;
/// Between what is said and zeros (ISO/IEC 7816-4).
const END: u8 = 0x80;

impl Mls<'_> {
    /// For all who are in the group now. `header` is what goes along in clear: whoever reads it has to have the same.
    pub(crate) fn seal_signal(&self, id: GroupId, header: &[u8], content: &[u8]) -> Result<Bytes, Fault> {
        let mut nonce = [0; NONCE_LEN];
        let filled = ring::rand::SystemRandom::new().fill(&mut nonce);
        filled.map_err(|_| StoreError::Corrupt("the system has no random numbers"))?;
        let mut said = [content, &[END]].concat();
        said.resize(said.len().next_multiple_of(PADDING), 0);
        let key = self.signal_key(id)?;
        let sealed = key.seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::from(header), &mut said);
        sealed.map_err(|_| Fault::Unreadable("too long to be sealed".into()))?;
        Ok([nonce.as_slice(), &said].concat().into())
    }

    /// Reads what a member sealed, as often as it comes.
    pub(crate) fn open_signal(&self, id: GroupId, header: &[u8], sealed: &[u8]) -> Result<Vec<u8>, Fault> {
        let foreign = || Fault::Unreadable("no signal of this group".into());
        let (nonce, sealed) = sealed.split_first_chunk::<NONCE_LEN>().ok_or_else(foreign)?;
        let mut said = sealed.to_vec();
        let nonce = Nonce::assume_unique_for_key(*nonce);
        let opened = self.signal_key(id)?.open_in_place(nonce, Aad::from(header), &mut said);
        let opened = opened.map_err(|_| foreign())?;
        let end = opened.iter().rposition(|&byte| byte != 0).filter(|&end| opened[end] == END);
        let length = end.ok_or_else(foreign)?;
        said.truncate(length);
        Ok(said)
    }

    fn signal_key(&self, id: GroupId) -> Result<LessSafeKey, Fault> {
        let kept = self.resume(id)?;
        let exported = kept.group.export_secret(&self.provider.crypto, LABEL, &[], KEY);
        self.keep(kept);
        let key = UnboundKey::new(&CHACHA20_POLY1305, &exported.map_err(|error| self.fault(error))?);
        key.map(LessSafeKey::new).map_err(|_| Fault::Unreadable("no key of this length".into()))
    }
}
