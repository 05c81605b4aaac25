//! Records that wait for the host.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use crate::record::Record;

/// How many records wait at most.
const ROOM: usize = 1_000;

/// In order, bounded, for one consumer.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    waiting: Mutex<Waiting>,
    news: Notify,
}

#[derive(Debug, Default)]
struct Waiting {
    records: VecDeque<Record>,
    /// Since the last of the records.
    dropped: u64,
    is_over: bool,
}

impl Queue {
    /// Never waits for the consumer: without room it is counted.
    pub(crate) fn push(&self, record: Record) {
        let mut waiting = self.lock();
        if waiting.is_over {
            return;
        }
        if waiting.records.len() < ROOM {
            waiting.records.push_back(record);
        } else {
            waiting.dropped += 1;
        }
        drop(waiting);
        self.news.notify_one();
    }

    /// Nothing more comes.
    pub(crate) fn end(&self) {
        self.lock().is_over = true;
        self.news.notify_one();
    }

    /// Everything that waits, at least one; `None` after the end.
    pub(crate) async fn next(&self) -> Option<Vec<Record>> {
        loop {
            if let Some(records) = self.take() {
                return Some(records).filter(|records| !records.is_empty());
            }
            self.news.notified().await;
        }
    }

    /// Nothing when there is none yet; none when there will be none.
    fn take(&self) -> Option<Vec<Record>> {
        let mut waiting = self.lock();
        let mut records = Vec::from(std::mem::take(&mut waiting.records));
        match std::mem::take(&mut waiting.dropped) {
            0 => {}
            dropped => records.push(Record::of_dropped(dropped)),
        }
        (!records.is_empty() || waiting.is_over).then_some(records)
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Level;

    fn record(number: usize) -> Record {
        Record { level: Level::Info, target: String::new(), message: number.to_string(), fields: Vec::new() }
    }

    #[tokio::test]
    async fn what_finds_no_room_is_counted_and_told_in_its_place() {
        let queue = Queue::default();
        (0..ROOM + 7).for_each(|number| queue.push(record(number)));
        let records = queue.next().await.unwrap();
        assert_eq!(records.len(), ROOM + 1);
        assert_eq!(records[ROOM - 1], record(ROOM - 1));
        assert_eq!(records[ROOM].text(), "records were dropped: the sink is too slow (count: 7)");
        queue.push(record(1));
        queue.end();
        queue.push(record(2));
        assert_eq!(queue.next().await, Some(vec![record(1)]), "and it begins to count anew");
        assert_eq!((queue.next().await, queue.next().await), (None, None));
    }

    #[tokio::test]
    async fn whoever_waits_hears_of_records_and_of_the_end() {
        let queue = Queue::default();
        let ((), records) = tokio::join!(async { queue.push(record(1)) }, queue.next());
        assert_eq!(records, Some(vec![record(1)]));
        let (none, ()) = tokio::join!(queue.next(), async { queue.end() });
        assert_eq!(none, None);
    }
}
