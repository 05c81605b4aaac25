//! The data folder: one account, one client at a time; and what becomes of it when its files are damaged.
//!
//! Guarantees as on every platform: damaged files are kept as they are, and a new history takes their place only once it is
//! complete. Files here cannot be renamed. So histories are numbered, and a mark, which is there or not, says which one counts.

use std::path::{Path, PathBuf};

use tokio::sync::oneshot;
use wasm_bindgen_futures::spawn_local;

use super::place::Place;
use crate::Error;
use crate::domain::Salvage;
use crate::store::{Damage, salvage};

/// A history was made here.
const USED: &str = "used";
/// A client has the history open, or had when it was killed.
const IN_USE: &str = "in-use";
/// Stands there while everything is being removed; what a crash interrupted goes on at the next opening.
const WIPING: &str = "wiping";

/// An open folder, held until it is dropped.
pub(in crate::driver) struct Folder {
    place: Place,
    /// The history that counts.
    number: std::cell::Cell<u32>,
    /// What the last client left behind looks damaged.
    suspicion: Option<Damage>,
}

impl Folder {
    pub(in crate::driver) fn open(place: &Place) -> Result<Self, Error> {
        // From here on it is let go of, whatever happens.
        let mut folder = Self { place: place.clone(), number: 1.into(), suspicion: None };
        let mut names = place.names()?;
        if names.iter().any(|name| name == WIPING) {
            for name in names.drain(..).filter(|name| name != WIPING) {
                place.remove(&name)?;
            }
            place.remove(WIPING)?;
        }
        let number = names.iter().filter_map(|name| name.strip_prefix("current-")?.parse().ok()).max().unwrap_or(1);
        folder.number = number.into();
        folder.remove_history(number + 1)?;
        folder.suspicion = suspicion(&names, &history(number)).filter(|_| place.is_persistent());
        Ok(folder)
    }

    /// The history's file.
    pub(in crate::driver) fn history(&self) -> PathBuf {
        self.place.path(&history(self.number.get()))
    }

    /// What looks damaged from outside, once.
    pub(in crate::driver) fn take_suspicion(&mut self) -> Option<Damage> {
        self.suspicion.take()
    }

    /// From here on a log that is gone is missed.
    pub(in crate::driver) fn mark_in_use(&mut self) -> Result<(), Error> {
        self.place.mark(USED)?;
        self.place.mark(IN_USE)
    }

    /// Nothing will be committed any more: the log may go.
    pub(in crate::driver) fn mark_closed(&mut self) {
        // If it stays, the log that SQLite merges now will be missed once: said too much, not too little.
        if let Err(error) = self.place.remove(IN_USE) {
            tracing::warn!(%error, "the folder could not be marked as closed");
        }
    }

    /// Saves what can be read of the history into a new one, which takes its place. Nobody may have it open.
    pub(in crate::driver) fn salvage(&self, damage: &Damage) -> Result<Salvage, Error> {
        tracing::error!(cause = damage.cause, "the history is damaged: what can be read is saved into a new one");
        let (damaged, fresh) = (self.number.get(), self.number.get() + 1);
        self.remove_history(fresh)?;
        let is_there = !self.place.is_persistent() || self.place.names()?.contains(&history(damaged));
        let (source, into) = (self.place.path(&history(damaged)), self.place.path(&history(fresh)));
        let saved = salvage(is_there.then_some(source.as_path()), &into, damage, history(damaged));
        let report = saved.inspect_err(|_| drop(self.remove_history(fresh)))?;
        self.place.mark(&format!("current-{fresh}"))?;
        self.number.set(fresh);
        tracing::warn!(?report, "a new history is in place");
        Ok(report)
    }

    /// Being written when a crash came, or about to be.
    fn remove_history(&self, number: u32) -> Result<(), Error> {
        let name = history(number);
        ["-wal", "-journal", ""].iter().try_for_each(|suffix| self.place.remove(&format!("{name}{suffix}")))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        self.place.release();
    }
}

fn history(number: u32) -> String {
    format!("history-{number}.db")
}

/// What SQLite would take for a history that is merely empty, or merely older.
fn suspicion(names: &[String], history: &str) -> Option<Damage> {
    let is_there = |name: &str| names.iter().any(|found| found == name);
    let damage = |cause: &str| Some(Damage { cause: cause.to_owned(), is_log_missing: true });
    if is_there(USED) && !is_there(history) {
        damage("the database is gone")
    } else if is_there(IN_USE) && !is_there(&format!("{history}-wal")) {
        // A log exists from the first use until whoever closes last has merged it.
        damage("the log of what was committed last is gone")
    } else {
        None
    }
}

/// Removes everything that a client keeps in its folder, unless another client has it open. Once begun it will end: at the
/// next opening, if not now.
pub(crate) async fn wipe(folder: &Path) -> Result<(), Error> {
    let (folder, (done, wiped)) = (folder.to_owned(), oneshot::channel());
    spawn_local(async move {
        let wipe = async {
            let place = Place::reach(&folder).await?;
            place.mark(WIPING)?;
            place.erase().await
        };
        let _ = done.send(wipe.await);
    });
    wiped.await.map_err(|_| crate::driver::ended())?
}
