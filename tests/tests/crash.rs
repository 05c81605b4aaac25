//! The relay and three devices, a process each, are killed (`kill -9`) at random moments under load, again and again.
//! Whatever `send_text` confirmed is then exactly once on every device, in one order, and the relay has forgotten it.
//!
//! `CHASQUI_CRASHES` says how often, `CHASQUI_SEED` which moments.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

#[expect(dead_code, reason = "other tests use more of the stage")]
mod stage;

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use chasqui::{Client, Config, Protection, UserId};
use rusqlite::{Connection, OpenFlags};
use serde_json::Value;
use stage::{PASSWORD, free_address};

const DEADLINE: Duration = Duration::from_secs(60);
/// In every text: what must not stay in the relay's files.
const CANARY: &str = "canary";
const TEXTS_A_ROUND: usize = 25;

/// SplitMix64 (Steele, Lea, Flood 2014).
struct Rng(u64);

impl Rng {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % bound
    }
}

/// A child that says lines of JSON. Killed when dropped.
struct Process {
    name: String,
    child: Child,
    orders: ChildStdin,
    lines: Receiver<Value>,
    reader: Option<JoinHandle<()>>,
}

impl Process {
    fn start(name: &str, program: &str, arguments: &[String]) -> Self {
        let mut command = Command::new(program);
        let command = command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let (orders, stdout) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        let (sender, lines) = channel();
        let reader = std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines() {
                // A kill may cut the last line short.
                let Ok(line) = serde_json::from_str(&line.unwrap()) else { return };
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        Self { name: name.to_owned(), child, orders, lines, reader: Some(reader) }
    }

    fn order(&mut self, order: &str) {
        writeln!(self.orders, "{order}").unwrap_or_else(|error| panic!("{} takes no orders: {error}", self.name));
    }

    /// The next line, which is due.
    fn line(&self, what: &str) -> Value {
        match self.lines.recv_timeout(DEADLINE) {
            Ok(line) => line,
            Err(RecvTimeoutError::Timeout) => panic!("{}: still waiting after {DEADLINE:?}: {what}", self.name),
            Err(RecvTimeoutError::Disconnected) => panic!("{} ended by itself, before: {what}", self.name),
        }
    }

    /// Waits for an event, and hands what comes before it to `take`.
    fn until(&self, event: &str, mut take: impl FnMut(Value)) -> Value {
        loop {
            let line = self.line(event);
            if line["event"] == event {
                return line;
            }
            take(line);
        }
    }

    /// Kills it; what it had said before is still heard.
    fn kill(&mut self) -> Vec<Value> {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        self.reader.take().expect("killed once").join().unwrap();
        self.lines.try_iter().collect()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

struct Device {
    name: &'static str,
    folder: PathBuf,
    peer: UserId,
    process: Process,
    attempts: usize,
    confirmed: Vec<String>,
}

impl Device {
    /// No attempt repeats a text: what was not confirmed may or may not have been sent.
    fn send_some(&mut self) {
        for _ in 0..TEXTS_A_ROUND {
            self.attempts += 1;
            self.process.order(&format!("send {CANARY} {} {}", self.name, self.attempts));
        }
    }

    fn heard(&mut self, lines: impl IntoIterator<Item = Value>) {
        let sent = lines.into_iter().filter(|line| line["event"] == "sent");
        self.confirmed.extend(sent.map(|line| line["text"].as_str().unwrap().to_owned()));
    }
}

struct World {
    folder: tempfile::TempDir,
    address: SocketAddr,
    relay: Process,
    devices: Vec<Device>,
    protection: Protection,
}

fn start_relay(folder: &Path, address: SocketAddr) -> Process {
    let arguments = [folder.join("relay").display().to_string(), address.to_string()];
    let relay = Process::start("the relay", env!("CARGO_BIN_EXE_crash_node"), &arguments);
    relay.until("listening", drop);
    relay
}

fn start_device(name: &str, folder: &Path, address: SocketAddr, peer: UserId, protection: Protection) -> Process {
    let kind = if protection == Protection::NodeReadable { "readable" } else { "encrypted" };
    let arguments = [folder.display().to_string(), format!("http://{address}"), peer.to_string(), kind.to_owned()];
    let device = Process::start(name, env!("CARGO_BIN_EXE_crash_device"), &arguments);
    device.until("ready", |line| panic!("{name}: {line}"));
    device
}

async fn link(phone: &Client, laptop: &Client) {
    let code = laptop.begin_linking().await.unwrap();
    let (here, there) = tokio::join!(phone.link_device(&code), laptop.linking_number());
    assert_eq!(here.unwrap(), there.unwrap());
    let (here, there) = tokio::join!(phone.confirm_linking(), laptop.confirm_linking());
    here.and(there).unwrap();
}

impl World {
    /// Ana's phone, Bo's phone, Bo's laptop.
    fn begin(protection: Protection) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let address = free_address();
        let relay = start_relay(folder.path(), address);
        let enrol = async |name: &'static str, user: &str, is_first: bool| {
            let folder = folder.path().join(name);
            let client = Client::open(Config::new(&folder, format!("http://{address}"))).await.unwrap();
            let account = if is_first {
                client.register(user, PASSWORD, name).await.unwrap()
            } else {
                client.login(user, PASSWORD, name).await.unwrap()
            };
            (client, (name, folder, account.user))
        };
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let enrolled = runtime.block_on(async {
            let enrolled = [
                enrol("ana-phone", "ana", true).await,
                enrol("bo-phone", "bo", true).await,
                enrol("bo-laptop", "bo", false).await,
            ];
            link(&enrolled[1].0, &enrolled[2].0).await;
            let mut closed = Vec::new();
            for (client, device) in enrolled {
                client.close().await.unwrap();
                closed.push(device);
            }
            closed
        });
        let (ana, bo) = (enrolled[0].2, enrolled[1].2);
        let device = |(name, folder, user): (&'static str, PathBuf, UserId)| {
            let peer = if user == ana { bo } else { ana };
            let process = start_device(name, &folder, address, peer, protection);
            Device { name, folder, peer, process, attempts: 0, confirmed: Vec::new() }
        };
        Self { address, relay, devices: enrolled.into_iter().map(device).collect(), folder, protection }
    }

    /// A device, the relay, both or none is killed at a moment when all are at work.
    fn crash(&mut self, rng: &mut Rng) -> Vec<&'static str> {
        for device in &mut self.devices {
            device.process.order("up");
            device.send_some();
            if rng.below(3) == 0 {
                device.process.order("read");
            }
        }
        // The moment itself is what is random; nothing is waited for.
        std::thread::sleep(Duration::from_micros(rng.below(250_000)));
        let is_relay_hit = rng.below(3) == 0;
        if is_relay_hit {
            self.relay.kill();
        }
        let victim = usize::try_from(rng.below(self.devices.len() as u64 + 1)).unwrap();
        let victim = self.devices.get_mut(victim).map(|device| {
            let last_words = device.process.kill();
            device.heard(last_words);
            device.process = start_device(device.name, &device.folder, self.address, device.peer, self.protection);
            device.name
        });
        if is_relay_hit {
            self.relay = start_relay(self.folder.path(), self.address);
        }
        victim.into_iter().chain(is_relay_hit.then_some("relay")).collect()
    }

    /// Nobody is killed any more: all goes out, and is received everywhere. The history of each device.
    fn settle(&mut self) -> Vec<Vec<(u64, String)>> {
        let mut written = 0;
        for device in &mut self.devices {
            device.process.order("up");
            device.process.order("settle");
        }
        for device in &mut self.devices {
            let mut before = Vec::new();
            let settled = device.process.until("settled", |line| before.push(line));
            device.heard(before);
            written += settled["own"].as_u64().unwrap();
        }
        let show = |device: &mut Device| {
            device.process.order(&format!("wait {written}"));
            device.process.until("holds", drop);
            device.process.order("show");
            let mut lines = Vec::new();
            let line = |line: &Value| {
                let seq = line["seq"].as_u64().unwrap_or_else(|| panic!("{line} has no position"));
                (seq, line["text"].as_str().unwrap().to_owned())
            };
            device.process.until("end", |shown| lines.push(line(&shown)));
            lines
        };
        self.devices.iter_mut().map(show).collect()
    }

    fn waiting_mail(&self) -> u64 {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let database = Connection::open_with_flags(self.folder.path().join("relay/relay.db"), flags).unwrap();
        let sql = "SELECT (SELECT count(*) FROM mailbox) + (SELECT count(*) FROM envelope)";
        database.query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap().unsigned_abs()
    }

    /// Files of the relay in which something of a body is.
    fn files_with_bodies(&self) -> Vec<PathBuf> {
        let holds = |file: &PathBuf| {
            // The relay may have deleted it just now.
            let bytes = std::fs::read(file).unwrap_or_default();
            bytes.windows(CANARY.len()).any(|window| window == CANARY.as_bytes())
        };
        files(&self.folder.path().join("relay")).into_iter().filter(holds).collect()
    }
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    // The admin socket holds nothing.
    let entries = entries.filter(|path| path.is_dir() || path.is_file());
    entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

/// Another process's files change and nobody tells: asks again until it is so.
#[expect(clippy::disallowed_methods, reason = "a deadline of the test")]
fn eventually(what: &str, within: Duration, mut is_so: impl FnMut() -> bool) {
    let started = Instant::now();
    while !is_so() {
        assert!(started.elapsed() < within, "still waiting after {within:?}: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{variable} is no number")))
}

#[test]
fn what_was_confirmed_survives_every_crash() {
    survives(Protection::NodeReadable, 40);
}

#[test]
fn what_was_encrypted_survives_every_crash() {
    survives(Protection::EndToEnd, 25);
}

fn survives(protection: Protection, crashes: u64) {
    let crashes = number("CHASQUI_CRASHES").unwrap_or(crashes);
    let seed = number("CHASQUI_SEED").unwrap_or(1);
    let mut rng = Rng(seed);
    let mut world = World::begin(protection);
    let mut killed: BTreeMap<&str, u64> = BTreeMap::new();
    while killed.values().sum::<u64>() < crashes {
        for name in world.crash(&mut rng) {
            *killed.entry(name).or_insert(0) += 1;
        }
    }
    let histories = world.settle();

    for (device, history) in world.devices.iter().zip(&histories) {
        let name = device.name;
        let texts: BTreeSet<&str> = history.iter().map(|(_, text)| text.as_str()).collect();
        assert_eq!(texts.len(), history.len(), "{name} shows a text twice");
        let hole = (1..).zip(history).find(|(expected, (seq, _))| expected != seq);
        // Groups change at positions of their own.
        assert!(hole.is_none() || protection == Protection::EndToEnd, "{name}: positions without holes: {hole:?}");
        let apart = history.iter().zip(&histories[0]).find(|(here, there)| here != there);
        assert_eq!(apart, None, "{name} and {} show different orders", world.devices[0].name);
        assert_eq!(history.len(), histories[0].len(), "{name} and {} hold as much", world.devices[0].name);
    }
    let all: Vec<BTreeMap<&str, u64>> =
        histories.iter().map(|history| history.iter().map(|(seq, text)| (text.as_str(), *seq)).collect()).collect();
    let (mut accepted, mut delivered) = (0, 0);
    for device in &world.devices {
        let place = |text: &String| all[0].get(text.as_str());
        let places: Vec<Option<&u64>> = device.confirmed.iter().map(place).collect();
        assert!(places.is_sorted(), "{}: in the order in which it wrote", device.name);
        accepted += device.confirmed.len();
        let is_everywhere = |text: &&String| all.iter().all(|history| history.contains_key(text.as_str()));
        delivered += device.confirmed.iter().filter(is_everywhere).count();
    }
    println!("accepted {accepted}, delivered {delivered}");
    assert_eq!(accepted, delivered, "devices were told that texts are safe which are lost");
    assert!(accepted > 0);

    let five_seconds = Duration::from_secs(5);
    eventually("the relay to have no mail left", DEADLINE, || world.waiting_mail() == 0);
    eventually("the relay to forget every body", five_seconds, || world.files_with_bodies().is_empty());
    // Nor does a crash now bring one back.
    world.relay.kill();
    assert_eq!(world.files_with_bodies(), [""; 0].map(PathBuf::from));
    let unconfirmed = histories[0].len() - accepted;
    println!("seed {seed}: killed {killed:?}; {unconfirmed} texts more were sent than confirmed");
}
