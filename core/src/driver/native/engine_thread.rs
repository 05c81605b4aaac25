//! The engine's thread: waits for what happens, and hands it to the engine's loop.
//!
//! It is a pool of rayon's with one thread. openmls works by rayon, whose own pool would be a thread a processor, of every process that
//! the SDK is part of, for good; within this one all of that is done here, and the thread ends with the client.

use std::ops::ControlFlow;
use std::sync::mpsc;

use tokio::sync::oneshot;

use crate::Error;
use crate::driver::engine_loop::{BATCH, EngineLoop, Start, ToEngine};
use crate::engine::Input;

/// Starts the thread; the receiver tells when the history is open.
pub(super) fn start(
    start: Start,
    inbox: mpsc::Receiver<ToEngine>,
) -> Result<oneshot::Receiver<Result<(), Error>>, Error> {
    let (opened, opening) = oneshot::channel();
    let run = move || match EngineLoop::open(start) {
        Ok(engine) => {
            let _ = opened.send(Ok(()));
            run(engine, &inbox);
        }
        Err(error) => drop(opened.send(Err(error))),
    };
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).thread_name(|_| "chasqui-engine".into());
    // As with any thread: whoever waits for an answer hears that nobody will give it.
    let pool = pool.panic_handler(drop).build().map_err(|error| Error::Internal { detail: error.to_string() })?;
    // Without its owner the pool ends with its last work, which this is.
    pool.spawn(run);
    Ok(opening)
}

fn run(mut engine: EngineLoop, inbox: &mpsc::Receiver<ToEngine>) {
    let mut next = Some(ToEngine::Input(Input::Wake));
    // Ends when the client is gone, too.
    while let Some(first) = next {
        let mut waiting = vec![first];
        waiting.extend(inbox.try_iter().take(BATCH));
        if engine.take(waiting) == ControlFlow::Break(()) {
            return;
        }
        next = wait(&mut engine, inbox);
    }
}

/// The next message, or a wake; `None` when the client is gone.
fn wait(engine: &mut EngineLoop, inbox: &mpsc::Receiver<ToEngine>) -> Option<ToEngine> {
    match engine.until_wake() {
        None => inbox.recv().ok(),
        Some(pause) => match inbox.recv_timeout(pause) {
            Ok(message) => Some(message),
            Err(mpsc::RecvTimeoutError::Timeout) => Some(ToEngine::Input(Input::Wake)),
            Err(mpsc::RecvTimeoutError::Disconnected) => None,
        },
    }
}
