//! Filters of events: at which of its occurrences a handler is called.
//!
//! A filter is a function of the event and the state alone, and counts nothing itself: after a
//! resume, `every(100).batches()` goes on with the batches that an undisturbed run would choose.
//!
//! With several [steps per call](crate::Trainer::steps_per_call), a call ends at each batch that
//! `every`, `once` or `first` names, so that none is missed.

use crate::{Event, State};
use neurax_tensor::{Error, Result};
use std::fmt;
use std::sync::Arc;

/// An event, and the filter of its occurrences: see [`Event::when`].
#[derive(Clone, Debug)]
pub struct When {
    pub(crate) event: Event,
    pub(crate) filter: Option<EventFilter>,
}

/// A condition on the state at an event: `every(100).batches()`, or any function of the state by
/// [`EventFilter::new`]. Conditions are combined by `&` and `|`.
#[derive(Clone)]
pub struct EventFilter {
    holds: Arc<dyn Fn(Event, &State) -> Result<bool> + Send + Sync>,
    /// Returns true for the number of a batch that the condition names.
    names: Arc<dyn Fn(usize) -> bool + Send + Sync>,
    /// True if the condition may depend on the loss and the metrics.
    reads_scores: bool,
}

/// A condition on a number, to be completed by its unit: [`EventCount::batches`] or
/// [`EventCount::epochs`].
#[derive(Clone, Copy, Debug)]
#[must_use = "add `.batches()` or `.epochs()`"]
pub struct EventCount {
    n: usize,
    holds: fn(usize, usize) -> bool,
    kind: CountKind,
}

/// The kinds of conditions on a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum CountKind {
    /// The multiples of `n`, which must be at least 1.
    Interval,
    /// One number.
    Single,
    /// All numbers on one side of `n`.
    Range,
}

/// Matches every `n`-th batch or epoch, counted from 1: with 100, those of the numbers 100, 200, ..
///
/// # Examples
///
/// ```
/// use neurax::prelude::*;
/// use neurax::train::{after, every};
/// use std::sync::{Arc, Mutex};
/// let set = Dataset::new(Tensor::ones([4, 1]), Tensor::ones([4, 1]))?;
/// let model = nn::input("x", dims![_, 1]).dense(1);
/// let seen = Arc::new(Mutex::new(vec![]));
/// let steps = seen.clone();
/// let third = Event::BatchEnded.when(every(3).batches() & after(1).epochs());
/// Trainer::new(&model, loss::mse, optim::sgd(0.1))
///     .on(third, move |state| steps.lock().map(|mut s| s.push(state.step)).unwrap_or(()))
///     .quiet()
///     .run(&set.batched(1), epochs(3))?;
/// assert_eq!(*seen.lock().unwrap_or_else(|e| e.into_inner()), [6, 9, 12]);
/// # Ok::<(), Error>(())
/// ```
///
/// # Errors
/// Training fails if `n` is 0.
pub fn every(n: usize) -> EventCount {
    let holds = |number: usize, n| number > 0 && number.is_multiple_of(n);
    EventCount { n, holds, kind: CountKind::Interval }
}

/// Matches the batches or epochs before number `n`, counted from 1.
pub fn before(n: usize) -> EventCount {
    EventCount { n, holds: |number, n| number < n, kind: CountKind::Range }
}

/// Matches the batches or epochs after number `n`, counted from 1.
pub fn after(n: usize) -> EventCount {
    EventCount { n, holds: |number, n| number > n, kind: CountKind::Range }
}

/// Matches batch or epoch number `n`, counted from 1, and no other.
pub fn once(n: usize) -> EventCount {
    EventCount { n, holds: |number, n| number == n, kind: CountKind::Single }
}

/// Matches the first batch or epoch of the run, as `once(1)`.
pub fn first() -> EventCount {
    once(1)
}

impl EventCount {
    /// Returns the condition on the number of the batch in the whole run: at `BatchStarted` that of
    /// the next batch, at all other events that of the last one.
    pub fn batches(self) -> EventFilter {
        let filter = self.of(|event, state| match event {
            Event::BatchStarted => state.step + 1,
            _ => state.step,
        });
        let names = move |number| self.kind != CountKind::Range && (self.holds)(number, self.n);
        EventFilter { names: Arc::new(names), ..filter }
    }

    /// Returns the condition on the number of the epoch: at events inside of an epoch that of this
    /// epoch.
    pub fn epochs(self) -> EventFilter {
        self.of(|_, state| state.epoch + 1)
    }

    fn of(self, number: fn(Event, &State) -> usize) -> EventFilter {
        let holds = move |event, state: &State| {
            if self.kind == CountKind::Interval && self.n == 0 {
                return Err(Error::new("every", "expected an interval of at least 1, got 0"));
            }
            Ok((self.holds)(number(event, state), self.n))
        };
        EventFilter { holds: Arc::new(holds), names: Arc::new(|_| false), reads_scores: false }
    }
}

impl EventFilter {
    /// Creates a condition from a function of the state. With several
    /// [steps per call](crate::Trainer::steps_per_call), it sees the state after each call: combine
    /// it with `every(n).batches()` to see that after a batch of a given number.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let good = train::EventFilter::new(|state| state.loss < 0.1);
    /// let _ = Event::BatchEnded.when(good & train::every(10).batches());
    /// ```
    pub fn new(f: impl Fn(&State) -> bool + Send + Sync + 'static) -> EventFilter {
        let holds = move |_, state: &State| Ok(f(state));
        EventFilter { holds: Arc::new(holds), names: Arc::new(|_| false), reads_scores: true }
    }
}

impl std::ops::BitAnd for EventFilter {
    type Output = EventFilter;
    fn bitand(self, other: EventFilter) -> EventFilter {
        let names = either(&self, &other);
        let (a, b) = (self.holds, other.holds);
        let holds = Arc::new(move |event, s: &State| Ok(a(event, s)? && b(event, s)?));
        EventFilter { holds, names, reads_scores: self.reads_scores || other.reads_scores }
    }
}

impl std::ops::BitOr for EventFilter {
    type Output = EventFilter;
    fn bitor(self, other: EventFilter) -> EventFilter {
        let names = either(&self, &other);
        let (a, b) = (self.holds, other.holds);
        let holds = Arc::new(move |event, s: &State| Ok(a(event, s)? || b(event, s)?));
        EventFilter { holds, names, reads_scores: self.reads_scores || other.reads_scores }
    }
}

/// Returns true for the batches that one of two conditions names. Of a combination by `&`, these
/// are more than those at which it holds.
fn either(a: &EventFilter, b: &EventFilter) -> Arc<dyn Fn(usize) -> bool + Send + Sync> {
    let (a, b) = (a.names.clone(), b.names.clone());
    Arc::new(move |number| a(number) || b(number))
}

impl fmt::Debug for EventFilter {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("EventFilter")
    }
}

impl Event {
    /// Returns the event at those of its occurrences that fulfil a condition: see [`every`].
    pub fn when(self, filter: EventFilter) -> When {
        When { event: self, filter: Some(filter) }
    }
}

impl From<Event> for When {
    fn from(event: Event) -> When {
        When { event, filter: None }
    }
}

impl When {
    /// Returns true if this is the event, and its condition holds.
    ///
    /// # Errors
    /// If the interval of [`every`] is 0.
    pub(crate) fn matches(&self, event: Event, state: &State) -> Result<bool> {
        if self.event != event {
            return Ok(false);
        }
        self.filter.as_ref().map_or(Ok(true), |filter| (filter.holds)(event, state))
    }

    /// Returns true if a call of the compiled step has to end after `step` steps of the run, since
    /// the condition names the batch before or after.
    pub(crate) fn ends_call(&self, step: usize) -> bool {
        let number = match self.event {
            Event::BatchStarted => step + 1,
            Event::BatchEnded => step,
            _ => return false,
        };
        self.filter.as_ref().is_some_and(|filter| (filter.names)(number))
    }

    /// Returns true if the condition on an event may depend on the loss and the metrics.
    pub(crate) fn reads_scores(&self) -> bool {
        self.filter.as_ref().is_some_and(|filter| filter.reads_scores)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use neurax_nn::{OptState, Vars};
    use neurax_tensor::key;

    fn matched(event: Event, filter: EventFilter) -> Vec<usize> {
        let when = event.when(filter);
        let holds = |step: &usize| {
            let mut state = State::new(Vars::default(), OptState::default(), key(0));
            (state.step, state.epoch) = (*step, step / 4);
            when.matches(event, &state).unwrap()
        };
        (0..10).filter(holds).collect()
    }

    #[test]
    fn numbers_of_batches_count_from_1() {
        use Event::*;
        assert_eq!(matched(BatchEnded, every(4).batches()), [4, 8]);
        assert_eq!(matched(BatchStarted, every(4).batches()), [3, 7]);
        assert_eq!(matched(BatchStarted, first().batches()), [0]);
        assert_eq!(matched(BatchEnded, first().batches()), [1]);
        assert_eq!(matched(BatchEnded, before(3).batches()), [0, 1, 2]);
        assert_eq!(matched(BatchEnded, after(7).batches()), [8, 9]);
        assert_eq!(matched(EpochEnded, once(2).epochs()), [4, 5, 6, 7]);
    }

    #[test]
    fn calls_end_at_the_batches_that_a_condition_names() {
        let ends = |when: When| -> Vec<usize> { (1..10).filter(|n| when.ends_call(*n)).collect() };
        let ended = |filter| ends(Event::BatchEnded.when(filter));
        assert_eq!(ended(every(4).batches()), [4, 8]);
        assert_eq!(ended(once(3).batches() | every(5).batches()), [3, 5]);
        assert_eq!(ended(every(4).batches() & after(1).epochs()), [4, 8]);
        assert_eq!(ended(every(4).batches() & EventFilter::new(|_| false)), [4, 8]);
        let none = [after(3).batches(), before(3).batches(), every(2).epochs(), once(1).epochs()];
        none.into_iter().for_each(|filter| assert_eq!(ended(filter), [0; 0]));
        assert_eq!(ended(EventFilter::new(|_| true)), [0; 0]);
        assert_eq!(ended(every(0).batches()), [0; 0]);
        assert_eq!(ends(Event::BatchStarted.when(every(4).batches())), [3, 7]);
        assert_eq!(ends(Event::EpochEnded.when(every(4).batches())), [0; 0]);
        assert_eq!(ends(Event::BatchEnded.into()), [0; 0]);
    }

    #[test]
    fn conditions_are_combined() {
        let both = every(2).batches() & after(1).epochs();
        assert_eq!(matched(Event::BatchEnded, both), [4, 6, 8]);
        let either = once(3).batches() | EventFilter::new(|s| s.step > 8);
        assert_eq!(matched(Event::BatchEnded, either), [3, 9]);
        let when = Event::BatchEnded.when(every(1).batches());
        let state = State::new(Vars::default(), OptState::default(), key(0));
        assert!(!when.matches(Event::EpochEnded, &state).unwrap(), "another event");
        let never = Event::BatchEnded.when(every(0).batches());
        let e = never.matches(Event::BatchEnded, &state).unwrap_err().to_string();
        assert!(e.contains("expected an interval of at least 1, got 0"), "{e}");
    }
}
