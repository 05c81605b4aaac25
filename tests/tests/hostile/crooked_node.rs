//! A node between a client and the real one: it passes on what both say, and does with mail what a test wants.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use chasqui_wire::{
    Ack, AckItem, AckOutcome, ClientFrame, ConversationId, Deliver, Entry, EntryKind, Envelope, Limits, NodeFrame,
    SeqRanges,
};
use futures_util::{SinkExt as _, StreamExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use tokio::sync::watch;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{accept_async, connect_async};

use crate::stage::{Relay, free_address, within};

/// Above all numbers that the real node gives in a test.
const MADE_UP: u64 = 1 << 40;

pub(crate) struct CrookedNode {
    address: SocketAddr,
    state: Arc<State>,
}

struct State {
    mail: Mutex<Mail>,
    /// Changes with the mail.
    news: watch::Sender<()>,
}

#[derive(Default)]
struct Mail {
    /// Whose envelopes wait here.
    held_up: Option<ConversationId>,
    waiting: Vec<Entry>,
    numbers: BTreeSet<u64>,
    made_up: u64,
    acknowledged: Vec<AckItem>,
    to_client: Option<UnboundedSender<NodeFrame>>,
    to_relay: Option<UnboundedSender<ClientFrame>>,
}

impl CrookedNode {
    pub(crate) async fn before(relay: &Relay) -> Self {
        let (address, real) = (free_address(), relay.address());
        let listener = TcpListener::bind(address).await.unwrap();
        let state = Arc::new(State { mail: Mutex::default(), news: watch::Sender::new(()) });
        let shared = Arc::clone(&state);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(connection(stream, real, Arc::clone(&shared)));
            }
        });
        Self { address, state }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// From here on envelopes of a conversation wait.
    pub(crate) fn hold_up(&self, conversation: ConversationId) {
        self.state.mail().held_up = Some(conversation);
    }

    pub(crate) fn let_pass(&self) {
        self.state.mail().held_up = None;
    }

    /// The envelopes that wait, once there are so many.
    pub(crate) async fn held(&self, many: usize) -> Vec<Entry> {
        self.until(&format!("{many} envelopes"), |mail| {
            (mail.waiting.len() >= many).then(|| std::mem::take(&mut mail.waiting))
        })
        .await
    }

    /// Hands out mail, and waits for what the client says to the last entry.
    pub(crate) async fn says(&self, entries: Vec<Entry>) -> AckOutcome {
        let last = entries.last().expect("mail").number;
        self.state.mail().acknowledged.clear();
        self.state.mail().to_client.as_ref().expect("a socket").send(NodeFrame::Deliver(Deliver { entries })).unwrap();
        self.until("an acknowledgement", |mail| {
            mail.acknowledged.iter().find(|item| item.number == last).map(|item| item.outcome)
        })
        .await
    }

    /// The real node takes it for delivered.
    pub(crate) fn swallow(&self, entry: &Entry) {
        let items = vec![AckItem { number: entry.number, outcome: AckOutcome::Stored }];
        let mail = self.state.mail();
        mail.to_relay
            .as_ref()
            .expect("a socket")
            .send(ClientFrame::Ack(Ack { items, held: SeqRanges::default() }))
            .unwrap();
    }

    /// The same as new mail, as changed.
    pub(crate) fn again(&self, entry: &Entry, change: impl FnOnce(&mut Envelope)) -> Entry {
        let mut mail = self.state.mail();
        mail.made_up += 1;
        let EntryKind::Envelope(mut envelope) = entry.kind.clone() else { panic!("an envelope, not {entry:?}") };
        change(&mut envelope);
        Entry { number: MADE_UP + mail.made_up, kind: EntryKind::Envelope(envelope) }
    }

    async fn until<T>(&self, what: &str, mut is_so: impl FnMut(&mut Mail) -> Option<T>) -> T {
        let mut news = self.state.news.subscribe();
        let wait = async {
            loop {
                if let Some(found) = is_so(&mut self.state.mail()) {
                    return found;
                }
                news.changed().await.unwrap();
            }
        };
        within(what, wait).await
    }
}

impl State {
    fn mail(&self) -> MutexGuard<'_, Mail> {
        self.mail.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What of the real node's frame goes on.
    fn to_pass_down(&self, message: Message) -> Option<Message> {
        let Message::Binary(bytes) = &message else { return Some(message) };
        let Ok(NodeFrame::Deliver(deliver)) = NodeFrame::decode(bytes.clone(), &Limits::DEFAULT) else {
            return Some(message);
        };
        let mut mail = self.mail();
        let held_up = mail.held_up;
        let waits = |entry: &Entry| match &entry.kind {
            EntryKind::Envelope(envelope) => held_up == Some(envelope.conversation),
            _ => false,
        };
        let (waiting, entries): (Vec<_>, Vec<_>) = deliver.entries.into_iter().partition(waits);
        // What is not acknowledged comes again on the next socket.
        let waiting: Vec<_> = waiting.into_iter().filter(|entry| mail.numbers.insert(entry.number)).collect();
        mail.waiting.extend(waiting);
        drop(mail);
        self.news.send_replace(());
        (!entries.is_empty()).then(|| Message::Binary(NodeFrame::Deliver(Deliver { entries }).encode()))
    }

    /// What of the client's frame goes on.
    fn to_pass_up(&self, message: Message) -> Option<Message> {
        let Message::Binary(bytes) = &message else { return Some(message) };
        let Ok(ClientFrame::Ack(ack)) = ClientFrame::decode(bytes.clone(), &Limits::DEFAULT) else {
            return Some(message);
        };
        self.mail().acknowledged.extend(ack.items.iter().cloned());
        self.news.send_replace(());
        let items: Vec<AckItem> = ack.items.into_iter().filter(|item| item.number < MADE_UP).collect();
        (!items.is_empty()).then(|| Message::Binary(ClientFrame::Ack(Ack { items, held: ack.held }).encode()))
    }
}

async fn connection(mut client: TcpStream, real: SocketAddr, state: Arc<State>) {
    let mut start = [0; 15];
    let is_socket = matches!(client.peek(&mut start).await, Ok(15)) && start.starts_with(b"GET /v1/connect");
    if !is_socket {
        let mut relay = TcpStream::connect(real).await.unwrap();
        drop(tokio::io::copy_bidirectional(&mut client, &mut relay).await);
        return;
    }
    let (mut client, (mut relay, _)) =
        match tokio::join!(accept_async(client), connect_async(format!("ws://{real}/v1/connect"))) {
            (Ok(client), Ok(relay)) => (client, relay),
            _ => return,
        };
    let ((to_client, mut for_client), (to_relay, mut for_relay)) = (unbounded_channel(), unbounded_channel());
    {
        let mut mail = state.mail();
        (mail.to_client, mail.to_relay) = (Some(to_client), Some(to_relay));
    }
    loop {
        let done = tokio::select! {
            Some(Ok(message)) = relay.next() => match state.to_pass_down(message) {
                Some(message) => client.send(message).await,
                None => Ok(()),
            },
            Some(Ok(message)) = client.next() => match state.to_pass_up(message) {
                Some(message) => relay.send(message).await,
                None => Ok(()),
            },
            Some(frame) = for_client.recv() => client.send(Message::Binary(frame.encode())).await,
            Some(frame) = for_relay.recv() => relay.send(Message::Binary(frame.encode())).await,
            else => return,
        };
        if done.is_err() {
            return;
        }
    }
}
