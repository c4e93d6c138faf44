//! [`Division`]: how the work on one matrix is divided, and the threads that take the parts.
//!
//! `faer` divides by a number of threads, and sums of partial results differ with that number. It
//! is told the same one on every machine, so that any number of threads computes the same bits:
//!
//! ```text
//! 4 parts, 2 threads:  thread 1: part 1, part 2 | thread 2: part 3, part 4
//! ```

use faer::Par;
use rayon::{ThreadPool, ThreadPoolBuilder};
use std::sync::{Arc, Mutex, PoisonError};

/// The parts of a divided matrix. Four took the time of two on two threads.
const PARTS: usize = 4;

/// The way in which the work on one matrix is divided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Division {
    /// It is not: all work is done on the calling thread.
    Whole,
    /// It is done in parts, by the threads of [`with_threads`]. The rounding differs from that of
    /// the whole.
    Parts,
}

impl Division {
    /// Returns the division as `faer` takes it.
    pub(crate) fn par(self) -> Par {
        match self {
            Division::Whole => Par::Seq,
            Division::Parts => Par::rayon(PARTS),
        }
    }
}

/// Runs `f` on one of `threads` threads, which take the parts of matrices that it divides. The
/// threads are started by the first call, and live as long as the process. If they cannot be
/// started, `f` is called with [`Division::Whole`].
///
/// ```
/// use neurax_linalg::{Division, Field, with_threads};
/// let mut a = [4.0, 0.0, 2.0, 10.0];
/// let done = with_threads(2, |division| f64::cholesky(&mut a, 2, division));
/// assert!(done.is_some() && a == [2.0, 0.0, 1.0, 3.0]);
/// ```
pub fn with_threads<R: Send>(threads: usize, f: impl FnOnce(Division) -> R + Send) -> R {
    match pool(threads) {
        Some(pool) => pool.install(|| f(Division::Parts)),
        None => f(Division::Whole),
    }
}

/// Returns the pool of `threads` threads, at least one. There is one pool of each size.
fn pool(threads: usize) -> Option<Arc<ThreadPool>> {
    static POOLS: Mutex<Vec<Arc<ThreadPool>>> = Mutex::new(vec![]);
    let (mut pools, threads) =
        (POOLS.lock().unwrap_or_else(PoisonError::into_inner), threads.max(1));
    if let Some(pool) = pools.iter().find(|p| p.current_num_threads() == threads) {
        return Some(pool.clone());
    }
    let name = |i| format!("neurax-linalg-{i}");
    let pool = ThreadPoolBuilder::new().num_threads(threads).thread_name(name).build().ok()?;
    pools.push(Arc::new(pool));
    pools.last().cloned()
}
