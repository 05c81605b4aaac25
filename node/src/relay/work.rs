//! What the relay is asked, and what it answers.

use std::sync::{Arc, Mutex, PoisonError};

use chasqui_wire::http::Sensitive;
use chasqui_wire::{
    Accepted, Ack, Admit, Checkpoint, Claim, Claimed, DeviceId, Entry, Era, KeyPackages, KeyPackagesLeft, Progress,
    Read, Rejected, Send, Signal, Timestamp, UserId,
};

use super::RelayError;
use super::accounts::Accounts;

/// Names one socket for as long as the process lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SessionId(pub u64);

/// One piece of work. All that wait are committed together.
#[derive(Debug)]
pub enum Work {
    /// From a socket.
    Session(SessionId, Op),
    /// From the HTTP API, or from the operator.
    Call(Call),
}

/// What a socket asks of the relay.
#[derive(Clone, Debug)]
pub enum Op {
    /// Who is this device? Answered by [`Event::Device`].
    Lookup(DeviceId),
    /// The device proved itself: it takes mail from now on. Answered by [`Event::Attached`].
    Attach(Attach),
    /// The socket ended. No answer.
    Detach,
    /// Answered by [`Event::Accepted`] or [`Event::Rejected`].
    Publish(Box<Send>),
    /// Its signature was verified. Answered by [`Event::Accepted`] or [`Event::Rejected`].
    Read(Box<Read>),
    /// Answered by [`Event::Accepted`] or [`Event::Rejected`].
    Admit(Box<Admit>),
    /// Its link was verified. Answered by [`Event::Accepted`] or [`Event::Rejected`].
    KeyPackages(Box<KeyPackages>),
    /// Answered by [`Event::Claimed`] or [`Event::Rejected`].
    Claim(Box<Claim>),
    /// No answer; entries that were not delivered to this session are ignored.
    Acknowledge(Ack),
    /// No answer. It changes nothing, so it need not wait for a batch: see [`super::Relay::signal`].
    Signal(Signal),
}

/// How a device takes its mail.
#[derive(Clone, Debug)]
pub struct Attach {
    /// Who.
    pub device: DeviceId,
    /// The most entries delivered and not acknowledged; at least 1.
    pub window_entries: u32,
    /// The most bytes of bodies delivered and not acknowledged. A larger entry is delivered alone.
    pub window_bytes: u32,
    /// The last checkpoint that the device was given, as it presents it.
    pub checkpoint: Option<Checkpoint>,
    /// How far the device says it has come.
    pub progress: Progress,
}

/// What the relay tells a socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// Answers [`Op::Lookup`]; `None` = no such device.
    Device(Option<KnownDevice>),
    /// Answers [`Op::Attach`].
    Attached(Box<Attached>),
    /// It is on disk.
    Accepted(Accepted),
    /// It is not.
    Rejected(Rejected),
    /// Answers [`Op::Claim`].
    Claimed(Box<Claimed>),
    /// What others can still claim of the device has changed.
    KeyPackagesLeft(KeyPackagesLeft),
    /// One frame's worth of mail.
    Mail(Vec<Entry>),
    /// Somebody signals. What it cannot be given at once is dropped.
    Signal(Signal),
    /// Everything that waited when the session attached was delivered.
    Drained(Checkpoint),
    /// A newer session of the device took over.
    Displaced,
    /// The device was revoked.
    Revoked,
    /// The device's data is an older copy.
    Copied,
    /// The node began a new era.
    NewEra,
    /// The user has another identity key.
    NewIdentity,
    /// The device asks for too much that is refused.
    Overloaded,
    /// The node could not do the work; nothing was done.
    Failed,
}

/// What the directory knows of a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KnownDevice {
    /// Whose it is.
    pub user: UserId,
    /// The user's Ed25519 public key.
    pub identity_key: [u8; 32],
    /// Ed25519 public key.
    pub key: [u8; 32],
    /// Whether it was revoked.
    pub revoked: bool,
}

/// What `welcome` needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attached {
    /// Whose device it is.
    pub user: UserId,
    /// How far the node has come.
    pub checkpoint: Checkpoint,
    /// Every era but the first, oldest first.
    pub eras: Vec<Era>,
    /// A bearer token for the HTTP API.
    pub http_token: Sensitive,
    /// When it ends.
    pub http_token_expires_at: Timestamp,
    /// What others can still claim of the device.
    pub key_packages: KeyPackagesLeft,
    /// The user's Ed25519 public key. It may be another one than when the device was looked up.
    pub identity_key: [u8; 32],
}

/// Work on accounts whose answer is released only after its commit.
pub struct Call {
    run: Run,
    failed: Option<Failed>,
}

type Run = Box<dyn FnMut(&mut Accounts<'_, '_>) -> Result<Release, RelayError> + std::marker::Send>;
type Failed = Box<dyn FnOnce(RelayError) + std::marker::Send>;
pub(super) type Release = Box<dyn FnOnce() + std::marker::Send>;

impl Call {
    /// `run` may be called again if the batch around it failed; `reply` is called once.
    pub fn new<T, R>(
        mut run: impl FnMut(&mut Accounts<'_, '_>) -> Result<T, RelayError> + std::marker::Send + 'static,
        reply: R,
    ) -> Self
    where
        T: std::marker::Send + 'static,
        R: FnOnce(Result<T, RelayError>) + std::marker::Send + 'static,
    {
        let reply = Arc::new(Mutex::new(Some(reply)));
        let take = |reply: &Mutex<Option<R>>| reply.lock().unwrap_or_else(PoisonError::into_inner).take();
        let on_failure = Arc::clone(&reply);
        let run: Run = Box::new(move |accounts| {
            let answer = run(accounts)?;
            let reply = Arc::clone(&reply);
            let release: Release = Box::new(move || {
                if let Some(reply) = take(&reply) {
                    reply(Ok(answer));
                }
            });
            Ok(release)
        });
        let failed: Failed = Box::new(move |error| {
            if let Some(reply) = take(&on_failure) {
                reply(Err(error));
            }
        });
        Self { run, failed: Some(failed) }
    }

    pub(super) fn run(&mut self, accounts: &mut Accounts<'_, '_>) -> Result<Release, RelayError> {
        (self.run)(accounts)
    }

    pub(super) fn fail(&mut self, error: RelayError) {
        if let Some(failed) = self.failed.take() {
            failed(error);
        }
    }
}

impl std::fmt::Debug for Call {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Call")
    }
}
