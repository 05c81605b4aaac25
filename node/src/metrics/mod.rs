//! What the node counts and measures, for Prometheus. Listed in docs/operations.md, which a test compares with this.
//!
//! Counting costs an atomic addition: handles are made once, and nothing is looked up by a label where mail passes. No
//! label says who somebody is.

mod monitor;
mod requests;

use std::sync::atomic::AtomicU64;

use chasqui_wire::{ErrorCode, GoodbyeReason, Timestamp};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Metric, Registry, Unit};

use crate::relay::Vitals;
use crate::traces;
#[cfg(test)]
pub(crate) use monitor::health_resources;
pub(crate) use monitor::{Monitor, health, router};
pub(crate) use requests::observe;

type Labelled = Family<[(&'static str, &'static str); 1], Counter>;
type Seconds = Gauge<f64, AtomicU64>;

/// Everything that is counted.
pub(crate) struct Metrics {
    registry: Registry,
    pub(crate) accepted: Counter,
    pub(crate) delivered: Counter,
    pub(crate) acknowledged: Counter,
    pub(crate) slow_readers: Counter,
    pub(crate) codes_sent: Counter,
    pub(crate) codes_failed: Counter,
    pub(crate) signals: Counter,
    /// Works in one transaction.
    pub(crate) batch: Histogram,
    /// Seconds that one took.
    pub(crate) commit: Histogram,
    /// Messages on their way to the relay's thread.
    pub(crate) queue: Gauge,
    pub(crate) sockets: Gauge,
    rejected: Labelled,
    signals_dropped: Labelled,
    goodbyes: Labelled,
    refused: Labelled,
    requests: Family<[(&'static str, String); 2], Counter>,
    hashing: Gauge,
    free_bytes: Gauge,
    certificate: Gauge,
    erase_lag: Seconds,
    online: Gauge,
    entries: Gauge,
    bodies: Gauge,
    body_bytes: Gauge,
    segments: Gauge,
    era: Gauge,
    expired: Counter,
    commits: Counter,
    packages_given: Counter,
    last_resorts_given: Counter,
    identity_resets: Counter,
    failures: Counter,
    failing: Gauge,
}

/// Makes a metric of no labels, under this name.
fn add<M: Metric + Clone + Default>(registry: &mut Registry, name: &str, help: &str) -> M {
    let metric = M::default();
    registry.register(name, help, metric.clone());
    metric
}

impl Metrics {
    /// `spans` are counted elsewhere, whether this node runs or not.
    pub(crate) fn new(spans: traces::Counts) -> Self {
        let mut registry = Registry::with_prefix("chasqui");
        let r = &mut registry;
        // From 1 to the most that a batch takes; from 100 microseconds to 13 seconds.
        let batch = Histogram::new(exponential_buckets(1.0, 2.0, 10));
        r.register("batch_works", "Works in one transaction", batch.clone());
        let commit = Histogram::new(exponential_buckets(0.000_1, 2.0, 18));
        r.register_with_unit("commit", "Time of one transaction, until it is on disk", Unit::Seconds, commit.clone());
        let erase_lag = Seconds::default();
        r.register_with_unit("erase_lag", "Age of the oldest erasure not on disk", Unit::Seconds, erase_lag.clone());
        r.register("spans_exported", "Spans that the collector took", spans.exported);
        r.register("spans_dropped", "Spans that nobody will see, by reason", spans.dropped);
        Self {
            accepted: add(r, "sends_accepted", "Sends and read marks that are on disk"),
            rejected: add(r, "sends_rejected", "Sends and read marks that were refused, by code"),
            delivered: add(r, "entries_delivered", "Mailbox entries handed to sockets, repeats too"),
            acknowledged: add(r, "entries_acknowledged", "Mailbox entries that devices confirmed"),
            expired: add(r, "messages_expired", "Messages whose time-to-live ran out for somebody"),
            commits: add(r, "epochs", "Commits of encrypted conversations that were taken"),
            packages_given: add(r, "key_packages_given", "One-time key packages that were given away"),
            last_resorts_given: add(r, "last_resorts_given", "Times that a key package of last resort was given"),
            identity_resets: add(r, "identity_resets", "Identities of users that were replaced by new ones"),
            signals: add(r, "signals_passed_on", "Signals handed to sockets"),
            signals_dropped: add(r, "signals_dropped", "Signals that nobody was given, by reason"),
            entries: add(r, "entries_waiting", "Mailbox entries that wait"),
            bodies: add(r, "bodies_waiting", "Messages whose bodies wait"),
            body_bytes: add(r, "bodies_waiting_bytes", "Bytes of the bodies that wait"),
            segments: add(r, "segments", "Files that hold bodies"),
            free_bytes: add(r, "disk_free_bytes", "Bytes that the disk of the data folder has left"),
            certificate: add(r, "tls_certificate_expires_at_seconds", "When the certificate ends, Unix time"),
            failures: add(r, "commit_failures", "Transactions that the disk or the database refused"),
            failing: add(r, "failing", "1 while the last transaction failed"),
            queue: add(r, "relay_queue", "Messages on their way to the relay's thread"),
            sockets: add(r, "sockets", "Sockets that are open, welcomed or not"),
            online: add(r, "devices_online", "Devices that were welcomed and are there"),
            goodbyes: add(r, "goodbyes", "Sockets that the node ended, by reason"),
            refused: add(r, "connections_refused", "Connections that were turned away, by reason"),
            slow_readers: add(r, "slow_readers", "Sockets that were cut because nothing was taken from them"),
            codes_sent: add(r, "codes_sent", "Codes to telephones that the gateway took"),
            codes_failed: add(r, "codes_failed", "Codes to telephones that it did not take"),
            requests: add(r, "http_requests", "HTTP requests, by route and status"),
            hashing: add(r, "passwords_hashing", "Passwords that are hashed or wait for it"),
            era: add(r, "era", "The node's incarnation"),
            batch,
            commit,
            erase_lag,
            registry,
        }
    }

    pub(crate) fn rejected(&self, code: ErrorCode) {
        self.rejected.get_or_create(&[("code", code.name())]).inc();
    }

    /// So many signals were not passed on.
    pub(crate) fn signals_dropped(&self, reason: &'static str, signals: u64) {
        if signals > 0 {
            self.signals_dropped.get_or_create(&[("reason", reason)]).inc_by(signals);
        }
    }

    pub(crate) fn goodbye(&self, reason: GoodbyeReason) {
        self.goodbyes.get_or_create(&[("reason", reason_name(reason))]).inc();
    }

    /// A connection was turned away.
    pub(crate) fn refused(&self, reason: &'static str) {
        self.refused.get_or_create(&[("reason", reason)]).inc();
    }

    /// How the relay is after a transaction, and how it was at the last one.
    pub(crate) fn saw(&self, now: &Vitals, before: &Vitals) {
        let set = |gauge: &Gauge, value: u64| gauge.set(i64::try_from(value).unwrap_or(i64::MAX));
        set(&self.online, now.online);
        set(&self.bodies, now.bodies);
        set(&self.body_bytes, now.body_bytes);
        set(&self.segments, now.segments);
        set(&self.era, now.era.into());
        set(&self.failing, now.is_failing.into());
        self.expired.inc_by(now.expired - before.expired);
        self.commits.inc_by(now.commits - before.commits);
        self.packages_given.inc_by(now.packages_given - before.packages_given);
        self.last_resorts_given.inc_by(now.last_resorts_given - before.last_resorts_given);
        self.identity_resets.inc_by(now.identity_resets - before.identity_resets);
        self.signals_dropped("refused", now.signals_refused - before.signals_refused);
        self.signals_dropped("behind", now.signals_behind - before.signals_behind);
        self.failures.inc_by(now.failures - before.failures);
    }

    /// The text that Prometheus reads, with what is only measured when somebody asks.
    fn page(&self, asked: &Asked) -> String {
        self.hashing.set(i64::try_from(asked.hashing).unwrap_or(i64::MAX));
        self.free_bytes.set(asked.free_bytes.map_or(-1, |bytes| i64::try_from(bytes).unwrap_or(i64::MAX)));
        if let Some(entries) = asked.entries {
            self.entries.set(i64::try_from(entries).unwrap_or(i64::MAX));
        }
        self.certificate.set(asked.certificate_ends_at.map_or(0, |at| at.0.div_euclid(1000)));
        let lag = asked.erasing_since.map_or(0, |since| asked.now.millis_since(since));
        self.erase_lag.set(lag as f64 / 1000.0);
        let mut page = String::new();
        prometheus_client::encoding::text::encode(&mut page, &self.registry).expect("a String takes everything");
        page
    }
}

/// What is measured when somebody asks.
struct Asked {
    now: Timestamp,
    hashing: usize,
    /// `None`: the database could not be asked.
    entries: Option<u64>,
    free_bytes: Option<u64>,
    erasing_since: Option<Timestamp>,
    /// `None`: the node speaks no TLS.
    certificate_ends_at: Option<Timestamp>,
}

const fn reason_name(reason: GoodbyeReason) -> &'static str {
    match reason {
        GoodbyeReason::Unspecified => "unspecified",
        GoodbyeReason::ShuttingDown => "shutting_down",
        GoodbyeReason::Displaced => "displaced",
        GoodbyeReason::Unauthorised => "unauthorised",
        GoodbyeReason::Revoked => "revoked",
        GoodbyeReason::IncompatibleVersion => "incompatible_version",
        GoodbyeReason::WrongRealm => "wrong_realm",
        GoodbyeReason::ProtocolError => "protocol_error",
        GoodbyeReason::FrameTooLarge => "frame_too_large",
        GoodbyeReason::TimedOut => "timed_out",
        GoodbyeReason::Overloaded => "overloaded",
        GoodbyeReason::NodeFailure => "node_failure",
        GoodbyeReason::NewEra => "new_era",
        GoodbyeReason::Copied => "copied",
        // It may grow in another crate.
        _ => "other",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_metric_is_documented_and_every_documented_metric_exists() {
        let asked = Asked {
            now: Timestamp(0),
            hashing: 0,
            entries: None,
            free_bytes: None,
            erasing_since: None,
            certificate_ends_at: None,
        };
        let spans = traces::Counts::default();
        let metrics = Metrics::new(spans.clone());
        // What has labels appears with the first of each.
        metrics.rejected(ErrorCode::RateLimited);
        metrics.goodbye(GoodbyeReason::ShuttingDown);
        metrics.signals_dropped("rate", 1);
        metrics.refused("connections");
        spans.dropped.get_or_create(&[("reason", "queue_full")]).inc();
        metrics.requests.get_or_create(&[("route", String::new()), ("status", String::new())]).inc();
        let exported = metrics.page(&asked);
        let kind = |line: &str| {
            let (name, kind) = line.strip_prefix("# TYPE ")?.split_once(' ')?;
            Some(format!("{name}{}", if kind == "counter" { "_total" } else { "" }))
        };
        let mut exported: Vec<String> = exported.lines().filter_map(kind).collect();
        exported.sort();
        let page = include_str!("../../../docs/operations.md");
        let name = |line: &str| Some(line.strip_prefix("| `")?.split_once('`')?.0.to_owned());
        let mut documented: Vec<String> =
            page.lines().filter_map(name).filter(|name| name.starts_with("chasqui_")).collect();
        documented.sort();
        assert_eq!(documented, exported);
    }
}
