//! Watching: a `Reset` first, then changes that lead from each window to the next.

use chasqui::{
    Blocked, Change, ConnectionState, ConversationId, ConversationSummary, ConversationsObserver, Error, TimelineItem,
    TimelineObserver, Update,
};

use crate::stage::{Device, Pair, Relay, text, within};

/// A list that an app keeps by applying updates.
struct Shown<T> {
    lines: Vec<T>,
    updates: usize,
}

impl<T: Clone + PartialEq + std::fmt::Debug> Shown<T> {
    fn new() -> Self {
        Self { lines: Vec::new(), updates: 0 }
    }

    /// The window is what the query gave when the update was made.
    fn apply(&mut self, update: Update<T>, window: &[T]) {
        assert_eq!(matches!(update, Update::Reset(_)), self.updates == 0, "a reset first, then changes");
        assert_ne!(update, Update::Changes(vec![]), "never news of nothing");
        self.updates += 1;
        update.apply(&mut self.lines);
        assert_eq!(self.lines, window);
    }
}

impl Shown<TimelineItem> {
    async fn next(&mut self, observer: &mut TimelineObserver) {
        let update = within("news of the timeline", observer.next()).await.unwrap();
        self.apply(update, observer.window());
    }

    /// Follows until it shows what a query gives.
    async fn settle(&mut self, observer: &mut TimelineObserver, device: &Device, chat: ConversationId, limit: u32) {
        loop {
            let asked = device.timeline(chat, None, limit).await.unwrap().items;
            if self.updates > 0 && self.lines == asked {
                return;
            }
            self.next(observer).await;
        }
    }
}

impl Shown<ConversationSummary> {
    async fn next(&mut self, observer: &mut ConversationsObserver) {
        let update = within("news of the list", observer.next()).await.unwrap();
        self.apply(update, observer.window());
    }

    async fn settle(&mut self, observer: &mut ConversationsObserver, device: &Device, limit: u32) {
        loop {
            if self.updates > 0 && self.lines == device.conversations(limit).await.unwrap() {
                return;
            }
            self.next(observer).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_change_at_a_time() {
    let Pair { mut relay, bo: _bo, ana, chat } = Pair::meet().await;
    relay.stop().await;
    let mut observer = ana.observe_timeline(chat, 3);
    assert_eq!(observer.window(), []);
    let first = within("the first update", observer.next()).await.unwrap();
    assert_eq!(first, Update::Reset(vec![]));
    let say = async |words| {
        let id = ana.send_text(chat, words).await.unwrap();
        TimelineItem::Message(Box::new(ana.message(id).await.unwrap().unwrap()))
    };
    for index in 0..3 {
        let item = say("words").await;
        let update = within("the new line", observer.next()).await.unwrap();
        assert_eq!(update, Update::Changes(vec![Change::Insert { index, item }]));
    }
    let item = say("one more").await;
    let update = within("the new line", observer.next()).await.unwrap();
    assert_eq!(update, Update::Changes(vec![Change::Remove { index: 0 }, Change::Insert { index: 2, item }]));

    observer.set_limit(4);
    let first = ana.timeline(chat, None, 4).await.unwrap().items.remove(0);
    let update = within("the older line", observer.next()).await.unwrap();
    assert_eq!(update, Update::Changes(vec![Change::Insert { index: 0, item: first }]));
    observer.set_limit(1);
    let update = within("fewer lines", observer.next()).await.unwrap();
    let remove = || Change::Remove { index: 0 };
    assert_eq!(update, Update::Changes(vec![remove(), remove(), remove()]));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_change_after_opening_is_seen() {
    let Pair { mut relay, bo: _bo, mut ana, chat } = Pair::meet().await;
    // Nothing but the app changes anything, and nothing did since it was opened.
    relay.stop().await;
    ana.reopen(&relay).await;
    let (mut timeline, mut list) = (ana.observe_timeline(chat, 10), ana.observe_conversations(10));
    assert!(matches!(within("the reset", timeline.next()).await, Ok(Update::Reset(_))));
    assert!(matches!(within("the reset", list.next()).await, Ok(Update::Reset(_))));
    ana.send_text(chat, "first").await.unwrap();
    assert!(matches!(within("the line", timeline.next()).await, Ok(Update::Changes(_))));
    assert!(matches!(within("the conversation", list.next()).await, Ok(Update::Changes(_))));
}

#[tokio::test(flavor = "multi_thread")]
async fn changes_lead_to_the_query_under_a_burst() {
    let Pair { relay, ana, bo, chat } = Pair::meet().await;
    let cleo = Device::registered(&relay, "cleo").await;
    let other = cleo.open_readable(bo.user().await).await.unwrap();
    bo.open_readable(ana.user().await).await.unwrap();
    let burst = async |device: &Device, chat| {
        for number in 0..60 {
            device.send_text(chat, format!("{number}")).await.unwrap();
        }
    };
    let answer = async || {
        for number in 0..20 {
            bo.send_text(chat, format!("answer {number}")).await.unwrap();
            if number % 5 == 0 {
                bo.mark_read(chat, None).await.unwrap();
            }
        }
    };
    let watch_timeline = async |device: &Device| {
        let (mut observer, mut shown) = (device.observe_timeline(chat, 30), Shown::<TimelineItem>::new());
        while !(shown.lines.len() == 30 && shown.updates > 10) && shown.updates < 40 {
            shown.next(&mut observer).await;
        }
        observer.set_limit(100);
        loop {
            shown.next(&mut observer).await;
            let received = |item: &TimelineItem| item.message().unwrap().seq.is_some();
            if shown.lines.len() == 80 && shown.lines.iter().all(received) {
                break;
            }
        }
        shown.settle(&mut observer, device, chat, 100).await;
        observer.set_limit(7);
        shown.next(&mut observer).await;
        shown.settle(&mut observer, device, chat, 7).await;
        assert_eq!(shown.lines.len(), 7);
    };
    let watch_list = async |limit| {
        let (mut observer, mut shown) = (bo.observe_conversations(limit), Shown::<ConversationSummary>::new());
        let all = |shown: &Shown<ConversationSummary>| {
            let ended = |line: &ConversationSummary| {
                let last = line.last_message.as_ref().map(text).unwrap_or_default();
                last == "59" || last == "answer 19"
            };
            !shown.lines.is_empty() && shown.lines.iter().all(ended)
        };
        while !all(&shown) {
            shown.next(&mut observer).await;
        }
        shown.settle(&mut observer, &bo, limit).await;
    };
    within("bursts and watchers to end", async {
        tokio::join!(
            burst(&ana, chat),
            burst(&cleo, other),
            answer(),
            watch_timeline(&ana),
            watch_timeline(&bo),
            watch_list(10),
            watch_list(1),
        )
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn dropping_a_wait_loses_nothing() {
    let Pair { relay: _relay, bo: _bo, ana, chat } = Pair::meet().await;
    let (mut observer, mut shown) = (ana.observe_timeline(chat, 10), Shown::<TimelineItem>::new());
    shown.next(&mut observer).await;
    for number in 0..10 {
        // Given up in whatever state the sending leaves it.
        tokio::select! {
            biased;
            sent = ana.send_text(chat, format!("{number}")) => drop(sent.unwrap()),
            update = observer.next() => shown.apply(update.unwrap(), observer.window()),
        }
    }
    ana.until(chat, "all accepted", |all| all.iter().all(|message| message.seq.is_some())).await;
    shown.settle(&mut observer, &ana, chat, 10).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn watchers_outlast_suspension_and_end_with_the_client() {
    let Pair { relay: _relay, ana, bo, chat } = Pair::meet().await;
    let (mut observer, mut shown) = (bo.observe_timeline(chat, 10), Shown::<TimelineItem>::new());
    shown.next(&mut observer).await;
    bo.suspend().await.unwrap();
    ana.send_text(chat, "while Bo slept").await.unwrap();
    let resume = async { bo.resume().await.unwrap() };
    tokio::join!(resume, shown.next(&mut observer));
    assert_eq!(shown.lines.len(), 1);

    let (mut list, mut connection) = (bo.observe_conversations(10), bo.observe_connection());
    shown.settle(&mut observer, &bo, chat, 10).await;
    within("the reset", list.next()).await.unwrap();
    let until_closed = async {
        let timeline = async { while observer.next().await != Err(Error::Closed) {} };
        let list = async { while list.next().await != Err(Error::Closed) {} };
        let connection = async { while connection.next().await != Err(Error::Closed) {} };
        tokio::join!(timeline, list, connection);
    };
    let close = async { bo.close().await.unwrap() };
    within("all watchers to hear of the end", async { tokio::join!(until_closed, close) }).await;
    let mut late = bo.observe_timeline(chat, 10);
    assert_eq!(within("a late watcher", late.next()).await, Err(Error::Closed));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_connection_is_watched() {
    let mut relay = Relay::start().await;
    let ana = Device::blank(&relay.url()).await;
    let mut states = ana.observe_connection();
    let first = within("the state now", states.next()).await.unwrap();
    assert_eq!(first, ConnectionState::Blocked(Blocked::NotEnrolled));
    ana.register("ana", crate::stage::PASSWORD, "phone").await.unwrap();
    let mut reaches = async |wanted: ConnectionState| {
        within(&format!("{wanted:?}"), async { while states.next().await.unwrap() != wanted {} }).await;
    };
    reaches(ConnectionState::Online).await;
    relay.stop().await;
    reaches(ConnectionState::Offline).await;
    relay.start_again().await;
    ana.network_up();
    reaches(ConnectionState::Online).await;
    ana.suspend().await.unwrap();
    reaches(ConnectionState::Blocked(Blocked::Suspended)).await;
    ana.resume().await.unwrap();
    reaches(ConnectionState::Online).await;
}
