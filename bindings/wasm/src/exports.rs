//! What the worker's JavaScript calls. Everything is text or a `Blob`; errors are the text of [`crate::error_shape`].

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;

use chasqui::{Client, Error, Restore};
use chasqui_log::Listener;
use tokio::sync::Notify;
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::JsFuture;
use web_sys::{Blob, BlobPropertyBag};

use crate::answer::{Answer, Pages};
use crate::request::read;
use crate::watch::{Observer, Topic};

/// Prints panics before they trap.
#[wasm_bindgen(start)]
fn start() {
    std::panic::set_hook(Box::new(|panic| web_sys::console::error_1(&panic.to_string().into())));
}

/// An open client.
#[wasm_bindgen]
pub struct Core {
    client: Client,
    watches: Watches,
    is_gone: Rc<Cell<bool>>,
}

/// Of a file of a tab that is read at once, in bytes.
const PIECE: u32 = 256 * 1024;

type Watches = Rc<RefCell<BTreeMap<String, Rc<Watch>>>>;

/// Somebody watches, under a name that the tab made.
struct Watch {
    /// Nobody has it while its news are being waited for.
    observer: RefCell<Option<Observer>>,
    topic: RefCell<Topic>,
    /// The topic changed, or nobody watches any more.
    changed: Notify,
}

#[wasm_bindgen]
impl Core {
    /// Opens the client that the configuration (JSON) describes.
    pub async fn open(config: String) -> Result<Core, JsValue> {
        let client = async { crate::open(&config)?.client().await };
        let client = client.await.map_err(thrown)?;
        Ok(Self { client, watches: Rc::default(), is_gone: Rc::default() })
    }

    /// Whether the history outlives the page.
    #[wasm_bindgen(getter, js_name = isPersistent)]
    pub fn is_persistent(&self) -> bool {
        self.client.is_persistent()
    }

    /// Whether the history was removed, and the client is closed for good.
    #[wasm_bindgen(getter, js_name = isGone)]
    pub fn is_gone(&self) -> bool {
        self.is_gone.get()
    }

    /// A new recovery phrase. Needs no open client.
    #[wasm_bindgen(js_name = newRecoveryPhrase)]
    pub fn new_recovery_phrase() -> Result<String, JsValue> {
        Client::new_recovery_phrase().map_err(thrown)
    }

    /// Carries out a request (JSON), with a file if it is about one; resolves to JSON or a `Blob`. `again`: it was asked before, of
    /// a worker that is gone.
    pub fn call(&self, request: String, again: bool, file: Option<Blob>) -> js_sys::Promise {
        let (client, is_gone) = (self.client.clone(), Rc::clone(&self.is_gone));
        wasm_bindgen_futures::future_to_promise(async move {
            let answered = async { crate::answer(&client, crate::request(&request)?, again).await };
            match answered.await.map_err(thrown)? {
                Answer::Value(value) => Ok(value.to_string().into()),
                Answer::Last(value) => {
                    is_gone.set(true);
                    Ok(value.to_string().into())
                }
                Answer::File(pages) => blob(pages).await,
                Answer::Restore(restore) => {
                    let missing = || Error::Invalid { detail: "there is no file".into() };
                    restored(restore, &file.ok_or_else(missing).map_err(thrown)?).await.map_err(thrown)?;
                    Ok(serde_json::Value::Null.to_string().into())
                }
            }
        })
    }

    /// The next piece of news (JSON) for who watches a topic (JSON) under that name; begins to watch with the first call.
    /// Resolves to `undefined` when that ends.
    pub fn next(&self, name: String, topic: String) -> js_sys::Promise {
        let (client, watches) = (self.client.clone(), Rc::clone(&self.watches));
        wasm_bindgen_futures::future_to_promise(async move {
            let topic: Topic = read(&topic).map_err(thrown)?;
            let watch = Rc::clone(watches.borrow_mut().entry(name.clone()).or_insert_with(|| {
                let observer = RefCell::new(Some(Observer::new(&client, topic)));
                Rc::new(Watch { observer, topic: RefCell::new(topic), changed: Notify::new() })
            }));
            let busy = || thrown(Error::Invalid { detail: "the last piece of news is still being waited for".into() });
            let mut observer = watch.observer.borrow_mut().take().ok_or_else(busy)?;
            *watch.topic.borrow_mut() = topic;
            let is_watched = || watches.borrow().get(&name).is_some_and(|held| Rc::ptr_eq(held, &watch));
            let news = loop {
                observer.set_limit(*watch.topic.borrow());
                tokio::select! {
                    news = observer.next() => break Some(news),
                    () = watch.changed.notified() => if !is_watched() { break None },
                }
            };
            *watch.observer.borrow_mut() = Some(observer);
            match news {
                Some(news) => news.map(|news| news.to_string().into()).map_err(thrown),
                None => Ok(JsValue::UNDEFINED),
            }
        })
    }

    /// Changes how much is watched, also for who waits already.
    pub fn retopic(&self, name: &str, topic: &str) -> Result<(), JsValue> {
        let topic: Topic = read(topic).map_err(thrown)?;
        if let Some(watch) = self.watches.borrow().get(name) {
            *watch.topic.borrow_mut() = topic;
            watch.changed.notify_one();
        }
        Ok(())
    }

    /// Nobody watches under this name any more.
    pub fn unwatch(&self, name: &str) {
        if let Some(watch) = self.watches.borrow_mut().remove(name) {
            watch.changed.notify_one();
        }
    }

    /// Nobody watches any more under names that begin so.
    #[wasm_bindgen(js_name = unwatchAll)]
    pub fn unwatch_all(&self, prefix: &str) {
        let gone: Vec<String> = self.watches.borrow().keys().filter(|name| name.starts_with(prefix)).cloned().collect();
        gone.iter().for_each(|name| self.unwatch(name));
    }

    /// Lets go of the socket and the files.
    pub fn suspend(&self) -> js_sys::Promise {
        let client = self.client.clone();
        wasm_bindgen_futures::future_to_promise(async move { client.suspend().await.map(nothing).map_err(thrown) })
    }

    /// Opens everything again.
    pub fn resume(&self) -> js_sys::Promise {
        let client = self.client.clone();
        wasm_bindgen_futures::future_to_promise(async move { client.resume().await.map(nothing).map_err(thrown) })
    }

    /// Closes the socket and the files, for good.
    pub fn close(&self) -> js_sys::Promise {
        let client = self.client.clone();
        wasm_bindgen_futures::future_to_promise(async move { client.close().await.map(nothing).map_err(thrown) })
    }
}

/// Gets the core's log, in the place of whoever did before.
#[wasm_bindgen]
pub struct Log(Rc<Listener>);

#[wasm_bindgen]
impl Log {
    /// Begins at once. `level` as in a record.
    #[wasm_bindgen(constructor)]
    pub fn new(level: &str) -> Result<Log, JsValue> {
        let level = crate::log_level(level).map_err(thrown)?;
        Ok(Self(Rc::new(Listener::start(level))))
    }

    /// Waits for records (JSON), at least one. Resolves to `undefined` once it was stopped or replaced.
    pub fn next(&self) -> js_sys::Promise {
        let listener = Rc::clone(&self.0);
        wasm_bindgen_futures::future_to_promise(async move {
            let records = listener.next().await;
            Ok(records.map_or(JsValue::UNDEFINED, |records| crate::log_records(&records).to_string().into()))
        })
    }

    /// Nothing is recorded any more.
    pub fn stop(&self) {
        self.0.stop();
    }
}

/// Pages as a file that the browser holds: memory stays bounded however long the history is.
async fn blob(mut pages: Pages) -> Result<JsValue, JsValue> {
    let parts = js_sys::Array::new();
    while let Some(page) = pages.next().await.map_err(thrown)? {
        let part = js_sys::Array::of1(&js_sys::Uint8Array::from(page.as_slice()));
        parts.push(&Blob::new_with_u8_array_sequence(&part)?.into());
    }
    let options = BlobPropertyBag::new();
    options.set_type(pages.media_type());
    Ok(Blob::new_with_blob_sequence_and_options(&parts, &options)?.into())
}

/// Reads a file, in bounded memory. It lives as long as somebody holds it: the tab that gave it may be gone.
async fn restored(mut restore: Box<Restore>, file: &Blob) -> Result<(), Error> {
    let (mut at, end) = (0.0, file.size());
    while at < end {
        let next = end.min(at + f64::from(PIECE));
        let piece = async { JsFuture::from(file.slice_with_f64_and_f64(at, next)?.array_buffer()).await };
        // A file that was changed or taken away, say.
        let unreadable = |_| Error::Invalid { detail: "the backup cannot be read".into() };
        let piece = piece.await.map_err(unreadable)?;
        restore.push(&js_sys::Uint8Array::new(&piece).to_vec()).await?;
        at = next;
    }
    restore.finish()
}

fn nothing((): ()) -> JsValue {
    JsValue::UNDEFINED
}

fn thrown(error: Error) -> JsValue {
    crate::error_shape(&error).to_string().into()
}
