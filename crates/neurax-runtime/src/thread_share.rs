//! [`ThreadShare`]: a part of the threads of a device.
//!
//! The problem: a device runs a program on all its threads, and programs that run simultaneously
//! get into each other's way. The method: the threads are divided, and a caller that
//! [enters](ThreadShare::run) a share uses only its threads, itself among them. A backend keeps
//! what belongs to a share, such as a pool of threads, in the share itself: it ends with it.
//!
//! ```text
//! 8 threads, 3 shares: 3 threads | 3 threads | 2 threads
//! ```

use std::{
    any::Any,
    cell::RefCell,
    fmt,
    sync::{Arc, OnceLock},
};

/// A part of the threads of each device, for programs that run beside others. A clone is the same
/// part.
///
/// ```
/// use neurax_runtime::ThreadShare;
/// let shares = ThreadShare::divide(3);
/// let threads: Vec<usize> = shares.iter().map(|s| s.threads_of(8)).collect();
/// assert_eq!(threads, [3, 3, 2]);
/// assert!(shares[0].run(|| ThreadShare::with_current(|share| share.is_some())));
/// assert!(ThreadShare::with_current(|share| share.is_none()), "the scope has ended");
/// ```
#[derive(Clone)]
pub struct ThreadShare(Arc<ShareState>);

struct ShareState {
    index: usize,
    count: usize,
    /// The threads that a backend has started for the share.
    threads: OnceLock<Box<dyn Any + Send + Sync>>,
}

thread_local! {
    /// The share of the innermost [`ThreadShare::run`] of this thread.
    static CURRENT: RefCell<Option<ThreadShare>> = const { RefCell::new(None) };
}

impl ThreadShare {
    /// Divides the threads into `count` parts of nearly equal size.
    pub fn divide(count: usize) -> Vec<ThreadShare> {
        let share = |index| ShareState { index, count, threads: OnceLock::new() };
        (0..count).map(|i| ThreadShare(Arc::new(share(i)))).collect()
    }

    /// Returns the number of threads of this share if all shares have `all` together. It is at
    /// least one: then more threads run than the device has.
    pub fn threads_of(&self, all: usize) -> usize {
        let ShareState { index, count, .. } = *self.0;
        let rest = usize::from(index < all.checked_rem(count).unwrap_or(0));
        (all.checked_div(count).unwrap_or(all) + rest).max(1)
    }

    /// Runs `f`, whose programs run on the threads of this share: those that this thread starts
    /// meanwhile. Scopes nest; the end of one, by a panic as well, restores the one before it.
    pub fn run<R>(&self, f: impl FnOnce() -> R) -> R {
        /// Restores the scope around this one.
        struct RestoreShare(Option<ThreadShare>);
        impl Drop for RestoreShare {
            fn drop(&mut self) {
                let outer = self.0.take();
                // A thread that ends has no scope any more.
                let _ = CURRENT.try_with(|current| current.replace(outer));
            }
        }
        let _restore = RestoreShare(CURRENT.with(|current| current.replace(Some(self.clone()))));
        f()
    }

    /// Calls `f` with the share of this thread, if it is in the scope of one.
    pub fn with_current<R>(f: impl FnOnce(Option<&ThreadShare>) -> R) -> R {
        // A copy: `f` may run in another scope.
        let share = CURRENT.with(|current| current.borrow().clone());
        f(share.as_ref())
    }

    /// Returns what a backend keeps with the share, which `start` creates at the first call; `None`
    /// if another backend has something else there.
    pub fn threads<T: Send + Sync + 'static>(&self, start: impl FnOnce() -> T) -> Option<&T> {
        self.0.threads.get_or_init(|| Box::new(start())).downcast_ref()
    }
}

impl fmt::Debug for ThreadShare {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ThreadShare({} of {})", self.0.index, self.0.count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::panic::{AssertUnwindSafe, catch_unwind};

    #[test]
    fn shares_cover_all_threads_and_have_one_at_least() {
        for (all, count) in [(1, 1), (8, 3), (7, 7), (64, 5), (2, 4)] {
            let threads = ThreadShare::divide(count).iter().map(|s| s.threads_of(all)).collect();
            let threads: Vec<usize> = threads;
            let (least, most) = (threads[count - 1], threads[0]);
            assert!(least >= 1 && most - least <= 1, "{threads:?}");
            assert_eq!(threads.iter().sum::<usize>(), all.max(count), "{threads:?}");
        }
    }

    #[test]
    fn scopes_nest_and_end() {
        let name = || ThreadShare::with_current(|s| format!("{s:?}"));
        let shares = ThreadShare::divide(2);
        shares[0].run(|| {
            shares[1].run(|| assert_eq!(name(), "Some(ThreadShare(1 of 2))"));
            assert_eq!(name(), "Some(ThreadShare(0 of 2))");
            assert_eq!(std::thread::spawn(name).join().unwrap(), "None");
            let fails = AssertUnwindSafe(|| shares[1].run(|| panic!("in a scope")));
            let panicked = catch_unwind(fails);
            assert!(panicked.is_err());
            assert_eq!(name(), "Some(ThreadShare(0 of 2))");
        });
        ThreadShare::with_current(|_| {
            shares[0].run(|| assert_eq!(name(), "Some(ThreadShare(0 of 2))"))
        });
        assert_eq!(name(), "None");
    }

    #[test]
    fn what_a_backend_keeps_is_created_once() {
        let share = &ThreadShare::divide(1)[0];
        assert_eq!(share.threads(|| 3), Some(&3));
        assert_eq!(share.clone().threads(|| 4), Some(&3));
        assert_eq!(share.threads(|| "another backend"), None);
    }
}
