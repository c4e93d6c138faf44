//! Detection of a function that calls itself, by the threads that are inside of it.
//!
//! `jit` traces a function by running it. If the function calls its own `Jit` with arguments that
//! were not traced yet, tracing would not end. A flag is not enough to detect this, as any number
//! of threads may call one `Jit` at the same time: only a second call in the *same thread*, with
//! the same static values, is a recursion.

use crate::{tree::Fixed, tuning::MAX_NESTED_TRACES};
use std::{
    cell::Cell,
    sync::{Mutex, MutexGuard, PoisonError},
    thread::{self, ThreadId},
};

thread_local! {
    /// The number of jitted functions that this thread is tracing, one inside of the other.
    static NESTED_TRACES: Cell<usize> = const { Cell::new(0) };
}

/// The tracing of a jitted function; dropping it ends it. A function that calls itself with ever
/// new types or static values is not found by comparing them: its depth is bounded instead.
pub(crate) struct NestedTrace(());

impl NestedTrace {
    /// Starts to trace a function. Returns `None` if [`MAX_NESTED_TRACES`] functions are being
    /// traced, each called by the one before.
    pub fn start() -> Option<NestedTrace> {
        let depth = NESTED_TRACES.get();
        (depth < MAX_NESTED_TRACES).then(|| {
            NESTED_TRACES.set(depth + 1);
            NestedTrace(())
        })
    }
}

impl Drop for NestedTrace {
    fn drop(&mut self) {
        NESTED_TRACES.set(NESTED_TRACES.get() - 1);
    }
}

/// The calls that are running: for each its thread and its static arguments.
type RunningCalls = Vec<(ThreadId, Vec<Box<dyn Fixed>>)>;

/// The threads that are inside a function, each with the static values of its call.
#[derive(Default)]
pub(crate) struct ReentrancyGuard(Mutex<RunningCalls>);

/// A call that entered a [`ReentrancyGuard`]; dropping it leaves.
pub(crate) struct EnteredCall<'a>(&'a ReentrancyGuard);

impl ReentrancyGuard {
    /// Enters a call of the current thread with the static values `statics`. Returns `None` if the
    /// thread is already inside with the same values.
    pub fn enter(&self, statics: Vec<Box<dyn Fixed>>) -> Option<EnteredCall<'_>> {
        let current = thread::current().id();
        let mut calls = self.calls();
        let same = |s: &[Box<dyn Fixed>]| {
            s.len() == statics.len() && s.iter().zip(&statics).all(|(x, y)| (**x).same((**y).any()))
        };
        if calls.iter().any(|(t, s)| *t == current && same(s)) {
            return None;
        }
        calls.push((current, statics));
        Some(EnteredCall(self))
    }

    /// Returns true if the current thread is inside.
    pub fn contains_current(&self) -> bool {
        let current = thread::current().id();
        self.calls().iter().any(|(t, _)| *t == current)
    }

    fn calls(&self) -> MutexGuard<'_, RunningCalls> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for EnteredCall<'_> {
    fn drop(&mut self) {
        let current = thread::current().id();
        let mut calls = self.0.calls();
        // A thread leaves in the reverse order of entering.
        if let Some(i) = calls.iter().rposition(|(t, _)| *t == current) {
            calls.remove(i);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_enters_once_for_the_same_static_values() {
        let guard = ReentrancyGuard::default();
        let of = |n: usize| -> Vec<Box<dyn Fixed>> { vec![Box::new(n)] };
        let one = guard.enter(of(1));
        assert!(one.is_some() && guard.enter(of(1)).is_none());
        let two = guard.enter(of(2));
        let elsewhere = || guard.enter(of(1)).is_some() && !guard.contains_current();
        assert!(two.is_some() && thread::scope(|s| s.spawn(elsewhere).join().unwrap()));
        drop(two);
        assert!(guard.contains_current() && guard.enter(of(2)).is_some());
        drop(one);
        assert!(!guard.contains_current());
    }
}
