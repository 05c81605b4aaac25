//! Encrypted conversations, of which the node knows epochs and rosters: bodies here are no MLS.

mod commits;
mod identity;
mod messages;
mod one_device;
mod packages;
mod signals;
mod undelivered;

use chasqui_wire::{
    Admit, Claim, Claimed, Commit, GapReason, HoleReason, KeyPackages, KeyPackagesLeft, RosterEntry, Verdict,
};
use ring::digest::{SHA256, digest};

use super::*;

const EVE: UserId = UserId::from_bytes([0xE; 16]);
const EVE_PHONE: DeviceId = DeviceId::from_bytes([0xE1; 16]);
const DAY: u64 = 24 * 60 * 60 * 1000;

fn id(number: u8) -> MessageId {
    MessageId::from_bytes([number; 16])
}

fn secret() -> ConversationId {
    direct_conversation(ANA, BO, Protection::EndToEnd)
}

fn bytes(text: &str) -> Bytes {
    Bytes::copy_from_slice(text.as_bytes())
}

/// A package whose body says whose it is.
fn package(device: DeviceId, name: &str) -> Bytes {
    bytes(&format!("{:x} {name}", device.as_bytes()[0]))
}

fn packages(device: DeviceId, one_time: &[&str], last_resort: Option<&str>) -> KeyPackages {
    KeyPackages {
        id: id(200),
        link: [0; 64],
        one_time: one_time.iter().map(|name| package(device, name)).collect(),
        last_resort: last_resort.map(|name| package(device, name)),
        replace: false,
    }
}

fn left(one_time: u32, last_resort: bool) -> KeyPackagesLeft {
    KeyPackagesLeft { one_time, last_resort }
}

/// What the session is told is left.
fn told_left(session: SessionId, events: &[(SessionId, Event)]) -> Option<KeyPackagesLeft> {
    events.iter().find_map(|(to, event)| match event {
        Event::KeyPackagesLeft(left) if *to == session => Some(*left),
        _ => None,
    })
}

fn claim(of: UserId, with: UserId, anew: bool) -> Claim {
    Claim {
        id: id(201),
        conversation: direct_conversation(of, with, Protection::EndToEnd),
        kind: ConversationKind::Direct,
        protection: Protection::EndToEnd,
        peer: Some(with),
        anew,
    }
}

fn claimed(events: &[(SessionId, Event)]) -> Result<Claimed, ErrorCode> {
    let answer = events.iter().find_map(|(_, event)| match event {
        Event::Claimed(claimed) => Some(Ok(Claimed::clone(claimed))),
        Event::Rejected(rejected) => Some(Err(rejected.code)),
        _ => None,
    });
    answer.expect("answered")
}

/// The bodies of what was claimed.
fn bodies(claimed: &Claimed) -> Vec<String> {
    claimed.packages.iter().map(|package| String::from_utf8(package.body.to_vec()).unwrap()).collect()
}

fn entry(user: UserId, device: DeviceId) -> RosterEntry {
    RosterEntry { user, device }
}

const ANAS_PHONE: RosterEntry = RosterEntry { user: ANA, device: ANA_PHONE };
const ANAS_LAPTOP: RosterEntry = RosterEntry { user: ANA, device: ANA_LAPTOP };
const BOS_PHONE: RosterEntry = RosterEntry { user: BO, device: BO_PHONE };
const BOS_LAPTOP: RosterEntry = RosterEntry { user: BO, device: BO_LAPTOP };

fn encrypted(from: UserId, to: UserId, number: u8, epoch: u64, text: &str) -> Send {
    let conversation = direct_conversation(from, to, Protection::EndToEnd);
    Send { conversation, protection: Protection::EndToEnd, epoch, ..send(from, to, number, text) }
}

fn commit(
    (from, to): (UserId, UserId),
    number: u8,
    epoch: u64,
    added: &[RosterEntry],
    removed: &[RosterEntry],
) -> Send {
    let send = encrypted(from, to, number, epoch, &format!("commit {number}"));
    let hash = digest(&SHA256, &send.body).as_ref().try_into().unwrap();
    let welcome = if added.is_empty() { Bytes::new() } else { format!("welcome {number}").into() };
    let commit = Commit { hash, added: added.to_vec(), removed: removed.to_vec(), begins: false, welcome };
    Send { commit: Some(commit), ..send }
}

fn begin(members: (UserId, UserId), number: u8, epoch: u64, added: &[RosterEntry]) -> Send {
    let mut send = commit(members, number, epoch, added, &[]);
    send.commit.as_mut().unwrap().begins = true;
    send
}

/// As the device sends it after a refusal.
fn again(send: Send) -> Send {
    Send { restart: true, ..send }
}

struct Pair {
    world: World,
    ana: SessionId,
    bo: SessionId,
}

impl Pair {
    /// Ana's and Bo's phones, linked, with nothing said yet.
    fn linked_with(options: RelayOptions) -> Self {
        let mut world = World::with(options);
        let (ana, _) = world.attach(ANA_PHONE);
        let (bo, _) = world.attach(BO_PHONE);
        let mut pair = Self { world, ana, bo };
        pair.offer(ana, ANA_PHONE);
        pair.offer(bo, BO_PHONE);
        pair
    }

    fn linked() -> Self {
        Self::linked_with(options())
    }

    /// With a group of both phones, at epoch 1; Bo has his Welcome.
    fn met() -> Self {
        let mut pair = Self::linked();
        let events = pair.world.publish(pair.ana, begin((ANA, BO), 1, 0, &[BOS_PHONE]));
        let welcome = mail(pair.bo, &events);
        pair.world.acknowledge(pair.bo, welcome[0].number, AckOutcome::Stored);
        pair
    }

    fn offer(&mut self, session: SessionId, device: DeviceId) {
        let all = packages(device, &["first", "second"], Some("last"));
        assert_eq!(answer(&self.world.work(session, Op::KeyPackages(Box::new(all)))), Ok(None));
    }

    fn linked_device(&mut self, user: UserId, device: DeviceId) -> SessionId {
        self.world.enrol(user, device);
        let (session, _) = self.world.attach(device);
        self.offer(session, device);
        session
    }

    fn claim(&mut self, session: SessionId, claim: Claim) -> Result<Claimed, ErrorCode> {
        claimed(&self.world.work(session, Op::Claim(Box::new(claim))))
    }

    fn publish(&mut self, session: SessionId, send: Send) -> Result<Option<Seq>, ErrorCode> {
        answer(&self.world.publish(session, send))
    }

    /// A session acknowledges everything that waits for its device.
    fn take_mail(&mut self, session: SessionId) {
        let entries: Vec<u64> = {
            let mut query = self.world.relay.connection().prepare("SELECT DISTINCT entry FROM mailbox").unwrap();
            let entries = query.query_map([], |row| row.get(0)).unwrap();
            entries.collect::<Result<_, _>>().unwrap()
        };
        for entry in entries {
            self.world.acknowledge(session, entry, AckOutcome::Stored);
        }
    }

    fn epoch(&self) -> u64 {
        let sql = "SELECT coalesce(max(epoch), 0) FROM conversation";
        self.world.relay.connection().query_row(sql, [], |row| row.get(0)).unwrap()
    }

    fn roster(&mut self) -> Vec<RosterEntry> {
        let claimed = self.claim(self.ana, claim(ANA, BO, false)).unwrap();
        assert_eq!(claimed.epoch, self.epoch());
        claimed.roster
    }
}
