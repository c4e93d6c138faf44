//! The thread pool: fork-join over the chunks of one task at a time.
//!
//! A task has a number of chunks, which the compiler derives from the shapes alone: any number of
//! threads computes the same chunks, and so the same bits. [`Pool::run`] gives each thread a
//! contiguous share of the chunks, itself included, and returns when all are done:
//!
//! ```text
//! 8 chunks, 3 threads:  caller 0 1 2 | thread 1: 3 4 5 | thread 2: 6 7
//! ```
//!
//! A thread takes the chunks of its share from the front. When the share is empty it steals
//! from the back of the others' (work stealing without a deque: a share is one atomic word, its
//! first chunk and its end). The same chunk goes to the same thread, step after step, if that
//! thread is awake: its data may still be in the core's cache.
//!
//! After a job, a thread spins for a while, as the next step of a program usually comes soon,
//! and then sleeps on a condition variable. A new job is published under a lock and announced by a
//! counter, `epoch`, so that a spinning thread takes no lock.
//!
//! Invariants:
//! - One caller at a time owns the pool. If the pool is busy, the caller runs the work on its own
//!   thread, with the same bits: calls nest and run from many threads without a deadlock.
//! - The lifetime of the borrowed closure is extended to that of the threads. [`JobGuard`] waits
//!   for all of them before `run` returns or unwinds.
//! - A panic in a chunk, on any thread, reaches the caller of that job and no other.
//!
//! Rejected: a general pool such as rayon's, whose fork-join costs more than a small step; and
//! chunks that depend on the number of threads, which change the order of sums.

#![allow(
    unsafe_code,
    reason = "a borrowed closure is lent to threads that live longer; the caller waits for them"
)]

use super::subnormal::with_flush_to_zero;
use crate::tuning::{MAX_THREADS, POLLS_PER_CLOCK_READ, SPIN_BEFORE_SLEEP};
use neurax_ir::{Error, Result};
use std::{
    any::Any,
    ops::Range,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    sync::{
        Condvar, Mutex, MutexGuard, OnceLock, PoisonError, TryLockError,
        atomic::{
            AtomicU64, AtomicUsize,
            Ordering::{AcqRel, Acquire, Relaxed, Release},
        },
    },
    time::Instant,
};

/// A thread pool.
pub struct Pool {
    threads: usize,
    /// Locked by the caller that owns the pool.
    owner: Mutex<()>,
    job: Mutex<Option<PoolJob>>,
    wake: Condvar,
    /// The number of jobs so far, which spinning threads watch without a lock.
    epoch: AtomicUsize,
    shares: Box<[WorkShare]>,
    active: AtomicUsize,
    asleep: AtomicUsize,
    /// The payload of a panic on another thread.
    panic: Mutex<Option<Box<dyn Any + Send>>>,
}

/// The job that threads work on.
#[derive(Clone, Copy)]
struct PoolJob {
    run: &'static (dyn Fn(usize) + Sync),
    /// The number of threads that have a share.
    shares: usize,
}

/// The chunks of a thread that have not begun, in one word: the first one in the upper half, the
/// end (exclusive) in the lower half.
#[derive(Default)]
#[repr(align(64))]
struct WorkShare(AtomicU64);

impl WorkShare {
    fn set(&self, chunks: Range<usize>) {
        self.0.store((chunks.start as u64) << 32 | chunks.end as u64, Relaxed);
    }

    /// Takes a chunk: the first one for the thread that owns the share, the last one for others.
    fn take(&self, is_own: bool) -> Option<usize> {
        let split = |both: u64| (both >> 32, both & u32::MAX as u64);
        let without = |both: u64| {
            let (first, end) = split(both);
            (first < end).then(|| if is_own { both + (1 << 32) } else { both - 1 })
        };
        let (first, end) = split(self.0.fetch_update(Relaxed, Relaxed, without).ok()?);
        Some(if is_own { first } else { end - 1 } as usize)
    }
}

impl Pool {
    /// Returns the pool of this process, with `NEURAX_THREADS` threads, or by default the number
    /// that the machine runs simultaneously.
    ///
    /// # Errors
    /// If `NEURAX_THREADS` is not a number of threads.
    pub fn global() -> Result<&'static Pool> {
        static POOL: OnceLock<Result<&'static Pool>> = OnceLock::new();
        POOL.get_or_init(|| {
            let wish = std::env::var_os(THREADS_VARIABLE);
            let wish = wish.as_ref().map(|w| w.to_string_lossy());
            // other: one thread, if the system does not say how many run simultaneously.
            let available = || std::thread::available_parallelism().map_or(1, |n| n.get());
            Ok(Pool::of(threads(wish.as_deref())?.unwrap_or_else(available)))
        })
        .clone()
    }

    /// Returns the pool of `threads` threads, at least one. There is one pool of each size.
    pub fn of(threads: usize) -> &'static Pool {
        static POOLS: Mutex<Vec<&'static Pool>> = Mutex::new(vec![]);
        let (mut pools, threads) = (lock(&POOLS), threads.clamp(1, MAX_THREADS));
        if let Some(pool) = pools.iter().find(|p| p.threads == threads) {
            return pool;
        }
        let pool = Pool::start(threads);
        pools.push(pool);
        pool
    }

    /// Starts a pool of `threads` threads, the caller's among them. They live as long as the
    /// process.
    fn start(threads: usize) -> &'static Pool {
        let pool: &'static Pool = Box::leak(Box::new(Pool {
            threads,
            owner: Mutex::new(()),
            job: Mutex::new(None),
            wake: Condvar::new(),
            epoch: AtomicUsize::new(0),
            shares: (0..threads).map(|_| WorkShare::default()).collect(),
            active: AtomicUsize::new(0),
            asleep: AtomicUsize::new(0),
            panic: Mutex::new(None),
        }));
        for i in 1..threads {
            // If a thread cannot be started, the others steal its share.
            let _ = std::thread::Builder::new()
                .name(format!("neurax-{i}"))
                .spawn(move || with_flush_to_zero(&mut || pool.work(i)));
        }
        pool
    }

    /// Returns the number of threads, the caller's among them.
    pub fn threads(&self) -> usize {
        self.threads
    }

    /// Runs `f(0)` to `f(chunks - 1)`, in any order and in parallel, and returns when all are done.
    ///
    /// # Panics
    /// If a chunk panics, on any thread.
    pub fn run(&self, chunks: usize, f: &(dyn Fn(usize) + Sync)) {
        let owner = if chunks > 1 && self.threads > 1 && u32::try_from(chunks).is_ok() {
            try_lock_free(&self.owner)
        } else {
            None
        };
        if owner.is_none() {
            return (0..chunks).for_each(f);
        }
        // SAFETY: before this function returns or unwinds, `JobGuard` removes the reference from
        // `job` and waits for all threads that have seen it.
        let run = unsafe {
            std::mem::transmute::<&(dyn Fn(usize) + Sync), &'static (dyn Fn(usize) + Sync)>(f)
        };
        let shares = self.threads.min(chunks);
        let job = PoolJob { run, shares };
        // The caller's share is at least as large as any other: other threads may have to wake up.
        let first = |i: usize| (i * chunks).div_ceil(shares);
        (0..shares).for_each(|i| self.shares[i].set(first(i)..first(i + 1)));
        {
            let mut current = lock(&self.job);
            *current = Some(job);
            // Under the lock: a thread that is about to sleep sees the job, or is woken.
            self.epoch.fetch_add(1, Release);
        }
        let asleep = self.asleep.load(Acquire);
        (1..chunks).take(asleep).for_each(|_| self.wake.notify_one());
        {
            let _guard = JobGuard(self);
            self.share(job, 0);
        }
        if let Some(panic) = lock(&self.panic).take() {
            resume_unwind(panic);
        }
    }

    /// Runs the chunks of thread `me`, then steals those that others have left.
    fn share(&self, job: PoolJob, me: usize) {
        for i in 0..job.shares {
            let victim = (me + i) % job.shares;
            while let Some(chunk) = self.shares[victim].take(victim == me) {
                (job.run)(chunk);
            }
        }
    }

    /// Works on jobs as thread `me`, for ever.
    fn work(&self, me: usize) {
        let mut seen = 0;
        loop {
            seen = self.wait(seen);
            let job = {
                let job = lock(&self.job);
                if job.is_some() {
                    self.active.fetch_add(1, Relaxed);
                }
                *job
            };
            if let Some(job) = job {
                if let Err(panic) = catch_unwind(AssertUnwindSafe(|| self.share(job, me))) {
                    *lock(&self.panic) = Some(panic);
                }
                self.active.fetch_sub(1, Release);
            }
        }
    }

    /// Waits for a job after number `seen`, and returns its number.
    fn wait(&self, seen: usize) -> usize {
        let start = Instant::now();
        loop {
            for _ in 0..POLLS_PER_CLOCK_READ {
                let now = self.epoch.load(Acquire);
                if now != seen {
                    return now;
                }
                std::hint::spin_loop();
            }
            if start.elapsed() > SPIN_BEFORE_SLEEP {
                break;
            }
        }
        self.asleep.fetch_add(1, AcqRel);
        let mut job = lock(&self.job);
        while self.epoch.load(Acquire) == seen {
            job = self.wake.wait(job).unwrap_or_else(PoisonError::into_inner);
        }
        self.asleep.fetch_sub(1, AcqRel);
        self.epoch.load(Acquire)
    }
}

/// A pool of one user, until the lease is dropped. Then the next lease of a pool of this size gets
/// it: the threads of a pool live as long as the process.
#[derive(Debug)]
pub(crate) struct PoolLease(&'static Pool);

/// The pools that were leased before, and are not in use now.
static FREE_POOLS: Mutex<Vec<&'static Pool>> = Mutex::new(vec![]);

impl PoolLease {
    /// Leases a pool of `threads` threads, at least one.
    pub(crate) fn new(threads: usize) -> PoolLease {
        let (mut free, threads) = (lock(&FREE_POOLS), threads.clamp(1, MAX_THREADS));
        let found = free.iter().position(|pool| pool.threads == threads);
        PoolLease(found.map_or_else(|| Pool::start(threads), |i| free.swap_remove(i)))
    }

    pub(crate) fn pool(&self) -> &'static Pool {
        self.0
    }
}

impl Drop for PoolLease {
    fn drop(&mut self) {
        lock(&FREE_POOLS).push(self.0);
    }
}

impl std::fmt::Debug for Pool {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        write!(f, "Pool({} threads)", self.threads)
    }
}

/// The loan of a closure to the pool, taken back on drop.
struct JobGuard<'a>(&'a Pool);

impl Drop for JobGuard<'_> {
    fn drop(&mut self) {
        *lock(&self.0.job) = None;
        if std::thread::panicking() {
            // Chunks that have not begun are dropped. Without a panic none are left.
            self.0.shares.iter().for_each(|s| s.set(0..0));
        }
        while self.0.active.load(Acquire) > 0 {
            std::hint::spin_loop();
        }
        if std::thread::panicking() {
            // One panic is enough: another chunk's must not reach the next caller.
            *lock(&self.0.panic) = None;
        }
    }
}

/// Returns the lock if it is free, also after a panic of its last holder.
fn try_lock_free<T>(m: &Mutex<T>) -> Option<MutexGuard<'_, T>> {
    match m.try_lock() {
        Ok(guard) => Some(guard),
        Err(TryLockError::Poisoned(e)) => Some(e.into_inner()),
        Err(TryLockError::WouldBlock) => None,
    }
}

fn lock<T>(m: &Mutex<T>) -> MutexGuard<'_, T> {
    m.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The environment variable with the number of threads.
const THREADS_VARIABLE: &str = "NEURAX_THREADS";

/// Returns the number of threads that the value `wish` of the environment variable asks for, if it
/// is set and not empty.
///
/// # Errors
/// If it is not a number of threads.
fn threads(wish: Option<&str>) -> Result<Option<usize>> {
    let Some(wish) = wish.filter(|w| !w.is_empty()) else { return Ok(None) };
    match wish.parse() {
        Ok(n @ 1..=MAX_THREADS) => Ok(Some(n)),
        _ => {
            let why = format!(
                "expected {THREADS_VARIABLE} to be a number of threads from 1 to {MAX_THREADS}, \
                 got `{wish}`"
            );
            Err(Error::new("device", why))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn every_chunk_runs_once_for_any_number_of_callers() {
        let pool = Pool::start(3);
        std::thread::scope(|s| {
            for _ in 0..4 {
                s.spawn(|| {
                    for round in 0..200 {
                        let counts: Vec<AtomicUsize> =
                            (0..round % 7 + 1).map(|_| AtomicUsize::new(0)).collect();
                        pool.run(counts.len(), &|i| {
                            counts[i].fetch_add(1, Relaxed);
                        });
                        assert!(counts.iter().all(|c| c.load(Relaxed) == 1));
                    }
                });
            }
        });
    }

    #[test]
    fn a_wrong_number_of_threads_is_an_error() {
        let of = |wish| threads(wish);
        assert_eq!(
            [of(None), of(Some("")), of(Some("3"))].map(Result::unwrap),
            [None, None, Some(3)]
        );
        for wrong in ["abc", "0", "-1", "1025", "2 "] {
            let e = of(Some(wrong)).unwrap_err().to_string();
            let why =
                "device: expected NEURAX_THREADS to be a number of threads from 1 to 1024, got";
            assert_eq!(e, format!("{why} `{wrong}`"));
        }
    }

    #[test]
    fn a_leased_pool_has_one_user_and_is_leased_again() {
        // Another test may lease pools, but none of this size.
        let (first, second) = (PoolLease::new(5), PoolLease::new(5));
        assert!(!std::ptr::eq(first.pool(), second.pool()));
        assert_eq!((first.pool().threads(), PoolLease::new(0).pool().threads()), (5, 1));
        let before = first.pool();
        drop(first);
        assert!(std::ptr::eq(PoolLease::new(5).pool(), before));
    }

    #[test]
    fn there_is_one_pool_of_each_size() {
        assert!(std::ptr::eq(Pool::of(2), Pool::of(2)) && std::ptr::eq(Pool::of(0), Pool::of(1)));
        assert_eq!((Pool::of(1).threads, Pool::of(2).threads), (1, 2));
    }

    #[test]
    fn a_panic_on_any_thread_reaches_the_caller() {
        let pool = Pool::start(2);
        for _ in 0..50 {
            let caught = catch_unwind(AssertUnwindSafe(|| {
                pool.run(4, &|i| {
                    if i % 2 == 1 {
                        resume_unwind(Box::new(i))
                    }
                })
            }));
            assert!(caught.is_err());
            let done = AtomicUsize::new(0);
            let _ = catch_unwind(AssertUnwindSafe(|| {
                pool.run(4, &|_| {
                    done.fetch_add(1, Relaxed);
                });
            }));
        }
        let done = AtomicUsize::new(0);
        pool.run(8, &|_| {
            done.fetch_add(1, Relaxed);
        });
        assert_eq!(done.load(Relaxed), 8);
    }

    #[test]
    fn sleeping_threads_wake_up() {
        let pool = Pool::start(2);
        std::thread::sleep(Duration::from_millis(2));
        let done = AtomicUsize::new(0);
        pool.run(8, &|_| {
            done.fetch_add(1, Relaxed);
        });
        assert_eq!(done.load(Relaxed), 8);
    }

    #[test]
    fn a_share_is_taken_from_both_ends() {
        let share = WorkShare::default();
        assert_eq!([share.take(true), share.take(false)], [None; 2]);
        share.set(3..7);
        let taken = [
            share.take(true),
            share.take(false),
            share.take(false),
            share.take(true),
            share.take(true),
            share.take(false),
        ];
        assert_eq!(taken, [Some(3), Some(6), Some(5), Some(4), None, None]);
    }

    #[test]
    fn a_panic_does_not_reach_the_next_caller() {
        let pool = Pool::start(4);
        for chunks in [2, 3, 4, 9] {
            // All chunks panic, on the caller's thread and on others.
            let caught = catch_unwind(AssertUnwindSafe(|| {
                pool.run(chunks, &|i| resume_unwind(Box::new(i)))
            }));
            assert!(caught.is_err());
            let done = AtomicUsize::new(0);
            pool.run(chunks, &|_| {
                done.fetch_add(1, Relaxed);
            });
            assert_eq!(done.load(Relaxed), chunks);
        }
    }
}
