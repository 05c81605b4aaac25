//! The handshake: version, realm, who that is, and whether it holds that device's key.
//!
//! A device that does not exist and a signature that is wrong look the same from outside.

use chasqui_wire::{GoodbyeReason, Hello, VERSIONS, signing};
use ring::signature::{ED25519, UnparsedPublicKey};

use super::{Output, Peer, Session, Stage};
use crate::relay::{Attach, KnownDevice, Op};

impl Session {
    pub(super) fn hello(&mut self, hello: Hello) -> Vec<Output> {
        if !VERSIONS.contains(&hello.version) {
            return self.goodbye(GoodbyeReason::IncompatibleVersion, "no common protocol version");
        }
        if hello.realm != self.realm {
            return self.goodbye(GoodbyeReason::WrongRealm, "this node serves another app");
        }
        let device = hello.device;
        self.stage = Stage::Identifying(Box::new(hello));
        vec![Output::Submit(Op::Lookup(device))]
    }

    pub(super) fn identified(&mut self, known: Option<KnownDevice>) -> Vec<Output> {
        let Stage::Identifying(hello) = &self.stage else { return Vec::new() };
        let signed = signing::hello(self.realm, &self.nonce, hello.device, hello.version);
        let Some(known) = known.filter(|known| is_signed(&known.key, &signed, &hello.signature)) else {
            return self.goodbye(GoodbyeReason::Unauthorised, "unknown device or wrong signature");
        };
        if known.revoked {
            return self.goodbye(GoodbyeReason::Revoked, "the device was revoked");
        }
        let window = |asked: u32, limit: u32| if asked == 0 { limit } else { asked.min(limit) };
        let attach = Attach {
            device: hello.device,
            window_entries: window(hello.window_entries, self.limits.window_entries),
            window_bytes: window(hello.window_bytes, self.limits.window_bytes),
            checkpoint: hello.checkpoint.clone(),
            progress: hello.progress,
        };
        let KnownDevice { user, identity_key, key, revoked: _ } = known;
        self.stage = Stage::Attaching(Peer { user, device: hello.device, key, identity_key });
        vec![Output::Submit(Op::Attach(attach))]
    }
}

/// Whether `signature` is Ed25519 by the key over these bytes.
pub(crate) fn is_signed(key: &[u8; 32], bytes: &[u8], signature: &[u8; 64]) -> bool {
    UnparsedPublicKey::new(&ED25519, key).verify(bytes, signature).is_ok()
}
