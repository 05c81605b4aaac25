//! Backups, a piece at a time: where the bytes go, and where they come from, is the platform's business.

use std::sync::Arc;

use tokio::sync::Mutex;

use crate::error::ChasquiError;

/// See [`chasqui::Client::new_recovery_phrase`]. A function of its own: objects of UniFFI have no static ones.
#[uniffi::export]
pub fn native_new_recovery_phrase() -> Result<String, ChasquiError> {
    Ok(chasqui::Client::new_recovery_phrase()?)
}

/// A backup that is being made.
#[derive(uniffi::Object)]
pub struct NativeBackup(Mutex<chasqui::BackupPages>);

impl NativeBackup {
    pub(crate) fn new(pages: chasqui::BackupPages) -> Arc<Self> {
        Arc::new(Self(Mutex::new(pages)))
    }
}

#[uniffi::export]
impl NativeBackup {
    /// The next bytes of the file, or nothing after the last.
    pub async fn next(&self) -> Result<Option<Vec<u8>>, ChasquiError> {
        Ok(self.0.lock().await.next().await?)
    }
}

/// A backup that is being restored.
#[derive(uniffi::Object)]
pub struct NativeRestore(Mutex<Option<chasqui::Restore>>);

impl NativeRestore {
    pub(crate) fn new(restore: chasqui::Restore) -> Arc<Self> {
        Arc::new(Self(Mutex::new(Some(restore))))
    }
}

#[uniffi::export]
impl NativeRestore {
    /// The next bytes of the file, as many as there are.
    pub async fn push(&self, bytes: Vec<u8>) -> Result<(), ChasquiError> {
        let mut held = self.0.lock().await;
        Ok(held.as_mut().ok_or_else(finished)?.push(&bytes).await?)
    }

    /// There are no more bytes.
    pub async fn finish(&self) -> Result<(), ChasquiError> {
        Ok(self.0.lock().await.take().ok_or_else(finished)?.finish()?)
    }
}

fn finished() -> ChasquiError {
    ChasquiError::Invalid { detail: "the restore was finished before".to_owned() }
}
