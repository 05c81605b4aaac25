//! The device under test: the real engine on a real file, played by a node that never refuses.

use std::error::Error;
use std::path::Path;

use bytes::Bytes;
use chasqui::engine::{Command, CommandId, Engine, Enrolment, Input, Output, ResolvedUser, Secret, SocketId, Step};
use chasqui::{ConnectionState, RealmId, Store, Timestamp};
use chasqui_wire::{Challenge, Checkpoint, ClientFrame, Drained, Limits, NodeFrame, Welcome};

use super::mail::Mail;

const SOCKET: SocketId = SocketId(1);

pub(super) struct Device {
    engine: Engine,
    pub(super) store: Store,
}

impl Device {
    /// Enrolled, knowing its peers' names, and connected.
    pub(super) fn connected(store: Store, mail: &Mail) -> Result<Self, Box<dyn Error>> {
        let engine = Engine::load(&store, 7)?;
        let mut device = Self { engine, store };
        let realm = RealmId::from_bytes([1; 16]);
        let enrolment = Enrolment {
            node: NOWHERE.to_owned(),
            realm,
            user: mail.user,
            name: "ana".to_owned(),
            device: mail.device,
            device_seed: Secret::new([1; 32]),
            identity_seed: None,
        };
        let mut commands = vec![
            Command::BeginEnrolment(Box::new(enrolment)),
            Command::ConfirmEnrolment { user: mail.user, name: "ana".to_owned(), device: mail.device },
        ];
        let named = |peer: &super::mail::Peer| {
            let known = ResolvedUser { name: peer.name.clone(), identity_key: [0; 32] };
            Command::RememberUser(peer.user, known)
        };
        commands.extend(mail.peers.iter().map(named));
        let commands = commands.into_iter().map(|command| Input::Command(CommandId(0), command)).collect();
        device.handle(mail.now(), commands)?;
        let challenge = Challenge { nonce: [0; 32], realm, version_min: 1, version_max: 1 };
        let checkpoint = Checkpoint { era: 0, revision: 1, opening: [0; 8], seal: [0; 32] };
        let welcome = Welcome {
            user: mail.user,
            limits: Limits::DEFAULT,
            checkpoint: checkpoint.clone(),
            eras: Vec::new(),
            time: mail.now(),
            http_token: String::new().into(),
            http_token_expires_at: mail.now(),
            key_packages: None,
            identity_key: None,
        };
        device.handle(mail.now(), vec![Input::Connected(SOCKET)])?;
        for frame in [NodeFrame::Challenge(challenge), NodeFrame::Welcome(welcome)] {
            device.take(mail.now(), vec![frame.encode()])?;
        }
        device.take(mail.now(), vec![NodeFrame::Drained(Drained { checkpoint }).encode()])?;
        match device.engine.connection() {
            ConnectionState::Online => Ok(device),
            other => Err(format!("the device is {other:?}").into()),
        }
    }

    /// One step over frames that arrived together; returns how many entries it acknowledged.
    pub(super) fn take(&mut self, now: Timestamp, frames: Vec<Bytes>) -> Result<usize, Box<dyn Error>> {
        let step = self.handle(now, frames.into_iter().map(|frame| Input::Frame(SOCKET, frame)).collect())?;
        let mut acknowledged = 0;
        for output in step.outputs {
            if let Output::Transmit(_, bytes) = output
                && let ClientFrame::Ack(ack) = ClientFrame::decode(bytes, &Limits::DEFAULT)?
            {
                acknowledged += ack.items.len();
            }
        }
        Ok(acknowledged)
    }

    pub(super) fn command(&mut self, now: Timestamp, command: Command) -> Result<(), Box<dyn Error>> {
        let step = self.handle(now, vec![Input::Command(CommandId(0), command)])?;
        for output in step.outputs {
            if let Output::Reply(_, reply) = output {
                reply?;
            }
        }
        Ok(())
    }

    fn handle(&mut self, now: Timestamp, inputs: Vec<Input>) -> Result<Step, Box<dyn Error>> {
        Ok(self.engine.handle(&mut self.store, now, inputs)?)
    }

    pub(super) fn into_store(self) -> Store {
        self.store
    }
}

/// A node that nobody reaches: what is measured never waits for the network.
pub(super) const NOWHERE: &str = "http://127.0.0.1:9";

/// The history in `file`, on a disk that does not count: what is made here is not measured.
pub(super) fn unsynced(file: &Path) -> Result<Store, Box<dyn Error>> {
    let store = Store::open(file)?;
    store.connection().pragma_update(None, "synchronous", "OFF")?;
    store.connection().pragma_update(None, "cache_size", -256 * 1024)?;
    Ok(store)
}
