//! Queries, on a connection that cannot write and never waits for the one that does.

use std::path::PathBuf;
use std::sync::{Arc, mpsc};

use rusqlite::Connection;
use tokio::sync::oneshot;

use super::folder;
use crate::driver::ToReader;
use crate::driver::shared::Shared;
use crate::store::{Binding, Store, unlock_reader};
use crate::{Error, History, StoreError};

/// The way to the reader, for whoever replaces the files.
pub(in crate::driver) struct Readers(mpsc::Sender<ToReader>);

impl Readers {
    pub(super) fn new(reader: mpsc::Sender<ToReader>) -> Self {
        Self(reader)
    }

    /// Returns when nobody reads any more.
    pub(in crate::driver) fn close(&self) {
        let (closed, closing) = oneshot::channel();
        if self.0.send(ToReader::Close(closed)).is_ok() {
            // A reader that is gone has nothing open.
            let _ = closing.blocking_recv();
        }
    }

    pub(in crate::driver) fn open(&self) {
        let (opened, _) = oneshot::channel();
        let _ = self.0.send(ToReader::Open(opened));
    }
}

pub(super) fn start(
    path: PathBuf,
    binding: Option<Binding>,
    inbox: mpsc::Receiver<ToReader>,
    shared: Arc<Shared>,
) -> Result<(), Error> {
    let file = folder::history_file(&path);
    // Whether it is at home, the writer has asked before.
    let open = move || {
        let connection = Store::open_reader(&file)?;
        unlock_reader(&connection, binding.as_ref())?;
        Ok::<Connection, StoreError>(connection)
    };
    let mut connection = Some(open()?);
    let run = move || {
        loop {
            shared.readable.send_replace(connection.is_some());
            let Ok(message) = inbox.recv() else { return };
            match message {
                ToReader::Query(query) => query.answer(connection.as_ref().map(History::new)),
                ToReader::Close(done) => {
                    connection = None;
                    shared.readable.send_replace(false);
                    let _ = done.send(());
                }
                ToReader::Open(done) => {
                    let opened = open().map(|opened| connection = Some(opened));
                    let _ = done.send(opened.map_err(Error::from));
                }
                ToReader::Stop(done) => {
                    drop(Option::<Connection>::take(&mut connection));
                    let _ = done.send(());
                    return;
                }
            }
        }
    };
    let thread = std::thread::Builder::new().name("chasqui-reader".into()).spawn(run);
    thread.map(drop).map_err(|error| Error::Internal { detail: error.to_string() })
}
