//! Parts and repetitions of a stream: `take`, `skip`, `repeat`.

use super::core::{IndexedItems, ItemTasks, Stream, failing};
use crate::batches::without_first;
use neurax_tensor::{Error, Result};
use std::sync::Arc;

impl<T: Send + 'static> Stream<T> {
    /// Returns the first `n` items of each epoch, or all if there are fewer.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let two = data::Stream::range(0..5).take(2);
    /// assert_eq!(two.epoch(0).collect::<Result<Vec<_>>>()?, [0, 1]);
    /// # Ok::<(), Error>(())
    /// ```
    pub fn take(&self, n: usize) -> Stream<T> {
        let (inner, counted) = (self.clone(), self.clone());
        let len = move || counted.len().map(|len| len.min(n));
        if self.has_random_access() {
            return self.mapped_items(len, move |items| {
                Ok(IndexedItems { len: items.len.min(n), at: items.at })
            });
        }
        let open = move |epoch, first: usize| {
            let tasks = inner.tasks(epoch, first)?;
            Ok(Box::new(tasks.take(n.saturating_sub(first))) as ItemTasks<T>)
        };
        Stream::sequential(len, open)
    }

    /// Returns each epoch without its first `n` items.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let rest = data::Stream::range(0..5).skip(3);
    /// assert_eq!(rest.epoch(0).collect::<Result<Vec<_>>>()?, [3, 4]);
    /// # Ok::<(), Error>(())
    /// ```
    pub fn skip(&self, n: usize) -> Stream<T> {
        let (inner, counted) = (self.clone(), self.clone());
        let len = move || counted.len().map(|len| len.saturating_sub(n));
        if self.has_random_access() {
            return self.mapped_items(len, move |IndexedItems { len, at }| {
                let at = Arc::new(move |i: usize| at(i.saturating_add(n)));
                Ok(IndexedItems { len: len.saturating_sub(n), at })
            });
        }
        Stream::sequential(len, move |epoch, first| inner.tasks(epoch, first.saturating_add(n)))
    }

    /// Returns `n` epochs as one: epoch `e` consists of the epochs `e * n` to `e * n + n - 1`, so
    /// that a shuffled stream is shuffled differently in each repetition.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let twice = data::Stream::range(0..3).repeat(2);
    /// assert_eq!(twice.epoch(0).collect::<Result<Vec<_>>>()?, [0, 1, 2, 0, 1, 2]);
    /// # Ok::<(), Error>(())
    /// ```
    pub fn repeat(&self, n: usize) -> Stream<T> {
        let (inner, counted) = (self.clone(), self.clone());
        let len = move || counted.len().and_then(|len| len.checked_mul(n));
        let open = move |epoch: usize, first: usize| {
            let inner = inner.clone();
            // Whole repetitions are skipped without opening them.
            let (passed, count, first) = match inner.len() {
                // All repetitions are empty; the one that is opened yields the error of opening.
                Some(0) => (0, n.min(1), first),
                Some(len) => ((first / len).min(n), n, first % len),
                None => (0, n, first),
            };
            let epochs = (passed..count).map(move |i| epoch.saturating_mul(n).saturating_add(i));
            let tasks = epochs.flat_map(move |e| inner.tasks(e, 0).unwrap_or_else(failing));
            Ok(Box::new(without_first(tasks, first)) as ItemTasks<T>)
        };
        Stream::sequential(len, open)
    }

    /// Returns a stream with random access to what `f` makes of the items of each epoch.
    ///
    /// The stream itself must have random access; its epochs are errors otherwise.
    pub(super) fn mapped_items<U: Send + 'static>(
        &self,
        len: impl Fn() -> Option<usize> + Send + Sync + 'static,
        f: impl Fn(IndexedItems<T>) -> Result<IndexedItems<U>> + Send + Sync + 'static,
    ) -> Stream<U> {
        self.mapped_epochs(len, move |_, items| f(items))
    }

    /// Returns a stream with random access to what `f` makes of the number and the items of each
    /// epoch, as [`Stream::mapped_items`].
    pub(super) fn mapped_epochs<U: Send + 'static>(
        &self,
        len: impl Fn() -> Option<usize> + Send + Sync + 'static,
        f: impl Fn(usize, IndexedItems<T>) -> Result<IndexedItems<U>> + Send + Sync + 'static,
    ) -> Stream<U> {
        let inner = self.clone();
        let open = move |epoch| match inner.items(epoch) {
            Some(items) => f(epoch, items?),
            None => Err(Error::bug("expected a stream with random access")),
        };
        Stream::indexed(len, open)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use neurax_tensor::key;

    /// Returns a stream without random access.
    fn sequential(n: usize) -> Stream<usize> {
        Stream::from_epochs(move |_| Ok((0..n).map(Ok)))
    }

    #[test]
    fn parts_start_at_any_item() {
        for stream in [Stream::range(0..10), sequential(10)] {
            for (part, want) in [
                (stream.take(4), vec![0, 1, 2, 3]),
                (stream.take(40), (0..10).collect()),
                (stream.skip(7), vec![7, 8, 9]),
                (stream.skip(11), vec![]),
                (stream.skip(2).take(3).repeat(2), vec![2, 3, 4, 2, 3, 4]),
                (stream.repeat(0), vec![]),
            ] {
                for first in 0..8 {
                    let rest: Vec<usize> =
                        part.epoch_from(1, first).collect::<Result<_>>().unwrap();
                    assert_eq!(rest, want[first.min(want.len())..]);
                }
                assert!(part.len().is_none_or(|len| len == want.len()));
            }
        }
    }

    #[test]
    fn repetitions_of_nothing_end() {
        let nothing = Stream::range(0..0).repeat(usize::MAX);
        assert_eq!((nothing.epoch(0).count(), nothing.epoch_from(0, 3).count()), (0, 0));
    }

    #[test]
    fn repetitions_are_epochs() {
        let shuffled = Stream::range(0..5).shuffle(key(1));
        let epochs: Vec<usize> =
            (4..6).flat_map(|e| shuffled.epoch(e)).collect::<Result<_>>().unwrap();
        let twice: Vec<usize> = shuffled.repeat(2).epoch(2).collect::<Result<_>>().unwrap();
        assert_eq!(twice, epochs);
        let rest: Vec<usize> = shuffled.repeat(2).epoch_from(2, 7).collect::<Result<_>>().unwrap();
        assert_eq!(rest, epochs[7..]);
    }
}
