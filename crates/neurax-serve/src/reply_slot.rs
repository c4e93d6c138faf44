//! [`ReplySlot`]: the results of one request, on their way from a worker to the caller.
//!
//! A caller waits with a condition variable (a thread) or a [`Waker`] (a future): either needs no
//! runtime. A request ends once: with all its results, with an error, or because its caller has
//! given up. The first of these counts.
//!
//! Wakers and results are values of the user, whose drop may call the server: they are cloned and
//! dropped without the lock of the slot.

use crate::panics::ignoring_panic;
use neurax_tensor::{Result, Tensor};
use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

/// The results of a request so far.
#[derive(Debug, Default)]
pub(crate) struct ReplySlot {
    kept: KeptResults,
    state: Mutex<SlotState>,
    ready: Condvar,
}

/// The results that a slot keeps for its caller.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) enum KeptResults {
    /// The last one: a new result replaces one that was not taken.
    #[default]
    Last,
    /// All, but at most this number of results that were not taken.
    AtMost(usize),
}

/// The effect of a result on the slot of a request.
pub(crate) enum PushedResult {
    /// The slot keeps the result for the caller.
    Kept(Wake),
    /// The slot is full with this number of results.
    Full(usize),
    /// The request had ended before.
    Ended,
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
    /// True if a thread waits. Most futures are polled later, and a signal is a call of the system.
    has_thread: bool,
}

/// A caller to wake, after the locks are released.
pub(crate) struct Wake {
    /// The slot at which a thread waits.
    slot: Option<Arc<ReplySlot>>,
    waker: Option<Waker>,
}

impl Wake {
    /// Wakes the caller.
    pub(crate) fn wake(self) {
        if let Some(slot) = self.slot {
            slot.ready.notify_all();
        }
        if let Some(waker) = self.waker {
            // A waker is code of the user's executor: its panic must not end a worker.
            ignoring_panic(|| waker.wake());
        }
    }
}

impl ReplySlot {
    pub(crate) fn new(kept: KeptResults) -> ReplySlot {
        ReplySlot { kept, ..ReplySlot::default() }
    }

    /// Adds a result, unless the request has ended or the slot is full.
    pub(crate) fn push(self: &Arc<ReplySlot>, result: Outputs) -> PushedResult {
        let mut state = self.lock();
        if state.end.is_some() {
            return PushedResult::Ended;
        }
        let replaced = match self.kept {
            KeptResults::Last => state.results.pop_front(),
            KeptResults::AtMost(n) if state.results.len() >= n => return PushedResult::Full(n),
            KeptResults::AtMost(_) => None,
        };
        state.results.push_back(result);
        let wake = self.wake_of(&mut state);
        drop(state);
        // A panic must not lose the waker.
        ignoring_panic(|| drop(replaced));
        PushedResult::Kept(wake)
    }

    /// Ends the request with a last result, or an error.
    ///
    /// # Errors
    /// Returns `last` if the request has ended already: the caller drops it without a lock.
    pub(crate) fn end(
        self: &Arc<ReplySlot>,
        last: Result<Option<Outputs>>,
    ) -> Result<Wake, Result<Option<Outputs>>> {
        let mut state = self.lock();
        if state.end.is_some() {
            return Err(last);
        }
        match last {
            Ok(result) => {
                state.results.extend(result);
                state.end = Some(Ok(()));
            }
            Err(e) => state.end = Some(Err(e)),
        }
        Ok(self.wake_of(&mut state))
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
            state.has_thread = true;
            state = self.ready.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Polls for the next result as [`ReplySlot::wait`] does.
    pub(crate) fn poll(&self, cx: &Context) -> Poll<Result<Option<Outputs>>> {
        let poll = self.lock().poll(cx);
        if let Some(poll) = poll {
            return poll;
        }
        let waker = cx.waker().clone();
        let mut state = self.lock();
        // A result may have come while there was no lock.
        if let Some(poll) = state.poll(cx) {
            return poll;
        }
        let replaced = state.waker.replace(waker);
        drop(state);
        drop(replaced);
        Poll::Pending
    }

    fn wake_of(self: &Arc<ReplySlot>, state: &mut SlotState) -> Wake {
        // The thread waits again if it has woken up too early.
        let has_thread = std::mem::take(&mut state.has_thread);
        Wake { slot: has_thread.then(|| self.clone()), waker: state.waker.take() }
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

    /// Returns the next result or the end, or `Pending` if the caller's waker is the one that will
    /// be woken; `None` if it has to be set.
    fn poll(&mut self, cx: &Context) -> Option<Poll<Result<Option<Outputs>>>> {
        match self.next() {
            Some(next) => Some(Poll::Ready(next)),
            None => {
                let is_set = self.waker.as_ref().is_some_and(|w| w.will_wake(cx.waker()));
                is_set.then_some(Poll::Pending)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use neurax_tensor::{Error, tensor};

    #[test]
    fn results_come_in_order_and_the_first_end_counts() {
        let slot = Arc::new(ReplySlot::new(KeptResults::AtMost(1)));
        assert!(matches!(slot.push(vec![tensor(1.0)]), PushedResult::Kept(_)));
        assert!(matches!(slot.push(vec![tensor(9.0)]), PushedResult::Full(1)));
        assert!(slot.end(Ok(Some(vec![tensor(2.0)]))).is_ok());
        assert!(slot.end(Err(Error::new("late", "too late"))).is_err());
        assert!(matches!(slot.push(vec![tensor(3.0)]), PushedResult::Ended));
        for want in [1.0, 2.0] {
            let y = slot.wait().unwrap().unwrap();
            assert_eq!(y[0].item().unwrap(), want);
        }
        assert!(slot.wait().unwrap().is_none());
        assert!(slot.wait().unwrap().is_none(), "the end stays");
    }

    #[test]
    fn a_slot_for_the_last_result_keeps_one() {
        let slot = Arc::new(ReplySlot::new(KeptResults::Last));
        for x in [1.0, 2.0, 3.0] {
            assert!(matches!(slot.push(vec![tensor(x)]), PushedResult::Kept(_)));
        }
        assert!(slot.end(Ok(None)).is_ok());
        assert_eq!(slot.wait().unwrap().unwrap()[0].item().unwrap(), 3.0);
        assert!(slot.wait().unwrap().is_none());
    }

    /// A waker that looks at its slot when it is dropped.
    struct LookingWaker(Arc<ReplySlot>);

    impl std::task::Wake for LookingWaker {
        fn wake(self: Arc<LookingWaker>) {}
    }

    impl Drop for LookingWaker {
        fn drop(&mut self) {
            assert!(!self.0.has_ended());
        }
    }

    #[test]
    fn a_replaced_waker_is_dropped_without_the_lock() {
        let slot = Arc::new(ReplySlot::default());
        let waker = Waker::from(Arc::new(LookingWaker(slot.clone())));
        assert!(slot.poll(&Context::from_waker(&waker)).is_pending());
        drop(waker);
        assert_eq!(Arc::strong_count(&slot), 2, "the slot has the waker");
        assert!(slot.poll(&Context::from_waker(Waker::noop())).is_pending());
        assert_eq!(Arc::strong_count(&slot), 1);
    }
}
