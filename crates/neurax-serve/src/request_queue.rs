//! [`RequestQueue`]: the requests that wait, and the decision which of them are the next batch.
//!
//! The problem: a model is fastest on full batches, and a caller wants its result soon. The method
//! is dynamic batching: a batch starts when it is full, or when its oldest request has waited for
//! `max_delay`. Requests of different keys, dtypes or shapes are never in one batch: each such
//! group has a queue. Of the groups that can start, the one with the oldest request does.
//!
//! ```text
//! max_batch 4, max_delay 10 ms; arrivals in ms, r = rows
//! f32[_, 30]   0: 1 r   2: 1 r   5: 2 r   -> starts at 5: full
//! f32[_, 64]   1: 1 r   9: 1 r            -> starts at 11: the first one has waited for 10 ms
//! ```
//!
//! There are no threads and no clocks here: the caller passes the time.
//!
//! # Invariants
//!
//! - A group has at least one request, and the oldest one first.
//! - A request has at most `max_batch` rows.

use crate::reply_slot::ReplySlot;
use crate::serving_options::ServingOptions;
use neurax_tensor::{DType, Literal};
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

/// The requests that wait.
#[derive(Debug, Default)]
pub(crate) struct RequestQueue {
    groups: Vec<RequestGroup>,
    /// The number of requests in all groups.
    len: usize,
}

/// The requests that can be in one batch, the oldest one first.
#[derive(Debug)]
struct RequestGroup {
    key: GroupKey,
    requests: VecDeque<QueuedRequest>,
    /// The sum of the rows of the requests.
    rows: usize,
}

/// The properties that the requests of a batch share.
#[derive(Debug)]
struct GroupKey {
    /// The key that the user chose.
    key: u64,
    /// The dtype and the shape of a row of each input.
    rows: Vec<(DType, Vec<usize>)>,
}

impl GroupKey {
    fn new(key: u64, inputs: &[Literal]) -> GroupKey {
        let row = |x: &Literal| (x.dtype(), x.shape().iter().skip(1).copied().collect());
        GroupKey { key, rows: inputs.iter().map(row).collect() }
    }

    /// Returns true if it is the key of a request with these inputs. It allocates nothing.
    fn admits(&self, key: u64, inputs: &[Literal]) -> bool {
        let is_row = |(x, (dtype, row)): (&Literal, &(DType, Vec<usize>))| {
            x.dtype() == *dtype && x.shape().get(1..).is_some_and(|sizes| sizes == row.as_slice())
        };
        self.key == key
            && self.rows.len() == inputs.len()
            && inputs.iter().zip(&self.rows).all(is_row)
    }
}

/// A request.
#[derive(Debug)]
pub(crate) struct QueuedRequest {
    pub(crate) inputs: Vec<Literal>,
    /// The number of rows of the inputs, at least one.
    pub(crate) rows: usize,
    pub(crate) arrived: Instant,
    pub(crate) slot: Arc<ReplySlot>,
}

/// The next thing that a worker does.
#[derive(Debug)]
pub(crate) enum NextStep {
    /// Run these requests as one batch, whose requests have the user's key.
    Run { key: u64, requests: Vec<QueuedRequest> },
    /// Wait until a time, or until there is another request.
    WaitUntil(Instant),
    /// Wait until there is a request.
    Wait,
}

impl RequestQueue {
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Adds a request with the user's key. Returns true if a worker that waits has to decide again:
    /// the request is the first of its group, or makes a batch full.
    pub(crate) fn push(
        &mut self,
        key: u64,
        request: QueuedRequest,
        options: &ServingOptions,
    ) -> bool {
        self.len += 1;
        let rows = request.rows;
        match self.groups.iter_mut().find(|g| g.key.admits(key, &request.inputs)) {
            Some(group) => {
                group.requests.push_back(request);
                group.rows += rows;
                group.rows >= options.max_batch && group.rows - rows < options.max_batch
            }
            None => {
                let key = GroupKey::new(key, &request.inputs);
                self.groups.push(RequestGroup { key, requests: [request].into(), rows });
                true
            }
        }
    }

    /// Returns the next batch, or how long to wait for it. If `is_draining`, no request waits for
    /// others.
    pub(crate) fn next(
        &mut self,
        now: Instant,
        is_draining: bool,
        options: &ServingOptions,
    ) -> NextStep {
        let starts = self.groups.iter().enumerate().filter_map(|(i, group)| {
            let arrived = group.requests.front()?.arrived;
            let is_ready = is_draining || group.rows >= options.max_batch;
            // A delay beyond the range of the clock never ends.
            let start = if is_ready { arrived } else { arrived.checked_add(options.max_delay)? };
            Some((start, arrived, i))
        });
        let ready = starts.clone().filter(|(start, ..)| *start <= now);
        match ready.min_by_key(|(_, arrived, _)| *arrived) {
            Some((.., i)) => self.take(i, options.max_batch),
            None => match starts.map(|(start, ..)| start).min() {
                Some(start) => NextStep::WaitUntil(start),
                None => NextStep::Wait,
            },
        }
    }

    /// Takes the oldest requests of group `i` that have at most `max_rows` rows together.
    fn take(&mut self, i: usize, max_rows: usize) -> NextStep {
        let group = &mut self.groups[i];
        let (mut requests, mut rows) = (Vec::new(), 0);
        while let Some(request) = group.requests.front()
            && (rows == 0 || rows + request.rows <= max_rows)
        {
            rows += request.rows;
            requests.extend(group.requests.pop_front());
        }
        group.rows -= rows;
        self.len -= requests.len();
        let key = group.key.key;
        if group.requests.is_empty() {
            self.groups.remove(i);
        }
        NextStep::Run { key, requests }
    }

    /// Removes the request of `slot`, whose caller has given up, if it is in the queue. The caller
    /// of this function drops it without a lock: its inputs are values of the user.
    pub(crate) fn remove(&mut self, slot: &Arc<ReplySlot>) -> Option<QueuedRequest> {
        for (i, group) in self.groups.iter_mut().enumerate() {
            let found = group.requests.iter().position(|r| Arc::ptr_eq(&r.slot, slot));
            if let Some(removed) = found.and_then(|at| group.requests.remove(at)) {
                group.rows -= removed.rows;
                self.len -= 1;
                if group.requests.is_empty() {
                    self.groups.remove(i);
                }
                return Some(removed);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use neurax_tensor::Tensor;
    use std::time::Duration;

    /// A queue with a clock in milliseconds.
    struct Scene {
        queue: RequestQueue,
        start: Instant,
        options: ServingOptions,
    }

    impl Scene {
        fn new(max_batch: usize, max_delay: u64) -> Scene {
            let max_delay = Duration::from_millis(max_delay);
            let options = ServingOptions { max_batch, max_delay, ..ServingOptions::default() };
            Scene { queue: RequestQueue::default(), start: Instant::now(), options }
        }

        fn at(&self, millis: u64) -> Instant {
            self.start + Duration::from_millis(millis)
        }

        /// Adds a request for `rows` rows of `width` numbers.
        fn push(&mut self, millis: u64, rows: usize, width: usize, key: u64) -> Arc<ReplySlot> {
            let inputs = vec![Tensor::zeros([rows, width]).to_literal().unwrap()];
            let slot = Arc::new(ReplySlot::default());
            let arrived = self.at(millis);
            let request = QueuedRequest { inputs, rows, arrived, slot: slot.clone() };
            self.queue.push(key, request, &self.options);
            slot
        }

        /// Returns the key and the rows of the requests of the next batch, or the milliseconds to
        /// wait for.
        fn next(&mut self, millis: u64, is_draining: bool) -> Result<(u64, Vec<usize>), u64> {
            let now = self.at(millis);
            match self.queue.next(now, is_draining, &self.options) {
                NextStep::Run { key, requests } => {
                    Ok((key, requests.iter().map(|r| r.rows).collect()))
                }
                NextStep::WaitUntil(t) => Err((t - self.start).as_millis() as u64),
                NextStep::Wait => Err(u64::MAX),
            }
        }
    }

    #[test]
    fn a_batch_starts_when_it_is_full_or_its_oldest_request_has_waited() {
        let mut s = Scene::new(4, 10);
        assert_eq!(s.next(0, false), Err(u64::MAX));
        s.push(0, 1, 30, 0);
        assert_eq!(s.next(1, false), Err(10));
        s.push(2, 1, 30, 0);
        assert_eq!(s.next(9, false), Err(10));
        assert_eq!(s.next(10, false), Ok((0, vec![1, 1])));
        s.push(11, 1, 30, 0);
        s.push(12, 3, 30, 0);
        s.push(12, 1, 30, 0);
        assert_eq!(s.next(12, false), Ok((0, vec![1, 3])), "full");
        assert_eq!(s.next(12, false), Err(22));
        assert_eq!(s.queue.len(), 1);
    }

    #[test]
    fn without_a_delay_every_request_may_start() {
        let mut s = Scene::new(4, 0);
        s.push(0, 1, 30, 0);
        assert_eq!(s.next(0, false), Ok((0, vec![1])));
    }

    #[test]
    fn a_request_that_does_not_fit_is_in_the_next_batch() {
        let mut s = Scene::new(4, 10);
        s.push(0, 3, 30, 0);
        s.push(0, 2, 30, 0);
        assert_eq!(s.next(0, false), Ok((0, vec![3])));
        assert_eq!(s.next(0, true), Ok((0, vec![2])), "no request waits in a drain");
    }

    #[test]
    fn keys_and_shapes_are_not_mixed_and_the_oldest_goes_first() {
        let mut s = Scene::new(4, 10);
        s.push(0, 1, 30, 0);
        s.push(1, 1, 64, 0);
        s.push(2, 1, 64, 7);
        s.push(3, 4, 64, 7);
        assert_eq!(s.next(3, false), Ok((7, vec![1])), "full, and the others may wait");
        assert_eq!(s.next(20, false), Ok((0, vec![1])), "the oldest of those that are ready");
        assert_eq!(s.next(20, false), Ok((0, vec![1])));
        assert_eq!(s.next(20, false), Ok((7, vec![4])));
        assert_eq!((s.next(20, false), s.queue.len()), (Err(u64::MAX), 0));
    }

    #[test]
    fn an_endless_delay_waits_for_full_batches() {
        let mut s = Scene::new(2, 0);
        s.options.max_delay = Duration::MAX;
        s.push(0, 1, 30, 0);
        assert_eq!(s.next(1000, false), Err(u64::MAX));
        s.push(1000, 1, 30, 0);
        assert_eq!(s.next(1000, false), Ok((0, vec![1, 1])));
    }

    #[test]
    fn a_removed_request_frees_its_place() {
        let mut s = Scene::new(4, 10);
        let first = s.push(0, 1, 30, 0);
        s.push(5, 1, 30, 0);
        assert!(s.queue.remove(&first).is_some());
        assert!(s.queue.remove(&first).is_none(), "it is gone");
        assert_eq!(s.queue.len(), 1);
        assert_eq!(s.next(10, false), Err(15), "the delay counts from the oldest that is left");
        assert_eq!(s.next(15, false), Ok((0, vec![1])));
    }
}
