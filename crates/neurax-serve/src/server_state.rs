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
//!   runs: models, wakers.
//! - Requests are accepted only while `is_draining` is not set; then workers end all that wait, and
//!   themselves.

use crate::batch_function::BatchFunction;
use crate::refusal::Refusal;
use crate::reply_slot::{Outputs, ReplySlot, Wake};
use crate::request_queue::{GroupKey, NextStep, QueuedRequest, RequestQueue};
use crate::row_batch::RowBatch;
use crate::serving_options::ServingOptions;
use crate::stats::{LatencyHistogram, ServingStats};
use neurax_tensor::ir::OrBug;
use neurax_tensor::{Error, Result};
use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

/// The state of a server.
pub(crate) struct ServerState {
    function: BatchFunction,
    pub(crate) options: ServingOptions,
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
    /// The requests that may time out, in the order of their deadlines.
    deadlines: VecDeque<RequestDeadline>,
    is_draining: bool,
    /// The number of workers that have not ended: the timer ends after them.
    workers: usize,
}

struct RequestDeadline {
    arrived: Instant,
    deadline: Instant,
    slot: Weak<ReplySlot>,
}

#[derive(Default)]
struct StatsState {
    counts: ServingStats,
    latency: LatencyHistogram,
}

impl ServerState {
    pub(crate) fn new(function: BatchFunction, options: ServingOptions) -> ServerState {
        let queue = QueueState { workers: options.workers, ..QueueState::default() };
        ServerState {
            function,
            options,
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
        let group = GroupKey::new(key, &request.inputs);
        let deadline = self.options.timeout.and_then(|t| {
            let (arrived, slot) = (request.arrived, Arc::downgrade(&request.slot));
            Some(RequestDeadline { arrived, deadline: arrived.checked_add(t)?, slot })
        });
        let mut queue = lock(&self.queue);
        let refused = if queue.is_draining {
            Some(Refusal::shutting_down())
        } else if queue.requests.len() >= self.options.queue_limit {
            Some(Refusal::queue_full(self.options.queue_limit))
        } else {
            None
        };
        if let Some(e) = refused {
            lock(&self.stats).counts.refused += 1;
            return Err(e);
        }
        lock(&self.stats).counts.accepted += 1;
        let is_new_batch = queue.requests.push(group, request, &self.options);
        let is_first_deadline = deadline.is_some_and(|d| queue.add_deadline(d));
        drop(queue);
        if is_new_batch {
            self.changed.notify_one();
        }
        if is_first_deadline {
            self.timed.notify_one();
        }
        Ok(())
    }

    /// Ends the request of a caller that gave up.
    pub(crate) fn cancel(&self, slot: &Arc<ReplySlot>) {
        lock(&self.queue).requests.remove(slot);
        let mut stats = lock(&self.stats);
        // There is no caller to wake.
        if slot.end(Ok(None)).is_some() {
            stats.counts.cancelled += 1;
        }
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

    /// Runs batches until the server is drained: the function of a worker.
    pub(crate) fn work(&self) {
        let _running = RunningWorker(self);
        while let Some((key, requests)) = self.next_batch() {
            self.run_batch(key, requests);
        }
    }

    /// Waits for the next batch; `None` when the server is drained.
    fn next_batch(&self) -> Option<(u64, Vec<QueuedRequest>)> {
        let mut queue = lock(&self.queue);
        loop {
            let (now, is_draining) = (Instant::now(), queue.is_draining);
            match queue.requests.next(now, is_draining, &self.options) {
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

    /// Runs the requests whose callers still wait, and ends them. If a batch fails, each of its
    /// requests runs again without the others, so that only those that fail themselves get an
    /// error.
    fn run_batch(&self, key: u64, mut requests: Vec<QueuedRequest>) {
        requests.retain(|r| !r.slot.has_ended());
        if requests.is_empty() {
            return;
        }
        match self.attempt(key, &requests) {
            Ok(()) => (),
            Err(FailedBatch { has_results: false, .. }) if requests.len() > 1 => {
                for request in &requests {
                    let request = std::slice::from_ref(request);
                    if let Err(FailedBatch { e, .. }) = self.attempt(key, request) {
                        self.end(request, |_| Err(e.clone()));
                    }
                }
            }
            Err(FailedBatch { e, .. }) => self.end(&requests, |_| Err(e.clone())),
        }
    }

    /// Runs requests as one batch, and ends them.
    ///
    /// # Errors
    /// The error of the model; then the requests have not ended.
    fn attempt(&self, key: u64, requests: &[QueuedRequest]) -> Result<(), FailedBatch> {
        let is_partial = self.function.is_partial();
        let (mut results, mut has_results) = (Vec::new(), false);
        let rows: Vec<usize> = requests.iter().map(|r| r.rows).collect();
        *lock(&self.stats).counts.batches.entry(rows.iter().sum()).or_default() += 1;
        let mut run = || {
            let inputs: Vec<_> = requests.iter().map(|r| r.inputs.as_slice()).collect();
            let size = self.options.size_for(rows.iter().sum())?;
            let batch = RowBatch::new(&inputs, rows.clone(), size, key)?;
            self.function.run(&batch, &mut |parts| {
                if is_partial {
                    has_results = true;
                    return push_all(requests, parts);
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

    /// Ends those of `requests` that have not ended yet, with the last results that `last` returns,
    /// and wakes their callers.
    fn end(
        &self,
        requests: &[QueuedRequest],
        mut last: impl FnMut(&QueuedRequest) -> Result<Option<Outputs>>,
    ) {
        let (now, mut wakes) = (Instant::now(), Vec::with_capacity(requests.len()));
        // A caller that sees its result also sees it counted: it needs this lock to look.
        let mut stats = lock(&self.stats);
        for request in requests {
            let last = last(request);
            let is_ok = last.is_ok();
            let Some(wake) = request.slot.end(last) else { continue };
            wakes.push(wake);
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
            let next = queue.deadlines.front().map(|d| d.deadline);
            match next {
                Some(deadline) if deadline <= now => {
                    if let Some((arrived, slot)) = queue.pop_deadline() {
                        let in_queue = queue.requests.remove(&slot);
                        drop(queue);
                        let waited = now.saturating_duration_since(arrived);
                        self.time_out(&slot, Refusal::timed_out(waited, timeout, in_queue));
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
        stats.counts.timed_out += u64::from(wake.is_some());
        drop(stats);
        wake.into_iter().for_each(Wake::wake);
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

impl QueueState {
    /// Adds the deadline of the youngest request. Returns true if there is no earlier one.
    fn add_deadline(&mut self, deadline: RequestDeadline) -> bool {
        // Those of requests that have ended and are forgotten need not be waited for.
        while self.deadlines.front().is_some_and(|d| d.slot.strong_count() == 0) {
            self.deadlines.pop_front();
        }
        self.deadlines.push_back(deadline);
        self.deadlines.len() == 1
    }

    /// Removes the first deadline, and returns its request unless it is forgotten.
    fn pop_deadline(&mut self) -> Option<(Instant, Arc<ReplySlot>)> {
        let first = self.deadlines.pop_front()?;
        Some((first.arrived, first.slot.upgrade()?))
    }
}

/// Gives each request its part of a result.
///
/// # Errors
/// If no caller waits any more.
fn push_all(requests: &[QueuedRequest], parts: Vec<Outputs>) -> Result<()> {
    if parts.len() != requests.len() {
        return None.or_bug("a batch has another number of parts than requests");
    }
    let pushed = requests.iter().zip(parts).filter_map(|(r, part)| r.slot.push(part));
    let wakes: Vec<Wake> = pushed.collect();
    if wakes.is_empty() {
        return Err(Error::new("serving", "no caller waits for the results of this batch"));
    }
    wakes.into_iter().for_each(Wake::wake);
    Ok(())
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
