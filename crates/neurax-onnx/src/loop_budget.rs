//! The iterations of loops that a call of a model has left.
//!
//! The problem: a file claims any number of iterations, and loops inside of loops multiply theirs.
//! The method: all loops of a call take their iterations from one budget. A body that is traced
//! once and runs `count` times takes what its trace took, `count` times.
//!
//! ```text
//! Loop 1000            takes 1000 * (1 + 20) iterations
//!   Loop 20            takes 20 * 1
//! ```
//!
//! # Invariants
//!
//! - An attempt that failed gives back what it took, unless the budget was exceeded: that is final.
//! - Iterations whose number only the data decide, in a compiled program, are not counted, unless
//!   the budget is one that counts all: then there are no such programs.

use crate::limits::{MAX_LOOP_ITERATIONS, MAX_TRACED_ITERATIONS};
use neurax_ir::{Error, Result};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

/// The traced iterations that are kept for loops whose body is traced once.
const RESERVED_ITERATIONS: u64 = MAX_TRACED_ITERATIONS / 16;

/// The iterations that the loops of a call may have. One thread uses it.
#[derive(Debug)]
pub(crate) struct LoopBudget {
    limit: u64,
    counts_all: bool,
    used: AtomicU64,
    is_exceeded: AtomicBool,
}

/// The iterations that are traced one by one into one program.
#[derive(Debug, Default)]
pub(crate) struct TraceBudget(AtomicU64);

impl Default for LoopBudget {
    fn default() -> LoopBudget {
        LoopBudget::of(MAX_LOOP_ITERATIONS)
    }
}

impl LoopBudget {
    /// Creates a budget of `limit` iterations.
    pub(crate) fn of(limit: u64) -> LoopBudget {
        let (used, is_exceeded) = (AtomicU64::new(0), AtomicBool::new(false));
        LoopBudget { limit, counts_all: false, used, is_exceeded }
    }

    /// Counts the iterations whose number the data decide, too: loops that end by a condition run
    /// on the host.
    pub(crate) fn counting_all(self) -> LoopBudget {
        LoopBudget { counts_all: true, ..self }
    }

    /// Returns true if the number of all iterations has to be known.
    pub(crate) fn counts_all(&self) -> bool {
        self.counts_all
    }

    /// Returns the largest number of iterations.
    pub(crate) fn limit(&self) -> u64 {
        self.limit
    }

    /// Returns the number of iterations that were taken.
    pub(crate) fn used(&self) -> u64 {
        self.used.load(Relaxed)
    }

    /// Returns true if a loop needed more than was left.
    pub(crate) fn is_exceeded(&self) -> bool {
        self.is_exceeded.load(Relaxed)
    }

    /// Takes an iteration.
    ///
    /// # Errors
    /// If none is left.
    pub(crate) fn take(&self) -> Result<()> {
        self.set(self.used().saturating_add(1))
    }

    /// Takes what was taken since `before` so often that it is taken `count` times.
    ///
    /// # Errors
    /// If less is left.
    pub(crate) fn repeat_since(&self, before: u64, count: usize) -> Result<()> {
        let once = self.used().saturating_sub(before);
        self.set(before.saturating_add(once.saturating_mul(count as u64)))
    }

    /// Gives back what was taken since `before`.
    pub(crate) fn give_back(&self, before: u64) {
        self.used.store(before, Relaxed);
    }

    /// Returns the error of a loop that never ends, which exceeds any budget.
    pub(crate) fn endless(&self) -> Error {
        self.is_exceeded.store(true, Relaxed);
        let why = "expected a loop with a number of iterations, or with a condition that becomes \
                   false, got none and a condition that is always true";
        Error::new("onnx", why)
    }

    fn set(&self, used: u64) -> Result<()> {
        self.used.store(used, Relaxed);
        if used <= self.limit {
            return Ok(());
        }
        self.is_exceeded.store(true, Relaxed);
        let why = format!(
            "expected at most {} iterations of all loops in a call, nested ones multiplied, got \
             {used} or more; call the model on smaller inputs, or export it without the loop",
            self.limit
        );
        Err(Error::new("onnx", why))
    }
}

impl TraceBudget {
    /// Returns true if an iteration may be traced as one of several copies. The last ones are kept
    /// for loops whose body is traced once, which such a loop may become instead.
    pub(crate) fn may_copy(&self) -> bool {
        self.0.load(Relaxed) < MAX_TRACED_ITERATIONS - RESERVED_ITERATIONS
    }

    /// Returns true if an iteration was left, and takes it. Without one, the loop runs on the host,
    /// where its values are known.
    pub(crate) fn take(&self) -> bool {
        self.0.fetch_add(1, Relaxed) < MAX_TRACED_ITERATIONS
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nested_iterations_multiply_and_failed_attempts_are_free() {
        let budget = LoopBudget::of(50);
        budget.take().unwrap();
        let before = budget.used();
        budget.take().unwrap();
        budget.take().unwrap();
        budget.repeat_since(before, 20).unwrap();
        assert_eq!(budget.used(), 41);
        budget.give_back(before);
        assert_eq!((budget.used(), budget.is_exceeded()), (1, false));
        budget.take().unwrap();
        let e = budget.repeat_since(before, usize::MAX).unwrap_err();
        assert!(e.message().starts_with("expected at most 50 iterations of all loops"), "{e}");
        assert!(budget.is_exceeded());
    }

    #[test]
    fn traced_iterations_end_in_favor_of_the_host() {
        let budget = TraceBudget::default();
        assert!(budget.may_copy());
        assert!((0..MAX_TRACED_ITERATIONS).all(|_| budget.take()));
        assert!(!budget.take() && !budget.may_copy());
    }
}
