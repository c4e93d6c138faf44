//! Splitting a data set into training and test sets.

use crate::Dataset;
use crate::batches::permutation;
use neurax_tensor::{Error, Key, Place, Result, Tensor, Tree};
use std::panic::Location;

/// A data set split in two: see [`Dataset::split`].
#[derive(Tree, Clone, Debug)]
pub struct Split<X: Tree = Tensor, Y: Tree = Tensor> {
    /// The examples to train on.
    pub train: Dataset<X, Y>,
    /// The examples to evaluate on.
    pub test: Dataset<X, Y>,
}

#[track_caller]
pub(crate) fn split<X: Tree + Clone, Y: Tree + Clone>(
    set: &Dataset<X, Y>,
    fraction: f64,
    key: Key,
) -> Split<X, Y> {
    let at = Place::from(Location::caller());
    match order(set.rows(), fraction, &key, &at) {
        Ok((order, cut)) => {
            Split { train: set.select(&order[..cut]), test: set.select(&order[cut..]) }
        }
        Err(e) => {
            let bad = set.map_leaves(|_| Tensor::from_error(e.clone()));
            Split { train: bad.clone(), test: bad }
        }
    }
}

/// Returns the indices of `rows` examples in a random order, and the number of them to train on.
fn order(rows: Result<usize>, fraction: f64, key: &Key, at: &Place) -> Result<(Vec<usize>, usize)> {
    let rows = rows?;
    if !(0.0..=1.0).contains(&fraction) {
        let why = format!("expected a fraction in 0..=1, got {fraction}");
        return Err(Error::new("split", why).at(at));
    }
    let cut = (rows as f64 * fraction).round() as usize;
    Ok((permutation(key, rows)?, cut.min(rows)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use neurax_tensor::key;

    #[test]
    fn a_split_holds_every_example_once() {
        let set = Dataset::new(Tensor::arange(10), Tensor::arange(10)).unwrap();
        let parts = set.split(0.8, key(3));
        let mut all =
            [parts.train.x.to_vec::<i32>().unwrap(), parts.test.x.to_vec::<i32>().unwrap()]
                .concat();
        assert_eq!((all.len(), parts.test.len()), (10, 2));
        all.sort_unstable();
        assert_eq!(all, (0..10).collect::<Vec<_>>());
        assert_eq!(
            set.split(0.8, key(3)).test.x.to_vec::<i32>().unwrap(),
            parts.test.x.to_vec::<i32>().unwrap()
        );
        assert_ne!(
            set.split(0.8, key(4)).train.x.to_vec::<i32>().unwrap(),
            parts.train.x.to_vec::<i32>().unwrap()
        );
        assert_eq!((set.split(1.0, key(3)).test.len(), set.split(0.0, key(3)).test.len()), (0, 10));
        for fraction in [1.5, -0.1, 7.0, f64::NAN] {
            let parts = set.split(fraction, key(3));
            for part in [parts.train, parts.test] {
                let e = part.ok().unwrap_err().to_string();
                assert!(e.contains(&format!("in 0..=1, got {fraction}")), "{e}");
            }
        }
    }
}
