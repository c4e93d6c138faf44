//! Data sets: splitting, shuffling, batching and selecting examples.

use crate::batches::{Batches, Shuffled};
use crate::collected;
use crate::split::{Split, split};
use neurax_tensor::{Error, Key, Place, Result, Tensor, Tree};
use std::panic::Location;

/// Examples for supervised learning: row `i` of every tensor in `x` is an input, row `i` of every
/// tensor in `y` is its target.
///
/// Most data sets have one tensor in each. For a model with several inputs or outputs, `X` or `Y`
/// is a tuple, a map by name, or a user-defined [`Tree`].
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
    /// Creates a data set from inputs and targets.
    ///
    /// # Errors
    /// If a tensor carries an error or has no axes, or if the numbers of rows differ.
    #[track_caller]
    pub fn new(x: X, y: Y) -> Result<Self> {
        let set = Dataset { x: x.ok()?, y: y.ok()? };
        set.rows().map_err(|e| e.at(&Place::from(Location::caller())))?;
        Ok(set)
    }

    /// Returns the number of examples. It is 0 if [`Dataset::rows`] is an error: if a tensor
    /// carries one, or if the tensors differ in their numbers of rows.
    pub fn len(&self) -> usize {
        self.rows().unwrap_or(0)
    }

    /// Returns true if there are no examples.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Splits the examples at random, as `key` determines: `fraction` of them (rounded to whole
    /// examples) to train on, the rest to test on.
    ///
    /// # Errors
    /// The tensors of both parts carry an error if `fraction` is not in 0..=1, or if the set is
    /// invalid.
    #[track_caller]
    pub fn split(&self, fraction: f64, key: Key) -> Split<X, Y> {
        split(self, fraction, key)
    }

    /// Returns the examples in a new random order for each epoch, derived from `key` and the index
    /// of the epoch. Shuffling precedes batching, so that every epoch has different batches: the
    /// result of [`Dataset::batched`] cannot be shuffled.
    pub fn shuffled(&self, key: Key) -> Shuffled<X, Y> {
        Shuffled { set: self.clone(), key }
    }

    /// Returns batches of `n` examples in the order of the set; the last batch may be smaller. If
    /// `n` is 0, there is one batch, which carries the error.
    #[track_caller]
    pub fn batched(&self, n: usize) -> Batches<X, Y> {
        Batches::new(self.clone(), None, n)
    }

    /// Returns the examples with the given indices, in the order of `indices`. If an index is out
    /// of range, every tensor of the result carries the error.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let set = Dataset::new(Tensor::arange(6), Tensor::arange(6) * 10)?;
    /// assert_eq!(set.select(&[4, 0]).y.to_vec::<i32>()?, [40, 0]);
    /// # Ok::<(), Error>(())
    /// ```
    #[must_use]
    #[track_caller]
    pub fn select(&self, indices: &[usize]) -> Self {
        let list = selection(self.rows(), indices);
        self.map_leaves(|t| rows_at(t, &list))
    }

    /// Returns the number of examples.
    ///
    /// # Errors
    /// The error that a tensor carries, or one that names the first tensor that has no axes or
    /// another number of rows.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let set = Dataset::new(Tensor::arange(6), Tensor::arange(6))?;
    /// assert_eq!(set.rows()?, 6);
    /// let e = set.split(1.5, key(0)).train.rows().unwrap_err();
    /// assert!(e.message().starts_with("expected a fraction in 0..=1, got 1.5"));
    /// # Ok::<(), Error>(())
    /// ```
    pub fn rows(&self) -> Result<usize> {
        common_rows(self.leaves())
    }
}

/// Returns the number of rows of all `leaves`, which have paths: see [`Dataset::rows`].
pub(crate) fn common_rows(leaves: Vec<(String, &Tensor)>) -> Result<usize> {
    let mut first: Option<(String, usize)> = None;
    for (path, leaf) in leaves {
        let ty = leaf.ty()?;
        let Some(&n) = ty.shape.first() else {
            return Err(Error::new(
                "dataset",
                format!("expected examples along axis 0 of `{path}`, got the scalar {ty}"),
            ));
        };
        match &first {
            None => first = Some((path, n)),
            Some((like, rows)) if *rows != n => {
                let want = format!("expected {rows} rows in `{path}`, as in `{like}`");
                return Err(Error::new("dataset", format!("{want}, got {n}")));
            }
            Some(_) => {}
        }
    }
    Ok(first.map_or(0, |(_, rows)| rows))
}

/// Returns `indices` as a tensor, for a set of `rows` examples.
///
/// # Errors
/// If an index is out of range.
fn selection(rows: Result<usize>, indices: &[usize]) -> Result<Tensor> {
    let rows = rows?;
    if let Some(i) = indices.iter().find(|&&i| i >= rows) {
        let why = format!("expected indices below {rows}, the number of examples, got {i}");
        return Err(Error::new("select", why));
    }
    // Every index is below the size of an axis, so it fits into i64.
    let list = collected("select", indices.iter().map(|&i| i as i64))?;
    Ok(Tensor::from_vec(list, [indices.len()]))
}

/// Returns the rows of `t` at `indices`, or the error of `indices`.
#[track_caller]
fn rows_at(t: &Tensor, indices: &Result<Tensor>) -> Tensor {
    match indices {
        Ok(indices) => t.take(indices, 0),
        Err(e) => Tensor::from_error(e.clone()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use neurax_tensor::key;

    #[test]
    fn rows_must_agree() {
        let e = Dataset::new(Tensor::zeros([3, 2]), Tensor::zeros(2)).unwrap_err().to_string();
        assert!(e.starts_with("dataset: expected 3 rows in `y`, as in `x`, got 2"), "{e}");
        let e = Dataset::new(Tensor::zeros(()), Tensor::zeros(2)).unwrap_err().to_string();
        assert!(e.contains("axis 0 of `x`, got the scalar f32[]"), "{e}");
        let inputs = (Tensor::zeros(3), Tensor::zeros(2));
        let e = Dataset::new(inputs, Tensor::zeros(3)).unwrap_err().to_string();
        assert!(e.starts_with("dataset: expected 3 rows in `x.1`, as in `x.0`, got 2"), "{e}");
        assert!(Dataset::new(Tensor::zeros(3) + Tensor::zeros(2), Tensor::zeros(2)).is_err());
    }

    #[test]
    fn indices_beyond_the_last_example_are_an_error() {
        let set = Dataset::new(Tensor::arange(6), Tensor::arange(6)).unwrap();
        for index in [6, 999, 1 << 32, usize::MAX] {
            let e = set.select(&[0, index]).ok().unwrap_err().to_string();
            assert!(
                e.starts_with(&format!(
                    "select: expected indices below 6, the number of examples, got {index}"
                )),
                "{e}"
            );
        }
        assert_eq!(set.select(&[5, 0]).x.to_vec::<i32>().unwrap(), [5, 0]);
        assert_eq!(set.select(&[]).len(), 0);
    }

    #[test]
    fn examples_without_elements_take_no_memory() {
        let x = Tensor::zeros([1 << 40, 0]);
        let set = Dataset::new(x.clone(), x).unwrap();
        let batches = set.batched(2);
        assert_eq!(batches.len(), 1 << 39);
        assert_eq!(batches.epoch(0).next().unwrap().x.shape(), [2, 0]);
        let whole = set.batched(usize::MAX).epoch(0).next().unwrap();
        assert_eq!(whole.x.ok().unwrap_err().op(), "batched");
        assert!(set.shuffled(key(0)).batched(2).epoch(0).next().unwrap().x.ok().is_err());
    }

    #[test]
    fn several_inputs_are_a_tree() {
        let set =
            Dataset::new((Tensor::zeros([4, 2]), Tensor::ones(4)), Tensor::zeros([4, 1])).unwrap();
        assert_eq!(set.select(&[1, 2]).x.1.shape(), [2]);
    }
}
