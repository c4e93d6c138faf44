//! `cache`: the items of the first epoch, kept in memory.

use super::core::{IndexedItems, Stream};
use crate::kept::Kept;
use neurax_tensor::{Error, Result};
use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

impl<T: Clone + Send + Sync + 'static> Stream<T> {
    /// Returns the items of epoch 0 for every epoch, kept in memory after they were computed once.
    /// The result has random access, so that a stream of lines can be shuffled behind it.
    ///
    /// With random access, an item is computed when it is first used. Otherwise the whole epoch is
    /// read when the first item is used; put a [`Stream::prefetch`] before `cache` to do it in
    /// parallel. Clones share the memory.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let lines = data::Stream::from_epochs(|_| Ok((0..4).map(Ok)));
    /// let shuffled = lines.cache().shuffle(key(0));
    /// let mut items = shuffled.epoch(5).collect::<Result<Vec<_>>>()?;
    /// items.sort();
    /// assert_eq!(items, [0, 1, 2, 3]);
    /// # Ok::<(), Error>(())
    /// ```
    pub fn cache(&self) -> Stream<T> {
        if self.has_random_access() { self.cached_by_item() } else { self.cached_whole() }
    }

    /// Keeps each item after its first use.
    fn cached_by_item(&self) -> Stream<T> {
        let (inner, counted) = (self.clone(), self.clone());
        // A map: the memory is that of the items that were used, however many a file claims.
        let kept: Arc<RwLock<HashMap<usize, T>>> = Arc::default();
        let open = move |_| {
            let items = inner.items(0).unwrap_or_else(|| Err(no_access()))?;
            let (kept, IndexedItems { len, at }) = (kept.clone(), items);
            let at = move |i: usize| {
                let known = kept.read().unwrap_or_else(PoisonError::into_inner).get(&i).cloned();
                if let Some(item) = known {
                    return Ok(item);
                }
                let item = at(i)?;
                // Another thread may have computed the same item meanwhile: the first one stays.
                let mut kept = kept.write().unwrap_or_else(PoisonError::into_inner);
                Ok(kept.entry(i).or_insert(item).clone())
            };
            Ok(IndexedItems { len, at: Arc::new(at) })
        };
        Stream::indexed(move || counted.len(), open)
    }

    /// Reads the whole epoch at its first use.
    fn cached_whole(&self) -> Stream<T> {
        let inner = self.clone();
        let kept: Kept<Vec<T>> = Kept::default();
        let (counted, shared) = (self.clone(), kept.clone());
        let len = move || shared.read().map(|items| items.len()).or_else(|| counted.len());
        let open = move |_| {
            let items = kept.get(|| inner.epoch(0).collect::<Result<Vec<T>>>())?;
            let len = items.len();
            let at = move |i: usize| items.get(i).cloned().ok_or_else(|| below(len, i));
            Ok(IndexedItems { len, at: Arc::new(at) })
        };
        Stream::indexed(len, open)
    }
}

/// Returns the error of an index that is out of range, which no caller can cause.
pub(super) fn below(len: usize, i: usize) -> Error {
    Error::bug(format!("expected an index below {len}, got {i}"))
}

fn no_access() -> Error {
    Error::bug("expected a stream with random access")
}

#[cfg(test)]
mod tests {
    use super::*;
    use neurax_tensor::key;
    use std::sync::atomic::{AtomicUsize, Ordering};

    /// Returns a function that counts its calls, and the count.
    fn counting() -> (impl Fn(usize) -> usize + Send + Sync + 'static, Arc<AtomicUsize>) {
        let count = Arc::new(AtomicUsize::new(0));
        let counter = count.clone();
        let f = move |i| {
            counter.fetch_add(1, Ordering::Relaxed);
            i
        };
        (f, count)
    }

    #[test]
    fn items_are_computed_once() {
        let (f, count) = counting();
        let cached = Stream::range(0..10).map(f).cache();
        assert_eq!(cached.epoch_from(3, 8).collect::<Result<Vec<_>>>().unwrap(), [8, 9]);
        assert_eq!(count.load(Ordering::Relaxed), 2);
        for epoch in 0..3 {
            let shuffled = cached.shuffle(key(0)).prefetch(2);
            assert_eq!(shuffled.epoch(epoch).count(), 10);
        }
        assert_eq!(count.load(Ordering::Relaxed), 10);
    }

    #[test]
    fn a_stream_without_random_access_is_read_once() {
        let (f, count) = counting();
        let lines = Stream::from_epochs(|_| Ok((0..10).map(Ok))).map(f).cache();
        assert_eq!(lines.len(), None);
        for epoch in 0..3 {
            assert_eq!(lines.shuffle(key(1)).epoch(epoch).count(), 10);
        }
        assert_eq!((count.load(Ordering::Relaxed), lines.len()), (10, Some(10)));
    }

    #[test]
    fn an_error_is_not_kept() {
        let failures = AtomicUsize::new(1);
        let lines = Stream::from_epochs(move |_| {
            match failures.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| n.checked_sub(1))
            {
                Ok(_) => Err(Error::new("read", "try again")),
                Err(_) => Ok((0..2).map(Ok)),
            }
        });
        let cached = lines.cache();
        assert!(cached.epoch(0).next().unwrap().is_err());
        assert_eq!(cached.epoch(0).collect::<Result<Vec<_>>>().unwrap(), [0, 1]);
    }
}
