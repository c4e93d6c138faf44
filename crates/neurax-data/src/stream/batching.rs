//! Batches of examples: `stack`, `batch`, `padded_batch`, and back: `unbatch`.

use super::core::{ItemTasks, Stream, done, failing, guarded};
use crate::batches::without_first;
use crate::stacking::{TreeRows, pad_and_stack, stack_trees};
use crate::{Batch, ExamplePadding};
use neurax_tensor::{Result, Tree};

impl<T: Tree> Stream<T> {
    /// Returns trees of `n` consecutive items, stacked along a new axis 0; the last one may have
    /// fewer. [`Stream::batch`] is the form for pairs of inputs and targets. Random access is kept.
    ///
    /// # Errors
    /// The first item is an error if `n` is 0. A tensor whose type differs from that of the first
    /// item of its group is an error that names both; an item with other static values, or with
    /// tensors at other paths, is an error that names the item.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let numbers = data::Stream::from_vec(vec![tensor(1), tensor(2), tensor(3)]).stack(2);
    /// let first = numbers.epoch(0).next().unwrap()?;
    /// assert_eq!(first.to_vec::<i32>()?, [1, 2]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn stack(&self, n: usize) -> Stream<T> {
        self.groups("stack", n, true).map_indexed(|_, items| stack_trees(items))
    }
}

impl<X: Tree, Y: Tree> Stream<(X, Y)> {
    /// Returns batches of `n` examples, pairs of inputs and targets, stacked along a new axis 0;
    /// the last batch may be smaller. Random access is kept.
    ///
    /// # Errors
    /// As [`Stream::stack`]; examples of different sizes need [`Stream::padded_batch`].
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let examples = data::iris()?.stream().map(|(x, y)| (x / 10.0, y));
    /// let batches = examples.batch(64);
    /// let batch = batches.epoch(0).next().unwrap()?;
    /// assert_eq!(batch.x.shape(), [64, 4]);
    /// assert_eq!(batches.len(), Some(3));
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn batch(&self, n: usize) -> Stream<Batch<X, Y>> {
        self.groups("batch", n, true).map_indexed(|_, items| stacked(items))
    }

    /// Returns batches of exactly `n` examples, as [`Stream::batch`], so that all have one shape: a
    /// smaller batch at the end is dropped.
    ///
    /// # Errors
    /// As [`Stream::batch`].
    ///
    /// ```
    /// use neurax::prelude::*;
    /// assert_eq!(data::iris()?.stream().batch_exact(64).len(), Some(2));
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn batch_exact(&self, n: usize) -> Stream<Batch<X, Y>> {
        let groups = self.groups("batch_exact", n, false);
        groups.map_indexed(|_, items| stacked(items))
    }

    /// Returns batches of `n` examples of different sizes: each tensor is padded at the end of its
    /// axes, to the largest size in the batch. `padding` is the value, or an [`ExamplePadding`]
    /// with another one for the targets. Random access is kept.
    ///
    /// Each size is a shape that a model is compiled for: [`Stream::bucketed_to_bounds`] has few.
    ///
    /// # Errors
    /// The first item is an error if `n` is 0. Tensors that differ in dtype or number of axes are
    /// an error.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let texts = vec![(tensor([1, 2, 3]), tensor(0)), (tensor([4]), tensor(1))];
    /// let batch = data::Stream::from_vec(texts).padded_batch(2, -1.0).epoch(0).next().unwrap()?;
    /// assert_eq!(batch.x.to_vec::<i32>()?, [1, 2, 3, 4, -1, -1]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn padded_batch(
        &self,
        n: usize,
        padding: impl Into<ExamplePadding>,
    ) -> Stream<Batch<X, Y>> {
        let (groups, padding) = (self.groups("padded_batch", n, true), padding.into());
        groups.map_indexed(move |_, items| padded(items, &padding, None))
    }
}

impl<X: Tree + Clone, Y: Tree + Clone> Stream<Batch<X, Y>> {
    /// Returns the examples of the batches one by one.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let batches = data::iris()?.batched(100).stream();
    /// let examples = batches.unbatch();
    /// assert_eq!(examples.epoch(0).count(), 150);
    /// let (x, _) = examples.epoch_from(0, 149).next().unwrap()?;
    /// assert_eq!(x.shape(), [4]);
    /// # Ok::<(), Error>(())
    /// ```
    pub fn unbatch(&self) -> Stream<(X, Y)> {
        let inner = self.clone();
        let open = move |epoch, first| {
            let rows = inner.tasks(epoch, 0)?.flat_map(|task| -> ItemTasks<(X, Y)> {
                match task.and_then(guarded).and_then(TreeRows::new) {
                    Ok(rows) => Box::new((0..rows.len).map(move |i| {
                        let row = rows.row(i);
                        done(row.map(|Batch { x, y }| (x, y)))
                    })),
                    Err(e) => failing(e),
                }
            });
            Ok(Box::new(without_first(rows, first)) as ItemTasks<(X, Y)>)
        };
        Stream::sequential(|| None, open)
    }
}

/// Returns the batch of examples of one type.
fn stacked<X: Tree, Y: Tree>(examples: Vec<(X, Y)>) -> Result<Batch<X, Y>> {
    stack_trees(as_batches(examples))
}

/// Returns the batch of examples of different sizes; with a `bound`, axis 0 is padded to it.
pub(super) fn padded<X: Tree, Y: Tree>(
    examples: Vec<(X, Y)>,
    padding: &ExamplePadding,
    bound: Option<usize>,
) -> Result<Batch<X, Y>> {
    pad_and_stack(as_batches(examples), padding, bound)
}

/// Returns the examples as trees whose paths, such as `x.0` and `y`, are those of a batch.
fn as_batches<X: Tree, Y: Tree>(examples: Vec<(X, Y)>) -> Vec<Batch<X, Y>> {
    examples.into_iter().map(|(x, y)| Batch { x, y }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use neurax_tensor::{Tensor, tensor};

    #[test]
    fn batches_of_different_sizes_are_an_error_that_says_what_to_do() {
        let items = vec![(Tensor::ones([3]), tensor(0)), (Tensor::ones([2]), tensor(1))];
        let error = Stream::from_vec(items).batch(2).epoch(0).next().unwrap().unwrap_err();
        let error = error.to_string();
        assert!(
            error.contains("expected f32[3] at `x`, as in the first item, got f32[2]"),
            "{error}"
        );
    }

    #[test]
    fn padded_batches_start_anywhere() {
        let items: Vec<_> = (1..6).map(|n| (Tensor::ones([n, 2]), tensor(n as i32))).collect();
        let batches = Stream::from_vec(items).padded_batch(2, 0.0);
        let shapes: Vec<Vec<usize>> =
            batches.epoch_from(0, 1).map(|b| b.unwrap().x.shape().to_vec()).collect();
        assert_eq!(shapes, [[2, 4, 2], [1, 5, 2]]);
    }

    #[test]
    fn unbatched_examples_can_be_batched_again() {
        let set = crate::Dataset::new(Tensor::arange(10), Tensor::arange(10)).unwrap();
        let batches = set.batched(4).stream().unbatch().batch(3);
        let rows: Vec<Vec<i32>> =
            batches.epoch_from(0, 1).map(|b| b.unwrap().x.to_vec::<i32>().unwrap()).collect();
        assert_eq!(rows, [vec![3, 4, 5], vec![6, 7, 8], vec![9]]);
    }
}
