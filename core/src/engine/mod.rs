//! The engine decides everything that a device does, without doing any of it: no sockets, no clock, no threads.
//!
//! Guarantees: one call of [`Engine::handle`] is one transaction, and nothing that it wants said leaves before that
//! transaction committed. Whoever drives it (the native driver, the browser's worker, the simulation) hands in inputs
//! and carries out outputs; a driver that crashes anywhere in between loses nothing and says nothing twice.

mod archive;
mod chain;
mod commands;
mod encrypted;
mod groups;
mod identity;
mod inbox;
mod key_packages;
mod link;
mod linking;
mod losses;
mod merge;
mod outbox;
mod peek;
mod reads;
mod receipts;
mod reconcile;
mod recovery;
mod renewal;
mod requests;
mod secret;
#[cfg(test)]
mod tests;
mod trust;
mod turn;
mod typing;

use std::collections::BTreeSet;

use bytes::Bytes;
use chasqui_wire::http::Sensitive;
use chasqui_wire::{
    ArchivePage, BackupHead, ClientFrame, ConversationId, DeviceId, GoodbyeReason, Limits, MessageId, NodeFrame,
    Protection, RealmId, Seq, Timestamp, UserId,
};

#[cfg(feature = "bench")]
pub(crate) use self::encrypted::header;
pub(crate) use self::identity::verify;
pub use self::identity::{public_key, sign_with};
pub use self::link::{Blocked, ConnectionState};
pub use self::linking::LinkingState;
pub(crate) use self::linking::linking_attempt;
pub(crate) use self::peek::peek;
pub use self::secret::Secret;
use self::turn::Turn;
use self::{
    archive::Transfer, groups::Groups, identity::Identity, link::Link, linking::Attempt, outbox::Outbox,
    recovery::Recovery, trust::Doubts, typing::Writers,
};
use crate::error::Error;
use crate::planted::{PlantedBug, planted};
use crate::store::{AccountRow, Store, StoreError};

/// Names one socket; a driver ignores outputs for, and the engine inputs from, a socket that is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SocketId(pub u64);

/// Names a command, so that its reply finds back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct CommandId(pub u64);

/// What happened.
#[derive(Debug)]
pub enum Input {
    /// The app asks for something.
    Command(CommandId, Command),
    /// A socket opened.
    Connected(SocketId),
    /// A socket could not be opened, or closed.
    Disconnected(SocketId),
    /// A binary message arrived.
    Frame(SocketId, Bytes),
    /// The platform says that there is a network (again): try at once.
    NetworkUp,
    /// The app goes to the background: close the socket and stay quiet.
    Suspend,
    /// The app is back.
    Resume,
    /// The answer to [`Output::Resolve`]; `None` when it could not be asked.
    Resolved(UserId, Option<ResolvedUser>),
    /// The answer to [`Output::Resolve`]: the account was deleted.
    Deleted(UserId),
    /// The time named by the last step came.
    Wake,
}

/// Who a user is, by the node's directory.
#[derive(Clone, Debug)]
pub struct ResolvedUser {
    /// The name as registered.
    pub name: String,
    /// The user's identity key (Ed25519).
    pub identity_key: [u8; 32],
}

/// What an app asks for.
#[derive(Clone, Debug)]
pub enum Command {
    /// Remember keys before the node is asked to enrol them.
    BeginEnrolment(Box<Enrolment>),
    /// The node enrolled them.
    ConfirmEnrolment {
        /// Whose device it is.
        user: UserId,
        /// As registered.
        name: String,
        /// Which of the keys that were remembered.
        device: DeviceId,
    },
    /// The device is not enrolled any more; the history stays.
    ForgetEnrolment,
    /// Remember who somebody is.
    RememberUser(UserId, ResolvedUser),
    /// Open the direct conversation with somebody, or with oneself.
    OpenDirect(UserId, Protection),
    /// Send a text.
    SendText {
        /// Where.
        conversation: ConversationId,
        /// UUIDv7, made by the driver.
        message: MessageId,
        /// Any Unicode.
        text: String,
    },
    /// Queue a failed message again.
    Retry(MessageId),
    /// Everything up to here is read; `None` = all that is shown.
    MarkRead(ConversationId, Option<Seq>),
    /// Remove a message from this device.
    Delete(MessageId),
    /// The user writes something there, or does not any more.
    SetTyping(ConversationId, bool),
    /// A stranger may write.
    AcceptRequest(ConversationId),
    /// Delete what a stranger wrote.
    DeclineRequest {
        /// Where.
        conversation: ConversationId,
        /// Take nothing more.
        block: bool,
    },
    /// This device is to be linked; 32 random bytes.
    BeginLinking(Secret),
    /// Link the device that shows this code; 32 random bytes.
    LinkDevice(String, Secret),
    /// Both devices show the same number.
    ConfirmLinking,
    /// Nothing is to come of it.
    CancelLinking,
    /// People have, or have not, compared somebody's identity.
    SetTrust {
        /// Whose.
        user: UserId,
        /// The key that they were shown; `None` = whatever is known.
        shown: Option<[u8; 32]>,
        /// Whether it is the right one.
        verified: bool,
    },
    /// Remember a new identity before the node is asked to take it.
    BeginIdentity(Secret),
    /// The node took it.
    ConfirmIdentity,
    /// A backup says whose history this is.
    Adopt(Box<BackupHead>),
    /// A part of a history from a backup.
    Merge(Box<ArchivePage>),
}

/// The keys and ids with which a device asks to be enrolled.
#[derive(Clone, Debug)]
pub struct Enrolment {
    /// The node's base URL.
    pub node: String,
    /// The app.
    pub realm: RealmId,
    /// Made here at registration, given by the node at login.
    pub user: UserId,
    /// As registered.
    pub name: String,
    /// Made here.
    pub device: DeviceId,
    /// Ed25519.
    pub device_seed: Secret,
    /// Ed25519; only at registration.
    pub identity_seed: Option<Secret>,
}

/// The answer to a [`Command`], durable when it leaves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// Done.
    Done,
    /// The conversation.
    Conversation(ConversationId),
    /// The message, in the outbox.
    Message(MessageId),
}

/// What to do, in this order.
#[derive(Debug)]
pub enum Output {
    /// Open a socket to the account's node.
    Connect(SocketId),
    /// Close it.
    Disconnect(SocketId),
    /// Send a binary message.
    Transmit(SocketId, Bytes),
    /// Answer a command.
    Reply(CommandId, Result<Reply, Error>),
    /// Ask the node's directory who that is; answered by [`Input::Resolved`].
    Resolve(UserId),
    /// Tell whoever watches.
    Changed(ChangeSet),
    /// The connection is now like this.
    Connection(ConnectionState),
    /// An attempt to link a device has come so far.
    Linking(LinkingState),
    /// A bearer token for the HTTP API, and when it ends by this device's clock.
    HttpToken(Sensitive, Timestamp),
}

/// What a committed step changed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ChangeSet {
    /// Conversations whose timeline or line in the list changed.
    pub conversations: BTreeSet<ConversationId>,
    /// Names of users changed.
    pub users: bool,
    /// More is known to be missing here: see [`crate::History::incomplete`].
    pub incomplete: bool,
    /// There is something new in [`crate::History::security_events`].
    pub security: bool,
    /// The history of another device came further: see [`crate::History::transfer`].
    pub transfer: bool,
}

impl ChangeSet {
    fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// The outcome of one call.
#[derive(Debug)]
pub struct Step {
    /// To be carried out in order.
    pub outputs: Vec<Output>,
    /// When to call again at the latest, with [`Input::Wake`].
    pub wake_at: Option<Timestamp>,
}

/// From before this was written to the year 2200, in milliseconds.
const NODE_TIMES: std::ops::Range<i64> = 1_735_689_600_000..7_258_118_400_000;

/// See the module.
pub struct Engine {
    account: Option<Identity>,
    link: Link,
    outbox: Outbox,
    groups: Groups,
    recovery: Recovery,
    transfer: Transfer,
    doubts: Doubts,
    linking: Option<Attempt>,
    writers: Writers,
    resolving: BTreeSet<UserId>,
    /// Asked for on this socket, answered or not.
    names_asked: BTreeSet<UserId>,
    names_wanted: bool,
    recycle_socket: bool,
    /// The time of the last step.
    stepped_at: Timestamp,
    /// How far the node's clock was ahead when it last told, in milliseconds.
    node_ahead_ms: i64,
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine").field("link", &self.link).finish_non_exhaustive()
    }
}

impl Engine {
    /// Picks up where the history in `store` stands. `entropy` seeds the jitter of reconnections.
    ///
    /// # Errors
    /// [`StoreError`] when the history cannot be read.
    pub fn load(store: &Store, entropy: u64) -> Result<Self, StoreError> {
        Self::load_from(store.connection(), entropy)
    }

    fn load_from(db: &rusqlite::Connection, entropy: u64) -> Result<Self, StoreError> {
        let row = AccountRow::load(db)?.filter(|row| row.enrolled);
        let is_copied = row.as_ref().is_some_and(|row| row.copied);
        let account = row.map(Identity::new).transpose()?;
        let mut link = Link::new(entropy);
        if is_copied {
            link.block(Blocked::Copied);
        } else if account.is_some() {
            link.want();
        } else if crate::store::are_keys_lost(db)? {
            link.block(Blocked::KeysLost);
        }
        Ok(Self {
            account,
            link,
            outbox: Outbox::load(db)?,
            groups: Groups::default(),
            recovery: Recovery::load(db)?,
            transfer: Transfer::load(db)?,
            doubts: Doubts::default(),
            linking: None,
            writers: Writers::default(),
            resolving: BTreeSet::new(),
            names_asked: BTreeSet::new(),
            names_wanted: true,
            recycle_socket: false,
            stepped_at: Timestamp(i64::MIN),
            node_ahead_ms: 0,
        })
    }

    /// Names the next sockets after this one, which an engine before this one had opened.
    pub fn name_sockets_after(&mut self, last: SocketId) {
        self.link.name_sockets_after(last);
    }

    /// Does not connect at once, because the step before this engine was loaded had failed.
    pub fn hold_off(&mut self, now: Timestamp) {
        self.link.hold_off(now);
    }

    /// Takes everything that happened since the last call, in order, in one transaction.
    ///
    /// # Errors
    /// [`StoreError`] when the transaction did not commit. Nothing happened then; the engine must be loaded anew, and
    /// its sockets closed.
    pub fn handle(&mut self, store: &mut Store, now: Timestamp, inputs: Vec<Input>) -> Result<Step, StoreError> {
        self.heed_clock(now);
        let transaction = store.connection().unchecked_transaction()?;
        let mut turn = Turn::new(&transaction, now);
        let before = self.link.state();
        for input in inputs {
            self.input(&mut turn, input)?;
        }
        self.pump(&mut turn)?;
        turn.settle()?;
        let Turn { mut outputs, changes, .. } = turn;
        if let Err(error) = transaction.commit()
            && !planted(PlantedBug::AckBeforeCommit)
        {
            return Err(error.into());
        }
        if !changes.is_empty() {
            outputs.push(Output::Changed(changes));
        }
        let state = self.link.state();
        if state != before {
            outputs.push(Output::Connection(state));
        }
        Ok(Step { outputs, wake_at: self.wake_at() })
    }

    /// Timers count on, whatever people do to the clock. One that was set forward looks like a device that slept: all is
    /// due, and the socket is asked whether it lives.
    fn heed_clock(&mut self, now: Timestamp) {
        let back = if self.stepped_at.0 == i64::MIN { 0 } else { self.stepped_at.millis_since(now) };
        if back > 0 {
            self.link.clock_went_back(back);
            self.outbox.clock_went_back(back);
            self.writers.clock_went_back(back);
            self.recovery.look();
            self.transfer.look();
            self.groups.renewals.look();
            self.node_ahead_ms = self.node_ahead_ms.saturating_add_unsigned(back);
        }
        self.stepped_at = now;
    }

    fn node_told_time(&mut self, time: Timestamp, now: Timestamp) {
        // A node can have a wrong clock as well. What cannot be the time is not believed: the device's own serves then.
        let is_possible = NODE_TIMES.contains(&time.0);
        self.node_ahead_ms = if is_possible { time.0.saturating_sub(now.0) } else { 0 };
    }

    /// The node's clock: what counts where both must agree on an age.
    fn node_time(&self, now: Timestamp) -> Timestamp {
        Timestamp(now.0.saturating_add(self.node_ahead_ms))
    }

    /// By this device's clock or the node's, whichever is ahead: nothing that was said before is later.
    fn latest_time(&self, now: Timestamp) -> Timestamp {
        now.max(self.node_time(now))
    }

    /// How the connection is.
    pub fn connection(&self) -> ConnectionState {
        self.link.state()
    }

    fn input(&mut self, turn: &mut Turn<'_>, input: Input) -> Result<(), StoreError> {
        match input {
            Input::Command(id, command) => {
                let reply = match turn.in_savepoint(|turn| self.command(turn, command)) {
                    Ok(reply) => reply,
                    Err(error) if error.is_systemic() => return Err(error),
                    Err(error) => Err(error.into()),
                };
                turn.outputs.push(Output::Reply(id, reply));
            }
            Input::Connected(socket) => self.link.opened(socket, turn.now),
            Input::Disconnected(socket) => {
                if self.link.closed(socket, turn.now) {
                    self.socket_gone();
                }
            }
            Input::Frame(socket, bytes) => self.frame(turn, socket, bytes)?,
            Input::NetworkUp => self.link.network_up(turn.now),
            Input::Suspend => {
                self.link.suspend();
                self.disconnect(turn);
            }
            Input::Resume => self.link.resume(turn.now),
            Input::Resolved(user, answer) => {
                self.resolving.remove(&user);
                // Who is not known any more must not stand in the way of the others.
                self.names_wanted = true;
                if let Some(answer) = answer {
                    self.learn_who(turn, user, &answer)?;
                }
                self.directory_answered(user);
            }
            Input::Deleted(user) => {
                self.resolving.remove(&user);
                self.account_deleted(turn, user)?;
                self.directory_answered(user);
            }
            Input::Wake => {}
        }
        Ok(())
    }

    fn frame(&mut self, turn: &mut Turn<'_>, socket: SocketId, bytes: Bytes) -> Result<(), StoreError> {
        if !self.link.heard(socket, turn.now) {
            return Ok(());
        }
        let limits = self.link.limits().cloned().unwrap_or(Limits::DEFAULT);
        let frame = match NodeFrame::decode(bytes, &limits) {
            Ok(frame) => frame,
            Err(chasqui_wire::FrameError::UnknownKind) => return Ok(()),
            Err(error) => {
                tracing::warn!(%error, "the node sent an unusable frame");
                self.break_off(turn);
                return Ok(());
            }
        };
        match frame {
            NodeFrame::Challenge(challenge) => self.challenged(turn, socket, &challenge)?,
            NodeFrame::Welcome(welcome) => self.welcomed(turn, socket, welcome)?,
            NodeFrame::Accepted(accepted) => self.accepted(turn, &accepted)?,
            NodeFrame::Rejected(rejected) => self.rejected(turn, &rejected)?,
            NodeFrame::Deliver(deliver) => self.deliver(turn, deliver)?,
            NodeFrame::Drained(drained) => {
                AccountRow::set_checkpoint(turn.db, &drained.checkpoint)?;
                self.link.drained();
            }
            NodeFrame::Pong(pong) => {
                self.node_told_time(pong.time, turn.now);
                self.groups.told(pong.key_packages);
                if let Some(checkpoint) = pong.checkpoint {
                    AccountRow::set_checkpoint(turn.db, &checkpoint)?;
                }
            }
            NodeFrame::Goodbye(goodbye) => {
                if goodbye.reason == GoodbyeReason::Copied {
                    AccountRow::set_copied(turn.db)?;
                }
                self.link.dismissed(&goodbye, turn.now);
                self.disconnect(turn);
            }
            NodeFrame::Unsupported(unsupported) => tracing::debug!(detail = unsupported.detail, "unsupported"),
            NodeFrame::Claimed(claimed) => self.claimed(turn, &claimed)?,
            NodeFrame::Signal(signal) => self.signalled(turn, &signal)?,
        }
        Ok(())
    }

    /// Everything that follows from where things stand: acknowledge, connect, send, ask names.
    fn pump(&mut self, turn: &mut Turn<'_>) -> Result<(), StoreError> {
        self.writers.expire(turn.now);
        if let Some(socket) = self.link.live() {
            for ack in std::mem::take(&mut turn.hole_acks) {
                turn.transmit(socket, &ClientFrame::Ack(ack));
            }
            for items in std::mem::take(&mut turn.acks).chunks(Limits::ENTRIES_PER_FRAME) {
                turn.transmit(socket, &ClientFrame::Ack(items.to_vec().into()));
            }
        }
        if std::mem::take(&mut self.recycle_socket) {
            self.break_off(turn);
        }
        match self.link.tick(turn.now) {
            link::Tick::Nothing => {}
            link::Tick::Dial(socket) => {
                AccountRow::count_connection(turn.db)?;
                turn.outputs.push(Output::Connect(socket));
            }
            link::Tick::Ping(socket, ping) => turn.transmit(socket, &ClientFrame::Ping(ping)),
            link::Tick::Dead => self.break_off(turn),
        }
        if let Some(socket) = self.link.live() {
            self.request_resends(turn)?;
            self.request_history(turn)?;
            self.send(turn, socket)?;
            self.send_key_packages(turn, socket)?;
            self.renew_keys(turn, socket)?;
            self.ask_names(turn)?;
        }
        Ok(())
    }

    fn ask_names(&mut self, turn: &mut Turn<'_>) -> Result<(), StoreError> {
        const AT_ONCE: usize = 16;
        if std::mem::take(&mut self.names_wanted) && self.resolving.len() < AT_ONCE {
            // Enough to find somebody who was not asked for, if there is anybody.
            let limit = u32::try_from(AT_ONCE + self.names_asked.len()).unwrap_or(u32::MAX);
            for user in crate::store::nameless_users(turn.db, limit)? {
                if self.resolving.len() < AT_ONCE && self.names_asked.insert(user) {
                    self.resolving.insert(user);
                    turn.outputs.push(Output::Resolve(user));
                }
            }
        }
        Ok(())
    }

    /// Asks who that is now, although it is known who it was.
    fn ask_again(&mut self, turn: &mut Turn<'_>, user: UserId) {
        if self.resolving.insert(user) {
            turn.outputs.push(Output::Resolve(user));
        }
    }

    fn account_deleted(&mut self, turn: &mut Turn<'_>, user: UserId) -> Result<(), StoreError> {
        if crate::store::mark_user_deleted(turn.db, user)? {
            turn.changes.users = true;
            self.look_after(turn, user)?;
        }
        Ok(())
    }

    /// Closes the socket that the link has let go of.
    fn disconnect(&mut self, turn: &mut Turn<'_>) {
        if let Some(socket) = self.link.take_socket() {
            turn.outputs.push(Output::Disconnect(socket));
            self.socket_gone();
        }
    }

    fn socket_gone(&mut self) {
        self.outbox.socket_gone();
        self.groups.socket_gone();
        self.writers.socket_gone();
    }

    /// Closes the socket and comes back after a pause.
    fn break_off(&mut self, turn: &mut Turn<'_>) {
        self.link.pause(turn.now);
        self.disconnect(turn);
    }

    fn wake_at(&self) -> Option<Timestamp> {
        let sending = self.link.live().and(self.outbox.wake_at());
        let can_ask = self.link.is_drained() && self.account.as_ref().is_some_and(Identity::is_linked);
        let asking = self.link.live().filter(|_| can_ask).and(self.recovery.wake_at());
        let can_ask = can_ask && self.groups.are_packages_there();
        let transfer = self.link.live().filter(|_| can_ask).and(self.transfer.wake_at());
        let renewal = self.link.live().filter(|_| can_ask).and(self.groups.renewals.wake_at());
        [self.link.wake_at(), sending, asking, transfer, renewal, self.writers.wake_at()].into_iter().flatten().min()
    }
}
