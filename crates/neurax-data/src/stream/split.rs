//! Parts of a stream to train and to evaluate on: `split`, `k_fold`.

use super::core::Stream;
use crate::batches::permutation;
use crate::split::{check_folds, check_fraction, fold_range};
use neurax_tensor::{Key, Result};

/// The two parts of a stream: see [`Stream::split`] and [`Stream::k_fold`].
#[derive(Clone, Debug)]
pub struct StreamFold<T> {
    /// The items to train on.
    pub train: Stream<T>,
    /// The items to evaluate on.
    pub test: Stream<T>,
}

impl<T: Send + 'static> Stream<T> {
    /// Splits the items at random, as `key` determines: `fraction` of them (rounded to whole items)
    /// to train on, the rest to test on. The parts are the same in all epochs, and those of
    /// [`Dataset::split`](crate::Dataset::split); random access is kept. Shuffle the parts, not the
    /// stream before them: it has other items at the same positions in each epoch.
    ///
    /// # Errors
    /// The first item of both parts is an error if the stream has no random access or `fraction` is
    /// not in 0..=1.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let parts = data::Stream::range(0..10).split(0.8, key(0));
    /// assert_eq!((parts.train.len(), parts.test.len()), (Some(8), Some(2)));
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn split(&self, fraction: f64, key: Key) -> StreamFold<T> {
        if let Err(e) = check_fraction(fraction) {
            let failed = Stream::failed("split", e.message());
            return StreamFold { train: failed.clone(), test: failed };
        }
        let cut = move |len: usize| ((len as f64 * fraction).round() as usize).min(len);
        StreamFold {
            train: self.fixed_part("split", &key, move |len| (0, cut(len)), false),
            test: self.fixed_part("split", &key, move |len| (cut(len), len), false),
        }
    }

    /// Divides the items at random, as `key` determines, into `k` parts of nearly equal size, and
    /// returns `k` pairs of streams: part `i` to test on, all others to train on.
    ///
    /// # Errors
    /// If `k` is less than 2, or more than the number of items if that is known. The first items
    /// are errors if the stream has no random access.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let folds = data::Stream::range(0..10).k_fold(3, key(0))?;
    /// let sizes: Vec<_> = folds.iter().map(|fold| fold.test.len()).collect();
    /// assert_eq!(sizes, [Some(3), Some(3), Some(4)]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn k_fold(&self, k: usize, key: Key) -> Result<Vec<StreamFold<T>>> {
        check_folds(k, self.len())?;
        let fold = |i: usize| {
            let range = move |len| fold_range(len, i, k);
            StreamFold {
                train: self.fixed_part("k_fold", &key, range, true),
                test: self.fixed_part("k_fold", &key, range, false),
            }
        };
        Ok((0..k).map(fold).collect())
    }

    /// Returns the items whose positions in a random order are in a range that depends on the
    /// number of items, or all others if `is_rest` is true.
    #[track_caller]
    fn fixed_part(
        &self,
        op: &'static str,
        key: &Key,
        range: impl Fn(usize) -> (usize, usize) + Send + Sync + Copy + 'static,
        is_rest: bool,
    ) -> Stream<T> {
        let (counted, key) = (self.clone(), key.clone());
        let len = move || {
            let len = counted.len()?;
            let (start, end) = range(len);
            Some(if is_rest { len - (end - start) } else { end - start })
        };
        self.reordered(op, len, move |_, len| {
            let ((start, end), order) = (range(len), permutation(&key, len)?);
            let is_part = |i: usize| (start..end).contains(&i) != is_rest;
            let part = order.into_iter().enumerate().filter(|&(i, _)| is_part(i));
            Ok(part.map(|(_, item)| item).collect())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use neurax_tensor::key;

    fn all(stream: &Stream<usize>) -> Vec<usize> {
        stream.epoch(0).collect::<Result<_>>().unwrap()
    }

    #[test]
    fn folds_hold_every_item_once() {
        let folds = Stream::range(0..11).k_fold(4, key(2)).unwrap();
        let mut tests: Vec<usize> = folds.iter().flat_map(|fold| all(&fold.test)).collect();
        tests.sort_unstable();
        assert_eq!(tests, (0..11).collect::<Vec<_>>());
        for fold in folds {
            assert_eq!(fold.train.len(), Some(11 - fold.test.len().unwrap()));
            let (train, test) = (all(&fold.train), all(&fold.test));
            assert!(train.iter().all(|i| !test.contains(i)));
            assert_eq!(train.len() + test.len(), 11);
        }
        assert!(Stream::range(0..3).k_fold(1, key(0)).is_err());
        let error = Stream::range(0..3).k_fold(4, key(0)).unwrap_err();
        assert!(error.message().contains("expected 2 to 3 folds of 3 examples, got 4"), "{error}");
    }

    #[test]
    fn parts_of_a_stream_are_those_of_a_data_set() {
        use crate::Dataset;
        use neurax_tensor::Tensor;
        let set = Dataset::new(Tensor::arange(10), Tensor::arange(10)).unwrap();
        let want = set.split(0.7, key(1)).train.x.to_vec::<i32>().unwrap();
        let got = all(&Stream::range(0..10).split(0.7, key(1)).train);
        assert_eq!(got.into_iter().map(|i| i as i32).collect::<Vec<_>>(), want);
        let failed = Stream::range(0..10).split(1.5, key(1));
        assert!(failed.test.epoch(0).next().unwrap().is_err());
    }
}
