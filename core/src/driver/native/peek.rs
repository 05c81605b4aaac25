//! Peeking: a folder that belongs to somebody else is read, the node is asked, and nothing is kept.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use chasqui_wire::Entry;
use tokio::time::Instant;

use super::{Network, folder};
use crate::client::Config;
use crate::domain::Peeked;
use crate::driver::api::{Api, Credentials};
use crate::driver::shared::Shared;
use crate::engine;
use crate::store::{AccountRow, Binding, unlock_reader};
use crate::{Error, StoreError, ordered};

/// Names that are asked for: a notification for each of more people nobody reads.
const NAMES: usize = 8;

pub(crate) async fn peek(config: &Config, within: Duration) -> Result<Peeked, Error> {
    // Its own, so that any executor will do. Dropping it ends whatever is still under way.
    let network = Network::start()?;
    let (folder, node, binding) = (config.folder.clone(), config.node.clone(), config.home.binding.clone());
    let work = network.net()?.0.spawn(async move {
        // A day is longer than anybody waits, and a time that can be added.
        let deadline = Instant::now() + within.min(Duration::from_secs(24 * 3600));
        let late = || Error::Offline { detail: "the time is over".into() };
        let looking = look(folder, &node, binding);
        let (mut peeked, api) = tokio::time::timeout_at(deadline, looking).await.map_err(|_| late())??;
        // A name that does not come in time is not waited for.
        let _ = tokio::time::timeout_at(deadline, add_names(&mut peeked, &api)).await;
        Ok(peeked)
    });
    work.await.unwrap_or_else(|_| Err(Error::Internal { detail: "peeking panicked".into() }))
}

async fn look(folder: PathBuf, node: &str, binding: Option<Binding>) -> Result<(Peeked, Api), Error> {
    let (folder, account, binding) = on_disk(move || {
        let account = read(&folder, |db| {
            if !unlock_reader(db, binding.as_ref())? {
                return Ok(Err(Error::OtherDevice));
            }
            Ok(Ok(AccountRow::load(db)?.filter(|row| row.enrolled && !row.copied)))
        })??;
        Ok((folder, account.ok_or(Error::NotEnrolled)?, binding))
    })
    .await?;
    let api = Api::new(node, Arc::new(Shared::new()))?;
    let AccountRow { realm, device, ref device_seed, .. } = account;
    api.set_credentials(Some(Credentials { realm, device, device_seed: device_seed.clone() }));
    let (mail, has_more): (Vec<Entry>, bool) = api.peek().await?;
    // As the history is now: the app may have taken some of it meanwhile.
    let peeked = on_disk(move || {
        read(&folder, |db| {
            unlock_reader(db, binding.as_ref())?;
            engine::peek(db, &account, &mail)
        })
    })
    .await?;
    Ok((Peeked { has_more, ..peeked }, api))
}

/// The database is held only while it is read: a process that is frozen with a lock on a shared file is killed for it.
fn read<T>(folder: &Path, query: impl FnOnce(&rusqlite::Connection) -> Result<T, StoreError>) -> Result<T, Error> {
    let connection = folder::open_beside(folder)?.ok_or(Error::NotEnrolled)?;
    // One moment for all that is read.
    let transaction = connection.unchecked_transaction().map_err(StoreError::from)?;
    Ok(query(&transaction)?)
}

/// Off the thread that counts the time.
async fn on_disk<T: Send + 'static>(work: impl FnOnce() -> Result<T, Error> + Send + 'static) -> Result<T, Error> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|_| Err(Error::Internal { detail: "peeking panicked".into() }))
}

async fn add_names(peeked: &mut Peeked, api: &Api) {
    let nameless = peeked.messages.iter().filter(|message| message.sender_name.is_none());
    let nameless = ordered::set(nameless.map(|message| message.sender));
    for user in nameless.into_iter().take(NAMES) {
        let Ok(found) = api.user(user).await else { continue };
        for message in peeked.messages.iter_mut().filter(|message| message.sender == user) {
            message.sender_name = Some(found.name.clone());
        }
    }
}
