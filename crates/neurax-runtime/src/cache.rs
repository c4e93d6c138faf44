//! A bounded concurrent cache with LRU eviction that computes each value once (single flight).
//!
//! Traces, compiled graphs, compiled ops and kernels are all looked up here, an op at every eager
//! call. So a hit must be cheap and must not slow down other threads, while a miss, which compiles
//! something, may cost more.
//!
//! # Hits
//!
//! A hit takes the read lock, looks the hash up and compares the keys in its bucket. The caller
//! passes a comparison instead of a key, so a hit allocates nothing.
//!
//! # Eviction
//!
//! The least recently used entry is evicted. A clock that every lookup advances would be a
//! contended atomic increment, so it advances on insertion only, by 2: an inserted entry gets `t`,
//! an entry that is looked up gets `t + 1`, written only if it differs. Entries used since the last
//! insertion are therefore not ordered among each other; which of them goes is arbitrary. Eviction
//! walks over all entries, which costs little next to the compilation that caused it.
//!
//! # Misses
//!
//! A missing key gets an entry without a value. The first thread to ask takes the right to compute,
//! a [`ComputeGuard`]; others wait for the entry. An error is not kept: the guard is released, and
//! the next thread computes again. An evicted entry lives on in the threads that wait for it.
//!
//! # Recursion
//!
//! A computation may ask for other values: tracing one function traces those it calls. If it asks
//! for its own value it would wait for itself, which is a [`RecursionError`]. Two threads can do
//! this to each other: one traces `f`, which calls `g`, while another traces `g`, which calls `f`.
//! Each thread that waits therefore records for whom, in one table for all caches (a wait-for
//! graph, as in deadlock detection), and a wait that would close a cycle is the same error. The
//! edges to a computation are removed when it ends, before its waiters wake: a stale edge could
//! close a false cycle. Waits that the table does not see, such as joining a thread that asks for
//! the value, are not found.
//!
//! Invariants: locks are taken in the order entry, table of waits; no lock is held while a value is
//! computed.

use neurax_ir::Error;
use rustc_hash::{FxBuildHasher, FxHashMap};
use std::{
    fmt,
    sync::{
        Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError, RwLock, RwLockReadGuard,
        atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed},
    },
    thread::{self, ThreadId},
};

/// A cache with a maximal number of entries that evicts the least recently used one. If several
/// threads ask for a missing key, one computes the value and the others wait for it.
///
/// Lookups take a hash and a comparison instead of a key, so that a hit needs no owned key.
///
/// ```
/// use neurax_runtime::{Cache, RecursionError};
/// let cache: Cache<String, usize> = Cache::new(100);
/// let length = |k: &String| Ok::<_, RecursionError>(k.len());
/// for _ in 0..3 {
///     let n = cache.get_or_compute(7, |k| k == "seven", || "seven".into(), length)?;
///     assert_eq!(n, 5);
/// }
/// assert_eq!(cache.computed(), 1);
/// # Ok::<(), RecursionError>(())
/// ```
pub struct Cache<K, V> {
    /// The entries by hash.
    entries: RwLock<Entries<K, V>>,
    capacity: usize,
    /// The time: even, advanced by 2 with every entry that is added. Lookups count as one tick
    /// after the last addition, so that a hit needs no locked instruction.
    clock: AtomicU64,
    computed: AtomicUsize,
}

/// The entries of a cache by the hashes of their keys.
type Entries<K, V> = FxHashMap<u64, Vec<Arc<Entry<K, V>>>>;

/// A key and its value.
struct Entry<K, V> {
    key: K,
    value: OnceLock<V>,
    /// The thread that computes the value.
    worker: Mutex<Option<ThreadId>>,
    done: Condvar,
    /// The time of the last use, by the clock of the cache.
    used: AtomicU64,
}

impl<K, V: Clone> Cache<K, V> {
    /// Creates an empty cache for `capacity` entries.
    pub fn new(capacity: usize) -> Cache<K, V> {
        Cache {
            entries: RwLock::default(),
            capacity: capacity.max(1),
            clock: AtomicU64::new(0),
            computed: AtomicUsize::new(0),
        }
    }

    /// Looks the value of a key up; `None` if it was not computed.
    pub fn get(&self, hash: u64, same: impl Fn(&K) -> bool) -> Option<V> {
        self.find(&self.read(), hash, same)?.value.get().cloned()
    }

    /// Returns the value of a key and computes it if it is missing. An error is not kept: the next
    /// lookup computes again.
    ///
    /// # Errors
    /// The error of `compute`, or a [`RecursionError`] when `compute` needs the key that it is
    /// computing: it asks this cache for it, or waits for another thread that waits for it.
    pub fn get_or_compute<E: From<RecursionError>>(
        &self,
        hash: u64,
        same: impl Fn(&K) -> bool,
        key: impl FnOnce() -> K,
        compute: impl FnOnce(&K) -> Result<V, E>,
    ) -> Result<V, E> {
        let found = {
            let entries = self.read();
            let found = self.find(&entries, hash, &same);
            // The value is cloned under the lock, which saves the entry's reference count.
            if let Some(v) = found.and_then(|e| e.value.get()) {
                return Ok(v.clone());
            }
            found.cloned()
        };
        let entry = found.unwrap_or_else(|| self.insert(hash, same, key));
        let _guard = match ComputeGuard::start(&entry)? {
            Start::Compute(guard) => guard,
            Start::Done(value) => return Ok(value.clone()),
        };
        self.computed.fetch_add(1, Relaxed);
        let value = compute(&entry.key)?;
        Ok(entry.value.get_or_init(|| value).clone())
    }

    /// Returns how many values were computed.
    pub fn computed(&self) -> usize {
        self.computed.load(Relaxed)
    }

    /// Returns the values that were computed and are kept, in no particular order.
    pub fn values(&self) -> Vec<V> {
        self.read().values().flatten().filter_map(|e| e.value.get().cloned()).collect()
    }

    /// Returns the number of entries.
    pub fn len(&self) -> usize {
        self.read().values().map(Vec::len).sum()
    }

    /// Returns true if there are no entries.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Looks the entry of a key up and marks it as used.
    fn find<'e>(
        &self,
        entries: &'e Entries<K, V>,
        hash: u64,
        same: impl Fn(&K) -> bool,
    ) -> Option<&'e Arc<Entry<K, V>>> {
        let found = entries.get(&hash)?.iter().find(|e| same(&e.key))?;
        // Written only if it changes: hits of several threads then share the cache line.
        let now = self.clock.load(Relaxed) + 1;
        if found.used.load(Relaxed) != now {
            found.used.store(now, Relaxed);
        }
        Some(found)
    }

    fn read(&self) -> RwLockReadGuard<'_, Entries<K, V>> {
        self.entries.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds an entry without a value, unless another thread has added it meanwhile.
    fn insert(
        &self,
        hash: u64,
        same: impl Fn(&K) -> bool,
        key: impl FnOnce() -> K,
    ) -> Arc<Entry<K, V>> {
        let key = key();
        let mut entries = self.entries.write().unwrap_or_else(PoisonError::into_inner);
        let bucket = entries.entry(hash).or_default();
        if let Some(e) = bucket.iter().find(|e| same(&e.key)) {
            return e.clone();
        }
        let used = AtomicU64::new(self.clock.fetch_add(2, Relaxed) + 2);
        let entry = Arc::new(Entry {
            key,
            value: OnceLock::new(),
            worker: Mutex::default(),
            done: Condvar::new(),
            used,
        });
        bucket.push(entry.clone());
        if entries.values().map(Vec::len).sum::<usize>() > self.capacity {
            evict_oldest(&mut entries);
        }
        entry
    }
}

/// Removes the least recently used entry, in time linear in the number of entries.
fn evict_oldest<K, V>(entries: &mut Entries<K, V>) {
    let last_use = |e: &Arc<Entry<K, V>>| e.used.load(Relaxed);
    let oldest = entries.iter().flat_map(|(h, b)| b.iter().map(move |e| (last_use(e), *h))).min();
    if let Some((used, hash)) = oldest
        && let Some(bucket) = entries.get_mut(&hash)
    {
        if let Some(i) = bucket.iter().position(|e| last_use(e) == used) {
            bucket.swap_remove(i);
        }
        if bucket.is_empty() {
            entries.remove(&hash);
        }
    }
}

/// The error of a computation that needs its own result: it asks the cache, directly or through
/// other entries, for the value that it computes. A caller that knows what is computed replaces it
/// by an error that says what to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecursionError;

impl From<RecursionError> for Error {
    fn from(e: RecursionError) -> Error {
        Error::new("cache", e.to_string())
    }
}

impl fmt::Display for RecursionError {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("the computation of a value asks for the same value")
    }
}

impl std::error::Error for RecursionError {}

/// The exclusive right to compute an entry's value. It is released when dropped, so that a panic
/// does not leave other threads waiting.
struct ComputeGuard<'a, K, V>(&'a Entry<K, V>);

/// The right to compute a value, or the value if another thread has computed it meanwhile.
enum Start<'a, K, V> {
    Compute(ComputeGuard<'a, K, V>),
    Done(&'a V),
}

impl<'a, K, V> ComputeGuard<'a, K, V> {
    /// Waits until no other thread computes the value.
    ///
    /// # Errors
    /// When this thread is computing the value already, or the thread that computes it waits,
    /// directly or through others, for a value that this thread computes.
    fn start(entry: &'a Entry<K, V>) -> Result<Start<'a, K, V>, RecursionError> {
        let current = thread::current().id();
        let mut worker = lock(&entry.worker);
        loop {
            if let Some(value) = entry.value.get() {
                return Ok(Start::Done(value));
            }
            match *worker {
                None => break,
                Some(w) if w == current => return Err(RecursionError),
                Some(w) => {
                    Wait::record(current, Wait { worker: w, entry: address(entry) })?;
                    worker = entry.done.wait(worker).unwrap_or_else(PoisonError::into_inner);
                }
            }
        }
        *worker = Some(current);
        Ok(Start::Compute(ComputeGuard(entry)))
    }
}

impl<K, V> Drop for ComputeGuard<'_, K, V> {
    fn drop(&mut self) {
        let mut worker = lock(&self.0.worker);
        // Before another thread can become the worker: no wait may name one that has finished.
        Wait::remove_all(address(self.0));
        *worker = None;
        self.0.done.notify_all();
    }
}

/// The wait of a thread for a value.
struct Wait {
    /// The thread that computes the value.
    worker: ThreadId,
    /// The address of the entry.
    entry: usize,
}

/// The waits of all threads in this process: a cycle may lead through several caches. It is locked
/// only by threads that wait and by those that end a computation.
static WAITS: Mutex<FxHashMap<ThreadId, Wait>> = Mutex::new(FxHashMap::with_hasher(FxBuildHasher));

impl Wait {
    /// Records that thread `current` waits.
    ///
    /// # Errors
    /// When the worker waits, directly or through others, for `current`: none would ever go on.
    fn record(current: ThreadId, wait: Wait) -> Result<(), RecursionError> {
        let mut waits = lock(&WAITS);
        let mut next = Some(wait.worker);
        while let Some(thread) = next {
            if thread == current {
                return Err(RecursionError);
            }
            next = waits.get(&thread).map(|w| w.worker);
        }
        waits.insert(current, wait);
        Ok(())
    }

    /// Removes the waits for an entry, given by its address.
    fn remove_all(entry: usize) {
        lock(&WAITS).retain(|_, w| w.entry != entry);
    }
}

/// Returns the address of an entry, which identifies it while a thread waits for it.
fn address<K, V>(entry: &Entry<K, V>) -> usize {
    std::ptr::from_ref(entry).addr()
}

fn lock<T>(m: &Mutex<T>) -> MutexGuard<'_, T> {
    m.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<K, V: Clone> fmt::Debug for Cache<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(
            f,
            "Cache({} of {} entries, {} computed)",
            self.len(),
            self.capacity,
            self.computed()
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Barrier;

    type Result<T> = std::result::Result<T, Error>;

    impl<K, V: Clone> Cache<K, V> {
        fn clear(&self) {
            self.entries.write().unwrap().clear();
        }
    }

    fn ask(c: &Cache<u64, u64>, k: u64, f: impl FnOnce() -> Result<u64>) -> Result<u64> {
        c.get_or_compute(k % 3, |x| *x == k, || k, |_| f())
    }

    #[test]
    fn the_least_recently_used_entry_is_evicted() {
        let c = Cache::new(2);
        for k in [1, 2, 1, 3] {
            ask(&c, k, || Ok(k)).unwrap();
        }
        assert_eq!((c.len(), c.computed()), (2, 3));
        assert_eq!(c.get(1, |x| *x == 1), Some(1));
        assert_eq!(c.get(2, |x| *x == 2), None);
    }

    #[test]
    fn one_thread_computes_and_the_others_wait() {
        let c = Cache::new(4);
        thread::scope(|s| {
            for _ in 0..8 {
                s.spawn(|| {
                    let slow = || {
                        thread::sleep(std::time::Duration::from_millis(20));
                        Ok(5)
                    };
                    assert_eq!(ask(&c, 1, slow).unwrap(), 5);
                });
            }
        });
        assert_eq!(c.computed(), 1);
    }

    #[test]
    fn errors_are_not_kept_and_recursion_is_refused() {
        let c = Cache::new(4);
        assert!(ask(&c, 1, || Err(Error::new("x", "no"))).is_err());
        let e = ask(&c, 1, || ask(&c, 1, || Ok(1))).unwrap_err();
        assert_eq!(e.to_string(), "cache: the computation of a value asks for the same value");
        assert_eq!(ask(&c, 1, || Ok(2)).unwrap(), 2);
    }

    /// Asks `c[0]` in one thread and `c[1]` in another; each computation, once both have begun,
    /// asks for the value of the other. Returns both results.
    fn each_asks_for_the_other(c: [&Cache<u64, u64>; 2]) -> [Result<u64>; 2] {
        let both_compute = Barrier::new(2);
        let ask_both = |own: usize| {
            ask(c[own], own as u64, || {
                both_compute.wait();
                ask(c[1 - own], 1 - own as u64, || Ok(7))
            })
        };
        thread::scope(|s| {
            [0, 1].map(|own| s.spawn(move || ask_both(own))).map(|t| t.join().unwrap())
        })
    }

    #[test]
    fn threads_that_would_wait_for_each_other_get_an_error() {
        let (c, d) = (Cache::new(4), Cache::new(4));
        for caches in [[&c, &c], [&c, &d]] {
            for _ in 0..100 {
                let results = each_asks_for_the_other(caches);
                // The thread that closes the cycle fails, and the other one then computes both.
                assert_eq!(results.iter().filter(|r| r.is_ok()).count(), 1, "{results:?}");
                caches.iter().for_each(|c| c.clear());
            }
        }
    }

    /// Asks for `k`, whose computation asks for the values of all larger keys below 5.
    fn nested(c: &Cache<u64, u64>, k: u64) -> Result<u64> {
        ask(c, k, || (k + 1..5).try_fold(1, |sum, i| Ok(sum + nested(c, i)?)))
    }

    #[test]
    fn computations_without_a_cycle_never_fail() {
        // A wait that outlived its computation would look like part of a cycle.
        let c = Cache::new(5);
        thread::scope(|s| {
            for first in 0..4 {
                let c = &c;
                s.spawn(move || {
                    for i in 0..500 {
                        let k = (first + i) % 5;
                        assert_eq!(nested(c, k).unwrap(), 1 << (4 - k));
                        c.clear();
                    }
                });
            }
        });
    }
}
