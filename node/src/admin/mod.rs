//! What an operator may change on a node: through its admin socket while it runs, on its folder while it does not.
//!
//! The socket lies in the data folder and is open to whoever may enter that: its owner. It asks for no password and can
//! not be reached from another machine.

#[cfg(unix)]
mod client;
#[cfg(unix)]
mod server;

use std::path::{Path, PathBuf};

use chasqui_wire::{DeviceId, ErrorCode, UserId};
use serde::{Deserialize, Serialize};

use crate::config::Config;
use crate::relay::{Accounts, Manifest, Refusal, Relay, RelayError, Restored, Storage};
use crate::serve::clock;
#[cfg(unix)]
pub(crate) use server::{Door, open};

/// What a node is asked.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case")]
pub(crate) enum Order {
    /// Answered by [`Done::Revoked`].
    RevokeDevice { device: DeviceId },
    /// Answered by [`Done::Deleted`].
    DeleteUser { id_or_name: String },
    /// Answered by [`Done::BackedUp`].
    Backup { target: PathBuf },
}

/// What it did.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "done", rename_all = "snake_case")]
pub(crate) enum Done {
    Revoked { user: UserId },
    Deleted { user: UserId },
    BackedUp { manifest: Manifest },
}

/// Why it was not done.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AdminError {
    /// The data cannot be opened, or does not hold what was asked for.
    #[error(transparent)]
    Relay(#[from] RelayError),
    /// The node that runs refused, in its words.
    #[error("the node says: {0}")]
    Refused(String),
    /// Something listens on the admin socket and does not speak like a node.
    #[error("the node cannot be asked through {}: {problem}", socket.display())]
    Unreachable {
        /// Which.
        socket: PathBuf,
        /// Why.
        problem: String,
    },
}

impl From<Refusal> for AdminError {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal.detail.to_owned())
    }
}

/// Shuts a device out; its mail is dropped, and reported to those who wrote it. Returns whose it was. Again is no error.
///
/// # Errors
/// [`AdminError`].
pub async fn revoke_device(config: &Config, device: DeviceId) -> Result<UserId, AdminError> {
    match carry_out(config, Order::RevokeDevice { device }).await? {
        Done::Revoked { user } => Ok(user),
        Done::Deleted { .. } | Done::BackedUp { .. } => Err(another_answer()),
    }
}

/// Deletes an account, as its owner can: what it had sent is still delivered, everything else of it goes. Returns whose.
///
/// # Errors
/// [`AdminError`].
pub async fn delete_user(config: &Config, id_or_name: &str) -> Result<UserId, AdminError> {
    match carry_out(config, Order::DeleteUser { id_or_name: id_or_name.to_owned() }).await? {
        Done::Deleted { user } => Ok(user),
        Done::Revoked { .. } | Done::BackedUp { .. } => Err(another_answer()),
    }
}

/// Copies everything as it is now into `target`, an absolute path that the node may write, missing or empty.
///
/// # Errors
/// [`AdminError`].
pub async fn back_up(config: &Config, target: &Path) -> Result<Manifest, AdminError> {
    match carry_out(config, Order::Backup { target: target.to_owned() }).await? {
        Done::BackedUp { manifest } => Ok(manifest),
        Done::Revoked { .. } | Done::Deleted { .. } => Err(another_answer()),
    }
}

fn another_answer() -> AdminError {
    AdminError::Refused("an answer to another question".to_owned())
}

/// Brings a backup back into the data folder of `config`, which must be missing or empty, and begins a new era.
///
/// # Errors
/// [`RelayError`].
pub fn restore(config: &Config, backup: &Path) -> Result<Restored, RelayError> {
    crate::relay::restore(backup, &config.data, config.relay_options(), clock::now(), clock::random())
}

async fn carry_out(config: &Config, order: Order) -> Result<Done, AdminError> {
    #[cfg(unix)]
    if let Some(done) = client::ask(&config.data, &order).await? {
        return Ok(done);
    }
    crate::inspect::Inspection::open(&config.data)?;
    let storage = Storage::folder(&config.data);
    let mut relay = Relay::open(storage, config.relay_options(), clock::now(), clock::random())?;
    let done = match order {
        Order::RevokeDevice { device } => {
            let (revoked, _nobody_listens) = relay.call(clock::now(), |accounts| revoke(accounts, device))?;
            Done::Revoked { user: revoked? }
        }
        Order::DeleteUser { id_or_name } => {
            let (deleted, _nobody_listens) = relay.call(clock::now(), |accounts| delete(accounts, &id_or_name))?;
            Done::Deleted { user: deleted? }
        }
        Order::Backup { target } => Done::BackedUp { manifest: relay.begin_backup(&target, clock::now())?.finish()? },
    };
    relay.settle_down(clock::now())?;
    Ok(done)
}

const NO_DEVICE: Refusal = Refusal { code: ErrorCode::NotFound, detail: "there is no such device", retry_after_ms: 0 };

const NO_USER: Refusal = Refusal { code: ErrorCode::UnknownUser, detail: "there is no such user", retry_after_ms: 0 };

fn revoke(accounts: &mut Accounts<'_, '_>, device: DeviceId) -> Result<Result<UserId, Refusal>, RelayError> {
    let Some((user, _)) = accounts.device_owner(device)? else { return Ok(Err(NO_DEVICE)) };
    Ok(accounts.revoke(user, device)?.map(|()| user))
}

fn delete(accounts: &mut Accounts<'_, '_>, id_or_name: &str) -> Result<Result<UserId, Refusal>, RelayError> {
    let user = match id_or_name.parse() {
        Ok(user) => Some(user),
        Err(_) => accounts.find_user_by_name(id_or_name)?.map(|known| known.user),
    };
    let Some(user) = user else { return Ok(Err(NO_USER)) };
    Ok(accounts.delete(user)?.map(|()| user))
}

/// Where the admin socket of a data folder lies.
#[cfg(unix)]
fn socket(data: &Path) -> PathBuf {
    data.join("admin.sock")
}
