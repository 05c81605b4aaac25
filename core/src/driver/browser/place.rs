//! Where a history lies: a folder of the origin's private file system (OPFS), or memory where a browser has none.
//!
//! Guarantees: a folder is held by one worker at a time, for as long as it is open; another one gets [`Error::FolderInUse`].

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::rc::Rc;

use rusqlite::{Connection, OpenFlags};
use sqlite_wasm_rs::WasmOsCallback;
use sqlite_wasm_rs::vfs::VfsFilesManager as _;
use sqlite_wasm_vfs::sahpool::{self, OpfsSAHError, OpfsSAHPoolCfgBuilder, OpfsSAHPoolUtil};
use wasm_bindgen::{JsCast as _, JsValue};
use wasm_bindgen_futures::JsFuture;
use web_sys::{DedicatedWorkerGlobalScope, FileSystemDirectoryHandle, FileSystemRemoveOptions};

use super::timer::worker;
use crate::Error;
use crate::driver::api::percent_encoded;

/// Files that can be made without waiting: the fresh history of a salvage with its logs, and marks.
const SPARE_FILES: usize = 10;

thread_local! {
    /// What lies in memory, by folder: which files are there. SQLite holds what is in them.
    static MEMORY: RefCell<BTreeMap<String, Names>> = RefCell::default();
}

type Names = Rc<RefCell<BTreeSet<String>>>;

/// A folder's files. Cheap to clone.
#[derive(Clone)]
pub(in crate::driver) struct Place {
    /// As the app named it.
    folder: String,
    files: Files,
}

#[derive(Clone)]
enum Files {
    Private(OpfsSAHPoolUtil),
    Memory(Names),
}

impl Place {
    /// Finds the folder, makes it if it is not there, and holds it.
    pub(super) async fn reach(folder: &Path) -> Result<Self, Error> {
        let name = folder.to_str().filter(|name| !name.is_empty());
        let name = name.ok_or(Error::Invalid { detail: "the folder has no name".into() })?.to_owned();
        let config = OpfsSAHPoolCfgBuilder::new().vfs_name(&vfs(&name)).directory(&name).build();
        let files = match sahpool::install::<WasmOsCallback>(&config, false).await {
            Ok(pool) => Files::Private(pool),
            Err(error) if is_not_there(&error) => {
                tracing::warn!(%error, "no private file system: the history lies in memory");
                Files::Memory(MEMORY.with_borrow_mut(|memory| Rc::clone(memory.entry(name.clone()).or_default())))
            }
            Err(error) => return Err(unusable(&name, &error)),
        };
        let place = Self { folder: name, files };
        place.open().await?;
        Ok(place)
    }

    pub(super) fn is_persistent(&self) -> bool {
        matches!(self.files, Files::Private(_))
    }

    /// Holds the folder again after [`Self::release`].
    pub(super) async fn open(&self) -> Result<(), Error> {
        let Files::Private(pool) = &self.files else { return Ok(()) };
        let unusable = |error: OpfsSAHError| unusable(&self.folder, &error);
        if pool.is_paused() {
            pool.resume().await.map_err(unusable)?;
        }
        let files = pool.len().map_err(unusable)?;
        pool.ensure_capacity(files + SPARE_FILES).await.map_err(unusable)
    }

    /// Lets go of the folder. Nothing in it may be open.
    pub(super) fn release(&self) {
        if let Files::Private(pool) = &self.files
            && let Err(error) = pool.pause()
        {
            tracing::error!(%error, "the folder is still held");
        }
    }

    /// What SQLite opens.
    pub(super) fn path(&self, file: &str) -> PathBuf {
        match &self.files {
            Files::Private(_) => format!("file:{file}?vfs={}", vfs(&self.folder)),
            Files::Memory(_) => format!("file:{}/{file}?vfs=memvfs", percent_encoded(&self.folder)),
        }
        .into()
    }

    pub(super) fn names(&self) -> Result<Vec<String>, Error> {
        match &self.files {
            Files::Private(pool) => pool.names().map_err(|error| unusable(&self.folder, &error)),
            Files::Memory(names) => Ok(names.borrow().iter().cloned().collect()),
        }
    }

    /// Makes an empty file, durably, if it is not there.
    pub(super) fn mark(&self, file: &str) -> Result<(), Error> {
        if let Files::Memory(names) = &self.files {
            names.borrow_mut().insert(file.to_owned());
            return Ok(());
        }
        // To open is to make.
        let made = Connection::open_with_flags(self.path(file), OpenFlags::default());
        made.map(drop).map_err(|error| Error::from(crate::StoreError::from(error)))
    }

    /// What is not there is removed already.
    pub(super) fn remove(&self, file: &str) -> Result<(), Error> {
        match &self.files {
            Files::Private(pool) => pool.remove(file).map(drop).map_err(|error| unusable(&self.folder, &error)),
            Files::Memory(names) => {
                names.borrow_mut().remove(file);
                Ok(())
            }
        }
    }

    /// Removes every file, and the folder.
    pub(super) async fn erase(&self) -> Result<(), Error> {
        let unusable = |error: OpfsSAHError| unusable(&self.folder, &error);
        match &self.files {
            Files::Private(pool) => {
                pool.clear().map_err(unusable)?;
                pool.pause().map_err(unusable)?;
                // An empty folder that stays says nothing.
                if let Err(error) = remove_folder(&self.folder).await {
                    tracing::warn!(?error, "the empty folder stays");
                }
            }
            Files::Memory(names) => names.borrow_mut().clear(),
        }
        Ok(())
    }
}

/// SQLite's name of a folder.
fn vfs(folder: &str) -> String {
    format!("opfs-{}", percent_encoded(folder).replace('%', "_"))
}

async fn remove_folder(folder: &str) -> Result<(), JsValue> {
    let worker: DedicatedWorkerGlobalScope = worker().dyn_into()?;
    let root = JsFuture::from(worker.navigator().storage().get_directory()).await?;
    let mut folder_of: FileSystemDirectoryHandle = root.dyn_into()?;
    let mut parts: Vec<&str> = folder.split('/').filter(|part| !part.is_empty()).collect();
    let Some(last) = parts.pop() else { return Ok(()) };
    for part in parts {
        folder_of = JsFuture::from(folder_of.get_directory_handle(part)).await?.dyn_into()?;
    }
    let options = FileSystemRemoveOptions::new();
    options.set_recursive(true);
    JsFuture::from(folder_of.remove_entry_with_options(last, &options)).await.map(drop)
}

/// Whether the browser has no such file system, or not for this page.
fn is_not_there(error: &OpfsSAHError) -> bool {
    match error {
        OpfsSAHError::NotSupported => true,
        OpfsSAHError::Opfs { operation, value, .. } => {
            *operation == "get OPFS root" || ["SecurityError", "NotSupportedError"].contains(&name_of(value).as_str())
        }
        _ => false,
    }
}

fn unusable(folder: &str, error: &OpfsSAHError) -> Error {
    let detail = format!("the folder {folder} cannot be used: {error}");
    match error {
        OpfsSAHError::Opfs { value, .. } => match name_of(value).as_str() {
            "NoModificationAllowedError" | "InvalidStateError" => Error::FolderInUse,
            "QuotaExceededError" => Error::StorageFull,
            _ => Error::Invalid { detail },
        },
        OpfsSAHError::Cleanup { error, .. } => unusable(folder, error),
        OpfsSAHError::ShortIo { .. } => Error::StorageFull,
        OpfsSAHError::InvalidHeader { .. } | OpfsSAHError::DuplicateFilename(_) => Error::Corrupt { detail },
        OpfsSAHError::FilesInUse | OpfsSAHError::Busy | OpfsSAHError::DirectoryInUse(_) => Error::FolderInUse,
        _ => Error::Invalid { detail },
    }
}

/// The name of an exception.
fn name_of(exception: &JsValue) -> String {
    js_sys::Reflect::get(exception, &"name".into()).ok().and_then(|name| name.as_string()).unwrap_or_default()
}
