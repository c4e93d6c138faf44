//! Several streams as one: `zip`, `chain`, `interleave`.

use super::core::{IndexedItems, ItemTasks, Stream, failing, task};
use crate::batches::without_first;
use neurax_tensor::Error;
use std::collections::VecDeque;
use std::sync::Arc;

impl<T: Send + 'static> Stream<T> {
    /// Returns pairs of items of two streams at the same index. The epoch ends with the shorter of
    /// them.
    ///
    /// ```
    /// use neurax::{data::Stream, prelude::*};
    /// let pairs = Stream::range(0..3).zip(&Stream::from_vec(vec!["a", "b"]));
    /// assert_eq!(pairs.epoch(0).collect::<Result<Vec<_>>>()?, [(0, "a"), (1, "b")]);
    /// # Ok::<(), Error>(())
    /// ```
    pub fn zip<U: Send + 'static>(&self, other: &Stream<U>) -> Stream<(T, U)> {
        let (a, b) = (self.clone(), other.clone());
        let len = move || Some(a.len()?.min(b.len()?));
        let (a, b) = (self.clone(), other.clone());
        if a.has_random_access() && b.has_random_access() {
            return self.mapped_epochs(len, move |epoch, x| {
                let y = b.items(epoch).unwrap_or_else(|| Err(lost_access()))?;
                let (len, at) = (x.len.min(y.len), (x.at, y.at));
                Ok(IndexedItems { len, at: Arc::new(move |i| Ok(((at.0)(i)?, (at.1)(i)?))) })
            });
        }
        let open = move |epoch, first| {
            let (mut a, mut b) = (a.tasks(epoch, first)?, b.tasks(epoch, first)?);
            // An error of the first stream is an item even if the second one has ended.
            let next = move || match a.next()? {
                Ok(x) => {
                    let y = b.next()?;
                    Some(y.map(|y| task(move || Ok((x()?, y()?)))))
                }
                Err(e) => Some(Err(e)),
            };
            Ok(Box::new(std::iter::from_fn(next)) as ItemTasks<(T, U)>)
        };
        Stream::sequential(len, open)
    }

    /// Returns the items of this stream, then those of `other`.
    ///
    /// ```
    /// use neurax::{data::Stream, prelude::*};
    /// let both = Stream::range(0..2).chain(&Stream::range(7..9));
    /// assert_eq!(both.epoch(0).collect::<Result<Vec<_>>>()?, [0, 1, 7, 8]);
    /// # Ok::<(), Error>(())
    /// ```
    pub fn chain(&self, other: &Stream<T>) -> Stream<T> {
        let (a, b) = (self.clone(), other.clone());
        let len = move || a.len()?.checked_add(b.len()?);
        let (a, b) = (self.clone(), other.clone());
        if a.has_random_access() && b.has_random_access() {
            return self.mapped_epochs(len, move |epoch, x| {
                let y = b.items(epoch).unwrap_or_else(|| Err(lost_access()))?;
                let (len, cut) = (x.len.saturating_add(y.len), x.len);
                let at = move |i| if i < cut { (x.at)(i) } else { (y.at)(i - cut) };
                Ok(IndexedItems { len, at: Arc::new(at) })
            });
        }
        let open = move |epoch, first: usize| {
            if let Some(rest) = a.len().and_then(|len| first.checked_sub(len)) {
                return b.tasks(epoch, rest);
            }
            let b = b.clone();
            let second = move || b.tasks(epoch, 0).unwrap_or_else(failing);
            let second = std::iter::once_with(second).flatten();
            Ok(match a.len() {
                Some(_) => Box::new(a.tasks(epoch, first)?.chain(second)) as ItemTasks<T>,
                None => Box::new(without_first(a.tasks(epoch, 0)?.chain(second), first)),
            })
        };
        Stream::sequential(len, open)
    }

    /// Returns the items of several streams in turn: the first of each, then the second of each. A
    /// stream that has ended is left out.
    ///
    /// ```
    /// use neurax::{data::Stream, prelude::*};
    /// let turns = Stream::interleave([Stream::range(0..3), Stream::range(7..8)]);
    /// assert_eq!(turns.epoch(0).collect::<Result<Vec<_>>>()?, [0, 7, 1, 2]);
    /// # Ok::<(), Error>(())
    /// ```
    pub fn interleave(streams: impl IntoIterator<Item = Stream<T>>) -> Stream<T> {
        let streams: Arc<[Stream<T>]> = streams.into_iter().collect();
        let counted = streams.clone();
        let len = move || counted.iter().try_fold(0usize, |n, s| n.checked_add(s.len()?));
        let open = move |epoch, first| {
            let tasks = streams.iter().map(|s| s.tasks(epoch, 0).unwrap_or_else(failing));
            let mut turns: VecDeque<ItemTasks<T>> = tasks.collect();
            let next = move || {
                while let Some(mut tasks) = turns.pop_front() {
                    if let Some(task) = tasks.next() {
                        turns.push_back(tasks);
                        return Some(task);
                    }
                }
                None
            };
            Ok(Box::new(without_first(std::iter::from_fn(next), first)) as ItemTasks<T>)
        };
        Stream::sequential(len, open)
    }
}

/// Returns the error of a stream that lost its random access, which none does.
fn lost_access() -> Error {
    Error::bug("expected a stream with random access")
}

#[cfg(test)]
mod tests {
    use super::*;
    use neurax_tensor::Result;

    fn sequential(n: usize) -> Stream<usize> {
        Stream::from_epochs(move |_| Ok((0..n).map(Ok)))
    }

    fn check<T>(stream: &Stream<T>, want: &[T])
    where
        T: Send + PartialEq + std::fmt::Debug + 'static,
    {
        for first in 0..want.len() + 2 {
            let rest: Vec<T> = stream.epoch_from(0, first).collect::<Result<_>>().unwrap();
            assert_eq!(rest, want[first.min(want.len())..]);
        }
        assert!(stream.len().is_none_or(|len| len == want.len()));
    }

    #[test]
    fn several_streams_start_at_any_item() {
        for a in [Stream::range(0..3), sequential(3)] {
            for b in [Stream::range(0..2), sequential(2)] {
                check(&a.zip(&b), &[(0, 0), (1, 1)]);
                check(&a.chain(&b), &[0, 1, 2, 0, 1]);
                check(&Stream::interleave([b.clone(), a.clone()]), &[0, 0, 1, 1, 2]);
            }
        }
        let both = Stream::range(0..3).chain(&Stream::range(5..6));
        assert!(both.has_random_access() && both.zip(&both).has_random_access());
        check(&Stream::<usize>::interleave([]), &[]);
    }

    #[test]
    fn the_second_stream_is_opened_behind_the_first() {
        let chain = sequential(2).chain(&Stream::failed("open", "no such file"));
        let items: Vec<_> = chain.epoch(0).collect();
        assert_eq!((items.len(), items[2].is_err()), (3, true));
    }
}
