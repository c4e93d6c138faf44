//! [`Server`]: a serving whose workers run.

use crate::answer::{Answer, Answers};
use crate::pending_outputs::PendingOutputs;
use crate::reply_slot::KeptResults;
use crate::server_threads::{RunningServer, ServerThreads};
use crate::serving::{PostProcess, Prepare, Prepared, Serving, prepared};
use crate::stats::ServingStats;
use neurax_tensor::{Result, Tensor};
use std::fmt;
use std::sync::Arc;
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
    prepare: Arc<Prepare<I, O>>,
    /// The threads, which end with the last handle.
    running: Arc<dyn RunningServer>,
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
        Ok(Server { prepare: self.prepare.clone(), running: ServerThreads::start(&self.core)? })
    }
}

impl<I: 'static, O: 'static> Server<I, O> {
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
        Answers::new(self.submit(x, KeptResults::AtMost(self.running.result_limit())))
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
        self.running.stats()
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
        self.running.drain();
    }

    /// Preprocesses a request and puts it into the queue. The time of its arrival is that of the
    /// call.
    fn submit(&self, x: I, kept: KeptResults) -> (PendingOutputs, Option<PostProcess<O>>) {
        let arrived = Instant::now();
        match prepared(&*self.prepare, x) {
            Ok(Prepared { inputs, finish }) => {
                (self.running.submit(&inputs, kept, arrived), Some(PostProcess(finish)))
            }
            Err(e) => {
                self.running.count_invalid();
                (PendingOutputs::refused(e), None)
            }
        }
    }
}

impl<I, O> Clone for Server<I, O> {
    fn clone(&self) -> Server<I, O> {
        Server { prepare: self.prepare.clone(), running: self.running.clone() }
    }
}

impl<I, O> fmt::Debug for Server<I, O> {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.debug_struct("Server").field("stats", &self.running.stats()).finish()
    }
}
