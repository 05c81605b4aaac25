//! Timers and the worker's own functions.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use js_sys::Promise;
use wasm_bindgen::{JsCast as _, UnwrapThrowExt as _};
use wasm_bindgen_futures::JsFuture;
use web_sys::WorkerGlobalScope;

/// The longest that a browser's timer takes, in milliseconds; above it, it fires at once.
const LONGEST_MS: i32 = i32::MAX;

/// The worker in which everything runs.
pub(super) fn worker() -> WorkerGlobalScope {
    js_sys::global().dyn_into().expect_throw("a client runs in a worker")
}

/// Ends a timer that nobody waits for any more.
struct Timer(Rc<Cell<i32>>);

impl Drop for Timer {
    fn drop(&mut self) {
        worker().clear_timeout_with_handle(self.0.get());
    }
}

/// Returns after that time, or earlier if it is longer than a browser counts.
pub(super) async fn sleep(pause: Duration) {
    let millis = i32::try_from(pause.as_millis()).unwrap_or(LONGEST_MS);
    let timer = Timer(Rc::default());
    let handle = Rc::clone(&timer.0);
    let promise = Promise::new(&mut |resolve, _| {
        let set = worker().set_timeout_with_callback_and_timeout_and_arguments_0(&resolve, millis);
        handle.set(set.expect_throw("a worker has timers"));
    });
    // Never rejected.
    let _ = JsFuture::from(promise).await;
}
