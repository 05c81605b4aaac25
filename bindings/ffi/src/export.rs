//! Exports, a page at a time: where the bytes go is the platform's business (a file, a content URI, a share sheet).

use std::sync::Arc;

use tokio::sync::Mutex;

use crate::error::ChasquiError;

/// An export that is being taken.
#[derive(uniffi::Object)]
pub struct NativeExport(Mutex<chasqui::ExportPages>);

impl NativeExport {
    pub(crate) fn new(pages: chasqui::ExportPages) -> Arc<Self> {
        Arc::new(Self(Mutex::new(pages)))
    }
}

#[uniffi::export]
impl NativeExport {
    /// The next whole lines, or nothing after the last.
    pub async fn next(&self) -> Result<Option<Vec<u8>>, ChasquiError> {
        Ok(self.0.lock().await.next().await?)
    }
}
