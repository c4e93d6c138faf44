//! A set of examples, and the ways to part, shuffle and batch it.

use crate::batches::{Batches, Shuffled};
use crate::split::{Split, split};
use neurax_tensor::{Error, Key, Place, Result, Tensor, Tree};
use std::panic::Location;

/// Examples: row `i` of every tensor in `x` is an input, row `i` of every tensor in `y` what is to
/// be learnt of it.
///
/// Both are one tensor in most sets; a set for a model with several inputs or outputs has a tuple,
/// a map by name or a user's own [`Tree`] there.
///
/// ```
/// use neurax::prelude::*;
/// let set = Dataset::new(Tensor::arange(6).reshape([6, 1]), Tensor::arange(6))?;
/// let parts = set.split(0.5, key(0));
/// assert_eq!((parts.train.len(), parts.test.len()), (3, 3));
/// for batch in &parts.train.shuffled(key(1)).batched(2) {
///     println!("{} {}", batch.x, batch.y);     // two rows, then the last one
/// }
/// # Ok::<(), Error>(())
/// ```
#[derive(Tree, Clone, Debug)]
pub struct Dataset<X: Tree = Tensor, Y: Tree = Tensor> {
    /// The inputs, examples along axis 0.
    pub x: X,
    /// The targets, examples along axis 0.
    pub y: Y,
}

impl<X: Tree + Clone, Y: Tree + Clone> Dataset<X, Y> {
    /// A set of those inputs and targets.
    ///
    /// # Errors
    /// When a tensor carries one, has no axis, or the numbers of rows differ.
    #[track_caller]
    pub fn new(x: X, y: Y) -> Result<Self> {
        let set = Dataset { x: x.ok()?, y: y.ok()? };
        set.rows().map_err(|e| e.at(&Place::from(Location::caller())))?;
        Ok(set)
    }

    /// Number of examples; 0 when the tensors do not agree on it.
    pub fn len(&self) -> usize {
        self.rows().unwrap_or(0)
    }

    /// No examples?
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Two parts, chosen at random by `key`: `fraction` of the examples (rounded) to train on, and
    /// the rest to test with. A fraction outside 0..1 counts as the nearer end.
    pub fn split(&self, fraction: f64, key: Key) -> Split<X, Y> {
        split(self, fraction, key)
    }

    /// The examples in a new random order each epoch, from `key` and the number of the epoch.
    /// Shuffling comes before batching, so that batches are mixed anew: what [`Dataset::batched`]
    /// gives cannot be shuffled.
    pub fn shuffled(&self, key: Key) -> Shuffled<X, Y> {
        Shuffled { set: self.clone(), key }
    }

    /// Batches of `n` examples in the order of the set; the last one may be smaller. With 0 there
    /// is one batch, which carries the error.
    #[track_caller]
    pub fn batched(&self, n: usize) -> Batches<X, Y> {
        Batches::new(self.clone(), None, n)
    }

    /// The examples at those places, in that order. A place beyond the last example is an error in
    /// every tensor of the result.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let set = Dataset::new(Tensor::arange(6), Tensor::arange(6) * 10)?;
    /// assert_eq!(set.select(&[4, 0]).y.to_vec::<i32>()?, [40, 0]);
    /// # Ok::<(), Error>(())
    /// ```
    #[must_use]
    #[track_caller]
    pub fn select(&self, places: &[usize]) -> Self {
        let beyond = |n: usize| match places.iter().find(|&&i| i >= n) {
            Some(i) => Err(Error::new(
                "select",
                format!("there is no example {i}: the set has {n}, counted from 0"),
            )),
            None => Ok(()),
        };
        if let Err(e) = self.rows().and_then(beyond) {
            let e = Tensor::from_error(e);
            return self.map_leaves(|_| e.clone());
        }
        // None is beyond an axis, whose size fits into i64.
        let index = Tensor::from_vec(places.iter().map(|&i| i as i64).collect(), [places.len()]);
        self.map_leaves(|t| t.take(&index, 0))
    }

    /// Number of examples, if the tensors agree on it.
    pub(crate) fn rows(&self) -> Result<usize> {
        let mut rows = None;
        for (path, leaf) in self.leaves() {
            let ty = leaf.ty()?;
            let Some(&n) = ty.shape.first() else {
                return Err(Error::new(
                    "dataset",
                    format!("`{path}` is {ty}, but examples go along axis 0: it needs one"),
                ));
            };
            if *rows.get_or_insert(n) != n {
                return Err(Error::new(
                    "dataset",
                    format!("`{path}` has {n} rows, but `x` has {}", rows.unwrap_or(0)),
                ));
            }
        }
        Ok(rows.unwrap_or(0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_must_agree() {
        let e = Dataset::new(Tensor::zeros([3, 2]), Tensor::zeros(2)).unwrap_err().to_string();
        assert!(e.starts_with("dataset: `y` has 2 rows, but `x` has 3"), "{e}");
        let e = Dataset::new(Tensor::zeros(()), Tensor::zeros(2)).unwrap_err().to_string();
        assert!(e.contains("`x` is f32[]"), "{e}");
        assert!(Dataset::new(Tensor::zeros(3) + Tensor::zeros(2), Tensor::zeros(2)).is_err());
    }

    #[test]
    fn there_is_no_example_behind_the_last() {
        let set = Dataset::new(Tensor::arange(6), Tensor::arange(6)).unwrap();
        for place in [6, 999, 1 << 32, usize::MAX] {
            let e = set.select(&[0, place]).ok().unwrap_err().to_string();
            assert!(
                e.starts_with(&format!("select: there is no example {place}: the set has 6")),
                "{e}"
            );
        }
        assert_eq!(set.select(&[5, 0]).x.to_vec::<i32>().unwrap(), [5, 0]);
        assert_eq!(set.select(&[]).len(), 0);
    }

    #[test]
    fn several_inputs_are_a_tree() {
        let set =
            Dataset::new((Tensor::zeros([4, 2]), Tensor::ones(4)), Tensor::zeros([4, 1])).unwrap();
        assert_eq!(set.select(&[1, 2]).x.1.shape(), [2]);
    }
}
