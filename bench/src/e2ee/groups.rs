//! A group of so many devices: what it costs to say something in it, to read it, and to change who is there.
//!
//! Ana begins it and makes all changes, Bo follows and reads; both have a history on disk, and each step is a transaction of it. The
//! others are nothing but their key packages, and never say anything. So the tree has no keys but Ana's above its leaves, and a commit
//! that renews keys is encrypted for each device by itself: the worst that a group of this size can be.

use std::error::Error;
use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use chasqui::Store;
use chasqui::bench::{Changed, Member, Outcome, Thread};
use chasqui::engine::Secret;
use chasqui_wire::{
    ClientFrame, Content, ContentKind, ConversationKind, DeviceId, KeyPackage, Protection, Send, Seq, StorageClass,
    Timestamp, UserId,
};
use rusqlite::Connection;
use serde::Serialize;

use crate::core::clock::timed;
use crate::core::device::REALM;
use crate::core::rng::Rng;
use crate::core::texts::LANGUAGES;

const NOW: Timestamp = Timestamp(1_767_225_600_000);
const TEXT_BYTES: usize = 1_024;

/// How often something is done. The clock of a thread's work is coarse, so times are taken of many at once.
#[derive(Clone, Copy, Debug)]
pub(super) struct Times {
    blocks: usize,
    messages_per_block: usize,
    changes: usize,
}

impl Times {
    pub(super) const QUICK: Self = Self { blocks: 1, messages_per_block: 2, changes: 1 };

    pub(super) fn of(devices: usize) -> Self {
        let changes = if devices > 100 { 5 } else { 40 };
        Self { blocks: 8, messages_per_block: 50, changes }
    }
}

#[derive(Debug, Serialize)]
pub(super) struct Group {
    pub(super) devices: usize,
    pub(super) messages: usize,
    pub(super) changes: usize,
    pub(super) seal: Cost,
    pub(super) open: Cost,
    /// The frame in which a message of 1 KiB is sent.
    pub(super) frame_bytes: usize,
    pub(super) unencrypted_frame_bytes: usize,
    pub(super) begin_cpu_ms: f64,
    /// For all but who begins it.
    pub(super) begin_welcome_bytes: usize,
    pub(super) add: Change,
    pub(super) remove: Change,
    /// For one who joins.
    pub(super) welcome_bytes: usize,
    pub(super) join_cpu_ms: f64,
}

/// Processor time of a message with its row and its transaction, in microseconds.
#[derive(Debug, Serialize)]
pub(super) struct Cost {
    pub(super) cpu_micros: f64,
    /// Of the same without encryption.
    pub(super) unencrypted_cpu_micros: f64,
}

/// Processor time is in milliseconds.
#[derive(Debug, Serialize)]
pub(super) struct Change {
    pub(super) commit_bytes: usize,
    /// Of whoever makes it: committed, and merged when the node has taken it.
    pub(super) maker_cpu_ms: f64,
    /// Of whoever follows it, and looks at who is there then.
    pub(super) follower_cpu_ms: f64,
    /// Of that: looking.
    pub(super) looking_cpu_ms: f64,
}

/// A device with a history.
struct Device {
    member: Member,
    store: Store,
}

fn member(rng: &mut Rng) -> Outcome<Member> {
    let (user, device): (UserId, DeviceId) = (rng.id(NOW.0), rng.id(NOW.0));
    Member::linked(REALM, user, device, &Secret::new(rng.bytes()), &Secret::new(rng.bytes()))
}

impl Device {
    fn new(folder: &Path, name: &str, rng: &mut Rng) -> Outcome<Self> {
        Ok(Self { member: member(rng)?, store: Store::open(&folder.join(name))? })
    }

    /// What a step does is durable in whole, or not at all.
    fn step<T>(&self, work: impl FnOnce(&Member, &Connection) -> Outcome<T>) -> Outcome<T> {
        let transaction = self.store.connection().unchecked_transaction()?;
        let done = work(&self.member, &transaction)?;
        transaction.commit()?;
        Ok(done)
    }

    /// What arrives has savepoints of its own, as in the engine.
    fn arrival<T>(&self, work: impl FnOnce(&Member, &Connection) -> Outcome<T>) -> Outcome<T> {
        self.step(|member, db| {
            let run = |sql| -> Outcome<()> { Ok(db.prepare_cached(sql)?.execute([]).map(drop)?) };
            run("SAVEPOINT input")?;
            let done = work(member, db)?;
            run("RELEASE input")?;
            Ok(done)
        })
    }
}

/// Sums up what several measured pieces took.
#[derive(Default)]
struct Sum(Duration);

impl Sum {
    fn of<T>(&mut self, work: impl FnOnce() -> Outcome<T>) -> Outcome<T> {
        let (done, took) = timed(work);
        self.0 += took.cpu;
        done
    }

    fn millis_each(&self, count: usize) -> f64 {
        self.0.as_secs_f64() * 1e3 / count as f64
    }

    fn micros_each(&self, count: usize) -> f64 {
        self.millis_each(count) * 1e3
    }
}

pub(super) fn measure(folder: &Path, seed: u64, devices: usize, times: Times) -> Result<Group, Box<dyn Error>> {
    let folder = folder.join(format!("group-{devices}"));
    std::fs::create_dir(&folder)?;
    let mut rng = Rng::new(seed);
    let (ana, bo) = (Device::new(&folder, "ana.db", &mut rng)?, Device::new(&folder, "bo.db", &mut rng)?);
    let id = rng.bytes();
    let mut packages = vec![bo.step(|member, db| member.key_package(db))?];
    let elsewhere = Store::with_connection(Connection::open_in_memory()?)?;
    for _ in 2..devices {
        packages.push(member(&mut rng)?.key_package(elsewhere.connection())?);
    }
    let mut begin = Sum::default();
    let begun = begin.of(|| {
        let begun = ana.step(|member, db| member.begin(db, id, &packages))?;
        ana.step(|member, db| member.merge(db, id))?;
        Ok(begun)
    })?;
    bo.arrival(|member, db| member.join(db, &welcome_for(&begun, &bo.member)?))?;
    if bo.member.members(bo.store.connection(), id)? != devices {
        return Err("not everybody is in the group".into());
    }
    let said = say(&ana, &bo, id, &mut rng, times)?;
    let changed = change(&folder, &ana, &bo, id, &mut rng, times)?;
    let messages = times.blocks * times.messages_per_block;
    let cost = |sealed: &Sum, plain: &Sum| Cost {
        cpu_micros: sealed.micros_each(messages),
        unencrypted_cpu_micros: plain.micros_each(messages),
    };
    let of = |made: &Made| Change {
        commit_bytes: made.commit_bytes / times.changes,
        maker_cpu_ms: made.making.millis_each(times.changes),
        follower_cpu_ms: made.following.millis_each(times.changes) + made.looking.millis_each(times.changes),
        looking_cpu_ms: made.looking.millis_each(times.changes),
    };
    Ok(Group {
        devices,
        messages,
        changes: times.changes,
        seal: cost(&said.sealed_out, &said.plain_out),
        open: cost(&said.sealed_in, &said.plain_in),
        frame_bytes: said.frame_bytes,
        unencrypted_frame_bytes: said.plain_frame_bytes,
        begin_cpu_ms: begin.millis_each(1),
        begin_welcome_bytes: begun.declared.welcome.len(),
        add: of(&changed.added),
        remove: of(&changed.removed),
        welcome_bytes: changed.welcome_bytes / times.changes,
        join_cpu_ms: changed.joining.millis_each(times.changes),
    })
}

fn welcome_for(changed: &Changed, member: &Member) -> Outcome<Bytes> {
    let is_added = changed.declared.added.contains(&member.entry());
    is_added.then(|| changed.declared.welcome.clone()).ok_or_else(|| "a device was not put in the group".into())
}

#[derive(Default)]
struct Said {
    plain_out: Sum,
    plain_in: Sum,
    sealed_out: Sum,
    sealed_in: Sum,
    frame_bytes: usize,
    plain_frame_bytes: usize,
}

/// Ana writes and Bo reads, a block of messages not encrypted and one encrypted in turns.
fn say(ana: &Device, bo: &Device, id: [u8; 16], rng: &mut Rng, times: Times) -> Outcome<Said> {
    let (author, reader) = (ana.member.entry(), bo.member.entry());
    let threads = |protection| -> Outcome<(Thread, Thread)> {
        let ours = ana.step(|_, db| Thread::open(db, author.user, reader.user, protection))?;
        let theirs = bo.step(|_, db| Thread::open(db, reader.user, author.user, protection))?;
        Ok((ours, theirs))
    };
    let (plain, sealed) = (threads(Protection::NodeReadable)?, threads(Protection::EndToEnd)?);
    let mut said = Said::default();
    let (mut plain_head, mut sealed_head) = (None, None);
    for _ in 0..times.blocks {
        let contents: Vec<Content> = (0..times.messages_per_block).map(|_| content(rng)).collect();
        said.plain_out.of(|| {
            contents.iter().try_for_each(|content| ana.step(|_, db| plain.0.put_sent(db, author, content).map(drop)))
        })?;
        said.plain_in.of(|| {
            contents.iter().try_for_each(|content| {
                let seq = Seq::after(plain_head.replace(Seq::after(plain_head, 0)), 0);
                let body = content.encode();
                bo.arrival(|_, db| {
                    let content = Content::decode(body, content.message)?;
                    plain.1.put_received(db, author, &content, seq)
                })
            })
        })?;
        let contents: Vec<Content> = (0..times.messages_per_block).map(|_| content(rng)).collect();
        let conversation = sealed.0.id();
        let bodies = said.sealed_out.of(|| {
            let bodies = contents.iter().map(|content| {
                ana.step(|member, db| {
                    let key = sealed.0.put_sent(db, author, content)?;
                    let body = member.seal(db, id, content.message, conversation, &content.encode())?;
                    Thread::put_flight(db, key, id, &body)?;
                    Ok(body)
                })
            });
            bodies.collect::<Outcome<Vec<Bytes>>>()
        })?;
        said.sealed_in.of(|| {
            contents.iter().zip(&bodies).try_for_each(|(content, body)| {
                let seq = Seq::after(sealed_head.replace(Seq::after(sealed_head, 0)), 0);
                bo.arrival(|member, db| {
                    db.execute_batch("SAVEPOINT mls")?;
                    let opened = member.open(db, id, content.message, conversation, body)?;
                    db.execute_batch("RELEASE mls")?;
                    let content = Content::decode(opened, content.message)?;
                    sealed.1.put_received(db, author, &content, seq)
                })
            })
        })?;
        if let Some((content, body)) = contents.first().zip(bodies.first()) {
            said.frame_bytes = frame(content, body.clone(), &sealed.0, Protection::EndToEnd, reader.user);
            said.plain_frame_bytes = frame(content, content.encode(), &plain.0, Protection::NodeReadable, reader.user);
        }
    }
    Ok(said)
}

fn content(rng: &mut Rng) -> Content {
    let [_, english, ..] = &LANGUAGES;
    let mut text = String::new();
    while text.len() < TEXT_BYTES {
        text.push_str(&english.text(rng));
        text.push(' ');
    }
    text.truncate(text.floor_char_boundary(TEXT_BYTES));
    Content { message: rng.id(NOW.0), created_at: NOW, kind: ContentKind::Text(text), previous: vec![] }
}

/// The bytes with which a message is sent.
fn frame(content: &Content, body: Bytes, thread: &Thread, protection: Protection, peer: UserId) -> usize {
    let send = Send {
        message: content.message,
        conversation: thread.id(),
        kind: ConversationKind::Direct,
        protection,
        peer: Some(peer),
        body,
        storage: StorageClass::Durable,
        urgent: true,
        ttl_seconds: 0,
        restart: false,
        reclaim_seq: None,
        after_seq: None,
        resend_of: None,
        only_device: None,
        epoch: u64::from(protection == Protection::EndToEnd),
        commit: None,
        roster_checked: false,
    };
    ClientFrame::Send(Box::new(send)).encode().len()
}

#[derive(Default)]
struct Made {
    making: Sum,
    following: Sum,
    looking: Sum,
    commit_bytes: usize,
}

impl Made {
    fn make(
        &mut self,
        (ana, bo): (&Device, &Device),
        id: [u8; 16],
        packages: &[KeyPackage],
        removed: &[DeviceId],
    ) -> Outcome<Changed> {
        let changed = self.making.of(|| {
            let changed = ana.step(|member, db| member.change(db, id, packages, removed))?;
            ana.step(|member, db| member.merge(db, id))?;
            Ok(changed)
        })?;
        self.following.of(|| bo.arrival(|member, db| member.follow(db, id, &changed)))?;
        self.looking.of(|| bo.member.members(bo.store.connection(), id).map(drop))?;
        self.commit_bytes += changed.commit.len();
        Ok(changed)
    }
}

#[derive(Default)]
struct Changes {
    added: Made,
    removed: Made,
    joining: Sum,
    welcome_bytes: usize,
}

/// Somebody comes and goes, again and again, so that the group keeps its size.
fn change(folder: &Path, ana: &Device, bo: &Device, id: [u8; 16], rng: &mut Rng, times: Times) -> Outcome<Changes> {
    let mut changes = Changes::default();
    for number in 0..times.changes {
        let new = Device::new(folder, &format!("new-{number}.db"), rng)?;
        let package = new.step(|member, db| member.key_package(db))?;
        let changed = changes.added.make((ana, bo), id, &[package], &[])?;
        let welcome = welcome_for(&changed, &new.member)?;
        changes.welcome_bytes += welcome.len();
        changes.joining.of(|| new.arrival(|member, db| member.join(db, &welcome)))?;
        changes.removed.make((ana, bo), id, &[], &[new.member.entry().device])?;
    }
    Ok(changes)
}
