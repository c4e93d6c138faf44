//! The type [`Stream`], its epochs, and the functions with which combinators make new streams.

use crate::panics::caught;
use neurax_tensor::{Error, Place, Result};
use std::fmt;
use std::panic::Location;
use std::sync::Arc;

/// A computation of one item.
pub(crate) type ItemTask<T> = Box<dyn FnOnce() -> Result<T> + Send>;

/// The tasks of an epoch, in order. An error that is known without running a task, such as one of
/// reading, is no task, so that it is never skipped with the items before a position.
pub(crate) type ItemTasks<T> = Box<dyn Iterator<Item = Result<ItemTask<T>>> + Send>;

/// A function that returns the item at an index.
pub(crate) type ItemAt<T> = Arc<dyn Fn(usize) -> Result<T> + Send + Sync>;

/// The items of an epoch with random access.
pub(crate) struct IndexedItems<T> {
    /// The number of items.
    pub(crate) len: usize,
    /// Returns an item.
    pub(crate) at: ItemAt<T>,
}

/// The ways to open an epoch.
enum StreamKind<T> {
    /// With random access: the function returns the items of an epoch. All epochs have the same
    /// number of items.
    Indexed(Arc<dyn Fn(usize) -> Result<IndexedItems<T>> + Send + Sync>),
    /// From front to back: the function returns the tasks of an epoch from an item on.
    Sequential(Arc<dyn Fn(usize, usize) -> Result<ItemTasks<T>> + Send + Sync>),
}

/// A lazy sequence of items, epoch after epoch: examples, lines of a file, batches.
///
/// A stream is a description that computes nothing; clones share it. [`Stream::epoch`] computes the
/// items of an epoch one after the other, [`Stream::epoch_from`] starts at any of them. Methods
/// such as [`Stream::map`] and [`Stream::shuffle`] return other streams. A stream of
/// [`Batch`](crate::Batch)es is a [`Source`](crate::Source) to train on.
///
/// An error, or a panic in a function of the user, is the last item of an epoch. Mistakes in the
/// description itself, such as batches of 0 examples, are the first item of every epoch.
///
/// ```
/// use neurax::prelude::*;
/// let stream = data::digits()?.stream();
/// let batches = stream.shuffle(key(0)).map(|(x, y)| (x * 2.0, y)).batch(32).prefetch(2);
/// let batch = batches.epoch(0).next().ok_or_else(|| Error::new("example", "no batch"))??;
/// assert_eq!(batch.x.shape(), [32, 64]);
/// assert_eq!(batches.len(), Some(57));
/// # Ok::<(), Error>(())
/// ```
#[must_use = "a stream computes nothing before `epoch`"]
pub struct Stream<T> {
    kind: StreamKind<T>,
    len: Arc<dyn Fn() -> Option<usize> + Send + Sync>,
}

impl<T: Send + 'static> Stream<T> {
    /// Returns the number of items in an epoch, or `None` if it is not known in advance.
    ///
    /// ```
    /// use neurax::data::Stream;
    /// assert_eq!(Stream::range(0..5).len(), Some(5));
    /// assert_eq!(Stream::range(0..5).filter(|i| i % 2 == 0).len(), None);
    /// ```
    pub fn len(&self) -> Option<usize> {
        (self.len)()
    }

    /// Returns whether an epoch has no items, or `None` if it is not known in advance.
    ///
    /// ```
    /// use neurax::data::Stream;
    /// assert_eq!(Stream::range(0..0).is_empty(), Some(true));
    /// ```
    pub fn is_empty(&self) -> Option<bool> {
        self.len().map(|len| len == 0)
    }

    /// Returns true if the stream has random access: it computes any item without those before it.
    /// [`Stream::shuffle`] needs it.
    ///
    /// ```
    /// use neurax::data::Stream;
    /// let numbers = Stream::range(0..5);
    /// assert!(numbers.map(|i| i + 1).has_random_access());
    /// assert!(!numbers.filter(|i| i % 2 == 0).has_random_access());
    /// ```
    pub fn has_random_access(&self) -> bool {
        matches!(self.kind, StreamKind::Indexed(_))
    }

    /// Returns the items of epoch `epoch`, counted from 0. An error is the last item.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let items = data::Stream::range(0..3).epoch(0).collect::<Result<Vec<_>>>()?;
    /// assert_eq!(items, [0, 1, 2]);
    /// # Ok::<(), Error>(())
    /// ```
    pub fn epoch(&self, epoch: usize) -> StreamEpoch<T> {
        self.epoch_from(epoch, 0)
    }

    /// Returns the items of epoch `epoch` without the first `first` ones. They are those that
    /// [`Stream::epoch`] yields there.
    ///
    /// The skipped items are not computed, so that an error of theirs is not met. They are computed
    /// in front of [`Stream::filter`], [`Stream::flat_map`], [`Stream::unbatch`],
    /// [`Stream::bucketed`] and its variants, and [`Stream::split_stratified`] without random
    /// access, where the position depends on them, and by [`Stream::prefetch`] in front of a
    /// combinator that reads from the start of an epoch: [`Stream::shuffle_buffer`],
    /// [`Stream::interleave`], [`Stream::repeat`], and [`Stream::chain`] behind a stream of unknown
    /// length. Iterators of [`Stream::from_epochs`] yield all items, those of
    /// [`Stream::from_epochs_at`] the items from `first` on; lines are read and not parsed.
    /// An error that is met is the first item.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let stream = data::Stream::range(0..5).shuffle(key(0));
    /// let whole = stream.epoch(7).collect::<Result<Vec<_>>>()?;
    /// let rest = stream.epoch_from(7, 3).collect::<Result<Vec<_>>>()?;
    /// assert_eq!(rest, whole[3..]);
    /// # Ok::<(), Error>(())
    /// ```
    pub fn epoch_from(&self, epoch: usize, first: usize) -> StreamEpoch<T> {
        let tasks = guarded(|| self.tasks(epoch, first)).unwrap_or_else(failing);
        StreamEpoch { tasks, position: first, has_ended: false }
    }

    /// Creates a stream with random access. `open` returns the items of an epoch.
    pub(crate) fn indexed(
        len: impl Fn() -> Option<usize> + Send + Sync + 'static,
        open: impl Fn(usize) -> Result<IndexedItems<T>> + Send + Sync + 'static,
    ) -> Stream<T> {
        Stream { kind: StreamKind::Indexed(Arc::new(open)), len: Arc::new(len) }
    }

    /// Creates a stream that is read from front to back. `open` returns the tasks of an epoch, from
    /// the item of the index on that is its second argument.
    pub(crate) fn sequential(
        len: impl Fn() -> Option<usize> + Send + Sync + 'static,
        open: impl Fn(usize, usize) -> Result<ItemTasks<T>> + Send + Sync + 'static,
    ) -> Stream<T> {
        Stream { kind: StreamKind::Sequential(Arc::new(open)), len: Arc::new(len) }
    }

    /// Creates a stream whose epochs consist of an error, which has the line of the caller.
    #[track_caller]
    pub(crate) fn failed(op: &str, why: impl Into<String>) -> Stream<T> {
        let error = Error::new(op, why).at(&Place::from(Location::caller()));
        Stream::sequential(|| None, move |_, _| Err(error.clone()))
    }

    /// Returns the items of an epoch, or `None` without random access.
    pub(crate) fn items(&self, epoch: usize) -> Option<Result<IndexedItems<T>>> {
        match &self.kind {
            StreamKind::Indexed(open) => Some(open(epoch)),
            StreamKind::Sequential(_) => None,
        }
    }

    /// Returns the tasks of an epoch from item `first` on.
    pub(crate) fn tasks(&self, epoch: usize, first: usize) -> Result<ItemTasks<T>> {
        match &self.kind {
            StreamKind::Indexed(open) => {
                let IndexedItems { len, at } = open(epoch)?;
                Ok(Box::new((first..len).map(move |i| {
                    let at = at.clone();
                    Ok(task(move || at(i)))
                })))
            }
            StreamKind::Sequential(open) => open(epoch, first),
        }
    }

    /// Returns the stream of the results of `f` of the index and the value of each item.
    pub(crate) fn map_indexed<U: Send + 'static>(
        &self,
        f: impl Fn(usize, T) -> Result<U> + Send + Sync + 'static,
    ) -> Stream<U> {
        self.map_numbered(move |_, i, x| f(i, x))
    }

    /// Returns the stream of the results of `f` of the epoch, the index and the value of each item.
    pub(crate) fn map_numbered<U: Send + 'static>(
        &self,
        f: impl Fn(usize, usize, T) -> Result<U> + Send + Sync + 'static,
    ) -> Stream<U> {
        let (f, len) = (Arc::new(f), self.len.clone());
        match &self.kind {
            StreamKind::Indexed(open) => {
                let open = open.clone();
                let opened = move |epoch| {
                    let (f, IndexedItems { len, at }) = (f.clone(), open(epoch)?);
                    Ok(IndexedItems { len, at: Arc::new(move |i| f(epoch, i, at(i)?)) })
                };
                Stream::indexed(move || len(), opened)
            }
            StreamKind::Sequential(open) => {
                let open = open.clone();
                let opened = move |epoch, first| {
                    let (f, tasks) = (f.clone(), open(epoch, first)?);
                    let mapped = tasks.enumerate().map(move |(n, item)| {
                        let (f, item) = (f.clone(), item?);
                        Ok(task(move || f(epoch, first + n, item()?)))
                    });
                    Ok(Box::new(mapped) as ItemTasks<U>)
                };
                Stream::sequential(move || len(), opened)
            }
        }
    }
}

impl<T> Clone for Stream<T> {
    fn clone(&self) -> Self {
        let kind = match &self.kind {
            StreamKind::Indexed(open) => StreamKind::Indexed(open.clone()),
            StreamKind::Sequential(open) => StreamKind::Sequential(open.clone()),
        };
        Stream { kind, len: self.len.clone() }
    }
}

impl<T> fmt::Debug for Stream<T> {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.debug_struct("Stream").field("len", &(self.len)()).finish_non_exhaustive()
    }
}

impl<T: Send + 'static> IntoIterator for &Stream<T> {
    type Item = Result<T>;
    type IntoIter = StreamEpoch<T>;
    fn into_iter(self) -> StreamEpoch<T> {
        self.epoch(0)
    }
}

/// An iterator over the items of one epoch of a [`Stream`].
#[must_use = "nothing is computed before `next`"]
pub struct StreamEpoch<T> {
    tasks: ItemTasks<T>,
    position: usize,
    /// True after the last item or an error.
    has_ended: bool,
}

impl<T> StreamEpoch<T> {
    /// Returns the index of the next item in the epoch: with it, [`Stream::epoch_from`] continues
    /// where this iterator stops. After an error it is the index of the item that failed.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let stream = data::Stream::range(0..5).shuffle(key(0));
    /// let mut epoch = stream.epoch(2);
    /// epoch.next();
    /// let mut again = stream.epoch_from(2, epoch.position());
    /// assert_eq!(again.next().transpose()?, epoch.next().transpose()?);
    /// # Ok::<(), Error>(())
    /// ```
    pub fn position(&self) -> usize {
        self.position
    }
}

impl<T> fmt::Debug for StreamEpoch<T> {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.debug_struct("StreamEpoch").field("position", &self.position).finish_non_exhaustive()
    }
}

impl<T: Send + 'static> Iterator for StreamEpoch<T> {
    type Item = Result<T>;

    fn next(&mut self) -> Option<Result<T>> {
        if self.has_ended {
            return None;
        }
        let tasks = &mut self.tasks;
        let item = guarded(|| tasks.next().map(|task| task?()).transpose()).transpose();
        self.has_ended = !matches!(item, Some(Ok(_)));
        self.position += usize::from(!self.has_ended);
        item
    }
}

/// Returns a function as a task.
pub(crate) fn task<T>(f: impl FnOnce() -> Result<T> + Send + 'static) -> ItemTask<T> {
    Box::new(f)
}

/// Returns the task that yields `item`, or its error.
pub(crate) fn done<T: Send + 'static>(item: Result<T>) -> Result<ItemTask<T>> {
    item.map(|item| task(move || Ok(item)))
}

/// Returns the tasks of an epoch that consists of an error.
pub(crate) fn failing<T: Send + 'static>(error: Error) -> ItemTasks<T> {
    Box::new(std::iter::once(Err(error)))
}

/// Returns the result of `f`; a panic in it is an error.
pub(crate) fn guarded<R>(f: impl FnOnce() -> Result<R>) -> Result<R> {
    caught("stream", f)?
}

/// Returns the result of `f`, a function of the user for item `index`, which an error of it names.
pub(crate) fn guarded_item<R>(op: &str, index: usize, f: impl FnOnce() -> Result<R>) -> Result<R> {
    guarded(f).map_err(|e| {
        let message = format!("item {index}: {}", e.message());
        Error::new(format!("{op}: {}", e.op()), message).at_origin(e.origin())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_the_last_item_and_names_it() {
        let stream = Stream::range(0..9).try_map(|i| match i {
            3 => Err(Error::new("parse", "no number")),
            i => Ok(i),
        });
        for first in 0..3 {
            let items: Vec<_> = stream.epoch_from(0, first).collect();
            assert_eq!(items.len(), 4 - first);
            let error = items.last().unwrap().as_ref().unwrap_err();
            assert_eq!(error.to_string(), "map: parse: item 3: no number");
        }
        assert_eq!(stream.epoch_from(0, 4).count(), 5, "the item with the error is skipped");
        let mut epoch = stream.epoch_from(0, 2);
        assert!(epoch.by_ref().last().unwrap().is_err());
        assert_eq!(epoch.position(), 3, "that of the item that failed");
    }

    #[test]
    fn a_panic_is_an_error() {
        let stream = Stream::range(0..3).map(|i| assert!(i < 1, "too large: {i}"));
        let items: Vec<_> = stream.epoch(0).collect();
        assert_eq!(items.len(), 2);
        let error = items[1].as_ref().unwrap_err().to_string();
        assert_eq!(error, "map: stream: item 1: a function panicked: too large: 1");
        let stream =
            Stream::<usize>::from_epochs(|_| -> Result<std::vec::IntoIter<Result<usize>>> {
                panic!("no file")
            });
        assert!(stream.epoch(0).next().unwrap().unwrap_err().message().ends_with("no file"));
    }

    #[test]
    fn skipped_items_are_not_computed() {
        let stream = Stream::range(0..5).map(|i| if i < 3 { panic!("computed") } else { i });
        let rest: Vec<usize> = stream.epoch_from(0, 3).map(|i| i.unwrap()).collect();
        assert_eq!(rest, [3, 4]);
        let lines = Stream::from_epochs(|_| Ok((0..5).map(Ok)));
        let lines = lines.map(|i| if i < 3 { panic!("computed") } else { i });
        let rest: Vec<usize> = lines.epoch_from(0, 3).map(|i| i.unwrap()).collect();
        assert_eq!(rest, [3, 4]);
    }
}
