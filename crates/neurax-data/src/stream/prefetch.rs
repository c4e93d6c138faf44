//! `prefetch`: items that are computed ahead, by worker threads, in their order.
//!
//! The method is an ordered parallel map with a bounded queue. The workers take turns to draw the
//! next task of the stream together with its index, run it, and put the item into the slot of this
//! index; the caller takes the slots in order. A worker draws only if fewer than `capacity` items
//! are drawn and not taken, so that a slow caller stops the workers (back-pressure) and memory is
//! bounded.
//!
//! With two workers and a capacity of 4, while the caller waits for item 5:
//!
//! ```text
//! worker 1: runs task 5          slots: 5 empty, 6 done, 7 done
//! worker 2: draws task 8
//! ```
//!
//! Invariants: `taken <= drawn <= taken + capacity`; the order of the items is that of the tasks,
//! whatever the number of workers; after an error no task is drawn, so that the items before it
//! are computed and those behind it are not taken. No task runs under a lock on the slots.

use super::core::{ItemTask, ItemTasks, Stream, done, guarded};
use crate::tuning::PREFETCHED_ITEMS_PER_WORKER;
use neurax_tensor::{Error, Result};
use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

impl<T: Send + 'static> Stream<T> {
    /// Returns the same items, computed ahead by `workers` threads: the functions of
    /// [`Stream::map`] and the like that come before this run in parallel. The order is that of the
    /// stream.
    ///
    /// At most 4 items for each worker are computed ahead. An error, or a panic in a function, is
    /// the last item that the caller gets. When the iterator is dropped, the workers finish their
    /// current items and end.
    ///
    /// # Errors
    /// The first item is an error if `workers` is 0 or a thread cannot be started.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let stream = data::Stream::range(0..100).map(|i| i * i).prefetch(3);
    /// let want: Vec<usize> = (0..100).map(|i| i * i).collect();
    /// assert_eq!(stream.epoch(0).collect::<Result<Vec<_>>>()?, want);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn prefetch(&self, workers: usize) -> Stream<T> {
        if workers == 0 {
            return Stream::failed("prefetch", "expected at least 1 worker, got 0");
        }
        let (inner, counted) = (self.clone(), self.clone());
        let open = move |epoch, first| {
            let items = Prefetched::start(inner.tasks(epoch, first)?, first, workers)?;
            Ok(Box::new(items) as ItemTasks<T>)
        };
        Stream::sequential(move || counted.len(), open)
    }
}

/// The items of an epoch that are computed ahead.
struct Prefetched<T> {
    shared: Arc<PrefetchState<T>>,
    workers: Vec<JoinHandle<()>>,
}

/// The state that the workers and the caller share.
struct PrefetchState<T> {
    /// The tasks that are not drawn.
    tasks: Mutex<ItemTasks<T>>,
    slots: Mutex<ItemSlots<T>>,
    /// Notified after every change of `slots`.
    changed: Condvar,
    capacity: usize,
    /// The index of the first item in the epoch, for messages.
    first: usize,
}

/// The items that are drawn and not taken.
struct ItemSlots<T> {
    /// An item for each drawn task from `taken` on; `None` while it is computed.
    items: VecDeque<Option<Result<T>>>,
    /// The number of items that the caller took.
    taken: usize,
    /// True if no task will be drawn: there is none, an item is an error, or the caller is gone.
    is_closed: bool,
}

impl<T: Send + 'static> Prefetched<T> {
    /// Starts the workers.
    fn start(tasks: ItemTasks<T>, first: usize, workers: usize) -> Result<Prefetched<T>> {
        let slots = ItemSlots { items: VecDeque::new(), taken: 0, is_closed: false };
        let shared = Arc::new(PrefetchState {
            tasks: Mutex::new(tasks),
            slots: Mutex::new(slots),
            changed: Condvar::new(),
            capacity: workers.saturating_mul(PREFETCHED_ITEMS_PER_WORKER),
            first,
        });
        let mut started = Prefetched { shared, workers: Vec::new() };
        for i in 0..workers {
            let shared = started.shared.clone();
            let worker = std::thread::Builder::new().name(format!("neurax-prefetch-{i}"));
            let worker = worker.spawn(move || shared.work());
            started.workers.push(worker.map_err(|e| {
                Error::new("prefetch", format!("cannot start worker {i} of {workers}: {e}"))
            })?);
        }
        Ok(started)
    }
}

impl<T> PrefetchState<T> {
    /// Computes items until there are no more.
    fn work(&self) {
        while let Some((slot, task)) = self.draw() {
            let item = guarded(task).map_err(|e| self.with_index(e, slot));
            let mut slots = self.slots();
            slots.is_closed |= item.is_err();
            // An item that the caller does not wait for has no slot.
            let place = slot.checked_sub(slots.taken).and_then(|i| slots.items.get_mut(i));
            if let Some(place) = place {
                *place = Some(item);
            }
            drop(slots);
            self.changed.notify_all();
        }
    }

    /// Draws the next task, when the queue has space for its item.
    fn draw(&self) -> Option<(usize, ItemTask<T>)> {
        // The other workers wait for their turn here, and draw in the order of the tasks.
        let mut tasks = self.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        {
            let is_full = |s: &mut ItemSlots<T>| !s.is_closed && s.items.len() >= self.capacity;
            let slots = self.changed.wait_while(self.slots(), is_full);
            if slots.unwrap_or_else(PoisonError::into_inner).is_closed {
                return None;
            }
        }
        // Reading may take long, and the caller must be able to take items meanwhile.
        let next = guarded(|| tasks.next().transpose());
        let mut slots = self.slots();
        let slot = slots.taken + slots.items.len();
        let drawn = match next {
            Ok(Some(task)) if !slots.is_closed => {
                slots.items.push_back(None);
                Some((slot, task))
            }
            Ok(_) => None,
            Err(e) => {
                slots.items.push_back(Some(Err(self.with_index(e, slot))));
                None
            }
        };
        slots.is_closed |= drawn.is_none();
        drop(slots);
        self.changed.notify_all();
        drawn
    }

    fn slots(&self) -> MutexGuard<'_, ItemSlots<T>> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns an error of an item with its index in the epoch.
    fn with_index(&self, e: Error, slot: usize) -> Error {
        let message = format!("{} (item {} of the epoch)", e.message(), self.first + slot);
        Error::new(e.op(), message).at_origin(e.origin())
    }
}

impl<T: Send + 'static> Iterator for Prefetched<T> {
    type Item = Result<ItemTask<T>>;

    /// Waits for the next item.
    fn next(&mut self) -> Option<Result<ItemTask<T>>> {
        let shared = &self.shared;
        let is_pending = |s: &mut ItemSlots<T>| match s.items.front() {
            Some(item) => item.is_none(),
            None => !s.is_closed,
        };
        let slots = shared.changed.wait_while(shared.slots(), is_pending);
        let mut slots = slots.unwrap_or_else(PoisonError::into_inner);
        let item = slots.items.pop_front()?;
        slots.taken += 1;
        drop(slots);
        shared.changed.notify_all();
        item.map(done)
    }
}

impl<T> Drop for Prefetched<T> {
    fn drop(&mut self) {
        let mut slots = self.shared.slots();
        slots.is_closed = true;
        slots.items.clear();
        drop(slots);
        self.shared.changed.notify_all();
        for worker in self.workers.drain(..) {
            // The panic of a worker is an item already.
            let _ = worker.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use neurax_tensor::ir::rng::Rng;
    use neurax_tensor::key;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    /// Returns the item after a delay that depends on it.
    fn delayed(i: usize) -> usize {
        std::thread::sleep(Duration::from_micros(Rng::new(i as u64).below(2000) as u64));
        i
    }

    #[test]
    fn order_and_positions_do_not_depend_on_the_workers() {
        let shuffled = Stream::range(0..60).shuffle(key(3));
        let lines = Stream::from_epochs(|epoch| Ok((0..60).map(move |i| Ok(100 * epoch + i))));
        for stream in [shuffled, lines.shuffle_buffer(key(1), 9), lines] {
            let want: Vec<usize> = stream.epoch(2).collect::<Result<_>>().unwrap();
            for workers in [1, 2, 5] {
                let ahead = stream.map(delayed).prefetch(workers);
                for first in [0, 1, 37, 60] {
                    let items: Vec<usize> =
                        ahead.epoch_from(2, first).collect::<Result<_>>().unwrap();
                    assert_eq!(items, want[first..]);
                }
                let nested = ahead.map(|i| i).prefetch(2).chunks(7);
                let chunks: Vec<_> = nested.epoch_from(2, 3).collect::<Result<_>>().unwrap();
                assert_eq!(chunks.concat(), want[21..]);
            }
        }
    }

    #[test]
    fn an_error_is_the_last_item_and_those_before_it_come_first() {
        for workers in [1, 2, 5] {
            let stream = Stream::range(0..50).try_map(|i| match delayed(i) {
                21 => Err(Error::new("decode", "not an image")),
                i => Ok(i),
            });
            let items: Vec<_> = stream.prefetch(workers).epoch_from(0, 4).collect();
            assert_eq!(items.len(), 18);
            let error = items[17].as_ref().unwrap_err().to_string();
            let want = "map: decode: item 21: not an image (item 21 of the epoch)";
            assert_eq!(error, want);
        }
    }

    #[test]
    fn a_panic_in_a_worker_reaches_the_caller() {
        let stream = Stream::range(0..50).map(|i| if i == 7 { panic!("bad pixel") } else { i });
        let error = stream.prefetch(3).epoch(0).collect::<Result<Vec<_>>>().unwrap_err();
        assert!(error.message().starts_with("item 7: a function panicked: bad pixel"), "{error}");
        let broken = Stream::from_epochs(|_| {
            Ok((0..9).map(|i| if i == 5 { panic!("disk gone") } else { Ok(i) }))
        });
        let items: Vec<_> = broken.prefetch(2).epoch(0).collect();
        let error = items.last().unwrap().as_ref().unwrap_err();
        assert_eq!((items.len(), error.message().contains("disk gone")), (6, true));
    }

    #[test]
    fn the_queue_is_bounded_and_dropping_it_ends_the_workers() {
        let (computed, alive) = (Arc::new(AtomicUsize::new(0)), Arc::new(()));
        let (count, held) = (computed.clone(), alive.clone());
        let stream = Stream::range(0..1_000_000).map(move |i| {
            let _held = &held;
            count.fetch_add(1, Ordering::Relaxed);
            i
        });
        let mut epoch = stream.prefetch(2).epoch(0);
        assert_eq!(epoch.next().unwrap().unwrap(), 0);
        std::thread::sleep(Duration::from_millis(50));
        let most = 1 + 2 * PREFETCHED_ITEMS_PER_WORKER;
        assert!(computed.load(Ordering::Relaxed) <= most);
        drop(epoch);
        let after = computed.load(Ordering::Relaxed);
        drop(stream);
        assert_eq!(Arc::strong_count(&alive), 1, "no worker holds the function");
        assert_eq!(computed.load(Ordering::Relaxed), after);
    }

    #[test]
    fn no_workers_are_an_error() {
        let error = Stream::range(0..3).prefetch(0).epoch(0).next().unwrap().unwrap_err();
        assert!(error.to_string().starts_with("prefetch: expected at least 1 worker"), "{error}");
    }
}
