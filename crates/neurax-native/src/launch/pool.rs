//! The threads of this process that run parts of kernels.
//!
//! A part is cut by the compiler, from the shapes alone: however many threads there are, the same
//! parts give the same bits. Threads look for work for a while after each piece, and then sleep.
//! Whoever finds the pool in use does its parts itself.
//!
//! The same part goes to the same thread if that is awake, so that what a step leaves in a core's
//! cache is there for the next step, and the next call.

#![allow(
    unsafe_code,
    reason = "a borrowed closure is lent to threads that live longer; the lender waits for them"
)]

use super::subnormal::with_flush_to_zero;
use crate::tuning::{MAX_THREADS, SPIN_BEFORE_SLEEP};
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

/// Work that threads share.
pub struct Pool {
    threads: usize,
    /// Held by whoever has parts to give away.
    owner: Mutex<()>,
    job: Mutex<Option<PoolJob>>,
    wake: Condvar,
    /// Counts jobs, so that threads that look for work need no lock.
    epoch: AtomicUsize,
    shares: Box<[WorkShare]>,
    active: AtomicUsize,
    asleep: AtomicUsize,
    /// What a part panicked with on another thread.
    panic: Mutex<Option<Box<dyn Any + Send>>>,
}

#[derive(Clone, Copy)]
struct PoolJob {
    run: &'static (dyn Fn(usize) + Sync),
    /// How many threads have parts of their own.
    shares: usize,
}

/// The parts of a thread that nobody has begun: the first one, and the one behind the last.
#[derive(Default)]
#[repr(align(64))]
struct WorkShare(AtomicU64);

impl WorkShare {
    fn set(&self, parts: Range<usize>) {
        self.0.store((parts.start as u64) << 32 | parts.end as u64, Relaxed);
    }

    /// The first part for the thread itself, the last one for others.
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
    /// The pool of this process: as many threads as `NEURAX_THREADS` says, or as the machine runs
    /// at once.
    pub fn global() -> &'static Pool {
        static POOL: OnceLock<&'static Pool> = OnceLock::new();
        POOL.get_or_init(|| {
            let wish = std::env::var("NEURAX_THREADS")
                .ok()
                .and_then(|n| n.parse().ok())
                .filter(|&n| n > 0)
                .map(|n: usize| n.min(MAX_THREADS));
            Pool::of(
                wish.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, |n| n.get())),
            )
        })
    }

    /// The pool of that many threads, at least one: there is one of each size.
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

    /// A pool of that many threads, the caller's own among them. They live as long as the process.
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
            // Without a thread its share is done by the others.
            let _ = std::thread::Builder::new()
                .name(format!("neurax-{i}"))
                .spawn(move || with_flush_to_zero(&mut || pool.work(i)));
        }
        pool
    }

    /// Runs all parts, `f(0)` to `f(parts - 1)`, in any order and at once, and returns when all are
    /// done.
    ///
    /// # Panics
    /// When a part does, on whatever thread.
    pub fn run(&self, parts: usize, f: &(dyn Fn(usize) + Sync)) {
        let owner = if parts > 1 && self.threads > 1 && u32::try_from(parts).is_ok() {
            try_lock_free(&self.owner)
        } else {
            None
        };
        if owner.is_none() {
            return (0..parts).for_each(f);
        }
        // SAFETY: the reference is gone from `job`, and all threads that have seen it are done,
        // before this function returns or unwinds: `JobGuard` sees to both.
        let run = unsafe {
            std::mem::transmute::<&(dyn Fn(usize) + Sync), &'static (dyn Fn(usize) + Sync)>(f)
        };
        let shares = self.threads.min(parts);
        let job = PoolJob { run, shares };
        // The lender's share is never the smaller one: others may have to wake up first.
        let first = |i: usize| (i * parts).div_ceil(shares);
        (0..shares).for_each(|i| self.shares[i].set(first(i)..first(i + 1)));
        {
            let mut current = lock(&self.job);
            *current = Some(job);
            // Under the lock: who is about to sleep sees it, or is woken.
            self.epoch.fetch_add(1, Release);
        }
        let asleep = self.asleep.load(Acquire);
        (1..parts).take(asleep).for_each(|_| self.wake.notify_one());
        {
            let _guard = JobGuard(self);
            self.run_share(job, 0);
        }
        if let Some(panic) = lock(&self.panic).take() {
            resume_unwind(panic);
        }
    }

    /// Does the parts of a thread, then those that others have left.
    fn run_share(&self, job: PoolJob, me: usize) {
        for i in 0..job.shares {
            let whose = (me + i) % job.shares;
            while let Some(part) = self.shares[whose].take(whose == me) {
                (job.run)(part);
            }
        }
    }

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
                if let Err(panic) = catch_unwind(AssertUnwindSafe(|| self.run_share(job, me))) {
                    *lock(&self.panic) = Some(panic);
                }
                self.active.fetch_sub(1, Release);
            }
        }
    }

    /// Waits for a job after the one that was seen.
    fn wait(&self, seen: usize) -> usize {
        let start = Instant::now();
        loop {
            for _ in 0..64 {
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

impl std::fmt::Debug for Pool {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        write!(f, "Pool({} threads)", self.threads)
    }
}

/// A closure lent to the pool: taken back when this is dropped.
struct JobGuard<'a>(&'a Pool);

impl Drop for JobGuard<'_> {
    fn drop(&mut self) {
        *lock(&self.0.job) = None;
        if std::thread::panicking() {
            // Parts that nobody has begun are not begun any more. Otherwise none are left.
            self.0.shares.iter().for_each(|s| s.set(0..0));
        }
        while self.0.active.load(Acquire) > 0 {
            std::hint::spin_loop();
        }
        if std::thread::panicking() {
            // One panic is enough: that of another part must not reach the next lender.
            *lock(&self.0.panic) = None;
        }
    }
}

/// The lock, if nobody holds it.
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn every_part_runs_once_however_many_ask() {
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
    fn there_is_one_pool_of_each_size() {
        assert!(std::ptr::eq(Pool::of(2), Pool::of(2)) && std::ptr::eq(Pool::of(0), Pool::of(1)));
        assert_eq!((Pool::of(1).threads, Pool::of(2).threads), (1, 2));
    }

    #[test]
    fn a_panic_on_any_thread_reaches_the_lender() {
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
        let run_share = WorkShare::default();
        assert_eq!([run_share.take(true), run_share.take(false)], [None; 2]);
        run_share.set(3..7);
        let taken = [
            run_share.take(true),
            run_share.take(false),
            run_share.take(false),
            run_share.take(true),
            run_share.take(true),
            run_share.take(false),
        ];
        assert_eq!(taken, [Some(3), Some(6), Some(5), Some(4), None, None]);
    }

    #[test]
    fn a_panic_does_not_reach_the_next_lender() {
        let pool = Pool::start(4);
        for parts in [2, 3, 4, 9] {
            // All parts panic: on the lender's thread and on others.
            let caught =
                catch_unwind(AssertUnwindSafe(|| pool.run(parts, &|i| resume_unwind(Box::new(i)))));
            assert!(caught.is_err());
            let done = AtomicUsize::new(0);
            pool.run(parts, &|_| {
                done.fetch_add(1, Relaxed);
            });
            assert_eq!(done.load(Relaxed), parts);
        }
    }
}
