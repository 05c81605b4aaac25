//! The core's log for hosts that know no `tracing`: phones and browsers. A Rust app sets a subscriber of its own instead.
//!
//! Guarantees: while nobody listens nothing is recorded, and a place that would log costs a comparison. Whoever logs never waits
//! and never calls the host, which asks for what waits instead. The queue is bounded; what it had no room for is counted,
//! and the count is told as a record. Only what Chasqui itself says is taken, never what its dependencies do: of its own
//! words it knows that they hold nothing that people wrote, no name, no token and no key.

mod queue;
mod record;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use tracing::level_filters::LevelFilter;
use tracing::{Event, Metadata, Subscriber, span};

use crate::queue::Queue;
pub use crate::record::{Level, Record};

/// Every crate of the SDK begins like this.
const OURS: &str = "chasqui";

/// Whoever listens now.
static CURRENT: Mutex<Option<Arc<Queue>>> = Mutex::new(None);
/// How many levels are recorded, from errors on; 0 = nothing is.
static LEVELS: AtomicUsize = AtomicUsize::new(0);

/// Gets what is logged from now on, until it is stopped or replaced.
#[derive(Debug)]
pub struct Listener(Arc<Queue>);

impl Listener {
    /// Listens to `level` and what is worse, in the place of whoever did before: that one still gets what was recorded
    /// until now. In a process that has a `tracing` subscriber of its own it hears that, and no more.
    pub fn start(level: Level) -> Self {
        let queue = Arc::new(Queue::default());
        if is_installed() {
            exchange(Some(Arc::clone(&queue)), level as usize + 1);
        } else {
            queue.push(Record::elsewhere());
            queue.end();
        }
        Self(queue)
    }

    /// Waits for records, in order; at least one. `None` once it was stopped or replaced, and everything was handed over.
    pub async fn next(&self) -> Option<Vec<Record>> {
        self.0.next().await
    }

    /// Nothing is recorded any more, unless somebody else listens by now.
    pub fn stop(&self) {
        let is_current = lock(&CURRENT).as_ref().is_some_and(|current| Arc::ptr_eq(current, &self.0));
        if is_current {
            exchange(None, 0);
        }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.stop();
    }
}

fn exchange(queue: Option<Arc<Queue>>, levels: usize) {
    let mut current = lock(&CURRENT);
    if let Some(before) = std::mem::replace(&mut *current, queue) {
        before.end();
    }
    LEVELS.store(levels, Ordering::Relaxed);
    // Under the lock, so that of two who exchange at once the later one's level counts. Asks for the level alone.
    tracing::callsite::rebuild_interest_cache();
}

/// Whether events come here; from the first time on that somebody asks.
fn is_installed() -> bool {
    static INSTALLED: OnceLock<bool> = OnceLock::new();
    *INSTALLED.get_or_init(|| {
        let is_ours = tracing::subscriber::set_global_default(Collector).is_ok();
        if is_ours {
            tell_of_panics();
        }
        is_ours
    })
}

/// What a panic says may be about what people wrote: only its place is told.
fn tell_of_panics() {
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        let place = panic.location().map(|at| format!("{}:{}", at.file(), at.line())).unwrap_or_default();
        tracing::error!(target: "chasqui::panic", place, "a defect");
        before(panic);
    }));
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Takes events; spans are nothing to it.
struct Collector;

impl Collector {
    fn level() -> LevelFilter {
        match LEVELS.load(Ordering::Relaxed) {
            0 => LevelFilter::OFF,
            1 => LevelFilter::ERROR,
            2 => LevelFilter::WARN,
            3 => LevelFilter::INFO,
            4 => LevelFilter::DEBUG,
            _ => LevelFilter::TRACE,
        }
    }
}

impl Subscriber for Collector {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.is_event() && is_ours(metadata.target()) && *metadata.level() <= Self::level()
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(Self::level())
    }

    fn event(&self, event: &Event<'_>) {
        let queue = lock(&CURRENT).clone();
        if let Some(queue) = queue {
            queue.push(Record::of(event));
        }
    }

    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}

    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}

    fn enter(&self, _: &span::Id) {}

    fn exit(&self, _: &span::Id) {}
}

fn is_ours(target: &str) -> bool {
    target.strip_prefix(OURS).is_some_and(|rest| rest.is_empty() || rest.starts_with(['_', ':']))
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn heard(listener: &Listener) -> Vec<(Level, String)> {
        let records = listener.next().await.expect("records");
        records.into_iter().map(|record| (record.level, record.text())).collect()
    }

    /// One test, because all of it is about one process.
    #[tokio::test]
    async fn what_is_listened_to_is_heard_in_order_and_nothing_else() {
        tracing::error!("before anybody listens");
        assert_eq!(LevelFilter::current(), LevelFilter::OFF, "nothing is installed");
        let first = Listener::start(Level::Info);
        assert_eq!(LevelFilter::current(), LevelFilter::INFO);
        tracing::info!(attempt = 2, error = %"no route", name = "x", "not connected");
        tracing::debug!("below the level");
        tracing::error!(target: "hyper::client", "not ours");
        tracing::error!(target: "chasquitos", "not ours either");
        tracing::info_span!("a span").in_scope(|| tracing::error!(target: "chasqui::engine", "in a span"));
        let expected = [
            (Level::Info, "not connected (attempt: 2, error: no route, name: x)".to_owned()),
            (Level::Error, "in a span".to_owned()),
        ];
        assert_eq!(heard(&first).await, expected);

        tracing::warn!("the last for the first");
        let second = Listener::start(Level::Trace);
        tracing::trace!("for the second");
        assert_eq!(heard(&first).await, [(Level::Warn, "the last for the first".to_owned())]);
        assert_eq!(first.next().await, None);
        first.stop();
        drop(first);
        assert_eq!(heard(&second).await, [(Level::Trace, "for the second".to_owned())], "it is the second's turn");

        let panicked = std::panic::catch_unwind(|| panic!("said by somebody in confidence"));
        assert!(panicked.is_err());
        let told = heard(&second).await;
        assert_eq!(told.len(), 1);
        assert!(told[0].1.contains("lib.rs:") && !told[0].1.contains("confidence"), "{told:?}");

        tracing::warn!("the last");
        second.stop();
        tracing::error!("nobody listens");
        assert_eq!(LevelFilter::current(), LevelFilter::OFF);
        assert_eq!(heard(&second).await, [(Level::Warn, "the last".to_owned())]);
        assert_eq!(second.next().await, None);
    }
}
