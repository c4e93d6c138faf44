//! Streams of ranges, vectors, functions and data sets; streams of batches as sources.

use super::core::{IndexedItems, ItemTasks, Stream, done, guarded_item};
use crate::batches::SourceEpoch;
use crate::kept::Kept;
use crate::stacking::TreeRows;
use crate::{Batch, Batches, Dataset, Source};
use neurax_tensor::{Error, Result, Tree};
use std::ops::Range;
use std::sync::Arc;

impl Stream<usize> {
    /// Returns the numbers of `range`, with random access.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let numbers = data::Stream::range(3..6).epoch(0).collect::<Result<Vec<_>>>()?;
    /// assert_eq!(numbers, [3, 4, 5]);
    /// # Ok::<(), Error>(())
    /// ```
    pub fn range(range: Range<usize>) -> Stream<usize> {
        Stream::from_index(range.len(), move |i| Ok(range.start + i))
    }
}

impl<T: Send + 'static> Stream<T> {
    /// Returns the items of a vector, with random access.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let words = data::Stream::from_vec(vec!["a", "b"]);
    /// assert_eq!(words.epoch(0).collect::<Result<Vec<_>>>()?, ["a", "b"]);
    /// # Ok::<(), Error>(())
    /// ```
    pub fn from_vec(items: Vec<T>) -> Stream<T>
    where
        T: Clone + Sync,
    {
        Stream::from_index(items.len(), move |i| match items.get(i) {
            Some(item) => Ok(item.clone()),
            None => Err(Error::bug(format!("expected an index below {}, got {i}", items.len()))),
        })
    }

    /// Returns `len` items with random access: `at` returns the item at an index below `len`.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let point = |i: usize| Ok((tensor(i as f32), tensor(i as f32 * 2.0)));
    /// let points = data::Stream::from_index(100, point);
    /// let batch = points.batch(4).epoch(0).next().unwrap()?;
    /// assert_eq!(batch.y.to_vec::<f32>()?, [0.0, 2.0, 4.0, 6.0]);
    /// # Ok::<(), Error>(())
    /// ```
    pub fn from_index(
        len: usize,
        at: impl Fn(usize) -> Result<T> + Send + Sync + 'static,
    ) -> Stream<T> {
        let at = Arc::new(move |i| guarded_item("from_index", i, || at(i)));
        let open = move |_| Ok(IndexedItems { len, at: at.clone() });
        Stream::indexed(move || Some(len), open)
    }

    /// Returns the items of the iterators that `open` returns for each epoch, counted from 0: a
    /// reader of a file, or a generator. They have no random access.
    ///
    /// For reproducible training, the items must depend on the epoch alone.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let stream = data::Stream::from_epochs(|epoch| Ok((0..3).map(move |i| Ok(10 * epoch + i))));
    /// assert_eq!(stream.epoch(2).collect::<Result<Vec<_>>>()?, [20, 21, 22]);
    /// # Ok::<(), Error>(())
    /// ```
    pub fn from_epochs<I>(open: impl Fn(usize) -> Result<I> + Send + Sync + 'static) -> Stream<T>
    where
        I: IntoIterator<Item = Result<T>>,
        I::IntoIter: Send + 'static,
    {
        Stream::from_epochs_at(move |epoch, first| {
            let items = open(epoch)?.into_iter().fuse();
            Ok(crate::batches::without_first(items, first))
        })
    }

    /// Returns the items of the iterators that `open` returns for each epoch and the index of the
    /// first item that is needed, both counted from 0: a reader that skips items without reading
    /// them, as [`Stream::from_epochs`] cannot. They have no random access.
    ///
    /// For reproducible training, the items must depend on the epoch alone: those from an index on
    /// are the ones that the iterator from 0 yields there.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let items = |epoch: usize, first: usize| Ok((first..5).map(move |i| Ok(10 * epoch + i)));
    /// let stream = data::Stream::from_epochs_at(items);
    /// assert_eq!(stream.epoch_from(2, 3).collect::<Result<Vec<_>>>()?, [23, 24]);
    /// # Ok::<(), Error>(())
    /// ```
    pub fn from_epochs_at<I>(
        open: impl Fn(usize, usize) -> Result<I> + Send + Sync + 'static,
    ) -> Stream<T>
    where
        I: IntoIterator<Item = Result<T>>,
        I::IntoIter: Send + 'static,
    {
        Stream::sequential(
            || None,
            move |epoch, first| {
                let items = open(epoch, first)?.into_iter().fuse();
                Ok(Box::new(items.map(done)) as ItemTasks<T>)
            },
        )
    }
}

impl<X: Tree + Clone, Y: Tree + Clone> Dataset<X, Y> {
    /// Returns the examples one by one, with random access: row `i` of every tensor.
    ///
    /// If the examples need no individual treatment, [`Dataset::batched`] and [`Batches::stream`]
    /// are faster.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let set = Dataset::new(tensor([[1.0, 2.0], [3.0, 4.0]]), tensor([5, 6]))?;
    /// let (x, y) = set.stream().epoch_from(0, 1).next().unwrap()?;
    /// assert_eq!((x.to_vec::<f32>()?, y.item()?), (vec![3.0, 4.0], 6.0));
    /// # Ok::<(), Error>(())
    /// ```
    pub fn stream(&self) -> Stream<(X, Y)> {
        let (set, len, kept) = (self.clone(), self.rows().ok(), Kept::default());
        let open = move |_| {
            let rows = kept.get(|| TreeRows::new(set.clone()))?;
            let at = {
                let rows = rows.clone();
                move |i| rows.row(i).map(|Dataset { x, y }| (x, y))
            };
            Ok(IndexedItems { len: rows.len, at: Arc::new(at) })
        };
        Stream::indexed(move || len, open)
    }
}

impl<X: Tree + Clone, Y: Tree + Clone> Batches<X, Y> {
    /// Returns the batches as a stream with random access: to change them on other threads.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let batches = data::digits()?.shuffled(key(0)).batched(32).stream();
    /// let noisy = batches.map(|mut batch| {
    ///     batch.x = &batch.x + key(1).normal([32, 64]) * 0.1;
    ///     batch
    /// });
    /// assert_eq!(noisy.prefetch(2).len(), Some(57));
    /// # Ok::<(), Error>(())
    /// ```
    pub fn stream(&self) -> Stream<Batch<X, Y>> {
        let (len, batches) = (self.len(), Arc::new(self.clone()));
        let open = move |epoch| {
            let batches = batches.clone();
            let order = batches.order(epoch)?;
            let at = move |i| match batches.at(&order, i) {
                Some(batch) => batch?.ok(),
                None => Err(Error::bug(format!("expected a batch below {len}, got {i}"))),
            };
            Ok(IndexedItems { len, at: Arc::new(at) })
        };
        Stream::indexed(move || Some(len), open)
    }
}

impl<X: Tree, Y: Tree> Source<X, Y> for Stream<Batch<X, Y>> {
    fn epoch(&self, epoch: usize) -> SourceEpoch<'_, X, Y> {
        Box::new(Stream::epoch(self, epoch))
    }
    fn epoch_from(&self, epoch: usize, first: usize) -> SourceEpoch<'_, X, Y> {
        Box::new(Stream::epoch_from(self, epoch, first))
    }
    fn batches(&self) -> Option<usize> {
        self.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use neurax_tensor::{Tensor, key};

    fn rows(batches: impl Iterator<Item = Result<Batch>>) -> Vec<Vec<i32>> {
        batches.map(|b| b.unwrap().x.to_vec::<i32>().unwrap()).collect()
    }

    #[test]
    fn batches_are_those_of_their_stream() {
        let set = Dataset::new(Tensor::arange(10), Tensor::arange(10)).unwrap();
        let shuffled = set.shuffled(key(3)).batched(4);
        for batches in [shuffled.clone(), shuffled.drop_last(), set.batched(3)] {
            for epoch in [0, 5] {
                let want = rows(batches.epoch(epoch).map(Ok));
                let stream = batches.stream();
                assert_eq!(rows(stream.epoch(epoch)), want);
                assert_eq!(rows(Source::epoch_from(&stream, epoch, 1)), want[1..]);
                assert_eq!(Source::batches(&stream), Some(want.len()));
            }
        }
    }

    #[test]
    fn examples_that_are_shuffled_and_batched_are_the_batches_of_the_set() {
        let set = Dataset::new(Tensor::arange(10), Tensor::arange(10)).unwrap();
        let want = rows(set.shuffled(key(3)).batched(4).epoch(2).map(Ok));
        assert_eq!(rows(set.stream().shuffle(key(3)).batch(4).epoch(2)), want);
    }

    #[test]
    fn an_iterator_that_ended_is_not_asked_again() {
        // Without `fuse`, the group behind the last one would start the iterator again.
        let items = || {
            let mut n = 0;
            std::iter::from_fn(move || {
                n += 1;
                (n % 4 != 0).then_some(Ok(n))
            })
        };
        let groups = Stream::from_epochs(move |_| Ok(items())).chunks(2);
        let groups: Vec<Vec<i32>> = groups.epoch(0).collect::<Result<_>>().unwrap();
        assert_eq!(groups, [vec![1, 2], vec![3]]);
    }

    #[test]
    fn invalid_sets_are_errors() {
        let bad = Dataset { x: Tensor::zeros([3, 1]), y: Tensor::zeros(2) };
        let error = bad.stream().epoch(0).next().unwrap().unwrap_err();
        assert!(error.message().starts_with("expected 3 rows in `y`"), "{error}");
        let error = bad.batched(2).stream().epoch(0).next().unwrap().unwrap_err();
        assert!(error.message().starts_with("expected 3 rows in `y`"), "{error}");
    }
}
