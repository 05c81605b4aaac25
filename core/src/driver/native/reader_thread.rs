//! Queries, on a connection that cannot write and never waits for the one that does.

use std::path::PathBuf;
use std::sync::mpsc;

use rusqlite::Connection;
use tokio::sync::oneshot;

use super::folder;
use crate::store::Store;
use crate::{Error, History};

/// Gets `None` while the client is suspended.
pub(super) type Query = Box<dyn FnOnce(Option<History<'_>>) + Send>;

pub(super) enum ToReader {
    Query(Query),
    Close(oneshot::Sender<()>),
    Open(oneshot::Sender<Result<(), Error>>),
    Stop(oneshot::Sender<()>),
}

pub(super) fn start(path: PathBuf, inbox: mpsc::Receiver<ToReader>) -> Result<(), Error> {
    let file = folder::history_file(&path);
    let mut connection = Some(Store::open_reader(&file)?);
    let run = move || {
        while let Ok(message) = inbox.recv() {
            match message {
                ToReader::Query(query) => query(connection.as_ref().map(History::new)),
                ToReader::Close(done) => {
                    connection = None;
                    let _ = done.send(());
                }
                ToReader::Open(done) => {
                    let opened = Store::open_reader(&file).map(|opened| connection = Some(opened));
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
