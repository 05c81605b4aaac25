//! What MLS remembers, in the history's own database: a message and the keys that it used up are one transaction.
//!
//! Guarantees: what the database says counts. After a rollback it is right, and only a group that was loaded before it is not: groups are
//! loaded where they are used, and [kept](super::kept) only beside what tells whether they still are right.

use std::cell::RefCell;

use openmls_traits::storage::{CURRENT_VERSION, StorageProvider, traits};
use rusqlite::{Connection, params};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::store::{Ask as _, StoreError};

/// Of the values in the table `mls`. Never reused.
#[derive(Clone, Copy)]
enum Label {
    JoinConfig = 1,
    OwnLeafNode = 2,
    Proposal = 3,
    Tree = 4,
    InterimTranscriptHash = 5,
    Context = 6,
    ConfirmationTag = 7,
    GroupState = 8,
    MessageSecrets = 9,
    ResumptionPsks = 10,
    OwnLeafIndex = 11,
    EpochSecrets = 12,
    SignatureKeys = 13,
    EncryptionKeys = 14,
    EpochEncryptionKeys = 15,
    KeyPackage = 16,
    Psk = 17,
}

/// The table, in whatever transaction is open.
pub(super) struct Storage<'a> {
    db: &'a Connection,
    /// What the database said. MLS wraps it in errors of its own, in which it is not found again.
    failure: RefCell<Option<StoreError>>,
    /// The message secrets that were written last.
    secrets: RefCell<Option<Vec<u8>>>,
}

/// The database failed; [`Storage::failure`] says how.
#[derive(Debug, thiserror::Error)]
#[error("the database failed")]
pub(super) struct Failed;

const ONE: &[u8] = &[];
const UNWRITABLE: StoreError = StoreError::Corrupt("a value of MLS cannot be written");
const UNREADABLE: StoreError = StoreError::Corrupt("a value of MLS cannot be read");

/// One of a list.
struct Listed {
    /// What tells it apart.
    item: Vec<u8>,
    value: Vec<u8>,
}

impl<'a> Storage<'a> {
    pub(super) fn new(db: &'a Connection) -> Self {
        Self { db, failure: RefCell::new(None), secrets: RefCell::new(None) }
    }

    /// Why something failed here last.
    pub(super) fn failure(&self) -> Option<StoreError> {
        self.failure.take()
    }

    /// The message secrets of a group, as they are here.
    pub(super) fn secrets(&self, group: &impl Serialize) -> Result<Option<Vec<u8>>, StoreError> {
        self.get(Label::MessageSecrets, &encode(group)?)
    }

    /// Those that were written since this was asked last.
    pub(super) fn written_secrets(&self) -> Option<Vec<u8>> {
        self.secrets.take()
    }

    fn noted<T>(&self, outcome: Result<T, StoreError>) -> Result<T, Failed> {
        outcome.map_err(|error| {
            self.failure.replace(Some(error));
            Failed
        })
    }

    // What does not know the types of MLS is not compiled for each of them.

    fn put(&self, label: Label, key: &[u8], item: &[u8], value: &[u8]) -> Result<(), StoreError> {
        let sql = "INSERT INTO mls (label, key, item, value) VALUES (?, ?, ?, sealed(?))
                   ON CONFLICT (label, key, item) DO UPDATE SET value = excluded.value";
        self.db.run(sql, params![label as u8, key, item, value])?;
        if matches!(label, Label::MessageSecrets) {
            self.secrets.replace(Some(value.to_vec()));
        }
        Ok(())
    }

    fn get(&self, label: Label, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        self.db.first(
            "SELECT unsealed(value) FROM mls WHERE label = ? AND key = ? AND item = x''",
            params![label as u8, key],
            |row| row.get(0),
        )
    }

    /// Oldest first.
    fn list(&self, label: Label, key: &[u8]) -> Result<Vec<Listed>, StoreError> {
        self.db.all(
            "SELECT item, unsealed(value) FROM mls WHERE label = ? AND key = ? ORDER BY id",
            params![label as u8, key],
            |row| Ok(Listed { item: row.get(0)?, value: row.get(1)? }),
        )
    }

    /// One value, or a whole list.
    fn delete(&self, label: Label, key: &[u8]) -> Result<(), StoreError> {
        self.db.run("DELETE FROM mls WHERE label = ? AND key = ?", params![label as u8, key])?;
        Ok(())
    }

    fn delete_item(&self, label: Label, key: &[u8], item: &[u8]) -> Result<(), StoreError> {
        let sql = "DELETE FROM mls WHERE label = ? AND key = ? AND item = ?";
        self.db.run(sql, params![label as u8, key, item])?;
        Ok(())
    }

    // Key packages that are not to be forgotten are those that the node may give away.
    // What makes rows longer goes by their order (`+label`), not by that of random keys: where a disk is full must not be left to chance.

    /// What is made from here on has no lower id.
    pub(super) fn next_id(&self) -> Result<i64, StoreError> {
        self.db.one("SELECT coalesce(max(id), 0) + 1 FROM mls", params![], |row| row.get(0))
    }

    pub(super) fn mark_as_last_resort(&self, reference: &impl Serialize) -> Result<(), StoreError> {
        let sql = "UPDATE mls SET is_last_resort = 1 WHERE label = ? AND key = ?";
        self.db.run(sql, params![Label::KeyPackage as u8, encode(reference)?])?;
        Ok(())
    }

    /// How many there are, and whether those that are due at `now`, or later than `latest`, are all of last resort, if there are any.
    pub(super) fn due_key_packages(&self, now: i64, latest: i64) -> Result<(u32, Option<bool>), StoreError> {
        let sql = "SELECT count(*), min(is_last_resort) FILTER (WHERE renew_at <= ?2 OR renew_at > ?3)
                   FROM mls WHERE label = ?1 AND forget_at IS NULL";
        self.db.one(sql, params![Label::KeyPackage as u8, now, latest], |row| Ok((row.get(0)?, row.get(1)?)))
    }

    /// Of those that are given once, how many serve for longer than until `pause`, which is set for what nobody has answered.
    pub(super) fn confirmed_key_packages(&self, pause: i64) -> Result<u32, StoreError> {
        let sql =
            "SELECT count(*) FROM mls WHERE label = ?1 AND forget_at IS NULL AND is_last_resort = 0 AND renew_at > ?2";
        self.db.one(sql, params![Label::KeyPackage as u8, pause], |row| row.get(0))
    }

    /// Those that would be replaced before `at` or after `latest` are replaced then.
    pub(super) fn defer_key_packages(&self, at: i64, latest: i64) -> Result<(), StoreError> {
        let sql = "UPDATE mls SET renew_at = ?2
                   WHERE +label = ?1 AND forget_at IS NULL AND (renew_at < ?2 OR renew_at > ?3)";
        self.db.run(sql, params![Label::KeyPackage as u8, at, latest])?;
        Ok(())
    }

    /// Those of last resort, or all, are replaced at `at` at the latest.
    pub(super) fn hasten_key_packages(&self, last_resort_only: bool, at: i64) -> Result<(), StoreError> {
        let sql = "UPDATE mls SET renew_at = min(renew_at, ?3)
                   WHERE +label = ?1 AND forget_at IS NULL AND is_last_resort >= ?2";
        self.db.run(sql, params![Label::KeyPackage as u8, last_resort_only, at])?;
        Ok(())
    }

    /// Those that were replaced may be given away once more: nothing of them is forgotten before `at`.
    pub(super) fn keep_retired_key_packages(&self, at: i64) -> Result<(), StoreError> {
        let sql = "UPDATE mls SET forget_at = ?2 WHERE +label = ?1 AND forget_at < ?2";
        self.db.run(sql, params![Label::KeyPackage as u8, at])?;
        Ok(())
    }

    /// From `first` on they serve until `[one-time, last resort]`.
    pub(super) fn keep_key_packages(&self, first: i64, until: [i64; 2]) -> Result<(), StoreError> {
        let sql = "UPDATE mls SET renew_at = iif(is_last_resort, ?4, ?3) WHERE +label = ?1 AND id >= ?2";
        self.db.run(sql, params![Label::KeyPackage as u8, first, until[0], until[1]])?;
        Ok(())
    }

    /// The node has others than those before `first`: of last resort, or all.
    pub(super) fn retire_key_packages(
        &self,
        first: i64,
        last_resort_only: bool,
        forget_at: i64,
    ) -> Result<(), StoreError> {
        let sql = "UPDATE mls SET forget_at = ?4
                   WHERE +label = ?1 AND id < ?2 AND is_last_resort >= ?3 AND forget_at IS NULL";
        self.db.run(sql, params![Label::KeyPackage as u8, first, last_resort_only, forget_at])?;
        Ok(())
    }

    /// Those from `first` on never came anywhere.
    pub(super) fn delete_key_packages_from(&self, first: i64) -> Result<(), StoreError> {
        self.db.run("DELETE FROM mls WHERE label = ? AND id >= ?", params![Label::KeyPackage as u8, first])?;
        Ok(())
    }

    /// Forgets the secrets of those that were replaced long ago. None are kept until after `latest`.
    pub(super) fn delete_retired_key_packages(&self, now: i64, latest: i64) -> Result<(), StoreError> {
        self.db.run("DELETE FROM mls WHERE label = ? AND forget_at <= ?", params![Label::KeyPackage as u8, now])?;
        let sql = "UPDATE mls SET forget_at = ?2 WHERE label = ?1 AND forget_at > ?2";
        self.db.run(sql, params![Label::KeyPackage as u8, latest])?;
        Ok(())
    }
}

/// By position, without the names of what there is. Only what wrote it can read it: see docs/adr/0012-encryption.md, and the test
/// `the_format_is_that_of_this_schema`.
fn encode(value: &impl Serialize) -> Result<Vec<u8>, StoreError> {
    postcard::to_stdvec(value).map_err(|_| UNWRITABLE)
}

fn decode<V: DeserializeOwned>(bytes: &[u8]) -> Result<V, StoreError> {
    match postcard::take_from_bytes(bytes) {
        Ok((value, [])) => Ok(value),
        _ => Err(UNREADABLE),
    }
}

/// What is found by a key of its own. In brackets, which type comes first in the trait's methods: that of the key or that of the value.
macro_rules! by_key {
    ($($label:ident: $write:ident[$w:tt], $read:ident[$r:tt], $delete:ident ($key:ident, $kind:ident);)*) => {$(
        by_key! { @write $label $write $w $key $kind }
        by_key! { @read $label $read $r $key $kind }

        fn $delete<K: traits::$key<CURRENT_VERSION>>(&self, key: &K) -> Result<(), Failed> {
            self.noted(encode(key).and_then(|key| self.delete(Label::$label, &key)))
        }
    )*};
    (@write $label:ident $write:ident key $key:ident $kind:ident) => {
        by_key! { @write $label $write (K: $key, V: $kind) }
    };
    (@write $label:ident $write:ident value $key:ident $kind:ident) => {
        by_key! { @write $label $write (V: $kind, K: $key) }
    };
    (@write $label:ident $write:ident ($one:ident: $first:ident, $two:ident: $second:ident)) => {
        fn $write<$one: traits::$first<CURRENT_VERSION>, $two: traits::$second<CURRENT_VERSION>>(
            &self,
            key: &K,
            value: &V,
        ) -> Result<(), Failed> {
            self.noted((|| self.put(Label::$label, &encode(key)?, ONE, &encode(value)?))())
        }
    };
    (@read $label:ident $read:ident key $key:ident $kind:ident) => {
        by_key! { @read $label $read (K: $key, V: $kind) }
    };
    (@read $label:ident $read:ident value $key:ident $kind:ident) => {
        by_key! { @read $label $read (V: $kind, K: $key) }
    };
    (@read $label:ident $read:ident ($one:ident: $first:ident, $two:ident: $second:ident)) => {
        fn $read<$one: traits::$first<CURRENT_VERSION>, $two: traits::$second<CURRENT_VERSION>>(
            &self,
            key: &K,
        ) -> Result<Option<V>, Failed> {
            self.noted((|| self.get(Label::$label, &encode(key)?)?.map(|value| decode(&value)).transpose())())
        }
    };
}

impl StorageProvider<CURRENT_VERSION> for Storage<'_> {
    type Error = Failed;

    by_key! {
        Tree: write_tree[key], tree[key], delete_tree (GroupId, TreeSync);
        InterimTranscriptHash: write_interim_transcript_hash[key], interim_transcript_hash[key],
            delete_interim_transcript_hash (GroupId, InterimTranscriptHash);
        Context: write_context[key], group_context[key], delete_context (GroupId, GroupContext);
        ConfirmationTag: write_confirmation_tag[key], confirmation_tag[key], delete_confirmation_tag
            (GroupId, ConfirmationTag);
        GroupState: write_group_state[value], group_state[value], delete_group_state (GroupId, GroupState);
        MessageSecrets: write_message_secrets[key], message_secrets[key], delete_message_secrets
            (GroupId, MessageSecrets);
        ResumptionPsks: write_resumption_psk_store[key], resumption_psk_store[key], delete_all_resumption_psk_secrets
            (GroupId, ResumptionPskStore);
        OwnLeafIndex: write_own_leaf_index[key], own_leaf_index[key], delete_own_leaf_index (GroupId, LeafNodeIndex);
        EpochSecrets: write_group_epoch_secrets[key], group_epoch_secrets[key], delete_group_epoch_secrets
            (GroupId, GroupEpochSecrets);
        SignatureKeys: write_signature_key_pair[key], signature_key_pair[key], delete_signature_key_pair
            (SignaturePublicKey, SignatureKeyPair);
        EncryptionKeys: write_encryption_key_pair[key], encryption_key_pair[value], delete_encryption_key_pair
            (EncryptionKey, HpkeKeyPair);
        KeyPackage: write_key_package[key], key_package[key], delete_key_package (HashReference, KeyPackage);
        Psk: write_psk[key], psk[value], delete_psk (PskId, PskBundle);
    }

    fn write_mls_join_config<G: traits::GroupId<CURRENT_VERSION>, V: traits::MlsGroupJoinConfig<CURRENT_VERSION>>(
        &self,
        group: &G,
        config: &V,
    ) -> Result<(), Failed> {
        // In JSON: to read one, MLS asks what comes next, and only a format that says what there is can tell.
        let json = serde_json::to_vec(config).map_err(|_| UNWRITABLE);
        self.noted((|| self.put(Label::JoinConfig, &encode(group)?, ONE, &json?))())
    }

    fn mls_group_join_config<G: traits::GroupId<CURRENT_VERSION>, V: traits::MlsGroupJoinConfig<CURRENT_VERSION>>(
        &self,
        group: &G,
    ) -> Result<Option<V>, Failed> {
        let read = |json: Vec<u8>| serde_json::from_slice(&json).map_err(|_| UNREADABLE);
        self.noted((|| self.get(Label::JoinConfig, &encode(group)?)?.map(read).transpose())())
    }

    fn delete_group_config<G: traits::GroupId<CURRENT_VERSION>>(&self, group: &G) -> Result<(), Failed> {
        self.noted(encode(group).and_then(|group| self.delete(Label::JoinConfig, &group)))
    }

    fn append_own_leaf_node<G: traits::GroupId<CURRENT_VERSION>, V: traits::LeafNode<CURRENT_VERSION>>(
        &self,
        group: &G,
        leaf: &V,
    ) -> Result<(), Failed> {
        // Each is another, because each has a key of its own.
        self.noted((|| {
            let leaf = encode(leaf)?;
            self.put(Label::OwnLeafNode, &encode(group)?, &leaf, &leaf)
        })())
    }

    fn own_leaf_nodes<G: traits::GroupId<CURRENT_VERSION>, V: traits::LeafNode<CURRENT_VERSION>>(
        &self,
        group: &G,
    ) -> Result<Vec<V>, Failed> {
        let listed = encode(group).and_then(|group| self.list(Label::OwnLeafNode, &group));
        self.noted(listed.and_then(|leaves| leaves.iter().map(|leaf| decode(&leaf.value)).collect()))
    }

    fn delete_own_leaf_nodes<G: traits::GroupId<CURRENT_VERSION>>(&self, group: &G) -> Result<(), Failed> {
        self.noted(encode(group).and_then(|group| self.delete(Label::OwnLeafNode, &group)))
    }

    fn queue_proposal<
        G: traits::GroupId<CURRENT_VERSION>,
        R: traits::ProposalRef<CURRENT_VERSION>,
        V: traits::QueuedProposal<CURRENT_VERSION>,
    >(
        &self,
        group: &G,
        reference: &R,
        proposal: &V,
    ) -> Result<(), Failed> {
        self.noted((|| self.put(Label::Proposal, &encode(group)?, &encode(reference)?, &encode(proposal)?))())
    }

    fn queued_proposal_refs<G: traits::GroupId<CURRENT_VERSION>, R: traits::ProposalRef<CURRENT_VERSION>>(
        &self,
        group: &G,
    ) -> Result<Vec<R>, Failed> {
        let listed = encode(group).and_then(|group| self.list(Label::Proposal, &group));
        self.noted(listed.and_then(|queued| queued.iter().map(|queued| decode(&queued.item)).collect()))
    }

    fn queued_proposals<
        G: traits::GroupId<CURRENT_VERSION>,
        R: traits::ProposalRef<CURRENT_VERSION>,
        V: traits::QueuedProposal<CURRENT_VERSION>,
    >(
        &self,
        group: &G,
    ) -> Result<Vec<(R, V)>, Failed> {
        let listed = encode(group).and_then(|group| self.list(Label::Proposal, &group));
        let read = |queued: &Listed| Ok((decode(&queued.item)?, decode(&queued.value)?));
        self.noted(listed.and_then(|queued| queued.iter().map(read).collect()))
    }

    fn remove_proposal<G: traits::GroupId<CURRENT_VERSION>, R: traits::ProposalRef<CURRENT_VERSION>>(
        &self,
        group: &G,
        reference: &R,
    ) -> Result<(), Failed> {
        self.noted((|| self.delete_item(Label::Proposal, &encode(group)?, &encode(reference)?))())
    }

    fn clear_proposal_queue<G: traits::GroupId<CURRENT_VERSION>, R: traits::ProposalRef<CURRENT_VERSION>>(
        &self,
        group: &G,
    ) -> Result<(), Failed> {
        self.noted(encode(group).and_then(|group| self.delete(Label::Proposal, &group)))
    }

    fn write_encryption_epoch_key_pairs<
        G: traits::GroupId<CURRENT_VERSION>,
        E: traits::EpochKey<CURRENT_VERSION>,
        V: traits::HpkeKeyPair<CURRENT_VERSION>,
    >(
        &self,
        group: &G,
        epoch: &E,
        leaf: u32,
        keys: &[V],
    ) -> Result<(), Failed> {
        self.noted((|| self.put(Label::EpochEncryptionKeys, &encode(&(group, epoch, leaf))?, ONE, &encode(&keys)?))())
    }

    fn encryption_epoch_key_pairs<
        G: traits::GroupId<CURRENT_VERSION>,
        E: traits::EpochKey<CURRENT_VERSION>,
        V: traits::HpkeKeyPair<CURRENT_VERSION>,
    >(
        &self,
        group: &G,
        epoch: &E,
        leaf: u32,
    ) -> Result<Vec<V>, Failed> {
        let keys = encode(&(group, epoch, leaf)).and_then(|key| self.get(Label::EpochEncryptionKeys, &key));
        self.noted(keys.and_then(|keys| keys.map_or_else(|| Ok(Vec::new()), |keys| decode(&keys))))
    }

    fn delete_encryption_epoch_key_pairs<G: traits::GroupId<CURRENT_VERSION>, E: traits::EpochKey<CURRENT_VERSION>>(
        &self,
        group: &G,
        epoch: &E,
        leaf: u32,
    ) -> Result<(), Failed> {
        self.noted(encode(&(group, epoch, leaf)).and_then(|key| self.delete(Label::EpochEncryptionKeys, &key)))
    }
}

#[cfg(test)]
mod tests {
    use openmls::prelude::{
        Capabilities, Ciphersuite, CredentialType, Extension, ExtensionType, ProposalType, UnknownExtension,
    };

    use super::*;

    /// Others may say that they know more than this version does, and that is kept with them.
    #[test]
    fn what_this_version_does_not_know_is_read_back() {
        let capabilities = Capabilities::new(
            None,
            Some(&[Ciphersuite::MLS_256_DHKEMX448_CHACHA20POLY1305_SHA512_Ed448]),
            Some(&[ExtensionType::Unknown(0xf001), ExtensionType::Grease(0x0a0a)]),
            Some(&[ProposalType::Custom(0xf002)]),
            Some(&[CredentialType::Other(0xf003), CredentialType::X509]),
        );
        let extension = Extension::Unknown(0xf004, UnknownExtension(vec![1, 2, 3]));
        let known = Extension::LastResort(Default::default());
        let written = encode(&(&capabilities, &extension, &known)).unwrap();
        let read: (Capabilities, Extension, Extension) = decode(&written).unwrap();
        assert_eq!(read, (capabilities, extension, known));
    }

    #[test]
    fn what_is_too_long_or_too_short_is_not_read() {
        let written = encode(&(1_u64, vec![2_u8, 3])).unwrap();
        assert_eq!(decode::<(u64, Vec<u8>)>(&written).unwrap(), (1, vec![2, 3]));
        for damaged in [&written[..written.len() - 1], &[&written[..], &[0]].concat()] {
            assert!(matches!(decode::<(u64, Vec<u8>)>(damaged), Err(StoreError::Corrupt(_))));
        }
    }
}
