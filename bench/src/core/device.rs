//! The device under test: the real engine on a real file, played by a node that never refuses.

use std::error::Error;
use std::path::Path;

use bytes::Bytes;
use chasqui::engine::{Command, CommandId, Engine, Enrolment, Input, Output, ResolvedUser, Secret, SocketId, Step};
use chasqui::{ConnectionState, RealmId, Store, Timestamp};
use chasqui_wire::{Challenge, Checkpoint, ClientFrame, Drained, KeyPackagesLeft, Limits, NodeFrame, Welcome};

use super::mail::Mail;

const SOCKET: SocketId = SocketId(1);
pub(crate) const REALM: RealmId = RealmId::from_bytes([1; 16]);

pub(crate) struct Device {
    engine: Engine,
    pub(crate) store: Store,
}

impl Device {
    /// Enrolled, knowing its peers' names, and connected.
    pub(crate) fn connected(store: Store, mail: &Mail) -> Result<Self, Box<dyn Error>> {
        let mut device = Self::enrolled(store, mail, None)?;
        device.connect(mail, None)?;
        Ok(device)
    }

    /// Enrolled, and knowing its peers; linked, if it has its user's identity.
    pub(crate) fn enrolled(store: Store, mail: &Mail, identity_seed: Option<Secret>) -> Result<Self, Box<dyn Error>> {
        let mut device = Self::resumed(store)?;
        let enrolment = Enrolment {
            node: NOWHERE.to_owned(),
            realm: REALM,
            user: mail.user,
            name: "ana".to_owned(),
            device: mail.device,
            device_seed: Secret::new([1; 32]),
            identity_seed,
        };
        let mut commands = vec![
            Command::BeginEnrolment(Box::new(enrolment)),
            Command::ConfirmEnrolment { user: mail.user, name: "ana".to_owned(), device: mail.device },
        ];
        let named = |peer: &super::mail::Peer| {
            let known = ResolvedUser { name: peer.name.clone(), identity_key: peer.identity_key };
            Command::RememberUser(peer.user, known)
        };
        commands.extend(mail.peers.iter().map(named));
        let commands = commands.into_iter().map(|command| Input::Command(CommandId(0), command)).collect();
        device.handle(mail.now(), commands)?;
        Ok(device)
    }

    /// As its history stands.
    pub(crate) fn resumed(store: Store) -> Result<Self, Box<dyn Error>> {
        let engine = Engine::load(&store, 7)?;
        Ok(Self { engine, store })
    }

    /// Connects to a node that has so many of its key packages; what it says when it has its mail, which is none.
    pub(crate) fn connect(
        &mut self,
        mail: &Mail,
        key_packages: Option<KeyPackagesLeft>,
    ) -> Result<Vec<ClientFrame>, Box<dyn Error>> {
        let challenge = Challenge { nonce: [0; 32], realm: REALM, version_min: 1, version_max: 1 };
        let checkpoint = Checkpoint { era: 0, revision: 1, opening: [0; 8], seal: [0; 32] };
        let welcome = Welcome {
            user: mail.user,
            limits: Limits::DEFAULT,
            checkpoint: checkpoint.clone(),
            eras: Vec::new(),
            time: mail.now(),
            http_token: String::new().into(),
            http_token_expires_at: mail.now(),
            key_packages,
            identity_key: None,
        };
        self.handle(mail.now(), vec![Input::Connected(SOCKET)])?;
        for frame in [NodeFrame::Challenge(challenge), NodeFrame::Welcome(welcome)] {
            self.hear(mail.now(), vec![frame.encode()])?;
        }
        let said = self.hear(mail.now(), vec![NodeFrame::Drained(Drained { checkpoint }).encode()])?;
        match self.engine.connection() {
            ConnectionState::Online => Ok(said),
            other => Err(format!("the device is {other:?}").into()),
        }
    }

    /// One step over frames that arrived together; returns how many entries it acknowledged.
    pub(crate) fn take(&mut self, now: Timestamp, frames: Vec<Bytes>) -> Result<usize, Box<dyn Error>> {
        let said = self.hear(now, frames)?;
        let acknowledged = |frame: &ClientFrame| if let ClientFrame::Ack(ack) = frame { ack.items.len() } else { 0 };
        Ok(said.iter().map(acknowledged).sum())
    }

    /// One step over frames that arrived together; what it says.
    fn hear(&mut self, now: Timestamp, frames: Vec<Bytes>) -> Result<Vec<ClientFrame>, Box<dyn Error>> {
        let step = self.handle(now, frames.into_iter().map(|frame| Input::Frame(SOCKET, frame)).collect())?;
        let mut said = Vec::new();
        for output in step.outputs {
            if let Output::Transmit(_, bytes) = output {
                said.push(ClientFrame::decode(bytes, &Limits::DEFAULT)?);
            }
        }
        Ok(said)
    }

    pub(crate) fn command(&mut self, now: Timestamp, command: Command) -> Result<(), Box<dyn Error>> {
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

    pub(crate) fn into_store(self) -> Store {
        self.store
    }
}

/// A node that nobody reaches: what is measured never waits for the network.
pub(crate) const NOWHERE: &str = "http://127.0.0.1:9";

/// The history in `file`, on a disk that does not count: what is made here is not measured.
pub(crate) fn unsynced(file: &Path) -> Result<Store, Box<dyn Error>> {
    let store = Store::open(file)?;
    store.connection().pragma_update(None, "synchronous", "OFF")?;
    store.connection().pragma_update(None, "cache_size", -256 * 1024)?;
    Ok(store)
}
