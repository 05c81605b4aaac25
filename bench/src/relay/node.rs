//! A node with its users: data made through the relay itself, then served by the binary.

use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use chasqui_node::relay::{Call, Enrolment, NewUser, Relay, RelayOptions, Storage, Work};
use chasqui_wire::{DeviceId, MessageId, RealmId, Timestamp, UserId};
use ring::signature::{Ed25519KeyPair, KeyPair as _};
use tempfile::TempDir;

use super::Outcome;
use super::process::Process;
use super::tls::Trust;

/// One user with one device, by number.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Person(pub(crate) u32);

impl Person {
    pub(crate) fn user(self) -> UserId {
        UserId::from_bytes(self.bytes(1))
    }

    pub(crate) fn device(self) -> DeviceId {
        DeviceId::from_bytes(self.bytes(2))
    }

    pub(crate) fn key(self) -> Outcome<Ed25519KeyPair> {
        let mut seed = [3; 32];
        seed[..16].copy_from_slice(&self.bytes(3));
        Ok(Ed25519KeyPair::from_seed_unchecked(&seed).map_err(|_| "a seed has 32 bytes")?)
    }

    /// The id of one of this person's messages.
    pub(crate) fn message(self, number: u64) -> MessageId {
        let mut id = [0; 16];
        id[..8].copy_from_slice(&number.to_be_bytes());
        id[8..12].copy_from_slice(&self.0.to_be_bytes());
        MessageId::from_bytes(id)
    }

    fn bytes(self, kind: u8) -> [u8; 16] {
        let mut bytes = [kind; 16];
        bytes[..4].copy_from_slice(&self.0.to_be_bytes());
        bytes
    }
}

/// Where a node is found.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place {
    pub(crate) address: SocketAddr,
    pub(crate) realm: RealmId,
}

/// A running node.
pub(crate) struct Node {
    pub(crate) place: Place,
    pub(crate) process: Process,
    folder: TempDir,
    verbose: bool,
}

impl Node {
    /// A node that knows people 0 up to `people`, with limits that no workload reaches.
    pub(crate) fn start(people: usize, verbose: bool) -> Outcome<Self> {
        Self::start_in(tempfile::tempdir()?, "", people, verbose)
    }

    /// As [`Node::start`], and it speaks TLS.
    pub(crate) fn start_with_tls(people: usize, verbose: bool) -> Outcome<(Self, Trust)> {
        let folder = tempfile::tempdir()?;
        let (trust, lines) = Trust::certify(folder.path())?;
        Ok((Self::start_in(folder, &lines, people, verbose)?, trust))
    }

    fn start_in(folder: TempDir, more: &str, people: usize, verbose: bool) -> Outcome<Self> {
        let data = folder.path().join("data");
        let realm = enrol(&data, people)?;
        std::fs::write(folder.path().join("node.toml"), format!("{CONFIG}{more}"))?;
        let anywhere = SocketAddr::from(([127, 0, 0, 1], 0));
        let (process, address) = serve(folder.path(), anywhere, verbose)?;
        Ok(Self { place: Place { address, realm }, process, folder, verbose })
    }

    /// Ends it as a power cut would, and starts it again at the same place.
    pub(crate) fn crash(&mut self) -> Outcome {
        self.process.kill();
        (self.process, _) = serve(self.folder.path(), self.place.address, self.verbose)?;
        Ok(())
    }

    /// Its data folder.
    pub(crate) fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }
}

fn serve(folder: &Path, listen: SocketAddr, verbose: bool) -> Outcome<(Process, SocketAddr)> {
    let mut child = Command::new(binary()?)
        .args(["serve", "--log", "warn", "--listen", &listen.to_string(), "--config"])
        .arg(folder.join("node.toml"))
        .arg("--data")
        .arg(folder.join("data"))
        .stdout(Stdio::piped())
        .stderr(if verbose { Stdio::inherit() } else { Stdio::null() })
        .spawn()?;
    let stdout = child.stdout.take().ok_or("no stdout")?;
    let process = Process::new(child);
    let mut line = String::new();
    BufReader::new(stdout).read_line(&mut line)?;
    let listening: serde_json::Value =
        serde_json::from_str(&line).map_err(|_| "the node did not start; see --verbose")?;
    Ok((process, listening["address"].as_str().ok_or("no address")?.parse()?))
}

const CONFIG: &str = "connections_per_address = 100000\n[limits]\nsends_per_minute = 4000000000\n";

/// The node beside this program: `cargo xtask bench` builds both.
fn binary() -> Outcome<PathBuf> {
    let here = std::env::current_exe()?;
    let binary = here.with_file_name("chasqui-node");
    if binary.exists() { Ok(binary) } else { Err(format!("{} is not built", binary.display()).into()) }
}

/// Puts people into a new data folder, many in one transaction.
fn enrol(data: &Path, people: usize) -> Outcome<RealmId> {
    const NOW: Timestamp = Timestamp(1_700_000_000_000);
    let mut relay = Relay::open(Storage::folder(data), RelayOptions::default(), NOW, [5; 32])?;
    let people: Vec<Person> = (0..u32::try_from(people)?).map(Person).collect();
    let (sender, answers) = std::sync::mpsc::channel();
    for some in people.chunks(1000) {
        let calls = some.iter().map(|&person| -> Outcome<Work> {
            let key = person.key()?.public_key().as_ref().try_into()?;
            let device = Enrolment { device: person.device(), key, name: "bench".to_owned() };
            let new = NewUser {
                user: person.user(),
                name: format!("person{}", person.0),
                // Nobody logs in.
                password_hash: String::new(),
                identity_key: key,
                device,
            };
            let sender = sender.clone();
            let call = Call::new(move |accounts| accounts.register(&new), move |answer| drop(sender.send(answer)));
            Ok(Work::Call(call))
        });
        let calls = calls.collect::<Outcome<Vec<_>>>()?;
        relay.commit(NOW, calls);
    }
    drop(sender);
    for answer in answers {
        answer??;
    }
    relay.settle_down(NOW)?;
    Ok(relay.realm())
}
