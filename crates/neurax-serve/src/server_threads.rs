//! [`ServerThreads`]: the threads of a server, and the requests that are handed to them.

use crate::pending_outputs::PendingOutputs;
use crate::reply_slot::{KeptResults, ReplySlot};
use crate::request_queue::QueuedRequest;
use crate::server_state::ServerState;
use crate::serving_core::{CheckedRequest, ServingCore};
use crate::stats::ServingStats;
use neurax_tensor::runtime::ThreadShare;
use neurax_tensor::{Error, Result, Tensor};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle, ThreadId};
use std::time::Instant;

/// The threads of a server, which end with it.
pub(crate) struct ServerThreads {
    state: Arc<ServerState>,
    workers: Mutex<Vec<JoinHandle<()>>>,
    timer: Mutex<Option<JoinHandle<()>>>,
    /// The workers and the timer, whose own calls of `drain` cannot wait for themselves: the timer
    /// runs wakers, which may own the last handle of the server.
    ids: Mutex<Vec<ThreadId>>,
}

/// A server as its handles see it: a trait, so that its destructor is compiled here, and not in
/// each program that serves a model.
pub(crate) trait RunningServer: Send + Sync {
    /// Puts the inputs of a request that came at `arrived` into the queue.
    fn submit(&self, inputs: &[Tensor], kept: KeptResults, arrived: Instant) -> PendingOutputs;

    /// Counts a request whose preprocessing failed.
    fn count_invalid(&self);

    /// Returns the number of results of a stream that may wait for the caller.
    fn result_limit(&self) -> usize;

    /// Returns the counts since the start.
    fn stats(&self) -> ServingStats;

    /// Drains the server, and waits until this is done, except in one of its threads.
    fn drain(&self);
}

impl ServerThreads {
    /// Starts the threads of a serving.
    ///
    /// # Errors
    /// If an option is invalid, the predictor cannot be compiled, or a thread cannot be started.
    pub(crate) fn start(core: &ServingCore) -> Result<Arc<dyn RunningServer>> {
        let core = core.checked()?;
        core.function.warm_up(&core.options.sizes)?;
        let (count, partitions) = (core.options.threads(), core.options.partitions);
        let timeout = core.options.timeout;
        let state = Arc::new(ServerState::new(core));
        // If a thread cannot be started, dropping this ends the others.
        let threads = ServerThreads {
            state: state.clone(),
            workers: Mutex::default(),
            timer: Mutex::default(),
            ids: Mutex::default(),
        };
        let shares = ThreadShare::divide(partitions);
        for (i, (partition, share)) in shares.iter().enumerate().cycle().take(count).enumerate() {
            // Without partitions, programs run on the threads that they were compiled for.
            let (state, share) = (state.clone(), (partitions > 1).then(|| share.clone()));
            let work = move || match share {
                Some(share) => share.run(|| state.work(partition)),
                None => state.work(partition),
            };
            let worker = spawn(format!("neurax-serve-{i}"), work)?;
            lock(&threads.ids).push(worker.thread().id());
            lock(&threads.workers).push(worker);
        }
        if let Some(timeout) = timeout {
            let timer = spawn("neurax-serve-timer".into(), move || state.keep_time(timeout))?;
            lock(&threads.ids).push(timer.thread().id());
            *lock(&threads.timer) = Some(timer);
        }
        Ok(Arc::new(threads))
    }
}

impl RunningServer for ServerThreads {
    fn submit(&self, inputs: &[Tensor], kept: KeptResults, arrived: Instant) -> PendingOutputs {
        let checked = self.state.core.check(inputs).inspect_err(|_| self.count_invalid());
        let enqueued = checked.and_then(|request| {
            let CheckedRequest { inputs, rows, key } = request;
            let slot = Arc::new(ReplySlot::new(kept));
            self.state.enqueue(key, QueuedRequest { inputs, rows, arrived, slot: slot.clone() })?;
            Ok(slot)
        });
        match enqueued {
            Ok(slot) => PendingOutputs::waiting(slot, self.state.clone()),
            Err(e) => PendingOutputs::refused(e),
        }
    }

    fn count_invalid(&self) {
        self.state.count_invalid();
    }

    fn result_limit(&self) -> usize {
        self.state.core.options.result_limit
    }

    fn stats(&self) -> ServingStats {
        self.state.stats()
    }

    fn drain(&self) {
        self.state.start_draining();
        if lock(&self.ids).contains(&thread::current().id()) {
            return;
        }
        // Locked until they have ended, so that another drain waits as well.
        let mut workers = lock(&self.workers);
        workers.drain(..).for_each(join);
        lock(&self.timer).take().into_iter().for_each(join);
    }
}

impl Drop for ServerThreads {
    fn drop(&mut self) {
        self.drain();
    }
}

/// Waits for the end of a thread.
fn join(thread: JoinHandle<()>) {
    // A thread catches the panics of the user's code; one of ours has been printed.
    let _ = thread.join();
}

fn spawn(name: String, f: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>> {
    let failed = |e| Error::new("serving", format!("cannot start the thread {name}: {e}"));
    thread::Builder::new().name(name.clone()).spawn(f).map_err(failed)
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
