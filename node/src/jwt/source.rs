//! Where the app's public keys come from: a file or a URL, asked for again when they age or when a token names a key
//! that is not among them.
//!
//! Guarantees: one fetch at a time, and after one that changed nothing a pause; the last good set stays for as long as
//! there is no better one; who waits for a fetch waits for a bounded time, and nobody else does.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use chasqui_wire::Timestamp;
use reqwest::header::ACCEPT;
use tokio::io::AsyncReadExt as _;

use super::keys::{KeySet, Keys};
use crate::outbound::{self, AnswerError};

/// A fetch ends within this time, whatever the other side does.
pub(super) const FETCH_WITHIN: Duration = Duration::from_secs(10);
/// Bytes of a set. Large providers publish a few KiB.
const SET_BYTES: usize = 256 * 1024;
/// Milliseconds between two fetches that somebody's unknown key id asks for.
const UNKNOWN_KEY_EVERY_MS: u64 = 30_000;
/// Milliseconds after a fetch that failed.
const AFTER_FAILURE_MS: u64 = 5_000;

pub(super) enum Origin {
    Url { http: reqwest::Client, url: reqwest::Url },
    File(PathBuf),
}

/// Why there is no newer set.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FetchError {
    #[error(transparent)]
    Answer(#[from] AnswerError),
    #[error("it cannot be read: {0}")]
    File(#[from] std::io::Error),
    #[error("there is no usable public key in it")]
    NoKeys,
}

/// Asked again after each wait.
pub(super) type Clock = Box<dyn Fn() -> Timestamp + Send + Sync>;

pub(super) struct KeySource {
    origin: Origin,
    lifetime_ms: u64,
    clock: Clock,
    held: Mutex<Held>,
    fetching: tokio::sync::Mutex<()>,
}

#[derive(Clone, Default)]
struct Held {
    keys: Option<Arc<Keys>>,
    fetched_at: Option<Timestamp>,
    tried_at: Option<Timestamp>,
}

impl Held {
    fn is_fresh(&self, now: Timestamp, lifetime_ms: u64) -> bool {
        self.fetched_at.is_some_and(|at| now < at.plus_millis(lifetime_ms))
    }

    fn was_tried_within(&self, now: Timestamp, millis: u64) -> bool {
        self.tried_at.is_some_and(|at| now < at.plus_millis(millis))
    }
}

impl KeySource {
    pub(super) fn new(origin: Origin, lifetime_ms: u64, clock: Clock) -> Self {
        Self { origin, lifetime_ms, clock, held: Mutex::default(), fetching: tokio::sync::Mutex::default() }
    }

    /// The keys. Aged ones serve on while newer ones are fetched; only who finds none at all waits.
    pub(super) async fn keys(self: &Arc<Self>) -> Option<Arc<Keys>> {
        let (held, now) = (self.held(), (self.clock)());
        let Some(keys) = held.keys.clone() else { return self.first().await };
        if !held.is_fresh(now, self.lifetime_ms) && !held.was_tried_within(now, AFTER_FAILURE_MS) {
            let source = Arc::clone(self);
            tokio::spawn(async move {
                // Somebody else fetches already.
                let Ok(_alone) = source.fetching.try_lock() else { return };
                drop(source.fetch().await);
            });
        }
        Some(keys)
    }

    async fn first(&self) -> Option<Arc<Keys>> {
        let _alone = self.fetching.lock().await;
        let held = self.held();
        if held.keys.is_none() && !held.was_tried_within((self.clock)(), AFTER_FAILURE_MS) {
            return self.fetch().await.ok();
        }
        held.keys
    }

    /// A set that is newer than `old`, in which a key was not; `None` if there is none now.
    pub(super) async fn newer_than(&self, old: &Arc<Keys>) -> Option<Arc<Keys>> {
        let _alone = self.fetching.lock().await;
        let held = self.held();
        let newer = held.keys.clone().filter(|keys| !Arc::ptr_eq(keys, old));
        if newer.is_some() || held.was_tried_within((self.clock)(), UNKNOWN_KEY_EVERY_MS) {
            return newer;
        }
        self.fetch().await.ok()
    }

    /// Fetches now.
    pub(super) async fn refresh(&self) -> Result<(), FetchError> {
        let _alone = self.fetching.lock().await;
        self.fetch().await.map(drop)
    }

    /// Whoever calls holds `fetching`.
    async fn fetch(&self) -> Result<Arc<Keys>, FetchError> {
        let fetched = self.load().await.and_then(|json| KeySet::parse(&json).ok_or(FetchError::NoKeys));
        let now = (self.clock)();
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        held.tried_at = Some(now);
        match fetched {
            Ok(set) => {
                let keys = Arc::new(Keys::Published(set));
                held.keys = Some(Arc::clone(&keys));
                held.fetched_at = Some(now);
                Ok(keys)
            }
            Err(error) => {
                tracing::warn!(%error, has_older = held.keys.is_some(), "the key set for tokens cannot be had");
                Err(error)
            }
        }
    }

    async fn load(&self) -> Result<Vec<u8>, FetchError> {
        match &self.origin {
            Origin::Url { http, url } => {
                let response = http.get(url.clone()).header(ACCEPT, "application/json").send().await;
                Ok(outbound::body(response.map_err(AnswerError::from)?, SET_BYTES).await?)
            }
            Origin::File(path) => {
                let mut json = Vec::new();
                let file = tokio::fs::File::open(path).await?;
                file.take(SET_BYTES as u64 + 1).read_to_end(&mut json).await?;
                if json.len() > SET_BYTES { Err(AnswerError::TooLong.into()) } else { Ok(json) }
            }
        }
    }

    fn held(&self) -> Held {
        self.held.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
