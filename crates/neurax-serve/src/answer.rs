//! The results of a request, for threads and for asynchronous code.

use crate::pending_outputs::PendingOutputs;
use crate::reply_slot::Outputs;
use crate::serving::PostProcess;
use neurax_tensor::Result;
use neurax_tensor::ir::OrBug;
use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::{Context, Poll};

/// The result of a request that was put into the queue by [`Server::predict`]: a future, which
/// [`Answer::wait`] waits for in a thread. Dropping it cancels the request and frees its place in
/// the queue.
///
/// [`Server::predict`]: crate::Server::predict
#[must_use = "dropping it cancels the request"]
pub struct Answer<O> {
    pending: PendingOutputs,
    /// The postprocessing; `None` if the request was not accepted by the preprocessing.
    finish: Option<PostProcess<O>>,
}

/// The results of a request of a model with several results: an iterator, which waits in the
/// thread, or a stream by [`Answers::next_async`] or [`Answers::poll_next`]. After an error there
/// are no more results. Dropping it cancels the request.
///
/// ```
/// use neurax::prelude::*;
/// use std::task::{Context, Poll, Waker};
/// let double = Serving::of_stream(|batch, emit| emit(vec![batch.x() * 2.0])).start()?;
/// let mut answers = double.stream(tensor([1.0]));
/// // An executor polls again when the waker says so; here without one:
/// let y = loop {
///     if let Poll::Ready(y) = answers.poll_next(&mut Context::from_waker(Waker::noop())) {
///         break y;
///     }
///     std::thread::yield_now();
/// };
/// assert_eq!(y.transpose()?.map(|y| y.to_vec::<f32>()).transpose()?, Some(vec![2.0]));
/// # Ok::<(), Error>(())
/// ```
#[must_use = "dropping it cancels the request"]
pub struct Answers<O> {
    pending: PendingOutputs,
    /// The postprocessing; `None` if the request was not accepted by the preprocessing.
    finish: Option<PostProcess<O>>,
}

impl<O> Answer<O> {
    pub(crate) fn new(submitted: (PendingOutputs, Option<PostProcess<O>>)) -> Answer<O> {
        let (pending, finish) = submitted;
        Answer { pending, finish }
    }

    /// Waits for the result in this thread.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let server = Serving::of(|batch| Ok(vec![batch.x() * 2.0])).start()?;
    /// assert_eq!(server.predict(tensor([1.0])).wait()?.item()?, 2.0);
    /// # Ok::<(), Error>(())
    /// ```
    ///
    /// # Errors
    /// As for [`Server::run`](crate::Server::run).
    pub fn wait(mut self) -> Result<O> {
        let outputs = self.pending.wait_last();
        finished(&mut self.finish, outputs)
    }
}

/// Returns the result of the caller for one of the model.
fn finished<O>(finish: &mut Option<PostProcess<O>>, outputs: Result<Outputs>) -> Result<O> {
    let outputs = outputs?;
    finish.as_mut().or_bug("a request with results has no postprocessing")?.apply(outputs)
}

impl<O> Future for Answer<O> {
    type Output = Result<O>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context) -> Poll<Result<O>> {
        let this = self.get_mut();
        let Poll::Ready(outputs) = this.pending.poll_last(cx) else { return Poll::Pending };
        Poll::Ready(finished(&mut this.finish, outputs))
    }
}

impl<O> Answers<O> {
    pub(crate) fn new(submitted: (PendingOutputs, Option<PostProcess<O>>)) -> Answers<O> {
        let (pending, finish) = submitted;
        Answers { pending, finish }
    }

    /// Polls for the next result: `Ready(None)` after the last one. It has the form of the `Stream`
    /// of the crate `futures`, without depending on it.
    pub fn poll_next(&mut self, cx: &mut Context) -> Poll<Option<Result<O>>> {
        let Poll::Ready(next) = self.pending.poll_next(cx) else { return Poll::Pending };
        Poll::Ready(next.map(|outputs| finished(&mut self.finish, outputs)))
    }

    /// Returns the next result, or `None` after the last one.
    pub async fn next_async(&mut self) -> Option<Result<O>> {
        poll_fn(|cx| self.poll_next(cx)).await
    }
}

impl<O> Iterator for Answers<O> {
    type Item = Result<O>;

    fn next(&mut self) -> Option<Result<O>> {
        let next = self.pending.wait_next();
        next.map(|outputs| finished(&mut self.finish, outputs))
    }
}

impl<O> fmt::Debug for Answer<O> {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "Answer({})", self.pending.describe())
    }
}

impl<O> fmt::Debug for Answers<O> {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "Answers({})", self.pending.describe())
    }
}
