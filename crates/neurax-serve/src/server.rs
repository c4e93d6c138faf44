//! [`Server`]: a serving whose workers run.

use crate::answer::{Answer, Answers, Ticket};
use crate::reply_slot::{KeptResults, ReplySlot};
use crate::request_queue::QueuedRequest;
use crate::server_state::ServerState;
use crate::serving::{CheckedRequest, PostProcess, Serving};
use crate::stats::ServingStats;
use neurax_tensor::{Error, Result, Tensor};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle, ThreadId};
use std::time::Instant;

/// A serving whose workers run: many callers share batches.
///
/// Threads call [`Server::run`], and asynchronous code `server.predict(x).await` with any executor:
/// the future needs no runtime and no feature, as only the standard wakers are used. A clone is
/// another handle of the same server. When the last one is dropped, the server is drained as by
/// [`Server::drain`].
///
/// ```
/// use neurax::prelude::*;
/// let serving = Serving::of(|batch| Ok(vec![batch.x() * 2.0])).max_batch(8);
/// let server = serving.start()?;
/// let answers: Vec<_> = (0..100).map(|i| server.predict(tensor([i as f32]))).collect();
/// for (i, answer) in answers.into_iter().enumerate() {
///     assert_eq!(answer.wait()?.to_vec::<f32>()?, [2.0 * i as f32]);
/// }
/// assert!(server.stats().batches.keys().all(|rows| *rows <= 8));
/// # Ok::<(), Error>(())
/// ```
pub struct Server<I = Tensor, O = Tensor> {
    serving: Serving<I, O>,
    threads: Arc<ServerThreads>,
}

/// The threads of a server, which end with it.
struct ServerThreads {
    state: Arc<ServerState>,
    workers: Mutex<Vec<JoinHandle<()>>>,
    timer: Mutex<Option<JoinHandle<()>>>,
    /// The workers and the timer, whose own calls of `drain` cannot wait for themselves: the timer
    /// runs wakers, which may own the last handle of the server.
    ids: Mutex<Vec<ThreadId>>,
}

impl<I: 'static, O: 'static> Serving<I, O> {
    /// Starts the workers. It is explicit, as threads are a side effect that can fail, and end when
    /// the [`Server`] is dropped. A predictor whose rows have one shape is compiled for all sizes
    /// of batches before.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let server = Serving::of(|batch| Ok(vec![batch.x() * 2.0])).start()?;
    /// assert_eq!(server.run(tensor([1.0]))?.item()?, 2.0);
    /// # Ok::<(), Error>(())
    /// ```
    ///
    /// # Errors
    /// If an option is invalid, the predictor cannot be compiled, or a thread cannot be started.
    pub fn start(&self) -> Result<Server<I, O>> {
        let options = self.checked_options()?;
        self.function.warm_up(&options.sizes)?;
        Server::new(Serving { options, ..self.clone() })
    }
}

impl<I: 'static, O: 'static> Server<I, O> {
    /// Starts the threads of a serving, whose options were checked.
    ///
    /// # Errors
    /// If a thread cannot be started.
    pub(crate) fn new(serving: Serving<I, O>) -> Result<Server<I, O>> {
        let state = Arc::new(ServerState::new(serving.function.clone(), serving.options.clone()));
        // If a thread cannot be started, dropping this ends the others.
        let threads = ServerThreads {
            state: state.clone(),
            workers: Mutex::default(),
            timer: Mutex::default(),
            ids: Mutex::default(),
        };
        for i in 0..serving.options.workers {
            let state = state.clone();
            let worker = spawn(format!("neurax-serve-{i}"), move || state.work())?;
            lock(&threads.ids).push(worker.thread().id());
            lock(&threads.workers).push(worker);
        }
        if let Some(timeout) = serving.options.timeout {
            let timer = spawn("neurax-serve-timer".into(), move || state.keep_time(timeout))?;
            lock(&threads.ids).push(timer.thread().id());
            *lock(&threads.timer) = Some(timer);
        }
        Ok(Server { serving, threads: Arc::new(threads) })
    }

    /// Computes a request in a batch, and waits for the result.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let server = Serving::of(|batch| Ok(vec![batch.x() * 2.0])).start()?;
    /// let y = std::thread::scope(|s| s.spawn(|| server.run(tensor([1.0]))).join().unwrap())?;
    /// assert_eq!(y.item()?, 2.0);
    /// # Ok::<(), Error>(())
    /// ```
    ///
    /// # Errors
    /// If the request is refused (see [`Refusal`](crate::Refusal)), does not fit the model, or its
    /// preprocessing, model or postprocessing fails or panics.
    pub fn run(&self, x: I) -> Result<O> {
        self.predict(x).wait()
    }

    /// Puts a request into the queue and returns its result as a future, which can be waited for in
    /// a thread as well. Errors, also of a full queue, come from the future. Dropping it cancels
    /// the request.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// async fn handler(server: &neurax::serve::Server) -> Result<f64> {
    ///     server.predict(tensor([1.0, 2.0])).await?.sum(..).item()
    /// }
    /// ```
    pub fn predict(&self, x: I) -> Answer<O> {
        Answer::new(self.submit(x, KeptResults::Last))
    }

    /// Puts a request into the queue and returns all its results, one after the other: see
    /// [`Serving::of_stream`].
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let counts = Serving::of_stream(|batch, emit| {
    ///     (0..3).try_for_each(|i| emit(vec![batch.x() + i]))
    /// });
    /// let server = counts.postprocess(|y| y.to_vec::<i32>()).start()?;
    /// let results: Vec<Vec<i32>> = server.stream(tensor([5])).collect::<Result<_>>()?;
    /// assert_eq!(results, [[5], [6], [7]]);
    /// # Ok::<(), Error>(())
    /// ```
    pub fn stream(&self, x: I) -> Answers<O> {
        let limit = self.threads.state.options.result_limit;
        Answers::new(self.submit(x, KeptResults::AtMost(limit)))
    }

    /// Returns the counts since the start, and quantiles of latency.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let server = Serving::of(|batch| Ok(vec![batch.x()])).start()?;
    /// server.run(tensor([1.0]))?;
    /// assert!(server.stats().latency.max > std::time::Duration::ZERO);
    /// # Ok::<(), Error>(())
    /// ```
    pub fn stats(&self) -> ServingStats {
        self.threads.state.stats()
    }

    /// Refuses requests from now on, computes those that were accepted without waiting for more,
    /// and ends the workers. Waits until this is done, except when it is called in a thread of the
    /// server: by a model, or by the waker of a future.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let server = Serving::of(|batch| Ok(vec![batch.x()])).start()?;
    /// let answer = server.predict(tensor([1.0]));
    /// server.drain();
    /// assert_eq!(answer.wait()?.item()?, 1.0);
    /// assert!(server.run(tensor([1.0])).is_err());
    /// # Ok::<(), Error>(())
    /// ```
    pub fn drain(&self) {
        self.threads.drain();
    }

    /// Preprocesses a request and puts it into the queue.
    fn submit(&self, x: I, kept: KeptResults) -> Result<(Ticket, PostProcess<O>)> {
        let state = &self.threads.state;
        let arrived = Instant::now();
        let CheckedRequest { inputs, rows, key, finish } = self.serving.check(x, &state.options)?;
        let slot = Arc::new(ReplySlot::new(kept));
        state.enqueue(key, QueuedRequest { inputs, rows, arrived, slot: slot.clone() })?;
        Ok((Ticket::new(slot, state.clone()), finish))
    }
}

impl ServerThreads {
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

impl<I, O> Clone for Server<I, O> {
    fn clone(&self) -> Server<I, O> {
        Server { serving: self.serving.clone(), threads: self.threads.clone() }
    }
}

impl<I, O> fmt::Debug for Server<I, O> {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.debug_struct("Server").field("stats", &self.threads.state.stats()).finish()
    }
}
