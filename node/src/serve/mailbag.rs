//! From the relay to one socket: events that the relay puts in without ever waiting, and that the socket takes out in
//! order. Empty, it holds no memory.
//!
//! A socket that does not take its mail is limited by its window; all such sockets together by one allowance. Above
//! that, the one that would get more is marked slow and loses its socket, never its mail.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};

use chasqui_wire::{Commit, EntryKind, RosterEntry};

use crate::relay::Event;

/// Bytes that one bag may hold and not be behind: who takes its mail must not suffer from those who do not.
const ALWAYS: usize = 16 * 1024;
/// Bytes above which a bag takes no signals: they must not be why one is behind.
const SIGNALS_BELOW: usize = ALWAYS / 4;
/// Bytes that an event takes beside what it carries.
const EVENT: usize = 160;
/// Bytes that a key package takes beside its body.
const PACKAGE: usize = 64;

/// Bytes that wait in the bags of all sockets.
#[derive(Debug)]
pub(crate) struct Allowance {
    most: usize,
    held: AtomicUsize,
}

impl Allowance {
    pub(crate) fn new(most: usize) -> Arc<Self> {
        Arc::new(Self { most, held: AtomicUsize::new(0) })
    }
}

#[derive(Debug)]
pub(crate) struct Mailbag {
    allowance: Arc<Allowance>,
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    events: VecDeque<Event>,
    /// In `events`, and taken but not settled.
    bytes: usize,
    is_slow: bool,
    is_leaving: bool,
    waker: Option<Waker>,
}

/// What a socket finds.
#[derive(Debug, PartialEq)]
pub(crate) enum Found {
    /// In order; at least one.
    Events(VecDeque<Event>),
    /// It took its mail too slowly.
    Slow,
    /// The node stops. Found once.
    Leaving,
}

impl Mailbag {
    pub(crate) fn new(allowance: Arc<Allowance>) -> Arc<Self> {
        Arc::new(Self { allowance, inner: Mutex::default() })
    }

    /// Puts events in and wakes the socket.
    pub(crate) fn put(&self, events: impl IntoIterator<Item = Event>) {
        let mut inner = self.lock();
        if inner.is_slow {
            return;
        }
        // Whoever took all that came before is not slow, however much comes now.
        let is_behind = inner.bytes > ALWAYS;
        let before = inner.events.len();
        inner.events.extend(events);
        let bytes: usize = inner.events.iter().skip(before).map(size).sum();
        inner.bytes += bytes;
        let held = self.allowance.held.fetch_add(bytes, Ordering::Relaxed) + bytes;
        if is_behind && held > self.allowance.most {
            inner.is_slow = true;
            self.let_go(&mut inner);
        }
        wake(inner);
    }

    /// Puts in what nobody misses, if hardly anything waits. Says whether it did.
    pub(crate) fn offer(&self, event: Event) -> bool {
        let mut inner = self.lock();
        let bytes = size(&event);
        if inner.is_slow || inner.bytes + bytes > SIGNALS_BELOW {
            return false;
        }
        inner.events.push_back(event);
        inner.bytes += bytes;
        self.allowance.held.fetch_add(bytes, Ordering::Relaxed);
        wake(inner);
        true
    }

    /// The node stops.
    pub(crate) fn leave(&self) {
        let mut inner = self.lock();
        inner.is_leaving = true;
        wake(inner);
    }

    /// Everything that is in it. What was taken counts until [`Self::settle`].
    pub(crate) fn poll_take(&self, cx: &mut Context<'_>) -> Poll<Found> {
        let mut inner = self.lock();
        if inner.is_slow {
            return Poll::Ready(Found::Slow);
        }
        if !inner.events.is_empty() {
            return Poll::Ready(Found::Events(std::mem::take(&mut inner.events)));
        }
        if std::mem::take(&mut inner.is_leaving) {
            return Poll::Ready(Found::Leaving);
        }
        keep_waker(&mut inner, cx);
        Poll::Pending
    }

    /// Whether the socket was found slow; wakes it if that happens.
    pub(crate) fn poll_slow(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut inner = self.lock();
        if inner.is_slow {
            return Poll::Ready(());
        }
        keep_waker(&mut inner, cx);
        Poll::Pending
    }

    /// What was taken has left.
    pub(crate) fn settle(&self) {
        let mut inner = self.lock();
        let still: usize = inner.events.iter().map(size).sum();
        let gone = inner.bytes.saturating_sub(still);
        inner.bytes -= gone;
        self.allowance.held.fetch_sub(gone, Ordering::Relaxed);
    }

    fn let_go(&self, inner: &mut Inner) {
        self.allowance.held.fetch_sub(std::mem::take(&mut inner.bytes), Ordering::Relaxed);
        inner.events = VecDeque::new();
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Mailbag {
    fn drop(&mut self) {
        let mut inner = std::mem::take(&mut *self.lock());
        self.let_go(&mut inner);
    }
}

fn keep_waker(inner: &mut Inner, cx: &Context<'_>) {
    match &mut inner.waker {
        Some(waker) => waker.clone_from(cx.waker()),
        none => *none = Some(cx.waker().clone()),
    }
}

fn wake(mut inner: std::sync::MutexGuard<'_, Inner>) {
    let waker = inner.waker.take();
    // Not under the lock: the socket's first act is to take it.
    drop(inner);
    if let Some(waker) = waker {
        waker.wake();
    }
}

fn size(event: &Event) -> usize {
    match event {
        Event::Mail(entries) => EVENT + entries.iter().map(|entry| EVENT + size_of_entry(&entry.kind)).sum::<usize>(),
        Event::Claimed(claimed) => {
            let listed = claimed.roster.len() + claimed.gone.len();
            let packages: usize = claimed.packages.iter().map(|package| PACKAGE + package.body.len()).sum();
            EVENT + listed * size_of::<RosterEntry>() + packages
        }
        Event::Signal(signal) => EVENT + signal.body.len(),
        Event::Device(_)
        | Event::Attached(_)
        | Event::Accepted(_)
        | Event::Rejected(_)
        | Event::KeyPackagesLeft(_)
        | Event::Drained(_)
        | Event::Displaced
        | Event::Revoked
        | Event::Copied
        | Event::NewEra
        | Event::NewIdentity
        | Event::Overloaded
        | Event::Failed => EVENT,
    }
}

fn size_of_entry(kind: &EntryKind) -> usize {
    match kind {
        EntryKind::Envelope(envelope) => {
            let changes = |commit: &Commit| (commit.added.len() + commit.removed.len()) * size_of::<RosterEntry>();
            envelope.body.len() + envelope.commit.as_ref().map_or(0, changes)
        }
        EntryKind::Receipt(_)
        | EntryKind::Read(_)
        | EntryKind::Gap(_)
        | EntryKind::Hole(_)
        | EntryKind::Absence(_)
        | EntryKind::Admission(_)
        | EntryKind::Unknown => 0,
    }
}

#[cfg(test)]
mod tests {
    use chasqui_wire::{Entry, EntryKind};

    use super::*;

    /// Mail of this many entries without bodies.
    fn mail(entries: usize) -> Event {
        Event::Mail(vec![Entry { number: 1, kind: EntryKind::Unknown }; entries])
    }

    fn take(bag: &Mailbag) -> Option<Found> {
        match bag.poll_take(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(found) => Some(found),
            Poll::Pending => None,
        }
    }

    #[test]
    fn events_come_in_order_and_leaving_comes_last_and_once() {
        let bag = Mailbag::new(Allowance::new(0));
        assert_eq!(take(&bag), None);
        bag.put([Event::Displaced]);
        bag.leave();
        bag.put([Event::Revoked]);
        assert_eq!(take(&bag), Some(Found::Events([Event::Displaced, Event::Revoked].into())));
        assert_eq!(take(&bag), Some(Found::Leaving));
        assert_eq!(take(&bag), None);
    }

    #[test]
    fn who_takes_nothing_is_slow_only_when_the_node_holds_too_much() {
        let allowance = Allowance::new(100_000);
        let (idle, slow) = (Mailbag::new(Arc::clone(&allowance)), Mailbag::new(Arc::clone(&allowance)));
        while take(&slow) != Some(Found::Slow) {
            assert!(allowance.held.load(Ordering::Relaxed) < 200_000);
            slow.put([mail(50)]);
        }
        assert_eq!(allowance.held.load(Ordering::Relaxed), 0, "a slow socket holds nothing any more");
        idle.put([mail(1)]);
        assert_eq!(take(&idle), Some(Found::Events([mail(1)].into())));
    }

    #[test]
    fn signals_find_room_only_where_hardly_anything_waits() {
        let allowance = Allowance::new(0);
        let bag = Mailbag::new(Arc::clone(&allowance));
        let conversation = chasqui_wire::ConversationId::from_bytes([1; 16]);
        let signal = || {
            let body = vec![0; 1_000].into();
            Event::Signal(chasqui_wire::Signal { conversation, sender: None, body, epoch: 0 })
        };
        let offered = (0..10).filter(|_| bag.offer(signal())).count();
        assert_eq!(offered, 3, "a flood of them fills no bag");
        assert!(allowance.held.load(Ordering::Relaxed) <= SIGNALS_BELOW);
        bag.put([mail(1)]);
        assert!(matches!(take(&bag), Some(Found::Events(events)) if events.len() == 4), "nor does it make one slow");
        assert!(!bag.offer(signal()), "they have not left yet");
        bag.settle();
        assert!(bag.offer(signal()));
        drop(bag);
        assert_eq!(allowance.held.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn who_takes_little_is_not_slow_because_others_are() {
        let allowance = Allowance::new(0);
        let bag = Mailbag::new(Arc::clone(&allowance));
        for _ in 0..1_000 {
            bag.put([mail(1_000)]);
            assert!(matches!(take(&bag), Some(Found::Events(_))));
            bag.settle();
        }
        assert_eq!(allowance.held.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn what_was_taken_counts_until_it_left() {
        let allowance = Allowance::new(0);
        let bag = Mailbag::new(Arc::clone(&allowance));
        bag.put([mail(120)]);
        assert!(matches!(take(&bag), Some(Found::Events(_))));
        bag.put([mail(120)]);
        assert_eq!(take(&bag), Some(Found::Slow));
        drop(bag);
        assert_eq!(allowance.held.load(Ordering::Relaxed), 0);
    }
}
