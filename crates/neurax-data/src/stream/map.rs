//! Functions of items: `map`, `try_map`, `filter`, `flat_map`.

use super::core::{ItemTask, ItemTasks, Stream, done, failing, guarded, guarded_item, task};
use super::order::epoch_key;
use crate::batches::without_first;
use neurax_tensor::{Key, Result};
use std::sync::Arc;

impl<T: Send + 'static> Stream<T> {
    /// Returns the stream of the results of `f`. Random access is kept, and [`Stream::prefetch`]
    /// behind it runs `f` on several threads.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let squares = data::Stream::range(0..4).map(|i| i * i);
    /// assert_eq!(squares.epoch(0).collect::<Result<Vec<_>>>()?, [0, 1, 4, 9]);
    /// # Ok::<(), Error>(())
    /// ```
    pub fn map<U: Send + 'static>(&self, f: impl Fn(T) -> U + Send + Sync + 'static) -> Stream<U> {
        self.try_map(move |x| Ok(f(x)))
    }

    /// Returns the stream of the results of `f`, as [`Stream::map`]. An error of `f` ends the
    /// epoch; its message has the index of the item.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let words = data::Stream::from_vec(vec!["1", "two"]);
    /// let failed = |w: &str, e: std::num::ParseIntError| Error::new("parse", format!("{w}: {e}"));
    /// let numbers = words.try_map(move |w| w.parse().map_err(|e| failed(w, e)));
    /// let error = numbers.epoch(0).collect::<Result<Vec<i32>>>().unwrap_err();
    /// assert_eq!(error.to_string(), "map: parse: item 1: two: invalid digit found in string");
    /// # Ok::<(), Error>(())
    /// ```
    pub fn try_map<U: Send + 'static>(
        &self,
        f: impl Fn(T) -> Result<U> + Send + Sync + 'static,
    ) -> Stream<U> {
        self.map_indexed(move |i, x| guarded_item("map", i, || f(x)))
    }

    /// Returns the stream of the results of `f` of a key and each item, as [`Stream::map`]: for
    /// random changes. The key is derived from `key`, the epoch and the index of the item, so that
    /// it does not depend on the number of threads, and differs in each epoch.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let zeros = data::Stream::from_vec(vec![Tensor::zeros([2]); 3]);
    /// let noisy = zeros.map_with_key(key(0), |key, x| x + key.normal([2]));
    /// let [a, b] = [0, 1].map(|epoch| noisy.epoch(epoch).next());
    /// assert_ne!(a.unwrap()?.to_vec::<f32>()?, b.unwrap()?.to_vec::<f32>()?);
    /// # Ok::<(), Error>(())
    /// ```
    pub fn map_with_key<U: Send + 'static>(
        &self,
        key: Key,
        f: impl Fn(Key, T) -> U + Send + Sync + 'static,
    ) -> Stream<U> {
        self.map_numbered(move |epoch, i, x| {
            let key = epoch_key(&key, epoch).fold_in(i as u32);
            guarded_item("map_with_key", i, || Ok(f(key, x)))
        })
    }

    /// Returns the items for which `keep` returns true.
    ///
    /// The stream has no random access, and [`Stream::prefetch`] behind it computes the items one
    /// after the other: put a `prefetch` in front of `filter` as well if they are expensive.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let even = data::Stream::range(0..6).filter(|i| i % 2 == 0);
    /// assert_eq!(even.epoch_from(0, 1).collect::<Result<Vec<_>>>()?, [2, 4]);
    /// # Ok::<(), Error>(())
    /// ```
    pub fn filter(&self, keep: impl Fn(&T) -> bool + Send + Sync + 'static) -> Stream<T> {
        let (inner, keep) = (self.clone(), Arc::new(keep));
        let open = move |epoch, first| {
            let (keep, tasks) = (keep.clone(), inner.tasks(epoch, 0)?);
            let kept = tasks.enumerate().filter_map(move |(i, task)| {
                let item = task.and_then(guarded);
                let is_kept = item.as_ref().map(|x| guarded_item("filter", i, || Ok(keep(x))));
                match is_kept {
                    Ok(Ok(true)) | Err(_) => Some(item),
                    Ok(Ok(false)) => None,
                    Ok(Err(e)) => Some(Err(e)),
                }
            });
            Ok(evaluated(kept, first))
        };
        Stream::sequential(|| None, open)
    }

    /// Returns the items of the streams that `f` returns of each item, one stream after the other:
    /// e.g. the lines of several files. Each is opened when the one before it has ended, at the
    /// same epoch.
    ///
    /// ```
    /// use neurax::{data::Stream, prelude::*};
    /// let stream = Stream::range(1..4).flat_map(|n| Stream::range(0..n));
    /// assert_eq!(stream.epoch(0).collect::<Result<Vec<_>>>()?, [0, 0, 1, 0, 1, 2]);
    /// # Ok::<(), Error>(())
    /// ```
    pub fn flat_map<U: Send + 'static>(
        &self,
        f: impl Fn(T) -> Stream<U> + Send + Sync + 'static,
    ) -> Stream<U> {
        let (inner, f) = (self.clone(), Arc::new(f));
        let open = move |epoch, first| {
            let (f, tasks) = (f.clone(), inner.tasks(epoch, 0)?);
            let parts = tasks.enumerate().flat_map(move |(i, task)| -> ItemTasks<U> {
                let part = task.and_then(guarded).and_then(|x| {
                    let part = guarded_item("flat_map", i, || Ok(f(x)))?;
                    part.tasks(epoch, 0)
                });
                part.unwrap_or_else(failing)
            });
            Ok(Box::new(without_first(parts, first)) as ItemTasks<U>)
        };
        Stream::sequential(|| None, open)
    }
}

/// Returns the tasks of items that are computed already, without the first `first` ones.
pub(super) fn evaluated<T: Send + 'static>(
    items: impl Iterator<Item = Result<T>> + Send + 'static,
    first: usize,
) -> ItemTasks<T> {
    Box::new(without_first(items, first).map(done))
}

/// Returns a task that runs `tasks` and collects their items.
pub(super) fn all_of<T: Send + 'static>(tasks: Vec<ItemTask<T>>) -> ItemTask<Vec<T>> {
    task(move || tasks.into_iter().map(|task| task()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all<T: Send + 'static>(stream: &Stream<T>, first: usize) -> Vec<T> {
        stream.epoch_from(0, first).collect::<Result<_>>().unwrap()
    }

    #[test]
    fn filters_start_at_any_of_their_items() {
        let even = Stream::range(0..10).filter(|i| i % 2 == 0);
        for first in 0..7 {
            assert_eq!(all(&even, first), [0, 2, 4, 6, 8][first.min(5)..]);
        }
    }

    #[test]
    fn a_panic_of_a_predicate_names_the_item() {
        let bad = Stream::range(0..4).filter(|&i| if i == 2 { panic!("odd") } else { true });
        let error = bad.epoch(0).collect::<Result<Vec<_>>>().unwrap_err().to_string();
        assert_eq!(error, "filter: stream: item 2: a function panicked: odd");
    }

    #[test]
    fn a_part_that_fails_ends_the_epoch() {
        let parts = Stream::range(1..4).flat_map(|n| match n {
            2 => Stream::failed("open", "no such file"),
            n => Stream::range(0..n),
        });
        let items: Vec<_> = parts.epoch(0).collect();
        assert_eq!(items.len(), 2);
        assert!(items[1].as_ref().unwrap_err().to_string().starts_with("open: no such file"));
    }
}
