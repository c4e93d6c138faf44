//! Batches: what a training loop goes through, epoch after epoch.

use crate::Dataset;
use neurax_tensor::{Error, Key, Place, Result, Tensor, Tree};
use std::panic::Location;

/// Some examples at once.
#[derive(Tree, Clone, Debug)]
pub struct Batch<X: Tree = Tensor, Y: Tree = Tensor> {
    /// The inputs.
    pub x: X,
    /// The targets.
    pub y: Y,
}

impl<X: Tree, Y: Tree> Batch<X, Y> {
    /// Number of examples: the size of axis 0 of the first tensor.
    pub fn len(&self) -> usize {
        self.leaves().first().map_or(0, |(_, t)| t.dim(0))
    }

    /// No examples?
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Anything that gives batches, epoch after epoch: [`Batches`], a slice of [`Batch`]es, a user's
/// own generator.
#[diagnostic::on_unimplemented(
    message = "`{Self}` gives no batches to train on",
    note = "a set is put into batches first: `&set.batched(32)`, or `&set.shuffled(key(0)).batched(32)` to train on"
)]
pub trait Source<X: Tree = Tensor, Y: Tree = Tensor> {
    /// The batches of epoch `epoch`, counted from 0.
    fn epoch(&self, epoch: usize) -> Box<dyn Iterator<Item = Batch<X, Y>> + '_>;

    /// How many batches an epoch has, if that is known.
    fn batches(&self) -> Option<usize>;
}

/// A set whose order changes each epoch: see [`Dataset::shuffled`].
#[derive(Clone, Debug)]
#[must_use]
pub struct Shuffled<X: Tree = Tensor, Y: Tree = Tensor> {
    pub(crate) set: Dataset<X, Y>,
    pub(crate) key: Key,
}

/// A set in batches: see [`Dataset::batched`]. `&batches` iterates over epoch 0.
#[derive(Clone, Debug)]
#[must_use]
pub struct Batches<X: Tree = Tensor, Y: Tree = Tensor> {
    set: Dataset<X, Y>,
    key: Option<Key>,
    size: usize,
    drop_last: bool,
    /// Where the user asked for them.
    at: &'static Location<'static>,
}

impl<X: Tree + Clone, Y: Tree + Clone> Shuffled<X, Y> {
    /// Batches of `n` examples; the last one may be smaller. With 0 there is one batch, which
    /// carries the error.
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

    /// Leaves the last batch out when it is smaller than the others: then every batch has one
    /// shape.
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

    /// Number of batches in an epoch.
    pub fn len(&self) -> usize {
        let rows = self.set.len();
        if self.size == 0 {
            return 1;
        }
        if self.drop_last { rows / self.size } else { rows.div_ceil(self.size) }
    }

    /// No batches?
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The batches of epoch `epoch`: the same key and number give the same batches, whatever came
    /// before.
    pub fn epoch(&self, epoch: usize) -> Epoch<'_, X, Y> {
        let order = self.rows().and_then(|rows| match &self.key {
            Some(key) => order(&key.fold_in(epoch as u32), rows),
            None => Ok((0..rows).collect()),
        });
        Epoch { batches: self, order, at: 0 }
    }

    /// Number of examples, if they can be batched.
    fn rows(&self) -> Result<usize> {
        match self.size {
            0 => Err(Error::new("batched", "a batch holds at least one example, not 0")
                .at(&Place::from(self.at))),
            _ => self.set.rows(),
        }
    }
}

/// The places `0..n` in a random order.
pub(crate) fn order(key: &Key, n: usize) -> Result<Vec<usize>> {
    let order = key.permutation(n).to_vec::<i32>()?;
    Ok(order.into_iter().map(|i| i as usize).collect())
}

/// The batches of one epoch.
#[derive(Debug)]
pub struct Epoch<'b, X: Tree, Y: Tree> {
    batches: &'b Batches<X, Y>,
    order: Result<Vec<usize>>,
    at: usize,
}

impl<X: Tree + Clone, Y: Tree + Clone> Iterator for Epoch<'_, X, Y> {
    type Item = Batch<X, Y>;

    fn next(&mut self) -> Option<Batch<X, Y>> {
        let Batches { set, size, drop_last, .. } = self.batches;
        let order = match &self.order {
            Ok(order) => order,
            // A set that is no set gives one batch that carries the reason to whoever computes with
            // it.
            Err(e) if self.at == 0 => {
                self.at = 1;
                let bad = set.map_leaves(|_| Tensor::from_error(e.clone()));
                return Some(Batch { x: bad.x, y: bad.y });
            }
            Err(_) => return None,
        };
        let places = order.chunks(*size).nth(self.at).filter(|c| !drop_last || c.len() == *size)?;
        self.at += 1;
        let Dataset { x, y } = set.select(places);
        Some(Batch { x, y })
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
    fn epoch(&self, epoch: usize) -> Box<dyn Iterator<Item = Batch<X, Y>> + '_> {
        Box::new(Batches::epoch(self, epoch))
    }
    fn batches(&self) -> Option<usize> {
        Some(self.len())
    }
}

/// A set alone is batches of 256 in its own order: what validation wants.
impl<X: Tree + Clone, Y: Tree + Clone> From<&Dataset<X, Y>> for Batches<X, Y> {
    fn from(set: &Dataset<X, Y>) -> Self {
        set.batched(256)
    }
}

impl<X: Tree + Clone, Y: Tree + Clone> From<&Batches<X, Y>> for Batches<X, Y> {
    fn from(b: &Batches<X, Y>) -> Self {
        b.clone()
    }
}

impl<X: Tree + Clone, Y: Tree + Clone> Source<X, Y> for [Batch<X, Y>] {
    fn epoch(&self, _: usize) -> Box<dyn Iterator<Item = Batch<X, Y>> + '_> {
        Box::new(self.iter().cloned())
    }
    fn batches(&self) -> Option<usize> {
        Some(self.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use neurax_tensor::key;

    fn set(n: usize) -> Dataset {
        Dataset::new(Tensor::arange(n), Tensor::arange(n)).unwrap()
    }

    fn flat(e: Epoch<Tensor, Tensor>) -> Vec<i32> {
        e.flat_map(|b| b.x.to_vec::<i32>().unwrap()).collect()
    }

    #[test]
    fn every_epoch_has_every_example_in_its_own_order() {
        let b = set(10).shuffled(key(1)).batched(4);
        let (one, two) = (flat(b.epoch(0)), flat(b.epoch(1)));
        assert_ne!(one, two);
        assert_eq!(one, flat(b.epoch(0)), "reproducible");
        for mut e in [one, two] {
            e.sort_unstable();
            assert_eq!(e, (0..10).collect::<Vec<_>>());
        }
        assert_eq!(b.len(), 3);
        assert_eq!(b.drop_last().len(), 2);
    }

    #[test]
    fn without_a_key_the_order_is_the_sets() {
        assert_eq!(flat(set(5).batched(2).epoch(7)), [0, 1, 2, 3, 4]);
        assert_eq!(set(0).batched(3).epoch(0).count(), 0);
    }

    #[test]
    fn inputs_and_targets_stay_together() {
        for b in &set(9).shuffled(key(0)).batched(4) {
            assert_eq!(b.x.to_vec::<i32>().unwrap(), b.y.to_vec::<i32>().unwrap());
        }
    }

    #[test]
    fn batches_of_nothing_say_so() {
        for batches in [
            set(5).batched(0),
            set(5).batched(0).drop_last(),
            set(0).batched(0),
            set(5).shuffled(key(0)).batched(0),
        ] {
            let given: Vec<Batch> = batches.epoch(0).collect();
            assert_eq!((given.len(), batches.len()), (1, 1));
            assert!(
                given[0]
                    .x
                    .error()
                    .unwrap()
                    .message()
                    .contains("a batch holds at least one example, not 0")
            );
        }
    }

    #[test]
    fn a_set_that_is_no_set_says_so_in_its_only_batch() {
        let bad = Dataset { x: Tensor::zeros([3, 1]), y: Tensor::zeros(2) };
        let batches: Vec<Batch> = bad.shuffled(key(0)).batched(2).epoch(0).collect();
        assert_eq!(batches.len(), 1);
        assert!(batches[0].x.error().unwrap().message().contains("`y` has 2 rows"));
    }
}
