//! Batches of examples of similar length: `bucketed`, `bucketed_to_bounds`, `bucketed_exact`, and
//! the lengths: `with_lengths`.
//!
//! The problem: sequences of different lengths are padded to one size in a batch. With random
//! batches, most elements are padding; and each size is another shape, for which a model is
//! compiled again.
//!
//! The method: an example is put into the bucket of its length, and a batch has the examples of one
//! bucket. A batch is padded to its longest example, which saves most elements, or to the bound of
//! its bucket, so that there are few shapes. With bounds 2 and 4 and batches of 2:
//!
//! ```text
//! lengths    1  4  2  3  1
//! buckets    (1 2) -> [2, 2]    (4 3) -> [2, 4]    the rest: (1) -> [1, 2]
//! ```

use super::batching::padded;
use super::core::{ItemTasks, Stream, guarded, task};
use crate::batches::without_first;
use crate::{Batch, ExamplePadding};
use neurax_tensor::{Error, Result, Tensor, Tree};
use std::collections::VecDeque;
use std::iter::Enumerate;
use std::sync::Arc;

impl<X: Tree, Y: Tree> Stream<(X, Y)> {
    /// Returns padded batches of `n` examples of similar length, which is the size of axis 0 of the
    /// first tensor of the input: with `bounds` of 10 and 100, lengths below 10, from 10 to 99, and
    /// from 100 on are in separate batches. A batch is yielded when it is complete; at the end of
    /// the epoch, the rest of each bucket is a smaller batch. It is padded as by
    /// [`Stream::padded_batch`].
    ///
    /// The stream has no random access. Shuffle before it.
    ///
    /// # Errors
    /// As [`Stream::padded_batch`], and if the bounds are not in ascending order.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let texts = [1, 7, 2, 8, 3].map(|n| (Tensor::ones([n]), tensor(n as i32)));
    /// let batches = data::Stream::from_vec(texts.to_vec()).bucketed(&[5], 2, 0.0);
    /// let shapes = batches.epoch(0).map(|batch| Ok(batch?.x.shape().to_vec()));
    /// assert_eq!(shapes.collect::<Result<Vec<_>>>()?, [[2, 2], [2, 8], [1, 3]]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn bucketed(
        &self,
        bounds: &[usize],
        n: usize,
        padding: impl Into<ExamplePadding>,
    ) -> Stream<Batch<X, Y>> {
        let rule = BucketRule::new("bucketed", bounds, n, padding.into());
        self.in_buckets(rule)
    }

    /// Returns batches of `n` examples that are padded to one of `bounds`, so that a model sees few
    /// shapes: with `bounds` of 10 and 100, lengths of at most 10 are padded to 10, others to 100.
    /// The length is the size of axis 0 of the first tensor of the input; all tensors with axes are
    /// padded at the end of axis 0, except those of [`ExamplePadding::keep`]. At the end of the
    /// epoch, the rest of each bucket is a smaller batch; [`Stream::bucketed_exact`] drops it.
    ///
    /// The stream has no random access. Shuffle before it.
    ///
    /// # Errors
    /// The first item is an error if `n` is 0, or the bounds are none or not in ascending order. An
    /// example that is longer than the last bound is an error, and so is a tensor that is padded
    /// and has another size along axis 0 than the first one, or other sizes along other axes.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let texts = [1, 7, 5, 8, 3].map(|n| (Tensor::ones([n]), tensor(n as i32)));
    /// let stream = data::Stream::from_vec(texts.to_vec());
    /// let batches = stream.bucketed_to_bounds(&[5, 10], 2, 0.0);
    /// let shapes = batches.epoch(0).map(|batch| Ok(batch?.x.shape().to_vec()));
    /// assert_eq!(shapes.collect::<Result<Vec<_>>>()?, [[2, 5], [2, 10], [1, 5]]);
    ///
    /// let error = stream.bucketed_to_bounds(&[5], 2, 0.0).epoch(0).next().unwrap().unwrap_err();
    /// assert!(error.message().starts_with("item 1: expected at most 5 entries along axis 0"));
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn bucketed_to_bounds(
        &self,
        bounds: &[usize],
        n: usize,
        padding: impl Into<ExamplePadding>,
    ) -> Stream<Batch<X, Y>> {
        let rule = BucketRule::new("bucketed_to_bounds", bounds, n, padding.into());
        self.in_buckets(BucketRule { is_to_bounds: true, ..rule })
    }

    /// Returns batches of exactly `n` examples, as [`Stream::bucketed_to_bounds`], so that there is
    /// one shape for each bound: a smaller batch at the end of the epoch is dropped. Shuffle before
    /// it, so that other examples are dropped in each epoch. A bucket of fewer than `n` examples
    /// has no batch.
    ///
    /// # Errors
    /// As [`Stream::bucketed_to_bounds`].
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let texts = [1, 7, 5, 8, 3].map(|n| (Tensor::ones([n]), tensor(n as i32)));
    /// let batches = data::Stream::from_vec(texts.to_vec()).bucketed_exact(&[5, 10], 2, 0.0);
    /// let shapes = batches.epoch(0).map(|batch| Ok(batch?.x.shape().to_vec()));
    /// assert_eq!(shapes.collect::<Result<Vec<_>>>()?, [[2, 5], [2, 10]]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn bucketed_exact(
        &self,
        bounds: &[usize],
        n: usize,
        padding: impl Into<ExamplePadding>,
    ) -> Stream<Batch<X, Y>> {
        let rule = BucketRule::new("bucketed_exact", bounds, n, padding.into());
        self.in_buckets(BucketRule { is_to_bounds: true, keeps_rest: false, ..rule })
    }

    /// Adds the length of each example to its input: the size of axis 0 of the first tensor, i32[].
    /// Batches of such examples, which may be padded, have the lengths `x.1`, `i32[n]`; the
    /// paths of the inputs in [`ExamplePadding::keep`] begin with `x.0`. Random access is kept.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let texts = vec![(tensor([7, 8, 9]), tensor(0)), (tensor([5]), tensor(1))];
    /// let batches = data::Stream::from_vec(texts).with_lengths().bucketed_to_bounds(&[4], 2, 0.0);
    /// let (tokens, lengths) = batches.epoch(0).next().unwrap()?.x;
    /// assert_eq!(tokens.shape(), [2, 4]);
    /// assert_eq!(lengths.to_vec::<i32>()?, [3, 1]);
    /// // A mask for the model or the loss, true where there is a token:
    /// let mask = Tensor::arange(4).lt(lengths.reshape([2, 1]));
    /// assert_eq!(mask.sum(-1).to_vec::<i32>()?, [3, 1]);
    /// # Ok::<(), Error>(())
    /// ```
    pub fn with_lengths(&self) -> Stream<((X, Tensor), Y)> {
        self.map_indexed(|i, (x, y)| {
            let length = i32::try_from(length(&x));
            let length =
                length.map_err(|e| Error::new("with_lengths", format!("item {i}: {e}")))?;
            Ok(((x, Tensor::from(length)), y))
        })
    }

    #[track_caller]
    fn in_buckets(&self, rule: BucketRule) -> Stream<Batch<X, Y>> {
        if let Err(why) = rule.check() {
            return Stream::failed(rule.op, why);
        }
        let (inner, rule) = (self.clone(), Arc::new(rule));
        let open = move |epoch, first| {
            let groups = Buckets {
                tasks: inner.tasks(epoch, 0)?.enumerate(),
                open: (0..=rule.bounds.len()).map(|_| Vec::new()).collect(),
                rule: rule.clone(),
            };
            // A batch that is skipped is not padded.
            let rule = rule.clone();
            let batches = without_first(groups, first).map(move |group| {
                let (rule, (bound, examples)) = (rule.clone(), group?);
                Ok(task(move || padded(examples, &rule.padding, bound)))
            });
            Ok(Box::new(batches) as ItemTasks<Batch<X, Y>>)
        };
        Stream::sequential(|| None, open)
    }
}

/// The description of batches by length.
struct BucketRule {
    op: &'static str,
    /// The bounds of the buckets, ascending.
    bounds: Vec<usize>,
    /// The number of examples in a batch.
    size: usize,
    padding: ExamplePadding,
    /// True if batches are padded to the bound of their bucket, false if to their longest example.
    is_to_bounds: bool,
    /// True if the rest of each bucket is a smaller batch, false if it is dropped.
    keeps_rest: bool,
}

impl BucketRule {
    fn new(op: &'static str, bounds: &[usize], size: usize, padding: ExamplePadding) -> BucketRule {
        let bounds = bounds.to_vec();
        BucketRule { op, bounds, size, padding, is_to_bounds: false, keeps_rest: true }
    }

    /// Checks the arguments of the caller. The error is a text.
    fn check(&self) -> Result<(), String> {
        let bounds = &self.bounds;
        if self.size == 0 {
            return Err("expected at least 1 example in a batch, got 0".into());
        }
        if self.is_to_bounds && bounds.is_empty() {
            return Err("expected at least one bound to pad to, got none".into());
        }
        if !bounds.is_sorted_by(|a, b| a < b) {
            return Err(format!("expected bounds in ascending order, got {bounds:?}"));
        }
        Ok(())
    }

    /// Returns the number of the bucket of an example.
    ///
    /// # Errors
    /// If it is padded to bounds and fits none, or has tensors of other lengths.
    fn bucket<X: Tree, Y: Tree>(&self, x: &X, y: &Y) -> Result<usize, String> {
        let length = length(x);
        if !self.is_to_bounds {
            return Ok(self.bounds.partition_point(|&bound| bound <= length));
        }
        if let Some(last) = self.bounds.last().filter(|&&last| length > last) {
            return Err(format!(
                "expected at most {last} entries along axis 0, the last bound, got {length}; \
                 shorten the examples, leave them out with `filter`, or add a bound"
            ));
        }
        self.check_lengths("x", x, length)?;
        self.check_lengths("y", y, length)?;
        Ok(self.bounds.partition_point(|&bound| bound < length))
    }

    /// Checks that the tensors that are padded have the length of their example. The error is a
    /// text.
    fn check_lengths(&self, part: &str, tree: &impl Tree, length: usize) -> Result<(), String> {
        let mut checked = Ok(());
        tree.each(|path, leaf| {
            let path = if path.is_empty() { part.to_string() } else { format!("{part}.{path}") };
            let size = leaf.shape().first().copied().unwrap_or(length);
            if checked.is_ok() && size != length && self.padding.value_at(&path).is_some() {
                checked = Err(format!(
                    "expected {length} entries along axis 0 of `{path}`, as in the first tensor \
                     of the input, got {size}; name it in `ExamplePadding::keep` if it is not to \
                     be padded"
                ));
            }
        });
        checked
    }

    /// Returns the size that the batches of a bucket are padded to.
    fn bound(&self, bucket: usize) -> Option<usize> {
        self.bounds.get(bucket).copied().filter(|_| self.is_to_bounds)
    }
}

/// The examples of an epoch, grouped by length.
struct Buckets<X, Y> {
    tasks: Enumerate<ItemTasks<(X, Y)>>,
    /// The examples of each bucket that are not in a batch.
    open: VecDeque<Vec<(X, Y)>>,
    rule: Arc<BucketRule>,
}

impl<X: Tree, Y: Tree> Iterator for Buckets<X, Y> {
    /// The size to pad to, and the examples of a batch.
    type Item = Result<(Option<usize>, Vec<(X, Y)>)>;

    fn next(&mut self) -> Option<Self::Item> {
        for (i, task) in self.tasks.by_ref() {
            let (x, y) = match task.and_then(guarded) {
                Ok(example) => example,
                Err(e) => return Some(Err(e)),
            };
            let at = match self.rule.bucket(&x, &y) {
                Ok(at) => at,
                Err(why) => {
                    return Some(Err(Error::new(self.rule.op, format!("item {i}: {why}"))));
                }
            };
            let bucket = self.open.get_mut(at)?;
            bucket.push((x, y));
            if bucket.len() == self.rule.size {
                return Some(Ok((self.rule.bound(at), std::mem::take(bucket))));
            }
        }
        // The epoch has ended: the rest of each bucket, in order.
        while self.rule.keeps_rest && !self.open.is_empty() {
            let at = self.rule.bounds.len() + 1 - self.open.len();
            let rest = self.open.pop_front()?;
            if !rest.is_empty() {
                return Some(Ok((self.rule.bound(at), rest)));
            }
        }
        None
    }
}

/// Returns the size of axis 0 of the first tensor; 1 for a scalar.
fn length(x: &impl Tree) -> usize {
    let mut first = None;
    x.each_leaf(|t| first = first.or(Some(t.shape().first().copied().unwrap_or(1))));
    first.unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use neurax_tensor::{key, tensor};
    use std::collections::BTreeSet;

    /// Returns examples of the given lengths, each with its length as the target.
    fn texts(lengths: impl IntoIterator<Item = usize>) -> Stream<(Tensor, Tensor)> {
        let text = |n: usize| (Tensor::ones([n]), tensor(n as i32));
        Stream::from_vec(lengths.into_iter().map(text).collect())
    }

    fn targets(batches: &Stream<Batch>, first: usize) -> Vec<Vec<i32>> {
        let targets = batches.epoch_from(0, first).map(|batch| batch?.y.to_vec::<i32>());
        targets.collect::<Result<_>>().unwrap()
    }

    #[test]
    fn batches_start_anywhere() {
        let buckets = texts(1..6).bucketed(&[2, 4], 2, 0.0);
        assert_eq!(targets(&buckets, 0), [vec![2, 3], vec![4, 5], vec![1]]);
        assert_eq!(targets(&buckets, 2), [vec![1]]);
        let to_bounds = texts(1..6).bucketed_to_bounds(&[2, 4, 6], 2, 0.0);
        let exact = texts(1..6).bucketed_exact(&[2, 4, 6], 2, 0.0);
        for first in 0..4 {
            let want = [vec![1, 2], vec![3, 4], vec![5]];
            assert_eq!(targets(&to_bounds, first), want[first.min(3)..]);
            assert_eq!(targets(&exact, first), want[first.min(2)..2]);
        }
    }

    #[test]
    fn there_is_one_shape_for_each_bound() {
        let lengths: Vec<usize> = (0..500).map(|i| 1 + i * i % 97).collect();
        let batches = texts(lengths).shuffle(key(0)).bucketed_exact(&[16, 40, 64, 97], 8, 0.0);
        let mut shapes = BTreeSet::new();
        for epoch in 0..5 {
            for batch in batches.epoch(epoch) {
                let batch = batch.unwrap();
                // Each example is in the smallest bucket that it fits into.
                let longest = batch.y.max(..).item().unwrap() as usize;
                assert!(longest <= batch.x.dim(1));
                assert_eq!(batch.x.sum(-1).to_vec::<f32>().unwrap(), {
                    batch.y.to(neurax_tensor::DType::F32).to_vec::<f32>().unwrap()
                });
                shapes.insert(batch.x.shape().to_vec());
            }
        }
        assert_eq!(Vec::from_iter(shapes), [[8, 16], [8, 40], [8, 64], [8, 97]]);
    }

    #[test]
    fn labels_of_tokens_have_another_value_and_other_targets_keep_their_size() {
        let token_labels = |n: usize| (Tensor::ones([n, 2]), Tensor::arange(n));
        let examples = Stream::from_vec(vec![token_labels(3), token_labels(1)]);
        let padding = ExamplePadding::new(0.0).targets(-100.0);
        let batches = examples.with_lengths().bucketed_to_bounds(&[4], 2, padding);
        let batch = batches.epoch(0).next().unwrap().unwrap();
        assert_eq!(batch.x.0.shape(), [2, 4, 2]);
        assert_eq!(batch.x.1.to_vec::<i32>().unwrap(), [3, 1]);
        let labels = batch.y.to_vec::<i32>().unwrap();
        assert_eq!(labels, [0, 1, 2, -100, 0, -100, -100, -100]);
    }

    #[test]
    fn examples_that_do_not_fit_are_errors() {
        let error = |batches: Stream<Batch>| {
            batches.epoch_from(0, 1).last().unwrap().unwrap_err().message().to_string()
        };
        let long = texts([1, 2, 2, 9]).bucketed_to_bounds(&[4, 8], 1, 0.0);
        let e = error(long);
        let want = "item 3: expected at most 8 entries along axis 0, the last bound, got 9";
        assert!(e.starts_with(want), "{e}");
        let one_hot = |n: usize| (Tensor::ones([n]), Tensor::ones([5]));
        let examples = Stream::from_vec(vec![one_hot(5), one_hot(2)]);
        let e = error(examples.bucketed_to_bounds(&[8], 2, 0.0));
        assert!(e.starts_with("item 1: expected 2 entries along axis 0 of `y`"), "{e}");
        assert!(e.contains("`ExamplePadding::keep`"), "{e}");
        for (bounds, n, why) in [
            (&[][..], 2, "expected at least one bound to pad to"),
            (&[4, 4][..], 2, "expected bounds in ascending order, got [4, 4]"),
            (&[4][..], 0, "expected at least 1 example"),
        ] {
            let e = error(texts([1]).bucketed_to_bounds(bounds, n, 0.0));
            assert!(e.contains(why), "{e}");
        }
    }
}
