//! Observers that a host may hold from several threads, and may end while somebody waits.
//!
//! Guarantees: `cancel` ends a pending `next` at once, and lets go of everything that the observer held of the client;
//! after it `next` answers nothing, and after the client was closed. A new limit takes effect while `next` waits. A cancelled
//! task that only drops its future loses no news.

use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use crate::connection::ConnectionState;
use crate::conversation::{ConversationSummary, Typing};
use crate::error::ChasquiError;
use crate::identity::{HistoryTransfer, SecurityEvent};
use crate::planted;
use crate::salvage::Salvage;
use crate::scalar::Count;
use crate::timeline::TimelineItem;
use crate::update::{ConversationsUpdate, TimelineUpdate};

/// An observer of the core.
trait Observes: Send {
    type News: Send;

    /// Waits for news. Dropping the future loses nothing.
    fn news(&mut self) -> impl Future<Output = Result<Self::News, chasqui::Error>> + Send;

    /// How many lines are shown from here on.
    fn show(&mut self, limit: u32);
}

impl Observes for chasqui::TimelineObserver {
    type News = chasqui::Update<chasqui::TimelineItem>;

    async fn news(&mut self) -> Result<Self::News, chasqui::Error> {
        self.next().await
    }

    fn show(&mut self, limit: u32) {
        self.set_limit(limit);
    }
}

impl Observes for chasqui::ConversationsObserver {
    type News = chasqui::Update<chasqui::ConversationSummary>;

    async fn news(&mut self) -> Result<Self::News, chasqui::Error> {
        self.next().await
    }

    fn show(&mut self, limit: u32) {
        self.set_limit(limit);
    }
}

impl Observes for chasqui::ConnectionObserver {
    type News = chasqui::ConnectionState;

    async fn news(&mut self) -> Result<Self::News, chasqui::Error> {
        self.next().await
    }

    fn show(&mut self, _limit: u32) {}
}

impl Observes for chasqui::SalvageObserver {
    type News = chasqui::Salvage;

    async fn news(&mut self) -> Result<Self::News, chasqui::Error> {
        self.next().await
    }

    fn show(&mut self, _limit: u32) {}
}

impl Observes for chasqui::SecurityObserver {
    type News = chasqui::SecurityEvent;

    async fn news(&mut self) -> Result<Self::News, chasqui::Error> {
        self.next().await
    }

    fn show(&mut self, _limit: u32) {}
}

impl Observes for chasqui::TransferObserver {
    type News = Option<chasqui::HistoryTransfer>;

    async fn news(&mut self) -> Result<Self::News, chasqui::Error> {
        self.next().await
    }

    fn show(&mut self, _limit: u32) {}
}

impl Observes for chasqui::TypingObserver {
    type News = Vec<chasqui::Typing>;

    async fn news(&mut self) -> Result<Self::News, chasqui::Error> {
        self.next().await
    }

    fn show(&mut self, _limit: u32) {}
}

/// What was said to an observer, perhaps while somebody waits for its news.
#[derive(Clone, Copy, Debug, Default)]
struct Orders {
    /// `None` = as it was made.
    limit: Option<u32>,
    is_cancelled: bool,
}

/// An observer and what was said to it.
struct Watched<O> {
    /// `None` = cancelled. Held while somebody waits.
    observer: tokio::sync::Mutex<Option<O>>,
    orders: watch::Sender<Orders>,
}

impl<O: Observes> Watched<O> {
    fn new(observer: O) -> Self {
        Self { observer: tokio::sync::Mutex::new(Some(observer)), orders: watch::Sender::default() }
    }

    /// The next news, shown to `look` before anybody else can ask; `None` once it was cancelled or the client closed.
    async fn next(&self, look: impl FnOnce(&O::News) + Send) -> Result<Option<O::News>, ChasquiError> {
        let mut orders = self.orders.subscribe();
        let mut held = tokio::select! {
            biased;
            () = cancelled(&mut orders) => return Ok(None),
            held = self.observer.lock() => held,
        };
        loop {
            let Orders { limit, is_cancelled } = *orders.borrow_and_update();
            if is_cancelled {
                *held = None;
            }
            let Some(observer) = held.as_mut() else { return Ok(None) };
            if let Some(limit) = limit {
                planted::when_awaited(limit);
                observer.show(limit);
            }
            let news = tokio::select! {
                biased;
                _ = orders.changed() => continue,
                news = observer.news() => news,
            };
            let news = match news {
                // The app closed it, and nobody is told about an end of one's own making.
                Err(chasqui::Error::Closed) => return Ok(None),
                news => news?,
            };
            look(&news);
            return Ok(Some(news));
        }
    }

    fn set_limit(&self, limit: u32) {
        self.orders.send_modify(|orders| orders.limit = Some(limit));
    }

    fn cancel(&self) {
        self.orders.send_modify(|orders| orders.is_cancelled = true);
        // Whoever waits lets go of it instead.
        if let Ok(mut held) = self.observer.try_lock() {
            *held = None;
        }
    }
}

/// For all observers: what waits is compiled for each closure.
async fn cancelled(orders: &mut watch::Receiver<Orders>) {
    let _ = orders.wait_for(|orders| orders.is_cancelled).await;
}

/// The lines as of the last update.
struct Window<T>(Mutex<Vec<T>>);

impl<T: Clone> Window<T> {
    fn lines(&self) -> MutexGuard<'_, Vec<T>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn apply(&self, update: &chasqui::Update<T>) {
        update.clone().apply(&mut self.lines());
    }
}

macro_rules! list_observer {
    ($(#[$doc:meta])* $name:ident, $core:ty, $core_item:ty, $update:ident, $item:ident) => {
        $(#[$doc])*
        #[derive(uniffi::Object)]
        pub struct $name {
            watched: Watched<$core>,
            window: Window<$core_item>,
        }

        impl $name {
            pub(crate) fn new(observer: $core) -> Arc<Self> {
                Arc::new(Self { watched: Watched::new(observer), window: Window(Mutex::default()) })
            }
        }

        #[uniffi::export]
        impl $name {
            /// Waits for news: a `Reset` first. Nothing once it was cancelled or the client closed.
            pub async fn next(&self) -> Result<Option<$update>, ChasquiError> {
                let update = self.watched.next(|update| self.window.apply(update)).await?;
                Ok(update.map($update::from))
            }

            /// Shows this many lines from the next update on, also while somebody waits for it.
            pub fn set_limit(&self, limit: Count) -> Result<(), ChasquiError> {
                self.watched.set_limit(limit.0);
                Ok(())
            }

            /// The lines as of the last update.
            pub fn window(&self) -> Result<Vec<$item>, ChasquiError> {
                Ok(self.window.lines().iter().cloned().map($item::from).collect())
            }

            /// Ends it, and a pending `next`. Again, it changes nothing.
            pub fn cancel(&self) {
                self.watched.cancel();
            }
        }
    };
}

list_observer!(
    /// Watches the newest lines of a timeline.
    NativeTimelineObserver, chasqui::TimelineObserver, chasqui::TimelineItem, TimelineUpdate, TimelineItem
);
list_observer!(
    /// Watches the top of the conversation list.
    NativeConversationsObserver,
    chasqui::ConversationsObserver,
    chasqui::ConversationSummary,
    ConversationsUpdate,
    ConversationSummary
);

macro_rules! news_observer {
    ($(#[$doc:meta])* $name:ident, $core:ty, $news:ty, $convert:expr) => {
        $(#[$doc])*
        #[derive(uniffi::Object)]
        pub struct $name(Watched<$core>);

        impl $name {
            pub(crate) fn new(observer: $core) -> Arc<Self> {
                Arc::new(Self(Watched::new(observer)))
            }
        }

        #[uniffi::export]
        impl $name {
            /// Waits for news. Nothing once it was cancelled or the client closed.
            pub async fn next(&self) -> Result<Option<$news>, ChasquiError> {
                Ok(self.0.next(|_| {}).await?.map($convert))
            }

            /// Ends it, and a pending `next`. Again, it changes nothing.
            pub fn cancel(&self) {
                self.0.cancel();
            }
        }
    };
}

news_observer!(
    /// Watches the connection: the state now, then each change.
    NativeConnectionObserver, chasqui::ConnectionObserver, ConnectionState, ConnectionState::from
);
news_observer!(
    /// Watches for damage that was found, and what was saved from it.
    NativeSalvageObserver, chasqui::SalvageObserver, Salvage, Salvage::from
);
news_observer!(
    /// Watches for security events.
    NativeSecurityObserver, chasqui::SecurityObserver, SecurityEvent, SecurityEvent::from
);
news_observer!(
    /// Watches how far the history of another device has come: one transfer, or an empty list when none is on its way. (There is
    /// no nothing within nothing in Kotlin.)
    NativeTransferObserver, chasqui::TransferObserver, Vec<HistoryTransfer>, all
);
news_observer!(
    /// Watches who else is writing: everybody who is, then the whole list at each change.
    NativeTypingObserver, chasqui::TypingObserver, Vec<Typing>, all
);

/// As the languages know them.
pub(crate) fn all<T, U: From<T>>(lines: impl IntoIterator<Item = T>) -> Vec<U> {
    lines.into_iter().map(U::from).collect()
}
