//! A relay and devices on real sockets and real folders, and waiting that says what it waited for.
//!
//! Nothing here sleeps: every wait ends with an observer's news, or after [`DEADLINE`] with a panic.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::future::Future;
use std::net::{SocketAddr, TcpListener};
use std::ops::Deref;
use std::path::Path;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use chasqui::{
    Client, Config, ConnectionState, ConversationId, ConversationSummary, Error, Message, MessageContent, Protection,
    TimelineItem, UserId,
};
use chasqui_node::config::Config as NodeConfig;
use chasqui_node::serve::{self, Running};
use tempfile::TempDir;

pub(crate) const DEADLINE: Duration = Duration::from_secs(30);
pub(crate) const PASSWORD: &str = "correct horse";
/// More lines than any test makes.
pub(crate) const ALL: u32 = 10_000;

/// Waits, or says what for it waited in vain.
pub(crate) async fn within<T>(what: &str, wait: impl Future<Output = T>) -> T {
    let waited = tokio::time::timeout(DEADLINE, wait).await;
    waited.unwrap_or_else(|_| panic!("still waiting after {} s: {what}", DEADLINE.as_secs()))
}

/// The real node, in this process. Keeps its folder and its port over a stop.
pub(crate) struct Relay {
    running: Option<Running>,
    config: NodeConfig,
    folder: TempDir,
}

impl Relay {
    pub(crate) async fn start() -> Self {
        Self::configured(|_| {}).await
    }

    pub(crate) async fn configured(change: impl FnOnce(&mut NodeConfig)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut config = NodeConfig { data: folder.path().to_owned(), listen: free_address(), ..NodeConfig::default() };
        change(&mut config);
        let mut relay = Self { running: None, config, folder };
        relay.start_again().await;
        relay
    }

    pub(crate) async fn stop(&mut self) {
        let running = self.running.take().expect("runs");
        within("the relay to stop", running.stop()).await;
    }

    pub(crate) async fn start_again(&mut self) {
        self.running = Some(serve::start(self.config.clone()).await.unwrap());
    }

    pub(crate) fn running(&self) -> &Running {
        self.running.as_ref().expect("runs")
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.config.listen
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.config.listen)
    }
}

/// A port that is free, and stays so while nobody listens: it is below those that the system hands out by itself.
pub(crate) fn free_address() -> SocketAddr {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let first = u16::try_from(std::process::id() % 200).unwrap() * 100;
    loop {
        let port = 10_000 + (first + NEXT.fetch_add(1, Ordering::Relaxed)) % 20_000;
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        if TcpListener::bind(address).is_ok() {
            return address;
        }
    }
}

/// A client and its folder.
pub(crate) struct Device {
    pub(crate) client: Client,
    pub(crate) folder: TempDir,
}

impl Deref for Device {
    type Target = Client;

    fn deref(&self) -> &Client {
        &self.client
    }
}

impl Device {
    /// Opened, nobody's yet.
    pub(crate) async fn blank(node: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let client = Client::open(Config::new(folder.path(), node)).await.unwrap();
        Self { client, folder }
    }

    /// The first device of a new user.
    pub(crate) async fn registered(relay: &Relay, name: &str) -> Self {
        let device = Self::blank(&relay.url()).await;
        device.register(name, PASSWORD, "phone").await.unwrap();
        device
    }

    /// A further device.
    pub(crate) async fn logged_in(relay: &Relay, name: &str) -> Self {
        let device = Self::blank(&relay.url()).await;
        device.login(name, PASSWORD, "laptop").await.unwrap();
        device
    }

    /// As after an app was closed and started again.
    pub(crate) async fn reopen(&mut self, relay: &Relay) {
        self.client.close().await.unwrap();
        self.client = Client::open(Config::new(self.folder.path(), relay.url())).await.unwrap();
    }

    pub(crate) async fn user(&self) -> UserId {
        self.account().await.unwrap().expect("enrolled").user
    }

    /// The conversation with somebody that the node can read.
    pub(crate) async fn open_readable(&self, peer: UserId) -> Result<ConversationId, Error> {
        self.open_direct_as(peer, Protection::NodeReadable).await
    }

    pub(crate) async fn is(&self, state: ConnectionState) {
        let mut states = self.observe_connection();
        let what = format!("the connection to be {state:?}");
        within(&what, async { while states.next().await.unwrap() != state {} }).await;
    }

    pub(crate) async fn online(&self) {
        self.is(ConnectionState::Online).await;
    }

    /// All messages, oldest first.
    pub(crate) async fn messages(&self, conversation: ConversationId) -> Vec<Message> {
        let page = self.timeline(conversation, None, ALL).await.unwrap();
        page.items.iter().filter_map(TimelineItem::message).cloned().collect()
    }

    pub(crate) async fn texts(&self, conversation: ConversationId) -> Vec<String> {
        self.messages(conversation).await.iter().map(text).collect()
    }

    /// Waits until the messages are as wanted.
    pub(crate) async fn until(
        &self,
        conversation: ConversationId,
        what: &str,
        mut is_so: impl FnMut(&[&Message]) -> bool,
    ) {
        let mut timeline = self.observe_timeline(conversation, ALL);
        let seen = async {
            loop {
                timeline.next().await.unwrap();
                let messages: Vec<&Message> = timeline.window().iter().filter_map(TimelineItem::message).collect();
                if is_so(&messages) {
                    return;
                }
            }
        };
        within(what, seen).await;
    }

    /// Waits until a text is there.
    pub(crate) async fn gets(&self, conversation: ConversationId, wanted: &str) {
        self.until(conversation, wanted, |messages| messages.iter().any(|message| text(message) == wanted)).await;
    }

    /// Waits until the list is as wanted.
    pub(crate) async fn until_listed(&self, what: &str, mut is_so: impl FnMut(&[ConversationSummary]) -> bool) {
        let mut list = self.observe_conversations(ALL);
        let seen = async {
            loop {
                list.next().await.unwrap();
                if is_so(list.window()) {
                    return;
                }
            }
        };
        within(what, seen).await;
    }
}

/// Two people in one room, who compare a number.
pub(crate) async fn link(phone: &Device, laptop: &Device) {
    let code = laptop.begin_linking().await.unwrap();
    let shown = within("both numbers", async { tokio::join!(phone.link_device(&code), laptop.linking_number()) }).await;
    let (here, there) = (shown.0.unwrap(), shown.1.unwrap());
    assert_eq!(here, there);
    let confirmed =
        within("both to be done", async { tokio::join!(phone.confirm_linking(), laptop.confirm_linking()) });
    let (here, there) = confirmed.await;
    here.and(there).unwrap();
    assert!(laptop.account().await.unwrap().unwrap().is_linked);
}

pub(crate) fn text(message: &Message) -> String {
    match &message.content {
        MessageContent::Text(text) => text.clone(),
        other => panic!("a text, not {other:?}"),
    }
}

/// Ana and Bo, a phone each, and their conversation, which the node can read: how mail travels does not depend on what is in it.
pub(crate) struct Pair {
    pub(crate) relay: Relay,
    pub(crate) ana: Device,
    pub(crate) bo: Device,
    pub(crate) chat: ConversationId,
}

impl Pair {
    pub(crate) async fn meet() -> Self {
        Self::at(Relay::start().await).await
    }

    pub(crate) async fn at(relay: Relay) -> Self {
        let (ana, bo) = tokio::join!(Device::registered(&relay, "ana"), Device::registered(&relay, "bo"));
        let chat = ana.open_readable(bo.user().await).await.unwrap();
        Self { relay, ana, bo, chat }
    }

    /// With a conversation that nobody else can read.
    pub(crate) async fn in_secret() -> Self {
        let pair = Self::meet().await;
        let chat = pair.ana.open_direct(pair.bo.user().await).await.unwrap();
        Self { chat, ..pair }
    }
}
