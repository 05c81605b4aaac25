//! The one task: hands what happens to the engine's loop, and answers queries in between.

use std::ops::ControlFlow;
use std::sync::Arc;

use tokio::sync::mpsc::UnboundedReceiver;

use super::place::Place;
use super::timer::sleep;
use crate::driver::engine_loop::{BATCH, EngineLoop, Start, ToEngine};
use crate::driver::shared::Shared;
use crate::driver::{Query, ToReader};
use crate::engine::Input;
use crate::{Error, History};

pub(super) enum ToTask {
    Engine(ToEngine),
    Reader(ToReader),
}

/// Whether queries are answered: by the connection that the engine has.
pub(in crate::driver) struct Readers(Arc<Shared>);

impl Readers {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self(shared)
    }

    pub(in crate::driver) fn close(&self) {
        self.0.readable.send_replace(false);
    }

    pub(in crate::driver) fn open(&self) {
        self.0.readable.send_replace(true);
    }
}

pub(super) struct Task {
    engine: EngineLoop,
    place: Place,
    readers: Readers,
}

impl Task {
    pub(super) fn open(start: Start, shared: Arc<Shared>) -> Result<Self, Error> {
        let place = start.place.clone();
        let engine = EngineLoop::open(start)?;
        let readers = Readers::new(shared);
        readers.open();
        Ok(Self { engine, place, readers })
    }

    /// Ends when the client is stopped, or gone.
    pub(super) async fn run(mut self, mut inbox: UnboundedReceiver<ToTask>) {
        let mut next = Some(ToTask::Engine(ToEngine::Input(Input::Wake)));
        while let Some(first) = next {
            let mut waiting = vec![first];
            while waiting.len() < BATCH
                && let Ok(message) = inbox.try_recv()
            {
                waiting.push(message);
            }
            if self.take(waiting).await == ControlFlow::Break(()) {
                return;
            }
            next = match self.engine.until_wake() {
                None => inbox.recv().await,
                Some(pause) => tokio::select! {
                    biased;
                    message = inbox.recv() => message,
                    () = sleep(pause) => Some(ToTask::Engine(ToEngine::Input(Input::Wake))),
                },
            };
        }
        // Nobody holds the client any more. What is open closes with it.
        let (done, _) = tokio::sync::oneshot::channel();
        let _ = self.engine.take(vec![ToEngine::Stop(done)]);
    }

    async fn take(&mut self, waiting: Vec<ToTask>) -> ControlFlow<()> {
        let mut batch = Vec::new();
        for message in waiting {
            match message {
                ToTask::Engine(ToEngine::Resume(done)) => {
                    // What came before is dealt with while everything is still closed.
                    self.engine.take(std::mem::take(&mut batch))?;
                    match self.place.open().await {
                        Ok(()) => self.engine.take(vec![ToEngine::Resume(done)])?,
                        Err(error) => drop(done.send(Err(error))),
                    }
                }
                ToTask::Engine(message) => batch.push(message),
                ToTask::Reader(ToReader::Query(query)) => {
                    self.engine.take(std::mem::take(&mut batch))?;
                    self.answer(query);
                }
                ToTask::Reader(ToReader::Open(done)) => {
                    let is_open = self.engine.history().is_some();
                    if is_open {
                        self.readers.open();
                    }
                    let _ = done.send(if is_open { Ok(()) } else { Err(Error::Suspended) });
                }
                ToTask::Reader(ToReader::Close(done) | ToReader::Stop(done)) => {
                    self.readers.close();
                    let _ = done.send(());
                }
            }
        }
        self.engine.take(batch)
    }

    fn answer(&self, query: Query) {
        let history: Option<History<'_>> = self.engine.history().filter(|_| *self.readers.0.readable.borrow());
        query.answer(history);
    }
}
