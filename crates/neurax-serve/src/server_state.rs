//! [`ServerState`]: the state that callers, workers and the timer of a server share.
//!
//! A worker takes a batch from the queue, runs it without a lock, and ends its requests. The timer
//! runs only if there is a timeout; a future cannot wake itself, so the timer ends late requests,
//! also while all workers are busy.
//!
//! # Invariants
//!
//! - A request ends once; who ends it counts it.
//! - Locks are taken in the order queue, statistics, slot. No lock is held while code of the user
//!   runs: models, wakers, also when they are dropped.
//! - Requests are accepted only while `is_draining` is not set; then workers end all that wait, and
//!   themselves.

use crate::deadline_queue::{DeadlineQueue, RequestDeadline};
use crate::panics::{caught, ignoring_panic};
use crate::pending_outputs::CancelRequest;
use crate::refusal::Refusal;
use crate::reply_slot::{Outputs, PushedResult, ReplySlot, Wake};
use crate::request_queue::{NextStep, QueuedRequest, RequestQueue};
use crate::row_batch::{BatchOrigin, RowBatch};
use crate::serving_core::ServingCore;
use crate::stats::{LatencyHistogram, ServingStats};
use neurax_tensor::ir::OrBug;
use neurax_tensor::{Error, Result};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// The state of a server.
pub(crate) struct ServerState {
    pub(crate) core: ServingCore,
    queue: Mutex<QueueState>,
    /// Signals workers that the queue has changed.
    changed: Condvar,
    /// Signals the timer that there is another deadline, or that it must end.
    timed: Condvar,
    stats: Mutex<StatsState>,
}

#[derive(Default)]
struct QueueState {
    requests: RequestQueue,
    /// The requests that may time out.
    deadlines: DeadlineQueue,
    is_draining: bool,
    /// The number of workers that have not ended: the timer ends after them.
    workers: usize,
}

#[derive(Default)]
struct StatsState {
    counts: ServingStats,
    latency: LatencyHistogram,
}

impl ServerState {
    /// Creates the state of a server of `core`, whose options were checked.
    pub(crate) fn new(core: ServingCore) -> ServerState {
        let queue = QueueState { workers: core.options.threads(), ..QueueState::default() };
        ServerState {
            core,
            queue: Mutex::new(queue),
            changed: Condvar::new(),
            timed: Condvar::new(),
            stats: Mutex::default(),
        }
    }

    /// Puts a request into the queue.
    ///
    /// # Errors
    /// If the queue is full or is being drained.
    pub(crate) fn enqueue(&self, key: u64, request: QueuedRequest) -> Result<()> {
        let deadline = self.core.options.timeout.and_then(|t| {
            let (arrived, slot) = (request.arrived, Arc::downgrade(&request.slot));
            Some(RequestDeadline { arrived, deadline: arrived.checked_add(t)?, slot })
        });
        let mut queue = lock(&self.queue);
        let refused = if queue.is_draining {
            Some(Refusal::shutting_down())
        } else if queue.requests.len() >= self.core.options.queue_limit {
            Some(Refusal::queue_full(self.core.options.queue_limit))
        } else {
            None
        };
        if let Some(e) = refused {
            lock(&self.stats).counts.refused += 1;
            return Err(e);
        }
        lock(&self.stats).counts.accepted += 1;
        let is_new_batch = queue.requests.push(key, request, &self.core.options);
        let is_first_deadline = deadline.is_some_and(|d| queue.deadlines.add(d));
        drop(queue);
        if is_new_batch {
            self.changed.notify_one();
        }
        if is_first_deadline {
            self.timed.notify_one();
        }
        Ok(())
    }

    /// Counts a request that cannot be put into the queue, as its inputs are invalid.
    pub(crate) fn count_invalid(&self) {
        lock(&self.stats).counts.invalid += 1;
    }

    pub(crate) fn stats(&self) -> ServingStats {
        let queue = lock(&self.queue);
        let stats = lock(&self.stats);
        let mut s = ServingStats { latency: stats.latency.quantiles(), ..stats.counts.clone() };
        s.waiting = queue.requests.len();
        let ended = s.answered + s.failed + s.timed_out + s.cancelled;
        s.running = usize::try_from(s.accepted - ended).unwrap_or(usize::MAX) - s.waiting;
        s
    }

    /// Refuses requests from now on, and lets workers end when the queue is empty.
    pub(crate) fn start_draining(&self) {
        lock(&self.queue).is_draining = true;
        self.changed.notify_all();
    }

    /// Runs batches until the server is drained: the function of a worker of a partition.
    pub(crate) fn work(&self, partition: usize) {
        let _running = RunningWorker(self);
        while let Some((key, requests)) = self.next_batch() {
            self.run_batch(BatchOrigin { partition, key }, requests);
        }
    }

    /// Waits for the next batch; `None` when the server is drained.
    fn next_batch(&self) -> Option<(u64, Vec<QueuedRequest>)> {
        let mut queue = lock(&self.queue);
        loop {
            let (now, is_draining) = (Instant::now(), queue.is_draining);
            match queue.requests.next(now, is_draining, &self.core.options) {
                NextStep::Run { key, requests } => {
                    if queue.requests.len() > 0 {
                        self.changed.notify_one();
                    }
                    return Some((key, requests));
                }
                NextStep::WaitUntil(start) => {
                    queue = wait(&self.changed, queue, Some(start.saturating_duration_since(now)));
                }
                NextStep::Wait if is_draining => return None,
                NextStep::Wait => queue = wait(&self.changed, queue, None),
            }
        }
    }

    /// Runs the requests whose callers still wait, and ends them. A panic ends them with an error,
    /// and not the worker.
    fn run_batch(&self, origin: BatchOrigin, requests: Vec<QueuedRequest>) {
        let all: Vec<&QueuedRequest> = requests.iter().collect();
        let run = || {
            self.run_waiting(origin, &all);
            Ok(())
        };
        if let Err(e) = caught("a worker", run) {
            self.end(&all, |_| Err(e.clone()));
        }
        // The inputs are values of the user.
        ignoring_panic(|| drop(requests));
    }

    /// Runs those of `requests` whose callers still wait, and ends them. If they fail, each half
    /// runs again without the other, so that only requests that fail themselves get an error.
    fn run_waiting(&self, origin: BatchOrigin, requests: &[&QueuedRequest]) {
        let waiting = requests.iter().copied().filter(|r| !r.slot.has_ended());
        let waiting: Vec<&QueuedRequest> = waiting.collect();
        if waiting.is_empty() {
            return;
        }
        match self.attempt(origin, &waiting) {
            Ok(()) => (),
            Err(FailedBatch { has_results: false, .. }) if waiting.len() > 1 => {
                let (first, second) = waiting.split_at(waiting.len() / 2);
                self.run_waiting(origin, first);
                self.run_waiting(origin, second);
            }
            Err(FailedBatch { e, .. }) => self.end(&waiting, |_| Err(e.clone())),
        }
    }

    /// Runs requests as one batch, and ends them.
    ///
    /// # Errors
    /// The error of the model; then the requests have not ended.
    fn attempt(&self, origin: BatchOrigin, requests: &[&QueuedRequest]) -> Result<(), FailedBatch> {
        let is_partial = self.core.function.is_partial();
        let (mut results, mut has_results) = (Vec::new(), false);
        let rows: Vec<usize> = requests.iter().map(|r| r.rows).collect();
        let total = rows.iter().sum();
        *lock(&self.stats).counts.batches.entry(total).or_default() += 1;
        let mut run = || {
            let inputs: Vec<_> = requests.iter().map(|r| r.inputs.as_slice()).collect();
            let size = self.core.options.size_for(total)?;
            let batch = RowBatch::new(&inputs, rows.clone(), size, origin)?;
            self.core.function.run(&batch, &mut |parts| {
                if is_partial {
                    has_results = true;
                    return self.push_all(requests, parts);
                }
                results = parts;
                Ok(())
            })
        };
        run().map_err(|e| FailedBatch { e, has_results })?;
        let mut results = results.into_iter();
        self.end(requests, |_| match results.next() {
            None if !is_partial => Err(Error::bug("a request of a batch has no result")),
            result => Ok(result),
        });
        Ok(())
    }

    /// Gives each request its part of a result. Ends those whose callers take no results.
    ///
    /// # Errors
    /// If no caller waits any more.
    fn push_all(&self, requests: &[&QueuedRequest], parts: Vec<Outputs>) -> Result<()> {
        if parts.len() != requests.len() {
            return None.or_bug("a batch has another number of parts than requests");
        }
        let mut has_callers = false;
        for (request, part) in requests.iter().zip(parts) {
            match request.slot.push(part) {
                PushedResult::Kept(wake) => {
                    has_callers = true;
                    wake.wake();
                }
                PushedResult::Full(limit) => {
                    self.end(&[request], |_| Err(Refusal::too_slow(limit)))
                }
                PushedResult::Ended => (),
            }
        }
        match has_callers {
            true => Ok(()),
            false => Err(Error::new("serving", "no caller waits for the results of this batch")),
        }
    }

    /// Ends those of `requests` that have not ended yet, with the last results that `last` returns,
    /// and wakes their callers.
    fn end(
        &self,
        requests: &[&QueuedRequest],
        mut last: impl FnMut(&QueuedRequest) -> Result<Option<Outputs>>,
    ) {
        let (now, mut wakes) = (Instant::now(), Vec::with_capacity(requests.len()));
        // Results of requests that have ended before: dropped last, without a lock.
        let mut late = Vec::new();
        // A caller that sees its result also sees it counted: it needs this lock to look.
        let mut stats = lock(&self.stats);
        for request in requests {
            let last = last(request);
            let is_ok = last.is_ok();
            match request.slot.end(last) {
                Ok(wake) => wakes.push(wake),
                Err(last) => {
                    late.push(last);
                    continue;
                }
            }
            if is_ok {
                stats.counts.answered += 1;
                stats.latency.add(now.saturating_duration_since(request.arrived));
            } else {
                stats.counts.failed += 1;
            }
        }
        drop(stats);
        wakes.into_iter().for_each(Wake::wake);
    }

    /// Ends requests at their deadlines until all workers have ended: the function of the timer.
    pub(crate) fn keep_time(&self, timeout: Duration) {
        let mut queue = lock(&self.queue);
        while queue.workers > 0 {
            let now = Instant::now();
            let next = queue.deadlines.first();
            match next {
                Some(deadline) if deadline <= now => {
                    if let Some((arrived, slot)) = queue.deadlines.pop() {
                        let removed = queue.requests.remove(&slot);
                        drop(queue);
                        let waited = now.saturating_duration_since(arrived);
                        let e = Refusal::timed_out(waited, timeout, removed.is_some());
                        self.time_out(&slot, e);
                        ignoring_panic(|| drop((removed, slot)));
                        queue = lock(&self.queue);
                    }
                }
                _ => {
                    let left = next.map(|deadline| deadline.saturating_duration_since(now));
                    queue = wait(&self.timed, queue, left);
                }
            }
        }
    }

    /// Ends a request with the error `e` of its deadline.
    fn time_out(&self, slot: &Arc<ReplySlot>, e: Error) {
        let mut stats = lock(&self.stats);
        let wake = slot.end(Err(e));
        stats.counts.timed_out += u64::from(wake.is_ok());
        drop(stats);
        wake.into_iter().for_each(Wake::wake);
    }
}

impl CancelRequest for ServerState {
    fn cancel(&self, slot: &Arc<ReplySlot>) {
        let removed = lock(&self.queue).requests.remove(slot);
        let mut stats = lock(&self.stats);
        let wake = slot.end(Ok(None));
        stats.counts.cancelled += u64::from(wake.is_ok());
        drop(stats);
        // There is no caller to wake. The waker may own other requests, which it cancels.
        drop((removed, wake));
    }
}

/// A worker that runs. Dropping it counts the worker as ended, also if it panics.
struct RunningWorker<'s>(&'s ServerState);

impl Drop for RunningWorker<'_> {
    fn drop(&mut self) {
        lock(&self.0.queue).workers -= 1;
        self.0.timed.notify_all();
    }
}

/// The error of a batch.
struct FailedBatch {
    e: Error,
    /// True if the requests have got results already, so that they cannot run again.
    has_results: bool,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Waits for a signal, at most for `time`.
fn wait<'q, T>(
    signal: &Condvar,
    guard: MutexGuard<'q, T>,
    time: Option<Duration>,
) -> MutexGuard<'q, T> {
    match time {
        None => signal.wait(guard).unwrap_or_else(PoisonError::into_inner),
        Some(time) => signal.wait_timeout(guard, time).unwrap_or_else(PoisonError::into_inner).0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch_function::BatchFunction;
    use crate::serving_core::SharedCore;

    #[test]
    fn a_panic_of_a_worker_ends_its_requests_with_an_error() {
        let function = BatchFunction::whole(|batch| Ok(batch.inputs().to_vec()));
        let state = ServerState::new(SharedCore::new(function).checked().unwrap());
        // The sum of these rows is out of range.
        let request = |slot: &Arc<ReplySlot>| QueuedRequest {
            inputs: vec![],
            rows: usize::MAX,
            arrived: Instant::now(),
            slot: slot.clone(),
        };
        let slots = [Arc::<ReplySlot>::default(), Arc::default()];
        state.run_batch(BatchOrigin::default(), slots.iter().map(request).collect());
        for slot in slots {
            assert!(slot.wait().is_err());
        }
        assert_eq!(lock(&state.stats).counts.failed, 2);
    }
}
