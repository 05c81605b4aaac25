//! The client: what an app holds.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use chasqui_wire::http::DeleteAccount;
use chasqui_wire::{ConversationId, DeviceId, MessageId, Protection, RealmId, Seq, UserId};

use crate::domain::{
    Account, AccountProof, ConversationSummary, Cursor, DeviceInfo, Incomplete, Message, Salvage, SearchHit,
    TimelinePage, Typing, UserInfo,
};
use crate::driver::{self, Credentials, Driver, Topic, fresh_id};
use crate::engine::{Command, ConnectionState, Reply, ResolvedUser, Secret};
use crate::error::Error;
use crate::observer::{ConnectionObserver, ConversationsObserver, SalvageObserver, TimelineObserver, TypingObserver};
use crate::store::Binding;

/// Where a client keeps its history, and which node it talks to.
#[derive(Clone, Debug)]
pub struct Config {
    pub(crate) folder: PathBuf,
    pub(crate) node: String,
    pub(crate) realm: Option<RealmId>,
    pub(crate) home: Home,
}

/// Whether the folder is where it belongs.
#[derive(Clone, Debug, Default)]
pub(crate) struct Home {
    pub(crate) binding: Option<Binding>,
    pub(crate) adopts_copies: bool,
}

impl Config {
    /// `folder` is made if it does not exist, and belongs to one account and one client at a time. `node` is the base URL
    /// of the node: `https://relay.example.org`. Of a host in other letters than ASCII it has the `xn--` form.
    pub fn new(folder: impl AsRef<Path>, node: impl Into<String>) -> Self {
        Self { folder: folder.as_ref().to_owned(), node: node.into(), realm: None, home: Home::default() }
    }

    /// Binds the folder to this device by 32 random bytes that the app keeps in the platform's keystore, where no backup and
    /// no copy of the folder takes them along.
    ///
    /// The first one given is remembered as a keyed hash. From then on the folder opens with no other and not without:
    /// [`Error::OtherDevice`], before anything is sent. [`Self::adopt_copy`] is the way out. The secrets in the folder (the
    /// device's, the user's identity, the keys of encrypted conversations) are sealed by it; the messages are not: they rely on
    /// the platform's file encryption.
    #[must_use]
    pub fn device_binding(mut self, secret: [u8; 32]) -> Self {
        self.home.binding = Some(Binding::Secret(Secret::new(secret)));
        self
    }

    /// As [`Self::device_binding`], where there is no keystore: by something that people type in each time. It is stretched (PBKDF2,
    /// 600,000 rounds), which takes a moment; a short one is guessed all the same. Not for browsers, which do that outside of the core.
    #[cfg(not(target_arch = "wasm32"))]
    #[must_use]
    pub fn passphrase(mut self, passphrase: &str) -> Self {
        self.home.binding = Some(Binding::passphrase(passphrase));
        self
    }

    /// Opens a folder that is bound to another device: as a copy, that has to log in again as a new device
    /// ([`Blocked::Copied`](crate::Blocked::Copied)), and is bound to this one. What is at home already is opened as always.
    #[must_use]
    pub fn adopt_copy(mut self) -> Self {
        self.home.adopts_copies = true;
        self
    }

    /// Refuses to enrol at a node that serves another app.
    #[must_use]
    pub fn realm(mut self, realm: RealmId) -> Self {
        self.realm = Some(realm);
        self
    }
}

/// One device of one user. Cheap to clone; all clones are the same client.
///
/// Futures of a client run on any executor. What is asked is durable on this device when the future resolves; what is
/// written offline goes out later.
#[derive(Clone, Debug)]
pub struct Client {
    pub(crate) driver: Arc<Driver>,
    pub(crate) config: Arc<Config>,
    /// One enrolment at a time: a second one would put other keys in the place of the first one's.
    pub(crate) enrolling: Arc<tokio::sync::Mutex<()>>,
    /// The identity keys that people were shown last, to be compared.
    pub(crate) shown: Arc<Mutex<BTreeMap<UserId, [u8; 32]>>>,
}

impl Client {
    /// Opens the folder and, if a device is enrolled there, begins to connect. Damaged files are replaced first: see
    /// [`Self::salvages`].
    ///
    /// # Errors
    /// [`Error::FolderInUse`] when another client has it open, [`Error::Incompatible`] when a newer version wrote it,
    /// [`Error::OtherDevice`] when it is bound to another device, [`Error::StorageFull`], [`Error::Invalid`] for an unusable
    /// folder or address.
    pub async fn open(config: Config) -> Result<Self, Error> {
        let driver = Arc::new(Driver::start(&config.folder, &config.node, config.home.clone()).await?);
        let client = Self { driver, config: Arc::new(config), enrolling: Arc::default(), shown: Arc::default() };
        client.use_credentials().await?;
        Ok(client)
    }

    /// Whom this folder belongs to; `None` before [`Self::register`] or [`Self::login`].
    pub async fn account(&self) -> Result<Option<Account>, Error> {
        self.driver.query(|history| history.account()).await
    }

    /// Revokes this device at the node. The history stays readable, and only the same user can log in again here;
    /// [`Self::wipe`] removes it.
    ///
    /// # Errors
    /// [`Error::Offline`] when the node cannot be told; the device stays enrolled then.
    pub async fn logout(&self) -> Result<(), Error> {
        let _alone = self.enrolling.lock().await;
        let row = self.driver.query(|history| history.account_row()).await?.filter(|row| row.enrolled);
        let row = row.ok_or(Error::NotEnrolled)?;
        // The device of a copy goes on elsewhere: it is not this client's to revoke.
        let revoked = if row.copied { Ok(()) } else { self.revoke_device(row.device).await };
        match revoked {
            // Revoked already, from elsewhere.
            Ok(()) | Err(Error::NotFound { .. } | Error::Unauthorised | Error::AccountDeleted) => {}
            Err(error) => return Err(error),
        }
        self.driver.command(Command::ForgetEnrolment).await?;
        self.driver.api.set_credentials(None);
        Ok(())
    }

    /// Closes the client and removes its history from this device. Does not tell the node: see [`Self::logout`].
    pub async fn wipe(self) -> Result<(), Error> {
        self.driver.stop().await?;
        driver::wipe(&self.config.folder).await
    }

    /// Deletes the user's account at the node, for good and on all devices, then everything in this folder. What was sent
    /// is still delivered; what waits in the outbox is not sent any more. All clones are closed then.
    ///
    /// Repeating it after a lost answer or a crash ends the same: as long as this folder is enrolled, call it again.
    /// Other devices of the user are shut out ([`crate::Blocked::Revoked`]); this call removes their folders, too.
    ///
    /// # Errors
    /// [`Error::ProofNeeded`], [`Error::WrongPin`], [`Error::AttemptsExhausted`], [`Error::InvalidToken`],
    /// [`Error::RateLimited`], [`Error::NotEnrolled`], [`Error::Offline`]: nothing was deleted, as far as this device heard.
    pub async fn delete_account(&self, proof: AccountProof) -> Result<(), Error> {
        let _alone = self.enrolling.lock().await;
        self.account().await?.ok_or(Error::NotEnrolled)?;
        let api = Arc::clone(&self.driver.api);
        let deletion = DeleteAccount { proof: proof.0 };
        match self.driver.on_network(async move { api.delete_account(&deletion).await }).await {
            // An earlier try, or another device.
            Ok(()) | Err(Error::AccountDeleted) => {}
            Err(error) => return Err(error),
        }
        self.driver.stop().await?;
        driver::wipe(&self.config.folder).await
    }

    /// The user's own devices.
    pub async fn devices(&self) -> Result<Vec<DeviceInfo>, Error> {
        let own = self.account().await?.ok_or(Error::NotEnrolled)?.device;
        let api = Arc::clone(&self.driver.api);
        let devices = self.driver.on_network(async move { api.devices().await }).await?;
        let info = |device: chasqui_wire::http::Device| DeviceInfo {
            device: device.device,
            name: device.name,
            created_at: device.created_at,
            last_seen_at: device.last_seen_at,
            is_this_device: device.device == own,
        };
        Ok(devices.into_iter().map(info).collect())
    }

    /// Revokes one of the user's own devices: it gets nothing any more, what waited for it is dropped.
    pub async fn revoke_device(&self, device: DeviceId) -> Result<(), Error> {
        let api = Arc::clone(&self.driver.api);
        self.driver.on_network(async move { api.revoke(device).await }).await
    }

    /// Who goes by that name. People met before are found offline.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Offline`].
    pub async fn find_user(&self, name: &str) -> Result<UserInfo, Error> {
        let (api, asked) = (Arc::clone(&self.driver.api), name.to_owned());
        match self.driver.on_network(async move { api.user_by_name(&asked).await }).await {
            Ok(found) => {
                let answer = ResolvedUser { name: found.name.clone(), identity_key: found.identity_key.0 };
                self.driver.command(Command::RememberUser(found.user, answer)).await?;
                Ok(UserInfo { user: found.user, name: found.name })
            }
            Err(Error::Offline { detail }) => {
                let asked = name.to_owned();
                let known = self.driver.query(move |history| history.user_by_name(&asked)).await?;
                known.map(|user| UserInfo { user, name: name.to_owned() }).ok_or(Error::Offline { detail })
            }
            Err(error) => Err(error),
        }
    }

    /// The direct conversation with somebody, or with oneself, end-to-end encrypted. Works offline; both sides may do it at once.
    pub async fn open_direct(&self, peer: UserId) -> Result<ConversationId, Error> {
        self.open_direct_as(peer, Protection::EndToEnd).await
    }

    /// As [`Self::open_direct`], of the kind that the app wants. There are two conversations with everybody, and each stays what it is:
    /// the encrypted one, and one that the node, and whoever runs it, can read: for bots, and where messages are moderated.
    pub async fn open_direct_as(&self, peer: UserId, protection: Protection) -> Result<ConversationId, Error> {
        match self.driver.command(Command::OpenDirect(peer, protection)).await? {
            Reply::Conversation(id) => Ok(id),
            Reply::Done | Reply::Message(_) => Err(wrong_reply()),
        }
    }

    /// Sends a text: it is in the outbox when this returns, and goes out in order as soon as it can. If the future is dropped
    /// before, it is there as a whole or not at all.
    ///
    /// # Errors
    /// [`Error::Invalid`] when empty, [`Error::TooLarge`] above the limit of about 64 KiB, [`Error::NotFound`] for an
    /// unknown conversation, [`Error::NotLinked`] in an encrypted one on a device that was not linked, [`Error::StorageFull`].
    pub async fn send_text(&self, conversation: ConversationId, text: impl Into<String>) -> Result<MessageId, Error> {
        let message = fresh_id();
        self.send_text_as(message, conversation, text).await?;
        Ok(message)
    }

    /// As [`Self::send_text`], under an id that the app made (a UUIDv7): asked again with the same one, whatever became of the
    /// answer to the first call, it sends nothing more.
    ///
    /// # Errors
    /// As [`Self::send_text`].
    pub async fn send_text_as(
        &self,
        message: MessageId,
        conversation: ConversationId,
        text: impl Into<String>,
    ) -> Result<(), Error> {
        self.driver.command(Command::SendText { conversation, message, text: text.into() }).await.map(drop)
    }

    /// Sends a failed message again, behind what waits.
    pub async fn retry(&self, message: MessageId) -> Result<(), Error> {
        self.driver.command(Command::Retry(message)).await.map(drop)
    }

    /// Everything up to `up_to` is read, on all of the user's devices; `None` = all that is shown. Authors are told.
    pub async fn mark_read(&self, conversation: ConversationId, up_to: Option<Seq>) -> Result<(), Error> {
        self.driver.command(Command::MarkRead(conversation, up_to)).await.map(drop)
    }

    /// Removes a message from this device only.
    pub async fn delete(&self, message: MessageId) -> Result<(), Error> {
        self.driver.command(Command::Delete(message)).await.map(drop)
    }

    /// The user writes something here, or does not any more (`false`): whoever of the others is connected sees it
    /// ([`Self::typing`]). Call it at each key; others are told every four seconds at most, and see it end six seconds after the last
    /// time. Sending ends it as well.
    ///
    /// It is of this moment, and best effort: nothing is told while the client is not connected, to strangers, in a conversation
    /// with oneself, or before something was said in an encrypted conversation; nothing is told later.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::NotEnrolled`], [`Error::Suspended`].
    pub async fn set_typing(&self, conversation: ConversationId, typing: bool) -> Result<(), Error> {
        self.driver.command(Command::SetTyping(conversation, typing)).await.map(drop)
    }

    /// Who else is writing now, and where. Who it is, is the node's word; what is said of it in an encrypted conversation it cannot
    /// read.
    pub fn typing(&self) -> Vec<Typing> {
        self.driver.typing().borrow().clone()
    }

    /// Watches who else is writing.
    pub fn observe_typing(&self) -> TypingObserver {
        TypingObserver::new(self.driver.typing(), self.driver.closed())
    }

    /// The stranger who wrote may go on, and is told now that what was written was received, and read if it was. Works offline;
    /// again, or where there is no request, it changes nothing. Answering accepts as well.
    ///
    /// # Errors
    /// [`Error::NotFound`].
    pub async fn accept_request(&self, conversation: ConversationId) -> Result<(), Error> {
        self.driver.command(Command::AcceptRequest(conversation)).await.map(drop)
    }

    /// Deletes a request, on all of the user's devices; the stranger is told nothing, and may ask again. With `block`, nothing
    /// more is taken from the stranger. Accepting or answering later undoes it.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Invalid`] when the conversation is no request.
    pub async fn decline_request(&self, conversation: ConversationId, block: bool) -> Result<(), Error> {
        self.driver.command(Command::DeclineRequest { conversation, block }).await.map(drop)
    }

    /// The conversation list, latest activity first.
    pub async fn conversations(&self, limit: u32) -> Result<Vec<ConversationSummary>, Error> {
        self.driver.query(move |history| history.conversations(limit)).await
    }

    /// One line of the list.
    pub async fn conversation(&self, id: ConversationId) -> Result<Option<ConversationSummary>, Error> {
        self.driver.query(move |history| history.conversation(id)).await
    }

    /// Unread messages in all conversations but requests: the app's badge.
    pub async fn total_unread(&self) -> Result<u32, Error> {
        self.driver.query(|history| history.total_unread()).await
    }

    /// The newest `limit` lines of a timeline, or those before a cursor; oldest first.
    pub async fn timeline(
        &self,
        conversation: ConversationId,
        before: Option<Cursor>,
        limit: u32,
    ) -> Result<TimelinePage, Error> {
        self.driver.query(move |history| history.timeline_before(conversation, before, limit)).await
    }

    /// The `limit` lines after a cursor, oldest first.
    pub async fn timeline_after(
        &self,
        conversation: ConversationId,
        after: Cursor,
        limit: u32,
    ) -> Result<TimelinePage, Error> {
        self.driver.query(move |history| history.timeline_after(conversation, after, limit)).await
    }

    /// What the node did not keep for this device, because its mailbox was full or it was away for too long; `None` when
    /// nothing is known to be missing. Timelines show where, as [`crate::TimelineItem::Hole`].
    pub async fn incomplete(&self) -> Result<Option<Incomplete>, Error> {
        self.driver.query(|history| history.incomplete()).await
    }

    /// One message.
    pub async fn message(&self, id: MessageId) -> Result<Option<Message>, Error> {
        self.driver.query(move |history| history.message(id)).await
    }

    /// Messages that hold every word of `query`, newest first. The last letters of a word may be missing; scripts without
    /// spaces (Chinese, Japanese, Thai, Korean) are found from one character on.
    pub async fn search(&self, query: &str, limit: u32) -> Result<Vec<SearchHit>, Error> {
        let query = query.to_owned();
        self.driver.query(move |history| history.search(&query, limit)).await
    }

    /// Watches the newest `limit` conversations.
    pub fn observe_conversations(&self, limit: u32) -> ConversationsObserver {
        ConversationsObserver::new(self.clone(), Topic::List, limit)
    }

    /// Watches the newest `limit` lines of a timeline.
    pub fn observe_timeline(&self, conversation: ConversationId, limit: u32) -> TimelineObserver {
        TimelineObserver::new(self.clone(), Topic::Timeline(conversation), limit)
    }

    /// How the connection is now.
    pub fn connection(&self) -> ConnectionState {
        *self.driver.connection().borrow()
    }

    /// Watches the connection.
    pub fn observe_connection(&self) -> ConnectionObserver {
        ConnectionObserver::new(self.driver.connection(), self.driver.closed())
    }

    /// What was saved from damaged files so far, oldest first; empty for almost everyone.
    ///
    /// Damaged files are set aside under other names, and what can be read of them goes into a new history, when the
    /// folder is opened or whenever damage is met. While that runs, queries fail with [`Error::Suspended`].
    pub async fn salvages(&self) -> Result<Vec<Salvage>, Error> {
        self.driver.query(|history| history.salvages()).await
    }

    /// Watches for damage; begins with the first report whose number is above `shown`.
    pub fn observe_salvages(&self, shown: u64) -> SalvageObserver {
        SalvageObserver::new(self.clone(), shown)
    }

    /// Whether the history outlives the app. In a browser without a private file system (OPFS) it does not: it lies in memory,
    /// and the device with it.
    pub fn is_persistent(&self) -> bool {
        self.driver.is_persistent()
    }

    /// The platform says that there is a network (again): tries at once instead of waiting.
    pub fn network_up(&self) {
        self.driver.network_up();
    }

    /// Before the app is frozen: closes the socket and the database and releases every file lock.
    ///
    /// Calls fail with [`Error::Suspended`] until [`Self::resume`].
    pub async fn suspend(&self) -> Result<(), Error> {
        self.driver.suspend().await
    }

    /// Opens everything again, and connects.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub async fn resume(&self) -> Result<(), Error> {
        self.driver.resume().await
    }

    /// Closes the socket and every file. All clones fail with [`Error::Closed`] from here on.
    pub async fn close(&self) -> Result<(), Error> {
        self.driver.stop().await
    }

    pub(crate) async fn use_credentials(&self) -> Result<(), Error> {
        let row = self.driver.query(|history| history.account_row()).await?.filter(|row| row.enrolled && !row.copied);
        let credentials = |row: crate::store::AccountRow| Credentials {
            realm: row.realm,
            device: row.device,
            device_seed: row.device_seed,
        };
        self.driver.api.set_credentials(row.map(credentials));
        Ok(())
    }
}

fn wrong_reply() -> Error {
    Error::Internal { detail: "the engine answered another question".into() }
}
