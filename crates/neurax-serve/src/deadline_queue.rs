//! [`DeadlineQueue`]: the deadlines of requests, the earliest one first.
//!
//! Requests come nearly in the order of their deadlines: a deadline counts from the call, and the
//! preprocessing that follows takes some callers longer than others. So a deadline is inserted from
//! the back.

use crate::reply_slot::ReplySlot;
use std::collections::VecDeque;
use std::sync::{Arc, Weak};
use std::time::Instant;

/// The deadlines of requests, the earliest one first.
#[derive(Debug, Default)]
pub(crate) struct DeadlineQueue(VecDeque<RequestDeadline>);

/// The deadline of a request.
#[derive(Debug)]
pub(crate) struct RequestDeadline {
    pub(crate) arrived: Instant,
    pub(crate) deadline: Instant,
    pub(crate) slot: Weak<ReplySlot>,
}

impl DeadlineQueue {
    /// Adds a deadline. Returns true if it is the earliest one.
    pub(crate) fn add(&mut self, deadline: RequestDeadline) -> bool {
        // Those of requests that have ended and are forgotten need not be waited for.
        while self.0.front().is_some_and(|d| d.slot.strong_count() == 0) {
            self.0.pop_front();
        }
        let earlier = self.0.iter().rposition(|d| d.deadline <= deadline.deadline);
        let at = earlier.map_or(0, |i| i + 1);
        self.0.insert(at, deadline);
        at == 0
    }

    /// Returns the earliest deadline.
    pub(crate) fn first(&self) -> Option<Instant> {
        self.0.front().map(|d| d.deadline)
    }

    /// Removes the earliest deadline, and returns the arrival of its request and the request,
    /// unless it is forgotten.
    pub(crate) fn pop(&mut self) -> Option<(Instant, Arc<ReplySlot>)> {
        let first = self.0.pop_front()?;
        Some((first.arrived, first.slot.upgrade()?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn the_earliest_deadline_is_first_in_whatever_order_they_come() {
        let (start, mut queue) = (Instant::now(), DeadlineQueue::default());
        let at = |millis| start + Duration::from_millis(millis);
        let mut add = |millis| {
            let slot = Arc::<ReplySlot>::default();
            let (arrived, deadline) = (at(millis), at(millis + 100));
            let weak = Arc::downgrade(&slot);
            (queue.add(RequestDeadline { arrived, deadline, slot: weak }), slot)
        };
        let slots = [30, 10, 20, 10, 40, 5].map(&mut add);
        let is_earliest = slots.each_ref().map(|(is_earliest, _)| *is_earliest);
        assert_eq!(is_earliest, [true, true, false, false, false, true]);
        assert_eq!(queue.first(), Some(at(105)));
        for (millis, i) in [(5, 5), (10, 1), (10, 3), (20, 2), (30, 0), (40, 4)] {
            let (arrived, slot) = queue.pop().unwrap();
            assert_eq!(arrived, at(millis));
            assert!(Arc::ptr_eq(&slot, &slots[i].1), "equal ones in the order of their calls");
        }
        assert!(queue.pop().is_none() && queue.first().is_none());
    }

    #[test]
    fn forgotten_requests_are_not_waited_for() {
        let (arrived, mut queue) = (Instant::now(), DeadlineQueue::default());
        let mut add = |seconds| {
            let slot = Arc::<ReplySlot>::default();
            let deadline = arrived + Duration::from_secs(seconds);
            let is_earliest =
                queue.add(RequestDeadline { arrived, deadline, slot: Arc::downgrade(&slot) });
            (is_earliest, slot)
        };
        drop(add(1));
        let (is_earliest, _kept) = add(2);
        assert!(is_earliest);
    }
}
