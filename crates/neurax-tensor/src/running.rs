//! Which threads are inside a function right now, so that one that calls itself is told from one
//! that two threads call.

use crate::tree::Fixed;
use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    thread::{self, ThreadId},
};

type Entries = Vec<(ThreadId, Vec<Box<dyn Fixed>>)>;

/// Threads, each with the static values that it is inside for.
#[derive(Default)]
pub(crate) struct Threads(Mutex<Entries>);

/// A thread's place among those; given back when dropped.
pub(crate) struct Running<'a>(&'a Threads);

impl Threads {
    /// `None` when this thread is among them already, with the same static values.
    pub fn enter(&self, statics: Vec<Box<dyn Fixed>>) -> Option<Running<'_>> {
        let me = thread::current().id();
        let mut entries = self.entries();
        let same = |s: &[Box<dyn Fixed>]| {
            s.len() == statics.len() && s.iter().zip(&statics).all(|(x, y)| (**x).same((**y).any()))
        };
        if entries.iter().any(|(t, s)| *t == me && same(s)) {
            return None;
        }
        entries.push((me, statics));
        Some(Running(self))
    }

    /// Is this thread among them?
    pub fn hold_me(&self) -> bool {
        let me = thread::current().id();
        self.entries().iter().any(|(t, _)| *t == me)
    }

    fn entries(&self) -> MutexGuard<'_, Entries> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        let me = thread::current().id();
        let mut entries = self.0.entries();
        // A thread leaves in the reverse order of entering.
        if let Some(i) = entries.iter().rposition(|(t, _)| *t == me) {
            entries.remove(i);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_enters_once_for_the_same_static_values() {
        let threads = Threads::default();
        let of = |n: usize| -> Vec<Box<dyn Fixed>> { vec![Box::new(n)] };
        let one = threads.enter(of(1));
        assert!(one.is_some() && threads.enter(of(1)).is_none());
        let two = threads.enter(of(2));
        assert!(
            two.is_some()
                && thread::scope(|s| s
                    .spawn(|| threads.enter(of(1)).is_some() && !threads.hold_me())
                    .join()
                    .unwrap())
        );
        drop(two);
        assert!(threads.hold_me() && threads.enter(of(2)).is_some());
        drop(one);
        assert!(!threads.hold_me());
    }
}
