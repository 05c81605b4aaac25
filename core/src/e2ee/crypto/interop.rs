//! Groups in which some devices use this cryptography and some that of openmls itself: what one writes the others read.

use openmls::prelude::tls_codec::{Deserialize as _, Serialize as _};
use openmls::prelude::{
    BasicCredential, CredentialWithKey, KeyPackage, KeyPackageIn, LeafNodeParameters, MlsGroup, MlsGroupCreateConfig,
    MlsGroupJoinConfig, MlsMessageBodyIn, MlsMessageIn, MlsMessageOut, ProcessedMessageContent, ProtocolVersion,
    StagedWelcome,
};
use openmls_rust_crypto::{MemoryStorage, OpenMlsRustCrypto};
use openmls_traits::OpenMlsProvider;
use openmls_traits::crypto::OpenMlsCrypto as _;
use openmls_traits::signatures::{Signer, SignerError};
use openmls_traits::types::{Ciphersuite, SignatureScheme};

use super::{CIPHERSUITES, Crypto};

struct Ours {
    crypto: Crypto,
    storage: MemoryStorage,
}

impl Ours {
    fn new() -> Self {
        Self { crypto: Crypto::new(), storage: MemoryStorage::default() }
    }
}

impl OpenMlsProvider for Ours {
    type CryptoProvider = Crypto;
    type RandProvider = Crypto;
    type StorageProvider = MemoryStorage;

    fn storage(&self) -> &MemoryStorage {
        &self.storage
    }

    fn crypto(&self) -> &Crypto {
        &self.crypto
    }

    fn rand(&self) -> &Crypto {
        &self.crypto
    }
}

/// A device, with the keys and signatures of its own cryptography.
struct Device<P: OpenMlsProvider> {
    provider: P,
    name: &'static str,
    suite: Ciphersuite,
    secret: Vec<u8>,
    public: Vec<u8>,
    group: Option<MlsGroup>,
}

struct Key<'a, C>(&'a C, &'a [u8]);

impl<C: openmls_traits::crypto::OpenMlsCrypto> Signer for Key<'_, C> {
    fn sign(&self, payload: &[u8]) -> Result<Vec<u8>, SignerError> {
        self.0.sign(SignatureScheme::ED25519, payload, self.1).map_err(SignerError::CryptoError)
    }

    fn signature_scheme(&self) -> SignatureScheme {
        SignatureScheme::ED25519
    }
}

/// What a device gets from the others, whatever it is built on.
trait Member {
    fn key_package(&mut self) -> Vec<u8>;
    fn create(&mut self);
    /// Commit and Welcome.
    fn add(&mut self, key_package: &[u8]) -> (Vec<u8>, Vec<u8>);
    fn join(&mut self, welcome: &[u8]);
    fn update(&mut self) -> Vec<u8>;
    fn say(&mut self, text: &str) -> Vec<u8>;
    /// The text, unless it was a commit, which is merged.
    fn hear(&mut self, message: &[u8]) -> Option<String>;
    /// What all members of an epoch have in common, and nobody else.
    fn common(&self) -> (Vec<u8>, Vec<u8>);
}

impl<P: OpenMlsProvider> Device<P> {
    fn new(name: &'static str, suite: Ciphersuite, provider: P) -> Self {
        let (secret, public) = provider.crypto().signature_key_gen(SignatureScheme::ED25519).unwrap();
        Self { provider, name, suite, secret, public, group: None }
    }

    fn credential(&self) -> CredentialWithKey {
        CredentialWithKey {
            credential: BasicCredential::new(self.name.into()).into(),
            signature_key: self.public.as_slice().into(),
        }
    }
}

fn bytes(message: &MlsMessageOut) -> Vec<u8> {
    message.tls_serialize_detached().unwrap()
}

impl<P: OpenMlsProvider> Member for Device<P> {
    fn key_package(&mut self) -> Vec<u8> {
        let signer = Key(self.provider.crypto(), &self.secret);
        let bundle = KeyPackage::builder().build(self.suite, &self.provider, &signer, self.credential()).unwrap();
        bundle.key_package().tls_serialize_detached().unwrap()
    }

    fn create(&mut self) {
        let config = MlsGroupCreateConfig::builder().ciphersuite(self.suite).use_ratchet_tree_extension(true).build();
        let signer = Key(self.provider.crypto(), &self.secret);
        self.group = Some(MlsGroup::new(&self.provider, &signer, &config, self.credential()).unwrap());
    }

    fn add(&mut self, key_package: &[u8]) -> (Vec<u8>, Vec<u8>) {
        let package = KeyPackageIn::tls_deserialize_exact(key_package).unwrap();
        let package = package.validate(self.provider.crypto(), ProtocolVersion::Mls10).unwrap();
        let signer = Key(self.provider.crypto(), &self.secret);
        let group = self.group.as_mut().unwrap();
        let (commit, welcome, _) = group.add_members(&self.provider, &signer, &[package]).unwrap();
        group.merge_pending_commit(&self.provider).unwrap();
        (bytes(&commit), bytes(&welcome))
    }

    fn join(&mut self, welcome: &[u8]) {
        let MlsMessageBodyIn::Welcome(welcome) = MlsMessageIn::tls_deserialize_exact(welcome).unwrap().extract() else {
            panic!("a Welcome");
        };
        let config = MlsGroupJoinConfig::builder().use_ratchet_tree_extension(true).build();
        let staged = StagedWelcome::new_from_welcome(&self.provider, &config, welcome, None).unwrap();
        self.group = Some(staged.into_group(&self.provider).unwrap());
    }

    fn update(&mut self) -> Vec<u8> {
        let signer = Key(self.provider.crypto(), &self.secret);
        let group = self.group.as_mut().unwrap();
        let commit = group.self_update(&self.provider, &signer, LeafNodeParameters::default()).unwrap();
        group.merge_pending_commit(&self.provider).unwrap();
        bytes(commit.commit())
    }

    fn say(&mut self, text: &str) -> Vec<u8> {
        let signer = Key(self.provider.crypto(), &self.secret);
        let group = self.group.as_mut().unwrap();
        bytes(&group.create_message(&self.provider, &signer, text.as_bytes()).unwrap())
    }

    fn hear(&mut self, message: &[u8]) -> Option<String> {
        let message = MlsMessageIn::tls_deserialize_exact(message).unwrap().try_into_protocol_message().unwrap();
        let group = self.group.as_mut().unwrap();
        match group.process_message(&self.provider, message).unwrap().into_content() {
            ProcessedMessageContent::ApplicationMessage(text) => Some(String::from_utf8(text.into_bytes()).unwrap()),
            ProcessedMessageContent::StagedCommitMessage(commit) => {
                group.merge_staged_commit(&self.provider, *commit).unwrap();
                None
            }
            other => panic!("neither a text nor a commit: {other:?}"),
        }
    }

    fn common(&self) -> (Vec<u8>, Vec<u8>) {
        let group = self.group.as_ref().unwrap();
        let exported = group.export_secret(self.provider.crypto(), "test", b"context", 48).unwrap();
        (group.epoch_authenticator().as_slice().to_vec(), exported)
    }
}

/// Ana makes a group, Bo and Cy join it one after the other, everybody says something in each epoch and renews the keys.
fn check(suite: Ciphersuite, is_ours: [bool; 3]) {
    let names = ["Ana", "Bo", "Cy"];
    let device = |at: usize| -> Box<dyn Member> {
        if is_ours[at] {
            Box::new(Device::new(names[at], suite, Ours::new()))
        } else {
            Box::new(Device::new(names[at], suite, OpenMlsRustCrypto::default()))
        }
    };
    let mut members = vec![device(0)];
    members[0].create();
    for at in 1..names.len() {
        let mut newcomer = device(at);
        let key_package = newcomer.key_package();
        let (commit, welcome) = members[0].add(&key_package);
        for member in &mut members[1..] {
            assert_eq!(member.hear(&commit), None);
        }
        newcomer.join(&welcome);
        members.push(newcomer);
        converse(&mut members);
        for updating in 0..members.len() {
            let commit = members[updating].update();
            for (_, member) in members.iter_mut().enumerate().filter(|(at, _)| *at != updating) {
                assert_eq!(member.hear(&commit), None);
            }
            converse(&mut members);
        }
    }
}

fn converse(members: &mut [Box<dyn Member>]) {
    for speaking in 0..members.len() {
        let message = members[speaking].say("¡Hola!");
        for (_, member) in members.iter_mut().enumerate().filter(|(at, _)| *at != speaking) {
            assert_eq!(member.hear(&message).as_deref(), Some("¡Hola!"));
        }
    }
    let common = members[0].common();
    assert!(members.iter().all(|member| member.common() == common), "all are in the same epoch");
}

#[test]
fn devices_on_this_and_on_another_cryptography_share_groups() {
    for suite in CIPHERSUITES {
        check(suite, [true, false, true]);
        check(suite, [false, true, false]);
    }
}

#[test]
fn devices_on_this_cryptography_share_groups() {
    for suite in CIPHERSUITES {
        check(suite, [true, true, true]);
    }
}
