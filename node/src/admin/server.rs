//! The admin socket of a node that runs.

use std::io;
use std::path::{Path, PathBuf};

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use axum::routing::post;
use axum::{Json, Router};
use tokio::net::UnixListener;
use tokio::task::JoinHandle;

use super::{Done, Order, delete, revoke};
use crate::relay::RelayError;
use crate::serve::{CallError, RelayHandle, clock};

/// The socket that is open. Dropping it closes and removes it.
pub(crate) struct Door {
    path: PathBuf,
    task: JoinHandle<io::Result<()>>,
}

impl Drop for Door {
    fn drop(&mut self) {
        self.task.abort();
        // Whatever stays is replaced by the next start.
        drop(std::fs::remove_file(&self.path));
    }
}

/// Listens in the data folder, whose lock the caller holds: what lies there was left by a crash.
///
/// # Errors
/// The socket cannot be made, e.g. because its path is too long for the operating system.
pub(crate) fn open(data: &Path, relay: RelayHandle) -> io::Result<Door> {
    let path = super::socket(data);
    match std::fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    let listener = UnixListener::bind(&path)?;
    std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o600))?;
    let router = Router::new().route("/v1/order", post(order)).with_state(relay);
    let task = tokio::spawn(axum::serve(listener, router).into_future());
    Ok(Door { path, task })
}

async fn order(State(relay): State<RelayHandle>, Json(order): Json<Order>) -> Response {
    match carry_out(&relay, order).await {
        Ok(done) => Json(done).into_response(),
        Err(refusal) => (StatusCode::CONFLICT, refusal).into_response(),
    }
}

async fn carry_out(relay: &RelayHandle, order: Order) -> Result<Done, String> {
    match order {
        Order::RevokeDevice { device } => {
            tracing::info!(%device, "the operator revokes a device");
            let revoked = relay.call(move |accounts| revoke(accounts, device)).await.map_err(in_words)?;
            Ok(Done::Revoked { user: revoked.map_err(|refusal| refusal.detail.to_owned())? })
        }
        Order::DeleteUser { id_or_name } => {
            tracing::info!("the operator deletes an account");
            let deleted = relay.call(move |accounts| delete(accounts, &id_or_name)).await.map_err(in_words)?;
            Ok(Done::Deleted { user: deleted.map_err(|refusal| refusal.detail.to_owned())? })
        }
        Order::Backup { target } => {
            tracing::info!("the operator begins a backup");
            let begun = relay.with(move |relay| relay.begin_backup(&target, clock::now())).await;
            let backup = begun.map_err(in_words)?.map_err(|error| error.to_string())?;
            let made = tokio::task::spawn_blocking(move || backup.finish()).await;
            let manifest = made.map_err(|_| "the backup ended with a bug".to_owned())?;
            let manifest = manifest.map_err(|error: RelayError| error.to_string())?;
            tracing::info!(messages = manifest.messages, "the backup is whole");
            Ok(Done::BackedUp { manifest })
        }
    }
}

fn in_words(error: CallError) -> String {
    match error {
        CallError::Stopped => "the node stops".to_owned(),
        CallError::Relay(error) => error.to_string(),
    }
}
