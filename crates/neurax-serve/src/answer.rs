//! The results of a request, for threads and for asynchronous code.

use crate::reply_slot::{Outputs, ReplySlot};
use crate::server_state::ServerState;
use crate::serving::{PostProcess, no_result};
use neurax_tensor::{Error, Result};
use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

/// The result of a request that was put into the queue by [`Server::predict`]: a future, which
/// [`Answer::wait`] waits for in a thread. Dropping it cancels the request and frees its place in
/// the queue.
///
/// [`Server::predict`]: crate::Server::predict
#[must_use = "dropping it cancels the request"]
pub struct Answer<O> {
    answers: Answers<O>,
    /// The last result of the model so far.
    last: Option<Outputs>,
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
pub struct Answers<O>(AnswerState<O>);

enum AnswerState<O> {
    /// The request was not accepted.
    Refused(Error),
    Waiting(Ticket, PostProcess<O>),
    Ended,
}

/// The right to the results of a request. Dropping it cancels the request.
pub(crate) struct Ticket {
    slot: Arc<ReplySlot>,
    state: Arc<ServerState>,
}

impl Ticket {
    pub(crate) fn new(slot: Arc<ReplySlot>, state: Arc<ServerState>) -> Ticket {
        Ticket { slot, state }
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        if !self.slot.has_ended() {
            self.state.cancel(&self.slot);
        }
    }
}

impl<O> Answer<O> {
    pub(crate) fn new(submitted: Result<(Ticket, PostProcess<O>)>) -> Answer<O> {
        Answer { answers: Answers::new(submitted), last: None }
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
        loop {
            let next = self.answers.slot().map(|slot| slot.wait());
            if let Some(end) = self.take(next) {
                return end;
            }
        }
    }

    /// Takes a result of the model, `None` if the request was not accepted. Returns the result of
    /// the caller if it is the last one.
    fn take(&mut self, next: Option<Result<Option<Outputs>>>) -> Option<Result<O>> {
        match next {
            Some(Ok(Some(outputs))) => {
                self.last = Some(outputs);
                None
            }
            Some(Ok(None)) => {
                let outputs = self.last.take();
                Some(self.answers.end(Some(outputs.ok_or_else(no_result))))
            }
            Some(Err(e)) => Some(self.answers.end(Some(Err(e)))),
            None => Some(self.answers.end(None)),
        }
    }
}

impl<O> Future for Answer<O> {
    type Output = Result<O>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context) -> Poll<Result<O>> {
        let this = self.get_mut();
        loop {
            let next = match this.answers.slot().map(|slot| slot.poll(cx)) {
                Some(Poll::Pending) => return Poll::Pending,
                Some(Poll::Ready(next)) => Some(next),
                None => None,
            };
            if let Some(end) = this.take(next) {
                return Poll::Ready(end);
            }
        }
    }
}

impl<O> Answers<O> {
    pub(crate) fn new(submitted: Result<(Ticket, PostProcess<O>)>) -> Answers<O> {
        Answers(match submitted {
            Ok((ticket, finish)) => AnswerState::Waiting(ticket, finish),
            Err(e) => AnswerState::Refused(e),
        })
    }

    /// Polls for the next result: `Ready(None)` after the last one. It has the form of the `Stream`
    /// of the crate `futures`, without depending on it.
    pub fn poll_next(&mut self, cx: &mut Context) -> Poll<Option<Result<O>>> {
        match self.slot().map(|slot| slot.poll(cx)) {
            Some(Poll::Pending) => Poll::Pending,
            Some(Poll::Ready(next)) => Poll::Ready(self.take(Some(next))),
            None => Poll::Ready(self.take(None)),
        }
    }

    /// Returns the next result, or `None` after the last one.
    pub async fn next_async(&mut self) -> Option<Result<O>> {
        poll_fn(|cx| self.poll_next(cx)).await
    }

    /// Returns the slot of a request that was accepted.
    fn slot(&self) -> Option<&ReplySlot> {
        match &self.0 {
            AnswerState::Waiting(ticket, _) => Some(&ticket.slot),
            AnswerState::Refused(_) | AnswerState::Ended => None,
        }
    }

    /// Takes a result of the model, `None` if there is no request. Returns the result of the
    /// caller, or `None` after the last one.
    fn take(&mut self, next: Option<Result<Option<Outputs>>>) -> Option<Result<O>> {
        let result = match (&mut self.0, next) {
            (AnswerState::Waiting(_, finish), Some(Ok(Some(outputs)))) => {
                return Some(finish.apply(outputs));
            }
            (AnswerState::Waiting(..), Some(Err(e))) => Some(Err(e)),
            (AnswerState::Refused(e), _) => Some(Err(e.clone())),
            _ => None,
        };
        self.0 = AnswerState::Ended;
        result
    }

    /// Ends the request with the last outputs of the model, or with an error; `None` if it was not
    /// accepted.
    fn end(&mut self, last: Option<Result<Outputs>>) -> Result<O> {
        match (std::mem::replace(&mut self.0, AnswerState::Ended), last) {
            (AnswerState::Waiting(_, mut finish), Some(last)) => finish.apply(last?),
            (AnswerState::Refused(e), _) => Err(e),
            _ => Err(Error::new("serving", "the result was taken already")),
        }
    }
}

impl<O> Iterator for Answers<O> {
    type Item = Result<O>;

    fn next(&mut self) -> Option<Result<O>> {
        let next = self.slot().map(|slot| slot.wait());
        self.take(next)
    }
}

impl<O> fmt::Debug for Answer<O> {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "Answer({})", self.answers.kind())
    }
}

impl<O> fmt::Debug for Answers<O> {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "Answers({})", self.kind())
    }
}

impl<O> Answers<O> {
    /// Returns the state for debug output.
    fn kind(&self) -> String {
        match &self.0 {
            AnswerState::Refused(e) => e.to_string(),
            AnswerState::Waiting(..) => "waiting".into(),
            AnswerState::Ended => "ended".into(),
        }
    }
}
