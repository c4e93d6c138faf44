//! [`ReplySlot`]: the results of one request, on their way from a worker to the caller.
//!
//! A caller waits with a condition variable (a thread) or a [`Waker`] (a future): either needs no
//! runtime. A request ends once: with all its results, with an error, or because its caller has
//! given up. The first of these counts.

use neurax_tensor::{Result, Tensor};
use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

/// The results of a request so far.
#[derive(Debug, Default)]
pub(crate) struct ReplySlot {
    state: Mutex<SlotState>,
    ready: Condvar,
}

/// The outputs of a model for the rows of one request.
pub(crate) type Outputs = Vec<Tensor>;

#[derive(Debug, Default)]
struct SlotState {
    /// The results that the caller has not taken.
    results: VecDeque<Outputs>,
    /// The end of the request: there are no more results, or an error.
    end: Option<Result<()>>,
    waker: Option<Waker>,
}

/// A caller to wake, after the locks are released.
pub(crate) struct Wake {
    slot: Arc<ReplySlot>,
    waker: Option<Waker>,
}

impl Wake {
    /// Wakes the caller.
    pub(crate) fn wake(self) {
        self.slot.ready.notify_all();
        if let Some(waker) = self.waker {
            // A waker is code of the user's executor: its panic must not end a worker.
            let _ = catch_unwind(AssertUnwindSafe(|| waker.wake()));
        }
    }
}

impl ReplySlot {
    /// Adds a result, unless the request has ended.
    pub(crate) fn push(self: &Arc<ReplySlot>, result: Outputs) -> Option<Wake> {
        let mut state = self.lock();
        if state.end.is_some() {
            return None;
        }
        state.results.push_back(result);
        Some(self.wake_of(&mut state))
    }

    /// Ends the request with a last result, or an error; `None` if it has ended already.
    pub(crate) fn end(self: &Arc<ReplySlot>, last: Result<Option<Outputs>>) -> Option<Wake> {
        let mut state = self.lock();
        if state.end.is_some() {
            return None;
        }
        match last {
            Ok(result) => {
                state.results.extend(result);
                state.end = Some(Ok(()));
            }
            Err(e) => state.end = Some(Err(e)),
        }
        Some(self.wake_of(&mut state))
    }

    /// Returns true if the request has ended.
    pub(crate) fn has_ended(&self) -> bool {
        self.lock().end.is_some()
    }

    /// Waits for the next result; `None` after the last one.
    ///
    /// # Errors
    /// The error with which the request has ended.
    pub(crate) fn wait(&self) -> Result<Option<Outputs>> {
        let mut state = self.lock();
        loop {
            if let Some(next) = state.next() {
                return next;
            }
            state = self.ready.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Polls for the next result as [`ReplySlot::wait`] does.
    pub(crate) fn poll(&self, cx: &Context) -> Poll<Result<Option<Outputs>>> {
        let mut state = self.lock();
        if let Some(next) = state.next() {
            return Poll::Ready(next);
        }
        match &mut state.waker {
            Some(waker) => waker.clone_from(cx.waker()),
            none => *none = Some(cx.waker().clone()),
        }
        Poll::Pending
    }

    fn wake_of(self: &Arc<ReplySlot>, state: &mut SlotState) -> Wake {
        Wake { slot: self.clone(), waker: state.waker.take() }
    }

    fn lock(&self) -> MutexGuard<'_, SlotState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl SlotState {
    /// Returns the next result or the end, if there is one yet.
    fn next(&mut self) -> Option<Result<Option<Outputs>>> {
        match (self.results.pop_front(), &self.end) {
            (Some(result), _) => Some(Ok(Some(result))),
            (None, Some(end)) => Some(end.clone().map(|()| None)),
            (None, None) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use neurax_tensor::{Error, tensor};

    #[test]
    fn results_come_in_order_and_the_first_end_counts() {
        let slot = Arc::new(ReplySlot::default());
        assert!(slot.push(vec![tensor(1.0)]).is_some());
        assert!(slot.end(Ok(Some(vec![tensor(2.0)]))).is_some());
        assert!(slot.end(Err(Error::new("late", "too late"))).is_none());
        assert!(slot.push(vec![tensor(3.0)]).is_none());
        for want in [1.0, 2.0] {
            let y = slot.wait().unwrap().unwrap();
            assert_eq!(y[0].item().unwrap(), want);
        }
        assert!(slot.wait().unwrap().is_none());
        assert!(slot.wait().unwrap().is_none(), "the end stays");
    }
}
