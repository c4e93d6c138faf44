//! Splitting a data set into training and test sets.

use crate::Dataset;
use crate::batches::permutation;
use neurax_tensor::{Key, Tensor, Tree};

/// A data set split in two: see [`Dataset::split`].
#[derive(Tree, Clone, Debug)]
pub struct Split<X: Tree = Tensor, Y: Tree = Tensor> {
    /// The examples to train on.
    pub train: Dataset<X, Y>,
    /// The examples to evaluate on.
    pub test: Dataset<X, Y>,
}

pub(crate) fn split<X: Tree + Clone, Y: Tree + Clone>(
    set: &Dataset<X, Y>,
    fraction: f64,
    key: Key,
) -> Split<X, Y> {
    let parts = set.rows().and_then(|rows| {
        let order = permutation(&key, rows)?;
        let cut = (rows as f64 * fraction.clamp(0.0, 1.0)).round() as usize;
        Ok(Split {
            train: set.select(&order[..cut.min(rows)]),
            test: set.select(&order[cut.min(rows)..]),
        })
    });
    parts.unwrap_or_else(|e| {
        let bad = set.map_leaves(|_| Tensor::from_error(e.clone()));
        Split { train: bad.clone(), test: bad }
    })
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
        assert_eq!(set.split(7.0, key(3)).test.len(), 0);
        assert_eq!(set.split(f64::NAN, key(3)).train.len(), 0);
    }
}
