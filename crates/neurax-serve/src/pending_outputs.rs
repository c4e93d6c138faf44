//! [`PendingOutputs`]: the results of a request before postprocessing, as the caller takes them.

use crate::reply_slot::{Outputs, ReplySlot};
use neurax_tensor::{Error, Result};
use std::sync::Arc;
use std::task::{Context, Poll};

/// The results of a request that its caller has not taken. Dropping them cancels the request.
pub(crate) struct PendingOutputs {
    state: PendingState,
    /// The last result so far, for a caller that wants no other.
    last: Option<Outputs>,
}

enum PendingState {
    /// The request was not accepted.
    Refused(Error),
    Waiting(Ticket),
    Ended,
}

/// The right to the results of a request. Dropping it cancels the request.
struct Ticket {
    slot: Arc<ReplySlot>,
    /// The server, behind a trait: its destructor is compiled here, and not in each program that
    /// serves a model.
    server: Arc<dyn CancelRequest>,
}

/// A server that cancels requests.
pub(crate) trait CancelRequest: Send + Sync {
    /// Ends the request of a caller that gave up.
    fn cancel(&self, slot: &Arc<ReplySlot>);
}

impl Drop for Ticket {
    fn drop(&mut self) {
        if !self.slot.has_ended() {
            self.server.cancel(&self.slot);
        }
    }
}

impl PendingOutputs {
    /// Creates the results of a request that was not accepted.
    pub(crate) fn refused(e: Error) -> PendingOutputs {
        PendingOutputs { state: PendingState::Refused(e), last: None }
    }

    /// Creates the results of a request that was accepted.
    pub(crate) fn waiting(slot: Arc<ReplySlot>, server: Arc<dyn CancelRequest>) -> PendingOutputs {
        PendingOutputs { state: PendingState::Waiting(Ticket { slot, server }), last: None }
    }

    /// Waits for the next result in this thread; `None` after the last one.
    pub(crate) fn wait_next(&mut self) -> Option<Result<Outputs>> {
        let next = self.slot().map(ReplySlot::wait);
        self.take(next)
    }

    /// Polls for the next result; `Ready(None)` after the last one.
    pub(crate) fn poll_next(&mut self, cx: &Context) -> Poll<Option<Result<Outputs>>> {
        match self.slot().map(|slot| slot.poll(cx)) {
            Some(Poll::Pending) => Poll::Pending,
            Some(Poll::Ready(next)) => Poll::Ready(self.take(Some(next))),
            None => Poll::Ready(self.take(None)),
        }
    }

    /// Waits for the last result in this thread.
    pub(crate) fn wait_last(&mut self) -> Result<Outputs> {
        self.check_open()?;
        loop {
            let next = self.wait_next();
            if let Some(last) = self.take_last(next) {
                return last;
            }
        }
    }

    /// Polls for the last result.
    pub(crate) fn poll_last(&mut self, cx: &Context) -> Poll<Result<Outputs>> {
        self.check_open()?;
        loop {
            let Poll::Ready(next) = self.poll_next(cx) else { return Poll::Pending };
            if let Some(last) = self.take_last(next) {
                return Poll::Ready(last);
            }
        }
    }

    /// Returns the state for debug output.
    pub(crate) fn describe(&self) -> String {
        match &self.state {
            PendingState::Refused(e) => e.to_string(),
            PendingState::Waiting(_) => "waiting".into(),
            PendingState::Ended => "ended".into(),
        }
    }

    /// Checks that the last result was not taken.
    ///
    /// # Errors
    /// If it was.
    fn check_open(&self) -> Result<()> {
        match self.state {
            PendingState::Ended => Err(Error::new("serving", "the result was taken already")),
            PendingState::Refused(_) | PendingState::Waiting(_) => Ok(()),
        }
    }

    /// Returns the slot of a request that was accepted.
    fn slot(&self) -> Option<&ReplySlot> {
        match &self.state {
            PendingState::Waiting(ticket) => Some(&ticket.slot),
            PendingState::Refused(_) | PendingState::Ended => None,
        }
    }

    /// Takes what the slot has, `None` if there is none. Returns the next result; there is none
    /// after an error.
    fn take(&mut self, next: Option<Result<Option<Outputs>>>) -> Option<Result<Outputs>> {
        let result = match (&self.state, next) {
            (PendingState::Waiting(_), Some(Ok(Some(outputs)))) => return Some(Ok(outputs)),
            (PendingState::Waiting(_), Some(Err(e))) => Some(Err(e)),
            (PendingState::Refused(e), _) => Some(Err(e.clone())),
            _ => None,
        };
        self.state = PendingState::Ended;
        result
    }

    /// Keeps the next result. Returns the last one at the end.
    fn take_last(&mut self, next: Option<Result<Outputs>>) -> Option<Result<Outputs>> {
        match next {
            Some(Ok(outputs)) => {
                self.last = Some(outputs);
                None
            }
            Some(Err(e)) => Some(Err(e)),
            None => Some(self.last.take().ok_or_else(no_result)),
        }
    }
}

/// Returns the error of a model with several results that had none.
pub(crate) fn no_result() -> Error {
    Error::new("serving", "expected a result of the model, got none: it has not called `emit`")
}
