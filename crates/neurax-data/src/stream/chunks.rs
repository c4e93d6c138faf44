//! Groups of consecutive items: `chunks`, `chunks_exact`, `windows`.

use super::core::{IndexedItems, ItemTask, ItemTasks, Stream, done, guarded};
use super::map::all_of;
use neurax_tensor::Result;
use std::collections::VecDeque;
use std::sync::Arc;

impl<T: Send + 'static> Stream<T> {
    /// Returns vectors of `n` consecutive items; the last one may be shorter. Random access is
    /// kept.
    ///
    /// # Errors
    /// The first item is an error if `n` is 0.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let pairs = data::Stream::range(0..5).chunks(2);
    /// assert_eq!(pairs.epoch(0).collect::<Result<Vec<_>>>()?, [vec![0, 1], vec![2, 3], vec![4]]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn chunks(&self, n: usize) -> Stream<Vec<T>> {
        self.groups("chunks", n, true)
    }

    /// Returns vectors of `n` consecutive items, without a shorter one at the end, as
    /// [`Stream::chunks`].
    ///
    /// # Errors
    /// The first item is an error if `n` is 0.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let pairs = data::Stream::range(0..5).chunks_exact(2);
    /// assert_eq!(pairs.epoch(0).collect::<Result<Vec<_>>>()?, [[0, 1], [2, 3]]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn chunks_exact(&self, n: usize) -> Stream<Vec<T>> {
        self.groups("chunks_exact", n, false)
    }

    /// Returns vectors of `n` consecutive items; one that is shorter only if `keeps_last` is true.
    #[track_caller]
    pub(super) fn groups(&self, op: &str, n: usize, keeps_last: bool) -> Stream<Vec<T>> {
        if n == 0 {
            return Stream::failed(op, "expected at least 1 item in a group, got 0");
        }
        let count = move |len: usize| if keeps_last { len.div_ceil(n) } else { len / n };
        let (inner, counted) = (self.clone(), self.clone());
        let len = move || counted.len().map(count);
        if self.has_random_access() {
            return self.mapped_items(len, move |IndexedItems { len, at }| {
                let group = move |i: usize| {
                    let start = i.saturating_mul(n);
                    (start..start.saturating_add(n).min(len)).map(|i| at(i)).collect()
                };
                Ok(IndexedItems { len: count(len), at: Arc::new(group) })
            });
        }
        let open = move |epoch, first: usize| {
            let mut tasks = inner.tasks(epoch, first.saturating_mul(n))?;
            let next = move || {
                let group: Result<Vec<ItemTask<T>>> = tasks.by_ref().take(n).collect();
                match group {
                    Ok(group) => {
                        let is_kept = group.len() == n || (keeps_last && !group.is_empty());
                        is_kept.then(|| Ok(all_of(group)))
                    }
                    // The error is an item even if the group is too short to be kept.
                    Err(e) => Some(Err(e)),
                }
            };
            Ok(Box::new(std::iter::from_fn(next)) as ItemTasks<Vec<T>>)
        };
        Stream::sequential(len, open)
    }

    /// Returns windows of `n` consecutive items, each `step` items behind the one before it: the
    /// samples of a time series. Items behind the last whole window are left out. Random access is
    /// kept.
    ///
    /// # Errors
    /// The first item is an error if `n` or `step` is 0.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let windows = data::Stream::range(0..6).windows(3, 2);
    /// assert_eq!(windows.epoch(0).collect::<Result<Vec<_>>>()?, [[0, 1, 2], [2, 3, 4]]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn windows(&self, n: usize, step: usize) -> Stream<Vec<T>>
    where
        T: Clone + Sync,
    {
        if n == 0 || step == 0 {
            let why = format!("expected a size and a step of at least 1, got {n} and {step}");
            return Stream::failed("windows", why);
        }
        let count = move |len: usize| len.checked_sub(n).map_or(0, |rest| rest / step + 1);
        let (inner, counted) = (self.clone(), self.clone());
        let len = move || counted.len().map(count);
        if self.has_random_access() {
            return self.mapped_items(len, move |IndexedItems { len, at }| {
                let window = move |i: usize| {
                    let start = i.saturating_mul(step);
                    (start..start.saturating_add(n)).map(|i| at(i)).collect()
                };
                Ok(IndexedItems { len: count(len), at: Arc::new(window) })
            });
        }
        let open = move |epoch, first: usize| {
            let tasks = inner.tasks(epoch, first.saturating_mul(step))?;
            Ok(Box::new(sliding(tasks, n, step).map(done)) as ItemTasks<Vec<T>>)
        };
        Stream::sequential(len, open)
    }
}

/// Returns the windows of the items of `tasks`, each of which is computed once.
fn sliding<T: Clone + Send + 'static>(
    mut tasks: ItemTasks<T>,
    n: usize,
    step: usize,
) -> impl Iterator<Item = Result<Vec<T>>> + Send {
    let (mut window, mut gap) = (VecDeque::with_capacity(n.min(1 << 10)), 0);
    std::iter::from_fn(move || {
        while window.len() < n {
            let task = tasks.next()?;
            if gap > 0 && task.is_ok() {
                gap -= 1;
                continue;
            }
            match task.and_then(guarded) {
                Ok(item) => window.push_back(item),
                Err(e) => return Some(Err(e)),
            }
        }
        let whole = window.iter().cloned().collect();
        gap = step.saturating_sub(n);
        window.drain(..step.min(n));
        Some(Ok(whole))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_start_at_any_of_them() {
        let sequential = Stream::from_epochs(|_| Ok((0..10usize).map(Ok)));
        for stream in [Stream::range(0..10), sequential] {
            for (groups, want) in [
                (stream.chunks(4), vec![vec![0, 1, 2, 3], vec![4, 5, 6, 7], vec![8, 9]]),
                (stream.chunks_exact(4), vec![vec![0, 1, 2, 3], vec![4, 5, 6, 7]]),
                (stream.windows(2, 4), vec![vec![0, 1], vec![4, 5], vec![8, 9]]),
                (stream.windows(4, 3), vec![vec![0, 1, 2, 3], vec![3, 4, 5, 6], vec![6, 7, 8, 9]]),
                (stream.windows(11, 1), vec![]),
            ] {
                for first in 0..5 {
                    let rest: Vec<_> = groups.epoch_from(0, first).collect::<Result<_>>().unwrap();
                    assert_eq!(rest, want[first.min(want.len())..]);
                }
                assert!(groups.len().is_none_or(|len| len == want.len()));
            }
        }
    }

    #[test]
    fn groups_of_nothing_are_errors() {
        let error = Stream::range(0..3).chunks(0).epoch(0).next().unwrap().unwrap_err().to_string();
        assert!(error.starts_with("chunks: expected at least 1 item in a group, got 0"), "{error}");
        assert!(Stream::range(0..3).windows(2, 0).epoch(0).next().unwrap().is_err());
    }

    #[test]
    fn an_error_in_a_group_is_the_last_item() {
        let bad = Stream::range(0..9).try_map(|i| match i {
            4 => Err(neurax_tensor::Error::new("read", "broken")),
            i => Ok(i),
        });
        let groups: Vec<_> = bad.chunks(3).epoch(0).collect();
        assert_eq!((groups.len(), groups[1].is_err()), (2, true));
        let sequential = bad.filter(|_| true);
        let windows: Vec<_> = sequential.windows(2, 1).epoch(0).collect();
        assert_eq!((windows.len(), windows[3].is_err()), (4, true));
    }
}
