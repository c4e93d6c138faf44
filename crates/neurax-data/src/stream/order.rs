//! Random orders: `shuffle` of a whole epoch, `shuffle_buffer` of a stream.

use super::core::{IndexedItems, ItemTask, ItemTasks, Stream};
use crate::batches::permutation;
use crate::batches::without_first;
use neurax_tensor::ir::rng::Rng;
use neurax_tensor::{Error, Key, Result};
use std::sync::Arc;

impl<T: Send + 'static> Stream<T> {
    /// Returns the items of each epoch in a new random order, derived from `key` and the index of
    /// the epoch: that of [`Dataset::shuffled`](crate::Dataset::shuffled). Random access is kept.
    ///
    /// # Errors
    /// The first item is an error if the stream has no random access; see
    /// [`Stream::shuffle_buffer`] and [`Stream::cache`].
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let shuffled = data::Stream::range(0..5).shuffle(key(0));
    /// let mut items = shuffled.epoch(0).collect::<Result<Vec<_>>>()?;
    /// assert_ne!(items, shuffled.epoch(1).collect::<Result<Vec<_>>>()?);
    /// items.sort();
    /// assert_eq!(items, [0, 1, 2, 3, 4]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn shuffle(&self, key: Key) -> Stream<T> {
        let counted = self.clone();
        let order = move |epoch, len| permutation(&epoch_key(&key, epoch), len);
        self.reordered("shuffle", move || counted.len(), order)
    }

    /// Returns the items in a random order that needs a buffer of `n` items only: each is drawn
    /// from the `n` items that are next. An item moves forward by less than `n` positions. The
    /// order is derived from `key` and the index of the epoch.
    ///
    /// Shuffle the files as well if those of a class are together.
    ///
    /// # Errors
    /// The first item is an error if `n` is 0.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let lines = data::Stream::from_epochs(|_| Ok((0..100).map(Ok)));
    /// let items = lines.shuffle_buffer(key(0), 10).epoch(0).collect::<Result<Vec<_>>>()?;
    /// assert!(items.iter().enumerate().all(|(i, &x)| x < i + 10));
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn shuffle_buffer(&self, key: Key, n: usize) -> Stream<T> {
        if n == 0 {
            let why = "expected a buffer of at least 1 item, got 0";
            return Stream::failed("shuffle_buffer", why);
        }
        let (inner, counted) = (self.clone(), self.clone());
        let open = move |epoch, first| {
            let (mut tasks, mut rng) = (inner.tasks(epoch, 0)?, epoch_rng(&key, epoch)?);
            let mut buffer: Vec<Result<ItemTask<T>>> = Vec::new();
            let next = move || {
                buffer.extend(tasks.by_ref().take(n - buffer.len()));
                let i = rng.below(buffer.len());
                (i < buffer.len()).then(|| buffer.swap_remove(i))
            };
            Ok(Box::new(without_first(std::iter::from_fn(next), first)) as ItemTasks<T>)
        };
        Stream::sequential(move || counted.len(), open)
    }

    /// Returns the items with the indices that `order` returns for an epoch and its number of
    /// items.
    ///
    /// # Errors
    /// The first item is an error of `op` if the stream has no random access.
    #[track_caller]
    pub(super) fn reordered(
        &self,
        op: &'static str,
        len: impl Fn() -> Option<usize> + Send + Sync + 'static,
        order: impl Fn(usize, usize) -> Result<Vec<usize>> + Send + Sync + 'static,
    ) -> Stream<T> {
        if !self.has_random_access() {
            let why = "expected a stream with random access, got one that is read from front to \
                       back; use `shuffle_buffer`, or keep the items with `cache`";
            return Stream::failed(op, why);
        }
        self.mapped_epochs(len, move |epoch, IndexedItems { len, at }| {
            let order = order(epoch, len)?;
            let count = order.len();
            let at = move |i: usize| match order.get(i) {
                Some(&i) => at(i),
                None => Err(Error::bug(format!("{op}: expected an index below {count}, got {i}"))),
            };
            Ok(IndexedItems { len: count, at: Arc::new(at) })
        })
    }
}

/// Returns the key of an epoch.
pub(super) fn epoch_key(key: &Key, epoch: usize) -> Key {
    key.fold_in(epoch as u32)
}

/// Returns a generator of random numbers for an epoch, on the thread of the caller.
pub(super) fn epoch_rng(key: &Key, epoch: usize) -> Result<Rng> {
    let words = epoch_key(key, epoch).tensor().to_vec::<u32>()?;
    Ok(Rng::new(words.iter().fold(0, |seed, &word| (seed << 32) | u64::from(word))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use neurax_tensor::key;

    #[test]
    fn a_buffer_shuffles_every_epoch_differently() {
        let stream = Stream::range(0..50).shuffle_buffer(key(2), 8);
        let epoch = |e: usize| stream.epoch(e).collect::<Result<Vec<_>>>().unwrap();
        assert_eq!(epoch(1), epoch(1));
        assert_ne!(epoch(0), epoch(1));
        for first in [0, 1, 30, 50, 60] {
            let rest: Vec<_> = stream.epoch_from(1, first).collect::<Result<_>>().unwrap();
            assert_eq!(rest, epoch(1)[first.min(50)..]);
        }
        let mut sorted = epoch(1);
        sorted.sort_unstable();
        assert_eq!(sorted, (0..50).collect::<Vec<_>>());
    }

    #[test]
    fn a_stream_without_random_access_cannot_be_shuffled() {
        let lines = Stream::from_epochs(|_| Ok((0..5usize).map(Ok)));
        let error = lines.shuffle(key(0)).epoch(0).next().unwrap().unwrap_err().to_string();
        assert!(error.starts_with("shuffle: expected a stream with random access"), "{error}");
    }
}
