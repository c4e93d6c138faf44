//! Batches, and the sources that yield them epoch after epoch.

use crate::tuning::DEFAULT_EVALUATION_BATCH_EXAMPLES;
use crate::{Dataset, collected};
use neurax_tensor::{Error, Key, Place, Result, Tensor, Tree};
use std::borrow::Cow;
use std::panic::Location;

/// The examples of one training step.
#[derive(Tree, Clone, Debug)]
pub struct Batch<X: Tree = Tensor, Y: Tree = Tensor> {
    /// The inputs.
    pub x: X,
    /// The targets.
    pub y: Y,
}

impl<X: Tree, Y: Tree> Batch<X, Y> {
    /// Returns the number of examples: the size of axis 0 of the first tensor.
    pub fn len(&self) -> usize {
        let mut first = None;
        self.each_leaf(|t| first = first.or(Some(t.dim(0))));
        first.unwrap_or(0)
    }

    /// Returns true if there are no examples.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// The batches of one epoch of a [`Source`]. An error ends the epoch.
pub type SourceEpoch<'s, X, Y> = Box<dyn Iterator<Item = Result<Batch<X, Y>>> + 's>;

/// A source of batches, epoch after epoch: [`Batches`], a [`Stream`](crate::Stream) or a slice of
/// [`Batch`]es, or a user-defined generator.
///
/// ```
/// use neurax::{data::{Batch, Source, SourceEpoch}, prelude::*};
/// /// Random numbers, and twice the numbers to predict.
/// struct Doubles;
/// impl Source for Doubles {
///     fn epoch(&self, epoch: usize) -> SourceEpoch<'_, Tensor, Tensor> {
///         let key = key(0).fold_in(epoch as u32);
///         Box::new((0..3).map(move |i| {
///             let x = key.fold_in(i).normal([8, 1]);
///             Ok(Batch { y: &x * 2.0, x })
///         }))
///     }
///     fn batches(&self) -> Option<usize> {
///         Some(3)
///     }
/// }
/// assert_eq!(Doubles.epoch_from(0, 1).count(), 2);
/// # Ok::<(), Error>(())
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a source of batches",
    note = "batch a data set first: `&set.batched(32)`, or `&set.shuffled(key(0)).batched(32)`"
)]
pub trait Source<X: Tree = Tensor, Y: Tree = Tensor> {
    /// Returns the batches of epoch `epoch`, counted from 0. An error is the last item.
    fn epoch(&self, epoch: usize) -> SourceEpoch<'_, X, Y>;

    /// Returns the batches of epoch `epoch` without the first `first` ones: training that was
    /// interrupted continues with them. They are those that [`Source::epoch`] yields there.
    ///
    /// By default, the first batches are computed and dropped; an error among them is an item.
    /// Sources that can start anywhere do so: [`Batches`] and slices.
    fn epoch_from(&self, epoch: usize, first: usize) -> SourceEpoch<'_, X, Y> {
        Box::new(without_first(self.epoch(epoch), first))
    }

    /// Returns the number of batches in an epoch, or `None` if it is not known in advance.
    fn batches(&self) -> Option<usize>;

    /// Returns the batches of epoch `epoch` from index `first` on as rows of a data set in memory,
    /// or `None` if the source is no such set, as by default. They are those that
    /// [`Source::epoch_from`] yields. A training of several steps per call selects the rows in its
    /// compiled program.
    fn row_batches(&self, _epoch: usize, _first: usize) -> Option<Result<RowBatches<X, Y>>> {
        None
    }
}

/// The batches of an epoch as rows of a data set: see [`Source::row_batches`].
///
/// ```
/// use neurax::prelude::*;
/// let set = Dataset::new(Tensor::arange(5), Tensor::arange(5))?;
/// let rows = set.batched(2).row_batches(0, 1).transpose()?.map(|batches| batches.rows);
/// assert_eq!(rows, Some(vec![vec![2, 3], vec![4]]));
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct RowBatches<X: Tree = Tensor, Y: Tree = Tensor> {
    /// The data set. Its tensors share the memory of those of the source.
    pub set: Dataset<X, Y>,
    /// The indices of the examples of each batch.
    pub rows: Vec<Vec<usize>>,
}

/// A data set whose order changes with each epoch: see [`Dataset::shuffled`].
#[derive(Clone, Debug)]
#[must_use]
pub struct Shuffled<X: Tree = Tensor, Y: Tree = Tensor> {
    pub(crate) set: Dataset<X, Y>,
    pub(crate) key: Key,
}

/// A data set divided into batches: see [`Dataset::batched`]. `&batches` iterates over epoch 0.
#[derive(Clone, Debug)]
#[must_use]
pub struct Batches<X: Tree = Tensor, Y: Tree = Tensor> {
    set: Dataset<X, Y>,
    key: Option<Key>,
    size: usize,
    drop_last: bool,
    /// The user's line that created the batches, for error messages.
    at: &'static Location<'static>,
}

impl<X: Tree + Clone, Y: Tree + Clone> Shuffled<X, Y> {
    /// Returns batches of `n` examples; the last batch may be smaller. If `n` is 0, there is one
    /// batch, which carries the error.
    #[track_caller]
    pub fn batched(&self, n: usize) -> Batches<X, Y> {
        Batches::new(self.set.clone(), Some(self.key.clone()), n)
    }
}

impl<X: Tree + Clone, Y: Tree + Clone> Batches<X, Y> {
    #[track_caller]
    pub(crate) fn new(set: Dataset<X, Y>, key: Option<Key>, size: usize) -> Self {
        Batches { set, key, size, drop_last: false, at: Location::caller() }
    }

    /// Drops the last batch of an epoch if it is smaller than the others, so that all batches have
    /// the same shape.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let set = Dataset::new(Tensor::arange(7), Tensor::arange(7))?;
    /// let sizes = |b: Batches| b.epoch(0).map(|b| b.len()).collect::<Vec<_>>();
    /// assert_eq!(sizes(set.batched(3)), [3, 3, 1]);
    /// assert_eq!(sizes(set.batched(3).drop_last()), [3, 3]);
    /// # Ok::<(), Error>(())
    /// ```
    pub fn drop_last(self) -> Self {
        Batches { drop_last: true, ..self }
    }

    /// Returns the number of batches in an epoch.
    pub fn len(&self) -> usize {
        // An invalid set yields one batch, which carries the error.
        let Ok(rows) = self.rows() else { return 1 };
        if self.drop_last { rows / self.size } else { rows.div_ceil(self.size) }
    }

    /// Returns true if an epoch has no batches.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns the batches of epoch `epoch`. They depend only on the key and on `epoch`, not on the
    /// epochs that were read before.
    pub fn epoch(&self, epoch: usize) -> Epoch<'_, X, Y> {
        self.epoch_at(epoch, 0)
    }

    /// Returns the batches of epoch `epoch` from index `first` on.
    fn epoch_at(&self, epoch: usize, first: usize) -> Epoch<'_, X, Y> {
        Epoch { batches: self, order: self.order(epoch), next: first }
    }

    /// Returns the order of the examples in epoch `epoch`.
    ///
    /// # Errors
    /// As [`Batches::rows`].
    pub(crate) fn order(&self, epoch: usize) -> Result<Order> {
        Order::new(self.rows(), self.key.as_ref(), epoch)
    }

    /// Returns batch `n` of an epoch, or `None` after the last one.
    pub(crate) fn at(&self, order: &Order, n: usize) -> Option<Result<Batch<X, Y>>> {
        let indices = match self.rows_at(order, n)? {
            Ok(indices) => indices,
            Err(e) => return Some(Err(e)),
        };
        let Dataset { x, y } = self.set.select(&indices);
        Some(Ok(Batch { x, y }))
    }

    /// Returns the indices of the examples of batch `n` of an epoch, or `None` after the last one.
    fn rows_at<'o>(&self, order: &'o Order, n: usize) -> Option<Result<Cow<'o, [usize]>>> {
        let indices = order.batch(n, self.size)?;
        let is_short = indices.as_ref().is_ok_and(|rows| rows.len() < self.size);
        (!self.drop_last || !is_short).then_some(indices)
    }

    /// Returns the batches of an epoch from index `first` on as rows of the set.
    ///
    /// # Errors
    /// As [`Batches::rows`].
    fn rows_from(&self, epoch: usize, first: usize) -> Result<RowBatches<X, Y>> {
        let order = self.order(epoch)?;
        let all = (first..).map_while(|n| self.rows_at(&order, n));
        let rows = all.map(|rows| Ok(rows?.into_owned())).collect::<Result<_>>()?;
        Ok(RowBatches { set: self.set.clone(), rows })
    }

    /// Returns the number of examples.
    ///
    /// # Errors
    /// If the batch size is 0 or the tensors differ in their numbers of rows.
    fn rows(&self) -> Result<usize> {
        match self.size {
            0 => Err(Error::new("batched", "expected a batch size of at least 1, got 0")
                .at(&Place::from(self.at))),
            _ => self.set.rows(),
        }
    }
}

/// Returns the indices `0..n` in a random order.
///
/// # Errors
/// If there are more than the largest i32.
pub(crate) fn permutation(key: &Key, n: usize) -> Result<Vec<usize>> {
    if i32::try_from(n).is_err() {
        let why = format!("expected at most {} examples, got {n}", i32::MAX);
        return Err(Error::new("shuffled", why));
    }
    let order = key.permutation(n).to_vec::<i32>()?;
    collected("shuffled", order.into_iter().map(|i| i as usize))
}

/// The order of the examples in an epoch.
#[derive(Debug)]
pub(crate) enum Order {
    /// The order of the set, which has this number of examples.
    OfTheSet(usize),
    /// The indices of the examples.
    Shuffled(Vec<usize>),
}

impl Order {
    /// Returns the order of `rows` examples in epoch `epoch`.
    fn new(rows: Result<usize>, key: Option<&Key>, epoch: usize) -> Result<Order> {
        let rows = rows?;
        Ok(match key {
            Some(key) => Order::Shuffled(permutation(&key.fold_in(epoch as u32), rows)?),
            None => Order::OfTheSet(rows),
        })
    }

    /// Returns the indices of the examples of batch `n`, or `None` after the last one.
    fn batch(&self, n: usize, size: usize) -> Option<Result<Cow<'_, [usize]>>> {
        let rows = match self {
            Order::OfTheSet(rows) => *rows,
            Order::Shuffled(order) => order.len(),
        };
        let from = n.checked_mul(size).filter(|&from| from < rows)?;
        let range = from..from.saturating_add(size).min(rows);
        Some(match self {
            Order::OfTheSet(_) => collected("batched", range).map(Cow::Owned),
            Order::Shuffled(order) => Ok(Cow::Borrowed(&order[range])),
        })
    }
}

/// An iterator over the batches of one epoch.
#[derive(Debug)]
pub struct Epoch<'b, X: Tree, Y: Tree> {
    batches: &'b Batches<X, Y>,
    /// The indices of the examples in the order of this epoch.
    order: Result<Order>,
    /// The index of the next batch.
    next: usize,
}

impl<X: Tree + Clone, Y: Tree + Clone> Iterator for Epoch<'_, X, Y> {
    type Item = Batch<X, Y>;

    fn next(&mut self) -> Option<Batch<X, Y>> {
        let batch = match &self.order {
            Ok(order) => self.batches.at(order, self.next)?,
            Err(e) => Err(e.clone()),
        };
        self.next += 1;
        Some(batch.unwrap_or_else(|e| {
            // An invalid data set yields one batch, whose tensors carry the error.
            self.order = Ok(Order::OfTheSet(0));
            let Dataset { x, y } = self.batches.set.map_leaves(|_| Tensor::from_error(e.clone()));
            Batch { x, y }
        }))
    }
}

impl<'b, X: Tree + Clone, Y: Tree + Clone> IntoIterator for &'b Batches<X, Y> {
    type Item = Batch<X, Y>;
    type IntoIter = Epoch<'b, X, Y>;
    fn into_iter(self) -> Epoch<'b, X, Y> {
        self.epoch(0)
    }
}

impl<X: Tree + Clone, Y: Tree + Clone> Source<X, Y> for Batches<X, Y> {
    fn epoch(&self, epoch: usize) -> SourceEpoch<'_, X, Y> {
        Source::epoch_from(self, epoch, 0)
    }
    fn epoch_from(&self, epoch: usize, first: usize) -> SourceEpoch<'_, X, Y> {
        Box::new(self.epoch_at(epoch, first).map(Ok))
    }
    fn batches(&self) -> Option<usize> {
        Some(self.len())
    }
    fn row_batches(&self, epoch: usize, first: usize) -> Option<Result<RowBatches<X, Y>>> {
        Some(self.rows_from(epoch, first))
    }
}

/// Batches of 256 examples in the order of the set, for evaluation.
impl<X: Tree + Clone, Y: Tree + Clone> From<&Dataset<X, Y>> for Batches<X, Y> {
    fn from(set: &Dataset<X, Y>) -> Self {
        set.batched(DEFAULT_EVALUATION_BATCH_EXAMPLES)
    }
}

impl<X: Tree + Clone, Y: Tree + Clone> From<&Batches<X, Y>> for Batches<X, Y> {
    fn from(b: &Batches<X, Y>) -> Self {
        b.clone()
    }
}

impl<X: Tree + Clone, Y: Tree + Clone> Source<X, Y> for [Batch<X, Y>] {
    fn epoch(&self, epoch: usize) -> SourceEpoch<'_, X, Y> {
        self.epoch_from(epoch, 0)
    }
    fn epoch_from(&self, _: usize, first: usize) -> SourceEpoch<'_, X, Y> {
        Box::new(self.iter().skip(first).cloned().map(Ok))
    }
    fn batches(&self) -> Option<usize> {
        Some(self.len())
    }
}

/// Returns the items without the first `n`. An error among these is an item.
pub(crate) fn without_first<T>(
    mut items: impl Iterator<Item = Result<T>>,
    n: usize,
) -> impl Iterator<Item = Result<T>> {
    let mut left = n;
    std::iter::from_fn(move || {
        loop {
            match items.next()? {
                Ok(_) if left > 0 => left -= 1,
                item => return Some(item),
            }
        }
    })
}

#[cfg(test)]
mod tests;
